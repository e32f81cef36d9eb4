"""Column values in memory, before any table layout: what the delta holds and what encoding takes and gives.

    INT     int64 array of n canonical values
    WIDE    int64 array (n, 2): low and high half of 128-bit two's complement integers
    FLOAT   float32 or float64 array of n
    TEXT    int64 array of n + 1 offsets, the first 0, and the bytes they cut
    CODES   int32 array of n codes of the column's dictionary

`validity` is n bytes (1 present, 0 NULL) or None when no value is NULL. Under a NULL lies 0 or the empty string.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array: TypeAlias = npt.NDArray[Any]


class Form(enum.IntEnum):
    INT = 1
    WIDE = 2
    FLOAT = 3
    TEXT = 4
    CODES = 5


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    form: Form
    data: Array
    validity: Array | None = None
    text: Array | None = None

    def __len__(self) -> int:
        return len(self.data) - 1 if self.form is Form.TEXT else len(self.data)

    @property
    def null_count(self) -> int:
        return 0 if self.validity is None else len(self.validity) - int(np.count_nonzero(self.validity))

    @property
    def byte_count(self) -> int:
        return sum(array.nbytes for array in (self.data, self.validity, self.text) if array is not None)

    def slice(self, begin: int, end: int) -> Values:
        validity = None if self.validity is None else _none_if_full(self.validity[begin:end])
        if self.form is not Form.TEXT:
            return Values(self.form, self.data[begin:end], validity)
        assert self.text is not None
        first, last = int(self.data[begin]), int(self.data[end])
        offsets = self.data[begin : end + 1]
        return Values(self.form, offsets - first if first else offsets, validity, self.text[first:last])

    def take(self, rows: Array) -> Values:
        """The values of the given rows, in that order."""
        validity = None if self.validity is None else _none_if_full(self.validity[rows])
        if self.form is not Form.TEXT:
            return Values(self.form, self.data[rows], validity)
        taken = as_binary(self).take(pa.array(rows))
        offsets, text = binary_buffers(taken)
        return Values(self.form, offsets, validity, text)

    def bounds(self) -> tuple[int, int] | tuple[float, float] | None:
        """Least and greatest present value of INT, WIDE and CODES as int; of FLOAT as float, where a NaN counts as the
        greatest and is returned as the upper bound. None for TEXT and where all are NULL."""
        data = self.data
        if self.form is Form.TEXT or len(data) == 0:
            return None
        if self.validity is not None:
            data = data[self.validity != 0]
            if len(data) == 0:
                return None
        if self.form is Form.WIDE:
            return _wide_bound(data, np.min), _wide_bound(data, np.max)
        if self.form is Form.FLOAT:
            low, high = float(np.fmin.reduce(data)), float(np.max(data))
            return (-np.inf if np.isnan(low) else low), high
        return int(data.min()), int(data.max())


def sorted_distinct(data: Array) -> Array:
    """Each value once, ascending: numpy.unique, whose first call imports 25 ms of masked arrays."""
    ordered = np.sort(data, axis=None)
    if len(ordered) < 2:
        return ordered
    first = np.empty(len(ordered), np.bool_)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def _none_if_full(validity: Array) -> Array | None:
    return None if validity.all() else validity


def _wide_bound(data: Array, extreme: Any) -> int:
    high = extreme(data[:, 1])
    low = extreme(data[data[:, 1] == high, 0].view(np.uint64))
    return (int(high) << 64) + int(low)


def widen(values: Values) -> Values:
    """INT as WIDE."""
    if values.form is Form.WIDE:
        return values
    assert values.form is Form.INT
    data = np.empty((len(values.data), 2), np.int64)
    data[:, 0] = values.data
    np.right_shift(values.data, 63, out=data[:, 1])
    return Values(Form.WIDE, data, values.validity)


def narrow(values: Values) -> Values:
    """WIDE as INT if all values fit 64 bits, else unchanged."""
    if values.form is not Form.WIDE or not fits_int64(values.data):
        return values
    return Values(Form.INT, np.ascontiguousarray(values.data[:, 0]), values.validity)


def fits_int64(pairs: Array) -> bool:
    return bool(np.array_equal(pairs[:, 0] >> 63, pairs[:, 1]))


def as_binary(values: Values) -> pa.LargeBinaryArray:
    """TEXT as an Arrow array over the same memory; NULLs become empty strings."""
    assert values.form is Form.TEXT
    assert values.text is not None
    offsets = np.ascontiguousarray(values.data, np.int64)
    text = np.ascontiguousarray(values.text)
    return pa.Array.from_buffers(pa.large_binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def binary_buffers(array: pa.Array) -> tuple[Array, Array]:
    """Offsets from 0 (int64) and bytes of a large_binary or large_string array without NULLs, over the same memory."""
    count = len(array)
    if count == 0:
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    _, offset_buffer, text_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, count + 1, array.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    text = np.frombuffer(text_buffer, np.uint8)[first:last] if last > first else np.empty(0, np.uint8)
    return (offsets - first if first else offsets), text


def concatenate(parts: Sequence[Values]) -> Values:
    """One column after another; INT is widened if any part is WIDE, other forms must agree."""
    assert parts
    if len(parts) == 1:
        return parts[0]
    if any(part.form is Form.WIDE for part in parts):
        parts = [widen(part) for part in parts]
    form = parts[0].form
    assert all(part.form is form for part in parts)
    validity = None
    if any(part.validity is not None for part in parts):
        validity = np.concatenate(
            [np.ones(len(part), np.uint8) if part.validity is None else part.validity for part in parts]
        )
    if form is not Form.TEXT:
        return Values(form, np.concatenate([part.data for part in parts]), validity)
    return _concatenate_text(parts, validity)


def _concatenate_text(parts: Sequence[Values], validity: Array | None) -> Values:
    offsets = [np.zeros(1, np.int64)]
    texts: list[Array] = []
    base = 0
    for part in parts:
        assert part.text is not None
        offsets.append(part.data[1:] + base)
        texts.append(part.text)
        base += len(part.text)
    return Values(Form.TEXT, np.concatenate(offsets), validity, np.concatenate(texts))


def nulls(form: Form, count: int, dtype: Any = np.int64) -> Values:
    """`count` NULLs."""
    validity = np.zeros(count, np.uint8)
    match form:
        case Form.TEXT:
            return Values(form, np.zeros(count + 1, np.int64), validity, np.empty(0, np.uint8))
        case Form.WIDE:
            return Values(form, np.zeros((count, 2), np.int64), validity)
    return Values(form, np.zeros(count, dtype), validity)
