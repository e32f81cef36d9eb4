"""Import of lineitem from Parquet into a database on disk, beside DuckDB's CREATE TABLE AS."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import duckdb

import zerodb
from benchmarks import data
from benchmarks.measure import Timing, show


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def run(scale: str, threads: int, runs: int = 5) -> None:
    source = str(data.tpch(scale) / "lineitem.parquet")
    times: tuple[list[float], list[float]] = ([], [])
    sizes = (0, 0)
    for _ in range(runs + 1):
        folder = Path(tempfile.mkdtemp(prefix="zerodb-bench-"))
        try:
            ours = folder / "ours.zdb"
            began = time.perf_counter()
            connection = zerodb.connect(str(ours), threads=threads)
            connection.import_file("lineitem", source)
            connection.close()
            times[0].append(time.perf_counter() - began)
            began = time.perf_counter()
            other = duckdb.connect(str(folder / "theirs.db"), config={"threads": threads})
            other.execute(f"create table lineitem as from '{source}'")
            other.close()
            times[1].append(time.perf_counter() - began)
            sizes = (_bytes(ours), _bytes(folder / "theirs.db"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    # The first round warms the page cache.
    ours_median, theirs_median = (Timing(tuple(items[1:])).median for items in times)
    rows = [
        ("seconds", f"{ours_median:.2f}", f"{theirs_median:.2f}", f"{ours_median / theirs_median:.2f}"),
        ("MB", f"{sizes[0] / 1e6:.0f}", f"{sizes[1] / 1e6:.0f}", f"{sizes[0] / sizes[1]:.2f}"),
    ]
    show(
        f"lineitem, scale {scale}, from Parquet into a file, {threads} thread(s), median of {runs}",
        ("", "zerodb", "DuckDB", "ratio"),
        rows,
    )
