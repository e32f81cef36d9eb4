"""The tree of a regular expression.

What it keeps of greediness is the *preference* of a part: True for the longest, False for the shortest match, None
where it has none. A branch has that of its first quantified atom, alternatives prefer the longest (`preference`).
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.regex.unicode_classes import Ranges

NEWLINE: Ranges = ((10, 10),)


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Concat:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` None: without limit. `greedy` None: {m}, which has the preference of its operand."""

    child: Node
    least: int
    most: int | None
    greedy: bool | None


@dataclass(frozen=True, slots=True)
class Group:
    """A capturing group; `index` from 1."""

    index: int
    child: Node


@dataclass(frozen=True, slots=True)
class BackReference:
    index: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place: text_start text_end line_start line_end word_start word_end word_boundary not_word_boundary"""

    kind: str


@dataclass(frozen=True, slots=True)
class Look:
    """(?=x) (?!x) (?<=x) (?<!x)"""

    child: Node
    ahead: bool
    negated: bool


Node = Empty | Chars | Concat | Alternatives | Repeat | Group | BackReference | Anchor | Look


def preference(node: Node) -> bool | None:
    match node:
        case Concat(items=items):
            return next((found for item in items if (found := preference(item)) is not None), None)
        case Alternatives():
            return True
        case Repeat(child=child, greedy=greedy):
            return preference(child) if greedy is None else greedy
        case Group(child=child):
            return preference(child)
        case _:
            return None


def is_mixed(node: Node) -> bool:
    """Whether parts of it have different preferences."""
    return len(_preferences(node)) > 1


def _preferences(node: Node) -> set[bool]:
    match node:
        case Concat(items=parts) | Alternatives(branches=parts):
            found = set().union(*(_preferences(part) for part in parts))
            return found | {True} if isinstance(node, Alternatives) else found
        case Repeat(child=child, greedy=greedy):
            return _preferences(child) | (set() if greedy is None else {greedy})
        case Group(child=child):
            return _preferences(child)
        case _:
            return set()


def has_captures(node: Node) -> bool:
    """Whether a group or a back reference is in it."""
    match node:
        case Group() | BackReference():
            return True
        case Concat(items=parts) | Alternatives(branches=parts):
            return any(has_captures(part) for part in parts)
        case Repeat(child=child):
            return has_captures(child)
        case _:
            return False


def has_back_references(node: Node) -> bool:
    match node:
        case BackReference():
            return True
        case Concat(items=parts) | Alternatives(branches=parts):
            return any(has_back_references(part) for part in parts)
        case Repeat(child=child) | Group(child=child) | Look(child=child):
            return has_back_references(child)
        case _:
            return False
