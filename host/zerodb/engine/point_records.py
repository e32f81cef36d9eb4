"""Rows as records in linear memory, one after another, as the delta of a point directory has them.

A record (codegen/point_abi.py: RecordLayout) has a fixed size; the texts of its columns lie in heaps beside. Records
stay where they are: chains of generated code link them by address.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zerodb.engine.memory import Memory
from zerodb.engine.pool import Array, out_of_memory
from zerodb_compiler.codegen import point_abi as pa

BLOCK_RECORDS = 1024
HEAP_BYTES = 1 << 16


class RecordBlocks:
    """Records one after another in blocks, and heaps for their texts; rows are only added."""

    def __init__(self, memory: Memory, record: pa.RecordLayout) -> None:
        self._memory, self._record, self._texts = memory, record, record.texts
        self.count = 0
        self.blocks: list[int] = []
        self._heaps: list[int] = []
        self._heap_next = self._heap_end = 0

    def close(self) -> None:
        for address in (*self.blocks, *self._heaps):
            self._memory.free(address)
        self.blocks, self._heaps = [], []

    def address(self, ordinal: int) -> int:
        return self.blocks[ordinal // BLOCK_RECORDS] + ordinal % BLOCK_RECORDS * self._record.stride

    def parts(self, first: int, count: int) -> list[tuple[int, int]]:
        """(address of a record, how many lie there one after another) for the records from `first` on."""
        found = []
        while count:
            here = min(count, BLOCK_RECORDS - first % BLOCK_RECORDS)
            found.append((self.address(first), here))
            first, count = first + here, count - here
        return found

    def hide(self, ordinals: Array) -> None:
        """Marks records as deleted."""
        if len(ordinals) == 1:
            self._memory.words[(self.address(int(ordinals[0])) + pa.RECORD_FLAGS) >> 2] = 0
            return
        blocks = np.array(self.blocks, np.int64)
        places = blocks[ordinals // BLOCK_RECORDS] + ordinals % BLOCK_RECORDS * self._record.stride + pa.RECORD_FLAGS
        self._memory.array.view(np.uint32)[places >> 2] = 0

    def add(self, columns: list[Any], first_row_id: int, rows: int) -> int:
        """Appends rows, given as storage's Values (texts as TEXT); the ordinal of the first."""
        first = self.count
        while len(self.blocks) * BLOCK_RECORDS < first + rows:
            self.blocks.append(allocated(self._memory, BLOCK_RECORDS * self._record.stride))
        texts = [self._put_text(values) if values.text is not None else None for values in columns]
        done = 0
        for address, here in self.parts(first, rows):
            self._write(columns, texts, address, done, here, first_row_id + done)
            done += here
        self.count += rows
        return first

    def copy(self, record: int, row_id: int, texts: list[bytes]) -> int:
        """Appends a copy of a record, with the texts of its columns that are not NULL; its ordinal."""
        memory, stride = self._memory, self._record.stride
        if self.count == len(self.blocks) * BLOCK_RECORDS:
            self.blocks.append(allocated(memory, BLOCK_RECORDS * stride))
        address = self.address(self.count)
        memory.bytes[address : address + stride] = memory.bytes[record : record + stride]
        words = memory.words
        words[(address + pa.RECORD_FLAGS) >> 2] = pa.RECORD_ALIVE
        memory.longs[(address + pa.RECORD_ROW_ID) >> 3] = row_id
        for offset, text in zip(self._texts, texts, strict=True):
            if self._heap_next + len(text) > self._heap_end:
                self._new_heap(len(text))
            start = self._heap_next
            memory.bytes[start : start + len(text)] = text
            words[(address + offset) >> 2] = start
            self._heap_next += len(text)
        self.count += 1
        return self.count - 1

    def _new_heap(self, size: int) -> None:
        block = max(HEAP_BYTES, size)
        self._heap_next = allocated(self._memory, block)
        self._heap_end = self._heap_next + block
        self._heaps.append(self._heap_next)

    def _put_text(self, values: Any) -> Array:
        """Copies the bytes of a column's strings in; the address of each, and of the last one's end."""
        size = len(values.text)
        if self._heap_next + size > self._heap_end:
            self._new_heap(size)
        start = self._heap_next
        self._memory.write(start, values.text)
        self._heap_next += size
        addresses: Array = values.data + start
        return addresses

    def _write(
        self, columns: list[Any], texts: list[Array | None], address: int, begin: int, rows: int, row_id: int
    ) -> None:
        end, record = begin + rows, self._record
        self._field(address, pa.RECORD_FLAGS, "<i4", rows)[:] = 1
        self._field(address, pa.RECORD_ROW_ID, "<i8", rows)[:] = np.arange(row_id, row_id + rows)
        for number, (values, text) in enumerate(zip(columns, texts, strict=True)):
            offset = record.offsets[number]
            nulls = self._field(address, pa.RECORD_NULLS + number, "u1", rows)
            nulls[:] = 0 if values.validity is None else values.validity[begin:end] == 0
            if text is not None:
                self._field(address, offset, "<u4", rows)[:] = text[begin:end]
                self._field(address, offset + 4, "<u4", rows)[:] = text[begin + 1 : end + 1] - text[begin:end]
            elif record.kinds[number] in (pa.REAL, pa.SINGLE):
                self._field(address, offset, "<f8", rows)[:] = values.data[begin:end]
            elif values.data.ndim == 2:
                self._field(address, offset, "<i8", rows)[:] = values.data[begin:end, 0]
                if record.kinds[number] == pa.WIDE:
                    self._field(address, offset + 8, "<i8", rows)[:] = values.data[begin:end, 1]
            else:
                self._field(address, offset, "<i8", rows)[:] = values.data[begin:end]
                if record.kinds[number] == pa.WIDE:
                    self._field(address, offset + 8, "<i8", rows)[:] = values.data[begin:end] >> 63

    def _field(self, address: int, offset: int, kind: str, rows: int) -> Array:
        """One field of consecutive records, as an array into linear memory."""
        return np.ndarray((rows,), kind, self._memory.array, address + offset, (self._record.stride,))


def allocated(memory: Memory, size: int) -> int:
    address = memory.allocate(size)
    if not address:
        raise out_of_memory(memory)
    return address


def zeroed(memory: Memory, size: int) -> int:
    address = allocated(memory, size)
    memory.zero(address, size)
    return address
