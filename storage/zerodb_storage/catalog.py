"""What the database keeps of a table's declaration, and its record.

A text column is kept as TEXT (from the beginning, or since its dictionary outgrew the limit: then old segments still
hold codes and the dictionary stays readable) or as DICTIONARY.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any

from zerodb_compiler.types import SqlType, TypeId


@dataclass(frozen=True, slots=True)
class Column:
    """A column as declared. `default` is the SQL text of its DEFAULT expression; storage only keeps it."""

    name: str
    type: SqlType
    not_null: bool = False
    default: str | None = None


class TextMode(enum.IntEnum):
    PLAIN = 0
    DICTIONARY = 1
    RETIRED = 2  # was a dictionary, is plain now


@dataclass(frozen=True, slots=True)
class Schema:
    """The declaration of one table. `text_modes` has one entry per column (PLAIN for other types)."""

    id: int
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...]
    text_modes: tuple[TextMode, ...]
    version: int = 0

    def with_mode(self, column: int, mode: TextMode) -> Schema:
        modes = list(self.text_modes)
        modes[column] = mode
        return replace(self, text_modes=tuple(modes))


def type_record(type_: SqlType) -> list[Any]:
    record: list[Any] = [type_.id.name, type_.precision, type_.scale, type_.length, type_.padded]
    if type_.element or type_.fields or type_.name is not None or type_.labels:
        element = None if type_.element is None else type_record(type_.element)
        fields = [[name, type_record(field)] for name, field in type_.fields]
        record += [element, fields, type_.name, list(type_.labels)]
    return record


def type_from(record: list[Any]) -> SqlType:
    name, precision, scale, length, padded, *more = record
    found = SqlType(TypeId[name], precision, scale, length, padded)
    if not more:
        return found
    element, fields, type_name, labels = more
    return replace(
        found,
        element=None if element is None else type_from(element),
        fields=tuple((field, type_from(each)) for field, each in fields),
        name=type_name,
        labels=tuple(labels),
    )


def schema_record(schema: Schema) -> dict[str, Any]:
    return {
        "id": schema.id,
        "name": schema.name,
        "columns": [[c.name, type_record(c.type), c.not_null, c.default] for c in schema.columns],
        "primary_key": list(schema.primary_key),
        "text_modes": [int(mode) for mode in schema.text_modes],
        "version": schema.version,
    }


def schema_from(record: dict[str, Any]) -> Schema:
    return Schema(
        id=record["id"],
        name=record["name"],
        columns=tuple(
            Column(name, type_from(type_), not_null, default) for name, type_, not_null, default in record["columns"]
        ),
        primary_key=tuple(record["primary_key"]),
        text_modes=tuple(TextMode(mode) for mode in record["text_modes"]),
        version=record["version"],
    )
