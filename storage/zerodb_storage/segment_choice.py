"""Which segments a fold rewrites together with the delta.

1. Those of which more than half is deleted. Their cost is less than that of the deletions before.
2. Small ones (less than half full, and short), smallest first, as long as the next has at most twice the rows gathered
   so far: segments are merged with others of like size, as in a log-structured merge tree. A row's segment grows by
   half each time the row is rewritten: at most log1.5(32,768 / n) times if it came with n others, so about twice for
   those of a fold that 16,384 commits of one row each brought about, and not at all for folds of 131,072 rows. Between
   folds a table keeps at most some ten small segments, each larger than twice the smaller ones together. (Large
   transactions leave a small one each: of more than `FEW`, the smallest are merged although nothing else is.)
3. Where `STACK` or more segments overlap in the primary key, up to `STACK_MOST` of them: keys in random order would
   otherwise have every look-up visit every segment. The stack becomes segments side by side, so a row is rewritten once
   for every STACK - 1 segments that came over it: about log8 of the number of segments, over a table's life.

Limits: 3 is for single-column keys that have a zone map (no texts); one stack a fold.
"""

from __future__ import annotations

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array

SMALL_SEGMENT_BYTES = 8 << 20
FEW = 16
STACK = 8
STACK_MOST = 16


def to_rewrite(version: TableVersion) -> list[int]:
    """Chunk numbers of segments, ascending."""
    segments = version.segment_set.segments
    if not segments:
        return []
    rows = version.segment_set.rows.astype(np.int64)
    visible = rows.copy()
    fresh = version.delta_rows
    for chunk, mask in version.masks.items():
        if chunk < len(segments):
            visible[chunk] -= mask.deleted
        else:
            fresh -= mask.deleted
    short = np.array([segment.byte_count < SMALL_SEGMENT_BYTES for segment in segments])
    chosen = sparse(rows, visible, short, fresh)
    if len(version.primary_key) == 1 and (zones := version.zone_map(version.primary_key[0])) is not None:
        count = len(segments)
        left = zones.has_value[:count] & ~chosen
        chosen[stack(zones.low[:count], zones.high[:count], left)] = True
    return np.flatnonzero(chosen).tolist()


def sparse(rows: Array, visible: Array, short: Array, fresh: int) -> Array:
    """Which segments fall under 1 and 2, `fresh` being the visible rows of the delta."""
    chosen: Array = 2 * visible < rows
    gathered = fresh + int(visible[chosen].sum())
    small = np.flatnonzero((2 * visible < CHUNK_ROWS) & short & ~chosen)
    small = small[np.argsort(visible[small], kind="stable")]
    if len(small) > FEW:
        gathered = max(gathered, int(visible[small[0]]))
    for chunk in small:
        if visible[chunk] > 2 * gathered:
            break
        chosen[chunk] = True
        gathered += int(visible[chunk])
    return chosen


def stack(low: Array, high: Array, considered: Array) -> Array:
    """Numbers of segments under 3: those over the key that most of them overlap, the widest first."""
    there = np.flatnonzero(considered)
    lows, highs = np.sort(low[there]), np.sort(high[there])
    if len(there) < STACK:
        return there[:0]
    depths = np.arange(1, len(there) + 1) - np.searchsorted(highs, lows, "left")
    deepest = int(np.argmax(depths))
    if depths[deepest] < STACK:
        return there[:0]
    key = lows[deepest]
    over = there[(low[there] <= key) & (high[there] >= key)]
    width = high[over].astype(np.float64) - low[over].astype(np.float64)
    widest: Array = over[np.argsort(-width, kind="stable")[:STACK_MOST]]
    return widest
