"""Functions in PL/pgSQL as bodies: for each row of a block, or of a change, one run of the routine (plpgsql_run.py).

Limit: a call takes tens of microseconds and more, since it is a walk over the tree whose expressions are queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.functions.canonical import array_values, assigned, to_wire, wire_values
from zerodb.functions.nested import Caller, Record, Variable
from zerodb.functions.plpgsql_names import Declared, RowRecord, Scope, assign_row
from zerodb.functions.plpgsql_routine import Routine, Rows
from zerodb.functions.plpgsql_run import Returned, Run, Typed
from zerodb.functions.table_functions import TableBody
from zerodb.functions.trigger_functions import TRIGGER, Chosen
from zerodb.values import canonical_array
from zerodb_compiler.errors import error_for
from zerodb_compiler.nested import encode_record
from zerodb_compiler.sql.external import TABLE, VOLATILE, ExternalFunction, wire_type
from zerodb_compiler.sql.values import Value
from zerodb_compiler.types import INTEGER, TEXT, SqlType, TypeId, array

if TYPE_CHECKING:
    from zerodb.functions.trigger_functions import Decision, Event
    from zerodb.view import View

_TEXTS = array(TEXT)


class PlpgsqlBody:
    """A FunctionBody."""

    block_rows = None
    exclusive = True

    def __init__(self, function: ExternalFunction) -> None:
        self._function = function
        shown = f"function {function.name}({','.join(map(str, function.arguments))})"
        self._routine = Routine(function.name, shown, function.source)

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        function = self._function
        columns = [wire_values(given, type_) for given, type_ in zip(arguments, function.arguments, strict=True)]
        caller = Caller.of(function.name, volatile=function.volatility == VOLATILE)
        made = [self.value(caller, [column[row] for column in columns]) for row in range(rows)]
        return canonical_array(wire_type(function.result), to_wire(made, function.result))

    def value(self, caller: Caller, arguments: Sequence[Value]) -> Value:
        """The result for one set of arguments."""
        function = self._function
        scope, results = self._scope(arguments)
        run = Run(self._routine, caller, scope)
        signal = run.run()
        if results:
            cells = [variable.value for variable in results]
            if len(cells) == 1 and function.result.id is not TypeId.STRUCT:
                return cells[0]
            return encode_record([variable.type for variable in results], cells)
        if function.void:
            return ""
        if not isinstance(signal, Returned):
            raise run.failed("2F005", "control reached end of function without RETURN")
        with run.context(" while casting return value to function's return type"):
            return _returned(signal, function.result)

    def _scope(self, arguments: Sequence[Value]) -> tuple[Scope, list[Variable]]:
        """The arguments as variables, and the results of which some are OUT or INOUT, or columns of a table."""
        function = self._function
        given = [Declared(type_, value) for type_, value in zip(function.arguments, arguments, strict=True)]
        scope = Scope(numbered=given)
        results: list[Variable] = []
        if function.outwards:
            types = [type_ for _, type_ in function.results]
            if function.kind != TABLE:
                fields = function.results[0][1].fields
                types = [type_ for _, type_ in fields] if fields else types
            everything: list[Variable] = []
            for mode, name, place in function.outwards:
                variable = given[place] if mode != "out" else Declared(types[place])
                everything.append(variable)
                results += [variable] if mode != "in" else []
                if name:
                    scope.put(name, variable, function.name)
            scope.numbered = everything
            return scope, results
        for name, variable in zip(function.argument_names, given, strict=True):
            if name:
                scope.put(name, variable, function.name)
        if function.kind == TABLE and function.named_columns:
            for name, type_ in function.results:
                results.append(Declared(type_))
                scope.put(name, results[-1], function.name)
        return scope, results

    def rows(self, caller: Caller, arguments: Sequence[Value]) -> list[list[Value]]:
        """Those that a table function gives for one set of arguments."""
        scope, results = self._scope(arguments)
        run = Run(self._routine, caller, scope, Rows([type_ for _, type_ in self._function.results], results))
        run.run()
        assert run.rows is not None
        return run.rows.rows

    def close(self) -> None:
        """Nothing is held."""


def _returned(signal: Returned, result: SqlType) -> Value:
    if signal.record is not None:
        fields = signal.record.fields
        if fields is None:
            return None
        if result.id is not TypeId.STRUCT:
            raise error_for("42804", f"cannot cast a record to {result}")
        types = [type_ for _, type_ in result.fields]
        if len(types) != len(fields):
            message = "returned record type does not match expected record type"
            hint = f"Number of returned columns ({len(fields)}) does not match expected column count ({len(types)})."
            raise error_for("42804", message, hint=hint)
        cells = zip(fields, types, strict=True)
        return encode_record(types, [assigned(part.value, part.type, type_) for (_, part), type_ in cells])
    if signal.value is None:
        return None
    type_, value = signal.value
    return assigned(value, type_, result)


def open_body(view: View, function: ExternalFunction, data: dict[str, Any]) -> Any:
    if function.kind == TRIGGER:
        return PlpgsqlTrigger(function)
    body = PlpgsqlBody(function)
    if function.kind != TABLE:
        return body

    def produce(arguments: Sequence[pa.Array], row: int) -> Iterator[Sequence[pa.Array]]:
        caller = Caller.of(function.name, volatile=function.volatility == VOLATILE)
        pairs = zip(arguments, function.arguments, strict=True)
        found = body.rows(caller, [wire_values(given.slice(row, 1), type_)[0] for given, type_ in pairs])
        if found:
            columns = zip(function.results, zip(*found, strict=True), strict=True)
            yield [canonical_array(type_, column) for (_, type_), column in columns]

    return TableBody(function.results, produce, body.close, exclusive=True)


# --- triggers ---------------------------------------------------------------------------------------------------------


class PlpgsqlTrigger:
    """A TriggerFunction: called for each row, or once for a statement."""

    def __init__(self, function: ExternalFunction) -> None:
        self._routine = Routine(function.name, f"function {function.name}()", function.source)
        self._name = function.name

    def fire(self, event: Event) -> Decision:
        caller = Caller(event.connection, self._name)
        if not event.for_rows:
            self._run(caller, event, None, None)
            return None
        changed = event.changed
        assert changed is not None
        types = [column.type for column in event.columns]
        old = None if changed.old is None else _columns(changed.old, types)
        new = None if changed.new is None else _columns(changed.new, types)
        made = [list(column) for column in new or ()]
        stays = np.ones(event.rows, np.bool_)
        replaced = False
        for row in range(event.rows):
            given = self._run(caller, event, _cells(old, row), _cells(new, row))
            if given is None:
                stays[row] = False
            elif new is not None:
                for column, value in zip(made, given, strict=True):
                    replaced = replaced or not _same(column[row], value)
                    column[row] = value
        if event.timing != "before":
            return None
        if not replaced:
            return None if stays.all() else stays
        names = [column.name for column in event.columns]
        arrays = [canonical_array(type_, column) for type_, column in zip(types, made, strict=True)]
        return Chosen(pa.Table.from_arrays(arrays, names=names), stays)

    def _run(
        self, caller: Caller, event: Event, old: Sequence[Value] | None, new: Sequence[Value] | None
    ) -> Sequence[Value] | None:
        """The values of the row that the function gives; None: no row."""
        scope = Scope()
        records = {}
        for name, cells in (("old", old), ("new", new)):
            record = records[name] = RowRecord(event.table, is_null=cells is None)
            if cells is None:
                record.fields = [(column.name, Variable(column.type)) for column in event.columns]
            else:
                pairs = zip(event.columns, cells, strict=True)
                record.fields = [(column.name, Variable(column.type, value)) for column, value in pairs]
            scope.put(name, record)
        for name, type_, value in _described(event):
            scope.put(name, Declared(type_, value))
        run = Run(self._routine, caller, scope)
        signal = run.run()
        if not isinstance(signal, Returned):
            raise run.failed("2F005", "control reached end of trigger procedure without RETURN")
        if not event.for_rows or event.timing != "before":
            return None
        return _row_of(signal, event, records)

    def close(self) -> None:
        """Nothing is held."""


def _row_of(signal: Returned, event: Event, records: dict[str, RowRecord]) -> Sequence[Value] | None:
    record: Record | None = signal.record
    given = old_or_new(event)
    if record is None:
        if signal.value is None or signal.value[1] is None:
            return None
        record = RowRecord(event.table, fields=[(column.name, Variable(column.type)) for column in event.columns])
        assign_row(record, _fields(signal.value))
    elif record is records["old" if given == "new" else "new"] and (event.old is None or event.new is None):
        return None  # OLD of an INSERT, NEW of a DELETE: there is none
    if record.fields is None:
        return None
    if len(record.fields) != len(event.columns):
        message = "returned row structure does not match the structure of the triggering table"
        hint = f"Number of returned columns ({len(record.fields)}) does not match expected column count"
        raise error_for("42804", message, hint=f"{hint} ({len(event.columns)}).")
    cells = zip(record.fields, event.columns, strict=True)
    return [assigned(part.value, part.type, column.type) for (_, part), column in cells]


def old_or_new(event: Event) -> str:
    return "old" if event.operation == "delete" else "new"


def _fields(typed: Typed) -> list[tuple[str, SqlType, Value]]:
    from zerodb.functions.plpgsql_run import fields_of

    type_, value = typed
    if type_.id is not TypeId.STRUCT:
        raise error_for("42804", "cannot return non-composite value from function returning composite type")
    return fields_of(type_, value)


def _described(event: Event) -> list[tuple[str, SqlType, Value]]:
    """TG_NAME and its kin."""
    from zerodb_compiler.nested import Array, encode_array

    arguments = Array(((len(event.arguments), 0),) if event.arguments else (), event.arguments)
    return [
        ("tg_name", TEXT, event.trigger),
        ("tg_when", TEXT, event.timing.upper()),
        ("tg_level", TEXT, "ROW" if event.for_rows else "STATEMENT"),
        ("tg_op", TEXT, event.operation.upper()),
        ("tg_table_name", TEXT, event.table),
        ("tg_relname", TEXT, event.table),
        ("tg_table_schema", TEXT, event.schema),
        ("tg_nargs", INTEGER, len(event.arguments)),
        ("tg_argv", _TEXTS, encode_array(_TEXTS, arguments)),
    ]


def _columns(table: pa.Table, types: Sequence[SqlType]) -> list[list[Value]]:
    return [array_values(column, type_) for column, type_ in zip(table.columns, types, strict=True)]


def _cells(columns: list[list[Value]] | None, row: int) -> list[Value] | None:
    return None if columns is None else [column[row] for column in columns]


def _same(before: Value, after: Value) -> bool:
    return before is after or (type(before) is type(after) and before == after)
