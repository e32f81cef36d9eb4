"""Functions that SQL calls: `@scalar`, `@table` and `@aggregate`, typed by their annotations.

    @scalar(volatility="immutable")
    def slug(title: str, longest: int = 40) -> str: ...

    @table(columns={"word": "text", "length": "bigint"})
    def words(text: str):
        for word in text.split():
            yield word, len(word)

    @aggregate
    class Longest:
        def __init__(self): self.best = None
        def step(self, text: str): ...
        def finish(self) -> str: ...

An annotation is a Python type (int is bigint, float double precision, str text, bytes bytea, bool boolean, datetime
timestamp, timedelta interval, Decimal numeric, UUID uuid, dict jsonb) or SQL's name of a type as a string. A function
is strict, left out where an argument is NULL, unless one of its annotations allows None (`str | None`).

`vectorized=True` gives and takes a list for each argument, a value for each row: a call for each batch, not for each
row. A vectorised aggregate has `update(group_count, groups, *columns)` and a `finish()` that gives a list.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from types import NoneType, UnionType
from typing import Any
from uuid import UUID

from componentize_py_types import Err
from wit_world.imports import types as wit
from wit_world.imports import udf

from zerodb_guest.errors import Error, FunctionError
from zerodb_guest.values import batch_of, form_of_type, from_column, from_value, to_column

_SQL_TYPES: dict[Any, str] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    str: "text",
    bytes: "bytea",
    date: "date",
    time: "time",
    datetime: "timestamp",
    timedelta: "interval",
    Decimal: "numeric",
    UUID: "uuid",
    dict: "jsonb",
}


@dataclass(frozen=True, slots=True)
class Declared:
    """A function with what SQL is told of it."""

    kind: str
    name: str
    arguments: tuple[tuple[str, str, bool], ...]  # name, type, whether None may come
    results: tuple[tuple[str, str], ...]
    volatility: str
    vectorized: bool
    body: Any

    @property
    def strict(self) -> bool:
        return not any(nullable for _, _, nullable in self.arguments)

    def signature(self) -> Any:
        return udf.Signature(
            self.name,
            [wit.Column(name, data_type, nullable) for name, data_type, nullable in self.arguments],
            [wit.Column(name, data_type, True) for name, data_type in self.results],
            udf.Volatility[self.volatility.upper()],
            self.strict,
        )


declared: dict[tuple[str, str], Declared] = {}


def _sql_type(annotation: Any, of: str) -> tuple[str, bool]:
    """SQL's type for an annotation, and whether it allows None."""
    if isinstance(annotation, str):
        return annotation, False
    if typing.get_origin(annotation) in (UnionType, typing.Union):
        parts = [part for part in typing.get_args(annotation) if part is not NoneType]
        if len(parts) == 1:
            return _sql_type(parts[0], of)[0], True
    if annotation in _SQL_TYPES:
        return _SQL_TYPES[annotation], False
    raise TypeError(f"{of}: SQL has no type for the annotation {annotation!r}; write SQL's name of it as a string")


def _annotations(function: Any) -> dict[str, Any]:
    """What stands in the source may be text (from __future__ import annotations): names of Python types are looked
    up, everything else is SQL's name of a type."""
    found: dict[str, Any] = {}
    for name, annotation in inspect.get_annotations(function).items():
        if isinstance(annotation, str):
            with suppress(NameError, SyntaxError):
                annotation = eval(annotation, function.__globals__)
        found[name] = annotation
    return found


def _arguments(function: Any, skip: int, given: Sequence[Any] | Mapping[str, Any] | None) -> Any:
    names = list(inspect.signature(function).parameters)[skip:]
    if isinstance(given, Mapping):
        return tuple((name, *_sql_type(kind, name)) for name, kind in given.items())
    if given is not None:
        return tuple((name, *_sql_type(kind, name)) for name, kind in zip(names, given, strict=True))
    annotations = _annotations(function)
    missing = [name for name in names if name not in annotations]
    if missing:
        raise TypeError(f"{function.__qualname__}: no annotation for {', '.join(missing)}")
    return tuple((name, *_sql_type(annotations[name], name)) for name in names)


def _result(function: Any, given: Any) -> str:
    annotation = given if given is not None else _annotations(function).get("return")
    if annotation is None:
        raise TypeError(f"{function.__qualname__}: what does it return? Annotate it, or give returns=")
    return _sql_type(annotation, function.__qualname__)[0]


def _decorator(given: Any, declare: Callable[[Any], Declared]) -> Any:
    def decorate(body: Any) -> Any:
        one = declare(body)
        declared[one.kind, one.name] = one
        return body

    return decorate if given is None else decorate(given)


def scalar(
    function: Any = None,
    *,
    name: str | None = None,
    arguments: Sequence[Any] | Mapping[str, Any] | None = None,
    returns: Any = None,
    volatility: str = "volatile",
    vectorized: bool = False,
) -> Any:
    """A value for each row."""

    def declare(body: Any) -> Declared:
        results = (("result", _result(body, returns)),)
        called = name or body.__name__
        return Declared("scalar", called, _arguments(body, 0, arguments), results, volatility, vectorized, body)

    return _decorator(function, declare)


def table(
    function: Any = None,
    *,
    columns: Mapping[str, Any],
    name: str | None = None,
    arguments: Sequence[Any] | Mapping[str, Any] | None = None,
    volatility: str = "volatile",
) -> Any:
    """Rows for FROM: a generator of tuples, or anything that can be looped over."""

    def declare(body: Any) -> Declared:
        results = tuple((column, _sql_type(kind, column)[0]) for column, kind in columns.items())
        called = name or body.__name__
        return Declared("table", called, _arguments(body, 0, arguments), results, volatility, False, body)

    return _decorator(function, declare)


def aggregate(
    group: Any = None,
    *,
    name: str | None = None,
    arguments: Sequence[Any] | Mapping[str, Any] | None = None,
    returns: Any = None,
    vectorized: bool = False,
) -> Any:
    """A class with `step(self, ...)` for each row and `finish(self)`, made once for each group."""

    def declare(body: Any) -> Declared:
        if vectorized and (arguments is None or returns is None):
            raise TypeError(f"{body.__name__}: a vectorised aggregate needs arguments={{name: type}} and returns=")
        takes = _arguments(body.update if vectorized else body.step, 1, arguments)
        results = (("result", _result(body.finish, returns)),)
        called = name or body.__name__.lower()
        return Declared("aggregate", called, takes, results, "immutable", vectorized, body)

    return _decorator(group, declare)


def failure(error: BaseException, row: int | None = None) -> Err[Any]:
    """Any exception as what SQL is told."""
    match error:
        case FunctionError():
            place = row if error.row is None else error.row
            return Err(udf.FunctionError(error.message, error.sqlstate, place))
        case Error():
            return Err(udf.FunctionError(error.message, error.sqlstate, row))
        case _:
            return Err(udf.FunctionError(f"{type(error).__name__}: {error}", None, row))


def _find(kind: str, name: str) -> Declared:
    found = declared.get((kind, name))
    if found is None:
        raise Err(udf.FunctionError(f"the component has no {kind} function {name}", "42883", None))
    return found


def describe(kind: str) -> list[Any]:
    return [one.signature() for (its, _), one in declared.items() if its == kind]


def _columns(batch: Any) -> list[list[Any]]:
    return [from_column(column, batch.row_count) for column in batch.columns]


def call_scalar(name: str, arguments: Any) -> Any:
    function, columns, rows = _find("scalar", name), _columns(arguments), arguments.row_count
    form = form_of_type(function.results[0][1])
    if function.vectorized:
        try:
            result = list(function.body(*columns))
            if len(result) != rows:
                raise FunctionError(f"{name} gave {len(result)} values for {rows} rows", "39000")
            return to_column(result, form)
        except Exception as error:
            raise failure(error) from None
    result, body, strict = [None] * rows, function.body, function.strict
    row = 0
    try:
        for row, values in enumerate(zip(*columns, strict=True) if columns else [()] * rows):
            if not strict or None not in values:
                result[row] = body(*values)
    except Exception as error:
        raise failure(error, row) from None
    try:
        return to_column(result, form)
    except Exception as error:
        raise failure(error) from None


class Rows:
    """The rows of one call of a table function."""

    def __init__(self, function: Declared, source: Iterator[Any]) -> None:
        self._source = source
        self._forms = [form_of_type(kind) for _, kind in function.results]

    def next_batch(self, max_rows: int) -> Any:
        try:
            rows = [
                tuple(row) if isinstance(row, (tuple, list)) else (row,)
                for row in islice(self._source, max(max_rows, 1))
            ]
            return batch_of(rows, self._forms) if rows else None
        except Exception as error:
            raise failure(error) from None


def call_table(name: str, arguments: list[Any]) -> Rows:
    function = _find("table", name)
    try:
        values = [from_value(value) for value in arguments]
        if function.strict and None in values:
            return Rows(function, iter(()))
        return Rows(function, iter(function.body(*values)))
    except Exception as error:
        raise failure(error) from None


class States:
    """The groups of one worker."""

    def __init__(self, function: Declared) -> None:
        self._function = function
        self._form = form_of_type(function.results[0][1])
        self._groups: list[Any] = []
        self._whole = function.body() if function.vectorized else None

    def update(self, group_count: int, groups: list[int], arguments: Any) -> None:
        try:
            columns = _columns(arguments)
            if self._whole is not None:
                self._whole.update(group_count, groups, *columns)
                return
            while len(self._groups) < group_count:
                self._groups.append(self._function.body())
            steps = [group.step for group in self._groups]
            strict = self._function.strict
            for group, *values in zip(groups, *columns, strict=True):
                if not strict or None not in values:
                    steps[group](*values)
        except Exception as error:
            raise failure(error) from None

    def finish(self) -> Any:
        try:
            if self._whole is not None:
                return to_column(list(self._whole.finish()), self._form)
            return to_column([group.finish() for group in self._groups], self._form)
        except Exception as error:
            raise failure(error) from None


def start(name: str) -> States:
    return States(_find("aggregate", name))
