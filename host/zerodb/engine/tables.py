"""What the engine needs of the storage: one immutable version of each table, as chunks.

`zerodb_storage` provides it; so does anything else that can hand over chunks (virtual tables, Arrow data)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np

from zerodb.engine.pool import ColumnData
from zerodb_compiler.layout import TableLayout


class ZoneMap(Protocol):
    """Least and greatest value per chunk; where `has_value` is false the chunk has only NULLs."""

    @property
    def low(self) -> np.ndarray[Any, Any]: ...
    @property
    def high(self) -> np.ndarray[Any, Any]: ...
    @property
    def has_value(self) -> np.ndarray[Any, Any]: ...


class Dictionary(Protocol):
    @property
    def size(self) -> int: ...
    def code_of(self, text: str | bytes) -> int | None: ...
    def strings_as_buffers(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...


class TableVersion(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def layout(self) -> TableLayout: ...
    @property
    def dictionaries(self) -> Mapping[int, Dictionary]: ...
    @property
    def chunk_count(self) -> int: ...
    @property
    def chunk_rows(self) -> np.ndarray[Any, Any]: ...
    def zone_map(self, column: int) -> ZoneMap | None: ...
    def chunk_key(self, chunk: int, column: int) -> Hashable: ...
    def growth_key(self, chunk: int, column: int) -> tuple[Hashable, int] | None:
        """(identity, rows) of a chunk that only grows; None for any other."""

    def load(self, chunk: int, column: int, start: int = 0) -> ColumnData: ...
    def changed_since(self, older: Self) -> Sequence[int] | None:
        """The chunks that are other than in an older version; None where more than that differs."""

    def mask(self, chunk: int) -> tuple[Hashable, np.ndarray[Any, Any]] | None:
        """(identity, a byte for each row that the chunk may get) where not all rows are visible."""

    def hidden_since(self, older: Self, chunk: int) -> tuple[Hashable, Hashable, Sequence[int]] | None:
        """(identity of the chunk's mask in an older version, and in this one, the rows that only this one hides); None
        where the masks differ otherwise."""


class Snapshot(Protocol):
    @property
    def tables(self) -> Mapping[str, TableVersion]: ...
