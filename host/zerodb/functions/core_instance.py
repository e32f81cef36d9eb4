"""One instance of a core module: its memory, the buffers in it, and the call.

The buffers lie in one block that the module's `alloc` gave, for the largest batch so far; a larger batch asks for a new
block of at least twice the size, so that what is lost to modules that cannot free stays bounded. The call goes through
wasmtime's unchecked entry, as the engine's own do (engine/tiers.py), and without the GIL.

Nothing that the module does reaches beyond its memory: addresses and offsets that it gives are checked against it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import wasmtime
from wasmtime import _ffi as ffi

from zerodb.components.limits import DEFAULT_MEMORY_BYTES, TABLE_ELEMENTS, Run, Watch
from zerodb.engine import keyboard
from zerodb.functions import files
from zerodb.functions.body import FunctionError, stop_reason
from zerodb.functions.core_columns import (
    OFFSET_BYTES,
    Bytes,
    Layout,
    fixed_bytes,
    packed_bits,
    plain,
    text_bytes,
    validity_bytes,
)
from zerodb_compiler.errors import error_for
from zerodb_compiler.types import SqlType, TypeId

MAX_STACK_BYTES = 1 << 20
TRAPPED, INTERRUPTED, OUT_OF_MEMORY = "39000", "57014", "53200"
_ALIGNMENT = 16
_SLOT = 4  # of 32 bits, in a raw value
_DAY_US = 86_400_000_000
_MESSAGE_BYTES_MAX = 1 << 12
_NEARLY = 1 << 20  # what traps with so little left has wanted more

_call_unchecked = ffi.dll["wasmtime_func_call_unchecked"]
_call_unchecked.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
_call_unchecked.restype = ctypes.c_void_p
_set_deadline = ffi.dll["wasmtime_context_set_epoch_deadline"]
_set_deadline.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
_set_deadline.restype = None
_set_callback = ffi.dll["wasmtime_store_epoch_deadline_callback"]
_set_callback.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
_set_callback.restype = None
_new_error = ffi.dll["wasmtime_error_new"]
_new_error.argtypes = [ctypes.c_char_p]
_new_error.restype = ctypes.c_void_p
_Tick = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint8)
)


@cache
def core_engine() -> wasmtime.Engine:
    """The engine of all core functions in this process. Its code looks at the epoch, so that it can be stopped."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.wasm_threads = False
    config.cranelift_opt_level = "speed"
    ffi.wasmtime_config_max_wasm_stack_set(config.ptr(), MAX_STACK_BYTES)
    return wasmtime.Engine(config)


@cache
def _watch() -> Watch:
    return Watch(core_engine())


class _Block:
    """Addresses within a block of memory, handed out one behind the other."""

    def __init__(self, start: int) -> None:
        self.next = start

    def take(self, size: int) -> int:
        start = self.next
        self.next = start + (size + _ALIGNMENT - 1 & -_ALIGNMENT)
        return start


class CoreInstance:
    """`run` calls the function for one batch. Not thread-safe. `is_sound`: it may be called again."""

    def __init__(
        self,
        module: wasmtime.Module,
        export: str,
        name: str,
        arguments: Sequence[Layout],
        result: Layout,
        arrow: pa.DataType,
        *,
        nulls: bool,
    ) -> None:
        self._name, self._arguments, self._result, self._arrow, self._nulls = name, arguments, result, arrow, nulls
        self.is_sound = True
        self._store = wasmtime.Store(core_engine())
        self._store.set_limits(
            memory_size=DEFAULT_MEMORY_BYTES, table_elements=TABLE_ELEMENTS, instances=1, memories=1, tables=16
        )
        self._reason: str | None = None
        self._memory: wasmtime.Memory | None = None
        self._tick = _Tick(self._at_tick)
        _set_callback(
            ctypes.cast(self._store.ptr(), ctypes.c_void_p), ctypes.cast(self._tick, ctypes.c_void_p), None, None
        )
        self._context = ctypes.cast(self._store._context(), ctypes.c_void_p)
        _set_deadline(self._context, 1)
        try:
            instance = self._guarded(lambda: wasmtime.Instance(self._store, module, []))
        except wasmtime.WasmtimeError as error:
            raise self._ended(error) from None
        exports = instance.exports(self._store)
        memory, function, alloc = exports["memory"], exports[export], exports["alloc"]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(function, wasmtime.Func)
        assert isinstance(alloc, wasmtime.Func)
        self._memory, self._alloc, self._message = memory, alloc, exports.get("error_message")
        initialize = exports.get("_initialize")
        if isinstance(initialize, wasmtime.Func):
            self._checked(initialize)
        self._answers = bool(function.type(self._store).results)
        self._prepare(function)
        self._block, self._capacity = 0, 0
        self._bytes: Bytes = np.empty(0, np.uint8)

    def _prepare(self, function: wasmtime.Func) -> None:
        """The buffer of raw values that the unchecked call takes its parameters from."""
        per_column = [layout.addresses + self._nulls for layout in (*self._arguments, self._result)]
        slots = 1 + sum(per_column)
        self._values = (ffi.wasmtime_val_raw_t * slots)()
        self._slots = np.frombuffer(memoryview(self._values).cast("B"), np.int32)[::_SLOT]
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        self._function = function
        self._call = (
            self._context,
            ctypes.c_void_p(ctypes.addressof(function._func)),
            ctypes.c_void_p(ctypes.addressof(self._values)),
            ctypes.c_size_t(slots),
            ctypes.c_void_p(ctypes.addressof(self._trap)),
        )

    # --- running within limits ----------------------------------------------------------------------------------------
    def _at_tick(self, _context: Any, _data: Any, delta: Any, kind: Any) -> int | None:
        """Every 10 ms of running: whether it may go on."""
        delta[0], kind[0] = 1, 0
        if keyboard.is_pressed():
            self._run.stop(error_for(INTERRUPTED, "the statement was interrupted"))
        if self._run.reason is None:
            return None
        self._reason = self._run.reason.message
        return _new_error(b"interrupted")  # type: ignore[no-any-return]

    def _guarded(self, action: Any) -> Any:
        self._run = run = Run(None, stop_reason())
        watch = _watch()
        watch.begin(run)
        try:
            with keyboard.held_once():
                return action()
        finally:
            watch.end(run)

    def _ended(self, error: BaseException) -> FunctionError:
        """The error for a call that did not return; the instance is not to be used any more."""
        self.is_sound = False
        if self._reason is not None:
            return FunctionError(self._reason, INTERRUPTED)
        text = str(error)
        size = self._memory.data_len(self._store) if self._memory is not None else 0
        if "memory minimum size" in text or size > DEFAULT_MEMORY_BYTES - _NEARLY:
            return FunctionError("it needs more memory than its limit allows", OUT_OF_MEMORY)
        said = text.partition("wasm trap: ")[2] or files.first_line(error)
        return FunctionError(f"it trapped: {said.splitlines()[0]}", TRAPPED)

    def _checked(self, function: wasmtime.Func, *arguments: int) -> Any:
        """A call the ordinary way."""
        try:
            return self._guarded(lambda: function(self._store, *arguments))
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise self._ended(error) from None

    def _invoke(self) -> int:
        error = self._guarded(lambda: _call_unchecked(*self._call))
        if error:
            pointer = ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t))
            raise self._ended(wasmtime.WasmtimeError._from_ptr(pointer))
        if self._trap:
            trap = wasmtime.Trap._from_ptr(self._trap)
            self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
            raise self._ended(trap)
        return int(self._slots[0]) if self._answers else 0

    # --- memory -------------------------------------------------------------------------------------------------------
    def _refresh(self) -> None:
        """Looks at the memory as it is now: it may have grown."""
        assert self._memory is not None
        size = self._memory.data_len(self._store)
        if size != len(self._bytes):
            start = ctypes.addressof(self._memory.data_ptr(self._store).contents)
            self._bytes = np.frombuffer(memoryview((ctypes.c_uint8 * size).from_address(start)), np.uint8)

    def _reserve(self, size: int) -> _Block:
        if size > self._capacity:
            wanted = max(size, 2 * self._capacity)
            self._block = self._checked(self._alloc, wanted) & 0xFFFFFFFF
            self._capacity = wanted
            self._refresh()
            if not self._block or self._block % _ALIGNMENT or self._block + wanted > len(self._bytes):
                self.is_sound = False
                raise FunctionError(f"alloc({wanted}) gave no memory", OUT_OF_MEMORY)
        else:
            self._refresh()
        return _Block(self._block)

    def _put(self, block: _Block, data: Any) -> int:
        raw = data.view(np.uint8)
        at = block.take(len(raw))
        self._bytes[at : at + len(raw)] = raw
        return at

    # --- a batch ------------------------------------------------------------------------------------------------------
    def run(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        """The function over so many rows. FunctionError if it fails."""
        columns: list[tuple[list[Any], Bytes | None]] = []
        size = 0
        for array, layout in zip(map(plain, arguments), self._arguments, strict=True):
            data = [fixed_bytes(array, layout)] if layout.width else list(text_bytes(array))
            validity = validity_bytes(array) if self._nulls else None
            columns.append((data, validity))
            size += sum(part.nbytes + _ALIGNMENT for part in data) + (rows + _ALIGNMENT) * self._nulls
        out_bytes = rows * self._result.width if self._result.width else (rows + 1) * OFFSET_BYTES + _ALIGNMENT
        size += out_bytes + (rows + _ALIGNMENT) * self._nulls + 2 * _ALIGNMENT
        block = self._reserve(size)
        addresses = [rows]
        for data, validity in columns:
            addresses += [self._put(block, part) for part in data]
            if self._nulls:
                at = block.take(rows)
                self._bytes[at : at + rows] = 1 if validity is None else validity
                addresses.append(at)
        out = block.take(rows * self._result.width or (rows + 1) * OFFSET_BYTES)
        addresses.append(out)
        pointer = valid = 0
        if not self._result.width:
            pointer = block.take(OFFSET_BYTES)
            addresses.append(pointer)
        if self._nulls:
            valid = block.take(rows)
            self._bytes[valid : valid + rows] = 1
            addresses.append(valid)
        self._slots[:] = np.array(addresses, np.uint32).view(np.int32)
        answer = self._invoke()
        self._refresh()
        if answer:
            raise FunctionError(self._said(answer), row=answer - 1 if 0 < answer <= rows else None)
        validity = self._bytes[valid : valid + rows].copy() if self._nulls else None
        return self._array(rows, out, pointer, validity)

    def _said(self, answer: int) -> str:
        if isinstance(self._message, wasmtime.Func):
            at = self._checked(self._message) & 0xFFFFFFFF
            self._refresh()
            text = self._bytes[at : at + _MESSAGE_BYTES_MAX].tobytes().partition(b"\0")[0]
            if text:
                return text.decode(errors="replace")
        return f"it answered with {answer}"

    def _array(self, rows: int, out: int, pointer: int, validity: Bytes | None) -> pa.Array:
        """The result column as an Arrow array of its own."""
        missing = validity is not None and not validity.all()
        mask = packed_bits(validity) if validity is not None and missing else None
        if not self._result.width:
            return self._texts(rows, out, pointer, mask, validity if missing else None)
        raw = self._bytes[out : out + rows * self._result.width]
        buffer = packed_bits(raw) if self._result.packed else pa.py_buffer(raw.tobytes())
        if self._result.type.id is TypeId.TIME:
            times = raw.view(np.int64)
            outside = (times < 0) | (times > _DAY_US)
            if validity is not None:
                outside &= validity != 0
            if outside.any():
                row = int(outside.argmax())
                raise FunctionError(f"the time {times[row]} us is out of range", "22008", row)
        if isinstance(self._arrow, pa.BaseExtensionType):
            storage = pa.Array.from_buffers(self._arrow.storage_type, rows, [mask, buffer])
            return pa.ExtensionArray.from_storage(self._arrow, storage)
        return pa.Array.from_buffers(self._arrow, rows, [mask, buffer])

    def _texts(self, rows: int, out: int, pointer: int, mask: pa.Buffer | None, validity: Bytes | None) -> pa.Array:
        offsets = self._bytes[out : out + (rows + 1) * OFFSET_BYTES].view(np.int32).copy()
        at = int(self._bytes[pointer : pointer + OFFSET_BYTES].view(np.uint32)[0])
        if offsets[0] != 0 or (np.diff(offsets) < 0).any() or at + int(offsets[-1]) > len(self._bytes):
            self.is_sound = False
            raise FunctionError("it gave offsets that are no text's", TRAPPED)
        data = self._bytes[at : at + int(offsets[-1])].tobytes()
        found = pa.Array.from_buffers(self._arrow, rows, [mask, pa.py_buffer(offsets), pa.py_buffer(data)])
        if self._result.type.is_text:
            check_texts(found, data, self._result.type)
        return found


def check_texts(array: pa.Array, data: bytes, type_: SqlType) -> None:
    """22021 if a text is not UTF-8 or has a zero character. A value that is NULL is not looked at by itself."""
    try:
        data.decode()
        array.validate(full=True)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        raise FunctionError(f"it gave a {type_} that is not valid UTF-8", "22021") from None
    if b"\0" in data:
        raise FunctionError(f"it gave a {type_} with a zero byte", "22021")
