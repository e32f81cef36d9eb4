"""Result rows as text, in PostgreSQL's output forms: what a client that asks for text sees.

Values go from an output block to canonical form (types.py) and from there to text by `format_value`, without a Python
object in between: a Python date knows no infinity and no year before 1, a Python float no real.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import numpy as np

from zerodb.engine.result import ColumnValues, ResultBatch
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.sql.values import Value, format_value
from zerodb_compiler.types import SqlType, TypeId

TextRow = tuple[str | None, ...]

_SIGNED = {1: "b", 2: "h", 4: "i", 8: "q"}
_UNSIGNED = {TypeId.U8: "B", TypeId.U16: "H", TypeId.U32: "I"}


def text_rows(batch: ResultBatch, output: Sequence[OutputColumn]) -> list[TextRow]:
    """The rows of a batch; NULL is None."""
    if not batch.rows:
        return []
    if not output:
        return [()] * batch.rows
    columns = [_texts(values, batch.rows, column.type) for values, column in zip(batch.columns, output, strict=True)]
    return list(zip(*columns, strict=True))


def _texts(column: ColumnValues, rows: int, type_: SqlType) -> list[str | None]:
    if type_.id is TypeId.NULL:
        return [None] * rows
    values = canonical_values(column, rows, type_)
    texts: list[str | None]
    if type_.is_integer or (type_.is_text and not type_.padded):
        texts = values if type_.is_text else list(map(str, values))  # type: ignore[assignment]
    elif type_.id is TypeId.BOOLEAN:
        texts = ["t" if value else "f" for value in values]
    elif column.validity is not None:  # what lies under a NULL need not be a value of the type
        pairs = zip(values, column.validity, strict=True)
        return [format_value(type_, value) if valid else None for value, valid in pairs]
    else:
        return [format_value(type_, value) for value in values]
    if column.validity is not None and 0 in column.validity:
        return [text if valid else None for text, valid in zip(texts, column.validity, strict=True)]
    return texts


def canonical_values(column: ColumnValues, rows: int, type_: SqlType) -> Sequence[Value]:
    """A column's values in canonical form (text as str); those under a NULL are of no meaning."""
    data = column.data
    if type_.is_text or type_.is_blob:
        pairs = itertools.pairwise(struct.unpack(f"<{rows + 1}i", data))
        heap = column.heap
        if type_.is_blob:
            return [heap[start:end] for start, end in pairs]
        return [heap[start:end].decode() for start, end in pairs]
    width = len(data) // rows
    if type_.is_float:
        return memoryview(data).cast("f" if width == 4 else "d").tolist()
    if width == 16:
        return _wide(data, rows)
    return memoryview(data).cast(_UNSIGNED.get(type_.id) or _SIGNED[width]).tolist()  # type: ignore[call-overload, no-any-return]


def _wide(data: bytes, rows: int) -> list[Value]:
    words = np.frombuffer(data, dtype=np.int64).reshape(rows, 2)
    return [
        (high << 64) | low for high, low in zip(words[:, 1].tolist(), words[:, 0].view(np.uint64).tolist(), strict=True)
    ]
