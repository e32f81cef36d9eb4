"""SIGKILL at random moments while UPDATE, DELETE, INSERT and transactions of them run through SQL, and folds with them.

After every kill the table must be exactly as after the reported operations, or one more: killed before its report.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sql_crash_child as child

import zerodb

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def run_and_kill(path: str, first: int, delay_s: float, opening: bool) -> int:
    """Starts the child at operation `first`, kills it so long after its start (`opening`) or its first commit, returns
    how many operations are known to be committed."""
    command = [sys.executable, child.__file__, path, str(first)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        done = b"" if opening else process.stdout.readline()
        time.sleep(delay_s)
        assert process.poll() is None, process.stderr.read().decode()
        process.send_signal(signal.SIGKILL)
        reported = [int(line) for line in (done + process.stdout.read()).split(b"\n")[:-1]]
    assert reported == list(range(first, first + len(reported)))
    return first + len(reported)


def table(db: zerodb.Connection) -> child.Rows:
    if "t" not in db.tables():
        return {}
    rows = db.execute("select id, v, s from t").fetchall()
    found = {id_: (v, s) for id_, v, s in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def kill_rounds(path: str, rounds: int, seed: int) -> None:
    generator = random.Random(seed)
    done = 0
    for number in range(rounds):
        committed = run_and_kill(path, done, generator.uniform(0.0, 0.3), opening=number % 5 == 4)
        with zerodb.connect(path) as db:
            found = table(db)
            possible = [n for n in (committed, committed + 1) if child.expected(n) == found]
            assert possible, f"round {number}: {committed} operations were reported, {len(found)} rows found"
            assert db.check() == []
        done = possible[0]  # if both: the next operation changes nothing, and may be done again
    assert done > rounds
    check = subprocess.run(
        [sys.executable, "-m", "zerodb", "check", path], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_killed_five_times(tmp_path: Path) -> None:
    kill_rounds(str(tmp_path / "t.zdb"), 5, seed=1)


@pytest.mark.crash
def test_killed_sixty_times(tmp_path: Path) -> None:
    kill_rounds(str(tmp_path / "t.zdb"), 60, seed=2)
