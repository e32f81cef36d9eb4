"""Operators over dates, times, timestamps and intervals: PostgreSQL's table 9.32, and which of its rows a call means.

The rows name the types of both sides and of the result; sides are cast to them implicitly. An untyped constant takes
the other side's type where there is such a row, else the type of the only row that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.intervals import unpack
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_casts import cast_expression, zone_literal
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, no_operator, typed
from zerodb_compiler.sql.expressions import Expression, Literal
from zerodb_compiler.sql.nodes import position_of
from zerodb_compiler.sql.parameters import Constant, merged
from zerodb_compiler.sql.values import MICROS_PER_DAY, check_range
from zerodb_compiler.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTEGER,
    INTERVAL,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    SqlType,
    TypeId,
)

Make = Callable[[ExpressionBinder, Expression, Expression, exp.Expr], Expression]
DATED = frozenset({TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.INTERVAL})


@dataclass(frozen=True, slots=True)
class Row:
    function: str
    left: SqlType
    right: SqlType
    make: Make


def _calls(name: str, result: SqlType, *, swapped: bool = False) -> Make:
    def make(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
        return b.call(name, (right, left) if swapped else (left, right), result, node)

    return make


def _negated(b: ExpressionBinder, value: Expression, node: exp.Expr) -> Expression:
    if isinstance(value, Literal) and isinstance(value.value, int):
        return Literal(coercion.negate_interval(value.value), INTERVAL)
    return b.call("interval_neg", (value,), INTERVAL, node)


def move(b: ExpressionBinder, moment: Expression, by: Expression, node: exp.Expr) -> Expression:
    """date or timestamp + interval. A constant interval is simpler: months and microseconds, each if there are any."""
    if moment.type.id is TypeId.TIMESTAMPTZ:
        return b.call("timestamptz_add_interval", (moment, by, zone_literal()), TIMESTAMPTZ, node)
    moved = cast_expression(moment, TIMESTAMP, position_of(node))
    if not isinstance(by, Literal) or not isinstance(by.value, int):
        return b.call("timestamp_add_interval", (moved, by), TIMESTAMP, node)
    months, days, micros = unpack(by.value)
    if months:
        moved = b.call("date_add_months", (moved, Literal(months, INTEGER)), TIMESTAMP, node)
    micros += days * MICROS_PER_DAY
    if micros or not months:
        if not -(1 << 63) <= micros < 1 << 63:
            return b.call("timestamp_add_interval", (moved, by), TIMESTAMP, node)
        moved = b.call("timestamp_add_micros", (moved, Literal(micros, BIGINT)), TIMESTAMP, node)
    return moved


def _plus(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    return move(b, left, right, node)


def _plus_swapped(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    return move(b, right, left, node)


def _minus(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    return move(b, left, _negated(b, right, node), node)


def _minus_days(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    return b.call("date_add_days", (left, b.call("neg", (right,), INTEGER, node)), DATE, node)


def _date_and_time(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    date, time = (left, right) if left.type.id is TypeId.DATE else (right, left)
    interval = cast_expression(time, INTERVAL, position_of(node))
    moment = cast_expression(date, TIMESTAMP, position_of(node))
    return b.call("timestamp_add_interval", (moment, interval), TIMESTAMP, node)


def _time_moved(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    time, by = (left, right) if left.type.id is TypeId.TIME else (right, left)
    return b.call("time_add_interval", (time, b.call("interval_micros", (by,), BIGINT, node)), TIME, node)


def _time_minus(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    return _time_moved(b, left, _negated(b, right, node), node)


def _times_apart(b: ExpressionBinder, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    one, two = (cast_expression(side, INTERVAL, position_of(node)) for side in (left, right))
    return b.call("interval_sub", (one, two), INTERVAL, node)


_ROWS = (
    Row("add", DATE, INTEGER, _calls("date_add_days", DATE)),
    Row("add", INTEGER, DATE, _calls("date_add_days", DATE, swapped=True)),
    Row("add", DATE, INTERVAL, _plus),
    Row("add", INTERVAL, DATE, _plus_swapped),
    Row("add", DATE, TIME, _date_and_time),
    Row("add", TIME, DATE, _date_and_time),
    Row("add", INTERVAL, INTERVAL, _calls("interval_add", INTERVAL)),
    Row("add", TIMESTAMP, INTERVAL, _plus),
    Row("add", INTERVAL, TIMESTAMP, _plus_swapped),
    Row("add", TIMESTAMPTZ, INTERVAL, _plus),
    Row("add", INTERVAL, TIMESTAMPTZ, _plus_swapped),
    Row("add", TIME, INTERVAL, _time_moved),
    Row("add", INTERVAL, TIME, _time_moved),
    Row("sub", DATE, DATE, _calls("date_sub", INTEGER)),
    Row("sub", DATE, INTEGER, _minus_days),
    Row("sub", DATE, INTERVAL, _minus),
    Row("sub", TIME, TIME, _times_apart),
    Row("sub", TIME, INTERVAL, _time_minus),
    Row("sub", TIMESTAMP, INTERVAL, _minus),
    Row("sub", TIMESTAMPTZ, INTERVAL, _minus),
    Row("sub", INTERVAL, INTERVAL, _calls("interval_sub", INTERVAL)),
    Row("sub", TIMESTAMP, TIMESTAMP, _calls("timestamp_difference", INTERVAL)),
    Row("sub", TIMESTAMPTZ, TIMESTAMPTZ, _calls("timestamp_difference", INTERVAL)),
    Row("mul", INTERVAL, DOUBLE, _calls("interval_mul", INTERVAL)),
    Row("mul", DOUBLE, INTERVAL, _calls("interval_mul", INTERVAL, swapped=True)),
    Row("div", INTERVAL, DOUBLE, _calls("interval_div", INTERVAL)),
)
_PREFERRED = frozenset({TypeId.TIMESTAMPTZ, TypeId.INTERVAL, TypeId.DOUBLE})


def date_arithmetic(
    b: ExpressionBinder, function: str, symbol: str, left: Bound, right: Bound, node: exp.Expr
) -> Bound:
    types = coercion.bare(b.type_of(left)), coercion.bare(b.type_of(right))
    row = _resolve(function, symbol, types, node)
    left, right = typed(b, left, row.left, node), typed(b, right, row.right, node)
    folded = _folded(row, left, right)
    if folded is not None:
        return folded
    return row.make(b, b.finish(left), b.finish(right), node)


def _resolve(function: str, symbol: str, types: tuple[SqlType, SqlType], node: exp.Expr) -> Row:
    rows = [row for row in _ROWS if row.function == function]
    unknown = [type_.id is TypeId.NULL for type_ in types]
    if any(unknown) and not all(unknown):
        known = types[1] if unknown[0] else types[0]
        same = [row for row in rows if row.left == row.right == known]
        if same:
            return same[0]
    fitting = [
        row for row in rows if coercion.is_implicit(types[0], row.left) and coercion.is_implicit(types[1], row.right)
    ]
    for score in (_exact, _preferred):
        if len(fitting) > 1:
            scores = [score(row, types) for row in fitting]
            fitting = [row for row, reached in zip(fitting, scores, strict=True) if reached == max(scores)]
    if not fitting:
        raise no_operator(symbol, *types, node)
    if len(fitting) > 1:
        raise ProgrammingError(
            f"operator is not unique: {types[0]} {symbol} {types[1]}",
            sqlstate="42725",
            position=position_of(node),
            hint="add explicit casts",
        )
    return fitting[0]


def _exact(row: Row, types: tuple[SqlType, SqlType]) -> int:
    return (row.left == types[0]) + (row.right == types[1])


def _preferred(row: Row, types: tuple[SqlType, SqlType]) -> int:
    sides = ((row.left, types[0]), (row.right, types[1]))
    return sum(side.id in _PREFERRED for side, type_ in sides if type_.id is not TypeId.NULL)


def _folded(row: Row, left: Bound, right: Bound) -> Constant | None:
    """Constant dates and timestamps moved by constants, so that a column can be compared with them."""
    if not (isinstance(left, Constant) and isinstance(right, Constant)):
        return None
    if not (isinstance(left.value, int) and isinstance(right.value, int)):
        return None
    sign = -1 if row.function == "sub" else 1
    if row.left == DATE and row.right == INTEGER:
        days = check_range(DATE, left.value + sign * right.value, left.position)
        return Constant(DATE, days, left.position, left.sources + right.sources, None)
    if row.right != INTERVAL or row.left not in (DATE, TIMESTAMP):
        return None
    unit = MICROS_PER_DAY if row.left == DATE else 1
    low, high = row.left.bounds

    def moved(moment: int, by: int) -> int:
        if moment in (low, high):
            return TIMESTAMP.bounds[moment > 0]
        return coercion.move_timestamp(moment * unit, coercion.negate_interval(by) if sign < 0 else by)

    value = moved(left.value, right.value)
    return Constant(TIMESTAMP, value, left.position, *merged(left, right, moved))
