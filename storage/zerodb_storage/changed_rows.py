"""What a transaction has changed, as rows that others' predicates are tested on (predicates, serializable)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zerodb_storage import lookup
from zerodb_storage.predicates import NO_ROWS, Rows, TableChange
from zerodb_storage.values import Array, Values, concatenate

if TYPE_CHECKING:
    from zerodb_storage.rebasing import Changes
    from zerodb_storage.table import TableVersion
    from zerodb_storage.transaction import WriteTransaction

ROWS_MAX = 1 << 17  # of a larger change of one table only the table is kept
_WHOLE = TableChange(whole=True)


def changed_rows(
    transaction: WriteTransaction, proposed: Mapping[int, Sequence[Values]] | None = None
) -> dict[int, TableChange]:
    """By table: the new rows that are left, and the old values of rows of the base that are gone. The values are taken
    from the transaction's base when they are asked for. `proposed` are rows that it would insert now."""
    found: dict[int, TableChange] = {}
    for table_id in transaction.altered | transaction.dropped:
        if transaction.base.table_with_id(table_id) is not None:
            found[table_id] = _WHOLE
    for table_id, changes in transaction.changes.items():
        base = transaction.base.table_with_id(table_id)
        if base is None or table_id in found or not (changes.row_count or changes.deleted):
            continue
        there, own = changes.deletions()
        if changes.row_count + len(there) > ROWS_MAX:
            found[table_id] = _WHOLE
        else:
            found[table_id] = TableChange(_inserted(base, changes, own), _deleted(base, there))
    for table_id, values in (proposed or {}).items():
        version, made = transaction.version_with_id(table_id), found.get(table_id, TableChange())
        assert version is not None
        if not made.inserted.count and not made.whole:  # with others of its own, the table is enough to know
            found[table_id] = replace(made, inserted=_proposed(version, values))
        else:
            found[table_id] = _WHOLE
    return found


def _proposed(version: TableVersion, values: Sequence[Values]) -> Rows:
    slots = {slot: ordinal for ordinal, slot in enumerate(version.schema.slots)}
    return Rows(len(values[0]), lambda slot: values[slots[slot]] if slot in slots else None)


def _inserted(base: TableVersion, changes: Changes, gone: Array) -> Rows:
    if changes.row_count == 0:
        return NO_ROWS
    slots = {slot: ordinal for ordinal, slot in enumerate(base.schema.slots)}
    batches = list(changes.batches)
    left: Array | None = None
    if len(gone):
        kept = np.ones(changes.row_count, np.bool_)
        kept[gone] = False
        left = np.flatnonzero(kept)

    def column(slot: int) -> Values | None:
        if slot not in slots:
            return None
        values = concatenate([batch[slots[slot]] for batch in batches])
        return values if left is None else values.take(left)

    return Rows(changes.row_count if left is None else len(left), column)


def _deleted(base: TableVersion, row_ids: Array) -> Rows:
    if len(row_ids) == 0:
        return NO_ROWS
    slots = {slot: ordinal for ordinal, slot in enumerate(base.schema.slots)}
    return Rows(len(row_ids), lambda slot: lookup.values_at(base, slots[slot], row_ids) if slot in slots else None)
