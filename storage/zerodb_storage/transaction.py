"""The one write transaction: sees its own changes, publishes them at commit.

It works on immutable table versions, so a savepoint is a copy of a small mapping and rolling back is forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from zerodb_compiler.errors import error_for
from zerodb_storage import arrow, dictionary, unique
from zerodb_storage.catalog import Column, Schema, TextMode
from zerodb_storage.dictionary import Dictionary
from zerodb_storage.segment import SegmentSet
from zerodb_storage.snapshot import Snapshot
from zerodb_storage.table import TableHandle, TableVersion
from zerodb_storage.values import Array, Values, concatenate

if TYPE_CHECKING:
    from zerodb_storage.database import Database


@dataclass(slots=True)
class Changes:
    """What was done to one table, for the commit record: batches of rows (text as TEXT) and stable row ids."""

    batches: list[list[Values]] = field(default_factory=list)
    deleted: list[Array] = field(default_factory=list)
    row_count: int = 0

    def rows(self) -> tuple[Values, ...]:
        return tuple(concatenate(parts) for parts in zip(*self.batches, strict=True))

    def deletions(self) -> Array:
        return np.concatenate(self.deleted) if self.deleted else np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Savepoint:
    tables: dict[str, TableVersion]
    lengths: dict[int, tuple[int, int, int]]
    next_table_id: int


class WriteTransaction:
    """Made by `Database.begin`; the database's only writer until `commit` or `rollback`."""

    def __init__(self, database: Database, base: Snapshot, next_table_id: int) -> None:
        self._database = database
        self.base = base
        self.tables: dict[str, TableVersion] = dict(base.tables)
        self.changes: dict[int, Changes] = {}
        self.next_table_id = next_table_id
        self._open = True

    def __enter__(self) -> WriteTransaction:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._open:
            if kind is None:
                self.commit()
            else:
                self.rollback()

    @property
    def is_open(self) -> bool:
        return self._open

    def snapshot(self) -> Snapshot:
        """The base snapshot with this transaction's own changes so far."""
        self._check_open()
        return Snapshot(self.base.sequence, MappingProxyType(dict(self.tables)))

    def create_table(
        self, name: str, columns: Sequence[Column], primary_key: Sequence[int] = (), if_not_exists: bool = False
    ) -> None:
        """`primary_key` holds column ordinals; these columns become NOT NULL."""
        self._check_open()
        if name in self.tables:
            if if_not_exists:
                return
            raise error_for("42P07", f'table "{name}" already exists')
        if not columns:
            raise error_for("42601", f'table "{name}" has no columns')
        if len(columns) > 1600:
            raise error_for("54011", f'table "{name}" has {len(columns)} columns, 1600 are possible')
        seen: set[str] = set()
        for column in columns:
            if column.name in seen:
                raise error_for("42701", f'column "{column.name}" is declared twice')
            seen.add(column.name)
        declared = tuple(replace(c, not_null=c.not_null or number in primary_key) for number, c in enumerate(columns))
        modes = (TextMode.PLAIN,) * len(declared)
        schema = Schema(self.next_table_id, name, declared, tuple(primary_key), modes)
        self.next_table_id += 1
        reader = self._database.reader
        self.tables[name] = TableVersion(schema, reader, TableHandle(), SegmentSet((), len(declared)))

    def drop_table(self, name: str, if_exists: bool = False) -> None:
        self._check_open()
        if name not in self.tables:
            if if_exists:
                return
            raise self._no_table(name)
        del self.tables[name]

    def append(self, table: str, batch: pa.RecordBatch | pa.Table, *, unique_key: bool = False) -> None:
        """Append rows; columns by position, in table order. 23502 for a NULL in a NOT NULL column; with `unique_key`
        also 23505 for a primary key that exists already (in the batch or the table)."""
        self._check_open()
        version = self.table(table)
        if batch.num_columns != len(version.columns):
            raise error_for("42601", f'table "{table}" has {len(version.columns)} columns, not {batch.num_columns}')
        if batch.num_rows == 0:
            return
        values: list[Values] = []
        for column, array in zip(version.columns, batch.columns, strict=True):
            if isinstance(array, pa.ChunkedArray):
                array = array.combine_chunks()
                if isinstance(array, pa.ChunkedArray):
                    array = pa.concat_arrays(array.chunks)
            values.append(arrow.from_arrow(array, column.type, column.name))
        check_not_null(version, values)
        if unique_key and version.primary_key:
            unique.checked_order(version, [values[column] for column in version.primary_key])
        version, stored = coded(version, values)
        self.tables[table] = version.appended(stored)
        changes = self.changes.setdefault(version.id, Changes())
        changes.batches.append(values)
        changes.row_count += batch.num_rows

    def delete(self, table: str, row_ids: Array) -> int:
        """Make rows invisible; returns how many of them were visible."""
        self._check_open()
        version, count = self.table(table).with_deleted(row_ids)
        if count:
            self.tables[table] = version
            self.changes.setdefault(version.id, Changes()).deleted.append(
                version.stable_ids(np.array(row_ids, np.int64))
            )
        return count

    def savepoint(self) -> Savepoint:
        self._check_open()
        lengths = {id_: (len(c.batches), len(c.deleted), c.row_count) for id_, c in self.changes.items()}
        return Savepoint(dict(self.tables), lengths, self.next_table_id)

    def rollback_to(self, savepoint: Savepoint) -> None:
        """Undo everything since the savepoint, which stays valid."""
        self._check_open()
        self.tables = dict(savepoint.tables)
        for id_, changes in self.changes.items():
            batches, deleted, row_count = savepoint.lengths.get(id_, (0, 0, 0))
            del changes.batches[batches:], changes.deleted[deleted:]
            changes.row_count = row_count

    def commit(self) -> None:
        """Make the changes durable and visible. On an error nothing of them is, and the transaction is over."""
        self._check_open()
        try:
            self._database.publish(self)
        finally:
            self._end()

    def rollback(self) -> None:
        if self._open:
            self._end()

    def _end(self) -> None:
        self._open = False
        self._database.reserve_table_ids(self.next_table_id)
        # An ended transaction someone still holds must not keep dropped tables alive.
        self.base, self.tables, self.changes = Snapshot(self.base.sequence, {}), {}, {}
        self._database.release_writer()

    def continue_after_commit(self, base: Snapshot) -> None:
        """For bulk import: the next batch of the same writer, on top of what was just published."""
        self.base = base
        self.tables = dict(base.tables)
        self.changes = {}

    def table(self, name: str) -> TableVersion:
        if name not in self.tables:
            raise self._no_table(name)
        return self.tables[name]

    def _no_table(self, name: str) -> Exception:
        return error_for("42P01", f'table "{name}" does not exist')

    def _check_open(self) -> None:
        if not self._open:
            raise error_for("25P01", "the transaction is over")


def check_not_null(version: TableVersion, batch: Sequence[Values]) -> None:
    for column, values in enumerate(batch):
        if version.columns[column].not_null and values.validity is not None:
            raise unique.null_violation(version, column)


def coded(version: TableVersion, batch: Sequence[Values]) -> tuple[TableVersion, list[Values]]:
    """A batch with dictionary columns as CODES, and the version with their dictionaries grown; a column whose
    dictionary would pass its limit is plain text from now on."""
    stored = list(batch)
    schema, dictionaries = version.schema, dict(version.dictionaries)
    for column, mode in enumerate(schema.text_modes):
        if mode is not TextMode.DICTIONARY:
            continue
        store = dictionaries[column].store
        codes = dictionary.encode(batch[column], store)
        if codes is None:
            schema = schema.with_mode(column, TextMode.RETIRED)
        else:
            stored[column] = codes
            dictionaries[column] = Dictionary(store, store.size)
    if schema is version.schema and not dictionaries:
        return version, stored
    return replace(version, schema=schema, dictionaries=MappingProxyType(dictionaries)), stored
