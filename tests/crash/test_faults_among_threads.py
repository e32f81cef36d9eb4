"""Writes and syncs that fail while several threads commit: each transaction of a failed group reports the error, none
of them is visible, no thread hangs, no lock stays; opened again, every acknowledged one is there, and none half."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import crash_process
import crash_workload as workload
import pytest
from crash_rounds import compare

import zerodb
from zerodb_storage import database, publishing
from zerodb_storage.kv.rocks import RocksStore

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from faulty_stores import METHODS, Fault, FaultyStore

SLOTS, TASKS, SEED = 4, 12, 5
INJECTED = ("58030", "53100")


class Run:
    """Threads of transactions on one database whose store fails."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.acknowledged: set[workload.Place] = set()
        self.injected: set[workload.Place] = set()
        self.mistakes: list[BaseException] = []

    def connect(self) -> zerodb.Connection:
        return zerodb.connect(self.path, threads=1, memory_limit="256MB")

    def threads(self) -> None:
        threads = [threading.Thread(target=self.work, args=(slot,), daemon=True) for slot in range(SLOTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a thread hangs"
        if self.mistakes:
            raise self.mistakes[0]

    def work(self, slot: int) -> None:
        try:
            with self.connect() as db:
                for number in range(1, TASKS):
                    self.perform(db, workload.task(SEED, 1, slot, number))
        except BaseException as mistake:
            self.mistakes.append(mistake)

    def perform(self, db: zerodb.Connection, task: workload.Task) -> None:
        if task.kind != "transaction":
            return
        for _ in range(100):
            try:
                crash_process.transaction(db, task)
                self.acknowledged.add(task.place)
                return
            except zerodb.Error as error:
                if error.sqlstate in INJECTED:
                    self.injected.add(task.place)
                    return
                if error.sqlstate == "23505":
                    return
                if not error.retryable:
                    raise

    def model(self, done: set[Any]) -> workload.Model:
        model = workload.Model(SLOTS)
        model.counters = {}
        for place in sorted(done):
            model.apply(workload.task(SEED, *place))
        return model


FAULTS = (
    Fault("write", 15),
    Fault("write", 25, "after"),
    Fault("write", 20, lasting=True, sqlstate="53100"),
    Fault("write_unlogged", 2),
    Fault("write_unlogged", 3, "half", sqlstate="53100"),
    Fault("write_unlogged", 1, lasting=True, sqlstate="53100"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.method}-{fault.number}")
def test_faults_among_threads(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[FaultyStore] = []

    class FaultyRocks(RocksStore):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            sound = {name: getattr(self, name) for name in METHODS if hasattr(self, name)}
            stores.append(FaultyStore(SimpleNamespace(**sound)))
            for name in sound:
                setattr(self, name, getattr(stores[-1], name))

    monkeypatch.setattr(publishing, "FOLD_ROWS", 150)
    monkeypatch.setattr(database, "UNLOGGED_BYTES_MIN", 0)
    monkeypatch.setattr(database, "RocksStore", FaultyRocks)
    run = Run(str(tmp_path / "t.zdb"))
    with run.connect() as db:
        with db.transaction():
            for statement in workload.SCHEMA:
                db.execute(statement)
        (store,) = stores
        store.arm(fault)
        run.threads()
        assert store.failed
        assert run.injected
        compare(db, run.model(run.acknowledged))
        if fault.method == "write_unlogged" and not fault.lasting:
            # It goes on, and nobody holds a lock.
            for change in ("accounts set balance = balance", "lists set items = items", "items set v = v"):
                db.execute(f"update {change}")
        else:
            with pytest.raises(zerodb.OperationalError) as refused:
                db.execute("insert into done values (9, 9, 9)")
            assert refused.value.sqlstate in INJECTED
            compare(db, run.model(run.acknowledged))
        store.fault = None
    with run.connect() as db:
        done = {tuple(row) for row in db.execute("select run, slot, n from done").fetchall()}
        assert run.acknowledged <= done <= run.acknowledged | run.injected
        compare(db, run.model(done))
        db.execute("insert into done values (9, 9, 9)")
        assert db.check() == []
