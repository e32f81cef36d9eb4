"""`TableVersion`: one table as one snapshot sees it, and how its chunks are read in the table's layout.

Chunks are the segments in order, then the chunks of the delta. Row id = chunk index * 65,536 + row in the chunk; row
ids are stable until the table's delta is folded into segments: versions with the same `numbering` name the same rows by
them, and from one numbering to a later one leads `renumbering.follow`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from zerodb_compiler.constraints import Constraints
from zerodb_compiler.layout import (
    CHUNK_ROWS,
    ColumnLayout,
    ColumnStatistics,
    Encoding,
    TableLayout,
    TableStatistics,
    int_width,
    round_bounds,
)
from zerodb_storage import delta, keys, records, sketch
from zerodb_storage.arrow import form_of, may_hold, numpy_type
from zerodb_storage.catalog import Column, Schema, TextMode
from zerodb_storage.delta import DeltaChunk
from zerodb_storage.dictionary import Dictionary
from zerodb_storage.kv import Reader
from zerodb_storage.renumbering import Numbering
from zerodb_storage.segment import ColumnFacts, SegmentSet, zones
from zerodb_storage.values import Array, Form, Values, nulls, sorted_distinct, widen
from zerodb_storage.visibility import Mask, all_visible

if TYPE_CHECKING:
    from zerodb_storage.index_runs import Cover


@dataclass(frozen=True, slots=True, eq=False)
class ChunkColumn:
    """A column of a chunk in the table's layout.

    INT and FLOAT: n items of the layout's width (width 16: 2n int64, low half first); DICTIONARY: n unsigned codes;
    TEXT: n + 1 uint32 offsets from 0 and `text_bytes`. `validity`: n bytes, or None when no value of the chunk is NULL.
    """

    data: Array
    validity: Array | None
    text_bytes: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class ZoneMap:
    """Per chunk the least and greatest value, int64 (saturated at its ends for wider values) or float64.

    A chunk can hold a value v only if `has_value` and low <= v <= high; where a chunk has a NaN, `high` is NaN, so skip
    on `high < v`, never on `not high >= v`. Deleted rows count.
    """

    low: Array
    high: Array
    has_value: Array


class TableHandle:
    """Lives as long as any version of the table does; the database watches it after DROP TABLE."""

    __slots__ = ("__weakref__",)


@dataclass(frozen=True, eq=False)
class TableVersion:
    """One immutable version of one table."""

    schema: Schema
    reader: Reader
    handle: TableHandle
    segment_set: SegmentSet
    delta_chunks: tuple[DeltaChunk, ...] = ()
    masks: Mapping[int, Mask] = field(default_factory=lambda: MappingProxyType({}))
    dictionaries: Mapping[int, Dictionary] = field(default_factory=lambda: MappingProxyType({}))
    numbering: Numbering = field(default_factory=Numbering)
    changed: int = 0  # sequence number of the last commit that changed a row or the definition

    @property
    def id(self) -> int:
        return self.schema.id

    @property
    def name(self) -> str:
        return self.schema.name

    @property
    def key(self) -> str:
        """The key in `Snapshot.tables`."""
        return self.schema.key

    @property
    def constraints(self) -> Constraints:
        return self.schema.constraints

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.schema.columns

    @property
    def primary_key(self) -> tuple[int, ...]:
        return self.schema.primary_key

    @property
    def schema_version(self) -> int:
        return self.schema.version

    @cached_property
    def deleted_count(self) -> int:
        return sum(mask.deleted for mask in self.masks.values())

    @cached_property
    def delta_rows(self) -> int:
        return sum(chunk.rows for chunk in self.delta_chunks)

    @property
    def row_count(self) -> int:
        """Visible rows."""
        return self.segment_set.row_count + self.delta_rows - self.deleted_count

    @property
    def chunk_count(self) -> int:
        return len(self.segment_set.segments) + len(self.delta_chunks)

    @cached_property
    def chunk_rows(self) -> Array:
        """Rows of every chunk, deleted ones included (int32)."""
        return np.concatenate((self.segment_set.rows, np.array([c.rows for c in self.delta_chunks], np.int32)))

    @cached_property
    def facts(self) -> tuple[ColumnFacts, ...]:
        merged = self.segment_set.facts
        for chunk in self.delta_chunks:
            merged = tuple(a.merged(b) for a, b in zip(merged, chunk.facts, strict=True))
        return merged

    @cached_property
    def layout(self) -> TableLayout:
        before = self.__dict__.pop("_before", None)
        if before is not None:
            layout: TableLayout = before["layout"]
            if self._fits_layout(layout, before):
                return layout if layout.has_deletes == bool(self.masks) else replace(layout, has_deletes=True)
        columns = tuple(self._column_layout(column) for column in range(len(self.columns)))
        return TableLayout(columns, bool(self.masks))

    def _fits_layout(self, layout: TableLayout, before: dict[str, Any]) -> bool:
        """Whether rows that are new since an older version leave its layout as it is. (Rounded bounds do not change by
        what lies within them.)"""
        for ordinal, found in self.dictionaries.items():
            if (
                layout.columns[ordinal].encoding is Encoding.DICTIONARY
                and found.size - 1 > layout.columns[ordinal].high
            ):
                return False
        known = before["delta_chunks"]
        for position, chunk in enumerate(self.delta_chunks):
            if position < len(known) and known[position] is chunk:
                continue
            for column, facts in zip(layout.columns, chunk.facts, strict=True):
                if facts.null_count and not column.has_nulls:
                    return False
                bounds = facts.bounds
                if (
                    column.encoding is Encoding.INT
                    and bounds
                    and not column.low <= bounds[0] <= bounds[1] <= column.high
                ):
                    return False
        return len(self.delta_chunks) >= len(known)

    def derived(self, **changes: Any) -> TableVersion:
        """With some fields changed, of the same segments: what is known of the layout stays known."""
        known = self.__dict__
        made = object.__new__(TableVersion)  # dataclasses.replace takes four times as long
        made.__dict__.update({name: known[name] for name in _FIELDS})
        made.__dict__.update(changes)
        if made.schema is self.schema and made.segment_set is self.segment_set:
            layout = self.__dict__.get("layout")
            before = self.__dict__.get("_before") if layout is None else None
            if layout is not None:
                before = {"layout": layout, "delta_chunks": self.delta_chunks}
            if before is not None:
                made.__dict__["_before"] = before
        return made

    def _column_layout(self, column: int) -> ColumnLayout:
        type_, facts = self.columns[column].type, self.facts[column]
        has_nulls = facts.null_count > 0
        if type_.is_float:
            return ColumnLayout(Encoding.FLOAT, 4 if type_.id.name == "REAL" else 8, has_nulls)
        if type_.is_variable:
            if self.schema.text_modes[column] is not TextMode.DICTIONARY:
                return ColumnLayout(Encoding.TEXT, 4, has_nulls)
            high = round_bounds(0, max(self.dictionaries[column].size - 1, 0))[1]
            width = 1 if high < 1 << 8 else 2 if high < 1 << 16 else 4
            return ColumnLayout(Encoding.DICTIONARY, width, has_nulls, 0, high)
        if facts.bounds is None:
            return ColumnLayout(Encoding.INT, 1, has_nulls)
        low, high = round_bounds(int(facts.bounds[0]), int(facts.bounds[1]))
        low, high = max(low, type_.bounds[0]), min(high, type_.bounds[1])
        return ColumnLayout(Encoding.INT, int_width(low, high), has_nulls, low, high)

    @cached_property
    def statistics(self) -> TableStatistics:
        rows = self.row_count
        columns = tuple(self._column_statistics(column, rows) for column in range(len(self.columns)))
        return TableStatistics(rows, columns)

    def _column_statistics(self, column: int, rows: int) -> ColumnStatistics:
        facts = self.facts[column]
        distinct = 0
        if column in self.dictionaries:
            distinct = self.dictionaries[column].size
        if self.schema.text_modes[column] is not TextMode.DICTIONARY:
            parts = [chunk.sketches()[column] for chunk in self.delta_chunks]
            distinct = max(distinct, sketch.estimate(sketch.merge((self.segment_set.sketches[column], *parts))))
        discrete = self.columns[column].type.is_discrete and facts.bounds is not None
        low, high = (int(facts.bounds[0]), int(facts.bounds[1])) if discrete and facts.bounds else (None, None)
        if low is not None and high is not None:
            distinct = min(distinct, high - low + 1)
        return ColumnStatistics(min(distinct, rows), facts.null_count, low, high)

    def zone_map(self, column: int) -> ZoneMap | None:
        """Bounds per chunk of a discrete or floating-point column; None for text and blobs."""
        if self.columns[column].type.is_variable:
            return None
        found = self._zone_maps.get(column)
        if found is None:
            found = self._zone_maps[column] = self._zone_map(column)
        return found

    @cached_property
    def _zone_maps(self) -> dict[int, ZoneMap]:
        return {}

    def _zone_map(self, column: int) -> ZoneMap:
        floating = self.columns[column].type.is_float
        stored = self.segment_set.zones(column, floating)
        fresh = zones([chunk.facts[column].bounds for chunk in self.delta_chunks], floating)
        return ZoneMap(*(np.concatenate(parts) for parts in zip(stored, fresh, strict=True)))

    def chunk_key(self, chunk: int, column: int) -> Hashable:
        """Identity of what `load` gives: equal keys mean equal bytes."""
        layout = self.layout.columns[column]
        segments = self.segment_set.segments
        if chunk < len(segments):
            slot = self.columns[column].slot
            return "segment", self.id, segments[chunk].id, slot, layout.encoding, layout.width
        delta_chunk = self.delta_chunks[chunk - len(segments)]
        return "delta", delta_chunk.serial, column, layout.encoding, layout.width, delta_chunk.rows

    def growth_key(self, chunk: int, column: int) -> tuple[Hashable, int] | None:
        """(identity, rows) of a delta chunk: of two loads with equal identity the shorter is a prefix of the longer, so
        the missing rows can be had by `load(chunk, column, start)`. None for segments, which do not grow."""
        if chunk < len(self.segment_set.segments):
            return None
        layout = self.layout.columns[column]
        delta_chunk = self.delta_chunks[chunk - len(self.segment_set.segments)]
        return ("delta", delta_chunk.serial, column, layout.encoding, layout.width), delta_chunk.rows

    def changed_since(self, older: TableVersion) -> list[int] | None:
        """The chunks whose rows, or which of them are visible, are other than in the older version, and those it has
        not; None if the segments are others."""
        if self.segment_set is not older.segment_set or self.schema.slots != older.schema.slots:
            return None
        masks, before, base = self.masks, older.masks, len(self.segment_set.segments)
        changed = set()
        if masks is not before:
            changed = {chunk for chunk in {*masks, *before} if masks.get(chunk) is not before.get(chunk)}
        known = older.delta_chunks
        for position, found in enumerate(self.delta_chunks):
            if position >= len(known) or known[position] is not found:
                changed.add(base + position)
        return sorted(chunk for chunk in changed if chunk < self.chunk_count)

    def read(self, chunk: int, column: int, start: int = 0) -> Values:
        """A column of a chunk from row `start` on, as it is kept (CODES or TEXT for text)."""
        segments = self.segment_set.segments
        if chunk >= len(segments):
            return self.delta_chunks[chunk - len(segments)].view(column, start)
        found, slot = segments[chunk], self.columns[column].slot
        if slot not in found.slots:
            return self._absent(column, found.rows - start)
        values = found.read(self.reader, slot)
        # Segments from before a dictionary was retired keep their codes.
        coded = values.form is Form.CODES and self.schema.text_modes[column] is not TextMode.PLAIN
        if not coded and not may_hold(values, self.columns[column].type):
            key = keys.column(found.table_id, found.id, slot)
            raise records.damaged(key, f"wrong values for column {self.columns[column].name}")
        return values.slice(start, len(values)) if start else values

    def _absent(self, column: int, rows: int) -> Values:
        """The values of a column in a segment from before it was added."""
        value = self.segment_set.absent(column)
        if value is not None:
            return value.take(np.zeros(rows, np.int64))
        type_ = self.columns[column].type
        if self.schema.text_modes[column] is TextMode.DICTIONARY:
            return nulls(Form.CODES, rows, np.int32)
        return nulls(form_of(type_), rows, numpy_type(type_))

    def load(self, chunk: int, column: int, start: int = 0) -> ChunkColumn:
        """A column of a chunk in the table's layout, from row `start` on; XX001 if its bytes are damaged."""
        values = self.read(chunk, column, start)
        layout = self.layout.columns[column]
        match layout.encoding:
            case Encoding.INT if layout.width == 16:
                return ChunkColumn(np.ascontiguousarray(widen(values).data).reshape(-1), values.validity, None)
            case Encoding.INT | Encoding.FLOAT | Encoding.DICTIONARY:
                kind = {Encoding.INT: "i", Encoding.FLOAT: "f", Encoding.DICTIONARY: "u"}[layout.encoding]
                if values.form is Form.WIDE:
                    # The wide values that made it so are deleted, or other versions': all that count fit 64 bits.
                    values = Values(Form.INT, np.ascontiguousarray(values.data[:, 0]), values.validity)
                if values.form is Form.TEXT:
                    raise records.damaged(keys.table(self.id), f"wrong values for column {self.columns[column].name}")
                return ChunkColumn(values.data.astype(f"{kind}{layout.width}"), values.validity, None)
            case Encoding.TEXT:
                plain = self.as_text(values, column)
                return ChunkColumn(plain.data.astype(np.uint32), plain.validity, plain.text)

    def as_text(self, values: Values, column: int) -> Values:
        """CODES of a column as TEXT, anything else unchanged."""
        return self.dictionaries[column].decode(values) if values.form is Form.CODES else values

    def visibility(self, chunk: int) -> tuple[Hashable, Array] | None:
        """(identity, one byte per row) of a chunk with deleted rows, None if all its rows are visible."""
        mask = self.masks.get(chunk)
        if mask is None:
            return None
        rows = int(self.chunk_rows[chunk])
        return (mask.identity, rows), mask.visible[:rows]

    def mask(self, chunk: int) -> tuple[Hashable, Array] | None:
        """As `visibility`, for all rows that the chunk may get: of one that grows the identity stays."""
        mask = self.masks.get(chunk)
        return None if mask is None else (mask.identity, mask.visible)

    def hidden_since(self, older: TableVersion, chunk: int) -> tuple[Hashable, Hashable, Sequence[int]] | None:
        """(identity of the chunk's mask in an older version, and in this one, the rows that only this one hides), where
        nothing else changes the one mask to the other."""
        mask, before = self.masks.get(chunk), older.masks.get(chunk)
        if mask is None or before is None or (rows := mask.since(before)) is None:
            return None
        return before.identity, mask.identity, rows

    def are_visible(self, row_ids: Array) -> Array:
        """Per row id, whether its row is visible."""
        found = np.ones(len(row_ids), np.bool_)
        chunks = row_ids // CHUNK_ROWS
        for chunk in sorted_distinct(chunks):
            mask = self.masks.get(int(chunk))
            if mask is not None:
                here = np.flatnonzero(chunks == chunk)
                found[here] = mask.shown(row_ids[here] % CHUNK_ROWS)
        return found

    def stable_ids(self, row_ids: Array) -> Array:
        """Row ids for the log, where rows of segments have the segment's id for the chunk: replay may find other
        segments before them. Rows of the delta are ~ordinal in it, since replay may cut its chunks elsewhere (a
        dictionary retired in the meantime, rows of several transactions appended at once)."""
        fresh = row_ids >= len(self.segment_set.segments) * CHUNK_ROWS
        if fresh.all():
            named: Array = ~self.delta_ordinals(row_ids)
            return named
        stable = np.empty(len(row_ids), np.int64)
        chunks, rows = np.divmod(row_ids[~fresh], CHUNK_ROWS)
        stable[~fresh] = self.segment_set.ids[chunks] * CHUNK_ROWS + rows
        stable[fresh] = ~self.delta_ordinals(row_ids[fresh])
        return stable

    def delta_ordinals(self, row_ids: Array) -> Array:
        """The places of rows of the delta, counted from its beginning."""
        chunks, rows = np.divmod(row_ids - len(self.segment_set.segments) * CHUNK_ROWS, CHUNK_ROWS)
        ordinals: Array = self._delta_starts[chunks] + rows
        return ordinals

    def row_ids_of(self, stable: Array) -> Array:
        """Inverse of `stable_ids`; ValueError if there is no such segment."""
        fresh = stable < 0
        if fresh.all():
            return self._delta_row_ids(~stable)
        row_ids = np.empty(len(stable), np.int64)
        ids, rows = np.divmod(stable[~fresh], CHUNK_ROWS)
        row_ids[~fresh] = self.segment_set.places_of(ids) * CHUNK_ROWS + rows
        row_ids[fresh] = self._delta_row_ids(~stable[fresh])
        return row_ids

    def _delta_row_ids(self, ordinals: Array) -> Array:
        """Inverse of `delta_ordinals`."""
        chunks = np.searchsorted(self._delta_starts, ordinals, "right") - 1
        row_ids: Array = (len(self.segment_set.segments) + chunks) * CHUNK_ROWS + ordinals - self._delta_starts[chunks]
        return row_ids

    @cached_property
    def index_covers(self) -> dict[tuple[int, ...], Cover]:
        """What index_runs found out of this version."""
        return {}

    @cached_property
    def _delta_starts(self) -> Array:
        """Ordinal of the first row of each chunk of the delta."""
        return np.cumsum([0, *(chunk.rows for chunk in self.delta_chunks)], dtype=np.int64)[:-1]

    # The changes below return new versions.

    def appended(self, batch: Sequence[Values], base: TableVersion | None = None) -> TableVersion:
        """With more rows in the delta: one `Values` per column, CODES for dictionary columns. A transaction names its
        base: chunks that are shared with it are not written to, which only who publishes may."""
        shared = base is not None and bool(base.delta_chunks) and bool(self.delta_chunks)
        private = shared and base is not None and self.delta_chunks[-1].serial == base.delta_chunks[-1].serial
        if private:
            return self.derived(delta_chunks=(*self.delta_chunks, *delta.append((), batch)))
        return self.derived(delta_chunks=delta.append(self.delta_chunks, batch))

    def with_deleted(self, row_ids: Array, *, publishing: bool = False) -> tuple[TableVersion, int]:
        """With rows invisible, and how many of them were visible before. Who publishes may share bytes of masks."""
        masks = dict(self.masks)
        count = 0
        if len(row_ids) == 1:
            chunk = int(row_ids[0]) // CHUNK_ROWS
            count = self._hide(masks, chunk, np.asarray(row_ids, np.int64) - chunk * CHUNK_ROWS, publishing)
        elif len(row_ids):
            ordered = sorted_distinct(np.asarray(row_ids, np.int64))
            chunks = ordered // CHUNK_ROWS
            starts = np.flatnonzero(np.diff(chunks, prepend=-1))
            for begin, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
                chunk = int(chunks[begin])
                count += self._hide(masks, chunk, ordered[begin:end] - chunk * CHUNK_ROWS, publishing)
        return (self.derived(masks=MappingProxyType(masks)), count) if count else (self, 0)

    def _hide(self, masks: dict[int, Mask], chunk: int, rows: Array, publishing: bool) -> int:
        """Makes rows (ascending) of a chunk invisible in `masks`; how many were visible."""
        assert 0 <= chunk < self.chunk_count, "no such chunk"
        assert int(rows[-1]) < int(self.chunk_rows[chunk]), "no such row"
        old = masks.get(chunk) or self.fresh_mask(chunk)
        there = rows[old.shown(rows)]
        if len(there):
            masks[chunk] = old.hidden_in_place(there) if publishing else old.hidden(there)
        return len(there)

    def fresh_mask(self, chunk: int) -> Mask:
        """That of a chunk of which all rows are visible."""
        segments = self.segment_set.segments
        return all_visible(segments[chunk].rows if chunk < len(segments) else CHUNK_ROWS)


_FIELDS = tuple(found.name for found in fields(TableVersion))
