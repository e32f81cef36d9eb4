"""Results: from output blocks in linear memory to Arrow arrays and Python rows.

A `ResultBatch` is host-owned bytes per column, copied out of one output block as soon as its morsel has run, so that
big results do not fill linear memory. Arrow arrays take the bytes as their buffers (booleans and validity are packed to
bits, u64 and numeric narrow from 16 bytes where Arrow's type is smaller); Python rows are decoded column by column with
memoryview casts and C loops.
"""

from __future__ import annotations

import gc
import itertools
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from zerodb.engine.nested_values import python_array, python_range, python_record
from zerodb_compiler import jsonb
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.errors import DataError
from zerodb_compiler.intervals import MICROS_PER_DAY, Interval, unpack
from zerodb_compiler.sql.values import round_shift
from zerodb_compiler.types import NULL, SqlType, TypeId, shown_decimals
from zerodb_storage.arrow import uuid_words

Row = tuple[Any, ...]

_WIDTHS = {
    TypeId.NULL: 1,
    TypeId.BOOLEAN: 1,
    TypeId.SMALLINT: 2,
    TypeId.INTEGER: 4,
    TypeId.BIGINT: 8,
    TypeId.HUGEINT: 16,
    TypeId.U8: 1,
    TypeId.U16: 2,
    TypeId.U32: 4,
    TypeId.U64: 16,
    TypeId.NUMERIC: 16,
    TypeId.REAL: 4,
    TypeId.DOUBLE: 8,
    TypeId.TEXT: 4,
    TypeId.DATE: 4,
    TypeId.TIMESTAMP: 8,
    TypeId.TIMESTAMPTZ: 8,
    TypeId.TIME: 8,
    TypeId.INTERVAL: 16,
    TypeId.UUID: 16,
    TypeId.ENUM: 4,
}
_CASTS = {
    TypeId.SMALLINT: "h",
    TypeId.INTEGER: "i",
    TypeId.BIGINT: "q",
    TypeId.U8: "B",
    TypeId.U16: "H",
    TypeId.U32: "I",
    TypeId.REAL: "f",
    TypeId.DOUBLE: "d",
}
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_FEW, _MANY = 8, 1000
_EXACT = Context(prec=76)
_HUGEINT_ARROW_LIMIT_HIGH = 10**38 >> 64


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """`data` holds the values at the width of output blocks (for text: rows + 1 i32 offsets into `heap`), `validity`
    one byte a row or None if no value can be NULL."""

    data: bytes
    validity: bytes | None
    heap: bytes


@dataclass(frozen=True, slots=True)
class ResultBatch:
    rows: int
    columns: tuple[ColumnValues, ...]

    @property
    def nbytes(self) -> int:
        return sum(len(column.data) + len(column.heap) for column in self.columns)


def output_width(type_: SqlType) -> int:
    """Bytes of a value in an output block; of an offset, for types of bytes."""
    return _WIDTHS.get(type_.id, 4)


def read_block(words: memoryview, memory: memoryview, block: int, output: Sequence[OutputColumn]) -> ResultBatch:
    """Copies an output block (abi.OUTPUT_*) out of linear memory."""
    rows = words[(block + abi.OUTPUT_ROWS) >> 2]
    record = (block + abi.OUTPUT_HEADER) >> 2
    columns = []
    for column in output:
        data, validity, heap, _ = words[record : record + 4]
        record += abi.OUTPUT_COLUMN_BYTES >> 2
        nulls = bytes(memory[validity : validity + rows]) if validity else None
        if column.type.is_variable:
            end = words[(data >> 2) + rows]
            columns.append(
                ColumnValues(bytes(memory[data : data + 4 * rows + 4]), nulls, bytes(memory[heap : heap + end]))
            )
        else:
            columns.append(ColumnValues(bytes(memory[data : data + rows * _WIDTHS[column.type.id]]), nulls, b""))
    return ResultBatch(rows, tuple(columns))


# --- Python rows ----------------------------------------------------------------------------------------------------


def _wide_integers(data: bytes, rows: int) -> list[int]:
    """16-byte integers; those of 64 bits (nearly all) without a step per value in Python."""
    if rows == 1:
        return [int.from_bytes(data, "little", signed=True)]
    pairs = np.frombuffer(data, dtype=np.int64).reshape(rows, 2)
    low, high = pairs[:, 0], pairs[:, 1]
    if bool((high == low >> 63).all()):
        values: list[int] = low.tolist()
        return values
    return [(upper << 64) | lower for upper, lower in zip(high.tolist(), low.view(np.uint64).tolist(), strict=True)]


def _shown_decimals(type_: SqlType) -> Callable[[ColumnValues, int], list[Any]]:
    def decimal(value: int) -> Decimal:
        decimals = shown_decimals(type_, value)
        return _EXACT.scaleb(Decimal(round_shift(value, decimals - type_.scale)), -decimals)

    def decode(column: ColumnValues, rows: int) -> list[Any]:
        return list(map(decimal, _wide_integers(column.data, rows)))

    return decode


def _decimals(scale: int) -> Callable[[ColumnValues, int], list[Any]]:
    exponent = Decimal(-scale)
    shift = _EXACT.scaleb

    def decode(column: ColumnValues, rows: int) -> list[Any]:
        return [shift(Decimal(value), exponent) for value in _wide_integers(column.data, rows)]

    return decode


def _texts(column: ColumnValues, rows: int) -> list[Any]:
    heap = column.heap
    if rows == 1:
        return [heap.decode()]
    offsets = struct.unpack(f"<{rows + 1}i", column.data)
    if heap.isascii():
        text = heap.decode("ascii")
        return [text[start:end] for start, end in itertools.pairwise(offsets)]
    return [heap[start:end].decode() for start, end in itertools.pairwise(offsets)]


def _moments(
    kind: str, unit: str, least: int, greatest: int, one: Callable[[int], Any]
) -> Callable[[ColumnValues, int], list[Any]]:
    """Decodes dates or timestamps: few by `one`, many by numpy, which makes Python's objects without a Python step."""

    def decode(column: ColumnValues, rows: int) -> list[Any]:
        if rows <= _FEW:
            few = memoryview(column.data).cast("i" if unit == "D" else "q").tolist()
            if column.validity is not None:  # what lies under a NULL need not be a date
                few = [tick if valid else 0 for tick, valid in zip(few, column.validity, strict=True)]
            if all(least <= tick <= greatest for tick in few):
                return [one(tick) for tick in few]
        ticks = np.frombuffer(column.data, dtype=kind)
        if column.validity is not None:
            ticks = np.where(np.frombuffer(column.validity, dtype=np.uint8) != 0, ticks, 0)
        if int(ticks.min()) < least or int(ticks.max()) > greatest:
            what = "date" if unit == "D" else "timestamp"
            raise DataError(f"a {what} is outside the years 1 to 9999 of Python's {what}s", sqlstate="22008")
        values: list[Any] = ticks.astype(f"M8[{unit}]").tolist()
        return values

    return decode


_dates = _moments(
    "<i4",
    "D",
    date.min.toordinal() - _EPOCH_ORDINAL,
    date.max.toordinal() - _EPOCH_ORDINAL,
    lambda tick: date.fromordinal(_EPOCH_ORDINAL + tick),
)
_timestamps = _moments(
    "<i8",
    "us",
    (datetime.min - _EPOCH) // _MICROSECOND,
    (datetime.max - _EPOCH) // _MICROSECOND,
    lambda tick: _EPOCH + timedelta(0, 0, tick),
)


def _aware_timestamps(column: ColumnValues, rows: int) -> list[Any]:
    return [moment.replace(tzinfo=UTC) for moment in _timestamps(column, rows)]


def _times(column: ColumnValues, rows: int) -> list[Any]:
    ticks = _present(column, memoryview(column.data).cast("q").tolist())
    if max(ticks) >= MICROS_PER_DAY:
        raise DataError("the time 24:00:00 is beyond Python's times", sqlstate="22008")
    return [(_EPOCH + timedelta(0, 0, tick)).time() for tick in ticks]


def _present(column: ColumnValues, values: list[int]) -> list[int]:
    """The values, with 0 under a NULL: what lies there need not be a value of the type."""
    if column.validity is None:
        return values
    return [value if valid else 0 for value, valid in zip(values, column.validity, strict=True)]


def _intervals(column: ColumnValues, rows: int) -> list[Any]:
    try:
        return [Interval(*unpack(value)) for value in _present(column, _wide_integers(column.data, rows))]
    except OverflowError:
        raise DataError("an interval is beyond Python's timedeltas", sqlstate="22008") from None


def _uuids(column: ColumnValues, rows: int) -> list[Any]:
    return [UUID(int=value + (1 << 127)) for value in _wide_integers(column.data, rows)]


def _labels(labels: tuple[str, ...]) -> Callable[[ColumnValues, int], list[Any]]:
    def decode(column: ColumnValues, rows: int) -> list[Any]:
        return [labels[value] for value in _present(column, memoryview(column.data).cast("i").tolist())]

    return decode


# Types of bytes with a structure: from the type and the canonical bytes to the Python object, and the Arrow type that
# such objects make. What is in neither is given as bytes.
BLOB_DECODERS: dict[TypeId, Callable[[SqlType, bytes], Any]] = {
    TypeId.JSON: lambda _type, value: json.loads(value),
    TypeId.JSONB: lambda _type, value: jsonb.to_python(value),
    TypeId.ARRAY: python_array,
    TypeId.RANGE: python_range,
    TypeId.STRUCT: python_record,
}
BLOB_ARROW: dict[TypeId, Callable[[SqlType], pa.DataType]] = {
    TypeId.ARRAY: lambda type_: pa.list_(arrow_type(type_.element or NULL)),
    TypeId.STRUCT: lambda type_: pa.struct([(name, arrow_type(field)) for name, field in type_.fields]),
    TypeId.RANGE: lambda type_: pa.struct(
        [(name, arrow_type(type_.element or NULL)) for name in ("lower", "upper")]
        + [(name, pa.bool_()) for name in ("lower_inc", "upper_inc", "is_empty")]
    ),
}


def _blobs(decode: Callable[[bytes], Any]) -> Callable[[ColumnValues, int], list[Any]]:
    def decode_all(column: ColumnValues, rows: int) -> list[Any]:
        heap, offsets = column.heap, struct.unpack(f"<{rows + 1}i", column.data)
        values = [heap[start:end] for start, end in itertools.pairwise(offsets)]
        if column.validity is None:
            return [decode(value) for value in values]
        return [decode(value) if valid else None for value, valid in zip(values, column.validity, strict=True)]

    return decode_all


def _decoder(type_: SqlType) -> Callable[[ColumnValues, int], list[Any]]:
    match type_.id:
        case TypeId.NULL:
            return lambda _column, rows: [None] * rows
        case TypeId.BOOLEAN:
            return lambda column, _rows: [value != 0 for value in column.data]
        case TypeId.HUGEINT | TypeId.U64:
            return lambda column, rows: list(_wide_integers(column.data, rows))
        case TypeId.NUMERIC:
            return _decimals(type_.scale) if type_.shown is None else _shown_decimals(type_)
        case TypeId.TEXT:
            return _texts
        case TypeId.DATE:
            return _dates
        case TypeId.TIMESTAMP:
            return _timestamps
        case TypeId.TIMESTAMPTZ:
            return _aware_timestamps
        case TypeId.TIME:
            return _times
        case TypeId.INTERVAL:
            return _intervals
        case TypeId.UUID:
            return _uuids
        case TypeId.ENUM:
            return _labels(type_.labels)
        case kind if type_.is_blob:
            decode = BLOB_DECODERS.get(kind)
            return _blobs(bytes if decode is None else partial(decode, type_))
        case kind:
            cast = _CASTS[kind]
            return lambda column, _rows: memoryview(column.data).cast(cast).tolist()  # type: ignore[call-overload]


class RowDecoder:
    """Turns batches of one shape into Python rows; made once per statement."""

    def __init__(self, output: Sequence[OutputColumn]) -> None:
        self._decoders = tuple(_decoder(column.type) for column in output)

    def rows(self, batch: ResultBatch) -> list[Row]:
        count = batch.rows
        if not count:
            return []
        if not self._decoders:
            return [()] * count
        if count < _MANY or not gc.isenabled():
            return self._rows(batch, count)
        # Thousands of new tuples and no garbage: the collector would look through them several times a batch (a third
        # of the whole time).
        gc.disable()
        try:
            return self._rows(batch, count)
        finally:
            gc.enable()

    def _rows(self, batch: ResultBatch, count: int) -> list[Row]:
        lists = []
        for decode, column in zip(self._decoders, batch.columns, strict=True):
            values = decode(column, count)
            validity = column.validity
            if validity is not None and 0 in validity:
                values = [value if valid else None for value, valid in zip(values, validity, strict=True)]
            lists.append(values)
        return list(zip(*lists, strict=True))


# --- Arrow ----------------------------------------------------------------------------------------------------------


def arrow_type(type_: SqlType) -> pa.DataType:
    match type_.id:
        case TypeId.NUMERIC:
            return pa.decimal128(type_.precision, type_.scale)
        case TypeId.HUGEINT:
            return pa.decimal128(38, 0)
        case kind if kind in BLOB_ARROW:
            return BLOB_ARROW[kind](type_)
    return _ARROW.get(type_.id, pa.binary())


_ARROW = {
    TypeId.NULL: pa.null(),
    TypeId.BOOLEAN: pa.bool_(),
    TypeId.SMALLINT: pa.int16(),
    TypeId.INTEGER: pa.int32(),
    TypeId.BIGINT: pa.int64(),
    TypeId.U8: pa.uint8(),
    TypeId.U16: pa.uint16(),
    TypeId.U32: pa.uint32(),
    TypeId.U64: pa.uint64(),
    TypeId.REAL: pa.float32(),
    TypeId.DOUBLE: pa.float64(),
    TypeId.TEXT: pa.string(),
    TypeId.DATE: pa.date32(),
    TypeId.TIMESTAMP: pa.timestamp("us"),
    TypeId.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
    TypeId.TIME: pa.time64("us"),
    TypeId.INTERVAL: pa.month_day_nano_interval(),
    TypeId.UUID: pa.uuid(),
    TypeId.ENUM: pa.dictionary(pa.int32(), pa.string()),
    TypeId.JSON: pa.string(),
    TypeId.JSONB: pa.string(),
}


def stored_arrow_type(type_: SqlType) -> pa.DataType:
    """The Arrow type whose values are the canonical ones: what storage takes, without a way through Python's or Arrow's
    own idea of the type."""
    match type_.id:
        case TypeId.INTERVAL | TypeId.UUID:
            return pa.binary(16)
        case TypeId.ENUM:
            return pa.int32()
    return pa.binary() if type_.is_blob else arrow_type(type_)


def arrow_schema(output: Sequence[OutputColumn], *, stored: bool = False) -> pa.Schema:
    if stored:
        return pa.schema([pa.field(column.name, stored_arrow_type(column.type), column.nullable) for column in output])
    return pa.schema([pa.field(column.name, arrow_type(column.type), column.nullable) for column in output])


def _bits(flags: bytes) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.frombuffer(flags, dtype=np.uint8), bitorder="little"))


def arrow_array(column: ColumnValues, rows: int, type_: SqlType, target: pa.DataType) -> pa.Array:
    if type_.id is TypeId.NULL:
        return pa.nulls(rows)
    validity = None if column.validity is None or 0 not in column.validity else _bits(column.validity)
    data = pa.py_buffer(column.data)
    if target != (canonical := stored_arrow_type(type_)):
        return _users_array(column, rows, type_, target, validity)
    match type_.id:
        case TypeId.UUID:
            data = pa.py_buffer(uuid_words(np.frombuffer(column.data, np.int64).reshape(-1, 2)))
        case _ if type_.is_variable:
            return pa.Array.from_buffers(canonical, rows, [validity, data, pa.py_buffer(column.heap)])
        case TypeId.BOOLEAN:
            data = _bits(column.data)
        case TypeId.U64:
            data = pa.py_buffer(np.ascontiguousarray(np.frombuffer(column.data, dtype=np.uint64)[::2]))
        case TypeId.HUGEINT:
            _check_decimal_range(column, rows)
    return pa.Array.from_buffers(target, rows, [validity, data])


def _users_array(
    column: ColumnValues, rows: int, type_: SqlType, target: pa.DataType, validity: pa.Buffer | None
) -> pa.Array:
    """The types whose Arrow form is not the canonical one."""
    stored = stored_arrow_type(type_)
    match type_.id:
        case TypeId.UUID:
            return pa.ExtensionArray.from_storage(target, arrow_array(column, rows, type_, stored))
        case TypeId.ENUM:
            codes = arrow_array(column, rows, type_, stored)
            return pa.DictionaryArray.from_arrays(codes, pa.array(type_.labels, pa.string()))
        case TypeId.JSON:
            buffers = [validity, pa.py_buffer(column.data), pa.py_buffer(column.heap)]
            return pa.Array.from_buffers(target, rows, buffers)
        case TypeId.JSONB:
            texts = _blobs(partial(jsonb.format_jsonb, type_))(column, rows)
            return pa.array(texts, target)
        case TypeId.INTERVAL:
            pairs = np.frombuffer(column.data, np.int64).reshape(rows, 2)
            found = np.empty((rows, 2), np.int64)
            upper = pairs[:, 1]
            found[:, 0] = (upper << 32) | ((upper >> 32) & 0xFFFFFFFF)
            found[:, 1] = pairs[:, 0] * 1000
            if ((found[:, 1] // 1000) != pairs[:, 0]).any():
                raise DataError("an interval's time does not fit the nanoseconds of Arrow's interval", sqlstate="22008")
            return pa.Array.from_buffers(target, rows, [validity, pa.py_buffer(found)])
    values = _decoder(type_)(column, rows)
    if column.validity is not None:
        values = [value if valid else None for value, valid in zip(values, column.validity, strict=True)]
    return pa.array(values, target)


def _check_decimal_range(column: ColumnValues, rows: int) -> None:
    """decimal128 ends at 10**38 - 1, hugeint at 2**127 - 1."""
    high = np.frombuffer(column.data, dtype=np.int64).reshape(rows, 2)[:, 1]
    suspect = (high >= _HUGEINT_ARROW_LIMIT_HIGH) | (high < -_HUGEINT_ARROW_LIMIT_HIGH)
    if not suspect.any():
        return
    for value, index in zip(_wide_integers(column.data, rows), range(rows), strict=True):
        if abs(value) >= 10**38 and (column.validity is None or column.validity[index]):
            raise DataError(f"hugeint {value} does not fit Arrow's decimal128(38, 0)", sqlstate="22003")


def arrow_batch(batch: ResultBatch, output: Sequence[OutputColumn], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(batch.columns, output, schema, strict=True)
    arrays = [arrow_array(c, batch.rows, o.type, field.type) for c, o, field in columns]
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * batch.rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
