"""Merging: what was committed while a version was being folded is carried over to the folded one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerodb_compiler import types
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import Column, Database, TableVersion, WriteTransaction, dictionary, fold, lookup, segment_choice
from zerodb_storage.kv import Batch
from zerodb_storage.locks import RowMode
from zerodb_storage.merging import carried
from zerodb_storage.recovery import recover
from zerodb_storage.renumbering import GONE, follow

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]
COLUMNS = [Column("a", types.BIGINT), Column("b", types.BIGINT), Column("s", types.TEXT), Column("n", types.TEXT)]


def row_ids(version: TableVersion) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Of the visible rows, in storage order: that of `rows_of`."""
    found = [np.empty(0, np.int64)]
    for chunk in range(version.chunk_count):
        visible = version.visibility(chunk)
        rows = np.arange(int(version.chunk_rows[chunk])) if visible is None else np.flatnonzero(visible[1])
        found.append(rows + chunk * CHUNK_ROWS)
    return np.concatenate(found)


class Writer:
    """Random changes; no two rows are equal."""

    def __init__(self, db: Database, data: st.DataObject, distinct: int) -> None:
        self.db, self.data, self.distinct, self.serial = db, data, distinct, 0

    def insert(self, tx: WriteTransaction, count: int) -> None:
        numbers = list(range(self.serial, self.serial + count))
        self.serial += count
        keys = self.data.draw(st.lists(st.integers(0, 1 << 20), min_size=count, max_size=count))
        texts = [None if n % 7 == 3 else f"s{n % self.distinct}" for n in numbers]
        tx.append("t", pa.table({"a": keys, "b": numbers, "s": texts, "n": [f"n{n}" for n in numbers]}))

    def delete(self, tx: WriteTransaction) -> None:
        here = row_ids(tx.table("t")).tolist()
        if here:
            tx.delete(
                "t", np.array(self.data.draw(st.lists(st.sampled_from(here), max_size=20, unique=True)), np.int64)
            )

    def some(self, rounds: int, fold_after: bool = False) -> TableVersion:
        for number in range(rounds):
            with self.db.begin() as tx:
                self.insert(tx, self.data.draw(st.integers(0, 30)))
                self.delete(tx)
            if fold_after and number == rounds - 1:
                self.db.merger.merge(self.db.snapshot().tables["t"].id)
        return self.db.snapshot().tables["t"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.data(), st.integers(0, 2), st.integers(1, 3), st.integers(0, 3), st.sampled_from([2, 40, 1000]))
def test_carried(rows_of: Rows, data: st.DataObject, folds: int, before: int, after: int, distinct: int) -> None:
    with pytest.MonkeyPatch.context() as patch, Database.open(None) as db:
        patch.setattr(segment_choice, "SMALL_SEGMENT_BYTES", data.draw(st.sampled_from([0, 1 << 20])))
        patch.setattr(dictionary, "SIZE_MAX", data.draw(st.sampled_from([1 << 16, 5])))
        with db.begin() as tx:
            tx.create_table("t", COLUMNS, [0])
        writer = Writer(db, data, distinct)
        for _ in range(folds):
            writer.some(1, fold_after=True)
        base = writer.some(before)
        expected_base = rows_of(base)
        folded = fold.fold(base, db.segment_ids)
        db._store.write(Batch(puts=folded.values), sync=False)
        latest = writer.some(after)
        found = carried(folded, base, latest)
        assert found is not None
        old, new = rows_of(latest), rows_of(found.version)
        assert sorted(old, key=lambda row: row[1]) == sorted(new, key=lambda row: row[1])
        places = dict(zip(new, row_ids(found.version).tolist(), strict=True))
        assert found.renumbering.apply(row_ids(latest)).tolist() == [places[row] for row in old]
        here = row_ids(base)
        gone = here[~np.isin(here, row_ids(latest))]
        moved = found.renumbering.apply(gone)
        assert not found.version.are_visible(moved[moved != GONE]).any()
        assert rows_of(base) == expected_base  # readers of the old version see what they saw
        fresh = sum(chunk.rows for chunk in found.version.delta_chunks)
        assert fresh == (len(found.rows[0]) if found.rows else 0)


def test_a_changed_shape_ends_the_merge() -> None:
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", COLUMNS)
            tx.append("t", pa.table({"a": [1], "b": [1], "s": ["x"], "n": ["x"]}))
        base = db.snapshot().tables["t"]
        folded = fold.fold(base, db.segment_ids)
        assert carried(folded, base, base) is not None
        with db.begin() as tx:
            tx.truncate("t")
        assert carried(folded, base, db.snapshot().tables["t"]) is None


def test_a_merge_between_a_change_and_a_definition() -> None:
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", COLUMNS, [0])
            tx.append("t", pa.table({"a": [1, 2], "b": [1, 2], "s": ["x", "y"], "n": ["x", "y"]}))
        with db.begin() as tx:
            tx.append("t", pa.table({"a": [0, 4], "b": [3, 4], "s": ["x", "y"], "n": ["x", "y"]}))
            tx.delete("t", np.array([0, CHUNK_ROWS]))
            assert db.merger.merge(tx.table("t").id)
            schema = tx.table("t").schema
            tx.change_schema("t", replace(schema, columns=schema.columns[:2], text_modes=schema.text_modes[:2]))
            assert not db.merger.merge(schema.id)  # it is locked
        version = db.snapshot().tables["t"]
        assert sorted(lookup.all_values(version, 0).data.tolist()) == [2, 4]


def test_rows_are_locked_across_merges() -> None:
    """Who holds a row's lock holds it under its new row id."""
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT)], [0])
            tx.append("t", pa.table({"a": [5, 3, 4]}))
        version = db.snapshot().tables["t"]
        first, second = db.begin(), db.begin()
        assert first.lock_rows("t", np.array([1]), RowMode.UPDATE) is None
        assert db.merger.merge(version.id)
        third = db.begin()
        for tx, held in ((second, 1), (third, 0)):
            granted = tx.lock_rows("t", np.arange(3), RowMode.UPDATE, skip_locked=True)
            assert granted is not None
            assert granted.tolist() == [row != held for row in range(3)]
            tx.rollback()
        assert first.delete("t", np.array([1])) == 1
        first.commit()
        assert lookup.all_values(db.snapshot().tables["t"], 0).data.tolist() == [4, 5]


def test_a_large_transaction_beside_others() -> None:
    """Its rows become segments before the delta of others, whose row ids move."""
    count = 140_000
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT), Column("s", types.TEXT)], [0])
            tx.append("t", pa.table({"a": [-1, -2, -3], "s": ["x"] * 3}))
        large, small = db.begin(), db.begin()
        large.append("t", pa.table({"a": np.arange(count)[::-1], "s": ["y"] * count}), unique_key=True)
        large.delete("t", np.array([0, CHUNK_ROWS + 1]))
        small.append("t", pa.table({"a": [-4], "s": ["z"]}), unique_key=True)
        small.delete("t", np.array([1]))
        old = db.snapshot().tables["t"]
        large.commit()
        middle = db.snapshot().tables["t"]
        assert [found.rows for found in middle.segment_set.segments] == [
            CHUNK_ROWS,
            CHUNK_ROWS,
            count - 1 - 2 * CHUNK_ROWS,
        ]
        assert middle.delta_rows == 3
        assert follow(old.numbering, middle.numbering, np.array([2])).tolist() == [3 * CHUNK_ROWS + 2]
        small.commit()
        version = db.snapshot().tables["t"]
        keys = lookup.all_values(version, 0).data
        assert sorted(keys.tolist()) == [-4, -3, *(key for key in range(count) if key != count - 2)]
        assert set(lookup.all_values(old, 0).data.tolist()) == {-1, -2, -3}
        store = db._store
        again = recover(store).snapshot.tables["t"]
        for column in range(2):
            a, b = lookup.all_values(version, column), lookup.all_values(again, column)
            assert a.data.tolist() == b.data.tolist()
