"""Row ids of one numbering of a table as row ids of a later one.

Row id = chunk * 65,536 + row. Appending to the delta renumbers nothing, but a fold sorts rows into new segments, and
segments that stay move up. Whoever holds row ids of an older version (a statement over its snapshot, a lock) asks where
those rows are now, or that they are gone:

    version --numbering--> Numbering --successor--> (Renumbering, Numbering) --> ... --> the newest, without successor

A numbering is held by the versions that have it, and holds its successors but not its predecessors: what leads from a
version that nobody has any more goes with that version, and nothing has to be cleaned up.

Limits: a scattered row takes 8 bytes for as long as a version of the old numbering lives.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage.values import Array

GONE = -1  # the new row id of a row that is not there any more


@dataclass(frozen=True, slots=True, eq=False)
class Renumbering:
    """`places` has for each old chunk where it begins now if all its rows keep their places in another chunk, and
    -1 - i if they are scattered: their new row ids are `targets[i:]`. Without any chunk: all rows are gone."""

    places: Array
    targets: Array

    @staticmethod
    def of(parts: Sequence[int | Array]) -> Renumbering:
        """One part for each old chunk: the number of the chunk that it has become, or the new row ids of its rows."""
        places = np.empty(len(parts), np.int64)
        scattered: list[Array] = [np.empty(0, np.int64)]
        count = 0
        for chunk, part in enumerate(parts):
            if isinstance(part, int):
                places[chunk] = part * CHUNK_ROWS
            else:
                places[chunk] = -1 - count
                scattered.append(part)
                count += len(part)
        return Renumbering(places, np.concatenate(scattered))

    def parts(self) -> list[int | Array]:
        """What `of` makes it from."""
        scattered = np.flatnonzero(self.places < 0)
        starts = [*(-1 - self.places[scattered]).tolist(), len(self.targets)]
        found: list[int | Array] = (self.places // CHUNK_ROWS).tolist()
        for chunk, (begin, end) in zip(scattered.tolist(), itertools.pairwise(starts), strict=True):
            found[chunk] = self.targets[begin:end]
        return found

    def apply(self, row_ids: Array) -> Array:
        """The new row ids, GONE where the row is; a row id that is GONE already stays so."""
        row_ids = np.asarray(row_ids, np.int64)
        found: Array
        if len(self.places) == 0 or len(row_ids) == 0:
            return np.full(len(row_ids), GONE, np.int64)
        if row_ids.min() < 0:
            there = np.flatnonzero(row_ids >= 0)
            found = np.full(len(row_ids), GONE, np.int64)
            found[there] = self.apply(row_ids[there])
            return found
        rows = row_ids % CHUNK_ROWS
        begins = self.places[row_ids // CHUNK_ROWS]
        found = begins + rows
        scattered = np.flatnonzero(begins < 0)
        if len(scattered):
            found[scattered] = self.targets[rows[scattered] - 1 - begins[scattered]]
        return found

    def then(self, later: Renumbering) -> Renumbering:
        """This one and a later one in one step."""
        if len(later.places) == 0:
            return later
        after = later.parts()
        return Renumbering.of([after[part] if isinstance(part, int) else later.apply(part) for part in self.parts()])


ALL_GONE = Renumbering.of(())


class Numbering:
    """Identity of a numbering: versions of a table that share it name the same rows by the same row ids. `successor`
    is set once, when a version with the next numbering is published."""

    __slots__ = ("successor",)

    def __init__(self) -> None:
        self.successor: tuple[Renumbering, Numbering] | None = None

    def succeeded(self, renumbering: Renumbering, by: Numbering) -> None:
        assert self.successor is None, "a numbering has one successor"
        assert by is not self
        self.successor = (renumbering, by)


def follow(start: Numbering, end: Numbering | None, row_ids: Array) -> Array:
    """Row ids of the numbering `start` in the later numbering `end`, or in the newest one: GONE where the row is."""
    while start is not end:
        step = start.successor
        if step is None:
            assert end is None, "the numbering is not a later one of the same table"
            break
        renumbering, start = step
        row_ids = renumbering.apply(row_ids)
    return row_ids
