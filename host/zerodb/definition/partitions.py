"""PARTITION BY, PARTITION OF, ATTACH and DETACH PARTITION.

A partition is a table with a bound; its keys, checks, foreign keys and defaults are copies of the parent's.
Limits: a foreign key cannot refer to a partitioned table. ALTER TABLE of one is in alter_partitions.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb.changes import foreign_keys
from zerodb.changes.partitioning import check_bound, less, partitions_of
from zerodb.definition import indexes, tables
from zerodb.definition.names import table_named, taken_names, view_of
from zerodb.outcome import Outcome
from zerodb.view import table_info
from zerodb_compiler.constraints import Bound, Constraints, IndexKey, Partitioning, Unique
from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.draft import TableDefinition
from zerodb_compiler.sql.definitions.expressions import table_expressions
from zerodb_compiler.sql.definitions.names import chosen_name
from zerodb_compiler.sql.definitions.tables import define_table
from zerodb_storage import TableVersion, WriteTransaction, lookup
from zerodb_storage import arrow as storage_arrow
from zerodb_storage.unique import check_existing

if TYPE_CHECKING:
    from zerodb.connection import Connection


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateTable, schema: str) -> Outcome:
    taken = taken_names(write.snapshot(), schema)
    bound: Bound | None = None
    view = view_of(connection, write)
    name = replace(node.name, schema=None if schema == "public" else schema)
    if node.partition_of is not None:
        parent = table_named(connection, write, node.partition_of[0])
        bound = bound_of(connection, write, parent, node.partition_of[1], node.name.name)
        info = table_info(parent)
        definition = define_table(replace(node, name=name), view, taken, info.columns)
        taken |= {node.name.name}
        definition = _with_parents(definition, parent, node.name.name, taken)
    else:
        definition = define_table(replace(node, name=name), view, taken)
    constraints = replace(definition.constraints, bound=bound)
    if node.partition_by is not None:
        partitioning = _partitioning(connection, write, node, definition)
        keys = {key.column for key in partitioning.keys}
        for key_columns in (definition.primary_key, *(unique.columns for unique in constraints.uniques)):
            if key_columns and not keys <= set(key_columns):
                raise error_for("0A000", "unique constraint on partitioned table must include all partitioning columns")
        constraints = replace(constraints, partitioning=partitioning)
    # A partition is another table: its columns get slots of their own.
    columns = tuple(replace(column, slot=-1) for column in definition.columns)
    definition = replace(definition, constraints=constraints, columns=columns)
    tables.make(connection, write, schema, node.name.name, definition, on_commit=node.on_commit)
    if node.partition_of is not None:
        touch(write, parent)
        part = next(version for version in write.tables.values() if version.constraints.bound == bound)
        for index in parent.constraints.indexes:
            indexes.add_to_partition(connection, write, parent, part, index)
    return Outcome("CREATE TABLE")


def touch(write: WriteTransaction, parent: TableVersion) -> None:
    """A new version of the parent, so that statements compiled for its other partitions are compiled anew."""
    write.change_schema(parent.key, write.table(parent.key).schema)


def _with_parents(definition: TableDefinition, parent: TableVersion, name: str, taken: set[str]) -> TableDefinition:
    held, own = parent.constraints, definition.constraints
    uniques = list(own.uniques)
    for unique in held.uniques:
        if not unique.constraint:
            continue  # a unique index
        label = chosen_name(name, [parent.columns[column].name for column in unique.columns], "key", taken)
        taken.add(label)
        uniques.append(replace(unique, name=label))
    return replace(
        definition,
        primary_key=definition.primary_key or parent.primary_key,
        constraints=Constraints(
            own.primary_key_name or (f"{name}_pkey" if parent.primary_key else None),
            tuple(uniques),
            (*held.checks, *own.checks),
            (*held.foreign_keys, *own.foreign_keys),
            primary_key_deferrable=own.primary_key_deferrable or held.primary_key_deferrable,
            primary_key_deferred=own.primary_key_deferred or held.primary_key_deferred,
        ),
    )


def _partitioning(
    connection: Connection, write: WriteTransaction, node: ddl.CreateTable, definition: TableDefinition
) -> Partitioning:
    assert node.partition_by is not None
    method, keys = node.partition_by
    if method == "list" and len(keys) != 1:
        raise ProgrammingError('cannot use "list" partition strategy with more than one column', sqlstate="42P17")
    names = [column.name for column in definition.columns]
    found: list[IndexKey] = []
    for key in keys:
        if key.column is not None:
            if key.column not in names:
                message = f'column "{key.column}" named in partition key does not exist'
                raise ProgrammingError(message, sqlstate="42703", position=key.position)
            found.append(IndexKey(names.index(key.column)))
            continue
        assert key.expression is not None
        if method == "hash":
            raise error_for("0A000", "a hash partition key that is an expression is not supported")
        binder = table_expressions(node.name.name, definition.columns, view_of(connection, write), "partition key")
        binder.expression(key.expression.tree)
        found.append(IndexKey(None, key.expression.text))
    return Partitioning(method, tuple(found))


def bound_of(
    connection: Connection, write: WriteTransaction, parent: TableVersion, node: ddl.PartitionBound, name: str
) -> Bound:
    """The bound, checked against the partitions there are. 42P17 if it overlaps one."""
    partitioning = parent.constraints.partitioning
    if partitioning is None:
        raise error_for("42P17", f'"{parent.name}" is not partitioned', position=node.position)
    method, width = partitioning.method, len(partitioning.keys)
    given = "default" if node.default else "hash" if node.modulus else "list" if node.values else "range"
    if given not in ("default", method) or (given == "default" and method == "hash"):
        message = (
            "a hash-partitioned table may not have a default partition"
            if given == "default"
            else f"invalid bound specification for a {method} partition"
        )
        raise error_for("42P16" if given == "default" else "42P17", message, position=node.position)
    bound = Bound(
        parent.id,
        tuple(v if isinstance(v, str) else v.text for v in node.low),
        tuple(v if isinstance(v, str) else v.text for v in node.high),
        tuple(None if v.text.lower() == "null" else v.text for v in node.values),
        node.modulus,
        node.remainder,
        node.default,
    )
    if method == "range" and not bound.default and (len(bound.low) != width or len(bound.high) != width):
        raise error_for("42P17", "FROM and TO must specify one value per partitioning column", position=node.position)
    if bound.modulus and not 0 <= bound.remainder < bound.modulus:
        raise error_for("42P17", "remainder for hash partition must be less than modulus", position=node.position)
    _check_overlap(connection, write, parent, partitioning, bound, name)
    return bound


def _check_overlap(
    connection: Connection,
    write: WriteTransaction,
    parent: TableVersion,
    partitioning: Partitioning,
    bound: Bound,
    name: str,
) -> None:
    types = [str(parent.columns[key.column].type) if key.column is not None else "text" for key in partitioning.keys]
    others = [(part.name, part.constraints.bound) for part in partitions_of(write, parent.id)]

    def holds(expression: str) -> bool:
        value = connection._run(f"select {expression}", None).table().column(0)[0].as_py()
        return bool(value)

    if partitioning.method == "range" and not bound.default and not holds(less(bound.low, bound.high, types)):
        raise error_for("42P17", f'empty range bound specified for partition "{name}"')
    for other_name, other in others:
        assert other is not None
        if bound.default and other.default:
            message = f'partition "{name}" conflicts with existing default partition "{other_name}"'
            raise error_for("42P17", message)
        if bound.default or other.default:
            continue
        match partitioning.method:
            case "range":
                overlap = holds(f"{less(bound.low, other.high, types)} and {less(other.low, bound.high, types)}")
            case "list":
                mine = [f"cast({v} as {types[0]})" for v in bound.values if v is not None]
                theirs = ", ".join(f"cast({v} as {types[0]})" for v in other.values if v is not None)
                overlap = None in bound.values and None in other.values
                if mine and theirs and not overlap:
                    overlap = holds(" or ".join(f"{value} in ({theirs})" for value in mine))
            case _:
                if bound.modulus % other.modulus and other.modulus % bound.modulus:
                    message = "every hash partition modulus must be a factor of the next larger modulus"
                    raise error_for("42P17", message)
                least = min(bound.modulus, other.modulus)
                overlap = bound.remainder % least == other.remainder % least
        if overlap:
            raise error_for("42P17", f'partition "{name}" would overlap partition "{other_name}"')


def attach(connection: Connection, write: WriteTransaction, parent: TableVersion, action: ddl.Action) -> None:
    assert action.table is not None
    assert action.bound is not None
    child = table_named(connection, write, action.table)
    if child.constraints.bound is not None:
        raise error_for("42809", f'"{child.name}" is already a partition', position=action.position)
    mine = {column.name: column for column in child.columns}
    for column in parent.columns:
        found = mine.pop(column.name, None)
        if found is None:
            raise error_for("42804", f'child table is missing column "{column.name}"')
        if found.type != column.type:
            message = f'child table "{child.name}" has different type for column "{column.name}"'
            raise error_for("42804", message)
        if column.not_null and not found.not_null:
            raise error_for("42804", f'column "{column.name}" in child table must be marked NOT NULL')
    if mine:
        message = f'table "{child.name}" contains column "{next(iter(mine))}" not found in parent "{parent.name}"'
        raise error_for("42804", message)
    bound = bound_of(connection, write, parent, action.bound, child.name)
    _check_constraints(parent, child)
    constraints = replace(child.constraints, bound=bound)
    child = write.change_schema(child.key, replace(child.schema, constraints=constraints))
    touch(write, parent)
    arrays = [
        storage_arrow.to_arrow(lookup.all_values(child, number), column.type)
        for number, column in enumerate(child.columns)
    ]
    import pyarrow as pa

    rows = pa.Table.from_arrays(arrays, names=[column.name for column in child.columns])
    try:
        check_bound(connection, write, table_info(child), rows)
    except Exception as error:
        if getattr(error, "sqlstate", "") != "23514":
            raise
        message = f'partition constraint of relation "{child.name}" is violated by some row'
        raise error_for("23514", message) from None
    _with_keys(connection, write, parent, write.table(child.key))


def _check_constraints(parent: TableVersion, child: TableVersion) -> None:
    own = {check.name for check in child.constraints.checks}
    for check in parent.constraints.checks:
        if check.name not in own:
            raise error_for("42804", f'child table is missing constraint "{check.name}"')


def _with_keys(connection: Connection, write: WriteTransaction, parent: TableVersion, child: TableVersion) -> None:
    """An attached table gets the keys, foreign keys and indexes of its parent that it does not have; its rows are
    checked."""
    held, places = parent.constraints, {column.name: ordinal for ordinal, column in enumerate(child.columns)}

    def own(columns: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(places[parent.columns[column].name] for column in columns)

    constraints, primary_key = child.constraints, child.primary_key
    taken = taken_names(write.snapshot(), child.schema.schema)
    if parent.primary_key and not primary_key:
        primary_key = own(parent.primary_key)
        name = chosen_name(child.name, [], "pkey", taken)
        check_existing(child, Unique(name, primary_key))
        constraints = replace(
            constraints,
            primary_key_name=name,
            primary_key_deferrable=held.primary_key_deferrable,
            primary_key_deferred=held.primary_key_deferred,
        )
        taken.add(name)
    for unique in held.uniques:
        columns = own(unique.columns)
        if not unique.constraint or any(set(found.columns) == set(columns) for found in constraints.uniques):
            continue
        name = chosen_name(child.name, [child.columns[column].name for column in columns], "key", taken)
        taken.add(name)
        added = replace(unique, name=name, columns=columns)
        check_existing(child, added)
        constraints = replace(constraints, uniques=(*constraints.uniques, added))
    for key in held.foreign_keys:
        copied = replace(key, columns=own(key.columns), set_columns=own(key.set_columns))
        if any(replace(found, name=key.name) == copied for found in constraints.foreign_keys):
            continue
        constraints = replace(constraints, foreign_keys=(*constraints.foreign_keys, copied))
        foreign_keys.check_table(write, child, copied)
    if constraints is not child.constraints or primary_key != child.primary_key:
        child = write.change_schema(child.key, replace(child.schema, primary_key=primary_key, constraints=constraints))
    for index in held.indexes:
        indexes.add_to_partition(connection, write, parent, child, index)


def detach(connection: Connection, write: WriteTransaction, parent: TableVersion, action: ddl.Action) -> None:
    assert action.table is not None
    child = table_named(connection, write, action.table)
    bound = child.constraints.bound
    if bound is None or bound.parent != parent.id:
        message = f'relation "{child.name}" is not a partition of relation "{parent.name}"'
        raise error_for("42P01", message, position=action.position)
    write.change_schema(child.key, replace(child.schema, constraints=replace(child.constraints, bound=None)))
    touch(write, parent)
