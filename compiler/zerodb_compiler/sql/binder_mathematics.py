"""Mathematical functions and operators whose result depends on more than a signature says."""

from __future__ import annotations

import itertools
import math

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, no_operator, typed
from zerodb_compiler.sql.binder_structured import structured_operator
from zerodb_compiler.sql.exact_functions import exact
from zerodb_compiler.sql.expressions import Call, Cast, Expression, Literal
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import BIGINT, DOUBLE, INTEGER, TEXT, UUID, SqlType, TypeId, numeric

_INTEGERS = (TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT)
_calls = itertools.count(1)


def _no_function(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> ProgrammingError:
    from zerodb_compiler.sql.binder_functions import no_function

    return no_function(name, [b.type_of(value) for value in values], node)


def real_function(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """sqrt, ln, log, exp, power: of numeric constants exact, of everything else as doubles."""
    types = [b.type_of(value) for value in values]
    counts = {"sqrt": (1,), "ln": (1,), "exp": (1,), "log10": (1,), "log": (1, 2), "power": (2,)}[name]
    if len(values) not in counts or not all(type_.is_number or type_.id is TypeId.NULL for type_ in types):
        raise _no_function(b, name, values, node)
    if name == "log" and len(values) == 1:
        name = "log10"
    is_numeric = any(type_.id is TypeId.NUMERIC for type_ in types) and not any(type_.is_float for type_ in types)
    numbers = [value.value for value in values if isinstance(value, Constant)]
    if (is_numeric or name == "log") and len(numbers) == len(values) and all(isinstance(n, int) for n in numbers):
        pairs = [(n, type_.scale) for n, type_ in zip(numbers, types, strict=True) if isinstance(n, int)]
        for value in values:
            b.finish(value)  # the digits decide the type: they are baked
        number, type_ = exact(name, pairs, position_of(node))
        return Literal(number, type_)
    arguments = tuple(b.cast(value, DOUBLE, node) for value in values)
    if is_numeric and name in ("sqrt", "ln", "log10"):
        return as_decimal(b.call(name, arguments, DOUBLE, node), 15 if name == "sqrt" else 16)
    if name == "log":
        logarithms = tuple(b.call("ln", (argument,), DOUBLE, node) for argument in arguments)
        return b.call("div", (logarithms[1], logarithms[0]), DOUBLE, node)
    return b.call(name, arguments, DOUBLE, node)


def as_decimal(value: Expression, scale: int) -> Expression:
    """A double computed of numerics, as the numeric that PostgreSQL gives: through the shortest text that means it."""
    return Cast(Cast(value, TEXT), numeric(38, scale))


def is_of_numerics(value: Bound) -> bool:
    """Whether it is one of the functions that are numeric of numerics in PostgreSQL, but computed as doubles here."""
    return isinstance(value, Call) and value.function in ("power", "exp") and value.type == DOUBLE


def pi(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if values:
        raise _no_function(b, name, values, node)
    return Literal(math.pi, DOUBLE)


def random(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """Each call is another one: a number keeps equal calls from being taken for one value."""
    if values:
        raise _no_function(b, name, values, node)
    return b.call(name, (Literal(next(_calls), INTEGER),), DOUBLE if name == "random" else UUID, node)


def refused(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    raise unsupported(f"function {name}", node)


def integer_division(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """div(a, b) of numeric: the quotient without its fraction."""
    from zerodb_compiler.sql.binder_operators import arithmetic

    types = [b.type_of(value) for value in values]
    if len(values) != 2 or not all(type_.is_exact or type_.id is TypeId.NULL for type_ in types):
        raise _no_function(b, name, values, node)
    a, c = (
        b.cast(value, coercion.as_numeric(BIGINT if type_.id is TypeId.NULL else type_), node)
        for value, type_ in zip(values, types, strict=True)
    )
    rest = arithmetic(b, "mod", "%", a, c, node)
    whole = arithmetic(b, "sub", "-", a, rest, node)
    quotient = arithmetic(b, "div", "/", whole, c, node)
    return b.cast(quotient, numeric(38, 0), node)


def scale_of(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """scale, min_scale and trim_scale: of constants only, but for scale, which the type tells."""
    type_ = b.type_of(values[0]) if values else None
    if len(values) != 1 or type_ is None or not (type_.is_exact or type_.id is TypeId.NULL):
        raise _no_function(b, name, values, node)
    value = values[0]
    if isinstance(value, Constant) and (value.value is None or isinstance(value.value, int)):
        b.finish(value)
        least = type_.scale
        while least and value.value is not None and value.value % 10 ** (type_.scale - least + 1) == 0:
            least -= 1
        if name == "trim_scale":
            trimmed = None if value.value is None else value.value // 10 ** (type_.scale - least)
            return Literal(trimmed, numeric(38, least))
        number = None if value.value is None else type_.scale if name == "scale" else least
        return Literal(number, INTEGER)
    if name != "scale":
        raise unsupported(f"{name} of what is not constant", node)
    argument = b.finish(value)
    if not argument.nullable:
        return Literal(type_.scale, INTEGER)
    zero = b.call("num_nulls", (Literal(0, INTEGER),), INTEGER, node)
    from zerodb_compiler.sql.expressions import Case

    present = b.call("is_not_null", (argument,), SqlType(TypeId.BOOLEAN), node)
    number_ = b.call("add", (zero, Literal(type_.scale, INTEGER)), INTEGER, node)
    return Case(((present, number_),), Literal(None, INTEGER), INTEGER, True)


def bucket(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    if len(values) == 2:
        raise unsupported("width_bucket with an array", node)
    if len(values) != 4 or not all(type_.is_number or type_.id is TypeId.NULL for type_ in types):
        raise _no_function(b, name, values, node)
    if not (types[3].is_integer or types[3].id is TypeId.NULL):
        raise _no_function(b, name, values, node)
    target = DOUBLE
    if any(type_.id is TypeId.NUMERIC for type_ in types[:3]) and not any(type_.is_float for type_ in types[:3]):
        exacts = [coercion.as_numeric(type_) for type_ in types[:3] if type_.is_exact]
        scale = max(type_.scale for type_ in exacts)
        target = numeric(min(38, max(type_.precision - type_.scale for type_ in exacts) + scale), scale)
    arguments = (*(b.cast(value, target, node) for value in values[:3]), b.cast(values[3], INTEGER, node))
    return b.call("width_bucket", arguments, INTEGER, node)


# --- operators --------------------------------------------------------------------------------------------------------
_BINARY: dict[type[exp.Expr], tuple[str, str]] = {
    exp.BitwiseAnd: ("bit_and_op", "&"),
    exp.BitwiseOr: ("bit_or_op", "|"),
    exp.BitwiseXor: ("bit_xor_op", "#"),
    exp.BitwiseLeftShift: ("shift_left", "<<"),
    exp.BitwiseRightShift: ("shift_right", ">>"),
}


@handles(*_BINARY)
def _bitwise(b: ExpressionBinder, node: exp.Binary) -> Bound:
    only(node, "this", "expression")
    name, symbol = _BINARY[type(node)]
    left, right = b.bound(node.this), b.bound(node.expression)
    found = structured_operator(b, symbol, left, right, node)
    if found is not None:
        return found
    types = [b.type_of(left), b.type_of(right)]
    is_shift = name.startswith("shift")
    other = types[1] if types[0].id is TypeId.NULL else types[0]
    if types[0].id is TypeId.NULL and types[1].id in _INTEGERS:
        left = typed(b, left, types[1], node)
    if types[1].id is TypeId.NULL and other.id in _INTEGERS:
        right = typed(b, right, INTEGER if is_shift else other, node)
    types = [b.type_of(left), b.type_of(right)]
    if not all(type_.id in _INTEGERS for type_ in types) or (is_shift and types[1].id is TypeId.BIGINT):
        raise no_operator(symbol, types[0], types[1], node)
    if is_shift:
        return b.call(name, (b.finish(left), b.cast(right, INTEGER, node)), types[0], node)
    common = coercion.common_integer(*types)
    arguments: tuple[Expression, ...] = (b.cast(left, common, node), b.cast(right, common, node))
    return b.call(name, arguments, common, node)


@handles(exp.BitwiseNot)
def _bitwise_not(b: ExpressionBinder, node: exp.BitwiseNot) -> Bound:
    only(node, "this")
    value = b.bound(node.this)
    type_ = b.type_of(value)
    if type_.id not in _INTEGERS:
        raise ProgrammingError(f"operator does not exist: ~ {type_}", sqlstate="42883", position=position_of(node))
    return b.call("bit_not_op", (b.finish(value),), type_, node)


@handles(exp.Sqrt, exp.Cbrt)
def _root(b: ExpressionBinder, node: exp.Func) -> Bound:
    """|/ and ||/, of doubles."""
    only(node, "this")
    value = b.bound(node.this)
    type_ = b.type_of(value)
    square = isinstance(node, exp.Sqrt)
    if not (type_.is_number or type_.id is TypeId.NULL):
        symbol = "|/" if square else "||/"
        raise ProgrammingError(
            f"operator does not exist: {symbol} {type_}", sqlstate="42883", position=position_of(node)
        )
    return b.call("sqrt" if square else "cbrt", (b.cast(value, DOUBLE, node),), DOUBLE, node)


@handles(exp.Pow)
def _power(b: ExpressionBinder, node: exp.Pow) -> Bound:
    only(node, "this", "expression")
    sides = [b.bound(node.this), b.bound(node.expression)]
    types = [b.type_of(side) for side in sides]
    for type_ in types:
        if not (type_.is_number or type_.id is TypeId.NULL):
            raise no_operator("^", types[0], types[1], node)
    return real_function(b, "power", sides, node)
