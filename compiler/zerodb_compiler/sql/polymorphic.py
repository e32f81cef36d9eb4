"""anyelement and its kin: the types of functions that take several.

    create function same(a anyelement, b anyelement) returns boolean ...
    same(1, 2)            anyelement is integer

All arguments of one family say one type: anyelement, anynonarray and anyenum it, anyarray an array of it. Those of the
family anycompatible say the type that they have in common. A call is of the function with these types put in; what
nobody knows the type of (NULL, a plain string) takes the one that the others say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb_compiler.sql import coercion
from zerodb_compiler.types import UNCONSTRAINED_NUMERIC, SqlType, TypeId, array

if TYPE_CHECKING:
    from zerodb_compiler.sql.external import ExternalFunction

_ELEMENTS = frozenset({"anyelement", "anynonarray", "anyenum", "anycompatible", "anycompatiblenonarray"})
_ARRAYS = frozenset({"anyarray", "anycompatiblearray"})


def polymorphic(name: str, schema: str | None) -> SqlType | None:
    """The pseudo-type of that name."""
    if schema not in (None, "pg_catalog") or name not in _ELEMENTS | _ARRAYS:
        return None
    return SqlType(TypeId.NULL, name=name)


def is_polymorphic(type_: SqlType) -> bool:
    return type_.id is TypeId.NULL and type_.name is not None


def instantiated(function: ExternalFunction, types: Sequence[SqlType]) -> ExternalFunction | None:
    """The function for arguments of these types; None if they do not go together."""
    if len(types) != len(function.arguments):
        return None
    known: dict[bool, SqlType] = {}  # by family: whether it is anycompatible
    for declared, given in zip(function.arguments, types, strict=True):
        if not is_polymorphic(declared) or given.id is TypeId.NULL:
            continue
        element = _element(str(declared.name), given)
        if element is None:
            return None
        family = _is_compatible(declared)
        before = known.get(family)
        if before is not None and before != element:
            common = coercion.common_type(before, element) if family else None
            if common is None:
                return None
            element = common
        known[family] = element

    def put_in(type_: SqlType) -> SqlType | None:
        if not is_polymorphic(type_):
            return type_
        element = known.get(_is_compatible(type_))
        if element is None:
            return None
        return array(element) if type_.name in _ARRAYS else element

    arguments = [put_in(type_) for type_ in function.arguments]
    results = [(name, put_in(type_)) for name, type_ in function.results]
    if None in arguments or any(type_ is None for _, type_ in results):
        return None
    return replace(
        function,
        arguments=tuple(type_ for type_ in arguments if type_ is not None),
        results=tuple((name, type_) for name, type_ in results if type_ is not None),
        generic=True,
    )


def _is_compatible(type_: SqlType) -> bool:
    return str(type_.name).startswith("anycompatible")


def _element(declared: str, given: SqlType) -> SqlType | None:
    """The type that an argument says for its family."""
    if declared in _ARRAYS:
        return None if given.id is not TypeId.ARRAY or given.element is None else _plain(given.element)
    if declared.endswith("nonarray") and given.id is TypeId.ARRAY:
        return None
    if declared == "anyenum" and given.id is not TypeId.ENUM:
        return None
    return _plain(given)


def _plain(type_: SqlType) -> SqlType:
    if type_.is_text:
        return replace(type_, length=None, padded=False, collation=None)
    if type_.id is TypeId.NUMERIC:
        return UNCONSTRAINED_NUMERIC
    return type_
