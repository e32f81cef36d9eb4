"""Writers and readers beside merges: keys stay unique, indexes find what scans find, and the rows are those of a model.

Each writer owns some of the primary keys, so it knows their rows; the values of the unique column are anybody's. Tables
are folded after some hundred changes, so nearly every statement runs over another numbering than the one before.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import zerodb
from zerodb import compilation
from zerodb.engine import index_lists
from zerodb_compiler.plan import index_choice
from zerodb_storage import index_runs, publishing

UNIQUE, GROUPS, WRITERS = 4_000, 40, 3
EXPECTED = {"23505", "40001", "40P01"}
# What must be the same whether an index is used or not.
PAIRS = (
    ("select k, u, s from t where g = ?", "select k, u, s from t where g + 0 = ?"),
    ("select k, u, s from t where u = ?", "select k, u, s from t where u + 0 = ?"),
    ("select k from t where g = ? and u < 1500", "select k from t where g + 0 = ? and u + 0 < 1500"),
)


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merges all the time, and indexes for every table."""
    for module in (index_choice, compilation):
        monkeypatch.setattr(module, "LEAST_ROWS", 0)
    monkeypatch.setattr(index_choice, "MOST_SHARE", 2.0)
    monkeypatch.setattr(index_lists, "MIN_CHUNKS", 0)
    monkeypatch.setattr(index_lists, "MAX_SHARE", 2.0)
    monkeypatch.setattr(index_lists, "PATIENCE_DECLARED", 0)
    monkeypatch.setattr(index_lists, "PATIENCE_IMPLIED", 0)
    monkeypatch.setattr(index_runs, "PIECE_ROWS", 64)
    monkeypatch.setattr(publishing, "FOLD_ROWS", 300)
    monkeypatch.setattr(publishing, "FOLD_RECORDS", 10)


class Work:
    def __init__(self, path: str, seconds: float) -> None:
        self.path, self.end = path, time.monotonic() + seconds
        self.failures: list[BaseException] = []
        self.models: list[dict[int, tuple[int, int, str]]] = [{} for _ in range(WRITERS)]
        self.commits = self.reads = 0

    def run(self) -> None:
        tasks = [(self.write, number) for number in range(WRITERS)] + [(self.read, 10), (self.define, 11)]
        threads = [threading.Thread(target=self.guarded, args=task) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def guarded(self, task: Any, number: int) -> None:
        try:
            with zerodb.connect(self.path, threads=1) as own:
                task(own, number)
        except BaseException as error:
            self.failures.append(error)
            self.end = 0

    def write(self, db: zerodb.Connection, number: int) -> None:
        chosen = random.Random(number)
        model = self.models[number]
        while time.monotonic() < self.end:
            changed = dict(model)
            try:
                with db.transaction():
                    for _ in range(chosen.randint(1, 3)):
                        self.change(db, chosen, number, changed)
            except zerodb.Error as error:
                if error.sqlstate not in EXPECTED:
                    raise
                continue
            model.clear()
            model.update(changed)
            self.commits += 1

    def change(self, db: zerodb.Connection, r: random.Random, number: int, model: dict[int, Any]) -> None:
        kind = r.random()
        if kind < 0.4 or len(model) < 20:
            count = r.choice((1, 1, 3, 40, 400)) if len(model) < 900 else 1
            keys = [key for key in (r.randrange(100_000) * WRITERS + number for _ in range(count)) if key not in model]
            rows = {key: (r.randrange(UNIQUE), r.randrange(GROUPS), f"s{key % 97}") for key in keys}
            if len({row[0] for row in rows.values()}) < len(rows):
                return
            db.executemany("insert into t values (?, ?, ?, ?)", [(key, *row) for key, row in rows.items()])
            model.update(rows)
        elif kind < 0.6:
            key = r.choice(list(model))
            u, g = r.randrange(UNIQUE), r.randrange(GROUPS)
            db.execute("update t set g = ?, u = ? where k = ?", [g, u, key])
            model[key] = (u, g, model[key][2])
        elif kind < 0.75:
            group = r.randrange(GROUPS)
            keys = [key for key, row in model.items() if row[1] == group]
            query = f"update t set s = s || 'x' where g = ? and k % {WRITERS} = {number} and length(s) < 9"
            db.execute(query, [group])
            for key in keys:
                u, g, s = model[key]
                model[key] = (u, g, s + "x" if len(s) < 9 else s)
        else:
            keys = r.sample(list(model), min(len(model), r.choice((1, 1, 5, 100))))
            found = db.execute(f"delete from t where k in ({', '.join(map(str, keys))})")
            assert found.rowcount == len(keys)
            for key in keys:
                del model[key]

    def read(self, db: zerodb.Connection, number: int) -> None:
        r = random.Random(number)
        while time.monotonic() < self.end:
            with db.transaction(read_only=True):
                for by_index, by_scan in PAIRS:
                    value = r.randrange(GROUPS)
                    a, b = db.execute(by_index, [value]).fetchall(), db.execute(by_scan, [value]).fetchall()
                    assert sorted(a) == sorted(b)
                twice = "select count(*) - count(distinct u), count(*) - count(distinct k) from t"
                assert db.execute(twice).fetchone() == (0, 0)
            self.reads += 1

    def define(self, db: zerodb.Connection, number: int) -> None:
        """Definitions that merges must give way to, and that must wait for them."""
        r = random.Random(number)
        while time.monotonic() < self.end:
            time.sleep(1.0)
            try:
                db.execute("alter table t add column extra bigint default 7")
                time.sleep(r.random() / 10)
                db.execute("alter table t drop column extra")
            except zerodb.Error as error:
                if error.sqlstate not in EXPECTED:
                    raise


@pytest.mark.parametrize("seconds", [4.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_writers_beside_merges(seconds: float, tmp_path: Path) -> None:
    path = str(tmp_path / "test.zdb")
    with zerodb.connect(path, threads=1, synchronous="normal") as db:
        db.execute("create table t (k bigint primary key, u bigint unique, g bigint, s text)")
        db.execute("create index on t (g)")
        work = Work(path, seconds)
        work.run()
        expected = sorted((key, *row) for model in work.models for key, row in model.items())
        assert db.execute("select k, u, g, s from t order by k").fetchall() == expected
        assert work.commits > 10
        assert work.reads
        storage = db._database.storage
        assert storage.merger.merges or work.commits < 100  # a slow machine
        assert storage.merger.failure is None
        assert db.check() == []
    with zerodb.connect(path) as db:
        assert db.execute("select k, u, g, s from t order by k").fetchall() == expected
