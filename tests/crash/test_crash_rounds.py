"""SIGKILL at random moments and at chosen steps of mixed concurrent transactions (crash_rounds says what must hold)."""

from __future__ import annotations

from pathlib import Path

import crash_points
import pytest
from crash_rounds import Rounds, compare

import zerodb


def check(folder: Path, seed: int, count: int, synchronous: str) -> None:
    rounds = Rounds(folder, seed, synchronous)
    rounds.rounds(count)
    # Not vacuous: how much there is time for depends on the machine.
    assert rounds.committed > count
    if count > 10:
        assert rounds.killed_by_step
        assert rounds.follower.snapshots
        assert rounds.follower.killed


@pytest.mark.parametrize("synchronous", ["full", "normal", "off"])
def test_killed_a_few_times(synchronous: str, tmp_path: Path) -> None:
    check(tmp_path, 1, {"full": 3, "normal": 1, "off": 1}[synchronous], synchronous)


def test_every_step_exists() -> None:
    assert crash_points.missing() == []


TAMPERED = (
    "update accounts set balance = balance + 1 where id = 1",
    "update lists set items = items || '1.0.1 ' where k = 1",
    "insert into tickets (slot, run, n) values (0, 1, 0)",
    "insert into items values (0, -1, 0, '')",
    "insert into claims values ('nobody''s', 1, 0)",
    "insert into parents values (-1, 0)",
    "delete from done",
    "insert into marks values (0, 0, 0, 'mark 0')",
    "update counters set n = n + 1 where slot = 0",
    "insert into spots values (-1, 0, null)",
)


def test_the_comparison_sees_what_is_wrong(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, 3)
    while not rounds.committed:
        rounds.kill("", 10, 0.0, 3000, 1000)
        rounds.compare()
    with zerodb.connect(rounds.path) as db:
        for change in TAMPERED:
            with pytest.raises(AssertionError), db.transaction():
                db.execute(change)
                compare(db, rounds.model)
            compare(db, rounds.model)


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(10, 20))
@pytest.mark.parametrize("synchronous", ["full", "normal", "off"])
def test_killed_three_hundred_times(seed: int, synchronous: str, tmp_path: Path) -> None:
    check(tmp_path, seed, {"full": 20, "normal": 6, "off": 6}[synchronous], synchronous)
