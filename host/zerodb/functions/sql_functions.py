"""Functions in SQL that are not bound in the place of their calls (compiler: sql/binder_inline.py).

Their statements run one after the other for each call, as statements within the calling one (nested.py). The result is
that of the last one: its first row's value, all its rows for a table function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb.functions.canonical import assigned, result_rows, to_wire, wire_values
from zerodb.functions.declaration import Declaration
from zerodb.functions.nested import Caller, Statement, Variable, add_context
from zerodb.functions.table_functions import TableBody
from zerodb.outcome import Outcome
from zerodb.values import canonical_array
from zerodb_compiler.errors import DatabaseError, Error, error_for
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.external import TABLE, VOLATILE, ExternalFunction, wire_type
from zerodb_compiler.sql.parse import parse
from zerodb_compiler.sql.values import Value
from zerodb_compiler.sql.variables import Path
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View


class Arguments:
    """The names that a function's arguments have in its body (nested.Names)."""

    ambiguous = False

    def __init__(self, function: str, names: Sequence[str], variables: Sequence[Variable]) -> None:
        self.numbered = variables
        self._named: Mapping[Path, Variable] = {
            path: variable
            for name, variable in zip(names, variables, strict=True)
            if name
            for path in ((name,), (function, name))
        }

    def find(self, path: Path) -> Variable | None:
        return self._named.get(path)


@lru_cache(maxsize=1024)
def statements_of(body: str) -> tuple[str, ...]:
    """The statements of a body, padded so that places in them are places in the body."""
    starts = [parsed.start for parsed in parse(body, body=True)]
    ends = [*starts[1:], len(body)]
    return tuple(" " * start + body[start:end] for start, end in zip(starts, ends, strict=True))


class SqlBody:
    """A FunctionBody."""

    block_rows = None
    exclusive = True

    def __init__(self, function: ExternalFunction) -> None:
        self._function = function
        self._statements = [Statement(text) for text in statements_of(function.source)]

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        function = self._function
        columns = [wire_values(array, type_) for array, type_ in zip(arguments, function.arguments, strict=True)]
        made: list[Value] = []
        caller = Caller.of(function.name, volatile=function.volatility == VOLATILE)
        for row in range(rows):
            made.append(self.value(caller, [column[row] for column in columns]))
        wire = wire_type(function.result)
        return canonical_array(wire, to_wire(made, function.result))

    def value(self, caller: Caller, arguments: Sequence[Value]) -> Value:
        """The result for one set of arguments."""
        outcome = self.run(caller, arguments)
        if self._function.void:
            return ""
        if outcome is None or outcome.columns is None:
            return None
        rows = result_rows(outcome)
        if not rows:
            return None
        result = self._function.result
        if len(outcome.columns) > 1 and result.id is TypeId.STRUCT:
            from zerodb_compiler.nested import encode_record

            types = [type_ for _, type_ in result.fields]
            cells = zip(rows[0], outcome.columns, types, strict=True)
            return encode_record(types, [assigned(cell, column.type, type_) for cell, column, type_ in cells])
        return assigned(rows[0][0], outcome.columns[0].type, result)

    def run(self, caller: Caller, arguments: Sequence[Value]) -> Outcome | None:
        """Executes the statements; what the last one gave."""
        function = self._function
        variables = [Variable(type_, value) for type_, value in zip(function.arguments, arguments, strict=True)]
        names = Arguments(function.name, function.argument_names, variables)
        outcome: Outcome | None = None
        with caller.entered():
            for number, statement in enumerate(self._statements, 1):
                try:
                    outcome = caller.run(statement, names)
                except Error as error:
                    error.position = None
                    add_context(error, f'SQL function "{function.name}" statement {number}')
                    raise
        return outcome

    def close(self) -> None:
        """Nothing is held."""


def open_body(view: View, function: ExternalFunction, data: dict[str, Any]) -> Any:
    body = SqlBody(function)
    if function.kind != TABLE:
        return body

    def produce(arguments: Sequence[pa.Array], row: int) -> Iterator[Sequence[pa.Array]]:
        caller = Caller.of(function.name, volatile=function.volatility == VOLATILE)
        pairs = zip(arguments, function.arguments, strict=True)
        given = [wire_values(array.slice(row, 1), type_)[0] for array, type_ in pairs]
        outcome = body.run(caller, given)
        if outcome is None or outcome.columns is None:
            return
        yield table_columns(result_rows(outcome), [column.type for column in outcome.columns], function)

    return TableBody(function.results, produce, body.close, exclusive=True)


def table_columns(
    rows: Sequence[Sequence[Value]], types: Sequence[SqlType], function: ExternalFunction
) -> list[pa.Array]:
    """The columns of a table function's rows, in the types that it declares."""
    made = []
    for place, (_, target) in enumerate(function.results):
        values = [assigned(row[place], types[place], target) for row in rows]
        made.append(canonical_array(target, values))
    return made


# --- CREATE FUNCTION --------------------------------------------------------------------------------------------------


def check(connection: Connection, write: WriteTransaction, body: str, declared: Declaration, *, void: bool) -> None:
    """Binds a body; 42P13 if it does not give what is declared."""
    from zerodb.definition.names import view_of
    from zerodb_compiler.sql.analyze import bind_shape
    from zerodb_compiler.sql.expressions import Parameter
    from zerodb_compiler.sql.variables import Variables

    view = view_of(connection, write)
    numbered = [Parameter(place, type_) for place, (_, type_) in enumerate(declared.arguments)]
    values: dict[Path, Any] = {}
    for (name, _), parameter in zip(declared.arguments, numbered, strict=True):
        if name:
            values[name,] = values[declared.name, name] = parameter
    last: st.Statement | None = None
    for text in statements_of(body):
        (parsed,) = parse(text, body=True)
        parsed = replace(parsed, parameters=())
        last = bind_shape(parsed, view, None, (), Variables(values, numbered)).statement
    if void:
        return
    if declared.kind == "trigger":
        raise error_for("42P13", "SQL functions cannot return type trigger")
    types = _given(last)
    wanted = [type_ for _, type_ in declared.results]
    if types is None:
        hint = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."
        raise _mismatch(declared, hint)
    if len(types) != len(wanted):
        if declared.kind != "table" and len(types) == len(wanted[0].fields):
            return
        few = "few" if len(types) < len(wanted) else "many"
        hint = (
            "Final statement must return exactly one column."
            if declared.kind != "table"
            else (f"Final statement returns too {few} columns.")
        )
        raise _mismatch(declared, hint)
    for given, type_ in zip(types, wanted, strict=True):
        if given.id is not TypeId.NULL and given != type_ and not coercion.is_assignable(given, type_):
            raise _mismatch(declared, f"Actual return type is {given}.")


def _given(statement: st.Statement | None) -> list[SqlType] | None:
    if isinstance(statement, st.WithChanges):
        statement = statement.main
    match statement:
        case st.Query(columns=columns):
            return [column.type for column in columns]
        case st.Insert() | st.Update() | st.Delete() | st.Merge():
            returning = statement.returning
            return None if returning is None else [column.type for column in returning.columns]
    return None


def _mismatch(declared: Declaration, hint: str) -> DatabaseError:
    shown = "record" if declared.kind == "table" and len(declared.results) != 1 else str(declared.results[0][1])
    return error_for("42P13", f"return type mismatch in function declared to return {shown}", hint=hint)
