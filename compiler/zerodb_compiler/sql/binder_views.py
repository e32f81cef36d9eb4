"""Views: a name in FROM that stands for a query.

The query is bound where it is named, as if it stood there in parentheses, but with the names that it was made with: a
view keeps the ids of the relations that its names meant, and the names that their columns had (catalog.ViewTable). So
renaming a table or a column changes no view, and `select *` gives the columns that there were.

    select b from v          v: select * from t, when t was (a, b); now t is called u and is (a, c, d)
    select b from (select * from u as t(a, b))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import Catalog, TableInfo, ViewInfo, ViewTable
from zerodb_compiler.errors import error_for
from zerodb_compiler.plan.logical import Scan
from zerodb_compiler.sql.expressions import Column, ColumnRef
from zerodb_compiler.sql.external import ExternalFunction, without_doubles
from zerodb_compiler.sql.nodes import fold, position_of
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.scope import NamedColumn


class _Names:
    """The catalog as a view's query sees it."""

    def __init__(self, view: ViewInfo, catalog: Catalog) -> None:
        self._catalog: Catalog = catalog._catalog if isinstance(catalog, _Names) else catalog
        self._path = view.path
        self._tables = {(table.name, table.schema): table for table in view.tables}

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        found = self._relation(name, schema)
        return found if isinstance(found, TableInfo) else None

    def view(self, name: str, schema: str | None = None) -> ViewInfo | None:
        found = self._relation(name, schema)
        return found if isinstance(found, ViewInfo) else None

    def _relation(self, name: str, schema: str | None) -> TableInfo | ViewInfo | None:
        known = self._tables.get((name, schema))
        if known is None:
            return self._catalog.table(name, schema) if schema == "pg_catalog" else None
        if known.id is None:
            return self._catalog.table(name, "pg_catalog" if schema is None else schema)
        return self._catalog.relation_with_id(known.id)

    def relation_with_id(self, id_: int) -> TableInfo | ViewInfo | None:
        return self._catalog.relation_with_id(id_)

    def named_type(self, name: str, schema: str | None = None) -> SqlType | None:
        if schema is not None:
            return self._catalog.named_type(name, schema)
        found = (self._catalog.named_type(name, place) for place in self._path)
        return next((type_ for type_ in found if type_ is not None), None)

    def table_names(self) -> Sequence[str]:
        return ()

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        if schema is not None:
            return self._catalog.functions(name, schema)
        return without_doubles(self._catalog.functions(name, place) for place in self._path)


def whole(catalog: Catalog) -> Catalog:
    """The catalog behind what a view's query sees of it."""
    return catalog._catalog if isinstance(catalog, _Names) else catalog


def view_query(
    binder: Binder, view: ViewInfo, node: exp.Table, change: Callable[[exp.Expr], exp.Expr] | None = None
) -> Query:
    """The view's query, bound; `change` is what a locking clause makes of it. 42P17 if the view names itself."""
    if view.id in binder.inlining:
        raise error_for(
            "42P17", f'infinite recursion detected in rules for relation "{view.name}"', position=position_of(node)
        )
    binder.inlined[view.id] = view
    query = bind_text(binder, view, change)
    names = [name for name, _ in view.columns]
    seen = binder.seen.get(_key(node))
    if seen is not None and seen.columns:
        names = [name for _, name in seen.columns]
    assert len(names) <= len(query.columns), "a view whose query changed"
    return replace(query, columns=query.columns[: len(names)], names=tuple(names))


def bind_text(binder: Binder, view: ViewInfo, change: Callable[[exp.Expr], exp.Expr] | None = None) -> Query:
    """The query of the view's text, whose literals and places are not the statement's."""
    from zerodb_compiler.sql.parse import parse

    (parsed,) = parse(view.query)
    assert parsed.tree is not None
    for part in parsed.tree.walk():
        part._meta = None
    context = binder.context
    kept = binder.catalog, binder.tables_by_name, binder.views_by_name, binder.seen, context.literals
    binder.catalog = _Names(view, binder.catalog)
    binder.tables_by_name, binder.views_by_name = {}, {}
    binder.seen = {(table.name, table.schema): table for table in view.tables}
    context.literals = None
    binder.inlining.append(view.id)
    try:
        return binder.query(parsed.tree if change is None else change(parsed.tree), None, {})
    finally:
        binder.catalog, binder.tables_by_name, binder.views_by_name, binder.seen, context.literals = kept
        binder.inlining.pop()


def _key(node: exp.Table) -> tuple[str, str | None]:
    schema = node.args.get("db")
    return fold(node.this), fold(schema) if schema is not None else None


def visible_columns(binder: Binder, node: exp.Table, table: TableInfo, columns: Sequence[Column]) -> list[NamedColumn]:
    """The table's columns by the names that the query knows: within a view, those it had when the view was made."""
    seen = binder.seen.get(_key(node)) if binder.seen else None
    if seen is None or seen.id is None:
        return [(info.name, column) for info, column in zip(table.columns, columns, strict=True)]
    names = dict(seen.columns)
    pairs = zip(table.columns, columns, strict=True)
    return [(names[info.slot], column) for info, column in pairs if info.slot in names]


def names_in(binder: Binder) -> tuple[ViewTable, ...]:
    """What the names meant in a query that was just bound, for a view of it."""
    found = [
        ViewTable(name, schema, None if table.id < 0 else table.id, tuple((c.slot, c.name) for c in table.columns))
        for (name, schema), table in binder.tables_by_name.items()
    ]
    found += [
        ViewTable(name, schema, view.id, tuple(enumerate(column for column, _ in view.columns)))
        for (name, schema), view in binder.views_by_name.items()
    ]
    return tuple(found)


def used_columns(query: Query) -> dict[int, set[int]]:
    """By table id, the slots of the columns that the query reads."""
    scans: list[Scan] = []
    used = {column.id for column in query.columns}
    _collect(query.plan, scans, used)
    found: dict[int, set[int]] = {}
    for scan in scans:
        slots = found.setdefault(scan.table.id, set())
        slots.update(scan.table.columns[item.ordinal].slot for item in scan.columns if item.column.id in used)
    return found


def _collect(part: object, scans: list[Scan], used: set[int]) -> None:
    match part:
        case Scan():
            scans.append(part)
        case ColumnRef(column=column):
            used.add(column.id)
        case Column():
            used.add(part.id)
        case tuple() | list() | frozenset() | set():
            for item in part:
                _collect(item, scans, used)
        case Mapping():
            for item in part.values():
                _collect(item, scans, used)
        case _ if dataclasses.is_dataclass(part) and not isinstance(part, (TableInfo, SqlType)):
            for field in dataclasses.fields(part):
                _collect(getattr(part, field.name), scans, used)
