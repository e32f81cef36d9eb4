"""Names of relations: the schema a new one goes to, which names are taken, and what a name means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.view import SYSTEM_SCHEMAS, View
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.scope import near
from zerodb_storage import Snapshot, TableVersion, WriteTransaction
from zerodb_storage.catalog import is_temporary

if TYPE_CHECKING:
    from zerodb.connection import Connection

RELATION_KINDS = ("view", "materialized view", "sequence")


def view_of(connection: Connection, write: WriteTransaction) -> View:
    """What the transaction sees now, its own changes included."""
    return View(write.snapshot(), connection._registered, connection._search_path, session=connection)


def new_schema(connection: Connection, write: WriteTransaction, name: ddl.Name, *, temporary: bool = False) -> str:
    """The schema that a new relation goes to. 3F000 if there is none of that name."""
    view = view_of(connection, write)
    if temporary:
        if name.schema is not None and not is_temporary(view.schema_named(name.schema)):
            raise error_for("42P16", "cannot create temporary relation in non-temporary schema", position=name.position)
        return connection._session.temporary.schema
    if name.schema is None:
        found = next((schema for schema in view.path if not is_temporary(schema) and has_schema(write, schema)), None)
        if found is None:
            raise error_for("3F000", "no schema has been selected to create in", position=name.position)
        return found
    schema = view.schema_named(name.schema)
    if schema in SYSTEM_SCHEMAS:
        raise error_for("42501", f"permission denied for schema {schema}", position=name.position)
    if not is_temporary(schema) and not has_schema(write, schema):
        raise error_for("3F000", f'schema "{name.schema}" does not exist', position=name.position)
    return schema


def has_schema(write: WriteTransaction, name: str) -> bool:
    return name == "public" or name in SYSTEM_SCHEMAS or ("schema", "", name) in write.catalog


def taken_names(snapshot: Snapshot, schema: str) -> set[str]:
    """All names of relations in a schema: tables, their indexes, sequences, views."""
    found = {name for kind, place, name in snapshot.catalog if place == schema and kind in RELATION_KINDS}
    for version in snapshot.tables.values():
        if version.schema.schema == schema:
            found.add(version.name)
            found.update(index_names(version))
    return found


def index_names(version: TableVersion) -> list[str]:
    held = version.constraints
    names = [unique.name for unique in held.uniques] + [index.name for index in held.indexes]
    if version.primary_key:
        names.append(held.primary_key_name or f"{version.name}_pkey")
    return names


def check_free(snapshot: Snapshot, schema: str, name: ddl.Name) -> None:
    if name.name in taken_names(snapshot, schema):
        raise error_for("42P07", f'relation "{name.name}" already exists', position=name.position)


def table_named(connection: Connection, write: WriteTransaction, name: ddl.Name) -> TableVersion:
    """The stored table of that name. 42P01; 42809 for what is no table."""
    found = find_table(connection, write, name)
    if found is None:
        raise no_relation(connection, write, name)
    return found


def find_table(connection: Connection, write: WriteTransaction, name: ddl.Name) -> TableVersion | None:
    key = view_of(connection, write).resolve(name.name, name.schema)
    return None if key is None or key not in write.tables else write.tables[key]


def no_relation(
    connection: Connection, write: WriteTransaction, name: ddl.Name, what: str = "relation"
) -> DatabaseError:
    for kind in RELATION_KINDS:
        if find_object(connection, write, kind, name) is not None:
            return error_for("42809", f'"{name.name}" is not a {what}'.replace("relation", "table"))
    hint = near(name.name, view_of(connection, write).table_names())
    return error_for("42P01", f'{what} "{name}" does not exist', position=name.position, hint=hint)


def find_object(connection: Connection, write: WriteTransaction, kind: str, name: ddl.Name) -> tuple[str, str] | None:
    """(schema, name) of a catalog object that a name means, or None."""
    view = view_of(connection, write)
    schemas = view.path if name.schema is None else (view.schema_named(name.schema),)
    for schema in schemas:
        if (kind, schema, name.name) in write.catalog:
            return schema, name.name
    return None
