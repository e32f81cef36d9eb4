"""Masks that share their bytes: each keeps showing what it showed, whatever later ones hide."""

from __future__ import annotations

import random

import numpy as np
import pytest

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage.visibility import Mask, all_visible, mask_of


def _seen(mask: Mask) -> set[int]:
    return set(np.flatnonzero(mask.visible == 0).tolist())


@pytest.mark.parametrize("seed", range(5))
def test_a_mask_shows_what_it_showed_when_it_was_made(seed: int) -> None:
    chance, size = random.Random(seed), 300
    known: list[tuple[Mask, set[int]]] = [(all_visible(size), set())]
    for _ in range(60):
        mask, hidden = known[-1] if chance.random() < 0.8 else chance.choice(known)
        rows = chance.sample(sorted(set(range(size)) - hidden), chance.choice((1, 1, 2, 3)))
        made = mask.hidden_in_place(rows) if chance.random() < 0.8 else mask.hidden(np.array(sorted(rows)))
        known.append((made, hidden | set(rows)))
    everything = np.arange(size + 2)
    for mask, hidden in known:
        assert _seen(mask) == hidden
        assert mask.deleted == len(hidden)
        assert np.flatnonzero(~mask.shown(everything)).tolist() == sorted(hidden)
        assert {row for row in range(size + 2) if not mask.shows(row)} == hidden
    identities = {mask.identity for mask, _ in known}
    assert len(identities) == len(known)
    for one, hidden in known:
        for other, more in known:
            rows = other.since(one)
            if rows is not None:
                assert set(rows) == more - hidden
                assert hidden <= more


def test_who_publishes_shares_the_bytes() -> None:
    first = all_visible(CHUNK_ROWS).hidden_in_place([CHUNK_ROWS - 1])
    second = first.hidden_in_place([1, 2]).hidden_in_place([0])
    assert list(second.since(first) or ()) == [1, 2, 0]
    assert first.since(second) is None
    assert list(second.since(second) or ()) == []


def test_after_changes_that_came_to_nothing_bytes_are_copied() -> None:
    before = all_visible(8).hidden_in_place([3])
    failed = before.hidden_in_place([4])
    published = before.hidden_in_place([5])
    assert published.since(before) is None
    assert (_seen(before), _seen(failed), _seen(published)) == ({3}, {3, 4}, {3, 5})


def test_a_mask_of_bytes() -> None:
    mask = mask_of(np.array([1, 0, 1], np.uint8))
    assert (mask.deleted, mask.rows, _seen(mask)) == (1, 3, {1})
    assert mask.hidden([0]).since(mask) is None
