"""Functions in components (LANGUAGE wasm).

    component_types     which WIT type stands for which SQL type, and how an export is called
    component_exports   what a component exports, compared with what is declared
    component_values    columns to lists and back
    component_pool      instances

A function is called with batches of rows, each argument a list. Where an argument cannot be NULL (`list<T>` in place of
`list<option<T>>`), rows with a NULL there are left out and their result is NULL. An export of single values (`func(a:
s64) -> s64`) is taken too and called row by row, which costs some 20 us a row in place of some 100 ns.

A trap, an exhausted memory or an interrupted call ends the statement, and the instance with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.components.engine import component_engine
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.vals import Err, Ok
from zerodb.components.wit_types import ResultOf
from zerodb.engine.result import arrow_type
from zerodb.functions import component_exports as exports
from zerodb.functions.body import FunctionError
from zerodb.functions.component_pool import Pool, pool_of
from zerodb.functions.component_types import Shape
from zerodb.functions.component_values import incoming, outgoing
from zerodb.functions.declaration import Declaration, Exported
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql.external import ExternalFunction, wire_type

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View

BATCH_ROWS = 4_096  # values in wasmtime's form are 32 bytes each: a few such lists lie in a core's second cache


def exported(connection: Connection, content: bytes, declared: Declaration) -> Exported:
    """The component's function for a declaration. 42883 if it has none of that name, 42804 if its types differ."""
    engine = component_engine()
    component = engine.load(content, declared.name)
    found = exports.interfaces(component, engine.engine)
    if declared.kind == "trigger":
        if exports.TRIGGERS not in found:
            raise error_for("42P13", f"the component does not export {exports.TRIGGERS}")
        return Exported(f"{exports.TRIGGERS}#call", "trigger", volatility="volatile")
    wanted = declared.export or declared.name
    own = exports.own_exports(component, engine.engine)
    if declared.kind is None:
        one = next((item for item in own if wanted in (item.path, item.name)), None) or next(
            (item for item in own if item.name == exports.wit_name(wanted)), None
        )
        if one is not None:
            return _own(one, declared)
    from zerodb.functions.component_described import described

    answer = described(connection, content, declared, found)
    if answer is not None:
        return answer
    names = sorted(item.path for item in own)
    hint = f"it exports {', '.join(names)}" if names else "it exports no functions"
    raise error_for("42883", f'the component has no function "{exports.wit_name(wanted)}"', hint=hint)


def _own(export: exports.OwnExport, declared: Declaration) -> Exported:
    shape = exports.matching(export, declared)
    whole = [name for name, slot in shape.arguments if not slot.nullable]
    if declared.strict is False and whole:
        hint = "without CALLED ON NULL INPUT its result is NULL where an argument is"
        message = f"function {declared.name} takes no NULLs as {', '.join(whole)}: the export is {shape}"
        raise error_for("42P13", message, hint=hint)
    strict = bool(declared.strict) or (bool(shape.arguments) and len(whole) == len(shape.arguments))
    return Exported(export.path, strict=strict)


def open_body(view: View, function: ExternalFunction, data: dict[str, Any]) -> Any:
    """The body of a stored function."""
    assert view.session is not None
    content = view.session._database.storage.module(data["digest"])
    if content is None:
        raise error_for("42883", f"function {function.signature} was dropped meanwhile")
    if data["export"].startswith(exports.PACKAGE):
        from zerodb.functions.component_described import described_body

        return described_body(view, function, data, content)
    engine = component_engine()
    component = engine.load(content, function.name)
    declared = Declaration(
        function.name, tuple(zip(function.argument_names, function.arguments, strict=True)), function.results
    )
    export = next(item for item in exports.own_exports(component, engine.engine) if item.path == data["export"])
    shape = exports.matching(export, declared)
    return OwnExportBody(pool_of(view, content, data["digest"]), function, data["export"], shape)


def leaving_out(
    arguments: Sequence[pa.Array], rows: int, whole: Sequence[bool], call: Callable[[Sequence[pa.Array], int], pa.Array]
) -> pa.Array:
    """Calls with the rows that have no NULL in the arguments marked `whole`; the result is NULL in the others."""
    missing = [array.is_null() for array, leave in zip(arguments, whole, strict=True) if leave and array.null_count]
    if not missing:
        return call(arguments, rows)
    gone = np.logical_or.reduce([mask.to_numpy(zero_copy_only=False) for mask in missing])
    kept = np.flatnonzero(~gone)
    try:
        found = call([array.take(pa.array(kept)) for array in arguments], len(kept))
    except FunctionError as error:
        error.row = None if error.row is None else int(kept[error.row])
        raise
    places = np.cumsum(~gone) - 1
    return found.take(pa.array(places, mask=gone))


def by_batches(
    arguments: Sequence[pa.Array], rows: int, call: Callable[[Sequence[pa.Array], int], pa.Array]
) -> pa.Array:
    """Calls with at most BATCH_ROWS at a time."""
    if rows <= BATCH_ROWS:
        return call(arguments, rows)
    pieces = []
    for start in range(0, rows, BATCH_ROWS):
        count = min(BATCH_ROWS, rows - start)
        try:
            pieces.append(call([array.slice(start, count) for array in arguments], count))
        except FunctionError as error:
            error.row = None if error.row is None else error.row + start
            raise
    return pa.concat_arrays(pieces)


def failure(error: Any, rows: int) -> FunctionError:
    """The error that a function answered with: a function-error, or its text."""
    if isinstance(error, str):
        return FunctionError(error)
    sqlstate, row = error["sqlstate"], error["row"]
    if sqlstate is not None and not (len(sqlstate) == 5 and sqlstate.isascii() and sqlstate.isalnum()):
        sqlstate = None
    return FunctionError(
        error["message"], sqlstate and sqlstate.upper(), row if row is not None and row < rows else None
    )


class OwnExportBody:
    """A FunctionBody over an export with types of its own."""

    def __init__(self, pool: Pool, function: ExternalFunction, export: str, shape: Shape) -> None:
        self._pool, self._name, self._export, self._shape = pool, function.signature, export, shape
        slots = [slot for _, slot in shape.arguments]
        self._whole = [not slot.nullable for slot in slots]
        types = map(wire_type, function.arguments)
        self._outgoing = [outgoing(type_, slot) for type_, slot in zip(types, slots, strict=True)]
        self._incoming = incoming(wire_type(function.result), shape.result)
        self._arrow = arrow_type(wire_type(function.result))
        self._lowers = [lower_of(slot.wit) for slot in slots]
        result = shape.result.wit
        self._lift = lift_of(result if shape.error is None else ResultOf(result, shape.error), arrow=shape.batch)

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        call = self._batch if self._shape.batch else self._rows
        return leaving_out(arguments, rows, self._whole, functools.partial(by_batches, call=call))

    def _batch(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        if not rows:
            return pa.array([], self._arrow)
        given = [convert(array) for convert, array in zip(self._outgoing, arguments, strict=True)]
        found = self._incoming(self._checked(self._called([given])[0], rows))
        if len(found) != rows:
            raise FunctionError(f"it gave {len(found)} values for {rows} rows", "39000")
        return found

    def _rows(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        columns = [convert(array) for convert, array in zip(self._outgoing, arguments, strict=True)]
        values = [column if isinstance(column, list) else column.to_pylist() for column in columns]
        each = list(zip(*values, strict=True)) if values else [()] * rows
        answers = self._called(each)
        found = []
        for row, answer in enumerate(answers):
            try:
                found.append(self._checked(answer, 1))
            except FunctionError as error:
                error.row = row
                raise
        return self._incoming(found)

    def _called(self, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers to calls with these arguments. A call that answers with an error is the last."""
        with self._pool.instance(self._name) as instance:
            export = instance.export(self._export)
            assert export is not None, "was there when the function was made"
            answers: list[Any] = []
            for arguments in calls:
                answer = export(self._lowers, arguments, self._lift)
                answers.append(answer)
                if isinstance(answer, Err):
                    break
            return answers

    def _checked(self, answer: Any, rows: int) -> Any:
        if self._shape.error is None:
            return answer
        if isinstance(answer, Ok):
            return answer.value
        assert isinstance(answer, Err)
        raise failure(answer.value, rows)

    def close(self) -> None:
        self._pool.close()
