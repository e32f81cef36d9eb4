"""The delta: committed (or a transaction's own) rows that are in no segment yet.

A chunk's buffers only ever grow at their end, so a version is the buffers and a row count: readers of an older version
never see a byte change. Like a slice in Go: whoever appends right behind the last used row does so in place; a version
that was branched off earlier (after a rollback) copies first.

    buffers   [ r0 r1 r2 r3 r4 r5 .  .  . ]   used = 6
    version A  ^-----------^ rows = 4          appending to A copies (row 4 belongs to B)
    version B  ^-----------------^ rows = 6    appending to B is in place
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import sketch
from zerodb_storage.segment import ColumnFacts, facts_of
from zerodb_storage.values import Array, Form, Values, widen

_serials = itertools.count(1)
_ROWS_MIN = 64
_TEXT_BYTES_MIN = 1024
CHUNK_TEXT_BYTES_MAX = 1 << 28  # a chunk's strings must stay addressable next to everything else in a 4 GiB memory


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """`data` is None for wide values; `room` rows have a place."""

    arrays: Values
    data: Any
    validity: memoryview | None
    text: memoryview | None
    room: int


class _ColumnBuffer:
    """One column of a chunk. `arrays` is replaced as a whole when it grows, so a reader takes a consistent set."""

    __slots__ = ("_cells", "arrays")

    def __init__(self, first: Values) -> None:
        """Empty, of the form of `first`."""
        self._cells: _Cells | None = None
        if first.form is Form.TEXT:
            self.arrays = Values(Form.TEXT, np.zeros(1, np.int64), None, np.empty(0, np.uint8))
        else:
            self.arrays = Values(first.form, np.empty((0, *first.data.shape[1:]), first.data.dtype))

    def view(self, begin: int, end: int) -> Values:
        """Rows begin..end-1. A validity array may come even if no value is NULL."""
        arrays = self.arrays
        validity = None if arrays.validity is None else arrays.validity[begin:end]
        if arrays.form is not Form.TEXT:
            return Values(arrays.form, arrays.data[begin:end], validity)
        assert arrays.text is not None
        first, last = int(arrays.data[begin]), int(arrays.data[end])
        return Values(Form.TEXT, arrays.data[begin : end + 1] - first, validity, arrays.text[first:last])

    def cells(self) -> _Cells:
        """The arrays as memory views, whose items cost a fraction of an array's."""
        cells, arrays = self._cells, self.arrays
        if cells is None or cells.arrays is not arrays:
            room = len(arrays.data) - (arrays.form is Form.TEXT)
            validity = None if arrays.validity is None else arrays.validity.data
            if validity is not None:
                room = min(room, len(validity))
            text = None if arrays.text is None else arrays.text.data
            data = arrays.data.data if arrays.data.ndim == 1 else None
            cells = self._cells = _Cells(arrays, data, validity, text, room)
        return cells

    def text_bytes(self, rows: int) -> int:
        return int(self.arrays.data[rows]) if self.arrays.form is Form.TEXT else 0

    def append(self, values: Values, used: int) -> None:
        arrays = self.arrays
        if values.form is Form.WIDE and arrays.form is Form.INT:
            arrays = widen(arrays)
        elif values.form is Form.INT and arrays.form is Form.WIDE:
            values = widen(values)
        assert values.form is arrays.form
        count = len(values)
        extra = 1 if values.form is Form.TEXT else 0
        data = _room(arrays.data, used + extra, count, _ROWS_MIN)
        validity, text = arrays.validity, arrays.text
        if values.form is Form.TEXT:
            assert values.text is not None
            assert text is not None
            text_used = int(data[used])
            text = _room(text, text_used, len(values.text), _TEXT_BYTES_MIN)
            text[text_used : text_used + len(values.text)] = values.text
            np.add(values.data[1:], text_used, out=data[used + 1 : used + 1 + count])
        else:
            data[used : used + count] = values.data
        if validity is not None or values.validity is not None:
            if validity is None:
                validity = np.ones(len(data), np.uint8)
            validity = _room(validity, used, count, _ROWS_MIN)
            validity[used : used + count] = 1 if values.validity is None else values.validity
        self.arrays = Values(values.form, data, validity, text)


def _room(array: Array, used: int, more: int, minimum: int) -> Array:
    """The array itself if `more` items fit behind the used ones, else a larger copy."""
    if used + more <= len(array):
        return array
    larger = np.empty((max(minimum, used + more, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger


class _ChunkBuffer:
    __slots__ = ("columns", "serial", "sketched", "used")

    def __init__(self, batch: Sequence[Values]) -> None:
        self.serial = next(_serials)
        self.used = 0
        self.columns = [_ColumnBuffer(values) for values in batch]
        self.sketched: tuple[int, tuple[Array, ...]] = (0, ())

    def append(self, batch: Sequence[Values]) -> None:
        for buffer, values in zip(self.columns, batch, strict=True):
            buffer.append(values, self.used)
        self.used += len(batch[0])


@dataclass(frozen=True, slots=True, eq=False)
class DeltaChunk:
    """One version of one chunk of the delta."""

    buffer: _ChunkBuffer
    rows: int
    facts: tuple[ColumnFacts, ...]

    @property
    def serial(self) -> int:
        """Identity of the growing chunk: equal serials agree in all rows both have."""
        return self.buffer.serial

    def view(self, column: int, start: int = 0) -> Values:
        values = self.buffer.columns[column].view(start, self.rows)
        if values.form is Form.WIDE and not _is_wide(self.facts[column]):
            # A later append widened the shared buffer; this version's layout knows of 64 bits only.
            values = Values(Form.INT, np.ascontiguousarray(values.data[:, 0]), values.validity)
        if values.validity is not None and (self.facts[column].null_count == 0 or values.validity.all()):
            return Values(values.form, values.data, None, values.text)
        return values

    def sketches(self) -> tuple[Array, ...]:
        """Distinct-value sketches, recomputed only after the chunk grew by a quarter."""
        rows, found = self.buffer.sketched
        if not found or self.rows > rows + rows // 4 or self.rows < rows:
            found = tuple(sketch.sketch(self.view(column)) for column in range(len(self.buffer.columns)))
            self.buffer.sketched = (self.rows, found)
        return found


def _is_wide(facts: ColumnFacts) -> bool:
    """Whether a value does not fit 64 bits."""
    return facts.bounds is not None and not -(1 << 63) <= facts.bounds[0] <= facts.bounds[1] < 1 << 63


def append(chunks: tuple[DeltaChunk, ...], batch: Sequence[Values]) -> tuple[DeltaChunk, ...]:
    """The delta with the rows of a batch (one `Values` per column, all of the same length) behind it."""
    grown = list(chunks)
    total = len(batch[0])
    begin = 0
    while begin < total:
        if not grown or _is_full(grown[-1]) or not _same_forms(grown[-1], batch):
            grown.append(DeltaChunk(_ChunkBuffer(batch), 0, tuple(ColumnFacts(0, None) for _ in batch)))
        tail = grown[-1]
        end = _end(tail, batch, begin, min(total, begin + CHUNK_ROWS - tail.rows))
        part = batch if end - begin == total else [values.slice(begin, end) for values in batch]
        grown[-1] = _appended(tail, part)
        begin = end
    return tuple(grown)


Row = Sequence[int | float | bytes | None]


def append_rows(chunks: tuple[DeltaChunk, ...], rows: Sequence[Row]) -> tuple[DeltaChunk, ...] | None:
    """The delta with a few rows of canonical values (text as bytes, codes for strings of dictionaries) behind it,
    written in place; None where that is not possible: there `append` makes room."""
    if not chunks:
        return None
    tail = chunks[-1]
    buffer, used = tail.buffer, tail.rows
    if buffer.used != used or used + len(rows) > CHUNK_ROWS:
        return None
    facts = []
    for column, known, values in zip(buffer.columns, tail.facts, zip(*rows, strict=True), strict=True):
        found = _put(column.cells(), used, values, known)
        if found is None:  # what the columns before have got behind the last row is nobody's
            return None
        facts.append(found)
    buffer.used = used + len(rows)
    return (*chunks[:-1], DeltaChunk(buffer, buffer.used, tuple(facts)))


def _put(cells: _Cells, used: int, values: Row, known: ColumnFacts) -> ColumnFacts | None:
    """Writes values behind the `used` ones; what is then known of the column, or None if they have no place there."""
    data, validity, form = cells.data, cells.validity, cells.arrays.form
    if data is None or used + len(values) > cells.room:
        return None
    nulls = 0
    if None in values:
        if validity is None:
            return None
        nulls = values.count(None)
    if validity is not None:
        for place, value in enumerate(values, used):
            validity[place] = value is not None
    if form is Form.TEXT:
        written = _put_texts(cells, data, used, values)
        return None if not written else ColumnFacts(known.null_count + nulls, known.bounds) if nulls else known
    try:
        for place, value in enumerate(values, used):
            data[place] = 0 if value is None else value
    except (TypeError, ValueError, OverflowError):  # of another text mode than the chunk, or wider than its values
        return None
    present = values if not nulls else [value for value in values if value is not None]
    if form is Form.CODES or not present:
        return ColumnFacts(known.null_count + nulls, known.bounds) if nulls else known
    return _facts_with(known, nulls, present, form)


def _put_texts(cells: _Cells, data: Any, used: int, values: Row) -> bool:
    text = cells.text
    assert text is not None
    end = data[used]
    for place, value in enumerate(values, used + 1):
        if value is not None:
            if not isinstance(value, bytes):
                return False  # of another text mode than the chunk
            start, end = end, end + len(value)
            if end > len(text) or end > CHUNK_TEXT_BYTES_MAX:
                return False
            text[start:end] = value
        data[place] = end
    return True


def _facts_with(known: ColumnFacts, nulls: int, present: Sequence[Any], form: Form) -> ColumnFacts:
    """What is known with these values, too."""
    if form is Form.FLOAT:  # as Values.bounds: a NaN is the greatest
        numbers = [value for value in present if value == value]
        low = float(min(numbers)) if numbers else -math.inf
        return known.merged(
            ColumnFacts(nulls, (low, float(max(numbers)) if len(numbers) == len(present) else math.nan))
        )
    low, high = min(present), max(present)
    bounds = known.bounds
    if bounds is not None:
        if bounds[0] <= low and high <= bounds[1]:
            return ColumnFacts(known.null_count + nulls, bounds) if nulls else known
        low, high = min(bounds[0], low), max(bounds[1], high)
    return ColumnFacts(known.null_count + nulls, (low, high))


def _end(tail: DeltaChunk, batch: Sequence[Values], begin: int, end: int) -> int:
    """How far the rows from `begin` on go into a chunk: up to `end` while there is room for text, one at least."""
    for column, values in zip(tail.buffer.columns, batch, strict=True):
        if values.form is Form.TEXT:
            room = CHUNK_TEXT_BYTES_MAX - column.text_bytes(tail.rows)
            if int(values.data[end] - values.data[begin]) > room:
                fitting = int(np.searchsorted(values.data, values.data[begin] + room, "right")) - 1
                end = max(begin + 1, min(end, fitting))
    return end


def _is_full(chunk: DeltaChunk) -> bool:
    if chunk.rows >= CHUNK_ROWS:
        return True
    return sum(column.text_bytes(chunk.rows) for column in chunk.buffer.columns) >= CHUNK_TEXT_BYTES_MAX


def _same_forms(chunk: DeltaChunk, batch: Sequence[Values]) -> bool:
    """False after a column's dictionary was retired: then a new chunk begins."""
    return all(
        (column.arrays.form is Form.CODES) == (values.form is Form.CODES)
        for column, values in zip(chunk.buffer.columns, batch, strict=True)
    )


def _appended(chunk: DeltaChunk, part: Sequence[Values]) -> DeltaChunk:
    buffer = chunk.buffer
    if buffer.used != chunk.rows:
        present = [chunk.view(column) for column in range(len(part))]
        buffer = _ChunkBuffer(present)
        buffer.append(present)
    buffer.append(part)
    facts = tuple(known.merged(facts_of(values)) for known, values in zip(chunk.facts, part, strict=True))
    return DeltaChunk(buffer, chunk.rows + len(part[0]), facts)
