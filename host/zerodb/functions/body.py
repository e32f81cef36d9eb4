"""What runs when SQL calls an external function.

A scalar function's body is called with columns, block by block, from any of the engine's worker threads and from
several at once; it keeps as many instances as it needs for that. It runs within the statement that calls it, whose view
of the database `calling()` gives.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from zerodb.view import View

DEFAULT_SQLSTATE = "38000"  # external routine exception


class FunctionError(Exception):
    """What a body raises: `row` is the row of the block that it failed for, if it knows."""

    def __init__(self, message: str, sqlstate: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate or DEFAULT_SQLSTATE
        self.row = row


class FunctionBody(Protocol):
    """A scalar function. The arguments are arrays of the Arrow types that results of SQL types have (zerodb.values);
    of a strict function they hold no NULLs. So must the array returned be, with a value for each row. The arrays may
    lie in memory that is used again after the call: what is kept has to be copied."""

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array: ...

    def close(self) -> None: ...


_thread = threading.local()


@contextlib.contextmanager
def called_by(view: View | None) -> Iterator[None]:
    """Within it, this thread runs a function for a statement over `view`."""
    before = getattr(_thread, "view", None)
    _thread.view = view
    try:
        yield
    finally:
        _thread.view = before


def calling() -> View | None:
    """What the statement sees for which this thread runs a function; None where it runs none. The view's `session` is
    the connection."""
    found: View | None = getattr(_thread, "view", None)
    return found
