"""jsonpath: from text to a program that kernels/jsonpath.py runs (PostgreSQL 9.16.2).

    program   i32 offset of the first node, i32 1 for lax mode, 8 bytes zero; then nodes and what they name
    node      i32 operation, i32 offset of the node that follows in its path (0: none), i32 a, b

An offset counts from the program's start. `a` and `b` are the operands (offsets of nodes), or offset and length of a
name or a jsonb value; for [subscripts] offset and number of pairs of nodes (the second 0 for a single index), for .**
the first and the last level (-1: the last one there is).

Limits: .datetime() and the flag x of like_regex are refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from zerodb_compiler import jsonb
from zerodb_compiler.errors import DatabaseError, error_for

ROOT, CURRENT, LITERAL, VARIABLE, LAST = range(1, 6)
KEY, ANY_KEY, ANY_ARRAY, INDEX, FILTER, ANY = range(10, 16)
TYPE, SIZE, DOUBLE, CEILING, FLOOR, ABS, KEYVALUE = range(20, 27)
ADD, SUB, MUL, DIV, MOD, PLUS, MINUS = range(30, 37)
AND, OR, NOT, IS_UNKNOWN, EXISTS, EQ, NE, LT, LE, GT, GE, STARTS_WITH, LIKE_REGEX = range(40, 53)
HEADER_BYTES = 16
NODE_BYTES = 16
MAX_DEPTH = 200

_METHODS = {
    "type": TYPE,
    "size": SIZE,
    "double": DOUBLE,
    "ceiling": CEILING,
    "floor": FLOOR,
    "abs": ABS,
    "keyvalue": KEYVALUE,
}
_COMPARISONS = {"==": EQ, "!=": NE, "<>": NE, "<": LT, "<=": LE, ">": GT, ">=": GE}
_TOKEN = re.compile(
    r"(?:\s|/\*.*?\*/)*(?:"
    r'(?P<string>"(?:[^"\\]|\\.)*")'
    r'|\$(?P<quoted>"(?:[^"\\]|\\.)*")'
    r"|\$(?P<variable>\w+)"
    r"|(?P<number>(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<sign>\*\*|&&|\|\||==|!=|<>|<=|>=|[-?%$.\[\]{}()!<>@,*+/])"
    r"|(?P<word>(?:[^\s?%$.\[\]{}()|&!=<>@#,*:\-+/\"\\]|\\.)+)"
    r"|(?P<end>\Z))",
    re.S,
)
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.S)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """`parts` are operand nodes, `data` a name or a jsonb value, `pairs` the subscripts, `levels` those of .**"""

    operation: int
    parts: tuple[Node, ...] = ()
    data: bytes = b""
    pairs: tuple[tuple[Node, Node | None], ...] = ()
    levels: tuple[int, int] = (0, 0)
    following: Node | None = None

    @property
    def is_predicate(self) -> bool:
        return self.operation >= AND and self.following is None


def compile_path(text: str) -> bytes:
    """The program; 42601 for what is no path, 22P02 for an empty one."""
    node, lax = _Parser(text).path()
    return _Writer().program(node, lax)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._depth = 0
        self._filters = self._subscripts = 0
        self._kind, self._word = "", ""
        if not text.strip():
            raise error_for("22P02", f'invalid input syntax for type jsonpath: "{text}"')
        self._next()

    def _fail(self) -> DatabaseError:
        if self._kind == "end":
            return error_for("42601", "syntax error at end of jsonpath input")
        return error_for("42601", f'syntax error at or near "{self._word}" of jsonpath input')

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._place)
        if found is None:
            self._word = self._text[self._place :].lstrip()[:1]
            raise self._fail()
        self._place = found.end()
        assert found.lastgroup is not None
        self._kind, self._word = found.lastgroup, found[found.lastgroup]
        if self._kind == "number" and re.match(r"\w", self._text[self._place : self._place + 1]):
            raise error_for("42601", f'trailing junk after numeric literal at or near "{self._word}" of jsonpath input')

    def _is(self, word: str) -> bool:
        return self._word == word and self._kind in ("sign", "word")

    def _taken(self, word: str) -> bool:
        if not self._is(word):
            return False
        self._next()
        return True

    def _expect(self, word: str) -> None:
        if not self._taken(word):
            raise self._fail()

    def path(self) -> tuple[Node, bool]:
        lax = True
        if self._kind == "word" and self._word in ("lax", "strict"):
            lax = self._word == "lax"
            self._next()
        node = self._or()
        if self._kind != "end":
            raise self._fail()
        return node, lax

    def _or(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise error_for("54001", "stack depth limit exceeded")
        node = self._and()
        while self._is("||"):
            node = Node(OR, (self._predicate(node), self._predicate(self._after(self._and))))
        self._depth -= 1
        return node

    def _after(self, parse: Callable[[], T]) -> T:
        self._next()
        return parse()

    def _and(self) -> Node:
        node = self._comparison()
        while self._is("&&"):
            node = Node(AND, (self._predicate(node), self._predicate(self._after(self._comparison))))
        return node

    def _predicate(self, node: Node) -> Node:
        if not node.is_predicate:
            raise self._fail()
        return node

    def _value(self, node: Node) -> Node:
        if node.is_predicate:
            raise self._fail()
        return node

    def _comparison(self) -> Node:
        if self._is("!"):
            self._next()
            if not (self._is("(") or self._is("exists")):
                raise self._fail()
            return Node(NOT, (self._predicate(self._primary()),))
        left = self._sum()
        if self._kind == "sign" and self._word in _COMPARISONS:
            operation = _COMPARISONS[self._word]
            return Node(operation, (self._value(left), self._value(self._after(self._sum))))
        if self._is("starts"):
            self._next()
            self._expect("with")
            if self._kind not in ("string", "variable", "quoted"):
                raise self._fail()
            return Node(STARTS_WITH, (self._value(left), self._primary()))
        if self._is("like_regex"):
            return self._like(self._value(left))
        return left

    def _like(self, left: Node) -> Node:
        self._next()
        if self._kind != "string":
            raise self._fail()
        pattern, flags = _unquoted(self._word), ""
        self._next()
        if self._taken("flag"):
            if self._kind != "string":
                raise self._fail()
            flags = _unquoted(self._word)
            self._next()
        return Node(LIKE_REGEX, (left,), _regex(pattern, flags))

    def _sum(self) -> Node:
        node = self._product()
        while self._is("+") or self._is("-"):
            operation = ADD if self._word == "+" else SUB
            node = Node(operation, (self._value(node), self._value(self._after(self._product))))
        return node

    def _product(self) -> Node:
        node = self._unary()
        while self._kind == "sign" and self._word in ("*", "/", "%"):
            operation = {"*": MUL, "/": DIV, "%": MOD}[self._word]
            node = Node(operation, (self._value(node), self._value(self._after(self._unary))))
        return node

    def _unary(self) -> Node:
        if self._is("+") or self._is("-"):
            operation = PLUS if self._word == "+" else MINUS
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise error_for("54001", "stack depth limit exceeded")
            node = Node(operation, (self._value(self._after(self._unary)),))
            self._depth -= 1
            return node
        return self._primary()

    def _primary(self) -> Node:
        node = self._atom()
        steps: list[Node] = []
        while self._kind == "sign" and self._word in (".", "[", "?"):
            if node.is_predicate and not steps and node.operation == EXISTS:
                raise self._fail()
            steps.append(self._step())
        if not steps:
            if node.is_predicate and self._is("is"):
                self._next()
                self._expect("unknown")
                return Node(IS_UNKNOWN, (node,))
            return node
        chain: Node | None = None
        for step in reversed(steps):
            chain = replace(step, following=chain)
        assert node.following is None or node.is_predicate is False
        return _followed(node, chain)

    def _atom(self) -> Node:
        kind, word = self._kind, self._word
        if kind == "sign":
            if word == "(":
                node = self._after(self._or)
                self._expect(")")
                return node
            if word == "$":
                self._next()
                return Node(ROOT)
            if word == "@":
                if not self._filters:
                    raise error_for("42601", "@ is not allowed in root expressions")
                self._next()
                return Node(CURRENT)
            raise self._fail()
        self._next()
        match kind:
            case "string":
                return _literal(_unquoted(word))
            case "number":
                whole = word[:-1] if word.endswith(".") else word.replace(".e", "e").replace(".E", "E")
                return _literal(jsonb.canonical_number("0" + whole if whole.startswith(".") else whole))
            case "variable":
                return Node(VARIABLE, data=word.encode())
            case "quoted":
                return Node(VARIABLE, data=_unquoted(word).encode())
            case "word" if word.lower() in ("true", "false", "null"):
                return _literal({"true": True, "false": False, "null": None}[word.lower()])
            case "word" if word == "last":
                if not self._subscripts:
                    raise error_for("42601", "LAST is allowed only in array subscripts")
                return Node(LAST)
            case "word" if word == "exists":
                self._expect("(")
                node = self._value(self._or())
                self._expect(")")
                return Node(EXISTS, (node,))
        self._kind, self._word = kind, word
        raise self._fail()

    def _step(self) -> Node:
        if self._taken("?"):
            self._expect("(")
            self._filters += 1
            node = Node(FILTER, (self._predicate(self._or()),))
            self._filters -= 1
            self._expect(")")
            return node
        if self._taken("["):
            return self._index()
        self._next()  # the point
        kind, word = self._kind, self._word
        if kind == "sign" and word == "*":
            self._next()
            return Node(ANY_KEY)
        if kind == "sign" and word == "**":
            self._next()
            return self._levels()
        if kind not in ("word", "string"):
            raise self._fail()
        self._next()
        if kind == "word" and self._is("("):
            self._next()
            if word == "datetime":
                raise error_for("0A000", "the jsonpath item method .datetime() is not supported")
            self._expect(")")
            if word not in _METHODS:
                raise error_for("42601", f'syntax error at or near "{word}" of jsonpath input')
            return Node(_METHODS[word])
        name = _unquoted(word) if kind == "string" else _unescaped(word)
        return Node(KEY, data=name.encode())

    def _index(self) -> Node:
        if self._is("*"):
            self._next()
            self._expect("]")
            return Node(ANY_ARRAY)
        self._subscripts += 1
        pairs: list[tuple[Node, Node | None]] = []
        while True:
            first = self._value(self._sum())
            second = self._value(self._after(self._sum)) if self._is("to") else None
            pairs.append((first, second))
            if not self._taken(","):
                break
        self._subscripts -= 1
        self._expect("]")
        return Node(INDEX, pairs=tuple(pairs))

    def _levels(self) -> Node:
        if not self._taken("{"):
            return Node(ANY, levels=(0, -1))
        first = self._level()
        last = self._after(self._level) if self._is("to") else first
        self._expect("}")
        return Node(ANY, levels=(first, last))

    def _level(self) -> int:
        if self._taken("last"):
            return -1
        if self._kind != "number" or not self._word.isdigit():
            raise self._fail()
        value = int(self._word)
        self._next()
        return value


def _followed(node: Node, chain: Node | None) -> Node:
    """The node with more steps at the end of its path."""
    following = chain if node.following is None else _followed(node.following, chain)
    return replace(node, following=following)


def _literal(value: object) -> Node:
    return Node(LITERAL, data=jsonb.encode(value))


def _unquoted(word: str) -> str:
    return _unescaped(word[1:-1])


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text

    def plain(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code is None:
            return _LETTERS.get(found[4], found[4])
        if int(code, 16) == 0:
            raise error_for("22P05", "unsupported Unicode escape sequence")
        return chr(int(code, 16))

    try:
        found = _ESCAPE.sub(plain, text)
        return found.encode("utf-16", "surrogatepass").decode("utf-16")
    except (ValueError, OverflowError):
        raise error_for("22P02", "invalid input syntax for type jsonpath") from None


def _regex(pattern: str, letters: str) -> bytes:
    from zerodb_compiler.regex.program import compile_regex
    from zerodb_compiler.regex.syntax import Flags

    for letter in letters:
        if letter not in "ismxq":
            raise error_for("42601", f'invalid input syntax for type jsonpath: unrecognized flag "{letter}"')
    if "x" in letters and "q" not in letters:
        raise error_for("0A000", 'XQuery "x" flag (expanded regular expressions) is not implemented')
    flags = Flags()
    options = (
        "q"
        if "q" in letters
        else {(0, 0): "p", (1, 0): "s", (0, 1): "n", (1, 1): "w"}[("s" in letters, "m" in letters)]
    )
    for option in options + ("i" if "i" in letters else ""):
        flags.option(option)
    return compile_regex(pattern, flags.bits)


class _Writer:
    def __init__(self) -> None:
        self._out = bytearray(HEADER_BYTES)

    def program(self, node: Node, lax: bool) -> bytes:
        first = self._node(node)
        struct.pack_into("<ii", self._out, 0, first, lax)
        return bytes(self._out)

    def _reserve(self, size: int) -> int:
        self._out += bytes(-len(self._out) % 16)
        place = len(self._out)
        self._out += bytes(size)
        return place

    def _data(self, data: bytes) -> int:
        place = self._reserve(0)
        self._out += data + bytes(16)
        return place

    def _node(self, node: Node | None) -> int:
        if node is None:
            return 0
        place = self._reserve(NODE_BYTES)
        a, b = node.levels
        if node.pairs:
            a, b = self._reserve(8 * len(node.pairs)), len(node.pairs)
            for number, (first, second) in enumerate(node.pairs):
                struct.pack_into("<ii", self._out, a + 8 * number, self._node(first), self._node(second))
        elif node.parts:
            a = self._node(node.parts[0])
            b = self._node(node.parts[1]) if len(node.parts) > 1 else self._data(node.data)
        elif node.operation in (LITERAL, VARIABLE, KEY):
            a, b = self._data(node.data), len(node.data)
        following = self._node(node.following)
        struct.pack_into("<iiii", self._out, place, node.operation, following, a, b)
        return place


__all__ = ["compile_path"]
