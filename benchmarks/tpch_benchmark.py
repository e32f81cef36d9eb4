"""TPC-H queries, hot and prepared, beside DuckDB: answers compared, times as ratios."""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

import zerodb
from benchmarks import data
from benchmarks.measure import RUNS, alternate, show

SPINE = (1, 3, 5, 6, 10, 12, 14, 19)
Row = Sequence[Any]


def load_zerodb(path: str, scale: str, threads: int) -> zerodb.Connection:
    connection = zerodb.connect(path, threads=threads)
    connection.executescript((Path(__file__).parent / "tpch" / "schema.sql").read_text())
    for table in data.TABLES:
        connection.import_file(table, str(data.tpch(scale) / f"{table}.parquet"))
    return connection


def load_duckdb(scale: str, threads: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": threads})
    connection.execute((Path(__file__).parent / "tpch" / "schema.sql").read_text())
    for table in data.TABLES:
        connection.execute(f"insert into {table} from '{data.tpch(scale) / table}.parquet'")
    return connection


def equal(ours: Sequence[Row], theirs: Sequence[Row]) -> bool:
    """Equal in all rows; numbers to nine digits, since DuckDB's averages are floating point."""

    def same(a: object, b: object) -> bool:
        if isinstance(a, int | float | Decimal) and isinstance(b, int | float | Decimal):
            return math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1e-9)
        return a == b

    return len(ours) == len(theirs) and all(
        len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(ours, theirs, strict=True)
    )


def run(scale: str, threads: int, numbers: Sequence[int], runs: int = RUNS) -> bool:
    """Prints the table; True if every answer was equal."""
    folder = tempfile.mkdtemp(prefix="zerodb-bench-")
    try:
        ours = load_zerodb(str(Path(folder) / "tpch.zdb"), scale, threads)
        theirs = load_duckdb(scale, threads)
        rows, ratios, right = [], [], True
        for number in numbers:
            text = data.query(number)
            statement = ours.prepare(text)
            theirs.execute(f"prepare q{number} as {text}")
            answers_equal = equal(statement.execute().fetchall(), theirs.execute(f"execute q{number}").fetchall())
            right &= answers_equal
            statement.wait_optimized()
            timings = alternate(
                (
                    lambda statement=statement: statement.execute().fetchall(),
                    lambda number=number: theirs.execute(f"execute q{number}").fetchall(),
                ),
                runs,
            )
            ratio = timings[0].median / timings[1].median
            ratios.append(ratio)
            times = [f"{timing.median * 1000:.2f}" for timing in timings]
            rows.append((f"Q{number}", *times, f"{ratio:.2f}", "equal" if answers_equal else "DIFFERENT"))
        rows.append(("geometric mean", "", "", f"{statistics.geometric_mean(ratios):.2f}", ""))
        title = f"TPC-H scale {scale}, {threads} thread(s), hot, prepared, median of {runs}"
        show(title, ("query", "zerodb ms", "DuckDB ms", "ratio", "answers"), rows)
        ours.close()
        return right
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def scaling(scale: str, numbers: Sequence[int], runs: int = RUNS) -> None:
    """Our own time at one and at two threads."""
    folder = tempfile.mkdtemp(prefix="zerodb-bench-")
    path = str(Path(folder) / "tpch.zdb")
    try:
        load_zerodb(path, scale, 2).close()
        times: dict[int, list[float]] = {}
        for threads in (1, 2):
            connection = zerodb.connect(path, threads=threads)
            for number in numbers:
                statement = connection.prepare(data.query(number))
                statement.execute().fetchall()
                statement.wait_optimized()
                timing = alternate((lambda statement=statement: statement.execute().fetchall(),), runs)[0]
                times.setdefault(number, []).append(timing.median)
            connection.close()
        rows = [(f"Q{n}", f"{a * 1000:.2f}", f"{b * 1000:.2f}", f"{a / b:.2f}") for n, (a, b) in times.items()]
        show(f"TPC-H scale {scale}: two threads against one", ("query", "1 thread ms", "2 threads ms", "times"), rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        Console().print()
