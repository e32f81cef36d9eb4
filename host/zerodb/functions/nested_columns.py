"""Columns of arrays in their binary form (zerodb_compiler/nested.py), made and read a column at a time.

Aggregates of functions from outside get their arguments as arrays, one for each group, and table functions give theirs
as arrays, one for each set of arguments:

    elements   1 2 3 | 4 | | 5 6          offsets   0 3 4 4 6          arrays   {1,2,3} {4} {} {5,6}

Limit: an array has at most 1 GiB of data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zerodb.engine.result import ColumnValues, arrow_array, arrow_type, output_width
from zerodb_compiler.errors import error_for
from zerodb_compiler.nested import width_of
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.arrow import from_arrow
from zerodb_storage.values import Form, Values, widen

Array = np.ndarray[Any, Any]
MAX_BYTES = 1 << 30
_SIGN, _ALL = np.uint64(1 << 63), np.uint64((1 << 64) - 1)
_HEAD = 8  # bytes before the dimensions, and of one dimension


# --- arrays from elements ---------------------------------------------------------------------------------------------


def encode_lists(type_: SqlType, elements: pa.Array, offsets: Array) -> pa.LargeBinaryArray:
    """Array i has the elements from offsets[i] up to offsets[i + 1]; they are of any Arrow type that fits `type_`."""
    values = from_arrow(elements, type_, "result")
    present = np.ones(len(values), np.bool_) if values.validity is None else values.validity != 0
    data, sizes = _element_bytes(type_, values, present)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    counts = np.diff(offsets)
    if len(counts) and int((ends[offsets[1:]] - ends[offsets[:-1]]).max()) >= MAX_BYTES:
        raise error_for("54000", "a function gave more than 1 GiB of values at once")
    own = (ends[1:] - np.repeat(ends[offsets[:-1]], counts)) * 2 + ~present
    entries = _ragged(own.astype("<i4").view(np.uint8), offsets * 4)
    return joined([_headers(counts), entries, _ragged(data, ends[offsets])])


def encode_records(columns: Sequence[pa.LargeBinaryArray], rows: int) -> pa.LargeBinaryArray:
    """Records whose fields are of types of bytes, none of them NULL."""
    sizes = np.stack([np.diff(_offsets(column)) for column in columns])
    ends = np.cumsum(sizes, axis=0)
    if rows and int(ends[-1].max()) >= MAX_BYTES:
        raise error_for("54000", "a function gave more than 1 GiB of values at once")
    entries = np.ascontiguousarray((ends * 2).T.astype("<i4")).view(np.uint8).reshape(-1)
    width = 4 * len(columns)
    counts = np.full(rows, len(columns), np.int64)
    return joined([_headers(counts), _ragged(entries, np.arange(rows + 1) * width), *columns])


def joined(parts: Sequence[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    """Row by row, the bytes of all parts."""
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))


def _headers(counts: Array) -> pa.LargeBinaryArray:
    """Number of dimensions, of elements, and the one dimension's length and lower bound; empty arrays have none."""
    head = np.zeros((len(counts), 4), "<i4")
    head[:, 0] = counts > 0
    head[:, 1] = head[:, 2] = counts
    head[:, 3] = 1
    sizes = np.where(counts > 0, 2 * _HEAD, _HEAD)
    mask = np.arange(2 * _HEAD) < sizes[:, None]
    return _ragged(head.view(np.uint8).reshape(len(counts), 2 * _HEAD)[mask], np.concatenate([[0], np.cumsum(sizes)]))


def _ragged(data: Array, offsets: Array) -> pa.LargeBinaryArray:
    ends = np.ascontiguousarray(offsets, np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends) - 1, buffers)


def _element_bytes(type_: SqlType, values: Values, present: Array) -> tuple[Array, Array]:
    """The bytes of all elements, and how many each has."""
    width = width_of(type_)
    if not width:
        assert values.text is not None
        return values.text[int(values.data[0]) : int(values.data[-1])], np.diff(values.data)
    sizes = np.where(present, width, 0)
    if values.form is Form.FLOAT:
        bits = values.data.astype(np.float64).view(np.uint64)
        ordered = np.where(bits & _SIGN != 0, bits ^ _ALL, bits ^ _SIGN).astype(">u8")
    elif width == 16:
        pairs = widen(values).data.view(np.uint64)
        ordered = np.stack([pairs[:, 1] ^ _SIGN, pairs[:, 0]], axis=1).astype(">u8")
    elif width == 8:
        ordered = (values.data.view(np.uint64) ^ _SIGN).astype(">u8")
    else:
        ordered = (values.data + (1 << 31)).astype(">u4")
    chosen = ordered if present.all() else ordered[present]
    return np.ascontiguousarray(chosen).view(np.uint8).reshape(-1), sizes


# --- elements of arrays -----------------------------------------------------------------------------------------------


def decode_lists(type_: SqlType, column: pa.Array) -> tuple[pa.Array, Array]:
    """The elements of all arrays, in the Arrow type of results, and where each array's begin. NULL has none."""
    starts, data = _offsets(column), _bytes(column)
    present = np.diff(starts) > 0
    places = starts[:-1][present]
    counts = np.zeros(len(column), np.int64)
    counts[present] = own = _gathered(data, places + 4, "<i4").astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    entries_at = places + _HEAD + _HEAD * data[places].astype(np.int64)
    number = np.arange(int(offsets[-1])) - np.repeat(np.cumsum(own) - own, own)  # of each element in its array
    entries = _gathered(data, np.repeat(entries_at, own) + 4 * number, "<i4").astype(np.int64)
    ends, valid = entries >> 1, entries & 1 == 0
    begins = np.concatenate([np.zeros(min(len(ends), 1), np.int64), ends[:-1]])
    begins[number == 0] = 0
    heap = _data_of(data, np.stack([places, entries_at + 4 * own], axis=1).reshape(-1), starts[-1])
    return _elements(type_, heap, ends - begins, valid), offsets


def _data_of(data: Array, bounds: Array, end: int) -> Array:
    """The elements' bytes of all arrays, one after the other. `bounds`: where each array and where its data begin."""
    if not len(bounds):
        return np.zeros(0, np.uint8)
    halves = _ragged(data, np.concatenate([bounds, [end]]))
    chosen = halves.take(pa.array(np.arange(1, len(bounds), 2)))
    return _bytes(chosen)[: int(_offsets(chosen)[-1])]


def _elements(type_: SqlType, heap: Array, sizes: Array, valid: Array) -> pa.Array:
    rows = len(sizes)
    validity = None if valid.all() else valid.astype(np.uint8).tobytes()
    width = width_of(type_)
    if not width:
        if len(heap) >= MAX_BYTES * 2:
            raise error_for("54000", "more than 2 GiB of text for one call of a function")
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]).astype(np.int32)
        column = ColumnValues(ends.tobytes(), validity, heap.tobytes())
        return arrow_array(column, rows, type_, arrow_type(type_))
    if type_.is_float:
        bits = heap.view(">u8").astype(np.uint64)
        values = np.where(bits & _SIGN != 0, bits ^ _SIGN, bits ^ _ALL).view(np.float64)
        values = values.astype(np.float32 if type_.id is TypeId.REAL else np.float64)
    elif width == 16:
        pairs = heap.view(">u8").astype(np.uint64).reshape(-1, 2)
        values = np.stack([pairs[:, 1], pairs[:, 0] ^ _SIGN], axis=1)
    elif width == 8:
        values = _narrowed((heap.view(">u8").astype(np.uint64) ^ _SIGN).view(np.int64), output_width(type_))
    else:
        values = _narrowed(heap.view(">u4").astype(np.int64) - (1 << 31), output_width(type_))
    if validity is not None:
        spread = np.zeros((rows, *values.shape[1:]), values.dtype)
        spread[valid] = values
        values = spread
    return arrow_array(ColumnValues(values.tobytes(), validity, b""), rows, type_, arrow_type(type_))


def _narrowed(numbers: Array, width: int) -> Array:
    """At the width that results have."""
    if width == 16:
        return np.stack([numbers, numbers >> 63], axis=1)
    return numbers.astype({1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}[width])


def _gathered(data: Array, places: Array, dtype: str) -> Array:
    """Numbers of the bytes at these places."""
    kind = np.dtype(dtype)
    if not len(places):
        return np.zeros(0, kind.newbyteorder("="))
    windows = np.lib.stride_tricks.sliding_window_view(data, kind.itemsize)
    found = np.ascontiguousarray(windows[np.minimum(places, len(windows) - 1)]).view(kind).reshape(-1)
    return found.astype(kind.newbyteorder("="))


def _offsets(column: pa.Array) -> Array:
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    size = np.dtype(kind).itemsize
    found = np.frombuffer(column.buffers()[1], kind, len(column) + 1, column.offset * size) if len(column) else None
    return np.zeros(1, np.int64) if found is None else found.astype(np.int64)


def _bytes(column: pa.Array) -> Array:
    buffer = column.buffers()[2]
    return np.zeros(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)
