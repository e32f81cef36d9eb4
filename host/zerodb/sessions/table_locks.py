"""LOCK TABLE.

It looks at no rows: a transaction's snapshot is taken by the first statement after it that does. The locks are the
write transaction's, so they end with it or at a savepoint. A read-only transaction has none: its locks end with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from zerodb.changes.partitioning import leaves
from zerodb.engine import keyboard
from zerodb.outcome import Outcome
from zerodb.utility import table_key
from zerodb.view import view_info
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import utility_statements as us
from zerodb_storage import TableMode

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View


def lock_tables(connection: Connection, statement: us.LockTable) -> Outcome:
    session = connection._session
    if not session.in_transaction:
        raise error_for("25P01", "LOCK TABLE can only be used in transaction blocks")
    mode = TableMode[statement.mode.upper().replace(" ", "_")]
    keys: dict[str, None] = {}
    view = connection._view(early=True)
    for name in statement.tables:
        keys |= dict.fromkeys(_tables_of(view, name))
    if session.is_read_only:
        with keyboard.held():
            owner = session.locks.reader()
            for key in keys:
                version = view.tables[key]
                connection._database.storage.locks.lock_table(
                    owner, version.id, mode, nowait=statement.nowait, name=version.name
                )
        return Outcome("LOCK TABLE")
    with session.writing() as write:
        for key in keys:
            write.lock_table(key, mode, nowait=statement.nowait, seen=False)
            for part in leaves(write, write.table(key).id):
                write.lock_table(part.key, mode, nowait=statement.nowait, seen=False)
    return Outcome("LOCK TABLE")


def _tables_of(view: View, name: us.TableName) -> Iterator[str]:
    """The table of that name, or those that the view of that name reads."""
    found = view.view(name.name, name.schema)
    if found is None:
        key = table_key(view, name)
        kind = dict(view.tables[key].schema.options).get("kind", "table")
        if kind != "table":
            raise error_for("42809", f'cannot lock relation "{name.name}"', hint=f"it is a {kind}")
        yield key
        return
    ids = [table.id for table in found.tables]
    while ids:
        id_ = ids.pop(0)
        version = next((version for version in view.tables.values() if version.id == id_), None)
        if version is not None and id_ is not None and id_ > 0:
            yield version.key
        for (kind, schema, other), data in view.snapshot.catalog.items():
            if kind == "view" and data["id"] == id_:
                ids += [table.id for table in view_info(schema, other, data).tables]
