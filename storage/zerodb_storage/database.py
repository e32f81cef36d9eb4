"""`Database`: one store, its last committed snapshot, and the way from a transaction to the next snapshot.

    begin -> WriteTransaction -> publish: per changed table a commit record, or a fold when the delta has grown enough
                                 -> large values, unlogged and flushed, if there are many
                                 -> one atomic, synced batch: commit records, catalog, headers, state
                                 -> the new snapshot becomes the current one

One writer at a time; readers hold immutable snapshots and never wait. Values of dropped segments are deleted when no
snapshot refers to them any more; garbage records make sure that they are deleted after a crash, too.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np

from zerodb_compiler.errors import error_for
from zerodb_storage import checking, commit_log, encoding, keys, records, recovery
from zerodb_storage.catalog import is_temporary, schema_record
from zerodb_storage.fold import Folded, fold
from zerodb_storage.kv import Batch, KeyValueStore
from zerodb_storage.kv.fail_stop import FailStop
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.kv.rocks import RocksStore
from zerodb_storage.recovery import TableState
from zerodb_storage.renumbering import ALL_GONE, Numbering, Renumbering
from zerodb_storage.segment import Segment
from zerodb_storage.sequences import Sequences
from zerodb_storage.snapshot import Objects, Snapshot
from zerodb_storage.table import TableVersion
from zerodb_storage.transaction import Changes, WriteTransaction
from zerodb_storage.values import Form, Values

FOLD_ROWS = 131_072  # rows inserted and deleted since the last fold
FOLD_RECORDS = 16_384  # commit records since the last fold: bounds the time replay takes
PARALLEL_FOLD_ROWS = 262_144
UNLOGGED_BYTES_MIN = 4 << 20
LOCK_TIMEOUT_S = 10.0
SYNCHRONOUS = ("full", "normal", "off")


class Database:
    """An open database. Use `Database.open`."""

    def __init__(self, inner: KeyValueStore, *, read_only: bool, synchronous: str) -> None:
        store = FailStop(inner)
        recovery.initialise(store, read_only=read_only)
        recovered = recovery.recover(store)
        if not read_only:
            recovery.collect_garbage(store)
        self.reader = store
        self._store = store
        self.read_only = read_only
        self._sync = synchronous == "full"
        self._snapshot = recovered.snapshot
        self._states = recovered.states
        self._next_table_id = recovered.next_table_id
        self.sequences = Sequences(store)
        self.segment_ids = itertools.count(recovered.next_segment_id)
        self._writer = threading.Lock()
        self._unused: deque[tuple[int, int]] = deque()
        self._closed = False
        if not read_only:
            self._drop_temporary()

    def _drop_temporary(self) -> None:
        """What sessions of an earlier process left behind."""
        tables = [key for key, version in self._snapshot.tables.items() if is_temporary(version.schema.schema)]
        objects = [key for key in self._snapshot.catalog if is_temporary(key[1])]
        if tables or objects:
            with self.begin() as transaction:
                for table in tables:
                    transaction.drop_table(table)
                for found in objects:
                    transaction.drop_object(*found)

    @staticmethod
    def open(path: str | os.PathLike[str] | None, *, read_only: bool = False, synchronous: str = "full") -> Database:
        """Open or create the database in directory `path`, or one in memory if it is None.

        `synchronous`: full (a commit is on disk when it returns), normal (it survives the process, not a power
        failure), off (no log: a crash loses the last commits, never half of one). Errors: 58P01 no such place, XX001
        not a zerodb or damaged, 55006 in use by another process, 53100 disk full.
        """
        if synchronous not in SYNCHRONOUS:
            raise error_for("22023", f'synchronous must be one of {", ".join(SYNCHRONOUS)}, not "{synchronous}"')
        if path is None:
            return Database(MemoryStore(), read_only=False, synchronous="off")
        store = RocksStore(os.fspath(path), read_only=read_only, logged=synchronous != "off")
        try:
            return Database(store, read_only=read_only, synchronous=synchronous)
        except BaseException:
            store.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def snapshot(self) -> Snapshot:
        """All tables as last committed. Thread-safe, costs nothing."""
        self._check_open()
        return self._snapshot

    def begin(self, timeout_s: float = LOCK_TIMEOUT_S) -> WriteTransaction:
        """Start the write transaction; waits for another one to end, 55P03 after `timeout_s`."""
        self._check_open()
        if self.read_only:
            raise error_for("25006", "the database is open for reading only")
        if not self._writer.acquire(timeout=timeout_s):
            raise error_for("55P03", f"another transaction is writing and did not end within {timeout_s:g} s")
        try:
            self._check_open()
            self.reclaim()
            return WriteTransaction(self, self._snapshot, self._next_table_id)
        except BaseException:
            self._writer.release()
            raise

    def reserve_table_ids(self, next_table_id: int) -> None:
        """Never give an id again that a rolled-back transaction used: something may still be keyed by it."""
        self._next_table_id = max(self._next_table_id, next_table_id)

    def release_writer(self) -> None:
        """End of the write transaction."""
        self._writer.release()

    def close(self) -> None:
        """Close the store; waits for a running transaction, 55006 if it does not end. Snapshots cannot be loaded from
        any more."""
        if self._closed:
            return
        if not self._writer.acquire(timeout=LOCK_TIMEOUT_S):
            raise error_for("55006", "the database cannot be closed while a transaction is open")
        try:
            self._closed = True
            try:
                if not self.read_only and not self._store.has_failed:
                    self.sequences.settle()
            finally:
                self._store.close()
        finally:
            self._writer.release()

    def get_blob(self, key: bytes) -> bytes | None:
        """A value of the module cache; None if it is missing or damaged."""
        self._check_open()
        full = keys.code(key)
        value = self._store.get(full)
        if value is None:
            return None
        try:
            return bytes(records.unseal(full, value))
        except Exception:  # a cache may forget
            return None

    def put_blob(self, key: bytes, value: bytes) -> None:
        """Keep a value in the module cache; not synced, ignored in a read-only database."""
        self._check_open()
        if not self.read_only:
            full = keys.code(key)
            self._store.write(Batch(puts=[(full, records.seal(full, value))]), sync=False)

    def check(self) -> list[str]:
        """Read and verify every record; the problems found, by name. No transaction may write meanwhile (55P03)."""
        self._check_open()
        if not self._writer.acquire(timeout=LOCK_TIMEOUT_S):
            raise error_for("55P03", "the database cannot be checked while a transaction is writing")
        try:
            return checking.check(self._store)
        finally:
            self._writer.release()

    def compact(self) -> None:
        """Give the space of deleted values back to the system now."""
        self._check_open()
        self._store.compact(b"\x00", b"\xff")

    def _check_open(self) -> None:
        if self._closed:
            raise error_for("08003", "the database is closed")

    # Publishing. Only the holder of the writer lock comes here.

    def publish(self, transaction: WriteTransaction) -> None:
        """Make a transaction's changes durable and then visible. On an error nothing changed."""
        base = transaction.base.tables
        before = {version.id: version for version in base.values()}
        after = {version.id: version for version in transaction.tables.values()}
        plan = _Plan(self._snapshot.sequence + 1)
        for table_id, version in before.items():
            if table_id not in after:
                self._plan_drop(plan, version)
        for table_id, version in after.items():
            if version is not before.get(table_id):
                changes = transaction.changes.get(table_id, Changes())
                self._plan_table(plan, before.get(table_id), version, changes)
        _plan_objects(plan, transaction.base.catalog, transaction.catalog)
        if not plan.batch:
            return
        self._write(plan, transaction.next_table_id)
        tables = {version.key: plan.versions.get(version.id, version) for version in transaction.tables.values()}
        self._next_table_id = transaction.next_table_id
        self._states = {id_: plan.states.get(id_, self._states.get(id_)) or TableState() for id_ in after}
        plan.link_numberings()
        self._snapshot = Snapshot(plan.sequence, MappingProxyType(tables), transaction.catalog)
        for found in plan.dropped_segments:
            self._watch(found, found.table_id, found.id)
        for version in plan.dropped_tables:
            self._watch(version.handle, version.id, keys.WHOLE_TABLE)

    def publish_segments(self, transaction: WriteTransaction, added: Folded) -> None:
        """Bulk import: publish a version whose new segments were encoded outside."""
        version = added.version
        plan = _Plan(self._snapshot.sequence + 1)
        self._plan_folded(plan, transaction.base.tables.get(version.key), added)
        self._write(plan, transaction.next_table_id)
        tables = {**transaction.base.tables, version.key: plan.versions[version.id]}
        self._next_table_id = transaction.next_table_id
        self._states = {**self._states, **plan.states}
        plan.link_numberings()
        self._snapshot = Snapshot(plan.sequence, MappingProxyType(tables), self._snapshot.catalog)
        for found in plan.dropped_segments:
            self._watch(found, found.table_id, found.id)

    def _write(self, plan: _Plan, next_table_id: int) -> None:
        state = {"sequence": plan.sequence, "next_table_id": next_table_id}
        plan.batch.put(keys.STATE, records.pack(keys.STATE, state))
        if sum(len(value) for _, value in plan.values) < UNLOGGED_BYTES_MIN:
            plan.batch.puts += plan.values
        else:
            unfinished = Batch(puts=[(key, b"") for key in plan.unfinished])
            self._store.write(unfinished, sync=False)
            self._store.write_unlogged(plan.values)
            plan.batch.deletes += plan.unfinished
        self._store.write(plan.batch, sync=self._sync)

    def _plan_table(self, plan: _Plan, before: TableVersion | None, version: TableVersion, changes: Changes) -> None:
        state = self._states.get(version.id, TableState())
        deleted = changes.deletions()
        rows = state.logged_rows + changes.row_count + len(deleted)
        if changes.reshaped or rows >= FOLD_ROWS or state.logged_records + 1 >= FOLD_RECORDS:
            folded = self._folded(version)
            self._plan_folded(plan, before, folded)
            if changes.reshaped and before is not None:
                self._plan_replaced(plan, before, version)
            return
        if before is None or before.schema != version.schema:
            _put_schema(plan, version)
        if changes.row_count or len(deleted):
            record = commit_log.CommitRecord(state.last_logged, changes.rows(), deleted)
            plan.batch.puts.append(commit_log.pack(version.id, plan.sequence, record))
            state = TableState(state.logged_records + 1, rows, plan.sequence, state.stored_strings)
        plan.states[version.id] = state

    def _folded(self, version: TableVersion) -> Folded:
        if version.delta_rows < PARALLEL_FOLD_ROWS:
            return fold(version, self.segment_ids)
        with ThreadPoolExecutor(os.cpu_count() or 1, "fold") as executor:
            return fold(version, self.segment_ids, executor)

    def _plan_folded(self, plan: _Plan, before: TableVersion | None, folded: Folded) -> None:
        version = folded.version
        plan.versions[version.id] = version
        if before is not None and before.numbering is not version.numbering:
            there = folded.source is before.numbering  # else the table was truncated before
            renumbering = folded.renumbering if there and folded.renumbering is not None else ALL_GONE
            plan.renumbered.append((before.numbering, renumbering, version.numbering))
        plan.values += folded.values
        plan.batch.puts += folded.puts
        plan.batch.deletes += folded.deletes
        plan.batch.delete_range(*keys.table_range(b"L", version.id))
        plan.unfinished += sorted({keys.garbage(keys.table_of(k), keys.segment_of(k)) for k, _ in folded.values})
        for found in folded.dropped:
            plan.batch.put(keys.garbage(found.table_id, found.id), b"")
        plan.dropped_segments += folded.dropped
        if before is None or before.schema != version.schema:
            _put_schema(plan, version)
        stored = dict(self._states.get(version.id, TableState()).stored_strings)
        for column, known in version.dictionaries.items():
            slot = version.columns[column].slot
            first = stored.get(slot, 0)
            if known.size > first:
                offsets, text = known.store.buffers(first, known.size)
                key = keys.strings(version.id, slot, first)
                run = Values(Form.TEXT, offsets - offsets[0], None, np.ascontiguousarray(text))
                plan.batch.put(key, records.seal(key, encoding.encode(run)))
                stored[slot] = known.size
        plan.states[version.id] = TableState(stored_strings=stored)

    def _plan_replaced(self, plan: _Plan, before: TableVersion, version: TableVersion) -> None:
        """Segments that the transaction gave up as a whole."""
        kept = {found.id for found in version.segment_set.segments}
        for found in before.segment_set.segments:
            if found.id not in kept:
                plan.batch.deletes += [keys.header(found.table_id, found.id), keys.deleted(found.table_id, found.id)]
                plan.batch.put(keys.garbage(found.table_id, found.id), b"")
                plan.dropped_segments.append(found)

    def _plan_drop(self, plan: _Plan, version: TableVersion) -> None:
        batch = plan.batch
        batch.delete(keys.table(version.id))
        for letter in (b"D", b"H", b"V", b"L"):
            batch.delete_range(*keys.table_range(letter, version.id))
        batch.put(keys.garbage(version.id, keys.WHOLE_TABLE), b"")
        plan.dropped_tables.append(version)

    # Space of what nobody can read any more.

    def _watch(self, owner: object, table_id: int, segment: int) -> None:
        finalizer = weakref.finalize(owner, self._unused.append, (table_id, segment))
        finalizer.atexit = False

    def reclaim(self) -> None:
        """Delete the values of dropped segments and tables that no snapshot refers to. Needs the writer lock."""
        while self._unused:
            table_id, found = self._unused.popleft()
            batch = Batch(deletes=[keys.garbage(table_id, found)])
            batch.delete_range(*recovery.garbage_range(table_id, found))
            self._store.write(batch, sync=False)
            if found == keys.WHOLE_TABLE:
                self._store.compact(*keys.table_range(b"C", table_id))


class _Plan:
    """What one commit writes, and what it changes in memory afterwards."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.batch = Batch()
        self.values: list[tuple[bytes, bytes]] = []
        self.unfinished: list[bytes] = []
        self.versions: dict[int, TableVersion] = {}
        self.renumbered: list[tuple[Numbering, Renumbering, Numbering]] = []
        self.states: dict[int, TableState] = {}
        self.dropped_segments: list[Segment] = []
        self.dropped_tables: list[TableVersion] = []

    def link_numberings(self) -> None:
        for old, renumbering, new in self.renumbered:
            old.succeeded(renumbering, new)


def _plan_objects(plan: _Plan, before: Objects, after: Objects) -> None:
    if before is after:
        return
    for name in before.keys() - after.keys():
        plan.batch.delete(keys.object_(*name))
        if name[0] == "sequence":
            plan.batch.delete(keys.sequence(before[name]["id"]))
    for name, data in after.items():
        if name not in before or before[name] != data:
            key = keys.object_(*name)
            plan.batch.put(key, records.pack(key, {"data": data}))


def _put_schema(plan: _Plan, version: TableVersion) -> None:
    key = keys.table(version.id)
    plan.batch.put(key, records.pack(key, schema_record(version.schema)))
