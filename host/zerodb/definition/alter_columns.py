"""ALTER TABLE: columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb.changes import checks
from zerodb.changes.foreign_keys import referrers
from zerodb.definition import dependencies, sequences, triggers
from zerodb.definition.alter_constraints import apply_definition, check_no_nulls, remove_foreign_key
from zerodb.definition.expressions import columns_of_text, renamed_column
from zerodb.definition.names import taken_names, view_of
from zerodb.functions.registry import calls_volatile
from zerodb.queries import canonical_parameters, execute, query_outcome
from zerodb.row_expressions import quoted
from zerodb.sequence_values import resolved
from zerodb.view import View, table_info
from zerodb_compiler.constraints import Constraints, Index, Partitioning, Unique
from zerodb_compiler.errors import DatabaseError, NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.collations import declared
from zerodb_compiler.sql.definitions.columns import column_type
from zerodb_compiler.sql.definitions.draft import NewSequence, TableDefinition
from zerodb_compiler.sql.definitions.expressions import columns_in, default_text, table_expressions
from zerodb_compiler.sql.definitions.names import nextval_of
from zerodb_compiler.sql.definitions.tables import define_column
from zerodb_compiler.sql.scope import near
from zerodb_compiler.types import BIGINT, INTEGER, SMALLINT, SqlType, TypeId
from zerodb_storage import Column, TableVersion, WriteTransaction, encoding, lookup
from zerodb_storage import arrow as storage_arrow
from zerodb_storage.unique import check_existing
from zerodb_storage.values import Values

if TYPE_CHECKING:
    from zerodb.connection import Connection

_VOLATILE = ("random", "gen_random_uuid", "clock_timestamp", "timeofday", "uuid_generate_v4")
_WIDENING = {SMALLINT: (INTEGER, BIGINT), INTEGER: (BIGINT,)}


def ordinal_of(version: TableVersion, name: str, position: int | None) -> int:
    names = [column.name for column in version.columns]
    if name in names:
        return names.index(name)
    raise ProgrammingError(
        f'column "{name}" of relation "{version.name}" does not exist',
        sqlstate="42703",
        position=position,
        hint=near(name, names),
    )


def _with_column(write: WriteTransaction, version: TableVersion, ordinal: int, column: Column) -> TableVersion:
    columns = (*version.columns[:ordinal], column, *version.columns[ordinal + 1 :])
    return write.change_schema(version.key, replace(version.schema, columns=columns))


# --- add and drop -----------------------------------------------------------------------------------------------------


def add(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    node = action.column
    assert node is not None
    if any(column.name == node.name for column in version.columns):
        if action.if_exists:
            return
        message = f'column "{node.name}" of relation "{version.name}" already exists'
        raise ProgrammingError(message, sqlstate="42701", position=node.position)
    view = view_of(connection, write)
    taken = taken_names(write.snapshot(), version.schema.schema)
    definition = define_column(node, table_info(version), view, taken)
    info = definition.columns[-1]
    filled = info.generated is not None or info.sequence is not None or bool(definition.sequences)
    filled = filled or bool(definition.sequence_defaults)
    missing: bytes | None = None
    if info.default is not None and not filled:
        filled = any(name in info.default.lower() for name in _VOLATILE) or calls_volatile(view, info.default)
        if not filled:
            value = constant(connection, info.default, info.type)
            missing = None if value.null_count else encoding.encode(value)
    added = Column(info.name, info.type, False, info.default, info.generated, info.identity, None, -1, missing)
    before = write.change_schema(version.key, replace(version.schema, columns=(*version.columns, added)))
    before = sequences.attach(connection, write, before.key, definition)
    if filled and before.row_count:
        before = _fill(connection, write, before)
    apply_definition(connection, write, before, definition)


def constant(connection: Connection, expression: str, type_: SqlType) -> Values:
    """The value of an expression without columns, as one stored value of the type."""
    text = f"select cast(({expression}) as {type_text(type_)})"
    array = connection._run(text, None).table(stored=True).column(0).combine_chunks()
    return storage_arrow.from_arrow(array, type_, "default")


def type_text(type_: SqlType) -> str:
    """The type as a cast names it."""
    return str(type_)


def _fill(connection: Connection, write: WriteTransaction, version: TableVersion) -> TableVersion:
    """The last column's value for every row: from its sequence, its generation expression or its volatile default."""
    column = version.columns[-1]
    rows = [lookup.all_values(version, number) for number in range(len(version.columns) - 1)]
    count = version.row_count
    if column.sequence is not None:
        definition = sequences.definition_with_id(write, column.sequence)
        taken = connection._database.storage.sequences.take(definition, count)
        last: Values = storage_arrow.from_arrow(pa.array(taken), column.type, column.name)
    elif column.generated is not None:
        arrays = [storage_arrow.to_arrow(v, c.type) for v, c in zip(rows, version.columns, strict=False)]
        arrays.append(pa.nulls(count, storage_arrow.arrow_type(column.type)))
        table = pa.Table.from_arrays(arrays, names=[c.name for c in version.columns])
        made = checks.generated(connection, table_info(version), table).column(len(arrays) - 1).combine_chunks()
        last = storage_arrow.from_arrow(made, column.type, column.name)
    else:
        found = _query(connection, write, version, [f"cast(({column.default}) as {type_text(column.type)})"])
        last = storage_arrow.from_arrow(found.column(0).combine_chunks(), column.type, column.name)
    return rewrite(write, version, [*rows, last])


def rewrite(write: WriteTransaction, version: TableVersion, rows: list[Values]) -> TableVersion:
    """The table with these rows instead of its own."""
    write.truncate(version.key)
    if len(rows[0]):
        write.append_values(version.key, rows)
    return write.table(version.key)


def _query(connection: Connection, write: WriteTransaction, version: TableVersion, items: list[str]) -> pa.Table:
    """`select items from table`, over what the transaction sees."""
    table = f"{quoted(version.schema.schema)}.{quoted(version.name)}"
    view = View(write.snapshot(), {}, (version.schema.schema, "public"), session=connection)
    ready = connection._database.prepare(f"select {', '.join(items)} from {table}", view)
    assert ready.prepared.query is not None
    values = resolved(connection, canonical_parameters(ready, ()))
    execution = execute(connection, ready.prepared.query, view, values)
    return query_outcome(ready.prepared.query, execution).table(stored=True)


def drop(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    if action.if_exists and all(column.name != action.name for column in version.columns):
        return
    ordinal = ordinal_of(version, action.name, action.position)
    if len(version.columns) == 1:
        raise NotSupportedError("a table without columns is not supported", position=action.position)
    column, what = version.columns[ordinal], f"column {action.name} of table {version.name}"
    for other in version.columns:
        if other.generated is not None and column.name in columns_of_text(other.generated):
            if not action.cascade:
                raise dependencies.in_use(what, f"column {other.name} of table {version.name} depends on {what}")
            drop(connection, write, version, replace(action, name=other.name))
            drop(connection, write, write.table(version.key), action)
            return
    for referrer in referrers(write, version):
        if column.slot in referrer.key.referenced:
            if referrer.table.id != version.id and not action.cascade:
                detail = f"constraint {referrer.key.name} on table {referrer.table.name} depends on {what}"
                raise dependencies.in_use(what, detail)
            remove_foreign_key(write, referrer.table.key, referrer.key)
    dependencies.drop_dependent_views(write, version.id, column.slot, what, cascade=action.cascade)
    dependencies.drop_owned_sequences(write, version.id, column.slot)
    triggers.drop_with_column(write, write.table(version.key), column.name, column.slot, cascade=action.cascade)
    version = write.table(version.key)
    constraints, primary_key = without_column(version, ordinal)
    columns = (*version.columns[:ordinal], *version.columns[ordinal + 1 :])
    schema = replace(version.schema, columns=columns, primary_key=primary_key, constraints=constraints)
    write.change_schema(version.key, schema)


def without_column(version: TableVersion, ordinal: int) -> tuple[Constraints, tuple[int, ...]]:
    """Constraints and primary key when the column has gone: what named it goes with it."""
    held, name = version.constraints, version.columns[ordinal].name

    def moved(columns: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(column - (column > ordinal) for column in columns)

    primary_key = () if ordinal in version.primary_key else moved(version.primary_key)
    indexes: list[Index] = []
    for index in held.indexes:
        texts = [key.expression for key in index.keys if key.expression is not None]
        texts += [index.predicate] if index.predicate is not None else []
        if any(key.column == ordinal for key in index.keys) or ordinal in index.include:
            continue
        if any(name in columns_of_text(text) for text in texts):
            continue
        keys = tuple(
            key if key.column is None else replace(key, column=key.column - (key.column > ordinal))
            for key in index.keys
        )
        indexes.append(replace(index, keys=keys, include=moved(index.include)))
    constraints = replace(
        held,
        primary_key_name=held.primary_key_name if primary_key else None,
        primary_key_deferrable=held.primary_key_deferrable and bool(primary_key),
        primary_key_deferred=held.primary_key_deferred and bool(primary_key),
        uniques=tuple(
            replace(unique, columns=moved(unique.columns)) for unique in held.uniques if ordinal not in unique.columns
        ),
        checks=tuple(check for check in held.checks if name not in columns_of_text(check.expression)),
        foreign_keys=tuple(
            replace(key, columns=moved(key.columns), set_columns=moved(key.set_columns))
            for key in held.foreign_keys
            if ordinal not in key.columns
        ),
        indexes=tuple(indexes),
        partitioning=_partitioning_without(held.partitioning, ordinal),
    )
    return constraints, primary_key


def _partitioning_without(partitioning: Partitioning | None, ordinal: int) -> Partitioning | None:
    """The column itself is no key: that was refused."""
    if partitioning is None:
        return None
    keys = [
        key if key.column is None else replace(key, column=key.column - (key.column > ordinal))
        for key in partitioning.keys
    ]
    return replace(partitioning, keys=tuple(keys))


def rename(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    if any(column.name == action.new_name for column in version.columns):
        message = f'column "{action.new_name}" of relation "{version.name}" already exists'
        raise ProgrammingError(message, sqlstate="42701", position=action.position)

    def changed(text: str | None) -> str | None:
        return None if text is None else renamed_column(text, action.name, action.new_name)

    columns = [
        replace(column, generated=changed(column.generated), name=action.new_name if n == ordinal else column.name)
        for n, column in enumerate(version.columns)
    ]
    held = version.constraints
    constraints = replace(
        held,
        checks=tuple(
            replace(check, expression=renamed_column(check.expression, action.name, action.new_name))
            for check in held.checks
        ),
        indexes=tuple(
            replace(
                index,
                predicate=changed(index.predicate),
                keys=tuple(replace(key, expression=changed(key.expression)) for key in index.keys),
            )
            for index in held.indexes
        ),
    )
    options = triggers.with_renamed_column(version, action.name, action.new_name)
    schema = replace(version.schema, columns=tuple(columns), constraints=constraints, options=options)
    write.change_schema(version.key, schema)


# --- type -------------------------------------------------------------------------------------------------------------


def set_type(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    column = version.columns[ordinal]
    triggers.check_type_change(version, column.name)
    new = column_type(action.type, action.position, view_of(connection, write).named_type)
    if action.mode:
        new = declared(new, action.mode, action.position)
    for other in version.columns:
        if other.generated is not None and (other is column or column.name in columns_of_text(other.generated)):
            raise error_for(
                "0A000",
                "cannot alter type of a column used by a generated column",
                hint=f'Column "{column.name}" is used by generated column "{other.name}".',
            )
    if any(True for _ in dependencies.dependent_views(write, version.id, column.slot)):
        raise error_for("0A000", "cannot alter type of a column used by a view or rule")
    info = table_info(version)
    if action.expression is not None:
        binder = table_expressions(version.name, info.columns, view_of(connection, write), "USING")
        binder.expression(action.expression.tree)
    default = _converted_default(info.columns[ordinal].default, column, new, connection)
    if action.expression is None and (new == column.type or _is_wider(column.type, new)):
        _with_column(write, version, ordinal, replace(column, type=new, default=default))
        return
    expression = action.expression.text if action.expression is not None else quoted(column.name)
    if action.expression is None and not _assignable(version, ordinal, new, connection, write):
        raise ProgrammingError(
            f'column "{column.name}" cannot be cast automatically to type {new}',
            sqlstate="42804",
            position=action.position,
            hint=f'You might need to specify "USING {column.name}::{new}".',
        )
    items = [quoted(other.name) for other in version.columns]
    # Storage checks the length of text: a cast would cut it off.
    items[ordinal] = f"cast(({expression}) as {'text' if new.is_text else type_text(new)})"
    found = _query(connection, write, version, items) if version.row_count else None
    changed = replace(column, type=new, default=default, slot=-1, missing=None)
    after = _with_column(write, version, ordinal, changed)
    _move_slot(write, version, column.slot, after.columns[ordinal].slot)
    after = write.table(after.key)
    if found is not None:
        rows = [
            storage_arrow.from_arrow(found.column(number).combine_chunks(), other.type, other.name)
            for number, other in enumerate(after.columns)
        ]
        after = rewrite(write, after, rows)
    if ordinal in after.primary_key:
        check_existing(after, Unique(after.constraints.primary_key_name or "", after.primary_key))
    for unique in after.constraints.uniques:
        if ordinal in unique.columns:
            check_existing(after, unique)


def _move_slot(write: WriteTransaction, version: TableVersion, old: int, new: int) -> None:
    """Foreign keys and sequences that name the column's slot."""
    for referrer in referrers(write, version):
        if old in referrer.key.referenced:
            table = write.table(referrer.table.key)
            keys = tuple(
                replace(key, referenced=tuple(new if slot == old else slot for slot in key.referenced))
                if key.name == referrer.key.name
                else key
                for key in table.constraints.foreign_keys
            )
            constraints = replace(table.constraints, foreign_keys=keys)
            write.change_schema(table.key, replace(table.schema, constraints=constraints))
    for found, data in list(write.catalog.items()):
        if found[0] == sequences.KIND and data.get("owner") == [version.id, old]:
            write.put_object(*found, {**data, "owner": [version.id, new]})


def _is_wider(old: SqlType, new: SqlType) -> bool:
    """Whether every stored value is the same value of the new type."""
    if new in _WIDENING.get(old, ()):
        return True
    if old.is_text and new.is_text and old.padded == new.padded:
        return new.length is None or (old.length is not None and old.length <= new.length)
    if old.id is TypeId.NUMERIC and new.id is TypeId.NUMERIC:
        return old.scale == new.scale and old.precision <= new.precision and type(old) is type(new)
    return False


def _assignable(
    version: TableVersion, ordinal: int, new: SqlType, connection: Connection, write: WriteTransaction
) -> bool:
    from zerodb_compiler.sql import coercion

    return coercion.is_assignable(version.columns[ordinal].type, new)


def _converted_default(default: str | None, column: Column, new: SqlType, connection: Connection) -> str | None:
    if default is None or column.sequence is not None:
        return default
    try:
        constant(connection, default, new)
    except DatabaseError:
        message = f'default for column "{column.name}" cannot be cast automatically to type {new}'
        raise error_for("42804", message) from None
    return default


# --- defaults, NULL, identity -----------------------------------------------------------------------------------------


def set_default(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    column = version.columns[ordinal]
    _no_default_for(version, column, action)
    assert action.expression is not None
    sequence = nextval_of(action.expression.tree)
    if sequence is not None:
        found = sequences.sequence_named(connection, write, sequence)
        number = write.catalog[sequences.KIND, *found]["id"]
        changed = replace(column, default=action.expression.text, sequence=number)
    else:
        if columns_in(action.expression.tree):
            raise error_for("0A000", "cannot use column reference in DEFAULT expression", position=action.position)
        info = table_info(version).columns[ordinal]
        default = default_text(info, action.expression, view_of(connection, write))
        changed = replace(column, default=default, sequence=None)
    _with_column(write, version, ordinal, changed)


def drop_default(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    _no_default_for(version, version.columns[ordinal], action)
    _with_column(write, version, ordinal, replace(version.columns[ordinal], default=None, sequence=None))


def _no_default_for(version: TableVersion, column: Column, action: ddl.Action) -> None:
    if column.identity is not None:
        message = f'column "{column.name}" of relation "{version.name}" is an identity column'
        raise ProgrammingError(message, position=action.position)
    if column.generated is not None:
        message = f'column "{column.name}" of relation "{version.name}" is a generated column'
        raise ProgrammingError(message, position=action.position)


def set_not_null(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    check_no_nulls(version, action.name)
    _with_column(write, version, ordinal, replace(version.columns[ordinal], not_null=True))


def drop_not_null(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    if ordinal in version.primary_key:
        raise error_for("42P16", f'column "{action.name}" is in a primary key', position=action.position)
    if version.columns[ordinal].identity is not None:
        message = f'column "{action.name}" of relation "{version.name}" is an identity column'
        raise ProgrammingError(message, position=action.position)
    _with_column(write, version, ordinal, replace(version.columns[ordinal], not_null=False))


def drop_expression(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    if version.columns[ordinal].generated is None:
        if action.if_exists:
            return
        message = f'column "{action.name}" of relation "{version.name}" is not a stored generated column'
        raise error_for("55000", message, position=action.position)
    _with_column(write, version, ordinal, replace(version.columns[ordinal], generated=None))


def add_identity(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal = ordinal_of(version, action.name, action.position)
    column = version.columns[ordinal]
    if column.identity is not None:
        message = f'column "{column.name}" of relation "{version.name}" is already an identity column'
        raise error_for("55000", message, position=action.position)
    if column.default is not None:
        message = f'column "{column.name}" of relation "{version.name}" already has a default value'
        raise error_for("55000", message, position=action.position)
    if not column.not_null:
        named = f'column "{column.name}" of relation "{version.name}"'
        message = f"{named} must be declared NOT NULL before identity can be added"
        raise error_for("55000", message, position=action.position)
    if column.type not in (SMALLINT, INTEGER, BIGINT):
        raise error_for("22023", "identity column type must be smallint, integer, or bigint")
    version = _with_column(write, version, ordinal, replace(column, identity=action.mode))
    taken = taken_names(write.snapshot(), version.schema.schema)
    name = sequences.chosen_name(version.name, [column.name], "seq", taken)
    new = NewSequence(ordinal, name, column.type, action.sequence or ddl.SequenceOptions())
    info = table_info(version)
    sequences.attach(
        connection, write, version.key, TableDefinition(info.columns, (), version.constraints, sequences=(new,))
    )


def _identity(version: TableVersion, action: ddl.Action) -> tuple[int, Column]:
    ordinal = ordinal_of(version, action.name, action.position)
    column = version.columns[ordinal]
    if column.identity is None:
        message = f'column "{column.name}" of relation "{version.name}" is not an identity column'
        raise error_for("55000", message, position=action.position)
    return ordinal, column


def set_identity(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    ordinal, column = _identity(version, action)
    _with_column(write, version, ordinal, replace(column, identity=action.mode))


def drop_identity(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    if action.if_exists and version.columns[ordinal_of(version, action.name, action.position)].identity is None:
        return
    ordinal, column = _identity(version, action)
    dependencies.drop_owned_sequences(write, version.id, column.slot)
    _with_column(write, version, ordinal, replace(column, identity=None, sequence=None))


def restart_identity(
    connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action
) -> None:
    _, column = _identity(version, action)
    assert column.sequence is not None
    assert action.sequence is not None
    found = sequences.name_with_id(write, column.sequence)
    sequences.change(connection, write, found, action.sequence)
