"""The text of a sqllogictest file as records. Pure: text in, records out.

    # comment                        at the beginning of a line, outside of SQL and results
    statement ok | error [WHAT] | count N
    query TYPES [nosort|rowsort|valuesort] [LABEL]     TYPES: a letter a column, I integer, R three decimals, T text
    query error [WHAT]               WHAT: an SQLSTATE, or a regular expression for the message
    skipif ENGINE, onlyif ENGINE     for the next record
    connection NAME                  the next record runs on the connection of that name
    hash-threshold N                 results of more values are written as "V values hashing to MD5"
    halt                             the rest of the file is not for this engine

SQL ends at an empty line or at `----`, which the expected result follows until an empty line. A result has one value a
line, or one row a line with tabs or blanks between the values; NULL is `NULL`, an empty string `(empty)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SORTS = ("nosort", "rowsort", "valuesort")
_TYPES = re.compile(r"[IRT]+\Z")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}\Z")
_HASHED = re.compile(r"(\d+) values hashing to ([0-9a-f]{32})\s*\Z")


class FormatError(Exception):
    """The text is no sqllogictest file. `line` counts from one."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """Any error, one with this SQLSTATE, or one whose message matches."""

    sqlstate: str | None = None
    pattern: str | None = None

    def matches(self, sqlstate: str, message: str) -> bool:
        if self.sqlstate is not None:
            return sqlstate == self.sqlstate
        return self.pattern is None or re.search(self.pattern, message) is not None

    def __str__(self) -> str:
        return f"error {self.sqlstate or self.pattern or ''}".rstrip()


@dataclass(frozen=True, slots=True)
class Hashed:
    """A result known by its size and md5 only."""

    values: int
    md5: str


@dataclass(frozen=True, slots=True)
class Record:
    """What all records have: the line of its header, and which engines run it. `end` is the line after its last."""

    line: int
    end: int
    skip: frozenset[str]
    only: frozenset[str]
    connection: str

    def runs_on(self, engine: str) -> bool:
        return engine not in self.skip and (not self.only or engine in self.only)


@dataclass(frozen=True, slots=True)
class Statement(Record):
    sql: str
    error: ExpectedError | None
    count: int | None  # rows changed


@dataclass(frozen=True, slots=True)
class Query(Record):
    """`separator` is the line of `----`, None if there is none (then no result is expected at all)."""

    sql: str
    types: str
    sort: str
    label: str | None
    expected: tuple[str, ...] | Hashed
    error: ExpectedError | None
    separator: int | None


@dataclass(frozen=True, slots=True)
class Halt(Record):
    pass


@dataclass(frozen=True, slots=True)
class HashThreshold(Record):
    values: int


AnyRecord = Statement | Query | Halt | HashThreshold


def parse(text: str) -> Iterator[AnyRecord]:
    """The records in order. FormatError for what is none."""
    lines = text.split("\n")
    if "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    lines.append("")
    index, count = 0, len(lines)
    skip: list[str] = []
    only: list[str] = []
    connection = ""
    while index < count:
        line = lines[index]
        if not line or line[0] == "#" or line.isspace():
            index += 1
            continue
        words = line.partition("#")[0].split()
        match words:
            case ["skipif" | "onlyif" as kind, engine, *_]:
                (skip if kind == "skipif" else only).append(engine)
                index += 1
                continue
            case ["connection", name]:
                connection = name
                index += 1
                continue
        record = _record(lines, index, words, (frozenset(skip), frozenset(only), connection))
        yield record
        index = record.end - 1
        skip, only, connection = [], [], ""


_Conditions = tuple[frozenset[str], frozenset[str], str]


def _record(lines: list[str], index: int, words: list[str], conditions: _Conditions) -> AnyRecord:
    line = index + 1
    match words:
        case ["statement", *rest]:
            return _statement(lines, index, rest, conditions)
        case ["query", *rest]:
            return _query(lines, index, rest, conditions)
        case ["halt"]:
            return Halt(line, line + 1, *conditions)
        case ["hash-threshold", number] if number.isdigit():
            return HashThreshold(line, line + 1, *conditions, int(number))
    raise FormatError(line, f"not a record: {lines[index]!r}")


def _sql(lines: list[str], begin: int, header: int) -> tuple[str, int]:
    """The SQL, and the index of the line that ends it."""
    index = begin
    while lines[index] and lines[index] != "----" and not lines[index].isspace():
        index += 1
    if index == begin:
        raise FormatError(header + 1, "a record without SQL")
    return "\n".join(lines[begin:index]), index


def _result(lines: list[str], begin: int) -> tuple[list[str], int]:
    """The lines of a result, and the index after them: a value of blanks is a value, an empty line the end."""
    index = begin
    while lines[index]:
        index += 1
    return lines[begin:index], index


def _expected_error(lines: list[str], header: int, end: int) -> tuple[ExpectedError, int]:
    """From the header's rest, or from the lines after `----`, whose text the message must contain."""
    found = re.match(r"\s*(?:statement|query)\s+error\s*(.*)", lines[header])
    assert found is not None
    what = found[1].strip()
    if lines[end] == "----":
        text, end = _result(lines, end + 1)
        what = what or re.escape("\n".join(text).strip())
    if _SQLSTATE.match(what):
        return ExpectedError(sqlstate=what), end
    try:
        re.compile(what)
    except re.error as error:
        raise FormatError(header + 1, f"not a regular expression: {error}") from None
    return ExpectedError(pattern=what or None), end


def _statement(lines: list[str], index: int, rest: list[str], conditions: _Conditions) -> Statement:
    sql, end = _sql(lines, index + 1, index)
    match rest:
        case ["ok"]:
            return Statement(index + 1, end + 1, *conditions, sql, None, None)
        case ["error", *_]:
            error, end = _expected_error(lines, index, end)
            return Statement(index + 1, end + 1, *conditions, sql, error, None)
        case ["count", number] if number.isdigit():
            return Statement(index + 1, end + 1, *conditions, sql, None, int(number))
    raise FormatError(index + 1, "a statement is `ok`, `error` or `count N`")


def _query(lines: list[str], index: int, rest: list[str], conditions: _Conditions) -> Query:
    sql, end = _sql(lines, index + 1, index)
    if rest[:1] == ["error"]:
        error, end = _expected_error(lines, index, end)
        return Query(index + 1, end + 1, *conditions, sql, "", "nosort", None, (), error, None)
    types = rest[0] if rest else ""
    if types and not _TYPES.match(types):
        raise FormatError(index + 1, f"a query's types are I, R and T, not {types!r}")
    sort = rest[1] if len(rest) > 1 else "nosort"
    if sort not in SORTS:
        raise FormatError(index + 1, f"the order is one of {', '.join(SORTS)}, not {sort!r}")
    label = rest[2] if len(rest) > 2 else None
    separator: int | None = None
    result: list[str] = []
    if lines[end] == "----":
        separator = end + 1
        result, end = _result(lines, end + 1)
    expected: tuple[str, ...] | Hashed = tuple(result)
    if len(result) == 1 and (found := _HASHED.match(result[0])):
        expected = Hashed(int(found[1]), found[2])
    return Query(index + 1, end + 1, *conditions, sql, types, sort, label, expected, None, separator)
