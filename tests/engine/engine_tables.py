"""Tables in memory with the interface that the engine needs of the storage (zerodb.engine.tables)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from zerodb.engine.pool import Loaded
from zerodb_compiler.layout import ColumnLayout, Encoding, TableLayout, int_width

_ids = count(1)


@dataclass(frozen=True)
class Zones:
    low: Any
    high: Any
    has_value: Any


@dataclass
class MemoryDictionary:
    strings: list[str]

    @property
    def size(self) -> int:
        return len(self.strings)

    def code_of(self, text: str) -> int | None:
        return self.strings.index(text) if text in self.strings else None

    def strings_as_buffers(self) -> tuple[Any, Any]:
        return text_buffers(self.strings)


def text_buffers(values: list[str]) -> tuple[Any, Any]:
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(values) + 1, dtype=np.uint32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    return offsets, np.frombuffer(b"".join(encoded), dtype=np.uint8)


@dataclass
class MemoryTable:
    """`columns` is a list of columns, each a list of chunks: integer arrays, or lists of str (TEXT). A masked array's
    mask are its NULLs."""

    name: str
    columns: list[list[Any]]
    masks: dict[int, Any] = field(default_factory=dict)
    dictionaries: Mapping[int, MemoryDictionary] = field(default_factory=dict)
    id: int = field(default_factory=lambda: next(_ids))
    loads: int = 0

    def __post_init__(self) -> None:
        self.layout = TableLayout(tuple(self._layout(i) for i in range(len(self.columns))), bool(self.masks))
        first = self.columns[0] if self.columns else []
        self.chunk_count = len(first)
        self.chunk_rows = np.array([len(chunk) for chunk in first], dtype=np.int32)

    def _layout(self, ordinal: int) -> ColumnLayout:
        chunks = self.columns[ordinal]
        if ordinal in self.dictionaries:
            return ColumnLayout(Encoding.DICTIONARY, chunks[0].dtype.itemsize, False)
        if any(isinstance(chunk, list) for chunk in chunks):
            return ColumnLayout(Encoding.TEXT, 4, False)
        nulls = any(np.ma.isMaskedArray(chunk) for chunk in chunks)
        if chunks and chunks[0].dtype.kind == "f":
            return ColumnLayout(Encoding.FLOAT, chunks[0].dtype.itemsize, nulls)
        low = min((int(c.min()) for c in chunks if len(c)), default=0)
        high = max((int(c.max()) for c in chunks if len(c)), default=0)
        return ColumnLayout(Encoding.INT, int_width(low, high), nulls, low, high)

    def zone_map(self, column: int) -> Zones | None:
        if self.layout.columns[column].encoding not in (Encoding.INT, Encoding.FLOAT):
            return None
        chunks = self.columns[column]
        return Zones(
            np.array([c.min() for c in chunks]),
            np.array([c.max() for c in chunks]),
            np.ones(len(chunks), dtype=np.bool_),
        )

    def chunk_key(self, chunk: int, column: int) -> Hashable:
        return ("memory", self.id, chunk, column)

    def growth_key(self, chunk: int, column: int) -> None:
        return None

    def changed_since(self, older: Any) -> None:
        return None

    def load(self, chunk: int, column: int, start: int = 0) -> Loaded:
        self.loads += 1
        values, layout = self.columns[column][chunk], self.layout.columns[column]
        if isinstance(values, list):
            offsets, text = text_buffers(values)
            return Loaded(offsets, None, text)
        if layout.encoding is Encoding.INT:
            data = np.ma.getdata(values).astype(f"<i{layout.width}")
        else:
            data = np.ma.getdata(values)
        validity = (~np.ma.getmaskarray(values)).astype(np.uint8) if np.ma.isMaskedArray(values) else None
        return Loaded(data, validity)

    def hidden_since(self, older: Any, chunk: int) -> None:
        return None

    def mask(self, chunk: int) -> tuple[Hashable, Any] | None:
        mask = self.masks.get(chunk)
        return None if mask is None else (("mask", self.id, chunk), mask)


@dataclass(frozen=True)
class MemorySnapshot:
    tables: Mapping[str, MemoryTable]


def snapshot(*tables: MemoryTable) -> MemorySnapshot:
    return MemorySnapshot({table.name: table for table in tables})
