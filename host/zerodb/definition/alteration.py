"""ALTER TABLE, and renaming and moving of indexes and sequences.

An action changes the table's declaration; rows are rewritten only where their bytes must change: another type that is
not a wider one of the same kind, a new column whose value differs from row to row. A new column with one value for all
rows is only noted. What is added is checked against the rows there are, column by column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb.definition import alter_columns, alter_constraints, alter_partitions, partitions, sequences, triggers
from zerodb.definition.indexes import find_index
from zerodb.definition.names import (
    find_object,
    find_table,
    index_names,
    new_schema,
    no_relation,
    taken_names,
)
from zerodb.outcome import Outcome
from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.sql import ddl
from zerodb_storage import TableVersion, WriteTransaction
from zerodb_storage.catalog import table_key

if TYPE_CHECKING:
    from zerodb.connection import Connection

Apply = Callable[["Connection", WriteTransaction, TableVersion, ddl.Action], None]

# PostgreSQL's passes: what is dropped goes first, constraints come when the columns are there.
_PASSES = {"drop column": 0, "drop constraint": 0, "set type": 1, "add column": 2, "add constraint": 4}

_ACTIONS: dict[str, Apply] = {
    "add column": alter_columns.add,
    "drop column": alter_columns.drop,
    "rename column": alter_columns.rename,
    "set type": alter_columns.set_type,
    "set default": alter_columns.set_default,
    "drop default": alter_columns.drop_default,
    "set not null": alter_columns.set_not_null,
    "drop not null": alter_columns.drop_not_null,
    "drop expression": alter_columns.drop_expression,
    "add identity": alter_columns.add_identity,
    "set identity": alter_columns.set_identity,
    "drop identity": alter_columns.drop_identity,
    "restart identity": alter_columns.restart_identity,
    "add constraint": alter_constraints.add,
    "drop constraint": alter_constraints.drop,
    "rename constraint": alter_constraints.rename,
    "alter constraint": alter_constraints.alter,
    "validate constraint": alter_constraints.validate,
    "attach partition": partitions.attach,
    "detach partition": partitions.detach,
}


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterTable) -> Outcome:
    outcome = Outcome(f"ALTER {node.kind.upper()}")
    version = find_table(connection, write, node.name)
    if version is None:
        if _alter_other(connection, write, node) or node.if_exists:
            return outcome
        raise no_relation(connection, write, node.name)
    if node.kind != "table":
        raise error_for("42809", f'"{node.name.name}" is not a {node.kind}', position=node.name.position)
    key = version.key
    table_id = version.id
    for action in sorted(node.actions, key=lambda action: _PASSES.get(action.kind, 3)):
        version = write.table(key)
        if action.kind in ("enable trigger", "disable trigger"):
            triggers.enable(connection, write, version, action)
        elif action.kind == "rename":
            key = _renamed(write, version, action)
        elif action.kind == "set schema":
            key = _moved(connection, write, version, action)
        elif action.kind in _ACTIONS and (version.constraints.partitioning or version.constraints.bound):
            alter_partitions.apply_everywhere(connection, write, version, action, _ACTIONS[action.kind])
        elif action.kind in _ACTIONS:
            _ACTIONS[action.kind](connection, write, version, action)
        elif action.kind != "nothing":
            raise NotSupportedError(f"ALTER TABLE ... {action.kind.upper()} is not supported", position=action.position)
    assert write.table(key).id == table_id
    return outcome


def _renamed(write: WriteTransaction, version: TableVersion, action: ddl.Action) -> str:
    schema = version.schema.schema
    if action.new_name in taken_names(write.snapshot(), schema):
        raise error_for("42P07", f'relation "{action.new_name}" already exists', position=action.position)
    write.change_schema(version.key, replace(_named(version).schema, name=action.new_name))
    return table_key(schema, action.new_name)


def _named(version: TableVersion) -> TableVersion:
    """With a name for the primary key that does not follow the table's."""
    if not version.primary_key or version.constraints.primary_key_name is not None:
        return version
    constraints = replace(version.constraints, primary_key_name=f"{version.name}_pkey")
    return replace(version, schema=replace(version.schema, constraints=constraints))


def _moved(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> str:
    schema = new_schema(connection, write, ddl.Name("", action.new_name, action.position))
    if schema == version.schema.schema:
        return version.key
    if version.name in taken_names(write.snapshot(), schema):
        raise error_for("42P07", f'relation "{version.name}" already exists in schema "{schema}"')
    for kind, place, name in list(write.catalog):
        if kind == sequences.KIND and (write.catalog[kind, place, name].get("owner") or [None])[0] == version.id:
            data = write.catalog[kind, place, name]
            write.drop_object(kind, place, name)
            write.put_object(kind, schema, name, data)
    write.change_schema(version.key, replace(version.schema, schema=schema))
    return table_key(schema, version.name)


def _alter_other(connection: Connection, write: WriteTransaction, node: ddl.AlterTable) -> bool:
    """Renames or moves a sequence or an index; ALTER TABLE may name them, too."""
    (action, *more) = node.actions
    if more or action.kind not in ("rename", "set schema"):
        return False
    found = find_object(connection, write, sequences.KIND, node.name)
    if found is not None and node.kind != "index":
        schema, name = found
        data = write.catalog[sequences.KIND, schema, name]
        new = (schema, action.new_name)
        if action.kind == "set schema":
            new = (new_schema(connection, write, ddl.Name("", action.new_name, action.position)), name)
        if new[1] in taken_names(write.snapshot(), new[0]):
            raise error_for("42P07", f'relation "{new[1]}" already exists', position=action.position)
        write.drop_object(sequences.KIND, schema, name)
        write.put_object(sequences.KIND, *new, data)
        return True
    table = find_index(connection, write, node.name)
    if table is None or node.kind == "sequence" or action.kind != "rename":
        return False
    if action.new_name in taken_names(write.snapshot(), table.schema.schema):
        raise error_for("42P07", f'relation "{action.new_name}" already exists', position=action.position)
    assert node.name.name in index_names(table)
    alter_constraints.rename_everywhere(write, table, node.name.name, action.new_name)
    return True
