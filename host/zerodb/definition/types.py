"""CREATE TYPE ... AS ENUM (...) and AS (...), ALTER TYPE, DROP TYPE.

A type is a catalog object whose data holds the type itself (storage's `type_record`): columns keep a copy of it, so a
table is read without the catalog. A type that a column has is not dropped (2BP01; CASCADE is 0A000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zerodb.definition.dependencies import in_use
from zerodb.definition.names import find_object, new_schema, taken_names, view_of
from zerodb.outcome import Outcome
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl import Name
from zerodb_compiler.sql.definitions.columns import column_type
from zerodb_compiler.types import SqlType, TypeId, enum_type, struct
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
        if kind == "function" and any(_mentions(type_from(record), name) for record in _function_types(data)):
            found.append(f"function {other}")
    return found


def _function_types(data: dict[str, Any]) -> list[Any]:
    return [record for _, record in (*data["arguments"], *data["results"])]


def _mentions(type_: SqlType, name: str) -> bool:
    if type_.name == name:
        return True
    parts = [field for _, field in type_.fields] + ([type_.element] if type_.element is not None else [])
    return any(_mentions(part, name) for part in parts)


# --- alter ------------------------------------------------------------------------------------------------------------


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterType) -> Outcome:
    """ALTER TYPE. Columns hold copies of the type, which change with it; a label added last changes no stored value."""
    outcome = Outcome("ALTER TYPE")
    found = find_object(connection, write, KIND, node.name)
    if found is None:
        raise error_for("42704", f'type "{node.name}" does not exist', position=node.name.position)
    schema, name = found
    data = write.catalog[KIND, schema, name]
    old = type_from(data["type"])
    match node.kind:
        case "nothing":
            return outcome
        case "set schema":
            new_place = new_schema(connection, write, Name("", node.new_name, node.name.position))
            if new_place != schema:
                _check_free(write, new_place, name, node.name.position)
                write.drop_object(KIND, schema, name)
                write.put_object(KIND, new_place, name, data)
            return outcome
        case "rename":
            _check_free(write, schema, node.new_name, node.name.position)
            new = replace(old, name=node.new_name)
        case _:
            changed = _labels(node, old)
            if changed is None:
                return outcome
            new = replace(old, labels=changed)
    write.drop_object(KIND, schema, name)
    write.put_object(KIND, schema, new.name or name, {**data, "type": type_record(new)})
    _exchange(write, old, new)
    return outcome


def _check_free(write: WriteTransaction, schema: str, name: str, position: int | None) -> None:
    snapshot = write.snapshot()
    if snapshot.object(KIND, schema, name) is not None or name in taken_names(snapshot, schema):
        raise error_for("42710", f'type "{name}" already exists', position=position)


def _labels(node: ddl.AlterType, old: SqlType) -> tuple[str, ...] | None:
    """The labels after ADD VALUE or RENAME VALUE; None if there is nothing to do."""
    if old.id is not TypeId.ENUM:
        raise error_for("42809", f'"{node.name.name}" is not an enum', position=node.name.position)
    labels = list(old.labels)
    if node.kind == "rename value":
        if node.neighbour not in labels:
            raise error_for("22023", f'"{node.neighbour}" is not an existing enum label')
        if node.value in labels:
            raise error_for("42710", f'enum label "{node.value}" already exists')
        labels[labels.index(node.neighbour)] = node.value
        return tuple(labels)
    if node.value in labels:
        if node.if_not_exists:
            return None
        raise error_for("42710", f'enum label "{node.value}" already exists')
    if not node.value or len(node.value.encode()) > MAX_LABEL_BYTES:
        raise error_for("42602", f'invalid enum label "{node.value}"', hint="labels have 1 to 63 bytes")
    if node.neighbour is not None:
        if node.neighbour not in labels:
            raise error_for("22023", f'"{node.neighbour}" is not an existing enum label')
        place = labels.index(node.neighbour) + (not node.before)
        if place < len(labels):
            raise error_for("0A000", "ALTER TYPE ... ADD VALUE before another label is not supported")
    return (*labels, node.value)


def _exchange(write: WriteTransaction, old: SqlType, new: SqlType) -> None:
    """Puts the changed type into the columns, types and views that have it."""

    def changed(type_: SqlType) -> SqlType:
        if type_ == old:
            return new
        element = None if type_.element is None else changed(type_.element)
        return replace(type_, element=element, fields=tuple((name, changed(part)) for name, part in type_.fields))

    for version in list(write.tables.values()):
        columns = tuple(replace(column, type=changed(column.type)) for column in version.columns)
        if columns != version.columns:
            write.change_schema(version.key, replace(version.schema, columns=columns))
    for (kind, schema, name), data in list(write.catalog.items()):
        if kind == KIND:
            type_ = type_from(data["type"])
            if changed(type_) != type_:
                write.put_object(kind, schema, name, {**data, "type": type_record(changed(type_))})
        elif kind == "function":
            _exchange_in_function(write, (kind, schema, name), data, changed)
        elif kind in ("view", "materialized view"):
            found = [[column, type_record(changed(type_from(record)))] for column, record in data["columns"]]
            if found != data["columns"]:
                write.put_object(kind, schema, name, {**data, "columns": found})


def _exchange_in_function(
    write: WriteTransaction, key: tuple[str, str, str], data: dict[str, Any], changed: Callable[[SqlType], SqlType]
) -> None:
    """A function's name in the catalog says its arguments' types."""
    from zerodb.definition.functions import signature_key

    arguments = [(name, changed(type_from(record))) for name, record in data["arguments"]]
    new = {
        **data,
        "arguments": [[name, type_record(type_)] for name, type_ in arguments],
        "results": [[name, type_record(changed(type_from(record)))] for name, record in data["results"]],
    }
    if new != data:
        write.drop_object(*key)
        write.put_object(key[0], key[1], signature_key(data["name"], arguments), {**new, "version": write.next_id()})
