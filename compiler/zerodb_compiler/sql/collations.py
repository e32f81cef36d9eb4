"""Collations of expressions: in which order texts are compared, derived as PostgreSQL derives it.

A column's collation is part of its type (`SqlType.collation`, of an array that of its elements; None is the database's,
byte order). A call, a cast, a CASE takes its collation from its arguments: an explicit one (COLLATE, which is a Call
of that name) wins, two different explicit ones are an error (42P21); else one that is not the database's; two
different ones leave it undecided (UNDECIDED), which is an error (42P22) where the order is needed.

Collations of byte order have an order of their own only by name. Those of UNICODE compare by the keys of
kernels/collation.py; equality is that of the bytes in all of them.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

from zerodb_compiler.errors import DatabaseError, NotSupportedError, error_for
from zerodb_compiler.sql.expressions import Call, Case, Cast, ColumnRef, Expression, Literal
from zerodb_compiler.types import TEXT, UNDECIDED, UNICODE, SqlType, TypeId, array

DEFAULT = "default"
_BYTES = frozenset({"C", "POSIX", "ucs_basic", DEFAULT, "C.UTF-8"})
# By name, with the number it has in pg_collation.
COLLATIONS = {
    DEFAULT: 100,
    "C": 950,
    "POSIX": 951,
    "ucs_basic": 12340,
    "C.UTF-8": 12341,
    "und-x-icu": 12342,
    "unicode": 963,
}
# Calls that compare their arguments: by order, or for equality alone.
_ORDERING = frozenset({"lt", "le", "gt", "ge", "greatest", "least"} | {
    f"{operator} {quantifier}" for operator in ("lt", "le", "gt", "ge") for quantifier in ("any", "all")
})  # fmt: skip
_COMPARING = _ORDERING | {"eq", "ne", "in", "is_distinct", "is_not_distinct", "eq any", "ne all", "eq all", "ne any"}
CASES = frozenset({"lower", "upper", "initcap"})
_ASCII = frozenset({"C", "POSIX", "ucs_basic"})
_BY_CHARACTERS = {
    **dict.fromkeys(("like", "not_like"), "LIKE"),
    "ilike": "ILIKE",
    **{name: f"{name}() function" for name in CASES},
}


def known(name: str, position: int | None) -> str:
    """The collation's name as types have it; 42704 if there is none, 0A000 if it is none of ours."""
    name = name.removeprefix("pg_catalog.")
    if name in _BYTES or name in UNICODE:
        return name
    if name.endswith("-x-icu") or name.lower().endswith(("utf8", "utf-8")):
        raise NotSupportedError(f'collation "{name}" is not supported', position=position)
    raise error_for("42704", f'collation "{name}" for encoding "UTF8" does not exist', position=position)


def collatable(type_: SqlType) -> bool:
    return type_.is_text or (type_.id is TypeId.ARRAY and type_.element is not None and type_.element.is_text)


def collation_of(type_: SqlType) -> str | None:
    return type_.collation if type_.element is None else type_.element.collation


def with_collation(type_: SqlType, name: str | None) -> SqlType:
    """The type with another collation; None for the database's."""
    if type_.id is TypeId.ARRAY:
        assert type_.element is not None
        return array(replace(type_.element, collation=name))
    return replace(type_, collation=name)


def declared(type_: SqlType, name: str, position: int | None) -> SqlType:
    """The type of a column with COLLATE."""
    if not collatable(type_):
        raise error_for("42804", f"collations are not supported by type {type_}", position=position)
    return with_collation(type_, None if name == DEFAULT else name)


def merged(a: str | None, b: str | None) -> str | None:
    """What two collations that are both implicit give."""
    return a if a == b or b is None or b == DEFAULT else b if a is None or a == DEFAULT else UNDECIDED


def explicit(expression: Expression) -> str | None:
    """The collation that COLLATE in the expression gives it."""
    match expression:
        case Call(function="collate", type=type_):
            return collation_of(type_)
        case Call(arguments=parts):
            pass
        case Cast(argument=argument):
            parts = (argument,)
        case Case(branches=branches, default=default):
            parts = (*(result for _, result in branches), default)
        case _:
            return None
    for part in parts if collatable(expression.type) else ():
        if collatable(part.type) and (found := explicit(part)) is not None:
            return found
    return None


def derived(arguments: Sequence[Expression], position: int | None) -> str | None:
    """The collation of what is made of the arguments."""
    found: str | None = None
    chosen: str | None = None
    parts = [argument for argument in arguments if collatable(argument.type)]
    # A column that was left without a collation says nothing.
    undecided_columns = [part for part in parts if isinstance(part, ColumnRef) and collation_of(part.type) == UNDECIDED]
    if undecided_columns and len(undecided_columns) < len(parts):
        parts = [part for part in parts if part not in undecided_columns]
    for argument in parts:
        found = merged(found, collation_of(argument.type))
        own = explicit(argument)
        if own is not None and chosen is not None and own != chosen:
            message = f'collation mismatch between explicit collations "{chosen}" and "{own}"'
            raise error_for("42P21", message, position=position)
        chosen = own if own is not None else chosen
    return chosen if chosen is not None else found


def in_call(
    function: str, arguments: tuple[Expression, ...], type_: SqlType, position: int | None
) -> tuple[tuple[Expression, ...], SqlType]:
    """The arguments and the result type of a call, some of whose arguments have a collation of their own."""
    found = derived(arguments, position)
    if found == UNDECIDED and (function in _COMPARING or function in _BY_CHARACTERS):
        raise undecided(_BY_CHARACTERS.get(function, "string comparison"), position)
    if function in _ORDERING:
        arguments = tuple(in_collation(argument, found) for argument in arguments)
    return arguments, with_collation(type_, found) if collatable(type_) else type_


def in_c(function: str, arguments: tuple[Expression, ...], position: int | None) -> tuple[str, tuple[Expression, ...]]:
    """Upper and lower case in a collation of bytes that was named: of ASCII letters alone, as in PostgreSQL."""
    if collation_of(arguments[0].type) not in _ASCII:
        return function, arguments
    if function == "initcap":
        raise NotSupportedError("initcap in a collation of bytes is not supported", position=position)
    letters = (Literal(string.ascii_uppercase, TEXT), Literal(string.ascii_lowercase, TEXT))
    return "translate", (*arguments, *(letters if function == "lower" else letters[::-1]))


def in_collation(value: Expression, name: str | None) -> Expression:
    """The value compared by another collation, which it has not been given explicitly."""
    if not collatable(value.type) or collation_of(value.type) == name:
        return value
    type_ = with_collation(value.type, name)
    return Literal(value.value, type_) if isinstance(value, Literal) else Cast(value, type_)


def united(values: list[Expression], type_: SqlType, position: int | None) -> tuple[list[Expression], SqlType]:
    """The results of a CASE and their type, in the collation they have together."""
    if not collatable(type_) or all(collation_of(value.type) is None for value in values):
        return values, type_
    name = derived(values, position)
    return [in_collation(value, name) for value in values], with_collation(type_, name)


def mismatch(names: Sequence[str | None], position: int | None) -> DatabaseError:
    """Implicit collations that differ where one is needed."""
    which = " and ".join(f'"{name or DEFAULT}"' for name in names if name != UNDECIDED)
    message = f"collation mismatch between implicit collations {which}".rstrip()
    return error_for("42P21", message, position=position, hint="choose the collation with COLLATE")


def undecided(what: str, position: int | None) -> DatabaseError:
    message = f"could not determine which collation to use for {what}"
    return error_for("42P22", message, position=position)
