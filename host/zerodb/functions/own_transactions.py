"""The transactions of a DO or CALL: one, or several where COMMIT and ROLLBACK in it end one and begin the next.

Outside of a transaction block the statement is a transaction of its own; ending it is leaving the block of its write
transaction. What was committed stays, so a statement that has done so never runs again as a whole: where it would have
to, it fails with 40001. Within a transaction block, a query or a block with handlers nothing can be ended (2D000).
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Self

from zerodb_compiler.errors import error_for
from zerodb_storage import Outdated, WriteTransaction

if TYPE_CHECKING:
    from zerodb.sessions.session import Session


class _RolledBackError(Exception):
    """Leaves a write transaction without a commit."""


class OwnTransactions:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._may_end = not session.in_transaction and not session.statement.nested
        self._writing: contextlib.AbstractContextManager[WriteTransaction] | None = None
        self._ended = False
        self.guards = 0  # blocks with handlers that run

    def __enter__(self) -> Self:
        self._open()
        return self

    def _open(self) -> None:
        if self._session.is_read_only:
            return
        writing = self._session.writing()
        writing.__enter__()
        self._writing = writing

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.__exit__(kind, error, trace)
        except Outdated:
            if not self._ended:
                raise
            raise _conflict() from None
        if self._ended and isinstance(error, Outdated):
            raise _conflict() from None

    def end(self, *, commit: bool) -> None:
        """COMMIT or ROLLBACK."""
        if not self._may_end:
            raise error_for("2D000", "invalid transaction termination")
        if self.guards:
            what = "commit" if commit else "roll back"
            raise error_for("2D000", f"cannot {what} while a subtransaction is active")
        writing, self._writing = self._writing, None
        session = self._session
        if writing is not None:
            if commit:
                self._ended = True  # whether it succeeds or not
                writing.__exit__(None, None, None)
            else:
                with contextlib.suppress(_RolledBackError):
                    reason = _RolledBackError()
                    writing.__exit__(type(reason), reason, None)
        session.locks.end_reading()
        if commit:
            session.announcements.tell()
        else:
            session.announcements.forget()
        self._ended = True
        self._open()


def _conflict() -> Exception:
    hint = "run the statement again; what it had committed stays"
    return error_for("40001", "could not serialize access due to concurrent update", hint=hint)
