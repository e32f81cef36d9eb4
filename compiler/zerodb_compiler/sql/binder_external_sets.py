"""Calls of aggregates and of table functions that are not built in.

    agg(x, y order by z) filter (where c)     the groups' arguments are collected side by side, and one call takes them:
                                              agg(array_agg(x order by z) filter (...), array_agg(y order by z) ...)
    from f(a) as t                            the call gives a record with an array for each column of the table:
                                              from unnest(f(a).c1), unnest(f(a).c2) side by side

So DISTINCT, FILTER, ORDER BY, GROUPING SETS, LATERAL, ROWS FROM and WITH ORDINALITY are those of the built-in ones.
Limits (0A000): such an aggregate over a window, DISTINCT with several arguments, a table function in the select list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.binder_external import call_arguments, completed, resolved, wired
from zerodb_compiler.sql.expressions import AggregateCall, Expression, ExternalCall, Literal
from zerodb_compiler.sql.external import AGGREGATE, SCALAR, TABLE, VOLATILE, ExternalFunction, wire_type
from zerodb_compiler.sql.nodes import fold, position_of, unsupported
from zerodb_compiler.sql.signatures import argument_type
from zerodb_compiler.types import BOOLEAN, SqlType, TypeId, struct

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder_aggregate_calls import AggregateSyntax
    from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
    from zerodb_compiler.sql.set_functions import Rows


def _of_kind(b: ExpressionBinder, name: str, schema: str | None, kind: str) -> list[ExternalFunction]:
    return [found for found in b.binder.functions(name, schema) if found.kind == kind]


def _array(element: SqlType) -> SqlType:
    return SqlType(TypeId.ARRAY, element=element)


# --- aggregates -------------------------------------------------------------------------------------------------------


def called(node: exp.Expr) -> tuple[str, str | None] | None:
    """Name and schema of the function that a call is of, with or without FILTER and WITHIN GROUP."""
    from zerodb_compiler.sql.binder_functions import function_name

    while isinstance(node, exp.Filter | exp.WithinGroup):
        node = node.this
    schema = None
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
        qualifier = node.this.this if isinstance(node.this, exp.Column) else node.this
        if not isinstance(qualifier, exp.Identifier):
            return None
        schema, node = fold(qualifier), node.expression
    return (function_name(node), schema) if isinstance(node, exp.Anonymous) else None


def is_external_aggregate(b: ExpressionBinder, node: exp.Expr) -> bool:
    """Whether the node is a call of an aggregate that is not built in."""
    from zerodb_compiler.sql.binder_functions import is_built_in

    found = called(node)
    if found is None or (found[1] is None and is_built_in(found[0])):
        return False
    return bool(_of_kind(b, *found, AGGREGATE))


def external_aggregate(b: ExpressionBinder, node: exp.Expr) -> Bound:
    """The call, for which `is_external_aggregate` holds."""
    from zerodb_compiler.sql.binder_aggregate_calls import syntax_of
    from zerodb_compiler.sql.binder_aggregates import collected

    found = called(node)
    assert found is not None
    syntax = syntax_of(node)
    chosen: list[ExternalFunction] = []

    def calls() -> list[AggregateCall]:
        function = _chosen(b, *found, syntax)
        chosen.append(function)
        return _collecting(b, function, syntax)

    columns = collected(b, node, calls)
    (function,) = chosen
    result = wire_type(function.result)
    site = b.binder.fresh_site() if function.volatility == VOLATILE else 0
    # Its body leaves out rows with NULLs itself: the arrays of a group without rows are NULL, and it is called for it.
    call = ExternalCall(replace(function, strict=False), tuple(columns), result, site, position_of(syntax.node))
    return call if result == function.result else b.cast(call, function.result, node)


def _chosen(b: ExpressionBinder, name: str, schema: str | None, syntax: AggregateSyntax) -> ExternalFunction:
    from zerodb_compiler.sql.binder_functions import no_function

    node, position = syntax.node, position_of(syntax.node)
    if syntax.within is not None:
        message = f"{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"
        raise ProgrammingError(message, sqlstate="42883", position=position)
    arguments = [argument for argument in syntax.arguments if not isinstance(argument, exp.Star)]
    if len(arguments) != len(syntax.arguments) and arguments:
        raise no_function(name, [], node)
    if syntax.distinct and len(arguments) != 1:
        raise unsupported(f"DISTINCT with {len(arguments)} arguments of the aggregate {name}", node)
    values = [b.bound(argument) for argument in arguments]
    function = resolved(b, name, _of_kind(b, name, schema, AGGREGATE), values, node)
    if function is None:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return function


def _collecting(b: ExpressionBinder, function: ExternalFunction, syntax: AggregateSyntax) -> list[AggregateCall]:
    """An array_agg for each argument. Of a call without arguments the rows are collected."""
    from zerodb_compiler.sql.binder_aggregate_calls import bind_call

    arguments: Sequence[exp.Expr] = syntax.arguments
    if not function.arguments:
        arguments = (exp.true(),)
    made: list[AggregateCall] = []
    for place, argument in enumerate(arguments):
        call = bind_call(b, replace(syntax, name="array_agg", arguments=(argument,)))
        assert call.argument is not None
        type_ = function.arguments[place] if function.arguments else BOOLEAN
        made.append(_typed(b, call, type_, syntax.node))
    return made


def _typed(b: ExpressionBinder, call: AggregateCall, type_: SqlType, node: exp.Expr) -> AggregateCall:
    """With the argument in the type that the function takes, and so the keys that DISTINCT has it sorted by."""
    value = call.argument
    assert value is not None

    def fitted(part: Expression) -> Expression:
        if part.type.id is TypeId.NULL:
            return Literal(None, wire_type(type_))
        target = type_ if type_.is_text else argument_type(part.type, type_)
        return wired(b, b.text(part, node) if type_.is_text else b.cast(part, target, node), node)

    changed = fitted(value)
    order = call.order
    if call.distinct:
        order = tuple(replace(key, expression=changed) for key in order)
    return replace(call, argument=changed, type=_array(changed.type), order=order)


# --- table functions --------------------------------------------------------------------------------------------------


def external_rows(b: ExpressionBinder, name: str, schema: str | None, node: exp.Anonymous) -> Rows | None:
    """The rows of the table function that a name in FROM means; None if there is none of that name."""
    from zerodb_compiler.sql.binder_functions import no_function
    from zerodb_compiler.sql.binder_records import field_of
    from zerodb_compiler.sql.set_functions import RowColumn, Rows

    functions = _of_kind(b, name, schema, TABLE)
    if not functions:
        return None
    values = [b.bound(argument) for argument in node.expressions]
    function = resolved(b, name, functions, values, node)
    if function is None:
        raise no_function(name, [b.type_of(value) for value in values], node)
    function, given = completed(b, function, values)
    arguments = call_arguments(b, function, given, node)
    record = struct(tuple((column, _array(type_)) for column, type_ in function.results))
    site = b.binder.fresh_site() if function.volatility == VOLATILE else 0
    call = ExternalCall(function, arguments, record, site, position_of(node))
    arrays = tuple(field_of(call, place, node) for place in range(len(function.results)))
    columns = tuple(RowColumn(column, type_, True) for column, type_ in function.results)
    return Rows("unnest", arrays, columns, apart=True)


def check_kind(b: ExpressionBinder, name: str, schema: str | None, node: exp.Expr) -> None:
    """0A000 for a function in an expression that is not for expressions."""
    kinds = {found.kind for found in b.binder.functions(name, schema)} - {SCALAR}
    if TABLE in kinds:
        raise unsupported(f"the table function {name} in an expression (it stands in FROM)", node)
    if "procedure" in kinds:
        types = ", ".join(str(b.type_of(b.bound(argument))) for argument in node.args.get("expressions") or ())
        raise ProgrammingError(
            f"{name}({types}) is a procedure",
            sqlstate="42809",
            position=position_of(node),
            hint="To call a procedure, use CALL.",
        )
    if "trigger" in kinds:
        raise ProgrammingError(
            "trigger functions can only be called as triggers", sqlstate="0A000", position=position_of(node)
        )
