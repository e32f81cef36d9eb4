"""Calls of point functions: one frame in linear memory and the one unchecked call into it.

The call goes through a `ctypes.PyDLL`, so the GIL is held while the function runs. It runs for less time than giving
the GIL up and taking it back would need, and a directory can be changed without looking for calls that read it.
"""

from __future__ import annotations

import ctypes
import secrets
from typing import TYPE_CHECKING

import wasmtime
from wasmtime import _ffi as ffi

from zerodb.engine.memory import Memory
from zerodb.engine.pool import out_of_memory
from zerodb.engine.tiers import Callback, Instance, Tier
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import Program

if TYPE_CHECKING:
    from zerodb.engine.engine import Engine

SCRATCH_BYTES = 1 << 14

_call_unchecked = ctypes.PyDLL(ffi.dll._name)["wasmtime_func_call_unchecked"]
_call_unchecked.restype = ctypes.c_void_p


def _allocate(_worker: int, _size: int, kind: int) -> int:
    """Point functions get no memory: one that asks for some ends with STATUS_OUT_OF_MEMORY."""
    return secrets.randbits(31) if kind == abi.ALLOCATE_RANDOM else 0


ALLOCATE = Callback(_allocate)


class PointCall:
    """A program's instance and its frame: query block, one worker block and scratch memory."""

    def __init__(self, engine: Engine, program: Program) -> None:
        self._memory, self._unused = engine.memory, engine.unused_frames
        self.program = program
        self.compiled = engine.compile_point(program, ALLOCATE)
        self.address = self._frame(engine.memory)
        self._worker = self.address + program.query_bytes
        self._instance: Instance | None = None
        self._values = (ffi.wasmtime_val_raw_t * 3)()
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        self._longs = memoryview(self._values).cast("B").cast("q")
        self._status = memoryview(self._values).cast("B").cast("i")
        self.refresh()

    def _frame(self, memory: Memory) -> int:
        program = self.program
        size = program.query_bytes + program.worker_bytes + SCRATCH_BYTES
        address = memory.allocate(size)
        if not address:
            raise out_of_memory(memory)
        memory.zero(address, size)
        for offset, data in program.constants:
            memory.bytes[address + offset : address + offset + len(data)] = data
        worker, scratch = address + program.query_bytes, address + program.query_bytes + program.worker_bytes
        for field, value in (
            (abi.WORKER_QUERY, address),
            (abi.WORKER_SCRATCH_NEXT, scratch),
            (abi.WORKER_SCRATCH_START, scratch),
            (abi.WORKER_SCRATCH_END, scratch + SCRATCH_BYTES),
        ):
            memory.words[(worker + field) >> 2] = value
        return address

    @property
    def tier(self) -> Tier | None:
        """Of the code that is called now."""
        return None if self._instance is None else self._instance.tier

    def refresh(self) -> None:
        """Takes the best code there is."""
        if self._instance is None or self._instance.tier is not self.compiled.tier:
            self._instance = self.compiled.check_out()
            store, function = self._instance._keep[0], self._instance._run
            self.arguments = (
                ctypes.cast(store._context(), ctypes.c_void_p),
                ctypes.c_void_p(ctypes.addressof(function._func)),
                ctypes.c_void_p(ctypes.addressof(self._values)),
                ctypes.c_size_t(3),
                ctypes.c_void_p(ctypes.addressof(self._trap)),
            )
            self.prepare(0, 0)

    def prepare(self, entry: int, morsel: int) -> None:
        """Sets what `call` calls."""
        longs = self._longs
        longs[0], longs[2], longs[4] = self._worker, morsel, entry

    def put(self, offset: int, *values: int) -> None:
        """Writes i32 fields of the query block."""
        place = (self.address + offset) >> 2
        for number, value in enumerate(values):
            self._memory.words[place + number] = value

    def run(self, entry: str, morsel: int) -> int:
        """Calls an entry by its name; its status. Raises if it traps."""
        self.prepare(self.program.entries.index(entry), morsel)
        error = _call_unchecked(*self.arguments)
        status = self._status[0]
        if error or self._trap:
            raise self.failure(error)
        return status

    def failure(self, error: int | None) -> Exception:
        """What a call that did not return has failed with."""
        from zerodb.engine.tiers import trap_error
        from zerodb_compiler.errors import error_for

        if error:
            pointer = ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t))
            return error_for("XX000", f"wasmtime failed: {wasmtime.WasmtimeError._from_ptr(pointer)}")
        trap = self._trap
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        self.arguments = (*self.arguments[:4], ctypes.c_void_p(ctypes.addressof(self._trap)))
        return trap_error(wasmtime.Trap._from_ptr(trap))

    def __del__(self) -> None:
        # Not freed here: a collection may run while this thread holds the allocator's lock.
        if getattr(self, "address", 0):
            self._unused.append(self.address)


call_unchecked = _call_unchecked
