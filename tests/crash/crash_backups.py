"""Backups that were made among the work, by processes that were killed: what is restored of them is what some number of
commits made, and those that were acknowledged before the backup began are among them.

A backup whose end was journalled must be there; one that was not may be.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import crash_workload as workload

import zerodb
from zerodb_storage.backups import files
from zerodb_storage.backups.verifying import check

FOLDER = "backups"


class Backups:
    """Of one series of rounds."""

    def __init__(self, folder: Path, seed: int, slots: int) -> None:
        self.folder, self.seed, self.slots = folder, seed, slots
        self.promised = 0  # number of the last backup that was journalled
        self.before: set[workload.Place] = set()  # what had been acknowledged when it began
        self.restored = 0

    def note(self, number: int, acknowledged: set[workload.Place]) -> None:
        if number > self.promised:
            self.promised, self.before = number, acknowledged

    def verify(self, done: set[workload.Place], r: random.Random, compare: Any) -> None:
        """Restores the newest backup and one of any commit before; `done` is what the database has."""
        repository = self.folder / FOLDER
        if not self.promised and not (repository.exists() and files.is_repository(str(repository))):
            return
        if not files.numbers(str(repository)):
            assert not self.promised
            return
        assert check(str(repository)) == []
        manifests = files.read_manifests(str(repository))
        assert manifests[-1].number >= self.promised
        latest = self._restored("latest", compare)
        assert self.before <= latest <= done, sorted(self.before - latest) or sorted(latest - done)
        full = max(number for number, manifest in enumerate(manifests) if manifest.base is not None)
        first, last = manifests[full].base, manifests[-1].end
        assert first is not None
        to = r.randint(first.sequence, last.sequence)
        while True:
            try:
                earlier = self._restored(to, compare)
                break
            except zerodb.DataError:  # one of a group that was committed together
                assert to < last.sequence
                to += 1
        assert earlier <= latest
        for place in earlier:
            # A slot's transactions commit one after the other.
            assert not any(p[:2] == place[:2] and p[2] < place[2] for p in latest - earlier), place

    def _restored(self, to: str | int, compare: Any) -> set[workload.Place]:
        place = self.folder / "restored.zdb"
        shutil.rmtree(place, ignore_errors=True)
        zerodb.restore(str(self.folder / FOLDER), str(place), to)
        with zerodb.connect(place, threads=1) as db:
            assert db.check() == []
            if "done" not in db.tables():
                return set()
            sql = "select run, slot, n from done union all select run, slot, n from marks"
            done = {tuple(row) for row in db.execute(sql).fetchall()}
            model = workload.Model(self.slots)
            for found in sorted(done):
                model.apply(workload.task(self.seed, *found))
            counters = db.execute("select slot, run, n from counters").fetchall()
            model.counters = {slot: (run, number) for slot, run, number in counters}
            compare(db, model)
        self.restored += 1
        return done
