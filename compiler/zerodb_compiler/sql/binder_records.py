"""Records in SQL: ROW(...) and (a, b) as values, (x).field, (x).*, and a table's name for its rows."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles
from zerodb_compiler.sql.binder_functions import special
from zerodb_compiler.sql.binder_structured import made
from zerodb_compiler.sql.expressions import Call, Case, ColumnRef, Expression, Literal
from zerodb_compiler.sql.nodes import fold, only, position_of
from zerodb_compiler.sql.scope import Relation, Scope, near
from zerodb_compiler.types import BOOLEAN, INTEGER, TEXT, SqlType, TypeId, struct


@handles(exp.Tuple)
def _tuple(b: ExpressionBinder, node: exp.Tuple) -> Bound:
    only(node, "expressions")
    return _row(b, "row", row_items(b, node.expressions), node)


def row_items(b: ExpressionBinder, nodes: list[exp.Expr]) -> list[Bound]:
    """The fields of ROW(...): t.* stands for all columns of t."""
    items: list[Bound] = []
    for node in nodes:
        value = b.bound(node)
        is_star = isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
        if is_star and isinstance(value, (Call, Case)) and value.type.id is TypeId.STRUCT:
            items += [field_of(value, place, node) for place in range(len(value.type.fields))]
        else:
            items.append(value)
    return items


@special("row")
def _row(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    fields = [b.text(value, node) if b.type_of(value).id is TypeId.NULL else b.finish(value) for value in values]
    return made("row", tuple(fields), struct(tuple((f"f{i + 1}", f.type) for i, f in enumerate(fields))), node)


@handles(exp.Dot)
def _dot(b: ExpressionBinder, node: exp.Dot) -> Bound:
    only(node, "this", "expression")
    if isinstance(node.expression, exp.Star):
        raise ProgrammingError(
            'row expansion via "*" is not supported here', sqlstate="0A000", position=position_of(node)
        )
    if isinstance(node.expression, exp.Anonymous):
        from zerodb_compiler.sql.binder_functions import qualified

        return qualified(b, node, node.expression)
    value = b.finish(b.bound(node.this))
    name = fold(node.expression)
    type_ = value.type
    if type_.id is not TypeId.STRUCT:
        raise ProgrammingError(
            f"column notation .{name} applied to type {type_}, which is not a composite type",
            sqlstate="42809",
            position=position_of(node),
        )
    for place, (field, _) in enumerate(type_.fields):
        if field == name:
            return field_of(value, place, node)
    known = [field for field, _ in type_.fields]
    what = (
        f'column "{name}" not found in data type {type_}'
        if type_.name
        else f'could not identify column "{name}" in record data type'
    )
    raise ProgrammingError(what, sqlstate="42703", position=position_of(node), hint=near(name, known))


def field_of(value: Expression, place: int, node: exp.Expr) -> Expression:
    if isinstance(value, Call) and value.function == "row":
        return value.arguments[place]
    return made("field", (value, Literal(place, INTEGER)), value.type.fields[place][1], node)


def is_expansion(node: exp.Expr) -> bool:
    """Whether it is (x).*"""
    return isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star)


def expansion(b: ExpressionBinder, node: exp.Dot) -> list[tuple[str, Expression]]:
    """The fields of (x).*"""
    only(node, "this", "expression")
    only(node.expression)
    value = b.finish(b.bound(node.this))
    if value.type.id is not TypeId.STRUCT:
        raise ProgrammingError(f"type {value.type} is not composite", sqlstate="42809", position=position_of(node))
    return [(name, field_of(value, place, node)) for place, (name, _) in enumerate(value.type.fields)]


def whole_row(b: ExpressionBinder, name: str, node: exp.Expr) -> Expression | None:
    """The rows of the relation of that name as a value; None if there is none."""
    scope: Scope | None = b.scope
    while scope is not None:
        relation = scope.relation(name)
        if relation is not None:
            if scope is not b.scope:
                scope.captured.extend((column, position_of(node)) for _, column in relation.columns)
                if relation.present is not None:
                    scope.captured.append((relation.present, position_of(node)))
            return _row_of(relation, node)
        scope = scope.parent
    return None


def _row_of(relation: Relation, node: exp.Expr) -> Expression:
    if relation.is_scalar:
        return ColumnRef(relation.columns[0][1])
    table = relation.table
    fields = tuple((field, _field_type(column.type)) for field, column in relation.columns)
    type_ = struct(fields, None if table is None else table.name)
    row = made("row", tuple(ColumnRef(column) for _, column in relation.columns), type_, node)
    if relation.present is not None:
        found = Call("is_not_null", (ColumnRef(relation.present),), BOOLEAN, False)
        return Case(((found, row),), Literal(None, type_), type_, True)
    if table is None:
        return row
    for info, (_, column) in zip(table.columns, relation.columns, strict=False):
        if info.not_null and column.nullable:  # an outer join may have filled it with NULLs: there is no row then
            present = Call("is_not_null", (ColumnRef(column),), BOOLEAN, False)
            return Case(((present, row),), Literal(None, type_), type_, True)
    return row


def _field_type(type_: SqlType) -> SqlType:
    return TEXT if type_.id is TypeId.NULL else type_
