"""A database that another process writes, as a key-value store that can be moved on to the writer's newest state.

    base      RocksDB, opened read-only: everything up to the moment it was opened
    overlay   the batches that the writer has logged since, read from its log (`wal`)
    advance   new batches into the overlay; a new base when the writer has flushed its log into tables

The view stands still between two calls of `advance`, and moves by whole batches, so whoever reads several pairs
(holding `lock`) reads one state. Whether there is anything new is two calls of stat and a few bytes of the log: a
batch that the writer's `write` has returned from is seen by the next `advance`. Nothing is written into the writer's
directory.

What may go wrong when files change while they are opened: RocksDB first reads the MANIFEST, then the logs, and a log
deleted in between would leave a hole. A log is deleted only after the MANIFEST says that it was flushed, so the view is
accepted only if the MANIFEST is the same before and after. Files that a compaction deletes under an open base give
errors; then a new base is opened, and the pair read again.

Limits: a writer that logs nothing (synchronous=off) is seen as of its last flush.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import tempfile
import threading
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rocksdict import AccessType, Rdict

from zerodb_compiler.errors import DatabaseError, InternalError, error_for
from zerodb_storage.kv import Batch, log_files, rocks, seal, wal

_TRIES = 40
_RETRY_S = 0.01
_SETTLED_NS = 50_000_000  # an older change of the directory was not in the same tick of the file system's clock
_LOG = re.compile(r"(\d+)\.log")
_PIECE_BYTES = 4 << 20

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Advance:
    """What `advance` brought: the batches, or, if `reopened`, any change at all."""

    reopened: bool
    batches: list[Batch]


class _Overlay:
    """Changes over a base: what was put, and what was deleted (None)."""

    def __init__(self, base: Rdict) -> None:
        self._base = base
        self._pairs: dict[bytes, bytes | None] = {}
        self._keys: dict[int, list[bytes]] = {}  # in order, by first byte: those of one kind mostly come in order

    def apply(self, batch: Batch) -> None:
        for begin, end in batch.range_deletes:
            for key in [*rocks.keys_between(self._base, begin, end), *self._between(begin, end)]:
                self._set(key, None)
        for key, value in batch.puts:
            self._set(key, value)
        for key in batch.deletes:
            self._set(key, None)

    def _set(self, key: bytes, value: bytes | None) -> None:
        if key not in self._pairs:
            insort(self._keys.setdefault(key[0], []), key)
        self._pairs[key] = value

    def _between(self, begin: bytes, end: bytes) -> list[bytes]:
        found: list[bytes] = []
        for first in sorted(self._keys):
            if begin[0] <= first <= end[0]:
                keys = self._keys[first]
                found += keys[bisect_left(keys, begin) : bisect_left(keys, end)]
        return found

    def get(self, key: bytes) -> bytes | None:
        if key in self._pairs:
            return self._pairs[key]
        return self._base.get(key)

    def items(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        own = self._between(begin, end)
        place = 0
        for key, value in rocks.pairs(self._base, begin, end):
            while place < len(own) and own[place] < key:
                if (found := self._pairs[own[place]]) is not None:
                    yield own[place], found
                place += 1
            if key not in self._pairs:
                yield key, value
        for key in own[place:]:
            if (found := self._pairs[key]) is not None:
                yield key, found


@dataclass(slots=True)
class _Tail:
    """The log file that is being read."""

    number: int
    descriptor: int
    decoder: wal.LogDecoder

    def read(self) -> list[Batch]:
        """The batches behind the last one read."""
        found: list[Batch] = []
        begin = -1
        while begin != self.decoder.offset and (data := self._next()):
            begin = self.decoder.offset
            for record in self.decoder.feed(data):
                found += wal.changes(record)
        return found

    def read_all(self) -> list[Batch]:
        """The same, with a record that the writer is just writing."""
        found = self.read()
        for _ in range(_TRIES):
            if not self.decoder.is_stuck:
                break
            time.sleep(_RETRY_S)
            found += self.read()
        return found

    def _next(self) -> bytes:
        return os.pread(self.descriptor, _PIECE_BYTES, self.decoder.offset)

    def goes_on(self) -> bool:
        return wal.goes_on(self.descriptor, self.decoder.offset)

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(slots=True)
class _Signs:
    """What the directory looked like when it was last read: a writer that has done something has changed it."""

    manifest: str = ""
    manifest_bytes: int = -1
    directory_ns: int = -1
    logs: list[int] = field(default_factory=list)


class FollowingStore:
    """`must_exist(key)`: whether only those ask for this key who know that it was there. Then, if it is not, a new
    base may have it."""

    def __init__(self, path: str, must_exist: Callable[[bytes], bool] = lambda _: False) -> None:
        rocks._check_directory(path, read_only=True)
        self.path = path
        self.lock = threading.RLock()
        self.generation = 0  # how often the view was moved by a new base, also by reads that found files gone
        self._must_exist = must_exist
        self._closed = False
        self._tail: _Tail | None = None
        self._signs = _Signs()
        self._log_folder = tempfile.TemporaryDirectory(prefix="zerodb-follow-")
        try:
            self._view = self._opened()
        except BaseException:
            self._log_folder.cleanup()
            raise
        self._reopened = False

    # --- moving on ---------------------------------------------------------------------------------------------------
    def is_behind(self) -> bool:
        """Whether the writer may have done something since. Cheap, and without the lock."""
        signs, tail = self._signs, self._tail
        try:
            if self._reopened or os.stat(self.path).st_mtime_ns != signs.directory_ns:
                return True
            if os.stat(os.path.join(self.path, signs.manifest)).st_size != signs.manifest_bytes:
                return True
            return tail is not None and tail.goes_on()
        except OSError:
            return True

    def advance(self) -> Advance | None:
        """Moves the view on to the writer's newest state; None if there is nothing new."""
        with self.lock:
            self._check_open()
            if not self.is_behind():
                return None
            try:
                batches = None if self._reopened else self._logged()
            except (OSError, InternalError):
                batches = None
            if batches is None:
                if not self._reopened:
                    self.reopen()
                self._reopened = False
                return Advance(True, [])
            overlay = self._view
            for batch in batches:
                overlay.apply(batch)
            return Advance(False, batches) if batches else None

    def sync(self) -> None:
        """What the view has is on stable storage when it returns, also what the writer has not synced yet. OSError."""
        with self.lock:
            for number in self._logs():
                with contextlib.suppress(FileNotFoundError):  # gone just now: flushed
                    log = self._open_log(number, 0)
                    try:
                        os.fdatasync(log.descriptor)
                    finally:
                        log.close()

    def reopen(self) -> None:
        """A new base; the next `advance` says so."""
        with self.lock:
            self._check_open()
            self._view = self._opened()
            self._reopened = True

    def _logged(self) -> list[Batch] | None:
        """What was logged since, if the base still stands and no log is missing."""
        signs = self._look()
        known = self._signs
        if (signs.manifest, signs.manifest_bytes) != (known.manifest, known.manifest_bytes) or self._tail is None:
            return None
        batches = self._tail.read_all()
        for number in signs.logs:
            if number <= self._tail.number:
                continue
            batches += self._tail.read_all()  # what came before the next log was begun
            if not self._tail.decoder.is_between_records:
                return None
            self._tail.close()
            self._tail = self._open_log(number, 0)
            batches += self._tail.read_all()
        after = self._manifest()
        if self._tail.decoder.is_stuck or after != (signs.manifest, signs.manifest_bytes):
            return None
        self._signs = signs
        return batches

    def _look(self) -> _Signs:
        changed_ns = os.stat(self.path).st_mtime_ns
        if time.time_ns() - changed_ns < _SETTLED_NS:
            changed_ns = -1  # another change may not show: look again next time
        manifest, size = self._manifest()
        return _Signs(manifest, size, changed_ns, self._logs())

    def _manifest(self) -> tuple[str, int]:
        with open(os.path.join(self.path, "CURRENT"), encoding="ascii") as file:
            name = file.read().strip()
        return name, os.stat(os.path.join(self.path, name)).st_size

    def _logs(self) -> list[int]:
        return sorted(int(found[1]) for name in os.listdir(self.path) if (found := _LOG.fullmatch(name)))

    # --- opening -----------------------------------------------------------------------------------------------------
    def _opened(self) -> _Overlay:
        error: Exception | None = None
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_RETRY_S)
            try:
                rocks._check_directory(self.path, read_only=True)
                self._verify_seal()
                signs = self._look()
                tail = self._tail_start(signs.logs)
            except (OSError, DatabaseError) as found:
                error = found
                if isinstance(found, DatabaseError) and not self._has_writer():
                    raise
                continue
            try:
                base = self._open_base()
                if self._manifest() == (signs.manifest, signs.manifest_bytes):
                    return self._accepted(base, signs, tail)
                error = None
            except Exception as found:
                error = found
                if self._is_unchanged(signs) and attempt >= 2:
                    if tail is not None:
                        tail.close()
                    break
            if tail is not None:
                tail.close()
        if isinstance(error, DatabaseError):
            raise error
        if error is None:
            raise error_for("55006", f'database "{self.path}" changes too fast to be followed', hint="try again")
        raise rocks._translated(error, self.path) from error

    def _verify_seal(self) -> None:
        try:
            seal.verify(self.path)
        except DatabaseError:
            if os.path.exists(os.path.join(self.path, seal.NAME)):  # else a writer has just opened the database
                raise

    def _is_unchanged(self, signs: _Signs) -> bool:
        try:
            return self._manifest() == (signs.manifest, signs.manifest_bytes)
        except OSError:
            return False

    def _accepted(self, base: Rdict, signs: _Signs, tail: _Tail | None) -> _Overlay:
        if self._tail is not None:
            self._tail.close()
        overlay = _Overlay(base)
        if tail is not None:
            # The base may have some of these already; applied in order and all of them, they change nothing then.
            for batch in tail.read():
                overlay.apply(batch)
        self._tail, self._signs = tail, signs
        self.generation += 1
        return overlay

    def _open_base(self) -> Rdict:
        options = rocks._options()
        options.set_db_log_dir(self._log_folder.name)
        if not self._has_writer() and log_files.torn(self.path):
            folder = os.path.join(self._log_folder.name, "cut")
            log_files.copy_cut(self.path, folder)
            options.set_wal_dir(folder)
        return Rdict(self.path, options=options, access_type=AccessType.read_only())

    def _open_log(self, number: int, offset: int) -> _Tail:
        names = (f"{number:06d}.log", f"{number}.log")
        for name in names:
            place = os.path.join(self.path, name)
            if os.path.exists(place):
                return _Tail(number, os.open(place, os.O_RDONLY), wal.LogDecoder(offset))
        raise FileNotFoundError(names[0])

    def _tail_start(self, logs: list[int]) -> _Tail | None:
        """The newest log, from the beginning of the last record that may not be complete."""
        if not logs:
            return None
        tail = self._open_log(logs[-1], 0)
        if self._has_writer():
            offset = wal.last_block(tail.descriptor)
            while not wal.block_start(os.pread(tail.descriptor, 7, offset), offset):
                offset -= wal.BLOCK_BYTES
        else:
            offset = os.fstat(tail.descriptor).st_size  # the base has all of it, and nobody will add to this log
        tail.decoder = wal.LogDecoder(offset)
        return tail

    def _has_writer(self) -> bool:
        """Whether a process holds RocksDB's own lock."""
        if rocks.is_open_here(self.path):
            return True  # opening LOCK and closing it again would take this process's lock away
        try:
            descriptor = os.open(os.path.join(self.path, "LOCK"), os.O_RDWR)
        except PermissionError:
            return True
        except OSError:
            return False
        try:
            asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            return bool(struct.unpack("hhqqi", fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)
        finally:
            os.close(descriptor)

    # --- reading -----------------------------------------------------------------------------------------------------
    def get(self, key: bytes) -> bytes | None:
        value = self._retried(lambda view: view.get(key))
        if value is None and self._must_exist(key):
            with self.lock:
                self.reopen()
                return self._view.get(key)
        return value

    def multi_get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from self._retried(lambda view: list(view.items(begin, end)))

    def _retried(self, read: Callable[[_Overlay], Result]) -> Result:
        """Files may have gone since the base was opened: then a new one reads."""
        for _ in range(3):
            view = self._view
            self._check_open()
            try:
                return read(view)
            except Exception:
                with self.lock:
                    if view is self._view:
                        self.reopen()
        try:
            return read(self._view)
        except Exception as error:
            raise rocks._translated(error, self.path) from error

    # --- a store that cannot be written ------------------------------------------------------------------------------
    def write(self, batch: Batch, *, sync: bool) -> None:
        raise error_for("25006", "the database is open for reading only")

    def write_unlogged(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        raise error_for("25006", "the database is open for reading only")

    def compact(self, begin: bytes, end: bytes) -> None:
        pass

    def _check_open(self) -> None:
        if self._closed:
            raise error_for("08003", f'database "{self.path}" is closed')

    def close(self) -> None:
        with self.lock:
            if self._closed:
                return
            self._closed = True
            if self._tail is not None:
                self._tail.close()
            self._log_folder.cleanup()
