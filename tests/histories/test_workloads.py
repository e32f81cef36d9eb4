"""Random concurrent transactions on real connections show no anomaly that their level forbids."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.histories.anomalies import forbidden
from tests.histories.workload import WORKLOADS, Plan, record

import zerodb
from zerodb_storage import publishing

# What is promised: serializable transactions take effect in an order that real time does not contradict.
LEVELS = {"read committed": "read committed", "snapshot": "snapshot", "serializable": "strict serializable"}


def run(path: Path, kind: str, plan: Plan) -> int:
    """Runs and checks a history; gives how often rows were renumbered meanwhile."""
    database = str(path / f"{kind}-{plan.seed}")
    kept = zerodb.connect(database, synchronous="off", threads=1)
    try:
        workload = WORKLOADS[kind](plan)
        recorded = record(lambda: zerodb.connect(database), workload)
        found = forbidden(LEVELS[plan.level], workload.check(recorded.transactions))  # type: ignore[arg-type]
        assert not found, "\n".join(map(str, found))
        return kept._database.storage.renumberings
    finally:
        kept.close()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_history(tmp_path: Path, kind: str, level: str) -> None:
    run(tmp_path, kind, Plan(level, seed=1, transactions=160))


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_history_while_deltas_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Rows get other ids under running transactions, and their locks go with them."""
    monkeypatch.setattr(publishing, "FOLD_ROWS", 30)
    assert run(tmp_path, kind, Plan("serializable", seed=2, transactions=160)) > 0
    assert run(tmp_path, kind, Plan("read committed", seed=3, transactions=160)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", WORKLOADS)
def test_many_histories(tmp_path: Path, kind: str, level: str, seed: int) -> None:
    threads = 2 + seed % 7
    run(tmp_path, kind, Plan(level, seed, threads, transactions=1500, keys=2 + seed % 5, operations=3 + seed % 4))
