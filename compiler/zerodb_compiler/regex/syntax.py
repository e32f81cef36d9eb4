"""The syntax of PostgreSQL's regular expressions: text to tree.

The dialect is Henry Spencer's "advanced regular expressions" (ARE), described in PostgreSQL's manual, chapter 9.7.3.
Basic ones (flag `b`) are refused; extended ones (flag `e`) are AREs without escapes. Errors are SQLSTATE 2201B with
PostgreSQL's messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.kernels.casemap import LOWER_RUNS, UPPER_RUNS
from zerodb_compiler.regex.tree import (
    NEWLINE,
    Alternatives,
    Anchor,
    BackReference,
    Chars,
    Concat,
    Empty,
    Group,
    Look,
    Node,
    Repeat,
)
from zerodb_compiler.regex.unicode_classes import MAX_CODE_POINT, Ranges, complement, named_class, union

MAX_REPEAT = 255


@dataclass(slots=True)
class Flags:
    """Options of the match. `newline_atoms`: `.` and [^...] do not match a newline; `newline_anchors`: ^ and $ match at
    newlines too."""

    ignore_case: bool = False
    newline_atoms: bool = False
    newline_anchors: bool = False
    expanded: bool = False
    literal: bool = False
    extended: bool = False  # POSIX ERE: no escapes

    @property
    def bits(self) -> int:
        """The options as a number (derived.py)."""
        options = (
            self.ignore_case, self.newline_atoms, self.newline_anchors, self.expanded, self.literal, self.extended,
        )  # fmt: skip
        return sum(1 << bit for bit, option in enumerate(options) if option)

    @staticmethod
    def from_bits(bits: int) -> Flags:
        return Flags(*(bool(bits >> bit & 1) for bit in range(6)))

    def option(self, letter: str) -> bool:
        """Sets an option by its letter; False if there is no such option."""
        match letter:
            case "i" | "c":
                self.ignore_case = letter == "i"
            case "m" | "n":
                self.newline_atoms = self.newline_anchors = True
            case "p":
                self.newline_atoms, self.newline_anchors = True, False
            case "w":
                self.newline_atoms, self.newline_anchors = False, True
            case "s":
                self.newline_atoms = self.newline_anchors = False
            case "x" | "t":
                self.expanded = letter == "x"
            case "q":
                self.literal, self.extended = True, False
            case "e":
                self.extended, self.literal = True, False
            case "b":
                raise NotSupportedError("basic regular expressions (option b) are not supported")
            case _:
                return False
        return True


def failure(message: str) -> Exception:
    return error_for("2201B", f"invalid regular expression: {message}")


def with_cases(ranges: Ranges) -> Ranges:
    """The set with the other case of each of its letters."""
    more: list[tuple[int, int]] = []
    for low, high in ranges:
        for first, last, distance in ((0x41, 0x5A, 32), (0x61, 0x7A, -32)):
            if low <= last and high >= first:
                more.append((max(low, first) + distance, min(high, last) + distance))
        if high >= 0x80:
            for run_first, count, step, distance in (*LOWER_RUNS, *UPPER_RUNS):
                run_last = run_first + (count - 1) * step
                if low > run_last or high < run_first:
                    continue
                if step == 1:
                    more.append((max(low, run_first) + distance, min(high, run_last) + distance))
                else:
                    places = range(run_first, run_last + 1, step)
                    more += [(place + distance, place + distance) for place in places if low <= place <= high]
    return union(ranges, tuple(more)) if more else ranges


_ESCAPED_CHARACTERS = {"a": 7, "b": 8, "B": 92, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ESCAPED_CLASSES = {"d": "digit", "s": "space", "w": "word"}
_ESCAPED_ANCHORS = {
    "A": "text_start",
    "Z": "text_end",
    "m": "word_start",
    "M": "word_end",
    "y": "word_boundary",
    "Y": "not_word_boundary",
}
# The names of collating elements that are in use; single characters stand for themselves.
_ELEMENTS = {
    "NUL": 0, "alert": 7, "backspace": 8, "tab": 9, "newline": 10, "vertical-tab": 11, "form-feed": 12,
    "carriage-return": 13, "space": 32, "exclamation-mark": 33, "quotation-mark": 34, "number-sign": 35,
    "dollar-sign": 36, "percent-sign": 37, "ampersand": 38, "apostrophe": 39, "left-parenthesis": 40,
    "right-parenthesis": 41, "asterisk": 42, "plus-sign": 43, "comma": 44, "hyphen": 45, "hyphen-minus": 45,
    "period": 46, "full-stop": 46, "slash": 47, "solidus": 47, "zero": 48, "one": 49, "two": 50, "three": 51,
    "four": 52, "five": 53, "six": 54, "seven": 55, "eight": 56, "nine": 57, "colon": 58, "semicolon": 59,
    "less-than-sign": 60, "equals-sign": 61, "greater-than-sign": 62, "question-mark": 63, "commercial-at": 64,
    "left-square-bracket": 91, "backslash": 92, "reverse-solidus": 92, "right-square-bracket": 93, "circumflex": 94,
    "circumflex-accent": 94, "underscore": 95, "low-line": 95, "grave-accent": 96, "left-brace": 123,
    "left-curly-bracket": 123, "vertical-line": 124, "right-brace": 125, "right-curly-bracket": 125, "tilde": 126,
    "DEL": 127,
}  # fmt: skip


def parse(pattern: str, flags: Flags) -> tuple[Node, int]:
    """The tree and the number of its capturing groups."""
    if pattern.startswith("***"):
        kind = pattern[3:4]
        if kind == "=":
            flags.literal, pattern = True, pattern[4:]
        elif kind == ":":
            flags.literal = flags.extended = False
            pattern = pattern[4:]
        else:
            raise failure("quantifier operand invalid")
    if flags.literal:
        parser = _Parser("", flags, 0)
        return _joined([parser.character(ord(c)) for c in pattern]), 0
    place = 0
    if not flags.extended and pattern.startswith("(?") and pattern[2:3].isalpha():
        end = pattern.find(")")
        if end < 0:
            raise failure("invalid embedded option")
        options = pattern[2:end]
        for letter in options:
            if not flags.option(letter):
                raise failure("invalid embedded option")
        pattern = pattern[end + 1 :]
        if "q" in options:
            return parse(pattern, flags)
    parser = _Parser(pattern, flags, place)
    node = parser.alternatives(0)
    if parser.place < len(parser.text):
        raise failure("parentheses () not balanced")
    return node, parser.groups


def _joined(items: list[Node]) -> Node:
    flat: list[Node] = []
    for item in items:
        if isinstance(item, Concat):
            flat += item.items
        elif not isinstance(item, Empty):
            flat.append(item)
    return flat[0] if len(flat) == 1 else Concat(tuple(flat)) if flat else Empty()


class _Parser:
    def __init__(self, text: str, flags: Flags, place: int) -> None:
        self.text, self.flags, self.place = text, flags, place
        self.groups = 0
        self.closed: set[int] = set()
        self.in_look = 0

    # --- characters ----------------------------------------
    def character(self, code: int) -> Chars:
        ranges: Ranges = ((code, code),)
        return Chars(with_cases(ranges) if self.flags.ignore_case else ranges)

    def _peek(self, text: str) -> bool:
        return self.text.startswith(text, self.place)

    def _eat(self, text: str) -> bool:
        if self._peek(text):
            self.place += len(text)
            return True
        return False

    def _skip_blank(self) -> None:
        """Expanded syntax: white space and comments; (?#...) anywhere."""
        while True:
            if self.flags.expanded:
                while self.place < len(self.text) and self.text[self.place].isspace():
                    self.place += 1
                if self._peek("#"):
                    end = self.text.find("\n", self.place)
                    self.place = len(self.text) if end < 0 else end
                    continue
            if not self.flags.extended and self._peek("(?#"):
                end = self.text.find(")", self.place)
                self.place = len(self.text) if end < 0 else end + 1
                continue
            return

    # --- structure ----------------------------------------
    def alternatives(self, depth: int) -> Node:
        if depth > 200:
            raise failure("regular expression is too complex")
        branches = [self._branch(depth)]
        while self._eat("|"):
            branches.append(self._branch(depth))
        return branches[0] if len(branches) == 1 else Alternatives(tuple(branches))

    def _branch(self, depth: int) -> Node:
        items: list[Node] = []
        while True:
            self._skip_blank()
            if self.place >= len(self.text) or self._peek("|") or (depth and self._peek(")")):
                return _joined(items)
            items.append(self._quantified(depth))

    def _quantified(self, depth: int) -> Node:
        atom = self._atom(depth)
        self._skip_blank()
        bounds = self._quantifier()
        if bounds is None:
            return atom
        if isinstance(atom, Anchor | Look):
            raise failure("quantifier operand invalid")
        least, most, greedy = bounds
        self._skip_blank()
        if self._peek("*") or self._peek("+") or self._peek("?") or self._is_bound():
            raise failure("quantifier operand invalid")
        if most == 0:
            return Empty()
        if least == most == 1 and greedy is None:
            return atom
        return Repeat(atom, least, most, greedy)

    def _is_bound(self) -> bool:
        return self._peek("{") and self.text[self.place + 1 : self.place + 2].isdigit()

    def _quantifier(self) -> tuple[int, int | None, bool | None] | None:
        least, fixed = 0, False
        most: int | None = None
        if self._eat("*"):
            pass
        elif self._eat("+"):
            least = 1
        elif self._eat("?"):
            most = 1
        elif self._is_bound() or (self.flags.extended and self._peek("{")):
            self.place += 1
            least = self._number()
            if self._eat(","):
                most = self._number() if self.text[self.place : self.place + 1].isdigit() else None
                if most is not None and least > most:
                    raise failure("invalid repetition count(s)")
            else:
                most, fixed = least, True
            if not self._eat("}"):
                raise failure(
                    "invalid repetition count(s)" if self.place < len(self.text) else "braces {} not balanced"
                )
        else:
            return None
        lazy = not self.flags.extended and self._eat("?")
        return least, most, None if fixed else not lazy

    def _number(self) -> int:
        start = self.place
        while self.text[self.place : self.place + 1] in "0123456789" and self.place < len(self.text):
            self.place += 1
        if start == self.place:
            raise failure("invalid repetition count(s)")
        value = int(self.text[start : self.place][:9])
        if value > MAX_REPEAT:
            raise failure("invalid repetition count(s)")
        return value

    def _atom(self, depth: int) -> Node:
        character = self.text[self.place]
        match character:
            case "(":
                return self._parenthesis(depth)
            case "[":
                if self._eat("[[:<:]]"):
                    return Anchor("word_start")
                if self._eat("[[:>:]]"):
                    return Anchor("word_end")
                self.place += 1
                return self._bracket()
            case "*" | "+" | "?":
                raise failure("quantifier operand invalid")
            case "{" if self._is_bound() or self.flags.extended:
                raise failure("quantifier operand invalid")
            case ")" if not self.flags.extended:
                raise failure("parentheses () not balanced")
        self.place += 1
        match character:
            case ".":
                return Chars(complement(NEWLINE if self.flags.newline_atoms else ()))
            case "^":
                return Anchor("line_start" if self.flags.newline_anchors else "text_start")
            case "$":
                return Anchor("line_end" if self.flags.newline_anchors else "text_end")
            case "\\":
                return self._escape()
        return self.character(ord(character))

    def _parenthesis(self, depth: int) -> Node:
        self.place += 1
        if not self.flags.extended and self._eat("?"):
            if self._eat(":"):
                child = self.alternatives(depth + 1)
                self._close()
                return child
            for text, ahead, negated in (
                ("=", True, False),
                ("!", True, True),
                ("<=", False, False),
                ("<!", False, True),
            ):
                if self._eat(text):
                    self.in_look += 1
                    child = self.alternatives(depth + 1)
                    self.in_look -= 1
                    self._close()
                    return Look(child, ahead, negated)
            raise failure("quantifier operand invalid")
        if self.in_look:
            child = self.alternatives(depth + 1)
            self._close()
            return child
        self.groups += 1
        index = self.groups
        child = self.alternatives(depth + 1)
        self._close()
        self.closed.add(index)
        return Group(index, child)

    def _close(self) -> None:
        if not self._eat(")"):
            raise failure("parentheses () not balanced")

    # --- escapes ----------------------------------------
    def _escape(self) -> Node:
        if self.place >= len(self.text):
            raise failure("invalid escape \\ sequence")
        letter = self.text[self.place]
        if self.flags.extended or not (letter.isascii() and letter.isalnum()):
            self.place += 1
            return self.character(ord(letter))
        if letter in _ESCAPED_ANCHORS:
            self.place += 1
            return Anchor(_ESCAPED_ANCHORS[letter])
        if letter.lower() in _ESCAPED_CLASSES:
            self.place += 1
            return Chars(self._class_escape(letter))
        if letter in "123456789":
            digits = 1
            if self.text[self.place + 1 : self.place + 2].isdigit():
                two = int(self.text[self.place : self.place + 2])
                digits = 2 if two <= self.groups else 1
                if digits == 1 and letter not in "89" and int(letter) > self.groups:
                    digits = 0
            if digits:
                index = int(self.text[self.place : self.place + digits])
                self.place += digits
                if self.in_look or index not in self.closed:
                    raise failure("invalid backreference number")
                return BackReference(index)
        return self.character(self._character_escape())

    def _class_escape(self, letter: str) -> Ranges:
        ranges = named_class(_ESCAPED_CLASSES[letter.lower()])
        assert ranges is not None
        if letter.islower():
            return ranges
        if self.flags.newline_atoms:
            ranges = union(ranges, NEWLINE)
        return complement(ranges)

    def _character_escape(self) -> int:
        letter = self.text[self.place]
        self.place += 1
        if letter in _ESCAPED_CHARACTERS:
            return _ESCAPED_CHARACTERS[letter]
        if letter == "c" and self.place < len(self.text):
            self.place += 1
            return ord(self.text[self.place - 1]) & 31
        if letter in "uUx":
            least, most = {"u": (4, 4), "U": (8, 8), "x": (1, 255)}[letter]
            return self._digits("0123456789abcdefABCDEF", 16, least, most)
        if letter in "01234567":
            self.place -= 1
            return self._digits("01234567", 8, 1, 3)
        raise failure("invalid escape \\ sequence")

    def _digits(self, allowed: str, base: int, least: int, most: int) -> int:
        start = self.place
        while self.place < len(self.text) and self.place - start < most and self.text[self.place] in allowed:
            self.place += 1
        if self.place - start < least:
            raise failure("invalid escape \\ sequence")
        value = int(self.text[start : self.place], base)
        if value > MAX_CODE_POINT:
            raise failure("invalid escape \\ sequence")
        return value

    # --- bracket expressions ----------------------------------------
    def _bracket(self) -> Node:
        negated = self._eat("^")
        sets: list[Ranges] = []
        first = True
        while first or not self._peek("]"):
            if self.place >= len(self.text):
                raise failure("brackets [] not balanced")
            item = self._bracket_item(first)
            first = False
            if not isinstance(item, int):
                sets.append(item)
                continue
            last = item
            if self._peek("-") and not self._peek("-]"):
                self.place += 1
                if self.place >= len(self.text):
                    raise failure("brackets [] not balanced")
                end = self._bracket_item(True)
                if not isinstance(end, int):
                    raise failure("invalid character range")
                last = end
                if last < item:
                    raise failure("invalid character range")
            sets.append(((item, last),))
        self.place += 1
        ranges = union(*sets)
        if self.flags.ignore_case:
            ranges = with_cases(ranges)
        if negated:
            ranges = complement(union(ranges, NEWLINE) if self.flags.newline_atoms else ranges)
        return Chars(ranges)

    def _bracket_item(self, hyphen_allowed: bool) -> int | Ranges:
        for mark, close in (("[:", ":]"), ("[=", "=]"), ("[.", ".]")):
            if self._eat(mark):
                end = self.text.find(close, self.place)
                if end < 0:
                    raise failure("brackets [] not balanced")
                name = self.text[self.place : end]
                self.place = end + 2
                return self._named(mark, name)
        character = self.text[self.place]
        if character == "-" and not hyphen_allowed and not self._peek("-]"):
            raise failure("invalid character range")
        self.place += 1
        if character != "\\" or self.flags.extended:
            return ord(character)
        if self.place >= len(self.text):
            raise failure("invalid escape \\ sequence")
        letter = self.text[self.place]
        if letter.lower() in _ESCAPED_CLASSES:
            self.place += 1
            return self._class_escape(letter)
        if not (letter.isascii() and letter.isalnum()):
            self.place += 1
            return ord(letter)
        return self._character_escape()

    def _named(self, mark: str, name: str) -> int | Ranges:
        if mark == "[:":
            if self.flags.ignore_case and name in ("upper", "lower"):
                name = "alpha"
            ranges = named_class(name)
            if ranges is None:
                raise failure("invalid character class")
            return ranges
        if len(name) == 1:
            code = ord(name)
        elif name in _ELEMENTS:
            code = _ELEMENTS[name]
        else:
            raise failure("invalid collating element")
        return ((code, code),) if mark == "[=" else code
