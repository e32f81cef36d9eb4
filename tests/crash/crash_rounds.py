"""Rounds: start the process, kill it, reopen, compare with the model; and again, on the same database.

What holds after a kill, with `done` the transactions that are there:

    acknowledged  in done       (synchronous = off: those before some moment, in real time, and no others)
    failed        not in done
    unknown       either way
    and every table is what the model makes of exactly the transactions in done
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crash_points
import crash_workload as workload
from crash_backups import FOLDER, Backups
from crash_followers import Follower

import zerodb

PROCESS = Path(__file__).with_name("crash_process.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
SLOTS = 4
MOST_SECONDS = 45.0  # until a chosen step must have come, on a slow machine


@dataclass(slots=True)
class Journal:
    """What one run of the process told."""

    begun: dict[workload.Place, int] = field(default_factory=dict)  # line number
    acknowledged: dict[workload.Place, int] = field(default_factory=dict)
    failed: dict[workload.Place, str] = field(default_factory=dict)
    backups: list[tuple[int, set[workload.Place]]] = field(
        default_factory=list
    )  # what was acknowledged when each began

    @classmethod
    def read(cls, path: Path, run: int) -> Journal:
        journal = cls()
        before: set[workload.Place] = set()
        for line, text in enumerate(path.read_text().splitlines() if path.exists() else ()):
            kind, _, rest = text.partition(" ")
            if kind == "bad":
                raise AssertionError(f"run {run}: {json.loads(rest)}")
            if kind == "b":
                if rest == "begin":
                    before = set(journal.acknowledged)
                else:
                    journal.backups.append((int(rest), before))
                continue
            slot, number, *state = rest.split()
            place = (run, int(slot), int(number))
            match kind:
                case "i":
                    journal.begun[place] = line
                case "a":
                    journal.acknowledged[place] = line
                case "f":
                    journal.failed[place] = state[0]
        return journal


class Rounds:
    def __init__(self, folder: Path, seed: int, synchronous: str = "full", slots: int = SLOTS) -> None:
        self.folder, self.seed, self.synchronous, self.slots = folder, seed, synchronous, slots
        self.path = str(folder / "test.zdb")
        self.model = workload.Model(slots)
        self.backups = Backups(folder, seed, slots)
        self.follower = Follower(folder, self.path, seed)
        self.imports: Counter[tuple[int, int]] = Counter()  # batches by slot
        self.run = 0
        self.open: list[Journal] = []  # of runs that were not compared yet
        self.failures: Counter[str] = Counter()
        self.committed = self.killed_by_step = 0

    def rounds(self, count: int) -> None:
        generator = random.Random(self.seed)
        try:
            for number in range(count):
                if number % 3 != 1:
                    self.follower.start()
                else:
                    self.follower.stop(kill=number % 2 == 1)
                self.one(generator)
                if number == count - 1 or generator.random() < 0.8:  # else crash again before anybody looks
                    self.compare(generator)
                self.follower.check()
        finally:
            self.follower.stop()

    def one(self, r: random.Random) -> None:
        """Starts the process and kills it: at a step of its own, after some commits, or while it opens."""
        fold_rows, fold_records = r.choice((400, 3000, 131_072)), r.choice((30, 16_384))
        delay_s = r.uniform(0.0, 0.1)
        match r.choices(("step", "commits", "opening"), (50, 38, 12))[0]:
            case "step":
                step, calls = r.choice(crash_points.POINTS)
                self.kill(f"{step}:{r.randint(1, calls)}", 0, delay_s, fold_rows, fold_records)
            case "commits":
                self.kill("", r.randint(1, 60), delay_s, fold_rows, fold_records)
            case _:
                self.kill("", 0, delay_s * 5, fold_rows, fold_records)

    def peaceful(self, seconds: float, fold_rows: int, fold_records: int) -> None:
        """A process that ends by itself: nothing is left unknown."""
        self.run += 1
        command = self._command("", seconds, fold_rows, fold_records)
        subprocess.run(command, env=ENVIRONMENT, check=True, timeout=seconds + 120)
        journal = Journal.read(self.folder / f"journal_{self.run}", self.run)
        assert journal.begun.keys() == journal.acknowledged.keys() | journal.failed.keys()
        self.open.append(journal)

    def _command(self, point: str, seconds: float, fold_rows: int, fold_records: int) -> list[str]:
        config = {
            "path": self.path,
            "journal": str(self.folder / f"journal_{self.run}"),
            "seed": self.seed,
            "run": self.run,
            "slots": self.slots,
            "synchronous": self.synchronous,
            "fold_rows": fold_rows,
            "fold_records": fold_records,
            "point": point,
            "backups": str(self.folder / FOLDER),
            "seconds": seconds,
        }
        return [sys.executable, str(PROCESS), json.dumps(config)]

    def kill(self, point: str, commits: int, delay_s: float, fold_rows: int, fold_records: int) -> None:
        """At the step `point`, or so long after so many commits were acknowledged."""
        self.run += 1
        command = self._command(point, 1.5 if point else 60, fold_rows, fold_records)
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                first = process.stdout.readline()
                if point:
                    _wait_for_end(process)
                else:
                    self._wait_for(commits, process)
                    time.sleep(delay_s)
            finally:
                process.send_signal(signal.SIGKILL)
            code = process.wait()
            errors = process.stderr.read().decode()
            assert code != -signal.SIGABRT, f"run {self.run} hangs, with {point}:\n{errors}"
            journal = Journal.read(self.folder / f"journal_{self.run}", self.run)
            assert first.startswith(b"ready"), errors
            # 0: the chosen step did not come in time, and the process ended by itself.
            assert code == -signal.SIGKILL or (point and code == 0), f"run {self.run}: exit {code}\n{errors}"
            self.killed_by_step += bool(point) and code == -signal.SIGKILL
        self.open.append(journal)

    def _wait_for(self, commits: int, process: subprocess.Popen[bytes]) -> None:
        journal = self.folder / f"journal_{self.run}"
        end = time.monotonic() + MOST_SECONDS
        while commits and process.poll() is None and time.monotonic() < end:
            if journal.exists() and journal.read_bytes().count(b"\na ") >= commits:
                return
            time.sleep(0.01)

    # --- comparison ---------------------------------------------------------------------------------------------------

    def compare(self, r: random.Random | None = None) -> None:
        """With `r` now and then the backups, too."""
        with zerodb.connect(self.path, threads=1, synchronous=self.synchronous) as db:
            assert db.check() == []
            if "done" not in db.tables():
                assert not any(journal.begun for journal in self.open)
                self.open.clear()
                return
            first = self.run - len(self.open) + 1
            for run, journal in enumerate(self.open, first):
                self._follow(db, run, journal)
            self.open.clear()
            compare(db, self.model)
            assert db.check() == []
        if r is not None and r.random() < 0.4:
            self.backups.verify(self.model.done | self.model.marks, r, compare)

    def _follow(self, db: zerodb.Connection, run: int, journal: Journal) -> None:
        done = {tuple(row) for row in db.execute("select run, slot, n from done where run = ?", [run]).fetchall()}
        done |= {tuple(row) for row in db.execute("select run, slot, n from marks where run = ?", [run]).fetchall()}
        tasks = {place: workload.task(self.seed, *place) for place in journal.begun}
        imports = {place for place, task in tasks.items() if task.kind == "import"}
        counts = {place for place, task in tasks.items() if task.kind == "count"}
        self.failures.update(journal.failed.values())
        acknowledged = journal.acknowledged.keys() - imports - counts
        self._check_counters(db, run, counts, journal)
        assert done <= journal.begun.keys(), "never begun"
        assert not done & journal.failed.keys(), "failed, but there"
        if self.synchronous == "off":
            _check_is_prefix(done, {place: journal.acknowledged[place] for place in acknowledged}, journal.begun)
        else:
            assert acknowledged <= done, f"lost: {sorted(acknowledged - done)}"
        for number, before in journal.backups:
            self.backups.note(number, self.model.done | self.model.marks | before - imports - counts)
        for place in sorted(done):
            self.model.apply(tasks[place])
        self.committed += len(done)
        for slot in range(self.slots):
            self._check_imports(db, run, slot, {p: tasks[p] for p in imports if p[1] == slot}, journal)

    def _check_counters(self, db: zerodb.Connection, run: int, counts: set[workload.Place], journal: Journal) -> None:
        """A counter has the number of the last transaction of its slot that counted."""
        for found_run, slot, number in db.execute("select run, slot, n from counters").fetchall():
            place = (found_run, slot, number)
            mine = {p for p in counts if p[1] == slot}
            acknowledged = [p for p in mine & journal.acknowledged.keys() if p > place]
            assert self.synchronous == "off" or not acknowledged, f"lost: {acknowledged}"
            if found_run == run:
                assert place in mine
                assert place not in journal.failed
                self.model.counters[slot] = (run, number)

    def _check_imports(
        self, db: zerodb.Connection, run: int, slot: int, tasks: dict[Any, workload.Task], journal: Journal
    ) -> None:
        """Batches commit one by one, each whole."""
        sql = f"select n, batch, count(*), min(i), max(i) from imports_{slot} where run = ? group by n, batch"
        found: dict[int, set[int]] = {}
        for number, batch, count, low, high in db.execute(sql, [run]).fetchall():
            rows = workload.IMPORT_ROWS
            assert (count, low, high) == (rows, batch * rows, (batch + 1) * rows - 1), "half a batch"
            found.setdefault(number, set()).add(batch)
        for place, task in tasks.items():
            batches = found.pop(place[2], set())
            assert batches == set(range(len(batches))), batches
            if place in journal.acknowledged and self.synchronous != "off":
                assert len(batches) == task.operations[0][1], f"lost batches of import {place}"
            self.imports[slot, 0] += len(batches)
        assert not found
        total = db.execute(f"select count(*) from imports_{slot}").fetchone()
        assert total == (self.imports[slot, 0] * workload.IMPORT_ROWS,) or run != self.run


def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
    """One that hangs says where."""
    try:
        process.wait(MOST_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        process.wait(MOST_SECONDS)


def _check_is_prefix(done: set[Any], acknowledged: dict[Any, int], begun: dict[Any, int]) -> None:
    """What is lost was committed after what is there: nothing that is there began after a lost one had ended."""
    lost = [line for place, line in acknowledged.items() if place not in done]
    if lost:
        late = [place for place in done if begun[place] > min(lost)]
        assert not late, f"lost one that ended before {late} began"


def compare(db: zerodb.Connection, model: workload.Model) -> None:
    """Every table against the model."""

    def rows(sql: str) -> list[Any]:
        return db.execute(sql).fetchall()

    assert Counter(rows("select run, slot, n from done")) == Counter(model.done)
    assert Counter(rows("select run, slot, n from marks")) == Counter(model.marks)
    assert rows("select count(*) from marks where s is distinct from 'mark ' || n") == [(0,)]
    assert {slot: (run, n) for slot, run, n in rows("select slot, run, n from counters")} == model.counters
    assert Counter(rows("select id, v, s from spots")) == Counter((id_, *row) for id_, row in model.spots.items())
    assert dict(rows("select id, balance from accounts")) == model.balances
    for k, items in rows("select k, items from lists"):
        elements = items.split()
        by_slot: dict[int, list[str]] = {slot: [] for slot in range(model.slots)}
        for element in elements:
            by_slot[int(element.split(".")[1])].append(element)
        assert by_slot == {slot: model.elements.get((k, slot), []) for slot in range(model.slots)}
    claims = [(name, slot) for slot, names in model.claims.items() for name in names]
    assert Counter(rows("select name, slot from claims")) == Counter(claims)
    tickets = Counter(
        {tuple(place): n for *place, n in rows("select run, slot, n, count(*) from tickets group by 1, 2, 3")}
    )
    assert tickets == model.tickets
    assert rows("select count(*) - count(distinct id) from tickets") == [(0,)]
    items = {(slot, k): row for slot, found in model.items.items() for k, row in found.items()}
    found = rows("select slot, k, v, s from items")
    assert len(found) == len(items)
    assert {(slot, k): (v, s) for slot, k, v, s in found} == items
    assert {row[0] for row in rows("select id from parents")} == model.children.keys()
    children = sorted((child, parent) for parent, ids in model.children.items() for child in ids)
    assert sorted(rows("select id, parent from children")) == children
    tables = set(db.tables())
    for slot in range(model.slots):
        _compare_own(db, f"own_{slot}", model.own[slot], tables)
        number = model.views[slot]
        if number is not None:
            assert rows(f"select n from view_{slot}") == [(number,)]


def _compare_own(db: zerodb.Connection, table: str, own: workload.Own | None, tables: set[str]) -> None:
    assert (table in tables) == (own is not None)
    if own is not None:
        cursor = db.execute(f"select * from {table}")
        assert [column[0] for column in cursor.description] == ["a", "b", *own.extra]
        found = cursor.fetchall()
        assert len(found) == len(own.rows)
        assert {row[0]: row for row in found} == own.rows
