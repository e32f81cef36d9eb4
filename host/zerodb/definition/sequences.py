"""Sequences: their definitions as catalog objects, of kind "sequence":

    id, type, start, increment, min, max, cache, cycle, owner ([table id, slot] or None)

Values are storage's (zerodb_storage.sequences). `cache` is kept and shown; values are handed out one after another
whatever it says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zerodb.definition.dependencies import in_use
from zerodb.definition.names import check_free, find_object, new_schema, table_named, taken_names
from zerodb.outcome import Outcome
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.draft import TableDefinition
from zerodb_compiler.sql.definitions.names import chosen_name
from zerodb_storage import TableVersion, WriteTransaction
from zerodb_storage.sequences import SequenceDefinition

if TYPE_CHECKING:
    from zerodb.connection import Connection

KIND = "sequence"
_BITS = {"smallint": 16, "int2": 16, "integer": 32, "int": 32, "int4": 32, "bigint": 64, "int8": 64}
_NAMES = {"int2": "smallint", "int": "integer", "int4": "integer", "int8": "bigint"}


def definition_of(name: str, data: dict[str, Any]) -> SequenceDefinition:
    return SequenceDefinition(
        data["id"], name, data["start"], data["increment"], data["min"], data["max"], data["cycle"]
    )


def described(options: ddl.SequenceOptions, before: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """The definition's data after the options are applied. 22023 if they contradict each other."""
    old = before or {}
    type_ = options.type or old.get("type", "bigint")
    type_ = _NAMES.get(type_, type_)
    bound = 1 << (_BITS[type_] - 1)
    increment = options.increment if options.increment is not None else old.get("increment", 1)
    if increment == 0:
        raise error_for("22023", "INCREMENT must not be zero")
    ascending = increment > 0
    least, greatest = (1, bound - 1) if ascending else (-bound, -1)
    changed = before is not None and options.type is not None
    minimum = _limit(options.minimum, options.no_minimum or changed, old.get("min"), least)
    maximum = _limit(options.maximum, options.no_maximum or changed, old.get("max"), greatest)
    for value, what in ((minimum, "MINVALUE"), (maximum, "MAXVALUE")):
        if not -bound <= value < bound:
            raise error_for("22023", f"{what} ({value}) is out of range for sequence data type {type_}")
    if minimum >= maximum:
        raise error_for("22023", f"MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")
    start = options.start if options.start is not None else old.get("start", minimum if ascending else maximum)
    if start < minimum:
        raise error_for("22023", f"START value ({start}) cannot be less than MINVALUE ({minimum})")
    if start > maximum:
        raise error_for("22023", f"START value ({start}) cannot be greater than MAXVALUE ({maximum})")
    cache = options.cache if options.cache is not None else old.get("cache", 1)
    if cache < 1:
        raise error_for("22023", f"CACHE ({cache}) must be greater than zero")
    cycle = options.cycle if options.cycle is not None else old.get("cycle", False)
    return {
        "id": old.get("id"),
        "type": type_,
        "start": start,
        "increment": increment,
        "min": minimum,
        "max": maximum,
        "cache": cache,
        "cycle": cycle,
        "owner": old.get("owner"),
    }


def _limit(given: int | None, none: bool, old: int | None, default: int) -> int:
    if given is not None:
        return given
    return default if none or old is None else old


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateSequence) -> Outcome:
    schema = new_schema(connection, write, node.name, temporary=node.temporary)
    if node.if_not_exists and node.name.name in taken_names(write.snapshot(), schema):
        return Outcome("CREATE SEQUENCE")
    check_free(write.snapshot(), schema, node.name)
    data = described(node.options, None, node.name.name)
    data["id"] = write.next_id()
    if node.options.owned_by:
        data["owner"] = _owner(connection, write, node.options.owned_by)
    write.put_object(KIND, schema, node.name.name, data)
    return Outcome("CREATE SEQUENCE")


def attach(connection: Connection, write: WriteTransaction, key: str, definition: TableDefinition) -> TableVersion:
    """Makes the sequences of serial and identity columns of a new table or column, and ties columns to sequences."""
    version = write.table(key)
    if not definition.sequences and not definition.sequence_defaults:
        return version
    columns = list(version.columns)
    schema = version.schema.schema
    for new in definition.sequences:
        options = replace(new.options, type=new.options.type or str(new.type))
        data = described(options, None, new.name)
        data["id"] = write.next_id()
        data["owner"] = [version.id, columns[new.column].slot]
        check_free(write.snapshot(), schema, ddl.Name(new.name))
        write.put_object(KIND, schema, new.name, data)
        default = None if columns[new.column].identity else f"nextval('{quoted(schema, new.name)}'::regclass)"
        columns[new.column] = replace(columns[new.column], sequence=data["id"], default=default)
    for ordinal, name in definition.sequence_defaults:
        found = sequence_named(connection, write, name)
        columns[ordinal] = replace(columns[ordinal], sequence=write.catalog[KIND, *found]["id"])
    return write.change_schema(key, replace(version.schema, columns=tuple(columns)))


def quoted(schema: str, name: str) -> str:
    """A relation's name as regclass shows it."""
    parts = [name] if schema == "public" else [schema, name]
    shown = [
        part if part.isidentifier() and part == part.lower() else '"' + part.replace('"', '""') + '"' for part in parts
    ]
    return ".".join(shown).replace("'", "''")


def sequence_named(connection: Connection, write: WriteTransaction, name: ddl.Name) -> tuple[str, str]:
    found = find_object(connection, write, KIND, name)
    if found is None:
        raise no_sequence(name)
    return found


def name_with_id(write: WriteTransaction, sequence_id: int) -> tuple[str, str]:
    """(schema, name)"""
    for (kind, schema, name), data in write.catalog.items():
        if kind == KIND and data["id"] == sequence_id:
            return schema, name
    raise AssertionError("a column's sequence was dropped without its default")


def definition_with_id(write: WriteTransaction, sequence_id: int) -> SequenceDefinition:
    schema, name = name_with_id(write, sequence_id)
    return definition_of(name, write.catalog[KIND, schema, name])


def no_sequence(name: ddl.Name) -> DatabaseError:
    return error_for("42P01", f'relation "{name}" does not exist', position=name.position)


def _owner(connection: Connection, write: WriteTransaction, owner: tuple[ddl.Name, str]) -> list[int]:
    table = table_named(connection, write, owner[0])
    for column in table.columns:
        if column.name == owner[1]:
            return [table.id, column.slot]
    raise error_for("42703", f'column "{owner[1]}" of relation "{table.name}" does not exist')


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterSequence) -> Outcome:
    found = find_object(connection, write, KIND, node.name)
    if found is None:
        if node.if_exists:
            return Outcome("ALTER SEQUENCE")
        raise no_sequence(node.name)
    change(connection, write, found, node.options)
    if node.options.owned_by is not None:
        data = dict(write.catalog[KIND, *found])
        data["owner"] = _owner(connection, write, node.options.owned_by) if node.options.owned_by else None
        write.put_object(KIND, *found, data)
    return Outcome("ALTER SEQUENCE")


def change(
    connection: Connection, write: WriteTransaction, found: tuple[str, str], options: ddl.SequenceOptions
) -> None:
    """Applies options. RESTART is at once and is not undone by a rollback, as setval is not."""
    before = write.catalog[KIND, *found]
    data = described(options, before, found[1])
    sequences = connection._database.storage.sequences
    definition = definition_of(found[1], data)
    if options.restart is not None:
        value = data["start"] if options.restart is True else int(options.restart)
        if value < data["min"]:
            raise error_for("22023", f"RESTART value ({value}) cannot be less than MINVALUE ({data['min']})")
        if value > data["max"]:
            raise error_for("22023", f"RESTART value ({value}) cannot be greater than MAXVALUE ({data['max']})")
        sequences.set(definition, value, called=False)
    else:
        last, _ = sequences.current(definition)
        if last > data["max"]:
            raise error_for("22023", f"RESTART value ({last}) cannot be greater than MAXVALUE ({data['max']})")
        if last < data["min"]:
            raise error_for("22023", f"RESTART value ({last}) cannot be less than MINVALUE ({data['min']})")
    write.put_object(KIND, *found, data)


def drop(connection: Connection, write: WriteTransaction, node: ddl.Drop) -> Outcome:
    for name in node.names:
        found = find_object(connection, write, KIND, name)
        if found is None:
            if node.if_exists:
                continue
            raise error_for("42P01", f'sequence "{name}" does not exist', position=name.position)
        _drop_one(write, found, cascade=node.cascade)
    return Outcome("DROP SEQUENCE")


def _drop_one(write: WriteTransaction, found: tuple[str, str], *, cascade: bool) -> None:
    sequence_id = write.catalog[KIND, *found]["id"]
    for version in list(write.tables.values()):
        users = [column for column in version.columns if column.sequence == sequence_id]
        for column in users:
            if column.identity is not None:
                message = (
                    f"cannot drop sequence {found[1]} because column {column.name} of table {version.name} requires it"
                )
                raise error_for("2BP01", message, hint=f"drop column {column.name} of table {version.name} instead")
            if not cascade:
                what = f"default value for column {column.name} of table {version.name}"
                raise in_use(f"sequence {found[1]}", f"{what} depends on sequence {found[1]}")
        if users:
            columns = tuple(
                replace(c, sequence=None, default=None) if c.sequence == sequence_id else c for c in version.columns
            )
            write.change_schema(version.key, replace(version.schema, columns=columns))
    write.drop_object(KIND, *found)


__all__ = ["KIND", "alter", "attach", "change", "chosen_name", "create", "definition_of", "drop"]
