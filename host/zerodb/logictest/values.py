"""Results as a sqllogictest file writes them: values by column type, sorted, hashed, compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from zerodb.logictest.records import Hashed

Rows = Sequence[Sequence[str | None]]

_INTEGER = re.compile(r"-?\d+\Z")
_LEADING_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_BOOLEANS = {"t": "1", "f": "0"}


def _integer(text: str) -> str:
    """What C's integer conversion makes of a value: fractions are cut off, booleans are 1 and 0, other text is 0."""
    if _INTEGER.match(text):
        return text
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    found = _LEADING_NUMBER.match(text)
    if found is None:
        return "0"
    number = found[0].strip()
    return str(int(float(number))) if "e" in number.lower() else str(int(number.partition(".")[0] or "0"))


def _real(text: str) -> str:
    try:
        return f"{float(_BOOLEANS.get(text, text)):.3f}"
    except ValueError:
        found = _LEADING_NUMBER.match(text)
        return f"{float(found[0]) if found else 0.0:.3f}"


def _text(text: str) -> str:
    if text.isprintable():
        return text or "(empty)"
    return "".join(letter if letter.isprintable() else "@" for letter in text)


_FORMATS: dict[str, Callable[[str], str]] = {"I": _integer, "R": _real, "T": _text}


def _column(values: Iterable[str | None], kind: str) -> list[str]:
    form = _FORMATS[kind]
    return ["NULL" if value is None else form(value) for value in values]


def written(rows: Rows, types: str, sort: str) -> list[tuple[str, ...]]:
    """The rows as the file has them, in its order; for `valuesort` rows of one value."""
    if not rows:
        return []
    columns = [_column(values, kind) for values, kind in zip(zip(*rows, strict=True), types, strict=True)]
    done = list(zip(*columns, strict=True))
    if sort == "rowsort":
        done.sort()
    elif sort == "valuesort":
        return [(value,) for value in sorted(chain.from_iterable(done))]
    return done


def hashed(rows: Iterable[tuple[str, ...]]) -> Hashed:
    values = list(chain.from_iterable(rows))
    text = "".join(value + "\n" for value in values)
    return Hashed(len(values), hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


def agree(actual: list[tuple[str, ...]], expected: tuple[str, ...] | Hashed, types: str) -> bool:
    """Whether the result is the expected one, in any of the ways a file may write it."""
    if isinstance(expected, Hashed):
        return hashed(actual) == expected
    if tuple(chain.from_iterable(actual)) == expected:
        return True
    if len(types) < 2 or len(actual) != len(expected):
        return False
    return all(_same_row(row, line) for row, line in zip(actual, expected, strict=True))


def _same_row(row: tuple[str, ...], line: str) -> bool:
    """One row on a line: its values with tabs between, or with blanks, however many."""
    return "\t".join(row) == line or " ".join(row).split() == line.split()


def result_lines(actual: list[tuple[str, ...]], threshold: int) -> list[str]:
    """The result as lines of a file: one value a line, or its hash."""
    values = list(chain.from_iterable(actual))
    if threshold and len(values) > threshold:
        found = hashed(actual)
        return [f"{found.values} values hashing to {found.md5}"]
    return values
