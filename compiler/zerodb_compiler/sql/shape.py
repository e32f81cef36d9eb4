"""The shape of a text: what remains when literals are taken out, so that a statement is compiled once per shape.

    select * from t where id = 7  and name = 'x'     key       select * from t where id = #i and name = #s
                               literals  ('7', 'x')

Two texts with one key differ only in literals of the same class (int32, int64, numeric(p,s), double, string). The
binder has *lifted* some literals to parameters and *baked* the others into the plan; a compiled variant serves every
text whose baked literals are equal and whose lifted ones convert. A convert that fails (a date that is none, a number
too large for the column) is a miss, and the text takes the long way, where the error gets its place.

`shape_of` must agree with the tokenizer about what is a literal. It need not be perfect: `analyze.bind_shape` checks
that each lifted literal converts to the value the binder saw, and gives no shape otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from zerodb_compiler.errors import Error

if TYPE_CHECKING:
    from zerodb_compiler.catalog import TableInfo, ViewInfo
    from zerodb_compiler.sql.external import ExternalFunction
    from zerodb_compiler.sql.parameters import LiftedParameter, UserParameter
    from zerodb_compiler.sql.statements import Statement
    from zerodb_compiler.sql.values import Value

MARK = "\x01"
MAX_VARIANTS = 16
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_STRING = r"'[^']*(?:''[^']*)*'"
# One literal or line comment; a number must not be the end of an identifier. For texts without what _UNUSUAL finds.
_LITERAL = re.compile(rf"({_STRING}|(?<![\w.]){_NUMBER}|--[^\n]*)")
_UNUSUAL = re.compile(r"[\"$\\\x00\x01]|/\*")
_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*)"
    r'|(?P<quoted>"[^"]*(?:""[^"]*)*")'
    r"|(?P<escape>[eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*')"
    rf"|(?P<string>{_STRING})"
    r"|(?P<dollar>\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)\$|\$\$.*?\$\$)"
    r"|(?P<word>[$:]?\w*[A-Za-z_]\w*|\$[0-9]+)"
    rf"|(?P<number>{_NUMBER})"
    r"|(?P<space>\s+)|(?P<other>.)",
    re.S,
)
_COMMENT_PART = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Shape:
    """`literals` are the literals' values as text (strings unquoted); `pieces` the text cut at the literals (and, in
    the quick way, line comments), which are the odd pieces."""

    key: str
    literals: tuple[str, ...]
    pieces: tuple[str, ...]

    def starts(self) -> dict[int, int]:
        """Text offset of each literal -> its number."""
        found: dict[int, int] = {}
        offset = 0
        for i, piece in enumerate(self.pieces):
            if i % 2 and not piece.startswith("--"):
                found[offset] = len(found)
            offset += len(piece)
        return found


def shape_of(text: str) -> Shape:
    if _UNUSUAL.search(text) is not None:
        return _careful_shape(text)
    pieces = _LITERAL.split(text)
    literals, parts = _classified(pieces)
    return Shape(" ".join("".join(parts).lower().split()), tuple(literals), tuple(pieces))


def _classified(pieces: list[str]) -> tuple[list[str], list[str]]:
    """The literals' values, and the pieces with each literal replaced by its class."""
    literals: list[str] = []
    parts = pieces.copy()
    for i in range(1, len(pieces), 2):
        literal = pieces[i]
        if literal[0] == "'":
            literals.append(literal[1:-1].replace("''", "'"))
            parts[i] = "\x01s"
        elif literal[0] == "-":
            parts[i] = " "
        else:
            literals.append(literal)
            parts[i] = number_class(literal)
    return literals, parts


def number_class(text: str) -> str:
    """The mark of a number literal: its type, as the binder gives it."""
    if text.isdigit():
        if len(text) < 10 or int(text[:20]) < 1 << 31:
            return "\x01i"
        if len(text) < 19 or int(text[:20]) < 1 << 63:
            return "\x01l"
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not digits.isdigit():
        return "\x01f" + text  # with an exponent: the text itself decides the type
    precision = max(len(digits.lstrip("0")), len(fraction), 1)
    return f"\x01n{precision}.{len(fraction)}"


def _careful_shape(text: str) -> Shape:
    """The same for texts with quoted identifiers, comments, escapes, `$`: token by token."""
    if MARK in text or "\0" in text:  # the latter is an error, which parsing finds
        return Shape(MARK + text, (), (text,))
    pieces: list[str] = []
    literals: list[str] = []
    parts: list[str] = []
    begin = offset = 0
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        assert found is not None  # the last alternative takes any character
        kind, token = found.lastgroup, found[0]
        end = found.end()
        if kind == "comment":
            end = _comment_end(text, offset) if token == "/*" else end
        elif kind in ("string", "number"):
            pieces += (text[begin:offset], token)
            begin = end
            literals.append(token[1:-1].replace("''", "'") if kind == "string" else token)
            parts.append("\x01s" if kind == "string" else number_class(token))
        elif kind in ("quoted", "escape", "dollar"):
            parts.append(token)
        elif kind != "space":
            parts.append(token.lower())
        offset = end
    pieces.append(text[begin:])
    return Shape(" ".join(parts), tuple(literals), tuple(pieces))


def _comment_end(text: str, offset: int) -> int:
    """The end of a block comment, which may hold others."""
    depth = 0
    for found in _COMMENT_PART.finditer(text, offset):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(text)


@dataclass(frozen=True, slots=True)
class BoundShape:
    """A bound statement and which texts of its shape it serves.

    The parameter list of the program is: one value per user parameter (slots 0..u-1), then one per lifted literal.
    `baked` are the (number, text) of the literals that must be equal. `tables` are all base tables read or written:
    the statement is good for exactly these schema versions; `table_names` are, by table key, the (name, schema) pairs
    that the text calls each by.
    """

    statement: Statement
    lifted: tuple[LiftedParameter, ...]
    baked: tuple[tuple[int, str], ...]
    user_parameters: tuple[UserParameter, ...]
    tables: tuple[TableInfo, ...]
    shape: Shape | None = None
    table_names: Mapping[str, tuple[tuple[str, str | None], ...]] = field(default_factory=dict)
    views: tuple[tuple[str, str | None, ViewInfo], ...] = ()  # those named: name, schema, what it was
    inlined: tuple[ViewInfo, ...] = ()  # those and the views within views
    functions: tuple[tuple[str, str | None, tuple[ExternalFunction, ...]], ...] = ()  # by name and schema, none too

    def matches(self, shape: Shape) -> bool:
        literals = shape.literals
        return all(literals[i] == text for i, text in self.baked)

    def values(self, shape: Shape) -> list[Value] | None:
        """The lifted literals of a matching text in slot order, or None if one does not convert."""
        literals = shape.literals
        try:
            return [parameter.value(literals) for parameter in self.lifted]
        except (Error, ArithmeticError, ValueError, Inconvertible):
            return None


class Inconvertible(Exception):
    """A constant cannot be represented exactly where the compiled statement needs it."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hit(Generic[T]):
    """A compiled statement for a text: `entry` is what the host cached, `values` the lifted literals in slot order."""

    entry: T
    values: list[Value]


class ShapeCache(Generic[T]):
    """Compiled statements by shape, least recently used ones dropped. It holds whatever the host calls an entry and
    does no I/O; it is not locked."""

    def __init__(self, capacity: int = 1_000) -> None:
        assert capacity > 0
        self.capacity = capacity
        self._variants: dict[str, list[tuple[BoundShape, T]]] = {}

    def __len__(self) -> int:
        return len(self._variants)

    def lookup(self, text: str) -> Hit[T] | None:
        return self.lookup_shape(shape_of(text))

    def lookup_shape(self, shape: Shape) -> Hit[T] | None:
        variants = self._variants.pop(shape.key, None)
        if variants is None:
            return None
        self._variants[shape.key] = variants  # now the most recently used
        for bound, entry in variants:
            if bound.matches(shape):
                values = bound.values(shape)
                if values is not None:
                    return Hit(entry, values)
        return None

    def insert(self, bound: BoundShape, entry: T) -> bool:
        """Remember the entry for its shape. False if the statement cannot be cached."""
        shape = bound.shape
        if shape is None or bound.values(shape) is None:
            return False
        variants = self._variants.setdefault(shape.key, [])
        variants[:] = [
            (old, e) for old, e in variants if old.baked != bound.baked or _conversions(old) != _conversions(bound)
        ]
        variants.insert(0, (bound, entry))
        del variants[MAX_VARIANTS:]
        while len(self._variants) > self.capacity:
            del self._variants[next(iter(self._variants))]
        return True

    def remove(self, shape: Shape) -> None:
        """Forget all variants of a shape (their tables changed)."""
        self._variants.pop(shape.key, None)

    def clear(self) -> None:
        self._variants.clear()


def _conversions(bound: BoundShape) -> tuple[object, ...]:
    return tuple((parameter.literals, parameter.type) for parameter in bound.lifted)
