"""Which segments folds rewrite: the bounds that the module states, over simulated folds."""

from __future__ import annotations

import math
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb_compiler import types
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import Column, Database, publishing, segment_choice
from zerodb_storage.segment_choice import STACK, STACK_MOST, sparse, stack


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 3 * CHUNK_ROWS), min_size=1, max_size=300))
def test_small_segments_stay_few_and_rows_are_rewritten_seldom(folds: list[int]) -> None:
    visible: list[int] = []
    least, rewritten = min(folds), 0
    for fresh in folds:
        rows = np.array(visible, np.int64)
        chosen = sparse(rows, rows, np.ones(len(rows), np.bool_), fresh)
        assert (2 * rows[chosen] < CHUNK_ROWS).all()
        rewritten += int(rows[chosen].sum())
        total = fresh + int(rows[chosen].sum())
        full, rest = divmod(total, CHUNK_ROWS)
        visible = [*rows[~chosen].tolist(), *[CHUNK_ROWS] * full, *([rest] if rest else [])]
        assert sum(2 * count < CHUNK_ROWS for count in visible) <= 14
    times = math.log(CHUNK_ROWS / 2 / min(least, CHUNK_ROWS / 2), 1.5) + 1
    assert rewritten <= sum(folds) * times


def test_mostly_deleted_segments_go() -> None:
    rows, visible = np.array([CHUNK_ROWS, CHUNK_ROWS]), np.array([CHUNK_ROWS // 2 - 1, CHUNK_ROWS // 2])
    assert sparse(rows, visible, np.ones(2, np.bool_), 0).tolist() == [True, False]


def test_segments_with_few_long_rows_stay() -> None:
    assert not sparse(np.array([10]), np.array([10]), np.zeros(1, np.bool_), 1000).any()


def test_stacks() -> None:
    everything = np.ones(40, np.bool_)
    low = np.arange(40)
    assert len(stack(low, low, everything)) == 0
    assert len(stack(low, low + STACK - 2, everything)) == 0
    found = stack(low, low + STACK - 1, everything)
    assert len(found) == STACK
    assert int(found.max()) - int(found.min()) == STACK - 1
    wide = low + 1000
    wide[7] = 5000
    over = stack(low, wide, everything)
    assert len(over) == STACK_MOST
    assert over[0] == 7


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 1 << 30))
def test_look_ups_visit_few_segments_however_keys_come(folds: int, seed: int) -> None:
    """Each fold brings two segments over the whole range of keys; stacks become segments side by side."""
    random = np.random.default_rng(seed)
    segments: list[np.ndarray] = []
    rewritten = 0
    for _ in range(folds):
        low, high = np.array([s[0] for s in segments], np.int64), np.array([s[-1] for s in segments], np.int64)
        chosen = set(stack(low, high, np.ones(len(segments), np.bool_)).tolist()) if segments else set()
        rewritten += len(chosen)
        keys = np.sort(np.concatenate([random.integers(0, 1 << 40, 200), *(segments[i] for i in chosen)]))
        segments = [s for i, s in enumerate(segments) if i not in chosen]
        segments += np.split(keys, range(100, len(keys), 100))
    points = random.integers(0, 1 << 40, 100)
    depth = max(sum(s[0] <= point <= s[-1] for s in segments) for point in points)
    assert depth <= 2 * STACK
    assert rewritten <= 2 * folds * (1 + math.log(2 * folds, STACK)) * 2


def test_random_keys_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 2_000)
    monkeypatch.setattr(segment_choice, "SMALL_SEGMENT_BYTES", 0)  # only stacks are rewritten
    random = np.random.default_rng(7)
    keys = random.permutation(40_000)
    with Database.open(None) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.BIGINT)], [0])
        for at in range(0, len(keys), 2_000):
            with db.begin() as tx:
                tx.append("t", pa.table({"a": keys[at : at + 2_000]}), unique_key=True)
        until = time.monotonic() + 30  # the merger works beside
        while len((version := db.snapshot().tables["t"]).segment_set.segments) >= STACK and time.monotonic() < until:
            time.sleep(0.01)
        assert version.row_count == 40_000
        assert len(version.segment_set.segments) < STACK
