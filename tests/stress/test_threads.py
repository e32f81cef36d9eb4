"""Readers, a writer, interrupts and timeouts in one process: every reader sees a consistent snapshot, nothing leaks.

The writer's transactions keep invariants: every group's `v` sums to zero and has as many rows as `log` says. Its rows
bring NULLs, wider integers and more strings than a dictionary takes, as time goes on; commits fold often.
"""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import zerodb
from zerodb_storage import dictionary, publishing

Rows = list[Any]
# Queries, and what must be true of their rows.
QUERIES: tuple[tuple[str, Callable[[Rows], bool]], ...] = (
    ("select sum(v), sum(n), count(distinct id) - count(*) from t", lambda r: not any(r[0])),
    ("select count(*), max(cnt), sum(v) from t group by g", lambda r: all(a == b and not c for a, b, c in r)),
    ("select t.g from t join log on t.g = log.g group by t.g having count(*) <> max(log.cnt)", lambda r: not r),
    ("select g from log where not exists (select 1 from t where t.g = log.g)", lambda r: not r),
    ("select g from t where g not in (select g from log)", lambda r: not r),
    ("select (select sum(cnt) from log), (select count(*) from t)", lambda r: (r[0][0] or 0) == r[0][1]),
    ("select count(*) - count(o) - sum(case when o is null then 1 else 0 end) from t", lambda r: not r[0][0]),
    ("select min(s), max(s) from t group by s", lambda r: all(a == b for a, b in r)),
    ("select v, id from t order by v, id limit 20", lambda r: r == sorted(r)),
    ("select v from t order by s, id", lambda r: sum(v for (v,) in r) == 0),
)
STATE = "select count(*), sum(x.h) from (select id * 31 + g as h from t) x"
UPDATES = (
    "update t set v = -v, n = -n",
    "update t set s = s || 'a' where g % 5 = 1 and length(s) < 8",
    "update t set o = case when o is null then 1 end where g % 3 = 0",
    "update t set id = id + 1000000000 where g % 11 = 4 and id < 1000000000",
)


class Stress:
    def __init__(self, path: str, seed: int) -> None:
        self.path, self.seed = path, seed
        self.stop = threading.Event()
        self.failures: list[BaseException] = []
        self.connections: list[zerodb.Connection] = []
        self.reads = self.commits = self.cancelled = 0
        self.groups: list[int] = []
        self.next_group = self.next_id = 0

    def run(self, seconds: float, readers: int) -> None:
        tasks = [self.write, self.interrupt, *[self.read] * readers]
        threads = [threading.Thread(target=self.guarded, args=(task, n)) for n, task in enumerate(tasks)]
        for thread in threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "deadlock"
        if self.failures:
            raise self.failures[0]

    def guarded(self, task: Callable[[random.Random], None], number: int) -> None:
        try:
            task(random.Random(100 * self.seed + number))
        except BaseException as failure:
            self.failures.append(failure)
            self.stop.set()

    def connect(self) -> zerodb.Connection:
        connection = zerodb.connect(self.path)
        self.connections.append(connection)
        return connection

    def interrupt(self, generator: random.Random) -> None:
        while not self.stop.is_set():
            time.sleep(generator.random() * 0.05)
            for connection in list(self.connections):
                if generator.random() < 0.3:
                    connection.interrupt()

    def read(self, generator: random.Random) -> None:
        db = self.connect()
        while not self.stop.is_set():
            db.execute(f"set threads = {generator.choice((1, 2))}")
            db.execute(f"set statement_timeout = {generator.choice((0, 0, 0, 1, 10))}")
            try:
                with db.transaction():
                    known = None
                    for text, holds in generator.sample(QUERIES, 3):
                        rows = db.execute(text).fetchall()
                        assert holds(rows), (text, rows[:5])
                        state = db.execute(STATE).fetchall()
                        assert known in (None, state), "the snapshot moved"
                        known = state
                        self.reads += 1
            except zerodb.OperationalError as error:
                if error.sqlstate != "57014":
                    raise
                self.cancelled += 1

    def write(self, generator: random.Random) -> None:
        db = self.connect()
        while not self.stop.is_set():
            try:
                with db.transaction():
                    self.change(db, generator)
                    if generator.random() < 0.1:
                        raise _RolledBack
                self.commits += 1
            except _RolledBack:
                pass
            except zerodb.OperationalError as error:
                if error.sqlstate != "57014":
                    raise
                self.cancelled += 1

    def change(self, db: zerodb.Connection, generator: random.Random) -> None:
        action = generator.random()
        if action < 0.6:
            self.insert(db, generator)
        elif action < 0.75:
            group = generator.randrange(self.next_group + 1)
            few = "=" if generator.random() < 0.9 else "<"
            db.execute(f"delete from t where g {few} ?", [group])
            db.execute(f"delete from log where g {few} ?", [group])
        else:
            db.execute(generator.choice(UPDATES))

    def insert(self, db: zerodb.Connection, generator: random.Random) -> None:
        count = generator.choice((2, 2, 5, 50, 400))
        size = 100 if self.commits < 30 else 1 << 40
        scale = 1 if self.commits < 60 else 10**18
        values = [generator.randint(-size, size) for _ in range(count - 1)]
        values.append(-sum(values))
        few = self.commits % 8 or self.commits < 40
        rows = [
            (
                self.next_id + i,
                self.next_group,
                count,
                value,
                Decimal(value) * scale,
                f"s{generator.randrange(5) if few else generator.randrange(10**6)}",
                None if self.commits > 20 and generator.random() < 0.02 else 1,
            )
            for i, value in enumerate(values)
        ]
        self.next_id += count
        self.next_group += 1
        db.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", rows)
        if generator.random() < 0.2:
            db.execute("savepoint before")
            with pytest.raises(zerodb.IntegrityError, match="already exists"):
                db.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", rows[:1])
            db.execute("rollback to before")
        db.execute("insert into log values (?, ?)", [self.next_group - 1, count])


class _RolledBack(Exception):
    pass


def stress(path: str, seed: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 1500)
    monkeypatch.setattr(dictionary, "SIZE_MAX", 2000)
    with zerodb.connect(path, threads=2, memory_limit="128MB") as db:
        engine = db._database.engine
        unused = engine.memory.used
        db.execute("create table t (id bigint primary key, g int, cnt int, v bigint, n numeric(38, 4), s text, o int)")
        db.execute("create table log (g int primary key, cnt int)")
        stressed = Stress(path, seed)
        stressed.run(seconds, readers=3)
        assert stressed.reads > 10
        assert stressed.commits > 10
        for connection in stressed.connections:
            connection.close()
        for text, holds in QUERIES:
            assert holds(db.execute(text).fetchall()), text
        assert db.check() == []
        db.execute("drop table t, log")
        db._database.forget_statements()
        gc.collect()
        db.execute("select 1")  # frees the frames of forgotten statements
        assert engine.pool.pinned_bytes == 0
        while engine._reclaim(1 << 40):
            pass
        assert engine.memory.used == unused


def test_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stress(str(tmp_path / "t.zdb"), 1, 3.0, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_threads_for_longer(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stress(str(tmp_path / "t.zdb"), seed + 2, 30.0, monkeypatch)
