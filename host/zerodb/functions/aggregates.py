"""Aggregates from outside: Python callables; components are in component_aggregates.py.

The query collects each group's arguments as arrays (the compiler's binder_external_aggregates), with what DISTINCT,
FILTER and ORDER BY make of them. The body gets a column of arrays for each argument and takes them apart again, so a
function sees whole columns and the number of the group that each row belongs to:

    x   {1,2,3} {4}    -->    groups 0 0 0 1,  x 1 2 3 4    -->  update, finish  -->  a value for each group

Limit: the values of all groups are in memory at once; moving window frames are refused when the query is bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from zerodb.functions.body import FunctionError
from zerodb.functions.nested_columns import decode_lists
from zerodb.functions.python_functions import PythonFunction, failed, sql_type_named
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.external import AGGREGATE, IMMUTABLE, ExternalFunction, wire_type
from zerodb_compiler.types import BOOLEAN, SqlType

if TYPE_CHECKING:
    from zerodb.connection import Connection

MAX_ROWS = 65_536  # handed over at once
Groups = np.ndarray[Any, np.dtype[np.uint32]]


class States(Protocol):
    """The states of some groups."""

    def update(self, group_count: int, groups: Groups, arguments: Sequence[pa.Array]) -> None: ...

    def finish(self, group_count: int) -> pa.Array: ...


class AggregateBody:
    """A FunctionBody over columns of arrays. `start` makes the states of the groups of one call."""

    block_rows = None

    def __init__(
        self,
        types: Sequence[SqlType],
        start: Callable[[], AbstractContextManager[States]],
        *,
        strict: bool,
        close: Callable[[], None] | None = None,
    ) -> None:
        self._types = [wire_type(type_) for type_ in types] or [BOOLEAN]  # something says how many rows there are
        self._parameters = len(types)
        self._start, self._strict, self._close = start, strict, close

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        columns: list[pa.Array] = []
        offsets = np.zeros(rows + 1, np.int64)
        for number, argument in enumerate(arguments):
            elements, found = decode_lists(self._types[number], argument)
            assert not columns or np.array_equal(offsets, found), "the arguments are collected side by side"
            offsets = found
            columns.append(elements)
        groups = np.repeat(np.arange(rows, dtype=np.uint32), np.diff(offsets))
        columns = columns[: self._parameters]
        if self._strict:
            groups, columns = _without_nulls(groups, columns)
        with self._start() as states:
            for start in range(0, max(len(groups), 1), MAX_ROWS):  # once at least: it says how many groups there are
                part = [column.slice(start, MAX_ROWS) for column in columns]
                states.update(rows, groups[start : start + MAX_ROWS], part)
            return states.finish(rows)

    def close(self) -> None:
        if self._close is not None:
            self._close()


def _without_nulls(groups: Groups, columns: list[pa.Array]) -> tuple[Groups, list[pa.Array]]:
    stays = np.ones(len(groups), np.bool_)
    for column in columns:
        if column.null_count:
            stays &= column.is_valid().to_numpy(zero_copy_only=False)
    if stays.all():
        return groups, columns
    mask = pa.array(stays)
    return groups[stays], [column.filter(mask) for column in columns]


# --- Python callables -------------------------------------------------------------------------------------------------


def create_aggregate(
    connection: Connection,
    name: str,
    function: Callable[..., Any],
    parameters: Sequence[str],
    returns: str,
    *,
    strict: bool,
    vectorized: bool,
    replace: bool,
) -> ExternalFunction:
    """`function` is a class with `step(*values)` and `finalize()`, an instance a group; or, `vectorized`, a callable
    of (number of groups, group of each row, arrays ...) that gives a value for each group."""
    view = connection._view()
    if not vectorized and not (hasattr(function, "step") and hasattr(function, "finalize")):
        raise ProgrammingError(f"aggregate {name}: a class with step() and finalize() is wanted, or vectorized=True")
    types = tuple(sql_type_named(view, text) for text in parameters)
    names, result = tuple(f"arg{i + 1}" for i in range(len(types))), sql_type_named(view, returns)
    schema, _, own = name.lower().rpartition(".")

    def made(id_: int, version: int) -> ExternalFunction:
        results = ((own, result),)
        return ExternalFunction(
            id_, version, schema or "public", own, AGGREGATE, names, types, results, IMMUTABLE, strict
        )

    def start() -> AbstractContextManager[States]:
        return nullcontext(_Vectorized(function, result, len(types)) if vectorized else _OneByOne(function, result))

    return connection._database.functions.add(made, AggregateBody(types, start, strict=strict), replace=replace)


class _Vectorized:
    """All rows at once: the callable's own loops are in C."""

    def __init__(self, function: Callable[..., Any], result: SqlType, parameters: int) -> None:
        self._function, self._result = function, result
        self._groups: list[Groups] = []
        self._columns: list[list[pa.Array]] = [[] for _ in range(parameters)]

    def update(self, group_count: int, groups: Groups, arguments: Sequence[pa.Array]) -> None:
        self._groups.append(groups)
        for column, argument in zip(self._columns, arguments, strict=True):
            column.append(argument)

    def finish(self, group_count: int) -> pa.Array:
        groups = np.concatenate([np.zeros(0, np.uint32), *self._groups])
        columns = [pa.chunked_array(parts).combine_chunks() if parts else None for parts in self._columns]
        given = [pa.nulls(0) if column is None else column for column in columns]

        def call() -> Any:
            return self._function(group_count, groups, *given)

        body = PythonFunction(lambda _rows: call(), wire_type(self._result), 0, "arrow")
        return body.call([], group_count)


class _OneByOne:
    """An object for each group, as sqlite3 has it; simple, and slow: some microseconds a row."""

    def __init__(self, function: Callable[..., Any], result: SqlType) -> None:
        self._function, self._result = function, result
        self._states: list[Any] = []

    def update(self, group_count: int, groups: Groups, arguments: Sequence[pa.Array]) -> None:
        try:
            self._grow(group_count)
            states = self._states
            columns = [argument.to_pylist() for argument in arguments]
            for group, *values in zip(groups.tolist(), *columns, strict=True):
                states[group].step(*values)
        except FunctionError:
            raise
        except Exception as error:
            raise failed(error, None) from error

    def finish(self, group_count: int) -> pa.Array:
        try:
            self._grow(group_count)
            made = [state.finalize() for state in self._states]
        except FunctionError:
            raise
        except Exception as error:
            raise failed(error, None) from error
        return PythonFunction(lambda _rows: made, wire_type(self._result), 0, "lists").call([], group_count)

    def _grow(self, group_count: int) -> None:
        while len(self._states) < group_count:
            self._states.append(self._function())
