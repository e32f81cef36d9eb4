"""From SQL text to running code: each stage of a cold compilation, and a known shape with other literals."""

from __future__ import annotations

import statistics
import time

import zerodb
from benchmarks import data
from benchmarks.measure import RUNS, show
from benchmarks.tpch_benchmark import SPINE, load_zerodb

POINT = "select * from t where id = {}"
JOINED_TABLES = 10


def _ten_tables(connection: zerodb.Connection) -> str:
    """Makes ten tables; a join of all of them in a chain, of a shape that is none of TPC-H's."""
    numbers = range(1, JOINED_TABLES + 1)
    for i in numbers:
        connection.execute(f"create table j{i} (a{i} integer primary key, b{i} integer, x{i} varchar(40))")
        connection.execute(f"insert into j{i} values (1, 2, 'one'), (2, 3, 'two'), (3, 1, 'three')")
    conditions = [f"b{i} = a{i + 1}" for i in numbers if i < JOINED_TABLES]
    names = ", ".join(f"x{i}" for i in numbers)
    tables = ", ".join(f"j{i}" for i in reversed(numbers))
    return f"select {names} from {tables} where a5 = 2 and {' and '.join(conditions)}"


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
    texts["one table"] = "select name, amount * 2 from t where amount > 3 and name <> 'x' order by id limit 5"
    texts["ten-table join"] = _ten_tables(connection)
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
