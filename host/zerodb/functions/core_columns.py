"""Columns between Arrow and the memory of a core module: how values of each type lie there.

Values of a fixed width are copied as they are, but for booleans, which Arrow packs into bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from zerodb_compiler.errors import error_for
from zerodb_compiler.types import SqlType, TypeId

_WIDTHS = {
    TypeId.BOOLEAN: 1,
    TypeId.SMALLINT: 2,
    TypeId.INTEGER: 4,
    TypeId.BIGINT: 8,
    TypeId.U8: 1,
    TypeId.U16: 2,
    TypeId.U32: 4,
    TypeId.U64: 8,
    TypeId.REAL: 4,
    TypeId.DOUBLE: 8,
    TypeId.DATE: 4,
    TypeId.TIME: 8,
    TypeId.TIMESTAMP: 8,
    TypeId.TIMESTAMPTZ: 8,
    TypeId.UUID: 16,
}
_TEXTS = (TypeId.TEXT, TypeId.BYTEA)
OFFSET_BYTES = 4
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class Layout:
    """`width` in bytes, 0 for text and bytea. `packed`: a boolean. `addresses`: how many parameters it is."""

    type: SqlType
    width: int

    @property
    def addresses(self) -> int:
        return 1 if self.width else 2

    @property
    def packed(self) -> bool:
        return self.type.id is TypeId.BOOLEAN


def layout_of(type_: SqlType) -> Layout:
    """0A000 for a type that has no form in a core module's memory."""
    if type_.id in _TEXTS:
        return Layout(type_, 0)
    width = _WIDTHS.get(type_.id)
    if width is None:
        hint = "functions in components (LANGUAGE wasm) take all types"
        raise error_for("0A000", f"type {type_} is not supported for functions in LANGUAGE wasm_core", hint=hint)
    return Layout(type_, width)


def plain(array: pa.Array) -> pa.Array:
    """The array without an extension type's clothes."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def fixed_bytes(array: pa.Array, layout: Layout) -> Bytes:
    """The values of a column of fixed width, as bytes. Where a value is NULL they have no meaning."""
    buffer = array.buffers()[1]
    begin, rows = array.offset, len(array)
    if layout.packed:
        bits = np.frombuffer(buffer, np.uint8)[begin // 8 : (begin + rows + 7) // 8]
        return np.unpackbits(bits, bitorder="little")[begin % 8 : begin % 8 + rows]
    return np.frombuffer(buffer, np.uint8)[begin * layout.width : (begin + rows) * layout.width]


def text_bytes(array: pa.Array) -> tuple[Any, Bytes]:
    """(offsets beginning with 0, bytes) of a text or bytea column."""
    if not len(array):
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    buffers = array.buffers()
    offsets = np.frombuffer(buffers[1], np.int32)[array.offset : array.offset + len(array) + 1]
    data = np.empty(0, np.uint8) if buffers[2] is None else np.frombuffer(buffers[2], np.uint8)
    return offsets - offsets[0], data[offsets[0] : offsets[-1]]


def validity_bytes(array: pa.Array) -> Bytes | None:
    """A byte for each row, 1 where there is a value; None if all have one."""
    if not array.null_count:
        return None
    begin, rows = array.offset, len(array)
    bits = np.frombuffer(array.buffers()[0], np.uint8)[begin // 8 : (begin + rows + 7) // 8]
    return np.unpackbits(bits, bitorder="little")[begin % 8 : begin % 8 + rows]


def packed_bits(flags: Bytes) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags != 0, bitorder="little"))
