"""A read-only process that follows the one that writes: from the batches the writer logs to the next snapshot.

    writer      commit --> RocksDB's log
                              |  kv.following: the view moves by whole batches
    follower    snapshot() <--'
                  commit records appended     replayed on top of the table version there is, as at recovery
                  header, dictionary, schema  that table is read anew; its segments that stayed keep their objects
                  catalog objects             read anew

A snapshot has every commit whose `commit` returned in the writer before it was asked for, and never half of one; asking
when nothing has happened costs three calls of stat. Each process sees a chain of the writer's snapshots, so what holds
at snapshot isolation holds across processes; SERIALIZABLE does not watch what other processes read.

What old snapshots of this process read is kept by the writer (`leases`): the lease names the oldest commit of which a
dropped segment is still referred to here. A thread moves on once a second, so that a process that asks for nothing does
not keep the space of what was dropped. Temporary tables are their session's, in the writer; nobody sees them here.

Limits: where no lease can be written, reading a snapshot whose segments were dropped may end with 72000, which is
retryable. A writer with synchronous=off is followed as of its last flush.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import keys, records, recovery
from zerodb_storage.catalog import is_temporary
from zerodb_storage.kv import Batch
from zerodb_storage.kv.following import FollowingStore
from zerodb_storage.leases import Lease
from zerodb_storage.recovery import Recovered, TableState
from zerodb_storage.snapshot import Objects, Snapshot
from zerodb_storage.table import TableVersion

_TRIES = 5
_RETRY_S = 0.01
_IDLE_S = 1.0


class FollowedStore(FollowingStore):
    """The writer's store; tells columns that are gone because their segment was dropped from those that are missing."""

    def __init__(self, path: str) -> None:
        super().__init__(path, must_exist=lambda key: key[:1] == b"C")

    def get(self, key: bytes) -> bytes | None:
        value = super().get(key)
        if value is not None or key[:1] != b"C":
            return value
        if super().get(keys.header(keys.table_of(key), keys.segment_of(key))) is None:
            message = "the snapshot is too old: what it reads has been merged or dropped, and deleted"
            raise error_for("72000", message, hint="run the transaction again")
        return None


class _Moved(Exception):
    """The view moved while it was read."""


class Follower:
    """The newest snapshot. Thread-safe."""

    def __init__(self, store: FollowedStore, lease: Lease) -> None:
        """The lease was taken before the store was opened."""
        self.store = store
        self._lease = lease
        self._states: dict[int, TableState] = {}
        self._format = recovery.FORMAT_VERSION
        self._snapshot = Snapshot(0, MappingProxyType({}))
        self.recovered = Recovered(self._format, self._snapshot, 0, 0, {}, 0)
        self._stale = True  # the snapshot is not that of the store's view
        self._moving = True  # or may not be: some thread moves on
        self._tokens = itertools.count()
        self._dropped: list[int] = []  # tables to tell of
        self._held: dict[int, int] = {}  # dropped here, still referred to -> the commit whose snapshot refers to it
        self.when_dropped: Callable[[int], None] = lambda table_id: None  # and when it is read anew
        self.when_moved: Callable[[], None] = lambda: None
        self._closed = threading.Event()
        try:
            with store.lock:
                recovery.initialise(store, read_only=True)
                self._move()
        except BaseException:
            store.close()
            raise
        self._thread = threading.Thread(target=self._follow, name="zerodb-follower", daemon=True)
        self._thread.start()

    def snapshot(self) -> Snapshot:
        """The writer's newest committed state."""
        if self._moving or self.store.is_behind():
            with self.store.lock:
                self._move()
                dropped, self._dropped = self._dropped, []
            for table_id in dropped:  # without the lock: who is told has locks, too, and reads while holding them
                self.when_dropped(table_id)
        return self._snapshot

    def standing_still(self, read: Callable[[], list[str]]) -> list[str]:
        """What `read` gives while the view stands still: the problems of `check`."""
        with self.store.lock:
            for _ in range(_TRIES):
                self._move()
                generation = self.store.generation
                found = read()
                if self.store.generation == generation:
                    break
            return found

    def close(self) -> None:
        self._closed.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self.store.close()
        self._lease.end()

    def _follow(self) -> None:
        while not self._closed.wait(_IDLE_S):
            try:
                self.snapshot()
                self._lease.move(self._oldest())
            except Exception:  # whoever asks next is told
                continue

    # --- moving on: holding the store's lock -------------------------------------------------------------------------
    def _move(self) -> None:
        for attempt in range(_TRIES):
            try:
                self._try_move()
            except (_Moved, DatabaseError) as error:
                if attempt + 1 == _TRIES and isinstance(error, DatabaseError):
                    raise
                time.sleep(_RETRY_S)
                self.store.reopen()
            else:
                return
        raise error_for("55006", "the database changes too fast to be followed", hint="try again")

    def _try_move(self) -> None:
        self._moving = True
        found = self.store.advance()
        if found is None and not self._stale:
            self._moving = False
            return
        was_stale, self._stale = self._stale, True  # until the new snapshot is there
        generation = self.store.generation
        if found is not None and not found.reopened and not was_stale:
            made = self._changed(found.batches)
        else:
            made = None if not was_stale and self._has_same_commit() else self._read_all()
        if self.store.generation != generation:
            raise _Moved
        if made is not None:
            self._accept(made)
        self._stale = self._moving = False

    def _has_same_commit(self) -> bool:
        """Whether a new base (the writer has flushed or compacted) is of the commit that is known."""
        value = self.store.get(keys.STATE)
        return value is not None and records.unpack(keys.STATE, value).get("sequence") == self._snapshot.sequence

    def _read_all(self) -> Recovered:
        recovered = recovery.recover(self.store)
        old = {version.id: version for version in self._snapshot.tables.values()}
        tables = {key: _kept_objects(version, old) for key, version in recovered.snapshot.tables.items()}
        return replace(recovered, snapshot=replace(recovered.snapshot, tables=MappingProxyType(tables)))

    def _changed(self, batches: list[Batch]) -> Recovered | None:
        """The next state; None if no transaction was committed."""
        changes = _Changes()
        for batch in batches:
            changes.add(batch)
        if changes.everything:
            return self._read_all()
        if not changes.committed:
            return None
        old = {version.id: version for version in self._snapshot.tables.values()}
        by_id, states = dict(old), dict(self._states)
        for table_id in sorted(changes.tables | changes.logged):
            known = old.get(table_id)
            if known is not None and table_id not in changes.tables:
                state = replace(states[table_id])
                by_id[table_id], states[table_id] = recovery.replay(self.store, known, state, self._format), state
                continue
            by_id.pop(table_id, None)
            states.pop(table_id, None)
            key = keys.table(table_id)
            value = self.store.get(key)
            if value is not None:
                version, states[table_id] = recovery.recover_table(self.store, key, value, self._format)
                by_id[table_id] = _kept_objects(version, old)
        return self._recovered(by_id, states, changes.objects)

    def _recovered(self, by_id: dict[int, TableVersion], states: dict[int, TableState], objects: bool) -> Recovered:
        state = records.unpack(keys.STATE, self.store.get(keys.STATE))
        catalog: Objects = self._snapshot.catalog
        if objects:
            found = (recovery.read_object(key, value) for key, value in self.store.scan(*keys.space(b"O")))
            catalog = MappingProxyType(dict(found))
        tables = MappingProxyType({version.key: version for version in by_id.values()})
        with records.reading(keys.STATE):
            sequence = state["sequence"]  # also of the last change of shape, for all that is known here
            snapshot = Snapshot(sequence, tables, catalog, state.get("defined", 0), shaped=sequence)
        return Recovered(self._format, snapshot, 0, 0, states, state.get("time", 0))

    def _accept(self, made: Recovered) -> None:
        before = self._snapshot
        self.recovered = made
        self._format, self._states = made.format, made.states
        self._snapshot = _without_temporary(made.snapshot, before)
        self._hold(before, self._snapshot)
        self._lease.move(self._oldest())
        self.when_moved()

    # --- what is still needed ----------------------------------------------------------------------------------------
    def _hold(self, before: Snapshot, after: Snapshot) -> None:
        """Notes what the new snapshot does not have any more until nobody refers to it."""
        now = {version.id: version for version in after.tables.values()}
        for version in before.tables.values():
            following = now.get(version.id)
            if following is version:
                continue
            if following is None:
                self._hold_until_unused(version.handle, before.sequence)
                self._dropped.append(version.id)
            elif following.segment_set is not version.segment_set:
                kept = {found.id for found in following.segment_set.segments}
                gone = [found for found in version.segment_set.segments if found.id not in kept]
                for found in gone:
                    self._hold_until_unused(found, before.sequence)
                if gone:
                    self._dropped.append(version.id)

    def _hold_until_unused(self, owner: object, sequence: int) -> None:
        token = next(self._tokens)
        self._held[token] = sequence
        weakref.finalize(owner, self._held.pop, token, None).atexit = False

    def _oldest(self) -> int:
        return min([self._snapshot.sequence, *list(self._held.values())])


class _Changes:
    """What batches of the writer changed."""

    def __init__(self) -> None:
        self.tables: set[int] = set()  # read anew
        self.logged: set[int] = set()  # have commit records behind those known
        self.objects = False
        self.committed = False
        self.everything = False

    def add(self, batch: Batch) -> None:
        for begin, _ in batch.range_deletes:
            if begin[:1] in (b"D", b"H", b"V", b"L"):
                self.tables.add(keys.table_of(begin))
        for key, _ in batch.puts:
            self._add(key, put=True)
        for key in batch.deletes:
            self._add(key, put=False)

    def _add(self, key: bytes, *, put: bool) -> None:
        match key[:1]:
            case b"L" if put:
                self.logged.add(keys.table_of(key))
            case b"T" | b"D" | b"H" | b"V" | b"L":
                self.tables.add(keys.table_of(key))
            case b"O":
                self.objects = True
            case b"S":
                self.committed = True
            case b"F":
                self.everything = True


def _kept_objects(version: TableVersion, old: dict[int, TableVersion]) -> TableVersion:
    """The version with the objects that stand for its segments and its table in older ones, so that it is known what
    is referred to."""
    before = old.get(version.id)
    if before is None:
        return version
    known = {found.id: found for found in before.segment_set.segments}
    segments = [known.get(found.id, found) for found in version.segment_set.segments]
    return replace(version, handle=before.handle, segment_set=version.segment_set.with_segments(segments))


def _without_temporary(snapshot: Snapshot, before: Snapshot) -> Snapshot:
    tables = {key: found for key, found in snapshot.tables.items() if not is_temporary(found.schema.schema)}
    catalog = snapshot.catalog
    if catalog is not before.catalog and any(is_temporary(schema) for _, schema, _ in catalog):
        catalog = MappingProxyType({key: data for key, data in catalog.items() if not is_temporary(key[1])})
    if len(tables) == len(snapshot.tables) and catalog is snapshot.catalog:
        return snapshot
    return replace(snapshot, tables=MappingProxyType(tables), catalog=catalog)
