"""Formats of numbers (PostgreSQL's manual, table 9.30): text to program, after NUM_prepare of formatting.c."""

from __future__ import annotations

from dataclasses import dataclass, field

from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.formats.program import LITERAL, Node, write

NINE, ZERO, POINT, COMMA, CURRENCY, MINUS, PLUS, SIGN, TH_UPPER, TH_LOWER, ROMAN, NOTHING, S_SIGN = range(2, 15)

F_DECIMAL, F_ZERO, F_BLANK, F_FILL, F_LSIGN, F_BRACKET, F_MINUS, F_PLUS, F_ROMAN, F_MULTI, F_EEEE = (
    1 << bit for bit in range(11)
)
LSIGN_PRE = 1
LSIGN_POST = 2

HEADER_PRE = 0
HEADER_POST = 4
HEADER_ZERO_START = 8
HEADER_ZERO_END = 12
HEADER_LSIGN = 16
HEADER_PRE_LSIGN = 20
HEADER_FLAGS = 24

_KEYWORDS = ("EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", "S", "D", "G", "L", "V", "B", "C")
_ALL = {
    **{word: word for word in _KEYWORDS},
    **{word.lower(): word.lower() if word in ("TH", "RN") else word for word in _KEYWORDS},
    ",": "G", ".": "D", "0": "0", "9": "9",
}  # fmt: skip


@dataclass(slots=True)
class NumberFormat:
    pre: int = 0
    post: int = 0
    multi: int = 0
    zero_start: int = 0
    zero_end: int = 0
    lsign: int = 0
    pre_lsign: int = 0
    flags: int = 0
    nodes: list[Node] = field(default_factory=list)

    @property
    def scale(self) -> int:
        """The digits after the point of the number that the program writes."""
        return self.multi if self.flags & F_MULTI else self.post

    def write(self) -> bytes:
        pre = self.pre + (self.multi if self.flags & F_MULTI else 0)
        header = (pre, self.post, self.zero_start, self.zero_end, self.lsign, self.pre_lsign, self.flags)
        return write(header, self.nodes)


def _wrong(message: str) -> Exception:
    return error_for("42601", message)


def parse(text: str) -> NumberFormat:
    out = NumberFormat()
    place = 0
    while place < len(text):
        if text[place] == '"':
            place += 1
            while place < len(text) and text[place] != '"':
                if text[place] == "\\" and place + 1 < len(text):
                    place += 1
                out.nodes.append(Node(LITERAL, 0, text[place]))
                place += 1
            place += 1
            continue
        if text[place] == "\\" and text[place + 1 : place + 2] == '"':
            place += 1
            found = None
        else:
            found = next((text[place : place + n] for n in (4, 2, 1) if text[place : place + n] in _ALL), None)
        if found is None:
            out.nodes.append(Node(LITERAL, 0, text[place]))
            place += 1
            continue
        place += len(found)
        node = _prepare(out, _ALL[found])
        if node is not None:
            out.nodes.append(Node(node))
    return out


def _prepare(out: NumberFormat, word: str) -> int | None:
    """Notes what a keyword means for the whole; the operation of its node, if it has one."""
    if out.flags & F_EEEE and word != "EEEE":
        raise _wrong('"EEEE" must be the last pattern used')
    signs = F_PLUS | F_MINUS | F_BRACKET
    match word:
        case "9" | "0":
            if out.flags & F_BRACKET:
                raise _wrong(f'"{word}" must be ahead of "PR"')
            if word == "9" and out.flags & F_MULTI:
                out.multi += 1
                return NINE
            if word == "0" and not out.flags & (F_ZERO | F_DECIMAL):
                out.flags |= F_ZERO
                out.zero_start = out.pre
            if out.flags & F_DECIMAL:
                out.post += 1
            else:
                out.pre += 1
            if word == "0":
                out.zero_end = out.pre + out.post
            return NINE if word == "9" else ZERO
        case "B":
            if not (out.pre or out.post or out.flags & F_ZERO):
                out.flags |= F_BLANK
            return None
        case "D":
            if out.flags & F_DECIMAL:
                raise _wrong("multiple decimal points")
            if out.flags & F_MULTI:
                raise _wrong('cannot use "V" and decimal point together')
            out.flags |= F_DECIMAL
            return POINT
        case "FM":
            out.flags |= F_FILL
            return None
        case "S":
            if out.flags & F_LSIGN:
                raise _wrong('cannot use "S" twice')
            if out.flags & signs:
                raise _wrong('cannot use "S" and "PL"/"MI"/"SG"/"PR" together')
            out.flags |= F_LSIGN
            if not out.flags & F_DECIMAL:
                out.lsign, out.pre_lsign = LSIGN_PRE, out.pre
            else:
                out.lsign = LSIGN_POST
            return S_SIGN
        case "MI" | "PL" | "SG":
            if out.flags & F_LSIGN:
                raise _wrong(f'cannot use "S" and "{word}" together')
            out.flags |= {"MI": F_MINUS, "PL": F_PLUS, "SG": F_MINUS | F_PLUS}[word]
            return {"MI": MINUS, "PL": PLUS, "SG": SIGN}[word]
        case "PR":
            if out.flags & (F_LSIGN | F_PLUS | F_MINUS):
                raise _wrong('cannot use "PR" and "S"/"PL"/"MI"/"SG" together')
            out.flags |= F_BRACKET
            return NOTHING
        case "RN" | "rn":
            out.flags |= F_ROMAN
            raise NotSupportedError("Roman numerals (RN) are not supported")
        case "G":
            return COMMA
        case "L":
            return CURRENCY
        case "V":
            if out.flags & F_DECIMAL:
                raise _wrong('cannot use "V" and decimal point together')
            out.flags |= F_MULTI
            return None
        case "TH":
            return TH_UPPER
        case "th":
            return TH_LOWER
        case "EEEE":
            raise NotSupportedError("the EEEE pattern of a number format is not supported")
        case _:
            raise NotSupportedError(f"the {word} pattern of a number format is not supported")


def compile_number(text: str) -> bytes:
    return parse(text).write()
