"""ORDER BY ... LIMIT in the order of an index: only its first rows have to be looked at.

    select * from t where a = $1 and b > $2 order by b, c limit 10        index (a, b, c): equal, range, order

An index serves if it decides every predicate exactly (each of its first columns equal to one value, then at most one
range) and then has the sort's columns, all ascending or all descending. The rows it gives are sorted again, with those
that no index knows yet, so it is enough that they are among the first. Limits: columns that may be NULL are not ordered
by an index; no IN, no partial indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan import physical
from zerodb_compiler.plan.index_choice import bounds_of, has_order, keys_of
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.plan.physical import Constant, FirstRows, IndexAccess, PhysicalPlan, TableScan
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression, Literal, Parameter


def with_ordered_access(
    plan: PhysicalPlan, keys: Sequence[SortKey], count: Expression, offset: Expression | None
) -> PhysicalPlan:
    """The plan below a TopN, with an index that gives its first rows if there is one."""
    wanted = tuple([item for item in (count, offset) if item is not None])
    if not all(isinstance(item, Literal | Parameter) for item in wanted):
        return plan
    columns: list[int] = []
    for key in keys:
        if not isinstance(key.expression, ColumnRef) or key.descending is not keys[0].descending:
            return plan
        columns.append(key.expression.column.id)
    return _below(plan, columns, keys[0].descending, wanted)  # type: ignore[arg-type]


def _below(plan: PhysicalPlan, columns: list[int], descending: bool, wanted: tuple[Constant, ...]) -> PhysicalPlan:
    match plan:
        case physical.Project(input=below, items=items):
            sources = {item.column.id: item.expression for item in items}
            inner: list[int] = []
            for column in columns:
                match sources.get(column):
                    case ColumnRef(column=found):
                        inner.append(found.id)
                    case _:
                        return plan
            made = _below(below, inner, descending, wanted)
            return plan if made is below else replace(plan, input=made)
        case TableScan(table=table, columns=scanned):
            ordinals = {item.column.id: item.ordinal for item in scanned}
            if not all(column in ordinals for column in columns):
                return plan
            order = [ordinals[column] for column in columns]
            access = _access(table, plan, order, descending, wanted)
            return plan if access is None else replace(plan, index=access)
    return plan


def _access(
    table: TableInfo, scan: TableScan, order: list[int], descending: bool, wanted: tuple[Constant, ...]
) -> IndexAccess | None:
    bounds = bounds_of(table, scan.columns, scan.predicates)
    for name, key, declared in keys_of(table):
        equal: list[tuple[Constant, ...]] = []
        decided = 0
        for ordinal in key:
            found = bounds.get(ordinal)
            if found is None or len(found.equal) != 1 or len(found.equal[0][0]) != 1 or found.low or found.high:
                break
            equal.append(found.equal[0][0])
            decided += 1
        rest = [ordinal for ordinal in order if ordinal not in key[: len(equal)]]
        following = key[len(equal) : len(equal) + len(rest)]
        if not rest or tuple(rest) != following or not all(_is_ordered(table, ordinal) for ordinal in rest):
            continue
        low: tuple[Constant, ...] = ()
        high: tuple[Constant, ...] = ()
        range_ = bounds.get(following[0])
        if range_ is not None:
            if range_.equal or len(range_.low) > 1 or len(range_.high) > 1:
                continue
            low, high = tuple([value for value, _ in range_.low]), tuple([value for value, _ in range_.high])
            decided += len(low) + len(high)
        if decided != len(scan.predicates):
            continue
        open_ = tuple([bool(part) and _is_open(part[0][1]) for part in (range_.low, range_.high)]) if range_ else ()
        first = FirstRows(wanted, descending, *open_)
        return IndexAccess(name, key, tuple(equal), low, high, declared, first)
    return None


def _is_ordered(table: TableInfo, ordinal: int) -> bool:
    return table.columns[ordinal].not_null and has_order(table, ordinal)


def _is_open(predicate: Expression) -> bool:
    """Whether a bound lies outside of its range."""
    return isinstance(predicate, Call) and predicate.function in ("lt", "gt")
