"""Group commit: transactions that commit at the same time share one write and one sync.

Whoever comes while nobody publishes becomes the leader. Those that come while it publishes queue up; when it is done,
the first of them leads all of them. So nobody waits for a timer, one committer alone waits for nobody, and the more
there are, the more share a sync (as in DeWitt et al., "Implementation Techniques for Main Memory Database Systems",
1984).

    leader      |-- publish A --|-- publish B, C, D --|
    B, C, D         queue ......|                     | all return

`alone` gives what must not run beside a publication (merges, bulk import, checks) the same turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Ticket(Generic[T]):
    """One waiting transaction; `error` is what its publication ended with. `is_done`: it is published, whatever happens
    to the rest of its group."""

    __slots__ = ("error", "is_done", "item", "published", "turn")

    def __init__(self, item: T | None) -> None:
        self.item = item
        self.error: BaseException | None = None
        self.is_done = False
        self.published = False
        self.turn = threading.Lock()
        self.turn.acquire()


class GroupCommit(Generic[T]):
    """`publish` is called with the tickets of one group, by one thread at a time; it sets the errors of those that
    fail, and may raise for all."""

    def __init__(self, publish: Callable[[Sequence[Ticket[T]]], None]) -> None:
        self._publish = publish
        self._mutex = threading.Lock()
        self._led = False
        self._queue: deque[Ticket[T]] = deque()

    def commit(self, item: T) -> None:
        """Publishes the item, alone or with others; raises what its publication raised."""
        ticket = Ticket(item)
        self._enter(ticket)
        if not ticket.published:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error

    @contextmanager
    def alone(self, timeout_s: float | None = None) -> Iterator[bool]:
        """A turn of one's own; gives False, and no turn, if it does not come in time."""
        ticket: Ticket[T] = Ticket(None)
        if not self._enter(ticket, timeout_s):
            yield False
            return
        try:
            yield True
        finally:
            self._pass_on()

    def _enter(self, ticket: Ticket[T], timeout_s: float | None = None) -> bool:
        """Returns when the ticket leads, or was published by another leader."""
        with self._mutex:
            if not self._led:
                self._led = True
                return True
            self._queue.append(ticket)
        if ticket.turn.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return True
        with self._mutex:
            if ticket in self._queue:
                self._queue.remove(ticket)
                return False
        ticket.turn.acquire()  # its turn came just now
        return True

    def _lead(self, first: Ticket[T]) -> None:
        group = [first]
        try:
            with self._mutex:
                while self._queue and self._queue[0].item is not None:
                    group.append(self._queue.popleft())
            try:
                self._publish(group)
            except BaseException as error:
                for ticket in group:
                    if not ticket.is_done:
                        ticket.error = ticket.error or error
                if not isinstance(error, Exception):
                    raise
        finally:
            for ticket in group[1:]:
                ticket.published = True
                ticket.turn.release()
            self._pass_on()

    def _pass_on(self) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().turn.release()
            else:
                self._led = False
