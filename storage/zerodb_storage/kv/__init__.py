"""The key-value interface below the storage engine.

Everything zerodb keeps goes through this small surface: point reads, ordered scans and atomic batches. Keys
and values are bytes, keys are ordered as unsigned bytes. RocksDB implements it durably (`rocks`), `memory` serves tests
and `:memory:` databases; a distributed store can implement it later.

`write_unlogged` is the one unusual method: large values (segments) are written once, straight into their final files,
instead of first into a log. They are durable when it returns, but *not* atomic: a crash in the middle may leave some of
them. The caller records its intent first and makes them reachable afterwards, with one logged atomic batch.

There are no snapshots here: what a reader needs is never overwritten (segments have new keys, catalog and headers
are in memory), and rocksdict's snapshots do not hold for iterators (0.3.29).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Batch:
    """Changes applied together. Range deletions are applied first, then puts, then deletes of single keys."""

    puts: list[tuple[bytes, bytes]] = field(default_factory=list)
    deletes: list[bytes] = field(default_factory=list)
    range_deletes: list[tuple[bytes, bytes]] = field(default_factory=list)

    def put(self, key: bytes, value: bytes) -> None:
        self.puts.append((key, value))

    def delete(self, key: bytes) -> None:
        self.deletes.append(key)

    def delete_range(self, begin: bytes, end: bytes) -> None:
        """Delete all keys with begin <= key < end."""
        self.range_deletes.append((begin, end))

    def __bool__(self) -> bool:
        return bool(self.puts or self.deletes or self.range_deletes)


class Reader(Protocol):
    def get(self, key: bytes) -> bytes | None: ...

    def multi_get(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All pairs with begin <= key < end, in key order."""
        ...


class KeyValueStore(Reader, Protocol):
    def write(self, batch: Batch, *, sync: bool) -> None:
        """Apply the batch atomically; with `sync` it is on stable storage on return."""
        ...

    def write_unlogged(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Write pairs to stable storage, each at most once, not atomically (see the module's docstring)."""
        ...

    def compact(self, begin: bytes, end: bytes) -> None:
        """Give space of deleted pairs in the range back to the system, as far as the store can."""
        ...

    def close(self) -> None: ...
