"""A write transaction: sees its own changes, publishes them at commit.

Any number are open at a time. Each works on immutable table versions over its base, the committed snapshot it began
from: its new rows lie in chunks of its own behind the base's, its deletions in masks of its own. So a savepoint is a
copy of small mappings, rolling back is forgetting, and nobody waits for anybody but for locks (`locks`).

At commit, or when it moves on to the newest snapshot (READ COMMITTED: `catching_up`), its changes are *rebased*, made
once more on top of what others have committed (`rebasing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb_compiler.constraints import NO_CONSTRAINTS, Constraints
from zerodb_compiler.errors import error_for
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import arrow, catching_up, locking, modules, savepoints, unique
from zerodb_storage.altering import reshaped
from zerodb_storage.catalog import Column, Schema, TextMode, is_temporary, table_key
from zerodb_storage.coding import coded
from zerodb_storage.locks import Outdated, RowMode, TableMode
from zerodb_storage.rebasing import Changes
from zerodb_storage.renumbering import Numbering
from zerodb_storage.savepoints import Savepoint
from zerodb_storage.segment import SegmentSet
from zerodb_storage.snapshot import NO_OBJECTS, ObjectKey, Objects, Snapshot
from zerodb_storage.table import TableHandle, TableVersion
from zerodb_storage.values import Array, Values

if TYPE_CHECKING:
    from zerodb_storage.bulk_commit import Bulk
    from zerodb_storage.database import Database
    from zerodb_storage.few_rows import FewRows
    from zerodb_storage.fold import Folded
    from zerodb_storage.serializable import Member


class WriteTransaction:
    """Made by `Database.begin`."""

    def __init__(self, database: Database, base: Snapshot) -> None:
        self._database = database
        self.base = base
        self.owner = database.locks.owner()
        self.tables: dict[str, TableVersion] = dict(base.tables)
        self.catalog: Objects = base.catalog
        self.changes: dict[int, Changes] = {}
        self.objects: dict[ObjectKey, Any] = {}  # catalog objects put, or None for dropped
        self.modules: dict[str, bytes] = {}  # of functions, brought along by digest
        self.altered: set[int] = set()  # tables made, or whose definition changed
        self.dropped: set[int] = set()  # tables of the base that are no more
        self.defines = False  # whether definitions that others see changed
        self.pending: set[Any] = set()  # the host's own notes of what to check before the commit
        self.deferral: Any = None  # the host's: which constraints are deferred
        self.may_move_on = False  # whether the statement that runs may run again on a newer snapshot
        self.member: Member | None = None  # of a serializable transaction, whose end is its session's business
        self.pending_flush: Callable[[], None] | None = None  # brings in changes that are kept elsewhere
        self.pending_hand_over: Callable[[], None] | None = None  # the same for the commit (`hand_over`)
        self.few: dict[int, FewRows] = {}  # by table, changes of few rows, handed over for the commit
        self.prepared: dict[int, Bulk | Folded] = {}  # by table, what was encoded before the commit (publishing)
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
        self._settle()
        return Snapshot(self.base.sequence, MappingProxyType(dict(self.tables)), self.catalog, self.base.defined)

    def _settle(self) -> None:
        self._check_open()
        if self.pending_flush is not None:
            self.pending_flush()

    # --- locks -------------------------------------------------------------------------------------------------------
    def lock_table(
        self, table: str, mode: TableMode, *, nowait: bool = False, timeout_s: float | None = None, seen: bool = True
    ) -> None:
        """Waits for the lock. Raises Outdated if the table's definition changed since the base, or, in the modes that
        keep writers out, its rows did; and after a wait, where the statement may move on. A statement that looks at
        nothing (not `seen`) does so in the first case only."""
        locking.lock_table(self._database, self, table, mode, nowait=nowait, timeout_s=timeout_s, seen=seen)

    def lock_rows(
        self,
        table: str,
        row_ids: Array,
        mode: RowMode,
        *,
        nowait: bool = False,
        skip_locked: bool = False,
        timeout_s: float | None = None,
    ) -> Array | None:
        """Locks rows of this transaction's version of the table (its own new ones need none). With `skip_locked` gives
        which were locked (bool for each). Raises Outdated if one was changed since the base."""
        self._settle()
        return locking.lock_rows(
            self._database, self, table, row_ids, mode, nowait=nowait, skip_locked=skip_locked, timeout_s=timeout_s
        )

    def share_rows(self, table: str, row_ids: Array, *, nowait: bool = False) -> None:
        """Locks rows so that their keys stay (FOR KEY SHARE), be their other values changed."""
        self._settle()
        locking.share_rows(self._database, self, table, row_ids, nowait=nowait)

    def lock_rows_with_keys(self, table: str, row_ids: Array, assigned: set[int] | None = None) -> None:
        """Locks rows that are to go, and their unique keys; of an UPDATE those that have an `assigned` column."""
        self._settle()
        locking.lock_rows_with_keys(self._database, self, table, row_ids, assigned)

    def share_keys(self, parent: TableVersion, columns: Sequence[int], values: Sequence[Values]) -> Array:
        """Which of the keys a referenced table has; they stay until the transaction ends."""
        return locking.share_keys(self._database, self, parent, columns, values)

    def lock_new_keys(
        self, version: TableVersion, columns: Sequence[int], values: Sequence[Values], *, nulls_equal: bool
    ) -> None:
        """Locks keys of new rows, so that nobody else makes them."""
        number = locking.key_number(version, columns)
        locking.lock_keys(self._database, self, version, number, values, nulls_equal)

    def lock_proposed(
        self, table: str, columns: Sequence[int], values: Sequence[Values], *, nulls_equal: bool = False
    ) -> None:
        """Locks keys of rows that may conflict with others. Outdated if they conflict otherwise than it seems."""
        locking.lock_proposed(self._database, self, table, columns, values, nulls_equal)

    def lock_index(self, table: str, number: int) -> None:
        """Keeps others from adding to an index whose keys storage cannot compute. Outdated if rows were changed since
        the base: then what the transaction sees is not enough to know that its keys are new."""
        self._settle()
        version = self.table(table)
        if self._base_of(version.id) is None:
            return
        self._database.locks.lock_keys(self.owner, version.id, -1 - number, np.zeros(1, np.int64))
        if self.on_newest(version.id) is not version:
            raise Outdated

    # --- definitions -------------------------------------------------------------------------------------------------
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
        self._settle()
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
        self.altered.add(made.id)
        self.defines |= not is_temporary(schema)

    def next_id(self) -> int:
        """A number for a table or another object, that is never given again."""
        return self._database.next_table_id()

    def drop_table(self, name: str, if_exists: bool = False) -> None:
        """`name`, here and below, is the table's key."""
        self._settle()
        if name not in self.tables:
            if if_exists:
                return
            raise self._no_table(name)
        self.lock_table(name, TableMode.ACCESS_EXCLUSIVE)
        version = self.tables.pop(name)
        self.defines |= not is_temporary(version.schema.schema)
        self.altered.discard(version.id)
        if self._base_of(version.id) is not None:
            self.dropped.add(version.id)

    def change_schema(self, table: str, schema: Schema, mode: TableMode = TableMode.ACCESS_EXCLUSIVE) -> TableVersion:
        """Give a table another declaration: columns are matched by slot, those with slot -1 are new. Nothing is checked
        and no segment is rewritten. `mode`: a weaker one lets others lock rows meanwhile."""
        self._settle()
        self.lock_table(table, mode)
        version = self.table(table)
        _check_columns(schema.name, schema.columns)
        if schema.key != table and schema.key in self.tables:
            raise error_for("42P07", f'relation "{schema.name}" already exists')
        changed = reshaped(version, replace(schema, version=version.schema.version + 1))
        if changed.schema.slots != version.schema.slots:
            self.changes.setdefault(version.id, Changes()).reshaped = True
        del self.tables[table]
        self.tables[changed.key] = changed
        self.altered.add(changed.id)
        self.defines |= not is_temporary(schema.schema)
        return changed

    def truncate(self, table: str) -> int:
        """Remove all rows at once; returns how many there were."""
        self._settle()
        self.lock_table(table, TableMode.ACCESS_EXCLUSIVE)
        version = self.table(table)
        count = version.row_count
        empty = SegmentSet.of((), version.columns)
        self.tables[table] = replace(
            version, segment_set=empty, delta_chunks=(), masks=MappingProxyType({}), numbering=Numbering()
        )
        self.changes.setdefault(version.id, Changes()).reshaped = True
        self.altered.add(version.id)
        return count

    def put_object(self, kind: str, schema: str, name: str, data: Any) -> None:
        """Make or replace a catalog object; `data` is what msgpack can hold."""
        self._settle()
        self.catalog = MappingProxyType({**self.catalog, (kind, schema, name): data})
        self.objects[kind, schema, name] = data
        self.defines |= not is_temporary(schema)

    def put_module(self, content: bytes) -> str:
        """Bring along the bytes that a function is made of; their digest. They are kept if a function names it."""
        self._check_open()
        digest = modules.digest_of(content)
        if digest not in self.modules:
            self.modules[digest] = content
            self._database.pending_modules.hold(digest, content)
        return digest

    def drop_object(self, kind: str, schema: str, name: str) -> bool:
        """Remove a catalog object; False if there is none."""
        self._check_open()
        if (kind, schema, name) not in self.catalog:
            return False
        self.catalog = MappingProxyType({k: v for k, v in self.catalog.items() if k != (kind, schema, name)})
        self.objects[kind, schema, name] = None
        self.defines |= not is_temporary(schema)
        return True

    # --- rows --------------------------------------------------------------------------------------------------------

    def append(
        self,
        table: str,
        batch: pa.RecordBatch | pa.Table,
        *,
        unique_key: bool = False,
        later: frozenset[str] = frozenset(),
    ) -> list[Values]:
        """Append rows; columns by position, in table order. 23502 for a NULL in a NOT NULL column; with `unique_key`
        also 23505 for a key (primary or UNIQUE) that exists already (in the batch or the table), but for the keys named
        in `later` (deferred_keys). Gives what was written."""
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
        self.append_values(table, values, unique_key=unique_key, later=later)
        return values

    def append_values(
        self, table: str, values: list[Values], *, unique_key: bool = False, later: frozenset[str] = frozenset()
    ) -> None:
        """The same for rows in storage's own form, text as TEXT."""
        self._settle()
        version = self.table(table)
        _check_not_null(version, values)
        self.lock_table(table, TableMode.ROW_EXCLUSIVE)
        if unique_key:
            locking.check_unique(self._database, self, table, values, later)
            version = self.table(table)
        version, stored = coded(version, values)
        self.tables[table] = version.appended(stored, self._base_of(version.id))
        changes = self.changes.setdefault(version.id, Changes())
        changes.batches.append(values)
        changes.row_count += len(values[0])

    def delete(self, table: str, row_ids: Array) -> int:
        """Make rows invisible; returns how many of them were visible. Their locks are the caller's to take."""
        self._settle()
        self.lock_table(table, TableMode.ROW_EXCLUSIVE)
        before = self.table(table)
        version, count = before.with_deleted(row_ids)
        if count:
            self.tables[table] = version
            changes = self.changes.setdefault(version.id, Changes())
            if not changes.reshaped:
                changes.deleted.append(self._by_base(before, np.array(row_ids, np.int64)))
        return count

    def _base_of(self, table_id: int) -> TableVersion | None:
        return self.base.table_with_id(table_id)

    def _by_base(self, version: TableVersion, row_ids: Array) -> Array:
        """Row ids of this transaction's version as `Changes` names them."""
        base = self._base_of(version.id)
        chunks, rows = (0, 0) if base is None else (base.chunk_count, base.delta_rows)
        own = row_ids >= chunks * CHUNK_ROWS
        if not own.any():
            return row_ids
        named = row_ids.copy()
        named[own] = ~(version.delta_ordinals(row_ids[own]) - rows)
        return named

    def version_with_id(self, table_id: int) -> TableVersion | None:
        """This transaction's version of the table."""
        base = self._base_of(table_id)
        if base is not None:
            version = self.tables.get(base.key)
            if version is not None and version.id == table_id:
                return version
        return next((version for version in self.tables.values() if version.id == table_id), None)

    def on_newest(self, table_id: int) -> TableVersion:
        """The table as last committed, with this transaction's changes: what constraints must hold for. The same object
        as this transaction's version if nobody else has changed it."""
        return catching_up.on_newest(self._database.snapshot(), self, table_id)

    def has_changes(self) -> bool:
        return bool(self.changes or self.few or self.objects or self.altered or self.dropped)

    def has_changed(self, table_id: int) -> bool:
        """Whether the transaction has changed the table, or may have."""
        return table_id in self.changes or table_id in self.altered

    def refresh(self) -> None:
        """Moves on to the newest snapshot, with the changes so far on top of it: what a statement under READ COMMITTED
        sees. Outdated if that cannot be, because a definition changed."""
        self._settle()
        catching_up.refresh(self, self._database.snapshot())

    # --- savepoints and the end --------------------------------------------------------------------------------------
    def savepoint(self) -> Savepoint:
        self._settle()
        return savepoints.taken(self, self._database.locks.mark(self.owner))

    def rollback_to(self, savepoint: Savepoint, *, keep_locks: bool = False) -> None:
        """Undo everything since the savepoint, which stays valid."""
        self._settle()
        savepoints.restore(self, savepoint)
        if not keep_locks:
            self._database.locks.release_to(self.owner, savepoint.locks)

    def hand_over(self, table: str, values: list[Values], deleted: Array) -> None:
        """Right before the commit: rows that come and go, of which this transaction's own version need not know any
        more. Their locks and checks are the caller's."""
        version = self.table(table)
        self.lock_table(table, TableMode.ROW_EXCLUSIVE)
        changes = self.changes.setdefault(version.id, Changes())
        if len(deleted):
            changes.deleted.append(self._by_base(version, deleted))
        if values:
            changes.batches.append(values)
            changes.row_count += len(values[0])

    def hand_over_few(self, few: FewRows) -> None:
        """The same for few rows, of a table that this transaction has not changed otherwise."""
        assert not self.has_changed(few.base.id)
        self.lock_table(few.base.key, TableMode.ROW_EXCLUSIVE)
        self.few[few.base.id] = few

    def commit(self) -> None:
        """Make the changes durable and visible. On an error nothing of them is, and the transaction is over."""
        self._check_open()
        try:
            if self.pending_hand_over is not None:
                self.pending_hand_over()
            self._settle()
            self._database.publish(self)
        finally:
            self._end()

    def rollback(self) -> None:
        if self._open:
            self._end()

    def _end(self) -> None:
        self._open = False
        self._database.pending_modules.release(self.modules)
        # An ended transaction someone still holds must not keep dropped tables alive.
        self.base, self.tables, self.changes = Snapshot(self.base.sequence, {}), {}, {}
        self.catalog, self.pending_flush, self.prepared, self.few = NO_OBJECTS, None, {}, {}
        self.pending_hand_over = None
        self._database.locks.release(self.owner)
        self._database.ended(self)

    def continue_after_commit(self, base: Snapshot) -> None:
        """For bulk import: the next batch of the same writer, on top of what was just published."""
        self.base = base
        self.tables = dict(base.tables)
        self.catalog = base.catalog
        self.changes, self.objects, self.altered, self.dropped, self.defines = {}, {}, set(), set(), False

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


def _check_not_null(version: TableVersion, batch: Sequence[Values]) -> None:
    for column, values in enumerate(batch):
        if version.columns[column].not_null and values.validity is not None:
            raise unique.null_violation(version, column)
