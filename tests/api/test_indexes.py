"""Queries that look rows up in an index answer as those that scan: every kind of key, after every kind of change."""

from __future__ import annotations

import random

import pytest

import zerodb
from zerodb import compilation
from zerodb.engine import index_lists
from zerodb_compiler.plan import index_choice
from zerodb_storage import index_runs

COLUMNS = (
    "id int primary key, a int, b bigint, s text, f double precision, n numeric(30, 2), u uuid, d date, v varchar(9)"
)
INDEXES = (
    "create index on t (a)",
    "create index on t (s, a)",
    "create index on t (b desc, f, s)",
    "create index on t (f)",
    "create index on t (n)",
    "create index on t (u)",
    "create index on t (d, b)",
    "create index on t using hash (v)",
)
QUERIES = (
    "a = 3",
    "a = -7",
    "a in (1, 2, 3, null)",
    "a > 2 and a <= 4",
    "a >= 100000000000",
    "a between 2 and 3 and s = 's1'",
    "s = 's2' and a < 3",
    "s in ('s1', 's3', 'none') and a in (1, 4)",
    "s > 's2' and s <= 's3x'",
    "s = ''",
    "b = 5000000000 and f = 1.5",
    "b = 5000000001 and f > 0 and s = 's1'",
    "b in (5000000000, 5000000002) and f <= 2.5 and s <> 's1'",
    "f = 'nan'",
    "f > 2.5",
    "f = 0",
    "f < '-infinity'",
    "n = 1.50",
    "n > 100000000000000000000000000.5",
    "n <= -100000000000000000000000000",
    "u = '00000000-0000-0000-0000-000000000003'",
    "u > 'ffffffff-0000-0000-0000-000000000000'",
    "u = '01000000-0000-0000-0000-000000000000'",
    "d = '2024-01-03'",
    "d > '2024-01-03' and d < '2024-01-05' and b > 5000000000",
    "v = 'v2' and a is null",
    "id = 17",
    "id between 5 and 9",
    "a = (select 3)",
    "a = null",
)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is large, every lookup pays, and runs are short."""
    for module in (index_choice, compilation):
        monkeypatch.setattr(module, "LEAST_ROWS", -1)
    monkeypatch.setattr(index_choice, "MOST_SHARE", 2.0)
    monkeypatch.setattr(index_lists, "MIN_CHUNKS", 0)
    monkeypatch.setattr(index_lists, "MAX_SHARE", 2.0)
    monkeypatch.setattr(index_lists, "PATIENCE_DECLARED", 0)
    monkeypatch.setattr(index_lists, "PATIENCE_IMPLIED", 0)
    monkeypatch.setattr(index_runs, "PIECE_ROWS", 16)


def row(rng: random.Random, key: int) -> str:
    def some(*values: str) -> str:
        return "null" if rng.random() < 0.15 else rng.choice(values)

    return ", ".join(
        (
            str(key),
            some("1", "2", "3", "4", "-7"),
            some("5000000000", "5000000001", "5000000002", "7"),
            some("'s1'", "'s2'", "'s3'", "''", "'s3xy'"),
            some("1.5", "2.5", "'nan'", "'infinity'", "'-infinity'", "0", "-0.0"),
            some("1.5", "200000000000000000000000000.00", "-200000000000000000000000000.00", "3"),
            some(
                *(
                    f"'{first}-0000-0000-0000-00000000000{last}'"
                    for first in ("00000000", "ffffffff", "01000000")
                    for last in "03"
                )
            ),
            some("'2024-01-03'", "'2024-01-04'", "'2024-01-05'"),
            some("'v1'", "'v2'"),
        )
    )


def compare(db: zerodb.Connection) -> None:
    for where in QUERIES:
        found = db.execute(f"select * from t where {where} order by id").fetchall()
        assert repr(found) == repr(db.execute(f"select * from plain where {where} order by id").fetchall()), where


@pytest.mark.parametrize(
    ("seed", "steps"), [(0, 14), (1, 14), *(pytest.param(seed, 60, marks=pytest.mark.slow) for seed in range(2, 12))]
)
def test_random_changes(everywhere: None, path: str, seed: int, steps: int) -> None:
    rng = random.Random(seed)
    db = zerodb.connect(path)
    db.execute(f"create table t ({COLUMNS})")
    db.execute(f"create table plain ({COLUMNS.replace(' primary key', '')})")
    for index in INDEXES:
        db.execute(index)

    def both(text: str) -> None:
        for table in ("t", "plain"):
            db.execute(text.replace("TABLE", table))

    key = 0
    for step in range(steps):
        match rng.choice(("insert", "insert", "update", "delete", "begin", "end", "reopen", "savepoint")):
            case "insert":
                rows = []
                for _ in range(rng.choice((1, 3, 40))):
                    rows.append(f"({row(rng, key)})")
                    key += 1
                both(f"insert into TABLE values {', '.join(rows)}")
            case "update":
                both(f"update TABLE set a = a + 1, s = 's' || a where {rng.choice(QUERIES)}")
            case "delete":
                both(f"delete from TABLE where {rng.choice(QUERIES)} and id % 3 = 0")
            case "begin" if not db.in_transaction:
                db.execute("begin")
            case "savepoint" if db.in_transaction:
                db.execute("savepoint s")
                both("delete from TABLE where a = 3")
                both(f"insert into TABLE values ({row(rng, key + 1000)})")
                db.execute("rollback to s")
            case "end" if db.in_transaction:
                db.execute(rng.choice(("commit", "rollback")))
            case "reopen" if not db.in_transaction:
                db.close()
                db = zerodb.connect(path)
        if step % 6 == 5:
            compare(db)
    compare(db)
    db.close()


def test_over_chunks(everywhere: None, db: zerodb.Connection) -> None:
    db.execute("create table t (id int, a int, s text)")
    db.execute("insert into t select g, g % 1000, 's' || g % 777 from generate_series(1, 140000) g")
    db.execute("create index on t (a)")
    db.execute("create index on t (s)")
    assert db.execute("select count(*), min(id), max(id) from t where a = 7").fetchone() == (140, 7, 139007)
    assert (
        db.execute("select count(*), sum(id) from t where s in ('s5', 's6')").fetchone()
        == db.execute("select count(*), sum(id) from t where id % 777 in (5, 6)").fetchone()
    )
    db.execute("delete from t where a = 7 and id > 1007")
    db.execute("update t set a = 7 where id = 140000")
    assert db.execute("select id from t where a = 7 order by id").fetchall() == [(7,), (1007,), (140000,)]


def test_is_used(everywhere: None, db: zerodb.Connection) -> None:
    db.execute("create table t (id int primary key, a int, b int)")
    db.execute("insert into t select g, g, g from generate_series(1, 1000) g")
    db.execute("create index on t (a, b)")

    def plan(where: str) -> str:
        return "\n".join(line for (line,) in db.execute(f"explain select * from t where {where}").fetchall())

    assert "IndexScan t using t_a_b_idx (a, b)" in plan("a = 5 and b > 3")
    assert "IndexScan t using t_a_b_idx (a)" in plan("5 < a")
    assert "IndexScan t using t_pkey (id)" in plan("id = 3")
    assert "TableScan" in plan("b = 3")
    db.execute("drop index t_a_b_idx")
    assert "TableScan" in plan("a = 5 and b > 3")


def test_small_tables_are_scanned(db: zerodb.Connection) -> None:
    db.execute("create table t (id int primary key)")
    db.execute("insert into t select g from generate_series(1, 1000) g")
    assert any("TableScan t" in line for (line,) in db.execute("explain select * from t where id = 3").fetchall())
