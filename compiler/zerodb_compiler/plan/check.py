"""Invariants of plans, checked between rules in tests (environment ZERODB_CHECK_PLANS=1).

Every column is produced by exactly one node, every column read is produced below the place that reads it, conditions
are boolean, inputs of a union agree in type. After the last rule no subquery, avg, DISTINCT or FILTER is left.
All are our own bugs: AssertionError.
"""

from __future__ import annotations

import os

from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    CommonScan,
    Filter,
    Item,
    Join,
    Lateral,
    LogicalPlan,
    MapExternal,
    MarkJoin,
    Number,
    Project,
    Recursive,
    Scan,
    TableFunction,
    UnionAll,
    Values,
    Window,
)
from zerodb_compiler.plan.transform import expressions_of, has_subquery, ids_of, inputs_of, output_ids
from zerodb_compiler.sql.aggregates import COLLECTING
from zerodb_compiler.sql.expressions import AggregateCall, ColumnRef, Expression, ExternalCall, walk
from zerodb_compiler.types import BOOLEAN

ENABLED = os.environ.get("ZERODB_CHECK_PLANS", "") not in ("", "0")


def check_plan(plan: LogicalPlan, *, outer: frozenset[int] = frozenset(), final: bool = False) -> None:
    """`outer` are columns of the queries around a subquery's plan; `final` asks for what holds after the last rule."""
    produced: dict[int, object] = {}
    _check(plan, outer, produced, final)


def _check(plan: LogicalPlan, outer: frozenset[int], produced: dict[int, object], final: bool) -> None:
    if isinstance(plan, Lateral):
        assert not final, "a lateral join is left"
        _check(plan.left, outer, produced, final)
        _check(plan.right, outer | output_ids(plan.left), produced, final)
    else:
        for part in inputs_of(plan):
            _check(part, outer, produced, final)
    visible = outer.union(*(output_ids(part) for part in inputs_of(plan)))
    for expression in expressions_of(plan):
        missing = ids_of(expression) - visible
        assert not missing, f"{type(plan).__name__} reads columns {sorted(missing)} that nothing below gives"
        if final:
            _check_final(expression)
    _check_node(plan)
    _check_new_columns(plan, produced)
    ids = [column.id for column in plan.output]
    assert len(ids) == len(set(ids)), f"{type(plan).__name__} gives a column twice: {ids}"


def _check_node(plan: LogicalPlan) -> None:
    match plan:
        case Filter(predicate=predicate):
            assert predicate.type == BOOLEAN, f"condition of type {predicate.type}"
        case Join(condition=condition) if condition is not None:
            assert condition.type == BOOLEAN, f"condition of type {condition.type}"
        case Project(items=items) | Aggregate(keys=items):
            for item in items:
                assert item.expression.type == item.column.type, f"{item.column} is {item.expression.type}"
        case UnionAll(columns=columns, inputs=inputs):
            for part in inputs:
                assert [column.type for column in part.output] == [column.type for column in columns]
        case Values(columns=columns, rows=rows):
            assert all(len(row) == len(columns) for row in rows)
    if isinstance(plan, Aggregate):
        for aggregate in plan.aggregates:
            assert aggregate.call.type == aggregate.column.type


def _check_new_columns(plan: LogicalPlan, produced: dict[int, object]) -> None:
    match plan:
        case Scan() | Values() | CommonScan():
            new = [column.id for column in plan.output]
        case MarkJoin(mark=mark):
            new = [mark.id]
        case Number(number=number, rank=rank):
            new = [number.id] + ([] if rank is None else [rank.id])
        case Project(items=items):
            new = _defined(items)
        case Aggregate(keys=items, aggregates=aggregates):
            new = _defined(items) + [item.column.id for item in aggregates if not _carries(item)]
        case MapExternal(items=external):
            new = [item.column.id for item in external]
        case Window(specs=specs):
            new = [item.column.id for spec in specs for item in spec.items]
        case UnionAll(columns=columns) | Recursive(columns=columns):
            new = [column.id for column in columns]
        case TableFunction(input=input_):
            new = [column.id for column in plan.output[len(input_.output) :]]
        case _:
            return
    for id_ in new:
        assert id_ not in produced, f"column #{id_} is produced twice"
        produced[id_] = plan


def _defined(items: tuple[Item, ...]) -> list[int]:
    return [
        item.column.id
        for item in items
        if not (isinstance(item.expression, ColumnRef) and item.expression.column.id == item.column.id)
    ]


def _carries(item: AggregateItem) -> bool:
    """any_value(x) as x: a group key that became a dependent one keeps its id."""
    call = item.call
    return call.function == "any_value" and call.argument == ColumnRef(item.column)


def _check_final(expression: Expression) -> None:
    assert not has_subquery(expression), "a subquery is left"
    for part in walk(expression):
        assert not isinstance(part, ExternalCall), "a call of an external function is left"
        if isinstance(part, AggregateCall):
            assert part.function != "avg", "avg is left"
            if part.function not in COLLECTING:
                assert not part.distinct, f"{part.function}(distinct) is left"
                assert part.filter is None, f"{part.function} with FILTER is left"
