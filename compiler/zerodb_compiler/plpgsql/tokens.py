"""The tokens of a PL/pgSQL body: enough of SQL's to find where statements and expressions end."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zerodb_compiler.errors import ProgrammingError

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*)"
    r"|(?P<comment>/\*)"
    r"|(?P<string>[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*')"
    r"|(?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)"
    r'|(?P<quoted>(?:[uU]&)?"(?:[^"]|"")+")'
    r"|(?P<number>\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?|\.\d+)"
    r"|(?P<word>[^\W\d][\w$]*)"
    r"|(?P<parameter>\$\d+)"
    r"|(?P<label><<|>>)"
    r"|(?P<mark>:=|\.\.|::|[-+*/<>=~!@#%^&|`?]+|.)",
    re.S,
)
_COMMENT_PART = re.compile(r"/\*|\*/")
_SPECIAL = set("~!@#%^&|`?")  # an operator with one of these may end with a sign
END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is a group of the pattern, or END. `value` is a name folded, a string without quotes."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """A word in capitals; "" for what is no word."""
        return self.text.upper() if self.kind == "word" else self.text if self.kind in ("mark", "label") else ""

    @property
    def name(self) -> str:
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text.lower()

    @property
    def value(self) -> str:
        """A string's text."""
        if self.kind == "dollar":
            size = self.text.index("$", 1) + 1
            return self.text[size:-size]
        text = self.text
        if text[0] in "eE":
            return _unescaped(text[2:-1])
        return text[text.index("'") + 1 : -1].replace("''", "'")


def tokenize(text: str) -> list[Token]:
    """All tokens but spaces, and an END behind them. 42601 for a string or comment without an end."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, "the last alternative takes any character"
        kind = match.lastgroup if match.lastgroup != "tag" else "dollar"
        assert kind is not None
        end = match.end()
        if kind == "comment":
            end = _comment_end(text, at)
        elif kind == "mark" and len(match[0]) > 1:
            end = at + len(_operator(match[0]))
        if kind == "mark" and text[at] in "'\"":
            raise ProgrammingError("unterminated quoted string", position=at)
        if kind not in ("space", "comment"):
            found.append(Token(kind, text[at:end], at, end))
        at = end
    found.append(Token(END, "", len(text), len(text)))
    return found


def _operator(text: str) -> str:
    """Without a comment that begins within it, and without the sign of what follows: =-1 is = and -1."""
    for mark in ("--", "/*"):
        at = text.find(mark)
        if at > 0:
            text = text[:at]
    while len(text) > 1 and text[-1] in "+-" and not set(text) & _SPECIAL:
        text = text[:-1]
    return text


def _comment_end(text: str, at: int) -> int:
    depth = 0
    for part in _COMMENT_PART.finditer(text, at):
        depth += 1 if part[0] == "/*" else -1
        if depth == 0:
            return part.end()
    raise ProgrammingError("unterminated comment", position=at)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[0] == "''":
            return "'"
        return _ESCAPES.get(found[1], found[1])

    return re.sub(r"''|\\(.)", one, text, flags=re.S)
