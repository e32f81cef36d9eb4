"""CREATE SCHEMA, ALTER SCHEMA, DROP SCHEMA: catalog objects of kind "schema", whose own schema is "".

`public` is always there. What is in a schema names it (tables in their declaration, objects in their key), so renaming
one goes through all of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb.definition import dependencies
from zerodb.definition.names import has_schema
from zerodb.outcome import Outcome
from zerodb.view import SYSTEM_SCHEMAS
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import ddl
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection

KIND = "schema"


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateSchema) -> Outcome:
    from zerodb.definition import define_in

    name = node.name.name
    if has_schema(write, name):
        if node.if_not_exists:
            return Outcome("CREATE SCHEMA")
        raise error_for("42P06", f'schema "{name}" already exists', position=node.name.position)
    _check_name(name, node.name.position)
    write.put_object(KIND, "", name, {"id": write.next_id()})
    connection._creating = name
    try:
        for element in node.elements:
            define_in(connection, write, _within(element, name))
    finally:
        connection._creating = None
    return Outcome("CREATE SCHEMA")


def _check_name(name: str, position: int | None) -> None:
    if name.startswith("pg_"):
        hint = 'The prefix "pg_" is reserved for system schemas.'
        raise error_for("42939", f'unacceptable schema name "{name}"', position=position, hint=hint)


def _within(element: ddl.Definition, schema: str) -> ddl.Definition:
    """The statement with the schema for its own name, and for the table of an index."""
    match element:
        case ddl.CreateTable() | ddl.CreateView() | ddl.CreateSequence():
            if element.name.schema not in (None, schema):
                message = f"CREATE specifies a schema ({element.name.schema}) different from the one being created"
                raise error_for("42P15", f"{message} ({schema})", position=element.name.position)
            return replace(element, name=replace(element.name, schema=schema))
        case ddl.CreateIndex():
            return replace(element, table=replace(element.table, schema=element.table.schema or schema))
    raise error_for("0A000", "this element of CREATE SCHEMA is not supported")


def drop(connection: Connection, write: WriteTransaction, node: ddl.Drop) -> Outcome:
    for name in node.names:
        schema = name.name
        if not has_schema(write, schema):
            if node.if_exists:
                continue
            raise error_for("3F000", f'schema "{schema}" does not exist', position=name.position)
        if schema in SYSTEM_SCHEMAS:
            raise error_for("2BP01", f"cannot drop schema {schema} because it is required by the database system")
        if schema == "public":
            raise error_for("0A000", "dropping the schema public is not supported", position=name.position)
        _drop_content(connection, write, schema, cascade=node.cascade)
        write.drop_object(KIND, "", schema)
    return Outcome("DROP SCHEMA")


def _drop_content(connection: Connection, write: WriteTransaction, schema: str, *, cascade: bool) -> None:
    views = [key for key in write.catalog if key[1] == schema and key[0] in ("view", "materialized view")]
    tables = [found for found in write.tables.values() if found.schema.schema == schema]
    others = [key for key in write.catalog if key[1] == schema and key not in views and key[0] != "comment"]
    if (views or tables or others) and not cascade:
        kind, _, name = ("table", "", tables[0].name) if tables else (views or others)[0]
        first = f"{kind} {schema}.{name}"
        raise dependencies.in_use(f"schema {schema}", f"{first} depends on schema {schema}")
    dependencies.drop_views(write, views, cascade=True)
    left = [found for found in write.tables.values() if found.schema.schema == schema]
    dependencies.drop_tables(connection, write, left, cascade=True)
    functions = [key for key in write.catalog if key[1] == schema and key[0] == "function"]
    if functions:
        from zerodb.definition.functions import drop_functions

        drop_functions(connection, write, functions, cascade=True)
    for key in [key for key in write.catalog if key[1] == schema and key[0] != "type"]:
        write.drop_object(*key)
    names = tuple(ddl.Name(name, schema) for kind, place, name in write.catalog if kind == "type" and place == schema)
    if names:
        from zerodb.definition import types

        types.drop(connection, write, ddl.Drop("type", names, cascade=True))


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterSchema) -> Outcome:
    old, new = node.name.name, node.new_name
    if not has_schema(write, old):
        raise error_for("3F000", f'schema "{old}" does not exist', position=node.name.position)
    if old == new:
        return Outcome("ALTER SCHEMA")
    if old == "public" or old in SYSTEM_SCHEMAS:
        raise error_for("0A000", f"renaming the schema {old} is not supported", position=node.name.position)
    if has_schema(write, new):
        raise error_for("42P06", f'schema "{new}" already exists', position=node.name.position)
    _check_name(new, node.name.position)
    data = write.catalog[KIND, "", old]
    write.drop_object(KIND, "", old)
    write.put_object(KIND, "", new, data)
    for kind, schema, name in list(write.catalog):
        if schema == old:
            moved = write.catalog[kind, schema, name]
            write.drop_object(kind, schema, name)
            write.put_object(kind, new, name, moved)
    for version in list(write.tables.values()):
        if version.schema.schema == old:
            write.change_schema(version.key, replace(version.schema, schema=new))
    return Outcome("ALTER SCHEMA")
