"""Calls of functions that are not built in: which function a name and its arguments mean, and what the call is.

A body deals in few types (`wire_type`): what it does not know, arrays and json for instance, comes and goes as text, by
casts around the call. A call whose arguments are constants is computed once, before the statement runs (computed.py),
unless the function is volatile; of a volatile one only where the value itself is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql.computed import Computed, computed
from zerodb_compiler.sql.expressions import Expression, ExternalCall, Literal, Parameter
from zerodb_compiler.sql.external import (
    IMMUTABLE,
    SCALAR,
    VOLATILE,
    ExternalFunction,
    parameters,
    resolve_external,
    wire_type,
)
from zerodb_compiler.sql.nodes import position_of
from zerodb_compiler.sql.parse import parse_expression
from zerodb_compiler.sql.signatures import argument_type
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder

# Around a call that is not always evaluated.
_CONDITIONAL = (exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Filter)


def external(
    b: ExpressionBinder, name: str, schema: str | None, values: Sequence[Bound], node: exp.Expr
) -> Bound | None:
    """The call of the function from outside that a name means; None if there is none for these arguments. 42725 if
    there are several."""
    known = b.binder.functions(name, schema)
    if not known:
        return None
    found = resolved(b, name, [found for found in known if found.kind == SCALAR], values, node)
    if found is None:
        from zerodb_compiler.sql.binder_external_sets import check_kind

        check_kind(b, name, schema, node)
        return None
    return _call(b, found, values, node)


def resolved(
    b: ExpressionBinder, name: str, functions: Sequence[ExternalFunction], values: Sequence[Bound], node: exp.Expr
) -> ExternalFunction | None:
    """The one of the functions that a call with these arguments means; None if none does. 42725 if several do."""
    types = [b.type_of(value) for value in values]
    found = resolve_external(functions, types)
    if found is None or isinstance(found, ExternalFunction):
        return found
    raise ProgrammingError(
        f"function {name}({', '.join(map(str, types))}) is not unique",
        sqlstate="42725",
        position=position_of(node),
        hint="add explicit casts",
    )


def _call(b: ExpressionBinder, function: ExternalFunction, values: Sequence[Bound], node: exp.Expr) -> Bound:
    function, values = completed(b, function, values)
    if b.binder.immutable_only is not None and function.volatility != IMMUTABLE:
        raise error_for("42P17", b.binder.immutable_only, position=position_of(node))
    if function.language == "sql":
        from zerodb_compiler.sql.binder_inline import inlined

        body = inlined(b, function, values, node)
        if body is not None:
            return body
    arguments = call_arguments(b, function, values, node)
    result = wire_type(function.result)
    if _is_computed_once(b, function, arguments, node):
        what = Computed("external", arguments=arguments, function=function, position=position_of(node))
        made: Expression = computed(b.binder, what, result, nullable=True)
    else:
        site = b.binder.fresh_site() if function.volatility == VOLATILE else 0
        made = ExternalCall(function, arguments, result, site, position_of(node))
    return made if result == function.result else b.cast(made, function.result, node)


def completed(
    b: ExpressionBinder, function: ExternalFunction, values: Sequence[Bound]
) -> tuple[ExternalFunction, Sequence[Bound]]:
    """The function with all its arguments, and their values: those that the call omits have their defaults."""
    if not function.omitted:
        return function, values
    context = b.binder.context
    kept, context.literals = context.literals, None  # their places are not the statement's
    try:
        defaults = []
        for text in function.defaults[len(function.defaults) - len(function.omitted) :]:
            tree = parse_expression(text)
            for part in tree.walk():
                part._meta = None
            defaults.append(b.bound(tree))
    finally:
        context.literals = kept
    whole = replace(function, arguments=(*function.arguments, *function.omitted), omitted=())
    return whole, [*values, *defaults]


def call_arguments(
    b: ExpressionBinder, function: ExternalFunction, values: Sequence[Bound], node: exp.Expr
) -> tuple[Expression, ...]:
    """The arguments in the types that the function's body takes."""
    return tuple(
        wired(b, _argument(b, value, type_, node), node)
        for value, type_ in zip(values, parameters(function), strict=True)
    )


def _argument(b: ExpressionBinder, value: Bound, type_: SqlType, node: exp.Expr) -> Expression:
    if type_.is_text:
        return b.text(value, node, lift=True)
    return b.cast(value, argument_type(b.type_of(value), type_), node, lift=True)


def wired(b: ExpressionBinder, value: Expression, node: exp.Expr) -> Expression:
    type_ = wire_type(value.type)
    return value if type_ == value.type else b.cast(value, type_, node)


def _is_computed_once(
    b: ExpressionBinder, function: ExternalFunction, arguments: Sequence[Expression], node: exp.Expr
) -> bool:
    from zerodb_compiler.sql.binder_sequences import evaluated_once

    if not all(isinstance(argument, Literal | Parameter) for argument in arguments):
        return False
    if function.volatility == VOLATILE and not (evaluated_once(b) and b.clause == "VALUES"):
        return False
    parent = node.parent
    while parent is not None:
        if isinstance(parent, _CONDITIONAL):
            return False
        if function.volatility == VOLATILE and isinstance(parent, exp.And | exp.Or):
            return False
        parent = parent.parent
    return True
