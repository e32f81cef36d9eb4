"""Overlays: a transaction's own rows of one table as records that point functions search and append to.

    header | heads of the chains | records, block after block | texts, block after block

Generated code appends; the host makes room when the code says that there is none, takes the newest record back when its
row could not be locked, and turns the records that storage does not have yet into columns (`taken`). Records stay after
that, so that later look-ups still find them; `cut` forgets those after a rollback to a savepoint.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zerodb.engine.point_records import allocated, zeroed
from zerodb.engine.pool import Array
from zerodb_compiler.codegen import point_abi as pa
from zerodb_storage.arrow import numpy_type
from zerodb_storage.commit_log import row_forms
from zerodb_storage.values import Form, Values

if TYPE_CHECKING:
    from zerodb.engine.engine import Engine
    from zerodb.engine.point_directory import PointDirectory
    from zerodb_compiler.types import SqlType

_FORMATS = {pa.INT: "q", pa.WIDE: "qq", pa.REAL: "d", pa.SINGLE: "d", pa.TEXT: "II"}
_MASK = (1 << 64) - 1
FIRST_HEADS = 256
FIRST_RECORDS = 256
FIRST_TEXT_BYTES = 1 << 14
MOST_SPARE_ROOMS = 8  # of a table
CanonicalRow = tuple[int | float | bytes | None, ...]
Room = tuple[int, ...]  # addresses of header, heads, first block and first heap


@dataclass(frozen=True, slots=True)
class RowShape:
    """What is known of a table's records: how they lie, how one is read (canonical values, text as bytes), the letters
    for its columns in the log (commit_log.row_forms), and which columns are texts."""

    types: tuple[SqlType, ...]
    record: pa.RecordLayout
    read: Callable[[memoryview, int], CanonicalRow]
    forms: str
    texts: tuple[int, ...]

    @staticmethod
    def of(types: tuple[SqlType, ...]) -> RowShape:
        record = pa.RecordLayout.of(types)
        texts = tuple(number for number, kind in enumerate(record.kinds) if kind == pa.TEXT)
        return RowShape(types, record, _reader(record), row_forms(types), texts)


def _reader(record: pa.RecordLayout) -> Callable[[memoryview, int], CanonicalRow]:
    """The function that reads the record at an address, as Python source made for its columns."""
    count = len(record.kinds)
    fields, values = [f"n{number}" for number in range(count)], []
    for number, kind in enumerate(record.kinds):
        fields.append(f"a{number}")
        value = f"a{number}"
        if kind in (pa.TEXT, pa.WIDE):
            fields.append(f"b{number}")
            is_text = kind == pa.TEXT
            value = f"bytes(memory[{value}:{value} + b{number}])" if is_text else f"b{number} << 64 | {value} & {_MASK}"
        values.append(f"None if n{number} else {value}")
    form = f"<{count}B{(count + 7 & ~7) - count}x" + "".join(_FORMATS[kind] for kind in record.kinds)
    names: dict[str, Any] = {"unpack": struct.Struct(form).unpack_from}
    text = (
        "def read(memory, record):\n"
        f"    {', '.join(fields)}, = unpack(memory, record + {pa.RECORD_NULLS})\n"
        f"    return {', '.join(values)},"
    )
    exec(compile(text, "<record>", "exec"), names)  # made here, of nothing but kinds
    read: Callable[[memoryview, int], CanonicalRow] = names["read"]
    return read


class Overlay:
    """`address` is the header's; `count` records are there."""

    def __init__(self, engine: Engine, directory: PointDirectory) -> None:
        self._memory, self._unused, self._directory = engine.memory, engine.unused_frames, directory
        self._words = engine.memory.words
        shape = directory.shape
        self._types, self._record, self._read = shape.types, shape.record, shape.read
        self._addresses: list[int] = []
        self._heads, self._size = 0, 0
        self._blocks: list[tuple[int, int]] = []  # address of the first record and ordinal of it
        self._heap_bytes = FIRST_TEXT_BYTES
        self.flushed = 0  # records that storage has
        try:
            self._use(directory.spare_rooms.pop())
        except IndexError:
            engine.free_frames()
            self.address = self._own(zeroed(self._memory, pa.OVERLAY_BYTES))
            self._new_heads(FIRST_HEADS)
            self._new_block(FIRST_RECORDS)
            self._new_heap(FIRST_TEXT_BYTES)

    def _use(self, room: Room) -> None:
        """Takes over what an overlay that is gone has had."""
        self._addresses = list(room)
        self.address, self._heads, block, heap = room
        self._size = FIRST_HEADS
        self._memory.zero(self._heads, 4 * FIRST_HEADS)
        self._blocks.append((block, 0))
        size = FIRST_RECORDS * self._record.stride
        at = self.address >> 2
        fields = (self._heads, FIRST_HEADS - 1, block, block + size, heap, heap + FIRST_TEXT_BYTES, 0)
        for number, value in enumerate(fields):
            self._words[at + number] = value

    def __del__(self) -> None:
        # Not freed here: a collection may run while this thread holds the allocator's lock.
        addresses = getattr(self, "_addresses", ())
        if len(addresses) != 4 or self._size != FIRST_HEADS or not self._directory.spare(tuple(addresses)):
            self._unused.extend(addresses)

    def _own(self, address: int) -> int:
        self._addresses.append(address)
        return address

    def _get(self, field: int) -> int:
        return self._words[(self.address + field) >> 2]

    def _set(self, field: int, value: int) -> None:
        self._memory.words[(self.address + field) >> 2] = value

    @property
    def count(self) -> int:
        return self._get(pa.OVERLAY_COUNT)

    # --- room ---
    def _new_heads(self, size: int) -> None:
        self._heads, self._size = self._own(zeroed(self._memory, 4 * size)), size
        self._set(pa.OVERLAY_HEADS, self._heads)
        self._set(pa.OVERLAY_MASK, size - 1)

    def _new_block(self, records: int) -> None:
        size = records * self._record.stride
        address = self._own(allocated(self._memory, size))
        self._blocks.append((address, self.count))
        self._set(pa.OVERLAY_NEXT, address)
        self._set(pa.OVERLAY_END, address + size)

    def _new_heap(self, size: int) -> None:
        address = self._own(allocated(self._memory, size))
        self._set(pa.OVERLAY_HEAP, address)
        self._set(pa.OVERLAY_HEAP_END, address + size)

    def grow(self, text_bytes: int) -> None:
        """Makes room for at least one more record, with texts of so many bytes."""
        count = self.count
        if self._get(pa.OVERLAY_NEXT) + self._record.stride > self._get(pa.OVERLAY_END):
            self._new_block(max(FIRST_RECORDS, min(count, 1 << 16)))
        if self._get(pa.OVERLAY_HEAP) + text_bytes > self._get(pa.OVERLAY_HEAP_END):
            self._new_heap(max(FIRST_TEXT_BYTES, text_bytes, min(64 * count, 1 << 22)))
        if count >= self._size:
            self._more_heads()

    def grow_for_many(self, records: int, text_bytes: int) -> None:
        """Makes room for records of one call, side by side: that ended for one with texts of so many bytes. It may end
        for another one then, so the room for texts doubles each time."""
        count = self.count
        if self._get(pa.OVERLAY_NEXT) + records * self._record.stride > self._get(pa.OVERLAY_END):
            self._new_block(max(FIRST_RECORDS, records, min(count, 1 << 16)))
        if count + records > self._size:
            self._more_heads()
        elif text_bytes:
            self._heap_bytes = max(2 * self._heap_bytes, records * text_bytes)
            self._new_heap(self._heap_bytes)

    def _more_heads(self) -> None:
        self._memory.free(self._heads)
        self._addresses.remove(self._heads)
        self._new_heads(4 * self._size)
        self._link()

    def _link(self) -> None:
        """Puts all records into their chains again."""
        if not self._directory.has_chains:
            return
        for address, count in self._parts(0):
            self._directory.link(self._heads, self._size, address, count)

    def _parts(self, first: int) -> list[tuple[int, int]]:
        """(address, number) of the records from ordinal `first` on, as they lie."""
        ends = [*(begin for _, begin in self._blocks[1:]), self.count]
        parts = []
        for (address, begin), end in zip(self._blocks, ends, strict=True):
            start = max(begin, first)
            if start < end:
                parts.append((address + (start - begin) * self._record.stride, end - start))
        return parts

    # --- taking back ---
    def undo(self) -> None:
        """Forgets the record written last; the one that it superseded counts again."""
        words, header = self._words, self.address >> 2
        record = words[header + (pa.OVERLAY_NEXT >> 2)] - self._record.stride
        hashed = words[(record + pa.RECORD_HASH) >> 2]
        words[(self._heads >> 2) + (hashed & (self._size - 1))] = words[(record + pa.RECORD_NEXT) >> 2]
        words[header + (pa.OVERLAY_NEXT >> 2)] = record
        words[header + (pa.OVERLAY_COUNT >> 2)] -= 1
        for offset in self._record.texts:  # they lie one after another, last in the heap
            if start := words[(record + offset) >> 2]:
                words[header + (pa.OVERLAY_HEAP >> 2)] = start
                break
        superseded = words[(record + pa.RECORD_SUPERSEDES) >> 2]
        if superseded:
            words[(superseded + pa.RECORD_FLAGS) >> 2] &= ~pa.RECORD_SUPERSEDED

    def cut(self, count: int) -> None:
        """Forgets all records but the first `count`, which storage has."""
        if count == self.count:
            return
        superseded = self._column(self._parts(count), pa.RECORD_SUPERSEDES, "<u4")
        flags = self._memory.array.view(np.uint32)
        flags[superseded[superseded != 0] + pa.RECORD_FLAGS >> 2] &= ~np.uint32(pa.RECORD_SUPERSEDED)
        while len(self._blocks) > 1 and self._blocks[-1][1] > count:
            self._blocks.pop()
        address, begin = self._blocks[-1]
        self._set(pa.OVERLAY_COUNT, count)
        self._set(pa.OVERLAY_NEXT, address + (count - begin) * self._record.stride)
        self._set(pa.OVERLAY_END, self._end_of(address))
        self._memory.zero(self._heads, 4 * self._size)
        self._link()
        self.flushed = count

    def _end_of(self, address: int) -> int:
        """End of the room for records in a block."""
        room = self._memory.size_of(address) - 16
        return address + room // self._record.stride * self._record.stride

    def last(self) -> int:
        """The address of the record written last."""
        return self._get(pa.OVERLAY_NEXT) - self._record.stride

    def last_row(self) -> tuple[int | float | bytes | None, ...]:
        """That record's canonical values, text as bytes."""
        return self._row(self.last())

    def _row(self, record: int) -> tuple[int | float | bytes | None, ...]:
        return self._read(self._memory.bytes, record)

    def last_records(self, count: int) -> range:
        """Addresses of those written last, all by one call."""
        end = self._get(pa.OVERLAY_NEXT)
        return range(end - count * self._record.stride, end, self._record.stride)

    def values_of(self, record: int, numbers: tuple[int, ...]) -> list[Values]:
        """Columns of a record."""
        rows = np.zeros(1, np.int64)
        return [self._values([(record, 1)], number, rows) for number in numbers]

    # --- what storage takes ---
    def taken(self) -> tuple[Array, list[Values], int]:
        """Of the records that storage does not have: the ids of the rows that go, the columns of those that come, and
        their number."""
        parts = self._parts(self.flushed)
        flags = self._column(parts, pa.RECORD_FLAGS, "<i4")
        ids = self._column(parts, pa.RECORD_ROW_ID, "<i8")
        kept = (flags & pa.RECORD_SUPERSEDED) == 0
        come = np.flatnonzero(kept & ((flags & pa.RECORD_ALIVE) != 0))
        columns = [self._values(parts, number, come) for number in range(len(self._types))] if len(come) else []
        return ids[kept & (ids >= 0)], columns, len(come)

    def taken_rows(self) -> tuple[list[int], list[tuple[int | float | bytes | None, ...]], list[int]]:
        """The same for few records: the ids of the rows that go, the rows that come, and the addresses of these."""
        words, longs = self._words, self._memory.longs
        gone: list[int] = []
        come: list[int] = []
        for address, count in self._parts(self.flushed):
            for record in range(address, address + count * self._record.stride, self._record.stride):
                flags = words[(record + pa.RECORD_FLAGS) >> 2]
                if flags & pa.RECORD_SUPERSEDED:
                    continue
                row_id = longs[(record + pa.RECORD_ROW_ID) >> 3]
                if row_id >= 0:
                    gone.append(row_id)
                if flags & pa.RECORD_ALIVE:
                    come.append(record)
        return gone, [self._row(record) for record in come], come

    def settled(self, row_ids: Array) -> None:
        """Storage has all records now; the rows of those that came have these ids."""
        parts = self._parts(self.flushed)
        done = 0
        for address, count in parts:
            flags = self._field(address, pa.RECORD_FLAGS, "<i4", count)
            ids = self._field(address, pa.RECORD_ROW_ID, "<i8", count)
            come = np.flatnonzero((flags & (pa.RECORD_SUPERSEDED | pa.RECORD_ALIVE)) == pa.RECORD_ALIVE)
            ids[:] = -1
            ids[come] = row_ids[done : done + len(come)]
            done += len(come)
        self.flushed = self.count

    def _field(self, address: int, offset: int, kind: str, count: int) -> Array:
        return np.ndarray((count,), kind, self._memory.array, address + offset, (self._record.stride,))

    def _column(self, parts: list[tuple[int, int]], offset: int, kind: str) -> Array:
        found = [self._field(address, offset, kind, count) for address, count in parts]
        return found[0] if len(found) == 1 else np.concatenate(found) if found else np.empty(0, kind)

    def _values(self, parts: list[tuple[int, int]], number: int, rows: Array) -> Values:
        """One column of the records `rows`."""
        offset, kind = self._record.offsets[number], self._record.kinds[number]
        nulls = self._column(parts, pa.RECORD_NULLS + number, "u1")[rows]
        validity = (nulls == 0).astype(np.uint8) if nulls.any() else None
        if kind == pa.TEXT:
            starts = self._column(parts, offset, "<u4")[rows].astype(np.int64)
            lengths = self._column(parts, offset + 4, "<u4")[rows].astype(np.int64)
            return self._texts(starts, lengths, validity)
        if kind in (pa.REAL, pa.SINGLE):
            data = self._column(parts, offset, "<f8")[rows].astype(numpy_type(self._types[number]))
            return Values(Form.FLOAT, _zero_under_null(data, validity), validity)
        data = _zero_under_null(self._column(parts, offset, "<i8")[rows], validity)
        if kind == pa.WIDE:
            upper = _zero_under_null(self._column(parts, offset + 8, "<i8")[rows], validity)
            if not np.array_equal(data >> 63, upper):
                return Values(Form.WIDE, np.stack((data, upper), axis=1), validity)
        return Values(Form.INT, data, validity)

    def _texts(self, starts: Array, lengths: Array, validity: Array | None) -> Values:
        if validity is not None:
            lengths = lengths * validity
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        if len(lengths) == 1:
            start = int(starts[0])
            text = self._memory.array[start : start + int(lengths[0])].copy()
        else:
            text = self._memory.array[np.arange(int(offsets[-1])) + np.repeat(starts - offsets[:-1], lengths)]
        return Values(Form.TEXT, offsets, validity, text)


def _zero_under_null(data: Array, validity: Array | None) -> Array:
    if validity is not None:
        data[validity == 0] = 0
    return data
