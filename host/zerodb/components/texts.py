"""Columns of numbers as text, and the other way, without a step per value: numeric, hugeint, u64 and uuid have no form
of their own in WIT."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zerodb_compiler.sql.values import format_value
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.arrow import uuid_words
from zerodb_storage.values import Form, Values, widen

_DASHES = (8, 13, 18, 23)
_DECIMAL_LIMIT_HIGH = 10**38 >> 64


def exact_texts(values: Values, type_: SqlType) -> pa.Array:
    """Exact numbers (also under NULLs: some text) as SQL prints them."""
    import pyarrow.compute as pc

    magnitudes = _magnitudes(values)
    if magnitudes is None or (type_.id is TypeId.NUMERIC and type_.quotient):
        return pa.array([format_value(type_, value) for value in _integers(values)], pa.string())
    digits, negative = magnitudes
    signs = pc.if_else(pa.array(negative), "-", "")
    scale = type_.scale if type_.id is TypeId.NUMERIC else 0
    if scale == 0:
        return pc.binary_join_element_wise(signs, digits, "")
    digits = pc.utf8_lpad(digits, scale + 1, "0")
    whole = pc.utf8_slice_codeunits(digits, 0, -scale)
    fraction = pc.utf8_slice_codeunits(digits, -scale)
    point: Any = "."
    if type_.shown is not None:
        tail = pc.utf8_rtrim(pc.utf8_slice_codeunits(fraction, type_.shown), "0")
        fraction = pc.binary_join_element_wise(pc.utf8_slice_codeunits(fraction, 0, type_.shown), tail, "")
        point = pc.if_else(pc.equal(fraction, ""), "", ".")
    return pc.binary_join_element_wise(signs, whole, point, fraction, "")


def _magnitudes(values: Values) -> tuple[pa.Array, npt.NDArray[np.bool_]] | None:
    """(digits of the absolute values, which are negative); None if some are beyond Arrow's decimals."""
    import pyarrow.compute as pc

    data = values.data
    if values.form is Form.INT:
        return pa.array(np.abs(data).view(np.uint64)).cast(pa.string()), data < 0
    high = data[:, 1]
    if ((high >= _DECIMAL_LIMIT_HIGH) | (high < -_DECIMAL_LIMIT_HIGH)).any():
        return None
    numbers = pa.Array.from_buffers(pa.decimal128(38, 0), len(data), [None, pa.py_buffer(np.ascontiguousarray(data))])
    return pc.abs(numbers).cast(pa.string()), high < 0


def _integers(values: Values) -> list[int]:
    if values.form is Form.INT:
        found: list[int] = values.data.tolist()
        return found
    low, high = values.data[:, 0].view(np.uint64).tolist(), values.data[:, 1].tolist()
    return [(upper << 64) | lower for upper, lower in zip(high, low, strict=True)]


def uuid_texts(values: Values) -> pa.Array:
    """Canonical uuids as text."""
    count = len(values)
    digits = np.frombuffer(uuid_words(widen(values).data).tobytes().hex().encode(), np.uint8).reshape(count, 32)
    texts = np.full((count, 36), ord("-"), np.uint8)
    texts[:, [place for place in range(36) if place not in _DASHES]] = digits
    offsets = np.arange(0, 36 * count + 1, 36, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(texts)])
