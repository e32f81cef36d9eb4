"""The scalar functions that SQL may call: names, argument types, results, and which of several a call means.

A family of functions (sql/families/, one module each) declares its signatures with `define`; a function whose result
depends on more than its argument types has a binder of its own, declared with `special` (binder_functions.py). Which
signature a call means follows PostgreSQL's rules ("Type Conversion", 10.3): among those all arguments can be cast to
implicitly, the one with most exact matches; then, where untyped strings leave a choice, the one that takes them as
text.

`numeric` in a signature stands for numeric of any precision and scale: an argument keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.functions import MAYBE_NULL
from zerodb_compiler.types import DOUBLE, TEXT, TIMESTAMPTZ, SqlType, TypeId

# numeric of whatever precision the argument has; never the type of a value.
NUMERIC = SqlType(TypeId.NUMERIC)
Result = SqlType | Callable[[Sequence[SqlType]], SqlType]

_PREFERRED = frozenset({DOUBLE.id, TEXT.id, TIMESTAMPTZ.id, TypeId.BOOLEAN, TypeId.INTERVAL})


@dataclass(frozen=True, slots=True)
class Signature:
    """`call` is the function's name in code generation (sql/functions.py). The last `optional` arguments may be left
    out; with `variadic` the last one may come any number of times, at least once. `result` may be computed from the
    argument types. `nullable`: the result can be NULL though no argument is."""

    name: str
    arguments: tuple[SqlType, ...]
    result: Result
    call: str
    optional: int = 0
    variadic: bool = False
    nullable: bool = False

    def wanted(self, count: int) -> tuple[SqlType, ...] | None:
        """The types of `count` arguments, or None if it does not take as many."""
        declared = len(self.arguments)
        if self.variadic and count >= declared:
            return self.arguments + self.arguments[-1:] * (count - declared)
        return self.arguments[:count] if declared - self.optional <= count <= declared else None


SIGNATURES: dict[str, list[Signature]] = {}
_ALIASES: dict[str, str] = {}


def define(
    name: str,
    arguments: Iterable[SqlType],
    result: Result,
    call: str | None = None,
    *,
    optional: int = 0,
    variadic: bool = False,
    nullable: bool = False,
) -> None:
    """Declares one signature of the function `name`; `call` is `name` if not given."""
    signature = Signature(name, tuple(arguments), result, call or name, optional, variadic, nullable)
    SIGNATURES.setdefault(name, []).append(signature)
    if nullable:
        MAYBE_NULL.add(signature.call)


def alias(name: str, of: str) -> None:
    """`name` is another name of the function `of`."""
    _ALIASES[name] = of


def canonical_name(name: str) -> str:
    return _ALIASES.get(name, name)


def names() -> Iterable[str]:
    """All names, for suggestions."""
    return (*SIGNATURES, *_ALIASES)


def accepts(source: SqlType, target: SqlType) -> bool:
    """Whether an argument of type `source` may stand where a signature says `target`."""
    if target == NUMERIC:
        return source.is_exact or source.id is TypeId.NULL
    return coercion.is_implicit(source, target)


def argument_type(source: SqlType, target: SqlType) -> SqlType:
    """The type the argument is cast to."""
    if target != NUMERIC:
        return target
    return coercion.as_numeric(source) if source.is_exact else coercion.as_numeric(SqlType(TypeId.BIGINT))


@dataclass(frozen=True, slots=True)
class Ambiguous:
    candidates: tuple[Signature, ...]


def resolve(name: str, types: Sequence[SqlType]) -> Signature | Ambiguous | None:
    """The signature that a call with these argument types means; None if there is none."""
    found = best(SIGNATURES.get(name, ()), types)
    if len(found) > 1:
        return Ambiguous(tuple(found))
    return found[0] if found else None


def best(signatures: Iterable[Signature], types: Sequence[SqlType]) -> list[Signature]:
    """Those that take arguments of these types best."""
    candidates: list[tuple[Signature, tuple[SqlType, ...]]] = []
    for signature in signatures:
        wanted = signature.wanted(len(types))
        if wanted is not None and all(map(accepts, types, wanted)):
            candidates.append((signature, wanted))
    for score in (_exact_matches, _preferred_matches, _text_for_unknown, _preferred_for_unknown):
        if len(candidates) <= 1:
            break
        scores = [score(types, wanted) for _, wanted in candidates]
        most = max(scores)
        candidates = [candidate for candidate, reached in zip(candidates, scores, strict=True) if reached == most]
    return [signature for signature, _ in candidates]


def _exact_matches(types: Sequence[SqlType], wanted: Sequence[SqlType]) -> int:
    return sum(source.id is target.id for source, target in zip(types, wanted, strict=True))


def _preferred_matches(types: Sequence[SqlType], wanted: Sequence[SqlType]) -> int:
    return sum(
        source.id is not TypeId.NULL and (source.id is target.id or target.id in _PREFERRED)
        for source, target in zip(types, wanted, strict=True)
    )


def _text_for_unknown(types: Sequence[SqlType], wanted: Sequence[SqlType]) -> int:
    return sum(source.id is TypeId.NULL and target.is_text for source, target in zip(types, wanted, strict=True))


def _preferred_for_unknown(types: Sequence[SqlType], wanted: Sequence[SqlType]) -> int:
    return sum(
        source.id is TypeId.NULL and target.id in _PREFERRED for source, target in zip(types, wanted, strict=True)
    )
