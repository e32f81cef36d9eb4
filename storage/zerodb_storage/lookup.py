"""Finding rows by key: which rows of a table have one of the given keys.

Every chunk has, per set of key columns, one 64-bit digest per row, computed once and kept as long as the chunk's bytes
(a segment's are sorted, with the rows they belong to). A lookup goes only to chunks whose bounds of the first key
column overlap the keys', finds digests by binary search, and compares the few rows that remain exactly.

    keys --digests--> sorted digests of a chunk --> candidate pairs (key, row) --compare--> (row id, key)

This is what unique keys, foreign keys and ON CONFLICT stand on: no loop over rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from threading import Lock

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import ordering, sketch
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array, Form, Values, concatenate, sorted_distinct, widen

_NULL_DIGEST = np.uint64(0x6A09E667F3BCC909)
CACHE_BYTES_MAX = 256 << 20


class _Digests:
    """Digests of chunks, the least recently used forgotten first."""

    def __init__(self) -> None:
        self._found: OrderedDict[Hashable, tuple[Array, Array | None]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> tuple[Array, Array | None] | None:
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
            return found

    def knows(self, key: Hashable) -> bool:
        return key in self._found

    def put(self, key: Hashable, digests: Array, order: Array | None) -> None:
        with self._lock:
            old = self._found.pop(key, None)
            self._bytes -= _byte_count(old)
            self._found[key] = (digests, order)
            self._bytes += _byte_count(self._found[key])
            while self._bytes > CACHE_BYTES_MAX and len(self._found) > 1:
                self._bytes -= _byte_count(self._found.popitem(last=False)[1])


def _byte_count(entry: tuple[Array, Array | None] | None) -> int:
    if entry is None:
        return 0
    return entry[0].nbytes + (entry[1].nbytes if entry[1] is not None else 0)


_cache = _Digests()


def matches(
    version: TableVersion,
    columns: Sequence[int],
    keys: Sequence[Values],
    *,
    first_only: bool = False,
    nulls_equal: bool = True,
) -> tuple[Array, Array]:
    """(row ids, key numbers) of all pairs of a visible row and a key that are equal in all columns, in no order; with
    `first_only` those of the first chunk that has any. `keys` has one `Values` per column, text as TEXT."""
    if len(keys[0]) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if not nulls_equal and any(values.validity is not None for values in keys):
        present = np.flatnonzero(np.logical_and.reduce([v.validity for v in keys if v.validity is not None]))
        ids, numbers = matches(version, columns, [v.take(present) for v in keys], first_only=first_only)
        return ids, present[numbers]
    digests = digests_of(keys)
    found_rows: list[Array] = []
    found_keys: list[Array] = []
    for chunk in _overlapping(version, columns[0], keys[0]):
        rows, numbers = _in_chunk(version, columns, keys, digests, chunk)
        if len(rows):
            found_rows.append(rows + np.int64(chunk) * CHUNK_ROWS)
            found_keys.append(numbers)
            if first_only:
                break
    if not found_rows:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(found_rows), np.concatenate(found_keys)


def prepare(base: TableVersion, version: TableVersion, fresh: Sequence[int]) -> None:
    """Finds out the digests of new segments of `version` (chunks `fresh`) for the keys that were looked up in what they
    replace of `base`."""
    replaced = {found.serial for found in base.segment_set.segments}
    replaced -= {found.serial for found in version.segment_set.segments}
    old = [("segment", serial) for serial in replaced] + [("delta", chunk.serial) for chunk in base.delta_chunks]
    for columns in (version.primary_key, *(key.columns for key in version.constraints.uniques)):
        slots = tuple(version.columns[column].slot for column in columns)
        if columns and any(_cache.knows((*source, slots)) for source in old):
            for chunk in fresh:
                _chunk_digests(version, columns, chunk)


def present(version: TableVersion, columns: Sequence[int], keys: Sequence[Values]) -> Array:
    """Per key, whether some visible row has it."""
    found = np.zeros(len(keys[0]), np.bool_)
    found[matches(version, columns, keys)[1]] = True
    return found


def digests_of(columns: Sequence[Values]) -> Array:
    """One 64-bit number per row: equal keys have equal numbers, NULLs too."""
    mixed: Array = np.zeros(len(columns[0]), np.uint64)
    for values in columns:
        # INT and WIDE columns of the same type must agree, so integers are digested as WIDE.
        plain = Values(values.form, values.data, None, values.text)
        words = sketch.words(widen(plain) if plain.form is Form.INT else plain)
        if values.validity is not None:
            words = np.where(values.validity != 0, words, _NULL_DIGEST)
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + words
    return mixed


def partition_digests(columns: Sequence[Values]) -> Array:
    """What HASH partitions divide by their modulus, for each row of a key's columns."""
    mixed = digests_of(columns)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    spread: Array = mixed >> np.uint64(17)
    return spread


def partition_digest(key: Sequence[int | str]) -> int:
    """That of one key of canonical integers and texts."""
    columns: list[Values] = []
    for value in key:
        if isinstance(value, str):
            text = value.encode()
            columns.append(Values(Form.TEXT, np.array([0, len(text)]), None, np.frombuffer(text, np.uint8)))
        else:
            low = value & ((1 << 64) - 1)
            pair = np.array([[low - (1 << 64) if low >> 63 else low, value >> 64]], np.int64)
            columns.append(Values(Form.WIDE, pair))
    return int(partition_digests(columns)[0])


def all_values(version: TableVersion, column: int) -> Values:
    """A column of all visible rows, chunk after chunk, text as TEXT."""
    parts: list[Values] = []
    for chunk in range(version.chunk_count):
        values = version.as_text(version.read(chunk, column), column)
        visible = version.visibility(chunk)
        parts.append(values if visible is None else values.take(np.flatnonzero(visible[1])))
    if not parts:
        from zerodb_storage.altering import absent

        return absent(version.columns[column], 0)
    return concatenate(parts)


def all_row_ids(version: TableVersion) -> Array:
    """Row ids of all visible rows, in the order of `all_values`."""
    parts: list[Array] = []
    for chunk in range(version.chunk_count):
        visible = version.visibility(chunk)
        rows = np.arange(int(version.chunk_rows[chunk])) if visible is None else np.flatnonzero(visible[1])
        parts.append(rows.astype(np.int64) + np.int64(chunk) * CHUNK_ROWS)
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def values_at(version: TableVersion, column: int, row_ids: Array) -> Values:
    """The values of a column in the given rows, in that order, text as TEXT."""
    if len(row_ids) == 0:
        return all_values(version, column).slice(0, 0)
    chunks = row_ids // CHUNK_ROWS
    order = np.argsort(chunks, kind="stable")
    ordered = row_ids[order]
    parts: list[Values] = []
    for chunk in sorted_distinct(chunks):
        begin, end = np.searchsorted(chunks[order], [chunk, chunk + 1])
        values = version.as_text(version.read(int(chunk), column), column)
        parts.append(values.take(ordered[begin:end] - chunk * CHUNK_ROWS))
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.arange(len(order))
    return concatenate(parts).take(inverse)


def have(version: TableVersion, column: int, row_ids: Array, values: Values) -> Array:
    """For each row, whether it has that value in the column; a NULL is one, too."""
    return _equal(values_at(version, column, row_ids), values)


def _overlapping(version: TableVersion, column: int, first: Values) -> list[int]:
    zones = version.zone_map(column)
    bounds = first.bounds()
    if zones is None or bounds is None or first.validity is not None:
        return list(range(version.chunk_count))
    low, high = bounds
    if first.form is not Form.FLOAT:
        # Zones are saturated at the ends of 64 bits, so the bounds have to be: both may lie beyond one end (uuid).
        low, high = (max(-(1 << 63), min((1 << 63) - 1, bound)) for bound in bounds)
    return [int(chunk) for chunk in np.flatnonzero(zones.has_value & ~(zones.high < low) & ~(zones.low > high))]


def _in_chunk(
    version: TableVersion, columns: Sequence[int], keys: Sequence[Values], digests: Array, chunk: int
) -> tuple[Array, Array]:
    there, order = _chunk_digests(version, columns, chunk)
    if order is not None and len(digests) * 8 < len(there):
        rows, numbers = _by_search(there, order, digests)
    else:
        rows, numbers = _by_merge(there, order, digests)
    visible = version.visibility(chunk)
    if visible is not None and len(rows):
        keep = visible[1][rows] != 0
        rows, numbers = rows[keep], numbers[keep]
    if len(rows) == 0:
        return rows, numbers
    equal = np.ones(len(rows), np.bool_)
    for column, wanted in zip(columns, keys, strict=True):
        known = version.as_text(version.read(chunk, column), column).take(rows)
        equal &= _equal(known, wanted.take(numbers))
    return rows[equal], numbers[equal]


def _by_search(there: Array, order: Array, digests: Array) -> tuple[Array, Array]:
    """Few keys: binary search of each in the chunk's sorted digests."""
    begins = np.searchsorted(there, digests, "left")
    counts = np.searchsorted(there, digests, "right") - begins
    return order[_spans(begins, counts)], np.repeat(np.arange(len(digests)), counts)


def _by_merge(there: Array, order: Array | None, digests: Array) -> tuple[Array, Array]:
    """Many keys, or an unsorted chunk: its digests among the sorted ones of the keys."""
    key_order = np.argsort(digests, kind="stable")
    sorted_keys = digests[key_order]
    begins = np.searchsorted(sorted_keys, there, "left")
    near = np.minimum(begins, len(sorted_keys) - 1)
    hits = np.flatnonzero(sorted_keys[near] == there)
    counts = np.searchsorted(sorted_keys, there[hits], "right") - begins[hits]
    rows = np.repeat(hits if order is None else order[hits], counts)
    return rows.astype(np.int64), key_order[_spans(begins[hits], counts)]


def _spans(begins: Array, counts: Array) -> Array:
    """begins[0] .. begins[0] + counts[0] - 1, begins[1] .., one after another."""
    total = int(counts.sum())
    starts = np.cumsum(counts) - counts
    spans: Array = np.arange(total) - np.repeat(starts - begins, counts)
    return spans


def _equal(a: Values, b: Values) -> Array:
    if a.form is Form.TEXT:
        both = concatenate([Values(a.form, a.data, None, a.text), Values(b.form, b.data, None, b.text)])
        (ranks,) = ordering.sort_keys(both)
        same: Array = ranks[: len(a)] == ranks[len(a) :]
    elif Form.WIDE in (a.form, b.form):
        same = np.all(widen(Values(a.form, a.data)).data == widen(Values(b.form, b.data)).data, axis=1)
    else:
        same = a.data == b.data
        if a.form is Form.FLOAT:
            same |= np.isnan(a.data) & np.isnan(b.data)
    if a.validity is None and b.validity is None:
        return same
    here = np.ones(len(a), np.bool_) if a.validity is None else a.validity != 0
    wanted = np.ones(len(b), np.bool_) if b.validity is None else b.validity != 0
    equal: Array = (here == wanted) & (same | ~here)
    return equal


def _chunk_digests(version: TableVersion, columns: Sequence[int], chunk: int) -> tuple[Array, Array | None]:
    """(digests, rows they belong to); None for the rows: digest i is row i's."""
    slots = tuple(version.columns[column].slot for column in columns)
    segments = version.segment_set.segments
    if chunk < len(segments):
        key: Hashable = ("segment", segments[chunk].serial, slots)
        found = _cache.get(key)
        if found is None:
            digests = digests_of([version.as_text(version.read(chunk, column), column) for column in columns])
            order = np.argsort(digests, kind="stable").astype(np.int32)
            found = digests[order], order
            _cache.put(key, *found)
        return found
    delta_chunk = version.delta_chunks[chunk - len(segments)]
    key = ("delta", delta_chunk.serial, slots)
    known = _cache.get(key)
    start = 0 if known is None else len(known[0])
    if known is not None and start >= delta_chunk.rows:
        return known[0][: delta_chunk.rows], None
    fresh = digests_of([version.as_text(version.read(chunk, column, start), column) for column in columns])
    digests = fresh if known is None else np.concatenate((known[0], fresh))
    _cache.put(key, digests, None)
    return digests, None
