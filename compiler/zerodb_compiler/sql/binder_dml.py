"""INSERT, UPDATE and DELETE: each becomes a query that gives the rows to write, or the ids of the rows to change."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Filter, Item, LogicalPlan, Project, Scan, Values
from zerodb_compiler.plan.transform import substitute
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_from import join_others, scan_for_change
from zerodb_compiler.sql.binder_queries import bind_query
from zerodb_compiler.sql.binder_returning import with_returning
from zerodb_compiler.sql.binder_sequences import check_inserted, check_updated, next_value
from zerodb_compiler.sql.binder_updatable import real, shown
from zerodb_compiler.sql.binder_with import CommonTables, with_tables
from zerodb_compiler.sql.computed import numbered
from zerodb_compiler.sql.expressions import AggregateCall, Column, ColumnRef, Expression, Literal, ScalarSubquery
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, Step, UserValue
from zerodb_compiler.sql.parse import parse_expression
from zerodb_compiler.sql.scope import Relation, Scope, near
from zerodb_compiler.sql.values import fit_text, format_value
from zerodb_compiler.types import BIGINT, TEXT, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


def insert(binder: Binder, node: exp.Insert, common: CommonTables | None = None) -> st.Insert | st.Merge:
    only(node, "this", "expression", "default", "with_", "returning", "conflict", "overriding")
    common = common_tables(node, common)
    relation, names = _insert_target(binder, node)
    table = relation.table
    assert table is not None
    if table.seen_by is not None and not names:
        names = [exp.to_identifier(name, quoted=True) for name, _ in table.seen_by.columns]
    ordinals = insert_ordinals(table, names) if names else list(range(len(table.columns)))
    conflict = node.args.get("conflict")
    updates = conflict is not None and str(conflict.args["action"]).upper() == "DO UPDATE"
    plan = _insert_source(binder, node, table, ordinals, bool(names), common, ordered=updates)
    if conflict is not None:
        from zerodb_compiler.sql.binder_conflict import do_nothing, do_update

        if updates:
            return do_update(binder, node, conflict, relation, plan, common)
        nothing = do_nothing(conflict, table)
    if node.args.get("returning") is not None:
        plan = with_generated(binder, plan, table)
    written = plan.output
    pairs = [(info.name, column) for info, column in zip(table.columns, written, strict=True)]
    pairs = shown(table, pairs)
    scope = Scope([replace(relation, columns=pairs)], pairs, None, common)
    plan, returning = with_returning(binder, node, plan, written, scope)
    return st.Insert(real(table), plan, returning, nothing if conflict is not None else None)


def common_tables(node: exp.Expr, common: CommonTables | None) -> CommonTables:
    """The common tables that a change sees: those around it and its own."""
    with_ = node.args.get("with_")
    return with_tables(with_, None, common or {}) if with_ is not None else common or {}


def _insert_target(binder: Binder, node: exp.Insert) -> tuple[Relation, list[exp.Expr]]:
    """The table as RETURNING and ON CONFLICT see it, and the names of the column list."""
    target = node.this
    names: list[exp.Expr] = []
    if isinstance(target, exp.Schema):
        only(target, "this", "expressions")
        target, names = target.this, list(target.expressions)
    if not isinstance(target, exp.Table):
        raise unsupported("this target of INSERT", node)
    only(target, "this", "db", "alias")
    table = binder.changed_table(target)
    if not table.columns:
        raise unsupported("rows of a table without columns", target)
    alias = target.args.get("alias")
    if alias is not None:
        only(alias, "this")
    name = fold(alias.this) if alias is not None else fold(target.this)
    return Relation(name, [], table, position_of(target)), names


def _insert_source(
    binder: Binder,
    node: exp.Insert,
    table: TableInfo,
    ordinals: list[int],
    named: bool,
    common: CommonTables,
    *,
    ordered: bool,
) -> LogicalPlan:
    """The rows to insert: one column per table column. VALUES lists that are `ordered` have one more, their place."""
    source = node.args.get("expression")
    if source is None:
        if not node.args.get("default"):
            raise ProgrammingError("syntax error: INSERT without a source", position=position_of(node))
        return _insert_values(binder, table, [], [[]], common, ordered=ordered)
    if isinstance(source, exp.Values) and not any(
        source.args.get(key) for key in ("order", "limit", "offset", "with_")
    ):
        only(source, "expressions")
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in source.expressions]
        check_insert_width(rows, ordinals, named)
        overriding = node.args.get("overriding")
        if overriding == "user":  # what is given for identity columns does not count
            given_by_us = {i for i, info in enumerate(table.columns) if info.identity is not None}
            rows = [[_DEFAULT if i in given_by_us else c for i, c in zip(ordinals, r, strict=False)] for r in rows]
        for i, cell in ((i, cell) for row in rows for i, cell in zip(ordinals, row, strict=False)):
            if not is_default(cell):
                check_inserted(table, i, cell, overriding)
        return _insert_values(binder, table, ordinals[: len(rows[0])], rows, common, ordered=ordered)
    targets = [table.columns[i].type for i in ordinals]
    binder.top = source
    query = bind_query(binder, source, None, common, targets=targets)
    if len(query.columns) > len(ordinals) or (named and len(query.columns) < len(ordinals)):
        raise _width_error(len(query.columns) > len(ordinals), source)
    expressions = ExpressionBinder(binder, Scope(common=common), "INSERT")
    expressions.numbers_rows = True
    given = dict(zip(ordinals, query.columns, strict=False))
    if node.args.get("overriding") == "user":
        given = {i: column for i, column in given.items() if table.columns[i].identity is None}
    for i in given:
        check_inserted(table, i, source, node.args.get("overriding"))
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
    return Project(numbered(query.plan, expressions.row_number), tuple(items))


def _insert_values(
    binder: Binder,
    table: TableInfo,
    ordinals: list[int],
    rows: list[list[exp.Expr]],
    common: CommonTables,
    *,
    ordered: bool,
) -> Values:
    expressions = ExpressionBinder(binder, Scope(common=common), "VALUES", lifting=True)
    places = {ordinal: i for i, ordinal in enumerate(ordinals)}
    defaults = {
        i: default_value(expressions, info)
        for i, info in enumerate(table.columns)
        if i not in places and info.sequence is None
    }
    plan_rows: list[tuple[Expression, ...]] = []
    for number, row in enumerate(rows):
        cells: list[Expression] = []
        for i, info in enumerate(table.columns):
            if i in defaults:
                cells.append(defaults[i])
            elif i not in places or is_default(row[places[i]]):
                cells.append(default_value(expressions, info))
            else:
                cell = row[places[i]]
                cells.append(assigned(expressions, expressions.bound(cell), info, cell, lift=True))
        if ordered:
            cells.append(Literal(number, BIGINT))
        plan_rows.append(tuple(cells))
    columns = [
        binder.column(info.name, plan_rows[0][i].type, any(row[i].nullable for row in plan_rows))
        for i, info in enumerate(table.columns)
    ]
    if ordered:
        columns.append(binder.column("place", BIGINT, False))
    return Values(tuple(columns), tuple(plan_rows))


def check_insert_width(rows: list[list[exp.Expr]], ordinals: list[int], named: bool) -> None:
    width = len(rows[0])
    for row in rows:
        if not row:
            raise ProgrammingError('syntax error at or near ")"')
        if len(row) != width:
            raise ProgrammingError("VALUES lists must all be the same length", position=position_of(row))
    if width > len(ordinals) or (named and width < len(ordinals)):
        place = rows[0][len(ordinals)] if width > len(ordinals) else rows[0][0]
        raise _width_error(width > len(ordinals), place)


def _width_error(more_expressions: bool, node: exp.Expr) -> ProgrammingError:
    first, second = ("expressions", "target columns") if more_expressions else ("target columns", "expressions")
    return ProgrammingError(f"INSERT has more {first} than {second}", position=position_of(node))


def insert_ordinals(table: TableInfo, names: list[exp.Expr]) -> list[int]:
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
    raise _no_column(table, node)


def _no_column(table: TableInfo, node: exp.Expr) -> ProgrammingError:
    name = fold(node)
    return ProgrammingError(
        f'column "{name}" of relation "{table.name}" does not exist',
        sqlstate="42703",
        position=position_of(node),
        hint=near(name, [info.name for info in table.columns]),
    )


_DEFAULT = exp.Var(this="DEFAULT")


def is_default(node: exp.Expr) -> bool:
    if isinstance(node, exp.Column) and node.args.get("table") is None:
        node = node.this
    return (
        isinstance(node, (exp.Var, exp.Identifier)) and not node.args.get("quoted") and node.name.upper() == "DEFAULT"
    )


def default_value(expressions: ExpressionBinder, info: ColumnInfo) -> Expression:
    """The column's DEFAULT, or NULL."""
    if info.sequence is not None:
        following = next_value(expressions, info.sequence, None, info.type if info.type.is_integer else BIGINT)
        return assigned(expressions, following, info, None)
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


def update(binder: Binder, node: exp.Update, common: CommonTables | None = None) -> st.Update:
    only(node, "this", "expressions", "from_", "where", "with_", "returning")
    common = common_tables(node, common)
    from_ = node.args.get("from_")
    scan, plan, scope = _changed(binder, node.this, [from_.this] if from_ is not None else [], common)
    expressions = ExpressionBinder(binder, scope, "UPDATE", lifting=False)
    expressions.numbers_rows = from_ is None
    assigned_to = assignments(expressions, scan.table, node)
    values = {i: value for i, value in assigned_to.items() if scan.table.columns[i].generated is None}  # else DEFAULT
    plan = numbered(_filtered(binder, plan, scope, node), expressions.row_number)
    assert scan.row_id is not None
    items = [Item(scan.row_id, ColumnRef(scan.row_id))]
    new: dict[int, Column] = {}  # old column id -> the new value's column
    for i, item in enumerate(scan.columns):
        if i in values:
            column = binder.column(item.column.name, values[i].type, values[i].nullable)
            items.append(Item(column, values[i]))
            new[item.column.id] = column
        else:
            items.append(Item(item.column, ColumnRef(item.column)))
    if node.args.get("returning") is not None:
        items = generated_items(binder, items, scan.table, new)
    kept = [item.column for item in items]
    target, *others = scope.relations
    if node.args.get("returning") is not None:  # it sees the new row, and the others as they were
        known = {column.id for column in kept}
        for relation in others:
            for _, column in relation.columns:
                if column.id not in known:
                    known.add(column.id)
                    items.append(Item(column, ColumnRef(column)))
        relations = [replace(target, columns=[(n, new.get(c.id, c)) for n, c in target.columns]), *others]
        scope = Scope(relations, [(n, new.get(c.id, c)) for n, c in scope.visible], None, common)
    plan, returning = with_returning(binder, node, Project(plan, tuple(items)), kept, scope)
    if from_ is not None:
        plan, returning = _first_of_each(binder, plan, returning)
    return st.Update(real(scan.table), plan, tuple(sorted(assigned_to)), returning)


def with_generated(binder: Binder, plan: LogicalPlan, table: TableInfo) -> LogicalPlan:
    """The rows to insert with their generated columns, for RETURNING to see."""
    if all(info.generated is None for info in table.columns):
        return plan
    items = [Item(column, ColumnRef(column)) for column in plan.output]
    return Project(plan, tuple(generated_after(binder, items, 0, table, {})))


def generated_items(binder: Binder, items: list[Item], table: TableInfo, new: dict[int, Column]) -> list[Item]:
    """The items of an UPDATE, the row id and the new values, with the generated columns computed of them."""
    if all(info.generated is None for info in table.columns):
        return items
    return generated_after(binder, items, 1, table, new)


def generated_after(
    binder: Binder, items: list[Item], first: int, table: TableInfo, new: dict[int, Column]
) -> list[Item]:
    columns = list(zip(table.columns, items[first:], strict=False))
    pairs = [(info.name, item.column) for info, item in columns]
    values = {item.column.id: item.expression for item in items}
    expressions = ExpressionBinder(binder, Scope([Relation(table.name, pairs)], pairs, common={}), "GENERATED")
    found = list(items)
    for place, (info, item) in enumerate(columns):
        if info.generated is not None:
            tree = parse_expression(info.generated)
            value = assigned(expressions, expressions.bound(tree), info, tree)
            value = substitute(value, values)
            column = binder.column(info.name, value.type, value.nullable)
            found[first + place] = Item(column, value)
            new[item.column.id] = column
    return found


def assignments(b: ExpressionBinder, table: TableInfo, node: exp.Expr) -> dict[int, Expression]:
    """The new values of SET, by column ordinal."""
    values: dict[int, Expression] = {}
    for target, value in _assignments(b, node):
        if not isinstance(target, exp.Column) or target.args.get("table") is not None:
            if isinstance(target, exp.Bracket):
                raise unsupported("assignment to an element of an array", target)
            if isinstance(target, exp.Column):
                raise _no_column(table, target.args["table"])
            raise ProgrammingError("syntax error in the SET list", position=position_of(target))
        ordinal = _ordinal(table, target.this)
        if ordinal in values:
            raise ProgrammingError(
                f'multiple assignments to same column "{fold(target.this)}"',
                sqlstate="42601",
                position=position_of(target),
            )
        info = table.columns[ordinal]
        if isinstance(value, exp.Expr) and is_default(value):
            values[ordinal] = default_value(b, info)
            continue
        check_updated(info, target)
        if isinstance(value, exp.Expr):
            values[ordinal] = assigned(b, b.bound(value), info, value, lift=b.lifting or b.clause == "UPDATE")
        else:
            values[ordinal] = assigned(b, value, info, target)
    return values


def delete(binder: Binder, node: exp.Delete, common: CommonTables | None = None) -> st.Delete:
    only(node, "this", "using", "where", "with_", "returning")
    common = common_tables(node, common)
    others = list(node.args.get("using") or [])
    scan, plan, scope = _changed(binder, node.this, others, common)
    plan = _filtered(binder, plan, scope, node)
    assert scan.row_id is not None
    if node.args.get("returning") is None:
        item = Item(scan.row_id, ColumnRef(scan.row_id))
        return st.Delete(real(scan.table), Aggregate(plan, (item,), ()) if others else Project(plan, (item,)))
    plan, returning = with_returning(binder, node, plan, (scan.row_id,), scope)
    if others:
        plan, returning = _first_of_each(binder, plan, returning)
    return st.Delete(real(scan.table), plan, returning)


def _changed(
    binder: Binder, node: exp.Expr, others: list[exp.Expr], common: CommonTables
) -> tuple[Scan, LogicalPlan, Scope]:
    if not isinstance(node, exp.Table):
        raise unsupported("this target", node)
    only(node, "this", "alias", "db", "only")
    scan, relation = scan_for_change(binder, node)
    plan, scope = join_others(binder, scan, relation, others, common)
    return scan, plan, scope


def _filtered(binder: Binder, plan: LogicalPlan, scope: Scope, node: exp.Expr) -> LogicalPlan:
    where = node.args.get("where")
    if where is None:
        return plan
    only(where, "this")
    return Filter(plan, ExpressionBinder(binder, scope, "WHERE", lifting=True).condition(where.this))


def _assignments(b: ExpressionBinder, node: exp.Expr) -> list[tuple[exp.Expr, exp.Expr | Bound]]:
    pairs: list[tuple[exp.Expr, exp.Expr | Bound]] = []
    for item in node.expressions:
        if not isinstance(item, exp.EQ):
            raise ProgrammingError("syntax error in the SET list", position=position_of(item))
        only(item, "this", "expression")
        left, right = item.this, item.expression
        if isinstance(left, (exp.Column, exp.Bracket)):
            pairs.append((left, right))
            continue
        targets = [left.this] if isinstance(left, exp.Paren) else list(left.expressions)
        if isinstance(right, exp.Subquery) and isinstance(right.this, exp.Query):
            # One subquery per column: equal ones are computed once where the optimiser sees it.
            for index, target in enumerate(targets):
                query = b.binder.query(right, b.scope)
                _check_count(len(targets), len(query.columns), item)
                column = query.columns[index]
                pairs.append((target, ScalarSubquery(query.plan, column, column.type)))
            continue
        match right:
            case exp.Tuple():
                values = list(right.expressions)
            case exp.Anonymous() if str(right.this).lower() == "row":
                values = list(right.expressions)
            case exp.Paren():
                values = [right.this]
            case _ if len(targets) == 1 and isinstance(left, exp.Paren):
                values = [right]
            case _:
                raise ProgrammingError(
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                    sqlstate="0A000",
                    position=position_of(right),
                )
        _check_count(len(targets), len(values), item)
        pairs += list(zip(targets, values, strict=True))
    return pairs


def _check_count(columns: int, values: int, node: exp.Expr) -> None:
    if columns != values:
        raise ProgrammingError("number of columns does not match number of values", position=position_of(node))


def _first_of_each(
    binder: Binder, plan: LogicalPlan, returning: st.Returning | None
) -> tuple[LogicalPlan, st.Returning | None]:
    """UPDATE ... FROM and DELETE ... USING: a row that joins several times is changed once, by any of them; all values
    are those of one and the same joined row."""
    row_id, *rest = plan.output
    new: dict[int, Column] = {}
    aggregates: list[AggregateItem] = []
    for old in rest:
        column = new[old.id] = binder.column(old.name, old.type, old.nullable)
        aggregates.append(AggregateItem(column, AggregateCall("any_value", ColumnRef(old), old.type, old.nullable)))
    if returning is not None:
        returning = replace(returning, columns=tuple(new.get(column.id, column) for column in returning.columns))
    return Aggregate(plan, (Item(row_id, ColumnRef(row_id)),), tuple(aggregates)), returning
