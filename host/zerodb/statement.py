"""Prepared statements: compiled once, executed many times, and open to inspection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from zerodb.compilation import Prepared, Ready
from zerodb.cursor import Cursor
from zerodb.values import Parameters, bind_parameters
from zerodb_compiler.errors import Error, InterfaceError, NotSupportedError
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.parameters import UserParameter

if TYPE_CHECKING:
    from zerodb.artifact import Made
    from zerodb.connection import Connection
    from zerodb.outcome import Outcome, Row
    from zerodb.points.point import PointStatement
    from zerodb.view import View
    from zerodb_compiler.codegen.program import OutputColumn

POINT_AFTER = 2  # executions: then compiling a statement by key once more pays
QUERY_AFTER = (16, 64, 256, 1024)  # for a query over rows that chains are to be made for: the more rows, the later


class PreparedStatement:
    """Made by `Connection.prepare`. When a table's schema or layout changes, the next execution compiles it anew."""

    def __init__(self, connection: Connection, ready: Ready) -> None:
        self.connection = connection
        self.sql = ready.text
        self._ready = ready
        self._executed = 0  # by the general path since it was compiled
        self._point: PointStatement | None = None

    @property
    def _prepared(self) -> Prepared:
        return self._ready.prepared

    @property
    def parameters(self) -> tuple[UserParameter, ...]:
        """Name (or number) and type of each parameter."""
        return self._prepared.user

    @property
    def columns(self) -> tuple[OutputColumn, ...] | None:
        """Name, type and NULL-ness of the result's columns; None for statements without a result set."""
        return self._prepared.columns

    def execute(self, parameters: Parameters | None = None) -> Cursor:
        # Who keeps the bound method from before there was a point function comes here still.
        point = self._point
        if point is None and not self._executed and self.connection.in_transaction and self._is_change:
            point = self._point_at_once()
        return self._execute(parameters) if point is None else point.run(parameters)

    @property
    def _is_change(self) -> bool:
        return isinstance(self._prepared.statement, st.Insert | st.Update | st.Delete)

    def _point_at_once(self) -> PointStatement | None:
        """Before its first execution in a transaction: a change by the general path would keep those by key that come
        after it in the transaction from the short way."""
        with self.connection._lock:
            if self.connection._session.is_failed:
                return None
            try:
                self._refresh()
                self.make_point()
            except Error:  # the general path finds it, too, and ends the transaction with it
                return None
            self._executed = POINT_AFTER
            return self._point

    def _execute(self, parameters: Parameters | None = None) -> Cursor:
        """By the general path."""
        connection = self.connection
        connection._check_open()
        cursor = Cursor(connection)
        if connection._recorder is not None:
            parameters = connection._recorder.kept(parameters)

        def once() -> Outcome:
            view = self._refresh()
            return connection._run_ready(self._ready, view, parameters)

        with connection._lock:
            cursor._start(connection._statement(once, self.sql))
            self._executed += 1
            if self._executed == POINT_AFTER or (self._executed in QUERY_AFTER and self._point is None):
                self.make_point()
        return cursor

    def fetch_many(self, keys: Sequence[Any]) -> list[Row | None]:
        """Executes a query once for each set of parameters, all over what is committed now (or the transaction sees),
        and gives the first row of each result, None where there is none: the rows of many keys, in the order of the
        keys. A statement with one parameter takes the bare values, too. Statements by key look for hundreds of keys in
        one call."""
        if self.columns is None:
            raise InterfaceError("fetch_many() is for statements with a result set", sqlstate="24000")
        given = [key if isinstance(key, (tuple, list, dict)) else (key,) for key in keys]
        with self.connection._lock:
            if self._point is None and self._executed < POINT_AFTER and len(given) > POINT_AFTER:
                self.connection._check_open()
                self._refresh()
                self.make_point()
            if self._point is not None:
                return self._point.fetch_many(given)
            return [self._execute(key).fetchone() for key in given]

    @property
    def is_point(self) -> bool:
        """Whether it takes the short way of statements by key."""
        return self._point is not None

    def make_point(self) -> None:
        """From now on a statement by key is executed by `PointStatement.run`, which comes back here for what is not
        plain."""
        from zerodb.points.point import point_statement

        general = partial(PreparedStatement._execute, self)
        self._point = point_statement(self.connection, self._ready, general, self._executed)
        if self._point is not None:
            self.__dict__["execute"] = self._point.run
        else:
            self.__dict__.pop("execute", None)

    def _refresh(self) -> View:
        """What the connection sees now, and the statement compiled for it."""
        view = self.connection._view(early=True)
        if not self._prepared.fits(view):
            self._ready = self.connection._database.prepare(self.sql, view)
        if self._point is not None and self._point.ready is not self._ready:
            self._point = None
            del self.__dict__["execute"]
            self._executed = 0
        return view

    @property
    def wasm(self) -> bytes:
        """The compiled query as a WebAssembly component (see zerodb/artifact.py)."""
        return self.component().data

    def component(self) -> Made:
        """`wasm`, and whether other hosts can run it."""
        from zerodb.artifact import component

        with self.connection._lock:
            view = self._refresh()
            return component(self._ready, view)

    @property
    def module(self) -> bytes:
        """The generated core module."""
        return self._query()

    @property
    def stages(self) -> dict[str, float]:
        """Seconds that each stage of its compilation took."""
        return dict(self._prepared.stages.seconds)

    def wait_optimized(self, timeout: float | None = None) -> bool:
        """Waits until the optimised machine code is ready; False if it was given up or the timeout (s) is over."""
        query = self._prepared.query
        return query is not None and query.code.wait_optimized(timeout)

    def wat(self) -> str:
        """The generated core module in the readable text format."""
        from zerodb_compiler.wasm.text import to_wat

        return to_wat(self._query())

    def explain(self, parameters: Parameters | None = None, *, analyze: bool = False) -> str:
        """Plans, pipelines, bytes and compile times; with `analyze` it runs and says rows and times."""
        from zerodb.explain import explain_text

        with self.connection._lock:
            view = self._refresh()
            user = bind_parameters(self._prepared.user, parameters) if analyze else None
            return "\n".join(explain_text(self.connection, self._ready, view, user))

    def _query(self) -> bytes:
        query = self._prepared.query
        if query is None:
            raise NotSupportedError("this statement runs no WebAssembly")
        return query.program.wasm
