"""Rows that a query gave, as storage keeps them, without a way through Arrow: for changes of few rows the way there and
back took longer than the change.

    ResultBatch (bytes per column, as in output blocks) --> Values (NumPy arrays), over the same memory where it can be

Limits: `stored_values` gives None where a value may have to be refused or changed by rules that are kept with Arrow's
types (a varchar that may be too long, a NULL with bytes under it).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zerodb.engine.result import ColumnValues
from zerodb.values import Canonical
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.arrow import check_bounds
from zerodb_storage.values import Array, Form, Values, narrow

_INTEGERS = {
    TypeId.BOOLEAN: np.uint8,
    TypeId.SMALLINT: np.int16,
    TypeId.INTEGER: np.int32,
    TypeId.BIGINT: np.int64,
    TypeId.U8: np.uint8,
    TypeId.U16: np.uint16,
    TypeId.U32: np.uint32,
    TypeId.DATE: np.int32,
    TypeId.TIMESTAMP: np.int64,
    TypeId.TIMESTAMPTZ: np.int64,
    TypeId.TIME: np.int64,
    TypeId.ENUM: np.int32,
}
_WIDE = frozenset({TypeId.NUMERIC, TypeId.HUGEINT, TypeId.U64, TypeId.UUID, TypeId.INTERVAL})
_BOUNDED = frozenset({TypeId.NUMERIC, TypeId.HUGEINT, TypeId.TIME, TypeId.ENUM})


def is_plain(table: TableInfo) -> bool:
    """Whether new rows pass no expression on their way into the table: then storage's form is all that is needed."""
    constraints = table.constraints
    return (
        constraints.partitioning is None
        and constraints.bound is None
        and not constraints.checks
        and all(index.is_plain or not index.unique for index in constraints.indexes)
        and all(column.generated is None for column in table.columns)
        and not table.triggers
    )


def stored_values(table: TableInfo, rows: int, columns: Sequence[ColumnValues]) -> list[Values] | None:
    """All columns of new rows; 22003 for a value out of its type's range."""
    found: list[Values] = []
    for column, values in zip(table.columns, columns, strict=True):
        made = _stored(values, rows, column.type)
        if made is None:
            return None
        if column.type.id in _BOUNDED:
            check_bounds(made, column.type, column.name)
        found.append(made)
    return found


def constant_values(table: TableInfo, columns: Sequence[Sequence[Canonical]]) -> list[Values] | None:
    """The same for canonical values, a sequence per column."""
    found: list[Values] = []
    for column, cells in zip(table.columns, columns, strict=True):
        made = _constants(cells, column.type)
        if made is None:
            return None
        if column.type.id in _BOUNDED:
            check_bounds(made, column.type, column.name)
        found.append(made)
    return found


def _constants(cells: Sequence[Canonical], type_: SqlType) -> Values | None:
    missing = None in cells
    validity = np.array([cell is not None for cell in cells], np.uint8) if missing else None
    if type_.is_variable:
        texts: list[bytes] = []
        for cell in cells:
            if type_.length is not None and isinstance(cell, str) and len(cell) > type_.length:
                return None
            texts.append(cell.encode() if isinstance(cell, str) else cell if isinstance(cell, bytes) else b"")
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        return Values(Form.TEXT, offsets, validity, np.frombuffer(b"".join(texts), np.uint8))
    if type_.is_float:
        kind = np.float32 if type_.id is TypeId.REAL else np.float64
        return Values(Form.FLOAT, np.array([0.0 if cell is None else cell for cell in cells], kind), validity)
    if type_.id not in _INTEGERS and type_.id not in _WIDE:
        return None
    numbers = [cell if isinstance(cell, int) else 0 for cell in cells]
    if type_.id not in _WIDE or all(-(1 << 63) <= number < 1 << 63 for number in numbers):
        return Values(Form.INT, np.array(numbers, np.int64), validity)
    data = b"".join(number.to_bytes(16, "little", signed=True) for number in numbers)
    return Values(Form.WIDE, np.frombuffer(data, np.int64).reshape(-1, 2), validity)


def _stored(column: ColumnValues, rows: int, type_: SqlType) -> Values | None:
    validity: Array | None = None
    if column.validity is not None and 0 in column.validity:
        validity = np.frombuffer(column.validity, np.uint8)
    if type_.is_variable:
        return _text(column, validity, type_)
    if type_.id in _WIDE:
        pairs = np.frombuffer(column.data, np.int64).reshape(rows, 2)
        return narrow(Values(Form.WIDE, pairs if validity is None else pairs * validity[:, None], validity))
    if type_.is_float:
        floats = np.frombuffer(column.data, np.float32 if type_.id is TypeId.REAL else np.float64)
        return Values(Form.FLOAT, floats if validity is None else np.where(validity, floats, 0), validity)
    kind = _INTEGERS.get(type_.id)
    if kind is None:
        return None
    data = np.frombuffer(column.data, kind).astype(np.int64, copy=False)
    return Values(Form.INT, data if validity is None else data * validity, validity)


def _text(column: ColumnValues, validity: Array | None, type_: SqlType) -> Values | None:
    offsets = np.frombuffer(column.data, np.int32).astype(np.int64)
    if validity is not None or type_.length is not None:
        sizes = offsets[1:] - offsets[:-1]
        if type_.length is not None and len(sizes) and int(sizes.max()) > type_.length:
            return None
        if validity is not None and bool(sizes[validity == 0].any()):
            return None
    text = np.frombuffer(column.heap, np.uint8)
    if offsets[0]:
        text, offsets = text[int(offsets[0]) :], offsets - offsets[0]
    return Values(Form.TEXT, offsets, validity, text)
