"""Aggregates in terms of plain ones: FILTER becomes CASE, avg becomes sum / count, equal aggregates are computed once.

    sum(x) filter (where p)   ->  sum(case when p then x end)         count(*) filter (where p) -> count(case ...)
    avg(x)                    ->  sum(x) / count(x) in a Project above, in the type of the avg
    count(x), x never NULL    ->  count(*)

so TPC-H Q1's three avg and four sums need five sums and one count. The division by zero of an empty group cannot be
seen: its sum is NULL, and div is strict.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from zerodb_compiler.errors import error_for
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Item, LogicalPlan, Project
from zerodb_compiler.plan.transform import Fresh, call, case, map_plan, passed, same_key
from zerodb_compiler.sql.aggregates import COLLECTING, MOMENTS, can_be_null
from zerodb_compiler.sql.expressions import AggregateCall, Cast, Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import BIGINT, BOOLEAN, DOUBLE, INTEGER, MAX_PRECISION, SqlType, TypeId, numeric

# Taking a value in twice changes nothing.
_WITHOUT_DISTINCT = frozenset({"min", "max", "bool_and", "bool_or", "any_value", "bit_and", "bit_or"})


def split_aggregates(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return map_plan(plan, lambda node: _aggregate(node, fresh) if isinstance(node, Aggregate) else node)


def _aggregate(plan: Aggregate, fresh: Fresh) -> LogicalPlan:
    calls = _Calls(fresh)
    items: list[Item] = []
    for item in plan.aggregates:
        normal = plain_call(item.call, bool(plan.keys))
        if is_computed(normal):
            items.append(Item(item.column, computed(normal, item.column, calls, bool(plan.keys))))
            continue
        column = calls.column(normal, item.column)
        items.append(Item(item.column, ColumnRef(column)))
    aggregates = tuple(calls.items)
    if aggregates == plan.aggregates:
        return plan
    changed = Aggregate(plan.input, plan.keys, aggregates)
    if all(isinstance(i.expression, ColumnRef) and i.expression.column.id == i.column.id for i in items):
        return changed
    return Project(changed, (*(passed(item.column) for item in plan.keys), *items))


class Calls(Protocol):
    """Where the parts of a computed aggregate go."""

    def column(self, normal: AggregateCall, wanted: Column | None = None) -> Column: ...


class _Calls:
    """The aggregates of one node, each distinct one once."""

    __slots__ = ("_found", "_fresh", "items")

    def __init__(self, fresh: Fresh) -> None:
        self.items: list[AggregateItem] = []
        self._found: dict[object, Column] = {}
        self._fresh = fresh

    def column(self, normal: AggregateCall, wanted: Column | None = None) -> Column:
        key = (same_key(normal), normal.type)
        found = self._found.get(key)
        if found is None:
            found = wanted
            if found is None:
                name = "count" if normal.function == "count_star" else normal.function
                found = Column(self._fresh(), name, normal.type, normal.nullable)
            self._found[key] = found
            self.items.append(AggregateItem(found, normal))
        return found


def plain_call(aggregate: AggregateCall, grouped: bool) -> AggregateCall:
    """Without FILTER, and count(x) as count(*) where that is the same."""
    if aggregate.function in COLLECTING:
        return aggregate
    argument = aggregate.argument
    if aggregate.filter is not None:
        value: Expression = Literal(1, BOOLEAN) if argument is None else argument
        argument = case(((aggregate.filter, value),), Literal(None, value.type), value.type)
    function = aggregate.function
    if function == "count_star" and argument is not None:
        function = "count"
    distinct = aggregate.distinct and function not in _WITHOUT_DISTINCT
    if function == "count" and argument is not None and not argument.nullable and not distinct:
        function, argument = "count_star", None
    plain = replace(aggregate, function=function, argument=argument, distinct=distinct, filter=None, order=())
    nullable = can_be_null(plain, grouped, argument is None or argument.nullable)
    same = argument is aggregate.argument and function == aggregate.function and aggregate.filter is None
    if same and distinct == aggregate.distinct and nullable == aggregate.nullable and not aggregate.order:
        return aggregate
    return replace(plain, nullable=nullable)


def is_computed(aggregate: AggregateCall) -> bool:
    """Whether the aggregate is computed from others."""
    if aggregate.function == "sum" and aggregate.type.id is TypeId.INTERVAL:
        return True
    return aggregate.function == "avg" or (aggregate.function in MOMENTS and aggregate.type.id is TypeId.NUMERIC)


def computed(aggregate: AggregateCall, column: Column, calls: Calls, grouped: bool) -> Expression:
    """A plain call for which `is_computed` holds in terms of the aggregates that `calls` takes."""
    if aggregate.function == "avg":
        return _average(aggregate, column, calls)
    if aggregate.function == "sum":
        return _interval_sum(aggregate, calls)
    return _moment(aggregate, calls, grouped)


def _interval_sum(aggregate: AggregateCall, calls: Calls) -> Expression:
    """Months, days and microseconds are added up apart: intervals are not numbers."""
    argument, position = aggregate.argument, aggregate.position
    assert argument is not None
    if aggregate.distinct:
        raise error_for("0A000", "sum and avg of distinct intervals are not supported", position=position)
    sums: list[Expression] = []
    for part, type_ in (("interval_months", INTEGER), ("interval_days", INTEGER), ("interval_micros", BIGINT)):
        value = call(part, argument, type_=type_, position=position)
        total = AggregateCall("sum", value, sum_type(type_), aggregate.nullable, False, None, position)
        column: Expression = ColumnRef(calls.column(total))
        sums.append(column if total.type == BIGINT else Cast(column, BIGINT, position))
    return call("interval_of_parts", *sums, type_=aggregate.type, position=position)


def _average(aggregate: AggregateCall, column: Column, calls: Calls) -> Expression:
    argument = aggregate.argument
    assert argument is not None
    total_type = sum_type(argument.type)
    distinct, position = aggregate.distinct, aggregate.position
    total = AggregateCall("sum", argument, total_type, aggregate.nullable, distinct, None, position)
    if argument.nullable or distinct:
        count = AggregateCall("count", argument, BIGINT, False, distinct, None, position)
    else:
        count = AggregateCall("count_star", None, BIGINT, False, False, None, position)
    is_interval = column.type.id is TypeId.INTERVAL
    numerator: Expression = _interval_sum(total, calls) if is_interval else ColumnRef(calls.column(total))
    denominator: Expression = ColumnRef(calls.column(count))
    if is_interval:
        quotient = (numerator, Cast(denominator, DOUBLE, position))
        return call("interval_div", *quotient, type_=column.type, position=position)
    if column.type.is_float:
        if numerator.type != column.type:
            numerator = Cast(numerator, column.type, position)
        denominator = Cast(denominator, column.type, position)
    else:
        if numerator.type.is_integer:
            numerator = Cast(numerator, numeric(19, 0), position)
        denominator = Cast(denominator, numeric(19, 0), position)
    return call("div", numerator, denominator, type_=column.type, position=position)


def _moment(aggregate: AggregateCall, calls: Calls, grouped: bool) -> Expression:
    """var_pop, var_samp and their roots of exact numbers: exactly, from n = count(x), s = sum(x) and q = sum(x * x),

        (n * q - s * s) / (n * n)  or  / (n * (n - 1)), NULL where that would divide by zero

    in numerics of 38 digits (22003 where they do not suffice)."""
    x, position = aggregate.argument, aggregate.position
    assert x is not None
    if aggregate.distinct:
        raise error_for("0A000", f"{aggregate.function}(DISTINCT) of exact numbers is not supported", position=position)
    if x.type.is_integer:
        x = Cast(x, numeric(19 if x.type.id is not TypeId.HUGEINT else MAX_PRECISION, 0), position)
    scale = 2 * x.type.scale
    if scale > MAX_PRECISION - aggregate.type.scale:
        raise error_for("0A000", f"{aggregate.function} of {x.type} is not supported", position=position)
    product_type = numeric(MAX_PRECISION, scale)
    count = AggregateCall("count", x, BIGINT, False, position=position)
    total = AggregateCall("sum", x, sum_type(x.type), True, position=position)
    square = call("mul", x, x, type_=product_type, position=position)
    squares = AggregateCall("sum", square, product_type, True, position=position)
    n: Expression = ColumnRef(calls.column(plain_call(count, grouped)))
    s: Expression = ColumnRef(calls.column(plain_call(total, grouped)))
    q: Expression = ColumnRef(calls.column(plain_call(squares, grouped)))
    whole = numeric(19, 0)
    rows = Cast(n, whole, position)
    nq = call("mul", rows, q, type_=product_type, position=position)
    ss = call("mul", s, s, type_=product_type, position=position)
    least, divisor = 0, n
    if aggregate.function in ("var_samp", "stddev_samp"):
        least, divisor = 1, call("sub", n, Literal(1, BIGINT), type_=BIGINT, position=position)
    pairs = call("mul", rows, Cast(divisor, whole, position), type_=numeric(MAX_PRECISION, 0), position=position)
    difference = call("sub", nq, ss, type_=product_type, position=position)
    value = call("div", difference, pairs, type_=aggregate.type, position=position)
    if aggregate.function.startswith("stddev"):
        value = call("sqrt", value, type_=aggregate.type, position=position)
    enough = call("gt", n, Literal(least, BIGINT), type_=BOOLEAN)
    return case(((enough, value),), Literal(None, aggregate.type), aggregate.type)


def sum_type(type_: SqlType) -> SqlType:
    """The type of sum() over a type, as the binder gives it."""
    if type_.id is TypeId.INTERVAL:
        return type_
    if type_.is_float:
        return type_ if type_.id is TypeId.REAL else DOUBLE
    if type_.id in (TypeId.SMALLINT, TypeId.INTEGER):
        return BIGINT
    return numeric(MAX_PRECISION, type_.scale, type_.shown, quotient=type_.quotient)
