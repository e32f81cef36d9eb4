"""Casts between SQL types in generated code; the rules are in sql/functions.py's docstring."""

from __future__ import annotations

from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.functions.calling import run
from zerodb_compiler.codegen.sqlvalues import Bool, Int, Real, SqlValue, Wide
from zerodb_compiler.kernels import errors, float_decimals
from zerodb_compiler.types import MAX_PRECISION, SqlType, TypeId
from zerodb_compiler.wasm.values import I32, I64, convert

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
    if source.is_text or target.is_text:
        from zerodb_compiler.codegen.functions import text_casts

        if source.is_text and target.is_text:
            return text_casts.to_length(e, value, target, position)
        if source.is_text:
            return text_casts.parse(e, value, target, position)
        return text_casts.format_value(e, value, source, target, position)
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
            return arithmetic.float_result(e, kept, (kept,), True, value.null, position)
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
