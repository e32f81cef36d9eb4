"""The seal of a closed database: names and sizes of its files, so that one cut short while nobody had it open is seen.

RocksDB forgives a MANIFEST or log that ends early, because a crash may leave one; it then opens an older state, or an
empty one, and deletes the files that state does not know. After an orderly close no file may have changed, so:

    close   write SEAL (atomically, synced) after RocksDB has closed
    open    compare; remove SEAL (synced), for from here on files change; only then let RocksDB open

A killed process leaves no seal, and then RocksDB's own rules hold. Limits: a seal says nothing of bytes that changed in
place; checksums do.
"""

from __future__ import annotations

import os
import re

import msgpack

from zerodb_compiler.errors import InternalError

NAME = "SEAL"
_SEALED = re.compile(r"CURRENT|MANIFEST-\d+|\d+\.(sst|blob|log)")


def _sizes(path: str) -> dict[str, int]:
    return {entry.name: entry.stat().st_size for entry in os.scandir(path) if _SEALED.fullmatch(entry.name)}


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
        file.write(msgpack.packb(_sizes(path)))
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
    present = _sizes(path)
    for name, size in sorted(sealed.items()):
        if name not in present:
            raise InternalError(f'database "{path}" is damaged: its file {name} is missing', sqlstate="XX001")
        if present[name] != size:
            what = f"its file {name} has {present[name]:,} bytes instead of {size:,}"
            raise InternalError(f'database "{path}" is damaged: {what}', sqlstate="XX001")


def remove(path: str) -> None:
    """Takes the seal off, durably: a stale one would call a healthy database damaged."""
    try:
        os.unlink(os.path.join(path, NAME))
    except FileNotFoundError:
        return
    _sync_directory(path)
