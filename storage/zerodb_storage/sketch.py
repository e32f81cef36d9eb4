"""How many distinct values: a k-minimum-values sketch (Bar-Yossef et al., 2002).

Every value is hashed to 32 bits; the sketch is the k smallest distinct hashes. If fewer than k exist the count is exact
(but for collisions); otherwise the k-th smallest says how dense they lie. Sketches merge by union, so a segment's
header carries one per column. With k = 64 the standard error is about 13 %, enough for join ordering.

Strings are hashed by their length and three 8-byte windows (first, middle, last), not whole: cheap, and only equal
windows of different strings are miscounted.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zerodb_storage.values import Array, Form, Values, sorted_distinct

K = 64
_HASHES = 1 << 32
_SMALL_SPREAD = 1 << 17
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_2 = np.uint64(0xD6E8FEB86659FD93)


def _hashed(words: Array) -> Array:
    mixed = (words ^ (words >> np.uint64(32))) * _MULTIPLIER
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MULTIPLIER_2
    hashes: Array = (mixed >> np.uint64(32)).astype(np.uint32)
    return hashes


def _text_words(values: Values) -> Array:
    """A 64-bit digest per string, from its length and three windows of it."""
    assert values.text is not None
    padded = np.zeros(len(values.text) + 16, np.uint8)
    padded[8 : 8 + len(values.text)] = values.text
    windows = np.lib.stride_tricks.as_strided(padded[8:].view(np.uint8), (len(values.text) + 1, 8), (1, 1))
    starts, ends = values.data[:-1], values.data[1:]
    lengths = ends - starts
    last = np.maximum(starts, ends - 8)
    digest = lengths.astype(np.uint64) * _MULTIPLIER_2
    for at in (starts, (starts + last) >> 1, last):
        window = windows[at].view(np.uint64).reshape(-1)
        short = np.minimum(ends - at, 8).astype(np.uint64)
        low_bytes = (np.uint64(1) << (short * np.uint64(8) % np.uint64(64))) - np.uint64(1)
        keep = np.where(short >= 8, ~np.uint64(0), low_bytes)
        digest = (digest ^ (window & keep)) * _MULTIPLIER
        digest ^= digest >> np.uint64(31)
    return digest


def words(values: Values) -> Array:
    """A 64-bit digest per present value; equal values have equal digests, different ones almost always different."""
    match values.form:
        case Form.TEXT:
            found = _text_words(values)
        case Form.WIDE:
            found = (values.data[:, 0] ^ (values.data[:, 1] * np.int64(-7046029254386353131))).view(np.uint64)
        case Form.FLOAT:
            found = np.ascontiguousarray(values.data.astype(np.float64) + 0.0).view(np.uint64)
        case Form.INT | Form.CODES:
            found = np.ascontiguousarray(values.data.astype(np.int64, copy=False)).view(np.uint64)
    return found if values.validity is None else found[values.validity != 0]


def sketch(values: Values, bounds: tuple[int, int] | None = None) -> Array:
    """The sketch of a column: sorted uint32 hashes, at most K."""
    if len(values) == 0:
        return np.empty(0, np.uint32)
    if bounds is not None and values.form is not Form.WIDE and bounds[1] - bounds[0] < _SMALL_SPREAD:
        data = values.data if values.validity is None else values.data[values.validity != 0]
        seen = np.zeros(bounds[1] - bounds[0] + 1, np.bool_)
        seen[data - bounds[0]] = True
        digests: Array = (np.flatnonzero(seen) + bounds[0]).view(np.uint64)
    else:
        digests = words(values)
    hashes = _hashed(digests)
    # Most hashes cannot be among the K smallest distinct ones; look at a twentieth of the range first.
    few = hashes[hashes < _HASHES // 20] if len(hashes) > 40 * K else hashes
    found = sorted_distinct(few)
    if len(found) < K and len(few) < len(hashes):
        found = sorted_distinct(hashes)
    return found[:K]


def merge(sketches: Iterable[Array]) -> Array:
    parts = [part for part in sketches if len(part)]
    return sorted_distinct(np.concatenate(parts))[:K] if parts else np.empty(0, np.uint32)


def estimate(merged: Array) -> int:
    """The number of distinct values a sketch stands for."""
    if len(merged) < K:
        return len(merged)
    return int((K - 1) * _HASHES / (int(merged[K - 1]) + 1))
