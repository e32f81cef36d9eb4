"""Who holds a session's locks, and how long it waits for others'.

    locks of                       are held by                           until
    a write transaction            its own owner in storage              its end
    a read-only transaction        `reader`, made when there is one      its end
    the session (advisory)         `locker`                              they are unlocked, or the session ends

All are of one party: they are never in each other's way, and a deadlock is seen through all of them. Waiting counts for
the statement's timeout, and ends when the statement is interrupted.
"""

from __future__ import annotations

import time

from zerodb.engine import keyboard
from zerodb.options import Options
from zerodb_storage import Owner
from zerodb_storage.locks import Locks


class SessionLocks:
    def __init__(self, locks: Locks, options: Options) -> None:
        self._locks = locks
        self._options = options
        self.locker = locks.owner()  # of locks that outlive transactions
        self._reader: Owner | None = None
        self.waiting: Owner | None = None  # whose wait for a lock `Connection.interrupt` ends

    @property
    def are_held(self) -> bool:
        """Whether any are that do not belong to a write transaction."""
        return bool(self.locker.log) or self._reader is not None

    def reader(self) -> Owner:
        """For the locks of a read-only transaction, or statement."""
        if self._reader is None:
            self._reader = self._locks.owner(self.locker)
        self.limit(self._reader)
        return self._reader

    def end_reading(self) -> None:
        """The locks of a read-only transaction end with it."""
        if self._reader is not None:
            owner, self._reader = self._reader, None
            self._locks.release(owner)

    def limit(self, owner: Owner) -> None:
        """Before it may have to wait."""
        timeout = self._options.statement_timeout_s
        deadline = None if timeout is None else time.monotonic() + timeout
        owner.begin_statement(lock_timeout_s=self._options.lock_timeout_s, deadline_s=deadline)
        self.waiting = owner
        keyboard.while_waiting(owner.cancel)

    def sleep(self, seconds: float) -> str:
        """pg_sleep: a wait that ends as those for locks do."""
        with keyboard.held():
            self.limit(self.locker)
            self.locker.sleep(seconds)
        return ""
