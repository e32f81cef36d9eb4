"""The benchmark of small operations, shortened: it runs, and the peers end with the same rows."""

from __future__ import annotations

from benchmarks.oltp_benchmark import Sizes, measured


def test_the_peers_hold_the_same_rows() -> None:
    sizes = Sizes(rows=2000, keys=50, slow_keys=5, commits=3, threads=2, seconds=0.1)
    cases, threads, same = measured(["sqlite", "duckdb"], sizes, runs=1)
    assert same
    assert len(cases) >= 8
    assert {line[0] for line in threads} == {"zerodb", "SQLite"}
