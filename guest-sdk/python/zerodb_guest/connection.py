"""Connections, statements and cursors over zerosys:db/query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self

from componentize_py_types import Err
from wit_world.imports import query

from zerodb_guest.errors import ProgrammingError, error_of
from zerodb_guest.kv import Bucket
from zerodb_guest.transactions import Block
from zerodb_guest.values import batch_of, from_value, guess_form, rows_of, to_value

BATCH_ROWS = 1024
STATEMENTS_KEPT = 32


class Column(NamedTuple):
    """A column of a result, or a parameter; `data_type` as SQL writes it."""

    name: str
    data_type: str
    nullable: bool


def _columns(columns: Iterable[Any]) -> list[Column]:
    return [Column(column.name, column.data_type, column.nullable) for column in columns]


class Closing:
    """Owns a resource of the host, until `close` or the end of a `with`."""

    _resource: Any

    def close(self) -> None:
        """May be called again."""
        resource, self._resource = self._resource, None
        if resource is not None:
            resource.__exit__(None, None, None)

    def _open(self) -> Any:
        if self._resource is None:
            raise ProgrammingError(f"the {type(self).__name__.lower()} is closed", "08003")
        return self._resource

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Cursor(Closing):
    """The rows of a result, as tuples. They are fetched in batches as they are asked for."""

    def __init__(self, resource: query.Cursor, batch_rows: int) -> None:
        self._resource = resource
        self._batch_rows = batch_rows
        self.columns = _columns(resource.columns())

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Lists of at most `batch_rows` rows."""
        while True:
            try:
                batch = self._open().next_batch(self._batch_rows)
            except Err as error:
                raise error_of(error.value) from None
            if batch is None:
                self.close()
                return
            yield rows_of(batch)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        if self._resource is None:
            return
        for batch in self.batches():
            yield from batch

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Rows by the names of their columns."""
        names = [column.name for column in self.columns]
        return (dict(zip(names, row, strict=True)) for row in self)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)


class Statement(Closing):
    """A statement that is compiled once and run often."""

    def __init__(self, resource: query.Statement) -> None:
        self._resource = resource

    @property
    def parameters(self) -> list[Column]:
        return _columns(self._open().parameters())

    @property
    def columns(self) -> list[Column]:
        """Of the result; none for a statement that returns no rows."""
        return _columns(self._open().columns())

    def execute(self, parameters: Sequence[Any] = ()) -> int:
        """How many rows it inserted, changed, deleted or returned."""
        try:
            return int(self._open().execute([to_value(value) for value in parameters]))
        except Err as error:
            raise error_of(error.value) from None

    def query(self, parameters: Sequence[Any] = (), batch_rows: int = BATCH_ROWS) -> Cursor:
        try:
            return Cursor(self._open().query([to_value(value) for value in parameters]), batch_rows)
        except Err as error:
            raise error_of(error.value) from None

    def query_row(self, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, None if there is none: one call, the quick way to look up by key."""
        try:
            row = self._open().query_row([to_value(value) for value in parameters])
        except Err as error:
            raise error_of(error.value) from None
        return None if row is None else tuple([from_value(value) for value in row])

    def executemany(self, rows: Iterable[Sequence[Any]], batch_rows: int = BATCH_ROWS) -> int:
        """Once for each row; how many rows were changed. Rows go to the host in batches: within a transaction they
        take effect together, without one each batch by itself. A column whose values have several types goes row by
        row."""
        changed, source = 0, iter(rows)
        while block := [tuple(row) for row in islice(source, batch_rows)]:
            changed += self._execute_block(block)
        return changed

    def _execute_block(self, block: list[tuple[Any, ...]]) -> int:
        if len({len(row) for row in block}) > 1:
            raise ProgrammingError("the rows have different numbers of values", "08P01")
        forms = [guess_form(column) for column in zip(*block, strict=True)]
        known = [form for form in forms if form is not None]
        if len(known) < len(forms) or not forms:
            return sum(self.execute(row) for row in block)
        try:
            return int(self._open().execute_batch(batch_of(block, known)))
        except Err as error:
            raise error_of(error.value) from None


class Connection(Closing):
    """A session with the database. Outside of a transaction each statement is one of its own."""

    def __init__(self, resource: query.Connection) -> None:
        self._resource = resource
        self._statements: dict[str, Statement] = {}

    def close(self) -> None:
        """A transaction that is open is rolled back."""
        for statement in self._statements.values():
            statement.close()
        self._statements.clear()
        super().close()

    def prepare(self, sql: str) -> Statement:
        try:
            return Statement(self._open().prepare(sql))
        except Err as error:
            raise error_of(error.value) from None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Runs a statement; how many rows it inserted, changed, deleted or returned."""
        try:
            return int(self._open().execute(sql, [to_value(value) for value in parameters]))
        except Err as error:
            raise error_of(error.value) from None

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], batch_rows: int = BATCH_ROWS) -> int:
        """Runs a statement once for each row; how many rows were changed."""
        return self._prepared(sql).executemany(rows, batch_rows)

    def script(self, sql: str) -> None:
        """Runs statements separated by semicolons."""
        try:
            self._open().execute_script(sql)
        except Err as error:
            raise error_of(error.value) from None

    def query(self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = BATCH_ROWS) -> Cursor:
        """Runs a query, or a change with RETURNING."""
        try:
            return Cursor(self._open().query(sql, [to_value(value) for value in parameters]), batch_rows)
        except Err as error:
            raise error_of(error.value) from None

    def query_row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, None if there is none. The statement is kept, prepared."""
        return self._prepared(sql).query_row(parameters)

    def query_value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, None if there is none."""
        row = self.query_row(sql, parameters)
        return None if row is None else row[0]

    def transaction(self, isolation: str | None = None, *, read_only: bool = False, retries: int = 0) -> Block:
        """A block that commits at its end or rolls back if it raises; with `retries` to be looped over. Isolation is
        "read committed", "repeatable read" or "serializable"; None: as the database does."""
        return Block(self._open(), isolation, read_only, retries)

    def bucket(self, name: str) -> Bucket:
        """A table as a mapping of text to bytes; it is made if it is not there."""
        return Bucket(self._open(), name)

    def _prepared(self, sql: str) -> Statement:
        statement = self._statements.pop(sql, None)
        if statement is None:
            statement = self.prepare(sql)
            if len(self._statements) >= STATEMENTS_KEPT:
                self._statements.pop(next(iter(self._statements))).close()
        self._statements[sql] = statement  # the last used is the last to go
        return statement

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the program the host may have taken all back already
            self.close()


def connect(name: str = "") -> Connection:
    """Opens the database that the host runs this guest on; or another that the host grants by its name."""
    try:
        return Connection(query.Connection.open(name))
    except Err as error:
        raise error_of(error.value) from None
