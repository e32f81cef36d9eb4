"""Which columns of a plan are unique: primary keys and group keys, as far as joins keep them so."""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.plan import logical
from zerodb_compiler.plan.cardinality import equality_sides
from zerodb_compiler.plan.logical import JoinKind, LogicalPlan
from zerodb_compiler.plan.transform import conjuncts, output_ids
from zerodb_compiler.sql.expressions import ColumnRef, Expression


def is_unique(plan: LogicalPlan, keys: Sequence[Expression]) -> bool:
    """Whether no two rows of the plan have equal values of the keys."""
    ids = {key.column.id for key in keys if isinstance(key, ColumnRef)}
    return _unique(plan, ids)


def _unique(plan: LogicalPlan, ids: set[int]) -> bool:
    match plan:
        case logical.Scan(table=table, columns=columns, row_id=row_id):
            if row_id is not None and row_id.id in ids:
                return True
            known = {item.ordinal for item in columns if item.column.id in ids}
            return bool(table.proven_key) and known.issuperset(table.proven_key)
        case logical.Values(rows=rows):
            return len(rows) <= 1
        case (
            logical.Filter(input=input_)
            | logical.Sort(input=input_)
            | logical.Limit(input=input_)
            | logical.Window(input=input_)
            | logical.MapExternal(input=input_)
        ):
            return _unique(input_, ids)
        case logical.Project(input=input_, items=items):
            below = {
                item.expression.column.id
                for item in items
                if item.column.id in ids and isinstance(item.expression, ColumnRef)
            }
            return _unique(input_, below)
        case logical.MarkJoin(left=left):
            return _unique(left, ids)
        case logical.Join(kind=JoinKind.FULL):
            return False
        case logical.Aggregate(keys=keys):
            return ids.issuperset(item.column.id for item in keys)
        case logical.Join(kind=JoinKind.SEMI | JoinKind.ANTI | JoinKind.ANTI_NULL_AWARE | JoinKind.SINGLE, left=left):
            return _unique(left, ids)
        case logical.Join(left=left, right=right, condition=condition):
            right_ids = output_ids(right)
            sides = [side for part in conjuncts(condition) if (side := equality_sides(part, right_ids)) is not None]
            # A side without any of the ids is not worth the descent, which would double at every join.
            if (
                not ids <= right_ids
                and _unique(left, ids - right_ids)
                and is_unique(right, [side[1] for side in sides])
            ):
                return True
            if plan.kind is not JoinKind.INNER or not ids & right_ids:
                return False
            return _unique(right, ids & right_ids) and is_unique(left, [side[0] for side in sides])
    return False
