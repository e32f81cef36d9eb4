"""Expressions over rows that are about to be written: CHECK, generated columns, index expressions.

The rows become a table of a fixed, widest layout, and a query over it is compiled like any other; since the layout does
not depend on the data, it is compiled once per table definition and found again by its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb.outcome import Outcome
from zerodb.queries import canonical_parameters, execute, query_outcome
from zerodb.sequence_values import resolved
from zerodb.view import View
from zerodb.virtual import transient_table
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.layout import TableStatistics, widest_layout
from zerodb_storage.snapshot import Snapshot

if TYPE_CHECKING:
    from zerodb.connection import Connection

ROWS = "\x02rows"
_STATISTICS = TableStatistics(1000, ())


def evaluate(
    connection: Connection, table: TableInfo, rows: pa.Table, items: Sequence[str], where: str | None = None
) -> pa.Table:
    """`select items from rows as table where ...`, the expressions being SQL text over the table's columns. The rows
    come in their order."""
    return select(connection, table, rows, items, where).table()


def select(
    connection: Connection, table: TableInfo, rows: pa.Table, items: Sequence[str], where: str | None = None
) -> Outcome:
    """The same as the result of a query."""
    database = connection._database
    info = replace(
        table,
        id=database.transient_id(table),
        name=ROWS,
        schema="public",
        schema_version=0,
        columns=tuple(replace(column, not_null=False) for column in table.columns),
        primary_key=(),
        triggers=(),
        layout=widest_layout([column.type for column in table.columns]),
        statistics=_STATISTICS,
    )
    named = rows.rename_columns([column.name for column in table.columns])
    version = transient_table(info, named)
    catalog = connection._session.seen().catalog  # for functions
    view = View(Snapshot(0, {}, catalog), {ROWS: version}, (table.schema, "public"), session=connection)
    condition = f" where {where}" if where is not None else ""
    text = f'select {", ".join(items)} from "{ROWS}" as {quoted(table.name)}{condition}'
    ready = database.prepare(text, view)
    assert ready.prepared.query is not None
    try:
        values = resolved(connection, canonical_parameters(ready, ()))
        return query_outcome(ready.prepared.query, execute(connection, ready.prepared.query, view, values))
    finally:
        database.engine.forget_table(info.id)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
