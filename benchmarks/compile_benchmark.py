"""From SQL text to running code: each stage of a cold compilation, and a known shape with other literals."""

from __future__ import annotations

import statistics
import time

import zerodb
from benchmarks import data
from benchmarks.measure import RUNS, show
from benchmarks.tpch_benchmark import SPINE, load_zerodb

POINT = "select * from t where id = {}"


def _cold(connection: zerodb.Connection, text: str, runs: int) -> tuple[dict[str, float], float]:
    """Median seconds per stage, and median of the whole, of compilations that find nothing in any cache."""
    stages: dict[str, list[float]] = {}
    totals = []
    for _ in range(runs):
        connection._database.forget_statements()
        began = time.perf_counter()
        statement = connection.prepare(text)
        totals.append(time.perf_counter() - began)
        for name, seconds in statement.stages.items():
            stages.setdefault(name, []).append(seconds)
    return {name: statistics.median(seconds) for name, seconds in stages.items()}, statistics.median(totals)


def _known(connection: zerodb.Connection, texts: list[str]) -> float:
    """Median seconds to get the compiled statement for a known shape."""
    for text in texts[:2]:
        connection.prepare(text)
    seconds = []
    for text in texts:
        began = time.perf_counter()
        connection.prepare(text)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def run(scale: str = "0.01", runs: int = RUNS) -> None:
    connection = load_zerodb(":memory:", scale, 1)
    connection.execute("create table t (id integer primary key, name text, amount numeric(10,2))")
    connection.execute("insert into t values (7, 'seven', 7.00), (8, 'eight', 8.00)")
    texts = {f"Q{number}": data.query(number) for number in SPINE}
    texts["point query"] = POINT.format(7)
    rows = []
    for name, text in texts.items():
        _cold(connection, text, 1)  # kernels are parsed once a process
        stages, total = _cold(connection, text, runs)
        cells = [
            f"{stages.get(stage, 0.0) * 1000:.2f}"
            for stage in ("parse", "bind", "optimize", "physical", "generate", "compile")
        ]
        rows.append((name, *cells, f"{total * 1000:.2f}"))
    columns = ("statement", "parse", "bind", "optimize", "physical", "generate", "compile", "whole, ms")
    show(f"From SQL text to running code (Winch), median of {runs}", columns, rows)
    known_point = _known(connection, [POINT.format(i) for i in range(100)])
    q1 = data.query(1)
    assert "'90'" in q1
    known_q1 = _known(connection, [q1.replace("'90'", f"'{days}'") for days in range(60, 121)])
    show(
        "A known shape with other literals, before execution",
        ("statement", "ms"),
        [("point query", f"{known_point * 1000:.3f}"), ("Q1", f"{known_q1 * 1000:.3f}")],
    )
