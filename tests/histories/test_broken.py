"""The checkers find the faults that are planted in the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.histories import broken
from tests.histories.anomalies import forbidden
from tests.histories.test_workloads import LEVELS
from tests.histories.workload import WORKLOADS, Plan, record

import zerodb

# What runs, at which level, and the anomalies of which one must be found.
FAULTS: list[tuple[broken.Plant, str, str, set[str]]] = [
    (broken.read_committed_snapshots, "lists", "snapshot", {"G-single", "internal", "lost update"}),
    (broken.read_committed_snapshots, "registers", "snapshot", {"G-single", "internal", "lost update"}),
    (broken.read_committed_snapshots, "rows", "snapshot", {"G-single", "internal"}),
    (broken.no_conflicts, "registers", "snapshot", {"lost update"}),
    (broken.no_validation, "lists", "serializable", {"G2-item"}),
    (broken.no_validation, "registers", "serializable", {"G2-item"}),
    (broken.no_validation, "rows", "serializable", {"G2"}),
    (broken.no_phantoms, "rows", "serializable", {"G2"}),
    (broken.half_a_transaction, "lists", "read committed", {"lost append"}),
    (broken.half_a_transaction, "rows", "read committed", {"lost insert"}),
    (broken.one_by_one, "lists", "snapshot", {"G1b", "G-single", "G1a"}),
    (broken.one_by_one, "rows", "snapshot", {"G1b", "G-single", "G1a"}),
    (broken.dirty_reads, "lists", "read committed", {"G1a", "G1b", "G1c"}),
    (broken.dirty_reads, "rows", "read committed", {"G1a", "G1b", "G1c"}),
    (broken.rollback_commits, "lists", "read committed", {"G1a"}),
    (broken.rollback_commits, "registers", "read committed", {"G1a"}),
    (broken.savepoints_keep, "lists", "snapshot", {"G1a"}),
    (broken.stale_snapshots, "lists", "read committed", {"stale read"}),
    (broken.stale_snapshots, "rows", "snapshot", {"stale read", "G-single-realtime"}),
]


@pytest.mark.parametrize(
    ("plant", "kind", "level", "expected"), FAULTS, ids=[f"{fault[0].__name__}-{fault[1]}" for fault in FAULTS]
)
def test_a_planted_fault_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: broken.Plant,
    kind: str,
    level: str,
    expected: set[str],
) -> None:
    database = str(tmp_path / "database")
    with zerodb.connect(database, synchronous="off", threads=1):
        for seed in range(10):
            workload = WORKLOADS[kind](Plan(level, seed, transactions=120))
            with monkeypatch.context() as patch:
                plant(patch)
                recorded = record(lambda: zerodb.connect(database), workload)
            found = forbidden(LEVELS[level], workload.check(recorded.transactions))  # type: ignore[arg-type]
            if expected & {anomaly.name for anomaly in found}:
                return
            with zerodb.connect(database) as db:
                db.execute(f"drop table {workload.table}")
    pytest.fail(f"nothing found in ten histories, but {[str(anomaly) for anomaly in found]}")
