"""CREATE TABLE, CREATE TABLE AS and DROP TABLE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb.changes.applying import RowChange, apply
from zerodb.definition import dependencies, sequences
from zerodb.definition.names import check_free, find_table, new_schema, no_relation, taken_names, view_of
from zerodb.outcome import Outcome
from zerodb.view import table_info
from zerodb_compiler.catalog import ColumnInfo
from zerodb_compiler.constraints import NO_CONSTRAINTS
from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.definitions.draft import TableDefinition
from zerodb_compiler.sql.definitions.tables import define_table
from zerodb_storage import Column, TableVersion, WriteTransaction
from zerodb_storage.catalog import table_key

if TYPE_CHECKING:
    from zerodb.connection import Connection


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateTable) -> Outcome:
    schema = new_schema(connection, write, node.name, temporary=node.temporary)
    if node.if_not_exists and node.name.name in taken_names(write.snapshot(), schema):
        return Outcome("CREATE TABLE")
    check_free(write.snapshot(), schema, node.name)
    if node.partition_of is not None or node.partition_by is not None:
        from zerodb.definition import partitions

        return partitions.create(connection, write, node, schema)
    name = replace(node.name, schema=None if schema == "public" else schema)
    taken = taken_names(write.snapshot(), schema)
    definition = define_table(replace(node, name=name), view_of(connection, write), taken)
    make(connection, write, schema, node.name.name, definition, on_commit=node.on_commit)
    return Outcome("CREATE TABLE")


def make(
    connection: Connection,
    write: WriteTransaction,
    schema: str,
    name: str,
    definition: TableDefinition,
    *,
    on_commit: str = "preserve rows",
) -> TableVersion:
    """A table and its sequences."""
    if on_commit != "preserve rows":
        connection._session.temporary.has_on_commit = True
    options = (("on_commit", on_commit),) if on_commit != "preserve rows" else ()
    columns = [stored_column(info) for info in definition.columns]
    write.create_table(
        name,
        columns,
        definition.primary_key,
        schema=schema,
        constraints=definition.constraints,
        options=options,
    )
    key = table_key(schema, name)
    return sequences.attach(connection, write, key, definition)


def stored_column(info: ColumnInfo) -> Column:
    return Column(
        info.name,
        info.type,
        info.not_null,
        info.default,
        info.generated,
        info.identity,
        info.sequence,
        info.slot,
    )


def create_as(connection: Connection, write: WriteTransaction, node: st.CreateTableAs, rows: pa.Table) -> Outcome:
    """CREATE TABLE AS, SELECT INTO; `rows` is what the query gave."""
    definition = node.definition
    schema = new_schema(connection, write, definition.name, temporary=definition.temporary)
    check_free(write.snapshot(), schema, definition.name)
    columns = tuple(ColumnInfo(info.name, info.type) for info in node.columns)
    made = TableDefinition(columns, (), NO_CONSTRAINTS)
    version = make(connection, write, schema, definition.name.name, made, on_commit=definition.on_commit)
    if not definition.with_data:
        return Outcome("CREATE TABLE AS")
    apply(connection, write, RowChange(table_info(version), inserted=rows))
    return Outcome("SELECT", rows.num_rows)


def exists_already(connection: Connection, write: WriteTransaction, node: ddl.CreateTableAs) -> bool:
    """IF NOT EXISTS, and it does."""
    if not node.if_not_exists:
        return False
    schema = new_schema(connection, write, node.name, temporary=node.temporary)
    return node.name.name in taken_names(write.snapshot(), schema)


def drop(connection: Connection, write: WriteTransaction, node: ddl.Drop) -> Outcome:
    found: list[TableVersion] = []
    for name in node.names:
        version = find_table(connection, write, name)
        if version is not None and ("materialized view", version.schema.schema, version.name) in write.catalog:
            hint = "Use DROP MATERIALIZED VIEW to remove a materialized view."
            raise error_for("42809", f'"{name.name}" is not a table', position=name.position, hint=hint)
        if version is not None:
            found.append(version)
        elif not node.if_exists:
            if name.name in connection._registered:
                raise ProgrammingError(f'"{name.name}" is a registered table', sqlstate="42809", position=name.position)
            raise no_relation(connection, write, name, "table")
    dependencies.drop_tables(connection, write, found, cascade=node.cascade)
    return Outcome("DROP TABLE")
