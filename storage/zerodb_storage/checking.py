"""`zerodb check`: read every record of a store and verify it; problems are collected, not raised."""

from __future__ import annotations

from zerodb_compiler.errors import DatabaseError
from zerodb_storage import keys, records, recovery
from zerodb_storage.kv import KeyValueStore
from zerodb_storage.segment import Segment, from_header


def check(store: KeyValueStore) -> list[str]:
    """All problems, each naming the record it is about; empty if the database is sound."""
    problems: list[str] = []
    for key, value in _scan(store, problems):
        if key[:1] in (b"G",):
            continue
        try:
            records.unseal(key, value)
        except DatabaseError as error:
            problems.append(error.message)
    for found in _headers(store, problems):
        for slot, facts in zip(found.slots, found.facts, strict=True):
            _check_column(store, found, slot, facts.null_count, problems)
    try:
        recovery.recover(store)
    except DatabaseError as error:
        problems.append(error.message)
    return list(dict.fromkeys(problems))


def _scan(store: KeyValueStore, problems: list[str]) -> list[tuple[bytes, bytes]]:
    """Every pair but the column values, which are read through their headers."""
    found: list[tuple[bytes, bytes]] = []
    for letter in (b"F", b"S", b"T", b"D", b"H", b"V", b"L", b"G", b"M", b"O", b"N"):
        try:
            found += store.scan(*keys.space(letter))
        except DatabaseError as error:
            problems.append(f"records {letter.decode()}: {error.message}")
    return found


def _headers(store: KeyValueStore, problems: list[str]) -> list[Segment]:
    segments: list[Segment] = []
    try:
        for key, value in store.scan(*keys.space(b"H")):
            try:
                segments.append(from_header(key, value))
            except DatabaseError:
                continue  # reported already
    except DatabaseError as error:
        problems.append(error.message)
    return segments


def _check_column(store: KeyValueStore, found: Segment, column: int, null_count: int, problems: list[str]) -> None:
    try:
        values = found.read(store, column)
    except DatabaseError as error:
        name = keys.describe(keys.column(found.table_id, found.id, column))
        problems.append(error.message if name in error.message else f"{name}: {error.message}")
        return
    if values.null_count != null_count:
        problems.append(f"{keys.describe(keys.column(found.table_id, found.id, column))}: wrong number of NULLs")
