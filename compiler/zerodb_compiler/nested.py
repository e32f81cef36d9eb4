"""The binary form of arrays and records, shared by this encoder, the kernels (kernels/arrays.py) and the host.

    0   u8    number of dimensions (0: the empty array; records have 1)
    1   u8[3] zero
    4   i32   number of elements, all dimensions together
    8   per dimension: i32 length, i32 lower bound
    ..  per element: i32, twice the offset in the data at which it ends, plus 1 if it is NULL (then it has no bytes)
    ..  the data: the elements' bytes, one after the other

Elements stand in row-major order. Their bytes compare as their values do (but for types with a sort key, and -0):

    boolean, integers of up to 32 bits, date, enum     4 bytes, big endian, sign bit flipped
    other integers, time, timestamps, short numerics   8 bytes, likewise
    hugeint, long numerics, interval, uuid             16 bytes, likewise
    real, double precision                             8 bytes of the double, big endian; sign bit flipped, or all bits
                                                       if it is set
    text, blobs                                        the canonical bytes

A record is an array of one dimension whose elements are the fields, each in the form of its own type.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from zerodb_compiler.types import SqlType

Scalar = int | float | str | bytes | None
MAX_DIMENSIONS = 6
_SIGN = 1 << 63
_ALL = (1 << 64) - 1


def width_of(type_: SqlType) -> int:
    """Bytes of an element; 0 where it varies."""
    if type_.is_variable:
        return 0
    if type_.is_float:
        return 8
    low, high = type_.bounds
    return 4 if high - low < 1 << 32 and low >= -(1 << 31) and high < 1 << 31 else 8 if _is_long(low, high) else 16


def _is_long(low: int, high: int) -> bool:
    return low >= -_SIGN and high < _SIGN


def element_bytes(type_: SqlType, value: Scalar) -> bytes:
    """The bytes of an element that is not NULL."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    assert value is not None
    if type_.is_float:
        (bits,) = struct.unpack("<Q", struct.pack("<d", value))
        ordered: int = bits ^ _ALL if bits & _SIGN else bits ^ _SIGN
        return ordered.to_bytes(8, "big")
    assert isinstance(value, int)
    width = width_of(type_)
    data: bytes = (value + (1 << (8 * width - 1))).to_bytes(width, "big")
    return data


def element_value(type_: SqlType, data: bytes) -> Scalar:
    if type_.is_variable:
        return data.decode() if type_.is_text else data
    number = int.from_bytes(data, "big")
    if type_.is_float:
        bits = number ^ _SIGN if number & _SIGN else number ^ _ALL
        value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
        return value
    return number - (1 << (8 * len(data) - 1))


@dataclass(frozen=True, slots=True)
class Array:
    """A decoded array: `dimensions` are (length, lower bound), `elements` canonical values in row-major order."""

    dimensions: tuple[tuple[int, int], ...]
    elements: tuple[Scalar, ...]


def _encode(dimensions: Sequence[tuple[int, int]], parts: Sequence[bytes | None]) -> bytes:
    out = bytearray(struct.pack("<B3xi", len(dimensions), len(parts)))
    for length, lower in dimensions:
        out += struct.pack("<ii", length, lower)
    end = 0
    for part in parts:
        end += len(part or b"")
        out += struct.pack("<i", end * 2 + (part is None))
    return bytes(out) + b"".join(part or b"" for part in parts)


def _parts(data: bytes) -> tuple[tuple[tuple[int, int], ...], list[bytes | None]]:
    dimensions, count = struct.unpack_from("<B3xi", data)
    sizes = struct.unpack_from(f"<{2 * dimensions}i", data, 8)
    place = 8 + 8 * dimensions
    entries = struct.unpack_from(f"<{count}i", data, place)
    start = place + 4 * count
    ends = [0, *(entry >> 1 for entry in entries)]
    found = [
        None if entry & 1 else data[start + first : start + last]
        for entry, (first, last) in zip(entries, itertools.pairwise(ends), strict=True)
    ]
    return tuple(zip(sizes[::2], sizes[1::2], strict=True)), found


def encode_array(type_: SqlType, array: Array) -> bytes:
    """The canonical bytes of an array of type `type_`."""
    assert type_.element is not None
    element = type_.element
    if not array.elements:
        return _encode((), ())
    return _encode(
        array.dimensions, [None if value is None else element_bytes(element, value) for value in array.elements]
    )


def decode_array(type_: SqlType, data: bytes) -> Array:
    assert type_.element is not None
    element = type_.element
    dimensions, parts = _parts(data)
    return Array(dimensions, tuple(None if part is None else element_value(element, part) for part in parts))


def encode_record(types: Sequence[SqlType], values: Sequence[Scalar]) -> bytes:
    parts = [None if value is None else element_bytes(type_, value) for type_, value in zip(types, values, strict=True)]
    return _encode(((len(parts), 1),), parts)


def decode_record(types: Sequence[SqlType], data: bytes) -> tuple[Scalar, ...]:
    _, parts = _parts(data)
    return tuple(None if part is None else element_value(type_, part) for type_, part in zip(types, parts, strict=True))


# --- ranges (kernels/ranges.py has the form) --------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class RangeValue:
    """A decoded range: canonical bounds, None for an infinite one."""

    lower: Scalar
    upper: Scalar
    lower_inclusive: bool
    upper_inclusive: bool


def encode_range(type_: SqlType, value: RangeValue | None) -> bytes:
    """None is the empty range. The value is in canonical form already."""
    if value is None:
        return b"\0"
    assert type_.element is not None
    lower, upper = b"\0", b"\2"
    if value.lower is not None:
        lower = b"\1" + element_bytes(type_.element, value.lower) + (b"\1" if value.lower_inclusive else b"\2")
    if value.upper is not None:
        upper = b"\1" + element_bytes(type_.element, value.upper) + (b"\1" if value.upper_inclusive else b"\0")
    return b"\1" + lower + upper


def decode_range(type_: SqlType, data: bytes) -> RangeValue | None:
    if data[0] == 0:
        return None
    assert type_.element is not None
    size = width_of(type_.element) + 2
    lower = data[1:2] if data[1] == 0 else data[1 : 1 + size]
    upper = data[1 + len(lower) :]
    ends = [None if len(end) == 1 else element_value(type_.element, end[1:-1]) for end in (lower, upper)]
    return RangeValue(ends[0], ends[1], len(lower) > 1 and lower[-1] == 1, len(upper) > 1 and upper[-1] == 1)
