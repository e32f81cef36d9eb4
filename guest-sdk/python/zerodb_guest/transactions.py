"""Transactions over zerosys:db/transaction, with the feel of zerodb's own API.

with db.transaction():
    ...
for attempt in db.transaction("serializable", retries=5):  # runs again after a conflict
    with attempt:
        ...
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from componentize_py_types import Err

from zerodb_guest.errors import Error, ProgrammingError, error_of


class Transaction:
    """An open transaction."""

    def __init__(self, connection: Any, isolation: str | None, read_only: bool) -> None:
        # Worlds of functions do not import transactions, so only their use asks for them.
        from wit_world.imports import transaction as wit

        levels = {
            None: wit.IsolationLevel.DEFAULT_LEVEL,
            "read committed": wit.IsolationLevel.READ_COMMITTED,
            "repeatable read": wit.IsolationLevel.REPEATABLE_READ,
            "serializable": wit.IsolationLevel.SERIALIZABLE,
        }
        level = levels.get(isolation and isolation.lower().replace("_", " "))
        if level is None:
            raise ProgrammingError(f"there is no isolation level {isolation!r}", "22023")
        mode = wit.AccessMode.READ_ONLY if read_only else wit.AccessMode.READ_WRITE
        self._wit: Any = wit.Transaction
        self._resource = self._call(wit.Transaction.begin, connection, level, mode)

    @staticmethod
    def _call(function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Err as error:
            raise error_of(error.value) from None

    def commit(self) -> None:
        self._call(self._wit.commit, self._take())

    def rollback(self) -> None:
        self._call(self._wit.rollback, self._take())

    def savepoint(self, name: str) -> None:
        """A place to come back to."""
        self._call(self._open().savepoint, name)

    def rollback_to(self, name: str) -> None:
        """Undoes what came after the savepoint, which stays."""
        self._call(self._open().rollback_to, name)

    def release(self, name: str) -> None:
        self._call(self._open().release, name)

    @property
    def is_open(self) -> bool:
        return self._resource is not None

    def _open(self) -> Any:
        if self._resource is None:
            raise ProgrammingError("the transaction has ended", "25P01")
        return self._resource

    def _take(self) -> Any:
        resource = self._open()
        self._resource = None
        return resource


class Block:
    """What `Connection.transaction` gives: a `with` block, or with retries a loop of attempts."""

    def __init__(self, connection: Any, isolation: str | None, read_only: bool, retries: int) -> None:
        self._connection = connection
        self._isolation = isolation
        self._read_only = read_only
        self._retries = retries
        self._open: Transaction | None = None

    def __enter__(self) -> Transaction:
        if self._retries:
            raise ProgrammingError("retries need a loop: for attempt in db.transaction(retries=5): with attempt: ...")
        return self.begin()

    def begin(self) -> Transaction:
        self._open = Transaction(self._connection, self._isolation, self._read_only)
        return self._open

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._open = self._open, None
        if opened is not None and opened.is_open:  # else the block has ended it by itself
            opened.commit() if kind is None else opened.rollback()

    def __iter__(self) -> Iterator[Attempt]:
        for number in range(1, self._retries + 2):
            attempt = Attempt(self, is_last=number > self._retries)
            yield attempt
            if attempt.succeeded:
                return


class Attempt:
    """One run of a block: it swallows a conflict, unless it is the last."""

    def __init__(self, block: Block, is_last: bool) -> None:
        self._block = block
        self._is_last = is_last
        self.succeeded = False

    def __enter__(self) -> Transaction:
        return self._block.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            self._block.__exit__(kind, error, trace)
        except Error as conflict:
            if kind is None and conflict.retryable and not self._is_last:
                return True
            raise
        self.succeeded = kind is None
        return isinstance(error, Error) and error.retryable and not self._is_last
