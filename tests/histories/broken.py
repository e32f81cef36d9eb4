"""The engine with a fault planted in it. What each fault must show is in test_broken.py: a checker that finds nothing
in a broken engine has not looked.
"""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from zerodb.sessions.session import Session
from zerodb_storage import Database, Outdated, Snapshot, WriteTransaction, publishing

Plant = Callable[[pytest.MonkeyPatch], None]


def read_committed_snapshots(patch: pytest.MonkeyPatch) -> None:
    """Snapshot transactions look at the newest state in every statement."""
    begin = Session.begin

    def begun(self: Session, isolation: str | None = None, **options: Any) -> None:
        begin(self, "read committed" if isolation == "snapshot" else isolation, **options)

    patch.setattr(Session, "begin", begun)


def no_conflicts(patch: pytest.MonkeyPatch) -> None:
    """A row that was changed since the snapshot is overwritten all the same."""
    run_again = Session.run_again

    def ran_again(self: Session, reason: Outdated) -> None:
        transaction = self._transaction
        if transaction is None:
            run_again(self, reason)
            return
        level, transaction.isolation = transaction.isolation, "read committed"
        try:
            run_again(self, reason)
        finally:
            transaction.isolation = level

    patch.setattr(Session, "run_again", ran_again)


def no_validation(patch: pytest.MonkeyPatch) -> None:
    """Serializable transactions are not checked when they commit."""
    from zerodb_storage.serializable import SerializableCore

    patch.setattr(SerializableCore, "prepare", lambda *_: None)


def no_phantoms(patch: pytest.MonkeyPatch) -> None:
    """Serializable transactions are checked against changes of rows that were there, not against new rows."""
    from zerodb_storage.predicates import Reads

    concerned = Reads.concerned_by

    def checked(self: Reads, table_id: int, change: Any) -> bool:
        return bool(change.deleted.count) and concerned(self, table_id, change)

    patch.setattr(Reads, "concerned_by", checked)


def half_a_transaction(patch: pytest.MonkeyPatch) -> None:
    """The last change of a transaction of several is not published."""
    add = publishing.add

    def added(plan: Any, transaction: WriteTransaction, segment_ids: Any) -> None:
        for changes in transaction.changes.values():
            if len(changes.batches) > 1:
                changes.row_count -= len(changes.batches.pop()[0])
                if changes.deleted:
                    changes.deleted.pop()
        add(plan, transaction, segment_ids)

    patch.setattr(publishing, "add", added)


def one_by_one(patch: pytest.MonkeyPatch) -> None:
    """Each statement of a transaction is committed by itself."""
    begin, commit, succeeded = Session.begin, Session.commit, Session.succeeded

    def each(self: Session) -> None:
        succeeded(self)
        transaction = self._transaction
        if transaction is not None and transaction.write is not None and not transaction.savepoints:
            commit(self)
            begin(self, transaction.isolation)

    patch.setattr(Session, "succeeded", each)


def dirty_reads(patch: pytest.MonkeyPatch) -> None:
    """Queries may see what another transaction has written and not committed."""
    running: weakref.WeakSet[WriteTransaction] = weakref.WeakSet()
    begin, snapshot = Database.begin, Session.snapshot
    chance = random.Random(1)

    def begun(self: Database, *given: Any, **options: Any) -> WriteTransaction:
        write = begin(self, *given, **options)
        running.add(write)
        return write

    def seen(self: Session) -> Snapshot:
        transaction = self._transaction
        if transaction is None or transaction.write is not None or chance.random() < 0.2:
            return snapshot(self)
        # Looked at from another thread, which must not do what is the transaction's own to do: changes by key are in
        # its tables once it has read after them.
        now = snapshot(self)
        dirty = [dict(write.tables) for write in list(running) if write.is_open and write.has_changes()]
        if not dirty:
            return now
        return Snapshot(now.sequence, MappingProxyType({**now.tables, **dirty[0]}), now.catalog, now.defined)

    patch.setattr(Database, "begin", begun)
    patch.setattr(Session, "snapshot", seen)


def rollback_commits(patch: pytest.MonkeyPatch) -> None:
    """ROLLBACK keeps what was written."""
    patch.setattr(Session, "rollback", lambda self: self.commit())


def savepoints_keep(patch: pytest.MonkeyPatch) -> None:
    """ROLLBACK TO keeps what was written since the savepoint."""
    patch.setattr(Session, "rollback_to", lambda self, name: self.release(name))


def stale_snapshots(patch: pytest.MonkeyPatch) -> None:
    """A transaction may begin on a snapshot that is some commits old."""
    snapshot = Database.snapshot
    older: list[Snapshot] = []

    def seen(self: Database) -> Snapshot:
        newest = snapshot(self)
        if not older or older[-1] is not newest:
            older.append(newest)
            del older[:-8]
        return older[0] if len(older) == 8 else newest

    begin = Session.snapshot

    def begun(self: Session) -> Snapshot:
        if self._transaction is None or self._transaction.write is not None:
            return begin(self)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Database, "snapshot", seen)
            return begin(self)

    patch.setattr(Session, "snapshot", begun)
