"""Lists of the component model to NumPy and Arrow and back, without a step per value in Python.

wasmtime keeps a list as an array of tagged unions of 32 bytes. NumPy reads and fills such an array as a strided struct
array: numbers by their eight bytes, strings by pointer and length (their bytes are gathered by one index), options by
pointer, records field by field. A list that goes to a guest points into Arrow's own buffers; wasmtime copies it.

What lists of each type are here:

    list<u8>                       bytes; taken: any buffer
    list<bool>, list<s32>, ...     a NumPy array; taken: NumPy or Arrow arrays (what lies under their NULLs goes as it
                                   is) and sequences
    list<string>, list<list<u8>>   lists of str or bytes, or Arrow arrays where the reader was asked for these
    list<record of numbers>        a tuple of arrays, one for each field, where Arrow was asked for; else a list of
                                   mappings; both are taken
    list<option<T>>                an Arrow array with NULLs (where asked), else a list with None
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zerodb.components import vals
from zerodb.components.vals import ENTRY_BYTES, VAL_BYTES, Arena, MalformedError
from zerodb.components.wit_types import ListOf, OptionOf, Primitive, RecordOf, WitType

Array = npt.NDArray[Any]
_KIND_NAMES = ("bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string")
KINDS: dict[str, int] = {
    name: getattr(vals, name.upper()) for name in (*_KIND_NAMES, "list", "record", "tuple", "variant", "enum", "option")
}
# Reads the list of so many values at an address.
ListReader = Callable[[int, int], Any]
# Writes a list into the arena: how many values, and where they are.
ListWriter = Callable[[Any, Arena], tuple[int, int]]

NUMBERS: dict[str, np.dtype[Any]] = dict(
    zip(
        _KIND_NAMES[:11],
        map(np.dtype, ("?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8")),
        strict=True,
    )
)
_NAMES: list[Any] = []
_MOST_BYTES = (1 << 31) - 1  # Arrow's 32-bit offsets
_LONG = 48  # bytes a string from which on one copy for each is quicker than one index for all their bytes


def _strided(**fields: tuple[str | np.dtype[Any], int]) -> np.dtype[Any]:
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": VAL_BYTES,
        }
    )


_POINTERS = _strided(kind=("u1", 0), pointer=("<i8", 8))
_STRINGS = _strided(kind=("u1", 0), size=("<i8", 8), pointer=("<i8", 16))
_NUMBERS = {name: _strided(kind=("u1", 0), value=(kind, 8)) for name, kind in NUMBERS.items()}


def memory_at(address: int, count: int, kind: np.dtype[Any]) -> Array:
    """Foreign memory as an array; nothing is read before it is used."""
    found: Array = np.frombuffer(vals.MEMORY, kind, count, address)
    return found


def _opened(address: int, count: int, kind: np.dtype[Any], expected: str) -> Array:
    """The values of a list, after a look at their kind: all have that of the first."""
    values = memory_at(address, count, kind)
    if count and values["kind"][0] != KINDS[expected]:
        raise MalformedError(f"a list of {expected} was expected")
    return values


# --- reading --------------------------------------------------------------------------------------------------------


def gather(pointers: Array, sizes: Array, stride: int = 1, start: int = 0) -> tuple[Array, bytes]:
    """(offsets, bytes) of many strings in foreign memory. Their bytes are `stride` apart and begin at `start`. Only
    bytes of strings are touched, though the index is one over all the memory from the first to the last."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    total = int(offsets[-1])
    if total > _MOST_BYTES:
        raise MalformedError("a list has more than 2 GB of text")
    if total == 0:
        return offsets, b""
    if stride == 1 and total > _LONG * len(sizes):
        parts = zip(pointers.tolist(), sizes.tolist(), strict=True)
        return offsets, b"".join([ctypes.string_at(pointer, size) if size else b"" for pointer, size in parts])
    present = sizes > 0
    first = int(pointers[present].min())
    last = int((pointers + sizes * stride)[present].max())
    memory = memory_at(first, last + start - first, np.dtype("u1"))
    index = np.repeat(pointers - first - offsets[:-1] * stride + start, sizes)
    index += np.arange(0, total * stride, stride)
    return offsets, memory[index].tobytes()


def _arrow(offsets: Array, data: bytes, valid: Array | None, text: bool) -> pa.Array:
    kind = pa.string() if text else pa.binary()
    mask = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [mask, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers)


def _number_reader(name: str) -> ListReader:
    kind, plain = _NUMBERS[name], NUMBERS[name]

    def read(address: int, count: int) -> Array:
        return _opened(address, count, kind, name)["value"].copy() if count else np.empty(0, plain)

    def read_bytes(address: int, count: int) -> bytes:
        return _opened(address, count, kind, name)["value"].tobytes() if count else b""

    return read_bytes if name == "u8" else read


def _strings(address: int, count: int, kind: str = "string") -> tuple[Array, Array]:
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    values = _opened(address, count, _STRINGS, kind)
    return values["pointer"], values["size"]


def _read_texts(address: int, count: int) -> list[str]:
    pointers, sizes = _strings(address, count)
    parts = zip(pointers.tolist(), sizes.tolist(), strict=True)
    return [ctypes.string_at(pointer, size).decode() if size else "" for pointer, size in parts]


def _read_arrow_texts(address: int, count: int) -> pa.Array:
    return _arrow(*gather(*_strings(address, count)), None, True)


def _gather_binaries(pointers: Array, sizes: Array) -> tuple[Array, bytes]:
    """Lists of u8: a whole union for each byte."""
    if int(sizes.sum()) > _LONG * len(sizes):
        one = _number_reader("u8")
        parts = [one(pointer, size) for pointer, size in zip(pointers.tolist(), sizes.tolist(), strict=True)]
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        return offsets, b"".join(parts)
    return gather(pointers, sizes, VAL_BYTES, 8)


def _read_binaries(address: int, count: int) -> list[bytes]:
    pointers, sizes = _strings(address, count, "list")
    one = _number_reader("u8")
    return [one(pointer, size) for pointer, size in zip(pointers.tolist(), sizes.tolist(), strict=True)]


def _read_arrow_binaries(address: int, count: int) -> pa.Array:
    return _arrow(*_gather_binaries(*_strings(address, count, "list")), None, False)


def _is_bytes(type_: WitType) -> bool:
    return type_ == ListOf(Primitive("u8"))


def _record_reader(fields: Sequence[str]) -> ListReader:
    """Records of numbers: each is an array of its own, of names and values."""
    words = ENTRY_BYTES >> 3

    def read(address: int, count: int) -> tuple[Array, ...]:
        if not count:
            return tuple(np.empty(0, NUMBERS[name]) for name in fields)
        pointers, sizes = _strings(address, count, "record")
        if (sizes != len(fields)).any():
            raise MalformedError(f"a record of {len(fields)} fields was expected")
        index, memory = _words(pointers, len(fields) * words)
        found = []
        for place, name in enumerate(fields):
            at = index + (place * words + 2)
            if (memory[at] & 0xFF != KINDS[name]).any():
                raise MalformedError(f"a field of type {name} was expected")
            found.append(_narrowed(memory[at + 1], name))
        return tuple(found)

    return read


def _words(pointers: Array, words: int) -> tuple[Array, Array]:
    """Foreign memory as 64-bit words, and the place of each pointer in it. wasmtime's structures are aligned."""
    first, last = int(pointers.min()), int(pointers.max())
    memory = memory_at(first, ((last - first) >> 3) + words, np.dtype("<i8"))
    return (pointers - first) >> 3, memory


def _narrowed(words: Array, name: str) -> Array:
    kind = NUMBERS[name]
    found: Array = np.ascontiguousarray(np.ascontiguousarray(words).view(kind)[:: 8 // kind.itemsize])
    return found


def _option_reader(payload: WitType) -> ListReader | None:
    """list<option<T>> as an Arrow array, for T a number, string or list<u8>."""
    number = payload.name if isinstance(payload, Primitive) and payload.name in NUMBERS else None
    text = payload == Primitive("string")
    if number is None and not text and not _is_bytes(payload):
        return None
    expected = number or ("string" if text else "list")

    def read(address: int, count: int) -> pa.Array:
        pointers = _opened(address, count, _POINTERS, "option")["pointer"] if count else np.empty(0, np.int64)
        valid = pointers != 0
        boxes = pointers[valid]
        memory, index = np.empty(0, np.int64), np.empty(0, np.int64)
        if len(boxes):
            index, memory = _words(boxes, VAL_BYTES >> 3)
            if memory[index[0]] & 0xFF != KINDS[expected]:
                raise MalformedError(f"a list of option<{payload}> was expected")
        if number is not None:
            values = np.zeros(count, NUMBERS[number])
            if len(boxes):
                values[valid] = _narrowed(memory[index + 1], number)
            return pa.array(values, mask=~valid)
        sizes, places = np.zeros(count, np.int64), np.zeros(count, np.int64)
        if len(boxes):
            sizes[valid], places[valid] = memory[index + 1], memory[index + 2]
        offsets, data = gather(places, sizes) if text else _gather_binaries(places, sizes)
        return _arrow(offsets, data, None if valid.all() else valid, text)

    return read


def list_reader(element: WitType, *, arrow: bool) -> ListReader | None:
    """How to read lists of such values at once; None if they are to be read one by one."""
    match element:
        case Primitive(name="string"):
            return _read_arrow_texts if arrow else _read_texts
        case Primitive(name=name) if name in NUMBERS:
            return _number_reader(name)
        case ListOf() if _is_bytes(element):
            return _read_arrow_binaries if arrow else _read_binaries
        case RecordOf(fields=fields) if arrow:
            names = [field.name for _, field in fields if isinstance(field, Primitive) and field.name in NUMBERS]
            return _record_reader(names) if len(names) == len(fields) else None
        case OptionOf(payload=payload) if arrow:
            return _option_reader(payload)
    return None


# --- writing --------------------------------------------------------------------------------------------------------


def numbers_of(values: Any, kind: np.dtype[Any]) -> Array:
    """Values as an array of a type. OverflowError or MalformedError if they do not fit it."""
    if isinstance(values, pa.Array):
        values = _arrow_numbers(values)
    elif isinstance(values, (bytes, bytearray, memoryview)):
        values = np.frombuffer(values, np.uint8)
    elif not isinstance(values, np.ndarray):
        values = _sequence_numbers(values, kind)
    if values.ndim != 1:
        raise MalformedError("a list has one dimension")
    if values.dtype == kind:
        return values  # type: ignore[no-any-return]
    fitting: Array = values.astype(kind)
    same_family = values.dtype.kind == kind.kind or (values.dtype.kind in "iu" and kind.kind in "iuf")
    if not same_family or not np.array_equal(fitting, values, equal_nan=kind.kind == "f"):
        raise MalformedError(f"values of type {values.dtype} do not fit a list of {kind}")
    return fitting


def _sequence_numbers(values: Any, kind: np.dtype[Any]) -> Array:
    values = list(values)
    wanted: tuple[type, ...] = (bool,) if kind.kind == "b" else (float, int) if kind.kind == "f" else (int,)
    if not all(isinstance(value, wanted) for value in values) or (
        kind.kind != "b" and any(isinstance(value, bool) for value in values)
    ):
        raise MalformedError(f"a list of {kind} was expected")
    try:
        found: Array = np.array(values, kind)
    except OverflowError as error:
        raise MalformedError(str(error)) from None
    return found


def _arrow_numbers(array: pa.Array) -> Array:
    """What an Arrow array holds, also under its NULLs."""
    count, offset = len(array), array.offset
    data = array.buffers()[1]
    if pa.types.is_boolean(array.type):
        if not count:
            return np.empty(0, np.bool_)
        packed = np.frombuffer(data, np.uint8)[offset >> 3 : (offset + count + 7) >> 3]
        return np.unpackbits(packed, bitorder="little")[offset & 7 :][:count].view(np.bool_)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        kind = np.dtype(array.type.to_pandas_dtype())
    elif pa.types.is_temporal(array.type) and array.type.bit_width in (32, 64):
        kind = np.dtype(f"<i{array.type.bit_width >> 3}")
    else:
        raise MalformedError(f"values of type {array.type} are no numbers")
    return np.frombuffer(data, kind, count, offset * kind.itemsize) if count else np.empty(0, kind)


def _views(arena: Arena, kind: np.dtype[Any], count: int, tag: str) -> tuple[Array, int]:
    """Room for a list, as an array with the values' kind set, and its address."""
    at = arena.take(count * VAL_BYTES)
    values = memory_at(at, count, kind) if count else np.empty(0, kind)
    values["kind"] = KINDS[tag]
    return values, at


def _number_writer(name: str) -> ListWriter:
    kind, plain = _NUMBERS[name], NUMBERS[name]

    def write(values: Any, arena: Arena) -> tuple[int, int]:
        given = numbers_of(values, plain)
        target, address = _views(arena, kind, len(given), name)
        target["value"] = given
        return len(given), address

    return write


def _byte_strings(values: Any, text: bool) -> pa.Array:
    """Strings as an Arrow array with offsets; texts are UTF-8 for certain, as wasmtime ends the process otherwise."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        try:
            return pa.array(values, pa.large_string() if text else pa.large_binary(), from_pandas=False)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise MalformedError(f"a list of {'strings' if text else 'byte strings'} was expected: {error}") from None
    kinds = (pa.string(), pa.large_string()) if text else (pa.binary(), pa.large_binary(), pa.string())
    if values.type not in kinds:
        try:
            values = values.cast(pa.large_string() if text else pa.large_binary())
        except pa.ArrowException as error:
            raise MalformedError(str(error)) from None
    if text:
        try:
            values.validate(full=True)
        except pa.ArrowInvalid as error:
            raise MalformedError(f"text that is not UTF-8: {error}") from None
    return values


def _extents(array: pa.Array) -> tuple[Array, Array]:
    """(offsets, bytes) of an array of strings."""
    count = len(array)
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    kind = np.dtype("<i8" if large else "<i4")
    _, places, data = array.buffers()
    empty = np.empty(0, np.uint8)
    if not count:
        return np.zeros(1, np.int64), empty
    offsets = np.frombuffer(places, kind, count + 1, array.offset * kind.itemsize).astype(np.int64)
    return offsets, np.frombuffer(data, np.uint8) if data is not None and data.size else empty


def _write_texts(values: Any, arena: Arena) -> tuple[int, int]:
    array = _byte_strings(values, True)
    if array.null_count and not isinstance(values, (pa.Array, pa.ChunkedArray)):
        raise MalformedError("a list of strings cannot hold None")
    return _pointed(array, arena, "string", 1, None)


def _pointed(array: pa.Array, arena: Arena, tag: str, stride: int, base: int | None) -> tuple[int, int]:
    """A list of pointers and sizes to the strings of `array`, whose bytes are `stride` apart from `base` on."""
    offsets, data = _extents(array)
    origin = arena.keep(data) if base is None else base - int(offsets[0]) * stride
    target, place = _views(arena, _STRINGS, len(array), tag)
    target["size"] = offsets[1:] - offsets[:-1]
    target["pointer"] = origin + offsets[:-1] * stride
    return len(array), place


def _write_binaries(values: Any, arena: Arena) -> tuple[int, int]:
    array = _byte_strings(values, False)
    if array.null_count and not isinstance(values, (pa.Array, pa.ChunkedArray)):
        raise MalformedError("a list of byte strings cannot hold None")
    offsets, data = _extents(array)
    _, base = _number_writer("u8")(data[int(offsets[0]) : int(offsets[-1])], arena)
    return _pointed(array, arena, "list", VAL_BYTES, base)


def _constant(name: str) -> tuple[int, int]:
    """Size and address of a name that stays."""
    data = ctypes.create_string_buffer(name.encode())
    _NAMES.append(data)
    return len(data) - 1, ctypes.addressof(data)


def _record_writer(fields: Sequence[tuple[str, str]]) -> ListWriter:
    """Records of numbers, from an array for each field."""
    names = [_constant(name) for name, _ in fields]

    def write(columns: Any, arena: Arena) -> tuple[int, int]:
        if isinstance(columns, list):
            columns = _fields_of(columns, fields)
        if not isinstance(columns, tuple) or len(columns) != len(fields):
            raise MalformedError(f"a list of records is given as {len(fields)} arrays, one for each field")
        arrays = [numbers_of(column, NUMBERS[kind]) for column, (_, kind) in zip(columns, fields, strict=True)]
        count = len(arrays[0])
        if any(len(array) != count for array in arrays):
            raise MalformedError("the fields of records have different numbers of values")
        base = arena.take(count * len(fields) * ENTRY_BYTES)
        words = memory_at(base, count * len(fields) * (ENTRY_BYTES >> 3), np.dtype(np.int64))
        records = words.reshape(count, len(fields), ENTRY_BYTES >> 3)
        for place, (name, (_, kind), array) in enumerate(zip(names, fields, arrays, strict=True)):
            records[:, place, 0], records[:, place, 1] = name
            records[:, place, 2], records[:, place, 3] = KINDS[kind], _widened(array)
        target, address = _views(arena, _STRINGS, count, "record")
        target["size"] = len(fields)
        target["pointer"] = base + np.arange(count) * (len(fields) * ENTRY_BYTES)
        return count, address

    return write


def _fields_of(records: list[Any], fields: Sequence[tuple[str, str]]) -> tuple[list[Any], ...]:
    names = [name for name, _ in fields]
    if not all(isinstance(record, Mapping) and record.keys() == set(names) for record in records):
        raise MalformedError(f"a record of {', '.join(names)} was expected")
    return tuple([record[name] for record in records] for name in names)


def _widened(array: Array) -> Array:
    """Numbers in the low bytes of 64-bit words."""
    words = np.zeros(len(array), np.int64)
    words.view(array.dtype)[:: 8 // array.dtype.itemsize] = array
    return words


def _option_writer(payload: WitType) -> ListWriter | None:
    inner = list_writer(payload)
    simple = isinstance(payload, Primitive) and (payload.name in NUMBERS or payload.name == "string")
    if inner is None or not (simple or _is_bytes(payload)):
        return None
    fallback: pa.DataType | None = None
    if isinstance(payload, Primitive) and payload.name in NUMBERS:
        fallback = pa.from_numpy_dtype(NUMBERS[payload.name])

    def write(values: Any, arena: Arena) -> tuple[int, int]:
        if not isinstance(values, pa.Array):
            kind = fallback or (pa.large_string() if payload == Primitive("string") else pa.large_binary())
            try:
                values = pa.array(values, kind)
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                raise MalformedError(f"a list of option<{payload}> was expected: {error}") from None
        count, address = inner(values, arena)
        target, place = _views(arena, _POINTERS, count, "option")
        target["pointer"] = address + np.arange(count) * VAL_BYTES
        if values.null_count:
            target["pointer"][values.is_null().to_numpy(zero_copy_only=False)] = 0
        return count, place

    return write


def list_writer(element: WitType) -> ListWriter | None:
    """How to write lists of such values at once; None if they are to be written one by one."""
    match element:
        case Primitive(name="string"):
            return _write_texts
        case Primitive(name=name) if name in NUMBERS:
            return _number_writer(name)
        case ListOf() if _is_bytes(element):
            return _write_binaries
        case RecordOf(fields=fields):
            numbers = [(name, field.name) for name, field in fields if isinstance(field, Primitive)]
            if len(numbers) == len(fields) and all(kind in NUMBERS for _, kind in numbers):
                return _record_writer(numbers)
            return None
        case OptionOf(payload=payload):
            return _option_writer(payload)
    return None
