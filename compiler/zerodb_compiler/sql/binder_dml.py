"""INSERT, UPDATE and DELETE: each becomes a query that gives the rows to write, or the ids of the rows to change."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Filter, Item, LogicalPlan, Project, Scan, Values
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_from import join_others, scan_for_change, with_tables
from zerodb_compiler.sql.binder_queries import bind_query
from zerodb_compiler.sql.expressions import AggregateCall, Column, ColumnRef, Expression, Literal
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, Step, UserValue
from zerodb_compiler.sql.parse import parse_expression
from zerodb_compiler.sql.scope import Scope, near
from zerodb_compiler.sql.values import fit_text, format_value
from zerodb_compiler.types import TEXT, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


def insert(binder: Binder, node: exp.Insert) -> st.Insert:
    only(node, "this", "expression", "default", "with_")
    target = node.this
    names: list[exp.Expr] = []
    if isinstance(target, exp.Schema):
        only(target, "this", "expressions")
        target, names = target.this, list(target.expressions)
    if not isinstance(target, exp.Table):
        raise unsupported("this target of INSERT", node)
    only(target, "this", "db")
    table = binder.table(target)
    ordinals = _ordinals(table, names) if names else list(range(len(table.columns)))
    source = node.args.get("expression")
    with_ = node.args.get("with_")
    common = with_tables(with_, None, {}) if with_ is not None else {}
    if source is None:
        if not node.args.get("default"):
            raise ProgrammingError("syntax error: INSERT without a source", position=position_of(node))
        return st.Insert(table, _insert_values(binder, table, [], [[]]))
    if isinstance(source, exp.Values) and not any(
        source.args.get(key) for key in ("order", "limit", "offset", "with_")
    ):
        only(source, "expressions")
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in source.expressions]
        _check_widths(rows, ordinals, bool(names))
        return st.Insert(table, _insert_values(binder, table, ordinals[: len(rows[0])], rows))
    targets = [table.columns[i].type for i in ordinals]
    query = bind_query(binder, source, None, common, targets=targets)
    if len(query.columns) > len(ordinals) or (names and len(query.columns) < len(ordinals)):
        raise _width_error(len(query.columns) > len(ordinals), source)
    expressions = ExpressionBinder(binder, Scope(common=common), "INSERT")
    given = dict(zip(ordinals, query.columns, strict=False))
    items: list[Item] = []
    used: set[int] = set()
    for i, info in enumerate(table.columns):
        if i in given:
            expression = assigned(expressions, ColumnRef(given[i]), info, source)
        else:
            expression = default_value(expressions, info)
        if isinstance(expression, ColumnRef) and expression.column.id not in used:
            used.add(expression.column.id)
            items.append(Item(expression.column, expression))
        else:
            items.append(Item(binder.column(info.name, expression.type, expression.nullable), expression))
    return st.Insert(table, Project(query.plan, tuple(items)))


def _insert_values(binder: Binder, table: TableInfo, ordinals: list[int], rows: list[list[exp.Expr]]) -> Values:
    expressions = ExpressionBinder(binder, Scope(common={}), "VALUES", lifting=True)
    places = {ordinal: i for i, ordinal in enumerate(ordinals)}
    defaults = {i: default_value(expressions, info) for i, info in enumerate(table.columns) if i not in places}
    plan_rows: list[tuple[Expression, ...]] = []
    for row in rows:
        cells: list[Expression] = []
        for i, info in enumerate(table.columns):
            if i in defaults:
                cells.append(defaults[i])
            elif _is_default(row[places[i]]):
                cells.append(default_value(expressions, info))
            else:
                cell = row[places[i]]
                cells.append(assigned(expressions, expressions.bound(cell), info, cell, lift=True))
        plan_rows.append(tuple(cells))
    columns = tuple(
        binder.column(info.name, plan_rows[0][i].type, any(row[i].nullable for row in plan_rows))
        for i, info in enumerate(table.columns)
    )
    return Values(columns, tuple(plan_rows))


def _check_widths(rows: list[list[exp.Expr]], ordinals: list[int], named: bool) -> None:
    width = len(rows[0])
    for row in rows:
        if len(row) != width:
            raise ProgrammingError("VALUES lists must all be the same length", position=position_of(row))
    if width > len(ordinals) or (named and width < len(ordinals)):
        place = rows[0][len(ordinals)] if width > len(ordinals) else rows[0][0]
        raise _width_error(width > len(ordinals), place)


def _width_error(more_expressions: bool, node: exp.Expr) -> ProgrammingError:
    first, second = ("expressions", "target columns") if more_expressions else ("target columns", "expressions")
    return ProgrammingError(f"INSERT has more {first} than {second}", position=position_of(node))


def _ordinals(table: TableInfo, names: list[exp.Expr]) -> list[int]:
    found: list[int] = []
    for node in names:
        ordinal = _ordinal(table, node)
        if ordinal in found:
            raise ProgrammingError(
                f'column "{fold(node)}" specified more than once', sqlstate="42701", position=position_of(node)
            )
        found.append(ordinal)
    return found


def _ordinal(table: TableInfo, node: exp.Expr) -> int:
    if not isinstance(node, exp.Identifier):
        raise unsupported("this target column", node)
    name = fold(node)
    for i, info in enumerate(table.columns):
        if info.name == name:
            return i
    raise ProgrammingError(
        f'column "{name}" of relation "{table.name}" does not exist',
        sqlstate="42703",
        position=position_of(node),
        hint=near(name, [info.name for info in table.columns]),
    )


def _is_default(node: exp.Expr) -> bool:
    if isinstance(node, exp.Column) and node.args.get("table") is None:
        node = node.this
    return (
        isinstance(node, (exp.Var, exp.Identifier)) and not node.args.get("quoted") and node.name.upper() == "DEFAULT"
    )


def default_value(expressions: ExpressionBinder, info: ColumnInfo) -> Expression:
    """The column's DEFAULT, or NULL."""
    if info.default is None:
        return Literal(None, info.type)
    value = ExpressionBinder(expressions.binder, Scope(common={}), "DEFAULT").bound(parse_expression(info.default))
    if isinstance(value, Constant):
        # Its offsets are places in another text than the statement's.
        value = replace(value, position=None, sources=(), steps=None)
    return assigned(expressions, value, info, None)


def assigned(
    b: ExpressionBinder, value: Bound, info: ColumnInfo, node: exp.Expr | None, *, lift: bool = False
) -> Expression:
    """The value as INSERT and UPDATE store it: in the column's type, where PostgreSQL has an assignment cast.

    Text that is not constant keeps its own declared length: whoever writes the row checks it (22001).
    """
    source, target = b.type_of(value), info.type
    if isinstance(value, UserValue):
        return b.cast(value, target, node)
    if not coercion.is_assignable(source, target):
        raise ProgrammingError(
            f'column "{info.name}" is of type {target} but expression is of type {source}',
            sqlstate="42804",
            position=position_of(node),
            hint="add an explicit cast",
        )
    if isinstance(value, Constant):
        if target.is_text and source.id is not TypeId.NULL and value.value is not None:
            text = fit_text(target, format_value(source, value.value) or "", value.position)
            steps: tuple[Step, ...] | None = (
                None if value.steps is None else (*value.steps, partial(_stored_text, source, target))
            )
            constant = Constant(target, text, value.position, value.sources, steps)
        else:
            constant = b.convert(value, target)
        return b.finish(constant, lift=lift)
    if target.is_text:
        text_value = b.finish(value) if source.is_text else b.cast(value, TEXT, node)
        return b.call("rtrim", (text_value,), TEXT, node) if target.padded and not source.padded else text_value
    return b.cast(value, target, node)


def _stored_text(source: SqlType, target: SqlType, value: int | float | str) -> str:
    return fit_text(target, format_value(source, value) or "")


def update(binder: Binder, node: exp.Update) -> st.Update:
    only(node, "this", "expressions", "from_", "where")
    scan, plan, scope = _changed(binder, node.this, [node.args["from_"].this] if node.args.get("from_") else [])
    expressions = ExpressionBinder(binder, scope, "UPDATE", lifting=False)
    values: dict[int, Expression] = {}
    for target, value in _assignments(node):
        if not isinstance(target, exp.Column) or target.args.get("table") is not None:
            raise ProgrammingError("syntax error in the SET list", position=position_of(target))
        ordinal = _ordinal(scan.table, target.this)
        if ordinal in values:
            raise ProgrammingError(
                f'multiple assignments to same column "{fold(target.this)}"',
                sqlstate="42601",
                position=position_of(target),
            )
        info = scan.table.columns[ordinal]
        if _is_default(value):
            values[ordinal] = default_value(expressions, info)
        else:
            values[ordinal] = assigned(expressions, expressions.bound(value), info, value, lift=True)
    plan = _filtered(binder, plan, scope, node)
    assert scan.row_id is not None
    items = [Item(scan.row_id, ColumnRef(scan.row_id))]
    for i, item in enumerate(scan.columns):
        if i in values:
            items.append(Item(binder.column(item.column.name, values[i].type, values[i].nullable), values[i]))
        else:
            items.append(Item(item.column, ColumnRef(item.column)))
    plan = Project(plan, tuple(items))
    if node.args.get("from_"):
        plan = _first_of_each(binder, plan)
    return st.Update(scan.table, plan, tuple(sorted(values)))


def delete(binder: Binder, node: exp.Delete) -> st.Delete:
    only(node, "this", "using", "where")
    scan, plan, scope = _changed(binder, node.this, list(node.args.get("using") or []))
    plan = _filtered(binder, plan, scope, node)
    assert scan.row_id is not None
    item = Item(scan.row_id, ColumnRef(scan.row_id))
    if node.args.get("using"):
        return st.Delete(scan.table, Aggregate(plan, (item,), ()))
    return st.Delete(scan.table, Project(plan, (item,)))


def _changed(binder: Binder, node: exp.Expr, others: list[exp.Expr]) -> tuple[Scan, LogicalPlan, Scope]:
    if not isinstance(node, exp.Table):
        raise unsupported("this target", node)
    only(node, "this", "alias", "db")
    scan, relation = scan_for_change(binder, node)
    plan, scope = join_others(binder, scan, relation, others)
    return scan, plan, scope


def _filtered(binder: Binder, plan: LogicalPlan, scope: Scope, node: exp.Expr) -> LogicalPlan:
    where = node.args.get("where")
    if where is None:
        return plan
    only(where, "this")
    return Filter(plan, ExpressionBinder(binder, scope, "WHERE", lifting=True).condition(where.this))


def _assignments(node: exp.Update) -> list[tuple[exp.Expr, exp.Expr]]:
    pairs: list[tuple[exp.Expr, exp.Expr]] = []
    for item in node.expressions:
        if not isinstance(item, exp.EQ):
            raise ProgrammingError("syntax error in the SET list", position=position_of(item))
        only(item, "this", "expression")
        left, right = item.this, item.expression
        if isinstance(left, exp.Paren):
            left, right = left.this, right.this if isinstance(right, exp.Paren) else right
        if not isinstance(left, exp.Tuple):
            pairs.append((left, right))
            continue
        if not isinstance(right, exp.Tuple):
            raise unsupported("assignment of a row from a subquery", item)
        if len(left.expressions) != len(right.expressions):
            raise ProgrammingError("number of columns does not match number of values", position=position_of(item))
        pairs += list(zip(left.expressions, right.expressions, strict=True))
    return pairs


def _first_of_each(binder: Binder, plan: Project) -> LogicalPlan:
    """UPDATE ... FROM: a row that joins several times is changed once, by any of them."""
    row_id, *rest = plan.items
    columns: list[Column] = []
    aggregates: list[AggregateItem] = []
    for item in rest:
        column = binder.column(item.column.name, item.column.type, item.column.nullable)
        call = AggregateCall("any_value", ColumnRef(item.column), column.type, column.nullable)
        columns.append(column)
        aggregates.append(AggregateItem(column, call))
    return Aggregate(plan, (Item(row_id.column, ColumnRef(row_id.column)),), tuple(aggregates))
