"""Scripts of functions in SQL and PL/pgSQL: what each statement gives, says (notices) and how it fails.

What is expected was written by PostgreSQL 15 and is compared with it where ZERODB_POSTGRES is set. Where we differ,
the file `.ours.out` has what we give.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import zerodb

SCRIPTS = sorted((Path(__file__).resolve().parent / "scripts").glob("*.sql"))
POSTGRES = os.environ.get("ZERODB_POSTGRES")
# Lines of a context that name the statement itself, which ours do not.
_STATEMENT = re.compile(r'(SQL statement "|SQL expression "|PL/pgSQL assignment "|SQL function ".*" during startup)')


def statements(path: Path) -> Iterator[str]:
    """A statement ends with the line that ends with a semicolon outside of $$."""
    lines: list[str] = []
    for line in path.read_text().splitlines():
        if not lines and (not line or line.startswith("--")):
            continue
        lines.append(line)
        if line.endswith(";") and "\n".join(lines).count("$$") % 2 == 0:
            yield "\n".join(lines)
            lines.clear()


def table(names: list[str], rows: list[tuple[str | None, ...]]) -> list[str]:
    return ["|".join(names), *("|".join("" if cell is None else cell for cell in row) for row in rows)]


def failure(message: str, sqlstate: str, context: str | None) -> list[str]:
    lines = [] if not context else [line for line in context.splitlines() if _STATEMENT.match(line) is None]
    lines = [line for line in lines if line.startswith("PL/pgSQL")]
    return [f"ERROR:  {sqlstate} {message}", *(f"CONTEXT:  {line}" for line in lines)]


def run_ours(path: Path) -> str:
    lines: list[str] = []
    with zerodb.connect(":memory:") as db:
        db.add_notice_handler(lambda notice: lines.append(str(notice)))
        for statement in statements(path):
            lines += ["", statement, "--"]
            try:
                cursor = db.execute(statement)
                outcome = cursor.outcome
                if outcome.columns is not None:
                    assert outcome.batches is not None
                    rows = [row for part in range(len(outcome.batches)) for row in outcome.batches.texts(part)]
                    lines += table([column.name for column in outcome.columns], rows)
            except zerodb.Error as error:
                lines += failure(error.args[0], error.sqlstate, error.context)
        assert db.check() == []
    return "\n".join(lines).strip() + "\n"


def run_postgres(path: Path) -> str:
    import psycopg
    from psycopg import pq

    lines: list[str] = []
    with psycopg.connect(POSTGRES or "", autocommit=True) as db:
        db.execute("set client_min_messages = warning")
        db.execute("drop schema if exists zerodb_scripts cascade")
        db.execute("create schema zerodb_scripts")
        db.execute("set search_path = zerodb_scripts")
        db.execute("set client_min_messages = notice")
        db.add_notice_handler(lambda said: lines.append(f"{said.severity}:  {said.message_primary}"))
        try:
            for statement in statements(path):
                lines += ["", statement, "--"]
                try:
                    cursor = db.execute(statement.encode())
                except psycopg.Error as error:
                    diag = error.diag
                    lines += failure(diag.message_primary or "", diag.sqlstate or "", diag.context)
                    continue
                if cursor.pgresult is not None and cursor.pgresult.status == pq.ExecStatus.TUPLES_OK:
                    result = cursor.pgresult
                    names = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
                    rows = []
                    for row in range(result.ntuples):
                        cells = (result.get_value(row, place) for place in range(result.nfields))
                        rows.append(tuple(None if cell is None else cell.decode() for cell in cells))
                    lines += table(names, rows)
        finally:
            db.execute("set client_min_messages = warning")
            db.execute("drop schema zerodb_scripts cascade")
    return "\n".join(lines).replace("zerodb_scripts.", "").strip() + "\n"


def expected(path: Path, *, ours: bool) -> Path:
    own = path.with_suffix(".ours.out")
    return own if ours and own.exists() else path.with_suffix(".out")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    assert run_ours(path) == expected(path, ours=True).read_text()


@pytest.mark.skipif(POSTGRES is None, reason="ZERODB_POSTGRES is not set")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_in_postgres(path: Path) -> None:
    assert run_postgres(path) == expected(path, ours=False).read_text()
