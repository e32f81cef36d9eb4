"""Functions that are defined outside the compiler: what it knows of them, and which one a call means.

    create function slug(title text) returns text language wasm as 'text.wasm'
    db.create_function("slug", python_function, ["text"], "text")

The compiler sees signatures only; who runs the code is the host's affair. Which of several functions of one name a call
means is decided as for built-in functions (signatures.py); those have precedence: a function of the same name is found
for arguments that no built-in one takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from zerodb_compiler.sql.polymorphic import instantiated, is_polymorphic
from zerodb_compiler.sql.signatures import NUMERIC, Signature, best
from zerodb_compiler.types import TEXT, UNCONSTRAINED_NUMERIC, SqlType, TypeId

SCALAR, TABLE, AGGREGATE = "scalar", "table", "aggregate"
IMMUTABLE, STABLE, VOLATILE = "immutable", "stable", "volatile"


@dataclass(frozen=True, slots=True)
class ExternalFunction:
    """`id` is that of the catalog object; negative for a Python callable, which only this process knows. `version`
    changes when the function is replaced: what was compiled for (id, version) does not fit any more. `kind` is one of
    the constants above. `results` has one entry for a scalar function and an aggregate, the columns of a table
    function. `strict`: it is not called where an argument is NULL, and the result is NULL. `language` and `source` (the
    body's text) are of functions in SQL and PL/pgSQL; `writes` says whether such a one may change the database."""

    id: int
    version: int
    schema: str
    name: str
    kind: str
    argument_names: tuple[str, ...]
    arguments: tuple[SqlType, ...]
    results: tuple[tuple[str, SqlType], ...]
    volatility: str = VOLATILE
    strict: bool = False
    language: str = ""
    source: str = ""
    void: bool = False  # it gives '' for nothing
    generic: bool = False  # declared with anyelement or the like, which are these types in this call
    defaults: tuple[str, ...] = ()  # expressions, of the last arguments
    omitted: tuple[SqlType, ...] = ()  # in a call that leaves arguments to their defaults, these
    named_columns: bool = False  # the columns of its table are variables in it
    outwards: tuple[tuple[str, str, int], ...] = ()  # mode, name, place of all arguments, if some are results, too

    @property
    def writes(self) -> bool:
        return bool(self.source) and self.volatility == VOLATILE

    @property
    def result(self) -> SqlType:
        assert self.kind != TABLE
        return self.results[0][1]

    @property
    def signature(self) -> str:
        """f(bigint, text), for messages."""
        return f"{self.name}({', '.join(map(str, self.arguments))})"


_WIRED = frozenset(
    {
        *(TypeId.BOOLEAN, TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT, TypeId.HUGEINT),
        *(TypeId.U8, TypeId.U16, TypeId.U32, TypeId.U64, TypeId.NUMERIC, TypeId.REAL, TypeId.DOUBLE),
        *(TypeId.TEXT, TypeId.BYTEA, TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ),
        *(TypeId.INTERVAL, TypeId.UUID),
    }
)


def wire_type(type_: SqlType) -> SqlType:
    """The type in which a body takes or gives values of a type: text, in PostgreSQL's form, for those it would not know
    (arrays, json, enums and so on)."""
    return type_ if type_.id in _WIRED else TEXT


def parameters(function: ExternalFunction) -> tuple[SqlType, ...]:
    """The types as signatures have them: plain numeric takes the scale of its argument."""
    return tuple(NUMERIC if type_ == UNCONSTRAINED_NUMERIC else type_ for type_ in function.arguments)


def resolve_external(
    functions: Sequence[ExternalFunction], types: Sequence[SqlType]
) -> ExternalFunction | Sequence[ExternalFunction] | None:
    """The function that a call with these argument types means; all that fit equally well; None if none does."""
    shortened = [_without_omitted(each, len(types)) for each in functions]
    fitting = [fit for each in shortened if (fit := _for_types(each, types)) is not None]
    by_signature = {
        Signature(function.name, parameters(function), function.results[0][1], str(place)): function
        for place, function in enumerate(fitting)
    }
    found = best(list(by_signature), types)
    if len(found) > 1:
        return [by_signature[signature] for signature in found]
    return by_signature[found[0]] if found else None


def _without_omitted(function: ExternalFunction, count: int) -> ExternalFunction:
    """The function as a call with so many arguments sees it, if it leaves the others to their defaults."""
    arguments = function.arguments
    if not len(arguments) - len(function.defaults) <= count < len(arguments):
        return function
    return replace(function, arguments=arguments[:count], omitted=arguments[count:])


def _for_types(function: ExternalFunction, types: Sequence[SqlType]) -> ExternalFunction | None:
    if not any(map(is_polymorphic, function.arguments)):
        return function
    return instantiated(function, types)


def without_doubles(groups: Iterable[Sequence[ExternalFunction]]) -> list[ExternalFunction]:
    """The functions of all groups, without those that take the same arguments as one of a group before."""
    found: dict[tuple[SqlType, ...], ExternalFunction] = {}
    for group in groups:
        for function in group:
            found.setdefault(function.arguments, function)
    return list(found.values())
