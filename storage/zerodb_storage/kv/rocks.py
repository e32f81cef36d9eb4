"""The key-value interface over RocksDB.

Values from 4 KiB on (columns of segments, large commit records) lie in blob files, so compaction moves keys only and a
segment is written once. RocksDB compresses nothing: zerodb's values are compressed already. A damaged log is an error
except for a torn last record, which is a write that never returned.

Limits: `synchronous=off` writes no log; a killed process then loses the changes since the last flush (never more, never
half a transaction).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence

from rocksdict import (
    AccessType,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from zerodb_compiler.errors import DatabaseError, InternalError, error_for
from zerodb_storage.kv import Batch, log_files, seal
from zerodb_storage.kv.log_files import LogFiles

BLOB_BYTES_MIN = 4096
WRITE_BUFFER_BYTES = 64 << 20
_PAIR_BYTES = 100  # that a pair takes in a memtable besides its own
BLOB_FILE_BYTES = 256 << 20


_open_here: set[str] = set()  # what this process has open for writing


def is_open_here(path: str) -> bool:
    """Whether this process writes the database."""
    return os.path.realpath(path) in _open_here


def _options() -> Options:
    """How every process opens the database."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.none())
    options.set_enable_blob_files(True)
    options.set_min_blob_size(BLOB_BYTES_MIN)
    options.set_blob_compression_type(DBCompressionType.none())
    options.set_blob_file_size(BLOB_FILE_BYTES)
    options.set_enable_blob_gc(True)
    options.set_write_buffer_size(2 * WRITE_BUFFER_BYTES)  # RocksStore changes them before they are full
    options.set_max_write_buffer_number(3)
    options.set_max_total_wal_size(8 * WRITE_BUFFER_BYTES)
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    options.set_max_background_jobs(2)
    options.set_paranoid_checks(True)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    return options


def _translated(error: Exception, path: str) -> DatabaseError:
    """The zerodb error for one of RocksDB's (they come as plain exceptions with a text)."""
    text = re.sub(r"^(IO error|Corruption): ", "", str(error)).strip()
    lowered = str(error).lower()
    if "lock" in lowered and ("unavailable" in lowered or "held" in lowered or "hold" in lowered):
        return error_for("55006", f'database "{path}" is in use by another process')
    if any(sign in lowered for sign in ("no space left", "file too large", "disk quota")):
        return error_for("53100", f'disk full while writing database "{path}"; nothing committed was lost ({text})')
    if "permission denied" in lowered or "read-only file system" in lowered:
        return error_for("58030", f'no permission to use database "{path}" ({text})')
    if "corruption" in lowered or "no such file" in lowered or "checksum" in lowered:
        return InternalError(f'database "{path}" is damaged: {text}', sqlstate="XX001")
    if "shutdown" in lowered or "closed" in lowered:
        return error_for("08003", f'database "{path}" is closed')
    return error_for("58030", f'input/output error in database "{path}": {text}')


def _check_directory(path: str, read_only: bool) -> None:
    """A new directory, an empty one, or one that RocksDB made; anything else is refused before anything is written."""
    if not os.path.exists(path):
        parent = os.path.dirname(os.path.abspath(path))
        if read_only:
            raise error_for("58P01", f'database "{path}" does not exist')
        if not os.path.isdir(parent):
            raise error_for("58P01", f'cannot create database "{path}": directory "{parent}" does not exist')
        return
    if not os.path.isdir(path):
        raise InternalError(f'"{path}" is a file, not a zerodb database (a database is a directory)', sqlstate="XX001")
    try:
        names = os.listdir(path)
    except OSError as error:
        raise error_for("58030", f'cannot read directory "{path}": {error.strerror}') from error
    ours = [
        name
        for name in names
        if name not in ("LOCK", "LOG", seal.NAME, seal.NAME + ".new") and not name.startswith("LOG.old.")
    ]
    if "CURRENT" in names:
        _check_mode(path)
        return
    if any(re.fullmatch(r"\d+\.(sst|blob|log)|MANIFEST-\d+|OPTIONS-\d+", name) for name in ours):
        # A crash inside the very first open leaves files like these but never a table or blob file.
        if any(name.endswith((".sst", ".blob")) for name in ours):
            raise InternalError(f'database "{path}" is damaged: its file CURRENT is missing', sqlstate="XX001")
        return
    if ours:
        raise InternalError(f'directory "{path}" holds other files and is not a zerodb database', sqlstate="XX001")
    if read_only:
        raise error_for("58P01", f'directory "{path}" is empty, there is no database to read')


def _check_mode(path: str) -> None:
    """Refuses another program's database of rocksdict, which opening would change. RocksDB's others open unharmed."""
    try:
        with open(os.path.join(path, "rocksdict-config.json"), encoding="utf-8") as file:
            raw = json.load(file)["raw_mode"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if raw is False:
        raise InternalError(f'"{path}" is a RocksDB database but not a zerodb', sqlstate="XX001")


def _guard(path: str) -> int:
    """A lock on the directory, held beyond RocksDB's own until the seal is written; the kernel drops it with the
    process."""
    os.makedirs(path, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise error_for("55006", f'database "{path}" is in use by another process') from None
    return descriptor


def pairs(database: Rdict, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The pairs with begin <= key < end. Not `Rdict.items`, which ends without a word where a block or a blob cannot be
    read (0.3.29): the rest would be missing, and nobody would know."""
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    cursor = database.iter(options)
    cursor.seek(begin)
    while cursor.valid():
        yield cursor.key(), cursor.value()
        cursor.next()
    cursor.status()  # raises what ended it


def keys_between(database: Rdict, begin: bytes, end: bytes) -> Iterator[bytes]:
    """The keys with begin <= key < end; values are not read."""
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    cursor = database.iter(options)
    cursor.seek(begin)
    while cursor.valid():
        yield cursor.key()
        cursor.next()
    cursor.status()


class RocksStore:
    def __init__(self, path: str, *, read_only: bool = False, logged: bool = True) -> None:
        _check_directory(path, read_only)
        self.path = path
        self._read_only = read_only
        access = AccessType.read_only() if read_only else AccessType.read_write()
        created = not os.path.exists(path)
        self._guard = None if read_only else _guard(path)
        try:
            seal.verify(path)
            # RocksDB writes while it opens: from here on files change.
            if not read_only and not seal.remove(path):
                log_files.cut_torn_ends(path)
            self._database = Rdict(path, options=_options(), access_type=access)
        except Exception as error:
            if created and not read_only:  # half a database would be in the way of the next try
                shutil.rmtree(path, ignore_errors=True)
            self._release()
            raise (error if isinstance(error, DatabaseError) else _translated(error, path)) from error
        self._closed = False
        if not read_only:
            _open_here.add(os.path.realpath(path))
        self._logs = LogFiles(path)
        self._order = threading.Lock()  # of writes, and of changes from one log to the next
        self._filled = 0  # bytes in the memtable, about
        self._plain = self._write_options(logged=logged)
        self._unlogged = self._write_options(logged=False)
        self._logged = logged

    @staticmethod
    def _write_options(*, logged: bool) -> WriteOptions:
        options = WriteOptions()
        # an attribute, which the package's type stub declares as a method
        setattr(options, "disable_wal", not logged)  # noqa: B010
        return options

    def get(self, key: bytes) -> bytes | None:
        try:
            return self._database.get(key)
        except Exception as error:
            raise _translated(error, self.path) from error

    def multi_get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        try:
            values: list[bytes | None] | None = self._database.get(list(keys))
            return values or []
        except Exception as error:
            raise _translated(error, self.path) from error

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from pairs(self._database, begin, end)
        except Exception as error:
            raise _translated(error, self.path) from error

    def write(self, batch: Batch, *, sync: bool) -> None:
        native = WriteBatch(raw_mode=True)
        size = _PAIR_BYTES * (len(batch.puts) + len(batch.deletes) + len(batch.range_deletes))
        for begin, end in batch.range_deletes:
            native.delete_range(begin, end)
        for key, value in batch.puts:
            native.put(key, value)
            size += len(key) + len(value)
        for key in batch.deletes:
            native.delete(key)
        with self._order:
            self._make_room(size)
            if sync and self._logged and self._filled > self._logs.reserved:
                self._logs.reserve(self._filled)
            try:
                self._database.write(native, self._plain)
            except Exception as error:
                raise _translated(error, self.path) from error
        if sync and self._logged:
            self._sync()

    def _make_room(self, size: int) -> None:
        """Begins a new memtable, and with it a new log, before RocksDB does; holding `_order`.

        What a full memtable's log has not synced yet may be lost in a power failure while the next log's beginning is
        not, and RocksDB would open that: commits in the middle would be missing. So a log is synced when it ends.
        """
        self._filled += size
        if self._filled < WRITE_BUFFER_BYTES:
            return
        if self._logged:
            self._sync()
        try:
            self._database.flush(False)
        except Exception as error:
            raise _translated(error, self.path) from error
        self._filled, self._logs.reserved = size, 0

    def _sync(self) -> None:
        """What `WriteOptions.sync` does, but without Python's global lock, which rocksdict keeps (0.3.29)."""
        try:
            self._logs.sync()
        except OSError as error:
            text = f'could not sync the log of database "{self.path}": {error.strerror}'
            hint = "whether the transaction was committed is not known; open the database again"
            raise error_for("58030", text, hint=hint) from error

    def write_unlogged(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        try:
            for key, value in pairs:
                with self._order:
                    self._make_room(len(key) + len(value) + _PAIR_BYTES)
                    self._database.put(key, value, self._unlogged)
            with self._order:
                self._make_room(WRITE_BUFFER_BYTES)
                self._filled = 0
            self._database.flush(True)  # waits for those begun
            self._logs.reserved = 0
        except DatabaseError:
            raise
        except Exception as error:
            raise _translated(error, self.path) from error

    def compact(self, begin: bytes, end: bytes) -> None:
        try:
            self._database.compact_range(begin, end)
        except Exception as error:
            raise _translated(error, self.path) from error

    def flush_unlogged(self) -> None:
        """What was written without a log is in files when it returns, where other processes see it."""
        if not self._logged and not self._read_only:
            try:
                self._database.flush(True)
            except Exception as error:
                raise _translated(error, self.path) from error

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            try:
                if not self._logged and not self._read_only:
                    self._database.flush(True)
            finally:
                self._database.close()
            if not self._read_only:
                self._logs.sync()  # what the seal vouches for
                seal.write(self.path)
        except Exception as error:
            raise _translated(error, self.path) from error
        finally:
            self._logs.close()
            self._release()

    def _release(self) -> None:
        if not self._read_only:
            _open_here.discard(os.path.realpath(self.path))
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None
