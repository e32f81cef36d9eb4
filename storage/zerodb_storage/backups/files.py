"""How backups lie on disk.

    repository/REPOSITORY         its id
    repository/000001/            the first backup, a full one
        MANIFEST                  what it is, and of each file its length and SHA-256; the manifest's own checksum
        base                      the pairs as of its first commit
        history                   the commits up to its last one, in order
        sequences                 the values of sequences at the end
        values                    columns of segments
    repository/000002/ ...        what came after
    repository/000003.partial/    a backup that was interrupted; the next one removes it

A file of pairs: a magic number, then for each pair the lengths of key and value (4 bytes each, little endian), key,
value. Values are sealed as they are in the database (`records`), so that damage can be named by record. A directory
gets its name when everything in it is on stable storage.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from zerodb_compiler.errors import InternalError, error_for
from zerodb_storage.backups.control import sync_directory, write_durably

REPOSITORY, MANIFEST = "REPOSITORY", "MANIFEST"
FORMAT = 1
BASE, HISTORY, SEQUENCES, VALUES = "base", "history", "sequences", "values"
_MAGIC = b"zerodb pairs 1\n"
_LENGTHS = struct.Struct("<II")
_NUMBER = re.compile(r"\d{6}")
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Point:
    """A commit. `time` is in microseconds since 1970, UTC."""

    sequence: int
    time: int

    @property
    def when(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.time)

    def __str__(self) -> str:
        return f"commit {self.sequence} of {self.when.isoformat(sep=' ', timespec='milliseconds')}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was backed up: `commits` with their history, `end` the last commit (`time` in microseconds UTC)."""

    number: int
    full: bool
    commits: int
    bytes: int
    end: Point


@dataclass(frozen=True, slots=True)
class StoredFile:
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`start` is the commit that the base is of, or (incremental) that the backup before ended with; None if there is
    history from before the base, of which `first` tells the beginning. `made` is when the backup was begun."""

    number: int
    full: bool
    base: Point | None
    history_from: Point
    end: Point
    made: int
    files: tuple[StoredFile, ...]

    def file(self, name: str) -> StoredFile | None:
        return next((found for found in self.files if found.name == name), None)


def damaged(place: str, why: str) -> InternalError:
    return InternalError(f"the backup is damaged: {place}: {why}", sqlstate="XX001")


class PairWriter:
    """A file of pairs that is being written."""

    def __init__(self, folder: str, name: str) -> None:
        self._name = name
        self._file = open(os.path.join(folder, name), "wb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - `finish` closes it
        self._hash = hashlib.sha256(_MAGIC)
        self._bytes = self._file.write(_MAGIC)

    def add(self, key: bytes, value: bytes) -> None:
        for part in (_LENGTHS.pack(len(key), len(value)), key, value):
            self._hash.update(part)
            self._bytes += self._file.write(part)

    def finish(self) -> StoredFile:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return StoredFile(self._name, self._bytes, self._hash.hexdigest())

    def abandon(self) -> None:
        self._file.close()


def read_pairs(folder: str, stored: StoredFile) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of a file, which is verified on the way; XX001, naming it, if it is not as it was written. What came
    before the error must not be used: call it to its end."""
    place = os.path.join(folder, stored.name)
    digest = hashlib.sha256()
    total = 0
    try:
        file = open(place, "rb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - closed by the block below
    except FileNotFoundError:
        raise damaged(place, "missing") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size != stored.bytes:
            raise damaged(place, f"has {size:,} bytes instead of {stored.bytes:,}")
        magic = file.read(len(_MAGIC))
        digest.update(magic)
        total = len(magic)
        while total < size:
            head = file.read(_LENGTHS.size)
            if len(head) < _LENGTHS.size:
                raise damaged(place, f"ends in the middle of a pair at byte {total:,}")
            key_bytes, value_bytes = _LENGTHS.unpack(head)
            if total + _LENGTHS.size + key_bytes + value_bytes > size:
                raise damaged(place, f"ends in the middle of a pair at byte {total:,}")
            key, value = file.read(key_bytes), file.read(value_bytes)
            for part in (head, key, value):
                digest.update(part)
            total += _LENGTHS.size + key_bytes + value_bytes
            yield key, value
    if magic != _MAGIC or digest.hexdigest() != stored.sha256:
        raise damaged(place, "checksum mismatch")


def is_repository(path: str) -> bool:
    return os.path.isfile(os.path.join(path, REPOSITORY))


def create_repository(path: str) -> str:
    """The id of the repository in this directory, which is made if it is not there."""
    if is_repository(path):
        return repository_id(path)
    if os.path.exists(path) and not os.path.isdir(path):
        raise error_for("58P02", f'"{path}" is a file; backups are made into a directory')
    if os.path.isdir(path) and [name for name in os.listdir(path) if not name.startswith(REPOSITORY)]:
        raise error_for("58P02", f'directory "{path}" holds other files and no backups')
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        raise error_for("58P01", f'cannot make a backup in "{path}": directory "{parent}" does not exist')
    os.makedirs(path, exist_ok=True)
    name = uuid.uuid4().hex
    write_durably(os.path.join(path, REPOSITORY), json.dumps({"format": FORMAT, "id": name}).encode())
    sync_directory(parent)
    return name


def repository_id(path: str) -> str:
    place = os.path.join(path, REPOSITORY)
    try:
        with open(place, encoding="utf-8") as file:
            content = json.load(file)
        if content["format"] != FORMAT:
            raise error_for("0A000", f"backups of format {content['format']}; this zerodb reads format {FORMAT}")
        return str(content["id"])
    except FileNotFoundError:
        raise error_for("58P01", f'there are no backups in "{path}"') from None
    except (ValueError, LookupError, TypeError) as error:
        raise damaged(place, f"unreadable ({error})") from None


def folder_of(path: str, number: int) -> str:
    return os.path.join(path, f"{number:06d}")


def numbers(path: str) -> list[int]:
    """Those of all finished backups, in order."""
    return sorted(int(name) for name in os.listdir(path) if _NUMBER.fullmatch(name))


def write_manifest(folder: str, manifest: Manifest) -> None:
    content = json.dumps(asdict(manifest), indent=1).encode()
    checksum = hashlib.sha256(content).hexdigest()
    write_durably(os.path.join(folder, MANIFEST), content + b"\n" + checksum.encode() + b"\n")


def read_manifest(path: str, number: int) -> Manifest:
    place = os.path.join(folder_of(path, number), MANIFEST)
    try:
        with open(place, "rb") as file:
            content, checksum, end = file.read().rsplit(b"\n", 2)
    except FileNotFoundError:
        raise damaged(place, "missing") from None
    except ValueError:
        raise damaged(place, "truncated") from None
    if end or hashlib.sha256(content).hexdigest().encode() != checksum:
        raise damaged(place, "checksum mismatch")
    try:
        manifest = _manifest_from(json.loads(content))
    except (ValueError, LookupError, TypeError) as error:
        raise damaged(place, f"unreadable ({error})") from None
    if manifest.number != number:
        raise damaged(place, f"is that of backup {manifest.number}")
    return manifest


def _manifest_from(found: dict[str, Any]) -> Manifest:
    base = None if found["base"] is None else Point(**found["base"])
    files = tuple(StoredFile(**each) for each in found["files"])
    return Manifest(
        found["number"],
        found["full"],
        base,
        Point(**found["history_from"]),
        Point(**found["end"]),
        found["made"],
        files,
    )


def read_manifests(path: str) -> list[Manifest]:
    """Of all backups, in order; XX001 naming what is damaged, 58P01 if there is none."""
    repository_id(path)
    found = [read_manifest(path, number) for number in numbers(path)]
    if not found:
        raise error_for("58P01", f'there is no finished backup in "{path}"')
    return found
