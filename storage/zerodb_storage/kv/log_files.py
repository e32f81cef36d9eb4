"""RocksDB's log files, to sync them from outside.

rocksdict holds Python's global lock while it waits for the disk (0.3.29), so with `WriteOptions.sync` every thread of
the process would stand still some 200 us for each commit. A write without sync has handed its record to the operating
system when it returns; `fdatasync` on the same file, through a descriptor of our own, then does what RocksDB would, and
lets others run.

RocksDB begins a new log when a memtable is full, and may do so between a write and its sync. So the newest log is
synced, and every other one that has not been since a newer one is there (RocksDB changes logs while nobody writes); a
directory's time of change tells when there is a new one, and logs that are gone were flushed before.

Where a file grows with every record, the file system has to write down its new size with every sync: that takes half as
long again as the record itself. So room is allocated behind what is written (`reserve`), as zeros, by a call that
changes no byte which is written. RocksDB takes the rest off again when it closes the log; after a crash the log ends
with zeros, which RocksDB passes over, but for a torn record before them: `cut_torn_ends`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator

from zerodb_storage.kv import wal

ROOM_BYTES = 1 << 20
_TICK_NS = 100_000_000  # times of change are as fine as the system's clock tick: two changes may have the same
_LOG = re.compile(r"(\d+)\.log")


class LogFiles:
    """Thread-safe."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._changed = -1
        self._lock = threading.Lock()
        self._open: dict[int, int] = {}  # number -> descriptor
        self._settled: set[int] = set()  # of these, those that were synced when a newer one was there
        self._newest = -1
        self.reserved = 0  # bytes of the newest log that have room, if it is known

    def sync(self) -> None:
        """All that was written to the logs before is on stable storage when it returns. OSError."""
        with self._lock:
            self._look()
            for number, descriptor in self._open.items():
                if number not in self._settled:
                    os.fdatasync(descriptor)
                    if number != self._newest:
                        self._settled.add(number)

    def reserve(self, filled: int) -> None:
        """Allocates room behind the newest log's `filled` bytes (at most). Called while nobody writes: some systems
        imitate the call by writing. Where that is not possible, nothing happens: a full disk shows when it is full."""
        with self._lock:
            self.reserved = filled + ROOM_BYTES
            with contextlib.suppress(OSError):
                self._look()
                if self._open and hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(self._open[self._newest], 0, self.reserved)

    def _look(self) -> None:
        changed = os.stat(self._path).st_mtime_ns
        if changed == self._changed:
            return
        self._find()
        self._changed = changed if time.time_ns() - changed > _TICK_NS else -1

    def _find(self) -> None:
        names = dict(_logs(self._path))
        for number in self._open.keys() - names.keys():
            os.close(self._open.pop(number))
            self._settled.discard(number)
        if names.keys() == self._open.keys():
            return
        for number in sorted(names.keys() - self._open.keys()):
            with contextlib.suppress(FileNotFoundError):  # gone just now: flushed
                self._open[number] = os.open(os.path.join(self._path, names[number]), os.O_RDWR)
        self._newest = max(self._open, default=-1)
        # A new file is there after a crash only if its directory says so.
        directory = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


def _logs(path: str) -> Iterator[tuple[int, str]]:
    for name in os.listdir(path):
        found = _LOG.fullmatch(name)
        if found is not None:
            yield int(found[1]), name


def torn(path: str) -> dict[str, int]:
    """The logs of a database that nobody writes whose last record is torn, and where that begins. OSError."""
    found: dict[str, int] = {}
    for _, name in _logs(path):
        with open(os.path.join(path, name), "rb") as file:
            end = wal.torn_at(file.fileno())
        if end is not None:
            found[name] = end
    return found


def cut_torn_ends(path: str) -> None:
    """Takes torn records off the logs: nobody was told that they are written. OSError."""
    for name, end in torn(path).items():
        with open(os.path.join(path, name), "r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())


def copy_cut(path: str, folder: str) -> None:
    """The same to copies of the logs, in a folder of their own, for who may not change these. OSError."""
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    for _, name in _logs(path):
        shutil.copyfile(os.path.join(path, name), os.path.join(folder, name))
    cut_torn_ends(folder)
