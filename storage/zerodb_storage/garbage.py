"""Values of dropped segments and tables: deleted when nobody can ask for them any more.

A commit that drops a segment writes a garbage record with its own sequence number. The segment's columns go when

    - no snapshot of this process refers to it (a weak reference tells),
    - no other process reads a commit from before (`leases`),
    - no backup still to be made needs it (`history`).

After a crash the garbage records say what is left. Columns that an unfinished import or fold had written before its
batch have a garbage record without a number; nothing ever referred to them.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable

from zerodb_storage import keys, leases, records, recovery
from zerodb_storage.kv import Batch, KeyValueStore

_LOOK_AGAIN = 64  # calls between two looks at what was still needed


def dropped(key: bytes, sequence: int) -> tuple[bytes, bytes]:
    """The garbage record of something that a commit drops."""
    return key, records.pack(key, {"dropped": sequence})


def dropped_at(key: bytes, value: bytes) -> int:
    """The commit that dropped it, 0 if it was never in any; XX001 if the record is damaged."""
    if not value:
        return 0
    record = records.unpack(key, value)
    with records.reading(key):
        return int(record["dropped"])


class Garbage:
    """Thread-safe: one thread at a time collects, others that would go on."""

    def __init__(self, store: KeyValueStore, path: str | None, keeps: Callable[[int], bool]) -> None:
        """`path` is the database's directory, None in memory; `keeps(sequence)`: whether a backup needs what that
        commit dropped."""
        self._store = store
        self._path = path
        self._keeps = keeps
        self._unused: deque[tuple[int, int, int]] = deque()  # dropped at, table, segment
        self._needed: list[tuple[int, int, int]] = []  # by somebody outside
        self._until_look = 0
        self._collecting = threading.Lock()

    def watch(self, owner: object, table_id: int, segment: int, sequence: int) -> None:
        """`sequence` dropped the segment (or the whole table), which is unused when `owner` is gone."""
        finalizer = weakref.finalize(owner, self._unused.append, (sequence, table_id, segment))
        finalizer.atexit = False

    def left_behind(self) -> None:
        """At opening: what an earlier process did not delete."""
        for key, value in list(self._store.scan(*keys.space(b"G"))):
            self._unused.append((dropped_at(key, value), keys.table_of(key), keys.segment_of(key)))
        self.collect()

    def collect(self) -> None:
        if not (self._unused or self._needed) or not self._collecting.acquire(blocking=False):
            return
        try:
            self._collect()
        finally:
            self._collecting.release()

    def _collect(self) -> None:
        self._until_look -= 1
        if self._until_look <= 0:
            self._until_look = _LOOK_AGAIN
            self._unused.extend(self._needed)
            self._needed = []
        if not self._unused:
            return
        oldest = None if self._path is None else leases.oldest(self._path)
        while self._unused:
            sequence, table_id, segment = self._unused.popleft()
            if sequence and ((oldest is not None and oldest < sequence) or self._keeps(sequence)):
                self._needed.append((sequence, table_id, segment))
            else:
                self._delete(table_id, segment)

    def _delete(self, table_id: int, segment: int) -> None:
        batch = Batch(deletes=[keys.garbage(table_id, segment)])
        batch.delete_range(*recovery.garbage_range(table_id, segment))
        self._store.write(batch, sync=False)
        if segment == keys.WHOLE_TABLE:
            self._store.compact(*keys.table_range(b"C", table_id))
