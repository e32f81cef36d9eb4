"""The statement that runs outside of a transaction: it is one of its own.

If others changed meanwhile what it has read, it runs again, unseen: with the same write transaction, whose locks stay,
so that it gets on. That holds for serializable ones, too, since nobody has seen anything of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from zerodb.sessions import deferral
from zerodb.sessions.committing import Committer
from zerodb_storage import Database as Storage
from zerodb_storage import Outdated, Owner, Snapshot, WriteTransaction
from zerodb_storage.serializable import Member, NotSerializable


class Autocommit:
    def __init__(self, storage: Storage, committer: Committer, party: Owner) -> None:
        """Its write transactions are of the session's `party` (session_locks)."""
        self._storage = storage
        self._committer = committer
        self._party = party
        self._again: WriteTransaction | None = None  # of a statement that runs again
        self._serializable: tuple[Snapshot, Member] | None = None  # of a serializable statement

    @property
    def member(self) -> Member | None:
        return None if self._serializable is None else self._serializable[1]

    def serializable_snapshot(self, *, read_only: bool) -> Snapshot:
        if self._serializable is None:
            self._serializable = self._storage.serializable.begin(read_only=read_only)
        return self._serializable[0]

    @contextlib.contextmanager
    def writing(self, snapshot: Snapshot) -> Iterator[WriteTransaction]:
        """The statement's write transaction, committed at the end of the block; undone if that fails."""
        write, self._again = self._again, None
        if write is None:
            write = self._storage.begin(snapshot)
            write.owner.join(self._party)
            write.may_move_on = True
        write.deferral = deferral.DECLARED
        write.member = self.member
        try:
            start = write.savepoint()
            yield write
            self.finish(write)
        except Outdated:
            if write.is_open:
                write.rollback_to(start, keep_locks=True)
                if self._serializable is not None:  # before the snapshot that follows is taken
                    self._committer.leave(self.member)
                    self._serializable = self._storage.serializable.begin()
                write.refresh()
                self._again = write
            raise
        except BaseException:
            write.rollback()
            raise

    def finish(self, write: WriteTransaction | None) -> None:
        """Outdated if what it read does not go with what others have committed."""
        member, self._serializable = self.member, None
        try:
            self._committer.finish(write, member)
        except NotSerializable:
            raise Outdated from None

    def run_again(self) -> None:
        if self._again is None:
            self._leave()

    def fail(self) -> None:
        if self._again is not None:
            self._again.rollback()
            self._again = None
        self._leave()

    def _leave(self) -> None:
        self._committer.leave(self.member)
        self._serializable = None
