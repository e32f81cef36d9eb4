"""Leases: how processes that read a database tell the one that writes it what it must not delete yet.

A reading process has a file in the folder `readers` of the database, with an exclusive lock on it while it lives, and
in it the sequence number of the oldest commit whose segments it may still read. The writer asks for the oldest of all
before it deletes the values of dropped segments. A file nobody holds a lock on is that of a process that has died, and
is removed.

Limits: a reader that may not write there has no lease; it gets 72000 when what it reads has been deleted. A reader that
is stopped keeps the space of dropped segments from being given back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import uuid

FOLDER = "readers"
_SEQUENCE = struct.Struct("<Q")


class Lease:
    """One reader's. It begins with 0: nothing may be deleted until the reader knows where it stands."""

    def __init__(self, path: str) -> None:
        """`path` is the database's directory."""
        self._place: str | None = None
        self._sequence = 0
        folder = os.path.join(path, FOLDER)
        with contextlib.suppress(OSError):
            if not os.path.exists(os.path.join(path, "CURRENT")):
                return  # no database, which is not for us to say
            os.makedirs(folder, exist_ok=True)
            place = os.path.join(folder, uuid.uuid4().hex)
            # Locked before it has its name: the writer must not take it for a dead one's.
            self._descriptor = os.open(place + ".new", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            os.pwrite(self._descriptor, _SEQUENCE.pack(0), 0)
            os.rename(place + ".new", place)
            self._place = place

    def move(self, sequence: int) -> None:
        """Nothing older than this commit's segments is read any more."""
        if sequence != self._sequence and self._place is not None:
            self._sequence = sequence
            os.pwrite(self._descriptor, _SEQUENCE.pack(sequence), 0)

    def end(self) -> None:
        if self._place is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._place)
            os.close(self._descriptor)
            self._place = None


def oldest(path: str) -> int | None:
    """The oldest commit that a living process may still read segments of; None if nobody reads."""
    found: int | None = None
    try:
        names = os.listdir(os.path.join(path, FOLDER))
    except OSError:
        return None
    for name in names:
        if name.endswith(".new"):
            continue
        sequence = _held(os.path.join(path, FOLDER, name))
        if sequence is not None and (found is None or sequence < found):
            found = sequence
    return found


def _held(place: str) -> int | None:
    """What the lease says, None if its process has died."""
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content = os.pread(descriptor, _SEQUENCE.size, 0)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return int(_SEQUENCE.unpack(content)[0]) if len(content) == _SEQUENCE.size else 0
        with contextlib.suppress(OSError):
            os.unlink(place)
        return None
    finally:
        os.close(descriptor)
