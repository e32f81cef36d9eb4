"""Commit records: what one transaction did to one table, as one sealed value.

Inserted rows come first, then deletions. Deleted rows are named by ids that count the delta's rows from its beginning
(`TableVersion.stable_ids`), and rows are only appended, so replaying the records of a table in order of their sequence
numbers gives exactly the rows that were committed. Strings are logged as strings: the dictionary is rebuilt by replay.
Each record names its predecessor, so a missing one is noticed.

A record of one row may have its values one by one instead of columns, with a letter for the form of each (`pack_row`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage import encoding, keys, records
from zerodb_storage.values import Array, Form, Values

MOST_ROWS = 1 << 20  # of one record: larger changes become segments and delete vectors (publishing)


@dataclass(frozen=True, slots=True, eq=False)
class CommitRecord:
    previous: int
    rows: tuple[Values, ...]  # one per column, or none at all if nothing was inserted
    deleted: Array


def pack(table_id: int, sequence: int, record: CommitRecord) -> tuple[bytes, bytes]:
    """Key and sealed value."""
    key = keys.log(table_id, sequence)
    content = {
        "previous": record.previous,
        "rows": [encoding.encode(values) for values in record.rows],
        "deleted": encoding.encode(Values(Form.INT, record.deleted)),
    }
    return key, records.pack(key, content)


Cell = int | float | bytes | None

_INT, _TEXT, _REAL, _DOUBLE = "itfd"  # i: an integer of any size, as a number or 16 bytes


def row_forms(types: Sequence[SqlType]) -> str:
    """The letters for the columns of a table, for `pack_row`."""
    return "".join(
        _TEXT if type_.is_variable else _INT if not type_.is_float else _REAL if type_.id is TypeId.REAL else _DOUBLE
        for type_ in types
    )


def pack_row(
    table_id: int, sequence: int, previous: int, row: Sequence[Cell] | None, forms: str, deleted: Sequence[int]
) -> tuple[bytes, bytes]:
    """As `pack`, for one row of canonical values, text as its bytes, and few deletions."""
    key = keys.log(table_id, sequence)
    content: dict[str, object] = {"previous": previous, "deleted": deleted}
    if row is not None:
        content["row"] = [
            value.to_bytes(16, "little", signed=True)
            if type(value) is int and not -(1 << 63) <= value < 1 << 63
            else value
            for value in row
        ]
        content["forms"] = forms
    return key, records.pack(key, content)


def _values(form: str, value: Cell) -> Values:
    validity = np.zeros(1, np.uint8) if value is None else None
    match form, value:
        case ("t", bytes() | None):
            text = value or b""
            return Values(Form.TEXT, np.array([0, len(text)], np.int64), validity, np.frombuffer(text, np.uint8))
        case ("f" | "d", float() | None):
            return Values(Form.FLOAT, np.array([value or 0.0], np.float32 if form == _REAL else np.float64), validity)
        case ("i", int() | None):
            return Values(Form.INT, np.array([value or 0], np.int64), validity)
        case ("i", bytes()):
            return Values(Form.WIDE, np.frombuffer(value, np.int64).reshape(1, 2))
    raise ValueError(f"a value of form {form!r} cannot be a {type(value).__name__}")


def unpack(key: bytes, value: bytes) -> CommitRecord:
    content = records.unpack(key, value)
    with records.reading(key):
        if "rows" not in content:
            return _unpack_row(content)
        rows = tuple(encoding.decode(column, MOST_ROWS) for column in content["rows"])
        deleted = encoding.decode(content["deleted"], MOST_ROWS)
        return CommitRecord(content["previous"], rows, deleted.data)


def _unpack_row(content: dict[str, Any]) -> CommitRecord:
    row, forms = content.get("row", []), content.get("forms", "")
    rows = tuple(_values(form, value) for form, value in zip(forms, row, strict=True))
    deleted = content["deleted"]
    if not all(isinstance(number, int) for number in (content["previous"], *deleted)):
        raise ValueError("not a number")
    return CommitRecord(content["previous"], rows, np.array(deleted, np.int64))
