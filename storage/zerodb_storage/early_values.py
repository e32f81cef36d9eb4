"""Values of segments that are written before the commit that makes them count.

Segments are large and are encoded with no lock held, so their values are written then, too; the commit's own batch has
the headers. Until it is written, garbage records stand for the values, so that a crash leaves nothing behind.

    garbage records --> values --> ... --> batch: headers, commit record; garbage records deleted
                                     `---> or, if the commit did not come about: all deleted
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from zerodb_compiler.errors import DatabaseError
from zerodb_storage import keys, recovery
from zerodb_storage.kv import Batch, KeyValueStore
from zerodb_storage.locks import Outdated

UNLOGGED_BYTES_MIN = 1 << 20
_PIECE_BYTES = 1 << 18  # of one write: Python's global lock is held for it


@contextmanager
def early_values(store: KeyValueStore, parts: Sequence[Sequence[tuple[bytes, bytes]]]) -> Iterator[None]:
    """Writes segments' values, for a commit to be made inside; they are deleted if it fails with an error of which is
    known that nothing was committed. (After a failed write of the commit itself, the store takes no deletion.)"""
    try:
        for values in parts:
            write_values(store, values)
        yield
    except (DatabaseError, Outdated):
        for values in parts:
            discard_values(store, values)
        raise


def write_values(store: KeyValueStore, values: Sequence[tuple[bytes, bytes]]) -> None:
    """Writes segments' values, and garbage records for them before."""
    if not values:
        return
    store.write(Batch(puts=[(key, b"") for key in garbage_keys(values)]), sync=False)
    if sum(len(value) for _, value in values) >= UNLOGGED_BYTES_MIN:
        store.write_unlogged(values)
        return
    for piece in _pieces(values):
        store.write(Batch(puts=piece), sync=False)


def discard_values(store: KeyValueStore, values: Sequence[tuple[bytes, bytes]]) -> None:
    """Deletes values that will not count. A failure leaves them to the next time the database is opened."""
    batch = Batch(deletes=list(garbage_keys(values)))
    for key in batch.deletes:
        batch.delete_range(*recovery.garbage_range(keys.table_of(key), keys.segment_of(key)))
    try:
        store.write(batch, sync=False)
    except DatabaseError:
        return


def garbage_keys(values: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """The garbage records of the segments that have these values."""
    return sorted({keys.garbage(keys.table_of(key), keys.segment_of(key)) for key, _ in values})


def _pieces(values: Sequence[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    piece: list[tuple[bytes, bytes]] = []
    size = 0
    for pair in values:
        piece.append(pair)
        size += len(pair[1])
        if size >= _PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
