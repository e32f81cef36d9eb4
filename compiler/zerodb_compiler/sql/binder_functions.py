"""Calls of scalar functions.

A call reaches the binder by PostgreSQL's name (exp.Anonymous), but for the few that have a syntax of their own. What it
means is decided by the registry of signatures (signatures.py, families/) or by one of the binders in SPECIAL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import (
    binder_encodings,
    binder_formats,
    binder_mathematics,
    binder_strings,
    coercion,
    families,
    signatures,
)
from zerodb_compiler.sql import binder_patterns as _patterns  # noqa: F401 - registers its handlers
from zerodb_compiler.sql import set_strings as _set_strings  # noqa: F401 - registers its functions
from zerodb_compiler.sql.aggregates import NAMES as AGGREGATES
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, united
from zerodb_compiler.sql.binder_external import external
from zerodb_compiler.sql.binder_external_sets import external_aggregate, is_external_aggregate
from zerodb_compiler.sql.binder_operators import arithmetic
from zerodb_compiler.sql.binder_structured import TYPE_FUNCTIONS
from zerodb_compiler.sql.expressions import Expression, Literal
from zerodb_compiler.sql.nodes import fold, only, position_of, unmarked, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.sql.scope import near
from zerodb_compiler.sql.set_functions import SET_FUNCTIONS, set_call
from zerodb_compiler.types import (
    DOUBLE,
    INTEGER,
    MAX_PRECISION,
    REAL,
    SqlType,
    TypeId,
    numeric,
)

Special = Callable[["ExpressionBinder", str, list[Bound], exp.Expr], Bound]
# Functions whose result type depends on more than a signature says: name -> binder.
SPECIAL: dict[str, Special] = {}


def special(*names: str) -> Callable[[Special], Special]:
    """Registers a binder for the functions of those names; it raises `no_function` for arguments it does not take."""

    def register(binder: Special) -> Special:
        for name in names:
            assert name not in SPECIAL, name
            SPECIAL[name] = binder
        return binder

    return register


# sqlglot's classes of functions with a syntax of their own -> (PostgreSQL's name, arguments in order). All other calls
# arrive as Anonymous, by their name (dialect.parse_tokens).
_CLASSES: dict[type[exp.Expr], tuple[str, tuple[str, ...]]] = {
    exp.Substring: ("substring", ("this", "start", "length")),
    exp.StrPosition: ("strpos", ("this", "substr")),
}
WINDOW_FUNCTIONS = frozenset(
    {
        "row_number",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
        "ntile",
        "lag",
        "lead",
        "first_value",
        "last_value",
        "nth_value",
    }
)
# Arguments sqlglot sets for its own transpiling, without meaning here.
_NOTES = ("ignore_nulls", "safe", "coalesce", "is_start_truncated")


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


_SEQUENCES = ("nextval", "currval", "setval")


@handles(exp.Anonymous)
def _anonymous(b: ExpressionBinder, node: exp.Anonymous) -> Bound:
    from zerodb_compiler.sql.binder_aggregates import aggregate

    only(node, "this", "expressions")
    name = function_name(node)
    if name in WINDOW_FUNCTIONS:
        raise ProgrammingError(
            f"window function {name} requires an OVER clause", sqlstate="42809", position=position_of(node)
        )
    if name in AGGREGATES:
        return aggregate(b, node)
    if name in _SEQUENCES and node.expressions and isinstance(node.expressions[0], exp.Cast):
        return scalar(b, name, [node.expressions[0].this, *node.expressions[1:]], node)  # 'name'::regclass
    if name in SET_FUNCTIONS:
        return set_call(b, name, node)
    if is_external_aggregate(b, node):
        return external_aggregate(b, node)
    return scalar(b, name, list(node.expressions), node)


def is_built_in(name: str) -> bool:
    """Whether calls of that name are looked for among the functions that are built in."""
    known = signatures.canonical_name(name)
    return known in signatures.SIGNATURES or known in SPECIAL or name in SET_FUNCTIONS or known in AGGREGATES


def qualified(b: ExpressionBinder, node: exp.Dot, call: exp.Anonymous) -> Bound:
    """schema.f(...)"""
    only(call, "this", "expressions")
    schema = node.this.this if isinstance(node.this, exp.Column) and not node.this.args.get("table") else node.this
    if not isinstance(schema, exp.Identifier):
        raise unsupported("a call with this qualification", node)
    place, name = fold(schema), function_name(call)
    if place == "pg_catalog":
        return b.bound(call)
    if is_external_aggregate(b, node):
        return external_aggregate(b, node)
    values = [b.bound(argument) for argument in call.expressions]
    found = external(b, name, place, values, call)
    if found is None:
        raise no_function(f"{place}.{name}", [b.type_of(value) for value in values], call)
    return found


@handles(exp.Trim)
def _trim(b: ExpressionBinder, node: exp.Trim) -> Bound:
    only(node, "this", "expression", "position")
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "BOTH", "trim")
    characters = node.args.get("expression")
    return scalar(b, name, [node.this] + ([characters] if characters is not None else []), node)


def no_function(name: str, types: list[SqlType], node: exp.Expr, hint: str | None = None) -> ProgrammingError:
    signature = ", ".join(str(type_) for type_ in types)
    return ProgrammingError(
        f"function {name}({signature}) does not exist", sqlstate="42883", position=position_of(node), hint=hint
    )


def function_name(node: exp.Anonymous) -> str:
    """The name called, folded as identifiers are."""
    name = node.this
    return fold(name) if isinstance(name, exp.Identifier) else unmarked(str(name)).lower()


def scalar(b: ExpressionBinder, name: str, nodes: list[exp.Expr], node: exp.Expr) -> Bound:
    """A call of the scalar function `name`. ProgrammingError 42883 if there is none for these arguments, 42725 if
    there are several."""
    name = signatures.canonical_name(name)
    if name == "make_interval":
        from zerodb_compiler.sql.binder_moments import make_interval

        return make_interval(b, nodes, node)
    for argument in nodes:
        if isinstance(argument, (exp.Star, exp.Distinct, exp.Kwarg, exp.Order)):
            raise ProgrammingError(f"wrong argument of function {name}", position=position_of(node))
    if name == "row":
        from zerodb_compiler.sql.binder_records import row_items

        return SPECIAL[name](b, name, row_items(b, nodes), node)
    values = [b.bound(argument) for argument in nodes]
    try:
        of_type = TYPE_FUNCTIONS.get((name, b.type_of(values[0]).id)) if values else None
        if of_type is not None:
            return of_type(b, name, values, node)
        if name in SPECIAL:
            return SPECIAL[name](b, name, values, node)
        return scalar_by_signature(b, name, values, node)
    except ProgrammingError as error:
        if error.sqlstate != "42883":
            raise
        found = external(b, name, None, values, node)
        if found is None:
            if b.binder.functions(name, None):  # there is one, for other arguments
                error.hint = None
            raise
        return found


def scalar_by_signature(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """The call that the registry of signatures finds."""
    types = [b.type_of(value) for value in values]
    found = signatures.resolve(name, types)
    if isinstance(found, signatures.Ambiguous):
        raise ProgrammingError(
            f"function {name}({', '.join(map(str, types))}) is not unique",
            sqlstate="42725",
            position=position_of(node),
            hint="add explicit casts",
        )
    if found is None:
        known = name in signatures.SIGNATURES
        raise no_function(name, types, node, None if known else near(name, _all_names()))
    wanted = found.wanted(len(values))
    assert wanted is not None
    targets = [signatures.argument_type(source, target) for source, target in zip(types, wanted, strict=True)]
    arguments = tuple(_argument(b, value, type_, node) for value, type_ in zip(values, targets, strict=True))
    result = found.result if isinstance(found.result, SqlType) else found.result(targets)
    call = b.call(found.call, arguments, result, node)
    return replace(call, nullable=True) if found.nullable else call


def _all_names() -> list[str]:
    return [*signatures.names(), *SPECIAL, *AGGREGATES, *WINDOW_FUNCTIONS, "coalesce", "nullif"]


def _argument(b: ExpressionBinder, value: Bound, type_: SqlType, node: exp.Expr) -> Expression:
    if type_.is_text:
        return b.text(value, node)
    return b.cast(value, type_, node)


def _number(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> tuple[Bound, SqlType]:
    types = [b.type_of(value) for value in values]
    if len(values) != 1 or not (types[0].is_number or types[0].id is TypeId.NULL):
        raise no_function(name, types, node)
    return values[0], DOUBLE if types[0].id is TypeId.NULL else types[0]


@special("abs", "sign")
def _same_number(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    value, type_ = _number(b, name, values, node)
    if name == "sign" and type_.id is TypeId.NUMERIC:
        type_ = numeric(min(MAX_PRECISION, max(type_.precision, type_.scale + 1)), min(type_.scale, MAX_PRECISION - 1))
        return b.cast(b.call(name, (b.cast(value, type_, node),), type_, node), numeric(1, 0), node)
    if name == "sign" and type_.is_integer:
        return b.call(name, (b.cast(value, DOUBLE, node),), DOUBLE, node)
    return b.call(name, (b.cast(value, type_, node),), type_, node)


@special("floor", "ceil", "trunc", "round")
def _rounded(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """floor, ceil, trunc, round: of integers a double, as in PostgreSQL; trunc and round may be given digits."""
    if len(values) == 2 and binder_mathematics.is_of_numerics(values[0]):
        values = [binder_mathematics.as_decimal(b.finish(values[0]), 16), values[1]]
    types = [b.type_of(value) for value in values]
    if len(values) == 2 and name in ("trunc", "round") and types[0].is_exact:
        return _rounded_to(b, name, values, node)
    value, type_ = _number(b, name, values, node)
    if type_.is_integer:
        return b.cast(value, DOUBLE, node)  # already whole
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
        return _rounded_before_point(b, name, b.cast(value, source, node), min(-scale, MAX_PRECISION - 1), node)
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


def _rounded_before_point(b: ExpressionBinder, name: str, value: Expression, digits: int, node: exp.Expr) -> Bound:
    """To a multiple of 10**digits."""
    type_ = value.type
    if type_.scale == type_.precision < MAX_PRECISION:  # room for the sign, as 1
        type_ = numeric(type_.precision + 1, type_.scale)
        value = b.cast(value, type_, node)
    if digits > type_.precision - type_.scale:
        digits = type_.precision - type_.scale + 1
    factor = Literal(10**digits, numeric(digits + 1, 0))
    half = Literal(5 * 10 ** (digits - 1), numeric(digits, 0))
    if name == "round":
        # Away from zero by half a unit, then cut: sign(x) has the scale of x.
        sign = arithmetic(b, "mul", "*", b.call("sign", (value,), type_, node), half, node)
        value = b.finish(arithmetic(b, "add", "+", value, sign, node))
    rest = arithmetic(b, "mod", "%", value, factor, node)
    result = b.finish(arithmetic(b, "sub", "-", value, rest, node))
    return b.cast(result, numeric(min(MAX_PRECISION, type_.precision - type_.scale + 2), 0), node)


def _widened(type_: SqlType, digits: int) -> SqlType:
    return numeric(min(MAX_PRECISION, type_.precision + digits), type_.scale)


@special("mod")
def _modulo(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 2:
        raise no_function(name, [b.type_of(value) for value in values], node)
    if any(b.type_of(value).is_float for value in values):
        raise no_function(name, [b.type_of(value) for value in values], node)
    return arithmetic(b, "mod", "%", values[0], values[1], node)


@special("greatest", "least")
def _extreme(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    arguments, type_ = united(b, values, name.upper(), node)
    return arguments[0] if len(arguments) == 1 else b.call(name, tuple(arguments), type_, node)


special("sqrt", "ln", "exp", "log", "log10", "power")(binder_mathematics.real_function)
special("to_char")(binder_formats.to_char)
special("to_number")(binder_formats.to_number)
special("to_date", "to_timestamp")(binder_formats.to_moment)
special("pi")(binder_mathematics.pi)
special("random", "gen_random_uuid")(binder_mathematics.random)
special("setseed")(binder_mathematics.refused)
special("div")(binder_mathematics.integer_division)
special("scale", "min_scale", "trim_scale")(binder_mathematics.scale_of)
special("width_bucket")(binder_mathematics.bucket)
special("convert_to", "convert_from")(binder_encodings.convert)
special("octet_length")(binder_strings.octet_length)
special("parse_ident")(binder_encodings.parse_ident)
special("pg_collation_for")(binder_strings.collation_for)
special("concat")(binder_strings.concat)
special("concat_ws", "format")(binder_strings.with_first_text)
special("quote_literal", "quote_nullable")(binder_strings.quoted)
special("num_nulls", "num_nonnulls")(binder_strings.count_nulls)
families.load()
