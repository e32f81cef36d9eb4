"""Chains of a point directory: the rows of a table by hash of some of its columns.

The first chains are those of the primary key; others are made when a statement asks for the rows that have certain
values in a part of a key or index (codegen/point_rows.py). Each has its own heads, and for rows of segments its own
links (`nexts`); records have a place for the link of each (point_abi.record_next).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.engine.point_call import PointCall
from zerodb.engine.point_records import RecordBlocks, allocated, zeroed
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.point import DirectoryProgram, generate_directory
from zerodb_compiler.layout import CHUNK_ROWS

if TYPE_CHECKING:
    from zerodb.engine.engine import Engine
    from zerodb_compiler.catalog import TableInfo
    from zerodb_storage import TableVersion

LEAST_HEADS = 1024


class Chains:
    """Those of one directory over the columns `key`; `number` says where its fields lie in the directory and in
    records. Changed under the directory's lock only."""

    def __init__(self, engine: Engine, info: TableInfo, directory: int, key: tuple[int, ...], number: int) -> None:
        self._engine, self._memory, self._info = engine, engine.memory, info
        self._directory, self.key, self.number = directory, key, number
        self._program: tuple[object, DirectoryProgram, PointCall] | None = None
        self._heads = self._nexts = 0
        self._delta_heads, self._delta_size = 0, 0

    @staticmethod
    def bytes_for(rows: int, capacity: int) -> int:
        """What `make` takes."""
        return 4 * (_heads_for(rows) + capacity * CHUNK_ROWS)

    def make(self, rows: int, capacity: int) -> None:
        """Empty ones for segments of so many rows, with room for `capacity` of them."""
        size = _heads_for(rows)
        self._heads = zeroed(self._memory, 4 * size)
        self._nexts = allocated(self._memory, max(4 * CHUNK_ROWS * capacity, 16))
        self._put(pa.CHAINS_HEADS, self._heads)
        self._put(pa.CHAINS_MASK, size - 1)
        self._put(pa.CHAINS_NEXTS, self._nexts)

    def clear(self) -> None:
        for address in (self._heads, self._nexts):
            if address:
                self._memory.free(address)
        self._heads = self._nexts = 0
        self.clear_delta()

    def clear_delta(self) -> None:
        if self._delta_heads:
            self._memory.free(self._delta_heads)
        self._delta_heads = self._delta_size = 0

    def programs(self, version: TableVersion) -> tuple[DirectoryProgram, PointCall]:
        """The code that links rows of this layout."""
        layout = tuple(version.layout.columns[ordinal].form for ordinal in self.key)
        if self._program is None or self._program[0] != layout:
            program = generate_directory(self._info, version.layout, self.key, self.number)
            self._program = layout, program, PointCall(self._engine, program.program)
        return self._program[1], self._program[2]

    def enter(self, version: TableVersion, entry: int) -> None:
        """The rows of an entry's chunk, whose columns are there."""
        program, call = self.programs(version)
        call.put(program.directory, self._directory, 0)
        call.run("chunk", entry)

    def link(self, version: TableVersion, delta: RecordBlocks, first: int) -> None:
        """The delta's records from `first` on."""
        if delta.count > self._delta_size or not self._delta_heads:
            self.clear_delta()
            self._delta_size = _heads_for(2 * delta.count)
            self._delta_heads = zeroed(self._memory, 4 * self._delta_size)
            first = 0
        self._put(pa.CHAINS_DELTA_HEADS, self._delta_heads)
        self._put(pa.CHAINS_DELTA_MASK, self._delta_size - 1)
        if first < delta.count:
            self.programs(version)
            for address, count in delta.parts(first, delta.count - first):
                self.link_at(self._delta_heads, self._delta_size, address, count)

    def link_at(self, heads: int, size: int, address: int, count: int) -> None:
        """Records that lie one after another, under other heads."""
        assert self._program is not None
        _, program, call = self._program
        call.put(program.heads, heads, size - 1)
        call.put(program.first, address, count)
        call.run("records", 0)

    def link_hashed(self, record: int, hashed: int) -> bool:
        """One record, whose hash is known; False if there is no room for it."""
        if not self._delta_heads:
            return False
        words, slot = self._memory.words, self._delta_heads + 4 * (hashed % self._delta_size)
        words[(record + pa.record_next(self.number)) >> 2] = words[slot >> 2]
        words[slot >> 2] = record
        return True

    def has_room(self, records: int) -> bool:
        return bool(self._delta_heads) and records <= self._delta_size

    def _put(self, field: int, value: int) -> None:
        self._memory.words[(self._directory + pa.chains_at(self.number) + field) >> 2] = value


def _heads_for(rows: int) -> int:
    return max(LEAST_HEADS, 1 << max(rows - 1, 0).bit_length())
