"""DISTINCT aggregates as two levels of plain ones.

    select k, count(distinct x), sum(y), count(*) group by k
    ->  first by (k, x): sum(y) as p, count(*) as q          then by k: count(x), sum(p), sum(q)

Several different DISTINCT arguments, or other aggregates that cannot be put together from parts: one such plan for
each over a copy of the input, united, the results of each filled up with NULLs and put together by a last aggregation
(max of one value and NULLs is the value). That evaluates the input once per argument; an operator that keeps a hash set
per group and argument would not.
"""

from __future__ import annotations

from zerodb_compiler.plan.copying import copied
from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    Item,
    LogicalPlan,
    Project,
    UnionAll,
)
from zerodb_compiler.plan.transform import Fresh, call, case, map_plan, passed, same_key, substitute
from zerodb_compiler.sql.aggregates import COLLECTING
from zerodb_compiler.sql.expressions import AggregateCall, Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import BIGINT

_COMBINED = {"count": "sum", "count_star": "sum"}
# The aggregate of a group from those of its parts.
_DECOMPOSABLE = {*_COMBINED, "sum", "min", "max", "bool_and", "bool_or", "any_value", "bit_and", "bit_or", "bit_xor"}


def split_distinct(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return map_plan(plan, lambda node: _aggregate(node, fresh) if isinstance(node, Aggregate) else node)


def _aggregate(plan: Aggregate, fresh: Fresh) -> LogicalPlan:
    groups: dict[object, list[AggregateItem]] = {}
    for item in plan.aggregates:
        if item.call.distinct and item.call.function not in COLLECTING:
            groups.setdefault(same_key(item.call.argument), []).append(item)
    if not groups:
        return plan
    plain = [item for item in plan.aggregates if not item.call.distinct or item.call.function in COLLECTING]
    decomposable = all(item.call.function in _DECOMPOSABLE for item in plain)
    if len(groups) == 1 and decomposable:
        (distinct,) = groups.values()
        return _two_levels(plan.input, plan.keys, distinct, plain, fresh)
    branches = [(group, plain if decomposable and number == 0 else []) for number, group in enumerate(groups.values())]
    return _united(plan, branches if decomposable else [*branches, ([], plain)], fresh)


def _two_levels(
    input_: LogicalPlan,
    keys: tuple[Item, ...],
    distinct: list[AggregateItem],
    plain: list[AggregateItem],
    fresh: Fresh,
) -> LogicalPlan:
    argument = distinct[0].call.argument
    assert argument is not None
    if isinstance(argument, ColumnRef):
        value = argument.column
    else:
        value = Column(fresh(), "value", argument.type, argument.nullable)
    first_keys = keys if any(key.column.id == value.id for key in keys) else (*keys, Item(value, argument))
    partials: list[AggregateItem] = []
    second: list[AggregateItem] = []
    items: list[Item] = [passed(key.column) for key in keys]
    for item in distinct:
        second.append(AggregateItem(item.column, _over(item.call, item.call.function, ColumnRef(value), bool(keys))))
        items.append(passed(item.column))
    for item in plain:
        partial = Column(fresh(), item.column.name, item.call.type, item.call.nullable)
        partials.append(AggregateItem(partial, item.call))
        function = _COMBINED.get(item.call.function)
        if function is None or keys:
            combined = _over(item.call, function or item.call.function, ColumnRef(partial), bool(keys))
            second.append(AggregateItem(item.column, combined))
            items.append(passed(item.column))
            continue
        # No group, perhaps no row: the sum of no counts is NULL, but the count is 0.
        total = Column(fresh(), item.column.name, item.call.type, True)
        second.append(AggregateItem(total, _over(item.call, function, ColumnRef(partial), False)))
        zero = Literal(0, BIGINT)
        value_of = case(((call("is_null", ColumnRef(total)), zero),), ColumnRef(total), BIGINT)
        items.append(Item(item.column, value_of))
    inner = Aggregate(input_, first_keys, tuple(partials))
    outer = Aggregate(inner, tuple(passed(key.column) for key in keys), tuple(second))
    if all(isinstance(item.expression, ColumnRef) for item in items):
        return outer
    return Project(outer, tuple(items))


def _over(old: AggregateCall, function: str, argument: Expression, grouped: bool) -> AggregateCall:
    if function == "count" and not argument.nullable:
        return AggregateCall("count_star", None, old.type, False, False, None, old.position)
    nullable = function != "count" and (not grouped or argument.nullable)
    return AggregateCall(function, argument, old.type, nullable, False, None, old.position)


def _united(
    plan: Aggregate, groups: list[tuple[list[AggregateItem], list[AggregateItem]]], fresh: Fresh
) -> LogicalPlan:
    """One branch for each group of (DISTINCT aggregates of one argument, plain ones computed with them)."""
    branches: list[tuple[LogicalPlan, list[Column], dict[int, Column]]] = []
    for group, plain in groups:
        source, names = copied(plan.input, fresh)  # also the first: the keys keep their ids above the union
        mapping: dict[int, Expression] = {id_: ColumnRef(column) for id_, column in names.items()}
        keys = tuple(_renamed_key(key, mapping, fresh) for key in plan.keys)
        results: dict[int, Column] = {}
        distinct = [_renamed(item, mapping, results, fresh) for item in group]
        others = [_renamed(item, mapping, results, fresh) for item in plain]
        if distinct:
            branch = _two_levels(source, keys, distinct, others, fresh)
        else:
            branch = Aggregate(source, keys, tuple(others))
        branches.append((branch, [key.column for key in keys], results))
    key_columns = [_nullable(key.column, fresh, key.column.nullable) for key in plan.keys]
    value_columns = [_nullable(item.column, fresh, True) for item in plan.aggregates]
    inputs: list[LogicalPlan] = []
    for branch, own_keys, results in branches:
        items = [Item(_nullable(column, fresh, column.nullable), ColumnRef(column)) for column in own_keys]
        for item in plan.aggregates:
            found = results.get(item.column.id)
            value: Expression = Literal(None, item.column.type) if found is None else ColumnRef(found)
            items.append(Item(_nullable(item.column, fresh, True), value))
        inputs.append(Project(branch, tuple(items)))
    union = UnionAll((*key_columns, *value_columns), tuple(inputs))
    keys = tuple(Item(key.column, ColumnRef(column)) for key, column in zip(plan.keys, key_columns, strict=True))
    combined = tuple(
        AggregateItem(item.column, _chosen(item.call, ColumnRef(column)))
        for item, column in zip(plan.aggregates, value_columns, strict=True)
    )
    return Aggregate(union, keys, combined)


def _chosen(old: AggregateCall, argument: Expression) -> AggregateCall:
    """The one value among NULLs."""
    function = old.function if old.function in ("bool_and", "bool_or") else "max"
    return AggregateCall(function, argument, old.type, True, False, None, old.position)


def _nullable(column: Column, fresh: Fresh, nullable: bool) -> Column:
    return Column(fresh(), column.name, column.type, nullable)


def _renamed_key(key: Item, mapping: dict[int, Expression], fresh: Fresh) -> Item:
    expression = substitute(key.expression, mapping)
    if isinstance(expression, ColumnRef):
        return Item(expression.column, expression)
    return Item(_nullable(key.column, fresh, expression.nullable), expression)


def _renamed(
    item: AggregateItem, mapping: dict[int, Expression], results: dict[int, Column], fresh: Fresh
) -> AggregateItem:
    column = _nullable(item.column, fresh, item.call.nullable)
    results[item.column.id] = column
    new = substitute(item.call, mapping)
    assert isinstance(new, AggregateCall)
    return AggregateItem(column, new)
