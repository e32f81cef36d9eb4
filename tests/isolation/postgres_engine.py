"""A real PostgreSQL behind the tester's protocols, by libpq's asynchronous calls: the runner's own touchstone.

Whether a session waits is asked of `pg_isolation_test_session_is_blocked`, which PostgreSQL has for its own tester.
"""

from __future__ import annotations

import contextlib
import select
import time
from typing import Any

from tests.isolation.tester import Failure, Notification, Result, Table

SCHEMA = "zerodb_isolation"


class PostgresEngine:
    """The specifications make and drop tables in a schema of their own, which is gone again after `close`."""

    def __init__(self, url: str, schema: str = SCHEMA, options: str = "") -> None:
        from psycopg.conninfo import make_conninfo

        self._schema = schema
        self._url = make_conninfo(url, options=f"-c search_path={schema} -c datestyle=Postgres,MDY {options}")
        self._connections: list[PostgresConnection] = []
        self._watch = self._raw()
        self.clear()
        self._names: dict[int, str] = {}

    def clear(self) -> None:
        """Drops what is there."""
        schema = self._schema
        self._watch.exec_(f"drop schema if exists {schema} cascade; create schema {schema}".encode())

    def _raw(self) -> Any:
        from psycopg import pq

        connection = pq.PGconn.connect(self._url.encode())
        if connection.status != pq.ConnStatus.OK:
            raise ConnectionError(connection.error_message.decode())
        return connection

    def connect(self, name: str) -> PostgresConnection:
        raw = self._raw()
        if name != "control":
            application = name.encode().replace(b"'", b"''")
            raw.exec_(b"select set_config('application_name', 'isolation/" + application + b"', false)")
        connection = PostgresConnection(raw, self)
        if name != "control":
            self._connections.append(connection)
            self._names[raw.backend_pid] = name
        return connection

    def blocked(self, pid: int) -> bool:
        pids = ",".join(str(connection.pid) for connection in self._connections)
        query = f"select pg_isolation_test_session_is_blocked({pid}, '{{{pids}}}')"
        result = self._watch.exec_(query.encode())
        return bool(result.get_value(0, 0) == b"t")

    def sender(self, pid: int) -> str:
        return self._names.get(pid, f"PID {pid}")

    def closed(self, connection: PostgresConnection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)

    def close(self) -> None:
        self._watch.exec_(f"drop schema {self._schema} cascade".encode())
        self._watch.finish()


class PostgresConnection:
    def __init__(self, raw: Any, engine: PostgresEngine) -> None:
        self._raw = raw
        self._engine = engine
        self._said: list[str] = []
        self.pid: int = raw.backend_pid
        raw.notice_handler = self._notice

    def _notice(self, result: Any) -> None:
        from psycopg.pq import DiagnosticField

        severity = result.error_field(DiagnosticField.SEVERITY) or b""
        message = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
        self._said.append(f"{severity.decode()}:  {message.decode()}")

    def start(self, sql: str) -> None:
        self._raw.send_query(sql.encode())

    def wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while True:
            if not self._raw.is_busy():
                return True
            left = until - time.monotonic()
            ready, _, _ = select.select([self._raw.socket], [], [], max(left, 0))
            if not ready:
                return False
            self._raw.consume_input()

    def results(self) -> list[Result]:
        from psycopg.pq import DiagnosticField, ExecStatus

        found: list[Result] = []
        while (result := self._raw.get_result()) is not None:
            if result.status == ExecStatus.TUPLES_OK:
                names = tuple((result.fname(column) or b"").decode() for column in range(result.nfields))
                found.append(Table(names, tuple(self._row(result, row) for row in range(result.ntuples))))
            elif result.status == ExecStatus.FATAL_ERROR:
                message = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message
                severity = result.error_field(DiagnosticField.SEVERITY) or b"ERROR"
                code = result.error_field(DiagnosticField.SQLSTATE) or b""
                found.append(Failure(message.decode(), severity.decode(), code.decode()))
        self._raw.consume_input()
        while (told := self._raw.notifies()) is not None:
            found.append(Notification(told.relname.decode(), told.extra.decode(), self._engine.sender(told.be_pid)))
        return found

    @staticmethod
    def _row(result: Any, row: int) -> tuple[str | None, ...]:
        values = (result.get_value(row, column) for column in range(result.nfields))
        return tuple(None if value is None else value.decode() for value in values)

    def is_blocked(self) -> bool:
        blocked = self._engine.blocked(self.pid)
        if blocked:
            self._raw.consume_input()
        return blocked

    def notices(self) -> list[str]:
        said, self._said = self._said, []
        return said

    def cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._raw.get_cancel().cancel()

    def close(self) -> None:
        self._engine.closed(self)
        self._raw.finish()
