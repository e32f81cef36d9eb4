"""Point directories: where the row of a key lies, for one table and its primary key, kept in linear memory.

Problem: a point statement has a microsecond; the chunks, masks and delta of a table version are Python objects.

Idea: one structure per table (layout: codegen/point_abi.py) that generated code searches without help. It shows one
version at a time, named by a stamp, and is moved to the next version by what differs: rows that the delta has grown by
become records, masks that are others are copied again, rows of segments that a merge has made are put into the chains.
It is made anew when a quarter of it are rows of segments that are no more.

    segments   chains of rows by hash of the key; an entry for each segment, which stays in its place when others go;
               columns in the buffer pool, loaded chunk by chunk as rows are asked for (the code says which is absent)
               and let go when memory is short
    delta      records, in chains by hash of the key

All changes are made under `lock`, with the stamp 0 meanwhile. Point functions are called with the GIL held throughout,
so none runs while a directory changes: a call either sees the stamp it expects, and all of that version, or ends.

Limits: old versions are not served (their statements take the general path); nor tables whose index would take more
than a quarter of the memory limit.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from zerodb.engine.point_chains import Chains
from zerodb.engine.point_overlay import MOST_SPARE_ROOMS, Room, RowShape
from zerodb.engine.point_records import RecordBlocks, allocated, zeroed
from zerodb.engine.pool import Array, Entry, Loaded, out_of_memory
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.layout import CHUNK_ROWS, Encoding

if TYPE_CHECKING:
    from zerodb.engine.engine import Engine
    from zerodb_compiler.catalog import TableInfo
    from zerodb_storage import TableVersion

MOST_INDEX_SHARE = 1 / 4  # of the memory limit
FEW_SEGMENTS = 4  # tables with fewer are made anew; others have room for a quarter as many more
_stamps = itertools.count(1)


class Bound(Protocol):
    """A statement that is bound to a version."""

    def let_go(self) -> None: ...


class PointDirectory:
    """Made by `Directories.of`. `address` is the directory's in linear memory."""

    def __init__(self, engine: Engine, info: TableInfo) -> None:
        self._engine, self._memory, self._pool = engine, engine.memory, engine.pool
        self._info = info  # of the widest layout
        self.lock = threading.RLock()
        self._columns = len(info.columns)
        self.shape = RowShape.of(tuple(column.type for column in info.columns))
        self._record = self.shape.record
        self.spare_rooms: list[Room] = []  # of overlays that are gone
        self._bytes = pa.directory_bytes(self._columns)
        self.address = zeroed(self._memory, self._bytes)
        self.stamp = 0
        self.let_go = 0  # how often memory that texts of results may lie in was let go
        self.version: TableVersion | None = None
        self.sequence = -1
        self._wanted: set[int] = set(info.primary_key)
        self._sets: list[Chains] = [Chains(engine, info, self.address, info.primary_key, 0)]
        self._delta = RecordBlocks(self._memory, self._record)
        self._starts: list[int] = []  # ordinal of the first record of each delta chunk
        self._chunks = 0
        self._entries: list[int] = []  # of the version's segments: their entries
        self._used = self._capacity = 0  # entries
        self._pins: dict[int, list[Entry]] = {}
        self._visibility: dict[int, int] = {}
        self._dictionaries: dict[int, Entry] = {}
        self._parked: list[list[Entry]] = []
        self.closed = False
        self.statements: weakref.WeakSet[Bound] = weakref.WeakSet()
        self._is_busy = False  # it changes, and must not let go what it is taking

    @property
    def has_chains(self) -> bool:
        """Whether rows are looked for here: of a table without a key only the version is known."""
        return bool(self._info.primary_key)

    def spare(self, room: Room) -> bool:
        """Keeps the memory of an overlay that is gone for the next one; whether there was a place."""
        if self.closed or len(self.spare_rooms) >= MOST_SPARE_ROOMS:
            return False
        self.spare_rooms.append(room)
        return True

    # --- versions ---
    def show(self, version: TableVersion, sequence: int, ordinals: tuple[int, ...]) -> int:
        """Makes the directory show the version, which is of the snapshot `sequence`, with at least those columns; the
        stamp of it, 0 if it shows a newer one. Raises 53200 if memory is short."""
        with self.lock:
            if self.closed:
                return 0
            if not self._wanted.issuperset(ordinals):
                # Statements stay bound: what they then ask for is loaded with the new columns.
                self._wanted.update(ordinals)
                self._unload()
            if version is self.version:
                return self.stamp
            if sequence < self.sequence:
                return 0
            self._set_stamp(0)
            self._is_busy = True
            try:
                if self.has_chains and not self._grow(version):
                    self._make(version)
            except BaseException:
                self._clear()
                raise
            finally:
                self._is_busy = False
            self.version, self.sequence = version, sequence
            self._set_stamp(next(_stamps))
            return self.stamp

    def follow(
        self,
        before: TableVersion,
        after: TableVersion,
        sequence: int,
        gone: Sequence[int],
        come: Sequence[tuple[int, list[bytes]]],
        hashed: int | None = None,
    ) -> None:
        """Moves on to a version that differs by few rows: those that are `gone`, and those at the end of the delta that
        have `come`, given as records of an overlay with the texts of their columns; `hashed` is the key's hash if it is
        one. Does nothing if it does not show the version before."""
        with self.lock:
            if self.version is not before or self.closed or after.segment_set is not before.segment_set:
                return
            self._set_stamp(0)
            self._is_busy = True
            try:
                if self.has_chains:
                    self._follow(before, after, gone, come, hashed)
            except BaseException:
                self._clear()
                raise
            finally:
                self._is_busy = False
            self.version, self.sequence = after, sequence
            self._set_stamp(next(_stamps))

    def _follow(
        self,
        before: TableVersion,
        after: TableVersion,
        gone: Sequence[int],
        come: Sequence[tuple[int, list[bytes]]],
        hashed: int | None,
    ) -> None:
        if not after.layout.is_read_as(before.layout):
            self._unload()
        if come:
            self._take(after, come, hashed)
        for row_id in gone:
            self._hide(after, row_id)

    def _take(self, after: TableVersion, come: Sequence[tuple[int, list[bytes]]], hashed: int | None) -> None:
        position = len(after.delta_chunks) - 1
        row_id = (len(after.segment_set.segments) + position) * CHUNK_ROWS + after.delta_chunks[-1].rows - len(come)
        first = self._delta.count
        if position == len(self._starts):
            self._starts.append(first)
        for number, (record, texts) in enumerate(come):
            self._delta.copy(record, row_id + number, texts)
        for chains in self._sets:
            is_hashed = hashed is not None and chains.number == 0 and chains.has_room(self._delta.count)
            if not is_hashed or hashed is None or not chains.link_hashed(self._delta.address(first), hashed):
                chains.link(after, self._delta, first)

    def _hide(self, version: TableVersion, row_id: int) -> None:
        """A row is gone."""
        chunk, row = divmod(row_id, CHUNK_ROWS)
        segments = len(version.segment_set.segments)
        if chunk >= segments:
            place = self._delta.address(self._starts[chunk - segments] + row) + pa.RECORD_FLAGS
            self._memory.words[place >> 2] = 0
        elif (entry := self._entries[chunk]) in self._visibility:
            self._memory.bytes[self._visibility[entry] + row] = 0
        else:
            self._show_mask(entry, version.masks[chunk].visible)

    def _set_stamp(self, stamp: int) -> None:
        self.stamp = stamp
        self._memory.longs[self.address >> 3] = stamp

    def _grow(self, version: TableVersion) -> bool:
        """Takes over what differs from the version shown; False if that is not only newer rows and deletions."""
        old = self.version
        if old is None or version.schema_version != old.schema_version:
            return False
        if version.segment_set is not old.segment_set:
            return self._exchange(version, old)
        before, after = old.delta_chunks, version.delta_chunks
        if len(after) < len(before):
            return False
        for known, chunk in zip(before, after, strict=False):
            if known.serial != chunk.serial or known.rows > chunk.rows:
                return False
        if not version.layout.is_read_as(old.layout):
            self._unload()
        first = self._delta.count
        for position in range(max(len(before) - 1, 0), len(after)):
            known_rows = before[position].rows if position < len(before) else 0
            if known_rows and known_rows < after[position].rows and position < len(before) - 1:
                return False
            self._append(version, position, known_rows)
        self._link(version, first)
        if version.masks is not old.masks:
            self._mask(version, old)
        return True

    def _exchange(self, version: TableVersion, old: TableVersion) -> bool:
        """After a merge: takes the new segments in. False if there is no room for them."""
        known = {found.serial: entry for found, entry in zip(old.segment_set.segments, self._entries, strict=True)}
        segments = version.segment_set.segments
        fresh = sum(found.serial not in known for found in segments)
        if self._used + fresh > self._capacity:
            return False
        self._unload()
        gone = known.keys() - {found.serial for found in segments}
        for serial in gone:
            self._memory.words[(self._chunk(known[serial]) + pa.CHUNK_RESIDENT) >> 2] = pa.CHUNK_GONE & 0xFFFFFFFF
        for address in self._visibility.values():
            self._memory.free(address)
        for entry in self._visibility:
            self._memory.words[(self._chunk(entry) + pa.CHUNK_VISIBILITY) >> 2] = 0
        self._visibility.clear()
        self._entries = [known.get(found.serial, -1) for found in segments]
        self.version = version
        self._enter(version)
        self._clear_delta()
        self._show_delta(version)
        return True

    def _enter(self, version: TableVersion) -> None:
        """Numbers the entries of the version's segments; those without one get one, and their rows chains."""
        words = self._memory.words
        for chunk, found in enumerate(version.segment_set.segments):
            entry = self._entries[chunk]
            if entry >= 0:
                words[(self._chunk(entry) + pa.CHUNK_NUMBER) >> 2] = chunk
                continue
            entry = self._entries[chunk] = self._used
            self._used += 1
            words[(self._chunk(entry) + pa.CHUNK_NUMBER) >> 2] = chunk
            words[(self._chunk(entry) + pa.CHUNK_ROWS) >> 2] = found.rows
            self._enter_chunk(version, chunk, self._sets)

    def _enter_chunk(self, version: TableVersion, chunk: int, sets: Sequence[Chains]) -> None:
        """Puts the rows of a chunk into chains."""
        entry = self._entries[chunk]
        pinned = self._load(chunk, tuple({ordinal for chains in sets for ordinal in chains.key}))
        try:
            for chains in sets:
                chains.enter(version, entry)
        finally:
            self._pool.unpin_all(pinned)

    def _show_delta(self, version: TableVersion) -> None:
        """All of the delta, and all masks."""
        for position in range(len(version.delta_chunks)):
            self._append(version, position, 0)
        self._link(version, 0)
        self._mask(version, None)

    def _append(self, version: TableVersion, position: int, start: int) -> None:
        chunk = version.delta_chunks[position]
        if position == len(self._starts):
            self._starts.append(self._delta.count)
        if chunk.rows <= start:
            return
        columns = [version.as_text(chunk.view(column, start), column) for column in range(self._columns)]
        row_id = (len(version.segment_set.segments) + position) * CHUNK_ROWS + start
        self._delta.add(columns, row_id, chunk.rows - start)

    def _link(self, version: TableVersion, first: int) -> None:
        """Puts the records from `first` on into their chains."""
        for chains in self._sets:
            chains.link(version, self._delta, first)

    def link(self, heads: int, size: int, address: int, count: int) -> None:
        """Puts records that lie one after another into chains of the primary key."""
        with self.lock:
            self._sets[0].link_at(heads, size, address, count)

    def has_chains_of(self, key: tuple[int, ...]) -> bool:
        return any(chains.key == key for chains in self._sets)

    def chains_of(self, key: tuple[int, ...]) -> int | None:
        """The number of the chains over these columns, which are made if there are none; None if there is no room for
        them. Raises 53200 if memory is short."""
        with self.lock:
            if self.closed or not self.has_chains:
                return None
            for chains in self._sets:
                if chains.key == key:
                    return chains.number
            if len(self._sets) == pa.MOST_CHAINS:
                return None
            chains = Chains(self._engine, self._info, self.address, key, len(self._sets))
            version = self.version
            if version is None:
                self._sets.append(chains)
                return chains.number
            self._set_stamp(0)
            self._is_busy = True
            try:
                self._unload()
                self._make_chains(version, [chains])
                for chunk in range(len(self._entries)):
                    self._enter_chunk(version, chunk, [chains])
                chains.link(version, self._delta, 0)
            except BaseException:
                chains.clear()
                raise
            finally:
                self._is_busy = False
                self._set_stamp(next(_stamps))
            self._sets.append(chains)
            return chains.number

    def _mask(self, version: TableVersion, old: TableVersion | None) -> None:
        known = {} if old is None else old.masks
        segments = len(version.segment_set.segments)
        for chunk, mask in version.masks.items():
            before = known.get(chunk)
            if mask is before:
                continue
            rows = None if before is None else mask.since(before)
            if chunk < segments:
                shown = self._visibility.get(self._entries[chunk])
                if rows is None or shown is None:
                    self._show_mask(self._entries[chunk], mask.visible)
                else:
                    for row in rows:
                        self._memory.bytes[shown + row] = 0
                continue
            gone = np.flatnonzero(mask.visible == 0) if rows is None else np.array(rows, np.int64)
            if before is not None and rows is None:
                gone = gone[before.shown(gone)]
            self._delta.hide(gone + self._starts[chunk - segments])

    def _show_mask(self, entry: int, visible: Array) -> None:
        address = self._visibility.get(entry)
        if address is None:
            address = self._visibility[entry] = allocated(self._memory, CHUNK_ROWS)
            self._memory.array[address : address + CHUNK_ROWS] = 1
        self._memory.array[address : address + len(visible)] = visible
        self._memory.words[(self._chunk(entry) + pa.CHUNK_VISIBILITY) >> 2] = address

    # --- making it ---
    def _make(self, version: TableVersion) -> None:
        """Everything from scratch."""
        self._clear()
        count = len(version.segment_set.segments)
        capacity = count + (count // 4 + 1 if count >= FEW_SEGMENTS else 0)
        stride = pa.chunk_bytes(self._columns)
        self._chunks = zeroed(self._memory, max(stride * capacity, 16))
        self._put(pa.DIRECTORY_CHUNKS, self._chunks)
        self._capacity = capacity
        self._make_chains(version, self._sets)
        self.version = version  # `_load` reads its columns
        self._entries, self._used, self._capacity = [-1] * count, 0, capacity
        self._enter(version)
        self._show_delta(version)

    def _make_chains(self, version: TableVersion, made: Sequence[Chains]) -> None:
        """Empty chains; the whole index may take a share of the memory only."""
        rows = int(version.segment_set.rows.sum())
        count = len({*self._sets, *made})
        if count * Chains.bytes_for(rows, self._capacity) > self._memory.limit * MOST_INDEX_SHARE:
            raise out_of_memory(self._memory)
        for chains in made:
            chains.make(rows, self._capacity)
            chains.programs(version)

    def _chunk(self, entry: int) -> int:
        return self._chunks + entry * pa.chunk_bytes(self._columns)

    def _put(self, offset: int, value: int) -> None:
        self._memory.words[(self.address + offset) >> 2] = value

    # --- columns of segments ---
    def load(self, entry: int) -> None:
        """Makes the columns of an entry's chunk resident."""
        with self.lock:
            if self.version is None or entry in self._pins or entry not in self._entries:
                return
            self._is_busy = True
            try:
                self._pins[entry] = self._load(self._entries.index(entry), tuple(sorted(self._wanted)))
            finally:
                self._is_busy = False
            self._memory.words[(self._chunk(entry) + pa.CHUNK_RESIDENT) >> 2] = 1

    def _load(self, chunk: int, ordinals: tuple[int, ...]) -> list[Entry]:
        """Pins columns of a chunk and writes their addresses into its entry."""
        version, words = self.version, self._memory.words
        assert version is not None
        place = (self._chunk(self._entries[chunk]) + pa.CHUNK_COLUMNS) >> 2
        entries: list[Entry] = []
        try:
            for ordinal in ordinals:
                if version.layout.columns[ordinal].encoding is Encoding.DICTIONARY:
                    self._load_dictionary(version, ordinal)
                entry = self._pool.pin(version.chunk_key(chunk, ordinal), partial(version.load, chunk, ordinal))
                entries.append(entry)
                at = place + (pa.CHUNK_COLUMN_BYTES >> 2) * ordinal
                words[at], words[at + 1] = entry.data, entry.validity
                words[at + 2] = version.layout.columns[ordinal].width.bit_length() - 1
        except BaseException:
            self._pool.unpin_all(entries)
            raise
        return entries

    def _load_dictionary(self, version: TableVersion, ordinal: int) -> None:
        """The strings of a column; codes of segments never exceed those known when the segment was made."""
        if ordinal in self._dictionaries:
            return
        offsets, text = version.dictionaries[ordinal].strings_as_buffers()
        key = ("point dictionary", id(self), ordinal, next(_stamps))
        entry = self._pool.pin(key, lambda: Loaded(offsets, None, text))
        self._dictionaries[ordinal] = entry
        self._put(pa.DIRECTORY_DICTIONARIES + 4 * ordinal, entry.data)

    def _unload(self) -> bool:
        """Lets the columns go; says whether there were any."""
        self.let_go += 1
        loaded = bool(self._pins)
        for entry, entries in self._pins.items():
            self._memory.words[(self._chunk(entry) + pa.CHUNK_RESIDENT) >> 2] = 0
            self._pool.unpin_all(entries)
        self._pins.clear()
        for found in self._dictionaries.values():
            self._pool.discard(found)
        self._dictionaries.clear()
        return loaded

    def release(self) -> bool:
        """Lets the columns go because memory is short; says whether there were any."""
        if self._is_busy or not self._pins or not self.lock.acquire(blocking=False):
            return False
        try:
            return not self._is_busy and self._unload()
        finally:
            self.lock.release()

    def _clear(self) -> None:
        self._unload()
        self.version = None
        for address in (self._chunks, *self._visibility.values()):
            if address:
                self._memory.free(address)
        self._chunks = 0
        for chains in self._sets:
            chains.clear()
        self._visibility.clear()
        self._entries, self._used, self._capacity = [], 0, 0
        self._clear_delta()

    def _clear_delta(self) -> None:
        self.let_go += 1
        for chains in self._sets:
            chains.clear_delta()
        self._delta.close()
        self._delta = RecordBlocks(self._memory, self._record)
        self._starts = []

    def close(self) -> None:
        """Frees everything; point functions end with STATUS_STALE until they are bound anew."""
        with self.lock:
            if not self.closed:
                self._set_stamp(0)
                self.closed = True
                self._clear()
                self._forget_rooms()
        for statement in list(self.statements):
            statement.let_go()
            # `address` itself stays while there is a statement: its frame names it.

    def __del__(self) -> None:
        # Not freed here: a collection may run while this thread holds the allocator's lock.
        address = getattr(self, "address", 0)
        if address:
            self._engine.unused_frames.append(address)
            self._forget_rooms()

    def _forget_rooms(self) -> None:
        while self.spare_rooms:
            self._engine.unused_frames.extend(self.spare_rooms.pop())


class Directories:
    """The directories of an engine, by table and columns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._tables: dict[int, PointDirectory] = {}

    def of(self, info: TableInfo) -> PointDirectory:
        """The directory of a table, given with the widest layout."""
        with self._lock:
            found = self._tables.get(info.id)
            if found is None or found._info.schema_version != info.schema_version:
                if found is not None:
                    found.close()
                found = self._tables[info.id] = PointDirectory(self._engine, info)
            return found

    def release(self) -> bool:
        return any(found.release() for found in list(self._tables.values()))

    def forget(self, table_id: int) -> None:
        with self._lock:
            found = self._tables.pop(table_id, None)
        if found is not None:
            found.close()
