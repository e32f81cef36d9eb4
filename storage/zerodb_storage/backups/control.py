"""Which backups are made of a database: the file BACKUPS in its directory.

Whoever makes a backup, in whatever process, writes the file; the writing process looks whether it has changed before
each commit. As long as a repository is named there the writer keeps the history of commits after the one that the
repository has come to (`history`).

    {"repositories": {id: sequence number of the last commit it has}}
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator

from zerodb_compiler.errors import InternalError

NAME = "BACKUPS"


def place(path: str) -> str:
    return os.path.join(path, NAME)


def repositories(path: str) -> dict[str, int]:
    """By id, the last commit that each has. XX001 if the file is unreadable."""
    try:
        with open(place(path), encoding="utf-8") as file:
            found = json.load(file)["repositories"]
        return {str(name): int(sequence) for name, sequence in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        message = f'database "{path}" is damaged: its file {NAME} is unreadable ({error})'
        raise InternalError(message, sqlstate="XX001") from None


def taken(path: str, repository: str, sequence: int | None) -> None:
    """Notes that a repository has all commits up to this one; with None, that it is not kept up any more."""
    with _locked(path):
        found = repositories(path)
        if sequence is None:
            found.pop(repository, None)
        else:
            found[repository] = sequence
        write_durably(place(path), json.dumps({"repositories": found}).encode())


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    descriptor = os.open(place(path) + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_durably(name: str, content: bytes) -> None:
    """The file has this content when it returns; after a crash on the way the old one or this."""
    with open(name + ".new", "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(name + ".new", name)
    sync_directory(os.path.dirname(name))


def sync_directory(path: str) -> None:
    descriptor = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
