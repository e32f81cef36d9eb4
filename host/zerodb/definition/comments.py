"""COMMENT ON: catalog objects of kind "comment". A comment on what a column or constraint is part of is found by the
table's id, so that it stays when names change:

    schema ""     name "<id>"            table, view, materialized view, sequence (by its id)
                  "<id>.<slot>"          column; of a view the number of the column
                  "<id>:<name>"          constraint or index of the table
                  "<id>:trigger <id>"    trigger of the table
                  "<id>"                 function
                  "schema <name>", "type <schema>.<name>", "database"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zerodb.definition.indexes import find_index
from zerodb.definition.names import find_object, find_table, has_schema, no_relation
from zerodb.outcome import Outcome
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.triggers import triggers_in
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection

KIND = "comment"


def comment(connection: Connection, write: WriteTransaction, node: ddl.Comment) -> Outcome:
    name = _key(connection, write, node)
    if node.text is None:
        write.drop_object(KIND, "", name)
    else:
        write.put_object(KIND, "", name, node.text)
    return Outcome("COMMENT")


def _key(connection: Connection, write: WriteTransaction, node: ddl.Comment) -> str:
    position = node.name.position
    match node.kind:
        case "database":
            return "database"
        case "schema":
            if not has_schema(write, node.name.name):
                raise error_for("3F000", f'schema "{node.name}" does not exist', position=position)
            return f"schema {node.name.name}"
        case "type":
            found = find_object(connection, write, "type", node.name)
            if found is None:
                raise error_for("42704", f'type "{node.name}" does not exist', position=position)
            return "type {}.{}".format(*found)
        case "index":
            table = find_index(connection, write, node.name)
            if table is None:
                raise no_relation(connection, write, node.name)
            return f"{table.id}:{node.name.name}"
        case "column":
            return _column(connection, write, node)
        case "trigger":
            version = find_table(connection, write, node.name)
            if version is None:
                raise no_relation(connection, write, node.name)
            found_ids = [t.id for t in triggers_in(version.schema.options) if t.name == node.part]
            if not found_ids:
                message = f'trigger "{node.part}" for table "{node.name.name}" does not exist'
                raise error_for("42704", message, position=position)
            return f"{version.id}:trigger {found_ids[0]}"
        case "function" | "routine" | "aggregate":
            from zerodb.definition import functions

            assert node.function is not None
            key = functions.find(connection, write, node.function, node.kind)
            if key is None:
                raise functions.missing(connection, write, node.function, node.kind)
            return functions.comment_key(write.catalog[key])
        case "constraint":
            version = find_table(connection, write, node.name)
            if version is None:
                raise no_relation(connection, write, node.name)
            names = version.constraints.names
            if node.part not in names and not (version.primary_key and node.part == f"{version.name}_pkey"):
                message = f'constraint "{node.part}" for table "{node.name.name}" does not exist'
                raise error_for("42704", message, position=position)
            return f"{version.id}:{node.part}"
    return str(_relation(connection, write, node.kind, node.name))


def _relation(connection: Connection, write: WriteTransaction, kind: str, name: ddl.Name) -> int:
    """The id of the relation of that kind."""
    table = find_table(connection, write, name)
    kinds = ("materialized view", "view", "sequence")
    other = next((k for k in kinds if find_object(connection, write, k, name) is not None), None)
    found = other or ("table" if table is not None else None)
    if found is None:
        raise no_relation(connection, write, name)
    if found != kind:
        article = "an" if kind[0] in "aeiou" else "a"
        raise error_for("42809", f'"{name.name}" is not {article} {kind}', position=name.position)
    if kind == "table":
        assert table is not None
        return table.id
    key = find_object(connection, write, kind, name)
    assert key is not None
    return int(write.catalog[kind, *key]["id"])


def _column(connection: Connection, write: WriteTransaction, node: ddl.Comment) -> str:
    missing = error_for(
        "42703", f'column "{node.part}" of relation "{node.name.name}" does not exist', position=node.name.position
    )
    table = find_table(connection, write, node.name)
    if table is not None:
        slot = next((column.slot for column in table.columns if column.name == node.part), None)
        if slot is None:
            raise missing
        return f"{table.id}.{slot}"
    view = find_object(connection, write, "view", node.name)
    if view is None:
        raise no_relation(connection, write, node.name)
    data: dict[str, Any] = write.catalog["view", *view]
    names = [name for name, _ in data["columns"]]
    if node.part not in names:
        raise missing
    return f"{data['id']}.{names.index(node.part)}"
