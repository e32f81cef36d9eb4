"""Results: from output blocks in linear memory to Arrow arrays and Python rows.

A `ResultBatch` is host-owned bytes per column, copied out of one output block as soon as its morsel has run, so that
big results do not fill linear memory. Arrow arrays take the bytes as their buffers (booleans and validity are packed to
bits, u64 and numeric narrow from 16 bytes where Arrow's type is smaller); Python rows are decoded column by column with
memoryview casts and C loops.
"""

from __future__ import annotations

import gc
import itertools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.errors import DataError
from zerodb_compiler.types import SqlType, TypeId

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


def read_block(words: memoryview, memory: memoryview, block: int, output: Sequence[OutputColumn]) -> ResultBatch:
    """Copies an output block (abi.OUTPUT_*) out of linear memory."""
    rows = words[(block + abi.OUTPUT_ROWS) >> 2]
    record = (block + abi.OUTPUT_HEADER) >> 2
    columns = []
    for column in output:
        data, validity, heap, _ = words[record : record + 4]
        record += abi.OUTPUT_COLUMN_BYTES >> 2
        nulls = bytes(memory[validity : validity + rows]) if validity else None
        if column.type.id is TypeId.TEXT:
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


def _decoder(type_: SqlType) -> Callable[[ColumnValues, int], list[Any]]:
    match type_.id:
        case TypeId.NULL:
            return lambda _column, rows: [None] * rows
        case TypeId.BOOLEAN:
            return lambda column, _rows: [value != 0 for value in column.data]
        case TypeId.HUGEINT | TypeId.U64:
            return lambda column, rows: list(_wide_integers(column.data, rows))
        case TypeId.NUMERIC:
            return _decimals(type_.scale)
        case TypeId.TEXT:
            return _texts
        case TypeId.DATE:
            return _dates
        case TypeId.TIMESTAMP:
            return _timestamps
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
    return _ARROW[type_.id]


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
}


def arrow_schema(output: Sequence[OutputColumn]) -> pa.Schema:
    return pa.schema([pa.field(column.name, arrow_type(column.type), column.nullable) for column in output])


def _bits(flags: bytes) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.frombuffer(flags, dtype=np.uint8), bitorder="little"))


def _arrow_array(column: ColumnValues, rows: int, type_: SqlType) -> pa.Array:
    target = arrow_type(type_)
    if type_.id is TypeId.NULL:
        return pa.nulls(rows)
    validity = None if column.validity is None or 0 not in column.validity else _bits(column.validity)
    data = pa.py_buffer(column.data)
    match type_.id:
        case TypeId.TEXT:
            return pa.Array.from_buffers(target, rows, [validity, data, pa.py_buffer(column.heap)])
        case TypeId.BOOLEAN:
            data = _bits(column.data)
        case TypeId.U64:
            data = pa.py_buffer(np.ascontiguousarray(np.frombuffer(column.data, dtype=np.uint64)[::2]))
        case TypeId.HUGEINT:
            _check_decimal_range(column, rows)
    return pa.Array.from_buffers(target, rows, [validity, data])


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
    arrays = [_arrow_array(c, batch.rows, o.type) for c, o in zip(batch.columns, output, strict=True)]
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * batch.rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
