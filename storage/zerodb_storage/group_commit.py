"""Group commit: transactions that commit at the same time share one write and one sync.

Whoever comes while nobody publishes leads. Those that come while somebody does form the next group, led by the first of
them; when the one before is done, it publishes for all of them. So nobody waits for a timer, one committer alone waits
for nobody, and the more there are, the more share a sync (as in DeWitt et al., "Implementation Techniques for Main
Memory Database Systems", 1984).

    leader      |-- publish A --|-- publish B, C, D --|
    B, C, D         gather .....|                     | all return

`alone` gives what must not run beside a publication (merges, bulk import, checks) the same turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from zerodb_storage.wakeup import Wakeup

T = TypeVar("T")


class Ticket(Generic[T]):
    """One transaction to publish; `error` is what that ended with. `is_done`: it is published, whatever happens to the
    rest of its group."""

    __slots__ = ("error", "is_done", "item")

    def __init__(self, item: T) -> None:
        self.item = item
        self.error: BaseException | None = None
        self.is_done = False


class _Turn(Generic[T]):
    """What waits for its turn: a group, whose first ticket's thread leads it, or (without tickets) one that wants to be
    alone."""

    __slots__ = ("came", "published", "tickets")

    def __init__(self, tickets: list[Ticket[T]]) -> None:
        self.tickets = tickets
        self.came = threading.Lock()  # released when it is its turn
        self.came.acquire()
        self.published: Wakeup | None = None  # of those that are led


class GroupCommit(Generic[T]):
    """`publish` is called with the tickets of one group, by one thread at a time; it sets the errors of those that
    fail, and may raise for all."""

    def __init__(self, publish: Callable[[Sequence[Ticket[T]]], None]) -> None:
        self._publish = publish
        self._mutex = threading.Lock()
        self._taken = False  # whether it is somebody's turn
        self._queue: deque[_Turn[T]] = deque()

    def commit(self, item: T) -> None:
        """Publishes the item, alone or with others; raises what its publication raised."""
        ticket = Ticket(item)
        turn: _Turn[T] | None = None
        with self._mutex:
            if self._taken:
                if self._queue and self._queue[-1].tickets:
                    turn = self._queue[-1]
                    turn.tickets.append(ticket)
                    if turn.published is None:
                        turn.published = Wakeup()
                else:
                    turn = _Turn([ticket])
                    self._queue.append(turn)
            self._taken = True
        if turn is None:
            self._lead([ticket], None)
        elif turn.tickets[0] is ticket:
            turn.came.acquire()
            self._lead(turn.tickets, turn)
        else:
            assert turn.published is not None
            turn.published.wait()
        if ticket.error is not None:
            raise ticket.error

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

    def _lead(self, group: list[Ticket[T]], turn: _Turn[T] | None) -> None:
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
            if turn is not None and turn.published is not None:
                turn.published.give(len(group) - 1)

    def _pass_on(self) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().came.release()
            else:
                self._taken = False
