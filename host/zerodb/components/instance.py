"""A component in a store of its own, with its limits.

    Instance.call("run", ...) --> guest --> _dispatch --> a host function --> an object of the instance's handles

A store is never shared: what a guest holds are numbers in its own table (`Handles`), so a handle that was made up, was
dropped or belongs to another guest means nothing here. An instance runs in one thread at a time and is not entered
again while it runs (55006), as wasmtime would not notice; a host function may well enter other instances. After a trap
an instance has ended: `is_broken`.

Host functions are the same for all instances, so there is one linker for all; which instance calls is known by the
context of its store. wasmtime-py's own calls are not used: they convert value by value for 30 us and more, and keep
exceptions in a global.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime.component import Component, ExportIndex, Linker, ResourceType
from wasmtime.component import Instance as WasmtimeInstance

from zerodb.components import vals
from zerodb.components.engine import ComponentEngine
from zerodb.components.errors import record, trap_error
from zerodb.components.limits import INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES, Limits, Run, linear_memories
from zerodb.components.output import Output
from zerodb.components.vals import VAL_BYTES, Arena, Err, Lower, MalformedError, Ok, Own
from zerodb.engine import keyboard
from zerodb_compiler.errors import DatabaseError, error_for

T = TypeVar("T")

clone_short = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(("wasmtime_component_val_clone", ffi.dll))
_clone_long = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(("wasmtime_component_val_clone", ffi.dll))
_delete_val = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("wasmtime_component_val_delete", ffi.dll))
_func_call = ctypes.CFUNCTYPE(
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t),
    *(ctypes.c_void_p, ctypes.c_size_t),
)(("wasmtime_component_func_call", ffi.dll))
_Finalizer = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NO_FINALIZER = _Finalizer()
_Callback = ctypes.CFUNCTYPE(
    *(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t),
    *(ctypes.c_void_p, ctypes.c_size_t),
)
_add_func = ctypes.CFUNCTYPE(
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, _Callback, ctypes.c_void_p),
    _Finalizer,
)(("wasmtime_component_linker_instance_add_func", ffi.dll))
_new_error = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(("wasmtime_error_new", ffi.dll))
_Destructor = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
_Tick = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_set_tick = ctypes.CFUNCTYPE(None, ctypes.c_void_p, _Tick, ctypes.c_void_p, _Finalizer)(
    ("wasmtime_store_epoch_deadline_callback", ffi.dll)
)
_add_resource = ctypes.CFUNCTYPE(
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t),
    *(ctypes.c_void_p, _Destructor, ctypes.c_void_p, _Finalizer),
)(("wasmtime_component_linker_instance_add_resource", ffi.dll))

_instances: dict[int, Instance] = {}  # by their stores' contexts


MOST_HANDLES = 1 << 16
MOST_HELD_BYTES = 1 << 30


class Closable(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class HostFunction:
    """`function` gets the instance, the objects that the first parameters' `handles` mean (wasmtime's number of each
    one's type; given away if it is negative), and the other parameters as `lifts` read them, which look whether they
    are what the interface says. What it gives is written by `lower`; its errors become the `err` of its result if it
    `fails` with them. `raw`, of the instance, the context and the addresses of arguments and results, does it
    all instead, without detours."""

    function: Callable[..., Any]
    handles: tuple[int, ...]
    lifts: tuple[Callable[[int], Any], ...]
    lower: Lower
    fails: bool = True
    raw: Callable[[Instance, int, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """`resources`: the number of each resource type by name, different for all interfaces."""

    name: str
    resources: Mapping[str, int]
    functions: Mapping[str, HostFunction]


class Handles:
    """The objects that a guest's handles mean, with the number of their types, and how many bytes of the host's they
    keep (results): the limits are those of a guest that forgets to drop, or does not want to."""

    __slots__ = ("_found", "_held", "_last")

    def __init__(self) -> None:
        self._found: dict[int, tuple[int, Closable, int]] = {}
        self._held = 0
        self._last = 0

    def add(self, type_: int, found: Closable, held: int = 0) -> Own:
        """A handle for the guest."""
        if len(self._found) >= MOST_HANDLES or self._held + held > MOST_HELD_BYTES:
            found.close()
            if held and len(self._found) < MOST_HANDLES:
                message = "the results that a guest has open are larger than 1 GB"
                raise error_for("53200", message, hint="drop cursors; ask for fewer rows")
            raise error_for("54000", f"a guest has at most {MOST_HANDLES} handles", hint="drop them")
        self._last += 1
        self._found[self._last] = type_, found, held
        self._held += held
        return Own(type_, self._last)

    def get(self, number: int, type_: int) -> Any:
        kind, found, _ = self._found.get(number, (0, None, 0))
        if kind != type_:
            raise MalformedError("a handle that is not there")
        return found

    def take(self, number: int, type_: int) -> Any:
        """The object of a handle that the guest gave away."""
        found = self.get(number, type_)
        self._held -= self._found.pop(number)[2]
        return found

    def drop(self, number: int) -> None:
        _, found, held = self._found.pop(number, (0, None, 0))
        self._held -= held
        if found is not None:
            found.close()

    def __len__(self) -> int:
        return len(self._found)

    def close(self) -> None:
        """Ends all, the newest first: statements and transactions before their connections."""
        for number in sorted(self._found, reverse=True):
            self.drop(number)


# --- what wasmtime calls ----------------------------------------------------------------------------------------------


def _failure(text: str) -> int:
    """wasmtime's error, which traps the guest."""
    return int(_new_error(text.encode("utf-8", "replace").replace(b"\0", b"?")))


class _Thread(threading.local):
    def __init__(self) -> None:
        self.arenas: list[Arena] = []


_thread = _Thread()
_functions: list[tuple[str, HostFunction]] = []


def _take_arena() -> Arena:
    free = _thread.arenas
    return free.pop() if free else Arena()


def _give_arena(arena: Arena) -> None:
    arena.clear()
    _thread.arenas.append(arena)


@_Callback  # type: ignore[untyped-decorator]
def _dispatch(index: int | None, context: int, _type: int, args: int, count: int, results: int, _: int) -> int:
    instance = _instances.get(context)
    try:
        assert instance is not None
        assert instance.run is not None
        if instance.run.reason is not None:
            return _failure(instance.run.reason.message)
        name, host = _functions[index or 0]
        if count != len(host.handles) + len(host.lifts):
            raise MalformedError(f"{name} is called with {count} arguments")
        if host.raw is not None:
            host.raw(instance, context, args, results)
        else:
            _host_call(instance, host, context, args, results)
    except MalformedError as error:
        return _failure(str(error))
    except BaseException as error:
        if instance is not None:
            instance.failure = error
        return _failure("the host failed")
    return 0


def _host_call(instance: Instance, host: HostFunction, context: int, args: int, results: int) -> None:
    arena = _take_arena()
    try:
        values: list[Any] = []
        at = args
        for type_ in host.handles:
            number = vals.rep_of(at, abs(type_), context, instance.out)
            handles = instance.handles
            values.append(handles.get(number, type_) if type_ > 0 else handles.take(number, -type_))
            at += VAL_BYTES
        for lift in host.lifts:
            values.append(lift(at))
            at += VAL_BYTES
        arena.context = context
        out = arena.take(VAL_BYTES)
        if host.fails:
            _fallible(host, instance, values, arena, out)
        else:
            host.lower(host.function(instance, *values), arena, out)
        (_clone_long if arena.is_large else clone_short)(out, results)
        if arena.resources:
            vals.release_resources(arena)
    finally:
        _give_arena(arena)


def write_result(lower: Lower, value: Any, results: int) -> None:
    """Gives a result that holds no handles."""
    arena = _take_arena()
    try:
        out = arena.take(VAL_BYTES)
        lower(value, arena, out)
        clone_short(out, results)
    finally:
        _give_arena(arena)


def _fallible(host: HostFunction, instance: Instance, values: Sequence[Any], arena: Arena, out: int) -> None:
    try:
        host.lower(Ok(host.function(instance, *values)), arena, out)
    except MalformedError:
        raise
    except Exception as error:
        host.lower(Err(record(error)), arena, out)


@_Destructor  # type: ignore[untyped-decorator]
def _destroy(_data: int | None, context: int, number: int) -> int:
    try:
        _instances[context].handles.drop(number)
    except BaseException as error:
        _instances[context].failure = error
        return _failure(str(error))
    return 0


@_Tick  # type: ignore[untyped-decorator]
def _tick(context: int, _data: int | None, delta: int, _kind: int) -> int:
    try:
        run = _instances[context].run
        if run is not None:
            if keyboard.is_pressed():
                run.stop(error_for("57014", "the guest was interrupted"))
            if run.reason is not None:
                return _failure(run.reason.message)
        ctypes.c_uint64.from_address(delta).value = 1
    except BaseException as error:
        return _failure(str(error))
    return 0


def add_interface(linker: Linker, interface: Interface) -> None:
    """Offers the interface's functions to the guests of a linker."""
    with linker.root() as root, root.add_instance(interface.name) as found:
        for name, number in interface.resources.items():
            with ResourceType.host(number) as kind:
                _add_destroyed(found, name, kind)
        for name, host in interface.functions.items():
            _functions.append((f"{interface.name} {name}", host))
            data = name.encode()
            pointer = ctypes.cast(found.ptr(), ctypes.c_void_p)
            _raise(_add_func(pointer, data, len(data), _dispatch, len(_functions) - 1, _NO_FINALIZER))


def _add_destroyed(found: Any, name: str, kind: ResourceType) -> None:
    data = name.encode()
    pointers = [ctypes.cast(item.ptr(), ctypes.c_void_p) for item in (found, kind)]
    _raise(_add_resource(pointers[0], data, len(data), pointers[1], _destroy, None, _NO_FINALIZER))


def _raise(error: int | None) -> None:
    if error:
        raise wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t)))


# --- instances --------------------------------------------------------------------------------------------------------


class Export:
    """A function of a guest. `lowers` write its arguments."""

    __slots__ = ("_context", "_func", "_instance", "_keep", "_results")

    def __init__(self, instance: Instance, func: Any, *, has_result: bool) -> None:
        self._instance, self._context, self._keep = instance, instance.context, func
        self._func = ctypes.addressof(func._func)
        self._results = int(has_result)

    def __call__(
        self, lowers: Sequence[Lower], arguments: Sequence[Any], lift: Callable[[int], Any] = vals.lift
    ) -> Any:
        """`lift` reads the result."""
        arena = _take_arena()
        try:
            arena.context = self._context
            start = arena.take(VAL_BYTES * (len(arguments) + 1))
            at = start + VAL_BYTES
            for lower, argument in zip(lowers, arguments, strict=True):
                lower(argument, arena, at)
                at += VAL_BYTES
            vals.MEMORY[start : start + VAL_BYTES] = bytes(VAL_BYTES)
            self._instance.enter(lambda: self._call(start, len(arguments)))
            try:
                return lift(start) if self._results else None
            finally:
                _delete_val(start)
        finally:
            if arena.resources:
                vals.release_resources(arena)
            _give_arena(arena)

    def _call(self, start: int, count: int) -> None:
        _raise(_func_call(self._func, self._context, start + VAL_BYTES, count, start, self._results))


class Instance:
    """`owner` is what its imports work on, for instance a guest's session; `interrupt` ends what it waits for. Its
    output becomes log lines unless `own_output` says that `wasi` sees to it."""

    def __init__(
        self,
        engine: ComponentEngine,
        linker: Linker,
        component: Component,
        name: str,
        limits: Limits,
        wasi: wasmtime.WasiConfig,
        *,
        own_output: bool = False,
        owner: Any = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.owner = owner
        self.handles = Handles()
        self.output = Output(name)
        self.failure: BaseException | None = None  # of a host function
        self.is_broken = False
        self.stopped: Callable[[], str | None] | None = None  # by the statement that calls
        self.run: Run | None = None
        self._interrupt = interrupt
        self._room = ctypes.create_string_buffer(8)
        self.out = ctypes.addressof(self._room)  # of short calls of wasmtime
        self._engine = engine
        self._component = component
        self._exports: dict[str, Export | None] = {}
        self._store = store = wasmtime.Store(engine.engine)
        # Without a configuration the first use of WASI would end the process.
        if not own_output:
            wasi.stdout_custom = self.output.stdout.write
            wasi.stderr_custom = self.output.stderr.write
        store.set_wasi(wasi)
        store.set_limits(limits.memory_bytes, TABLE_ELEMENTS, INSTANCES, TABLES, MEMORIES)
        if limits.fuel is not None:
            store.set_fuel(limits.fuel)
        store.set_epoch_deadline(1)
        _set_tick(ctypes.cast(store.ptr(), ctypes.c_void_p), _tick, None, _NO_FINALIZER)
        self.context = ctypes.addressof(store._context().contents)
        _instances[self.context] = self
        try:
            self._instance: WasmtimeInstance = self.enter(lambda: linker.instantiate(store, component))
        except BaseException:
            self.close()
            raise

    def stop(self, reason: DatabaseError) -> None:
        """Ends what it runs now; from any thread."""
        run = self.run
        if run is not None:
            run.stop(reason)

    def enter(self, function: Callable[[], T]) -> T:
        """Runs what runs the guest; what ends it becomes an error."""
        if self.is_broken:
            raise error_for("55000", f'guest "{self.name}" has ended')
        if self.run is not None:
            raise error_for("55006", f'guest "{self.name}" cannot be called while it runs')
        run = self.run = Run(self.limits.timeout_s, self.stopped)
        if self._interrupt is not None:
            run.interrupts.append(self._interrupt)
        self._engine.watch.begin(run)
        try:
            with keyboard.held_once():
                return function()
        except wasmtime.WasmtimeError as error:
            self.is_broken = True
            raise self._ending(run) or self._trapped(str(error)) from self.failure
        except BaseException:
            self.is_broken = True
            raise
        finally:
            self._engine.watch.end(run)
            self.run = None
            self.output.flush()

    def _ending(self, run: Run) -> BaseException | None:
        """Why a guest ended that did not end by itself."""
        failure = self.failure
        if run.reason is not None:
            return run.reason
        return failure if isinstance(failure, DatabaseError) or not isinstance(failure, Exception) else None

    def _trapped(self, text: str) -> DatabaseError:
        """The error for a trap. A guest that cannot get memory gives up (`unreachable`), as for other reasons."""
        if "unreachable" not in text:
            return trap_error(text, self.name)
        self.output.flush()
        before = linear_memories()
        self._close_store()
        after = linear_memories()
        used = max((size for start, size in before.items() if start not in after), default=0)
        return trap_error(text, self.name, used, self.limits.memory_bytes, self.output.stderr.last_words())

    def export(self, name: str, *, has_result: bool = True) -> Export | None:
        """The function exported as "run", or as "zerosys:db/scalar-functions@0.1.0#call"."""
        if name not in self._exports:
            interface, _, function = name.rpartition("#")
            index: ExportIndex | None = None
            found = None
            if interface:
                index = self._instance.get_export_index(self._store, interface)
            if index is not None or not interface:
                place = self._instance.get_export_index(self._store, function, index)
                found = None if place is None else self._instance.get_func(self._store, place)
            self._exports[name] = None if found is None else Export(self, found, has_result=has_result)
        return self._exports[name]

    def fuel_left(self) -> int:
        return int(self._store.get_fuel())

    def close(self) -> None:
        """Frees its memory and ends what it had open."""
        self.is_broken = True
        try:
            self.handles.close()
        finally:
            self._close_store()

    def _close_store(self) -> None:
        if _instances.get(self.context) is self:
            del _instances[self.context]
        self._exports.clear()
        self._store.close()
