"""The process that `test_ctrl_c` starts: Ctrl-C at random moments, and everything has to stay usable."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
from queue import SimpleQueue

import zerodb
from zerodb_storage import database, publishing


def work(db: zerodb.Connection, generator: random.Random) -> None:
    match generator.randrange(7):
        case 0 | 1:
            db.execute("select s, count(*) from big group by s order by 2 desc limit 3").fetchall()
        case 2:
            db.execute("select count(*), max(big.s) from t join big on t.id = big.id").fetchall()
        case 3:
            db._database.forget_statements()
            db.execute("select g, count(*) from t group by g").fetchall()
        case 4:
            db.execute("update t set g = g + 1 where id % 10 = ?", [generator.randrange(10)])
        case 5:
            rows = [(generator.randrange(10**6, 10**9), 0, "z") for _ in range(50)]
            db.executemany("insert into t values (?, ?, ?)", rows)
        case 6:
            with db.transaction():
                db.execute("delete from t where id = ?", [generator.randrange(3000)])
                db.execute("update t set s = s || 'b' where id % 50 = 3 and length(s) < 9")


def press_during_work(db: zerodb.Connection, generator: random.Random, presses: Presses) -> bool:
    """Whether the Ctrl-C came through as KeyboardInterrupt."""
    delay = generator.random() * generator.choice([0.002, 0.02, 0.1])
    try:
        presses.wanted.put(delay)
        work(db, generator)
        presses.sent.wait()
    except KeyboardInterrupt:
        presses.sent.wait()
        presses.sent.clear()
        return True
    presses.sent.clear()
    return False


class Presses:
    """A thread that presses Ctrl-C on demand."""

    def __init__(self) -> None:
        self.wanted: SimpleQueue[float] = SimpleQueue()
        self.sent = threading.Event()
        threading.Thread(target=self.press, daemon=True).start()

    def press(self) -> None:
        while True:
            time.sleep(self.wanted.get())
            os.kill(os.getpid(), signal.SIGINT)
            self.sent.set()


def main(seconds: float) -> None:
    publishing.FOLD_ROWS, database.LOCK_TIMEOUT_S = 2000, 1.0
    generator = random.Random(1)
    pressed, presses = 0, Presses()
    with zerodb.connect(":memory:", threads=2, memory_limit="200MB") as db:
        engine = db._database.engine
        unused = engine.memory.used
        db.execute("create table t (id int primary key, g int, s text)")
        db.execute("create table x as select 1 as a")
        db.executemany("insert into t values (?, ?, ?)", [(i, i % 7, f"s{i % 100}") for i in range(3000)])
        db.execute("create table big as select a.id * 100 + b.id as id, a.s || b.s as s from t a, t b where b.id < 100")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pressed += press_during_work(db, generator, presses)
            assert not db.in_transaction
            db.execute("select count(*) from t").fetchall()
            db.execute("update x set a = a + 1")  # 55P03 if a change was not ended
        db.execute("drop table t, x, big")
        db._database.forget_statements()
        gc.collect()
        db.execute("select 1")  # frees the frames of forgotten statements
        while engine._reclaim(1 << 40):
            pass
        assert engine.memory.used == unused, "something was not given back"
    assert pressed > 10


if __name__ == "__main__":
    main(float(sys.argv[1]))
