"""A process that only reads and follows the ones that write, over their deaths: every snapshot it takes keeps the
invariants, and none is older than the one before.

It is started between two rounds, lives on while writers are killed and others take over, is killed itself from time to
time (its lease stays behind), and tells of a mistake in a file.

    python crash_followers.py PATH FILE SEED     until its standard input ends
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import crash_workload as workload

import zerodb

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class Follower:
    """The process, seen from the rounds."""

    def __init__(self, folder: Path, path: str, seed: int) -> None:
        self._file, self._path, self._seed = folder / "follower", path, seed
        self._process: subprocess.Popen[bytes] | None = None
        self.snapshots = 0
        self.killed = 0

    def start(self) -> None:
        """Unless it runs already, or there is no database yet."""
        if self._process is None and Path(self._path, "CURRENT").exists():
            self._file.unlink(missing_ok=True)
            self._seed += 1
            command = [sys.executable, __file__, self._path, str(self._file), str(self._seed)]
            self._process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def check(self) -> None:
        """What it has told so far."""
        told = self._file.read_text().split("\n", 1) if self._file.exists() else ["0"]
        assert len(told) == 1, told[1]

    def stop(self, *, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.send_signal(signal.SIGKILL)
            self.killed += 1
        _, errors = process.communicate(timeout=120)
        self.check()
        assert kill or process.returncode == 0, errors.decode()
        self.snapshots += int(self._file.read_text() or 0) if self._file.exists() else 0


def follow(path: str, file: Path, r: random.Random, ended: threading.Event) -> None:
    """Looks again and again; the file has the number of snapshots, and a line that says what was wrong with one."""
    snapshots = 0
    done: set[workload.Place] = set()
    with zerodb.connect(path, read_only=True, threads=1, memory_limit="256MB") as db:
        while not ended.is_set():
            try:
                done = look(db, r, done)
            except BaseException:
                file.write_text(f"{snapshots}\n{traceback.format_exc()}")
                raise
            snapshots += 1
            file.write_text(str(snapshots))
            time.sleep(r.random() * 0.1)


def look(db: zerodb.Connection, r: random.Random, before: set[workload.Place]) -> set[workload.Place]:
    """The transactions that one snapshot has, the invariants checked; `before` are those of an earlier one."""
    with db.transaction(read_only=True):
        if "done" not in db.tables():
            assert not before
            return before
        found = db.execute("select sum(balance), count(*) from accounts").fetchone()
        assert found == (workload.ACCOUNTS * workload.BALANCE, workload.ACCOUNTS), found
        orphans = "select count(*) from children where parent not in (select id from parents)"
        assert db.execute(orphans).fetchone() == (0,)
        done = {tuple(row) for row in db.execute("select run, slot, n from done").fetchall()}
        assert before <= done, f"seen before and gone: {sorted(before - done)}"
        places = {workload.element(place) for place in done}
        k = r.randint(1, workload.LISTS)
        appended = db.execute("select items from lists where k = ?", [k]).fetchone()
        assert appended is not None
        elements = appended[0].split()
        assert places.issuperset(elements), set(elements) - places
        assert db.execute("select count(*) from marks where s is distinct from 'mark ' || n").fetchone() == (0,)
        again = {tuple(row) for row in db.execute("select run, slot, n from done").fetchall()}
        assert again == done
        return done


def main() -> None:
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    path, file, seed = sys.argv[1:]
    follow(path, Path(file), random.Random(int(seed)), ended)


if __name__ == "__main__":
    main()
