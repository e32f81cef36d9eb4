"""Statements by key between merges: the directory of keys takes new segments in, and forgets those that went."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import zerodb
from zerodb.engine import point_directory
from zerodb_storage import publishing, segment_choice
from zerodb_storage.merger import Merger

KEYS: dict[str, Any] = {"bigint": lambda n: n, "text": lambda n: f"key {n}", "numeric(30, 2)": lambda n: n}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 90)
    monkeypatch.setattr(Merger, "in_background", False)
    monkeypatch.setattr(point_directory, "FEW_SEGMENTS", 0)


@pytest.mark.parametrize(("kind", "small"), [("bigint", 0), ("bigint", 1 << 20), ("text", 0), ("numeric(30, 2)", 0)])
def test_statements_by_key_between_merges(kind: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_choice, "SMALL_SEGMENT_BYTES", small)  # 0: segments stay, else they are merged
    made: list[int] = []
    make = point_directory.PointDirectory._make

    def counted(self: point_directory.PointDirectory, version: Any) -> None:
        made.append(1)
        make(self, version)

    monkeypatch.setattr(point_directory.PointDirectory, "_make", counted)
    r, key = random.Random(1), KEYS[kind]
    model: dict[int, tuple[int, str]] = {}
    with zerodb.connect(threads=1) as db:
        db.execute(f"create table t (k {kind} primary key, v bigint, s text)")
        insert = db.prepare("insert into t values (?, ?, ?)")
        update = db.prepare("update t set v = ? where k = ?")
        delete = db.prepare("delete from t where k = ?")
        select = db.prepare("select v, s from t where k = ?")
        storage = db._database.storage
        for step in range(700):
            n, kind_of_change = r.randrange(200), r.random()
            if n not in model:
                model[n] = (step, f"s{step % 5}")
                insert.execute((key(n), *model[n]))
            elif kind_of_change < 0.5:
                model[n] = (step, model[n][1])
                assert update.execute((step, key(n))).rowcount == 1
            elif kind_of_change < 0.7:
                del model[n]
                assert delete.execute((key(n),)).rowcount == 1
            for asked in (n, r.randrange(200)):
                assert select.execute((key(asked),)).fetchone() == model.get(asked)
        merges = storage.merger.merges
        assert merges > 4
        assert len(made) < merges
        rows = sorted(db.execute("select v, s from t").fetchall())
        assert rows == sorted(model.values())


def test_a_transaction_goes_on_across_merges() -> None:
    with zerodb.connect(threads=1) as db:
        db.execute("create table t (k bigint primary key, v bigint)")
        db.executemany("insert into t values (?, ?)", [(n, n) for n in range(80)])
        update, select = db.prepare("update t set v = v + 1 where k = ?"), db.prepare("select v from t where k = ?")
        storage = db._database.storage
        table_id = storage.snapshot().tables["t"].id
        for n in range(30):
            with db.transaction():
                assert update.execute((n,)).rowcount == 1
                assert storage.merger.merge(table_id)
                assert select.execute((n,)).fetchone() == (n + 1,)
                assert update.execute((n,)).rowcount == 1
            assert select.execute((n,)).fetchone() == (n + 2,)
        assert db.execute("select sum(v) from t").fetchone() == (79 * 40 + 60,)


def test_own_rows_are_changed_again_after_others_committed(tmp_path: Path) -> None:
    """The change by key that the short way gives up must leave the one before it as it was."""
    with zerodb.connect(str(tmp_path / "t"), threads=1) as db, zerodb.connect(str(tmp_path / "t")) as other:
        db.execute("create table t (k bigint primary key, v bigint)")
        insert, update = db.prepare("insert into t values (?, ?)"), db.prepare("update t set v = v + 1 where k = ?")
        delete, others = db.prepare("delete from t where k = ?"), other.prepare("insert into t values (?, 0)")
        for n in range(20):
            with db.transaction():
                insert.execute((n, 5))
                others.execute((1000 + n,))
                assert update.execute((n,)).rowcount == 1
                others.execute((2000 + n,))
                if n % 2:
                    assert delete.execute((n,)).rowcount == 1
                    if n % 4 == 1:
                        others.execute((3000 + n,))
                        insert.execute((n, 9))
        expected = [(n, 6 if n % 2 == 0 else 9) for n in range(20) if n % 4 != 3]
        assert db.execute("select k, v from t where k < 1000 order by k").fetchall() == expected
