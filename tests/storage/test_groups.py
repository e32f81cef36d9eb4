"""Transactions that are published together: each is there whole or not at all, and its own error is its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import Column, Database, TableVersion, database, publishing
from zerodb_storage.group_commit import Ticket
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.merger import Merger
from zerodb_storage.transaction import WriteTransaction

sys.path.insert(0, str(Path(__file__).parent))
from faulty_stores import Fault, FaultyStore, rows

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FaultyStore:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 40)
    monkeypatch.setattr(publishing, "HARD", 1)  # commits fold
    monkeypatch.setattr(Merger, "in_background", False)
    monkeypatch.setattr(database, "UNLOGGED_BYTES_MIN", 0)
    return FaultyStore(MemoryStore())


def opened(store: FaultyStore) -> Database:
    db = Database(store, read_only=False, synchronous="full")
    with db.begin() as tx:
        for name in "tu":
            tx.create_table(name, [Column("a", types.INTEGER), Column("s", types.TEXT)], (0,))
    for begin in (0, 100):
        with db.begin() as tx:  # folds
            tx.append("t", rows(begin, begin + 45))
            tx.append("u", rows(begin, begin + 20))
    return db


def published(db: Database, *group: WriteTransaction) -> list[BaseException | None]:
    """As if all had come while another one was being published."""
    tickets = [Ticket(transaction) for transaction in group]
    db._commits._taken = True
    db._commits._lead(tickets)
    assert not db._commits._taken
    for transaction in group:
        transaction._end()
    return [ticket.error for ticket in tickets]


def keys_of(db: Database, rows_of: Rows, table: str) -> list[int]:
    return sorted(row[0] for row in rows_of(db.snapshot().tables[table]))


def begun(db: Database, begin: int, count: int, *tables: str, deleted: int | None = None) -> WriteTransaction:
    tx = db.begin()
    for table in tables:
        if deleted is not None:
            tx.delete(table, np.array([deleted]))
        tx.append(table, rows(begin, begin + count))
    return tx


def test_others_follow_a_fold(store: FaultyStore, rows_of: Rows) -> None:
    db = opened(store)
    segments = db.snapshot().tables["t"].segment_set.segments
    before = keys_of(db, rows_of, "t")
    group = [begun(db, 1000, 50, "t"), begun(db, 2000, 2, "t", deleted=3), begun(db, 3000, 50, "t", deleted=30)]
    assert published(db, *group) == [None] * 3
    assert db.snapshot().tables["t"].segment_set.segments != segments
    after = keys_of(db, rows_of, "t")
    assert len(after) == len(before) + 100
    assert {*range(1000, 1050), 2000, 2001, *range(3000, 3050)} <= set(after)
    again = Database(store, read_only=False, synchronous="full")
    assert keys_of(again, rows_of, "t") == after


def test_a_fold_that_cannot_read_is_one_transactions_error(
    store: FaultyStore, rows_of: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = opened(store)
    second = db.begin()
    second.append("t", rows(2000, 2002))  # logged, before the fold of u fails
    second.append("u", rows(2000, 2002))
    group = [begun(db, 1000, 50, "u"), second, begun(db, 3000, 3, "t", deleted=3)]

    def unreadable(version: TableVersion, _: Iterator[int]) -> Any:
        raise error_for("58030", f"cannot read {version.key}")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "folded", unreadable)
        errors = published(db, *group)
    assert [error is None for error in errors] == [True, False, True]
    again = Database(store, read_only=False, synchronous="full")
    for found in (db, again):
        there = {table: set(keys_of(found, rows_of, table)) for table in "tu"}
        assert 1000 in there["u"]
        assert 2000 not in there["t"] | there["u"]
        assert 3000 in there["t"]


@pytest.mark.parametrize("method", ["write", "write_unlogged"])
@pytest.mark.parametrize("number", range(1, 5))
def test_what_was_written_before_a_failure_is_committed(
    method: str, number: int, store: FaultyStore, rows_of: Rows
) -> None:
    db = opened(store)
    definition = db.begin()
    definition.create_table("w", [Column("a", types.INTEGER)])
    group = [begun(db, 1000, 2, "t", "u"), definition, begun(db, 2000, 50, "u"), begun(db, 3000, 2, "t", "u")]
    store.arm(Fault(method, number))
    errors = published(db, *group)
    came, store.fault = store.failed, None
    assert bool(came) == any(errors)
    assert all(isinstance(error, DatabaseError) for error in errors if error is not None)
    again = Database(store, read_only=False, synchronous="full")
    for found in (db, again):
        there = set(keys_of(found, rows_of, "u"))
        assert [1000 in there, "w" in found.snapshot().tables, 2000 in there, 3000 in there] == [
            error is None for error in errors
        ]
