"""Changes by key in transactions of several threads, while the table is merged all the time: no change is lost."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

import zerodb
from zerodb.engine import point_directory
from zerodb_storage import publishing

ROWS, THREADS = 300, 3


@pytest.mark.parametrize("isolation", ["snapshot", "read committed"])
@pytest.mark.parametrize("seconds", [2.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_no_change_is_lost(isolation: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 200)
    monkeypatch.setattr(publishing, "FOLD_RECORDS", 25)
    monkeypatch.setattr(point_directory, "FEW_SEGMENTS", 0)
    path = str(tmp_path / "test.zdb")
    added = [[0] * ROWS for _ in range(THREADS)]
    failures: list[BaseException] = []
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        r = random.Random(number)
        with zerodb.connect(path, threads=1) as db:
            add = db.prepare("update t set v = v + ? where k = ?")
            delete, insert = db.prepare("delete from t where k = ?"), db.prepare("insert into t values (?, ?)")
            read = db.prepare("select v from t where k = ?")
            while time.monotonic() < end:
                mine: list[tuple[int, int]] = []
                try:
                    with db.transaction(isolation=isolation):
                        keys = sorted(r.sample(range(ROWS), 3))
                        for key in (*keys, keys[-1], keys[-1]):  # the last one several times
                            amount = r.randrange(10)
                            if r.random() < 0.8:
                                assert add.execute((amount, key)).rowcount == 1
                            else:
                                assert add.execute((0, key)).rowcount == 1
                                (value,) = read.execute((key,)).fetchone()
                                assert delete.execute((key,)).rowcount == 1
                                insert.execute((key, value + amount))
                            mine.append((key, amount))
                except zerodb.Error as error:
                    if error.sqlstate not in ("40001", "40P01"):
                        raise
                    continue
                for key, amount in mine:
                    added[number][key] += amount
                if r.random() < 0.3:
                    key = r.randrange(ROWS)
                    while True:
                        try:
                            assert add.execute((1, key)).rowcount == 1
                            break
                        except zerodb.OperationalError as error:
                            if error.sqlstate not in ("40001", "40P01"):
                                raise
                    added[number][key] += 1

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    with zerodb.connect(path, threads=1, synchronous="normal") as db:
        db.execute("create table t (k bigint primary key, v bigint)")
        db.executemany("insert into t values (?, 0)", [(n,) for n in range(ROWS)])
        threads = [threading.Thread(target=guarded, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        expected = [(key, sum(one[key] for one in added)) for key in range(ROWS)]
        assert db.execute("select k, v from t order by k").fetchall() == expected
        assert sum(value for _, value in expected) > 10
        assert db._database.storage.merger.merges
        assert db.check() == []
