"""RocksDB's log files, to sync them from outside.

rocksdict holds Python's global lock while it waits for the disk (0.3.29), so with `WriteOptions.sync` every thread of
the process would stand still some 200 us for each commit. A write without sync has handed its record to the operating
system when it returns; `fdatasync` on the same file, through a descriptor of our own, then does what RocksDB would, and
lets others run.

RocksDB begins a new log when a memtable is full, and may do so between a write and its sync. So every log is synced
that has grown since; a directory's time of change tells when there is a new one, and logs that are gone were flushed
before.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

_TICK_NS = 100_000_000  # times of change are as fine as the system's clock tick: two changes may have the same


class LogFiles:
    """Thread-safe."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._changed = -1
        self._lock = threading.Lock()
        self._open: dict[str, tuple[int, int]] = {}  # name -> (descriptor, size when last synced)

    def sync(self) -> None:
        """All that was written to the logs before is on stable storage when it returns. OSError."""
        with self._lock:
            self._sync()

    def _sync(self) -> None:
        changed = os.stat(self._path).st_mtime_ns
        if changed != self._changed:
            self._look()
            self._changed = changed if time.time_ns() - changed > _TICK_NS else -1
        for name, (descriptor, synced) in self._open.items():
            size = os.fstat(descriptor).st_size
            if size != synced:
                os.fdatasync(descriptor)
                self._open[name] = descriptor, size

    def _look(self) -> None:
        names = {name for name in os.listdir(self._path) if name.endswith(".log")}
        for name in self._open.keys() - names:
            os.close(self._open.pop(name)[0])
        if names == self._open.keys():
            return
        for name in names - self._open.keys():
            with contextlib.suppress(FileNotFoundError):  # gone just now: flushed
                self._open[name] = os.open(os.path.join(self._path, name), os.O_RDONLY), -1
        # A new file is there after a crash only if its directory says so.
        directory = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        for descriptor, _ in self._open.values():
            os.close(descriptor)
        self._open.clear()
