"""Calls of aggregates: from their syntax to an `AggregateCall`.

name([DISTINCT] arguments [ORDER BY keys]) [FILTER (WHERE condition)]
name(direct arguments) WITHIN GROUP (ORDER BY keys) [FILTER (WHERE condition)]
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.plan.transform import same_key
from zerodb_compiler.sql import coercion, collations
from zerodb_compiler.sql.aggregates import (
    ALIASES,
    COLLECTING,
    HYPOTHETICAL,
    JSON_AGGREGATES,
    NAMES,
    ORDERED_SET,
    REGRESSION,
    can_be_null,
    result_type,
)
from zerodb_compiler.sql.binder_expressions import ExpressionBinder, typed
from zerodb_compiler.sql.binder_functions import function_name, no_function
from zerodb_compiler.sql.expressions import AggregateCall, Call, Case, Cast, Expression, Literal
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.types import BIGINT, BOOLEAN, DOUBLE, INTEGER, TEXT, UNDECIDED, SqlType, TypeId


@dataclass(frozen=True, slots=True)
class AggregateSyntax:
    """The parts of a call as written; `within` is the ORDER BY of WITHIN GROUP."""

    name: str
    node: exp.Anonymous
    arguments: tuple[exp.Expr, ...]
    distinct: bool
    order: tuple[exp.Ordered, ...]
    within: tuple[exp.Ordered, ...] | None
    where: exp.Expr | None


def is_aggregate(node: exp.Expr) -> bool:
    """Whether the node is a call of an aggregate, with or without FILTER and WITHIN GROUP."""
    while isinstance(node, (exp.Filter, exp.WithinGroup)):
        node = node.this
    return isinstance(node, exp.Anonymous) and function_name(node) in NAMES


def syntax_of(node: exp.Expr) -> AggregateSyntax:
    """The parts of a call for which `is_aggregate` holds."""
    where: exp.Expr | None = None
    within: tuple[exp.Ordered, ...] | None = None
    if isinstance(node, exp.Filter):
        only(node, "this", "expression")
        only(node.expression, "this")
        where, node = node.expression.this, node.this
    if isinstance(node, exp.WithinGroup):
        only(node, "this", "expression")
        within, node = _ordered(node.expression), node.this
    if isinstance(node, exp.Dot):  # with its schema
        node = node.expression
    assert isinstance(node, exp.Anonymous)
    only(node, "this", "expressions")
    arguments = list(node.expressions)
    order: tuple[exp.Ordered, ...] = ()
    distinct = False
    if arguments and isinstance(arguments[-1], exp.Order):
        order = _ordered(arguments[-1])
        arguments[-1] = arguments[-1].this
    if len(arguments) == 1 and isinstance(arguments[0], exp.Distinct):
        only(arguments[0], "expressions")
        distinct, arguments = True, list(arguments[0].expressions)
    return AggregateSyntax(function_name(node), node, tuple(arguments), distinct, order, within, where)


def _ordered(order: exp.Expr) -> tuple[exp.Ordered, ...]:
    assert isinstance(order, exp.Order)
    for item in order.expressions:
        only(item, "this", "desc", "nulls_first")
    return tuple(order.expressions)


def bind_call(b: ExpressionBinder, syntax: AggregateSyntax) -> AggregateCall:
    """The call, typed. ProgrammingError 42883 for wrong arguments and WITHIN GROUP in the wrong place, 42P10 for an
    ORDER BY that DISTINCT does not allow."""
    node, position = syntax.node, position_of(syntax.node)
    function = ALIASES.get(syntax.name, syntax.name)
    filter_ = b.condition(syntax.where) if syntax.where is not None else None
    if syntax.within is not None or function in ORDERED_SET | HYPOTHETICAL:
        return replace(_within_group(b, function, syntax), filter=filter_)
    if function == "count" and syntax.name == "count" and _is_star(syntax):
        return AggregateCall("count_star", None, BIGINT, False, False, filter_, position)
    call = _arguments(b, function, syntax, node)
    order = tuple(_key(b, item) for item in syntax.order)
    parts = {same_key(part): part for part in call.parts}
    if syntax.distinct and any(same_key(key.expression) not in parts for key in order):
        raise ProgrammingError(
            "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            sqlstate="42P10",
            position=position,
        )
    if syntax.distinct:  # exactly the argument's expression, not one from another place in the text
        order = tuple(replace(key, expression=parts[same_key(key.expression)]) for key in order)
    keeps_order = call.function in COLLECTING
    call = replace(call, distinct=syntax.distinct, filter=filter_, order=order if keeps_order else ())
    return replace(call, nullable=can_be_null(call, False, True))


def _is_star(syntax: AggregateSyntax) -> bool:
    if not syntax.arguments or not isinstance(syntax.arguments[0], exp.Star):
        if not syntax.arguments:
            raise ProgrammingError(
                "count(*) must be used to call a parameterless aggregate function",
                sqlstate="42809",
                position=position_of(syntax.node),
            )
        return False
    if syntax.distinct:
        raise ProgrammingError("DISTINCT is not allowed with count(*)", position=position_of(syntax.node))
    return True


def _arguments(b: ExpressionBinder, function: str, syntax: AggregateSyntax, node: exp.Expr) -> AggregateCall:
    position = position_of(node)
    values = [b.bound(argument) for argument in syntax.arguments if not isinstance(argument, exp.Star)]
    types = [b.type_of(value) for value in values]
    if any(isinstance(argument, exp.Star) for argument in syntax.arguments):
        raise no_function(syntax.name, types, node)
    if function in JSON_AGGREGATES:
        from zerodb_compiler.sql.binder_json_aggregates import json_aggregate

        return json_aggregate(b, function, values, syntax.distinct, node)
    if function in REGRESSION or syntax.name == "regr_count":
        if len(values) != 2 or not all(coercion.is_implicit(type_, DOUBLE) for type_ in types):
            raise no_function(syntax.name, types, node)
        y, x = (b.cast(value, DOUBLE, node) for value in values)
        if syntax.name == "regr_count":
            return AggregateCall("count", _both_present(b, y, x), BIGINT, False, position=position)
        return AggregateCall(function, y, DOUBLE, True, position=position, extra=(x,))
    if function == "string_agg":
        if len(values) != 2 or not all(type_.is_text or type_.id in (TypeId.NULL, TypeId.BYTEA) for type_ in types):
            raise no_function(syntax.name, types, node)
        result = types[0] if types[0].id is TypeId.BYTEA else TEXT
        text, delimiter = (
            b.text(value, node) if result == TEXT else b.cast(typed(b, value, result, node), result) for value in values
        )
        _, result = collations.in_call(function, (text, delimiter), result, position)
        return AggregateCall(function, text, result, True, position=position, extra=(delimiter,))
    if len(values) != 1:
        raise no_function(syntax.name, types, node)
    argument = b.expression(syntax.arguments[0])
    type_ = result_type(function, argument.type)
    if type_ is None:
        raise no_function(syntax.name, [argument.type], node)
    if function in ("min", "max") and collations.collation_of(type_) == UNDECIDED:
        raise collations.undecided("string comparison", position)
    if (function == "avg" and argument.type.id is TypeId.REAL) or (type_ == DOUBLE and argument.type.is_float):
        argument = b.cast(argument, DOUBLE, node)
    return AggregateCall(function, argument, type_, True, position=position)


def _both_present(b: ExpressionBinder, y: Expression, x: Expression) -> Expression:
    conditions = tuple(b.call("is_not_null", (part,), BOOLEAN) for part in (y, x) if part.nullable)
    if not conditions:
        return Literal(1, INTEGER)
    condition: Call = conditions[0] if len(conditions) == 1 else b.call("and", conditions, BOOLEAN)
    return Case(((condition, Literal(1, INTEGER)),), Literal(None, INTEGER), INTEGER, True)


# ---- WITHIN GROUP


def _within_group(b: ExpressionBinder, function: str, syntax: AggregateSyntax) -> AggregateCall:
    node, position = syntax.node, position_of(syntax.node)
    if function not in ORDERED_SET | HYPOTHETICAL:
        raise ProgrammingError(
            f"{syntax.name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP",
            sqlstate="42883",
            position=position,
        )
    if syntax.within is None:
        raise ProgrammingError(
            f"WITHIN GROUP is required for ordered-set aggregate {syntax.name}", sqlstate="42883", position=position
        )
    if syntax.distinct or syntax.order:
        raise ProgrammingError(
            "cannot use DISTINCT or an ORDER BY inside the call with WITHIN GROUP", position=position
        )
    order = tuple(_key(b, item) for item in syntax.within)
    if function in HYPOTHETICAL:
        return _hypothetical(b, function, syntax, order)
    direct = [b.bound(argument) for argument in syntax.arguments]
    types = [*map(b.type_of, direct), *(key.expression.type for key in order)]
    if len(order) != 1 or len(direct) != (function != "mode"):
        raise no_function(syntax.name, types, node)
    if function == "mode":
        return AggregateCall(function, None, order[0].expression.type, True, position=position, order=order)
    if not coercion.is_implicit(types[0], DOUBLE):
        if types[0].id is TypeId.ARRAY:
            raise unsupported(f"{function} of an array of fractions", node)
        raise no_function(syntax.name, types, node)
    fraction = b.cast(direct[0], DOUBLE, node)
    result = order[0].expression.type
    if function == "percentile_cont":
        if result.id is TypeId.INTERVAL:
            raise unsupported("percentile_cont of intervals", node)
        if not coercion.is_implicit(result, DOUBLE):
            raise no_function(syntax.name, types, node)
        result = DOUBLE
        if order[0].expression.type != DOUBLE:
            order = (replace(order[0], expression=Cast(order[0].expression, DOUBLE, position)),)
    return AggregateCall(function, None, result, True, position=position, extra=(fraction,), order=order)


def _hypothetical(
    b: ExpressionBinder, function: str, syntax: AggregateSyntax, order: tuple[SortKey, ...]
) -> AggregateCall:
    node = syntax.node
    direct = [b.bound(argument) for argument in syntax.arguments]
    if len(direct) != len(order):
        types = [*map(b.type_of, direct), *(key.expression.type for key in order)]
        raise no_function(syntax.name, types, node)
    given: list[Expression] = []
    keys: list[SortKey] = []
    for value, key in zip(direct, order, strict=True):
        type_ = coercion.common_type(b.type_of(value), key.expression.type)
        if type_ is None:
            raise ProgrammingError(
                f"WITHIN GROUP types {key.expression.type} and {b.type_of(value)} cannot be matched",
                sqlstate="42804",
                position=position_of(node),
            )
        given.append(b.cast(value, type_, node))
        expression = key.expression if key.expression.type == type_ else Cast(key.expression, type_)
        keys.append(replace(key, expression=expression))
    result: SqlType = BIGINT if function in ("rank", "dense_rank") else DOUBLE
    return AggregateCall(
        function, None, result, False, position=position_of(node), extra=tuple(given), order=tuple(keys)
    )


def _key(b: ExpressionBinder, item: exp.Ordered) -> SortKey:
    return SortKey(b.expression(item.this), bool(item.args.get("desc")), bool(item.args.get("nulls_first")))
