"""Group keys that other group keys determine are carried along instead of compared.

    group by l_orderkey, o_orderdate, o_shippriority      with l_orderkey = o_orderkey, o_orderkey the primary key
    ->  group by l_orderkey, any_value(o_orderdate), any_value(o_shippriority)

Functional dependencies come from primary keys, equalities, computed columns and group keys below; the closure of the
remaining keys decides (Armstrong's axioms). TPC-H Q10 groups by one integer instead of seven columns, five of text.
Keys are tried from the most expensive to hash down. Below the null-filled side of an outer join a dependency holds as
well: there a NULL key goes with NULL columns. Only constants (x = 5) are none any more.
"""

from __future__ import annotations

from collections.abc import Iterable

from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    Filter,
    Item,
    Join,
    JoinKind,
    LogicalPlan,
    Project,
    Scan,
    Sort,
)
from zerodb_compiler.plan.transform import Fresh, conjuncts, ids_of, inputs_of, map_plan, output_ids
from zerodb_compiler.sql.expressions import AggregateCall, Call, ColumnRef, Expression, Literal, Parameter

Dependency = tuple[frozenset[int], frozenset[int]]  # the first determines the second

_NONE: frozenset[int] = frozenset()


def reduce_group_keys(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return map_plan(plan, lambda node: _aggregate(node) if isinstance(node, Aggregate) and len(node.keys) > 1 else node)


def _aggregate(plan: Aggregate) -> Aggregate:
    known = dependencies(plan.input)
    kept = list(plan.keys)
    for item in sorted(plan.keys, key=_expense, reverse=True):
        others = [other for other in kept if other is not item]
        start = frozenset(id_ for other in others for id_ in _plain_id(other))
        if others and ids_of(item.expression) <= closure(start, known):
            kept = others
    if len(kept) == len(plan.keys):
        return plan
    carried = [
        AggregateItem(
            item.column,
            AggregateCall("any_value", item.expression, item.column.type, item.expression.nullable),
        )
        for item in plan.keys
        if item not in kept
    ]
    return Aggregate(plan.input, tuple(kept), (*plan.aggregates, *carried))


def _plain_id(item: Item) -> frozenset[int]:
    """A key that is a column determines it; a computed key determines no column."""
    return ids_of(item.expression) if isinstance(item.expression, ColumnRef) else _NONE


def _expense(item: Item) -> tuple[int, int]:
    """Cost of hashing and comparing the key; among equals the later one goes first."""
    type_ = item.column.type
    if type_.is_variable:
        return 3, 0
    if not isinstance(item.expression, ColumnRef):
        return 2, 0
    return (1, 0) if type_.is_exact and not type_.is_integer else (0, 0)


def closure(start: frozenset[int], known: Iterable[Dependency]) -> frozenset[int]:
    """All columns that `start` determines."""
    found = set(start)
    rest = list(known)
    changed = True
    while changed:
        changed = False
        waiting = []
        for determinant, dependents in rest:
            if determinant <= found:
                if not dependents <= found:
                    found |= dependents
                    changed = True
            else:
                waiting.append((determinant, dependents))
        rest = waiting
    return frozenset(found)


def dependencies(plan: LogicalPlan) -> list[Dependency]:
    """The functional dependencies between columns of the plan (also of columns that no longer leave it)."""
    match plan:
        case Scan(table=table, columns=columns, row_id=row_id):
            all_ids = output_ids(plan)
            places = {item.ordinal: item.column.id for item in columns}
            found: list[Dependency] = []
            if table.proven_key and all(ordinal in places for ordinal in table.proven_key):
                found.append((frozenset(places[ordinal] for ordinal in table.proven_key), all_ids))
            if row_id is not None:
                found.append((frozenset((row_id.id,)), all_ids))
            return found
        case Filter(input=input_, predicate=predicate):
            return dependencies(input_) + _from_conditions(conjuncts(predicate))
        case Project(input=input_, items=items):
            return dependencies(input_) + _from_items(items)
        case Aggregate(keys=keys):
            return [(frozenset(item.column.id for item in keys), output_ids(plan))]
        case Join(kind=JoinKind.INNER, left=left, right=right, condition=condition):
            return dependencies(left) + dependencies(right) + _from_conditions(conjuncts(condition))
        case Join(kind=JoinKind.LEFT | JoinKind.SINGLE, left=left, right=right):
            return dependencies(left) + [pair for pair in dependencies(right) if pair[0]]
        case Join(kind=JoinKind.FULL):
            return []
        case Join(left=left):
            return dependencies(left)
        case Sort(input=input_):
            return dependencies(input_)
    return [pair for part in inputs_of(plan)[:1] if len(inputs_of(plan)) == 1 for pair in dependencies(part)]


def _from_conditions(parts: Iterable[Expression]) -> list[Dependency]:
    found: list[Dependency] = []
    for part in parts:
        match part:
            case Call(function="eq", arguments=(ColumnRef(column=first), ColumnRef(column=second))):
                if not first.type.is_float:  # 0 = -0
                    one, two = frozenset((first.id,)), frozenset((second.id,))
                    found += [(one, two), (two, one)]
            case Call(function="eq", arguments=(ColumnRef(column=column), Literal() | Parameter())):
                found.append((_NONE, frozenset((column.id,))))
    return found


def _from_items(items: Iterable[Item]) -> list[Dependency]:
    found: list[Dependency] = []
    for item in items:
        own = frozenset((item.column.id,))
        match item.expression:
            case ColumnRef(column=column):
                if column.id != item.column.id:
                    other = frozenset((column.id,))
                    found += [(own, other), (other, own)]
            case expression:
                found.append((ids_of(expression), own))
    return found
