"""Runs kernels in wasmtime, each call in both tiers (Winch and Cranelift), whose answers must agree."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels.compiler import kernel
from zerodb_compiler.wasm.module import Module
from zerodb_compiler.wasm.values import I32

WORKER = 4096
SCRATCH, SCRATCH_BYTES = 1 << 20, 1 << 20
DATA = 1 << 16
PAGES = 256
ALLOCATED = 4 << 20


class _SharedMemory(wasmtime.SharedMemory):
    def _as_extern(self) -> Any:  # wasmtime-py 50 hands over a pointer too many
        union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


class Tier:
    def __init__(self, binary: bytes, winch: bool) -> None:
        config = wasmtime.Config()
        config.wasm_threads = True
        config.shared_memory = True
        config.wasm_wide_arithmetic = True
        if winch:
            ffi.wasmtime_config_strategy_set(config.ptr(), 2)
        engine = wasmtime.Engine(config)
        memory = _SharedMemory(engine, wasmtime.MemoryType(wasmtime.Limits(PAGES, 65535), shared=True))
        base = ctypes.addressof(memory.data_ptr().contents)
        self.bytes = memoryview((ctypes.c_ubyte * (PAGES << 16)).from_address(base)).cast("B")
        self.store = wasmtime.Store(engine)
        self.next = ALLOCATED
        i32 = wasmtime.ValType.i32()
        allocate = wasmtime.Func(self.store, wasmtime.FuncType([i32, i32, i32], [i32]), self._allocate)
        module = wasmtime.Module(engine, binary)
        self.exports = wasmtime.Instance(self.store, module, [memory, allocate]).exports(self.store)
        self._keep = memory

    def _allocate(self, worker: int, size: int, kind: int) -> int:
        address = self.next
        if address + size > PAGES << 16:
            return 0
        self.next += (size + 15) & -16
        return address


class Kernels:
    """`Kernels(f, g)` compiles kernels; `run(f, ...)` calls one and gives its result, a tuple of several, or None."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        module = Module()
        module.import_memory("zerodb", "memory", 1, 65535)
        module.import_function("zerodb", "allocate", [I32, I32, I32], [I32])
        for function in functions:
            ref = kernel(module, function)
            parameters = [(f"p{i}", kind) for i, kind in enumerate(ref.signature.parameters)]
            name = function.__module__.rsplit(".", 1)[-1] + "." + function.__name__
            export = module.function(name, parameters, ref.signature.results, export=True)
            arguments = b"".join(parameter.code for parameter in export.parameters)
            export.emit(arguments + b"\x10" + bytes(_leb(ref.index)))
        self.binary = module.encode()
        self.tiers = [Tier(self.binary, winch=True), Tier(self.binary, winch=False)]
        self._place = DATA
        self.reset()

    def reset(self) -> None:
        """Empties the scratch block, the arena and the data area."""
        self._place = DATA
        for tier in self.tiers:
            tier.next = ALLOCATED
            words = tier.bytes[WORKER : WORKER + 64].cast("I")
            words[abi.WORKER_ARENA_NEXT // 4] = words[abi.WORKER_ARENA_END // 4] = 0
            words[abi.WORKER_SCRATCH_NEXT // 4] = words[abi.WORKER_SCRATCH_START // 4] = SCRATCH
            words[abi.WORKER_SCRATCH_END // 4] = SCRATCH + SCRATCH_BYTES

    def put(self, data: bytes) -> tuple[int, int]:
        """Places bytes in memory (something else behind them): address and length."""
        address = self._place
        for tier in self.tiers:
            tier.bytes[address : address + len(data)] = data
            tier.bytes[address + len(data) : address + len(data) + 17] = bytes(range(0x60, 0x71))
        self._place += len(data) + 19
        assert self._place < SCRATCH
        return address, len(data)

    def get(self, address: int, length: int) -> bytes:
        first, second = (bytes(tier.bytes[address : address + length]) for tier in self.tiers)
        assert first == second
        return first

    def run(self, function: Callable[..., Any], *arguments: float) -> Any:
        results = []
        name = function.__module__.rsplit(".", 1)[-1] + "." + function.__name__
        for tier in self.tiers:
            call = tier.exports[name]
            assert isinstance(call, wasmtime.Func)
            results.append(call(tier.store, *arguments))
        first, second = results
        assert repr(first) == repr(second), (function, arguments)
        return tuple(first) if isinstance(first, list) else first

    def text(self, function: Callable[..., Any], *arguments: float) -> bytes | None:
        """Runs a kernel that gives (address, length); None where it says out of memory (address 0)."""
        address, length, *_ = self.run(function, *arguments)
        return self.get(address, length) if address else None


def _leb(value: int) -> Sequence[int]:
    return [value] if value < 128 else [value & 127 | 128, value >> 7]
