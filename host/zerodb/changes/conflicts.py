"""ON CONFLICT DO NOTHING: which of the rows to insert have a key that no row of the table and none before them has.

NULL is in conflict with nothing, unless the key says NULLS NOT DISTINCT. Everything is over whole key columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb import reads
from zerodb.changes.partitioning import routed
from zerodb.view import table_info
from zerodb_storage import lookup, ordering
from zerodb_storage.arrow import from_arrow
from zerodb_storage.values import Values, concatenate

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb_compiler.catalog import TableInfo
    from zerodb_compiler.constraints import Unique
    from zerodb_storage import TableVersion, WriteTransaction

Rows = np.ndarray[Any, np.dtype[np.int64]]


def new_rows(
    connection: Connection, write: WriteTransaction, table: TableInfo, rows: pa.Table, keys: Sequence[Unique]
) -> Rows | None:
    """The numbers of the rows that are in no conflict, in order; None if all of them are."""
    version = write.table(table.key)
    if version.constraints.partitioning is not None:
        return _new_in_partitions(connection, write, table, rows, keys)
    alone = np.ones(rows.num_rows, np.bool_)
    for key in keys:
        columns = key_columns(version, key.columns, rows)
        complete = _complete(columns, rows.num_rows, key)
        if len(complete):
            columns = [values.take(complete) for values in columns]
            write.lock_proposed(version.key, key.columns, columns, nulls_equal=not key.nulls_distinct)
            reads.note_keys(connection._session.reads, version, key.columns, columns)
            taken = lookup.present(version, key.columns, columns)
            # A row that is left out for another key takes none: only rows that stay are before it.
            candidates = np.flatnonzero(~taken & alone[complete])
            alone[complete[taken]] = False
            kept = _firsts([values.take(candidates) for values in columns]) if len(candidates) else candidates
            repeated = np.ones(len(candidates), np.bool_)
            repeated[kept] = False
            alone[complete[candidates[repeated]]] = False
    return None if alone.all() else np.flatnonzero(alone)


def _new_in_partitions(
    connection: Connection, write: WriteTransaction, table: TableInfo, rows: pa.Table, keys: Sequence[Unique]
) -> Rows | None:
    """A unique key has the partition key's columns, so rows are in conflict within their partition only."""
    names = [column.name for column in table.columns]
    alone = np.ones(rows.num_rows, np.bool_)
    for part, numbers in routed(connection, write, table, rows):
        info = table_info(part)
        own = [column.name for column in info.columns]
        wanted = [replace(key, columns=tuple(own.index(names[i]) for i in key.columns)) for key in keys]
        there = rows.take(pa.array(numbers)).rename_columns(names).select(own)
        kept = new_rows(connection, write, info, there, wanted)
        if kept is not None:
            alone[numbers] = False
            alone[numbers[kept]] = True
    return None if alone.all() else np.flatnonzero(alone)


def first_of_each_key(write: WriteTransaction, table: TableInfo, key: Unique, rows: pa.Table) -> Rows:
    """The numbers of the rows that are the first with their key."""
    version = write.table(table.key)
    columns = key_columns(version, key.columns, rows)
    complete = _complete(columns, rows.num_rows, key)
    firsts = np.ones(rows.num_rows, np.bool_)
    if len(complete):
        firsts[complete] = False
        firsts[complete[_firsts([values.take(complete) for values in columns])]] = True
    return np.flatnonzero(firsts)


def lock_keys(write: WriteTransaction, table: TableInfo, key: Unique, rows: pa.Table) -> None:
    """Nobody else adds rows with the keys of these from now on."""
    version = write.table(table.key)
    if version.constraints.partitioning is None:
        columns = key_columns(version, key.columns, rows)
        write.lock_proposed(version.key, key.columns, columns, nulls_equal=not key.nulls_distinct)


def key_columns(version: TableVersion, key: Sequence[int], rows: pa.Table) -> list[Values]:
    found = []
    for ordinal in key:
        column, array = version.columns[ordinal], rows.column(ordinal).combine_chunks()
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        found.append(concatenate([from_arrow(chunk, column.type, column.name) for chunk in chunks]))
    return found


def _complete(columns: Sequence[Values], count: int, key: Unique) -> Rows:
    """The rows that can be in conflict: those without a NULL, unless NULLs are equal."""
    if not key.nulls_distinct:
        return np.arange(count)
    present = np.ones(count, np.bool_)
    for values in columns:
        if values.validity is not None:
            present &= values.validity != 0
    return np.flatnonzero(present)


def _firsts(columns: Sequence[Values]) -> Rows:
    """The rows that no row before them is equal to, in order."""
    keys: list[np.ndarray[Any, Any]] = []
    for values in columns:
        keys += ordering.sort_keys(values)
        if values.validity is not None:
            keys.append(values.validity)
    order = ordering.sort_order(keys)
    if order is None:
        order = np.arange(len(keys[0]))
    return np.sort(order[~_equal_to_previous([key[order] for key in keys])])


def _equal_to_previous(keys: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    equal = np.ones(len(keys[0]), np.bool_)
    equal[:1] = False
    for key in keys:
        equal[1:] &= key[1:] == key[:-1]
    return equal
