"""Uniqueness of primary keys when rows come in bulk: within the batch, and against the rows that are there.

Only chunks whose bounds of the first key column overlap the batch's are read, so appending beyond the greatest key
costs nothing. Keys are compared by sorted digests, and exactly where those agree; no loop over rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import arrow, ordering, sketch
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array, Form, Values, concatenate, widen


def violation(version: TableVersion, key_columns: Sequence[Values], row: int) -> DatabaseError:
    """The 23505 error for one row of a batch."""
    names = ", ".join(version.columns[column].name for column in version.primary_key)
    shown = []
    for column, values in zip(version.primary_key, key_columns, strict=True):
        value = arrow.to_arrow(values.slice(row, row + 1), version.columns[column].type)
        shown.append(str(value[0].as_py()))
    message = f'duplicate key in table "{version.name}": ({names}) = ({", ".join(shown)}) exists already'
    return error_for("23505", message)


def null_violation(version: TableVersion, column: int) -> DatabaseError:
    """The 23502 error for a column."""
    name = version.columns[column].name
    message = f'null value in column "{name}" of table "{version.name}" violates its not-null constraint'
    return error_for("23502", message)


def checked_order(version: TableVersion, key_columns: Sequence[Values]) -> Array | None:
    """The order that sorts rows by primary key (None if they are sorted); 23505 if a key occurs twice among them or
    is in the table already. `key_columns`: the batch's key columns, text as TEXT."""
    for column, values in zip(version.primary_key, key_columns, strict=True):
        if values.validity is not None:
            raise null_violation(version, column)
    keys = [key for values in key_columns for key in ordering.sort_keys(values)]
    order = ordering.sort_order(keys)
    ordered = keys if order is None else [key[order] for key in keys]
    duplicate = ordering.first_duplicate(ordered)
    if duplicate is not None:
        raise violation(version, key_columns, duplicate if order is None else int(order[duplicate]))
    chunks = _overlapping(version, key_columns[0])
    if chunks:
        digests = np.sort(_digests(key_columns))
        for chunk in chunks:
            _check_chunk(version, key_columns, digests, chunk)
    return order


def _digests(key_columns: Sequence[Values]) -> Array:
    """One 64-bit number per row: equal keys have equal numbers."""
    mixed = np.zeros(len(key_columns[0]), np.uint64)
    for values in key_columns:
        # INT and WIDE columns of the same type must agree, so integers are digested as WIDE.
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + sketch.words(
            widen(values) if values.form is Form.INT else values
        )
    return mixed


def _overlapping(version: TableVersion, first: Values) -> list[int]:
    zones = version.zone_map(version.primary_key[0])
    bounds = first.bounds()
    if zones is None or bounds is None:
        return list(range(version.chunk_count))
    low, high = max(bounds[0], -(1 << 63)), min(bounds[1], (1 << 63) - 1)
    return [int(chunk) for chunk in np.flatnonzero(zones.has_value & ~(zones.high < low) & ~(zones.low > high))]


def _check_chunk(version: TableVersion, key_columns: Sequence[Values], digests: Array, chunk: int) -> None:
    """Compare the chunk's visible keys with the batch's, of which `digests` are sorted: first the digests, then,
    exactly, the keys of the rows that remain."""
    present = [version.as_text(version.read(chunk, column), column) for column in version.primary_key]
    visible = version.visibility(chunk)
    if visible is not None:
        present = [values.take(np.flatnonzero(visible[1])) for values in present]
    if len(present[0]) == 0:
        return
    there = _digests(present)
    nearest = np.minimum(np.searchsorted(digests, there), len(digests) - 1)
    suspects = np.flatnonzero(digests[nearest] == there)
    if len(suspects) == 0:
        return
    candidates = np.flatnonzero(np.isin(_digests(key_columns), there[suspects]))
    keys: list[Array] = []
    for values, known in zip(key_columns, present, strict=True):
        keys += ordering.sort_keys(concatenate([values.take(candidates), known.take(suspects)]))
    order = ordering.sort_order(keys)
    if order is None:
        order = np.arange(len(keys[0]))
    duplicate = ordering.first_duplicate([key[order] for key in keys])
    if duplicate is not None:  # the sort is stable: the batch's row comes first
        raise violation(version, key_columns, int(candidates[order[duplicate - 1]]))
