"""Table versions bound to linear memory: descriptor arrays and dictionaries that outlive one query.

Problem: a hot query over 92 chunks should not look up 92 times its columns' addresses, yet nothing may stay pinned for
ever when memory is short.

Idea: a `TableBinding` is the descriptor array (abi.CHUNK_*) of one table version and list of columns. Its chunks are
loaded when a morsel first needs them and stay pinned. An execution holds a binding in one of two ways:

    locked    every chunk it will run is resident: no Python per chunk at all; nothing of the binding can be evicted
    guarded   each morsel enters and leaves its chunk; under memory pressure other chunks are let go (and loaded again
              when needed), so that a table larger than the memory can be scanned. Generated code copies the texts
              that it keeps for longer than a morsel, so nothing points into a chunk that was let go

Without a user, a binding is let go whole when memory is short, least recently used first; and it moves on to the next
version of its table, whose chunks are nearly all the same (`advance`). While it has users the next version gets a
binding of its own, which shares them (`adopt`). So where threads read while others commit there are some bindings of
one table and list of columns; those without users are kept (`_spare`) to move on when they are wanted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from itertools import count

import numpy as np

from zerodb.engine.memory import Memory
from zerodb.engine.pool import Array, BufferPool, Entry, Loaded, out_of_memory
from zerodb.engine.tables import Dictionary, TableVersion
from zerodb_compiler.codegen import abi
from zerodb_compiler.layout import CHUNK_ROWS

Zones = tuple[Array, Array, Array | None]
MOST_SPARE = 4  # bindings of one table and list of columns
MOST_HIDDEN = 4096  # of more rows the whole mask is taken anew: it is as quick
SPARE_CHUNKS = 4  # room for descriptors of chunks that a later version has more
_clock: Iterator[int] = count()


class TableBinding:
    """The chunks of `version`, columns `ordinals`; `address` is the descriptor array's."""

    def __init__(self, memory: Memory, pool: BufferPool, version: TableVersion, ordinals: tuple[int, ...]) -> None:
        self._memory, self._pool = memory, pool
        self.version, self.ordinals = version, ordinals
        self.chunk_count = version.chunk_count
        self.all_chunks = range(self.chunk_count)
        self.users = 0
        self.locked = 0
        self.closed = False
        self.last_used = next(_clock)
        self.missing = self.chunk_count
        self.resident: Array = np.zeros(self.chunk_count, dtype=np.bool_)
        self._pins: list[list[Entry] | None] = [None] * self.chunk_count
        self._stale: dict[int, list[Entry]] = {}  # what an older version had, until the chunk is loaded again
        self._busy = [0] * self.chunk_count
        self._zones: dict[int, Zones | None] = {}
        self._lock = threading.Lock()
        self._stride = abi.CHUNK_HEADER + abi.CHUNK_COLUMN_BYTES * len(ordinals)
        self._most_chunks = self.chunk_count + SPARE_CHUNKS
        size = self._stride * self._most_chunks
        self.address = memory.allocate(size)
        if not self.address:
            raise out_of_memory(memory)
        memory.zero(self.address, size)
        memory.array[self.address : self.address + size].view(np.int32).reshape(self._most_chunks, self._stride >> 2)[
            :, abi.CHUNK_INDEX_FIELD >> 2
        ] = np.arange(self._most_chunks, dtype=np.int32)
        rows = np.asarray(version.chunk_rows, dtype=np.int32)
        assert self.chunk_count == 0 or int(rows.max()) <= CHUNK_ROWS
        self.rows = int(rows.sum())
        self._descriptors()[:, abi.CHUNK_ROWS_FIELD >> 2] = rows

    def _descriptors(self) -> Array:
        size = self._stride * self.chunk_count
        table: Array = self._memory.array[self.address : self.address + size].view(np.int32)
        return table.reshape(self.chunk_count, self._stride >> 2)

    def zones(self, ordinal: int) -> Zones | None:
        """Least and greatest values per chunk, and which chunks have NULLs only (None: no chunk)."""
        if ordinal not in self._zones:
            found = self.version.zone_map(ordinal)
            if found is None:
                self._zones[ordinal] = None
            else:
                empty = None if bool(found.has_value.all()) else ~found.has_value
                self._zones[ordinal] = (found.low, found.high, empty)
        return self._zones[ordinal]

    def enter(self, chunk: int) -> None:
        """Makes the chunk resident and keeps it so until `leave`."""
        with self._lock:
            self._busy[chunk] += 1
            if self._pins[chunk] is not None:
                return
        try:
            entries = self._load(chunk)
        except BaseException:
            self.leave(chunk)
            raise
        with self._lock:
            if self._pins[chunk] is None:
                self._pins[chunk] = entries
                self.resident[chunk] = True
                self.missing -= 1
                if chunk in self._stale:
                    self._let_go(self._stale.pop(chunk), [entry.key for entry in entries])
                return
        self._pool.unpin_all(entries)

    def leave(self, chunk: int) -> None:
        with self._lock:
            self._busy[chunk] -= 1

    def _load(self, chunk: int) -> list[Entry]:
        """Pins all columns of the chunk and writes its descriptor. (A thread doing the same writes the same.)"""
        version, words = self.version, self._memory.words
        base = (self.address + chunk * self._stride) >> 2
        ones = self._memory.ones
        entries: list[Entry] = []
        try:
            if version.layout.has_deletes:
                mask = version.mask(chunk)
                address = ones
                if mask is not None:
                    entries.append(self._pool.pin(("visibility", mask[0]), partial(Loaded, mask[1])))
                    address = entries[-1].data
                words[base + (abi.CHUNK_VISIBILITY_FIELD >> 2)] = address
            same = self._same_columns(chunk)
            if same:
                return entries + same
            slot = base + (abi.CHUNK_HEADER >> 2)
            for ordinal in self.ordinals:
                growing = version.growth_key(chunk, ordinal)
                if growing is None:
                    key = version.chunk_key(chunk, ordinal)
                    entry = self._pool.pin(key, partial(version.load, chunk, ordinal))
                else:
                    entry = self._pool.pin_growing(*growing, partial(version.load, chunk, ordinal))
                entries.append(entry)
                words[slot] = entry.data
                words[slot + 1] = (entry.validity or ones) if version.layout.columns[ordinal].has_nulls else 0
                slot += 2
        except BaseException:
            self._pool.unpin_all(entries)
            raise
        return entries

    def _same_columns(self, chunk: int) -> list[Entry]:
        """The columns of a chunk of which an older version saw other rows, pinned once more; they are in its descriptor
        still. None of a chunk that grows."""
        with self._lock:
            stale = self._stale.get(chunk)
            if stale is None or not self.ordinals or stale[-1].growth is not None:
                return []
            columns = stale[-len(self.ordinals) :]
            self._pool.repin(columns)
            return columns

    def advance(self, version: TableVersion) -> bool:
        """Makes a binding without users one of another version, if that has the same segments and layout."""
        changed = self._changed(version, self.version)
        if changed is None or version.chunk_count > self._most_chunks:
            return False
        with self._lock:
            more = version.chunk_count - self.chunk_count
            if more < 0:
                for chunk in range(version.chunk_count, self.chunk_count):
                    self._let_go([*(self._pins[chunk] or ()), *self._stale.pop(chunk, ())], [])
                del self._pins[more:], self._busy[more:]
                self.resident = self.resident[:more]
            elif more:
                self._pins += [None] * more
                self._busy += [0] * more
                self.resident = np.concatenate((self.resident, np.zeros(more, np.bool_)))
            before, self.version, self.chunk_count = self.version, version, version.chunk_count
            self.all_chunks = range(self.chunk_count)
            rows, words = version.chunk_rows, self._memory.words
            for chunk in changed:
                entries = self._pins[chunk]
                if entries is not None and not self._hide_rows(entries, chunk, before):
                    self._stale[chunk] = entries
                    self._pins[chunk] = None
                    self.resident[chunk] = False
                words[(self.address + chunk * self._stride + abi.CHUNK_ROWS_FIELD) >> 2] = int(rows[chunk])
            self.rows = int(rows.sum())
            self.missing = self.chunk_count - int(np.count_nonzero(self.resident))
            self._zones.clear()
        return True

    def _hide_rows(self, entries: list[Entry], chunk: int, before: TableVersion) -> bool:
        """Hides the rows of a resident chunk that went since an older version, if nothing else is new of it and nobody
        reads its mask."""
        if len(entries) != len(self.ordinals) + 1 or entries[-1].growth is not None:
            return False
        found = self.version.hidden_since(before, chunk)
        key = entries[0].key
        assert isinstance(key, tuple)
        if found is None or key[:2] != ("visibility", found[0]) or len(found[2]) > MOST_HIDDEN:
            return False
        return not found[2] or self._pool.hide_rows(entries[0], ("visibility", found[1]), found[2])

    def _changed(self, version: TableVersion, older: TableVersion) -> Sequence[int] | None:
        """The chunks of a version that are other than in the older one; None if it is another altogether."""
        layout, before = version.layout, older.layout
        if layout is not before:
            if layout.has_deletes != before.has_deletes:
                return None
            if any(layout.columns[i] != before.columns[i] for i in self.ordinals):
                return None
        return version.changed_since(older)

    def adopt(self, old: TableBinding) -> None:
        """Takes over the chunks of an older version's binding that are the same still, or shares them if the binding
        has users; what no version will ask for again (visibility masks that were replaced) is freed at once, lest every
        change leave a dead copy behind."""
        changed = self._changed(self.version, old.version)
        if changed is None:
            if not old.users:
                old.give_up()
            return
        count = min(self.chunk_count, old.chunk_count)
        kept = np.ones(count, np.bool_)
        kept[[chunk for chunk in changed if chunk < count]] = False
        with self._lock, old._lock:
            kept &= old.resident[:count]
            self._descriptors()[:count][kept] = old._descriptors()[:count][kept]
            self.resident[:count] = kept
            self.missing -= int(np.count_nonzero(kept))
            chunks = np.flatnonzero(kept).tolist()
            for chunk in chunks:
                self._pins[chunk] = old._pins[chunk]
            if old.users:
                self._pool.repin([entry for chunk in chunks for entry in old._pins[chunk] or ()])
                return
            for chunk in chunks:
                old._pins[chunk] = None

    def give_up(self) -> None:
        """Lets all chunks go, those of the delta for good: the version that comes after this one has other chunks."""
        with self._lock:
            for chunk, entries in [*enumerate(self._pins), *self._stale.items()]:
                if entries is not None:
                    self._pins[chunk] = None
                    self._let_go(entries, [entry.key for entry in entries if entry.growth is None])
            self._stale.clear()
            self.resident[:] = False
            self.missing = self.chunk_count

    def _let_go(self, entries: list[Entry], keys: list[Hashable]) -> None:
        for entry in entries:
            if entry.key in keys:
                self._pool.unpin(entry)
            else:
                self._pool.discard(entry)

    def lock(self, chunks: Array | range) -> bool:
        """Holds the binding locked if all `chunks` are resident; says whether it did."""
        with self._lock:
            if self.missing and not (len(chunks) == 0 or bool(self.resident[np.asarray(chunks)].all())):
                return False
            self.locked += 1
            return True

    def load_few(self, chunks: Array | range, most: int) -> bool:
        """Loads what is missing of `chunks` if that is at most `most`, besides those of which only other rows are
        visible than before; says whether it did."""
        wanted = np.asarray(chunks, dtype=np.int64)
        missing = wanted[~self.resident[wanted]].tolist()
        if len(missing) > most and sum(chunk not in self._stale for chunk in missing) > most:
            return False
        for chunk in missing:
            self.enter(chunk)
            self.leave(chunk)
        return True

    def unlock(self) -> None:
        with self._lock:
            self.locked -= 1

    def release(self) -> bool:
        """Unpins the chunks that no morsel reads now, unless the binding is locked; says whether there were any."""
        with self._lock:
            if self.locked:
                return False
            loose = [i for i, pins in enumerate(self._pins) if pins is not None and not self._busy[i]]
            for chunk in loose:
                entries = self._pins[chunk]
                assert entries is not None
                self._pins[chunk] = None
                self._pool.unpin_all(entries)
            self.resident[loose] = False
            self.missing += len(loose)
            for entries in self._stale.values():
                self._pool.unpin_all(entries)
            some = bool(loose or self._stale)
            self._stale.clear()
            return some

    def close(self) -> None:
        assert not self.users
        if not self.closed:
            self.release()
            self.closed = True
            self._memory.free(self.address)


class DictionaryBinding:
    """A column's dictionary in linear memory."""

    def __init__(self, pool: BufferPool, table_id: int, ordinal: int, dictionary: Dictionary) -> None:
        self._pool = pool
        self.dictionary, self.size = dictionary, dictionary.size
        self.users = 0
        self.closed = False
        self.last_used = next(_clock)
        self._entry = pool.pin(("dictionary", table_id, ordinal, next(_clock)), self._load)
        self.address = self._entry.data

    def _load(self) -> Loaded:
        offsets, text = self.dictionary.strings_as_buffers()
        return Loaded(offsets[: self.size + 1], None, text)

    def close(self) -> None:
        assert not self.users
        if not self.closed:
            self.closed = True
            self._pool.discard(self._entry)


class Bindings:
    """All bindings of an engine, found by (table, columns); a new version of the table replaces the old binding."""

    def __init__(self, memory: Memory, pool: BufferPool) -> None:
        self._memory, self._pool = memory, pool
        self._lock = threading.RLock()
        self._tables: dict[tuple[int, tuple[int, ...]], TableBinding] = {}
        self._dictionaries: dict[tuple[int, int], DictionaryBinding] = {}
        # Replaced while in use; closed by the last user, but for some tables' that wait for a later version.
        self._retired: set[TableBinding | DictionaryBinding] = set()
        self._spare: dict[tuple[int, tuple[int, ...]], list[TableBinding]] = {}

    def table(self, version: TableVersion, ordinals: tuple[int, ...]) -> TableBinding:
        """The binding, with one user more."""
        key = (version.id, ordinals)
        with self._lock:
            found = self._tables.get(key)
            if found is not None and found.version is version and not found.closed:
                found.users += 1
                return found
            if found is not None and not found.users and not found.closed and found.advance(version):
                found.users = 1
                return found
            spare = self._moved_on(key, version)
            if spare is not None:
                self._tables[key] = spare
                if found is not None:
                    self._retire(found)
                return spare
        made = TableBinding(self._memory, self._pool, version, ordinals)
        with self._lock:
            made.users += 1
            old = self._tables.get(key)
            self._tables[key] = made
            if old is not None:
                if not old.closed:
                    made.adopt(old)
                if old.users:
                    self._retired.add(old)
                else:
                    old.close()
        return made

    def _moved_on(self, key: tuple[int, tuple[int, ...]], version: TableVersion) -> TableBinding | None:
        """A binding that was kept, moved on to the version, with one user; those that cannot be are closed."""
        waiting = self._spare.get(key, [])
        for spare in [spare for spare in waiting if not spare.users]:  # a frame of its version may use one
            waiting.remove(spare)
            if not spare.closed and spare.advance(version):
                spare.users = 1
                return spare
            spare.close()
        return None

    def dictionary(self, version: TableVersion, ordinal: int) -> DictionaryBinding:
        """The dictionary's binding, with one user more."""
        key, dictionary = (version.id, ordinal), version.dictionaries[ordinal]
        with self._lock:
            found = self._dictionaries.get(key)
            if found is not None and found.dictionary == dictionary and found.size == dictionary.size:
                found.users += 1
                return found
        made = DictionaryBinding(self._pool, version.id, ordinal, dictionary)
        with self._lock:
            made.users += 1
            old = self._dictionaries.get(key)
            self._dictionaries[key] = made
            if old is not None:
                self._retire(old)
        return made

    def use(
        self,
        tables: tuple[TableBinding, ...],
        versions: Sequence[tuple[str, TableVersion]],
        dictionaries: tuple[DictionaryBinding, ...],
    ) -> bool:
        """One user more for each, unless one of them has been closed or has moved on to another version."""
        with self._lock:
            for table, (_, version) in zip(tables, versions, strict=True):
                if table.closed or table.version is not version:
                    return False
            for dictionary in dictionaries:
                if dictionary.closed:
                    return False
            for table in tables:
                table.users += 1
            for dictionary in dictionaries:
                dictionary.users += 1
            return True

    def leave(self, bindings: tuple[TableBinding | DictionaryBinding, ...]) -> None:
        with self._lock:
            for binding in bindings:
                binding.users -= 1
                binding.last_used = next(_clock)
                if not binding.users and binding in self._retired:
                    self._retired.discard(binding)
                    self._keep_or_close(binding)

    def _retire(self, binding: TableBinding | DictionaryBinding) -> None:
        if binding.users:
            self._retired.add(binding)
        else:
            self._keep_or_close(binding)

    def _keep_or_close(self, binding: TableBinding | DictionaryBinding) -> None:
        """A replaced binding that has no user any more."""
        if isinstance(binding, TableBinding):
            key = (binding.version.id, binding.ordinals)
            waiting = self._spare.setdefault(key, [])
            if key in self._tables and not binding.closed and len(waiting) < MOST_SPARE:
                waiting.append(binding)
                return
        binding.close()

    def release_oldest(self) -> bool:
        """Closes the binding that has been without a user for longest, else lets loose chunks of a guarded one go."""
        with self._lock:
            idle: list[tuple[int, Callable[[], TableBinding | DictionaryBinding]]] = []
            idle += ((b.last_used, partial(self._tables.pop, key)) for key, b in self._tables.items() if not b.users)
            for column, dictionary in self._dictionaries.items():
                if not dictionary.users:
                    idle.append((dictionary.last_used, partial(self._dictionaries.pop, column)))
            for waiting in self._spare.values():
                spares = ((place, spare) for place, spare in enumerate(waiting) if not spare.users)
                idle += ((spare.last_used, partial(waiting.pop, place)) for place, spare in spares)
            if idle:
                _, take = min(idle, key=lambda item: item[0])
                take().close()
                return True
            guarded = [*self._tables.values(), *(b for b in self._retired if isinstance(b, TableBinding))]
            return any(binding.release() for binding in guarded)

    def forget(self, table_id: int) -> None:
        """Lets a dropped table's versions go (an execution that still reads it keeps its own until it ends)."""
        with self._lock:
            for key in [key for key in self._tables if key[0] == table_id]:
                self._retire(self._tables.pop(key))
                for spare in self._spare.pop(key, ()):
                    self._retire(spare)
            for column in [column for column in self._dictionaries if column[0] == table_id]:
                self._retire(self._dictionaries.pop(column))

    def close(self) -> None:
        with self._lock:
            every: list[TableBinding | DictionaryBinding] = [*self._tables.values(), *self._dictionaries.values()]
            every += (spare for waiting in self._spare.values() for spare in waiting)
            for binding in every:
                binding.close()
            self._tables.clear()
            self._spare.clear()
            self._dictionaries.clear()
