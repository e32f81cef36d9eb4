"""Operators and subscripts of types with a structure: one registry that arrays, ranges, json and others fill.

`@>`, `<@`, `&&`, `||` and the like mean something else for each such type, and so do subscripts. A family registers a
binder for a symbol (`structured`) and for subscripts of a type (`subscripts`); the first binder that knows the operand
types gives the expression.

Quantified comparisons, `x op ANY (array)`, are here too: to them the operator is a part.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import coercion, collations
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, no_operator
from zerodb_compiler.sql.binder_types import sql_type
from zerodb_compiler.sql.expressions import Call, Expression
from zerodb_compiler.sql.functions import QUANTIFIED, result_nullable
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import BOOLEAN, TEXT, SqlType, TypeId, array

Operator = Callable[[ExpressionBinder, str, Bound, Bound, exp.Expr], Bound | None]
OPERATORS: dict[str, list[Operator]] = {}
TypeFunction = Callable[[ExpressionBinder, str, list[Bound], exp.Expr], Bound]
# What a function means whose first argument is of the type, before the registry of signatures is asked.
TYPE_FUNCTIONS: dict[tuple[str, TypeId], TypeFunction] = {}
# A subscript is (lower, upper, is a slice); without slices upper is None.
Subscript = tuple[Bound | None, Bound | None, bool]
SubscriptBinder = Callable[[ExpressionBinder, Bound, list[Subscript], exp.Expr], Bound]
SUBSCRIPTS: dict[TypeId, SubscriptBinder] = {}
_SYMBOLS: dict[type[exp.Expr], str] = {
    exp.ArrayContainsAll: "@>",
    exp.ArrayContainedBy: "<@",
    exp.ArrayOverlaps: "&&",
    exp.Adjacent: "-|-",
    exp.ExtendsLeft: "&<",
    exp.ExtendsRight: "&>",
}


def structured(*symbols: str) -> Callable[[Operator], Operator]:
    """Registers a binder for operators; it gives None for operand types that are not its own."""

    def register(binder: Operator) -> Operator:
        for symbol in symbols:
            OPERATORS.setdefault(symbol, []).append(binder)
        return binder

    return register


def subscripts(*kinds: TypeId) -> Callable[[SubscriptBinder], SubscriptBinder]:
    def register(binder: SubscriptBinder) -> SubscriptBinder:
        for kind in kinds:
            assert kind not in SUBSCRIPTS, kind
            SUBSCRIPTS[kind] = binder
        return binder

    return register


def type_function(kind: TypeId, *names: str) -> Callable[[TypeFunction], TypeFunction]:
    """Registers what functions mean whose first argument is of the type, whatever else they mean."""

    def register(binder: TypeFunction) -> TypeFunction:
        for name in names:
            assert (name, kind) not in TYPE_FUNCTIONS, name
            TYPE_FUNCTIONS[name, kind] = binder
        return binder

    return register


def structured_operator(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    """The expression, or None if no family knows the operand types."""
    for binder in OPERATORS.get(symbol, ()):
        found = binder(b, symbol, left, right, node)
        if found is not None:
            return found
    return None


@handles(*_SYMBOLS)
def _operator(b: ExpressionBinder, node: exp.Binary) -> Bound:
    only(node, "this", "expression")
    symbol = _SYMBOLS[type(node)]
    left, right = b.bound(node.this), b.bound(node.expression)
    found = structured_operator(b, symbol, left, right, node)
    if found is None:
        raise no_operator(symbol, b.type_of(left), b.type_of(right), node)
    return found


def made(function: str, arguments: tuple[Expression, ...], type_: SqlType, node: exp.Expr) -> Call:
    """A call, NULL where its function and arguments say so."""
    nullable = result_nullable(function, [argument.nullable for argument in arguments])
    if any(collations.collation_of(argument.type) is not None for argument in arguments):
        arguments, type_ = collations.in_call(function, arguments, type_, position_of(node))
    return Call(function, arguments, type_, nullable, position_of(node))


# --- subscripts -------------------------------------------------------------------------------------------------------
@handles(exp.Bracket)
def _bracket(b: ExpressionBinder, node: exp.Bracket) -> Bound:
    chain: list[exp.Expr] = []
    base: exp.Expr = node
    while isinstance(base, exp.Bracket):
        only(base, "this", "expressions", "offset", "safe")
        if len(base.expressions) != 1:
            raise ProgrammingError("syntax error in a subscript", position=position_of(base))
        chain.append(base.expressions[0])
        base = base.this
    chain.reverse()
    if isinstance(base, exp.Cast) and all(isinstance(item, exp.Literal) for item in chain):
        # x::int[3]: without parentheses the brackets belong to the type's name.
        from zerodb_compiler.sql.binder_expressions import cast_to

        only(base, "this", "to", "_type")
        return cast_to(b, b.bound(base.this), array(sql_type(base.args["to"], base)), base)
    value = b.bound(base)
    type_ = b.type_of(value)
    binder = SUBSCRIPTS.get(type_.id)
    if isinstance(base, exp.Literal):
        raise ProgrammingError("syntax error: a subscript of a number", position=position_of(node))
    if binder is None:
        raise ProgrammingError(
            f"cannot subscript type {type_} because it does not support subscripting",
            sqlstate="42804",
            position=position_of(node),
        )
    return binder(b, value, [_subscript(b, item) for item in chain], node)


def _subscript(b: ExpressionBinder, node: exp.Expr) -> Subscript:
    if not isinstance(node, exp.Slice):
        return b.bound(node), None, False
    only(node, "this", "expression")
    lower, upper = node.args.get("this"), node.args.get("expression")
    return None if lower is None else b.bound(lower), None if upper is None else b.bound(upper), True


# --- ANY and ALL ------------------------------------------------------------------------------------------------------
def name_quantifier(node: exp.Binary) -> None:
    """ALL (array), ALL ((query)) and SOME (...) look like calls to sqlglot."""
    side = node.expression
    if isinstance(side, exp.Anonymous) and len(side.expressions) == 1 and not isinstance(side.this, exp.Identifier):
        kind = {"all": exp.All, "some": exp.Any, "any": exp.Any}.get(str(side.this).lower())
        if kind is not None:
            node.set("expression", kind(this=side.expressions[0]))


def is_array_side(side: exp.Expr) -> bool:
    """Whether ANY (...) holds an array and not a query."""
    inner = side.this
    while isinstance(inner, exp.Paren):
        inner = inner.this
    return not isinstance(inner, (exp.Subquery, exp.Select, exp.SetOperation, exp.Values, exp.Table))


def quantified_array(b: ExpressionBinder, function: str, symbol: str, node: exp.Binary) -> Expression:
    side = node.expression
    only(side, "this")
    name = f"{function} {'any' if isinstance(side, exp.Any) else 'all'}"
    if name not in QUANTIFIED:
        raise unsupported(f"{symbol} with ANY or ALL", node)
    inner = side.this
    while isinstance(inner, exp.Paren):
        inner = inner.this
    left, right = b.bound(node.this), b.bound(inner)
    left_type, right_type = b.type_of(left), b.type_of(right)
    if right_type.id is TypeId.NULL:
        right_type = array(TEXT if left_type.id is TypeId.NULL else _plain(left_type))
    if right_type.id is not TypeId.ARRAY:
        raise ProgrammingError(
            "op ANY/ALL (array) requires array on right side", sqlstate="42809", position=position_of(node)
        )
    assert right_type.element is not None
    common = _common(b, left, left_type, right_type.element)
    if common is None:
        raise no_operator(symbol, left_type, right_type.element, node)
    if function in ("like", "not_like", "ilike") and not common.is_text:
        raise no_operator(symbol, left_type, right_type.element, node)
    arguments = (
        b.text(left, node) if common == TEXT else b.cast(left, common, node),
        b.cast(right, array(common), node),
    )
    return made(name, arguments, BOOLEAN, node)


def _common(b: ExpressionBinder, value: Bound, type_: SqlType, element: SqlType) -> SqlType | None:
    typed = isinstance(value, Constant) and value.value is not None and type_.id not in (TypeId.NULL, element.id)
    if typed and isinstance(value, Constant) and coercion.common_type(type_, element) is not None:
        exact = b.convert_exactly(value, element)
        if exact is not None:
            return element
    found = TEXT if type_.is_text and element.is_text else coercion.common_type(type_, element)
    return TEXT if found is not None and found.is_text else found


def _plain(type_: SqlType) -> SqlType:
    return TEXT if type_.is_text else type_


__all__ = ["made", "quantified_array", "structured", "structured_operator", "subscripts"]
