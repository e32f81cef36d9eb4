"""`Database`: one store, its last committed snapshot, and the way from transactions to the next snapshot.

    begin -> WriteTransaction -> publish: in groups (group_commit), each rebased on the newest versions (publishing)
                                 -> large values, unlogged and flushed, if there are many
                                 -> one atomic, synced batch: commit records, catalog, headers, state
                                 -> the new snapshot becomes the current one

Any number of transactions write at a time; readers hold immutable snapshots and never wait. Nobody sees a commit before
it is as durable as promised. Values of dropped segments are deleted when no snapshot refers to them any more; garbage
records make sure that they are deleted after a crash, too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import checking, keys, modules, point_commit, publishing, records, recovery
from zerodb_storage.catalog import is_temporary
from zerodb_storage.changed_rows import changed_rows
from zerodb_storage.counter import Counter
from zerodb_storage.early_values import early_values
from zerodb_storage.fold import Folded
from zerodb_storage.following import FollowedStore, Follower
from zerodb_storage.garbage import Garbage, dropped
from zerodb_storage.group_commit import GroupCommit, Ticket
from zerodb_storage.history import History
from zerodb_storage.kv import Batch, KeyValueStore
from zerodb_storage.kv.fail_stop import FailStop
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.kv.rocks import RocksStore
from zerodb_storage.leases import Lease
from zerodb_storage.locks import Locks, Outdated, TableMode
from zerodb_storage.merger import Merger
from zerodb_storage.merging import carried
from zerodb_storage.point_commit import PointCommit
from zerodb_storage.publishing import Plan
from zerodb_storage.segment_choice import to_rewrite
from zerodb_storage.sequences import Sequences
from zerodb_storage.serializable import Member, NotSerializable, Serializable
from zerodb_storage.snapshot import Snapshot
from zerodb_storage.table import TableVersion
from zerodb_storage.transaction import WriteTransaction

if TYPE_CHECKING:
    from zerodb_storage.backups.files import Report

UNLOGGED_BYTES_MIN = 4 << 20
LOCK_TIMEOUT_S = 10.0
SYNCHRONOUS = ("full", "normal", "off")


class Database:
    """An open database. Use `Database.open`."""

    def __init__(
        self,
        inner: KeyValueStore,
        *,
        read_only: bool,
        synchronous: str,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        follower: Follower | None = None,
    ) -> None:
        """`clock` gives microseconds since 1970, UTC. `follower` is what follows another process, if one does."""
        store = FailStop(inner)
        if follower is None:
            recovery.initialise(store, read_only=read_only)
        recovered = recovery.recover(store) if follower is None else follower.recovered
        self.follower = follower
        self.reader = store
        self._store = store
        self.read_only = read_only
        self._sync = synchronous == "full"
        self._clock = clock
        self._snapshot = recovered.snapshot
        self._states = recovered.states
        self.locks = Locks()
        self.serializable = Serializable(lambda: self._snapshot)
        self.sequences = Sequences(store)
        self.pending_modules = modules.PendingModules()
        self._next_table_id = recovered.next_table_id
        self.segment_ids = Counter(recovered.next_segment_id)
        self._time = recovered.time  # of the last commit
        self._files = inner if isinstance(inner, RocksStore | FollowedStore) else None
        path = None if self._files is None or read_only else self._files.path
        self._history = History(path, store, self.sequences, recovered.snapshot.sequence)
        self._garbage = Garbage(store, path, self._history.keeps)
        if follower is not None:
            follower.when_moved = self.sequences.forget
        self._commits: GroupCommit[WriteTransaction | PointCommit] = GroupCommit(self._publish)
        self.renumberings = 0  # odd while row ids are about to change
        self._counters = threading.Lock()
        self._open_transactions = 0
        self._closed = False
        self.merger = Merger(self, store)
        if not read_only:
            self._garbage.left_behind()
            if recovered.format != recovery.FORMAT_VERSION:
                self._bring_up_to_date()
            self._drop_temporary()

    def _bring_up_to_date(self) -> None:
        """From an older format: without commit records there is nothing that the formats write differently."""
        plan = Plan.after(self._snapshot, self._states)
        plan.sequence += 1
        for version in self._snapshot.tables.values():
            if version.delta_chunks or version.masks:
                publishing.fold_into(plan, publishing.folded(version, self.segment_ids))
        plan.batch.puts.append(recovery.format_record())
        self._apply(plan)

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
        if read_only:
            return _following(os.fspath(path))
        store = RocksStore(os.fspath(path), logged=synchronous != "off")
        try:
            return Database(store, read_only=False, synchronous=synchronous)
        except BaseException:
            store.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def snapshot(self) -> Snapshot:
        """All tables as last committed. Thread-safe; costs nothing, and little in a process that follows another."""
        self._check_open()
        if self.follower is not None:
            self._snapshot = self.follower.snapshot()
        return self._snapshot

    def begin(self, base: Snapshot | None = None) -> WriteTransaction:
        """Start a transaction that may write, on the last committed snapshot or an earlier one. Never waits."""
        self._check_open()
        if self.read_only:
            raise error_for("25006", "the database is open for reading only")
        self.reclaim()
        with self._counters:
            self._open_transactions += 1
        return WriteTransaction(self, self._snapshot if base is None else base)

    def ended(self, _transaction: WriteTransaction) -> None:
        """A transaction that `begin` gave is over."""
        with self._counters:
            self._open_transactions -= 1

    def next_table_id(self) -> int:
        """A number for a table or another object. Never given again, after a rollback either: something may still be
        keyed by it."""
        with self._counters:
            self._next_table_id += 1
            return self._next_table_id - 1

    def newest(self, table_id: int) -> TableVersion:
        """A table as last committed; Outdated if it was dropped."""
        found = self._snapshot.table_with_id(table_id)
        if found is None:
            raise Outdated
        return found

    def close(self) -> None:
        """Close the store; waits for open transactions, 55006 if they do not end. Snapshots cannot be loaded from any
        more."""
        if self._closed:
            return
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while self._open_transactions and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._open_transactions:
            raise error_for("55006", "the database cannot be closed while a transaction is open")
        self.merger.close()
        with self._commits.alone():
            self._closed = True
            try:
                if not self.read_only and not self._store.has_failed:
                    self.sequences.settle()
            finally:
                if self.follower is not None:
                    self.follower.close()
                self._store.close()

    def module(self, digest: str) -> bytes | None:
        """The bytes of a module that a function is made of (modules), committed or brought along by a transaction that
        is open; None if no function has it any more. XX001 if they are damaged."""
        self._check_open()
        found = self.pending_modules.get(digest)
        return modules.read(self._store, digest) if found is None else found

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
        """Read and verify every record; the problems found, by name. Commits wait meanwhile."""
        self._check_open()
        if self.follower is not None:
            return self.follower.standing_still(lambda: checking.check(self._store))
        with self._commits.alone():
            return checking.check(self._store)

    def back_up(self, repository: str, *, incremental: bool = False) -> Report:
        """Backs the database up into a directory while others write (backups.making). 0A000 for one in memory."""
        from zerodb_storage.backups.making import back_up

        self._check_open()
        if self._files is None:
            raise error_for("0A000", "a database in memory cannot be backed up")
        if isinstance(self._files, RocksStore):
            self._files.flush_unlogged()
        return back_up(self._files.path, repository, incremental=incremental)

    def compact(self) -> None:
        """Give the space of deleted values back to the system now."""
        self._check_open()
        self._store.compact(b"\x00", b"\xff")

    def _check_open(self) -> None:
        if self._closed:
            raise error_for("08003", "the database is closed")

    # --- publishing: one thread at a time ----------------------------------------------------------------------------

    def check_serializable(self, member: Member, write: WriteTransaction | None) -> None:
        """40001 if a serializable transaction, with what it has done so far, cannot commit any more."""
        self.serializable.check(member, lambda: {} if write is None else changed_rows(write))

    def publish(self, transaction: WriteTransaction) -> None:
        """Make a transaction's changes durable and then visible. On an error nothing changed; Outdated if it does not
        go with what others have committed since its base."""
        if not transaction.has_changes():
            if transaction.member is not None:
                self.serializable.prepare(transaction.member)
            return
        changed = (*transaction.changes, *transaction.few)
        for table_id in changed:
            if publishing.is_over(self._states.get(table_id), publishing.WAITING):
                self.merger.notice(table_id)
                self.merger.wait(table_id)
        transaction.prepared = publishing.prepare(transaction, self._snapshot, self.segment_ids)
        if transaction.prepared:
            with early_values(self._store, [early.values for early in transaction.prepared.values()]):
                self._commits.commit(transaction)
        else:
            self._commits.commit(transaction)
        for table_id in changed:
            if publishing.is_over(self._states.get(table_id)) or (
                table_id in transaction.prepared and self._has_too_many_segments(table_id)
            ):
                self.merger.notice(table_id)

    def publish_point(self, commit: PointCommit) -> None:
        """The same for one row; its locks are the caller's."""
        self._check_open()
        table_id = commit.few.base.id
        if publishing.is_over(self._states.get(table_id), publishing.WAITING):
            self.merger.notice(table_id)
            self.merger.wait(table_id)
        self._commits.commit(commit)
        if publishing.is_over(self._states.get(table_id)):
            self.merger.notice(table_id)

    def _has_too_many_segments(self, table_id: int) -> bool:
        found = self._snapshot.table_with_id(table_id)
        return found is not None and bool(to_rewrite(found))

    def _publish(self, group: Sequence[Ticket[WriteTransaction | PointCommit]]) -> None:
        self.reclaim()
        rest = group
        while rest:
            plan, count = self._planned(rest)
            self._apply(plan)
            for ticket in rest[:count]:
                ticket.is_done = True
            rest = rest[count:]

    def _planned(self, tickets: Sequence[Ticket[WriteTransaction | PointCommit]]) -> tuple[Plan, int]:
        """The plan of as many transactions, from the first on, as go into one batch: definitions go alone, and after a
        fold the ids of rows must be joined before others can follow them. Those that fail have their error."""
        plan = Plan.after(self._snapshot, self._states)
        count = 0
        while count < len(tickets):
            ticket = tickets[count]
            transaction = ticket.item
            assert transaction is not None
            plain = isinstance(transaction, PointCommit) or publishing.is_plain(transaction)
            if count and not plain:
                break
            count += 1
            if ticket.error is not None:
                continue
            try:
                if isinstance(transaction, PointCommit):
                    point_commit.add(plan, transaction, self.segment_ids)
                else:
                    if transaction.member is not None:
                        self.serializable.prepare(transaction.member, changed_rows(transaction), plan.sequence + 1)
                    publishing.add(plan, transaction, self.segment_ids)
            except Outdated as error:
                ticket.error = error
                continue
            except NotSerializable as error:  # which is found out before anything is planned
                ticket.error = error
                continue
            except Exception as error:  # a fold could not read, say: the plan may hold half of it
                ticket.error = error
                plan = Plan.after(self._snapshot, self._states)
                count = 0
                continue
            if plan.renumbered or not plain:
                break
        return plan, count

    def publish_merged(self, base: TableVersion, folded: Folded) -> bool:
        """Publishes what a committed version of a table was folded to, its values being written, with what others have
        committed since; False if they have changed its shape, or are about to."""
        owner = self.locks.owner()
        try:
            self.locks.lock_table(owner, base.id, TableMode.ROW_EXCLUSIVE, nowait=True)
            with self._commits.alone():
                self._check_open()
                self.reclaim()
                latest = self._snapshot.table_with_id(base.id)
                found = None if latest is None else carried(folded, base, latest)
                if found is None:
                    return False
                plan = Plan.after(self._snapshot, self._states)
                publishing.merged(plan, folded, found)
                self._apply(plan)
                return True
        except DatabaseError as error:
            if error.sqlstate == "55P03":  # somebody keeps writers away
                return False
            raise
        finally:
            self.locks.release(owner)

    def publish_segments(self, transaction: WriteTransaction, added: Folded) -> None:
        """Bulk import: publish a version whose new segments were encoded outside. Its table is locked."""
        with early_values(self._store, [added.values]), self._commits.alone():
            self.reclaim()
            plan = Plan.after(self._snapshot, self._states)
            plan.sequence += 1
            if transaction.defines:
                if plan.defined != transaction.base.defined or added.version.key in plan.tables:
                    raise error_for("40001", "could not create the table: another transaction defined something")
                plan.defined = plan.shaped = plan.sequence
            added.version = replace(added.version, changed=plan.sequence)
            publishing.fold_into(plan, replace(added, values=[]))
            plan.take_written(added.values)
            self._apply(plan)

    def _apply(self, plan: Plan) -> None:
        """Writes what is planned, then shows it."""
        if plan.sequence == self._snapshot.sequence:
            return
        self._write(plan)
        self._states = plan.states
        if plan.renumbered:
            self.renumberings += 1
            for table_id, _, renumbering, _ in plan.renumbered:
                self.locks.renumber(table_id, renumbering.apply)
            plan.link_numberings()
            self._snapshot = plan.snapshot()
            self.renumberings += 1
        else:
            self._snapshot = plan.snapshot()
        for few, before, after in plan.few:
            if few.follow is not None:
                few.follow(before, after, plan.sequence)
        for found in plan.dropped_segments:
            self._garbage.watch(found, found.table_id, found.id, plan.sequence)
        for version in plan.dropped_tables:
            self._garbage.watch(version.handle, version.id, keys.WHOLE_TABLE, plan.sequence)

    def _write(self, plan: Plan) -> None:
        batch = plan.batch
        if sum(len(value) for _, value in plan.values) < UNLOGGED_BYTES_MIN:
            batch.puts += plan.values
        else:
            unfinished = Batch(puts=[(key, b"") for key in plan.unfinished])
            self._store.write(unfinished, sync=False)
            self._store.write_unlogged(plan.values)
            batch.deletes += plan.unfinished
        if plan.dropped_segments or plan.dropped_tables:
            batch.puts = [dropped(key, plan.sequence) if key[:1] == b"G" else (key, value) for key, value in batch.puts]
        previous, self._time = (self._snapshot.sequence, self._time), max(self._time, self._clock())
        state = {
            "sequence": plan.sequence,
            "next_table_id": self._next_table_id,
            "next_segment_id": self.segment_ids.following,
            "defined": plan.defined,
            "time": self._time,
        }
        batch.put(keys.STATE, records.pack(keys.STATE, state))
        dropped_bytes = sum(found.byte_count for found in plan.dropped_segments)
        self._history.extend(batch, plan.sequence, self._time, previous, plan.values + plan.written, dropped_bytes)
        self._store.write(batch, sync=self._sync)

    def reclaim(self) -> None:
        """Delete the values of dropped segments and tables that nobody refers to. Any thread may do it."""
        self._garbage.collect()


def _following(path: str) -> Database:
    """A database that only reads, and follows whoever writes it."""
    lease = Lease(path)
    try:
        follower = Follower(FollowedStore(path), lease)
    except BaseException:
        lease.end()
        raise
    try:
        return Database(follower.store, read_only=True, synchronous="full", follower=follower)
    except BaseException:
        follower.close()
        raise
