"""Names in definitions: those that PostgreSQL gives to what was given none, and those that strings hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlglot import exp

from zerodb_compiler.catalog import Catalog
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.nodes import position_of
from zerodb_compiler.sql.scope import near

_MAX_BYTES = 63


def chosen_name(table: str, columns: Sequence[str], label: str, taken: Collection[str]) -> str:
    """PostgreSQL's name for an object that was given none: table_columns_label, with a number if it is taken."""
    middle = "_".join(columns)
    number = 0
    while True:
        suffix = f"_{label}{number or ''}"
        room = _MAX_BYTES - len(suffix) - (1 if middle else 0)
        first, second = table, middle
        while len(first.encode()) + len(second.encode()) > room:
            if len(first) >= len(second):
                first = first[:-1]
            else:
                second = second[:-1]
        name = f"{first}_{second}{suffix}" if middle else f"{first}{suffix}"
        if name not in taken:
            return name
        number += 1


def nextval_of(tree: exp.Expr) -> ddl.Name | None:
    """The sequence of nextval('name') or nextval('name'::regclass)."""
    is_call = isinstance(tree, exp.Anonymous) and str(tree.this).lower() == "nextval" and len(tree.expressions) == 1
    if not is_call:
        return None
    argument = tree.expressions[0]
    if isinstance(argument, exp.Cast):
        argument = argument.this
    if not isinstance(argument, exp.Literal) or not argument.args["is_string"]:
        return None
    return sequence_name(str(argument.this), position_of(tree))


def sequence_name(text: str, position: int | None = None) -> ddl.Name:
    """The relation that a string names, as ::regclass reads it."""
    parts: list[str] = []
    for piece in _name_pieces(text):
        parts.append(piece[1:-1].replace('""', '"') if piece.startswith('"') else piece.strip().lower())
    return ddl.Name(parts[-1], parts[-2] if len(parts) > 1 else None, position)


def _name_pieces(text: str) -> list[str]:
    pieces, current, quoted = [], "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == "." and not quoted:
            pieces.append(current)
            current = ""
        else:
            current += character
    return [*pieces, current]


def no_relation(name: ddl.Name, catalog: Catalog) -> ProgrammingError:
    return ProgrammingError(
        f'relation "{name}" does not exist',
        sqlstate="42P01",
        position=name.position,
        hint=near(name.name, catalog.table_names()),
    )
