"""Arrow arrays to `Values` and back, vectorised.

Canonical Arrow types: boolean bool, integers intN/uintN, hugeint decimal128(38, 0), numeric(p, s) decimal128(p, s),
real and double float32/64, date date32, timestamp timestamp[us], text string. Any other type is cast by Arrow first; a
value that does not fit is a 22003 or 22P02 error.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zerodb_compiler.errors import error_for
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.values import Array, Form, Values, binary_buffers, narrow, nulls, widen

_FIXED: dict[TypeId, pa.DataType] = {
    TypeId.BOOLEAN: pa.bool_(),
    TypeId.SMALLINT: pa.int16(),
    TypeId.INTEGER: pa.int32(),
    TypeId.BIGINT: pa.int64(),
    TypeId.HUGEINT: pa.decimal128(38, 0),
    TypeId.U8: pa.uint8(),
    TypeId.U16: pa.uint16(),
    TypeId.U32: pa.uint32(),
    TypeId.U64: pa.uint64(),
    TypeId.REAL: pa.float32(),
    TypeId.DOUBLE: pa.float64(),
    TypeId.DATE: pa.date32(),
    TypeId.TIMESTAMP: pa.timestamp("us"),
    TypeId.TEXT: pa.large_string(),
}
_NUMPY: dict[TypeId, type[np.generic]] = {
    TypeId.SMALLINT: np.int16,
    TypeId.INTEGER: np.int32,
    TypeId.BIGINT: np.int64,
    TypeId.U8: np.uint8,
    TypeId.U16: np.uint16,
    TypeId.U32: np.uint32,
    TypeId.U64: np.uint64,
    TypeId.REAL: np.float32,
    TypeId.DOUBLE: np.float64,
    TypeId.DATE: np.int32,
    TypeId.TIMESTAMP: np.int64,
}


def arrow_type(type_: SqlType) -> pa.DataType:
    """The canonical Arrow type."""
    if type_.id is TypeId.NUMERIC:
        return pa.decimal128(type_.precision, type_.scale)
    return _FIXED[type_.id]


def form_of(type_: SqlType) -> Form:
    """The form of a column that is not dictionary-coded; INT may be WIDE for types beyond 64 bits."""
    return Form.TEXT if type_.is_text else Form.FLOAT if type_.is_float else Form.INT


def numpy_type(type_: SqlType) -> type[np.generic]:
    """The element type of a column's INT or FLOAT values."""
    return _NUMPY.get(type_.id, np.int64) if type_.is_float else np.int64


def from_arrow(array: pa.Array, type_: SqlType, column: str) -> Values:
    """A column's values of any Arrow type that casts to the canonical one without loss."""
    expected = arrow_type(type_)
    if array.type != expected:
        array = _cast(array, expected, type_, column)
    if array.null_count == len(array) > 0:
        return nulls(form_of(type_), len(array), _NUMPY.get(type_.id, np.int64) if type_.is_float else np.int64)
    validity = None
    if array.null_count:
        validity = bits(array.buffers()[0], array.offset, len(array))
    if type_.is_text:
        if validity is not None:
            array = array.fill_null("")
        offsets, text = binary_buffers(array)
        values = Values(Form.TEXT, offsets, validity, text)
        if type_.length is not None:
            _check_length(array, type_, column)
        return values
    if type_.id in (TypeId.NUMERIC, TypeId.HUGEINT):
        return _decimal(array, validity, type_, column)
    if type_.id is TypeId.BOOLEAN:
        data: Array = bits(array.buffers()[1], array.offset, len(array)).astype(np.int64)
    else:
        dtype = np.dtype(_NUMPY[type_.id])
        buffer = array.buffers()[1]
        data = (
            np.frombuffer(buffer, dtype, len(array), array.offset * dtype.itemsize)
            if len(array)
            else np.empty(0, dtype)
        )
    if validity is not None:
        data = np.where(validity != 0, data, data.dtype.type(0))
    if type_.is_float:
        return Values(Form.FLOAT, data, validity)
    if type_.id is TypeId.U64 and len(data) and int(data.max()) >> 63:
        pairs = np.zeros((len(data), 2), np.int64)
        pairs[:, 0] = data.view(np.int64)
        return Values(Form.WIDE, pairs, validity)
    return Values(Form.INT, data.astype(np.int64, copy=False), validity)


def distinct(array: pa.Array, type_: SqlType, column: str) -> tuple[Array, list[bytes], Array | None]:
    """A text column as (int32 indexes, distinct strings, validity); the index under a NULL is 0."""
    validity = bits(array.buffers()[0], array.offset, len(array)) if array.null_count else None
    if not pa.types.is_dictionary(array.type):
        if array.type != pa.large_string():
            array = _cast(array, pa.large_string(), type_, column)
        array = array.dictionary_encode()
    values = array.dictionary.cast(pa.large_string())
    if type_.length is not None:
        _check_length(values, type_, column)
    indices = array.indices.fill_null(0) if array.null_count else array.indices
    return indices.to_numpy(zero_copy_only=False), values.cast(pa.large_binary()).to_pylist(), validity


def _cast(array: pa.Array, expected: pa.DataType, type_: SqlType, column: str) -> pa.Array:
    try:
        if pa.types.is_dictionary(array.type):
            if pa.types.is_string_view(array.type.value_type):  # polars' categories; Arrow has no `take` for these
                array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.large_string()))
            array = array.dictionary_decode()
        if pa.types.is_large_binary(array.type) or pa.types.is_binary(array.type):
            array = array.cast(pa.large_string() if pa.types.is_large_binary(array.type) else pa.string())
        return array.cast(expected)
    except pa.ArrowException as error:
        numeric = type_.is_number and (pa.types.is_integer(array.type) or pa.types.is_decimal(array.type))
        raise error_for("22003" if numeric else "22P02", f'column "{column}" ({type_}): {error}') from error


def bits(buffer: pa.Buffer, offset: int, count: int) -> Array:
    """`count` bits of an Arrow bitmap from bit `offset` as bytes 0 or 1."""
    first = offset // 8
    packed = np.frombuffer(buffer, np.uint8)[first : (offset + count + 7) // 8]
    return np.unpackbits(packed, bitorder="little")[offset % 8 :][:count]


def _decimal(array: pa.Array, validity: Array | None, type_: SqlType, column: str) -> Values:
    if len(array) == 0:
        return Values(Form.INT, np.empty(0, np.int64))
    pairs = np.frombuffer(array.buffers()[1], np.int64, 2 * len(array), array.offset * 16).reshape(-1, 2)
    if validity is not None:
        pairs = np.where(validity[:, None] != 0, pairs, 0)
    values = narrow(Values(Form.WIDE, pairs, validity))
    bounds = values.bounds()
    least, greatest = type_.bounds
    if bounds is not None and not (least <= bounds[0] and bounds[1] <= greatest):
        raise error_for("22003", f'column "{column}": value out of range for {type_}')
    return values


def _check_length(array: pa.Array, type_: SqlType, column: str) -> None:
    longest = pc.max(pc.utf8_length(array)).as_py()
    if longest is not None and type_.length is not None and longest > type_.length:
        raise error_for("22001", f'column "{column}": value too long for {type_}')


def to_arrow(values: Values, type_: SqlType) -> pa.Array:
    """`Values` (not CODES) as an Arrow array of the canonical type."""
    count = len(values)
    mask = None
    if values.validity is not None:
        mask = pa.py_buffer(np.packbits(values.validity, bitorder="little"))
    expected = arrow_type(type_)
    if values.form is Form.TEXT:
        offsets = np.ascontiguousarray(values.data, np.int64)
        assert values.text is not None
        buffers = [mask, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values.text))]
        return pa.Array.from_buffers(expected, count, buffers)
    if type_.id in (TypeId.NUMERIC, TypeId.HUGEINT):
        return pa.Array.from_buffers(expected, count, [mask, pa.py_buffer(np.ascontiguousarray(widen(values).data))])
    if type_.id is TypeId.BOOLEAN:
        data: Array = np.packbits(values.data.astype(np.uint8), bitorder="little")
    elif values.form is Form.WIDE:
        data = np.ascontiguousarray(values.data[:, 0])
    else:
        data = np.ascontiguousarray(values.data.astype(_NUMPY[type_.id], copy=False))
    return pa.Array.from_buffers(expected, count, [mask, pa.py_buffer(data)])
