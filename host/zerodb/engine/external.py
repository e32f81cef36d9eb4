"""Calling external functions for blocks of rows (compiler: codegen/operators/external_map.py).

Generated code has laid the arguments into arrays in linear memory; they become Arrow arrays over that memory, the
function's body is called, and its result is written into the block's result array. Worker threads do this side by side.
Rows that a guard excludes, and rows with a NULL argument of a strict function, are left out of the call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.engine.pool import out_of_memory
from zerodb.engine.result import ColumnValues, arrow_array, arrow_type
from zerodb.functions.body import FunctionBody, FunctionError, called_by
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import ExternalCall, ExternalValue, Program
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.arrow import from_arrow
from zerodb_storage.values import Form, Values, concatenate, widen

if TYPE_CHECKING:
    from zerodb.engine.frame import WorkerState
    from zerodb.engine.memory import Memory
    from zerodb.view import View

_MAX_SHOWN = 40  # characters of an argument in a message
_PADDING = 16  # texts are readable so far past their end
_INTEGERS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}
_PLAIN: dict[TypeId, np.dtype[Any]] = {
    TypeId.SMALLINT: np.dtype(np.int16),
    TypeId.INTEGER: np.dtype(np.int32),
    TypeId.BIGINT: np.dtype(np.int64),
    TypeId.U8: np.dtype(np.uint8),
    TypeId.U16: np.dtype(np.uint16),
    TypeId.U32: np.dtype(np.uint32),
    TypeId.DATE: np.dtype(np.int32),
    TypeId.TIME: np.dtype(np.int64),
    TypeId.TIMESTAMP: np.dtype(np.int64),
    TypeId.TIMESTAMPTZ: np.dtype(np.int64),
    TypeId.REAL: np.dtype(np.float32),
    TypeId.DOUBLE: np.dtype(np.float64),
}
Array = np.ndarray[Any, Any]


def invoke(
    function: ExternalFunction,
    body: FunctionBody,
    arguments: Sequence[pa.Array],
    rows: int,
    position: int | None,
    view: View | None,
    type_: SqlType,
    stopped: Callable[[], str | None],
) -> Values:
    """The results, of type `type_`, for so many rows. What fails is an error that names the function and the row's
    arguments. `stopped` says why the statement is to end, or None."""
    try:
        with called_by(view, stopped):
            made = body.call(arguments, rows)
        if len(made) != rows:
            raise FunctionError(f"it gave {len(made)} values for {rows} rows", "39000")
        if isinstance(made, pa.ChunkedArray):
            made = made.combine_chunks()
        return from_arrow(made, type_, "result")
    except FunctionError as error:
        raise _failed(function, error, arguments, position) from error.__cause__
    except Error as error:
        if function.source:  # of its statements, as they say it
            raise
        message = error.message.removeprefix('column "result" ').removeprefix('column "result": ')
        failure = FunctionError(message, error.sqlstate)
        raise _failed(function, failure, arguments, position, retryable=error.retryable) from error


def _failed(
    function: ExternalFunction,
    error: FunctionError,
    arguments: Sequence[pa.Array],
    position: int | None,
    *,
    retryable: bool = False,
) -> Error:
    named = function.signature
    if error.row is not None and all(0 <= error.row < len(argument) for argument in arguments):
        named = f"{function.name}({', '.join(_shown(argument[error.row]) for argument in arguments)})"
    found = error_for(error.sqlstate, f"function {named}: {error.message}", position=position)
    found.retryable = found.retryable or retryable
    return found


def _shown(value: pa.Scalar) -> str:
    """An argument, shortened."""
    try:
        found = value.as_py()
    except (ValueError, OverflowError):
        found = value
    text = "NULL" if found is None else f"'{found}'" if isinstance(found, str) else str(found)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


class ExternalCalls:
    """The external calls of one execution."""

    def __init__(self, program: Program, memory: Memory, interrupt: int, view: Any) -> None:
        """`interrupt` is the address of the flag that asks the execution to stop."""
        self._calls, self._memory, self._view = program.externals, memory, view
        self._interrupt = interrupt >> 2
        self._bodies: list[FunctionBody] = [view.body(call.function) for call in self._calls]
        self._lock = threading.Lock()
        self._one = threading.Lock()  # for bodies of which one runs at a time
        self._kept: dict[object, Values] = {}  # results of calls whose arguments are the same for all rows

    def _stopped(self) -> str | None:
        return "the statement was interrupted" if self._memory.words[self._interrupt] else None

    def call(self, worker: WorkerState, number: int) -> int:
        """Answers ALLOCATE_EXTERNAL."""
        call, words = self._calls[number], self._memory.words
        block = words[(worker.address + abi.WORKER_ERROR_TEXT) >> 2]
        rows = words[(block + abi.EXTERNAL_ROWS) >> 2]
        if rows:
            _Block(self._memory, call, block, rows).run(self, worker, number)
        return 1

    def results(self, number: int, arguments: Sequence[pa.Array], rows: int) -> Values:
        call, body = self._calls[number], self._bodies[number]
        if getattr(body, "exclusive", False):
            with self._one:
                return self._results(call, body, arguments, rows)
        return self._results(call, body, arguments, rows)

    def _results(self, call: ExternalCall, body: FunctionBody, arguments: Sequence[pa.Array], rows: int) -> Values:
        if call.once:
            first = [argument.slice(0, 1) for argument in arguments]
            key = call.function, *(repr(argument.to_pylist()) for argument in first)
            with self._lock:
                if key not in self._kept:
                    self._kept[key] = self._invoke(call, body, first, 1)
                return self._kept[key].take(np.zeros(rows, np.int64))
        size = getattr(body, "block_rows", rows) or rows
        if size >= rows:
            return self._invoke(call, body, arguments, rows)
        parts = []
        for start in range(0, rows, size):
            if self._memory.words[self._interrupt]:
                raise error_for("57014", "the statement was interrupted")
            count = min(size, rows - start)
            given = [argument.slice(start, count) for argument in arguments]
            parts.append(self._invoke(call, body, given, count))
        return concatenate(parts)

    def _invoke(self, call: ExternalCall, body: FunctionBody, arguments: Sequence[pa.Array], rows: int) -> Values:
        return invoke(call.function, body, arguments, rows, call.position, self._view, call.result.type, self._stopped)


class _Block:
    """One call for the rows of one block."""

    def __init__(self, memory: Memory, call: ExternalCall, block: int, rows: int) -> None:
        self._memory, self._call, self._rows, self._block = memory, call, rows, block
        self._capacity = memory.words[(block + abi.EXTERNAL_CAPACITY) >> 2]

    def run(self, calls: ExternalCalls, worker: WorkerState, number: int) -> None:
        call, rows = self._call, self._rows
        mask = self._mask()
        if mask is None:
            self._write(worker, calls.results(number, [self._argument(a) for a in call.arguments], rows), None)
            return
        count = int(np.count_nonzero(mask))
        if not count:
            self._flags(call.result)[:] = 1
            return
        chosen = pa.array(mask)
        arguments = [self._argument(argument).filter(chosen) for argument in call.arguments]
        self._write(worker, calls.results(number, arguments, count), mask)

    def _view(self, place: int, dtype: Any, items: int = 1) -> Array:
        """An array of the block: `items` elements a row."""
        address = self._block + self._call.header + self._capacity * place
        return np.frombuffer(self._memory.bytes, dtype, self._rows * items, address)

    def _flags(self, value: ExternalValue) -> Array:
        assert value.nulls is not None
        return self._view(value.nulls, np.uint8)

    def _mask(self) -> Array | None:
        """The rows for which the function is called; None for all."""
        mask: Array | None = None
        if self._call.guard is not None:
            guard = self._view(self._call.guard, np.bool_)
            mask = None if guard.all() else guard
        if self._call.function.strict:
            for value in self._call.arguments:
                if value.nulls is not None:
                    null = self._view(value.nulls, np.bool_)
                    if null.any():
                        mask = ~null if mask is None else mask & ~null
        return mask

    # --- arguments ----------------------------------------
    def _argument(self, value: ExternalValue) -> pa.Array:
        rows, type_ = self._rows, value.type
        present: Array | None = None
        if value.nulls is not None:
            null = self._flags(value)
            if null.any():
                present = null ^ 1
        if type_.is_variable:
            assert value.texts is not None
            start = self._memory.words[(self._block + value.texts) >> 2]
            offsets = np.frombuffer(self._memory.bytes, np.int32, rows + 1, start)
            heap = np.frombuffer(self._memory.bytes, np.uint8, int(offsets[-1]), start + 4 * (rows + 1))
            kind = pa.binary() if type_.id is TypeId.ARRAY else arrow_type(type_)  # an aggregate's takes it as it is
            return pa.Array.from_buffers(kind, rows, [_bitmap(present), pa.py_buffer(offsets), pa.py_buffer(heap)])
        plain = _PLAIN.get(type_.id)
        if plain is not None:
            data = self._view(value.place, plain if type_.is_float else _INTEGERS[value.width])
            data = data.astype(plain, copy=False)
            return pa.Array.from_buffers(arrow_type(type_), rows, [_bitmap(present), pa.py_buffer(data)])
        if type_.id is TypeId.BOOLEAN:
            column = self._view(value.place, np.uint8)
        elif value.width == 16:
            column = self._view(value.place, np.int64, 2)
        else:
            column = widen(Values(Form.INT, self._view(value.place, _INTEGERS[value.width]).astype(np.int64))).data
        return _converted(column, present, rows, type_)

    # --- results ----------------------------------------
    def _write(self, worker: WorkerState, made: Values, mask: Array | None) -> None:
        value = self._call.result
        flags = self._flags(value)
        if mask is None:
            flags[:] = 0 if made.validity is None else made.validity == 0
        else:
            flags[:] = 1
            flags[mask] = 0 if made.validity is None else made.validity == 0
        if value.type.is_variable:
            data = self._texts(worker, made)
            target = self._view(value.place, np.uint32, 2).reshape(-1, 2)
        elif value.width == 16:
            data, target = widen(made).data, self._view(value.place, np.int64, 2).reshape(-1, 2)
        else:
            data = made.data
            dtype = _PLAIN[value.type.id] if value.type.is_float else _INTEGERS[value.width]
            target = self._view(value.place, dtype)
        if mask is None:
            target[:] = data
        else:
            target[mask] = data

    def _texts(self, worker: WorkerState, made: Values) -> Array:
        """Addresses and lengths of texts that live until the morsel ends."""
        assert made.text is not None
        size = len(made.text)
        address = self._memory.allocate(size + _PADDING)
        if not address:
            raise out_of_memory(self._memory)
        worker.old_scratch.append(address)
        worker.dirty = True
        self._memory.array[address : address + size] = made.text
        pairs = np.empty((len(made), 2), np.uint32)
        pairs[:, 0] = made.data[:-1] + address
        pairs[:, 1] = made.data[1:] - made.data[:-1]
        return pairs


def _bitmap(present: Array | None) -> pa.Buffer | None:
    return None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))


def _converted(data: Array, present: Array | None, rows: int, type_: SqlType) -> pa.Array:
    """Types whose Arrow form is not what lies in memory, by the way that results take."""
    validity = None if present is None else present.tobytes()
    return arrow_array(ColumnValues(data.tobytes(), validity, b""), rows, type_, arrow_type(type_))


def constant_array(type_: SqlType, value: Any) -> pa.Array:
    """One canonical value as an argument."""
    if value is None:
        return pa.nulls(1, arrow_type(type_))
    if type_.is_variable:
        heap = value.encode() if isinstance(value, str) else bytes(value)
        offsets = np.array([0, len(heap)], np.int32)
        return pa.Array.from_buffers(arrow_type(type_), 1, [None, pa.py_buffer(offsets), pa.py_buffer(heap)])
    plain = _PLAIN.get(type_.id)
    if plain is not None:
        return pa.Array.from_buffers(arrow_type(type_), 1, [None, pa.py_buffer(np.array([value], plain))])
    width = 1 if type_.id is TypeId.BOOLEAN else 16
    data = np.frombuffer(int(value).to_bytes(width, "little", signed=width > 1), np.uint8)
    return _converted(data, None, 1, type_)


def constant_result(values: Values, type_: SqlType) -> Any:
    """The canonical value of one result."""
    if values.validity is not None and not values.validity[0]:
        return None
    match values.form:
        case Form.TEXT:
            assert values.text is not None
            data = values.text.tobytes()
            return data.decode() if type_.is_text else data
        case Form.WIDE:
            low, high = values.data[0].tolist()
            return (high << 64) | (low & ((1 << 64) - 1))
        case Form.FLOAT:
            return float(values.data[0])
    return int(values.data[0])
