"""How what a session did ends: the checks that were left for the commit, the commit, and what others learn of it.

A serializable transaction is a *member* of storage's serializable core from its first snapshot on, and has to leave it
in any case. One that has only read commits, too: it may be what makes others' histories impossible.
"""

from __future__ import annotations

from collections.abc import Callable

from zerodb.sessions import deferral
from zerodb.sessions.temporary import Temporary
from zerodb_storage import Database as Storage
from zerodb_storage import RowOutdated, WriteTransaction
from zerodb_storage.serializable import Member


class Committer:
    def __init__(self, storage: Storage, forget: Callable[[int], None], temporary: Temporary) -> None:
        """`forget` is told the id of each table whose drop has been committed."""
        self._storage = storage
        self._forget = forget
        self._temporary = temporary

    def finish(self, write: WriteTransaction | None, member: Member | None, *, moves_on: bool = False) -> None:
        """Commits, if what was read allows it. One that `moves_on` checks what was left to check on the newest
        snapshot."""
        committed = False
        try:
            if write is not None:
                self._commit(write, moves_on)
            elif member is not None:
                self._storage.serializable.prepare(member)
            committed = True
        finally:
            self.leave(member, committed=committed)

    def undo(self, write: WriteTransaction | None, member: Member | None) -> None:
        if write is not None:
            write.rollback()
        self.leave(member)

    def leave(self, member: Member | None, *, committed: bool = False) -> None:
        if member is not None:
            self._storage.serializable.end(member, committed=committed)

    def _commit(self, write: WriteTransaction, moves_on: bool) -> None:
        before = {version.id for version in write.base.tables.values()}
        after = {version.id for version in write.tables.values()}
        if write.pending or self._temporary.has_on_commit:
            try:
                _check_pending(write, moves_on)
                self._temporary.end_transaction(write)
            except BaseException:
                write.rollback()
                raise
        write.commit()
        for table_id in before - after:
            self._forget(table_id)


def _check_pending(write: WriteTransaction, moves_on: bool) -> None:
    while write.pending:
        if moves_on:
            write.refresh()
        try:
            deferral.check_pending(write)
        except RowOutdated:
            if not moves_on:
                raise
