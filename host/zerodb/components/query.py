"""The interface zerosys:db/query: a guest's connections, statements and cursors over zerodb's own.

A guest's session (`GuestSession`) is what its instance owns. In a program each `connection.open` makes a connection of
its own, closed when the guest drops it or ends; a guest that SQL calls sees the connection of its caller.

Rows go out in portions that the host bounds, too: a guest that asks for a billion rows at once gets as many as are
good to have, and the rest with its next calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb.changes import many
from zerodb.components import types, vals
from zerodb.components.batches import LIFT_BATCH, LOWER_BATCH, from_record_batch, natural_column, to_record_batch
from zerodb.components.errors import record
from zerodb.components.guest_values import from_values, to_values
from zerodb.components.instance import MOST_HELD_BYTES, HostFunction, Instance, Interface, clone_short, write_result
from zerodb.components.query_row import RowMemory, lift_parameters, row_memory
from zerodb.components.vals import (
    NUMBERS,
    Err,
    MalformedError,
    Ok,
    Own,
    Variant,
    list_of,
    lower_own,
    option_of,
    result_of,
)
from zerodb.engine.result import arrow_schema
from zerodb.outcome import QueryBatches
from zerodb_compiler.errors import InterfaceError, error_for

if TYPE_CHECKING:
    from zerodb.components.grants import Grants
    from zerodb.connection import Connection
    from zerodb.cursor import Cursor
    from zerodb.statement import PreparedStatement
    from zerodb_compiler.codegen.program import OutputColumn
    from zerodb_compiler.types import SqlType

CONNECTION, STATEMENT, CURSOR = 1, 2, 3
RESOURCES = {"connection": CONNECTION, "statement": STATEMENT, "cursor": CURSOR}
MOST_ROWS = 1 << 16  # of one batch
MOST_VALUES = 1 << 20
MOST_BYTES = 32 << 20
MOST_EMPTY_ROWS = 1 << 20  # rows that cost a guest nothing
MOST_CONNECTIONS = 1000
MOST_SINGLE_ROWS = 1 << 12  # of one list of rows, each value of which is a Python object


class GuestSession:
    """What a guest has of the database: `grants` None means everything."""

    def __init__(self, connection: Connection, grants: Grants | None = None) -> None:
        self._connection = connection
        self._grants = grants
        self._open: set[Connection] = set()

    def open(self, name: str) -> GuestConnection:
        if name not in ("", "default"):
            raise error_for("3D000", f'database "{name}" does not exist', hint='a guest has the database ""')
        if len(self._open) >= MOST_CONNECTIONS:
            raise error_for("53300", f"a guest has at most {MOST_CONNECTIONS} connections", hint="drop them")
        connection = self._connection.duplicate()
        if self._grants is not None:
            connection._guard = self._grants.check
        connection._result_limit = MOST_HELD_BYTES
        self._open.add(connection)
        return GuestConnection(connection, self._open.discard)

    def interrupt(self) -> None:
        """Ends the statements that run; called by the watch."""
        for connection in list(self._open):
            if not connection._closed:
                connection.interrupt()


class GuestConnection:
    """`forget` is told when it closes."""

    def __init__(self, connection: Connection, forget: Callable[[Connection], None]) -> None:
        self.connection = connection
        self._forget = forget

    def close(self) -> None:
        self._forget(self.connection)
        self.connection.close()


class GuestStatement:
    def __init__(self, statement: PreparedStatement) -> None:
        self.statement = statement
        self._ready: object = None
        self._types: list[SqlType] = []
        self._memory: RowMemory | None = None

    def row_form(self) -> tuple[list[SqlType], RowMemory | None]:
        """The types of its rows, and where such a row is laid out; as of its last execution."""
        ready = self.statement._ready
        if ready is not self._ready:
            columns = self.statement.columns
            if columns is None:
                raise InterfaceError("the statement gives no rows", sqlstate="24000", hint="use execute")
            self._types = [column.type for column in columns]
            self._memory = row_memory(self._types)
            self._ready = ready
        return self._types, self._memory

    def close(self) -> None:
        """Nothing is open between executions."""


class GuestCursor:
    """A result, of which `close` lets the rows go that were not asked for."""

    def __init__(self, cursor: Cursor) -> None:
        outcome = cursor.outcome
        if outcome.columns is None or outcome.batches is None:
            raise InterfaceError("the statement gives no rows", sqlstate="24000", hint="use execute")
        self.columns: Sequence[OutputColumn] = outcome.columns
        self._types = [column.type for column in outcome.columns]
        self._cursor: Cursor | None = cursor
        self._batches = outcome.batches
        self._schema = arrow_schema(outcome.columns, stored=True)
        self._next = 0
        self._released = 0
        self._rest: pa.RecordBatch | None = None  # of the batch before `next`, of which a part was given

    @property
    def size(self) -> int:
        """How many bytes the result has, about."""
        batches = self._batches
        return batches.nbytes if isinstance(batches, QueryBatches) else 0

    def next_batch(self, most: int) -> Mapping[str, Any] | None:
        wanted = min(max(most, 1), MOST_ROWS, max(1, MOST_VALUES // max(1, len(self._types))))
        parts: list[pa.RecordBatch] = []
        count = 0
        while count < wanted:
            part = self._next_part()
            if part is None:
                break
            if not part.num_rows:
                continue
            fits = min(wanted - count, max(1, part.num_rows * MOST_BYTES // max(part.nbytes, 1)))
            if fits < part.num_rows:
                self._rest = part.slice(fits)
                part = part.slice(0, fits)
                wanted = min(wanted, count + fits)
            parts.append(part)
            count += part.num_rows
        if not parts:
            return None
        if len(parts) == 1:
            return to_record_batch(parts[0], self._types)
        columns = [pa.concat_arrays([part.column(index) for part in parts]) for index in range(len(self._types))]
        return to_record_batch(columns, self._types, count)

    def _next_part(self) -> pa.RecordBatch | None:
        """What is left of the batch that the last call ended in, or the next batch."""
        assert self._cursor is not None
        part, self._rest = self._rest, None
        if part is not None:
            return part
        cursor, taken = self._cursor, 0
        if cursor._row < len(cursor._rows):  # rows were fetched one by one, and some are left
            self._next, taken = cursor._batch - 1, cursor._row
        cursor._rows, cursor._row = [], 0
        if self._next >= len(self._batches):
            return None
        part = self._batches.arrow(self._next, self._schema)
        self._let_go(self._next)
        self._next += 1
        return part.slice(taken) if taken else part

    def _let_go(self, end: int) -> None:
        """Batches before this one were given; this one is in Arrow's hands."""
        if isinstance(self._batches, QueryBatches):
            for index in range(self._released, end):
                self._batches.release(index)
            self._released = max(self._released, end)

    def next_rows(self, most: int) -> list[list[Variant]]:
        assert self._cursor is not None
        cursor = self._cursor
        if self._rest is not None:
            cursor._rows = self._batches.rows(self._next - 1)
            cursor._row = len(cursor._rows) - self._rest.num_rows
            self._rest = None
        cursor._batch = max(cursor._batch, self._next)
        rows = cursor.fetchmany(min(max(most, 1), MOST_SINGLE_ROWS))
        self._next = cursor._batch
        self._let_go(self._next - 1)
        return [to_values(row, self._types) for row in rows]

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
        self._cursor = None
        self._rest = None


def _opened(instance: Instance, cursor: GuestCursor) -> Own:
    return instance.handles.add(CURSOR, cursor, cursor.size)


# --- connections ------------------------------------------------------------------------------------------------------


def _open(instance: Instance, name: str) -> Own:
    session: GuestSession = instance.owner
    return instance.handles.add(CONNECTION, session.open(name))


def _prepare(instance: Instance, self: GuestConnection, sql: str) -> Own:
    return instance.handles.add(STATEMENT, GuestStatement(self.connection.prepare(sql)))


def _execute(_: Instance, self: GuestConnection, sql: str, values: Sequence[Variant]) -> int:
    return max(self.connection.execute(sql, from_values(values)).rowcount, 0)


def _query(instance: Instance, self: GuestConnection, sql: str, values: Sequence[Variant]) -> Own:
    return _opened(instance, GuestCursor(self.connection.execute(sql, from_values(values))))


def _execute_script(_: Instance, self: GuestConnection, sql: str) -> None:
    self.connection.executescript(sql)


# --- statements -------------------------------------------------------------------------------------------------------


def _column(column: OutputColumn) -> dict[str, Any]:
    return {"name": column.name, "data-type": str(column.type), "nullable": column.nullable}


def _statement_parameters(_: Instance, self: GuestStatement) -> list[dict[str, Any]]:
    return [
        {"name": str(parameter.name), "data-type": str(parameter.type), "nullable": True}
        for parameter in self.statement.parameters
    ]


def _statement_columns(_: Instance, self: GuestStatement) -> list[dict[str, Any]]:
    return [_column(column) for column in self.statement.columns or ()]


def _statement_execute(_: Instance, self: GuestStatement, values: Sequence[Variant]) -> int:
    return max(self.statement.execute(from_values(values)).rowcount, 0)


def _execute_batch(_: Instance, self: GuestStatement, batch: Mapping[str, Any]) -> int:
    statement = self.statement
    count: int = batch["row-count"]
    if len(batch["columns"]) != len(statement.parameters):
        wanted = len(statement.parameters)
        raise error_for("08P01", f"the statement has {wanted} parameters, the batch {len(batch['columns'])} columns")
    if not batch["columns"] and count > MOST_EMPTY_ROWS:
        raise error_for("54000", f"a batch without columns has at most {MOST_EMPTY_ROWS} rows, not {count}")
    if many.takes_columns(statement):
        arrays = from_record_batch(batch, [parameter.type for parameter in statement.parameters])
        return many.execute_columns(statement, arrays, count)
    try:
        columns = [natural_column(column, count).to_pylist() for column in batch["columns"]]
    except (ValueError, OverflowError) as error:
        raise error_for("22008", f"a value is out of range: {error}") from None
    rows = list(zip(*columns, strict=True)) if columns else [()] * count
    return max(statement.connection.executemany(statement.sql, rows).rowcount, 0)


def _statement_query(instance: Instance, self: GuestStatement, values: Sequence[Variant]) -> Own:
    return _opened(instance, GuestCursor(self.statement.execute(from_values(values))))


def _query_row(instance: Instance, context: int, args: int, results: int) -> None:
    """query-row, from wasmtime's arguments to its results."""
    self: GuestStatement = instance.handles.get(vals.rep_of(args, STATEMENT, context, instance.out), STATEMENT)
    try:
        if self._ready is None:
            self.row_form()
        row = self.statement.execute(lift_parameters(args + vals.VAL_BYTES)).fetchone()
        types_, memory = self.row_form()
        if row is None:
            write_result(_ROW, Ok(None), results)
        elif memory is not None:
            clone_short(memory.write(row), results)
        else:
            write_result(_ROW, Ok(to_values(row, types_)), results)
    except MalformedError:
        raise
    except Exception as error:
        write_result(_ROW, Err(record(error)), results)


def _general(*_: object) -> None:
    raise AssertionError("query-row takes its own way")


# --- cursors ----------------------------------------------------------------------------------------------------------


def _cursor_columns(_: Instance, self: GuestCursor) -> list[dict[str, Any]]:
    return [_column(column) for column in self.columns]


def _next_batch(_: Instance, self: GuestCursor, most: int) -> Mapping[str, Any] | None:
    return self.next_batch(most)


def _next_rows(_: Instance, self: GuestCursor, most: int) -> list[list[Variant]]:
    return self.next_rows(most)


# --- what a guest imports ---------------------------------------------------------------------------------------------


def lift_text(at: int) -> str:
    if vals.MEMORY[at] != vals.STRING:
        raise MalformedError("no string where the interface has one")
    return vals.lift_string(at + 8)


def lift_count(at: int) -> int:
    if vals.MEMORY[at] != vals.U32:
        raise MalformedError("no u32 where the interface has one")
    return int(vals.lift(at))


def lift_values(at: int) -> Sequence[Variant]:
    """list<value>."""
    found = vals.lift(at)
    if not isinstance(found, (list, tuple)) or not all(isinstance(value, Variant) for value in found):
        raise MalformedError("no list of values where the interface has one")
    return found


_ERROR = types.ERROR
_OWN = result_of(lower_own, _ERROR)
_COUNT = result_of(NUMBERS[vals.U64], _ERROR)
_DONE = result_of(None, _ERROR)
_ROW = result_of(option_of(types.VALUES), _ERROR)
_COLUMNS = list_of(types.COLUMN)
QUERY = Interface(
    types.interface_name("query"),
    RESOURCES,
    {
        "[static]connection.open": HostFunction(_open, (), (lift_text,), _OWN),
        "[method]connection.prepare": HostFunction(_prepare, (CONNECTION,), (lift_text,), _OWN),
        "[method]connection.execute": HostFunction(_execute, (CONNECTION,), (lift_text, lift_values), _COUNT),
        "[method]connection.query": HostFunction(_query, (CONNECTION,), (lift_text, lift_values), _OWN),
        "[method]connection.execute-script": HostFunction(_execute_script, (CONNECTION,), (lift_text,), _DONE),
        "[method]statement.parameters": HostFunction(_statement_parameters, (STATEMENT,), (), _COLUMNS, fails=False),
        "[method]statement.columns": HostFunction(_statement_columns, (STATEMENT,), (), _COLUMNS, fails=False),
        "[method]statement.execute": HostFunction(_statement_execute, (STATEMENT,), (lift_values,), _COUNT),
        "[method]statement.execute-batch": HostFunction(_execute_batch, (STATEMENT,), (LIFT_BATCH,), _COUNT),
        "[method]statement.query": HostFunction(_statement_query, (STATEMENT,), (lift_values,), _OWN),
        "[method]statement.query-row": HostFunction(_general, (STATEMENT,), (lift_values,), _ROW, raw=_query_row),
        "[method]cursor.columns": HostFunction(_cursor_columns, (CURSOR,), (), _COLUMNS, fails=False),
        "[method]cursor.next-batch": HostFunction(
            _next_batch, (CURSOR,), (lift_count,), result_of(option_of(LOWER_BATCH), _ERROR)
        ),
        "[method]cursor.next-rows": HostFunction(_next_rows, (CURSOR,), (lift_count,), result_of(types.ROWS, _ERROR)),
    },
)
