"""Arithmetic operators and numeric functions."""

from __future__ import annotations

from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.arithmetic import raise_if
from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import run
from zerodb_compiler.codegen.sqlvalues import Int, Real, SqlValue, Wide
from zerodb_compiler.kernels import errors, floats, roots
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, select

Values = tuple[SqlValue, ...]


@function("add", "sub", "mul")
def _binary(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = arguments
    if isinstance(a, Real) and isinstance(b, Real):
        return arithmetic.float_operation(e, call.function, a, b, null, call.position)
    assert isinstance(a, Int | Wide) and isinstance(b, Int | Wide)
    operation = {"add": arithmetic.add, "sub": arithmetic.subtract, "mul": arithmetic.multiply}[call.function]
    return operation(e, a, b, null, call.type, call.position)


def _scale(type_: SqlType) -> int:
    return type_.scale if type_.id is TypeId.NUMERIC else 0


@function("div")
def _divide(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = arguments
    if isinstance(a, Real) and isinstance(b, Real):
        return arithmetic.float_operation(e, "div", a, b, null, call.position)
    assert isinstance(a, Int | Wide) and isinstance(b, Int | Wide)
    if call.type.is_integer:
        return arithmetic.divide_truncating(e, a, b, null, call.type, call.position)
    scales = [_scale(argument.type) for argument in call.arguments]
    shift = call.type.scale - scales[0] + scales[1]
    return arithmetic.divide_rounding(e, a, b, shift, null, call.type, call.position)


@function("mod")
def _modulo(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = arguments
    assert isinstance(a, Int | Wide) and isinstance(b, Int | Wide)
    return arithmetic.remainder(e, a, b, null, call.type, call.position)


@function("neg")
def _negate(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (a,) = arguments
    if isinstance(a, Real):
        return Real(-a.value, a.single, null)
    assert isinstance(a, Int | Wide)
    return arithmetic.negate(e, a, null, call.type, call.position)


@function("abs")
def _absolute(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (a,) = arguments
    if isinstance(a, Real):
        return Real(a.value.unary("abs"), a.single, null)
    assert isinstance(a, Int | Wide)
    return arithmetic.absolute(e, a, null, call.type, call.position)


@function("sign")
def _sign(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (a,) = arguments
    if isinstance(a, Real):
        number = e.keep(a.value)
        zero = F64.const(0.0)
        result = select(
            number > zero, F64.const(1.0), select(number < zero, F64.const(-1.0), zero)
        )  # 0 of NaN, as in PostgreSQL
        return Real(result, a.single, null)
    assert isinstance(a, Int | Wide)
    top = e.keep(a.upper if isinstance(a, Wide) else a.value)
    nonzero = (a.value | top) != 0 if isinstance(a, Wide) else top != 0
    result_int = select(top < 0, I64.const(-1), nonzero.to_i64_u())
    scaled = Int(result_int, -1, 1, null)
    return arithmetic.multiply(
        e, scaled, arithmetic.exact_constant(10 ** _scale(call.type)), null, call.type, call.position
    )


@function("floor", "ceil", "trunc", "round")
def _round(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = arguments[0]
    mode = call.function
    if isinstance(a, Real):
        return Real(a.value.unary("nearest" if mode == "round" else mode), a.single, null)
    assert isinstance(a, Int | Wide)
    digits = _scale(call.arguments[0].type) - _scale(call.type)
    if digits <= 0:
        return arithmetic.rescale_up(e, a, -digits, call.type, call.position)
    return arithmetic.rescale_down(e, a, digits, "half" if mode == "round" else mode, call.type, call.position)


@function("sqrt")
def _sqrt(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (a,) = arguments
    error = ("2201F", "cannot take square root of a negative number")
    if isinstance(a, Int | Wide):
        wide = to_wide(a)
        digits = I32.const(2 * call.type.scale - _scale(call.arguments[0].type))
        failures = {errors.DOMAIN: error, errors.OVERFLOW: ("22003", f"{call.type} out of range")}
        low, high = run(
            e, null, roots.square_root, wide.value, wide.upper, digits, failures=failures, position=call.position
        )
        return arithmetic.bounded(e, Wide(low, high, 0, 1 << 124, null), call.type, call.position)
    assert isinstance(a, Real)
    number = e.keep(a.value)
    raise_if(e, number < F64.const(0.0), null, error, call.position)
    return Real(number.unary("sqrt"), a.single, null)


_OUT_OF_RANGE = {
    errors.OVERFLOW: ("22003", "value out of range: overflow"),
    errors.UNDERFLOW: ("22003", "value out of range: underflow"),
}
_LOGARITHM = {
    errors.LOG_ZERO: ("2201E", "cannot take logarithm of zero"),
    errors.DOMAIN: ("2201E", "cannot take logarithm of a negative number"),
}
_OF_ONE = {"ln": (floats.ln, _LOGARITHM), "log10": (floats.log10, _LOGARITHM), "exp": (floats.exp, _OUT_OF_RANGE)}


@function(*_OF_ONE)
def _of_one(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (a,) = arguments
    assert isinstance(a, Real)
    kernel, failures = _OF_ONE[call.function]
    (result,) = run(e, null, kernel, a.value, failures=failures, position=call.position)
    return Real(result, False, null)


@function("power")
def _power(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = arguments
    assert isinstance(a, Real) and isinstance(b, Real)
    base, exponent, zero = e.keep(a.value), e.keep(b.value), F64.const(0.0)
    undefined = (base == zero) & (exponent < zero) & (exponent > F64.const(float("-inf")))
    error = ("2201F", "zero raised to a negative power is undefined")
    raise_if(e, undefined, null, error, call.position)
    failures = {
        errors.DOMAIN: ("2201F", "a negative number raised to a non-integer power yields a complex result"),
        **_OUT_OF_RANGE,
    }
    (result,) = run(e, null, floats.power, base, exponent, failures=failures, position=call.position)
    return Real(result, False, null)
