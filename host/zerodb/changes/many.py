"""executemany: rows of Python objects become columns once, not one statement per row.

    INSERT INTO t VALUES ($1, 7, $2)    zip(*rows) -> one Arrow array per parameter -> storage, with one commit

Other statements (UPDATE, DELETE, INSERTs that compute) run once per set of parameters, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb.changes import applying as changes
from zerodb.compilation import Prepared, Ready
from zerodb.functions import firing
from zerodb.outcome import Outcome
from zerodb.queries import present_moments
from zerodb.sequence_values import find, resolved, take
from zerodb.values import Parameters, bind_parameters, canonical_array, python_array
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Values
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.computed import Computed
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.cursor import Cursor
    from zerodb.statement import PreparedStatement

_POINT_ROWS = 32  # from so many on it pays to compile a statement by key


def run_many(connection: Connection, ready: Ready, parameters: Iterable[Parameters]) -> Outcome:
    prepared = ready.prepared
    statement = prepared.statement
    if connection._guard is not None:
        connection._guard(prepared)
    if isinstance(statement, st.Query):
        raise ProgrammingError("executemany() is for statements that change rows", sqlstate="42601")
    rows = list(parameters)
    lifted: Sequence[Any] = ready.lifted
    calls = any(isinstance(value, Computed) and value.kind == "external" for value in lifted)
    if isinstance(statement, st.Insert) and prepared.query is None and len(_source(statement).rows) == 1 and not calls:
        return _insert(connection, ready, statement, rows)
    return _one_by_one(connection, ready, rows)


def takes_columns(statement: PreparedStatement) -> bool:
    """Whether many rows are inserted column by column."""
    prepared = statement._prepared
    found = prepared.statement
    return isinstance(found, st.Insert) and prepared.query is None and len(_source(found).rows) == 1


def execute_columns(statement: PreparedStatement, columns: Sequence[pa.Array], count: int) -> int:
    """Runs an INSERT that `takes_columns` once for each row of the columns, which are its parameters in canonical form;
    the number of rows."""
    connection = statement.connection
    connection._check_open()
    if connection._recorder is not None:
        connection._recorder.give_up()

    def once() -> Outcome:
        statement._refresh()
        if connection._guard is not None:
            connection._guard(statement._prepared)
        found = statement._prepared.statement
        assert isinstance(found, st.Insert)
        return _insert_columns(connection, statement._ready, found, columns, count)

    with connection._lock:
        return connection._statement(once, statement.sql).row_count


def _source(statement: st.Insert) -> Values:
    assert isinstance(statement.source, Values)
    return statement.source


def _insert(connection: Connection, ready: Ready, statement: st.Insert, rows: list[Parameters]) -> Outcome:
    if not rows:
        return Outcome("INSERT", 0)
    return _insert_columns(connection, ready, statement, _columns(ready.prepared, rows), len(rows))


def _insert_columns(
    connection: Connection, ready: Ready, statement: st.Insert, given: Sequence[Sequence[Any] | pa.Array], count: int
) -> Outcome:
    """`given`: the values of each parameter, Python objects or canonical arrays."""
    if not count:
        return Outcome("INSERT", 0)
    prepared, lifted = ready.prepared, present_moments(ready.lifted)
    source = _source(statement)
    arrays = []
    for column, value in zip(source.columns, source.rows[0], strict=True):
        match value:
            case Parameter(index=index) if index < len(given):
                found = given[index]
                array = found if isinstance(found, pa.Array) else python_array(prepared.user[index].type, found)
            case Parameter(index=index) if isinstance(lifted[index - len(given)], Computed):
                array = _computed(connection, lifted[index - len(given)], count, column.type)
            case Parameter(index=index):
                array = _repeat(canonical_array(column.type, [lifted[index - len(given)]]), count)
            case Literal(value=constant):
                array = _repeat(canonical_array(column.type, [constant]), count)
            case _:
                raise AssertionError(value)
        arrays.append(array)
    table = pa.Table.from_arrays(arrays, names=[column.name for column in source.columns])
    with connection._session.writing() as write, firing.statement(connection):
        changes.apply(connection, write, changes.RowChange(statement.table, inserted=table))
    return Outcome("INSERT", count)


def _computed(connection: Connection, what: Any, count: int, type_: SqlType) -> pa.Array:
    """A sequence's values for all rows at once."""
    if what.kind != "nextval":
        return _repeat(canonical_array(type_, resolved(connection, [what])), count)
    with connection._session.writing():
        values = take(connection, find(connection, what.sequence), count)
    return pa.array(values).cast(canonical_array(type_, [0]).type)


def _repeat(array: pa.Array, count: int) -> pa.Array:
    return pa.repeat(array[0], count)


def _columns(prepared: Prepared, rows: list[Parameters]) -> list[Sequence[Any]]:
    """The values of each declared parameter over all rows."""
    first = rows[0]
    bind_parameters(prepared.user, first)  # checks style and number once
    if isinstance(first, Mapping):
        try:
            return [[row[str(parameter.name)] for row in rows] for parameter in prepared.user]  # type: ignore[call-overload]
        except (KeyError, TypeError) as error:
            raise ProgrammingError(f"a row has no value for parameter {error}", sqlstate="08P01") from None
    width = len(first)
    if not set(map(type, rows)) <= {tuple, list}:
        rows = list(map(tuple, rows))
    if set(map(len, rows)) != {width}:
        wrong = next(index for index, row in enumerate(rows) if len(row) != width)
        raise ProgrammingError(f"row {wrong + 1} has {len(rows[wrong])} values, not {width}", sqlstate="08P01")
    # Column by column: `zip(*rows)` makes an iterator for each row, which takes five times as long for a million.
    return [list(map(itemgetter(int(parameter.name) - 1), rows)) for parameter in prepared.user]


def _by_key(connection: Connection, ready: Ready, rows: list[Parameters]) -> tuple[int, list[Parameters]]:
    """The number of rows changed by a change by key, as far as it takes the short way, and the parameters left."""
    from zerodb.points.point import point_statement

    def general(_parameters: Parameters | None) -> Cursor:
        raise _NotPlain

    point = point_statement(connection, ready, general)
    transaction = connection._session._transaction
    assert transaction is not None
    first, count = transaction.first, 0
    if point is not None:
        for number, row in enumerate(rows):
            try:
                count += point.run(row).rowcount
            except _NotPlain:
                return count, rows[number:]
            finally:
                transaction.first = first  # it is one statement, which may run again
        return count, []
    return 0, rows


class _NotPlain(Exception):
    """A statement by key would take the general way."""


def _one_by_one(connection: Connection, ready: Ready, rows: list[Parameters]) -> Outcome:
    """In autocommit as one transaction; inside a transaction under one savepoint."""
    session = connection._session
    if session.in_transaction or session.statement.nested:
        with session.writing():
            return _loop(connection, ready, rows)
    session.begin()
    try:
        outcome = _loop(connection, ready, rows)
    except BaseException:
        session.rollback()
        raise
    session.commit()
    return outcome


def _loop(connection: Connection, ready: Ready, rows: list[Parameters]) -> Outcome:
    count = 0
    tag = type(ready.prepared.statement).__name__.upper()
    if len(rows) >= _POINT_ROWS and not connection._session.statement.nested:
        count, rows = _by_key(connection, ready, rows)
    for row in rows:
        view = connection._view()
        if not ready.prepared.fits(view):
            ready = connection._database.prepare(ready.text, view)
        outcome = connection._run_ready(ready, view, row)
        tag = outcome.tag
        count += max(outcome.row_count, 0)
    return Outcome(tag, count)
