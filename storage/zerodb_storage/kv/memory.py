"""The key-value interface over a sorted list in memory: for tests and for `:memory:` databases."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from threading import Lock

from zerodb_storage.kv import Batch


class MemoryStore:
    """A dictionary and the sorted list of its keys."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._lock = Lock()

    def get(self, key: bytes) -> bytes | None:
        return self._pairs.get(key)

    def multi_get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._pairs.get(key) for key in keys]

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._lock:
            keys = self._keys[bisect_left(self._keys, begin) : bisect_left(self._keys, end)]
            return iter([(key, self._pairs[key]) for key in keys])

    def write(self, batch: Batch, *, sync: bool) -> None:
        with self._lock:
            for begin, end in batch.range_deletes:
                low, high = bisect_left(self._keys, begin), bisect_left(self._keys, end)
                for key in self._keys[low:high]:
                    del self._pairs[key]
                del self._keys[low:high]
            for key, value in batch.puts:
                if key not in self._pairs:
                    insort(self._keys, key)
                self._pairs[key] = value
            for key in batch.deletes:
                if self._pairs.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]

    def write_unlogged(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self.write(Batch(puts=list(pairs)), sync=False)

    def compact(self, begin: bytes, end: bytes) -> None:
        pass

    def close(self) -> None:
        self._pairs = {}
        self._keys = []
