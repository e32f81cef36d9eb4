"""sqllogictest files on a real PostgreSQL: `python -m tests.logic.against_postgres [--write] [--keep] FILE...`

The server is the one of ZERODB_POSTGRES (a libpq connection string). Each file runs in a new database, which is dropped
at the end. Differences between what the file expects and what PostgreSQL does are shown; `--write` puts PostgreSQL's
results and errors into the file: values, `ok` or `error SQLSTATE`, and types for queries that have none (I for
integers, T for all others). Records with `skipif postgresql` or `onlyif` another engine are left alone: `onlyif zerodb`
is for what this project does otherwise.
"""

from __future__ import annotations

import itertools
import os
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql as pgsql
from psycopg.pq import ExecStatus

from zerodb.logictest.files import failure_text, summary
from zerodb.logictest.records import AnyRecord, Halt, HashThreshold, Query, Statement, parse
from zerodb.logictest.runner import EngineError, Report, Result, run_text
from zerodb.logictest.values import agree, result_lines, written

DEFAULT_HASH_THRESHOLD = 200
_INTEGER_OIDS = (20, 21, 23, 26)
_ROWS = (ExecStatus.TUPLES_OK, ExecStatus.SINGLE_TUPLE)
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.NONFATAL_ERROR)
_numbers = itertools.count()


def server() -> str | None:
    """The server's address, None if the environment names none."""
    return os.environ.get("ZERODB_POSTGRES")


class PostgresEngine:
    """A database of its own on the server."""

    def __init__(self, address: str) -> None:
        self._admin = psycopg.connect(address, autocommit=True)
        self._name = f"logictest_{os.getpid()}_{next(_numbers)}"
        self._admin.execute(
            pgsql.SQL("create database {} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C.UTF-8'").format(
                pgsql.Identifier(self._name)
            )
        )
        self._address = psycopg.conninfo.make_conninfo(address, dbname=self._name)
        self._connections: dict[str, psycopg.Connection] = {}
        self.last_types = ""

    def _connection(self, name: str) -> psycopg.Connection:
        if name not in self._connections:
            made = psycopg.connect(self._address, autocommit=True)
            made.execute("set timezone = 'UTC'; set statement_timeout = '20s'; set client_min_messages = error")
            self._connections[name] = made
        return self._connections[name]

    def execute(self, sql: str, connection: str) -> Result:
        done = self._connection(connection).pgconn.exec_(sql.encode())
        status = done.status
        if status in _FAILED:
            state = done.error_field(67) or b"XX000"
            message = (done.error_field(77) or b"?").decode(errors="replace")
            raise EngineError(state.decode(), message)
        if status not in _ROWS:
            tuples = done.command_tuples
            return Result((), -1, -1 if tuples is None else tuples)
        rows = [
            tuple(
                None if (value := done.get_value(row, column)) is None else value.decode()
                for column in range(done.nfields)
            )
            for row in range(done.ntuples)
        ]
        oids = [done.ftype(column) for column in range(done.nfields)]
        self.last_types = "".join("I" if oid in _INTEGER_OIDS else "T" for oid in oids)
        return Result(rows, done.nfields, done.ntuples)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._admin.execute(pgsql.SQL("drop database if exists {} with (force)").format(pgsql.Identifier(self._name)))
        self._admin.close()


def rewritten(text: str, engine: PostgresEngine) -> str:
    """The file's text with PostgreSQL's results."""
    lines = text.split("\n")
    output: list[str] = []
    copied = 0
    threshold = DEFAULT_HASH_THRESHOLD
    for record in parse(text):
        if not record.runs_on("postgresql"):
            continue
        if isinstance(record, Halt):
            break
        if isinstance(record, HashThreshold):
            threshold = record.values
            continue
        output += lines[copied : record.line - 1]
        output += _record_lines(record, lines, engine, threshold)
        copied = record.end - 1
    return "\n".join(output + lines[copied:])


def _record_lines(record: Statement | Query, lines: list[str], engine: PostgresEngine, threshold: int) -> list[str]:
    header = lines[record.line - 1]
    sql = record.sql.split("\n")
    kind = "query" if isinstance(record, Query) else "statement"
    try:
        result = engine.execute(record.sql, record.connection)
    except EngineError as error:
        kept = record.error is not None and record.error.matches(error.sqlstate, error.message)
        if kept and record.error != type(record.error)():
            return lines[record.line - 1 : record.end - 1]
        return [f"{kind} error {error.sqlstate}", *sql]
    if isinstance(record, Statement):
        if record.count is not None:
            return [f"statement count {result.count}", *sql]
        return ["statement ok" if record.error is not None else header, *sql]
    if len(record.types) != max(result.width, 0):
        words = header.split()
        rest = [] if record.error is not None or len(words) < 2 else words[2:]
        header = " ".join(["query", engine.last_types, *rest])
        record = replace(record, types=engine.last_types)
    actual = written(result.rows, record.types, record.sort)
    if record.separator is not None and agree(actual, record.expected, record.types):
        return lines[record.line - 1 : record.end - 1]
    return [header, *sql, "----", *result_lines(actual, threshold)]


def _check(path: Path, address: str) -> Report:
    return run_text(path.read_text(), str(path), lambda: PostgresEngine(address))


def main(arguments: list[str]) -> int:
    address = server()
    if address is None:
        print("ZERODB_POSTGRES is not set", file=sys.stderr)
        return 2
    write = "--write" in arguments
    paths = [Path(argument) for argument in arguments if not argument.startswith("--")]
    files = [file for path in paths for file in (sorted(path.rglob("*.test")) if path.is_dir() else [path])]
    if not files:
        print(__doc__, file=sys.stderr)
        return 2
    reports = []
    for file in files:
        if write:
            engine = PostgresEngine(address)
            try:
                before = file.read_text()
                after = rewritten(before, engine)
            finally:
                engine.close()
            if after != before:
                file.write_text(after)
                print(f"{file}: written")
        report = _check(file, address)
        for failure in report.failures:
            print(failure_text(failure))
        reports.append(report)
    print(summary(reports))
    return 1 if any(report.failures for report in reports) else 0


__all__ = ["AnyRecord", "PostgresEngine", "rewritten", "server"]

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
