"""Visibility masks: which rows of a chunk a version of its table shows.

Problem: a mask is a byte a row, 64 KiB a chunk, and each commit that deletes a row makes a version with another one. A
copy a commit costs more than all else that a deletion does, and whoever keeps the bytes elsewhere (the engine, in
linear memory) can but take them anew.

Idea: as with the delta's buffers. The bytes of a chunk only ever change from visible to not, and in an order: so masks
share them with the list of the rows in the order of their deletion, and a mask is a place in that list.

    order     [ 17  4242  9 ]       bytes: 1 but for the rows 17, 4242 and 9
    mask A      ^-^                 shows what the bytes show, and rows 4242 and 9
    mask B      ^---------^         shows what the bytes show

Who publishes hides rows behind the newest mask in place (`hidden_in_place`), by some nanoseconds a row; a transaction,
whose changes may come to nothing, and whoever goes on from an older mask get bytes of their own (`hidden`). From one
mask to a later one over the same bytes leads the part of the list between them (`since`).

Order matters for readers of older masks, who do not wait: a row is in the list before its byte changes, and readers
look at the list after the bytes.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Hashable, Sequence

import numpy as np

from zerodb_storage.values import Array

_serials = itertools.count(1)


class _Bytes:
    """What masks share: a byte a row, as the newest of them has it, and the rows hidden since these bytes were made."""

    __slots__ = ("order", "serial", "visible")

    def __init__(self, visible: bytearray) -> None:
        self.serial = next(_serials)
        self.visible = visible
        self.order = array("H")


class Mask:
    """Which rows of a chunk are visible; rows beyond `rows` are. `deleted` of them are not. Immutable."""

    __slots__ = ("_bytes", "_place", "deleted")

    def __init__(self, shared: _Bytes, place: int, deleted: int) -> None:
        self._bytes, self._place, self.deleted = shared, place, deleted

    @property
    def identity(self) -> Hashable:
        """Equal identities mean equal bytes."""
        return self._bytes.serial, self._place

    @property
    def rows(self) -> int:
        return len(self._bytes.visible)

    @property
    def visible(self) -> Array:
        """1 or 0 per row, the caller's own."""
        visible = np.frombuffer(self._copy(), np.uint8)
        later = self._later()
        if len(later):
            visible[later] = 1
        return visible

    def _copy(self) -> bytearray:
        return self._bytes.visible[:]  # of an array, NumPy copies without the GIL, which is slow to have back

    def _later(self) -> Array:
        """Rows that only later masks hide."""
        return np.frombuffer(self._bytes.order[self._place :], np.uint16)

    def shows(self, row: int) -> bool:
        shared = self._bytes
        if row >= len(shared.visible) or shared.visible[row]:
            return True
        return row in shared.order[self._place :]

    def shown(self, rows: Array) -> Array:
        """Per row of the chunk, whether it is visible."""
        shared = self._bytes
        within = rows < len(shared.visible)
        found = np.ones(len(rows), np.bool_)
        found[within] = np.frombuffer(shared.visible, np.uint8)[rows[within]] != 0
        later = self._later()
        if len(later) and not found.all():
            found |= np.isin(rows, later)
        return found

    def since(self, older: Mask) -> Sequence[int] | None:
        """The rows that this mask hides and an older one does not, if they share their bytes; else None."""
        if older._bytes is not self._bytes or older._place > self._place:
            return None
        return self._bytes.order[older._place : self._place]

    def hidden(self, rows: Sequence[int] | Array) -> Mask:
        """With rows hidden that it shows, in bytes of its own."""
        visible = self._copy()
        bytes_ = np.frombuffer(visible, np.uint8)
        bytes_[self._later()] = 1
        bytes_[rows] = 0
        return Mask(_Bytes(visible), 0, self.deleted + len(rows))

    def hidden_in_place(self, rows: Sequence[int] | Array) -> Mask:
        """As `hidden`; for who publishes, one at a time: in the same bytes, if this is their newest mask."""
        shared = self._bytes
        if len(shared.order) != self._place:
            return self.hidden(rows)
        if len(rows) == 1:
            shared.order.append(int(rows[0]))
            shared.visible[int(rows[0])] = 0
        else:
            shared.order.frombytes(np.asarray(rows, np.uint16).tobytes())
            np.frombuffer(shared.visible, np.uint8)[rows] = 0
        return Mask(shared, self._place + len(rows), self.deleted + len(rows))


def mask_of(visible: Array) -> Mask:
    return Mask(_Bytes(bytearray(visible)), 0, len(visible) - int(np.count_nonzero(visible)))


def all_visible(rows: int) -> Mask:
    return Mask(_Bytes(bytearray(b"\1") * rows), 0, 0)
