"""Arrow arrays to `Values` and back, vectorised.

Canonical Arrow types: boolean bool, integers intN/uintN, hugeint decimal128(38, 0), numeric(p, s) decimal128(p, s),
real and double float32/64, date date32, timestamp timestamp[us], timestamptz timestamp[us, UTC], time time64[us], text
string, enum int32 (the label's index), uuid fixed_size_binary(16) (the bytes in the order they are written), interval
fixed_size_binary(16) (the canonical 128 bits, little endian), blobs binary. Any other type is cast by Arrow first,
labels of an enum are looked up, month_day_nano intervals taken apart; a value that does not fit is a 22003 or 22P02.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

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
    TypeId.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
    TypeId.TIME: pa.time64("us"),
    TypeId.ENUM: pa.int32(),
    TypeId.INTERVAL: pa.binary(16),
    TypeId.UUID: pa.binary(16),
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
    TypeId.TIMESTAMPTZ: np.int64,
    TypeId.TIME: np.int64,
    TypeId.ENUM: np.int32,
}
_SIGN = np.uint64(1 << 63)


def arrow_type(type_: SqlType) -> pa.DataType:
    """The canonical Arrow type."""
    if type_.id is TypeId.NUMERIC:
        return pa.decimal128(type_.precision, type_.scale)
    return pa.large_binary() if type_.is_blob else _FIXED[type_.id]


def form_of(type_: SqlType) -> Form:
    """The form of a column that is not dictionary-coded; INT may be WIDE for types beyond 64 bits."""
    return Form.TEXT if type_.is_variable else Form.FLOAT if type_.is_float else Form.INT


def may_hold(values: Values, type_: SqlType) -> bool:
    """Whether values of this form can be a column's that is not dictionary-coded."""
    expected = form_of(type_)
    return values.form is expected or (expected is Form.INT and values.form is Form.WIDE)


def numpy_type(type_: SqlType) -> type[np.generic]:
    """The element type of a column's INT or FLOAT values."""
    return _NUMPY.get(type_.id, np.int64) if type_.is_float else np.int64


def from_arrow(array: pa.Array, type_: SqlType, column: str) -> Values:
    """A column's values of any Arrow type that casts to the canonical one without loss."""
    expected = arrow_type(type_)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type != expected:
        array = _converted(array, type_, column) or _cast(array, expected, type_, column)
    if array.null_count == len(array) > 0:
        return nulls(form_of(type_), len(array), _NUMPY.get(type_.id, np.int64) if type_.is_float else np.int64)
    validity = None
    if array.null_count:
        validity = bits(array.buffers()[0], array.offset, len(array))
    if type_.is_variable:
        if validity is not None:
            array = array.fill_null("" if type_.is_text else b"")
        offsets, text = binary_buffers(array)
        values = Values(Form.TEXT, offsets, validity, text)
        if type_.length is not None:
            _check_length(array, offsets, type_, column)
        return values
    if type_.id in (TypeId.NUMERIC, TypeId.HUGEINT):
        return _decimal(array, validity, type_, column)
    if type_.id in (TypeId.INTERVAL, TypeId.UUID):
        return _sixteen(array, validity, type_)
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
    values = Values(Form.INT, data.astype(np.int64, copy=False), validity)
    if type_.id in (TypeId.ENUM, TypeId.TIME):
        check_bounds(values, type_, column)
    return values


def _joined(texts: pa.LargeStringArray) -> str:
    """All texts, one after the other: what their array holds anyway."""
    offsets = np.frombuffer(texts.buffers()[1], np.int64)
    first, last = int(offsets[texts.offset]), int(offsets[texts.offset + len(texts)])
    return texts.buffers()[2].slice(first, last - first).to_pybytes().decode() if last > first else ""


def _converted(array: pa.Array, type_: SqlType, column: str) -> pa.Array | None:
    """What Arrow itself does not cast: labels of an enum to their indexes, month_day_nano to interval, text to uuid."""
    kind = array.type
    textual = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if type_.id is TypeId.ENUM and (textual or pa.types.is_dictionary(kind)):
        import pyarrow.compute as pc

        indexes = pc.index_in(_cast(array, pa.large_string(), type_, column), pa.array(type_.labels, pa.large_string()))
        if indexes.null_count > array.null_count:
            unknown = pc.filter(array.cast(pa.large_string()), pc.and_(indexes.is_null(), array.is_valid()))
            message = f'invalid input value for enum {type_}: "{unknown[0].as_py()}"'
            raise error_for("22P02", f'column "{column}": {message}')
        return indexes
    if type_.id is TypeId.INTERVAL and pa.types.is_interval(kind):
        return _from_month_day_nano(array, column)
    if type_.id is TypeId.INTERVAL and pa.types.is_duration(kind):
        micros = np.frombuffer(array.cast(pa.duration("us")).fill_null(0).buffers()[1], np.int64)[: len(array)]
        pairs = np.zeros((len(array), 2), np.int64)
        pairs[:, 0] = micros
        return pa.Array.from_buffers(pa.binary(16), len(array), [_mask(array), pa.py_buffer(pairs)])
    if type_.id is TypeId.UUID and textual:
        import pyarrow.compute as pc

        digits = pc.replace_substring_regex(array.cast(pa.large_string()), "[-{}]", "")
        wrong = pc.invert(pc.match_substring_regex(digits, "^[0-9a-fA-F]{32}$"))
        if pc.any(wrong).as_py():
            text = array.filter(wrong)[0].as_py()
            raise error_for("22P02", f'column "{column}": invalid input syntax for type uuid: "{text}"')
        numbers = bytes.fromhex(_joined(digits.fill_null("0" * 32)))
        return pa.Array.from_buffers(pa.binary(16), len(array), [_mask(array), pa.py_buffer(numbers)])
    return None


def _mask(array: pa.Array) -> pa.Buffer | None:
    """The validity of an array as a bitmap that begins at its first value."""
    if not array.null_count:
        return None
    return pa.py_buffer(np.packbits(bits(array.buffers()[0], array.offset, len(array)), bitorder="little"))


def _from_month_day_nano(array: pa.Array, column: str) -> pa.Array:
    count = len(array)
    raw = np.frombuffer(array.buffers()[1], np.int64, 2 * count, array.offset * 16).reshape(-1, 2) if count else None
    pairs = np.zeros((count, 2), np.int64)
    if raw is not None:
        days = raw[:, 0] >> 32
        pairs[:, 0] = raw[:, 1] // 1000
        pairs[:, 1] = (raw[:, 0] << 32) | (days & 0xFFFFFFFF)
    return pa.Array.from_buffers(pa.binary(16), count, [_mask(array), pa.py_buffer(pairs)])


def _sixteen(array: pa.Array, validity: Array | None, type_: SqlType) -> Values:
    """interval and uuid: 16 bytes a value."""
    count = len(array)
    if count == 0:
        return Values(Form.INT, np.empty(0, np.int64))
    kind = ">u8" if type_.id is TypeId.UUID else "<u8"
    words = np.frombuffer(array.buffers()[1], kind, 2 * count, array.offset * 16).reshape(-1, 2)
    if type_.id is TypeId.UUID:
        pairs = np.empty((count, 2), np.uint64)
        pairs[:, 0], pairs[:, 1] = words[:, 1], words[:, 0] ^ _SIGN
    else:
        pairs = words
    data = pairs.view(np.int64)
    if validity is not None:
        data = np.where(validity[:, None] != 0, data, 0)
    return narrow(Values(Form.WIDE, data, validity))


def check_bounds(values: Values, type_: SqlType, column: str) -> None:
    bounds = values.bounds()
    least, greatest = type_.bounds
    if bounds is not None and not (least <= bounds[0] and bounds[1] <= greatest):
        raise error_for("22003", f'column "{column}": value out of range for {type_}')


def distinct(array: pa.Array, type_: SqlType, column: str) -> tuple[Array, list[bytes], Array | None]:
    """A text column as (int32 indexes, distinct strings, validity); the index under a NULL is 0."""
    validity = bits(array.buffers()[0], array.offset, len(array)) if array.null_count else None
    if not pa.types.is_dictionary(array.type):
        if array.type != pa.large_string():
            array = _cast(array, pa.large_string(), type_, column)
        array = array.dictionary_encode()
    values = array.dictionary.cast(pa.large_string())
    if type_.length is not None:
        _check_length(values, binary_buffers(values)[0], type_, column)
    indices = array.indices.fill_null(0) if array.null_count else array.indices
    return indices.to_numpy(zero_copy_only=False), values.cast(pa.large_binary()).to_pylist(), validity


def _cast(array: pa.Array, expected: pa.DataType, type_: SqlType, column: str) -> pa.Array:
    try:
        if pa.types.is_dictionary(array.type):
            if pa.types.is_string_view(array.type.value_type):  # polars' categories; Arrow has no `take` for these
                array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.large_string()))
            array = array.dictionary_decode()
        is_binary = pa.types.is_large_binary(array.type) or pa.types.is_binary(array.type)
        if is_binary and type_.is_text:
            array = array.cast(pa.large_string() if pa.types.is_large_binary(array.type) else pa.string())
        is_text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
        if type_.is_blob and is_text and type_.id is not TypeId.JSON:
            raise error_for("0A000", f'column "{column}" ({type_}) cannot be read from text here')
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
    check_bounds(values, type_, column)
    return values


def _check_length(array: pa.Array, offsets: Array, type_: SqlType, column: str) -> None:
    if len(array) == 0 or int((offsets[1:] - offsets[:-1]).max()) <= (type_.length or 0):
        return  # no more bytes than characters are allowed
    import pyarrow.compute as pc  # 35 ms that most processes need not spend

    longest = pc.max(pc.utf8_length(array)).as_py()
    if longest is not None and type_.length is not None and longest > type_.length:
        raise error_for("22001", f'column "{column}": value too long for {type_}')


def uuid_words(pairs: Array) -> Array:
    """Canonical uuids (low and high half) as their 16 bytes in the order they are written."""
    words = np.empty((len(pairs), 2), ">u8")
    words[:, 0], words[:, 1] = pairs[:, 1].view(np.uint64) ^ _SIGN, pairs[:, 0].view(np.uint64)
    return words


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
    if type_.id in (TypeId.NUMERIC, TypeId.HUGEINT, TypeId.INTERVAL):
        return pa.Array.from_buffers(expected, count, [mask, pa.py_buffer(np.ascontiguousarray(widen(values).data))])
    if type_.id is TypeId.UUID:
        words = uuid_words(widen(values).data)
        return pa.Array.from_buffers(expected, count, [mask, pa.py_buffer(words)])
    if type_.id is TypeId.BOOLEAN:
        data: Array = np.packbits(values.data.astype(np.uint8), bitorder="little")
    elif values.form is Form.WIDE:
        data = np.ascontiguousarray(values.data[:, 0])
    else:
        data = np.ascontiguousarray(values.data.astype(_NUMPY[type_.id], copy=False))
    return pa.Array.from_buffers(expected, count, [mask, pa.py_buffer(data)])
