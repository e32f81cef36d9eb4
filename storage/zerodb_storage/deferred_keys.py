"""A unique key that was not checked as rows came, checked for all of them: before a commit, or when it is told to hold.

The keys of the transaction's own new rows are locked and looked up in the newest version of the table with the
transaction's changes: each must be there once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zerodb_compiler.constraints import Unique
from zerodb_storage import lookup, unique
from zerodb_storage.values import Values

if TYPE_CHECKING:
    from zerodb_storage.table import TableVersion
    from zerodb_storage.transaction import WriteTransaction


def check_key(transaction: WriteTransaction, version: TableVersion, key: Unique) -> None:
    """23505 if a row that the transaction has inserted has the key of another row."""
    columns = _new_keys(transaction, version, key)
    if len(columns[0]) == 0:
        return
    transaction.lock_new_keys(version, key.columns, columns, nulls_equal=not key.nulls_distinct)
    newest = transaction.on_newest(version.id)
    row_ids, numbers = lookup.matches(newest, key.columns, columns, nulls_equal=not key.nulls_distinct)
    if len(row_ids):
        twice = np.flatnonzero(np.bincount(numbers) > 1)
        if len(twice):
            raise unique.violation(newest, key.name, key.columns, columns, int(twice[0]))


def _new_keys(transaction: WriteTransaction, version: TableVersion, key: Unique) -> list[Values]:
    return new_values(transaction, version, key.columns)


def new_values(transaction: WriteTransaction, version: TableVersion, columns: Sequence[int]) -> list[Values]:
    """These columns of the rows that the transaction has inserted and not deleted; of all rows if it has defined the
    table anew."""
    changes = transaction.changes.get(version.id)
    if changes is None and version.id not in transaction.altered:
        return [lookup.all_values(version, column).slice(0, 0) for column in columns]
    if changes is None or _is_new(transaction, version):
        return [lookup.all_values(version, column) for column in columns]
    rows = changes.rows()
    if not rows:
        return [lookup.all_values(version, column).slice(0, 0) for column in columns]
    _, own = changes.deletions()
    left = np.ones(len(rows[0]), np.bool_)
    left[own] = False
    kept = np.flatnonzero(left)
    return [rows[column].take(kept) for column in columns]


def old_values(transaction: WriteTransaction, version: TableVersion, columns: Sequence[int]) -> list[Values] | None:
    """These columns of the rows that others see and the transaction has deleted; None if that cannot be told, since it
    has defined the table anew."""
    base = transaction.base.table_with_id(version.id)
    changes = transaction.changes.get(version.id)
    if base is None or version.id in transaction.altered or _is_new(transaction, version):
        return None
    deleted = np.empty(0, np.int64) if changes is None else changes.deletions()[0]
    return [lookup.values_at(base, column, deleted) for column in columns]


def _is_new(transaction: WriteTransaction, version: TableVersion) -> bool:
    changes = transaction.changes.get(version.id)
    base = transaction.base.table_with_id(version.id)
    reshaped = changes is not None and changes.reshaped
    return base is None or reshaped or base.schema_version != version.schema_version
