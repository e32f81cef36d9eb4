"""zerodb as the engine of a sqllogictest file: a database in memory, private to the file."""

from __future__ import annotations

import zerodb
from zerodb.errors import Error
from zerodb.logictest.runner import EngineError, Result
from zerodb_compiler.errors import InternalError


class ZerodbEngine:
    """Records that name a connection get one of their own, to the same database."""

    def __init__(self, threads: int | None = None) -> None:
        self._first = zerodb.connect(threads=threads)
        self._connections = {"": self._first}

    def execute(self, sql: str, connection: str) -> Result:
        session = self._connections.get(connection)
        if session is None:
            session = self._connections[connection] = self._first.duplicate()
        try:
            outcome = session._run(sql, None)
            if outcome.columns is None:
                return Result((), -1, outcome.row_count)
            batches = outcome.batches
            assert batches is not None
            rows = [row for index in range(len(batches)) for row in batches.texts(index)]
            return Result(rows, len(outcome.columns), outcome.row_count)
        except Error as error:
            raise EngineError(error.sqlstate, str(error), crash=isinstance(error, InternalError)) from error
        except Exception as error:
            raise EngineError("XX000", f"{type(error).__name__}: {error}", crash=True) from error

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
