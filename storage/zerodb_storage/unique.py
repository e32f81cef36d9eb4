"""Uniqueness of keys when rows come in bulk: within the batch, and against the rows that are there.

Only chunks whose bounds of the first key column overlap the batch's are read, so appending beyond the greatest key
costs nothing. Keys are compared by sorted digests, and exactly where those agree; no loop over rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zerodb_compiler.constraints import Unique
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import arrow, lookup, ordering
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array, Values


def violation(
    version: TableVersion, name: str, columns: Sequence[int], key_columns: Sequence[Values], row: int
) -> DatabaseError:
    """The 23505 error for one row of a batch."""
    names = ", ".join(version.columns[column].name for column in columns)
    shown = []
    for column, values in zip(columns, key_columns, strict=True):
        value = arrow.to_arrow(values.slice(row, row + 1), version.columns[column].type)
        found = value[0].as_py()
        shown.append("null" if found is None else str(found))
    message = f'duplicate key value violates unique constraint "{name}"'
    return error_for("23505", message, hint=f"Key ({names})=({', '.join(shown)}) already exists.")


def null_violation(version: TableVersion, column: int) -> DatabaseError:
    """The 23502 error for a column."""
    name = version.columns[column].name
    message = f'null value in column "{name}" of relation "{version.name}" violates not-null constraint'
    return error_for("23502", message)


def primary_key_name(version: TableVersion) -> str:
    return version.constraints.primary_key_name or f"{version.name}_pkey"


def checked_order(version: TableVersion, key_columns: Sequence[Values]) -> Array | None:
    """The order that sorts rows by primary key (None if they are sorted); 23505 if a key occurs twice among them or
    is in the table already. `key_columns`: the batch's key columns, text as TEXT."""
    for column, values in zip(version.primary_key, key_columns, strict=True):
        if values.validity is not None:
            raise null_violation(version, column)
    return _checked(version, primary_key_name(version), version.primary_key, key_columns)


def check_key(version: TableVersion, key: Unique, batch: Sequence[Values]) -> None:
    """23505 if a key of the batch's rows occurs twice among them or is in the table already. NULLs are distinct from
    each other unless the key says otherwise."""
    key_columns = [batch[column] for column in key.columns]
    validity = [values.validity for values in key_columns if values.validity is not None]
    if validity and key.nulls_distinct:
        rows = np.flatnonzero(np.logical_and.reduce(validity))
        if len(rows) == 0:
            return
        key_columns = [values.take(rows) for values in key_columns]
    if len(key_columns[0]):
        _checked(version, key.name, key.columns, key_columns)


def _checked(version: TableVersion, name: str, columns: tuple[int, ...], key_columns: Sequence[Values]) -> Array | None:
    keys = sort_keys(key_columns)
    order = ordering.sort_order(keys)
    ordered = keys if order is None else [key[order] for key in keys]
    duplicate = ordering.first_duplicate(ordered)
    if duplicate is not None:
        raise violation(version, name, columns, key_columns, duplicate if order is None else int(order[duplicate]))
    _, rows = lookup.matches(version, columns, key_columns, first_only=True)
    if len(rows):
        raise violation(version, name, columns, key_columns, int(rows[0]))
    return order


def check_existing(version: TableVersion, key: Unique) -> None:
    """23505 if the table's rows do not have the key that is to be added."""
    columns = [lookup.all_values(version, column) for column in key.columns]
    if len(columns[0]) == 0:
        return
    validity = [values.validity for values in columns if values.validity is not None]
    if validity and key.nulls_distinct:
        rows = np.flatnonzero(np.logical_and.reduce(validity))
        columns = [values.take(rows) for values in columns]
    keys = sort_keys(columns)
    order = ordering.sort_order(keys)
    ordered = keys if order is None else [found[order] for found in keys]
    duplicate = ordering.first_duplicate(ordered)
    if duplicate is not None:
        row = duplicate if order is None else int(order[duplicate])
        error = violation(version, key.name, key.columns, columns, row)
        names, _, shown = (error.hint or "").removesuffix(" already exists.").partition("=")
        raise error_for("23505", f'could not create unique index "{key.name}"', hint=f"{names}={shown} is duplicated.")


def sort_keys(key_columns: Sequence[Values]) -> list[Array]:
    """Arrays that order rows by several columns, NULLs equal to each other."""
    keys: list[Array] = []
    for values in key_columns:
        if values.validity is not None:
            keys.append(values.validity)
        keys += ordering.sort_keys(values)
    return keys
