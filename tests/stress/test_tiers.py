"""The same queries in Winch's code, in Cranelift's, across the change, and from the cache of machine code."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

import zerodb
from zerodb import database
from zerodb.engine import Engine, Tier

PLAN_TESTS = Path(__file__).parent.parent / "plan"
QUERIES = [text.strip() for text in (PLAN_TESTS / "queries.sql").read_text().split(";") if text.strip()]
SCHEMA = """
create table r (id integer primary key, a integer, b integer not null, t text);
create table s (k integer primary key, x integer, y integer not null, u text);
create table q (m integer, n integer not null, primary key (n, m));
"""


def fill(db: zerodb.Connection, rows: int) -> None:
    generator = random.Random(rows)

    def number() -> int:
        return generator.randrange(rows // 3 + 2)

    def text() -> str | None:
        return generator.choice(["a", "ab", "b", "ba", "", None])

    db.executescript(SCHEMA)
    for table in ("r", "s"):
        values = [(i, number() if i % 7 else None, number(), text()) for i in range(rows)]
        db.executemany(f"insert into {table} values (?, ?, ?, ?)", values)
    db.executemany("insert into q values (?, ?)", [(i, number()) for i in range(rows)])


def answer(statement: zerodb.PreparedStatement) -> list[str] | str:
    try:
        return sorted(map(repr, statement.execute().fetchall()))
    except zerodb.DatabaseError as error:
        return str(error.sqlstate)


def answers(db: zerodb.Connection) -> list[list[str] | str]:
    return [answer(db.prepare(text)) for text in QUERIES]


@pytest.mark.parametrize(
    "rows", [60, pytest.param(7, marks=pytest.mark.slow), pytest.param(500, marks=pytest.mark.slow)]
)
def test_all_ways_to_machine_code_agree(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for tier in Tier:
        with monkeypatch.context() as patch:
            patch.setattr(database, "Engine", partial(Engine, tiers=[tier]))
            with zerodb.connect(":memory:", threads=2) as db:
                fill(db, rows)
                found[tier] = answers(db)
    expected = found[Tier.WINCH]
    assert found[Tier.CRANELIFT] == expected
    path = str(tmp_path / "t.zdb")
    with zerodb.connect(path, threads=2) as db:
        fill(db, rows)
        assert answers(db) == expected
        statements = [db.prepare(text) for text in QUERIES]
        assert all(statement.wait_optimized(60) for statement in statements)
        assert [answer(statement) for statement in statements] == expected
    with zerodb.connect(path, threads=2) as db:
        assert answers(db) == expected
        cached = [db.prepare(text).wait_optimized(0) for text in QUERIES]
        assert sum(cached) == len(QUERIES)
