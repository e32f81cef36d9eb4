"""Functions of times, timestamps with and without time zone, and intervals: one kernel each (kernels/intervals.py,
kernels/moments.py), called alike. An interval argument is two words, a zone table (a bytea) its address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zerodb_compiler import derived
from zerodb_compiler.codegen.arithmetic import I128_HIGH, I128_LOW
from zerodb_compiler.codegen.comparison import to_text, to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, build_text, run
from zerodb_compiler.codegen.functions.dates import refuse_infinite
from zerodb_compiler.codegen.functions.regex import program_of
from zerodb_compiler.codegen.sqlvalues import Bool, Int, Real, SqlValue, Text, Wide
from zerodb_compiler.kernels import dates, errors, intervals, moment_text, moments
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import I32, I64, Value

Values = tuple[SqlValue, ...]
Failures = Mapping[int, Error]

_INTERVAL: Failures = {errors.OVERFLOW: ("22008", "interval out of range")}
_TIMESTAMP: Failures = {errors.OVERFLOW: ("22008", "timestamp out of range")}
_DATE: Failures = {errors.OVERFLOW: ("22008", "date out of range")}
_DIFFERENCE: Failures = {
    errors.INVALID_COUNT: ("22008", "cannot subtract infinite timestamps"),
    errors.OVERFLOW: ("22008", "interval out of range"),
}
_BIN: Failures = {
    errors.INVALID_TEXT: ("0A000", "timestamps cannot be binned into intervals containing months or years"),
    errors.INVALID_COUNT: ("22008", "stride must be greater than zero"),
    errors.OVERFLOW: ("22008", "timestamp out of range"),
}
_MAKE_TIME: Failures = {errors.INVALID_COUNT: ("22008", "time field value out of range")}
_MAKE_DATE: Failures = {errors.INVALID_COUNT: ("22008", "date field value out of range")}

# name -> kernel, and its errors (None: it cannot fail)
_KERNELS: dict[str, tuple[Callable[..., Any], Failures | None]] = {
    "interval_add": (intervals.interval_add, _INTERVAL),
    "interval_sub": (intervals.interval_subtract, _INTERVAL),
    "interval_of_parts": (intervals.interval_made, _INTERVAL),
    "interval_neg": (intervals.interval_negate, _INTERVAL),
    "interval_justify_hours": (intervals.justify_hours, _INTERVAL),
    "interval_justify_days": (intervals.justify_days, _INTERVAL),
    "interval_justify_interval": (intervals.justify_interval, _INTERVAL),
    "interval_make": (intervals.make_interval, _INTERVAL),
    "interval_truncate": (intervals.interval_truncate, None),
    "interval_epoch": (intervals.interval_epoch, None),
    "timestamp_add_interval": (intervals.timestamp_add_interval, _TIMESTAMP),
    "timestamp_difference": (intervals.timestamp_difference, _DIFFERENCE),
    "timestamp_age": (intervals.age, _DIFFERENCE),
    "timestamp_bin": (intervals.date_bin, _BIN),
    "timestamptz_add_interval": (moments.timestamptz_add_interval, _TIMESTAMP),
    "timestamptz_of_local": (moments.timestamptz_of_local, _TIMESTAMP),
    "local_of_timestamptz": (moments.local_of_timestamptz, None),
    "zone_offset": (moments.zone_offset, None),
    "time_add_interval": (intervals.time_add_interval, None),
    "timestamp_round": (moments.round_micros, None),
    "timestamp_date": (moments.date_of_timestamp, None),
    "timestamp_of_date": (moments.timestamp_of_date, _DATE),
    "timestamp_time": (dates.timestamp_time, None),
    "extract_century": (moments.extract_century, None),
    "extract_millennium": (moments.extract_millennium, None),
    "extract_decade": (moments.extract_decade, None),
    "extract_isoyear": (moments.extract_isoyear, None),
    "date_trunc_years": (moments.date_trunc_years, None),
    "date_trunc_micros": (moments.date_trunc_micros, None),
    "make_date": (moments.make_date, _MAKE_DATE),
    "make_time": (moments.make_time, _MAKE_TIME),
    "timestamptz_of_seconds": (moments.timestamptz_of_seconds, _TIMESTAMP),
}

_OF_YEARS = frozenset({"extract_century", "extract_millennium", "extract_decade", "extract_isoyear"})


def _words(e: Emitter, value: SqlValue, type_: SqlType) -> list[Value]:
    """What a kernel gets for an argument."""
    match value:
        case Int() | Wide() if type_.id is TypeId.INTERVAL:
            wide = to_wide(value)
            return [wide.value, wide.upper]
        case Int(value=number):
            return [number]
        case Real(value=real):
            return [real]
        case Bool(value=truth):
            return [truth]
        case Wide():
            raise AssertionError(f"a wide argument of type {type_}")
    text = to_text(e, value)
    return [text.address] if type_.id is TypeId.BYTEA else [text.address, text.length]


@function(*_KERNELS)
def _call_kernel(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    kernel, failures = _KERNELS[call.function]
    if call.function in _OF_YEARS:
        assert isinstance(arguments[0], Int)
        refuse_infinite(e, call, arguments[0], null)
    words: list[Value] = []
    for argument, expression in zip(arguments, call.arguments, strict=True):
        words += _words(e, argument, expression.type)
    results = run(e, null, kernel, *words, failures=failures, position=call.position)
    if len(results) == 2:
        return Wide(results[0], results[1], I128_LOW, I128_HIGH, null)
    return Int(results[0], *call.type.bounds, null)


@function("interval_mul", "interval_div")
def _scale(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value, factor = arguments
    assert isinstance(value, Int | Wide)
    assert isinstance(factor, Real)
    wide = to_wide(value)
    divide = call.function == "interval_div"
    number = e.keep(factor.value)
    if divide:
        from zerodb_compiler.codegen.arithmetic import raise_if

        raise_if(e, number == 0.0, null, ("22012", "division by zero"), call.position)
    low, high = run(
        e, null, intervals.interval_scale, wide.value, wide.upper, number, I32.const(int(divide)),
        failures=_INTERVAL, position=call.position,
    )  # fmt: skip
    return Wide(low, high, I128_LOW, I128_HIGH, null)


@function("interval_of_time")
def _interval_of_time(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """Microseconds are the low word of an interval."""
    (value,) = arguments
    assert isinstance(value, Int)
    return Wide(value.value, I64.const(0), I128_LOW, I128_HIGH, null)


@function("interval_months", "interval_days", "interval_micros")
def _interval_part(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    assert isinstance(arguments[0], Int | Wide)
    value = to_wide(arguments[0])
    match call.function:
        case "interval_months":
            return Int(value.upper >> 32, -(1 << 31), (1 << 31) - 1, null)
        case "interval_days":
            return Int((value.upper << 32) >> 32, -(1 << 31), (1 << 31) - 1, null)
    return Int(value.value, -(1 << 63), (1 << 63) - 1, null)


@function("extract_scaled")
def _extract_scaled(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """Microseconds, which are seconds, milliseconds or themselves by the scale of the result's type."""
    (value,) = arguments
    assert isinstance(value, Int)
    return Int(value.value, -60_000_000, 60_000_000, null)


@function("moment_is_finite")
def _is_finite(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (value,) = arguments
    assert isinstance(value, Int)
    least, greatest = call.arguments[0].type.bounds
    number = e.keep(value.value)
    finite = (number != least) & (number != greatest)
    return Bool(finite if null is None else finite & null.is_zero(), null)


@function("zone_table")
def _zone_table(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """The table of the zone of a name that is not constant, made by the host."""
    address = program_of(e, call, derived.ZONE << 8, 0, arguments, null)
    return Text(address, I32.const(8), null)


@function("format_timestamptz")
def _format_timestamptz(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    moment, table = arguments
    assert isinstance(moment, Int)
    return build_text(e, null, moment_text.format_moment, moment.value, to_text(e, table).address)
