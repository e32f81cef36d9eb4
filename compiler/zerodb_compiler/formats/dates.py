"""Formats of dates and times (PostgreSQL's manual, table 9.27): text to program.

Keywords are those of PostgreSQL's DCH_keywords: all upper or all lower case, and Day, Dy, Month, Mon. FM and TM before,
TH and th behind a keyword are flags of its node; FX counts from where it stands. Quoted text and what is no keyword are
literals.
"""

from __future__ import annotations

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.formats.program import LITERAL, Node, merged, write

FM = 1
TH_UPPER = 2
TH_LOWER = 4
UPPER = 8
LOWER = 16
FX = 32
DOTS = 64
NEXT_IS_NUMBER = 128
QUOTED = 256

_NAMES = """
    AM HH24 HH12 HH MI SS FF1 FF2 FF3 FF4 FF5 FF6 MS US SSSS AD MONTH MON MM DAY DY IDDD DDD DD ID D WW IW W Q CC
    Y,YYY YYYY YYY YY Y IYYY IYY IY I RM J TZH TZM TZ OF
""".split()  # noqa: SIM905 - shorter than the list
OPERATIONS = {name: 2 + number for number, name in enumerate(_NAMES)}
AM, HH24, HH12, HH, MI, SS, FF1, FF2, FF3, FF4, FF5, FF6, MS, US, SSSS, AD, MONTH, MON, MM, DAY, DY = range(2, 23)
IDDD, DDD, DD, ID, D, WW, IW, W, Q, CC, Y_YYY, YYYY, YYY, YY, Y, IYYY, IYY, IY, I_, RM, J = range(23, 44)
TZH, TZM, TZ, OF = range(44, 48)
_ALIASES = {
    "SSSSS": "SSSS", "PM": "AM", "BC": "AD", "A.M.": "AM", "P.M.": "AM", "A.D.": "AD", "B.C.": "AD",
}  # fmt: skip
_TABLE: dict[str, tuple[str, int]] = {}
for _name in (*_NAMES, *_ALIASES):
    _known, _dots = _ALIASES.get(_name, _name), DOTS if "." in _name else 0
    _TABLE[_name] = (_known, UPPER | _dots)
    _TABLE[_name.lower()] = (_known, LOWER | _dots)
for _name in ("Day", "Dy", "Month", "Mon"):
    _TABLE[_name] = (_name.upper(), 0)
_LENGTHS = sorted({len(name) for name in _TABLE}, reverse=True)
_TEXTUAL = frozenset({AM, AD, MONTH, MON, DAY, DY, RM, TZ, TZH, OF})


def parse(text: str) -> list[Node]:
    nodes: list[Node] = []
    place, exact = 0, 0
    while place < len(text):
        flags = exact
        while text[place : place + 2].upper() in ("FM", "TM", "FX"):
            prefix = text[place : place + 2].upper()
            place += 2
            if prefix == "FX":
                exact = FX
                flags |= FX
            else:
                flags |= FM
        found = next((text[place : place + n] for n in _LENGTHS if text[place : place + n] in _TABLE), None)
        if found is not None:
            name, more = _TABLE[found]
            place += len(found)
            flags |= more
            suffix = text[place : place + 2]
            if suffix in ("TH", "th"):
                flags |= TH_UPPER if suffix == "TH" else TH_LOWER
                place += 2
            elif suffix in ("SP", "sp"):
                raise NotSupportedError("the SP suffix of a date format is not supported")
            nodes.append(Node(OPERATIONS[name], flags))
            continue
        if place >= len(text):
            break
        if text[place] == '"':
            place += 1
            while place < len(text) and text[place] != '"':
                if text[place] == "\\" and place + 1 < len(text):
                    place += 1
                nodes.append(Node(LITERAL, QUOTED, text[place]))
                place += 1
            place += 1
            continue
        if text[place] == "\\" and text[place + 1 : place + 2] == '"':
            place += 1
        nodes.append(Node(LITERAL, 0, text[place]))
        place += 1
    return nodes


def compile_output(text: str) -> bytes:
    """The program of to_char."""
    return write((), merged(parse(text)))


def compile_input(text: str) -> bytes:
    """The program of to_date and to_timestamp: a node a literal character; numbers know whether digits follow them."""
    nodes = parse(text)
    out = []
    for index, node in enumerate(nodes):
        following = nodes[index + 1] if index + 1 < len(nodes) else None
        digits = following is not None and (
            (following.operation != LITERAL and following.operation not in _TEXTUAL)
            or (following.operation == LITERAL and following.text.isdigit())
        )
        out.append(Node(node.operation, node.flags | (NEXT_IS_NUMBER if digits else 0), node.text))
    return write((), out)
