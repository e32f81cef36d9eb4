"""Subqueries in expressions: scalar, EXISTS, IN, = ANY. They may refer to columns of the queries around them."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Item, Project
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, no_operator
from zerodb_compiler.sql.binder_rows import any_row, quantified_query, row_items
from zerodb_compiler.sql.expressions import Cast, Column, ColumnRef, Exists, Expression, InSubquery, ScalarSubquery
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import BOOLEAN, TypeId


@handles(exp.Subquery, exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Values)
def _scalar(b: ExpressionBinder, node: exp.Expr) -> Bound:
    query = _query(b, node)
    column = _one_column(query, node)
    return ScalarSubquery(query.plan, column, column.type)


@handles(exp.Exists)
def _exists(b: ExpressionBinder, node: exp.Exists) -> Bound:
    only(node, "this")
    return Exists(_query(b, node.this).plan, False)


def _query(b: ExpressionBinder, node: exp.Expr) -> Query:
    return b.binder.query(node, b.scope)


def _one_column(query: Query, node: exp.Expr) -> Column:
    if len(query.columns) != 1:
        raise ProgrammingError("subquery must return only one column", position=position_of(node))
    return query.columns[0]


def in_subquery(b: ExpressionBinder, node: exp.In) -> Expression:
    only(node, "this", "query")
    if row_items(node.this) is not None:
        return any_row(b, "eq", node.this, node.args["query"], node)
    return _membership(b, b.bound(node.this), node.args["query"], node)


def quantified(b: ExpressionBinder, node: exp.Binary, function: str) -> Expression:
    """x = ANY (query) is IN, x <> ALL (query) is NOT IN; others are tests of the subquery's rows."""
    side = quantified_query(node.expression)
    if side is None:
        raise unsupported("this comparison with ANY or ALL", node)
    is_all, query = side
    if row_items(node.this) is not None or (function, is_all) not in (("eq", False), ("ne", True)):
        return any_row(b, function, node.this, query, node, is_all=is_all)
    found = _membership(b, b.bound(node.this), query, node)
    return b.call("not", (found,), BOOLEAN) if is_all else found


def _membership(b: ExpressionBinder, operand: Bound, node: exp.Expr, place: exp.Expr) -> Expression:
    query = _query(b, node)
    column = _one_column(query, node)
    operand_type = b.type_of(operand)
    common = coercion.common_type(operand_type, column.type)
    if common is None:
        raise no_operator("=", operand_type, column.type, place)
    if isinstance(operand, Constant):
        exact = b.convert_exactly(operand, column.type)
        if exact is not None:
            operand, common = exact, column.type
    if common.is_text or common.id is TypeId.NULL:
        value = b.text(operand, place)
        return InSubquery(value, query.plan, column, False, value.nullable or column.nullable)
    value = b.cast(operand, common, place)
    plan = query.plan
    if column.type != common:
        source, column = column, b.binder.column(column.name, common, column.nullable)
        plan = Project(plan, (Item(column, Cast(ColumnRef(source), common, position_of(place))),))
    return InSubquery(value, plan, column, False, value.nullable or column.nullable)
