"""Locks: what a transaction holds until it ends, and the waiting for it.

`LockTable` decides who gets what (lock_table.py); here threads come in: one mutex around all decisions, and for each
waiting thread a lock of its own that the one who grants its request releases. A wait ends with the lock, with 40P01
(deadlock), 55P03 (lock_timeout) or 57014 (statement_timeout, or `Owner.cancel` from any thread); a KeyboardInterrupt
leaves the queue as well.

Limits: the mutex is one for a database. Two statements that lock some million rows of one table compare them while
holding it, some 10 ms.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import lock_spaces
from zerodb_storage.lock_modes import AdvisoryMode, RowMode, TableMode
from zerodb_storage.lock_spaces import Ids, Request, RowClaim, RowLocks, Space
from zerodb_storage.lock_table import Answer, Lock, LockTable
from zerodb_storage.values import Array

__all__ = ["AdvisoryMode", "Lock", "Locks", "Mark", "Outdated", "Owner", "RowMode", "TableMode"]

Mark: TypeAlias = int


class Outdated(Exception):
    """Internal: what the statement read is not the newest any more."""


class RowOutdated(Outdated):
    """A row that it wants to change was changed by another transaction since its snapshot."""


CONDITION_WAIT_S = 0.05  # how late a cancellation of such a wait may be noticed


class Owner(lock_spaces.Owner):
    """Made by `Locks.owner`. `lock_timeout_s` and `deadline_s` (by time.monotonic) are what the statement that runs may
    wait; both may be set at any time by the owner's own thread."""

    __slots__ = ("_at_condition", "_locks")

    def __init__(self, locks: Locks, number: int, party: lock_spaces.Owner | None) -> None:
        super().__init__(number, party)
        self._locks = locks
        self._at_condition = False

    @property
    def is_waiting(self) -> bool:
        """Whether it, or another of its party, waits just now. For any thread."""
        return self._at_condition or self.party.waiting is not None

    def join(self, session: Owner) -> None:
        """From now on this transaction and the session's own locks are not in each other's way."""
        assert not self.log, "it holds locks already"
        self.party = session.party

    def begin_statement(self, *, lock_timeout_s: float | None = None, deadline_s: float | None = None) -> None:
        self._cancelled = False
        self.lock_timeout_s, self.deadline_s = lock_timeout_s, deadline_s

    def wait_for_condition(self, condition: threading.Condition) -> None:
        """Waits for a moment, or until the condition is notified, of something that is no lock. 57014 as for locks."""
        if self._cancelled or (self.deadline_s is not None and time.monotonic() >= self.deadline_s):
            raise self._locks.given_up(self)
        self._at_condition = True
        try:
            condition.wait(CONDITION_WAIT_S)
        finally:
            self._at_condition = False

    def sleep(self, seconds: float) -> None:
        """Waits for nothing but time. 57014 as for locks."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._cancelled or (self.deadline_s is not None and time.monotonic() >= self.deadline_s):
                raise self._locks.given_up(self)
            time.sleep(min(left, CONDITION_WAIT_S))

    def cancel(self) -> None:
        """Ends its wait, or the next one of this statement, with 57014. For any thread; takes no lock that a signal's
        handler could be inside of."""
        self._cancelled = True
        wake = self.party._wake
        if wake is not None:
            _signal(wake)


class Locks:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._mutex = threading.Lock()
        self._table = LockTable()
        self._rows = self._table.rows
        self._tables = self._table.tables
        self._numbers = itertools.count(1)
        self._clock = clock

    def owner(self, session: Owner | None = None) -> Owner:
        """For a transaction; of the same party as the session's owner if that is given."""
        return Owner(self, next(self._numbers), None if session is None else session.party)

    # --- locking ------------------------------------------------------------------------------------------------------

    def lock_table(
        self,
        owner: Owner,
        table_id: int,
        mode: TableMode,
        *,
        nowait: bool = False,
        timeout_s: float | None = None,
        name: str | None = None,
    ) -> bool:
        """Whether it had to wait for somebody. `name` is the table's, for errors."""
        with self._mutex:
            space = self._tables.get(table_id)
            if space is None:
                space = self._table.table(table_id)
            held = space.held
            modes = held.get(owner, 0)
            if modes >> mode & 1:
                return False
            if mode <= TableMode.ROW_EXCLUSIVE and not space.queue and not space.strong:  # nobody conflicts
                held[owner] = modes | 1 << mode
                owner.log.append((space, 1 << mode, 0))
                return False
        refusal = error_for("55P03", f'could not obtain lock on relation "{name or table_id}"') if nowait else None
        return self._lock(owner, lambda: self._table.table(table_id), int(mode), timeout_s, refusal)

    def lock_rows(
        self,
        owner: Owner,
        table_id: int,
        row_ids: Array,
        mode: RowMode,
        *,
        nowait: bool = False,
        skip_locked: bool = False,
        timeout_s: float | None = None,
        name: str | None = None,
    ) -> tuple[bool, Array | None]:
        """Whether it had to wait, and with `skip_locked` which rows are locked now. The ids are kept, not copied."""
        ids = np.asarray(row_ids, np.int64)
        if len(ids) == 0:
            return False, np.zeros(0, np.bool_) if skip_locked else None
        if skip_locked:
            with self._mutex:
                return False, self._lock_free(owner, self._table.rows_of(table_id), ids, mode)
        refusal = _row_refusal(name, table_id) if nowait else None
        claim = RowClaim(Ids(ids), int(mode))
        return self._lock(owner, lambda: self._table.rows_of(table_id), claim, timeout_s, refusal), None

    def _lock_free(self, owner: Owner, space: RowLocks, ids: Array, mode: RowMode) -> Array:
        free = ~space.blocked(owner.party, RowClaim(Ids(ids), int(mode)))
        claim = RowClaim(Ids(ids if free.all() else ids[free]), int(mode))
        if len(claim.ids):
            space.grant(owner, claim)
        return free

    def lock_keys(
        self,
        owner: Owner,
        table_id: int,
        key_number: int,
        digests: Array,
        *,
        shared: bool = False,
        nowait: bool = False,
        timeout_s: float | None = None,
        name: str | None = None,
    ) -> bool:
        """Keys of a unique constraint, by 64-bit digests; exclusively, or shared with others who want them to stay."""
        if len(digests) == 0:
            return False
        mode = RowMode.KEY_SHARE if shared else RowMode.UPDATE
        claim = RowClaim(Ids(np.ascontiguousarray(digests).view(np.int64)), int(mode))
        refusal = _row_refusal(name, table_id) if nowait else None
        return self._lock(owner, lambda: self._table.keys_of(table_id, key_number), claim, timeout_s, refusal)

    def lock_free_keys(
        self, owner: Owner, table_id: int, key_number: int, digests: Array, *, shared: bool = False
    ) -> Array:
        """Those of the keys that can be locked without waiting; says which."""
        if len(digests) == 0:
            return np.zeros(0, np.bool_)
        ids = np.ascontiguousarray(digests).view(np.int64)
        with self._mutex:
            mode = RowMode.KEY_SHARE if shared else RowMode.UPDATE
            return self._lock_free(owner, self._table.keys_of(table_id, key_number), ids, mode)

    def may_share_keys(self, table_id: int) -> bool:
        """Whether somebody may rely on a key of the table."""
        with self._mutex:
            return any(space.may_be_shared for (id_, _), space in self._table.keys.items() if id_ == table_id)

    def may_share_rows(self, table_id: int) -> bool:
        """Whether somebody may hold rows of the table together with others."""
        with self._mutex:
            space = self._rows.get(table_id)
            return space is not None and space.may_be_shared

    def lock_point(self, owner: Owner, table_id: int, row_id: int) -> bool:
        """One row in mode UPDATE, if that is possible without waiting."""
        with self._mutex:
            space = self._rows.get(table_id)
            if space is None:
                space = self._table.rows_of(table_id)
            if row_id not in space.single and not space.bulks and not space.queue:
                space.single[row_id] = owner
                owner.log.append((space, row_id, 0))
                return True
            return self._lock_single(owner, space, row_id)

    def lock_key_point(self, owner: Owner, table_id: int, key_number: int, digest: int) -> bool:
        """One key of a unique constraint, by its digest as a signed number, if that is possible without waiting."""
        with self._mutex:
            return self._lock_single(owner, self._table.keys_of(table_id, key_number), digest)

    def _lock_single(self, owner: Owner, space: RowLocks, id_: int) -> bool:
        if space.single.get(id_) is owner:
            return True
        if id_ not in space.single and not space.bulks and not space.queue:
            space.single[id_] = owner
            owner.log.append((space, id_, 0))
            return True
        claim = RowClaim(Ids(np.array([id_], np.int64)), int(RowMode.UPDATE))
        if self._table.is_blocked(owner, space, claim):
            return False
        space.grant(owner, claim)
        return True

    def lock_advisory(
        self,
        owner: Owner,
        key: tuple[int, ...],
        mode: AdvisoryMode,
        *,
        nowait: bool = False,
        timeout_s: float | None = None,
    ) -> bool:
        """Whether it is locked now: always, but with `nowait`."""
        if not nowait:
            self._lock(owner, lambda: self._table.advisory_of(key), int(mode), timeout_s)
            return True
        with self._mutex:
            space = self._table.advisory_of(key)
            free = not self._table.is_blocked(owner, space, int(mode))
            if free:
                space.grant(owner, int(mode))
            return free

    def unlock_advisory(self, owner: Owner, key: tuple[int, ...], mode: AdvisoryMode) -> bool:
        """False if this owner does not hold it."""
        with self._mutex:
            space = self._table.advisory.get(key)
            if space is None or not space.has(owner, mode):
                return False
            _wake(self._table.release_one(owner, space, int(mode)))
            return True

    def holder_of(self, table_id: int, row_id: int, mode: RowMode, but: Owner | None = None) -> Owner | None:
        """Somebody, other than `but`, who holds a row in a mode that conflicts."""
        with self._mutex:
            space = self._rows.get(table_id)
            found = None if space is None else space.holder(None if but is None else but.party, row_id, int(mode))
            assert found is None or isinstance(found, Owner)
            return found

    def taken(self, owner: Owner, table_id: int, mode: RowMode) -> Array:
        """The rows of a table that others hold, or wait for, in modes that conflict with this one."""
        with self._mutex:
            space = self._rows.get(table_id)
            return np.empty(0, np.int64) if space is None else space.taken(owner.party, int(mode))

    def wait_for(self, owner: Owner, other: Owner, timeout_s: float | None = None) -> None:
        """Waits until another owner gives something up: its caller looks again and may have to wait again."""
        with self._mutex:
            answer = self._table.wait_for(owner, other)
            waited = self._begin_wait(owner, answer)
        if waited is not None:
            self._sleep(owner, waited, timeout_s)

    # --- release ------------------------------------------------------------------------------------------------------

    def mark(self, owner: Owner) -> Mark:
        return len(owner.log)

    def release_to(self, owner: Owner, mark: Mark) -> None:
        """Gives up what was locked since the mark."""
        with self._mutex:
            woken = self._table.release_to(owner, mark)
            if woken:
                _wake(woken)

    def release(self, owner: Owner) -> None:
        """The end of a transaction: gives up all it holds."""
        with self._mutex:
            woken = self._table.release_to(owner, 0)
            if woken:
                _wake(woken)

    def renumber(self, table_id: int, apply: Callable[[Array], Array]) -> None:
        """A merge gave the rows other ids: `apply` translates, -1 for rows that are no more."""
        with self._mutex:
            _wake(self._table.renumber(table_id, apply))

    def held(self) -> list[Lock]:
        """All locks and requests, for pg_locks."""
        with self._mutex:
            return list(self._table.locks())

    def rows_waiting(self, table_id: int) -> int:
        """How many requests wait for rows of a table."""
        with self._mutex:
            space = self._rows.get(table_id)
            return 0 if space is None else len(space.queue)

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _lock(
        self,
        owner: Owner,
        find: Callable[[], Space],
        claim: Any,
        timeout_s: float | None,
        refusal: DatabaseError | None = None,
    ) -> bool:
        """Whether it waited; with a `refusal` it raises that instead of waiting. A space may be gone when nobody
        holds anything of it, so it is looked up (`find`) inside of the mutex."""
        with self._mutex:
            space = find()
            if refusal is not None and self._table.is_blocked(owner, space, claim):
                raise refusal
            waited = self._begin_wait(owner, self._table.request(owner, space, claim))
        if waited is None:
            return False
        self._sleep(owner, waited, timeout_s)
        return True

    def _begin_wait(self, owner: Owner, answer: Answer) -> Request | None:
        _wake(answer.woken)
        if answer.deadlock:
            raise error_for("40P01", "deadlock detected", hint="run the transaction again")
        if answer.request is not None:
            wake = threading.Lock()
            wake.acquire()
            owner.party._wake = wake
        return answer.request

    def _sleep(self, owner: Owner, request: Request, timeout_s: float | None) -> None:
        """Until the request is granted."""
        begun = self._clock()
        limit = owner.lock_timeout_s if timeout_s is None else timeout_s
        lock_end = None if limit is None else begun + limit
        wake = owner.party._wake
        try:
            while not request.granted and not owner._cancelled:
                ends = [end for end in (lock_end, owner.deadline_s) if end is not None]
                left = min(ends) - self._clock() if ends else None
                if left is not None and left <= 0:
                    break
                wake.acquire(True, -1 if left is None else min(left, threading.TIMEOUT_MAX))
        finally:
            with self._mutex:
                _wake(self._table.withdraw(request))
                owner.party._wake = None
        if not request.granted:
            raise self.given_up(owner, lock_end)

    def given_up(self, owner: Owner, lock_end: float | None = None) -> DatabaseError:
        """Why a wait has ended without what it was for."""
        if owner._cancelled:
            owner._cancelled = False
            return error_for("57014", "canceling statement due to user request")
        if lock_end is not None and (owner.deadline_s is None or lock_end <= owner.deadline_s):
            return error_for("55P03", "canceling statement due to lock timeout")
        return error_for("57014", "canceling statement due to statement timeout")


def _wake(requests: Iterable[Request] | Sequence[Request]) -> None:
    """Tells the threads of granted requests."""
    for request in requests:
        wake = request.owner.party._wake
        if wake is not None:
            _signal(wake)


def _row_refusal(name: str | None, table_id: int) -> DatabaseError:
    return error_for("55P03", f'could not obtain lock on row in relation "{name or table_id}"')


def _signal(wake: Any) -> None:
    with contextlib.suppress(RuntimeError):  # told already: a grant and a cancellation at the same time
        wake.release()
