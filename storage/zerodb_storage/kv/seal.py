"""The seal of a closed database: names and sizes of its files, so that one cut short while nobody had it open is seen.

RocksDB forgives a MANIFEST or log that ends early or in zeros, because a crash may leave one; it then opens an older
state, or an empty one, and deletes the files that state does not know. After an orderly close no file may have changed,
so the seal holds the size of each, and of those small ones a checksum:

    close   write SEAL (atomically, synced) after RocksDB has closed
    open    compare; remove SEAL (synced), for from here on files change; only then let RocksDB open

A killed process leaves no seal, and then RocksDB's own rules hold. Limits: of bytes that changed in place in table and
blob files a seal says nothing; RocksDB's checksums and ours do, when they are read.
"""

from __future__ import annotations

import os
import re
import zlib

import msgpack

from zerodb_compiler.errors import InternalError

NAME = "SEAL"
_SEALED = re.compile(r"CURRENT|MANIFEST-\d+|\d+\.(sst|blob|log)")


def _present(path: str) -> dict[str, list[int]]:
    """The size of each file, and the checksum of those that RocksDB would forgive changes in."""
    found: dict[str, list[int]] = {}
    for entry in os.scandir(path):
        if _SEALED.fullmatch(entry.name):
            found[entry.name] = [entry.stat().st_size]
            if not entry.name.endswith((".sst", ".blob")):
                found[entry.name].append(_checksum(entry.path))
    return found


def _checksum(path: str) -> int:
    checksum = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: str) -> None:
    """Seals the database directory; raises OSError."""
    temporary = os.path.join(path, NAME + ".new")
    with open(temporary, "wb") as file:
        file.write(msgpack.packb(_present(path)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, os.path.join(path, NAME))
    _sync_directory(path)


def verify(path: str) -> None:
    """Raises XX001 if the directory is sealed and a file is missing or has another size."""
    try:
        with open(os.path.join(path, NAME), "rb") as file:
            sealed = msgpack.unpackb(file.read())
    except FileNotFoundError:
        return
    except ValueError:
        sealed = None
    if not isinstance(sealed, dict):
        raise InternalError(f'database "{path}" is damaged: its file {NAME} is unreadable', sqlstate="XX001")
    present = _present(path)
    for name, facts in sorted(sealed.items()):
        what = _difference(facts, present.get(name))
        if what is not None:
            raise InternalError(f'database "{path}" is damaged: its file {name} {what}', sqlstate="XX001")


def _difference(sealed: object, present: list[int] | None) -> str | None:
    facts = sealed if isinstance(sealed, list) else [sealed]  # seals once held the size alone
    if present is None:
        return "is missing"
    if facts[:1] != present[:1]:
        return f"has {present[0]:,} bytes instead of {facts[0] if facts else 'none'}"
    return "is not as it was when the database was closed" if facts[1:] not in ([], present[1:]) else None


def remove(path: str) -> bool:
    """Takes the seal off, durably: a stale one would call a healthy database damaged. Whether there was one."""
    try:
        os.unlink(os.path.join(path, NAME))
    except FileNotFoundError:
        return False
    _sync_directory(path)
    return True
