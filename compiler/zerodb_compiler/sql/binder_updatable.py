"""Changing rows through a view: a simple one stands for its table, with the view's names for the columns.

Simple is a view whose query has one table in FROM, plain columns in its list, each once, and perhaps WHERE. INSERT
writes the columns that the view has, the others get their defaults; UPDATE and DELETE see only the view's rows. Any
other view is refused as in PostgreSQL (55000).

Limits (0A000): views of views, computed columns, subqueries in the view's WHERE, tables with generated columns or
partitions, ON CONFLICT, MERGE.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import TableInfo, ViewInfo
from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.plan.logical import Filter, LogicalPlan, Scan
from zerodb_compiler.sql.aggregates import NAMES as AGGREGATES
from zerodb_compiler.sql.expressions import Expression
from zerodb_compiler.sql.nodes import fold, position_of, unmarked
from zerodb_compiler.sql.scope import NamedColumn, Relation, Scope

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

HIDDEN = "\0"  # begins the names of the columns that the view does not have
_ACTIONS: dict[type[exp.Expr], str] = {exp.Insert: "insert into", exp.Update: "update", exp.Delete: "delete from"}
# What a simple view's query may have.
_SIMPLE = ("expressions", "from_", "where", "kind")


def simple_table(binder: Binder, view: ViewInfo, node: exp.Table) -> TableInfo:
    """The view's table as a change through the view sees it. 55000 if the view has none."""
    change = node.parent
    while change is not None and type(change) not in (*_ACTIONS, exp.Merge):
        change = change.parent
    if isinstance(change, exp.Merge) or change is None:
        raise NotSupportedError(f'MERGE into the view "{view.name}" is not supported', position=position_of(node))
    if change.args.get("conflict") is not None:
        raise NotSupportedError(f'ON CONFLICT for the view "{view.name}" is not supported', position=position_of(node))
    query = _query(view.query)
    if not isinstance(query, exp.Select) or not _is_simple(query):
        raise error_for(
            "55000",
            f'cannot {_ACTIONS[type(change)]} view "{view.name}"',
            position=position_of(node),
            hint="its query is more than the columns of one table",
        )
    known = view.tables[0]
    base = binder.catalog.relation_with_id(known.id) if known.id is not None else None
    if not isinstance(base, TableInfo) or base.partitions or any(c.generated is not None for c in base.columns):
        what = f'changing rows through the view "{view.name}", whose table has generated columns or is no plain one,'
        raise NotSupportedError(f"{what} is not supported", position=position_of(node))
    names = _names(view, query, base, node)
    columns = tuple(
        replace(column, name=names.get(column.slot, f"{HIDDEN}{ordinal}"))
        for ordinal, column in enumerate(base.columns)
    )
    binder.inlined[view.id] = view
    binder.tables[base.key] = base
    return replace(base, columns=columns, seen_by=view, base=base)


def _query(text: str) -> exp.Expr:
    from zerodb_compiler.sql.parse import parse

    (parsed,) = parse(text)
    assert parsed.tree is not None
    for part in parsed.tree.walk():
        part._meta = None
    return parsed.tree


def is_simple(text: str) -> bool:
    """Whether the query of a view lets rows be changed through it."""
    query = _query(text)
    return isinstance(query, exp.Select) and _is_simple(query)


def _is_simple(query: exp.Select) -> bool:
    source = query.args["from_"].this if query.args.get("from_") else None
    return (
        not any(value for key, value in query.args.items() if key not in _SIMPLE)
        and isinstance(source, exp.Table)
        and isinstance(source.this, exp.Identifier)
        and not any(source.args.get(key) for key in ("joins", "sample"))
        and not any(map(_has_aggregate, query.expressions))
    )


def _has_aggregate(item: exp.Expr) -> bool:
    if item.find(exp.AggFunc, exp.Window) is not None:
        return True
    calls = item.find_all(exp.Anonymous)
    return any(isinstance(call.this, str) and unmarked(call.this).lower() in AGGREGATES for call in calls)


def _names(view: ViewInfo, query: exp.Select, base: TableInfo, node: exp.Table) -> dict[int, str]:
    """By slot of the table's column, its name in the view."""
    slots = {name: slot for slot, name in view.tables[0].columns}
    order: list[int] = []
    for item in query.expressions:
        inner = item.this if isinstance(item, exp.Alias) else item
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            order += [slot for slot, _ in view.tables[0].columns]
        elif isinstance(inner, exp.Column) and fold(inner.this) in slots:
            order.append(slots[fold(inner.this)])
        else:
            what = f'changing rows through the view "{view.name}", which has computed columns,'
            raise NotSupportedError(f"{what} is not supported", position=position_of(node))
    if len(set(order)) != len(order):
        what = f'changing rows through the view "{view.name}", which has a column twice,'
        raise NotSupportedError(f"{what} is not supported", position=position_of(node))
    return {slot: name for slot, (name, _) in zip(order, view.columns, strict=False)}


def shown(table: TableInfo, pairs: list[NamedColumn]) -> list[NamedColumn]:
    """The columns of a changed table that names can mean, in the view's order if it is one."""
    if table.seen_by is None:
        return pairs
    found = dict(pairs)
    return [(name, found[name]) for name, _ in table.seen_by.columns]


def rows_seen(binder: Binder, scan: Scan) -> LogicalPlan:
    """The scan, through the WHERE of the view that it is seen through."""
    view = scan.table.seen_by
    where = _query(view.query).args.get("where") if view is not None else None
    if view is None or where is None:
        return scan
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder

    if where.find(exp.Select):
        what = f'changing rows through the view "{view.name}", whose condition has a subquery,'
        raise NotSupportedError(f"{what} is not supported")
    names = dict(view.tables[0].columns)
    pairs = [
        (names[info.slot], item.column)
        for info, item in zip(scan.table.columns, scan.columns, strict=True)
        if info.slot in names
    ]
    source = _query(view.query).args["from_"].this
    alias = source.args.get("alias")
    relation = Relation(fold(alias.this) if alias is not None else view.tables[0].name, pairs, None, None)
    context = binder.context
    kept, context.literals = context.literals, None
    try:
        predicate: Expression = ExpressionBinder(binder, Scope([relation], pairs), "WHERE").condition(where.this)
    finally:
        context.literals = kept
    return Filter(scan, predicate)


def real(table: TableInfo) -> TableInfo:
    """The table itself, with its own names."""
    return table.base or table
