"""Partition pruning: whether a partition can have a row that satisfies what is known of its key columns.

What is known comes from a scan's predicates, as canonical values: at planning those of constants, at each execution
those of parameters too (literals are parameters, so that a statement's shape compiles once). The answer errs on the
side of True: bounds or predicates that are not understood prune nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias

from zerodb_compiler.constraints import Bound
from zerodb_compiler.errors import DatabaseError
from zerodb_compiler.types import SqlType, TypeId

MIN, MAX = "MINVALUE", "MAXVALUE"
MOST_COMBINATIONS = 256


@dataclass(frozen=True, slots=True)
class Known:
    """Of one column: it has one of the values `equal` (None: nothing known), is at least all of `low` and at most all
    of `high`."""

    equal: frozenset[Any] | None = None
    low: tuple[Any, ...] = ()
    high: tuple[Any, ...] = ()

    def having(self, name: str, values: Sequence[Any]) -> Known:
        """And it satisfies `in`, or the comparison `name`, with these values; a NULL among them is never satisfied."""
        present = frozenset(value for value in values if value is not None)
        if name in ("in", "eq") or not present:
            return Known(present if self.equal is None else self.equal & present, self.low, self.high)
        (value,) = present
        if isinstance(value, int):  # of a discrete type
            value += {"lt": -1, "gt": 1}.get(name, 0)
        if name in ("lt", "le"):
            return Known(self.equal, self.low, (*self.high, value))
        return Known(self.equal, (*self.low, value), self.high)

    def may_be(self, value: Any) -> bool:
        if self.equal is not None and value not in self.equal:
            return False
        return all(_ordered(low) <= _ordered(value) for low in self.low) and all(
            _ordered(value) <= _ordered(high) for high in self.high
        )


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the partition key, by the partition's own ordinal."""

    ordinal: int
    type: SqlType


@dataclass(frozen=True, slots=True)
class Infinite:
    """MINVALUE (-1) or MAXVALUE (1)."""

    sign: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """A Bound with its values parsed: `low` and `high` hold canonical values, or `Infinite`."""

    low: tuple[Any, ...] = ()
    high: tuple[Any, ...] = ()
    values: frozenset[Any] = frozenset()
    modulus: int = 0
    remainder: int = 0
    default: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """Which rows go to a partition of one level. `others` are the siblings' bounds, for a default partition."""

    method: str
    keys: tuple[KeyColumn, ...]
    bound: Bounds
    others: tuple[Bounds, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """That a table stands for one of `count` partitions of `root` in a scan of it, the scan having the number `scan`;
    `levels` from the root down, without those whose bounds or keys are not understood."""

    root: str
    scan: int
    count: int
    levels: tuple[Level, ...]


Digest: TypeAlias = Callable[[Sequence[SqlType], Sequence[Any]], "int | None"]


def can_match(levels: Sequence[Level], known: Mapping[int, Known], digest: Digest | None = None) -> bool:
    """Whether the partition may have a row of which `known` holds. `digest` hashes the key of a HASH partition."""
    for found in known.values():
        if found.equal is not None and not found.equal:
            return False
    return all(_level(level, [known.get(key.ordinal, Known()) for key in level.keys], digest) for level in levels)


def _level(level: Level, known: Sequence[Known], digest: Digest | None) -> bool:
    bound = level.bound
    if level.method == "hash":
        return digest is None or _hashed(level, known, digest)
    if bound.default:
        return _default(level, known[0])
    if level.method == "list":
        first = known[0]
        return any(first.may_be(value) for value in bound.values if value is not None) or (
            None in bound.values and first == Known()
        )
    return _in_range(known, bound.low, bound.high)


def _default(level: Level, first: Known) -> bool:
    """A default partition has what no other takes; known only where the key has one of some values."""
    if first.equal is None or len(level.keys) != 1:
        return True
    if level.method == "list":
        return not all(any(value in other.values for other in level.others) for value in first.equal)
    return not all(
        any(_in_range([Known(frozenset((value,)))], other.low, other.high) for other in level.others)
        for value in first.equal
    )


def _in_range(known: Sequence[Known], low: Sequence[Any], high: Sequence[Any]) -> bool:
    """Whether a key of which `known` holds may be at least `low` and less than `high`; an empty one is no bound, but
    where the other one's columns came to an end."""
    if not known:
        return True
    first, rest = known[0], known[1:]
    if first.equal is not None:
        return any(_value_in_range(value, rest, low, high) for value in first.equal if first.may_be(value))
    if low and any(_compare(value, low[0]) < 0 for value in first.high):
        return False
    return not (high and any(_compare(value, high[0]) >= (0 if len(high) == 1 else 1) for value in first.low))


def _value_in_range(value: Any, rest: Sequence[Known], low: Sequence[Any], high: Sequence[Any]) -> bool:
    at_low = _compare(value, low[0]) if low else 1
    at_high = _compare(value, high[0]) if high else -1
    if at_low < 0 or at_high > 0:
        return False
    if at_high == 0 and len(high) == 1:
        return False
    return _in_range(rest, low[1:] if at_low == 0 else (), high[1:] if at_high == 0 else ())


def _compare(value: Any, bound: Any) -> int:
    if isinstance(bound, Infinite):
        return -bound.sign
    a, b = _ordered(value), _ordered(bound)
    return int(a > b) - int(a < b)


def _ordered(value: Any) -> Any:
    """NaN is greater than all numbers, strings are ordered by their bytes."""
    if isinstance(value, str):
        return value.encode()
    return (value != value, value) if isinstance(value, float) else value


def _hashed(level: Level, known: Sequence[Known], digest: Digest) -> bool:
    values = [found.equal for found in known]
    total = 1
    for found in values:
        if found is None:
            return True
        total *= len(found)
    if total > MOST_COMBINATIONS:
        return True
    types = [key.type for key in level.keys]
    for key in product(*(found for found in values if found is not None)):
        hashed = digest(types, key)
        if hashed is None or hashed % level.bound.modulus == level.bound.remainder:
            return True
    return False


# --- bounds as they are declared --------------------------------------------------------------------------------------


def bounds_of(bound: Bound, types: Sequence[SqlType]) -> Bounds | None:
    """The bound with its values parsed; None if one is no plain literal."""
    low, high = _values(bound.low, types), _values(bound.high, types)
    listed = [None if text is None else _value(text, types[0]) for text in bound.values]
    if (
        low is None
        or high is None
        or any(value is None and text is not None for value, text in zip(listed, bound.values, strict=True))
    ):
        return None
    return Bounds(low, high, frozenset(listed), bound.modulus, bound.remainder, bound.default)


def _values(texts: Sequence[str], types: Sequence[SqlType]) -> tuple[Any, ...] | None:
    found: list[Any] = []
    for text, type_ in zip(texts, types, strict=False):
        if text in (MIN, MAX):
            found.append(Infinite(-1 if text == MIN else 1))
        elif (value := _value(text, type_)) is None:
            return None
        else:
            found.append(value)
    return tuple(found)


_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


@lru_cache(4096)
def _value(text: str, type_: SqlType) -> Any:
    """The canonical value of a literal; None if it is none, or its value depends on the session."""
    from zerodb_compiler.sql.values import parse_value

    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1 and "'" not in text[1:-1].replace("''", ""):
        text = text[1:-1].replace("''", "'")
    elif not _NUMBER.fullmatch(text) or not type_.is_number:
        return None
    if type_.id is TypeId.TIMESTAMPTZ or type_.has_sort_key or type_.padded:
        return None
    try:
        return parse_value(type_, text)
    except DatabaseError:
        return None
