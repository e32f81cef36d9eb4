"""Segments: up to 65,536 rows whose columns are stored as one encoded value each, and a header of what is in them.

A `Segment` object stands for the stored segment as long as any table version refers to it; that is how dropped segments
are known to be unused. A `SegmentSet` is the segments of a table version with the facts derived from all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import encoding, keys, records, sketch
from zerodb_storage.catalog import Column
from zerodb_storage.kv import Reader
from zerodb_storage.values import Array, Form, Values, narrow

_serials = itertools.count(1)

Bounds: TypeAlias = tuple[int, int] | tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What is known of some rows of one column; `bounds` as `Values.bounds`, without CODES."""

    null_count: int
    bounds: Bounds

    def merged(self, other: ColumnFacts) -> ColumnFacts:
        if other.bounds is None or self.bounds is None:
            bounds = self.bounds or other.bounds
        else:
            bounds = merge_bounds(self.bounds, other.bounds)
        return ColumnFacts(self.null_count + other.null_count, bounds)


NO_FACTS = ColumnFacts(0, None)


def merge_bounds(a: Any, b: Any) -> Any:
    high = a[1] if a[1] != a[1] else b[1] if b[1] != b[1] else max(a[1], b[1])  # a NaN is the greatest
    return min(a[0], b[0]), high


Zones: TypeAlias = tuple[Array, Array, Array]  # low, high, has value


def zones(bounds: Sequence[Bounds], floating: bool) -> Zones:
    """Bounds as arrays, float64 or int64 saturated at its ends; 0 where there is no value."""
    has_value = np.array([found is not None for found in bounds], np.bool_)
    pairs = [(0, 0) if found is None else found for found in bounds]
    if floating:
        floats = np.array(pairs, np.float64).reshape(-1, 2)
        return floats[:, 0], floats[:, 1], has_value
    integers = np.array([[_saturated(int(low)), _saturated(int(high))] for low, high in pairs], np.int64).reshape(-1, 2)
    return integers[:, 0], integers[:, 1], has_value


def _saturated(value: int) -> int:
    return max(-(1 << 63), min((1 << 63) - 1, value))


def facts_of(values: Values) -> ColumnFacts:
    return ColumnFacts(values.null_count, None if values.form is Form.CODES else values.bounds())


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Segment:
    """A stored segment: its header. `facts` and `sketches` are those of the columns with `slots`; `serial` is unique in
    this process."""

    table_id: int
    id: int
    rows: int
    facts: tuple[ColumnFacts, ...]
    sketches: tuple[Array, ...]
    byte_count: int
    slots: tuple[int, ...]
    serial: int = field(default_factory=lambda: next(_serials))

    def read(self, reader: Reader, slot: int) -> Values:
        """One column's values; XX001 if it is damaged."""
        key = keys.column(self.table_id, self.id, slot)
        content = records.unseal(key, reader.get(key))
        try:
            values = encoding.decode(content, CHUNK_ROWS)
        except ValueError as error:
            raise records.damaged(key, str(error)) from error
        if len(values) != self.rows:
            raise records.damaged(key, f"has {len(values)} rows instead of {self.rows}")
        return values


@dataclass(frozen=True, slots=True, eq=False)
class EncodedColumn:
    value: bytes  # sealed
    facts: ColumnFacts
    sketch: Array


def encode_column(table_id: int, segment: int, slot: int, values: Values) -> EncodedColumn:
    """One column of a new segment; the expensive part of writing, safe to run on any thread."""
    values = narrow(values)
    facts = facts_of(values)
    bounds = facts.bounds
    hashes: Array = np.empty(0, np.uint32)
    if values.form is not Form.CODES:
        hashes = sketch.sketch(values, bounds if values.form is Form.INT else None)  # type: ignore[arg-type]
    key = keys.column(table_id, segment, slot)
    return EncodedColumn(records.seal(key, encoding.encode(values)), facts, hashes)


def assemble(
    table_id: int, segment: int, rows: int, slots: tuple[int, ...], columns: Sequence[EncodedColumn]
) -> Segment:
    byte_count = sum(len(column.value) for column in columns)
    facts = tuple(column.facts for column in columns)
    return Segment(table_id, segment, rows, facts, tuple(column.sketch for column in columns), byte_count, slots)


def header_value(segment: Segment) -> bytes:
    """The sealed header record."""
    record: dict[str, Any] = {
        "rows": segment.rows,
        "bytes": segment.byte_count,
        "columns": [
            [facts.null_count, _pack_bounds(facts.bounds), hashes.tobytes()]
            for facts, hashes in zip(segment.facts, segment.sketches, strict=True)
        ],
    }
    if segment.slots != tuple(range(len(segment.slots))):
        record["slots"] = list(segment.slots)
    return records.pack(keys.header(segment.table_id, segment.id), record)


def from_header(key: bytes, value: bytes) -> Segment:
    record = records.unpack(key, value)
    facts, sketches = [], []
    with records.reading(key):
        for null_count, bounds, hashes in record["columns"]:
            facts.append(ColumnFacts(null_count, _unpack_bounds(bounds)))
            sketches.append(np.frombuffer(hashes, np.uint32))
        slots = tuple(record.get("slots", range(len(facts))))
        rows, byte_count = record["rows"], record["bytes"]
        table, number = keys.table_of(key), keys.segment_of(key)
        if not 0 <= rows <= CHUNK_ROWS or len(slots) != len(facts) or not all(isinstance(slot, int) for slot in slots):
            raise ValueError("wrong number of rows or columns")
        if not all(0 <= found.null_count <= rows for found in facts) or not isinstance(byte_count, int):
            raise ValueError("wrong statistics")
        return Segment(table, number, rows, tuple(facts), tuple(sketches), byte_count, slots)


def _pack_bounds(bounds: Bounds) -> list[Any] | None:
    if bounds is None:
        return None
    return [bound if isinstance(bound, float) else records.pack_int(bound) for bound in bounds]


def _unpack_bounds(bounds: list[Any] | None) -> Any:
    if bounds is None:
        return None
    return tuple(bound if isinstance(bound, float) else records.unpack_int(bound) for bound in bounds)


@dataclass(frozen=True, eq=False)
class SegmentSet:
    """The segments of a table in order, and what follows from all of them (computed when first asked for).

    `slots` are those of the table's columns. A segment may lack a column that was added after it was written; then all
    its rows have the value `missing[column]` (one value, or None for NULL) and need not be rewritten.
    """

    segments: tuple[Segment, ...]
    slots: tuple[int, ...]
    missing: tuple[Values | None, ...] = ()

    @staticmethod
    def of(segments: Sequence[Segment], columns: Sequence[Column]) -> SegmentSet:
        """For the columns of a schema."""
        missing: tuple[Values | None, ...] = ()
        if any(column.missing is not None for column in columns):
            missing = tuple(None if c.missing is None else encoding.decode(c.missing) for c in columns)
        return SegmentSet(tuple(segments), tuple(column.slot for column in columns), missing)

    @cached_property
    def rows(self) -> Array:
        return np.array([segment.rows for segment in self.segments], np.int32)

    @cached_property
    def row_count(self) -> int:
        return int(self.rows.sum())

    @cached_property
    def ids(self) -> Array:
        return np.array([segment.id for segment in self.segments], np.int64)

    def places_of(self, ids: Array) -> Array:
        """The places of segments by their ids; ValueError if there is none."""
        if len(ids) == 0:
            return ids
        order = np.argsort(self.ids)
        found = np.searchsorted(self.ids[order], ids)
        if len(order) == 0 or bool((self.ids[order][np.minimum(found, len(order) - 1)] != ids).any()):
            raise ValueError("names a segment that is not there")
        places: Array = order[found]
        return places

    def absent(self, column: int) -> Values | None:
        """The value of the column in segments that lack it."""
        return self.missing[column] if self.missing else None

    def facts_in(self, segment: Segment, column: int) -> ColumnFacts:
        if segment.slots == self.slots:
            return segment.facts[column]
        slot = self.slots[column]
        if slot in segment.slots:
            return segment.facts[segment.slots.index(slot)]
        value = self.absent(column)
        return ColumnFacts(segment.rows, None) if value is None else facts_of(value)

    @cached_property
    def facts(self) -> tuple[ColumnFacts, ...]:
        merged = [NO_FACTS] * len(self.slots)
        for segment in self.segments:
            merged = [known.merged(self.facts_in(segment, column)) for column, known in enumerate(merged)]
        return tuple(merged)

    @cached_property
    def sketches(self) -> tuple[Array, ...]:
        return tuple(sketch.merge(self._sketches(column)) for column in range(len(self.slots)))

    def _sketches(self, column: int) -> Iterator[Array]:
        slot = self.slots[column]
        for segment in self.segments:
            if segment.slots == self.slots:
                yield segment.sketches[column]
            elif slot in segment.slots:
                yield segment.sketches[segment.slots.index(slot)]
            elif (value := self.absent(column)) is not None:
                yield sketch.sketch(value)

    @cached_property
    def _zones(self) -> dict[int, Zones]:
        return {}

    def zones(self, column: int, floating: bool) -> Zones:
        """Zones of all segments, kept for the versions that share them."""
        found = self._zones.get(column)
        if found is None:
            bounds = [self.facts_in(segment, column).bounds for segment in self.segments]
            found = self._zones[column] = zones(bounds, floating)
        return found

    def with_segments(self, segments: Sequence[Segment]) -> SegmentSet:
        return SegmentSet(tuple(segments), self.slots, self.missing)
