"""Secondary indexes: sorted runs of (key columns, row), which give the rows that a lookup has to look at.

    piece    an immutable range of rows: a segment, or 4,096 rows of a delta chunk (those rows never change again)
    run      the rows of some pieces sorted by the key columns; built when first wanted, kept while the table lives
    cover    for one table version: runs that together hold all its pieces, and the rows no piece has yet (tails)

A commit adds pieces, not work: new pieces get a run of their own, which takes in the smaller runs as it is built, so
there are few (a log-structured merge). Runs are not told of deleted rows, and rows with NULL in a later key column are
sorted as if it were 0 or '': a lookup gives *candidates*, whose predicates are evaluated again and whose visibility is
looked at by the scan. Rows with NULL in the first key column are in no run.

Runs are NumPy arrays, about 8 bytes a row and key column, beside the memory limit of the database; they are not stored
but built again after a restart. Building one takes about 0.1 us a row, as much as some hundred scans of the column, so
the caller says how much scanning is worth it (`patience`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow.compute as pc

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage.values import Array, Form, Values, as_binary, binary_buffers, concatenate, narrow, widen

if TYPE_CHECKING:
    from zerodb_storage.table import TableHandle, TableVersion

PIECE_ROWS = 4096
RUNS_MOST = 8
KeyValue = int | float | str | bytes


@dataclass(frozen=True, slots=True)
class Search:
    """Rows whose first key columns have the values `equal`, and whose next one lies within `low` and `high`, both
    inclusive unless `open`, None for no bound."""

    equal: tuple[KeyValue, ...]
    low: KeyValue | None = None
    high: KeyValue | None = None
    open_low: bool = False
    open_high: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    key: Hashable
    chunk: int
    begin: int
    end: int


class _Texts:
    """Distinct strings in the order of their bytes, as a sequence for bisect."""

    __slots__ = ("_bytes", "_offsets")

    def __init__(self, offsets: Array, text: Array) -> None:
        self._offsets, self._bytes = offsets, np.ascontiguousarray(text).tobytes()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, place: int) -> bytes:
        return self._bytes[self._offsets[place] : self._offsets[place + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """A key column in a run's order: ascending among rows that agree in the columns before. Strings are given by
    their places in `texts`, 128-bit integers as 16 big-endian bytes."""

    data: Array
    texts: _Texts | None

    def place(self, begin: int, end: int, value: KeyValue, side: Any) -> int:
        """As np.searchsorted, between begin and end."""
        data, dtype = self.data, self.data.dtype
        needle: Any
        if self.texts is not None:
            key = value.encode() if isinstance(value, str) else value
            needle = dtype.type((bisect_left if side == "left" else bisect_right)(self.texts, key))
            side = "left"
        elif dtype.kind == "S":
            assert isinstance(value, int)
            needle = ((value + (1 << 127)) & ((1 << 128) - 1)).to_bytes(16, "big")
        elif dtype.kind == "i":
            bounds = np.iinfo(dtype)
            if not bounds.min <= value <= bounds.max:  # type: ignore[operator]
                return end if value > 0 else begin  # type: ignore[operator]
            needle = dtype.type(value)
        else:
            needle = dtype.type(value)
        return begin + int(data[begin:end].searchsorted(needle, side))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """`rows`: number of the piece, times 65,536, plus the row in its chunk."""

    pieces: tuple[_Piece, ...]
    columns: tuple[_Column, ...]
    rows: Array

    def span(self, search: Search) -> tuple[int, int]:
        """Which of the rows `search` finds."""
        begin, end = 0, len(self.rows)
        for column, value in zip(self.columns, search.equal, strict=False):
            begin, end = column.place(begin, end, value, "left"), column.place(begin, end, value, "right")
            if begin == end:
                return begin, end
        if search.low is not None or search.high is not None:
            column = self.columns[len(search.equal)]
            sides = "right" if search.open_low else "left", "left" if search.open_high else "right"
            first = begin if search.low is None else column.place(begin, end, search.low, sides[0])
            last = end if search.high is None else column.place(begin, end, search.high, sides[1])
            return first, max(first, last)
        return begin, end


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """`runs`, each with the chunks of its pieces in this version (-1: not in it), and the row ids of the tails."""

    runs: tuple[tuple[_Run, Array], ...]
    tails: Array

    def candidates(self, searches: Sequence[Search], most: int) -> Array | None:
        """Row ids, ascending, without duplicates; None if there are more than `most`."""
        total = len(self.tails)
        found: list[Array] = [self.tails]
        for run, chunks in self.runs:
            for search in searches:
                begin, end = run.span(search)
                total += end - begin
                if total > most:
                    return None
                if begin < end:
                    rows = run.rows[begin:end]
                    here = chunks[rows >> 16]
                    ids = (here << 16) | (rows & 0xFFFF)
                    found.append(ids if bool((here >= 0).all()) else ids[here >= 0])
        ids = np.concatenate(found)
        if len(searches) > 1:
            return np.unique(ids)
        ids.sort()
        return ids

    def first(self, version: TableVersion, search: Search, wanted: int, descending: bool) -> Array:
        """Row ids, ascending, among which are the first `wanted` visible rows, in the order of the key, that `search`
        finds (the last, with `descending`)."""
        found: list[Array] = [self.tails]
        for run, chunks in self.runs:
            begin, end = run.span(search)
            left, step = wanted, max(wanted, 16)
            while left > 0 and begin < end:  # deleted rows are in the runs still
                if descending:
                    rows, end = run.rows[max(begin, end - step) : end], end - step
                else:
                    rows, begin = run.rows[begin : min(end, begin + step)], begin + step
                here = chunks[rows >> 16]
                ids = ((here << 16) | (rows & 0xFFFF))[here >= 0]
                ids = ids[version.are_visible(ids)]
                found.append(ids)
                left, step = left - len(ids), 4 * step
        ids = np.concatenate(found)
        ids.sort()
        return ids


class _Index:
    """The runs over one list of columns of one table. `scanned`: rows that were scanned for want of a run."""

    __slots__ = ("lock", "runs", "scanned")

    def __init__(self) -> None:
        self.lock = Lock()
        self.runs: tuple[_Run, ...] = ()
        self.scanned = 0


_indexes: WeakKeyDictionary[TableHandle, dict[tuple[int, ...], _Index]] = WeakKeyDictionary()
_lock = Lock()


def cover(version: TableVersion, columns: tuple[int, ...], scanned: int, patience: float) -> Cover | None:
    """The cover of a version; None while building what it lacks would not pay: then the caller scans `scanned` rows,
    and a run is built once that came to `patience` times its rows."""
    slots = tuple(version.columns[column].slot for column in columns)
    found = version.index_covers.get(slots)
    if found is not None:
        return found
    with _lock:
        index = _indexes.setdefault(version.handle, {}).setdefault(slots, _Index())
    with index.lock:
        pieces, tails = _pieces(version)
        known = {piece.key for run in index.runs for piece in run.pieces}
        missing = [piece for piece in pieces if piece.key not in known]
        if missing:
            index.scanned += scanned
            if index.scanned < patience * sum(piece.end - piece.begin for piece in missing):
                return None
            index.scanned = 0
            index.runs = _with_run(version, columns, index.runs, pieces, missing)
        found = _cover(index.runs, pieces, tails)
    version.index_covers[slots] = found
    return found


def prepare(version: TableVersion, fresh: Sequence[int]) -> None:
    """Builds runs of new segments (chunks `fresh`) of a version that is about to be published, for each index that has
    runs, so that a look-up after that finds none missing."""
    with _lock:
        indexes = list(_indexes.get(version.handle, {}).items())
    places = {column.slot: number for number, column in enumerate(version.columns)}
    segments = version.segment_set.segments
    pieces = [_Piece(("segment", segments[chunk].serial), chunk, 0, segments[chunk].rows) for chunk in fresh]
    for slots, index in indexes:
        if pieces and index.runs and all(slot in places for slot in slots):
            run = _build(version, tuple(places[slot] for slot in slots), pieces)
            with index.lock:
                index.runs = (*index.runs, run)


def settle(version: TableVersion) -> None:
    """After segments of a table were replaced: forgets runs that no piece of `version` is in, and builds one of the
    smallest where there are many."""
    with _lock:
        indexes = list(_indexes.get(version.handle, {}).items())
    places = {column.slot: number for number, column in enumerate(version.columns)}
    pieces, _ = _pieces(version)
    live = {piece.key for piece in pieces}
    for slots, index in indexes:
        before = index.runs
        runs = sorted((run for run in before if any(p.key in live for p in run.pieces)), key=lambda run: len(run.rows))
        if len(runs) > RUNS_MOST and all(slot in places for slot in slots):
            first = {piece.key for piece in runs[0].pieces}
            missing = [piece for piece in pieces if piece.key in first]
            runs = list(_with_run(version, tuple(places[slot] for slot in slots), runs[1:], pieces, missing))
        if len(runs) < len(before):
            with index.lock:
                if index.runs is before:
                    index.runs = tuple(runs)


def _pieces(version: TableVersion) -> tuple[list[_Piece], Array]:
    """All pieces of a version, and the ids of the rows in none."""
    pieces = [
        _Piece(("segment", segment.serial), chunk, 0, segment.rows)
        for chunk, segment in enumerate(version.segment_set.segments)
    ]
    tails: list[Array] = [np.empty(0, np.int64)]
    for chunk, fresh in enumerate(version.delta_chunks, len(pieces)):
        whole = fresh.rows - fresh.rows % PIECE_ROWS
        pieces += [
            _Piece(("delta", fresh.serial, begin), chunk, begin, begin + PIECE_ROWS)
            for begin in range(0, whole, PIECE_ROWS)
        ]
        tails.append(np.arange(chunk * CHUNK_ROWS + whole, chunk * CHUNK_ROWS + fresh.rows, dtype=np.int64))
    return pieces, np.concatenate(tails)


def _with_run(
    version: TableVersion,
    columns: tuple[int, ...],
    runs: Sequence[_Run],
    pieces: Sequence[_Piece],
    missing: Sequence[_Piece],
) -> tuple[_Run, ...]:
    """With a run more for what is missing, which takes in the runs that are smaller than twice what it has, and those
    of which little is left."""
    live = {piece.key: piece for piece in pieces}
    kept: list[_Run] = []
    taken = list(missing)
    count = sum(piece.end - piece.begin for piece in taken)
    for run in sorted(runs, key=lambda run: len(run.rows)):
        alive = [live[piece.key] for piece in run.pieces if piece.key in live]
        rows = sum(piece.end - piece.begin for piece in alive)
        if rows <= 2 * count or 2 * rows < len(run.rows):
            taken += alive
            count += rows
        else:
            kept.append(run)
    return (*kept, *(_build(version, columns, taken[at : at + 65_536]) for at in range(0, len(taken), 65_536)))


def _cover(runs: Sequence[_Run], pieces: Sequence[_Piece], tails: Array) -> Cover:
    chunks = {piece.key: piece.chunk for piece in pieces}
    used: list[tuple[_Run, Array]] = []
    for run in runs:
        places = np.array([chunks.pop(piece.key, -1) for piece in run.pieces], np.int64)
        if bool((places >= 0).any()):
            used.append((run, places))
    assert not chunks, "a piece is in no run"
    return Cover(tuple(used), tails)


def _build(version: TableVersion, columns: tuple[int, ...], pieces: Sequence[_Piece]) -> _Run:
    rows = np.concatenate(
        [
            np.arange(piece.begin, piece.end, dtype=np.uint32) | np.uint32(number << 16)
            for number, piece in enumerate(pieces)
        ]
    )
    read = [[_read(version, column, piece) for piece in pieces] for column in columns]
    keys: list[Array] = []
    texts: list[_Texts | None] = []
    present: Array | None = None
    for number, (column, parts) in enumerate(zip(columns, read, strict=True)):
        data, found, validity = _key(version, column, parts)
        keys.append(data)
        texts.append(found)
        if number == 0 and validity is not None:
            present = np.flatnonzero(validity)
    if present is not None:
        rows, keys = rows[present], [key[present] for key in keys]
    order = np.argsort(keys[0]) if len(keys) == 1 else np.lexsort(tuple(reversed(keys)))
    return _Run(
        tuple(pieces),
        tuple(_Column(key[order], found) for key, found in zip(keys, texts, strict=True)),
        rows[order],
    )


def _read(version: TableVersion, column: int, piece: _Piece) -> Values:
    values = version.read(piece.chunk, column, piece.begin)
    length = piece.end - piece.begin
    return values if len(values) == length else values.slice(0, length)


def _key(version: TableVersion, column: int, parts: Sequence[Values]) -> tuple[Array, _Texts | None, Array | None]:
    """(what is sorted, its strings, validity) of a key column."""
    if not version.columns[column].type.is_variable:
        values = narrow(concatenate(parts))
        return _number_key(values), None, values.validity
    if all(part.form is Form.CODES for part in parts):
        values = concatenate(parts)
        offsets, text = version.dictionaries[column].strings_as_buffers()
        size = version.dictionaries[column].size
        distinct = as_binary(Values(Form.TEXT, offsets[: size + 1].astype(np.int64), None, text))
        codes = values.data
    else:
        values = concatenate([version.as_text(part, column) for part in parts])
        encoded = as_binary(values).dictionary_encode()
        distinct, codes = encoded.dictionary, encoded.indices.to_numpy()
    order = pc.sort_indices(distinct).to_numpy()
    ranks = np.empty(max(len(order), 1), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    offsets, text = binary_buffers(distinct.take(order))
    return ranks[codes], _Texts(offsets, text), values.validity


def _number_key(values: Values) -> Array:
    if values.form is Form.FLOAT:
        return values.data.astype(np.float64)
    if values.form is Form.WIDE:
        pairs = widen(values).data
        both = np.empty(pairs.shape, ">u8")
        both[:, 0] = pairs[:, 1].view(np.uint64) ^ np.uint64(1 << 63)
        both[:, 1] = pairs[:, 0].view(np.uint64)
        return both.view("S16").reshape(-1)
    bounds = values.bounds()
    if bounds is None or (bounds[0] >= -(1 << 31) and bounds[1] < 1 << 31):
        return values.data.astype(np.int32)
    return values.data.astype(np.int64)
