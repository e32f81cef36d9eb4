"""Table functions from outside: Python callables; components are in component_tables.py.

A call in FROM is computed for blocks of argument rows as any external call is; what it gives for each of them is a
record of arrays, one for each column of the table, which the query takes apart (`unnest`, side by side):

    f(1)  -->  a 1 2 3, b x y z  -->  ({1,2,3}, {x,y,z})  -->  (1, x) (2, y) (3, z)

A call that stands alone in FROM has one row of arguments; LATERAL ones have those of the tables before them.

Limit: the rows of a call are in memory at once, of one column at most 1 GiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.engine.result import arrow_type
from zerodb.functions.body import FunctionError, stop_reason
from zerodb.functions.nested_columns import encode_lists, encode_records
from zerodb.functions.python_functions import PythonFunction, failed, sql_type_named
from zerodb.values import canonical_array
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.external import TABLE, VOLATILE, ExternalFunction, wire_type
from zerodb_compiler.sql.values import parse_value
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb.connection import Connection

# Gives the rows for one set of arguments, in pieces: a column for each of the table's.
Produce = Callable[[Sequence[pa.Array], int], Iterable[Sequence[pa.Array]]]
MAX_ROWS = 1 << 28  # for one set of arguments


class TableBody:
    """A FunctionBody that gives records of arrays. `produce` is called with the arguments and the row to take."""

    block_rows = None

    def __init__(
        self,
        columns: Sequence[tuple[str, SqlType]],
        produce: Produce,
        close: Callable[[], None],
        *,
        exclusive: bool = False,
    ) -> None:
        self._types = [type_ for _, type_ in columns]
        self.exclusive = exclusive
        self._produce, self._close = produce, close

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        parts: list[list[pa.Array]] = [[pa.nulls(0, arrow_type(wire_type(type_)))] for type_ in self._types]
        counts = np.zeros(rows + 1, np.int64)
        for row in range(rows):
            try:
                counts[row + 1] = self._collect(arguments, row, parts)
            except FunctionError as error:
                error.row = row
                raise
        offsets = np.cumsum(counts)
        columns = [
            encode_lists(type_, _values(column, type_), offsets)
            for type_, column in zip(self._types, parts, strict=True)
        ]
        return encode_records(columns, rows)

    def _collect(self, arguments: Sequence[pa.Array], row: int, parts: list[list[pa.Array]]) -> int:
        """Adds the rows for one set of arguments to the columns; how many they are."""
        count = 0
        for batch in self._produce(arguments, row):
            for column, values in zip(parts, batch, strict=True):
                column.append(values)
            count += len(batch[0])
            if count > MAX_ROWS:
                raise FunctionError(f"it gave more than {MAX_ROWS} rows", "54000")
            reason = stop_reason()()
            if reason is not None:
                raise FunctionError(reason, "57014")
        return count

    def close(self) -> None:
        self._close()


def _values(parts: list[pa.Array], type_: SqlType) -> pa.Array:
    """All values of a column. Types that bodies do not deal in are given as text."""
    given = [part for part in parts if len(part)] or parts[:1]
    wire = wire_type(type_)
    if len({part.type for part in given}) > 1:
        given = [part.cast(arrow_type(wire)) for part in given]
    found = given[0] if len(given) == 1 else pa.concat_arrays(given)
    if wire == type_ or not (pa.types.is_string(found.type) or pa.types.is_large_string(found.type)):
        return found
    return canonical_array(type_, [None if text is None else parse_value(type_, text) for text in found.to_pylist()])


# --- Python callables -------------------------------------------------------------------------------------------------


def create_table_function(
    connection: Connection,
    name: str,
    function: Callable[..., Any],
    parameters: Sequence[str],
    columns: Iterable[tuple[str, str]],
    *,
    volatility: str = VOLATILE,
    strict: bool,
    replace: bool,
) -> ExternalFunction:
    """`function` is called with the values of one row of arguments. It gives a pyarrow table or record batch, an
    iterable of these, or an iterable of rows: tuples, or mappings by column."""
    view = connection._view()
    types = tuple(sql_type_named(view, text) for text in parameters)
    results = tuple((column.lower(), sql_type_named(view, text)) for column, text in columns)
    if not results:
        raise ProgrammingError(f"table function {name}: it has no columns")
    schema, _, own = name.lower().rpartition(".")
    names = tuple(f"arg{i + 1}" for i in range(len(types)))

    def made(id_: int, version: int) -> ExternalFunction:
        return ExternalFunction(id_, version, schema or "public", own, TABLE, names, types, results, volatility, strict)

    produce = _PythonRows(function, results)
    body = TableBody(results, produce, lambda: None)
    return connection._database.functions.add(made, body, replace=replace)


class _PythonRows:
    _BATCH = 4096

    def __init__(self, function: Callable[..., Any], columns: Sequence[tuple[str, SqlType]]) -> None:
        self._function, self._columns = function, columns

    def __call__(self, arguments: Sequence[pa.Array], row: int) -> Iterator[Sequence[pa.Array]]:
        try:
            values = [argument[row].as_py() for argument in arguments]
            found = self._function(*values)
            if isinstance(found, pa.Table | pa.RecordBatch):
                found = [found]
            elif found is None or isinstance(found, str | bytes) or not hasattr(found, "__iter__"):
                raise FunctionError(f"it gave a {type(found).__name__}, not rows", "42804", row)
            waiting: list[Any] = []
            for item in found:
                if isinstance(item, pa.Table | pa.RecordBatch):
                    yield from self._arrow(item, row)
                    continue
                waiting.append(item)
                if len(waiting) == self._BATCH:
                    yield self._rows(waiting, row)
                    waiting = []
            if waiting:
                yield self._rows(waiting, row)
        except FunctionError:
            raise
        except Exception as error:
            raise failed(error, row) from error

    def _arrow(self, item: pa.Table | pa.RecordBatch, row: int) -> Iterator[Sequence[pa.Array]]:
        names = [name for name, _ in self._columns]
        if sorted(item.column_names) == sorted(names):
            item = item.select(names)
        elif item.num_columns != len(names):
            raise FunctionError(f"it gave {item.num_columns} columns, not {len(names)}", "42804", row)
        batches = item.to_batches() if isinstance(item, pa.Table) else [item]
        for batch in batches:
            yield batch.columns

    def _rows(self, rows: Sequence[Any], row: int) -> Sequence[pa.Array]:
        width = len(self._columns)
        if isinstance(rows[0], dict):
            columns: list[list[Any]] = [[item.get(name) for item in rows] for name, _ in self._columns]
        elif width == 1 and not isinstance(rows[0], tuple | list):
            columns = [list(rows)]
        else:
            for item in rows:
                if len(item) != width:
                    raise FunctionError(f"it gave a row of {len(item)} values, not {width}", "42804", row)
            columns = [list(column) for column in zip(*rows, strict=True)]
        made = []
        for (_, type_), column in zip(self._columns, columns, strict=True):
            body = PythonFunction(lambda _rows, column=column: column, wire_type(type_), 0, "lists")
            try:
                made.append(body.call([], len(column)))
            except FunctionError as error:
                raise FunctionError(error.message, error.sqlstate, row) from error
        return made
