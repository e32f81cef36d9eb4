"""Values of the component model as wasmtime's C API passes them: read and written without a ctypes object per value.

wasmtime-py converts with a few ctypes calls per value, and asks for each value's type again: 30 to 50 us a call, tens
of seconds for a large list. Here a `wasmtime_component_val_t` is what the header (component/val.h) says it is, 32 bytes
of memory that `struct` and NumPy read and write in place:

    0     kind (u8)
    8     the value; or size, pointer (string, list, record); or pointer (option, resource);
          or size, pointer of the case's name, pointer to the payload (variant); or is_ok (u8), _, pointer (result)

Reading (`lift`) goes by the kinds that the values carry, so a guest that declares an import with other types than ours
can give us wrong objects, never wrong memory. What is read belongs to wasmtime, which frees it after the call.

Writing (a `Lower`) puts values into an `Arena` of our own, which wasmtime copies: arguments of calls as they are,
results of host functions by one `wasmtime_component_val_clone`. Strings must be valid UTF-8, since wasmtime aborts the
process otherwise; Python's encoder sees to that.

    Python            bool  int  float  str     bytes or array  sequence  mapping by name  Variant(tag, payload)
    component model   bool  s64  f64    string  list<T>         list<T>   record           variant
                      None or value: option; Ok or Err: result; str: enum; Own(type, rep): resource
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from wasmtime import _ffi as ffi

(
    BOOL,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    CHAR,
    STRING,
    LIST,
    RECORD,
    TUPLE,
    VARIANT,
    ENUM,
    OPTION,
    RESULT,
) = range(20)
RESOURCE = 21
VAL_BYTES = 32
ENTRY_BYTES = 48  # of a record: name (size, pointer), value
_ENTRY_VAL = 16

_val = ffi.wasmtime_component_val_t
assert ctypes.sizeof(_val) == VAL_BYTES
assert _val.of.offset == 8
assert ctypes.sizeof(ffi.wasmtime_component_valrecord_entry_t) == ENTRY_BYTES
assert ffi.WASMTIME_COMPONENT_RESULT.value == RESULT
assert ffi.WASMTIME_COMPONENT_RESOURCE.value == RESOURCE

# All of the process's addresses: `struct` reads and writes where it is told.
MEMORY = memoryview((ctypes.c_char * (1 << 47)).from_address(0)).cast("B")

_PRIMITIVE = {
    BOOL: "?",
    S8: "b",
    U8: "B",
    S16: "h",
    U16: "H",
    S32: "i",
    U32: "I",
    S64: "q",
    U64: "Q",
    F32: "f",
    F64: "d",
}
_ARRAY_TYPE = {
    kind: np.dtype({"names": ["v"], "formats": [f"<{code}"], "offsets": [8], "itemsize": VAL_BYTES})
    for kind, code in _PRIMITIVE.items()
}
_STRING_ARRAY = np.dtype({"names": ["n", "p"], "formats": ["<u8", "<u8"], "offsets": [8, 16], "itemsize": VAL_BYTES})
_FEW = 6  # values of a list that are read one by one

_word = struct.Struct("<Q").unpack_from
_two_words = struct.Struct("<QQ").unpack_from
_three_words = struct.Struct("<QQQ").unpack_from


class MalformedError(Exception):
    """A value that is not of the form that the interface asks for: no guest built from the interface gives it."""


@dataclass(frozen=True, slots=True)
class Variant:
    tag: str
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Ok:
    value: Any = None


@dataclass(frozen=True, slots=True)
class Err:
    value: Any = None


@dataclass(frozen=True, slots=True)
class Handle:
    """A resource that a guest names: `address` is that of wasmtime's resource_any."""

    address: int


@dataclass(frozen=True, slots=True)
class Own:
    """A resource of ours that a guest gets: its type's and its own number."""

    type: int
    rep: int


# --- reading --------------------------------------------------------------------------------------------------------


def lift(at: int) -> Any:
    """The value at an address."""
    return _LIFT[MEMORY[at]](at + 8)


def lift_list(at: int) -> Any:
    """The list whose size and pointer are at an address: bytes for list<u8>, an array for other numbers."""
    size, start = _two_words(MEMORY, at)
    if not size:
        return ()
    kind = MEMORY[start]
    array_type = _ARRAY_TYPE.get(kind)
    if array_type is not None:
        if size <= _FEW:
            one = _LIFT[kind]
            few = [one(start + 8 + VAL_BYTES * index) for index in range(size)]
            return bytes(few) if kind == U8 else few
        values = np.frombuffer(MEMORY, array_type, size, start)["v"]
        return values.tobytes() if kind == U8 else values.copy()
    if kind == STRING and size > _FEW:
        return _strings(np.frombuffer(MEMORY, _STRING_ARRAY, size, start))
    one = _LIFT[kind]
    return [one(at) for at in range(start + 8, start + 8 + VAL_BYTES * size, VAL_BYTES)]


def _strings(found: Any) -> list[str]:
    memory = MEMORY
    starts = found["p"].tolist()
    return [
        str(memory[start:end], "utf-8") if end > start else ""
        for start, end in zip(starts, (found["p"] + found["n"]).tolist(), strict=True)
    ]


def lift_string(at: int) -> str:
    size, start = _two_words(MEMORY, at)
    return str(MEMORY[start : start + size], "utf-8") if size else ""


def name_at(at: int) -> bytes:
    """The bytes of a string."""
    size, start = _two_words(MEMORY, at)
    return bytes(MEMORY[start : start + size]) if size else b""


def _lift_record(at: int) -> dict[str, Any]:
    size, start = _two_words(MEMORY, at)
    return {
        lift_string(entry): _LIFT[MEMORY[entry + _ENTRY_VAL]](entry + _ENTRY_VAL + 8)
        for entry in range(start, start + size * ENTRY_BYTES, ENTRY_BYTES)
    }


def _lift_tuple(at: int) -> tuple[Any, ...]:
    size, start = _two_words(MEMORY, at)
    return tuple(lift(place) for place in range(start, start + size * VAL_BYTES, VAL_BYTES))


def _lift_variant(at: int) -> Variant:
    size, start, payload = _three_words(MEMORY, at)
    tag = str(MEMORY[start : start + size], "utf-8")
    return Variant(tag, lift(payload) if payload else None)


def _lift_option(at: int) -> Any:
    payload = _word(MEMORY, at)[0]
    return lift(payload) if payload else None


def _lift_result(at: int) -> Ok | Err:
    payload = _word(MEMORY, at + 8)[0]
    value = lift(payload) if payload else None
    return Ok(value) if MEMORY[at] else Err(value)


def _lift_unknown(_at: int) -> Any:
    raise MalformedError("a value of a type that the interface does not have")


def _lift_number(code: str) -> Callable[[int], Any]:
    unpack = struct.Struct("<" + code).unpack_from

    def number(at: int) -> Any:
        return unpack(MEMORY, at)[0]

    return number


_LIFT: list[Callable[[int], Any]] = [_lift_unknown] * 256
for _kind, _code in _PRIMITIVE.items():
    _LIFT[_kind] = _lift_number(_code)
_LIFT[CHAR] = lambda at: chr(struct.unpack_from("<I", MEMORY, at)[0])
_LIFT[STRING] = _LIFT[ENUM] = lift_string
_LIFT[LIST] = lift_list
_LIFT[RECORD] = _lift_record
_LIFT[TUPLE] = _lift_tuple
_LIFT[VARIANT] = _lift_variant
_LIFT[OPTION] = _lift_option
_LIFT[RESULT] = _lift_result
_LIFT[RESOURCE] = lambda at: Handle(_word(MEMORY, at)[0])


# --- writing --------------------------------------------------------------------------------------------------------

_CHUNK_BYTES = 1 << 14
_ALIGNMENT = 8


class Arena:
    """Memory for the values of one call. `clear` makes it ready for the next."""

    __slots__ = ("_first", "_kept", "_start", "context", "end", "next", "resources")

    @property
    def is_large(self) -> bool:
        """Whether it holds more than fits into its first chunk."""
        return bool(self._kept)

    def __init__(self) -> None:
        self._first = ctypes.create_string_buffer(_CHUNK_BYTES)
        self._kept: list[Any] = []
        self._start = ctypes.addressof(self._first)
        self.next = self._start
        self.end = self._start + _CHUNK_BYTES
        self.context = 0  # wasmtime's, of the call: resources are made in it
        self.resources: list[int] = []  # resource_any's that were made

    def take(self, size: int) -> int:
        """The address of so many bytes."""
        at = self.next
        self.next = at + ((size + _ALIGNMENT - 1) & -_ALIGNMENT)
        if self.next <= self.end:
            return at
        if size > _CHUNK_BYTES // 4:  # memory of its own
            self.next = at
            chunk = np.empty(size, np.uint8)
            self._kept.append(chunk)
            return int(chunk.ctypes.data)
        following = ctypes.create_string_buffer(_CHUNK_BYTES)
        self._kept.append(following)
        self.next = ctypes.addressof(following)
        self.end = self.next + _CHUNK_BYTES
        return self.take(size)

    def put(self, data: bytes) -> int:
        """The address of a copy of the bytes; 0 if there are none."""
        size = len(data)
        if not size:
            return 0
        if size > _CHUNK_BYTES // 4:
            return self.keep(np.frombuffer(data, np.uint8))
        at = self.take(size)
        MEMORY[at : at + size] = data
        return at

    def keep(self, array: Any) -> int:
        """The address of an array's data, which lives as long as this call's values."""
        self._kept.append(array)
        return int(array.ctypes.data)

    def clear(self) -> None:
        if self._kept:
            self._kept.clear()
        self.next = self._start
        self.end = self._start + _CHUNK_BYTES


Lower = Callable[[Any, Arena, int], None]  # writes a value's val at an address

_one_word = struct.Struct("<QQ").pack_into  # kind, pointer
_put_string = struct.Struct("<QQQ").pack_into  # kind, size, pointer
_put_variant = struct.Struct("<QQQQ").pack_into  # kind, size and pointer of the name, payload


def _lower_number(kind: int) -> Lower:
    pack = struct.Struct("<Q" + _PRIMITIVE[kind]).pack_into

    def number(value: Any, _arena: Arena, at: int) -> None:
        pack(MEMORY, at, kind, value)

    return number


NUMBERS: dict[int, Lower] = {kind: _lower_number(kind) for kind in _PRIMITIVE}


def lower_string(value: str, arena: Arena, at: int) -> None:
    data = value.encode()
    _put_string(MEMORY, at, STRING, len(data), arena.put(data))


def lower_char(value: str, _arena: Arena, at: int) -> None:
    _one_word(MEMORY, at, CHAR, ord(value.encode().decode()))


def list_of(element: Lower, kind: int | None = None) -> Lower:
    """`kind`: of elements that are numbers."""
    array_type = _ARRAY_TYPE.get(kind) if kind is not None else None

    def numbers(values: Any, arena: Arena, at: int) -> None:
        assert array_type is not None
        size = len(values)
        start = arena.take(size * VAL_BYTES)
        if size:
            lowered = np.frombuffer(MEMORY, array_type, size, start)
            np.frombuffer(MEMORY, np.uint8, size * VAL_BYTES, start)[::VAL_BYTES] = kind or 0
            lowered["v"] = np.frombuffer(values, np.uint8) if isinstance(values, bytes | bytearray) else values
        _put_string(MEMORY, at, LIST, size, start)

    def lowered(values: Sequence[Any], arena: Arena, at: int) -> None:
        size = len(values)
        start = place = arena.take(size * VAL_BYTES)
        for value in values:
            element(value, arena, place)
            place += VAL_BYTES
        _put_string(MEMORY, at, LIST, size, start)

    return lowered if array_type is None else numbers


def record_of(fields: Sequence[tuple[str, Lower]]) -> Lower:
    names = [constant(name) for name, _ in fields]
    put_name = struct.Struct("<QQ").pack_into
    lowers = [(name, size, address, lower) for (name, lower), (size, address) in zip(fields, names, strict=True)]

    def record(value: Mapping[str, Any], arena: Arena, at: int) -> None:
        start = place = arena.take(len(lowers) * ENTRY_BYTES)
        for name, size, address, lower in lowers:
            put_name(MEMORY, place, size, address)
            lower(value[name], arena, place + _ENTRY_VAL)
            place += ENTRY_BYTES
        _put_string(MEMORY, at, RECORD, len(lowers), start)

    return record


def tuple_of(elements: Sequence[Lower]) -> Lower:
    def lowered(value: Sequence[Any], arena: Arena, at: int) -> None:
        start = place = arena.take(len(elements) * VAL_BYTES)
        for element, lower in zip(value, elements, strict=True):
            lower(element, arena, place)
            place += VAL_BYTES
        _put_string(MEMORY, at, TUPLE, len(elements), start)

    return lowered


def variant_of(cases: Mapping[str, Lower | None]) -> Lower:
    known = {tag: (*constant(tag), lower) for tag, lower in cases.items()}

    def variant(value: Variant, arena: Arena, at: int) -> None:
        size, address, lower = known[value.tag]
        payload = 0
        if lower is not None:
            payload = arena.take(VAL_BYTES)
            lower(value.payload, arena, payload)
        _put_variant(MEMORY, at, VARIANT, size, address, payload)

    return variant


def enum_of(names: Sequence[str]) -> Lower:
    known = {name: constant(name) for name in names}

    def enum(value: str, _arena: Arena, at: int) -> None:
        size, address = known[value]
        _put_string(MEMORY, at, ENUM, size, address)

    return enum


def option_of(some: Lower) -> Lower:
    def option(value: Any, arena: Arena, at: int) -> None:
        payload = 0
        if value is not None:
            payload = arena.take(VAL_BYTES)
            some(value, arena, payload)
        _one_word(MEMORY, at, OPTION, payload)

    return option


def result_of(ok: Lower | None, err: Lower | None) -> Lower:
    def result(value: Ok | Err, arena: Arena, at: int) -> None:
        lower = ok if isinstance(value, Ok) else err
        payload = 0
        if lower is not None:
            payload = arena.take(VAL_BYTES)
            lower(value.value, arena, payload)
        _put_string(MEMORY, at, RESULT, isinstance(value, Ok), payload)

    return result


# Resources: PyDLL, since these calls are too short to let other threads in.

_host_new = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_bool, ctypes.c_uint32, ctypes.c_uint32)(
    ("wasmtime_component_resource_host_new", ffi.dll)
)
_host_delete = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("wasmtime_component_resource_host_delete", ffi.dll))
_host_rep = ctypes.PYFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(("wasmtime_component_resource_host_rep", ffi.dll))
_host_type = ctypes.PYFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(("wasmtime_component_resource_host_type", ffi.dll))
_host_to_any = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
    ("wasmtime_component_resource_host_to_any", ffi.dll)
)
_any_to_host = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
    ("wasmtime_component_resource_any_to_host", ffi.dll)
)
_any_delete = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("wasmtime_component_resource_any_delete", ffi.dll))
_error_delete = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("wasmtime_error_delete", ffi.dll))


def lower_own(value: Own, arena: Arena, at: int) -> None:
    """A handle of ours for the guest."""
    out = arena.take(8)
    host = _host_new(True, value.rep, value.type)
    error = _host_to_any(arena.context, host, out)
    _host_delete(host)
    if error:
        _error_delete(error)
        raise MalformedError("no more handles")
    address = _word(MEMORY, out)[0]
    arena.resources.append(address)
    _one_word(MEMORY, at, RESOURCE, address)


def release_resources(arena: Arena) -> None:
    """After wasmtime has copied the values."""
    for address in arena.resources:
        _any_delete(address)
    arena.resources.clear()


_out = struct.Struct("<Q")


def rep_of(handle_at: int, type_: int, context: int, out: int) -> int:
    """The number of our resource whose val is at an address; MalformedError if it is not one of that type. Ends a
    borrow, so it must be called for each handle of a call. `out` is room for a pointer."""
    if MEMORY[handle_at] != RESOURCE:
        raise MalformedError("no handle where the interface has one")
    error = _any_to_host(context, _word(MEMORY, handle_at + 8)[0], out)
    if error:
        _error_delete(error)
        raise MalformedError("a handle of another kind")
    host = _word(MEMORY, out)[0]
    rep, found = _host_rep(host), _host_type(host)
    _host_delete(host)
    if found != type_:
        raise MalformedError("a handle of another kind")
    return int(rep)


# --- constants ------------------------------------------------------------------------------------------------------

_names: dict[str, tuple[int, ctypes.Array[ctypes.c_char]]] = {}


def constant(name: str) -> tuple[int, int]:
    """Size and address of a name that stays."""
    if name not in _names:
        data = name.encode()
        _names[name] = len(data), ctypes.create_string_buffer(data, len(data))
    size, buffer = _names[name]
    return size, ctypes.addressof(buffer)
