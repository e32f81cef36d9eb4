"""What functions by component see of the database that calls them: the caller's statement, for reading.

A scalar, table or aggregate function runs within a statement, often in one of the engine's own threads, while the
statement holds its connection. So what it queries does not go through the connection: its queries are compiled for the
view that the statement itself reads (the transaction's own changes with it) and run over it. They can be nothing but
queries; whatever changes something, the session's settings too, is 0A000. Triggers run between statements' parts and
have the whole connection (component_triggers.py).

Handles are good for one call: the next one may be of another statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from zerodb.components.query import GuestConnection
from zerodb.cursor import Cursor
from zerodb.functions.body import calling
from zerodb.queries import canonical_parameters, execute, query_outcome
from zerodb.sessions.open_transaction import now
from zerodb.values import Parameters, bind_parameters
from zerodb_compiler import zones
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.computed import Computed

if TYPE_CHECKING:
    from zerodb.compilation import Ready
    from zerodb.connection import Connection
    from zerodb.view import View
    from zerodb_compiler.codegen.program import OutputColumn
    from zerodb_compiler.sql.parameters import UserParameter


class CallingSession:
    """The owner of a function's instance."""

    def open(self, name: str) -> GuestConnection:
        if name not in ("", "default"):
            raise error_for("3D000", f'database "{name}" does not exist', hint='a function has the database ""')
        view = calling()
        if view is None or view.session is None:
            raise error_for("0A000", "a function can query only while a statement calls it")
        return _StatementsConnection(view, view.session)


class _StatementsConnection(GuestConnection):
    def __init__(self, view: View, connection: Connection) -> None:
        super().__init__(_Reader(view, connection), lambda _: None)  # type: ignore[arg-type]

    def close(self) -> None:
        """It ends with the statement."""


def _refuse() -> NoReturn:
    raise error_for("0A000", "a function that a statement calls can only query")


class _Reader:
    """As much of a Connection as a guest's queries need."""

    def __init__(self, view: View, connection: Connection) -> None:
        self.view, self.connection = view, connection
        self._closed = False

    def prepare(self, sql: str) -> _Query:
        self.begin_statement()
        return _Query(self, self.connection._database.prepare(sql, self.view))

    def execute(self, sql: str, parameters: Parameters | None = None) -> Cursor:
        return self.prepare(sql).execute(parameters)

    def __getattr__(self, _name: str) -> NoReturn:
        """Whatever else connections do."""
        _refuse()

    def _check_open(self) -> None:
        """It is, as long as its handle is there."""

    def begin_statement(self) -> None:
        """This thread may be one that has run no statement of the session."""
        session = self.connection._session
        zones.begin_statement(self.connection._options.zone, now(), session.started)


class _Query:
    """As much of a PreparedStatement."""

    def __init__(self, reader: _Reader, ready: Ready) -> None:
        statement = ready.prepared.statement
        if not isinstance(statement, st.Query) or statement.locks or ready.prepared.query is None:
            _refuse()
        self.connection, self.sql = reader, ready.text
        self._ready = ready

    @property
    def _prepared(self) -> Any:
        return self._ready.prepared

    @property
    def parameters(self) -> tuple[UserParameter, ...]:
        return self._ready.prepared.user

    @property
    def columns(self) -> tuple[OutputColumn, ...] | None:
        return self._ready.prepared.columns

    def execute(self, parameters: Parameters | None = None) -> Cursor:
        reader, prepared = self.connection, self._ready.prepared
        assert prepared.query is not None
        reader.begin_statement()
        values = canonical_parameters(self._ready, bind_parameters(prepared.user, parameters))
        if any(isinstance(value, Computed) for value in values):  # sequences, settings, locks
            _refuse()
        cursor = Cursor(reader)  # type: ignore[arg-type]
        cursor._start(query_outcome(prepared.query, execute(reader.connection, prepared.query, reader.view, values)))
        return cursor
