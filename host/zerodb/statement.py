"""Prepared statements: compiled once, executed many times, and open to inspection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb import execution
from zerodb.compilation import Prepared
from zerodb.cursor import Cursor
from zerodb.values import Canonical, Parameters, bind_parameters
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql.parameters import UserParameter

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb_compiler.codegen.program import OutputColumn


class PreparedStatement:
    """Made by `Connection.prepare`. When a table's schema or layout changes, the next execution compiles it anew."""

    def __init__(self, connection: Connection, sql: str, prepared: tuple[Prepared, list[Canonical]]) -> None:
        self.connection = connection
        self.sql = sql
        self._prepared, self._lifted = prepared

    @property
    def parameters(self) -> tuple[UserParameter, ...]:
        """Name (or number) and type of each parameter."""
        return self._prepared.user

    @property
    def columns(self) -> tuple[OutputColumn, ...] | None:
        """Name, type and NULL-ness of the result's columns; None for statements without a result set."""
        from zerodb_compiler.sql import statements as st

        query = self._prepared.query
        return query.output if query is not None and isinstance(self._prepared.statement, st.Query) else None

    def execute(self, parameters: Parameters | None = None) -> Cursor:
        connection = self.connection
        connection._check_open()
        cursor = Cursor(connection)
        with connection._lock:
            self._refresh()
            prepared = self._prepared
            user = bind_parameters(prepared.user, parameters)
            cursor._start(execution.run(connection, prepared, user, self._lifted))
        return cursor

    def _refresh(self) -> None:
        view = self.connection._view()
        if not self._prepared.fits(view):
            self._prepared, self._lifted = self.connection._database.prepare(self.sql, view)

    @property
    def wasm(self) -> bytes:
        """The compiled query as a WebAssembly component (see zerodb/artifact.py)."""
        from zerodb.artifact import component

        with self.connection._lock:
            self._refresh()
            return component(self._prepared, self._lifted, self.connection._view())

    @property
    def module(self) -> bytes:
        """The generated core module."""
        return self._query()

    @property
    def stages(self) -> dict[str, float]:
        """Seconds that each stage of its compilation took."""
        return dict(self._prepared.stages.seconds)

    def wat(self) -> str:
        """The generated core module in the readable text format."""
        from zerodb_compiler.wasm.text import to_wat

        return to_wat(self._query())

    def explain(self, parameters: Parameters | None = None, *, analyze: bool = False) -> str:
        """Plans, pipelines, bytes and compile times; with `analyze` it runs and says rows and times."""
        from zerodb.explain import explain_text

        with self.connection._lock:
            self._refresh()
            user = bind_parameters(self._prepared.user, parameters) if analyze else None
            return "\n".join(explain_text(self.connection, self._prepared, user, self._lifted))

    def _query(self) -> bytes:
        query = self._prepared.query
        if query is None:
            raise NotSupportedError("this statement runs no WebAssembly")
        return query.program.wasm
