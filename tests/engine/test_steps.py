"""All pipelines of a query in one call: the same answers, errors and interruptions as pipeline by pipeline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

import zerodb
from zerodb.engine.scheduler import Run
from zerodb.engine.steps import MOST_STEPS, packed, steps
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import MorselSource, Pipeline, Program

ROWS = 300_000
QUERIES = (
    "select g, sum(v), count(*) from t group by g order by g",
    "select id from t where k in (5, 70000, 290000) order by id",  # chunks that are no neighbours
    "select count(*), min(id) from t where k < 1000 or k > 250000",
    "select id, v from t where v = 3 limit 7",
    "select id from t where k > 200000 and v = 2 limit 3",
    "select * from t order by v desc, id limit 3",
    "select a.g, count(*) from t a join t b on a.id = b.v group by 1 order by 1",
    "select sum(x) from (select v x from t union all select g from t) u",
    "select id, row_number() over (order by id desc) from t order by id limit 3",
    "select g, v from t where id > 100 and id < 140000",
    "select n, count(*) from generate_series(1, 200000) n group by n order by n desc limit 2",
)


@pytest.fixture(scope="module")
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(threads=1) as connection:
        connection.execute("create table t (id int primary key, k int, v int, g int)")
        connection.execute(f"insert into t select g, g, g % 7, g % 5 from generate_series(0, {ROWS - 1}) g")
        connection.execute("insert into t select g, g, g % 7, g % 5 from generate_series(400000, 400009) g")
        connection.execute("delete from t where id % 1000 = 0")
        yield connection


@pytest.mark.parametrize("text", QUERIES)
def test_the_same_rows(db: zerodb.Connection, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    at_once = Run._at_once

    def noted(run: Run) -> bool:
        taken.append(at_once(run))
        return taken[-1]

    monkeypatch.setattr(Run, "_at_once", noted)
    statement = db.prepare(text)
    first = statement.execute().fetchall()
    query = statement._prepared.query
    assert query is not None
    assert query.code.program.can_step
    assert query.code.wait_optimized(60)
    taken.clear()
    assert statement.execute().fetchall() == first
    assert taken == [True] or "limit" in text  # which may leave chunks that are not in memory
    explained = "\n".join(line for (line,) in db.execute(f"explain (analyze) {text}").fetchall())
    assert " ms" in explained
    assert "morsels" in explained


def test_errors_and_interruption(db: zerodb.Connection) -> None:
    divide = db.prepare("select sum(1 / (id - 150001)) from t group by g")
    busy = db.prepare("select count(*) from t a, t b where a.v * b.g + a.id = 17")
    for statement in (divide, busy):
        query = statement._prepared.query
        assert query is not None
        assert query.code.wait_optimized(60)
    for _ in range(2):
        with pytest.raises(zerodb.Error, match="division by zero"):
            divide.execute()
    for _ in range(2):
        timer = threading.Timer(0.2, db.interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(zerodb.Error) as caught:
            busy.execute()
        assert caught.value.sqlstate == "57014"
        assert time.monotonic() - began < 10
        timer.join()


def test_the_list() -> None:
    scan = Pipeline("scan", MorselSource.SCAN, 0, None, "begin", "end", ())
    emit = Pipeline("emit", MorselSource.COUNTER, None, 24, None, None, ())
    program = Program(b"", 0, 0, (scan, emit), (), (), (), (), (), (), (), 0, False, entries=("x",))
    numbers = {"begin": 3, "scan": 1, "end": 2, "emit": 0}
    found = steps(program, numbers, 1000, [np.array([0, 1, 5, 7, 8])])
    assert [step[:4] for step in found] == [
        (3, 0, 1, 0), (1, 0, 2, 0), (1, 5, 1, 0), (1, 7, 2, 0), (2, 0, 1, 0), (0, 0, 0, 1024)
    ]  # fmt: skip
    words = np.frombuffer(packed(found, 5000), np.uint32)
    assert len(words) == 5 * 6 + 1 <= MOST_STEPS * 5
    behind = [(int(word) - 5000) // abi.STEP_BYTES for word in words[4:30:5]]
    assert behind == [1, 4, 4, 4, 5, 6]
    assert words[-1] == 0xFFFFFFFF
    assert steps(program, numbers, 0, [range(0)])[1][0] == 2
    assert steps(program, numbers, 0, [range(2, 9)])[1][:3] == (1, 2, 7)
