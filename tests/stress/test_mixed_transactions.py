"""Many threads of mixed transactions, definitions, imports and folds, with readers that check invariants in every
snapshot; at the end every table is what the transactions that committed make of it (tests/crash says how that is known,
and kills the same work)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))
from crash_rounds import Rounds


def mixed(folder: Path, seed: int, slots: int, seconds: float) -> None:
    rounds = Rounds(folder, seed, "normal", slots)
    rounds.peaceful(seconds, fold_rows=500, fold_records=50)
    rounds.compare()
    assert rounds.committed > slots
    given_up = rounds.failures["40001"] + rounds.failures["40P01"]  # after many retries
    assert given_up <= rounds.committed // 10, rounds.failures


def test_mixed_transactions(tmp_path: Path) -> None:
    mixed(tmp_path, 31, 6, 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [32, 33])
def test_mixed_transactions_for_longer(seed: int, tmp_path: Path) -> None:
    mixed(tmp_path, seed, 12, 60.0)
