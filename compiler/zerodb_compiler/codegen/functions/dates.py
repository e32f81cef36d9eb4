"""Functions of dates and timestamps.

The bounds of the arguments give the bounds of the results: the years of a column of 1992 to 1998 are known to be so
few that grouping by them needs no hash table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.arithmetic import raise_if
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import run
from zerodb_compiler.codegen.sqlvalues import I64_LOW, Int, SqlValue
from zerodb_compiler.kernels import dates, errors, intervals
from zerodb_compiler.sql.calendar import civil_from_days
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import DATE, SqlType, TypeId
from zerodb_compiler.wasm.values import I32, I64, select

Values = tuple[SqlValue, ...]

_SECONDS_PER_DAY = 86_400
_MICROS_PER_DAY = 86_400_000_000


def _as_int(value: SqlValue) -> Int:
    assert isinstance(value, Int)
    return value


# --- parts ------------------------------------------------------------------------------------------------------------
_OF_DAYS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "extract_month": (dates.extract_month, 1, 12),
    "extract_day": (dates.extract_day, 1, 31),
    "extract_quarter": (dates.extract_quarter, 1, 4),
    "extract_dow": (dates.extract_dow, 0, 6),
    "extract_isodow": (dates.extract_isodow, 1, 7),
    "extract_doy": (dates.extract_doy, 1, 366),
    "extract_week": (dates.extract_week, 1, 53),
}
_OF_TIME: dict[str, tuple[Callable[..., Any], int, int]] = {
    "extract_hour": (dates.extract_hour, 0, 23),
    "extract_minute": (dates.extract_minute, 0, 59),
    "extract_second": (dates.extract_second, 0, 59_999_999),
}


def _days(e: Emitter, call: Call, value: Int) -> Int:
    """The date of the first argument, a date or a timestamp."""
    if call.arguments[0].type.id is TypeId.DATE:
        return value
    days = e.f.call(e.context.kernel(dates.timestamp_days), value.value)
    return Int(days, value.low // _MICROS_PER_DAY, value.high // _MICROS_PER_DAY, value.null)


def is_infinite(e: Emitter, value: Int, type_: SqlType) -> I32 | None:
    """Whether it is an infinity; None where the bounds say that it is none."""
    if _is_finite(value, type_):
        return None
    low, high = type_.bounds
    return e.keep((value.value == I64.const(low)) | (value.value == I64.const(high)))


def _null_where_infinite(e: Emitter, call: Call, value: Int, null: I32 | None) -> I32 | None:
    """Infinities have no month, no day and no hour."""
    infinite = None if call.arguments[0].type.id is TypeId.TIME else is_infinite(e, value, call.arguments[0].type)
    if infinite is None:
        return null
    return infinite if null is None else e.keep(null | infinite)


def refuse_infinite(e: Emitter, call: Call, value: Int, null: I32 | None) -> None:
    """Their year and epoch are infinite, which numeric is not here."""
    infinite = is_infinite(e, value, call.arguments[0].type)
    if infinite is not None:
        what = call.arguments[0].type.id.value
        error = ("0A000", f"EXTRACT of an infinite {what} is not supported (numeric has no infinity)")
        raise_if(e, infinite, null, error, call.position)


def _year(days: int) -> int:
    """As extract(year): there is no year 0."""
    year = civil_from_days(days)[0]
    return year if year > 0 else year - 1


@function("extract_year")
def _extract_year(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    refuse_infinite(e, call, _as_int(arguments[0]), null)
    days = _days(e, call, _as_int(arguments[0]))
    year = e.f.call(e.context.kernel(dates.extract_year), days.value)
    return Int(year, _year(days.low), _year(days.high), null)


@function(*_OF_DAYS)
def _extract_of_days(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    kernel, low, high = _OF_DAYS[call.function]
    value = _as_int(arguments[0])
    null = _null_where_infinite(e, call, value, null)
    days = _days(e, call, value)
    return Int(e.f.call(e.context.kernel(kernel), days.value), low, high, null)


@function(*_OF_TIME)
def _extract_of_time(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    kernel, low, high = _OF_TIME[call.function]
    value = _as_int(arguments[0])
    null = _null_where_infinite(e, call, value, null)
    if call.function == "extract_hour" and call.arguments[0].type.id is TypeId.TIME:
        return Int(value.value.divide_s(I64.const(3_600_000_000)), 0, 24, null)  # there is 24:00
    return Int(e.f.call(e.context.kernel(kernel), value.value), low, high, null)


@function("extract_epoch")
def _extract_epoch(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """Seconds: of a date a whole number; those of a timestamp have six decimals, its microseconds."""
    value = _as_int(arguments[0])
    if call.arguments[0].type.id is not TypeId.TIME:
        refuse_infinite(e, call, value, null)
    if call.arguments[0].type.id is not TypeId.DATE:
        return Int(value.value, value.low, value.high, null)
    return arithmetic.multiply(e, value, arithmetic.exact_constant(_SECONDS_PER_DAY), null, call.type, call.position)


# --- truncation -------------------------------------------------------------------------------------------------------
# The unit's longest span in days.
_TRUNCATIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "date_trunc_year": (dates.date_trunc_year, 366),
    "date_trunc_quarter": (dates.date_trunc_quarter, 92),
    "date_trunc_month": (dates.date_trunc_month, 31),
    "date_trunc_week": (dates.date_trunc_week, 7),
    "date_trunc_day": (dates.date_trunc_day, 1),
    "date_trunc_hour": (dates.date_trunc_hour, 1),
    "date_trunc_minute": (dates.date_trunc_minute, 1),
    "date_trunc_second": (dates.date_trunc_second, 1),
}


@function(*_TRUNCATIONS)
def _truncate(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    kernel, span = _TRUNCATIONS[call.function]
    value = _as_int(arguments[0])
    result: I64 = e.f.call(e.context.kernel(kernel), value.value)
    if not _is_finite(value, call.type):
        infinite = e.f.call(e.context.kernel(intervals.is_infinite_moment), value.value)
        return Int(select(infinite, value.value, result), *call.type.bounds, null)
    low = value.low - span * _MICROS_PER_DAY
    if low < I64_LOW:
        # The start of the unit may be before the first timestamp: it has wrapped.
        result = e.keep(result)
        raise_if(e, result > value.value, null, arithmetic.out_of_range(call.type), call.position)
    return Int(result, max(low, I64_LOW), value.high, null)


# --- arithmetic -------------------------------------------------------------------------------------------------------
@function("date_add_days", "timestamp_add_micros")
def _add(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (_as_int(argument) for argument in arguments)
    if not _is_finite(a, call.type):
        kernel = intervals.date_add_days if call.function == "date_add_days" else intervals.moment_add_time
        failures = {errors.OVERFLOW: arithmetic.out_of_range(call.type)}
        (result,) = run(e, null, kernel, a.value, b.value, failures=failures, position=call.position)
        return Int(result, *call.type.bounds, null)
    return arithmetic.add(e, a, b, null, call.type, call.position)


def _is_finite(value: Int, type_: SqlType) -> bool:
    """Whether the bounds say that the value is no infinity."""
    return value.low > type_.bounds[0] and value.high < type_.bounds[1]


@function("date_sub")
def _subtract(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (_as_int(argument) for argument in arguments)
    if not (_is_finite(a, DATE) and _is_finite(b, DATE)):
        failures = {
            errors.INVALID_COUNT: ("22008", "cannot subtract infinite dates"),
            errors.OVERFLOW: arithmetic.out_of_range(call.type),
        }
        (result,) = run(e, null, intervals.date_difference, a.value, b.value, failures=failures, position=call.position)
        return Int(result, *call.type.bounds, null)
    return arithmetic.subtract(e, a, b, null, call.type, call.position)


@function("date_add_months")
def _add_months(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value, months = (_as_int(argument) for argument in arguments)
    is_date = call.type.id is TypeId.DATE
    kernel = dates.date_add_months if is_date else dates.timestamp_add_months
    failures = {errors.OVERFLOW: arithmetic.out_of_range(call.type)}
    if not is_date and not _is_finite(value, call.type):
        (result,) = run(
            e, null, intervals.moment_add_months, value.value, months.value, failures=failures, position=call.position
        )
        return Int(result, *call.type.bounds, null)
    (result,) = run(e, null, kernel, value.value, months.value, failures=failures, position=call.position)
    low, high = _moved_bounds(value, months, call.type)
    if null is not None:
        low, high = min(low, 0), max(high, 0)
    return Int(result, low, high, null)


def _moved_bounds(value: Int, months: Int, type_: SqlType) -> tuple[int, int]:
    """Every month has 28 to 31 days, and at most 3 are lost to the end of a short month."""
    unit = 1 if type_.id is TypeId.DATE else _MICROS_PER_DAY
    steps = [days * amount for days in (28, 31) for amount in (months.low, months.high)]
    low, high = value.low + (min(steps) - 3) * unit, value.high + max(steps) * unit
    least, greatest = type_.bounds
    # A range wholly beyond the type is an error for every row; the bounds then only have to be consistent.
    return min(max(low, least), greatest), max(min(high, greatest), least)
