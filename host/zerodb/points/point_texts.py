"""Texts that a connection executes again and again with parameters, if they are statements by key: found by the text
itself, they take the way of prepared statements (point.py), without a look at their shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb_compiler.errors import Error

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.statement import PreparedStatement

POINT_AFTER = 3  # executions of the same text
TEXTS_MAX = 256


class PointTexts:
    """Of one connection. `found` are the statements by key among the texts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.found: dict[str, PreparedStatement] = {}
        self._counts: dict[str, int] = {}
        connection._database.texts.add(self)

    def forget(self) -> None:
        """Lets go of the statements, and of their memory."""
        self._counts.clear()
        self.found.clear()

    def note(self, text: str) -> None:
        """A text with parameters was executed the general way."""
        count = self._counts.get(text, 0) + 1
        if len(self._counts) >= TEXTS_MAX and text not in self._counts:
            self.forget()
        self._counts[text] = count
        if count == POINT_AFTER:
            self._make(text)

    def _make(self, text: str) -> None:
        try:
            statement = self._connection.prepare(text)
        except Error:  # it has executed, but there is nothing that it could be prepared for now
            return
        statement.make_point()
        if statement.is_point:
            self.found[text] = statement
