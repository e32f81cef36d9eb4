"""Row ids across folds: compared with a dictionary of where each row is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerodb_compiler import types
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import Column, Database, TableVersion, fold, publishing, segment_choice
from zerodb_storage.kv import Batch
from zerodb_storage.renumbering import ALL_GONE, GONE, Numbering, Renumbering, follow
from zerodb_storage.values import Array

Model = dict[int, int]  # old row id -> new row id


@st.composite
def renumberings(draw: st.DrawFn, chunks: int, rows: int, new_chunks: int) -> Renumbering:
    """Of `chunks` old chunks with `rows` rows each."""
    parts: list[int | Array] = []
    for _ in range(chunks):
        if draw(st.booleans()):
            parts.append(draw(st.integers(0, new_chunks - 1)))
        else:
            new = st.integers(0, new_chunks - 1).map(lambda chunk: chunk * CHUNK_ROWS)
            places = st.one_of(st.just(GONE), st.builds(int.__add__, new, st.integers(0, rows - 1)))
            parts.append(np.array(draw(st.lists(places, min_size=rows, max_size=rows)), np.int64))
    return Renumbering.of(parts)


def model_of(parts: list[int | Array], rows: int) -> Model:
    found: Model = {}
    for chunk, part in enumerate(parts):
        for row in range(rows):
            new = part * CHUNK_ROWS + row if isinstance(part, int) else int(part[row])
            found[chunk * CHUNK_ROWS + row] = new
    return found


def test_empty() -> None:
    nothing = np.empty(0, np.int64)
    assert ALL_GONE.apply(nothing).tolist() == []
    assert ALL_GONE.apply(np.array([0, 70_000])).tolist() == [GONE, GONE]
    assert Renumbering.of([nothing, 0]).apply(np.array([CHUNK_ROWS + 5, GONE])).tolist() == [5, GONE]


@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_apply_and_then_as_dictionaries(data: st.DataObject, old: int, middle: int, new: int) -> None:
    rows = 3
    first = data.draw(renumberings(old, rows, middle))
    second = data.draw(renumberings(middle, rows, new))
    row_ids = np.array([c * CHUNK_ROWS + r for c in range(old) for r in range(rows)] + [GONE])
    a, b = model_of(first.parts(), rows), model_of(second.parts(), rows)
    assert first.apply(row_ids).tolist() == [a.get(row, GONE) for row in row_ids.tolist()]
    expected = [b.get(a.get(row, GONE), GONE) for row in row_ids.tolist()]
    assert second.apply(first.apply(row_ids)).tolist() == expected
    assert first.then(second).apply(row_ids).tolist() == expected
    assert first.then(ALL_GONE).apply(row_ids).tolist() == [GONE] * len(row_ids)


def test_follow() -> None:
    a, b, c = Numbering(), Numbering(), Numbering()
    row_ids = np.array([1, CHUNK_ROWS + 1])
    assert follow(a, None, row_ids) is row_ids
    a.succeeded(Renumbering.of([1, 0]), b)
    b.succeeded(Renumbering.of([np.array([5, GONE]), 3]), c)
    assert follow(a, a, row_ids).tolist() == [1, CHUNK_ROWS + 1]
    assert follow(a, b, row_ids).tolist() == [CHUNK_ROWS + 1, 1]
    assert follow(a, c, row_ids).tolist() == follow(a, None, row_ids).tolist() == [3 * CHUNK_ROWS + 1, GONE]
    with pytest.raises(AssertionError):
        follow(c, a, row_ids)
    with pytest.raises(AssertionError):
        a.succeeded(ALL_GONE, c)


def places(version: TableVersion) -> dict[tuple[Any, ...], int]:
    """Where each visible row is: its values -> row id."""
    found: dict[tuple[Any, ...], int] = {}
    for chunk in range(version.chunk_count):
        columns = [version.read(chunk, column) for column in range(len(version.columns))]
        visible = version.visibility(chunk)
        for row in range(int(version.chunk_rows[chunk])):
            if visible is None or visible[1][row]:
                values = tuple(int(column.data[row]) for column in columns)
                assert values not in found
                found[values] = chunk * CHUNK_ROWS + row
    return found


def check_moved(old: dict[tuple[Any, ...], int], gone: Array, folded: TableVersion, by: Renumbering) -> None:
    new = places(folded)
    assert old.keys() == new.keys()
    assert by.apply(np.array([*old.values()], np.int64)).tolist() == [new[row] for row in old]
    left = by.apply(gone)
    left = left[left != GONE]  # deleted rows of segments that stay
    assert not folded.are_visible(left).any()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.booleans())
def test_fold_tells_where_rows_went(data: st.DataObject, with_key: bool) -> None:
    """Some rounds of inserting, deleting and folding; the rows of each version are found by its renumbering."""
    with pytest.MonkeyPatch.context() as patch, Database.open(None) as db:
        patch.setattr(segment_choice, "SMALL_SEGMENT_BYTES", data.draw(st.sampled_from([0, 1 << 20])))
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT), Column("b", types.BIGINT)], [0] if with_key else [])
        serial, start = itertools.count(), db.snapshot().tables["t"]
        for _ in range(data.draw(st.integers(1, 3))):
            keys = data.draw(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=40, unique=True))
            with db.begin() as tx:
                tx.append("t", pa.table({"a": keys, "b": [next(serial) for _ in keys]}))
                here = list(places(tx.table("t")).values())
                gone = np.array(data.draw(st.lists(st.sampled_from(here), unique=True)), np.int64)
                tx.delete("t", gone)
                version = tx.table("t")
                folded = fold.fold(version, db.segment_ids)
                db._store.write(Batch(puts=folded.values), sync=False)  # to read it, nothing knows of it
                assert folded.renumbering is not None
                assert folded.source is version.numbering
                assert version.numbering.successor is None
                check_moved(places(version), gone, folded.version, folded.renumbering)
                tx.changes[version.id].reshaped = True  # so that the commit folds
                tx.altered.add(version.id)
            stored = db.snapshot().tables["t"]
            old, new = places(version), places(stored)
            assert follow(version.numbering, None, np.array(list(old.values()), np.int64)).tolist() == [
                new[row] for row in old
            ]
        assert follow(start.numbering, stored.numbering, np.empty(0, np.int64)).tolist() == []


def test_truncation_ends_all_rows() -> None:
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT)], [0])
            tx.append("t", pa.table({"a": [1, 2, 3]}))
        before = db.snapshot().tables["t"]
        with db.begin() as tx:
            tx.truncate("t")
            tx.append("t", pa.table({"a": [1]}))
        after = db.snapshot().tables["t"]
        assert follow(before.numbering, after.numbering, np.array([0, 1, 2])).tolist() == [GONE] * 3


def test_large_tables_are_renumbered_by_whole_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of several chunks, some of which stay."""
    monkeypatch.setattr(publishing, "FOLD_ROWS", 1 << 40)  # all through the delta
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT), Column("b", types.BIGINT)], [0])
        count = 3 * CHUNK_ROWS
        order = np.random.default_rng(1).permutation(count)
        with db.begin() as tx:
            tx.append("t", pa.table({"a": order, "b": np.arange(count)}))
        version = db.snapshot().tables["t"]
        db.merger.merge(version.id)
        stored = db.snapshot().tables["t"]
        assert len(stored.segment_set.segments) == 3
        found = follow(version.numbering, stored.numbering, np.arange(count, dtype=np.int64))
        assert found.tolist() == order.tolist()
        with db.begin() as tx:
            tx.delete("t", np.arange(40_000))
            tx.delete("t", np.array([2 * CHUNK_ROWS]))
            tx.append("t", pa.table({"a": [-1], "b": [-1]}))
        db.merger.merge(version.id)
        after = db.snapshot().tables["t"]
        row_ids = np.array([0, 40_000, CHUNK_ROWS, 2 * CHUNK_ROWS, 3 * CHUNK_ROWS - 1, 3 * CHUNK_ROWS], np.int64)
        found = follow(stored.numbering, after.numbering, row_ids)
        # The sparse first segment went, with the new row, behind the two that stay.
        expected = [GONE, 2 * CHUNK_ROWS + 1, 0, CHUNK_ROWS, 2 * CHUNK_ROWS - 1, 2 * CHUNK_ROWS]
        assert found.tolist() == expected
