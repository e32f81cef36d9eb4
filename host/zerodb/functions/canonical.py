"""Canonical values (zerodb_compiler/types.py) out of results and Arrow columns: what variables of functions hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.external import wire_type
from zerodb_compiler.sql.values import Value, format_value, parse_value
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.arrow import from_arrow
from zerodb_storage.values import Form, Values, widen

if TYPE_CHECKING:
    from zerodb.outcome import Outcome


def column_values(values: Values, type_: SqlType) -> list[Value]:
    """All values of a column."""
    found: list[Value]
    match values.form:
        case Form.TEXT:
            assert values.text is not None
            heap, offsets = values.text.tobytes(), values.data.tolist()
            pieces = [heap[offsets[i] : offsets[i + 1]] for i in range(len(offsets) - 1)]
            found = [piece.decode() for piece in pieces] if type_.is_text else list(pieces)
        case Form.WIDE:
            found = [(high << 64) | (low & ((1 << 64) - 1)) for low, high in widen(values).data.tolist()]
        case _:
            found = values.data.tolist()
    if values.validity is None:
        return found
    return [value if valid else None for value, valid in zip(found, values.validity.tolist(), strict=True)]


def array_values(array: pa.Array | pa.ChunkedArray, type_: SqlType) -> list[Value]:
    """The values of an Arrow column of the type."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return [value for chunk in chunks for value in column_values(from_arrow(chunk, type_, "value"), type_)]


def wire_values(array: pa.Array, type_: SqlType) -> list[Value]:
    """The same of an argument, which comes as text if its type is one that functions do not deal in."""
    wire = wire_type(type_)
    found = array_values(array, wire)
    if wire == type_:
        return found
    return [None if value is None else parse_value(type_, str(value)) for value in found]


def to_wire(values: Sequence[Value], type_: SqlType) -> list[Value]:
    return list(values) if wire_type(type_) == type_ else [format_value(type_, value) for value in values]


def result_rows(outcome: Outcome) -> list[tuple[Value, ...]]:
    """The rows of a result."""
    assert outcome.columns is not None
    table = outcome.table(stored=True)
    if not table.num_columns:
        return [()] * max(outcome.row_count, 0)
    columns = [array_values(column, shown.type) for column, shown in zip(table.columns, outcome.columns, strict=True)]
    return list(zip(*columns, strict=True))


def assigned(value: Value, source: SqlType, target: SqlType) -> Value:
    """A value in the type that it is assigned to; by way of its text where there is no cast."""
    if value is None or source == target:
        return value
    if source.id is TypeId.NULL:
        return parse_value(target, str(value))
    if coercion.is_castable(source, target):
        converted = coercion.cast_value(source, target, value)
        if target.is_text and target.length is not None:  # an assignment cuts nothing off
            text = format_value(source, value)
            return parse_value(target, text or "")
        return converted
    text = format_value(source, value)
    assert text is not None
    return parse_value(target, text)
