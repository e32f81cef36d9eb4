"""What the database keeps of a table's declaration, and its record.

A text column is kept as TEXT (from the beginning, or since its dictionary outgrew the limit: then old segments still
hold codes and the dictionary stays readable) or as DICTIONARY.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any

from zerodb_compiler.constraints import NO_CONSTRAINTS, Constraints
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage import constraint_records


@dataclass(frozen=True, slots=True)
class Column:
    """A column as declared. SQL texts and what they mean are the host's; storage only keeps them.

    `default` is its DEFAULT expression, `generated` that of GENERATED ALWAYS AS (...) STORED, `identity` is "always" or
    "by default", `sequence` the id of the sequence that belongs to it. `slot` is the number under which its values are
    stored (-1: not given yet); it never changes and is never given again. `missing` is the encoded value that rows have
    that were written before the column was added (None: NULL).
    """

    name: str
    type: SqlType
    not_null: bool = False
    default: str | None = None
    generated: str | None = None
    identity: str | None = None
    sequence: int | None = None
    slot: int = -1
    missing: bytes | None = None


class TextMode(enum.IntEnum):
    PLAIN = 0
    DICTIONARY = 1
    RETIRED = 2  # was a dictionary, is plain now


@dataclass(frozen=True, slots=True)
class Schema:
    """The declaration of one table. `text_modes` has one entry per column (PLAIN for other types). `options` is the
    host's plain data about the table (temporary, ON COMMIT, ...)."""

    id: int
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...]
    text_modes: tuple[TextMode, ...]
    version: int = 0
    schema: str = "public"
    constraints: Constraints = NO_CONSTRAINTS
    next_slot: int = 0
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> str:
        return table_key(self.schema, self.name)

    @property
    def slots(self) -> tuple[int, ...]:
        return tuple(column.slot for column in self.columns)

    def with_mode(self, column: int, mode: TextMode) -> Schema:
        modes = list(self.text_modes)
        modes[column] = mode
        return replace(self, text_modes=tuple(modes))


def type_record(type_: SqlType) -> list[Any]:
    record: list[Any] = [type_.id.name, type_.precision, type_.scale, type_.length, type_.padded]
    if type_.element or type_.fields or type_.name is not None or type_.labels or type_.shown is not None:
        element = None if type_.element is None else type_record(type_.element)
        fields = [[name, type_record(field)] for name, field in type_.fields]
        record += [element, fields, type_.name, list(type_.labels)]
    if type_.shown is not None:
        record += [type_.shown, type_.quotient]
    if type_.collation is not None:
        record.append(type_.collation)
    return record


def type_from(record: list[Any]) -> SqlType:
    name, precision, scale, length, padded, *more = record
    found = SqlType(TypeId[name], precision, scale, length, padded)
    if not more:
        return found
    if len(more) == 1:
        return replace(found, collation=more[0])
    element, fields, type_name, labels, *display = more
    shown, quotient = display or (None, False)
    return replace(
        found,
        element=None if element is None else type_from(element),
        fields=tuple((field, type_from(each)) for field, each in fields),
        name=type_name,
        labels=tuple(labels),
        shown=shown,
        quotient=quotient,
    )


def table_key(schema: str, name: str) -> str:
    """The key of a table in `Snapshot.tables`: its name, behind the schema's if that is not public."""
    return name if schema == "public" else f"{schema}\0{name}"


def is_temporary(schema: str) -> bool:
    """Schemas of temporary tables, one per session, go with it."""
    return schema.startswith("pg_temp")


def schema_record(schema: Schema) -> dict[str, Any]:
    return {
        "id": schema.id,
        "name": schema.name,
        "columns": [_column_record(column) for column in schema.columns],
        "primary_key": list(schema.primary_key),
        "text_modes": [int(mode) for mode in schema.text_modes],
        "version": schema.version,
        "schema": schema.schema,
        "constraints": constraint_records.record(schema.constraints),
        "next_slot": schema.next_slot,
        "options": dict(schema.options),
    }


def _column_record(c: Column) -> list[Any]:
    plain = [c.name, type_record(c.type), c.not_null, c.default]
    return [*plain, c.generated, c.identity, c.sequence, c.slot, c.missing]


def _column_from(record: list[Any], ordinal: int) -> Column:
    name, type_, not_null, default, *more = record
    generated, identity, sequence, slot, missing = more or (None, None, None, ordinal, None)  # as format 1 began
    return Column(name, type_from(type_), not_null, default, generated, identity, sequence, slot, missing)


def schema_from(record: dict[str, Any]) -> Schema:
    columns = tuple(_column_from(column, ordinal) for ordinal, column in enumerate(record["columns"]))
    return Schema(
        id=record["id"],
        name=record["name"],
        columns=columns,
        primary_key=tuple(record["primary_key"]),
        text_modes=tuple(TextMode(mode) for mode in record["text_modes"]),
        version=record["version"],
        schema=record.get("schema", "public"),
        constraints=constraint_records.constraints(record.get("constraints", {})),
        next_slot=record.get("next_slot", len(columns)),
        options=tuple(record.get("options", {}).items()),
    )
