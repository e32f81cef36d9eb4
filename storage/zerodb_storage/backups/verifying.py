"""Whether backups are sound: every file against its checksum, every record against its own, the history without a gap,
and every column that any restorable commit needs there. Problems are collected, each naming the file or record."""

from __future__ import annotations

import os
from collections.abc import Callable

from zerodb_compiler.errors import DatabaseError
from zerodb_storage import keys, records
from zerodb_storage.backups import files, restoring
from zerodb_storage.backups.files import Manifest, Point
from zerodb_storage.segment import from_header


def check(repository: str) -> list[str]:
    """All problems; empty if everything in the repository can be restored."""
    problems: list[str] = []
    try:
        files.repository_id(repository)
    except DatabaseError as error:
        problems.append(error.message)
    available: set[bytes] = set()
    before: Manifest | None = None
    for number in files.numbers(repository):
        try:
            manifest = files.read_manifest(repository, number)
        except DatabaseError as error:
            problems.append(error.message)
            continue
        needed: set[bytes] = set()
        found = [_values(repository, manifest, available), *_base(repository, manifest, needed)]
        found += _history(repository, manifest, before, needed)
        problems += [problem for problem in found if problem is not None]
        problems += [
            files.damaged(files.folder_of(repository, number), f"{keys.describe(key)} is missing").message
            for key in sorted(needed - available)
        ]
        before = manifest
    return list(dict.fromkeys(problems))


def _values(repository: str, manifest: Manifest, available: set[bytes]) -> str | None:
    return _each(repository, manifest, files.VALUES, lambda key, _: available.add(key))


def _base(repository: str, manifest: Manifest, needed: set[bytes]) -> list[str | None]:
    def take(key: bytes, value: bytes) -> None:
        if key[:1] == b"H":
            found = from_header(key, value)
            needed.update(keys.column(found.table_id, found.id, slot) for slot in found.slots)

    found = [_each(repository, manifest, files.SEQUENCES, lambda *_: None)]
    if manifest.full:
        found.append(_each(repository, manifest, files.BASE, take))
    return found


def _each(repository: str, manifest: Manifest, name: str, take: Callable[[bytes, bytes], object]) -> str | None:
    """Reads a file to its end; what is wrong with it, if anything."""
    folder = files.folder_of(repository, manifest.number)
    stored = manifest.file(name)
    if stored is None:
        return files.damaged(os.path.join(folder, name), "missing").message
    try:
        for key, value in files.read_pairs(folder, stored):
            records.unseal(key, value)
            take(key, value)
    except DatabaseError as error:
        place = os.path.join(folder, name)
        return error.message if place in error.message else files.damaged(place, error.message).message
    return None


def _history(repository: str, manifest: Manifest, before: Manifest | None, needed: set[bytes]) -> list[str]:
    problems: list[str] = []
    point = manifest.history_from
    if not manifest.full and (before is None or before.end != point):
        place = files.folder_of(repository, manifest.number)
        problems.append(files.damaged(place, f"the backup that ends with commit {point.sequence} is missing").message)
    try:
        for record in restoring.read_history(repository, manifest):
            if (record.previous, record.previous_time) != (point.sequence, point.time):
                place = files.folder_of(repository, manifest.number)
                problems.append(files.damaged(place, f"the history after commit {point.sequence} is missing").message)
            for key, value in record.puts:
                records.unseal(key, value)
            needed.update(record.values)
            point = Point(record.sequence, record.time)
    except DatabaseError as error:
        problems.append(error.message)
        return problems
    if point != manifest.end:
        place = files.folder_of(repository, manifest.number)
        problems.append(files.damaged(place, f"the history ends with commit {point.sequence}").message)
    return problems
