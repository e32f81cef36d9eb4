"""What goes wrong, as exceptions: the classes of PEP 249, by the class of the SQLSTATE.

try:
    db.execute("insert into item values (1)")
except IntegrityError as error:
    print(error.sqlstate, error.message)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from componentize_py_types import Err


class Error(Exception):
    """A statement failed. `position` counts characters of its text from 1; `retryable` says that the same
    transaction may succeed when it is run again."""

    def __init__(
        self,
        message: str,
        sqlstate: str = "XX000",
        hint: str | None = None,
        position: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.hint = hint
        self.position = position
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.sqlstate}: {self.message}" + (f" (hint: {self.hint})" if self.hint else "")


class DataError(Error):
    """A value that is out of range, or no value of its type."""


class IntegrityError(Error):
    """A key that is there already, a missing parent row, a CHECK."""


class OperationalError(Error):
    """Conflicts, deadlocks, timeouts, resources."""


class ProgrammingError(Error):
    """A mistake in the statement, or something that is not allowed."""


class NotSupportedError(Error):
    """What zerodb does not do (0A000)."""


class InternalError(Error):
    """What should not happen, or a transaction in no state for it."""


_CLASSES: dict[str, type[Error]] = {
    **dict.fromkeys(("21", "22"), DataError),
    "23": IntegrityError,
    **dict.fromkeys(("40", "53", "54", "55", "57", "58"), OperationalError),
    **dict.fromkeys(("08", "26", "34", "3D", "3F", "42"), ProgrammingError),
    "0A": NotSupportedError,
}


def error_of(error: Any) -> Error:
    """The exception for a record `error` of types.wit."""
    kind = _CLASSES.get(error.sqlstate[:2], InternalError)
    return kind(error.message, error.sqlstate, error.hint, error.position, error.retryable)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the host as exceptions of this package."""
    failure = None
    try:
        yield
    except Err as error:  # a frozen dataclass: contextlib cannot let it through, so it ends here
        failure = error.value
    if failure is not None:
        raise error_of(failure)


class FunctionError(Exception):
    """Raised by a function or a trigger that SQL calls: the statement fails with the message and SQLSTATE. `row` is
    the row of the batch, from 0; where a function is called row by row, it is filled in."""

    def __init__(self, message: str, sqlstate: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.row = row
