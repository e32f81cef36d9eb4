"""COPY in scripts, as psql reads it: the rows of COPY ... FROM STDIN follow the statement, up to a line `\\.`."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zerodb.connection import Connection

_FROM_STDIN = re.compile(
    r"^[ \t]*copy\b[^;']*?\bfrom\s+stdin\b(?:[^;']|'[^']*')*;[ \t]*\r?\n(?P<data>.*?)(?:^\\\.[ \t]*\r?$|\Z)",
    re.I | re.M | re.S,
)
_TO_STDOUT = re.compile(r"\s*copy\b.*\bto\s+stdout\b", re.I | re.S)


def portions(text: str) -> Iterator[tuple[str, str | None]]:
    """Parts of a script, each padded so that places are places in the whole text: statements, and the rows that belong
    to the last of them, which is a COPY, or None."""
    begin = 0
    for found in _FROM_STDIN.finditer(text):
        yield _blank(text[:begin]) + text[begin : found.start("data")], found["data"]
        begin = found.end()
    yield _blank(text[:begin]) + text[begin:], None


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def copy_to_stdout(connection: Connection, statement: str) -> bool:
    """Runs COPY ... TO STDOUT; False if the statement is none."""
    if _TO_STDOUT.match(statement) is None:
        return False
    connection.copy_to(statement, getattr(sys.stdout, "buffer", sys.stdout))
    return True


def copy_rows(connection: Connection, statement: str, data: str) -> None:
    connection.copy_from(statement, io.StringIO(data))
