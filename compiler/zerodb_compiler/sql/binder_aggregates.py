"""Aggregates and GROUP BY.

A clause above the grouping (select list, HAVING, ORDER BY) is bound as if there were no grouping, but for aggregate
calls, which are collected and become columns of the Aggregate node. Then `Aggregates.above` replaces what equals a
group key by the key's column and refuses every input column that is left (42803).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.plan.logical import AggregateItem, Item
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles
from zerodb_compiler.sql.binder_functions import function_name, no_function
from zerodb_compiler.sql.expressions import (
    AggregateCall,
    Call,
    Case,
    Cast,
    Column,
    ColumnRef,
    Expression,
    InSubquery,
    walk,
)
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.scope import Scope
from zerodb_compiler.types import BIGINT, BOOLEAN, DOUBLE, MAX_PRECISION, SqlType, TypeId, numeric

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

# SQL name -> AggregateCall.function
AGGREGATES = {name: name for name in ("count", "sum", "avg", "min", "max", "bool_and", "bool_or", "any_value")}
AGGREGATES["every"] = "bool_and"


@handles(exp.Filter)
def _filter(b: ExpressionBinder, node: exp.Filter) -> Bound:
    only(node, "this", "expression")
    only(node.expression, "this")
    call = node.this
    if not isinstance(call, exp.Anonymous) or function_name(call) not in AGGREGATES:
        raise unsupported("FILTER of this function", node)
    only(call, "this", "expressions")
    return aggregate(b, AGGREGATES[function_name(call)], call, list(call.expressions), node.expression.this)


def aggregate(
    b: ExpressionBinder, name: str, node: exp.Expr, arguments: list[exp.Expr], where: exp.Expr | None
) -> Expression:
    """A call of an aggregate: a reference to the column it fills."""
    position = position_of(node)
    if b.in_aggregate:
        raise ProgrammingError("aggregate function calls cannot be nested", sqlstate="42803", position=position)
    if b.aggregates is None:
        raise ProgrammingError(
            f"aggregate functions are not allowed in {b.clause}", sqlstate="42803", position=position
        )
    lifting, b.lifting, b.in_aggregate = b.lifting, False, True
    try:
        call = _call(b, name, node, arguments, where)
    finally:
        b.lifting, b.in_aggregate = lifting, False
    return ColumnRef(b.aggregates.column(b.binder, call, node))


def call_of(b: ExpressionBinder, node: exp.Expr, where: exp.Expr | None) -> AggregateCall | None:
    """An aggregate's call that is not collected here (a window's); None if the node is no aggregate."""
    if not isinstance(node, exp.Anonymous) or function_name(node) not in AGGREGATES:
        return None
    only(node, "this", "expressions")
    return _call(b, AGGREGATES[function_name(node)], node, list(node.expressions), where)


def _call(
    b: ExpressionBinder, name: str, node: exp.Expr, arguments: list[exp.Expr], where: exp.Expr | None
) -> AggregateCall:
    distinct = False
    if len(arguments) == 1 and isinstance(arguments[0], exp.Distinct):
        only(arguments[0], "expressions")
        distinct, arguments = True, list(arguments[0].expressions)
    filter_ = b.condition(where) if where is not None else None
    position = position_of(node)
    if name == "count" and (not arguments or isinstance(arguments[0], exp.Star)):
        if distinct:
            raise ProgrammingError("DISTINCT is not allowed with count(*)", position=position)
        return AggregateCall("count_star", None, BIGINT, False, False, filter_, position)
    if len(arguments) == 1 and isinstance(arguments[0], exp.Order):
        arguments = [arguments[0].this] if name in ("min", "max", "bool_and", "bool_or", "count") else arguments
    if len(arguments) != 1 or isinstance(arguments[0], exp.Star):
        types = [b.type_of(b.bound(argument)) for argument in arguments if not isinstance(argument, exp.Star)]
        raise no_function(name, types, node)
    argument = b.expression(arguments[0])
    type_ = result_type(name, argument.type)
    if type_ is None:
        raise no_function(name, [argument.type], node)
    if name in ("min", "max", "bool_and", "bool_or", "any_value"):
        distinct = False
    if name == "avg" and argument.type.id is TypeId.REAL:
        argument = Cast(argument, DOUBLE, position)
    return AggregateCall(name, argument, type_, name != "count", distinct, filter_, position)


def result_type(name: str, type_: SqlType) -> SqlType | None:
    """The type an aggregate gives for an argument type, or None if it takes none such."""
    match name:
        case "count":
            return BIGINT
        case "bool_and" | "bool_or":
            return BOOLEAN if type_.id is TypeId.BOOLEAN else None
        case "min" | "max":
            return None if type_.id is TypeId.BOOLEAN else type_
        case "any_value":
            return type_
    if type_.is_float:
        return type_ if name == "sum" else DOUBLE
    if not type_.is_exact:
        return None
    if name == "avg":
        return numeric(MAX_PRECISION, max(16, type_.scale))
    if type_.id in (TypeId.SMALLINT, TypeId.INTEGER):
        return BIGINT
    return numeric(MAX_PRECISION, type_.scale)


@dataclass(slots=True)
class Aggregates:
    """The aggregates and group keys of one query level."""

    scope: Scope
    items: list[AggregateItem] = field(default_factory=list)
    keys: list[Item] = field(default_factory=list)
    _found: dict[object, Column] = field(default_factory=dict)
    _key_columns: dict[object, Column] = field(default_factory=dict)
    _allowed: set[int] = field(default_factory=set)
    _expressions: bool = False

    @property
    def is_grouped(self) -> bool:
        return bool(self.items or self.keys)

    @property
    def has_expression_keys(self) -> bool:
        return self._expressions

    def column(self, binder: Binder, call: AggregateCall, node: exp.Expr) -> Column:
        """The column of this call; equal calls share one."""
        inner = {column.id for relation in self.scope.relations for _, column in relation.columns}
        used = [part.column for part in walk(call) if isinstance(part, ColumnRef)]
        if used and not any(column.id in inner for column in used):
            raise unsupported("an aggregate over columns of an outer query", node)
        key = signature(call)
        found = self._found.get(key)
        if found is None:
            found = binder.column("count" if call.function == "count_star" else call.function, call.type, call.nullable)
            self._found[key] = found
            self._allowed.add(found.id)
            self.items.append(AggregateItem(found, call))
        return found

    def add_key(self, binder: Binder, expression: Expression, name: str) -> Column:
        key = signature(expression)
        found = self._key_columns.get(key)
        if found is None:
            if isinstance(expression, ColumnRef):
                found = expression.column
            else:
                found = binder.column(name, expression.type, expression.nullable)
                self._expressions = True
            self._key_columns[key] = found
            self._allowed.add(found.id)
            self.keys.append(Item(found, expression))
        return found

    def above(self, binder: Binder, expression: Expression) -> Expression:
        """The expression over the Aggregate's output instead of its input."""
        if isinstance(expression, ColumnRef):
            self._check(binder, expression.column, binder.places.get(expression.column.id))
            return expression
        if self._expressions:
            found = self._key_columns.get(signature(expression))
            if found is not None:
                return ColumnRef(found)
        return _rebuild(expression, lambda part: self.above(binder, part))

    def check_captured(self, binder: Binder) -> None:
        """Outer references that subqueries of the clauses above the grouping made."""
        for column, position in self.scope.captured:
            self._check(binder, column, position)

    def _check(self, binder: Binder, column: Column, position: int | None) -> None:
        if column.id in self._allowed:
            return
        for relation in self.scope.relations:
            for name, candidate in relation.columns:
                if candidate.id != column.id:
                    continue
                if relation.table is not None and relation.table.primary_key:
                    key = {relation.columns[i][1].id for i in relation.table.primary_key}
                    if key <= self._allowed:  # the primary key decides all other columns of the table
                        self.add_key(binder, ColumnRef(column), name)
                        return
                qualified = f"{relation.name}.{name}" if relation.name else name
                raise ProgrammingError(
                    f'column "{qualified}" must appear in the GROUP BY clause or be used in an aggregate function',
                    sqlstate="42803",
                    position=position,
                )


def _rebuild(expression: Expression, change: object) -> Expression:
    """The expression with `change` applied to its direct parts; the same object if nothing changed."""
    assert callable(change)
    match expression:
        case Call(arguments=arguments):
            changed = tuple(change(part) for part in arguments)
            return expression if changed == arguments else replace(expression, arguments=changed)
        case Cast(argument=argument):
            inner = change(argument)
            return expression if inner is argument else replace(expression, argument=inner)
        case Case(branches=branches, default=default):
            return replace(
                expression,
                branches=tuple((change(condition), change(result)) for condition, result in branches),
                default=change(default),
            )
        case InSubquery(operand=operand):
            inner = change(operand)
            return expression if inner is operand else replace(expression, operand=inner)
    return expression


def signature(expression: Expression | None) -> object:
    """What makes two expressions the same one: everything but their places in the text."""
    match expression:
        case ColumnRef(column=column):
            return column.id
        case Call(function=function, arguments=arguments, type=type_):
            return (function, type_, tuple(map(signature, arguments)))
        case Cast(argument=argument, type=type_):
            return ("cast", type_, signature(argument))
        case Case(branches=branches, default=default, type=type_):
            pairs = tuple((signature(condition), signature(result)) for condition, result in branches)
            return ("case", type_, pairs, signature(default))
        case AggregateCall(function=function, argument=argument, distinct=distinct, filter=filter_):
            return (function, distinct, signature(argument), signature(filter_))
    return expression


__all__ = ["AGGREGATES", "Aggregates", "aggregate", "coercion", "error_for", "result_type", "signature"]
