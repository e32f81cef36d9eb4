"""Transactions beside each other at storage's level: random histories against a model of rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerodb_compiler import types
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import Column, Database, Outdated, TableVersion, WriteTransaction, publishing
from zerodb_storage.locks import RowMode

Rows = dict[int, str]


def rows_of(version: TableVersion) -> Rows:
    """a -> b of the visible rows."""
    return {key: text for key, (text, _) in places(version).items()}


def places(version: TableVersion) -> dict[int, tuple[str, int]]:
    """a -> (b, row id) of the visible rows."""
    found: dict[int, tuple[str, int]] = {}
    for chunk in range(version.chunk_count):
        values = version.read(chunk, 0).data.tolist()
        text = version.as_text(version.read(chunk, 1), 1)
        assert text.text is not None
        joined, ends = text.text.tobytes().decode(), text.data.tolist()
        visible = version.visibility(chunk)
        for row, value in enumerate(values):
            if visible is None or visible[1][row]:
                assert value not in found
                found[value] = joined[ends[row] : ends[row + 1]], chunk * CHUNK_ROWS + row
    return found


@dataclass
class Open:
    """A transaction and what it should see."""

    tx: WriteTransaction
    seen: Rows
    inserted: Rows = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)

    def rows(self) -> Rows:
        kept = {key: text for key, text in self.seen.items() if key not in self.deleted}
        return kept | self.inserted


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from("iiidddurocx"), st.integers(0, 9), st.integers(1, 4), st.sampled_from("xyz")
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.sampled_from([2, 7, 1 << 20]), st.booleans())
def test_transactions_beside_each_other(
    steps: list[tuple[int, str, int, int, str]], fold_rows: int, with_key: bool
) -> None:
    """Three transactions insert, delete, refresh, roll back to a savepoint, define, commit, abort, folds between."""
    with pytest.MonkeyPatch.context() as patch, Database.open(None) as db:
        patch.setattr(publishing, "FOLD_ROWS", fold_rows)
        with db.begin() as tx:
            columns = [Column("a", types.BIGINT), Column("b", types.TEXT)]
            tx.create_table("t", columns, [0] if with_key else [])
        committed: Rows = {}
        open_: dict[int, Open] = {}
        serial = 0
        for who, what, pick, count, letter in steps:
            mine = open_.get(who)
            if mine is None:
                mine = open_[who] = Open(db.begin(), dict(committed))
            if what == "i":
                new = {serial + n: letter * (serial % 5) for n in range(count)}
                serial += count
                mine.tx.append("t", pa.table({"a": list(new), "b": list(new.values())}), unique_key=with_key)
                mine.inserted |= new
            elif what == "d":
                there = places(mine.tx.table("t"))
                keys = [key for key in sorted(there) if key % 10 == pick][:count]
                held = {key for n, other in open_.items() if n != who for key in other.deleted}
                if any(key in held for key in keys):  # it would wait
                    continue
                row_ids = np.array([there[key][1] for key in keys], np.int64)
                gone = [key for key in keys if key in mine.seen and key not in committed]
                if gone:
                    with pytest.raises(Outdated):
                        mine.tx.lock_rows("t", row_ids, RowMode.UPDATE)
                    continue
                mine.tx.lock_rows("t", row_ids, RowMode.UPDATE)
                mine.tx.delete("t", row_ids)
                mine.deleted |= {key for key in keys if key in mine.seen}
                for key in keys:
                    mine.inserted.pop(key, None)
            elif what == "u":
                mine.tx.refresh()
                mine.seen = dict(committed)
            elif what == "r":
                saved = mine.tx.savepoint()
                mine.tx.append("t", pa.table({"a": [-1], "b": ["gone"]}))
                mine.tx.rollback_to(saved)
            elif what == "o":
                serial += 1
                mine.tx.put_object("view", "pg_temp_1", f"v{serial}", {"sql": "select 1"})
            elif what == "c":
                mine.tx.commit()
                committed = {k: v for k, v in committed.items() if k not in mine.deleted} | mine.inserted
                del open_[who]
            else:
                mine.tx.rollback()
                del open_[who]
            if who in open_:
                assert rows_of(mine.tx.snapshot().tables["t"]) == mine.rows()
            assert rows_of(db.snapshot().tables["t"]) == committed
        for mine in open_.values():
            mine.tx.rollback()
        assert db.check() == []


def test_a_transaction_that_defines_moves_on_beyond_a_merge() -> None:
    """Rows that it changes then are those of the newest numbering."""
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT), Column("b", types.TEXT)], [0])
        for start in (50, 0):
            with db.begin() as tx:
                tx.append("t", pa.table({"a": list(range(start, start + 50)), "b": ["x"] * 50}), unique_key=True)
        with db.begin() as tx:
            tx.create_table("new", [Column("a", types.BIGINT)])
            with db.begin() as other:
                other.delete("t", np.array([there[1] for key, there in places(other.table("t")).items() if key < 9]))
            assert db.merger.merge(db.snapshot().tables["t"].id)
            tx.refresh()
            for keys in ([9, 70], [200, 11]):
                tx.append("t", pa.table({"a": [200 + keys[0] % 9], "b": ["own"]}), unique_key=True)
                there = places(tx.table("t"))
                row_ids = np.array([there[key][1] for key in keys], np.int64)
                tx.lock_rows("t", row_ids, RowMode.UPDATE)
                tx.delete("t", row_ids)
        left = sorted(rows_of(db.snapshot().tables["t"]))
        assert left == [10, *range(12, 70), *range(71, 100), 202]
        assert db.check() == []


def test_a_transaction_that_defines_moves_on_in_tables_that_it_has_changed() -> None:
    """What others have done to them since is seen and can be changed; a savepoint from before that is come back to."""
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT), Column("b", types.TEXT)], [0])
            tx.append("t", pa.table({"a": list(range(10)), "b": ["x"] * 10}), unique_key=True)

        def replace_row(tx: WriteTransaction, key: int, text: str) -> None:
            row = np.array([places(tx.table("t"))[key][1]])
            tx.lock_rows("t", row, RowMode.UPDATE)
            tx.delete("t", row)
            tx.append("t", pa.table({"a": [key], "b": [text]}), unique_key=True)

        with db.begin() as tx:
            tx.put_object("view", "public", "v", {"sql": "select 1"})
            replace_row(tx, 1, "mine")
            saved = tx.savepoint()
            replace_row(tx, 2, "gone")
            with db.begin() as other:
                replace_row(other, 3, "other")
            with pytest.raises(Outdated):
                replace_row(tx, 3, "both")
            tx.refresh()
            seen = rows_of(tx.table("t"))
            assert [seen[1], seen[2], seen[3]] == ["mine", "gone", "other"]
            replace_row(tx, 3, "both")
            tx.rollback_to(saved)
            tx.refresh()
            replace_row(tx, 3, "again")
        after = rows_of(db.snapshot().tables["t"])
        assert after == dict.fromkeys(range(10), "x") | {1: "mine", 3: "again"}
        assert db.check() == []


def test_a_savepoint_from_before_a_merge() -> None:
    """A table that was changed, then merged, then defined anew; and back."""
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT), Column("b", types.TEXT)], [0])
        for start in (50, 0):
            with db.begin() as tx:
                tx.append("t", pa.table({"a": list(range(start, start + 50)), "b": ["x"] * 50}), unique_key=True)
        with db.begin() as tx:
            tx.create_table("new", [Column("a", types.BIGINT)])
            tx.delete("t", np.array([places(tx.table("t"))[key][1] for key in (3, 60)]))
            tx.append("t", pa.table({"a": [300], "b": ["own"]}), unique_key=True)
            saved = tx.savepoint()
            assert db.merger.merge(db.snapshot().tables["t"].id)
            tx.truncate("t")
            tx.rollback_to(saved)
            tx.delete("t", np.array([places(tx.table("t"))[key][1] for key in (4, 61)]))
        left = sorted(rows_of(db.snapshot().tables["t"]))
        assert left == sorted({*range(100), 300} - {3, 4, 60, 61})
        assert db.check() == []


def test_a_copy_of_a_snapshot_looks_its_own_tables_up() -> None:
    """A base that moves on is a copy with other versions: the old ones' numbers must not come along."""
    with Database.open(None) as db:
        with db.begin() as write:
            write.create_table("t", [Column("a", types.BIGINT)])
        snapshot = db.snapshot()
        version = snapshot.tables["t"]
        assert snapshot.table_with_id(version.id) is version
        other = replace(version)
        assert replace(snapshot, tables={"t": other}).table_with_id(version.id) is other
