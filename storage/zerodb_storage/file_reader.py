"""An open file as a stream of record batches, and the SQL types that Arrow's become."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from zerodb_compiler import types
from zerodb_compiler.errors import error_for
from zerodb_compiler.types import SqlType
from zerodb_storage.catalog import Column

BLOCK_BYTES = 4 << 20  # of text that is parsed at a time

_FROM_ARROW: tuple[tuple[Callable[[pa.DataType], bool], SqlType], ...] = (
    (pa.types.is_boolean, types.BOOLEAN),
    (pa.types.is_int8, types.SMALLINT),
    (pa.types.is_int16, types.SMALLINT),
    (pa.types.is_int32, types.INTEGER),
    (pa.types.is_int64, types.BIGINT),
    (pa.types.is_uint8, types.U8),
    (pa.types.is_uint16, types.U16),
    (pa.types.is_uint32, types.U32),
    (pa.types.is_uint64, types.U64),
    (pa.types.is_float16, types.REAL),
    (pa.types.is_float32, types.REAL),
    (pa.types.is_float64, types.DOUBLE),
    (pa.types.is_date, types.DATE),
    (lambda type_: pa.types.is_timestamp(type_) and type_.tz is not None, types.TIMESTAMPTZ),
    (pa.types.is_timestamp, types.TIMESTAMP),
    (pa.types.is_time, types.TIME),
    (pa.types.is_interval, types.INTERVAL),
    (pa.types.is_duration, types.INTERVAL),
    (lambda type_: isinstance(type_, pa.UuidType), types.UUID),
    (pa.types.is_binary, types.BYTEA),
    (pa.types.is_large_binary, types.BYTEA),
    (pa.types.is_fixed_size_binary, types.BYTEA),
    (pa.types.is_binary_view, types.BYTEA),
    (pa.types.is_string, types.TEXT),
    (pa.types.is_large_string, types.TEXT),
    (pa.types.is_string_view, types.TEXT),
    (pa.types.is_null, types.TEXT),
)


def sql_type(type_: pa.DataType, column: str) -> SqlType:
    """The SQL type for an Arrow type; 0A000 if there is none."""
    if pa.types.is_dictionary(type_):
        return sql_type(type_.value_type, column)
    if pa.types.is_decimal(type_) and 0 <= type_.scale <= type_.precision <= types.MAX_PRECISION:
        return types.numeric(type_.precision, type_.scale)
    for matches, found in _FROM_ARROW:
        if matches(type_):
            return found
    raise error_for("0A000", f'column "{column}" has the type {type_}, which zerodb does not store')


def schema_of(schema: pa.Schema) -> tuple[Column, ...]:
    """Columns for a table with an Arrow schema."""
    return tuple(Column(field.name, sql_type(field.type, field.name), not field.nullable) for field in schema)


@dataclass(slots=True)
class FileReader:
    """An open file: iterate once for its record batches. `position()` is how many of `byte_count` bytes were read so
    far (about: reading is ahead of what was delivered)."""

    schema: pa.Schema
    columns: tuple[Column, ...]
    byte_count: int
    batches: Iterator[pa.RecordBatch]
    position: Callable[[], int]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
