"""The history of commits: what each changed in the key-value store, for backups and restoring to a point in time.

From the first backup on (`backups.control`) every atomic batch of commits carries one more pair: the changes of the
batch itself, columns of segments by their keys only. The next backup copies these records and then lets them go. Until
then the columns of segments that were dropped after the last backup stay, too, for the history speaks of them.

    batch n     L.. put, H.. put, S put, B n put (all of these, and columns C.. by name)
    backup      takes B m+1 .. n, and the columns they name
    next batch  deletes B ..n

Each record names the one before it, so one that is missing is noticed. Limits: at most HISTORY_BYTES_MAX are kept;
beyond that the repository that is furthest behind is given up: its next backup must be a full one, and says so.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

from zerodb_storage import keys, records
from zerodb_storage.backups import control
from zerodb_storage.kv import Batch, KeyValueStore
from zerodb_storage.sequences import Sequences

HISTORY_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """`sequence` and `time` (microseconds since 1970, UTC) are those of the batch's last commit, `previous` and
    `previous_time` those before the batch. `total_bytes` counts this record and all before it."""

    sequence: int
    time: int
    previous: int
    previous_time: int
    range_deletes: list[tuple[bytes, bytes]]
    puts: list[tuple[bytes, bytes]]
    deletes: list[bytes]
    values: list[bytes]
    own_bytes: int
    total_bytes: int

    def batch(self) -> Batch:
        """The changes; columns of segments are put with empty values."""
        puts = [*self.puts, *((key, b"") for key in self.values)]
        return Batch(puts, list(self.deletes), list(self.range_deletes))


def unpack(key: bytes, value: bytes) -> HistoryRecord:
    content = records.unpack(key, value)
    with records.reading(key):
        sequence = keys.history_sequence(key)
        found = HistoryRecord(
            sequence,
            content["time"],
            content["previous"],
            content["previous_time"],
            [(begin, end) for begin, end in content["ranges"]],
            [(name, kept) for name, kept in content["puts"]],
            list(content["deletes"]),
            list(content["values"]),
            content["bytes"],
            content["total"],
        )
        numbers = (found.time, found.previous, found.previous_time, found.own_bytes, found.total_bytes)
        texts = itertools.chain(found.deletes, found.values, *found.range_deletes, *found.puts)
        if not all(isinstance(number, int) for number in numbers) or not all(isinstance(text, bytes) for text in texts):
            raise ValueError("wrong types")
        return found


def _is_kept(key: bytes) -> bool:
    """Whether a restored database has the pair: neither garbage, nor caches, nor the history itself."""
    return key[:1] not in (b"G", b"M", b"B")


class History:
    """The writer's side. Only the thread that publishes uses it."""

    def __init__(self, path: str | None, store: KeyValueStore, sequences: Sequences, sequence: int) -> None:
        """`path` is the database's directory, None in memory; `sequence` that of the last commit."""
        self._place = None if path is None else control.place(path)
        self._path = path or ""
        self._store = store
        self._sequences = sequences
        self._seen: tuple[int, int, int] | None = None  # of the control file
        self._kept_from: list[int] = []  # what the repositories have, ascending; empty: no history is kept
        self._free_below = 0  # history up to this commit may go
        self._total_bytes = 0
        self._freed_bytes = 0
        if path is not None:
            sequences.noted = {}
            self._recover(sequence)

    @property
    def is_kept(self) -> bool:
        return bool(self._kept_from)

    def keeps(self, dropped_at: int) -> bool:
        """Whether a backup still to be made needs what the commit dropped."""
        kept_from = self._kept_from  # any thread may ask
        return bool(kept_from) and dropped_at > kept_from[0]

    def _recover(self, sequence: int) -> None:
        self._look()
        if not self._kept_from:
            return
        first = next(self._store.scan(*keys.space(b"B")), None)
        last = self._store.get(keys.history(sequence))
        if first is not None and last is not None:
            oldest = unpack(*first)
            self._freed_bytes = oldest.total_bytes - oldest.own_bytes
            self._total_bytes = unpack(keys.history(sequence), last).total_bytes
            connected = oldest.previous
        else:
            connected = sequence
        self._kept_from = [known for known in self._kept_from if known >= connected]

    def _look(self) -> bool:
        """Reads the control file if it has changed; whether it has."""
        if self._place is None:
            return False
        try:
            found = os.stat(self._place)
            signs = found.st_mtime_ns, found.st_ino, found.st_size
        except OSError:
            signs = None
        if signs == self._seen:
            return False
        self._seen = signs
        self._kept_from = sorted(set(control.repositories(self._path).values()))
        return True

    def extend(
        self,
        batch: Batch,
        sequence: int,
        time: int,
        previous: tuple[int, int],
        values: list[tuple[bytes, bytes]],
        dropped_bytes: int,
    ) -> None:
        """Adds to a batch of commits its own history. `previous` is the last commit before and its time, `values` what
        was written before the batch, `dropped_bytes` the size of the segments that it drops."""
        if self._look():
            needless = self._kept_from[0] if self._kept_from else previous[0]
            if needless > self._free_below:
                self._free(batch, needless)
        if not self._kept_from:
            if self._sequences.noted:
                self._sequences.noted = {}
            return
        record = self._record(batch, time, previous, values)
        own_bytes = sum(len(key) + len(value) for key, value in batch.puts if key[:1] != b"C") + dropped_bytes
        while self._total_bytes + own_bytes - self._freed_bytes > HISTORY_BYTES_MAX and self._kept_from:
            self._kept_from = self._kept_from[1:]
            self._free(batch, self._kept_from[0] if self._kept_from else previous[0])
        if not self._kept_from:
            return
        self._total_bytes += own_bytes
        key = keys.history(sequence)
        batch.put(key, records.pack(key, {**record, "bytes": own_bytes, "total": self._total_bytes}))

    def _record(
        self, batch: Batch, time: int, previous: tuple[int, int], values: list[tuple[bytes, bytes]]
    ) -> dict[str, object]:
        with self._sequences.lock:
            noted, self._sequences.noted = self._sequences.noted or {}, {}
        puts = [pair for pair in batch.puts if _is_kept(pair[0]) and pair[0][:1] != b"C"]
        columns = {key for key, _ in batch.puts if key[:1] == b"C"} | {key for key, _ in values}
        return {
            "time": time,
            "previous": previous[0],
            "previous_time": previous[1],
            "ranges": [found for found in batch.range_deletes if _is_kept(found[0])],
            "puts": [*noted.items(), *puts],
            "deletes": [key for key in batch.deletes if _is_kept(key)],
            "values": sorted(columns),
        }

    def _free(self, batch: Batch, sequence: int) -> None:
        """The history up to this commit is needed by nobody any more."""
        batch.delete_range(keys.history(0), keys.history(sequence + 1))
        self._free_below = sequence
        last = self._store.get(keys.history(sequence))
        if last is not None:
            self._freed_bytes = unpack(keys.history(sequence), last).total_bytes
        elif self._kept_from:
            following = next(self._store.scan(keys.history(sequence + 1), keys.space(b"B")[1]), None)
            found = None if following is None else unpack(*following)
            self._freed_bytes = self._total_bytes if found is None else found.total_bytes - found.own_bytes
        else:
            self._freed_bytes = self._total_bytes
