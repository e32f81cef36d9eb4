"""Group commit: transactions that commit at the same time share one write and one sync.

Whoever comes while nobody publishes leads. Those that come while somebody does form the next group, led by the first of
them; when the one before is done, it publishes for all of them. So nobody waits for a timer, one committer alone waits
for nobody, and the more there are, the more share a sync (as in DeWitt et al., "Implementation Techniques for Main
Memory Database Systems", 1984).

    leader      |-- publish A --|-- publish B, C, D --|
    B, C, D         gather .....|                     | all return

`alone` gives what must not run beside a publication (merges, bulk import, checks) the same turn.

Waking a thread costs some 10 us, of the one who wakes it and holds Python's global lock meanwhile; and threads that are
all woken at once only wait for that lock. So the next leader is woken first, then the first of those that were led, and
each of these wakes the one behind it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Ticket(Generic[T]):
    """One transaction to publish; `error` is what that ended with. `is_done`: it is published, whatever happens to the
    rest of its group."""

    __slots__ = ("behind", "error", "is_done", "item", "wake")

    def __init__(self, item: T) -> None:
        self.item = item
        self.error: BaseException | None = None
        self.is_done = False
        self.wake: threading.Lock | None = None  # of one that is led: released when it is published
        self.behind: Ticket[T] | None = None  # whom it wakes then


class _Turn(Generic[T]):
    """What waits for its turn: a group, whose first ticket's thread leads it, or (without tickets) one that wants to be
    alone."""

    __slots__ = ("came", "tickets")

    def __init__(self, tickets: list[Ticket[T]]) -> None:
        self.tickets = tickets
        self.came = _taken_lock()  # released when it is its turn


class GroupCommit(Generic[T]):
    """`publish` is called with the tickets of one group, by one thread at a time; it sets the errors of those that
    fail, and may raise for all."""

    def __init__(self, publish: Callable[[Sequence[Ticket[T]]], None]) -> None:
        self._publish = publish
        self._mutex = threading.Lock()
        self._taken = False  # whether it is somebody's turn
        self._queue: deque[_Turn[T]] = deque()

    def commit(self, item: T) -> None:
        """Publishes the item, alone or with others; raises what its publication raised. What interrupts the wait is
        raised when that is over."""
        ticket = Ticket(item)
        turn: _Turn[T] | None = None
        with self._mutex:
            if self._taken:
                turn = self._join(ticket)
            self._taken = True
        interruption: BaseException | None = None
        if turn is None:
            self._lead([ticket])
        elif ticket.wake is None:
            interruption = _wait(turn.came)
            self._lead(turn.tickets)
        else:
            interruption = _wait(ticket.wake)
            _wake(ticket.behind)
        if interruption is not None:
            raise interruption
        if ticket.error is not None:
            raise ticket.error

    def _join(self, ticket: Ticket[T]) -> _Turn[T]:
        """The group that it belongs to, a new one if need be."""
        if not self._queue or not self._queue[-1].tickets:
            self._queue.append(_Turn([ticket]))
            return self._queue[-1]
        turn = self._queue[-1]
        ticket.wake = _taken_lock()
        turn.tickets[-1].behind = ticket
        turn.tickets.append(ticket)
        return turn

    @contextmanager
    def alone(self, timeout_s: float | None = None) -> Iterator[bool]:
        """A turn of one's own; gives False, and no turn, if it does not come in time."""
        if not self._enter_alone(timeout_s):
            yield False
            return
        try:
            yield True
        finally:
            self._pass_on()

    def _enter_alone(self, timeout_s: float | None) -> bool:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            turn: _Turn[T] = _Turn([])
            self._queue.append(turn)
        if turn.came.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return True
        with self._mutex:
            if turn in self._queue:
                self._queue.remove(turn)
                return False
        turn.came.acquire()  # its turn came just now
        return True

    def _lead(self, group: list[Ticket[T]]) -> None:
        """Publishes a group that nobody joins any more, since its turn has come."""
        try:
            self._publish(group)
        except BaseException as error:
            for ticket in group:
                if not ticket.is_done:
                    ticket.error = ticket.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            self._pass_on()
            _wake(group[0].behind)

    def _pass_on(self) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().came.release()
            else:
                self._taken = False


def _taken_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _wait(lock: threading.Lock) -> BaseException | None:
    """Until the lock is released: others rely on what comes afterwards. What a signal's handler raised meanwhile."""
    interruption: BaseException | None = None
    while True:
        try:
            lock.acquire()
            return interruption
        except BaseException as error:
            interruption = error


def _wake(ticket: Ticket[T] | None) -> None:
    if ticket is not None:
        assert ticket.wake is not None
        ticket.wake.release()
