"""Commit records: what one transaction did to one table, as one sealed value.

Inserted rows come first, then deletions. Deleted rows are named by ids that count the delta's rows from its beginning
(`TableVersion.stable_ids`), and rows are only appended, so replaying the records of a table in order of their sequence
numbers gives exactly the rows that were committed. Strings are logged as strings: the dictionary is rebuilt by replay.
Each record names its predecessor, so a missing one is noticed.

A record of few rows may have its values one by one instead of columns, with a letter for the form of each column
(`pack_few`).
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
_FLOATS = {_REAL: np.float32, _DOUBLE: np.float64}


def row_forms(types: Sequence[SqlType]) -> str:
    """The letters for the columns of a table, for `pack_few`."""
    return "".join(
        _TEXT if type_.is_variable else _INT if not type_.is_float else _REAL if type_.id is TypeId.REAL else _DOUBLE
        for type_ in types
    )


def pack_few(
    table_id: int, sequence: int, previous: int, rows: Sequence[Sequence[Cell]], forms: str, deleted: Sequence[int]
) -> tuple[bytes, bytes]:
    """As `pack`, for few rows of canonical values, text as its bytes, and few deletions."""
    key = keys.log(table_id, sequence)
    content: dict[str, object] = {"previous": previous, "deleted": deleted}
    if rows:
        content["cells"] = [
            _wide(value) if type(value) is int and not -(1 << 63) <= value < 1 << 63 else value
            for row in rows
            for value in row
        ]
        content["forms"] = forms
    return key, records.pack(key, content)


def _wide(value: int) -> bytes:
    return value.to_bytes(16, "little", signed=True)


def _values(form: str, cells: list[Cell]) -> Values:
    """A column."""
    count = len(cells)
    validity = None
    if None in cells:
        validity = np.array([value is not None for value in cells], np.uint8)
    given = [value for value in cells if value is not None]
    wanted: type | tuple[type, ...] = bytes if form == _TEXT else (int, bytes) if form == _INT else float
    if form not in (_INT, _TEXT, _REAL, _DOUBLE) or not all(isinstance(value, wanted) for value in given):
        raise ValueError(f"values of form {form!r} cannot be {sorted({type(value).__name__ for value in given})}")
    if form == _TEXT:
        texts = [value if isinstance(value, bytes) else b"" for value in cells]
        offsets = np.zeros(count + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        return Values(Form.TEXT, offsets, validity, np.frombuffer(b"".join(texts), np.uint8))
    if form != _INT:
        return Values(Form.FLOAT, np.array([value or 0.0 for value in cells], _FLOATS[form]), validity)
    if any(isinstance(value, bytes) for value in given):
        wide = [
            value if isinstance(value, bytes) else int(value or 0).to_bytes(16, "little", signed=True)
            for value in cells
        ]
        return Values(Form.WIDE, np.frombuffer(b"".join(wide), np.int64).reshape(count, 2), validity)
    return Values(Form.INT, np.array([value or 0 for value in cells], np.int64), validity)


def unpack(key: bytes, value: bytes) -> CommitRecord:
    content = records.unpack(key, value)
    with records.reading(key):
        if "rows" not in content:
            return _unpack_few(content)
        rows = tuple(encoding.decode(column, MOST_ROWS) for column in content["rows"])
        deleted = encoding.decode(content["deleted"], MOST_ROWS)
        return CommitRecord(content["previous"], rows, deleted.data)


def _unpack_few(content: dict[str, Any]) -> CommitRecord:
    cells, forms = content.get("cells", []), content.get("forms", "")
    if len(cells) % (len(forms) or 1):
        raise ValueError("rows of other lengths")
    rows = tuple(_values(form, cells[place :: len(forms)]) for place, form in enumerate(forms))
    deleted = content["deleted"]
    if not all(isinstance(number, int) for number in (content["previous"], *deleted)):
        raise ValueError("not a number")
    return CommitRecord(content["previous"], rows, np.array(deleted, np.int64))
