"""Python callables as scalar functions of SQL: `db.create_function("f", f, ["bigint"], "text")`.

How a callable is called, by `vectorized`:

    None      with the values of one row; simple, and slow: a microsecond or more a row, on one core at a time
    "lists"   with a list for each argument; it gives a list
    "arrow"   with a pyarrow array for each argument; it gives a pyarrow or numpy array, or what makes one

A vectorized callable without parameters is given the number of rows. Threads may call it at the same time. What it
raises is the statement's error (38000; an error of zerodb keeps its SQLSTATE). Types that Python and Arrow know
otherwise (arrays, json, enums) come and go as text.
"""

from __future__ import annotations

import inspect
import itertools
import typing
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa

from zerodb.engine.result import arrow_type
from zerodb.functions.body import FunctionError
from zerodb_compiler.errors import Error, ProgrammingError, error_for
from zerodb_compiler.sql.external import IMMUTABLE, SCALAR, STABLE, VOLATILE, ExternalFunction, wire_type
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    BYTEA,
    DATE,
    DOUBLE,
    INTERVAL,
    TEXT,
    TIME,
    TIMESTAMP,
    UNCONSTRAINED_NUMERIC,
    SqlType,
    TypeId,
)
from zerodb_compiler.types import UUID as UUID_TYPE

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View

_VALUES_BETWEEN_CHECKS = 256  # a callable for single values may be slow: interrupts are looked for so often
_ANNOTATIONS: dict[Any, SqlType] = {
    bool: BOOLEAN,
    int: BIGINT,
    float: DOUBLE,
    str: TEXT,
    bytes: BYTEA,
    Decimal: UNCONSTRAINED_NUMERIC,
    date: DATE,
    datetime: TIMESTAMP,
    time: TIME,
    timedelta: INTERVAL,
    UUID: UUID_TYPE,
}


def create_function(
    connection: Connection,
    name: str,
    function: Callable[..., Any],
    parameters: Sequence[str] | None,
    returns: str | None,
    *,
    volatility: str,
    strict: bool,
    vectorized: str | None,
    replace: bool,
) -> ExternalFunction:
    if volatility not in (IMMUTABLE, STABLE, VOLATILE):
        raise ProgrammingError(f'volatility is "immutable", "stable" or "volatile", not {volatility!r}')
    if vectorized not in (None, "lists", "arrow"):
        raise ProgrammingError(f'vectorized is "arrow", "lists" or None, not {vectorized!r}')
    view = connection._view()
    names, types, result = _declared(view, name, function, parameters, returns)
    schema, _, own = name.lower().rpartition(".")

    def made(id_: int, version: int) -> ExternalFunction:
        results = ((own, result),)
        return ExternalFunction(
            id_, version, schema or "public", own, SCALAR, names, types, results, volatility, strict
        )

    body = PythonFunction(function, wire_type(result), len(types), vectorized)
    return connection._database.functions.add(made, body, replace=replace)


def drop_function(connection: Connection, name: str, parameters: Sequence[str] | None, *, missing_ok: bool) -> None:
    schema, _, own = name.lower().rpartition(".")
    view, functions = connection._view(), connection._database.functions
    found = [other for other in functions.all_python() if (other.schema, other.name) == (schema or "public", own)]
    if parameters is not None:
        types = tuple(sql_type_named(view, text) for text in parameters)
        found = [other for other in found if other.arguments == types]
    if len(found) > 1:
        raise error_for("42725", f'function name "{name}" is not unique', hint="name its parameters' types")
    if not found and not missing_ok:
        raise error_for("42883", f"there is no Python function {name}")
    functions.remove(found)


# --- types ------------------------------------------------------------------------------------------------------------
def _declared(
    view: View, name: str, function: Callable[..., Any], parameters: Sequence[str] | None, returns: str | None
) -> tuple[tuple[str, ...], tuple[SqlType, ...], SqlType]:
    """Names and types of the parameters, and the type of the result; from annotations where they are not given."""
    hints = _hints(function)
    try:
        own = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function of C
        own = []
    if parameters is not None:
        types = tuple(sql_type_named(view, text) for text in parameters)
        names = [parameter.name for parameter in own[: len(types)]]
        names += [f"arg{i + 1}" for i in range(len(names), len(types))]
    else:
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in own):
            raise ProgrammingError(f"function {name}: say its parameters' types, since it takes any number of them")
        names = [parameter.name for parameter in own]
        types = tuple(_annotated(name, hints.get(each), f"parameter {each}") for each in names)
    result = sql_type_named(view, returns) if returns is not None else _annotated(name, hints.get("return"), "result")
    return tuple(names), types, result


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (TypeError, NameError):
        return {}


def _annotated(name: str, hint: Any, what: str) -> SqlType:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not NoneType]
        hint = kinds[0] if len(kinds) == 1 else hint
    found = _ANNOTATIONS.get(hint) if isinstance(hint, type) else None
    if found is None:
        raise ProgrammingError(f"function {name}: the type of its {what} is not known", hint="name the SQL types")
    return found


def sql_type_named(view: View, text: str) -> SqlType:
    """The type that a text such as "numeric(10,2)" names."""
    from sqlglot import exp

    from zerodb_compiler.sql.binder_types import sql_type
    from zerodb_compiler.sql.parse import parse

    wrong = error_for("42704", f'type "{text}" does not exist')
    try:
        statements = parse(f"select cast(null as {text})")
    except Error:
        raise wrong from None
    tree = statements[0].tree if len(statements) == 1 else None
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or not isinstance(tree.expressions[0], exp.Cast):
        raise wrong
    return sql_type(tree.expressions[0].args["to"], None, view.named_type)


# --- calls ------------------------------------------------------------------------------------------------------------
class PythonFunction:
    """The body (body.FunctionBody)."""

    __slots__ = ("_function", "_parameters", "_result", "_vectorized", "block_rows")

    def __init__(self, function: Callable[..., Any], result: SqlType, parameters: int, vectorized: str | None) -> None:
        self._function, self._result, self._parameters = function, result, parameters
        self._vectorized = vectorized
        self.block_rows = _VALUES_BETWEEN_CHECKS if vectorized is None else None

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        try:
            match self._vectorized:
                case "arrow":
                    made = self._function(*(map(_copied, arguments) if arguments else (rows,)))
                case "lists":
                    made = self._function(*([argument.to_pylist() for argument in arguments] or (rows,)))
                case _:
                    made = self._one_by_one([argument.to_pylist() for argument in arguments], rows)
        except FunctionError:
            raise
        except Exception as error:
            raise failed(error, 0 if rows == 1 else None) from error
        return self._array(made)

    def close(self) -> None:
        pass

    def _one_by_one(self, columns: list[list[Any]], rows: int) -> list[Any]:
        function = self._function
        made: list[Any] = []
        append = made.append
        try:
            for values in zip(*columns, strict=True) if columns else itertools.repeat((), rows):
                append(function(*values))
        except Exception as error:
            raise failed(error, len(made)) from error
        return made

    def _array(self, made: Any) -> pa.Array:
        if isinstance(made, pa.ChunkedArray):
            return made.combine_chunks()
        if isinstance(made, pa.Array):
            return made
        if isinstance(made, str | bytes | dict) or not hasattr(made, "__len__"):
            raise FunctionError(f"it gave a {type(made).__name__}, not values for rows", "42804")
        wanted = arrow_type(self._result)
        try:
            if not isinstance(made, list):
                return pa.array(made)
            match self._result.id:
                case TypeId.UUID:
                    return pa.array([None if value is None else _uuid(value).bytes for value in made], pa.binary(16))
                case TypeId.INTERVAL:
                    return pa.array(made)
                case TypeId.NUMERIC:
                    return _decimals(made, self._result)
            if self._result.is_integer and float in set(map(type, made)):  # Arrow would cut them
                raise TypeError("a float is no integer")
            return pa.array(made, wanted)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise self._mistaken(made, wanted, error) from error

    def _mistaken(self, made: Sequence[Any], wanted: pa.DataType, error: Exception) -> FunctionError:
        """Which value it was that is none of the result's type."""
        for row, value in enumerate(made):
            try:
                if self._result.id is TypeId.UUID:
                    _uuid(value)
                elif self._result.id is TypeId.NUMERIC:
                    _decimals([value], self._result)
                elif self._result.is_integer and isinstance(value, float):
                    raise TypeError
                elif self._result.id is not TypeId.INTERVAL:
                    pa.scalar(value, wanted)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                shown = repr(value)
                shown = shown if len(shown) <= 40 else shown[:37] + "..."
                overflow = isinstance(value, int | Decimal) and self._result.is_number
                what = "is out of range for" if overflow else "is no value of"
                return FunctionError(
                    f"its result {shown} {what} type {self._result}", "22003" if overflow else "42804", row
                )
        return FunctionError(f"its results are no values of type {self._result}: {error}", "42804")


def failed(error: Exception, row: int | None) -> FunctionError:
    if isinstance(error, Error):
        return FunctionError(error.message, error.sqlstate, row)
    text = str(error)
    return FunctionError(f"{type(error).__name__}: {text}" if text else type(error).__name__, None, row)


def _copied(array: pa.Array) -> pa.Array:
    """In memory of its own: the callable may keep it."""
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(array.type, _copied(array.storage))
    buffers = [None if buffer is None else pa.py_buffer(buffer.to_pybytes()) for buffer in array.buffers()]
    if array.offset == 0 and not pa.types.is_nested(array.type) and not pa.types.is_dictionary(array.type):
        return pa.Array.from_buffers(array.type, len(array), buffers, array.null_count)
    return pa.concat_arrays([array, array.slice(0, 0)])


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _decimals(made: list[Any], type_: SqlType) -> pa.Array:
    """Decimals and integers, rounded to the scale of the type."""
    import pyarrow.compute as pc

    found = pa.array([Decimal(value) if isinstance(value, int) else value for value in made])
    if pa.types.is_decimal(found.type) and found.type.scale > type_.scale:
        found = pc.round(found, type_.scale, round_mode="half_towards_infinity")
    return found.cast(arrow_type(type_))
