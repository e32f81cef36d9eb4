"""Power failures at every moment of a run of commits: what is found is what some number of whole commits left, and with
synchronous = full that includes each one that had returned."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zerodb_storage import Database, TableVersion, database, keys, publishing
from zerodb_storage.kv import Batch
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.merger import Merger

sys.path.insert(0, str(Path(__file__).parent))
from faulty_stores import COUNTER, STEPS, RecordingStore

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]
Content = dict[str, Any]


def content(db: Database, rows_of: Rows) -> Content:
    snapshot = db.snapshot()
    found: Content = {key: sorted(rows_of(version), key=repr) for key, version in snapshot.tables.items()}
    return found | {"objects": dict(snapshot.catalog)}


@pytest.mark.parametrize("synchronous", ["full", "normal"])
@pytest.mark.parametrize("unlogged", [False, True])
def test_the_power_fails(synchronous: str, unlogged: bool, rows_of: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 60)
    monkeypatch.setattr(Merger, "in_background", False)
    monkeypatch.setattr(database, "UNLOGGED_BYTES_MIN", 0 if unlogged else 1 << 30)
    store = RecordingStore()
    db = Database(store, read_only=False, synchronous=synchronous)
    contents = [content(db, rows_of)]
    acknowledged = [len(store.events)]  # how many writes had been begun when commit number i returned
    numbers = [0]
    for step in STEPS:
        step(db)
        contents.append(content(db, rows_of))
        acknowledged.append(len(store.events))
        last, called = db.sequences.current(COUNTER)
        numbers.append(last if called else 0)
    found_first = set()
    for begun, left, remains in store.after_power_loss(1):
        with Database(remains, read_only=False, synchronous="full") as found:
            state = content(found, rows_of)
            commits = contents.index(state)
            before = max([i for i, events in enumerate(acknowledged) if events <= begun], default=0)
            assert commits <= before + 1
            if synchronous == "full":
                # The write that was begun last may be the first of the next step.
                whole = max([i for i, events in enumerate(acknowledged) if events < begun], default=0)
                assert commits >= whole, (begun, left, commits, whole)
            assert found.check() == []
            assert int(found.sequences.take(COUNTER, 1)[0]) > numbers[commits], "a sequence value again"
            if "t" not in state:
                STEPS[0](found)  # it takes changes again
            found_first.add(commits)
    assert found_first == set(range(len(contents)))


def _copy(store: MemoryStore) -> RecordingStore:
    copy = RecordingStore()
    MemoryStore.write(copy, Batch(puts=list(store.scan(b"\0", b"\xff"))), sync=True)
    return copy


def test_power_fails_again_while_it_recovers(rows_of: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 60)
    monkeypatch.setattr(database, "UNLOGGED_BYTES_MIN", 0)
    store = RecordingStore()
    db = Database(store, read_only=False, synchronous="full")
    for step in STEPS:
        step(db)
    expected = content(db, rows_of)
    # What an unfinished import and a dropped table leave behind.
    garbage = [
        (keys.garbage(1, 700), b""),
        (keys.column(1, 700, 0), b"half"),
        (keys.garbage(77, keys.WHOLE_TABLE), b""),
    ]
    store.write(Batch(puts=garbage), sync=True)
    again = _copy(store)
    Database(again, read_only=False, synchronous="full")
    assert len(again.events) >= 2
    for begun in range(len(again.events) + 1):
        remains = _copy(store)
        for _, batch in again.events[:begun]:
            MemoryStore.write(remains, batch, sync=False)
        with Database(remains, read_only=False, synchronous="full") as db:
            assert content(db, rows_of) == expected
            assert remains.get(keys.column(1, 700, 0)) is None
