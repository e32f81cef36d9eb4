"""The merger: when it runs, what commits do when it does not keep up, and what failures leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_compiler.errors import error_for
from zerodb_storage import Column, Database, TableVersion, index_runs, lookup, merger, publishing, segment_choice
from zerodb_storage.merger import Merger

LIMIT = 200


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", LIMIT)


def create(db: Database) -> None:
    with db.begin() as tx:
        tx.create_table("t", [Column("a", types.BIGINT), Column("s", types.TEXT)], [0])


def insert(db: Database, begin: int, end: int) -> TableVersion:
    with db.begin() as tx:
        tx.append(
            "t", pa.table({"a": range(begin, end), "s": [f"s{n % 7}" for n in range(begin, end)]}), unique_key=True
        )
    return db.snapshot().tables["t"]


def keys(db: Database) -> list[int]:
    found: list[int] = sorted(lookup.all_values(db.snapshot().tables["t"], 0).data.tolist())
    return found


def in_small_steps(db: Database, count: int) -> int:
    """The most rows that the delta ever had."""
    return max(insert(db, at, at + 20).delta_rows for at in range(0, count, 20))


def test_tables_are_merged_in_the_background(path: str) -> None:
    with Database.open(path, synchronous="normal") as db:
        create(db)
        assert in_small_steps(db, 3000) <= publishing.HARD * LIMIT + 20
        assert db.merger.wait()
        assert db.merger.merges
        assert db.merger.failure is None
        db.reclaim()
        assert not list(db.reader.scan(b"G", b"H"))
        assert keys(db) == list(range(3000))
        assert db.check() == []
    with Database.open(path) as db:
        assert keys(db) == list(range(3000))


def test_records_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_RECORDS", 10)
    monkeypatch.setattr(Merger, "in_background", False)
    with Database.open(None) as db:
        create(db)
        for number in range(100):
            insert(db, number, number + 1)
            assert len(list(db.reader.scan(b"L", b"M"))) < 10
        # Small ones of like size have been merged with each other.
        assert len(db.snapshot().tables["t"].segment_set.segments) < 5


def test_commits_that_the_merger_cannot_follow_fold_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Merger, "merge", lambda *_: False)
    with Database.open(None) as db:
        create(db)
        most = in_small_steps(db, 3000)
        assert publishing.HARD * LIMIT <= most <= publishing.HARD * LIMIT + 20
        assert keys(db) == list(range(3000))


def test_commits_wait_for_the_merger(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go, waited = threading.Event(), []
    merge, wait = Merger.merge, Merger.wait

    def slow(self: Merger, table_id: int) -> bool:
        may_go.wait(10)
        return merge(self, table_id)

    def noted(self: Merger, *given: Any) -> bool:
        waited.append(given)
        may_go.set()
        return wait(self, *given)

    monkeypatch.setattr(Merger, "merge", slow)
    monkeypatch.setattr(Merger, "wait", noted)
    with Database.open(None) as db:
        create(db)
        most = in_small_steps(db, publishing.WAITING * LIMIT + 40)
        assert waited
        assert most <= publishing.WAITING * LIMIT + 20
        assert keys(db) == list(range(publishing.WAITING * LIMIT + 40))


def test_a_merge_that_fails_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    fold = merger.fold

    def failing(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise error_for("53100", "injected")
        return fold(*given)

    monkeypatch.setattr(merger, "fold", failing)
    monkeypatch.setattr(merger, "PAUSE", 5)
    monkeypatch.setattr(Merger, "in_background", False)
    with Database.open(None) as db:
        create(db)
        insert(db, 0, LIMIT - 1)
        insert(db, LIMIT - 1, LIMIT)
        assert db.merger.failure is not None
        assert db.merger.failure.sqlstate == "53100"
        for number in range(5):
            insert(db, LIMIT + number, LIMIT + number + 1)
            assert len(calls) == 1
        insert(db, LIMIT + 5, LIMIT + 6)
        assert len(calls) == 2
        assert db.merger.merges == 1
        assert keys(db) == list(range(LIMIT + 6))


@pytest.mark.parametrize("change", ["truncate", "drop", "again"])
def test_what_a_merge_that_is_given_up_wrote_is_deleted(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something happens to the table each time between the fold and its publication."""
    fold = merger.fold
    with Database.open(None) as db:
        create(db)
        table_id = insert(db, 0, 100).id

        def disturbed(*given: Any) -> Any:
            folded = fold(*given)
            if change == "again":
                monkeypatch.setattr(merger, "fold", fold)
                assert db.merger.merge(table_id)
                monkeypatch.setattr(merger, "fold", disturbed)
            elif "t" in db.snapshot().tables:
                with db.begin() as tx:
                    _ = tx.truncate("t") if change == "truncate" else tx.drop_table("t")
            return folded

        monkeypatch.setattr(merger, "fold", disturbed)
        insert(db, 200, 210)
        assert not db.merger.merge(table_id)
        db.reclaim()
        if change != "drop":
            assert keys(db) == ([] if change == "truncate" else [*range(100), *range(200, 210)])
        values = {key[1:17] for key, _ in db.reader.scan(b"C", b"D")}
        assert values == {key[1:17] for key, _ in db.reader.scan(b"H", b"I")}
        assert db.check() == []


def test_an_old_snapshot_stays_readable(rows_of: Callable[[TableVersion], list[tuple[Any, ...]]]) -> None:
    with Database.open(None) as db:
        create(db)
        insert(db, 0, 150)
        assert db.merger.merge(db.snapshot().tables["t"].id)
        old = insert(db, 150, 200)
        expected = rows_of(old)
        for at in range(200, 1000, 50):
            with db.begin() as tx:
                tx.delete("t", np.flatnonzero(tx.table("t").are_visible(np.arange(10))))
            insert(db, at, at + 50)
            db.merger.merge(old.id)
        assert rows_of(old) == expected


def test_closing_waits_for_a_merge(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began, fold = threading.Event(), merger.fold

    def slow(*given: Any) -> Any:
        began.set()
        threading.Event().wait(0.2)
        return fold(*given)

    monkeypatch.setattr(merger, "fold", slow)
    db = Database.open(path)
    create(db)
    insert(db, 0, LIMIT - 1)
    insert(db, LIMIT - 1, LIMIT)
    assert began.wait(10)
    db.close()
    assert db.merger.merges == 1
    with Database.open(path) as again:
        assert keys(again) == list(range(LIMIT))
        assert again.snapshot().tables["t"].delta_rows == 0


def test_indexes_keep_few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merges bring runs for new segments and forget those of old ones; look-ups find what scans find."""
    monkeypatch.setattr(index_runs, "PIECE_ROWS", 16)
    monkeypatch.setattr(segment_choice, "SMALL_SEGMENT_BYTES", 0)  # all segments stay
    with Database.open(None) as db:
        create(db)
        for at in range(0, 3000, 100):
            version = insert(db, at, at + 100)
            assert index_runs.cover(version, (1,), 0, 0) is not None
            db.merger.merge(version.id)
            merged = db.snapshot().tables["t"]
            runs = index_runs._indexes[merged.handle][(1,)].runs
            assert len(runs) <= index_runs.RUNS_MOST + 1
            cover = index_runs.cover(merged, (1,), 0, 1e9)  # without building any
            assert cover is not None
            found = cover.candidates([index_runs.Search(("s3",))], 1 << 30)
            assert found is not None
            wanted = [n for n in range(at + 100) if n % 7 == 3]
            assert sorted(lookup.values_at(merged, 0, found).data.tolist()) == wanted
