"""What a transaction does to the rows of one table, and the same done to a later version of the table.

Others commit while a transaction is open. Its changes are made on the version of each table that it began from, its
base; to be committed, or to be seen beside what others did meanwhile, they are *rebased*: made once more on the newest
version. So `Changes` names rows in a way that depends on the base only: rows of the base by their ids, which follow
through merges by their numbering, and the transaction's own by when they came. A deleted row that others have changed
is a conflict: Outdated.

Limits: the columns must be the same; who changes a definition holds a lock that keeps others out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from zerodb_storage.coding import coded
from zerodb_storage.locks import Outdated
from zerodb_storage.renumbering import follow
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array, Values, concatenate

_NONE: Array = np.empty(0, np.int64)


@dataclass(slots=True)
class Changes:
    """What was done to the rows of one table.

    `batches` are new rows (text as TEXT). `deleted` are rows: >= 0 is a row id of the base, ~n the n-th new row.
    """

    batches: list[list[Values]] = field(default_factory=list)
    deleted: list[Array] = field(default_factory=list)
    row_count: int = 0
    reshaped: bool = False  # the columns changed or all rows went: the table is folded, not logged

    def rows(self) -> tuple[Values, ...]:
        if len(self.batches) == 1:
            return tuple(self.batches[0])
        return tuple(concatenate(parts) for parts in zip(*self.batches, strict=True))

    def deletions(self) -> tuple[Array, Array]:
        """(row ids of the base, ordinals of new rows)"""
        if not self.deleted:
            return _NONE, _NONE
        rows = self.deleted[0] if len(self.deleted) == 1 else np.concatenate(self.deleted)
        own = rows < 0
        return rows[~own], ~rows[own]


def rebased(
    changes: Changes, base: TableVersion, onto: TableVersion, own: TableVersion | None = None
) -> tuple[TableVersion, Changes]:
    """Changes made on `base`, made on a later version of the same table instead: that version with them, rows in chunks
    of its own, and the changes as named by it. Outdated if a deleted row was changed by others meanwhile. `own` is
    `base` with the changes, whose chunks are taken over where they can be."""
    moved = Changes(changes.batches, [], changes.row_count)
    for rows in changes.deleted:  # one by one: savepoints count them
        named = rows.copy()
        shared = rows >= 0
        named[shared] = moved_rows(rows[shared], base, onto)
        moved.deleted.append(named)
    there, fresh = moved.deletions()
    if own is not None and own.schema.text_modes == onto.schema.text_modes:
        version = _with_chunks_of(own, base, onto)
    else:
        version = onto
        for batch in changes.batches:
            version, stored = coded(version, batch)
            version = version.appended(stored, onto)
        if len(fresh):
            version, _ = version.with_deleted(version.row_ids_of(~(onto.delta_rows + fresh)))
    version, _ = version.with_deleted(there)
    return version, moved


def _with_chunks_of(own: TableVersion, base: TableVersion, onto: TableVersion) -> TableVersion:
    """`onto` with the chunks behind it that `own` has behind `base`, and their masks."""
    private = own.delta_chunks[len(base.delta_chunks) :]
    if not private:
        return onto
    masks = dict(onto.masks)
    for chunk, mask in own.masks.items():
        if chunk >= base.chunk_count:
            masks[chunk - base.chunk_count + onto.chunk_count] = mask
    dictionaries = {
        column: max(known, own.dictionaries[column], key=lambda each: each.size)
        for column, known in onto.dictionaries.items()
    }
    return onto.derived(
        delta_chunks=onto.delta_chunks + private,
        masks=MappingProxyType(masks),
        dictionaries=MappingProxyType(dictionaries),
    )


def moved_rows(row_ids: Array, base: TableVersion, onto: TableVersion) -> Array:
    """Row ids of `base` in a later version; Outdated if one of them is not there any more."""
    if onto is base or len(row_ids) == 0:
        return row_ids
    if onto.numbering is not base.numbering:
        row_ids = follow(base.numbering, onto.numbering, row_ids)
        if len(row_ids) and int(row_ids.min()) < 0:
            raise Outdated
    if not onto.are_visible(row_ids).all():
        raise Outdated
    return row_ids
