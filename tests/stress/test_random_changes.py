"""Random changes, each followed by queries whose code and frames are warm, compared with DuckDB over the same changes.

What one statement leaves behind (chunks taken over from the version before, idle frames, dictionaries, delete vectors)
must not show in the next one.
"""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import zerodb
from zerodb_storage import publishing

QUERIES = """
select count(*) from t;
select (select count(*) from t), (select count(*) from u);
select count(*) from t, (select 1 from u limit 2) x;
select count(id), sum(id), min(a), max(a), sum(n), min(s), max(s), count(b), min(d) from t;
select a, count(*) from t group by a;
select s, count(*), sum(n), max(d) from t group by s;
select t.id, u.t, u.w from t join u on t.a = u.k;
select t.s, count(*) from t join u on t.s = u.t group by t.s;
select count(*) from t left join u on t.s = u.t where u.k is null;
select count(*) from t where exists (select 1 from u where u.k = t.a and u.t <> t.s);
select k from u where t not in (select s from t where s is not null);
select id, n from t where n > 5 order by n, id limit 5;
select id from t where s in ('x1', 'x2', 'nope') and b;
select distinct s, b from t;
select count(distinct s), count(distinct a), count(distinct n) from t;
select id from t where s like '%1%';
select id from t where a is null;
select id, s from t where id between 5 and 900 order by id desc limit 10;
select max(w), min(w), sum(w) from u;
select s from t union select t from u;
select count(*) from t x join t y on x.id = y.id where x.b and not y.b
"""
CHANGES = (
    "update t set a = a + 1 where id % {n} = 0 and a < 1000",
    "update t set s = 'x' || cast(a % 9 as text) where b",
    "update t set b = null where id = {id}",
    "update t set n = n * 2 where id % 5 = {n} % 5 and abs(n) < 100000000000000000000",
    "update u set w = w + 1 where k % 3 = 0 and w < 100000000000000000",
    "update u set t = (select max(s) from t where a = u.k % 6) where k % 7 = {n} % 7",
    "delete from t where id % {n} = 1",
    "delete from t where id = {id}",
    "delete from u where k % 9 = {n} % 9",
    "delete from t where s in (select t from u where w = 5)",
    "insert into u values ({serial}, 'x{n}', {n}), ({serial} + 1, null, 10000000000 * {n})",
)


class Both:
    def __init__(self, path: str, seed: int) -> None:
        self.path, self.generator = path, random.Random(seed)
        self.db, self.duck = zerodb.connect(path, threads=2), duckdb.connect()
        self.serial = 1
        self.both("create table t (id bigint primary key, a int, n numeric(30, 3), s text, b boolean, d date)")
        self.both("create table u (k int, t text, w bigint)")

    def both(self, text: str) -> None:
        self.db.execute(text)
        self.duck.execute(text.replace(" primary key", ""))

    def insert(self) -> None:
        choose = self.generator
        count = choose.choice([1, 1, 2, 20, 300, 3000])
        nulls, wide, huge, many = (choose.random() < chance for chance in (0.1, 0.05, 0.05, 0.05))
        rows = range(self.serial, self.serial + count)
        self.serial += count
        table = pa.table(
            {
                "id": pa.array(rows, pa.int64()),
                "a": pa.array([choose.randrange(2**31 if wide else 6) for _ in rows], pa.int32()),
                "n": pa.array([Decimal(choose.randrange(10**25 if huge else 999)) for _ in rows], pa.decimal128(30, 3)),
                "s": [None if nulls and i % 7 == 0 else f"x{choose.randrange(10**6 if many else 4)}" for i in rows],
                "b": pa.array([None if nulls and i % 5 == 0 else choose.random() < 0.5 for i in rows], pa.bool_()),
                "d": pa.array([18_000 + choose.randrange(900) for _ in rows], pa.int32()).cast(pa.date32()),
            }
        )
        self.db.register("source", table)
        self.duck.register("source", table)
        self.both("insert into t select * from source")
        self.db.unregister("source")

    def step(self) -> str:
        choose = self.generator
        publishing.FOLD_ROWS = choose.choice([1, 500, 5000, 1 << 40])
        action = choose.random()
        if action < 0.35:
            self.insert()
            return "an insert"
        if action < 0.40 and not self.db.in_transaction:
            self.db.close()
            self.db = zerodb.connect(self.path, threads=2)
            return "reopening"
        if action < 0.48:
            text = choose.choice(["commit", "rollback"]) if self.db.in_transaction else "begin"
        else:
            n, id_ = choose.randint(2, 40), choose.randrange(self.serial + 1)
            text = choose.choice(CHANGES).format(n=n, id=id_, serial=self.serial)
            self.serial += 2
        self.both(text)
        return text

    def compare(self, after: str) -> None:
        for text in self.generator.sample(QUERIES.split(";"), 6):
            found, wanted = self.db.execute(text).fetchall(), self.duck.execute(text).fetchall()
            assert plain(found) == plain(wanted), f"{text}\nafter {after}"


def plain(rows: list[Any]) -> list[tuple[str, ...]]:
    return sorted(tuple(map(as_text, row)) for row in rows)


def as_text(value: Any) -> str:
    """Numbers without type and scale: the two databases differ in the types of sums."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return str(Decimal(value).normalize()) if is_number else str(value)


def run(path: str, seed: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", publishing.FOLD_ROWS)  # put back at the end
    both = Both(path, seed)
    for _ in range(steps):
        both.compare(both.step())
    both.db.rollback()
    assert both.db.check() == []
    both.db.close()
    both.duck.close()


def test_as_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(str(tmp_path / "t.zdb"), 0, 60, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_as_duckdb_for_longer(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(str(tmp_path / "t.zdb"), seed, 400, monkeypatch)
