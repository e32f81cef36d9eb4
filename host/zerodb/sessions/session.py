"""The transaction state of one connection.

Reading takes a snapshot and never waits. A write transaction of storage (its own changes on top of a snapshot) begins
with the first write: outside BEGIN for one statement (autocommit), inside until COMMIT. A statement locks the rows and
keys that it changes, and waits for others who hold them.

    isolation          snapshot               a row that another transaction changed since the snapshot
    read committed     one per statement      the statement is undone and runs again on the newest snapshot
    snapshot           one per transaction    40001, retryable: first committer wins
    serializable       one per transaction    40001; reads are checked at the commit, too

The first statement of a transaction, and so every statement in autocommit, runs again instead of failing: nothing was
seen before it. (Not if the level was named REPEATABLE READ or SERIALIZABLE: these names mean what they mean in
PostgreSQL.) A statement that fails aborts the transaction, as in PostgreSQL: 25P02 until its end, or until a
rollback to a savepoint.
"""

from __future__ import annotations

import _thread
import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from zerodb.engine import keyboard
from zerodb.options import Options
from zerodb.sessions import deferral
from zerodb.sessions.advisory import Advisory
from zerodb.sessions.autocommit import Autocommit
from zerodb.sessions.committing import Committer
from zerodb.sessions.notices import Notices
from zerodb.sessions.notifications import Announcements, Switchboard
from zerodb.sessions.open_transaction import Transaction, conflict, isolation_level
from zerodb.sessions.running_statement import RunningStatement
from zerodb.sessions.session_locks import SessionLocks
from zerodb.sessions.temporary import Temporary
from zerodb.statement_text import command_name
from zerodb_compiler.errors import error_for
from zerodb_storage import Database as Storage
from zerodb_storage import Outdated, RowOutdated, Snapshot, WriteTransaction
from zerodb_storage.predicates import Reads
from zerodb_storage.serializable import Member

if TYPE_CHECKING:
    pass

_NUMBERS = itertools.count(1000)
T = TypeVar("T")


class Session:
    """BEGIN, COMMIT, ROLLBACK, and the snapshot and write transaction that a statement runs in."""

    def __init__(
        self,
        storage: Storage,
        forget: Callable[[int], None],
        options: Options,
        switchboard: Switchboard,
        temporary_schema: str,
        *,
        read_only: bool,
    ) -> None:
        """`forget` is told the id of each table whose drop has been committed; `options` end with the transaction or
        are undone with it."""
        self._storage = storage
        self._options = options
        self._read_only = read_only
        self._transaction: Transaction | None = None
        self._writing_now: WriteTransaction | None = None
        self.locks = SessionLocks(storage.locks, options)
        self.advisory = Advisory(self, storage.locks)
        self.notices = Notices()
        self.announcements = Announcements(switchboard, self.locks.locker.number)
        self.temporary = Temporary(temporary_schema)
        self._committer = Committer(storage, forget, self.temporary)
        self._autocommit = Autocommit(storage, self._committer, self.locks.locker)
        self.sequence_values: dict[int, int] = {}  # by sequence id: what currval gives
        self.last_sequence: int | None = None
        self._is_behind = False  # whether the statement that begins could not be shown the newest snapshot
        self.statement = RunningStatement()

    @property
    def in_transaction(self) -> bool:
        return self._transaction is not None

    @property
    def started(self) -> int | None:
        """When the transaction began, in microseconds UTC; None outside of one."""
        return None if self._transaction is None else self._transaction.started

    def begin(
        self, isolation: str | None = None, *, read_only: bool | None = None, deferrable: bool | None = None
    ) -> None:
        """What is None is as the settings default_transaction_... say."""
        if self._transaction is not None:
            raise error_for("25001", "there is already a transaction in progress")
        isolation = isolation or self._options.values.get("default_transaction_isolation")
        if read_only is None:
            read_only = self._options.get("default_transaction_read_only") == "on"
        if deferrable is None:
            deferrable = self._options.get("default_transaction_deferrable") == "on"
        self._transaction = Transaction(
            isolation_level(isolation), read_only, deferrable, restarts=isolation in (None, "snapshot")
        )
        self._options.begin()

    def record(self) -> Transaction:
        """The transaction, all of whose statements go through `Connection._statement` from now on."""
        assert self._transaction is not None
        self._transaction.recorded = True
        return self._transaction

    @property
    def is_serializable(self) -> bool:
        """Whether the next statement is, or is part of, a serializable transaction."""
        return self.isolation == "serializable"

    @property
    def isolation(self) -> str:
        """The level of the transaction, or of the next one."""
        if self._transaction is not None:
            return self._transaction.isolation
        return isolation_level(self._options.values.get("default_transaction_isolation"))

    @property
    def is_read_only(self) -> bool:
        if self._read_only or self._transaction is None:
            return self._read_only or self._options.get("default_transaction_read_only") == "on"
        return self._transaction.read_only

    @property
    def is_deferrable(self) -> bool:
        if self._transaction is None:
            return self._options.get("default_transaction_deferrable") == "on"
        return self._transaction.deferrable

    @property
    def reads(self) -> Reads | None:
        """Where a serializable transaction notes what it reads; None where nobody needs to know."""
        transaction = self._transaction
        member = transaction.member if transaction is not None else self._autocommit.member
        return member.reads if member is not None else None

    def early_snapshot(self) -> Snapshot:
        """For compiling a statement that may be about the session itself, and then does not fix the snapshot: SET
        TRANSACTION may follow. ROLLBACK and its like run where no query could, too."""
        transaction = self._transaction
        if transaction is None:
            is_open = self.is_alone_serializable and self._autocommit.member is None and self._writing_now is None
        else:
            is_open = transaction.snapshot is None and transaction.write is None
        self._is_behind = False
        if is_open:
            return self._storage.snapshot()
        if transaction is None or transaction.write is None or self._writing_now is not None:
            return self.snapshot()
        moves_on = transaction.isolation == "read committed"
        self._is_behind = moves_on and not self._has_moved_on(transaction.write)
        return transaction.write.snapshot()

    @staticmethod
    def _has_moved_on(write: WriteTransaction) -> bool:
        """To the newest snapshot; not if what it has defined does not allow that."""
        try:
            write.refresh()
        except Outdated:
            return False
        return True

    def number(self, *, assign: bool = True) -> int | None:
        """A number that no other transaction of this process has: of the transaction, or of the statement that runs
        alone. Without `assign` None for one that has not written nor asked for it."""
        transaction = self._transaction
        holder = self.statement if transaction is None else transaction
        has_written = transaction is not None and transaction.write is not None
        if holder.numbered is None and (assign or has_written):
            holder.numbered = next(_NUMBERS)
        return holder.numbered

    def note_query(self, seen: Snapshot) -> bool:
        """A statement that is not about the session itself runs. Whether it is to look again, since `seen` is not the
        transaction's snapshot."""
        transaction = self._transaction
        if transaction is not None:
            is_first, transaction.queried = not transaction.queried, True
            if self._is_behind:
                raise conflict()
            if transaction.isolation == "read committed" or (transaction.write is not None and not is_first):
                return False
            if transaction.snapshot is not None and is_first:  # of LOCK TABLE, which has seen nothing
                self._renew(transaction)
        elif not self.is_alone_serializable:
            return False
        return self.snapshot() is not seen

    def set_transaction(
        self, isolation: str | None = None, read_only: bool | None = None, deferrable: bool | None = None
    ) -> None:
        """Changes the transaction's characteristics before its first query; without one it does nothing."""
        transaction = self._transaction
        if transaction is None:
            isolation_level(isolation)
            return
        transaction.set_modes(isolation, read_only, deferrable)
        if not transaction.queried and transaction.write is None:  # the snapshot is still to be taken
            self._committer.leave(transaction.member)
            transaction.snapshot = transaction.member = None

    def set_constraints(self, names: frozenset[deferral.Name] | None, deferred: bool) -> None:
        """What is no longer deferred is checked at once."""
        transaction = self._in_transaction("SET CONSTRAINTS")
        transaction.deferral = transaction.deferral.having(names, deferred)
        if transaction.write is not None:
            if not deferred:
                deferral.check_pending(transaction.write, names)
            transaction.write.deferral = transaction.deferral

    def commit(self) -> bool:
        """Ends the transaction; without one it does nothing. False if it had failed, and was rolled back."""
        with keyboard.held():
            self.locks.end_reading()
            transaction, self._transaction = self._transaction, None
            if transaction is not None and transaction.failed:
                self._undo(transaction)
                return False
            if transaction is not None:
                try:
                    moves_on = transaction.isolation == "read committed"
                    self._committer.finish(transaction.write, transaction.member, moves_on=moves_on)
                except BaseException as error:
                    self._options.rollback()
                    self.announcements.forget()
                    if isinstance(error, Outdated):
                        raise conflict() from None
                    raise
            self._options.commit()
            self.announcements.tell()
            return True

    def rollback(self) -> None:
        """Undoes the transaction; without one it does nothing."""
        with keyboard.held():
            self.locks.end_reading()
            transaction, self._transaction = self._transaction, None
            if transaction is not None:
                self._undo(transaction)
            else:
                self._options.rollback()

    def abandon(self) -> None:
        """Rolls back on a thread of its own: for the garbage collector, which may run inside of any lock."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            _thread.start_new_thread(self._undo, (transaction,))
        if self.locks.are_held:
            _thread.start_new_thread(self.close, ())

    def close(self) -> None:
        """Gives up the session's own locks."""
        self.locks.end_reading()
        self.advisory.unlock_all()
        self.announcements.close()

    def _undo(self, transaction: Transaction) -> None:
        self._options.rollback()
        self.announcements.forget()
        self._committer.undo(transaction.write, transaction.member)

    @property
    def is_failed(self) -> bool:
        """Whether the transaction takes no more statements."""
        return self._transaction is not None and self._transaction.failed

    def fail(self) -> None:
        """A statement failed: what the transaction did since its last savepoint is undone, and its locks are free."""
        self.locks.end_reading()
        self._autocommit.fail()
        transaction = self._transaction
        if transaction is None:
            self.announcements.forget()
        if transaction is None or transaction.failed:
            return
        transaction.failed = True
        if not transaction.savepoints:
            self._committer.leave(transaction.member)
        if transaction.write is None:
            return
        last = transaction.savepoints[-1][1] if transaction.savepoints else None
        if last is not None:
            transaction.write.rollback_to(last)
        else:
            transaction.write.rollback()
            transaction.write = None

    def settle(self) -> None:
        """A statement has run. Outdated if it was a serializable one outside of a transaction, and what it read does
        not go with what others have committed: nobody has seen anything of it yet, so it runs again. 40001 if it was
        one of a serializable transaction that cannot commit any more."""
        transaction = self._transaction
        if self._autocommit.member is not None:
            self._autocommit.finish(None)
        elif transaction is not None and transaction.member is not None and not transaction.failed:
            self._storage.check_serializable(transaction.member, transaction.write)

    def violated(self, table_id: int) -> None:
        """A new row is a duplicate of one that is there, perhaps of one that the snapshot does not show: what a
        serializable transaction knows then it must not commit with, should it go on from a savepoint."""
        transaction = self._transaction
        member = None if transaction is None else transaction.member
        if member is not None and member.reads is not None:
            member.reads.note_table(table_id)
            member.is_doomed = member.is_doomed or self._storage.serializable.is_outdated(member, table_id)

    def succeeded(self) -> None:
        """A statement has ended."""
        if self._transaction is None:
            self.locks.end_reading()
            self.announcements.tell()
        else:
            unseen = self._transaction.snapshot is None or not self._transaction.queried
            self._transaction.first = self._transaction.first and unseen
            self._transaction.outdated = None

    def run_again(self, reason: Outdated) -> None:
        """After Outdated: makes ready to run the same statement once more; 40001 where it may not."""
        self.notices.again()
        transaction = self._transaction
        if transaction is None:
            self._autocommit.run_again()
            return
        may = transaction.first and (transaction.restarts or not isinstance(reason, RowOutdated))
        if transaction.isolation != "read committed" and not may:
            raise conflict()
        self._renew(transaction)
        if transaction.write is not None:
            if transaction.snapshot is transaction.outdated:  # it did not help
                raise conflict()
            transaction.outdated = transaction.snapshot

    def _renew(self, transaction: Transaction) -> None:
        """From now on it sees the newest snapshot. 40001 if what it has defined does not allow that."""
        if transaction.member is not None:  # before the snapshot that follows is taken
            self._committer.leave(transaction.member)
            transaction.snapshot = transaction.member = None
        if transaction.isolation == "serializable":
            transaction.snapshot, transaction.member = self._serializable(transaction)
        if transaction.write is not None:
            transaction.write.member = transaction.member
            if not self._has_moved_on(transaction.write):
                raise conflict()
            transaction.snapshot = transaction.write.base
        elif transaction.member is None:
            transaction.snapshot = None

    def savepoint(self, name: str) -> None:
        transaction = self._in_transaction("SAVEPOINT")
        saved = transaction.write.savepoint() if transaction.write is not None else None
        transaction.savepoints.append((name, saved, self._options.saved(), transaction.deferral))
        self.announcements.savepoint()

    def release(self, name: str) -> None:
        transaction = self._in_transaction("RELEASE SAVEPOINT")
        index = transaction.savepoint_named(name)
        del transaction.savepoints[index:]
        self.announcements.release(index)

    def rollback_to(self, name: str) -> None:
        """Undoes what was done since the savepoint, which stays."""
        transaction = self._in_transaction("ROLLBACK TO SAVEPOINT")
        index = transaction.savepoint_named(name)
        _, saved, settings, transaction.deferral = transaction.savepoints[index]
        del transaction.savepoints[index + 1 :]
        self.announcements.rollback_to(index)
        transaction.failed = False
        self._options.restore(settings)
        if transaction.write is None:
            return
        transaction.write.deferral = transaction.deferral
        if saved is not None:
            transaction.write.rollback_to(saved)
        else:
            transaction.write.rollback()
            transaction.write = None

    def _in_transaction(self, statement: str) -> Transaction:
        if self._transaction is None:
            raise error_for("25P01", f"{statement} can only be used in transaction blocks")
        return self._transaction

    def snapshot(self) -> Snapshot:
        """What a reading statement sees now."""
        transaction = self._transaction
        if transaction is None:
            return self._statement_snapshot()
        if transaction.isolation == "read committed":
            if transaction.write is None:
                return self._storage.snapshot()
            if self._writing_now is None and not self._has_moved_on(transaction.write):
                raise conflict()
        if transaction.write is not None:
            return transaction.write.snapshot()
        if transaction.snapshot is None:
            if transaction.isolation == "serializable":
                transaction.snapshot, transaction.member = self._serializable(transaction)
            else:
                transaction.snapshot = self._storage.snapshot()
        return transaction.snapshot

    @property
    def is_alone_serializable(self) -> bool:
        """Whether a statement outside of a transaction is a serializable one."""
        return self._options.values.get("default_transaction_isolation") == "serializable"

    def _statement_snapshot(self) -> Snapshot:
        """Outside of a transaction."""
        if self._writing_now is not None:
            return self._writing_now.snapshot()
        if not self.is_alone_serializable or not self.statement.runs:
            return self._storage.snapshot()
        return self._autocommit.serializable_snapshot(read_only=self.is_read_only)

    def _serializable(self, transaction: Transaction) -> tuple[Snapshot, Member]:
        serializable = self._storage.serializable
        if not (transaction.deferrable and transaction.read_only):
            return serializable.begin(read_only=transaction.read_only)
        owner = self._storage.locks.owner()
        self.locks.limit(owner)
        return serializable.begin_deferrable(owner.wait_for_condition)

    def begin_point_write(self, transaction: Transaction) -> WriteTransaction | None:
        """For a point statement (point_changes.py): the transaction's write transaction on what the statement is to
        see; None where it has to take the general path."""
        if not transaction.takes_points or self.is_read_only:
            return None
        if transaction.write is None:
            transaction.write = self._storage.begin(transaction.snapshot)
            transaction.write.deferral = transaction.deferral
            transaction.snapshot = transaction.write.base
            transaction.own_rows.clear()
        elif transaction.isolation == "read committed":
            try:
                transaction.write.refresh()
            except Outdated:
                return None
        transaction.queried = True
        return transaction.write

    def seen(self) -> Snapshot:
        """The snapshot, with what the statement that runs has written so far."""
        return self.snapshot() if self._writing_now is None else self._writing_now.snapshot()

    @contextlib.contextmanager
    def writing(self) -> Iterator[WriteTransaction]:
        """The write transaction for one statement: committed after it in autocommit, else kept until COMMIT. If the
        statement fails, nothing of it stays."""
        self.check_writable()
        with keyboard.held():  # a Ctrl-C must not leave storage's only write transaction open
            yield from self._writing()

    def _writing(self) -> Iterator[WriteTransaction]:
        transaction = self._transaction
        if transaction is None and self._writing_now is not None:  # part of a statement that writes already
            if self.statement.nested:  # a function's own statement may fail alone, if the function goes on
                yield from self._undone_if_it_fails(self._writing_now)
            else:
                yield self._writing_now
            return
        if transaction is None:
            yield from self._writing_alone()
            return
        if transaction.write is None:
            if transaction.isolation == "serializable":
                self.snapshot()
            transaction.write = self._storage.begin(transaction.snapshot)
            transaction.write.owner.join(self.locks.locker)
            transaction.write.member, transaction.write.deferral = transaction.member, transaction.deferral
            transaction.snapshot = transaction.write.base
        write = transaction.write
        moves_on = transaction.first and transaction.restarts
        write.may_move_on = moves_on or transaction.isolation == "read committed"
        self.locks.limit(write.owner)
        outer, self._writing_now = self._writing_now, write
        try:
            yield from self._undone_if_it_fails(write)
        finally:
            self._writing_now = outer

    @staticmethod
    def _undone_if_it_fails(write: WriteTransaction) -> Iterator[WriteTransaction]:
        savepoint = write.savepoint()
        try:
            yield write
        except BaseException as error:
            write.rollback_to(savepoint, keep_locks=isinstance(error, Outdated))
            raise

    def _writing_alone(self) -> Iterator[WriteTransaction]:
        with self._autocommit.writing(self._statement_snapshot()) as write:
            self.locks.limit(write.owner)
            self._writing_now = write
            try:
                yield write
            finally:
                self._writing_now = None

    def check_writable(self, what: str | None = None) -> None:
        """25006 where nothing may be written. `what` is what would be executed, if not the statement that runs."""
        if self._read_only:
            raise error_for("25006", "the database was opened read-only")
        if self.is_read_only:
            raise error_for(
                "25006", f"cannot execute {what or command_name(self.statement.text)} in a read-only transaction"
            )
