"""SIGKILL at random moments: after every restart exactly the committed operations are there.

Each round starts a child that goes on where the database stands, kills it 10 to 300 ms later (also while it opens,
folds or imports), reopens and compares. One operation more than was reported is allowed: killed before its report.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from zerodb_storage import Database

CHILD = Path(__file__).with_name("crash_child.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _child_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash_child", CHILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


child = _child_module()


def run_and_kill(path: str, first: int, delay_s: float, after_one: bool) -> int:
    """Start the child at operation `first`, kill it, return how many operations are known to be committed."""
    command = [sys.executable, str(CHILD), path, str(first)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        # Every other time the clock starts at the first commit, so that a slow machine gets on too.
        head = process.stdout.readline() if after_one else b""
        time.sleep(delay_s)
        assert process.poll() is None, process.stderr.read().decode()
        process.send_signal(signal.SIGKILL)
        reported = [int(line) for line in (head + process.stdout.read()).split(b"\n")[:-1]]
    assert reported == list(range(first, first + len(reported)))
    return first + len(reported)


def rows_by_operation(db: Database) -> dict[int, int]:
    """Visible rows per operation; every row's text must be the one its operation wrote."""
    if "t" not in db.snapshot().tables:
        return {}
    version = db.snapshot().tables["t"]
    found: dict[int, int] = {}
    texts: dict[int, set[bytes]] = {}
    for chunk in range(version.chunk_count):
        keys, strings = version.load(chunk, 0), version.as_text(version.read(chunk, 1), 1)
        visible = version.visibility(chunk)
        assert strings.text is not None
        joined = strings.text.tobytes()
        for row in range(len(keys.data)) if visible is None else np.flatnonzero(visible[1]).tolist():
            k = int(keys.data[row])
            found[k] = found.get(k, 0) + 1
            texts.setdefault(k, set()).add(joined[int(strings.data[row]) : int(strings.data[row + 1])])
    for k, seen in texts.items():
        assert seen == {f"{k}:{n}".encode() for n in range(child.row_count(k))}
    return found


def kill_rounds(path: str, rounds: int, seed: int) -> None:
    generator = random.Random(seed)
    done = 0
    for number in range(rounds):
        committed = run_and_kill(path, done, generator.uniform(0.01, 0.3), number % 2 == 1)
        with Database.open(path) as db:
            found = rows_by_operation(db)
            possible = [n for n in (committed, committed + 1) if child.expected(n) == found]
            assert possible, f"round {number}: {committed} operations were reported, found {found}"
            assert db.check() == []
        done = possible[-1]
    # Not vacuous: how many operations there is time for depends on the machine and what else it does.
    assert done > rounds // 4


def test_killed_eight_times(path: str) -> None:
    kill_rounds(path, 8, seed=1)


@pytest.mark.crash
def test_killed_sixty_times(path: str) -> None:
    kill_rounds(path, 60, seed=2)
