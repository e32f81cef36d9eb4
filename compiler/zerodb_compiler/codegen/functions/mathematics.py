"""Mathematical functions beyond those of numbers.py: trigonometry, roots, bits, buckets, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.arithmetic import raise_if
from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, as_i64, run
from zerodb_compiler.codegen.sqlvalues import Int, Real, SqlValue, Wide
from zerodb_compiler.kernels import errors, integers, trigonometry
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, select

Values = tuple[SqlValue, ...]

_FAILURES: dict[int, Error] = {
    errors.INVALID_TEXT: ("22003", "input is out of range"),
    errors.OVERFLOW: ("22003", "value out of range: overflow"),
}
_OF_ANGLES: dict[str, Callable[..., Any]] = {
    name: getattr(trigonometry, name)
    for name in (
        *("sin", "cos", "tan", "cot", "asin", "acos", "atan", "atan2"),
        *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        *("sind", "cosd", "tand", "cotd", "asind", "acosd", "atand", "atan2d"),
    )
}


def _double(value: SqlValue) -> F64:
    assert isinstance(value, Real)
    return value.value


@function(*_OF_ANGLES)
def _of_angles(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    numbers = [_double(argument) for argument in arguments]
    kernel = _OF_ANGLES[call.function]
    (result,) = run(e, null, kernel, *numbers, failures=_FAILURES, position=call.position)
    return Real(result, False, null)


@function("cbrt")
def _cube_root(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (result,) = run(e, null, trigonometry.cbrt, _double(arguments[0]))
    return Real(result, False, null)


@function("degrees", "radians")
def _degrees(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (a,) = arguments
    assert isinstance(a, Real)
    factor = Real(F64.const(trigonometry.RADIANS_PER_DEGREE), False)
    operation = "div" if call.function == "degrees" else "mul"
    return arithmetic.float_operation(e, operation, a, factor, null, call.position)


@function("gcd", "lcm")
def _gcd(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = e.keep(as_i64(arguments[0])), e.keep(as_i64(arguments[1]))
    (divisor,) = run(e, null, integers.gcd, a, b)
    error = arithmetic.out_of_range(call.type)
    low, high = call.type.bounds
    if call.function == "gcd":
        # Unsigned: of the least number and 0 it is one too many.
        raise_if(e, (divisor < 0) | (divisor > I64.const(high)), null, error, call.position)
        return Int(divisor, 0, high, null)
    nonzero = select(divisor.is_zero(), I64.const(1), divisor)
    first = Int(a.divide_s(nonzero), low, high, null)
    product = arithmetic.multiply(e, first, Int(b, low, high, null), null, call.type, call.position)
    assert isinstance(product, Int | Wide)
    return arithmetic.absolute(e, e.keep_value(product), null, call.type, call.position)


@function("factorial")
def _factorial(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    failures: dict[int, Error] = {
        errors.DOMAIN: ("22003", "factorial of a negative number is undefined"),
        errors.OVERFLOW: ("22003", "value overflows numeric format"),
    }
    value = as_i64(arguments[0])
    low, high = run(e, null, integers.factorial, value, failures=failures, position=call.position)
    return Wide(low, high, 0, 10**37 - 1, null)


_BUCKETS: dict[int, Error] = {
    errors.INVALID_COUNT: ("2201G", "count must be greater than zero"),
    errors.INVALID_TEXT: ("2201G", "operand, lower bound, and upper bound cannot be NaN"),
    errors.WRONG_TEXT: ("2201G", "lower and upper bounds must be finite"),
    errors.DOMAIN: ("2201G", "lower bound cannot equal upper bound"),
    errors.OVERFLOW: ("22003", "integer out of range"),
}


@function("width_bucket")
def _bucket(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    count = as_i64(arguments[3])
    if isinstance(arguments[0], Real):
        numbers = [_double(argument) for argument in arguments[:3]]
        (place,) = run(e, null, integers.bucket, *numbers, count, failures=_BUCKETS, position=call.position)
    else:
        parts: list[I64] = []
        for argument in arguments[:3]:
            assert isinstance(argument, Int | Wide)
            wide = e.keep_value(to_wide(argument))
            parts += (wide.value, wide.upper)
        (place,) = run(e, null, integers.exact_bucket, *parts, count, failures=_BUCKETS, position=call.position)
    return arithmetic.bounded(e, Int(place, 0, 1 << 32, null), call.type, call.position)


# --- bits -------------------------------------------------------------------------------------------------------------
_BITS = {TypeId.SMALLINT: 16, TypeId.INTEGER: 32, TypeId.BIGINT: 64}


@function("bit_and_op", "bit_or_op", "bit_xor_op", "bit_not_op")
def _bits(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    numbers = [as_i64(argument) for argument in arguments]
    low, high = call.type.bounds
    match call.function:
        case "bit_and_op":
            return Int(numbers[0] & numbers[1], low, high, null)
        case "bit_or_op":
            return Int(numbers[0] | numbers[1], low, high, null)
        case "bit_xor_op":
            return Int(numbers[0] ^ numbers[1], low, high, null)
    return Int(numbers[0] ^ I64.const(-1), low, high, null)


@function("shift_left", "shift_right")
def _shift(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """Distances count modulo the bits of the type, as the machines that PostgreSQL runs on do."""
    value, bits = as_i64(arguments[0]), _BITS[call.type.id]
    distance = as_i64(arguments[1]) & (63 if bits == 64 else 31)
    low, high = call.type.bounds
    if call.function == "shift_right":
        return Int(value >> distance, low, high, null)
    result = e.f.call(e.context.kernel(integers.wrapped), value << distance, I64.const(bits))
    return Int(result, low, high, null)


# --- random numbers ---------------------------------------------------------------------------------------------------
@function("random")
def _random(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """The argument only tells one call from another."""
    field = e.worker + e.context.worker.reserve(16)
    return Real(e.f.let(e.f.call(e.context.kernel(integers.random_double), e.worker, field), "random"), False)


@function("sample_number")
def _sample_number(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """Of a row's id and a seed (TABLESAMPLE)."""
    del call, null
    row, seed = (as_i64(argument) for argument in arguments)
    return Real(e.f.let(e.f.call(e.context.kernel(integers.sample_double), row, seed), "sample"), False)


@function("gen_random_uuid")
def _uuid(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """Version 4 of RFC 9562; the canonical number has its highest bit flipped."""
    field = e.worker + e.context.worker.reserve(16)
    kernel = e.context.kernel(integers.random_bits)
    high = e.f.let(e.f.call(kernel, e.worker, field), "high")
    low = e.f.let(e.f.call(kernel, e.worker, field), "low")
    high = e.keep(((high & ~0xF000) | 0x4000) ^ I64.const(-(1 << 63)))
    low = e.keep((low & ((1 << 62) - 1)) | I64.const(-(1 << 63)))
    least, greatest = call.type.bounds
    return Wide(low, high, least, greatest)
