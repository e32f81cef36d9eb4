"""The columns of keys."""

from __future__ import annotations

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.draft import Draft
from zerodb_compiler.types import SqlType


def check_key_type(type_: SqlType, position: int | None) -> None:
    """NotSupportedError for types that storage, which compares bytes, cannot keep unique."""
    if not type_.is_equal_by_bytes:
        raise NotSupportedError(f"a unique key of type {type_} is not supported", position=position)


def key_columns(draft: Draft, node: ddl.ConstraintDef, ordinal: int | None) -> tuple[int, ...]:
    """Those that the constraint names, or the column that it was declared with."""
    columns = (ordinal,) if ordinal is not None else _named_columns(draft, node)
    for column in columns:
        check_key_type(draft.columns[column].type, node.position)
    return columns


def _named_columns(draft: Draft, node: ddl.ConstraintDef) -> tuple[int, ...]:
    found: list[int] = []
    for name in node.columns:
        column = draft.ordinal(name, node.position, f'column "{name}" named in key does not exist')
        if column in found:
            what = "primary key" if node.kind == "primary key" else "unique"
            message = f'column "{name}" appears twice in {what} constraint'
            raise ProgrammingError(message, sqlstate="42701", position=node.position)
        found.append(column)
    return tuple(found)
