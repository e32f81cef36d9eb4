"""`db.transaction(...)`: a block that commits at its end or rolls back if it raises, once or several times.

    with db.transaction():                              one attempt; with retries its statements may be replayed
        ...
    for attempt in db.transaction(retries=5):           up to six: the block runs again after a conflict
        with attempt:
            ...
    @db.transaction(retries=5)                          the same for a function; or db.transaction(...).run(function)
    def transfer(...): ...

A conflict is an error with `retryable`: 40001 (another transaction came first), 40P01 (a deadlock), 55P03 (a lock was
not to be had). Python cannot run the body of a `with` a second time, so retries ask for a loop or a function; for what
can be done for a `with` see replaying.py.
Between attempts it waits: up to 2 ms, then up to twice as long each time, at most a second; a random part of that, so
that those who met do not meet again ("full jitter").
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from zerodb_compiler.errors import Error, InterfaceError, error_for

if TYPE_CHECKING:
    from types import TracebackType

    from zerodb.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="Connection")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before attempt `number` (from 1). `sleep` takes seconds, `chance` gives 0 <= x < 1."""

    first_s: float = 0.002
    most_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def wait(self, number: int) -> None:
        longest = min(self.most_s, self.first_s * 2.0 ** min(number - 1, 30))
        self.sleep(longest * self.chance())


BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class Modes:
    """None: as the settings of the session say."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


class Block(Generic[C]):
    """What `Connection.transaction` gives."""

    def __init__(self, connection: C, modes: Modes, retries: int, backoff: Backoff = BACKOFF) -> None:
        if retries < 0:
            raise error_for("22023", f"retries must not be negative, not {retries}")
        self._connection = connection
        self._modes = modes
        self._retries = retries
        self._backoff = backoff

    def __enter__(self) -> C:
        connection = self._connection
        if not self._retries:
            self._begin()
            return connection
        from zerodb.sessions.replaying import Recorder

        connection._check_open()
        with connection._lock:
            connection._recorder = Recorder(connection, self._modes, self._retries, self._backoff)
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(kind is None)
        finally:
            self._connection._recorder = None

    def __iter__(self) -> Iterator[Attempt[C]]:
        for number in range(1, self._retries + 2):
            attempt = Attempt(self, is_last=number > self._retries)
            yield attempt
            if attempt.is_open:
                raise InterfaceError("an attempt was not used", hint="for attempt in ...: with attempt: ...")
            if attempt.succeeded:
                return
            self._backoff.wait(number)

    def run(self, function: Callable[[C], R]) -> R:
        """Calls the function with the connection, in a transaction, as often as it takes; its result."""
        for attempt in self:
            with attempt as connection:
                result = function(connection)
        return result

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, each of whose calls is a transaction."""

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.run(lambda _: function(*args, **kwargs))

        return called

    def _begin(self) -> None:
        modes = self._modes
        self._connection.begin(modes.isolation, read_only=modes.read_only, deferrable=modes.deferrable)

    def _end(self, succeeded: bool) -> None:
        connection = self._connection
        if not succeeded:
            connection.rollback()
        elif not connection.commit():
            raise error_for(
                "25P02", "a statement of the transaction failed: it was rolled back", hint="see the first error"
            )


class Attempt(Generic[C]):
    """One run of a block: it swallows a conflict, unless it is the last."""

    __slots__ = ("_block", "_is_last", "is_open", "succeeded")

    def __init__(self, block: Block[C], *, is_last: bool) -> None:
        self._block = block
        self._is_last = is_last
        self.is_open = True
        self.succeeded = False

    def __enter__(self) -> C:
        self._block._begin()
        self.is_open = False
        return self._block._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            self._block._end(kind is None)
        except Error as conflict:
            if self._is_last or not conflict.retryable:
                raise
            return True
        if kind is None:
            self.succeeded = True
            return False
        return isinstance(error, Error) and error.retryable and not self._is_last
