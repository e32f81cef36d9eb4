"""One open database of this process: storage, engine and the cache of compiled statements, shared by its connections.

    SQL text --ShapeCache--> Prepared, values of its literals        (nothing is parsed)
         `--- miss ---> parse, bind, plan, generate, compile --> Prepared

Connections to the same path share one instance (`open_database` counts them); ":memory:" is always a new one.
"""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zerodb.compilation import Prepared, Ready, Stages, prepare
from zerodb.engine.cache import user_secret
from zerodb.engine.engine import Engine
from zerodb.functions.registry import Functions
from zerodb.sessions.notifications import Switchboard
from zerodb.view import View
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.parse import ParsedStatement, parse
from zerodb_compiler.sql.shape import Shape, ShapeCache, shape_of
from zerodb_compiler.types import SqlType
from zerodb_storage import Database as Storage

if TYPE_CHECKING:
    from zerodb.points.point_texts import PointTexts

STATEMENTS_MAX = 256
_FIRST_TRANSIENT_ID = -(1 << 30)  # registered tables count down from -1
MEMORY = ":memory:"


class Database:
    """Thread-safe: one thread at a time compiles, any number execute."""

    def __init__(
        self, path: str | None, *, read_only: bool, memory_limit: int | None, threads: int | None, synchronous: str
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.storage = Storage.open(path, read_only=read_only, synchronous=synchronous)
        try:
            blobs = self.storage if path is not None else None
            self.engine = Engine(memory_limit, threads, blobs=blobs, secret=user_secret())
        except BaseException:
            self.storage.close()
            raise
        if self.storage.follower is not None:
            self.storage.follower.when_dropped = self.engine.forget_table
        self.users = 0
        self._transient_ids: dict[tuple[int, int], int] = {}
        self._compiling = threading.RLock()
        self.texts: weakref.WeakSet[PointTexts] = weakref.WeakSet()  # of its connections
        self._statements: ShapeCache[Prepared] = ShapeCache(STATEMENTS_MAX)
        self.functions = Functions()
        self.switchboard = Switchboard()

    def prepare(self, text: str, view: View, types: Sequence[SqlType] = ()) -> Ready:
        """The compiled statement for a text of one statement, fit for the tables of `view`. `types` are those declared
        for its first parameters."""
        shape = shape_of(text)
        with self._compiling:
            if types:
                prepared = self._compile(text, shape, view, types)
                return Ready(text, prepared, prepared.bound.values(shape) or [])
            hit = self._statements.lookup_shape(shape)
            if hit is not None and hit.entry.fits(view):
                return Ready(text, hit.entry, hit.values)
            prepared = self._compile(text, shape, view)
            if not isinstance(prepared.statement, st.Define):
                self._statements.insert(prepared.bound, prepared)
            values = prepared.bound.values(shape)
            assert values is not None
            return Ready(text, prepared, values)

    def prepared_again(self, ready: Ready, view: View) -> Ready:
        """The same statement, for the tables of another view."""
        return self.prepare(ready.text, view) if ready.again is None else ready.again(view)

    def _compile(self, text: str, shape: Shape, view: View, types: Sequence[SqlType] = ()) -> Prepared:
        """All stages, without looking into the cache."""
        stages = Stages()
        with collector_paused():
            with stages.timed("parse"):
                parsed = single(parse(text))
            return prepare(text, parsed, shape, view, self.engine, stages, types)

    def transient_id(self, table: TableInfo) -> int:
        """The id of the table that holds new rows of this version of a table (row_expressions.py)."""
        return self._transient_ids.setdefault(
            (table.id, table.schema_version), _FIRST_TRANSIENT_ID - len(self._transient_ids)
        )

    def forget_statements(self) -> None:
        """Empties the cache of compiled statements: the next one of any text is compiled from scratch."""
        with self._compiling:
            self._statements.clear()
        for texts in list(self.texts):
            texts.forget()

    def close(self) -> None:
        """Ends what runs. Connections call `release`."""
        self._statements.clear()
        self.functions.close()
        self.engine.close()
        self.storage.close()


@contextmanager
def collector_paused() -> Iterator[None]:
    """A compilation makes tens of thousands of objects and hardly any garbage: looking through them, again and again,
    costs a fifth of its time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def single(statements: list[ParsedStatement]) -> ParsedStatement:
    if not statements:
        raise ProgrammingError("there is no statement", sqlstate="42601")
    if len(statements) > 1:
        raise ProgrammingError(
            "more than one statement", position=statements[1].start, hint="executescript() runs several"
        )
    return statements[0]


# --- the databases of this process ------------------------------------------------------------------------------------

_open: dict[str, Database] = {}
_open_lock = threading.Lock()
_abandoned: deque[Database] = deque()


def acquire(name: str, *, read_only: bool, memory_limit: int | None, threads: int | None, synchronous: str) -> Database:
    """The database at that path, opened if this process does not have it open yet."""
    if name == MEMORY:
        database = Database(None, read_only=False, memory_limit=memory_limit, threads=threads, synchronous=synchronous)
        database.users = 1
        return database
    path = os.path.realpath(name)
    with _open_lock:
        _close_abandoned()
        found = _open.get(path)
        if found is None:
            found = Database(
                path, read_only=read_only, memory_limit=memory_limit, threads=threads, synchronous=synchronous
            )
            _open[path] = found
        elif found.read_only and not read_only:
            raise error_for("55006", f'"{name}" is open read-only in this process; close that connection first')
        found.users += 1
        return found


def share(database: Database) -> None:
    """One more connection uses the database."""
    with _open_lock:
        database.users += 1


def release(database: Database) -> None:
    """A connection is closed; the last one closes the database."""
    with _open_lock:
        _close_abandoned()
        _release_locked(database)


def abandon(database: Database) -> None:
    """A connection was forgotten, not closed. Called by the garbage collector, so it never waits: if the lock is taken,
    perhaps by this very thread, the next one to take it does the work."""
    _abandoned.append(database)
    if _open_lock.acquire(blocking=False):
        try:
            _close_abandoned()
        finally:
            _open_lock.release()


def _close_abandoned() -> None:
    while _abandoned:
        _release_locked(_abandoned.popleft())


def _release_locked(database: Database) -> None:
    database.users -= 1
    if database.users > 0:
        return
    if database.path is not None:
        _open.pop(database.path, None)
    database.close()
