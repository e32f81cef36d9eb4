"""Uniqueness of primary keys when rows come in bulk: within the batch, and against the rows that are there.

Only chunks whose bounds of the first key column overlap the batch's are read, so appending beyond the greatest key costs
nothing. Whole columns are compared, by Arrow's hash lookup or by sorting; no loop over rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import arrow, ordering
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Values, concatenate


def violation(version: TableVersion, batch: Sequence[Values], row: int) -> DatabaseError:
    """The 23505 error for one row of a batch."""
    names = ", ".join(version.columns[column].name for column in version.primary_key)
    shown = []
    for column in version.primary_key:
        value = arrow.to_arrow(batch[column].slice(row, row + 1), version.columns[column].type)
        shown.append(str(value[0].as_py()))
    message = f'duplicate key in table "{version.name}": ({names}) = ({", ".join(shown)}) exists already'
    return error_for("23505", message)


def check(version: TableVersion, batch: Sequence[Values]) -> None:
    """Raise 23505 if a key occurs twice in the batch (text as TEXT) or is in the table already."""
    keys = [key for column in version.primary_key for key in ordering.sort_keys(batch[column])]
    order = ordering.sort_order(keys)
    ordered = keys if order is None else [key[order] for key in keys]
    duplicate = ordering.first_duplicate(ordered)
    if duplicate is not None:
        raise violation(version, batch, duplicate if order is None else int(order[duplicate]))
    for chunk in _overlapping(version, batch[version.primary_key[0]]):
        _check_chunk(version, batch, chunk)


def _overlapping(version: TableVersion, first: Values) -> list[int]:
    zones = version.zone_map(version.primary_key[0])
    bounds = first.bounds()
    if zones is None or bounds is None:
        return list(range(version.chunk_count))
    low, high = max(bounds[0], -(1 << 63)), min(bounds[1], (1 << 63) - 1)
    return [int(chunk) for chunk in np.flatnonzero(zones.has_value & ~(zones.high < low) & ~(zones.low > high))]


def _check_chunk(version: TableVersion, batch: Sequence[Values], chunk: int) -> None:
    """Sort the chunk's visible keys and the batch's together; equal neighbours are duplicates."""
    visible = version.visibility(chunk)
    rows = None if visible is None else np.flatnonzero(visible[1])
    keys = []
    for column in version.primary_key:
        present = version.as_text(version.read(chunk, column), column)
        if rows is not None:
            present = present.take(rows)
        keys += ordering.sort_keys(concatenate([batch[column], present]))
    order = ordering.sort_order(keys)
    if order is None:
        order = np.arange(len(keys[0]))
    duplicate = ordering.first_duplicate([key[order] for key in keys])
    if duplicate is not None:
        raise violation(version, batch, int(order[duplicate - 1]))  # stable: the batch's row comes first


