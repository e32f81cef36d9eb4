"""What the database says beside results: RAISE NOTICE and its like in functions.

    db.add_notice_handler(lambda notice: print(notice.severity, notice.message))
    db.notices       the last ones, without a handler

A statement that runs again, since others were in its way, says only what it did not say before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MAX_KEPT = 50
_LEVELS = ("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error")
SQLSTATES = {"warning": "01000"}  # all others: 00000


@dataclass(frozen=True, slots=True)
class Notice:
    """`severity` is NOTICE, WARNING, INFO, LOG or DEBUG."""

    severity: str
    message: str
    sqlstate: str = "00000"
    detail: str | None = None
    hint: str | None = None
    context: str | None = None

    def __str__(self) -> str:
        return f"{self.severity}:  {self.message}"


class Notices:
    """Those of one connection."""

    def __init__(self) -> None:
        self.kept: deque[Notice] = deque(maxlen=MAX_KEPT)
        self.handlers: list[Callable[[Notice], None]] = []
        self._said: list[Notice] = []  # by the statement that runs
        self._place = 0  # how many of these it has said once more

    def begin(self) -> None:
        """A statement of the user's begins."""
        if self._said:
            self._said = []
        self._place = 0

    def again(self) -> None:
        """It runs again."""
        self._place = 0

    def say(self, notice: Notice, least: str) -> None:
        """`least` is the setting client_min_messages."""
        level = notice.severity.lower()
        rank = {"debug": "debug1"}.get(level, level)
        if level != "info" and _LEVELS.index(rank) < _LEVELS.index(least):
            return
        if self._place < len(self._said) and self._said[self._place] == notice:
            self._place += 1
            return
        del self._said[self._place :]
        self._said.append(notice)
        self._place += 1
        for handler in list(self.handlers):
            handler(notice)
        if not self.handlers:
            self.kept.append(notice)
