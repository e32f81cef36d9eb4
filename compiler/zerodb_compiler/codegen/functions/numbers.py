"""Arithmetic operators and numeric functions."""

from __future__ import annotations

from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.sqlvalues import Int, Real, SqlValue, Wide
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
        result = select(number > zero, F64.const(1.0), select(number < zero, F64.const(-1.0), number))
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
    assert isinstance(a, Real)
    number = e.keep(a.value)
    error = ("2201F", "cannot take square root of a negative number")
    arithmetic.raise_if(e, number < F64.const(0.0), null, error, call.position)
    return Real(number.unary("sqrt"), a.single, null)
