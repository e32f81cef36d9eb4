"""The one write transaction: sees its own changes, publishes them at commit.

It works on immutable table versions, so a savepoint is a copy of a small mapping and rolling back is forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb_compiler.constraints import NO_CONSTRAINTS, Constraints
from zerodb_compiler.errors import error_for
from zerodb_storage import arrow, dictionary, unique
from zerodb_storage.altering import reshaped
from zerodb_storage.catalog import Column, Schema, TextMode, table_key
from zerodb_storage.dictionary import Dictionary
from zerodb_storage.renumbering import Numbering
from zerodb_storage.segment import SegmentSet
from zerodb_storage.snapshot import NO_OBJECTS, Objects, Snapshot
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
    reshaped: bool = False  # the columns changed or all rows went: the table is folded, not logged

    def rows(self) -> tuple[Values, ...]:
        return tuple(concatenate(parts) for parts in zip(*self.batches, strict=True))

    def deletions(self) -> Array:
        return np.concatenate(self.deleted) if self.deleted else np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Savepoint:
    tables: dict[str, TableVersion]
    lengths: dict[int, tuple[int, int, int]]
    next_table_id: int
    catalog: Objects


class WriteTransaction:
    """Made by `Database.begin`; the database's only writer until `commit` or `rollback`."""

    def __init__(self, database: Database, base: Snapshot, next_table_id: int) -> None:
        self._database = database
        self.base = base
        self.tables: dict[str, TableVersion] = dict(base.tables)
        self.catalog: Objects = base.catalog
        self.changes: dict[int, Changes] = {}
        self.pending: set[Any] = set()  # the host's own notes of what to check before the commit
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
        return Snapshot(self.base.sequence, MappingProxyType(dict(self.tables)), self.catalog)

    def create_table(
        self,
        name: str,
        columns: Sequence[Column],
        primary_key: Sequence[int] = (),
        if_not_exists: bool = False,
        *,
        schema: str = "public",
        constraints: Constraints = NO_CONSTRAINTS,
        options: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        """`primary_key` holds column ordinals; these columns become NOT NULL."""
        self._check_open()
        key = table_key(schema, name)
        if key in self.tables:
            if if_not_exists:
                return
            raise error_for("42P07", f'relation "{name}" already exists')
        _check_columns(name, columns)
        declared = tuple(
            replace(c, not_null=c.not_null or number in primary_key, slot=number) for number, c in enumerate(columns)
        )
        modes = (TextMode.PLAIN,) * len(declared)
        made = Schema(
            self.next_id(), name, declared, tuple(primary_key), modes, 0, schema, constraints, len(declared), options
        )
        reader = self._database.reader
        self.tables[key] = TableVersion(made, reader, TableHandle(), SegmentSet.of((), declared))

    def next_id(self) -> int:
        """A number for a table or another object, that is never given again."""
        self.next_table_id += 1
        return self.next_table_id - 1

    def drop_table(self, name: str, if_exists: bool = False) -> None:
        """`name`, here and below, is the table's key."""
        self._check_open()
        if name not in self.tables:
            if if_exists:
                return
            raise self._no_table(name)
        del self.tables[name]

    def change_schema(self, table: str, schema: Schema) -> TableVersion:
        """Give a table another declaration: columns are matched by slot, those with slot -1 are new. Nothing is checked
        and no segment is rewritten."""
        self._check_open()
        version = self.table(table)
        _check_columns(schema.name, schema.columns)
        if schema.key != table and schema.key in self.tables:
            raise error_for("42P07", f'relation "{schema.name}" already exists')
        changed = reshaped(version, replace(schema, version=version.schema.version + 1))
        if changed.schema.slots != version.schema.slots:
            self.changes.setdefault(version.id, Changes()).reshaped = True
        del self.tables[table]
        self.tables[changed.key] = changed
        return changed

    def truncate(self, table: str) -> int:
        """Remove all rows at once; returns how many there were."""
        self._check_open()
        version = self.table(table)
        count = version.row_count
        empty = SegmentSet.of((), version.columns)
        self.tables[table] = replace(
            version, segment_set=empty, delta_chunks=(), masks=MappingProxyType({}), numbering=Numbering()
        )
        self.changes.setdefault(version.id, Changes()).reshaped = True
        return count

    def put_object(self, kind: str, schema: str, name: str, data: Any) -> None:
        """Make or replace a catalog object; `data` is what msgpack can hold."""
        self._check_open()
        self.catalog = MappingProxyType({**self.catalog, (kind, schema, name): data})

    def drop_object(self, kind: str, schema: str, name: str) -> bool:
        """Remove a catalog object; False if there is none."""
        self._check_open()
        if (kind, schema, name) not in self.catalog:
            return False
        self.catalog = MappingProxyType({k: v for k, v in self.catalog.items() if k != (kind, schema, name)})
        return True

    def append(self, table: str, batch: pa.RecordBatch | pa.Table, *, unique_key: bool = False) -> list[Values]:
        """Append rows; columns by position, in table order. 23502 for a NULL in a NOT NULL column; with `unique_key`
        also 23505 for a key (primary or UNIQUE) that exists already (in the batch or the table). Gives what was
        written."""
        self._check_open()
        version = self.table(table)
        if batch.num_columns != len(version.columns):
            raise error_for("42601", f'table "{table}" has {len(version.columns)} columns, not {batch.num_columns}')
        if batch.num_rows == 0:
            return []
        values: list[Values] = []
        for column, array in zip(version.columns, batch.columns, strict=True):
            if isinstance(array, pa.ChunkedArray):
                array = array.combine_chunks()
                if isinstance(array, pa.ChunkedArray):
                    array = pa.concat_arrays(array.chunks)
            values.append(arrow.from_arrow(array, column.type, column.name))
        self.append_values(table, values, unique_key=unique_key)
        return values

    def append_values(self, table: str, values: list[Values], *, unique_key: bool = False) -> None:
        """The same for rows in storage's own form, text as TEXT."""
        version = self.table(table)
        check_not_null(version, values)
        if unique_key:
            if version.primary_key:
                unique.checked_order(version, [values[column] for column in version.primary_key])
            for key in version.constraints.uniques:
                unique.check_key(version, key, values)
        version, stored = coded(version, values)
        self.tables[table] = version.appended(stored)
        changes = self.changes.setdefault(version.id, Changes())
        changes.batches.append(values)
        changes.row_count += len(values[0])

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
        return Savepoint(dict(self.tables), lengths, self.next_table_id, self.catalog)

    def rollback_to(self, savepoint: Savepoint) -> None:
        """Undo everything since the savepoint, which stays valid."""
        self._check_open()
        self.tables = dict(savepoint.tables)
        self.catalog = savepoint.catalog
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
        self.catalog = NO_OBJECTS
        self._database.release_writer()

    def continue_after_commit(self, base: Snapshot) -> None:
        """For bulk import: the next batch of the same writer, on top of what was just published."""
        self.base = base
        self.tables = dict(base.tables)
        self.catalog = base.catalog
        self.changes = {}

    def table(self, name: str) -> TableVersion:
        if name not in self.tables:
            raise self._no_table(name)
        return self.tables[name]

    def _no_table(self, name: str) -> Exception:
        return error_for("42P01", f'relation "{name.rpartition(chr(0))[2]}" does not exist')

    def _check_open(self) -> None:
        if not self._open:
            raise error_for("25P01", "the transaction is over")


def _check_columns(table: str, columns: Sequence[Column]) -> None:
    if len(columns) > 1600:
        raise error_for("54011", f'table "{table}" has {len(columns)} columns, 1600 are possible')
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise error_for("42701", f'column "{column.name}" specified more than once')
        seen.add(column.name)


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
