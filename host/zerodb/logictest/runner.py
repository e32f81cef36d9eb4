"""Running records on an engine, one after the other, and what came of it.

The engine is anything that runs SQL text and gives rows as text in PostgreSQL's output forms. A record that should be
an error passes with any error but an internal one: XX000 and a Python exception are failures wherever they are met.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from zerodb.logictest.records import (
    AnyRecord,
    ExpectedError,
    FormatError,
    Halt,
    Hashed,
    HashThreshold,
    Query,
    Statement,
    parse,
)
from zerodb.logictest.values import Rows, agree, hashed, result_lines, written

LINES_SHOWN = 30


class EngineError(Exception):
    """An error that the engine reported. `crash`: it was none of the errors that users should see."""

    def __init__(self, sqlstate: str, message: str, *, crash: bool = False) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.crash = crash


@dataclass(frozen=True, slots=True)
class Result:
    """`width` counts the columns, -1 for a statement without a result set; `count` the rows changed, -1 for none."""

    rows: Rows
    width: int
    count: int


class Engine(Protocol):
    """What runs the records of one file."""

    def execute(self, sql: str, connection: str) -> Result:
        """Runs one statement on the connection of that name, "" being the first. EngineError for its errors."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that did not do what it should. `kind` is "wrong" for a wrong answer, "error" for an unexpected error
    (`sqlstate` says which), "crash" for an internal error, "accepted" where an error was due."""

    path: str
    line: int
    kind: str
    sqlstate: str
    sql: str
    message: str


@dataclass(slots=True)
class Report:
    """What came of one file. Records for other engines are counted as skipped."""

    path: str
    passed: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def run(self) -> int:
        return self.passed + len(self.failures)


@dataclass(slots=True)
class Runner:
    """Runs records of one file. `stride` n runs all statements, but only every n-th query."""

    path: str
    engine: Engine
    name: str = "postgresql"
    fail_fast: bool = False
    stride: int = 1
    _labels: dict[str, Hashed] = field(default_factory=dict)

    def run(self, records: Iterable[AnyRecord]) -> Report:
        report = Report(self.path)
        began = time.perf_counter()
        for number, record in enumerate(records):
            if not record.runs_on(self.name):
                report.skipped += 1
                continue
            match record:
                case Halt():
                    break
                case HashThreshold():
                    continue
                case Query() if number % self.stride:
                    report.skipped += 1
                    continue
            failure = self._one(record)
            if failure is None:
                report.passed += 1
            else:
                report.failures.append(failure)
                if self.fail_fast:
                    break
        report.seconds = time.perf_counter() - began
        return report

    def _one(self, record: Statement | Query) -> Failure | None:
        try:
            result = self.engine.execute(record.sql, record.connection)
        except EngineError as error:
            if error.crash:
                return self._failed(record, "crash", error.sqlstate, error.message)
            if record.error is None:
                return self._failed(record, "error", error.sqlstate, error.message)
            if not record.error.matches(error.sqlstate, error.message):
                message = f"{error.sqlstate}: {error.message}\nexpected: {record.error}"
                return self._failed(record, "error", error.sqlstate, message)
            return None
        if record.error is not None:
            return self._failed(record, "accepted", "", f"no error\nexpected: {record.error}")
        if isinstance(record, Query):
            return self._check(record, result)
        if record.count is not None and record.count != result.count:
            return self._failed(record, "wrong", "", f"{result.count} rows\nexpected: {record.count}")
        return None

    def _check(self, query: Query, result: Result) -> Failure | None:
        if result.width != len(query.types):
            message = f"{max(result.width, 0)} columns\nexpected: {len(query.types)} ({query.types})"
            return self._failed(query, "wrong", "", message)
        actual = written(result.rows, query.types, query.sort)
        if query.separator is not None and not agree(actual, query.expected, query.types):
            return self._failed(query, "wrong", "", difference(actual, query))
        if query.label is not None:
            found = hashed(actual)
            if self._labels.setdefault(query.label, found) != found:
                return self._failed(query, "wrong", "", f"another result than the records before with {query.label}")
        return None

    def _failed(self, record: Statement | Query, kind: str, sqlstate: str, message: str) -> Failure:
        return Failure(self.path, record.line, kind, sqlstate, record.sql, message)


def difference(actual: list[tuple[str, ...]], query: Query) -> str:
    """Result and expected result, side by side by line where both are values."""
    if isinstance(query.expected, Hashed):
        found = hashed(actual)
        return (
            f"{found.values} values hashing to {found.md5}\n"
            f"expected: {query.expected.values} values hashing to {query.expected.md5}"
        )
    rowwise = len(query.types) > 1 and len(query.expected) == len(actual)
    lines = ["\t".join(row) for row in actual] if rowwise else result_lines(actual, 0)
    shown = list(_marked(lines, list(query.expected)))
    rest = len(shown) - LINES_SHOWN
    if rest > 0:
        shown[LINES_SHOWN:] = [f"... and {rest} more lines"]
    return "\n".join(["  result | expected", *shown]) if shown else "no rows"


def _marked(actual: list[str], expected: list[str]) -> Iterator[str]:
    width = min(40, max((len(line) for line in actual), default=0))
    for number in range(max(len(actual), len(expected))):
        left = actual[number] if number < len(actual) else "(no more)"
        right = expected[number] if number < len(expected) else "(no more)"
        yield f"{' ' if left == right else '!'} {left:<{width}} | {right}"


def run_text(
    text: str,
    path: str,
    make_engine: Callable[[], Engine],
    *,
    name: str = "postgresql",
    fail_fast: bool = False,
    stride: int = 1,
) -> Report:
    """Runs the records of a file's text on an engine of its own."""
    engine = make_engine()
    try:
        runner = Runner(path, engine, name, fail_fast, stride)
        try:
            return runner.run(parse(text))
        except FormatError as error:
            return Report(path, failures=[Failure(path, error.line, "format", "", "", str(error))])
    finally:
        engine.close()


__all__ = [
    "Engine",
    "EngineError",
    "ExpectedError",
    "Failure",
    "Report",
    "Result",
    "Runner",
    "run_text",
]
