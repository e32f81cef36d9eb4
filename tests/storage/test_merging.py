"""Merging: what was committed while a version was being folded is carried over to the folded one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerodb_compiler import types
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import Column, Database, TableVersion, WriteTransaction, dictionary, fold, segment_choice
from zerodb_storage.kv import Batch
from zerodb_storage.merging import carried
from zerodb_storage.renumbering import GONE

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
