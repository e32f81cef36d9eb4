"""An aggregation of a LEFT join's right side, grouped by a key of its left side, goes below the join.

    select c_custkey, count(o_orderkey) from customer left join orders on c_custkey = o_custkey group by c_custkey
    ->  customer left join (select o_custkey, count(o_orderkey) as n from orders group by o_custkey)
        on c_custkey = o_custkey, with n, or 0 where there is no match

(TPC-H Q13.) Then the join builds on one row per key instead of storing every row of the right side, and each left row
finds at most one. Umbra's group join does both in one hash table. Conditions: the group keys contain a unique key of
the left side (each left row is its own group), the join's condition is nothing but equalities, and the aggregates read
only the right side. A group without a match has one row of NULLs: count(x) is 0, the others are NULL; count(*) would
be 1.
"""

from __future__ import annotations

from zerodb_compiler.plan.cardinality import equality_sides
from zerodb_compiler.plan.keys import is_unique
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Item, Join, JoinKind, LogicalPlan, Project
from zerodb_compiler.plan.rules.outer_joins import becomes_null
from zerodb_compiler.plan.transform import (
    Fresh,
    call,
    case,
    conjunction,
    conjuncts,
    ids_of,
    map_plan,
    output_ids,
)
from zerodb_compiler.sql.expressions import AggregateCall, Column, ColumnRef, Expression, Literal

_FUNCTIONS = frozenset({"count", "count_star", "sum", "min", "max", "bool_and", "bool_or"})


def push_aggregates(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return map_plan(plan, lambda node: _aggregate(node, fresh) if isinstance(node, Aggregate) else node)


def _aggregate(plan: Aggregate, fresh: Fresh) -> LogicalPlan:
    join = plan.input
    while isinstance(join, Project) and all(_passes(item) for item in join.items):
        join = join.input
    if not isinstance(join, Join) or join.kind is not JoinKind.LEFT or not plan.keys:
        return plan
    left_ids, right_ids = output_ids(join.left), output_ids(join.right)
    if any(not ids_of(key.expression) <= left_ids for key in plan.keys):
        return plan
    if not is_unique(join.left, [key.expression for key in plan.keys]):
        return plan
    pairs = [equality_sides(part, right_ids) for part in conjuncts(join.condition)]
    if not pairs or any(pair is None for pair in pairs):
        return plan
    marks = [mark for item in plan.aggregates if (mark := _argument(item.call, join, right_ids)) is not None]
    if len(marks) != len(plan.aggregates) or not marks:
        return plan
    return _below(plan, join, [pair for pair in pairs if pair is not None], fresh)


def _passes(item: Item) -> bool:
    return isinstance(item.expression, ColumnRef) and item.expression.column.id == item.column.id


def _argument(aggregate: AggregateCall, join: Join, right_ids: frozenset[int]) -> Expression | None:
    """The argument, if the aggregate of no match is that of a NULL: a strict function of right columns."""
    argument = aggregate.argument
    if argument is None or aggregate.function not in _FUNCTIONS:
        return None
    used = ids_of(argument)
    return argument if used and used <= right_ids and becomes_null(argument, right_ids) else None


def _below(plan: Aggregate, join: Join, pairs: list[tuple[Expression, Expression]], fresh: Fresh) -> LogicalPlan:
    keys = [Item(Column(fresh(), "key", right.type, True), right) for _, right in pairs]
    aggregates: list[AggregateItem] = []
    items: list[Item] = list(plan.keys)
    for item in plan.aggregates:
        found = item.call
        inner = Column(fresh(), item.column.name, item.column.type, True)
        aggregates.append(AggregateItem(inner, found))
        value: Expression = ColumnRef(inner)
        if found.function == "count":
            value = case(((call("is_null", value), Literal(0, found.type)),), value, found.type)
        items.append(Item(item.column, value))
    grouped = Aggregate(join.right, tuple(keys), tuple(aggregates))
    condition = conjunction(
        [call("eq", left, ColumnRef(key.column)) for (left, _), key in zip(pairs, keys, strict=True)]
    )
    return Project(Join(JoinKind.LEFT, join.left, grouped, condition), tuple(items))
