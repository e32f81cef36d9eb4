"""An interpreter of physical plans over Python rows: the oracle that plans mean what the SQL says.

Slow and literal: a row is a dictionary from column id to canonical value. It executes what code generation would, so a
wrong rule, a wrong join order or a wrong NULL shows as a wrong result against DuckDB.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zerodb_compiler.plan import physical
from zerodb_compiler.plan.logical import AggregateItem, Item, JoinKind, SortKey
from zerodb_compiler.sql.expressions import Call, Case, Cast, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.types import SqlType, TypeId

Row = dict[int, Any]
Tables = Mapping[str, Sequence[tuple[Any, ...]]]


class SubqueryRowsError(Exception):
    """SQLSTATE 21000: more than one row for a scalar subquery."""


def run(plan: physical.Output, tables: Tables) -> list[tuple[Any, ...]]:
    """The result rows, in order."""
    return [tuple(row[column.id] for column in plan.columns) for row in _rows(plan.input, tables)]


def _rows(plan: physical.PhysicalPlan, tables: Tables) -> Iterator[Row]:
    match plan:
        case physical.TableScan(table=table, columns=columns, predicates=predicates):
            for values in tables[table.name]:
                row = {item.column.id: values[item.ordinal] for item in columns}
                if _all(predicates, row):
                    yield row
        case physical.ValuesScan(columns=names, values=values_):
            for entry in values_:
                yield {column.id: value(part, {}) for column, part in zip(names, entry, strict=True)}
        case physical.Filter(input=input_, predicates=predicates):
            yield from (row for row in _rows(input_, tables) if _all(predicates, row))
        case physical.Project(input=input_, items=items):
            yield from (_projected(items, row) for row in _rows(input_, tables))
        case physical.HashJoin():
            yield from _hash_join(plan, tables)
        case physical.NestedLoopJoin(kind=kind, predicates=predicates):
            build = list(_rows(plan.build, tables))
            ids = _ids(plan.build)
            for probe in _rows(plan.probe, tables):
                matches = (row for row in build if _all(predicates, {**probe, **row}))
                yield from _joined(kind, probe, matches, ids)
        case physical.MarkJoin():
            build = list(_rows(plan.build, tables))
            for probe in _rows(plan.probe, tables):
                yield {**probe, plan.mark.id: _mark(plan, probe, build)}
        case physical.HashAggregate(input=input_, keys=keys, aggregates=aggregates):
            yield from _aggregated(list(_rows(input_, tables)), keys, aggregates)
        case physical.Sort(input=input_, keys=sort_keys):
            yield from _sorted(_rows(input_, tables), sort_keys)
        case physical.TopN(input=input_, keys=sort_keys, count=count, offset=offset):
            yield from _limited(_sorted(_rows(input_, tables), sort_keys), count, offset)
        case physical.Limit(input=input_, count=count_, offset=offset):
            yield from _limited(list(_rows(input_, tables)), count_, offset)
        case physical.UnionAll(columns=names, inputs=inputs):
            for part in inputs:
                given = _ids(part)
                for row in _rows(part, tables):
                    yield {column.id: row[id_] for column, id_ in zip(names, given, strict=True)}
        case physical.With(definitions=definitions, body=body):
            known = dict(tables)
            for item in definitions:
                ids = _ids(item.plan)
                known[f"common {item.common}"] = [tuple(row[id_] for id_ in ids) for row in _rows(item.plan, known)]
            yield from _rows(body, known)
        case physical.CommonScan(common=common, columns=names):
            for values in tables[f"common {common}"]:
                yield {column.id: value_ for column, value_ in zip(names, values, strict=True)}
        case _:
            raise AssertionError(plan)


def _ids(plan: physical.PhysicalPlan) -> list[int]:
    """The columns a node gives, in order."""
    match plan:
        case physical.TableScan(columns=columns, row_id=row_id):
            return [item.column.id for item in columns] + ([] if row_id is None else [row_id.id])
        case physical.With(body=body):
            return _ids(body)
        case physical.ValuesScan(columns=names) | physical.UnionAll(columns=names) | physical.CommonScan(columns=names):
            return [column.id for column in names]
        case physical.Project(items=items):
            return [item.column.id for item in items]
        case physical.MarkJoin(mark=mark):
            return [*_ids(plan.probe), mark.id]
        case physical.HashAggregate(keys=keys, aggregates=aggregates):
            return [item.column.id for item in keys] + [item.column.id for item in aggregates]
        case physical.HashJoin(kind=kind) | physical.NestedLoopJoin(kind=kind):
            if kind in (JoinKind.SEMI, JoinKind.ANTI, JoinKind.ANTI_NULL_AWARE):
                return _ids(plan.probe)
            return _ids(plan.probe) + _ids(plan.build)
    assert not isinstance(plan, physical.Output)
    return _ids(plan.input)


def _all(predicates: Iterable[Expression], row: Row) -> bool:
    return all(value(part, row) == 1 for part in predicates)


def _projected(items: Iterable[Item], row: Row) -> Row:
    found = {}
    for item in items:
        found[item.column.id] = value(item.expression, row)
        assert item.column.nullable or found[item.column.id] is not None, f"{item.column} is NULL"
    return found


def _mark(plan: physical.MarkJoin, probe: Row, build: Sequence[Row]) -> int | None:
    found: int | None = 0
    for row in build:
        both = {**probe, **row}
        keys = zip(plan.probe_keys, plan.build_keys, strict=True)
        if any(value(a, both) is None or value(a, both) != value(b, both) for a, b in keys):
            continue
        if not _all(plan.residual, both):
            continue
        test = 1 if plan.test is None else value(plan.test, both)
        if test == 1:
            return 1
        found = None if test is None else found
    return found


def _hash_join(plan: physical.HashJoin, tables: Tables) -> Iterator[Row]:
    table: dict[tuple[Any, ...], list[Row]] = {}
    null_keys = rows = 0
    for row in _rows(plan.build, tables):
        key = tuple(value(part, row) for part in plan.build_keys)
        rows += 1
        if None in key:
            null_keys += 1
        else:
            table.setdefault(key, []).append(row)
    assert not plan.build_unique or all(len(found) == 1 for found in table.values()), "build_unique is wrong"
    ids = _ids(plan.build)
    for probe in _rows(plan.probe, tables):
        key = tuple(value(part, probe) for part in plan.probe_keys)
        if plan.kind is JoinKind.ANTI_NULL_AWARE:
            if rows == 0 or (None not in key and null_keys == 0 and key not in table):
                yield probe
            continue
        found = [] if None in key else table.get(key, [])
        matches = (row for row in found if _all(plan.residual, {**probe, **row}))
        yield from _joined(plan.kind, probe, matches, ids)


def _joined(kind: JoinKind, probe: Row, matches: Iterator[Row], ids: list[int]) -> Iterator[Row]:
    match kind:
        case JoinKind.INNER:
            yield from ({**probe, **row} for row in matches)
        case JoinKind.SEMI:
            if next(matches, None) is not None:
                yield probe
        case JoinKind.ANTI:
            if next(matches, None) is None:
                yield probe
        case JoinKind.LEFT | JoinKind.SINGLE:
            found = list(matches)
            if kind is JoinKind.SINGLE and len(found) > 1:
                raise SubqueryRowsError
            for row in found or [dict.fromkeys(ids)]:
                yield {**probe, **row}
        case _:
            raise AssertionError(kind)


def _aggregated(rows: list[Row], keys: Sequence[Item], aggregates: Sequence[AggregateItem]) -> Iterator[Row]:
    groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
    for row in rows:
        groups.setdefault(tuple(value(item.expression, row) for item in keys), []).append(row)
    for key, members in groups.items():
        found = {item.column.id: part for item, part in zip(keys, key, strict=True)}
        for item in aggregates:
            found[item.column.id] = _aggregate(item, members)
        yield found


def _aggregate(item: AggregateItem, rows: list[Row]) -> Any:
    call = item.call
    assert not call.distinct
    assert call.filter is None
    if call.argument is None:
        return len(rows)
    values = [found for row in rows if (found := value(call.argument, row)) is not None]
    if call.function == "count":
        return len(values)
    if not values:
        assert call.nullable, item
        return None
    match call.function:
        case "sum":
            return sum(values)
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "any_value":
            assert len(set(values)) == 1, "any_value of different values"
            return values[-1]
        case "bool_and":
            return int(all(values))
        case "bool_or":
            return int(any(values))
    raise AssertionError(call.function)


def _sorted(rows: Iterable[Row], keys: Sequence[SortKey]) -> list[Row]:
    def compare(first: Row, second: Row) -> int:
        for key in keys:
            one, two = value(key.expression, first), value(key.expression, second)
            if one == two:
                continue
            if one is None or two is None:
                return -1 if (one is None) == key.nulls_first else 1
            return -1 if (one < two) != key.descending else 1
        return 0

    return sorted(rows, key=functools.cmp_to_key(compare))


def _limited(rows: list[Row], count: Expression | None, offset: Expression | None) -> list[Row]:
    start = 0 if offset is None else value(offset, {})
    return rows[start:] if count is None else rows[start : start + value(count, {})]


# --- expressions ----------------------------------------------------------------------------------------------------
def value(expression: Expression, row: Row) -> Any:
    match expression:
        case ColumnRef(column=column):
            return row[column.id]
        case Literal(value=found):
            return found
        case Parameter(sample=found):
            return found
        case Cast(argument=argument, type=type_):
            return _cast(value(argument, row), argument.type, type_)
        case Case(branches=branches, default=default):
            for when, then in branches:
                if value(when, row) == 1:
                    return value(then, row)
            return value(default, row)
        case Call(function="and" | "or" as function, arguments=arguments):
            parts = [value(part, row) for part in arguments]
            decided = 0 if function == "and" else 1
            return decided if decided in parts else None if None in parts else 1 - decided
        case Call():
            return _call(expression, [value(part, row) for part in expression.arguments])
    raise AssertionError(expression)


def _cast(found: Any, source: SqlType, target: SqlType) -> Any:
    if found is None or source.is_text:
        return found
    assert source.is_exact
    assert target.is_exact
    if target.scale >= source.scale:
        return found * 10 ** (target.scale - source.scale)
    unit = 10 ** (source.scale - target.scale)
    return (abs(found) + unit // 2) // unit * (1 if found >= 0 else -1)


def _call(call: Call, values: list[Any]) -> Any:
    function = call.function
    match function:
        case "is_null" | "is_not_null":
            return int((values[0] is None) == (function == "is_null"))
        case "is_true" | "is_false":
            return int(values[0] == (1 if function == "is_true" else 0))
        case "is_distinct" | "is_not_distinct":
            return int((values[0] != values[1]) == (function == "is_distinct"))
        case "in":
            if values[0] is None:
                return None
            return 1 if values[0] in values[1:] else None if None in values[1:] else 0
    if None in values:
        return None
    match function:
        case "not":
            return 1 - values[0]
        case "eq" | "ne":
            return int((values[0] == values[1]) == (function == "eq"))
        case "lt" | "gt":
            return int(values[0] < values[1] if function == "lt" else values[0] > values[1])
        case "le" | "ge":
            return int(values[0] <= values[1] if function == "le" else values[0] >= values[1])
        case "add":
            return values[0] + values[1]
        case "sub":
            return values[0] - values[1]
        case "mul":
            return values[0] * values[1]
        case "div":
            return _divided(call, values[0], values[1])
        case "like" | "not_like":
            pattern = re.escape(values[1]).replace("%", ".*").replace("_", ".")
            return int(bool(re.fullmatch(pattern, values[0])) == (function == "like"))
        case "substring":
            return values[0][values[1] - 1 : values[1] - 1 + values[2]]
    raise AssertionError(function)


def _divided(call: Call, left: int, right: int) -> int:
    assert call.type.id is TypeId.NUMERIC
    scale = call.type.scale - call.arguments[0].type.scale + call.arguments[1].type.scale
    top = abs(left) * 10**scale * 2 + abs(right)
    return top // (2 * abs(right)) * (1 if (left < 0) == (right < 0) else -1)
