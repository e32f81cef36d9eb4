"""Transactions that change rows and definitions at once, among others that do too, while tables are merged all the
time: money moves between accounts and none comes or goes, statements end, and nothing is an internal error."""

from __future__ import annotations

import collections
import random
import threading
import time

import pytest

import zerodb
from zerodb_storage import publishing

THREADS, ACCOUNTS, BALANCE = 6, 50, 100
WHOLE = [(ACCOUNTS * BALANCE, ACCOUNTS)]
LEVELS = ["read committed", "read committed", "repeatable read", "serializable"]


def move(r: random.Random) -> list[str]:
    source, target = r.sample(range(1, ACCOUNTS + 1), 2)
    amount = r.randint(1, 20)
    return [
        f"update accounts set balance = balance - {amount} where id = {source}",
        f"update accounts set balance = balance + {amount} where id = {target}",
    ]


def other(r: random.Random) -> list[str]:
    number, key = r.randint(1, 3), r.randint(1, 200)
    if r.random() < 0.6:  # what keeps nobody from changing rows
        return [f"create view v{number} as select k, v from t" if r.random() < 0.5 else f"drop view v{number}"]
    return [
        r.choice(
            [
                f"alter table t add column n{number} int default 7",
                f"alter table t drop column n{number}",
                f"create index i{number} on t (v)",
                f"drop index i{number}",
                f"create table made{number} as select k from t",
                f"drop table made{number}",
                "truncate t",
                f"insert into t (k, v) select g, g from generate_series({key}, {key + 40}) g on conflict do nothing",
                f"update t set v = v + 1 where k between {key} and {key + 60}",
                f"delete from t where k between {key} and {key + 3}",
                f"lock table {r.choice(['t', 'accounts'])} in {r.choice(['share', 'access exclusive'])} mode",
                "savepoint s",
                "rollback to s",
                "select count(*) from accounts join t on k = id",
            ]
        )
    ]


class Storm:
    def __init__(self, db: zerodb.Connection, seed: int, seconds: float) -> None:
        self.db, self.seed, self.end = db, seed, time.monotonic() + seconds
        self.ends: collections.Counter[str] = collections.Counter()
        self.wrong: list[object] = []

    def work(self, number: int) -> None:
        r = random.Random(f"{self.seed}.{number}")
        with self.db.duplicate() as db:
            db.execute("set lock_timeout = '2s'")
            while time.monotonic() < self.end and not self.wrong:
                done = [f"begin isolation level {r.choice(LEVELS)}"]
                for _ in range(r.randint(1, 6)):
                    done += move(r) if r.random() < 0.85 else other(r)
                try:
                    for sql in done:
                        db.execute(sql)
                    db.execute("rollback" if r.random() < 0.1 else "commit")
                    self.ends["ended"] += 1
                except zerodb.Error as error:
                    self.ends[error.sqlstate] += 1
                    if error.sqlstate.startswith("XX"):
                        self.wrong.append((done, error))
                    db.execute("rollback")

    def run(self) -> None:
        threads = [threading.Thread(target=self.work, args=(number,), daemon=True) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            found = self.db.execute("select sum(balance), count(*) from accounts").fetchall()
            if found != WHOLE:
                self.wrong.append(found)
            assert time.monotonic() < self.end + 60, "a statement does not end"
            time.sleep(0.05)
        assert not self.wrong


def storm(path: str, seed: int, seconds: float) -> None:
    with zerodb.connect(path) as db:
        db.execute("create table accounts (id int primary key, balance bigint)")
        db.execute(f"insert into accounts select g, {BALANCE} from generate_series(1, {ACCOUNTS}) g")
        db.execute("create table t (k int primary key, v int)")
        db.execute("insert into t select g, 100 from generate_series(1, 200) g")
        found = Storm(db, seed, seconds)
        found.run()
        assert found.ends["ended"] > 10
        assert db.execute("select sum(balance), count(*) from accounts").fetchall() == WHOLE
        assert db._database.storage.check() == []
    if path != ":memory:":
        with zerodb.connect(path) as db:
            assert db.execute("select sum(balance), count(*) from accounts").fetchall() == WHOLE


@pytest.fixture(autouse=True)
def _folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 60)
    monkeypatch.setattr(publishing, "FOLD_RECORDS", 20)


def test_definitions_among_changes() -> None:
    storm(":memory:", 1, 4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_definitions_among_changes_long(seed: int, tmp_path: object) -> None:
    storm(":memory:" if seed % 2 else f"{tmp_path}/storm.zdb", seed, 30)
