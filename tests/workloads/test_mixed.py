"""The benchmark of a reader beside writers, shortened. The reader checks that it sees whole transactions only."""

from __future__ import annotations

from benchmarks.mixed_benchmark import measured


def test_readers_and_writers() -> None:
    found = measured(rows=2000, seconds=0.3, rounds=1)
    assert found["together"][0] > 0
    assert found["together"][1] > 0
