"""What runs when SQL calls an external function.

A scalar function's body is called with columns, block by block, from any of the engine's worker threads and from
several at once; it keeps as many instances as it needs for that. It runs within the statement that calls it, whose view
of the database `calling()` gives.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
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
    lie in memory that is used again after the call: what is kept has to be copied. One whose `exclusive` is true, since
    it uses the statement's connection, is called by one thread of an execution at a time."""

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array: ...

    def close(self) -> None: ...


_thread = threading.local()


def _goes_on() -> str | None:
    return None


@contextlib.contextmanager
def called_by(view: View | None, stopped: Callable[[], str | None] = _goes_on) -> Iterator[None]:
    """Within it, this thread runs a function for a statement over `view`. `stopped` says why the statement is to end,
    or None; a function that runs for long asks it from time to time."""
    before = getattr(_thread, "view", None), getattr(_thread, "stopped", _goes_on)
    _thread.view, _thread.stopped = view, stopped
    try:
        yield
    finally:
        _thread.view, _thread.stopped = before


def stop_reason() -> Callable[[], str | None]:
    """The `stopped` of the statement for which this thread runs a function, for any thread to call."""
    found: Callable[[], str | None] = getattr(_thread, "stopped", _goes_on)
    return found


def calling() -> View | None:
    """What the statement sees for which this thread runs a function; None where it runs none. The view's `session` is
    the connection."""
    found: View | None = getattr(_thread, "view", None)
    return found
