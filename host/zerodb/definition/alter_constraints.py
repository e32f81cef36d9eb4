"""ALTER TABLE: constraints added, dropped, renamed, and checked against the rows there are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb.changes import foreign_keys
from zerodb.definition.dependencies import in_use
from zerodb.definition.names import taken_names, view_of
from zerodb.queries import canonical_parameters, execute, query_outcome
from zerodb.row_expressions import quoted
from zerodb.sequence_values import resolved
from zerodb.view import View, table_info
from zerodb_compiler.constraints import ForeignKey, Unique
from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.draft import TableDefinition
from zerodb_compiler.sql.definitions.tables import define_constraint
from zerodb_storage import TableVersion, WriteTransaction, lookup
from zerodb_storage.unique import check_existing

if TYPE_CHECKING:
    from zerodb.connection import Connection


def add(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    node = action.constraint
    assert node is not None
    if node.using_index is not None:
        version, node = _using_index(write, version, node)
    taken = taken_names(write.snapshot(), version.schema.schema)
    definition = define_constraint(node, table_info(version), view_of(connection, write), taken)
    apply_definition(connection, write, version, definition, check=not node.not_valid)


def _using_index(
    write: WriteTransaction, version: TableVersion, node: ddl.ConstraintDef
) -> tuple[TableVersion, ddl.ConstraintDef]:
    """ADD CONSTRAINT ... USING INDEX: the index becomes the constraint's."""
    held = version.constraints
    index = next((index for index in held.indexes if index.name == node.using_index), None)
    if index is None:
        raise error_for("42704", f'index "{node.using_index}" does not exist', position=node.position)
    if not index.unique or not index.is_plain:
        raise error_for("42809", f'"{index.name}" is not a unique index', position=node.position)
    columns = tuple(version.columns[key.column].name for key in index.keys if key.column is not None)
    constraints = replace(
        held,
        indexes=tuple(other for other in held.indexes if other is not index),
        uniques=tuple(unique for unique in held.uniques if unique.name != index.name),
    )
    version = write.change_schema(version.key, replace(version.schema, constraints=constraints))
    return version, replace(node, name=node.name or index.name, columns=columns, using_index=None)


def apply_definition(
    connection: Connection,
    write: WriteTransaction,
    before: TableVersion,
    definition: TableDefinition,
    *,
    check: bool = True,
) -> TableVersion:
    """Gives the table the keys and constraints of the definition, whose columns it has already; what is new is checked
    against its rows."""
    columns = tuple(
        replace(column, not_null=info.not_null) for column, info in zip(before.columns, definition.columns, strict=True)
    )
    schema = replace(
        before.schema, columns=columns, primary_key=definition.primary_key, constraints=definition.constraints
    )
    after = write.change_schema(before.key, schema)
    for old, new in zip(before.columns, after.columns, strict=True):
        if new.not_null and not old.not_null:
            check_no_nulls(after, new.name)
    old_constraints, held = before.constraints, after.constraints
    if after.primary_key and after.primary_key != before.primary_key:
        check_existing(after, Unique(held.primary_key_name or f"{after.name}_pkey", after.primary_key))
    for unique in held.uniques:
        if unique not in old_constraints.uniques:
            check_existing(after, unique)
    if check:
        for found in held.checks:
            if found not in old_constraints.checks:
                check_rows(connection, write, after, found.name, found.expression)
        for key in held.foreign_keys:
            if key not in old_constraints.foreign_keys:
                foreign_keys.check_table(write, after, key)
    return after


def check_no_nulls(version: TableVersion, name: str) -> None:
    ordinal = next(number for number, column in enumerate(version.columns) if column.name == name)
    if version.facts[ordinal].null_count and lookup.all_values(version, ordinal).null_count:
        message = f'column "{name}" of relation "{version.name}" contains null values'
        raise error_for("23502", message)


def check_rows(
    connection: Connection, write: WriteTransaction, version: TableVersion, name: str, expression: str
) -> None:
    """23514 if a row violates a CHECK."""
    table = f"{quoted(version.schema.schema)}.{quoted(version.name)}"
    text = f"select 1 from {table} where ({expression}) is false limit 1"
    view = View(write.snapshot(), {}, (version.schema.schema, "public"), session=connection)
    ready = connection._database.prepare(text, view)
    assert ready.prepared.query is not None
    values = resolved(connection, canonical_parameters(ready, ()))
    execution = execute(connection, ready.prepared.query, view, values)
    if query_outcome(ready.prepared.query, execution).row_count:
        message = f'check constraint "{name}" of relation "{version.name}" is violated by some row'
        raise error_for("23514", message)


def drop(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    if action.name not in version.constraints.names:
        if action.if_exists:
            return
        raise _no_constraint(version, action)
    drop_named(write, version, action.name, cascade=action.cascade)


def drop_named(write: WriteTransaction, version: TableVersion, name: str, *, cascade: bool) -> TableVersion:
    held, schema = version.constraints, version.schema
    key: tuple[int, ...] = ()
    if name == held.primary_key_name:
        key = version.primary_key
    for unique in held.uniques:
        if unique.name == name:
            key = unique.columns
    if key:
        drop_referrers(write, version, name, key, cascade=cascade)
        version = write.table(version.key)
        held, schema = version.constraints, version.schema
    if name == held.primary_key_name:
        schema = replace(schema, primary_key=())
        held = replace(held, primary_key_name=None, primary_key_deferrable=False, primary_key_deferred=False)
    held = replace(
        held,
        uniques=tuple(unique for unique in held.uniques if unique.name != name),
        checks=tuple(check for check in held.checks if check.name != name),
        foreign_keys=tuple(found for found in held.foreign_keys if found.name != name),
    )
    return write.change_schema(version.key, replace(schema, constraints=held))


def drop_referrers(
    write: WriteTransaction, version: TableVersion, name: str, key: tuple[int, ...], *, cascade: bool
) -> None:
    """Foreign keys that need the key: 2BP01, or they go with it."""
    slots = {version.columns[column].slot for column in key}
    for referrer in foreign_keys.referrers(write, version):
        if set(referrer.key.referenced) != slots:
            continue
        if not cascade:
            what = f"constraint {name} on table {version.name}"
            detail = f"constraint {referrer.key.name} on table {referrer.table.name} depends on index {name}"
            raise in_use(what, detail)
        remove_foreign_key(write, referrer.table.key, referrer.key)


def remove_foreign_key(write: WriteTransaction, table: str, key: ForeignKey) -> None:
    version = write.table(table)
    kept = tuple(found for found in version.constraints.foreign_keys if found.name != key.name)
    constraints = replace(version.constraints, foreign_keys=kept)
    write.change_schema(table, replace(version.schema, constraints=constraints))


def rename(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    held = version.constraints
    if action.name not in held.names:
        raise _no_constraint(version, action)
    is_index = action.name == held.primary_key_name or any(u.name == action.name for u in held.uniques)
    if is_index and action.new_name in taken_names(write.snapshot(), version.schema.schema):
        raise error_for("42P07", f'relation "{action.new_name}" already exists', position=action.position)
    if action.new_name in held.names:
        message = f'constraint "{action.new_name}" for relation "{version.name}" already exists'
        raise error_for("42710", message, position=action.position)
    rename_everywhere(write, version, action.name, action.new_name)


def rename_everywhere(write: WriteTransaction, version: TableVersion, old: str, new: str) -> None:
    """A constraint or index under another name."""
    held = version.constraints
    constraints = replace(
        held,
        primary_key_name=new if held.primary_key_name == old else held.primary_key_name,
        uniques=tuple(replace(item, name=new) if item.name == old else item for item in held.uniques),
        checks=tuple(replace(item, name=new) if item.name == old else item for item in held.checks),
        foreign_keys=tuple(replace(item, name=new) if item.name == old else item for item in held.foreign_keys),
        indexes=tuple(replace(item, name=new) if item.name == old else item for item in held.indexes),
    )
    write.change_schema(version.key, replace(version.schema, constraints=constraints))


def alter(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    keys = list(version.constraints.foreign_keys)
    for number, key in enumerate(keys):
        if key.name == action.name:
            keys[number] = replace(key, deferrable=action.deferrable, deferred=action.deferred)
            constraints = replace(version.constraints, foreign_keys=tuple(keys))
            write.change_schema(version.key, replace(version.schema, constraints=constraints))
            return
    if action.name in version.constraints.names:
        message = f'constraint "{action.name}" of relation "{version.name}" is not a foreign key constraint'
        raise error_for("42809", message, position=action.position)
    raise _no_constraint(version, action)


def validate(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    for check in version.constraints.checks:
        if check.name == action.name:
            check_rows(connection, write, version, check.name, check.expression)
            return
    for key in version.constraints.foreign_keys:
        if key.name == action.name:
            foreign_keys.check_table(write, version, key)
            return
    if action.name in version.constraints.names:
        raise NotSupportedError("only foreign key and check constraints can be validated", sqlstate="42809")
    raise _no_constraint(version, action)


def _no_constraint(version: TableVersion, action: ddl.Action) -> Exception:
    message = f'constraint "{action.name}" of relation "{version.name}" does not exist'
    return error_for("42704", message, position=action.position)
