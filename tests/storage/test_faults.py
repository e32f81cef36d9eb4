"""Writes, syncs and reads that fail: the transaction reports it, nothing of it is visible, and either the database goes
on or it refuses clearly; opened again, it has every commit that returned."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zerodb_compiler.errors import DatabaseError
from zerodb_storage import Database, TableVersion, database, early_values, publishing
from zerodb_storage.kv import Batch
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.merger import Merger

sys.path.insert(0, str(Path(__file__).parent))
from faulty_stores import STEPS, Fault, FaultyStore

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]
Content = dict[str, Any]
NEVER = Fault("get", 1 << 60)
INJECTED = ("58030", "53100")


class _Kept(MemoryStore):
    """Stays when it is closed, as a disk does."""

    def close(self) -> None:
        pass


def content(db: Database, rows_of: Rows) -> Content:
    snapshot = db.snapshot()
    found: Content = {key: sorted(rows_of(version), key=repr) for key, version in snapshot.tables.items()}
    return found | {"objects": dict(snapshot.catalog)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 60)
    monkeypatch.setattr(database, "UNLOGGED_BYTES_MIN", 0)
    monkeypatch.setattr(early_values, "UNLOGGED_BYTES_MIN", 0)
    monkeypatch.setattr(Merger, "in_background", False)  # every run makes the same calls


def calls_of(method: str, rows_of: Rows) -> int:
    """How many calls the work makes without any failure."""
    store = FaultyStore(_Kept())
    db = Database(store, read_only=False, synchronous="full")
    store.arm(NEVER)
    for step in STEPS:
        step(db)
    return store.calls[method]


def run(fault: Fault, rows_of: Rows) -> tuple[bool, bool]:
    """All steps, each tried twice; whether the fault came, and whether the database went on."""
    disk = _Kept()
    store = FaultyStore(disk)
    db = Database(store, read_only=False, synchronous="full")

    def seen() -> Content:
        store.fault = None
        try:
            return content(db, rows_of)
        finally:
            store.fault = fault

    expected, possible = seen(), []
    store.arm(fault)
    went_on = True
    for step in STEPS:
        error = _attempt(db, step)
        if error is not None:
            assert error.sqlstate in INJECTED, error
            assert seen() == expected, "part of what failed is visible"
            error = _attempt(db, step)
        if error is not None:
            assert error.sqlstate in INJECTED, error
            went_on = False
            break
        expected = seen()
    if not went_on:
        # Whatever comes now is refused, and what was read before is still there.
        for later in STEPS:
            refused = _attempt(db, later)
            assert refused is not None
        assert seen() == expected
        possible.append(_with_step(disk, expected, step, rows_of))
    store.fault = None
    db.close()
    with Database(disk, read_only=False, synchronous="full") as again:
        assert content(again, rows_of) in [expected, *possible]
        assert again.check() == []
    return bool(store.failed), went_on


def _attempt(db: Database, step: Callable[[Database], None]) -> DatabaseError | None:
    try:
        step(db)
    except DatabaseError as error:
        return error
    return None


def _with_step(disk: MemoryStore, expected: Content, step: Callable[[Database], None], rows_of: Rows) -> Content:
    """What the step that failed would have made: a failed write may have reached the disk all the same."""
    copy = _Kept()
    copy.write(Batch(puts=list(disk.scan(b"\0", b"\xff"))), sync=True)
    with Database(copy, read_only=False, synchronous="full") as db:
        if content(db, rows_of) == expected:
            step(db)
        return content(db, rows_of)


@pytest.mark.parametrize("method", ["write", "write_unlogged", "sync"])
@pytest.mark.parametrize("when", ["before", "after", "half"])
@pytest.mark.parametrize("lasting", [False, True])
def test_writes_that_fail(method: str, when: str, lasting: bool, rows_of: Rows) -> None:
    if when == "half" and method != "write_unlogged":
        return
    outcomes = set()
    for number in range(1, calls_of(method, rows_of) + 1):
        sqlstate = INJECTED[number % 2]
        came, went_on = run(Fault(method, number, when, sqlstate, lasting), rows_of)
        assert came
        outcomes.add(went_on)
    if outcomes:
        # A value that could not be written past the log is only one transaction's trouble.
        assert outcomes == {method == "write_unlogged" and not lasting}


@pytest.mark.parametrize("method", ["get", "multi_get", "scan"])
def test_reads_that_fail(method: str, rows_of: Rows) -> None:
    for number in range(1, calls_of(method, rows_of) + 1):
        _, went_on = run(Fault(method, number), rows_of)
        assert went_on


@pytest.mark.parametrize("method", ["get", "multi_get", "scan", "write", "sync"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_opening_that_fails(method: str, when: str, rows_of: Rows) -> None:
    disk = _Kept()
    with Database(disk, read_only=False, synchronous="full") as db:
        for step in STEPS:
            step(db)
        expected = content(db, rows_of)
    store = FaultyStore(disk)
    store.arm(NEVER)
    Database(store, read_only=False, synchronous="full").close()
    for number in range(1, store.calls[method] + 1):
        store.arm(Fault(method, number, when))
        with pytest.raises(DatabaseError, match="injected"):
            Database(store, read_only=False, synchronous="full").close()
        with Database(disk, read_only=False, synchronous="full") as db:
            assert content(db, rows_of) == expected
