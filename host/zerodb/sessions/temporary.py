"""The temporary tables and sequences of a session: a schema of its own, which nobody else sees, and which goes with it.

Storage keeps them in memory only. What ON COMMIT says is done as the last part of each transaction.
"""

from __future__ import annotations

from zerodb_storage import Snapshot, WriteTransaction


class Temporary:
    def __init__(self, schema: str) -> None:
        self.schema = schema
        self.has_on_commit = False  # whether a table was made with ON COMMIT DROP or DELETE ROWS

    def end_transaction(self, write: WriteTransaction) -> None:
        """ON COMMIT DELETE ROWS and ON COMMIT DROP."""
        if not self.has_on_commit:
            return
        for key, version in list(write.tables.items()):
            if version.schema.schema != self.schema:
                continue
            match dict(version.schema.options).get("on_commit"):
                case "drop":
                    write.drop_table(key)
                case "delete rows" if version.row_count:
                    write.truncate(key)

    def is_empty(self, snapshot: Snapshot) -> bool:
        return not any(found.schema.schema == self.schema for found in snapshot.tables.values()) and not any(
            key[1] == self.schema for key in snapshot.catalog
        )

    def drop(self, write: WriteTransaction) -> None:
        """The session ends."""
        for key in [key for key, found in write.tables.items() if found.schema.schema == self.schema]:
            write.drop_table(key)
        for kind, schema, name in list(write.catalog):
            if schema == self.schema:
                write.drop_object(kind, schema, name)
