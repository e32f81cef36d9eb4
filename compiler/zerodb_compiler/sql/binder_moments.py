"""Functions of dates, times and intervals (PostgreSQL's table 9.33), and the syntax they have of their own (EXTRACT:
binder_extract)."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_casts import cast_expression, to_local, to_moment
from zerodb_compiler.sql.binder_dates import move
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, typed
from zerodb_compiler.sql.binder_extract import FIELD_NAMES, constant_text, long_name
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.binder_operators import arithmetic, compare, make_case
from zerodb_compiler.sql.expressions import Call, Case, Cast, Expression, Literal
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    BYTEA,
    DATE,
    DOUBLE,
    INTEGER,
    INTERVAL,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    SqlType,
    TypeId,
)
from zerodb_compiler.zones import Zone, find_zone, fixed_zone

_KNOWN = frozenset(FIELD_NAMES.values())

# --- date_trunc, date_bin, age ----------------------------------------------------------------------------------------
_YEARS = {"decade": (10, 0), "century": (100, 1), "millennium": (1000, 1)}
_SPANS = {"microsecond": 1, "millisecond": 1_000}
_UNITS = frozenset(["year", "quarter", "month", "week", "day", "hour", "minute", "second"])
_INTERVAL_MONTHS = {"millennium": 12_000, "century": 1200, "decade": 120, "year": 12, "quarter": 3, "month": 1}
_INTERVAL_MICROS = {
    "day": -1,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}


@special("date_trunc")
def _date_trunc(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    kinds = (TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.INTERVAL, TypeId.TIME)
    if len(values) not in (2, 3) or types[1].id not in kinds:
        raise no_function("date_trunc", types, node)
    field = constant_text(b, values[0], "date_trunc to a unit that is not constant", node)
    unit = FIELD_NAMES.get(field.lower())
    type_ = coercion.bare(types[1])
    if type_.id is TypeId.DATE:
        # PostgreSQL prefers timestamp with time zone among the types a date may become.
        type_ = TIMESTAMPTZ
    elif type_.id is TypeId.TIME:
        type_ = INTERVAL
    elif type_.id is TypeId.TIMESTAMP and len(values) == 3:
        type_ = TIMESTAMPTZ  # there is no other with a zone
    if unit is None or (unit not in _UNITS and unit not in _YEARS and unit not in _SPANS):
        known = unit in _KNOWN
        raise error_for(
            "0A000" if known else "22023",
            f'unit "{field.lower()}" not {"supported" if known else "recognized"} for type {long_name(type_)}',
            position=position_of(node),
        )
    value = b.cast(values[1], type_, node)
    if len(values) == 3:
        if type_.id is not TypeId.TIMESTAMPTZ:
            raise no_function("date_trunc", types, node)
        zone = find_zone(constant_text(b, values[2], "a time zone that is not constant", node), position_of(node))
        local = to_local(value, position_of(node), zone)
        return to_moment(_truncated(b, unit, local, node), position_of(node), zone)
    if type_.id is TypeId.INTERVAL:
        return _truncated_interval(b, unit, value, node)
    if type_.id is TypeId.TIMESTAMPTZ:
        return to_moment(_truncated(b, unit, to_local(value, position_of(node)), node), position_of(node))
    return _truncated(b, unit, value, node)


def _truncated(b: ExpressionBinder, unit: str, value: Expression, node: exp.Expr) -> Expression:
    if unit in _YEARS:
        span, first = _YEARS[unit]
        arguments = (value, Literal(span, BIGINT), Literal(first, BIGINT))
        return b.call("date_trunc_years", arguments, TIMESTAMP, node)
    if unit in _SPANS:
        return b.call("date_trunc_micros", (value, Literal(_SPANS[unit], BIGINT)), TIMESTAMP, node)
    return b.call(f"date_trunc_{unit}", (value,), TIMESTAMP, node)


def _truncated_interval(b: ExpressionBinder, unit: str, value: Expression, node: exp.Expr) -> Expression:
    if unit == "week":
        message = 'unit "week" not supported for type interval'
        raise error_for("0A000", message, position=position_of(node), hint="Months usually have fractional weeks.")
    arguments = (
        value,
        Literal(_INTERVAL_MONTHS.get(unit, 0), BIGINT),
        Literal(_INTERVAL_MICROS.get(unit, 0), BIGINT),
    )
    return b.call("interval_truncate", arguments, INTERVAL, node)


@special("age")
def _age(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    kinds = (TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.NULL)
    if len(values) not in (1, 2) or any(type_.id not in kinds for type_ in types):
        raise no_function(name, types, node)
    if len(values) == 1:
        today = _truncated(b, "day", to_local(b.binder.context.moment("transaction"), None), node)
        values, types = [today, values[0]], [TIMESTAMP, types[0]]
    zoned = TypeId.TIMESTAMPTZ in {type_.id for type_ in types} or all(t.id is TypeId.DATE for t in types)
    position = position_of(node)
    sides = [cast_expression(b.cast(value, TIMESTAMPTZ if zoned else TIMESTAMP, node), TIMESTAMP, position)
             for value in values]  # fmt: skip
    return b.call("timestamp_age", (sides[0], sides[1]), INTERVAL, node)


@special("date_bin")
def _date_bin(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    if len(values) != 3:
        raise no_function(name, types, node)
    type_ = TIMESTAMPTZ if TypeId.TIMESTAMPTZ in {t.id for t in types} else TIMESTAMP
    if not coercion.is_implicit(types[0], INTERVAL) or not all(coercion.is_implicit(t, type_) for t in types[1:]):
        raise no_function(name, types, node)
    arguments = (b.cast(values[0], INTERVAL, node), *(b.cast(value, type_, node) for value in values[1:]))
    return b.call("timestamp_bin", arguments, type_, node)


# --- making and taking apart ------------------------------------------------------------------------------------------
@special("justify_hours", "justify_days", "justify_interval")
def _justify(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    if len(values) != 1 or not coercion.is_implicit(types[0], INTERVAL):
        raise no_function(name, types, node)
    return b.call(f"interval_{name}", (b.cast(values[0], INTERVAL, node),), INTERVAL, node)


@special("isfinite")
def _isfinite(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [coercion.bare(b.type_of(value)) for value in values]
    if len(values) != 1 or types[0].id not in (TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.INTERVAL):
        raise no_function(name, types, node)
    value = b.cast(values[0], types[0], node)
    if types[0].id is TypeId.INTERVAL:
        return make_case(
            ((b.call("is_null", (value,), BOOLEAN), Literal(None, BOOLEAN)),), Literal(1, BOOLEAN), BOOLEAN
        )
    return b.call("moment_is_finite", (value,), BOOLEAN, node)


_MAKE: dict[str, tuple[tuple[SqlType, ...], int]] = {
    "make_date": ((INTEGER, INTEGER, INTEGER), 3),
    "make_time": ((INTEGER, INTEGER, DOUBLE), 3),
    "make_timestamp": ((INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, DOUBLE), 6),
    "make_timestamptz": ((INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, DOUBLE, TEXT), 6),
}


@special(*_MAKE)
def _make(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    wanted, required = _MAKE[name]
    if not required <= len(values) <= len(wanted) or not all(map(coercion.is_implicit, types, wanted)):
        raise no_function(name, types, node)
    zone: Zone | None = None
    if len(values) == 7:
        zone = find_zone(constant_text(b, values[6], "a time zone that is not constant", node), position_of(node))
    parts = [b.cast(value, type_, node) for value, type_ in zip(values[:6], wanted, strict=False)]
    if name == "make_date":
        return b.call("make_date", tuple(parts), DATE, node)
    time = b.call("make_time", tuple(parts[-3:]), TIME, node)
    if name == "make_time":
        return time
    date = b.call("make_date", tuple(parts[:3]), DATE, node)
    moment = b.call(
        "timestamp_add_interval",
        (cast_expression(date, TIMESTAMP, None), cast_expression(time, INTERVAL, None)),
        TIMESTAMP,
        node,
    )
    return moment if name == "make_timestamp" else to_moment(moment, position_of(node), zone)


_INTERVAL_ARGUMENTS = ("years", "months", "weeks", "days", "hours", "mins", "secs")


def to_timestamp_of_seconds(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """to_timestamp of a number: seconds since 1970."""
    types = [b.type_of(value) for value in values]
    if len(values) != 1 or not (types[0].is_number or types[0].id is TypeId.NULL):
        raise no_function(name, types, node)
    return b.call("timestamptz_of_seconds", (b.cast(values[0], DOUBLE, node),), TIMESTAMPTZ, node)


def make_interval(b: ExpressionBinder, nodes: list[exp.Expr], node: exp.Expr) -> Bound:
    """make_interval(years, months, weeks, days, hours, mins, secs), by place or by name => value."""
    given: dict[str, exp.Expr] = {}
    for place, item in enumerate(nodes):
        key = _INTERVAL_ARGUMENTS[place] if place < len(_INTERVAL_ARGUMENTS) else ""
        if isinstance(item, exp.Kwarg):
            key, item = str(item.this.name).lower(), item.expression
        if key not in _INTERVAL_ARGUMENTS or key in given:
            raise no_function("make_interval", [], node)
        given[key] = item

    def part(key: str, factor: int, type_: SqlType) -> Bound:
        if key not in given:
            return Constant(type_, 0 if type_ == INTEGER else 0.0)
        value = b.cast(typed(b, b.bound(given[key]), DOUBLE if type_ == DOUBLE else INTEGER, node), type_, node)
        wide = cast_expression(value, type_ if type_ == DOUBLE else BIGINT, None)
        return wide if factor == 1 else arithmetic(b, "mul", "*", wide, Constant(BIGINT, factor), node)

    months = arithmetic(b, "add", "+", part("years", 12, INTEGER), part("months", 1, INTEGER), node)
    days = arithmetic(b, "add", "+", part("weeks", 7, INTEGER), part("days", 1, INTEGER), node)
    clock = arithmetic(b, "add", "+", part("hours", 3600, INTEGER), part("mins", 60, INTEGER), node)
    seconds = arithmetic(b, "add", "+", b.cast(clock, DOUBLE, node), part("secs", 1, DOUBLE), node)
    arguments = (b.cast(months, BIGINT, node), b.cast(days, BIGINT, node), b.cast(seconds, DOUBLE, node))
    return b.call("interval_make", arguments, INTERVAL, node)


# --- zones ------------------------------------------------------------------------------------------------------------
@handles(exp.AtTimeZone)
def _at_time_zone(b: ExpressionBinder, node: exp.AtTimeZone) -> Bound:
    only(node, "this", "zone")
    return at_time_zone(b, b.bound(node.this), b.bound(node.args["zone"]), node)


@special("timezone")
def _timezone(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 2:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return at_time_zone(b, values[1], values[0], node)


def at_time_zone(b: ExpressionBinder, value: Bound, name: Bound, node: exp.Expr) -> Bound:
    position = position_of(node)
    zone: Zone | Expression
    if isinstance(name, Constant) and isinstance(name.value, (str, int)):
        b.finish(name)
        if isinstance(name.value, str):
            zone = find_zone(name.value, position)
        else:
            from zerodb_compiler.intervals import unpack

            zone = fixed_zone(unpack(name.value)[2] // 1_000_000)
    elif b.type_of(name).is_text or b.type_of(name).id is TypeId.NULL:
        zone = b.call("zone_table", (b.text(name, node),), BYTEA, node)
    else:
        raise unsupported("a time zone that is an interval and not constant", node)
    type_ = b.type_of(value)
    if type_.id is TypeId.TIMESTAMP:
        return to_moment(b.cast(value, TIMESTAMP, node), position, zone)
    if type_.id not in (TypeId.TIMESTAMPTZ, TypeId.DATE, TypeId.NULL):
        raise no_function("pg_catalog.timezone", [TEXT, type_], node)
    return to_local(b.cast(value, TIMESTAMPTZ, node), position, zone)


# --- now --------------------------------------------------------------------------------------------------------------
_CURRENT: dict[type[exp.Expr], SqlType] = {
    exp.CurrentDate: DATE,
    exp.CurrentTimestamp: TIMESTAMPTZ,
    exp.Localtime: TIME,
    exp.Localtimestamp: TIMESTAMP,
}
_MOMENTS = {
    "now": "transaction",
    "transaction_timestamp": "transaction",
    "statement_timestamp": "statement",
    "clock_timestamp": "clock",
}


@handles(*_CURRENT)
def _current(b: ExpressionBinder, node: exp.Expr) -> Bound:
    only(node, "this")
    type_ = _CURRENT[type(node)]
    digits = node.args.get("this")
    value = cast_expression(b.binder.context.moment("transaction"), type_, position_of(node))
    if digits is None:
        return value
    if not isinstance(digits, exp.Literal) or not str(digits.this).isdigit():
        raise unsupported("this precision", node)
    places = int(str(digits.this))
    return value if places >= 6 else Cast(value, SqlType(type_.id, precision=places + 1), None)


@handles(exp.CurrentTime)
def _current_time(b: ExpressionBinder, node: exp.CurrentTime) -> Bound:
    raise unsupported("type time with time zone (current_time)", node)


@special(*_MOMENTS)
def _now(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if values:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return b.binder.context.moment(_MOMENTS[name])


@special("timeofday")
def _timeofday(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    raise unsupported("timeofday()", node)


# --- OVERLAPS ---------------------------------------------------------------------------------------------------------
@handles(exp.Overlaps)
def _overlaps(b: ExpressionBinder, node: exp.Overlaps) -> Bound:
    """(s1, e1) OVERLAPS (s2, e2): whether the half-open periods share a moment; an end may be a length."""
    only(node, "this", "expression")
    sides = []
    for part in (node.this, node.expression):
        if not isinstance(part, exp.Tuple) or len(part.expressions) != 2:
            raise unsupported("OVERLAPS of anything but two pairs", node)
        sides.append(_period(b, part, node))
    (s1, e1), (s2, e2) = sides

    def later(x: Bound, y: Bound) -> Expression:
        return compare(b, "gt", ">", x, y, node)

    def known(s: Expression, e: Expression) -> Expression:
        return compare(b, "le", "<=", s, e, node)

    # With s <= e: periods that begin together overlap; else the one that begins later begins before the other's end.
    # An end that is NULL is asked for last, as PostgreSQL does.
    first = b.call("or", (later(e2, s1), b.call("not", (known(s1, e1),), BOOLEAN)), BOOLEAN)
    second = b.call("or", (later(e1, s2), b.call("not", (known(s2, e2),), BOOLEAN)), BOOLEAN)
    same = b.call("and", (known(s1, e1), known(s2, e2)), BOOLEAN)
    branches = ((later(s1, s2), first), (later(s2, s1), second), (compare(b, "eq", "=", s1, s2, node), same))
    return Case(branches, Literal(None, BOOLEAN), BOOLEAN, True)


def _period(b: ExpressionBinder, part: exp.Tuple, node: exp.Expr) -> tuple[Expression, Expression]:
    start, end = (b.bound(item) for item in part.expressions)
    first, second = b.type_of(start), b.type_of(end)
    if first.id is TypeId.NULL:
        first = second if second.id is not TypeId.INTERVAL else TIMESTAMPTZ
    if second.id is TypeId.NULL:
        second = first
    common = None if second.id is TypeId.INTERVAL else coercion.common_type(first, second)
    if second.id is not TypeId.INTERVAL and common is None:
        raise no_function("pg_catalog.overlaps", [first, second], node)
    if common is None:
        if first.id is TypeId.TIME:
            raise unsupported("OVERLAPS of times and lengths", node)
        common = TIMESTAMP if first.id is TypeId.DATE else coercion.bare(first)
        begin = b.cast(start, common, node)
        finish = move(b, begin, b.cast(end, INTERVAL, node), node)
    else:
        begin, finish = b.cast(start, common, node), b.cast(end, common, node)
    low: Call = b.call("least", (begin, finish), common, node)
    high: Call = b.call("greatest", (begin, finish), common, node)
    if not (begin.nullable or finish.nullable):
        return low, high
    absent = b.call("or", (b.call("is_null", (begin,), BOOLEAN), b.call("is_null", (finish,), BOOLEAN)), BOOLEAN)
    return low, Case(((absent, Literal(None, common)),), high, common, True)
