"""Scripts that were written for psql, as far as `zerodb run` and `executescript` take them.

    DROP DATABASE IF EXISTS shop;  CREATE DATABASE shop;  \\c shop;

A script that makes its own database and connects to it means the database that is open: these three are taken out,
blank for blank, so that places in errors stay true. Any other line that begins with a backslash is psql's and refused
by name; DROP and CREATE DATABASE without the `\\c` are left to SQL.
"""

from __future__ import annotations

import re

from zerodb.errors import NotSupportedError

# What may hold a backslash or a semicolon that means nothing; else a meta-command, else one character.
_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|[eE]'(?:[^'\\]|\\.|'')*'|'[^']*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$|(?P<meta>\\[^\n]*)|.", re.S
)
_CONNECT = re.compile(r"\\(?:c|connect)\s+(?:\"(?P<quoted>[^\"]+)\"|(?P<plain>\w+))\s*;?\s*\Z")
_DATABASE = r"\b(?:drop\s+database\s+(?:if\s+exists\s+)?|create\s+database\s+)(?:\"{name}\"|{name})\s*;"


def script_text(text: str) -> str:
    """The SQL of a psql script, every character where it was. NotSupportedError for a meta-command."""
    if "\\" not in text:
        return text
    names: list[str] = []
    pieces: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["meta"] is None:
            pieces.append(token[0])
            continue
        found = _CONNECT.match(token[0])
        name = "" if found is None else found["quoted"] or found["plain"].lower()
        made = re.search(rf"create\s+database\s+\"?{re.escape(name)}\"?\s*;", text[: token.start()], re.I)
        if found is None or made is None:
            word = token[0].split()[0].rstrip(";")
            raise NotSupportedError(f"psql's {word} is not supported", position=token.start())
        if names and names[-1] != name:
            raise NotSupportedError("a script for two databases is not supported", position=token.start())
        names.append(name)
        pieces.append(" " * len(token[0]))
    sql = "".join(pieces)
    for name in names:
        pattern = re.compile(_DATABASE.format(name=re.escape(name)), re.I)
        sql = pattern.sub(lambda found: re.sub(r"\S", " ", found[0]), sql)
    return sql
