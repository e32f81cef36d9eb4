"""CREATE TYPE ... AS ENUM (...) and AS (...), DROP TYPE.

A type is a catalog object whose data holds the type itself (storage's `type_record`): columns keep a copy of it, so a
table is read without the catalog. A type that a column has is not dropped (2BP01; CASCADE is 0A000).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.definition.dependencies import in_use
from zerodb.definition.names import find_object, new_schema, taken_names, view_of
from zerodb.outcome import Outcome
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.binder_ddl import column_type
from zerodb_compiler.types import SqlType, enum_type, struct
from zerodb_storage import WriteTransaction
from zerodb_storage.catalog import type_from, type_record

if TYPE_CHECKING:
    from zerodb.connection import Connection

KIND = "type"
MAX_LABEL_BYTES = 63


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateType) -> Outcome:
    schema = new_schema(connection, write, node.name)
    snapshot = write.snapshot()
    name = node.name.name
    if snapshot.object(KIND, schema, name) is not None or name in taken_names(snapshot, schema):
        raise error_for("42710", f'type "{name}" already exists', position=node.name.position)
    made = _enum(node) if node.labels is not None else _composite(connection, write, node)
    write.put_object(KIND, schema, name, {"type": type_record(made)})
    return Outcome("CREATE TYPE")


def _enum(node: ddl.CreateType) -> SqlType:
    labels = node.labels or ()
    for number, label in enumerate(labels):
        if label in labels[:number]:
            message = f'duplicate key value violates unique constraint: enum label "{label}" used more than once'
            raise error_for("23505", message)
        if not label or len(label.encode()) > MAX_LABEL_BYTES:
            raise error_for("42602", f'invalid enum label "{label}"', hint="labels have 1 to 63 bytes")
    return enum_type(node.name.name, labels)


def _composite(connection: Connection, write: WriteTransaction, node: ddl.CreateType) -> SqlType:
    named = view_of(connection, write).named_type
    fields: list[tuple[str, SqlType]] = []
    for field, type_, place in node.fields:
        if any(field == known for known, _ in fields):
            raise error_for("42701", f'column "{field}" specified more than once', position=place)
        fields.append((field, column_type(type_, place, named)))
    return struct(tuple(fields), node.name.name)


def drop(connection: Connection, write: WriteTransaction, node: ddl.Drop) -> Outcome:
    for name in node.names:
        found = find_object(connection, write, KIND, name)
        if found is None:
            if node.if_exists:
                continue
            raise error_for("42704", f'type "{name}" does not exist', position=name.position)
        user = next((use for use in _users(write, found[1])), None)
        if user is not None:
            if node.cascade:
                raise error_for("0A000", "DROP TYPE ... CASCADE of a type in use is not supported")
            raise in_use(f"type {found[1]}", f"{user} depends on type {found[1]}")
        write.drop_object(KIND, *found)
    return Outcome("DROP TYPE")


def _users(write: WriteTransaction, name: str) -> list[str]:
    """What has the type: columns, and other types."""
    found = [
        f"column {column.name} of table {version.name}"
        for version in write.tables.values()
        for column in version.columns
        if _mentions(column.type, name)
    ]
    for (kind, _, other), data in write.catalog.items():
        if kind == KIND and other != name and _mentions(type_from(data["type"]), name):
            found.append(f"type {other}")
    return found


def _mentions(type_: SqlType, name: str) -> bool:
    if type_.name == name:
        return True
    parts = [field for _, field in type_.fields] + ([type_.element] if type_.element is not None else [])
    return any(_mentions(part, name) for part in parts)
