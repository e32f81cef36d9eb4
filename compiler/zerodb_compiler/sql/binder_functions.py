"""Scalar functions: names, argument types and results, by one table of signatures.

sqlglot turns functions it knows into node classes and leaves others Anonymous; `_name_and_arguments` brings both back
to PostgreSQL's name and the arguments in order, so that the table below is the only place that knows functions.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, united
from zerodb_compiler.sql.binder_operators import arithmetic
from zerodb_compiler.sql.expressions import Expression, Literal
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.sql.scope import near
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTEGER,
    MAX_PRECISION,
    REAL,
    TEXT,
    TIMESTAMP,
    SqlType,
    TypeId,
    numeric,
)

# name -> (argument types, how many of them are required, result type)
_FIXED: dict[str, tuple[tuple[SqlType, ...], int, SqlType]] = {
    "sqrt": ((DOUBLE,), 1, DOUBLE),
    "ln": ((DOUBLE,), 1, DOUBLE),
    "log10": ((DOUBLE,), 1, DOUBLE),
    "exp": ((DOUBLE,), 1, DOUBLE),
    "power": ((DOUBLE, DOUBLE), 2, DOUBLE),
    "lower": ((TEXT,), 1, TEXT),
    "upper": ((TEXT,), 1, TEXT),
    "trim": ((TEXT, TEXT), 1, TEXT),
    "ltrim": ((TEXT, TEXT), 1, TEXT),
    "rtrim": ((TEXT, TEXT), 1, TEXT),
    "length": ((TEXT,), 1, INTEGER),
    "octet_length": ((TEXT,), 1, INTEGER),
    "substring": ((TEXT, INTEGER, INTEGER), 2, TEXT),
    "left": ((TEXT, INTEGER), 2, TEXT),
    "right": ((TEXT, INTEGER), 2, TEXT),
    "repeat": ((TEXT, INTEGER), 2, TEXT),
    "strpos": ((TEXT, TEXT), 2, INTEGER),
    "replace": ((TEXT, TEXT, TEXT), 3, TEXT),
    "starts_with": ((TEXT, TEXT), 2, BOOLEAN),
    "contains": ((TEXT, TEXT), 2, BOOLEAN),
}
_SYNONYMS = {
    "ceiling": "ceil",
    "pow": "power",
    "log": "log10",
    "dlog10": "log10",
    "btrim": "trim",
    "char_length": "length",
    "character_length": "length",
    "substr": "substring",
}
# sqlglot's class -> (PostgreSQL's name, arguments in order)
_CLASSES: dict[type[exp.Expr], tuple[str, tuple[str, ...]]] = {
    exp.Abs: ("abs", ("this",)),
    exp.Sign: ("sign", ("this",)),
    exp.Floor: ("floor", ("this",)),
    exp.Ceil: ("ceil", ("this",)),
    exp.Trunc: ("trunc", ("this", "decimals")),
    exp.Round: ("round", ("this", "decimals")),
    exp.Sqrt: ("sqrt", ("this",)),
    exp.Ln: ("ln", ("this",)),
    exp.Exp: ("exp", ("this",)),
    exp.Lower: ("lower", ("this",)),
    exp.Upper: ("upper", ("this",)),
    exp.Length: ("length", ("this",)),
    exp.Substring: ("substring", ("this", "start", "length")),
    exp.Left: ("left", ("this", "expression")),
    exp.Right: ("right", ("this", "expression")),
    exp.Repeat: ("repeat", ("this", "times")),
    exp.StrPosition: ("strpos", ("this", "substr")),
    exp.Replace: ("replace", ("this", "expression", "replacement")),
    exp.StartsWith: ("starts_with", ("this", "expression")),
    exp.Contains: ("contains", ("this", "expression")),
    exp.Greatest: ("greatest", ("this", "expressions")),
    exp.Least: ("least", ("this", "expressions")),
    exp.Concat: ("concat", ("expressions",)),
}
# Arguments sqlglot sets for its own transpiling, without meaning here.
_NOTES = ("ignore_nulls", "safe", "coalesce", "is_start_truncated")
_TRUNCATED = frozenset({"year", "quarter", "month", "week", "day", "hour", "minute", "second"})
_EXTRACTED = _TRUNCATED | {"dow", "doy", "isodow", "epoch"}


@handles(*_CLASSES)
def _known(b: ExpressionBinder, node: exp.Expr) -> Bound:
    name, keys = _CLASSES[type(node)]
    only(node, *keys, *_NOTES)
    arguments: list[exp.Expr] = []
    for key in keys:
        part = node.args.get(key)
        if isinstance(part, list):
            arguments.extend(part)
        elif part is not None:
            arguments.append(part)
    return scalar(b, name, arguments, node)


@handles(exp.Anonymous)
def _anonymous(b: ExpressionBinder, node: exp.Anonymous) -> Bound:
    from zerodb_compiler.sql.binder_aggregates import AGGREGATE_NAMES, aggregate

    only(node, "this", "expressions")
    name = str(node.this).lower()
    if name in AGGREGATE_NAMES:
        return aggregate(b, AGGREGATE_NAMES[name], node, list(node.expressions), None)
    return scalar(b, name, list(node.expressions), node)


@handles(exp.Trim)
def _trim(b: ExpressionBinder, node: exp.Trim) -> Bound:
    only(node, "this", "expression", "position")
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "BOTH", "trim")
    characters = node.args.get("expression")
    return scalar(b, name, [node.this] + ([characters] if characters is not None else []), node)


@handles(exp.Log)
def _log(b: ExpressionBinder, node: exp.Log) -> Bound:
    only(node, "this", "expression")
    base, value = node.this, node.args.get("expression")
    if value is None:
        return scalar(b, "log10", [base], node)
    if isinstance(base, exp.Literal) and str(base.this) == "10":
        return scalar(b, "log10", [value], node)
    raise unsupported("log with a base", node)


@handles(exp.Extract)
def _extract(b: ExpressionBinder, node: exp.Extract) -> Bound:
    only(node, "this", "expression")
    unit = str(node.this.name).lower()
    value = b.bound(node.expression)
    type_ = b.type_of(value)
    if type_.id not in (TypeId.DATE, TypeId.TIMESTAMP):
        raise no_function("extract", [TEXT, type_], node)
    if unit not in _EXTRACTED:
        raise error_for("0A000", f'unit "{unit}" is not supported by extract', position=position_of(node))
    result = BIGINT
    if unit == "second" and type_.id is TypeId.TIMESTAMP:
        result = numeric(8, 6)
    elif unit == "epoch" and type_.id is TypeId.TIMESTAMP:
        result = numeric(20, 6)
    if type_.id is TypeId.DATE and unit in ("hour", "minute", "second"):
        raise error_for("0A000", f'unit "{unit}" is not supported for type date', position=position_of(node))
    return b.call(f"extract_{unit}", (b.finish(value),), result, node)


@handles(exp.TimestampTrunc)
def _date_trunc(b: ExpressionBinder, node: exp.TimestampTrunc) -> Bound:
    only(node, "this", "unit")
    unit = str(node.args["unit"].name).lower()
    value = b.bound(node.this)
    type_ = b.type_of(value)
    if type_.id not in (TypeId.DATE, TypeId.TIMESTAMP):
        raise no_function("date_trunc", [TEXT, type_], node)
    if unit not in _TRUNCATED:
        raise error_for("0A000", f'unit "{unit}" is not supported by date_trunc', position=position_of(node))
    return b.call(f"date_trunc_{unit}", (b.cast(value, TIMESTAMP, node),), TIMESTAMP, node)


def no_function(name: str, types: list[SqlType], node: exp.Expr, hint: str | None = None) -> ProgrammingError:
    signature = ", ".join(str(type_) for type_ in types)
    return ProgrammingError(
        f"function {name}({signature}) does not exist", sqlstate="42883", position=position_of(node), hint=hint
    )


def scalar(b: ExpressionBinder, name: str, nodes: list[exp.Expr], node: exp.Expr) -> Bound:
    """A call of the scalar function `name`. ProgrammingError 42883 if there is none for these arguments."""
    name = _SYNONYMS.get(name, name)
    for argument in nodes:
        if isinstance(argument, (exp.Star, exp.Distinct, exp.Kwarg, exp.Order)):
            raise ProgrammingError(f"wrong argument of function {name}", position=position_of(node))
    special = _SPECIAL.get(name)
    if special is None and name not in _FIXED:
        types = [b.type_of(b.bound(argument)) for argument in nodes]
        hint = near(name, [*_FIXED, *_SPECIAL, *_SYNONYMS, "sum", "count", "avg", "min", "max", "coalesce", "nullif"])
        raise no_function(name, types, node, hint)
    values = [b.bound(argument) for argument in nodes]
    if special is not None:
        return special(b, name, values, node)
    wanted, required, result = _FIXED[name]
    types = [b.type_of(value) for value in values]
    fits = required <= len(values) <= len(wanted) and all(map(coercion.is_implicit, types, wanted))
    if not fits:
        raise no_function(name, types, node)
    return b.call(name, tuple(_argument(b, v, t, node) for v, t in zip(values, wanted, strict=False)), result, node)


def _argument(b: ExpressionBinder, value: Bound, type_: SqlType, node: exp.Expr) -> Expression:
    if type_.is_text:
        return b.text(value, node)
    return b.cast(value, type_, node)


def _number(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> tuple[Bound, SqlType]:
    types = [b.type_of(value) for value in values]
    if len(values) != 1 or not (types[0].is_number or types[0].id is TypeId.NULL):
        raise no_function(name, types, node)
    return values[0], DOUBLE if types[0].id is TypeId.NULL else types[0]


def _same_number(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    value, type_ = _number(b, name, values, node)
    return b.call(name, (b.cast(value, type_, node),), type_, node)


def _rounded(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """floor, ceil, trunc, round: integers are already whole; trunc and round may be given a number of digits."""
    types = [b.type_of(value) for value in values]
    if len(values) == 2 and name in ("trunc", "round") and types[0].is_exact:
        return _rounded_to(b, name, values, node)
    value, type_ = _number(b, name, values, node)
    if type_.is_integer:
        return b.cast(value, type_, node)
    if type_ == REAL:
        type_ = DOUBLE
    # Rounding away from zero may need one more digit before the point.
    whole = numeric(min(MAX_PRECISION, max(1, type_.precision - type_.scale + 1)), 0) if type_.is_exact else DOUBLE
    return b.call(name, (b.cast(value, type_, node),), whole, node)


def _rounded_to(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    value, digits = values
    if not isinstance(digits, Constant) or not isinstance(digits.value, int) or not digits.type.is_integer:
        raise unsupported(f"{name} to a number of digits that is not constant", node)
    b.finish(digits)  # the literal decides the type: it is baked
    source = coercion.as_numeric(b.type_of(value))
    scale = digits.value
    if scale < 0:
        raise unsupported(f"{name} to a negative number of digits", node)
    if scale >= source.scale:
        scale = min(scale, MAX_PRECISION - 1)
        return b.cast(value, numeric(min(MAX_PRECISION, source.precision - source.scale + scale), scale), node)
    target = numeric(min(MAX_PRECISION, source.precision - source.scale + scale + 1), scale)
    argument = b.cast(value, source, node)
    if name == "round":
        return b.call("round", (argument,), target, node)
    factor = 10**scale
    scaled = b.call("mul", (argument, Literal(factor, numeric(scale + 1, 0))), _widened(source, scale + 1), node)
    whole = b.call("trunc", (scaled,), numeric(min(MAX_PRECISION, scaled.type.precision - scaled.type.scale), 0), node)
    result = arithmetic(b, "div", "/", whole, Constant(INTEGER, factor), node)
    return b.cast(result, target, node)


def _widened(type_: SqlType, digits: int) -> SqlType:
    return numeric(min(MAX_PRECISION, type_.precision + digits), type_.scale)


def _modulo(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 2:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return arithmetic(b, "mod", "%", values[0], values[1], node)


def _extreme(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    arguments, type_ = united(b, values, name.upper(), node)
    return arguments[0] if len(arguments) == 1 else b.call(name, tuple(arguments), type_, node)


def _concat(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    return b.call("concat_null", tuple(b.text(value, node) for value in values), TEXT, node)


_SPECIAL: dict[str, Callable[[ExpressionBinder, str, list[Bound], exp.Expr], Bound]] = {
    "abs": _same_number,
    "sign": _same_number,
    "floor": _rounded,
    "ceil": _rounded,
    "trunc": _rounded,
    "round": _rounded,
    "mod": _modulo,
    "greatest": _extreme,
    "least": _extreme,
    "concat": _concat,
}
