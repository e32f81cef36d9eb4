"""Changes to rows: INSERT, UPDATE, DELETE, and what every one of them passes on its way into storage.

A statement's query runs over the write transaction's own snapshot and gives, as Arrow columns, the rows to write and
the ids of the rows they replace. That is a `RowChange`; `apply` is the one place through which all of them go:

    INSERT, UPDATE, DELETE, executemany, CREATE TABLE AS  -->  RowChange  -->  apply: checks, delete, append, checks

Whatever holds for all rows that come or go (constraints, referential actions) is a step of `apply`, over whole columns.
Nothing here looks at single rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.compilation import Ready
from zerodb.outcome import Outcome
from zerodb.queries import for_writing, query_rows
from zerodb.values import Canonical, canonical_array
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.plan.logical import LogicalPlan, Values
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection

RowIds = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class RowChange:
    """What one statement does to the rows of one table.

    `deleted` are ids of visible rows, each once; `inserted` has all columns of the table, in order. An UPDATE has both,
    and row i of `inserted` replaces row `deleted[i]`; then `assigned` are the ordinals of the columns that may differ.
    """

    table: TableInfo
    deleted: RowIds | None = None
    inserted: pa.Table | None = None
    assigned: tuple[int, ...] = ()

    @property
    def is_update(self) -> bool:
        return self.deleted is not None and self.inserted is not None


def apply(connection: Connection, write: WriteTransaction, change: RowChange) -> int:
    """Checks and writes the change; returns the number of rows changed. NOT NULL (23502) and, unless the keys are those
    of the rows just deleted, the primary key (23505) are checked by storage."""
    table = change.table
    if table.id < 0:
        raise NotSupportedError(f'"{table.name}" is a registered table: it cannot be changed')
    count = 0
    if change.deleted is not None:
        count = write.delete(table.key, change.deleted)
    if change.inserted is not None:
        count = change.inserted.num_rows
        if count:
            key_changes = not change.is_update or bool(set(change.assigned) & set(table.primary_key))
            write.append(table.key, change.inserted, unique_key=key_changes)
    return count


def run_change(connection: Connection, ready: Ready, user: Sequence[Any]) -> Outcome:
    """Executes an INSERT, UPDATE or DELETE."""
    with connection._session.writing() as write:
        view = connection._view()
        prepared, values = for_writing(connection, ready, view, user)
        statement = prepared.statement
        match statement:
            case st.Insert(table=table, source=source):
                rows = (
                    _constant_rows(source, values)
                    if prepared.query is None
                    else query_rows(connection, prepared, view, values)
                )
                return Outcome("INSERT", apply(connection, write, RowChange(table, inserted=rows)))
            case st.Delete(table=table):
                rows = query_rows(connection, prepared, view, values)
                return Outcome("DELETE", apply(connection, write, RowChange(table, deleted=_row_ids(rows))))
            case st.Update(table=table, assigned=assigned):
                rows = query_rows(connection, prepared, view, values)
                change = RowChange(table, _row_ids(rows), rows.remove_column(0), assigned)
                return Outcome("UPDATE", apply(connection, write, change))
            case _:
                raise AssertionError(statement)


def _row_ids(rows: pa.Table) -> RowIds:
    return np.asarray(rows.column(0).to_numpy(), np.int64)


def _constant_rows(source: LogicalPlan, values: Sequence[Canonical]) -> pa.Table:
    """The rows of an INSERT ... VALUES whose values are literals and parameters."""
    assert isinstance(source, Values)
    arrays = []
    for ordinal, column in enumerate(source.columns):
        cells = [_constant(row[ordinal], values) for row in source.rows]
        arrays.append(canonical_array(column.type, cells))
    return pa.Table.from_arrays(arrays, names=[column.name for column in source.columns])


def _constant(expression: object, values: Sequence[Canonical]) -> Canonical:
    match expression:
        case Literal(value=value):
            return value
        case Parameter(index=index):
            return values[index]
    raise AssertionError(expression)
