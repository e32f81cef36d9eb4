"""The statement that runs in a session, and those that run within it.

    Session --run--> statement --calls--> function --executes--> nested statement --calls--> ...

A nested statement is a part of the one around it: it fails alone if the function goes on, but where others changed what
it has read (Outdated), the outermost statement runs again, whatever the function made of the error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from zerodb.statement_text import ends_failed
from zerodb_compiler.errors import error_for
from zerodb_storage import Outdated

if TYPE_CHECKING:
    from zerodb.functions.firing import AfterEvent
    from zerodb.sessions.session import Session

T = TypeVar("T")


class RunningStatement:
    def __init__(self) -> None:
        self.runs = False  # whether one does
        self.text: str | None = None
        self.started = 0  # microseconds since 1970, UTC
        self.numbered: int | None = None  # outside of a transaction (`Session.number`)
        self.nested = 0  # how many statements run within each other, each called by a function of the one before
        self.outdated: Outdated | None = None  # met by a nested one: the whole one runs again
        self.trigger_depth = 0
        self.call_depth = 0  # of functions with bodies, and procedures
        # Whether statements of functions may look at what is committed since the calling statement began: not while
        # that changes rows, whose ids it has.
        self.may_refresh = False
        self.looked_again = 0  # how often it runs again because of duplicates that a function has met
        self.after_events: list[AfterEvent] | None = None  # for which AFTER triggers run when the statement ends
        self.late_keys: list[Callable[[], None]] | None = None  # foreign keys to look at when the statement ends

    def run_nested(self, once: Callable[[], T], text: str | None) -> T:
        """Runs a statement that a function executes which the running statement has called."""
        outer, self.text = self.text, text
        self.nested += 1
        try:
            return once()
        except Outdated as reason:
            self.outdated = reason
            raise
        finally:
            self.nested -= 1
            self.text = outer

    @contextlib.contextmanager
    def refreshing(self, *, may: bool) -> Iterator[None]:
        """Around a statement that may, or may not, have the ground changed under it by statements of functions."""
        outer, self.may_refresh = self.may_refresh, may
        try:
            yield
        finally:
            self.may_refresh = outer

    def check_outdated(self) -> None:
        """After a function was called, whatever it made of the errors of its own statements."""
        if self.outdated is not None:
            reason, self.outdated = self.outdated, None
            raise reason

    def check_none(self, what: str) -> None:
        """2D000 for a function, called by a statement, that would end its transaction or the like."""
        if self.runs:
            raise error_for("2D000", f"cannot {what} within a statement", hint="a function runs that it has called")


def run(session: Session, once: Callable[[], T], text: str | None) -> T:
    """Runs a statement, again if others changed meanwhile what it has read. If it fails, so does the transaction around
    it. `text` is its SQL, if it may be one that ends a failed transaction."""
    statement = session.statement
    if statement.runs:
        return statement.run_nested(once, text)
    statement.text, statement.numbered = text, None
    statement.looked_again = 0
    session.notices.begin()
    if session.is_failed and not ends_failed(text):
        raise error_for("25P02", "current transaction is aborted, commands ignored until end of transaction block")
    statement.runs = True
    try:
        while True:
            try:
                statement.outdated = None
                result = once()
                session.settle()
                break
            except Outdated as reason:
                session.run_again(reason)
    except BaseException:
        session.fail()
        raise
    finally:
        statement.runs = False
    session.succeeded()
    return result
