"""Casts between SQL types in generated code; the rules are in sql/functions.py's docstring."""

from __future__ import annotations

from collections.abc import Callable

from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.functions.calling import run
from zerodb_compiler.codegen.sqlvalues import Bool, Int, Real, SqlValue, Wide
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.kernels import dates, errors, float_decimals, intervals, moments
from zerodb_compiler.types import MAX_PRECISION, SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, convert

_MICROSECONDS_PER_DAY = 86_400_000_000
# What a double holds exactly: all integers up to this, and all powers of ten up to this exponent.
_EXACT_IN_DOUBLE = 1 << 53
_EXACT_POWER = 22


def cast(e: Emitter, value: SqlValue, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    """`value` of type `source` as `target`; raises 22003 and the like from generated code."""
    if source == target:
        return value
    if source.id is TypeId.NULL:
        from zerodb_compiler.codegen.expressions import null_of

        return null_of(target)
    if TypeId.ARRAY in (source.id, target.id):
        from zerodb_compiler.codegen.functions import arrays

        return arrays.cast_array(e, value, source, target, position)
    if TypeId.STRUCT in (source.id, target.id):
        from zerodb_compiler.codegen.functions import records

        return records.cast_record(e, value, source, target, position)
    if TypeId.RANGE in (source.id, target.id):
        from zerodb_compiler.codegen.functions import ranges

        return ranges.cast_range(e, value, source, target, position)
    if source.is_text or target.is_text:
        from zerodb_compiler.codegen.functions import text_casts

        if source.is_text and target.is_text:
            return text_casts.to_length(e, value, target, position)
        if source.is_text:
            return text_casts.parse(e, value, target, position)
        return text_casts.format_value(e, value, source, target, position)
    if source.id in _MOMENTS or target.id in _MOMENTS:
        return _moment(e, value, source, target, position)
    if source.is_blob or target.is_blob:
        caster = BLOB_CASTS.get((source.id, target.id))
        if caster is None:
            raise NotSupportedError(f"casting {source} to {target} is not supported", position=position)
        return caster(e, value, source, target, position)
    match value:
        case Int() | Wide():
            return _from_exact(e, value, source, target, position)
        case Real():
            return _from_real(e, value, target, position)
        case Bool():
            number = Int(value.value.to_i64_u(), 0, 1, value.null)
            return number if target.is_integer else _from_exact(e, number, source, target, position)
        case _:
            raise AssertionError(f"cast from {source} to {target}")


_MOMENTS = frozenset({TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME, TypeId.INTERVAL})
# Casts between types of bytes with a structure, entered by their own modules.
BLOB_CASTS: dict[tuple[TypeId, TypeId], Callable[[Emitter, SqlValue, SqlType, SqlType, int | None], SqlValue]] = {}


def _moment(e: Emitter, value: SqlValue, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    """Among dates, times, timestamps and intervals; those that need a time zone are calls (sql/binder_casts.py)."""
    match source.id, target.id:
        case (TypeId.INTERVAL, TypeId.INTERVAL):
            assert isinstance(value, Int | Wide)
            return _restricted_interval(e, value, target)
        case (TypeId.INTERVAL, TypeId.TIME):
            assert isinstance(value, Int | Wide)
            (time,) = run(e, value.null, intervals.interval_time, to_wide(value).value)
            return _rounded(e, Int(time, *target.bounds, value.null), target)
        case (TypeId.TIME, TypeId.INTERVAL):
            assert isinstance(value, Int)
            return Wide(value.value, I64.const(0), arithmetic.I128_LOW, arithmetic.I128_HIGH, value.null)
    assert isinstance(value, Int), f"cast from {source} to {target}"
    finite = value.low > source.bounds[0] and value.high < source.bounds[1]
    match source.id, target.id:
        case (TypeId.DATE, TypeId.TIMESTAMP) if not finite:
            failures = {errors.OVERFLOW: ("22008", "date out of range for timestamp")}
            (moment,) = run(e, value.null, moments.timestamp_of_date, value.value, failures=failures, position=position)
            return Int(moment, *target.bounds, value.null)
        case (TypeId.DATE, TypeId.TIMESTAMP):
            return _from_exact(e, value, source, target, position)
        case (TypeId.TIMESTAMP, TypeId.DATE) if not finite:
            (days,) = run(e, value.null, moments.date_of_timestamp, value.value)
            return Int(days, *target.bounds, value.null)
        case (TypeId.TIMESTAMP, TypeId.DATE):
            return _from_exact(e, value, source, target, position)
        case (TypeId.TIMESTAMP, TypeId.TIME):
            null = value.null
            if not finite:  # of an infinity there is no time of day
                infinite = e.f.call(e.context.kernel(intervals.is_infinite_moment), value.value)
                null = e.keep(infinite if null is None else null | infinite)
            (time,) = run(e, null, dates.timestamp_time, value.value)
            return _rounded(e, Int(time, *target.bounds, null), target)
    assert source.id is target.id, f"cast from {source} to {target}"
    return _rounded(e, value, target)


def _rounded(e: Emitter, value: Int, target: SqlType) -> Int:
    """With no more fractional digits than the type has."""
    from zerodb_compiler.codegen.functions.text_casts import rounded

    return rounded(e, value, target)


def _restricted_interval(e: Emitter, value: Int | Wide, target: SqlType) -> SqlValue:
    """An interval as interval(p) or interval year to month keeps it."""
    from zerodb_compiler.sql.values import interval_fields

    wide = e.keep_value(to_wide(value))
    low, high = wide.value, wide.upper
    last = interval_fields(target)[-1:]
    if last in (("year",), ("month",)):
        months = high >> 32
        if last == ("year",):
            months = months - months.remainder_s(I64.const(12))
        low, high = I64.const(0), months << 32
    elif last == ("day",):
        low = I64.const(0)
    elif last in (("hour",), ("minute",)):
        unit = I64.const(3_600_000_000 if last == ("hour",) else 60_000_000)
        low = low - low.remainder_s(unit)
    elif target.precision:
        low = e.f.call(e.context.kernel(moments.round_micros), low, I64.const(10 ** (7 - target.precision)))
    return Wide(low, high, arithmetic.I128_LOW, arithmetic.I128_HIGH, value.null)


def _scale(type_: SqlType) -> int:
    return type_.scale if type_.id is TypeId.NUMERIC else 0


def _from_exact(e: Emitter, value: Int | Wide, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    if target.is_float:
        return _to_real(e, value, source, target)
    if target.id is TypeId.BOOLEAN:
        truth = (value.value | value.upper if isinstance(value, Wide) else value.value) != 0
        return Bool(truth if value.null is None else truth & value.null.is_zero(), value.null)
    if source.id is TypeId.DATE and target.id is TypeId.TIMESTAMP:
        return arithmetic.multiply(
            e, value, arithmetic.exact_constant(_MICROSECONDS_PER_DAY), value.null, target, position
        )
    if source.id is TypeId.TIMESTAMP and target.id is TypeId.DATE:
        assert isinstance(value, Int)
        kept = e.keep(value.value)
        day = I64.const(_MICROSECONDS_PER_DAY)
        # Floor division: the remainder of a time before 1970 is negative.
        days = kept.divide_s(day) - (kept.remainder_s(day) < 0).to_i64_u()
        low, high = (bound // _MICROSECONDS_PER_DAY for bound in (value.low, value.high))
        return arithmetic.bounded(e, Int(days, low, high, value.null), target, position)
    digits = _scale(target) - _scale(source)
    if digits > 0:
        return arithmetic.rescale_up(e, value, digits, target, position)
    if digits < 0:
        return arithmetic.rescale_down(e, value, -digits, "half", target, position)
    return arithmetic.bounded(e, value, target, position)


def _to_real(e: Emitter, value: Int | Wide, source: SqlType, target: SqlType) -> SqlValue:
    scale, single = _scale(source), target.id is TypeId.REAL
    exact = max(abs(value.low), abs(value.high)) <= _EXACT_IN_DOUBLE and scale <= _EXACT_POWER
    if isinstance(value, Int) and not single and (exact or not scale):
        # One rounding: of the conversion, or of the quotient of two numbers that a double holds exactly.
        number = value.value.to_f64()
        return Real(number / float(10**scale) if scale else number, False, value.null)
    if isinstance(value, Int) and scale == 0:
        return Real(convert("f32.convert_i64_s", value.value).to_f64(), True, value.null)
    kernel = float_decimals.decimal_to_f32 if single else float_decimals.decimal_to_f64
    wide = e.keep_value(to_wide(value))
    assert isinstance(wide, Wide)
    number = e.f.call(e.context.kernel(kernel), wide.value, wide.upper, I32.const(scale))
    return Real(number, single, value.null)


def _from_real(e: Emitter, value: Real, target: SqlType, position: int | None) -> SqlValue:
    if target.is_float:
        single = target.id is TypeId.REAL
        if single and not value.single:
            kept = e.keep(value.value)
            result = arithmetic.float_result(e, kept, (kept,), True, value.null, position)
            vanished = (result.value == F64.const(0.0)) & (kept != F64.const(0.0))
            arithmetic.raise_if(e, vanished, value.null, ("22003", "value out of range: underflow"), position)
            return result
        return Real(value.value, single, value.null)
    if target.id is not TypeId.NUMERIC:
        return arithmetic.float_to_exact(e, value, target, position)
    kernel = float_decimals.f32_to_decimal if value.single else float_decimals.f64_to_decimal
    null = e.keep(value.null)
    failures = {errors.OVERFLOW: arithmetic.out_of_range(target)}
    low, high = run(
        e, null, kernel, value.value, I32.const(target.scale), failures=failures, position=position
    )  # fmt: skip
    largest = 10**MAX_PRECISION - 1
    return arithmetic.bounded(e, Wide(low, high, -largest, largest, null), target, position)
