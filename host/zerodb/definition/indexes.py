"""CREATE INDEX, DROP INDEX, and what is accepted because there is nothing to do: REINDEX, VACUUM, ANALYZE,
CLUSTER (the order of rows follows the primary key, as merges leave it).

A unique index over plain columns is a unique key of storage; one over expressions or a part of the rows is enforced by
unique_expressions. Statistics are kept with every segment and delta chunk, so ANALYZE only says whether the table is
there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb.changes.partitioning import partitions_of
from zerodb.changes.unique_expressions import first_duplicate
from zerodb.definition.names import (
    find_table,
    index_names,
    new_schema,
    no_relation,
    table_named,
    taken_names,
    view_of,
)
from zerodb.outcome import Outcome
from zerodb.view import table_info
from zerodb_compiler.constraints import Index, IndexKey, Unique
from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.collations import declared
from zerodb_compiler.sql.definitions.expressions import table_expressions
from zerodb_compiler.sql.definitions.keys import check_key_type
from zerodb_compiler.sql.definitions.names import chosen_name
from zerodb_compiler.sql.scope import near
from zerodb_storage import TableVersion, WriteTransaction
from zerodb_storage.unique import check_existing

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateIndex) -> Outcome:
    if node.concurrently:
        _check_concurrently(connection, "CREATE INDEX")
    table = table_named(connection, write, node.table)
    schema = table.schema.schema
    taken = taken_names(write.snapshot(), schema)
    if node.name is not None and node.name in taken:
        if node.if_not_exists:
            return Outcome("CREATE INDEX")
        raise error_for("42P07", f'relation "{node.name}" already exists')
    if node.method not in ("btree", "hash"):
        raise error_for("0A000", f'access method "{node.method}" is not supported')
    if node.method == "hash" and node.unique:
        raise error_for("0A000", 'access method "hash" does not support unique indexes')
    keys = tuple(_key(connection, write, table, key) for key in node.keys)
    if node.predicate is not None:
        _expressions(connection, write, table, "index predicates").condition(node.predicate.tree)
    name = node.name or chosen_name(table.name, [_label(table, key) for key in node.keys], "idx", taken)
    include = tuple(_column(table, column, None) for column in node.include)
    predicate = node.predicate.text if node.predicate is not None else None
    index = Index(name, keys, node.unique, node.method, predicate, node.nulls_distinct, include)
    if index.unique and table.constraints.partitioning is not None:
        _check_partition_key(table, index)
    add(connection, write, table, index)
    for part in partitions_of(write, table.id):
        add_to_partition(connection, write, table, part, index)
    return Outcome("CREATE INDEX")


def _check_partition_key(table: TableVersion, index: Index) -> None:
    """A key is unique among all partitions if rows with equal keys are in the same one."""
    partitioning = table.constraints.partitioning
    assert partitioning is not None
    if not {key.column for key in partitioning.keys} <= {key.column for key in index.keys} - {None}:
        raise error_for("0A000", "unique constraint on partitioned table must include all partitioning columns")


def add_to_partition(
    connection: Connection, write: WriteTransaction, parent: TableVersion, part: TableVersion, index: Index
) -> None:
    """An index of a partitioned table on one of its partitions, unless it has one like it."""
    part = write.table(part.key)
    wanted = _for_partition(parent, part, index)
    if not any(is_like(found, wanted) for found in part.constraints.indexes):
        taken = taken_names(write.snapshot(), part.schema.schema)
        labels = [_label_of(part, key) for key in wanted.keys]
        add(connection, write, part, replace(wanted, name=chosen_name(part.name, labels, "idx", taken)))
    for below in partitions_of(write, part.id):
        add_to_partition(connection, write, part, below, wanted)


def _for_partition(parent: TableVersion, part: TableVersion, index: Index) -> Index:
    """With the columns' ordinals in the partition."""
    places = {column.name: ordinal for ordinal, column in enumerate(part.columns)}
    keys = tuple(
        key if key.column is None else replace(key, column=places[parent.columns[key.column].name])
        for key in index.keys
    )
    return replace(index, keys=keys, include=tuple(places[parent.columns[column].name] for column in index.include))


def _label_of(table: TableVersion, key: IndexKey) -> str:
    """As `_label`, of a key that is kept."""
    if key.column is not None:
        return table.columns[key.column].name
    call = re.match(r"(\w+)\s*\(", key.expression or "")
    return call[1].lower() if call is not None else "expr"


def is_like(index: Index, other: Index) -> bool:
    """Whether they differ in their names only."""
    return replace(index, name=other.name) == other


def add(connection: Connection, write: WriteTransaction, table: TableVersion, index: Index) -> None:
    """Gives the table an index; 23505 if it is unique and the rows are not."""
    name = index.name
    if index.unique and index.is_plain:
        columns = tuple(key.column for key in index.keys if key.column is not None)
        unique = Unique(name, columns, index.nulls_distinct, False)
        for column in columns:
            check_key_type(table.columns[column].type, None)
        check_existing(table, unique)
        constraints = replace(
            table.constraints,
            uniques=(*table.constraints.uniques, unique),
            indexes=(*table.constraints.indexes, index),
        )
    else:
        if index.unique:
            found = first_duplicate(connection, write, table_info(table), index)
            if found is not None:
                message = f'could not create unique index "{name}"'
                raise error_for("23505", message, hint=f"Key {found} is duplicated.")
        constraints = replace(table.constraints, indexes=(*table.constraints.indexes, index))
    write.change_schema(table.key, replace(table.schema, constraints=constraints))


def _key(connection: Connection, write: WriteTransaction, table: TableVersion, node: ddl.KeyDef) -> IndexKey:
    if node.column is not None:
        column = _column(table, node.column, node.position)
        if node.collation is not None:
            declared(table.columns[column].type, node.collation, node.position)
        return IndexKey(column, None, node.descending, node.nulls_first)
    assert node.expression is not None
    expression = _expressions(connection, write, table, "index expressions").expression(node.expression.tree)
    if node.collation is not None:
        declared(expression.type, node.collation, node.position)
    return IndexKey(None, node.expression.text, node.descending, node.nulls_first)


def _expressions(connection: Connection, write: WriteTransaction, table: TableVersion, clause: str) -> ExpressionBinder:
    return table_expressions(table.name, table_info(table).columns, view_of(connection, write), clause)


def _column(table: TableVersion, name: str, position: int | None) -> int:
    names = [column.name for column in table.columns]
    if name not in names:
        raise ProgrammingError(
            f'column "{name}" does not exist', sqlstate="42703", position=position, hint=near(name, names)
        )
    return names.index(name)


def _label(table: TableVersion, key: ddl.KeyDef) -> str:
    """The part of an index's name for a key: a column, a function's name, or expr."""
    if key.column is not None:
        return key.column
    assert key.expression is not None
    tree = key.expression.tree
    name = str(tree.this).lower() if type(tree).__name__ == "Anonymous" else ""
    return name if name.isidentifier() else "expr"


def drop(connection: Connection, write: WriteTransaction, node: ddl.Drop) -> Outcome:
    if node.concurrently:
        _check_concurrently(connection, "DROP INDEX")
    for name in node.names:
        found = find_index(connection, write, name)
        if found is None:
            if node.if_exists:
                continue
            if find_table(connection, write, name) is not None:
                raise error_for("42809", f'"{name.name}" is not an index', position=name.position)
            raise error_for("42704", f'index "{name}" does not exist', position=name.position)
        held = found.constraints
        if name.name not in [index.name for index in held.indexes]:
            message = f"cannot drop index {name.name} because constraint {name.name} on table {found.name} requires it"
            hint = f"You can drop constraint {name.name} on table {found.name} instead."
            raise error_for("2BP01", message, hint=hint)
        index = next(index for index in held.indexes if index.name == name.name)
        _check_not_inherited(write, found, index)
        remove(write, found, index)
    return Outcome("DROP INDEX")


def _check_not_inherited(write: WriteTransaction, part: TableVersion, index: Index) -> None:
    """2BP01 for a partition's index that its parent's requires."""
    bound = part.constraints.bound
    parent = None if bound is None else next(table for table in write.tables.values() if table.id == bound.parent)
    for above in () if parent is None else parent.constraints.indexes:
        if parent is not None and is_like(_for_partition(parent, part, above), index):
            message = f"cannot drop index {index.name} because index {above.name} requires it"
            raise error_for("2BP01", message, hint=f"You can drop index {above.name} instead.")


def remove(write: WriteTransaction, table: TableVersion, index: Index) -> None:
    """From the table, and those like it from its partitions."""
    held = table.constraints
    constraints = replace(
        held,
        indexes=tuple(other for other in held.indexes if other.name != index.name),
        uniques=tuple(unique for unique in held.uniques if unique.constraint or unique.name != index.name),
    )
    write.change_schema(table.key, replace(table.schema, constraints=constraints))
    for part in partitions_of(write, table.id):
        wanted = _for_partition(table, part, index)
        like = next((found for found in part.constraints.indexes if is_like(found, wanted)), None)
        if like is not None:
            remove(write, part, like)


def find_index(connection: Connection, write: WriteTransaction, name: ddl.Name) -> TableVersion | None:
    """The table that has the index of that name."""
    view = view_of(connection, write)
    schemas = view.path if name.schema is None else (view.schema_named(name.schema),)
    for schema in schemas:
        for version in write.tables.values():
            if version.schema.schema == schema and name.name in index_names(version):
                return version
    return None


def _check_concurrently(connection: Connection, command: str) -> None:
    """CONCURRENTLY changes nothing here, since definitions never wait for readers; but it is refused where PostgreSQL
    cannot do it."""
    if connection._session.in_transaction:
        raise error_for("25001", f"{command} CONCURRENTLY cannot run inside a transaction block")


def maintain(connection: Connection, write: WriteTransaction, node: ddl.Maintain) -> Outcome:
    if node.concurrently:
        _check_concurrently(connection, node.command)
    if node.command == "CLUSTER":
        for name in node.names:
            table = table_named(connection, write, name)
            assert node.index is not None
            if node.index.name not in index_names(table):
                raise error_for("42704", f'index "{node.index.name}" for table "{table.name}" does not exist')
        return Outcome("CLUSTER")
    if node.command == "REINDEX":
        if node.kind == "schema" and node.names:
            new_schema(connection, write, ddl.Name("", node.names[0].name, node.names[0].position))
        elif node.kind == "index" and find_index(connection, write, node.names[0]) is None:
            raise no_relation(connection, write, node.names[0])
        elif node.kind == "table":
            table_named(connection, write, node.names[0])
        return Outcome("REINDEX")
    if node.command == "VACUUM" and connection._session.in_transaction:
        raise error_for("25001", "VACUUM cannot run inside a transaction block")
    for name in node.names:
        table_named(connection, write, name)
    return Outcome(node.command)
