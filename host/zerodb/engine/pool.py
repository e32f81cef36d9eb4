"""The buffer pool: columns of chunks, visibility masks and dictionaries in linear memory.

Problem: queries read columns at fixed addresses; a database may be larger than the memory.

Idea: an entry is pinned while a query may read it and otherwise waits in least-recently-used order to be evicted when
the memory's limit is reached (`reclaim`). Entries are found by keys that the storage gives, which change exactly if the
bytes would. Loading (reading, decompressing, copying in) happens outside the lock; a second thread that wants the same
entry waits for the first one.

Columns of the delta grow at their end, by a row or two between one query and the next. Their entries (`pin_growing`)
have room for more: rows that an entry lacks are added behind the others, which queries over older versions go on
reading.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from zerodb.engine.memory import Memory
from zerodb_compiler.errors import OperationalError
from zerodb_compiler.layout import CHUNK_ROWS

_alone = itertools.count()
LEAST_ROWS = 64  # room for them in a growing entry
LEAST_HEAP_BYTES = 1024
Array = np.ndarray[Any, Any]


class ColumnData(Protocol):
    """What a loader gives (zerodb_storage's ChunkColumn): for text, `data` holds the n + 1 relative offsets."""

    @property
    def data(self) -> Array: ...
    @property
    def validity(self) -> Array | None: ...
    @property
    def text_bytes(self) -> Array | None: ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A ColumnData for what is no column of a chunk: masks and dictionaries."""

    data: Array
    validity: Array | None = None
    text_bytes: Array | None = None


@dataclass(slots=True)
class Growth:
    """How far a growing entry is filled. `heap` is the address of a text column's bytes."""

    rows: int
    rows_most: int
    heap: int = 0
    heap_used: int = 0
    heap_most: int = 0


@dataclass(slots=True, eq=False)
class Entry:
    """A pinned or evictable block. `data` and `validity` are addresses; `validity` is 0 where the loader gave none.
    A growing entry that was too small is `replaced` by another one under its key, and freed with its last pin."""

    key: Hashable
    data: int = 0
    validity: int = 0
    pins: int = 1
    bytes: int = 0
    loaded: threading.Event | None = field(default_factory=threading.Event)
    growth: Growth | None = None
    replaced: bool = False


def out_of_memory(memory: Memory) -> OperationalError:
    return OperationalError(
        "out of memory: the query needs more than the memory limit allows",
        sqlstate="53200",
        hint=f"memory_limit is {memory.limit >> 20} MiB",
    )


class BufferPool:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._growing = threading.Lock()  # held while an entry grows
        self._entries: dict[Hashable, Entry] = {}
        self._unpinned: OrderedDict[Hashable, Entry] = OrderedDict()
        self.loads = 0
        self.evictions = 0

    def pin(self, key: Hashable, load: Callable[[], ColumnData]) -> Entry:
        """The entry of `key`, loaded if need be, pinned once more. Raises 53200, and whatever `load` raises."""
        while True:
            with self._lock:
                entry = self._entries.get(key)
                if entry is None:
                    entry = self._entries[key] = Entry(key)
                    break
                pending = entry.loaded
                if pending is None:
                    if entry.pins == 0:
                        del self._unpinned[key]
                    entry.pins += 1
                    return entry
            pending.wait()
        try:
            self._fill(entry, load())
        except BaseException:
            with self._lock:
                del self._entries[key]
            assert entry.loaded is not None
            entry.loaded.set()
            raise
        with self._lock:
            ready, entry.loaded = entry.loaded, None
            self.loads += 1
        assert ready is not None
        ready.set()
        return entry

    def pin_growing(self, key: Hashable, rows: int, load: Callable[[int], ColumnData]) -> Entry:
        """The entry of a column that only grows, with at least its first `rows` rows, pinned once more. `load(start)`
        gives those from `start` on. Always with a validity. Raises as `pin`."""
        with self._growing:
            with self._lock:
                known = self._entries.get(key)
                if known is not None:
                    if known.pins == 0:
                        del self._unpinned[key]
                    known.pins += 1
            if known is None:
                return self._grown(key, rows, load, None)
            assert known.growth is not None
            try:
                if known.growth.rows >= rows or self._add_rows(known, known.growth, rows, load):
                    return known
                return self._grown(key, rows, load, known)
            except BaseException:
                self.unpin(known)
                raise

    def _add_rows(self, entry: Entry, growth: Growth, rows: int, load: Callable[[int], ColumnData]) -> bool:
        """Puts the missing rows behind the others; False if they have no room there."""
        if rows > growth.rows_most:
            return False
        column = load(growth.rows)
        if growth.heap_used + (0 if column.text_bytes is None else len(column.text_bytes)) > growth.heap_most:
            return False
        self._put_rows(entry, growth, column, rows)
        self.loads += 1
        return True

    def _grown(self, key: Hashable, rows: int, load: Callable[[int], ColumnData], known: Entry | None) -> Entry:
        """A new entry, in the place of `known`, which was too small and loses the caller's pin."""
        assert rows > 0
        column = load(0)
        text = column.text_bytes
        room = max(rows, min(max(2 * rows, LEAST_ROWS), CHUNK_ROWS))
        growth = Growth(0, room)
        heap_bytes = 0
        if text is not None:
            data_bytes = 4 * (room + 1) + 15 & ~15
            growth.heap_most = len(text) if room == rows else max(2 * len(text), LEAST_HEAP_BYTES)
            heap_bytes = growth.heap_most + 31 & ~15  # may be read 16 bytes past its end
        else:
            data_bytes = room * (column.data.nbytes // rows) + 15 & ~15
        entry = Entry(key, loaded=None, growth=growth)
        entry.data = self._memory.allocate(data_bytes + heap_bytes + room)
        if not entry.data:
            raise out_of_memory(self._memory)
        growth.heap = entry.data + data_bytes
        entry.validity = growth.heap + heap_bytes
        entry.bytes = self._memory.size_of(entry.data)
        self._put_rows(entry, growth, column, rows)
        with self._lock:
            self.loads += 1
            if known is not None:
                known.replaced = True
                self._unpin_locked(known)
            self._entries[key] = entry
        return entry

    def _put_rows(self, entry: Entry, growth: Growth, column: ColumnData, rows: int) -> None:
        """Writes the rows from `growth.rows` to `rows`, which the caller has found room for."""
        memory, data, text, start = self._memory, column.data, column.text_bytes, growth.rows
        count = rows - start
        if text is not None:
            first, base = entry.data + 4 * start, growth.heap + growth.heap_used
            target = memory.array[first : first + 4 * (count + 1)].view(np.uint32)
            np.add(data, base, out=target, casting="unsafe")
            memory.write(base, text)
            growth.heap_used += len(text)
        else:
            memory.write(entry.data + start * (data.nbytes // count), data)
        place = entry.validity + start
        memory.array[place : place + count] = 1 if column.validity is None else column.validity
        growth.rows = rows

    def repin(self, entries: list[Entry]) -> None:
        """Pins entries once more that somebody holds."""
        with self._lock:
            for entry in entries:
                assert entry.pins > 0
                entry.pins += 1

    def unpin(self, entry: Entry) -> None:
        with self._lock:
            self._unpin_locked(entry)

    def unpin_all(self, entries: list[Entry]) -> None:
        with self._lock:
            for entry in entries:
                self._unpin_locked(entry)

    def discard(self, entry: Entry) -> None:
        """Unpins an entry that nobody will ask for again; it is freed with its last pin."""
        with self._lock:
            self._unpin_locked(entry)
            if not entry.pins and not entry.replaced:
                del self._unpinned[entry.key], self._entries[entry.key]
                self._memory.free(entry.data)

    def hide_rows(self, entry: Entry, key: tuple[Hashable, ...], rows: Sequence[int]) -> bool:
        """Makes a mask that only the caller has pinned the one of `key`, which hides these rows, too. False if others
        have pinned it. Where there is one of that key it becomes (*key, some number): if the two were one, the next
        commit would part them again."""
        with self._lock:
            if entry.pins != 1 or entry.loaded is not None:
                return False
            del self._entries[entry.key]
            if key in self._entries:
                key = (*key, next(_alone))
            entry.key = key
            self._entries[key] = entry
            memory, data = self._memory.bytes, entry.data
            for row in rows:
                memory[data + row] = 0
            return True

    def _unpin_locked(self, entry: Entry) -> None:
        assert entry.pins > 0
        entry.pins -= 1
        if entry.pins == 0:
            if entry.replaced:
                self._memory.free(entry.data)
            else:
                self._unpinned[entry.key] = entry

    def reclaim(self, wanted: int) -> bool:
        """Evicts unpinned entries, oldest first, until `wanted` bytes are free; False if there was nothing to evict."""
        freed = 0
        with self._lock:
            while freed < wanted and self._unpinned:
                key, entry = self._unpinned.popitem(last=False)
                del self._entries[key]
                self._memory.free(entry.data)
                freed += entry.bytes
                self.evictions += 1
        return freed > 0

    def clear(self) -> None:
        while self.reclaim(1 << 40):
            pass

    @property
    def resident_bytes(self) -> int:
        with self._lock:
            return sum(entry.bytes for entry in self._entries.values())

    @property
    def pinned_bytes(self) -> int:
        with self._lock:
            return sum(entry.bytes for entry in self._entries.values() if entry.pins)

    def _fill(self, entry: Entry, column: ColumnData) -> None:
        """Copies a column in: data, then (text) the bytes, then validity, each on a 16-byte boundary."""
        data, validity, text = column.data, column.validity, column.text_bytes
        data_bytes = (len(data) * 4 if text is not None else data.nbytes) + 15 & ~15
        text_bytes = (text.nbytes + 16 + 15 & ~15) if text is not None else 0
        total = data_bytes + text_bytes + (validity.nbytes if validity is not None else 0)
        memory = self._memory
        address = memory.allocate(max(total, 16))
        if not address:
            raise out_of_memory(memory)
        if text is not None:
            heap = address + data_bytes
            target = memory.array[address : address + 4 * len(data)].view(np.uint32)
            np.add(data, heap, out=target, casting="unsafe")
            memory.write(heap, text)
        else:
            memory.write(address, data)
        if validity is not None:
            entry.validity = address + data_bytes + text_bytes
            memory.write(entry.validity, validity)
        entry.data = address
        entry.bytes = memory.size_of(address)
