"""Connections: what `zerodb.connect` gives.

A connection is a session on a database: its transaction, its settings and its registered tables. Statements of one
connection run one after the other (a lock keeps threads apart); connections of several threads run at the same time.
Outside BEGIN and `transaction()` every statement commits by itself.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

from zerodb import database as databases
from zerodb import errors as _errors
from zerodb import execution, importing
from zerodb.changes import many
from zerodb.compilation import Prepared, Ready, place_in
from zerodb.cursor import Cursor
from zerodb.functions.body import calling
from zerodb.options import Options, parse_size, parse_threads
from zerodb.outcome import Outcome
from zerodb.points.point_texts import PointTexts
from zerodb.psql import script_text
from zerodb.sessions import running_statement
from zerodb.sessions.open_transaction import now
from zerodb.sessions.session import Session
from zerodb.sessions.transactions import Block, Modes
from zerodb.statement import PreparedStatement
from zerodb.utility import NamedStatement
from zerodb.values import Parameters, bind_parameters
from zerodb.view import View
from zerodb.virtual import arrow_table, virtual_table
from zerodb_compiler import zones
from zerodb_compiler.errors import Error, InterfaceError, InternalError, ProgrammingError, error_for
from zerodb_compiler.sql.parse import parse
from zerodb_compiler.sql.utility_statements import Copy
from zerodb_storage import Outdated, TableVersion

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

    from zerodb.components.instance import Instance
    from zerodb.engine.engine import Execution
    from zerodb.functions.trigger_functions import Event
    from zerodb.points.point_queries import Room
    from zerodb.sessions.notices import Notice
    from zerodb.sessions.notifications import Notification
    from zerodb.sessions.replaying import Recorder
    from zerodb.system import Tables
    from zerodb_storage.backups.files import Report


_SESSIONS = itertools.count(3)
T = TypeVar("T")


@contextlib.contextmanager
def _own_mistakes() -> Iterator[None]:
    """Users catch zerodb's errors: what should not have happened is one too, with what did happen as its cause."""
    try:
        yield
    except (AssertionError, AttributeError, LookupError, TypeError, NameError, StopIteration) as error:
        message = f"internal error: {type(error).__name__}: {error}".splitlines()[0]
        raise InternalError(message, sqlstate="XX000", hint="this is a mistake in zerodb; please report it") from error


class Connection:
    """PEP 249's connection, with the shortcuts of DuckDB and SQLite (`execute` without a cursor)."""

    # PEP 249: the exceptions as attributes
    Error = _errors.Error
    Warning = _errors.Warning
    InterfaceError = _errors.InterfaceError
    DatabaseError = _errors.DatabaseError
    DataError = _errors.DataError
    OperationalError = _errors.OperationalError
    IntegrityError = _errors.IntegrityError
    InternalError = _errors.InternalError
    ProgrammingError = _errors.ProgrammingError
    NotSupportedError = _errors.NotSupportedError

    def __init__(self, database: databases.Database, *, read_only: bool) -> None:
        self._database = database
        self._options = Options()
        self._session = Session(
            database.storage,
            database.engine.forget_table,
            self._options,
            database.switchboard,
            f"pg_temp_{next(_SESSIONS)}",
            read_only=read_only,
        )
        self._named: dict[str, NamedStatement] = {}  # of PREPARE
        self._observed: dict[int, Execution] | None = None  # what EXPLAIN ANALYZE wants to know
        self._registered: dict[str, TableVersion] = {}
        self._path = (self._session.temporary.schema, "public")  # where names without a schema are looked for
        self._system: Tables | None = None  # the system's tables, as last asked for
        self._creating: str | None = None  # the schema whose first objects are being made
        self._interrupts = 0  # how often `interrupt` was called
        self._recorder: Recorder | None = None  # of a transaction block with retries
        self._guard: Callable[[Prepared], None] | None = None  # looks at statements before they run (components/grants)
        self._guests: set[Instance] = set()  # that run now (run_component)
        self._result_limit: int | None = None  # bytes; of guests
        self._lock = threading.RLock()
        self._point_room: Room | None = None  # that its point queries compute in
        self._texts = PointTexts(self)
        self._closed = False

    # --- statements --------------------------------------------------------------------------------------------------
    def cursor(self) -> Cursor:
        self._check_open()
        return Cursor(self)

    def execute(self, sql: str, parameters: Parameters | None = None) -> Cursor:
        """Runs one statement. `?` and `$1` take a sequence of values, `$name` a mapping."""
        found = self._texts.found.get(sql)
        return Cursor(self).execute(sql, parameters) if found is None else found.execute(parameters)

    def executemany(self, sql: str, parameters: Iterable[Parameters]) -> Cursor:
        """Runs the statement once for every set of parameters, in one transaction; INSERTs go column by column."""
        return Cursor(self).executemany(sql, parameters)

    def executescript(self, text: str) -> Cursor:
        """Runs all statements of the text, each committing by itself; the cursor has the last one's result. Scripts
        made for psql may create their database and connect to it: they mean this one (psql.py)."""
        cursor = Cursor(self)
        for statement in self.statements(text):
            cursor.execute(statement)
        return cursor

    def statements(self, text: str) -> Iterator[str]:
        """The statements of a text one by one. Each is padded so that the places in errors are places in `text`."""
        text = script_text(text)
        starts = [parsed.start for parsed in parse(text)]
        ends = [*starts[1:], len(text)] if starts else []
        for start, end in zip(starts, ends, strict=True):
            yield " " * start + text[start:end]

    def prepare(self, sql: str) -> PreparedStatement:
        """Compiles a statement now, for executing it many times."""
        self._check_open()
        with self._lock, _own_mistakes():
            return PreparedStatement(self, self._database.prepare(sql, self._view(early=True)))

    def _run(self, sql: str, parameters: Parameters | None) -> Outcome:
        self._check_open()
        if self._recorder is not None:
            parameters = self._recorder.kept(parameters)

        def once() -> Outcome:
            view = self._view(early=True)
            return self._run_ready(self._database.prepare(sql, view), view, parameters)

        with self._lock, _own_mistakes():
            found = self._texts.found.get(sql)
            if found is not None:  # from a cursor of the user's own
                return found.execute(parameters).outcome
            outcome = self._statement(once, sql)
            if parameters:
                self._texts.note(sql)
            return outcome

    def _run_many(self, sql: str, parameters: Iterable[Parameters]) -> Outcome:
        self._check_open()
        rows = list(parameters)
        if self._recorder is not None:
            rows = self._recorder.kept(rows)
        with self._lock:
            return self._statement(lambda: many.run_many(self, self._database.prepare(sql, self._view()), rows), sql)

    def _statement(self, once: Callable[[], T], text: str | None = None) -> T:
        """Runs a statement; in a block with retries, perhaps several times (replaying)."""
        if self._recorder is None or self._session.statement.runs:
            return self._run_statement(once, text)
        return self._recorder.statement(self._run_statement, once, text)

    def _run_statement(self, once: Callable[[], T], text: str | None = None) -> T:
        return running_statement.run(self._session, once, text)

    def _run_ready(self, ready: Ready, view: View, parameters: Parameters | None) -> Outcome:
        """Runs a statement that fits `view`; the places in its errors are places in its own text."""
        prepared = ready.prepared
        try:
            return execution.run(self, ready, view, bind_parameters(prepared.user, parameters))
        except Error as error:
            if error.position is not None and ready.text != prepared.text:
                error.position = place_in(ready.text, error.position, prepared)
            raise

    def _view(self, *, early: bool = False) -> View:
        """What the statement that begins now sees; the thread is told of its session. `early`: it may be one about the
        session itself."""
        session = self._session
        self._begin_statement()
        snapshot = session.early_snapshot() if early else session.snapshot()
        return View(snapshot, self._registered, self._search_path, session=self)

    def _begin_statement(self) -> None:
        """Tells this thread of the session's zone and times. What functions execute has the time of the statement that
        calls them."""
        session, statement = self._session, self._session.statement
        if not statement.nested:
            statement.started = now()
        zones.begin_statement(self._options.zone, statement.started, session.started)

    @property
    def _search_path(self) -> tuple[str, ...]:
        """The schemas that names without one are looked for in."""
        if self._creating is not None:
            return (self._session.temporary.schema, self._creating, *self._options.search_path)
        if "search_path" in self._options.values:
            return (self._session.temporary.schema, *self._options.search_path)
        return self._path

    # --- transactions ------------------------------------------------------------------------------------------------
    def transaction(
        self,
        isolation: str | None = None,
        *,
        read_only: bool | None = None,
        deferrable: bool | None = None,
        retries: int = 0,
    ) -> Block[Self]:
        """A block that commits at its end, or rolls back if it raises. `isolation` is "snapshot" (the default, also
        "repeatable read"), "serializable" or "read committed"; `deferrable`, of one that is serializable and only
        reads, waits for a snapshot with which it cannot fail.

            with db.transaction():
                db.execute(...)

        With `retries` the block runs again, up to so many times and with growing pauses, after an error that is
        `retryable`: another transaction came first (40001), a deadlock (40P01), a lock that was not to be had (55P03).
        Since the body of a `with` cannot run again, that takes a loop or a function:

            for attempt in db.transaction("serializable", retries=5):
                with attempt:
                    db.execute(...)

            @db.transaction("serializable", retries=5)
            def transfer(amount): ...

            db.transaction("serializable", retries=5).run(lambda db: ...)

        In `with db.transaction(retries=5):` the statements run again instead, unseen by the block, as long as they give
        it the same results as before; else the conflict is raised.
        """
        return Block(self, Modes(isolation, read_only, deferrable), retries)

    def begin(
        self, isolation: str | None = None, *, read_only: bool | None = None, deferrable: bool | None = None
    ) -> None:
        self._check_open()
        with self._lock:
            self._session.statement.check_none("begin")
            self._session.begin(isolation, read_only=read_only, deferrable=deferrable)

    def commit(self) -> bool:
        """Ends the transaction; without one it does nothing. False if a statement of it failed: then it is rolled
        back."""
        self._check_open()
        with self._lock:
            self._session.statement.check_none("commit")
            if self._recorder is not None:
                return self._recorder.commit(self._run_statement)
            return self._session.commit()

    def rollback(self) -> None:
        """Undoes the transaction; without one it does nothing."""
        self._check_open()
        with self._lock:
            self._session.statement.check_none("rollback")
            self._session.rollback()

    @property
    def in_transaction(self) -> bool:
        return self._session.in_transaction

    # --- functions ---------------------------------------------------------------------------------------------------
    def create_function(
        self,
        name: str,
        function: Callable[..., Any] | str | os.PathLike[str],
        parameters: Sequence[str] | None = None,
        returns: str | None = None,
        *,
        volatility: str | None = None,
        strict: bool | None = None,
        vectorized: str | None = None,
        replace: bool = False,
        export: str | None = None,
    ) -> None:
        """Makes a function of SQL: of a Python callable, known to all connections of this process to the database, or
        of a file of WebAssembly, which is kept in the database (as CREATE FUNCTION does).

        `parameters` and `returns` are SQL types; without them the annotations say them, or the component's own types.
        `volatility` is "immutable" (the same result for the same arguments, always: may stand in indexes), "stable"
        (within a statement) or "volatile", which is the default. A `strict` function is not called where an argument is
        NULL; the result is NULL: Python callables are unless told otherwise, components say it themselves.
        `vectorized`: "arrow" (pyarrow arrays in and out), "lists", or None for a call a row, which is slow. `replace`
        allows to replace a function with the same parameters; compiled statements notice. `export` is the name of a
        file's function where it is another than `name`."""
        self._check_open()
        if isinstance(function, (str, os.PathLike)):
            from zerodb.functions.making import create_from_file

            if vectorized is not None:
                raise ProgrammingError("vectorized is for Python callables: a component says it by its types")
            given = {"volatility": volatility, "strict": strict}
            create_from_file(self, name, function, parameters, returns, **given, replace=replace, export=export)  # type: ignore[arg-type]
            return
        from zerodb.functions.python_functions import create_function

        if export is not None:
            raise ProgrammingError("export is for files of WebAssembly")
        create_function(
            self,
            name,
            function,
            parameters,
            returns,
            volatility=volatility or "volatile",
            strict=strict is not False,
            vectorized=vectorized,
            replace=replace,
        )

    def create_functions(
        self, file: str | os.PathLike[str], *, schema: str | None = None, replace: bool = False
    ) -> list[str]:
        """Makes a function of all that a component exports and SQL can call, with the types that it says itself;
        their names."""
        from zerodb.functions.making import create_from_component

        self._check_open()
        return create_from_component(self, file, schema, replace=replace)

    def drop_function(self, name: str, parameters: Sequence[str] | None = None, *, missing_ok: bool = False) -> None:
        """Forgets a Python callable; `parameters` are needed where there are several of the name."""
        from zerodb.functions.python_functions import drop_function

        self._check_open()
        drop_function(self, name, parameters, missing_ok=missing_ok)

    def create_aggregate(
        self,
        name: str,
        function: Callable[..., Any],
        parameters: Sequence[str],
        returns: str,
        *,
        strict: bool = False,
        vectorized: bool = False,
        replace: bool = False,
    ) -> None:
        """Makes an aggregate known to all connections of this process to the database. `function` is a class, of which
        each group gets an instance: `step(*values)` is called with the values of each row, `finalize()` gives the
        group's. `vectorized`, it is called once with the number of groups, the group of each row (numpy) and a pyarrow
        array for each parameter, and gives a value for each group. A `strict` one gets no rows with NULLs."""
        from zerodb.functions.aggregates import create_aggregate

        self._check_open()
        with self._lock:
            create_aggregate(
                self, name, function, parameters, returns, strict=strict, vectorized=vectorized, replace=replace
            )

    def create_table_function(
        self,
        name: str,
        function: Callable[..., Any],
        parameters: Sequence[str],
        columns: Mapping[str, str] | Iterable[tuple[str, str]],
        *,
        volatility: str = "volatile",
        strict: bool = False,
        replace: bool = False,
    ) -> None:
        """Makes a function for FROM known to all connections of this process to the database, with the columns that it
        gives and their types. It is called with the values of its parameters, and gives a pyarrow table or record
        batch, an iterable of these, or of rows: tuples, or mappings by column."""
        from zerodb.functions.table_functions import create_table_function

        self._check_open()
        given = columns.items() if isinstance(columns, Mapping) else columns
        with self._lock:
            create_table_function(
                self, name, function, parameters, given, volatility=volatility, strict=strict, replace=replace
            )

    def create_trigger_function(self, name: str, function: Callable[[Event], Any], *, replace: bool = False) -> None:
        """Makes a Python callable known as a function that triggers may execute, to all connections of this process to
        the database. It is called once for all rows of a change, with an event that has `old` and `new` as pyarrow
        tables, and gives None (go on), a table in place of `new`, or a boolean a row (which of them are left); the last
        two before the change only. What it executes on `event.connection` is part of the statement. An exception is the
        statement's error."""
        from zerodb.functions.trigger_functions import create_trigger_function

        self._check_open()
        create_trigger_function(self, name, function, replace=replace)

    # --- data from outside -------------------------------------------------------------------------------------------
    def register(self, name: str, data: Any) -> None:
        """Makes Arrow data (a table, record batches, or anything with `__arrow_c_stream__`: polars, pandas) a read-only
        table of this connection."""
        from zerodb_storage import schema_of

        self._check_open()
        self._forget_steps()
        with self._lock:
            if name in self._session.snapshot().tables:
                raise error_for("42P07", f'table "{name}" already exists')
            table = arrow_table(data)
            types = [column.type for column in schema_of(table.schema)]
            if name in self._registered:
                self.unregister(name)
            self._registered[name] = virtual_table(name, table, types)

    def _forget_steps(self) -> None:
        """A block with retries meets another table of a name if its statements run again."""
        if self._recorder is not None:
            self._recorder.give_up()

    def unregister(self, name: str) -> None:
        self._forget_steps()
        with self._lock:
            found = self._registered.pop(name, None)
            if found is None:
                raise error_for("42P01", f'there is no registered table "{name}"')
            self._database.engine.forget_table(found.id)

    def import_file(
        self,
        table: str,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 - the name users expect
        header: bool | None = None,
        delimiter: str | None = None,
        nulls: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        primary_key: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Appends the rows of a CSV, Parquet, JSON lines or Arrow file to a table, which is created from the file's
        schema (with `primary_key`) if it is not there. Returns the number of rows.

        It commits batch by batch, each whole. `progress(rows, position)` is called after every batch with the rows so
        far and the place in the file. What is not said of a CSV file (`header`, `delimiter`) is found out; `nulls` are
        the fields that mean NULL.
        """
        self._check_open()
        options = importing.ImportOptions(format, header, delimiter, nulls, names, primary_key)
        with self._lock:
            return self._statement(lambda: importing.import_file(self, table, Path(path), options, progress))

    def copy_from(self, sql: str, file: IO[Any]) -> int:
        """Runs COPY ... FROM STDIN with the content of a file object as the data; the number of rows."""
        return self._copy(sql, file)

    def copy_to(self, sql: str, file: IO[Any]) -> int:
        """Runs COPY ... TO STDOUT and writes the data to a file object, of bytes or text; the number of rows."""
        return self._copy(sql, file)

    def _copy(self, sql: str, file: IO[Any]) -> int:
        from zerodb.copying.statements import run_copy

        self._check_open()
        with self._lock:
            statement = self._database.prepare(sql, self._view()).prepared.statement
            if not isinstance(statement, Copy):
                raise ProgrammingError("copy_from() and copy_to() are for COPY")
            return self._statement(lambda: run_copy(self, statement, file).row_count)

    def tables(self) -> list[str]:
        """The names of all tables this connection sees."""
        self._check_open()
        return sorted(self._view().tables)

    def schema(self, table: str) -> TableVersion:
        """The table as the next statement would see it: columns, primary key, row count."""
        self._check_open()
        found = self._view().tables.get(table)
        if found is None:
            raise error_for("42P01", f'relation "{table}" does not exist')
        return found

    def check(self) -> list[str]:
        """Reads and verifies every record of the database; the problems found, by name."""
        self._check_open()
        return self._database.storage.check()

    def backup(self, destination: str | Path, *, incremental: bool = False) -> Report:
        """Backs the database up, as of now, into a directory that holds nothing but its backups, while other threads
        and connections go on; an incremental one takes what changed since the backup before. `zerodb.restore` makes a
        database of them as of any commit since the first."""
        self._check_open()
        return self._database.storage.back_up(str(destination), incremental=incremental)

    def duplicate(self) -> Connection:
        """Another connection to the same database, one in memory too; a session of its own."""
        self._check_open()
        databases.share(self._database)
        return Connection(self._database, read_only=self._session._read_only)

    def run_component(
        self,
        file: str | Path | bytes,
        arguments: Sequence[str] = (),
        *,
        grants: Iterable[str] | None = None,
        memory_limit: int | str | None = None,
        timeout: float | None = None,
        fuel: int | None = None,
        name: str | None = None,
    ) -> str:
        """Runs a WebAssembly component of the world `zerosys:db/guest` on this database, sandboxed; the text it gives.
        GuestError if it answers with an error; other errors if it traps (39000), takes too long (57014) or needs too
        much memory (53200): its open transactions are rolled back.

        `grants` say what it may do, such as ["read:public.*", "write:shop.orders"] (components/grants.py); by default
        it may do everything in the database, and nothing else. `memory_limit` is in bytes or as "64MB", `timeout` in
        seconds, `fuel` about the number of instructions. Lines that it prints are logged as `zerodb.guest.NAME`.
        """
        from zerodb.components.grants import parse_grants
        from zerodb.components.limits import Limits
        from zerodb.components.running import run_component

        self._check_open()
        limits = Limits.of(memory_limit, timeout, fuel)
        return run_component(self, file, arguments, grants=parse_grants(grants), limits=limits, name=name)

    # --- the end -----------------------------------------------------------------------------------------------------
    def interrupt(self) -> None:
        """Ends what this connection runs now with error 57014. May be called from any thread."""
        if self._closed:
            raise InterfaceError("the connection is closed", sqlstate="08003")
        if self._session.locks.waiting is not None:
            self._session.locks.waiting.cancel()
        self._interrupts += 1
        self._database.engine.interrupt(self)
        for guest in list(self._guests):
            guest.stop(error_for("57014", "the guest was interrupted"))

    @property
    def notices(self) -> deque[Notice]:
        """What functions have said by RAISE NOTICE and its like (the last 50), if no handler has taken it."""
        return self._session.notices.kept

    def add_notice_handler(self, handler: Callable[[Notice], None]) -> None:
        """`handler` is called for each notice, at once, in the thread in which the function runs."""
        self._session.notices.handlers.append(handler)

    def remove_notice_handler(self, handler: Callable[[Notice], None]) -> None:
        self._session.notices.handlers.remove(handler)

    def notifications(self, wait_s: float = 0.0) -> list[Notification]:
        """What other connections, and this one, have sent with NOTIFY to channels that this one listens to (LISTEN),
        since the last call; waits so long for a first one. Within a transaction nothing is given: after it."""
        self._check_open()
        return [] if self._session.in_transaction else self._session.announcements.inbox.take(wait_s)

    def close(self) -> None:
        """Rolls back what was not committed. Closing twice is no error."""
        if self._closed:
            return
        self._check_not_calling()
        if not self._lock.acquire(blocking=False):  # a statement runs in another thread
            self.interrupt()
            self._lock.acquire()
        try:
            self._session.statement.check_none("close the connection")
            self._session.rollback()
            self._session.close()
            self._drop_temporary()
            self._closed = True
            for name in list(self._registered):
                self.unregister(name)
            self._texts.forget()
            databases.release(self._database)
        finally:
            self._lock.release()

    def _drop_temporary(self) -> None:
        session = self._session
        if session.temporary.is_empty(session.snapshot()):
            return
        with (
            contextlib.suppress(Error, Outdated),
            session.writing() as write,
        ):  # else the next to open the database does
            session.temporary.drop(write)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # May run anywhere, inside of locks too: only what never waits.
        if not getattr(self, "_closed", True):
            self._closed = True
            with contextlib.suppress(Exception):
                self._session.abandon()
                databases.abandon(self._database)

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the connection is closed", sqlstate="08003")
        self._check_not_calling()

    def _check_not_calling(self) -> None:
        """The function of a statement may not use the statement's own connection: it would wait for itself."""
        view = calling()
        if view is not None and view.session is self:
            message = "this connection runs the statement that calls the function"
            raise error_for("55006", message, hint="use another one: duplicate() gives it")


def open_connection(
    name: str, *, read_only: bool, memory_limit: int | str | None, threads: int | None, synchronous: str
) -> Connection:
    limit = parse_size(memory_limit) if memory_limit is not None else None
    if threads is not None:
        parse_threads(threads)
    database = databases.acquire(
        str(name), read_only=read_only, memory_limit=limit, threads=threads, synchronous=synchronous
    )
    return Connection(database, read_only=read_only)
