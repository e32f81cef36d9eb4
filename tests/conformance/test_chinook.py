"""The Chinook script as it is, then analytical questions over it: chinook/*.sql, with PostgreSQL's answers in *.out.

An answer is one line a row in psql's unaligned form (`psql -A -t -F '|' -P null=NULL`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.conformance.corpora import corpus

import zerodb
from zerodb.cli.main import cli

QUESTIONS = Path(__file__).resolve().parent / "chinook"
NAMES = sorted(path.stem for path in QUESTIONS.glob("*.sql"))
# What a question waits for.
# PostgreSQL remembers the scale of each numeric value: it shows the 0 of coalesce(sum(total), 0) as 0, not as 0.00.
PENDING = {"19_calendar": "the scale of a value"}
ROWS = {
    "album": 347,
    "artist": 275,
    "customer": 59,
    "employee": 8,
    "genre": 25,
    "invoice": 412,
    "invoice_line": 2240,
    "media_type": 5,
    "playlist": 18,
    "playlist_track": 8715,
    "track": 3503,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database made by `zerodb run` of the script."""
    script = corpus("chinook") / "Chinook_PostgreSql.sql"
    path = str(tmp_path_factory.mktemp("chinook") / "chinook.zdb")
    done = CliRunner().invoke(cli, ["run", str(script), "--db", path, "--format", "none"])
    assert done.exit_code == 0, done.output[-2000:]
    return path


@pytest.fixture(scope="module")
def db(path: str) -> Iterator[zerodb.Connection]:
    with zerodb.connect(path) as connection:
        yield connection


def test_all_rows_are_there(db: zerodb.Connection) -> None:
    assert {name: db.execute(f"select count(*) from {name}").fetchall()[0][0] for name in ROWS} == ROWS


def test_foreign_keys_hold(db: zerodb.Connection) -> None:
    with pytest.raises(zerodb.IntegrityError) as caught:
        db.execute("insert into album values (1000, 'no such artist', 9999)")
    assert caught.value.sqlstate == "23503"
    with pytest.raises(zerodb.IntegrityError) as caught:
        db.execute("delete from genre where genre_id = 1")
    assert caught.value.sqlstate == "23503"


@pytest.mark.parametrize("name", NAMES)
def test_question(db: zerodb.Connection, name: str, request: pytest.FixtureRequest) -> None:
    if name in PENDING:
        request.applymarker(pytest.mark.xfail(reason=PENDING[name], strict=True))
    outcome = db._run((QUESTIONS / f"{name}.sql").read_text(), None)
    assert outcome.batches is not None
    rows = [row for index in range(len(outcome.batches)) for row in outcome.batches.texts(index)]
    lines = ["|".join("NULL" if value is None else value for value in row) for row in rows]
    assert "\n".join(lines) == (QUESTIONS / f"{name}.out").read_text().rstrip("\n")
