"""EXTRACT and date_part: the fields of dates, times and intervals (PostgreSQL's 9.9.1).

EXTRACT gives numeric of the scale PostgreSQL shows, date_part double precision. Fields of a timestamp with time zone
are those of the session's clock.
"""

from __future__ import annotations

import math

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_casts import cast_expression, to_local, zone_literal
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.binder_operators import arithmetic
from zerodb_compiler.sql.expressions import Case, Cast, Expression, Literal
from zerodb_compiler.sql.interval_text import UNIT_NAMES
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, UserValue
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    TEXT,
    SqlType,
    TypeId,
    numeric,
)

_DAY_FIELDS = frozenset(
    [
        "year",
        "month",
        "day",
        "quarter",
        "dow",
        "isodow",
        "doy",
        "week",
        "century",
        "decade",
        "millennium",
        "isoyear",
        "julian",
        "epoch",
    ]
)
# What is infinite of an infinite moment; of the other fields it has none.
_GROWING = frozenset({"year", "century", "decade", "millennium", "isoyear", "julian", "epoch"})
_TIME_FIELDS = frozenset({"hour", "minute", "second", "millisecond", "microsecond"})
_ZONE_FIELDS = frozenset({"timezone", "timezone_hour", "timezone_minute"})
_FIELDS: dict[TypeId, frozenset[str]] = {
    TypeId.DATE: _DAY_FIELDS,
    TypeId.TIME: _TIME_FIELDS | {"epoch"},
    TypeId.TIMESTAMP: _DAY_FIELDS | _TIME_FIELDS,
    TypeId.TIMESTAMPTZ: _DAY_FIELDS | _TIME_FIELDS | _ZONE_FIELDS,
    TypeId.INTERVAL: _TIME_FIELDS | {"epoch", "day", "month", "quarter", "year", "decade", "century", "millennium"},
}
_WHOLE = numeric(10, 0)
_MICROS = {"second": numeric(8, 6), "millisecond": numeric(8, 3), "microsecond": numeric(8, 0)}
_EPOCH = numeric(26, 6)
FIELD_NAMES = {**UNIT_NAMES, **{name: name for name in _DAY_FIELDS | _TIME_FIELDS | _ZONE_FIELDS}}
FIELD_NAMES |= {"timezone_h": "timezone_hour", "timezone_m": "timezone_minute", "j": "julian", "jd": "julian"}
# The moments from which EXTRACT counts: Julian day 0 is 2,440,588 days before 1970.
_JULIAN = 2_440_588


@handles(exp.Extract)
def _extract(b: ExpressionBinder, node: exp.Extract) -> Bound:
    only(node, "this", "expression")
    field = str(node.this.this if isinstance(node.this, exp.Literal) else node.this.name)
    return extract(b, field, b.bound(node.expression), node)


@special("date_part")
def _date_part(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 2:
        raise no_function(name, [b.type_of(value) for value in values], node)
    field = constant_text(b, values[0], "date_part of a field that is not constant", node)
    number = Cast(extract(b, field, values[1], node, "date_part"), DOUBLE, position_of(node))
    type_ = coercion.bare(b.type_of(values[1]))
    if type_.id in (TypeId.TIME, TypeId.INTERVAL) or FIELD_NAMES.get(field.lower()) not in _GROWING:
        return number
    value = b.cast(values[1], type_, node)
    infinite = [
        (b.call("eq", (value, Literal(bound, type_)), BOOLEAN), Literal(math.copysign(math.inf, bound), DOUBLE))
        for bound in type_.bounds
    ]
    return Case(tuple(infinite), number, DOUBLE, number.nullable)


def constant_text(b: ExpressionBinder, value: Bound, what: str, node: exp.Expr) -> str:
    if not isinstance(value, Constant) or not isinstance(value.value, str):
        raise unsupported(what, node)
    b.finish(value)  # the literal decides the code: it is baked
    return value.value


def extract(b: ExpressionBinder, field: str, value: Bound, node: exp.Expr, function: str = "extract") -> Expression:
    type_ = coercion.bare(b.type_of(value))
    if type_.id is TypeId.NULL and not isinstance(value, UserValue):
        raise ProgrammingError(
            f"function pg_catalog.{function}(unknown, unknown) is not unique",
            sqlstate="42725",
            position=position_of(node),
        )
    if type_.id not in _FIELDS:
        raise no_function(function, [TEXT, type_], node)
    name = FIELD_NAMES.get(field.lower())
    if name is None:
        raise ProgrammingError(
            f'unit "{field.lower()}" not recognized for type {long_name(type_)}',
            sqlstate="22023",
            position=position_of(node),
        )
    if name not in _FIELDS[type_.id]:
        raise error_for(
            "0A000", f'unit "{field.lower()}" not supported for type {long_name(type_)}', position=position_of(node)
        )
    argument = b.cast(value, type_, node)
    if type_.id is TypeId.INTERVAL:
        return _of_interval(b, name, argument, node)
    if type_.id is TypeId.TIMESTAMPTZ:
        if name == "epoch":
            return _epoch(b, argument, node)
        if name in _ZONE_FIELDS:
            return _of_zone(b, name, argument, node)
        argument = to_local(argument, position_of(node))
    return _of_moment(b, name, argument, node)


def long_name(type_: SqlType) -> str:
    names = {TypeId.TIMESTAMP: "timestamp without time zone", TypeId.TIME: "time without time zone"}
    return names.get(type_.id, str(type_))


def _epoch(b: ExpressionBinder, value: Expression, node: exp.Expr) -> Expression:
    """Seconds with six decimals: the microseconds themselves."""
    return b.call("extract_epoch", (value,), _EPOCH, node)


def _of_moment(b: ExpressionBinder, name: str, value: Expression, node: exp.Expr) -> Expression:
    if name == "epoch":
        return b.call("extract_epoch", (value,), numeric(18, 0) if value.type.id is TypeId.DATE else _EPOCH, node)
    if name in _MICROS:
        return b.call("extract_second", (value,), _MICROS[name], node)
    if name == "julian":
        return _julian(b, value, node)
    if name in ("century", "decade", "millennium", "isoyear") and value.type.id is not TypeId.DATE:
        value = b.call("timestamp_date", (value,), DATE, node)
    return b.call(f"extract_{name}", (value,), _WHOLE, node)


def _julian(b: ExpressionBinder, value: Expression, node: exp.Expr) -> Expression:
    if value.type.id is TypeId.DATE:
        days = b.call("date_sub", (value, Literal(-_JULIAN, DATE)), INTEGER, node)
        return cast_expression(days, _WHOLE, None)
    date = b.call("timestamp_date", (value,), DATE, node)
    days = b.call("date_sub", (date, Literal(-_JULIAN, DATE)), INTEGER, node)
    time = Cast(b.call("timestamp_time", (value,), BIGINT, node), numeric(11, 0))
    part = b.call("div", (time, Literal(86_400_000_000, numeric(11, 0))), numeric(22, 20), node)
    return b.finish(arithmetic(b, "add", "+", days, part, node))


def _of_zone(b: ExpressionBinder, name: str, value: Expression, node: exp.Expr) -> Expression:
    offset = b.call("zone_offset", (zone_literal(), value, Literal(0, BOOLEAN)), BIGINT, node)
    seconds: Bound = b.call("div", (offset, Literal(1_000_000, BIGINT)), BIGINT, node)
    if name == "timezone_hour":
        seconds = arithmetic(b, "div", "/", seconds, Constant(INTEGER, 3600), node)
    elif name == "timezone_minute":
        minutes = arithmetic(b, "div", "/", seconds, Constant(INTEGER, 60), node)
        seconds = arithmetic(b, "mod", "%", minutes, Constant(INTEGER, 60), node)
    return b.cast(seconds, _WHOLE, node)


def _of_interval(b: ExpressionBinder, name: str, value: Expression, node: exp.Expr) -> Expression:
    if name == "epoch":
        return b.call("interval_epoch", (value,), numeric(30, 6), node)
    if name == "day":
        return cast_expression(b.call("interval_days", (value,), INTEGER, node), _WHOLE, None)
    if name in _TIME_FIELDS:
        micros: Bound = b.call("interval_micros", (value,), BIGINT, node)
        if name == "hour":
            return b.cast(arithmetic(b, "div", "/", micros, Constant(BIGINT, 3_600_000_000), node), _WHOLE, node)
        if name == "minute":
            rest = arithmetic(b, "mod", "%", micros, Constant(BIGINT, 3_600_000_000), node)
            return b.cast(arithmetic(b, "div", "/", rest, Constant(BIGINT, 60_000_000), node), _WHOLE, node)
        rest = b.finish(arithmetic(b, "mod", "%", micros, Constant(BIGINT, 60_000_000), node))
        return b.call("extract_scaled", (rest,), _MICROS[name], node)
    months = b.call("interval_months", (value,), INTEGER, node)
    if name in ("month", "quarter"):
        month: Bound = arithmetic(b, "mod", "%", months, Constant(INTEGER, 12), node)
        if name == "quarter":
            third = arithmetic(b, "div", "/", month, Constant(INTEGER, 3), node)
            month = arithmetic(b, "add", "+", third, Constant(INTEGER, 1), node)
        return b.cast(month, _WHOLE, node)
    span = {"year": 12, "decade": 120, "century": 1200, "millennium": 12_000}[name]
    return b.cast(arithmetic(b, "div", "/", months, Constant(INTEGER, span), node), _WHOLE, node)
