"""Commit records: what one transaction did to one table, as one sealed value.

Inserted rows come first, then deletions. Deleted rows are named by ids that count the delta's rows from its beginning
(`TableVersion.stable_ids`), and rows are only appended, so replaying the records of a table in order of their sequence
numbers gives exactly the rows that were committed. Strings are logged as strings: the dictionary is rebuilt by replay.
Each record names its predecessor, so a missing one is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def unpack(key: bytes, value: bytes) -> CommitRecord:
    content = records.unpack(key, value)
    with records.reading(key):
        rows = tuple(encoding.decode(column, MOST_ROWS) for column in content["rows"])
        deleted = encoding.decode(content["deleted"], MOST_ROWS)
        return CommitRecord(content["previous"], rows, deleted.data)
