"""What a statement's text says of it before it is parsed: for errors, and in a transaction that has failed."""

from __future__ import annotations

import re

_SKIPPED = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)
_WORD = re.compile(r"\w+")
_CHANGING = re.compile(r"\b(insert|update|delete|merge)\b", re.IGNORECASE)
_DEFINING = frozenset({"CREATE", "ALTER", "DROP"})
_MODIFIERS = frozenset(
    {"OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL", "UNIQUE", "RECURSIVE", "EVENT"}
)
_NAMES = {"TRUNCATE": "TRUNCATE TABLE", "LOCK": "LOCK TABLE", "COPY": "COPY FROM"}


def first_words(text: str, count: int) -> list[str]:
    """In upper case, without comments."""
    found: list[str] = []
    place = 0
    while len(found) < count:
        if (skipped := _SKIPPED.match(text, place)) is not None:
            place = skipped.end()
        word = _WORD.match(text, place)
        if word is None:
            break
        found.append(word[0].upper())
        place = word.end()
    return found


def ends_failed(text: str | None) -> bool:
    """Whether a statement may run in a transaction that has failed."""
    words = [] if text is None else first_words(text, 1)
    return words in (["ROLLBACK"], ["ABORT"], ["COMMIT"], ["END"])


def command_name(text: str | None) -> str:
    """PostgreSQL's name of the command, as in its error messages."""
    words = first_words(text or "", 6)
    if not words:
        return "this statement"
    first = words[0]
    if first == "WITH":
        changing = _CHANGING.search(text or "")
        return "SELECT" if changing is None else changing[0].upper()
    if first in _DEFINING:
        return " ".join([first, *[word for word in words[1:] if word not in _MODIFIERS][:1]])
    return _NAMES.get(first, first)
