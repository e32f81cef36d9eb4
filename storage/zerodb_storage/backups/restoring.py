"""Restoring a database from its backups, as of the last commit, a commit or a time.

The base of the last full backup before the target, then the history up to the target, give the pairs that the database
had; the headers among them say which columns are needed, and those are copied from all backups in between. Everything
read is verified. The database is made under another name and gets its own when it is complete, so a restore that fails
or is killed leaves nothing that could be taken for a database.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import history, keys, records
from zerodb_storage.backups import control, files
from zerodb_storage.backups.files import Manifest, Point
from zerodb_storage.database import Database
from zerodb_storage.history import HistoryRecord
from zerodb_storage.kv import Batch
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.kv.rocks import RocksStore
from zerodb_storage.segment import from_header

_WRITE_BYTES = 64 << 20
_FUTURE = 1 << 62


@dataclass(frozen=True, slots=True)
class Target:
    """Commits up to the sequence number, and up to the time (microseconds UTC), both included."""

    sequence: int = _FUTURE
    time: int = _FUTURE

    @property
    def is_latest(self) -> bool:
        return self.sequence == self.time == _FUTURE

    def reaches(self, point: Point | HistoryRecord) -> bool:
        return point.sequence <= self.sequence and point.time <= self.time


LATEST = Target()


def target_of(to: str | int | datetime | None) -> Target:
    """`latest` (or None), a commit's sequence number, or a time (ISO 8601; UTC if it names no zone); else 22007."""
    if to is None or (isinstance(to, str) and to.strip().lower() == "latest"):
        return LATEST
    if isinstance(to, str) and to.strip().isdigit():
        to = int(to)
    if isinstance(to, int):
        return Target(sequence=to)
    if isinstance(to, str):
        try:
            to = datetime.fromisoformat(to.strip())
        except ValueError:
            message = f'"{to}" is no time, no number of a commit and not "latest"'
            raise error_for("22007", message, hint="write 2026-01-31 12:00:00+00") from None
    if to.tzinfo is None:
        to = to.replace(tzinfo=UTC)
    since = to - datetime(1970, 1, 1, tzinfo=UTC)
    return Target(time=(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def restore(repository: str, path: str, to: str | int | datetime | None = None) -> Point:
    """Makes the database directory `path` from the backups; returns the last commit it has. 58P02 if something is
    there, 22023 if the backups do not reach the target, XX001 naming what is damaged."""
    target = target_of(to)
    if os.path.exists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise error_for("58P02", f'"{path}" exists already')
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        raise error_for("58P01", f'cannot restore to "{path}": directory "{parent}" does not exist')
    chain = chain_to(files.read_manifests(repository), target)
    pairs, point = pairs_at(repository, chain, target)
    temporary = path.rstrip(os.sep) + ".restoring"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        _write(repository, chain, pairs, temporary)
        Database.open(temporary).close()
        os.rename(temporary, path)
        control.sync_directory(parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise error_for(
            "53100" if error.errno in (28, 122) else "58030", f'cannot restore to "{path}": {error}'
        ) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return point


def chain_to(manifests: list[Manifest], target: Target) -> list[Manifest]:
    """The last full backup whose base the target reaches, and those that go on from it."""
    bases = [place for place, found in enumerate(manifests) if found.base is not None and target.reaches(found.base)]
    first = next(found.base for found in manifests if found.base is not None)
    if not bases:
        raise error_for("22023", f"the backups begin with {first}: nothing earlier can be restored")
    chain = [manifests[bases[-1]]]
    for found in manifests[bases[-1] + 1 :]:
        if found.history_from != chain[-1].end:
            break
        chain.append(found)
    last = chain[-1]
    beyond = target.sequence > last.end.sequence and target.time > max(last.end.time, last.made)
    if target.sequence != _FUTURE:
        beyond = target.sequence > last.end.sequence
    if beyond and not target.is_latest:
        more = "" if last is manifests[-1] else "; the next backup does not go on from there"
        raise error_for("22023", f"the backups end with {last.end}{more}")
    return chain


def pairs_at(repository: str, chain: list[Manifest], target: Target) -> tuple[MemoryStore, Point]:
    """All pairs but columns as of the target, columns of segments without their values."""
    pairs = MemoryStore()
    base = chain[0].base
    assert base is not None
    point = base
    base_file = chain[0].file(files.BASE)
    if base_file is None:
        raise files.damaged(files.folder_of(repository, chain[0].number), "has no base")
    batch = Batch()
    for key, value in files.read_pairs(files.folder_of(repository, chain[0].number), base_file):
        _verify(repository, chain[0].number, files.BASE, key, value)
        batch.put(key, value)
    pairs.write(batch, sync=False)
    reached = False
    for manifest in chain:
        for record in read_history(repository, manifest):
            if reached or record.sequence <= point.sequence:
                continue  # but read to its end, for only then is the file known to be sound
            if (record.previous, record.previous_time) != (point.sequence, point.time):
                folder = files.folder_of(repository, manifest.number)
                raise files.damaged(folder, f"the history of commit {point.sequence + 1} is missing")
            if not target.reaches(record):
                if record.previous < target.sequence < record.sequence:
                    message = f"commits {record.previous + 1} to {record.sequence} were made together"
                    raise error_for("22023", message, hint=f"restore to {record.previous} or {record.sequence}")
                reached = True
                continue
            pairs.write(record.batch(), sync=False)
            point = Point(record.sequence, record.time)
        if point == manifest.end and not reached:
            _take_sequences(repository, manifest, pairs)
    return pairs, point


def read_history(repository: str, manifest: Manifest) -> Iterator[HistoryRecord]:
    folder = files.folder_of(repository, manifest.number)
    stored = manifest.file(files.HISTORY)
    if stored is None:
        raise files.damaged(folder, "has no history")
    for key, value in files.read_pairs(folder, stored):
        try:
            record = history.unpack(key, value)
        except DatabaseError as error:
            raise files.damaged(os.path.join(folder, files.HISTORY), error.message) from None
        yield record


def _take_sequences(repository: str, manifest: Manifest, pairs: MemoryStore) -> None:
    """Values of sequences that were moved on after the backup's last commit."""
    stored = manifest.file(files.SEQUENCES)
    if stored is not None:
        found = list(files.read_pairs(files.folder_of(repository, manifest.number), stored))
        for key, value in found:
            _verify(repository, manifest.number, files.SEQUENCES, key, value)
        pairs.write(Batch(puts=found), sync=False)


def _verify(repository: str, number: int, name: str, key: bytes, value: bytes) -> None:
    try:
        records.unseal(key, value)
    except DatabaseError as error:
        raise files.damaged(os.path.join(files.folder_of(repository, number), name), error.message) from None


def columns_of(pairs: MemoryStore) -> dict[bytes, bool]:
    """The columns of all segments that there are."""
    needed: dict[bytes, bool] = {}
    for key, value in pairs.scan(*keys.space(b"H")):
        found = from_header(key, value)
        needed.update((keys.column(found.table_id, found.id, slot), False) for slot in found.slots)
    return needed


def read_columns(repository: str, chain: list[Manifest], needed: dict[bytes, bool]) -> Iterator[tuple[bytes, bytes]]:
    """Those columns, each once, marked in `needed`; XX001 if one is not there."""
    for manifest in chain:
        folder = files.folder_of(repository, manifest.number)
        stored = manifest.file(files.VALUES)
        if stored is None:
            raise files.damaged(folder, "has no values")
        for key, value in files.read_pairs(folder, stored):
            _verify(repository, manifest.number, files.VALUES, key, value)
            if needed.get(key) is False:
                needed[key] = True
                yield key, value
    for key, found in needed.items():
        if not found:
            raise files.damaged(repository, f"{keys.describe(key)} is missing")


def _write(repository: str, chain: list[Manifest], pairs: MemoryStore, temporary: str) -> None:
    store = RocksStore(temporary)
    try:
        group: list[tuple[bytes, bytes]] = []
        size = 0
        for pair in read_columns(repository, chain, columns_of(pairs)):
            group.append(pair)
            size += len(pair[1])
            if size >= _WRITE_BYTES:
                store.write_unlogged(group)
                group, size = [], 0
        if group:
            store.write_unlogged(group)
        rest = [pair for pair in pairs.scan(b"\x00", b"\xff") if pair[0][:1] != b"C"]
        store.write(Batch(puts=rest), sync=True)
    finally:
        store.close()
