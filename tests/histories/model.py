"""Histories: what concurrent transactions did to a database and saw of it, as the checkers take them.

A transaction is a list of operations by one process (a connection), with two numbers from one clock: one taken before
it began, one after it ended. If A's end is before B's start, A was before B in real time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

Key: TypeAlias = int | str
Value: TypeAlias = int


class Outcome(Enum):
    OK = "committed"
    FAIL = "rolled back"
    INFO = "nobody knows"


@dataclass(frozen=True, slots=True)
class Append:
    """Adds an element, that no other operation adds, to the end of a key's list."""

    key: Key
    value: Value


@dataclass(frozen=True, slots=True)
class ReadList:
    key: Key
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """Sets a key's register to a value that no other operation sets it to."""

    key: Key
    value: Value


@dataclass(frozen=True, slots=True)
class ReadRegister:
    key: Key
    value: Value | None  # None: as it was in the beginning


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row: its element, and the group it lies in."""

    group: int
    element: Value


@dataclass(frozen=True, slots=True)
class Scan:
    """A query for all rows of groups low to high: the elements it found."""

    low: int
    high: int
    elements: frozenset[Value]


Operation: TypeAlias = Append | ReadList | Write | ReadRegister | Insert | Scan


@dataclass(frozen=True, slots=True)
class Transaction:
    number: int
    process: int
    operations: tuple[Operation, ...]
    outcome: Outcome = Outcome.OK
    start: int = 0
    end: int = 0

    def __str__(self) -> str:
        return f"T{self.number}({', '.join(map(short, self.operations))})"


def short(operation: Operation) -> str:
    """The operation in the notation of the papers: r(x, [1 2]), append(x, 3), w(y, 4)."""
    match operation:
        case Append(key, value):
            return f"append({key}, {value})"
        case ReadList(key, values):
            return f"r({key}, [{' '.join(map(str, values))}])"
        case Write(key, value):
            return f"w({key}, {value})"
        case ReadRegister(key, value):
            return f"r({key}, {value})"
        case Insert(group, element):
            return f"insert({group}, {element})"
        case Scan(low, high, elements):
            return f"scan({low}-{high}, {{{' '.join(map(str, sorted(elements)))}}})"


History: TypeAlias = Sequence[Transaction]


def history(*transactions: Iterable[Operation] | tuple[Outcome, Iterable[Operation]]) -> list[Transaction]:
    """A history by hand, all transactions at the same time: each is its operations, or (outcome, operations)."""
    found = []
    for number, given in enumerate(transactions, 1):
        outcome, operations = (
            given if isinstance(given, tuple) and given and isinstance(given[0], Outcome) else (Outcome.OK, given)
        )
        found.append(Transaction(number, number, tuple(operations), outcome, 0, 10_000))  # type: ignore[arg-type]
    return found


def in_turn(transactions: Iterable[Transaction]) -> list[Transaction]:
    """The same transactions, each begun after the one before it had ended."""
    clock = itertools.count()
    return [
        Transaction(given.number, given.process, given.operations, given.outcome, next(clock), next(clock))
        for given in transactions
    ]
