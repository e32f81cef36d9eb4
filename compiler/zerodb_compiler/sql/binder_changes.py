"""Data-modifying WITH queries: WITH x AS (INSERT ... RETURNING ...) SELECT ... FROM x.

Each such part is a statement of its own. What it returns becomes a table that exists only while the statement runs;
the rest of the text reads that table in the part's place. The table's layout follows from its types alone, so that all
parts are bound and compiled together, before any of them has run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import TRANSIENT, Catalog, ColumnInfo, TableInfo, ViewInfo
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.layout import TableStatistics, widest_layout
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_dml import delete, insert, update
from zerodb_compiler.sql.binder_merge import merge
from zerodb_compiler.sql.binder_with import NO_ROWS, CommonTables, with_tables
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.sql.nodes import fold, unsupported
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_ROWS_GUESS = 1000
_FIRST_ID = -(1 << 40)


class _Results:
    """The catalog with the results of the parts so far."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.found: dict[str, TableInfo] = {}
        self.silent: dict[str, str] = {}  # parts without RETURNING: the name users gave them

    def __getattr__(self, name: str) -> object:
        return getattr(self._catalog, name)

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        if name in self.silent:
            raise NotSupportedError(f'WITH query "{self.silent[name]}" does not have a RETURNING clause')
        return self.found.get(name) or self._catalog.table(name, schema)

    def view(self, name: str, schema: str | None = None) -> ViewInfo | None:
        return None if name in self.found else self._catalog.view(name, schema)

    def relation_with_id(self, id_: int) -> TableInfo | ViewInfo | None:
        return self._catalog.relation_with_id(id_)

    def named_type(self, name: str, schema: str | None = None) -> SqlType | None:
        return self._catalog.named_type(name, schema)

    def table_names(self) -> Sequence[str]:
        return self._catalog.table_names()

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        return self._catalog.functions(name, schema)


def has_changes(node: exp.Expr) -> bool:
    """Whether a WITH clause of the statement has a data-modifying query."""
    with_ = node.args.get("with_")
    return with_ is not None and any(isinstance(cte.this, CHANGES) for cte in with_.expressions)


def with_changes(binder: Binder, node: exp.Expr) -> st.WithChanges:
    node = node.copy()
    with_ = node.args["with_"]
    catalog = binder.catalog
    results = _Results(catalog)
    binder.catalog = results
    parts: list[st.Part] = []
    for index, cte in enumerate(with_.expressions):
        if not isinstance(cte.this, CHANGES):
            continue
        before = exp.With(expressions=with_.expressions[:index], recursive=with_.args.get("recursive"))
        statement = binder.with_shared(_part(binder, cte.this, with_tables(before, None, {})))
        parts += binder.locking.taken()
        hidden = f"{TRANSIENT}with {len(parts) + 1}"
        result = None
        if statement.returning is None:
            results.silent[hidden] = fold(cte.args["alias"].this)
        else:
            result = results.found[hidden] = transient_table(hidden, statement.returning, _FIRST_ID - len(parts))
        parts.append(st.Part(statement, result))
        table = exp.Table(this=exp.Identifier(this=hidden, quoted=True))
        rows = exp.Select(expressions=[exp.Star()], from_=exp.From(this=table))
        rows.meta[NO_ROWS] = result is None
        cte.set("this", rows)
    main = binder.with_shared(binder.statement_of(node))
    if not isinstance(main, (st.Query, st.Insert, st.Update, st.Delete, st.Merge)):
        raise unsupported("a data-modifying WITH query here", node)
    return st.WithChanges(tuple(parts), main)


def _part(binder: Binder, node: exp.Expr, common: CommonTables) -> st.Insert | st.Update | st.Delete | st.Merge:
    match node:
        case exp.Insert():
            return insert(binder, node, common)
        case exp.Update():
            return update(binder, node, common)
        case exp.Delete():
            return delete(binder, node, common)
        case exp.Merge():
            return merge(binder, node, common)
    raise AssertionError(node)


def transient_table(hidden: str, rows: st.Returning, id_: int) -> TableInfo:
    """A table of that many columns whose rows come while the statement runs."""
    columns = tuple(
        ColumnInfo(label, column.type, not column.nullable)
        for label, column in zip(rows.names, rows.columns, strict=True)
    )
    layout = widest_layout([column.type for column in columns])
    return TableInfo(id_, hidden, columns, (), layout, TableStatistics(_ROWS_GUESS, ()))
