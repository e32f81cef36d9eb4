"""Making a backup of a database that any process may be writing meanwhile.

    1. a lease: from here on no column of a dropped segment is deleted
    2. (full) tell the writer to keep the history, then read the base: all pairs but columns, as of one commit
    3. the history since the base, or since the backup before
    4. the columns that base and history name
    5. everything on stable storage, the directory gets its name, the writer may let go of the history taken

The database is read as a follower reads it (`kv.following`), so the writer never waits, whatever process it is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import history, keys, records, recovery
from zerodb_storage.backups import control, files
from zerodb_storage.backups.files import Manifest, PairWriter, Point, Report, StoredFile
from zerodb_storage.kv.following import FollowingStore
from zerodb_storage.leases import Lease
from zerodb_storage.segment import from_header

_BASE_SPACES = (b"F", b"S", b"T", b"D", b"H", b"V", b"L", b"O", b"N", b"W")
_ATTEMPTS = 5
_NOTICE_S = 0.05  # a commit that began before the writer could know of the backup is over by then
_HISTORY_PIECE = 1_000


class _Unconnected(Exception):
    """The history does not go on where it should."""


class _Moved(Exception):
    """Files went while they were read, so the view is another one."""


@dataclass(slots=True)
class _Gathered:
    """What a backup is made of, before its columns."""

    end: Point
    commits: int = 0
    columns: dict[bytes, None] = field(default_factory=dict)  # in the order they were named


def back_up(path: str, repository: str, *, incremental: bool = False) -> Report:
    """Backs up the database in directory `path` into the directory `repository`; the next one in the order of those
    that are there. 55000 if an incremental one has nothing to go on from, 55006 if another one is being made."""
    if not os.path.isdir(path):
        raise error_for("58P01", f'database "{path}" does not exist')
    try:
        with ExitStack() as stack:
            id_ = files.repository_id(repository) if incremental else files.create_repository(repository)
            stack.enter_context(_alone(repository))
            lease = Lease(path)
            stack.callback(lease.end)
            store = FollowingStore(path, must_exist=lambda key: key[:1] == b"C")
            stack.callback(store.close)
            recovery.initialise(store, read_only=True)
            return _Backup(path, repository, id_, store).make(incremental)
    except OSError as error:
        sqlstate = "53100" if error.errno in (28, 122) else "58030"
        raise error_for(sqlstate, f'cannot make a backup in "{repository}": {error.strerror}') from error


@contextmanager
def _alone(repository: str) -> Iterator[None]:
    descriptor = os.open(os.path.join(repository, files.REPOSITORY), os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise error_for("55006", f'another backup into "{repository}" is being made') from None
        yield
    finally:
        os.close(descriptor)


class _Backup:
    def __init__(self, path: str, repository: str, id_: str, store: FollowingStore) -> None:
        self._path = path
        self._repository = repository
        self._id = id_
        self._store = store
        self._made = time.time_ns() // 1000

    def make(self, incremental: bool) -> Report:
        numbers = files.numbers(self._repository)
        before = files.read_manifest(self._repository, numbers[-1]) if numbers else None
        known = control.repositories(self._path).get(self._id)
        if before is not None and known is None:
            message = f'"{self._repository}" has backups of another database, up to commit {before.end.sequence}'
            raise error_for("55000", message, hint="back up into another directory")
        if incremental and (before is None or known is None):
            raise error_for(
                "55000", f'"{self._repository}" has no backup of this database to go on from: make a full one'
            )
        number = 1 if before is None else before.number + 1
        partial = files.folder_of(self._repository, number) + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        os.mkdir(partial)
        try:
            return self._made_in(partial, number, before if known is not None else None, incremental)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _made_in(self, partial: str, number: int, before: Manifest | None, incremental: bool) -> Report:
        started = None if before is None else before.end
        for attempt in range(_ATTEMPTS):
            try:
                return self._attempt(partial, number, started, incremental)
            except _Unconnected as error:
                if incremental:
                    raise error_for(
                        "55000", f"no incremental backup is possible: {error}", hint="make a full one"
                    ) from None
                if attempt + 1 == _ATTEMPTS:
                    raise error_for("55000", f"the history of commits is not being kept: {error}") from None
                if before is not None and self._point().sequence < before.end.sequence:
                    raise error_for("55000", str(error), hint="back up into another directory") from None
                started = None  # the history begins anew
            except _Moved:
                continue
        raise error_for("55006", f'database "{self._path}" changes too fast to be backed up', hint="try again")

    def _attempt(self, partial: str, number: int, started: Point | None, incremental: bool) -> Report:
        for name in os.listdir(partial):
            os.unlink(os.path.join(partial, name))
        self._store.advance()
        if started is None:
            control.taken(self._path, self._id, self._point().sequence)
            time.sleep(_NOTICE_S)
            self._store.advance()
        written: list[StoredFile] = []
        base: Point | None = None
        gathered = _Gathered(self._point() if started is None else started)
        if not incremental:
            with self._store.lock:
                generation, base = self._store.generation, self._point()
                if started is None:
                    gathered.end = base
                written.append(self._write(partial, files.BASE, self._base_pairs(gathered)))
                if self._store.generation != generation:
                    raise _Moved
            self._store.advance()
        history_from = gathered.end
        with self._store.lock:
            end = self._point()
            self._store.sync()  # a power failure must not take back what the backup has
            written.append(self._write(partial, files.HISTORY, self._history_pairs(gathered, end)))
            written.append(self._write(partial, files.SEQUENCES, self._store.scan(*keys.space(b"N"))))
        written.append(self._write(partial, files.VALUES, self._column_pairs(gathered, incremental)))
        manifest = Manifest(number, not incremental, base, history_from, end, self._made, tuple(written))
        self._finish(partial, manifest)
        return Report(number, manifest.full, gathered.commits, sum(file.bytes for file in written), end)

    def _finish(self, partial: str, manifest: Manifest) -> None:
        files.write_manifest(partial, manifest)
        control.sync_directory(partial)
        os.rename(partial, files.folder_of(self._repository, manifest.number))
        control.sync_directory(self._repository)
        control.taken(self._path, self._id, manifest.end.sequence)

    def _write(self, partial: str, name: str, pairs: Iterable[tuple[bytes, bytes]]) -> StoredFile:
        writer = PairWriter(partial, name)
        try:
            for key, value in pairs:
                writer.add(key, value)
            return writer.finish()
        except BaseException:
            writer.abandon()
            raise

    def _point(self) -> Point:
        """The commit that the store's view is of."""
        value = self._store.get(keys.STATE)
        if value is None:
            return Point(0, 0)
        state = records.unpack(keys.STATE, value)
        with records.reading(keys.STATE):
            return Point(state["sequence"], state.get("time", 0))

    def _base_pairs(self, gathered: _Gathered) -> Iterator[tuple[bytes, bytes]]:
        for letter in _BASE_SPACES:
            for key, value in self._store.scan(*keys.space(letter)):
                records.unseal(key, value)
                if letter == b"H":
                    found = from_header(key, value)
                    gathered.columns.update((keys.column(found.table_id, found.id, slot), None) for slot in found.slots)
                yield key, value

    def _history_pairs(self, gathered: _Gathered, end: Point) -> Iterator[tuple[bytes, bytes]]:
        """The history from `gathered.end` to the end; raises _Unconnected if a part is missing."""
        begin = gathered.end.sequence
        while begin < end.sequence:
            until = min(begin + _HISTORY_PIECE, end.sequence)
            for key, value in self._store.scan(keys.history(begin + 1), keys.history(until + 1)):
                record = history.unpack(key, value)
                if (record.previous, record.previous_time) != (gathered.end.sequence, gathered.end.time):
                    raise _Unconnected(_missing(gathered.end.sequence, record.previous))
                gathered.end = Point(record.sequence, record.time)
                gathered.commits += record.sequence - record.previous
                gathered.columns.update((name, None) for name in record.values)
                yield key, value
            begin = until
        if gathered.end != end:
            raise _Unconnected(_missing(gathered.end.sequence, end.sequence))

    def _column_pairs(self, gathered: _Gathered, incremental: bool) -> Iterator[tuple[bytes, bytes]]:
        for key in gathered.columns:
            value: bytes | None = None
            try:
                value = self._store.get(key)
                records.unseal(key, value)
            except DatabaseError as error:
                if value is None and not incremental:  # kept only since the base
                    raise _Unconnected(f"{keys.describe(key)} is gone") from error
                raise
            assert value is not None
            yield key, value


def _missing(first: int, last: int) -> str:
    if last <= first:
        return f"this database is not the one that was backed up (commit {first} differs)"
    return f"the history of commits {first + 1} to {last} is not there"
