"""Unique indexes over expressions, or over a part of the rows: 23505 by a grouping query over the table.

(Unique indexes over plain columns of all rows are storage's, see zerodb_storage.unique.) Limit: the query reads the
whole table, for every statement that adds rows which the index's predicate takes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb.definition.expressions import columns_of_text
from zerodb.queries import canonical_parameters, execute, query_outcome
from zerodb.row_expressions import evaluate, quoted
from zerodb.sequence_values import resolved
from zerodb.view import View
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.constraints import Index
from zerodb_compiler.errors import error_for
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection


def check(
    connection: Connection,
    write: WriteTransaction,
    table: TableInfo,
    rows: pa.Table,
    assigned: set[int] | None = None,
) -> None:
    """`assigned`: of an UPDATE, the columns that may differ."""
    for number, index in enumerate(table.constraints.indexes):
        if not index.unique or index.is_plain:
            continue
        if assigned is not None and not _depends(table, index, assigned):
            continue
        if index.predicate is not None and not evaluate(connection, table, rows, ["1"], index.predicate).num_rows:
            continue
        write.lock_index(table.key, number)
        found = first_duplicate(connection, write, table, index)
        if found is not None:
            message = f'duplicate key value violates unique constraint "{index.name}"'
            raise error_for("23505", message, hint=f"Key {found} already exists.")


def _depends(table: TableInfo, index: Index, assigned: set[int]) -> bool:
    """Whether the index's keys, or which rows it has, depend on one of these columns."""
    texts = [key.expression for key in index.keys if key.expression is not None]
    if index.predicate is not None:
        texts.append(index.predicate)
    named = {table.columns[key.column].name for key in index.keys if key.column is not None}
    named.update(*(columns_of_text(text) for text in texts))
    return any(table.columns[column].name in named for column in assigned)


def first_duplicate(connection: Connection, write: WriteTransaction, table: TableInfo, index: Index) -> str | None:
    """A key that more than one row has, as text, or None."""
    keys = key_texts(table, index)
    conditions = [f"({index.predicate})"] if index.predicate is not None else []
    if index.nulls_distinct:
        conditions += [f"({key}) is not null" for key in keys]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    columns = ", ".join(f"({key}) as k{number}" for number, key in enumerate(keys))
    names = ", ".join(f"k{number}" for number in range(len(keys)))
    source = f"select {columns} from {quoted(table.schema)}.{quoted(table.name)}{where}"
    text = f"select {names} from ({source}) as keys group by {names} having count(*) > 1 limit 1"
    view = View(write.snapshot(), {}, (table.schema, "public"), session=connection)
    ready = connection._database.prepare(text, view)
    assert ready.prepared.query is not None
    values = resolved(connection, canonical_parameters(ready, ()))
    found = query_outcome(ready.prepared.query, execute(connection, ready.prepared.query, view, values)).table()
    if found.num_rows == 0:
        return None
    shown = ["null" if v is None else str(v) for v in found.to_pylist()[0].values()]
    return f"({', '.join(keys)})=({', '.join(shown)})"


def key_texts(table: TableInfo, index: Index) -> list[str]:
    """The index's keys as SQL."""
    texts: list[str] = []
    for key in index.keys:
        if key.column is not None:
            texts.append(quoted(table.columns[key.column].name))
        else:
            assert key.expression is not None
            texts.append(key.expression)
    return texts
