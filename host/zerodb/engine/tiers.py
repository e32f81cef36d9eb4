"""The two compilers and how their code is called: Winch (compiles fast) and Cranelift (compiles fast code).

Problem: wasmtime-py's own calls cost 40-60 us, it refuses Winch, and its callbacks 12 us; a hot query should pay 1 us.

Idea: two wasmtime Engines over one memory (memory.py). A `CompiledModule` holds a Module per tier: Winch's at once,
Cranelift's when a background thread has finished it (ctypes releases the GIL while wasmtime compiles). An `Instance` is
a Store + instance with its entries as `FastCall`s: the raw C entry `wasmtime_func_call_unchecked` with a value
buffer made once. Instances are checked out of and back into their module, so that no two threads share one.

Private names of wasmtime-py used here, each of which `check_wasmtime` looks for: `wasmtime._ffi` as a whole,
`Store._context`, `Func._func`, `SharedMemory._as_extern` (memory.py), `Trap._from_ptr`, `WasmtimeError._from_ptr`.

Limits: no tail calls, as Winch compiles none (wasmtime 50).
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

from zerodb_compiler.codegen import abi
from zerodb_compiler.errors import DatabaseError, error_for

MAX_WASM_STACK_BYTES = 1 << 20
_STRATEGY_WINCH = 2
_CALL_SLOTS = 3
# The names that a trap's backtrace gives functions come from the name section; deep traces say nothing more.
_MAX_TRACE_FRAMES = 12

AllocateFunction = Callable[[int, int, int], int]


class Tier(enum.IntEnum):
    WINCH = 0
    CRANELIFT = 1


@cache
def wasmtime_version() -> str:
    return version("wasmtime")


def check_wasmtime() -> None:
    """Fails clearly if this wasmtime-py lacks a private name that the engine relies on."""
    names = (
        (ffi, "dll"),
        (ffi, "wasmtime_config_strategy_set"),
        (ffi, "wasmtime_func_new_unchecked"),
        (ffi, "wasmtime_val_raw_t"),
        (ffi, "wasmtime_extern_union"),
        (wasmtime.Store, "_context"),
        (wasmtime.Trap, "_from_ptr"),
        (wasmtime.WasmtimeError, "_from_ptr"),
        (wasmtime.SharedMemory, "_as_extern"),
    )
    missing = [f"{owner.__name__}.{name}" for owner, name in names if not hasattr(owner, name)]
    if missing:
        raise error_for("XX000", f"this wasmtime-py ({wasmtime_version()}) is not supported: no {', '.join(missing)}")


def new_engine(tier: Tier) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_threads = True
    config.shared_memory = True
    config.wasm_simd = True
    config.wasm_bulk_memory = True
    config.wasm_multi_value = True
    config.wasm_wide_arithmetic = True
    config.wasm_tail_call = False
    config.wasm_gc = False
    config.wasm_function_references = False
    ffi.wasmtime_config_max_wasm_stack_set(config.ptr(), MAX_WASM_STACK_BYTES)
    if tier is Tier.WINCH:
        # `Config.strategy` knows no "winch"; the C function takes its number.
        ffi.wasmtime_config_strategy_set(config.ptr(), _STRATEGY_WINCH)
        config.parallel_compilation = False  # half a millisecond of work is not worth handing to other threads
    else:
        config.cranelift_opt_level = "speed"
    return wasmtime.Engine(config)


# A function object of its own: argument types set on the one that `_ffi` shares would change it for everybody.
_call_unchecked = ffi.dll["wasmtime_func_call_unchecked"]
_call_unchecked.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
_call_unchecked.restype = ctypes.c_void_p


class FastCall:
    """One entry of a module, (worker: i32, morsel: i32) -> i32, called by its number through the unchecked C entry of
    the exported `run`."""

    __slots__ = ("_args", "_keep", "_number", "_result", "_trap", "_values")

    def __init__(self, store: wasmtime.Store, function: wasmtime.Func, number: int) -> None:
        buffer = (ffi.wasmtime_val_raw_t * _CALL_SLOTS)()
        assert ctypes.sizeof(buffer) == 16 * _CALL_SLOTS
        self._number = number
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        view = memoryview(buffer).cast("B")
        self._values = view.cast("q")
        self._result = view.cast("i")
        self._keep = (store, function, buffer)
        context = ctypes.cast(store._context(), ctypes.c_void_p)
        self._args = (
            context,
            ctypes.c_void_p(ctypes.addressof(function._func)),
            ctypes.c_void_p(ctypes.addressof(buffer)),
            ctypes.c_size_t(_CALL_SLOTS),
            ctypes.c_void_p(ctypes.addressof(self._trap)),
        )

    def __call__(self, worker: int, morsel: int, count: int = 1) -> int:
        """Runs `count` morsels from this one on, up to the first whose status is not 0; the last status."""
        values = self._values
        values[0] = worker
        values[2] = morsel
        values[4] = self._number + abi.MOST_ENTRIES * (count - 1)
        error = _call_unchecked(*self._args)
        if error or self._trap:
            raise self._failure(error)
        return self._result[0]

    def _failure(self, error: int | None) -> DatabaseError:
        if error:
            pointer = ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t))
            return error_for("XX000", f"wasmtime failed: {wasmtime.WasmtimeError._from_ptr(pointer)}")
        trap, self._trap = self._trap, ctypes.POINTER(ffi.wasm_trap_t)()
        self._args = (*self._args[:4], ctypes.c_void_p(ctypes.addressof(self._trap)))
        return trap_error(wasmtime.Trap._from_ptr(trap))


def trap_error(trap: wasmtime.Trap) -> DatabaseError:
    """The error of a trap: 57014 for an interrupt, 54001 for a full stack, else XX000 with the wasm trace."""
    code = trap.trap_code
    if code is wasmtime.TrapCode.INTERRUPT:
        return error_for("57014", "the statement was interrupted")
    if code is wasmtime.TrapCode.STACK_OVERFLOW:
        return error_for("54001", "the statement is nested too deeply: the WebAssembly stack is full")
    frames = [frame.func_name or f"function {frame.func_index}" for frame in trap.frames[:_MAX_TRACE_FRAMES]]
    reason = trap.message.strip().rsplit("\n", 1)[-1].strip()
    return error_for("XX000", f"generated code trapped: {reason}; in {' < '.join(frames) or 'unknown'}")


class Instance:
    """One instance of a module in a Store of its own. Used by one thread at a time."""

    __slots__ = ("_calls", "_entries", "_keep", "_run", "tier")

    def __init__(
        self,
        tier: Tier,
        engine: wasmtime.Engine,
        module: wasmtime.Module,
        memory: wasmtime.SharedMemory,
        allocate: Callback,
        entries: Sequence[str],
    ) -> None:
        self.tier = tier
        store = wasmtime.Store(engine)
        given: dict[str, Any] = {"memory": memory}
        imports: list[Any] = []
        for item in module.imports:
            assert item.module == "zerodb", f"unknown import {item.module}.{item.name}"
            if item.name == "allocate":
                given["allocate"] = allocate.function(store)
            imports.append(given[item.name or ""])
        run = wasmtime.Instance(store, module, imports).exports(store)[abi.RUN]
        assert isinstance(run, wasmtime.Func)
        self._run, self._entries = run, entries
        self._calls: dict[str, FastCall] = {}
        self._keep = (store, allocate)

    def function(self, name: str) -> FastCall:
        """The entry of that name."""
        call = self._calls.get(name)
        if call is None:
            call = self._calls[name] = FastCall(self._keep[0], self._run, self._entries.index(name))
        return call


class Callback:
    """The import ("zerodb", "allocate") over a Python function, by the raw entry (no boxing of values: about 2 us)."""

    def __init__(self, allocate: AllocateFunction) -> None:
        def call(_environment: Any, _caller: Any, values: Any, _count: int) -> int:
            # An exception may not unwind through wasm frames: 0 makes the code end with STATUS_OUT_OF_MEMORY, and
            # whoever wrote `allocate` has kept the exception.
            try:
                values[0].i32 = allocate(values[0].i32, values[1].i32, values[2].i32)
            except BaseException:
                values[0].i32 = 0
            return 0

        self._call = ffi.wasmtime_func_unchecked_callback_t(call)

    def function(self, store: wasmtime.Store) -> wasmtime.Func:
        i32 = wasmtime.ValType.i32
        # A FuncType belongs to the engine that it is first used with (another one aborts the process).
        type_ = wasmtime.FuncType([i32(), i32(), i32()], [i32()])
        raw = ffi.wasmtime_func_t()
        no_finalizer = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
        ffi.wasmtime_func_new_unchecked(
            store._context(), type_.ptr(), self._call, None, no_finalizer, ctypes.byref(raw)
        )
        return wasmtime.Func._from_raw(raw)
