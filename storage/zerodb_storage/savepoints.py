"""Savepoints of a write transaction: a copy of its small mappings, and how long its lists of changes were.

Table versions are immutable, so what was there is still there, and going back is forgetting what came since. But a
transaction under READ COMMITTED may have moved on to a newer snapshot since the savepoint (`catching_up`): what it had
done by then is done once more on the base of now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zerodb_storage.locks import Mark
from zerodb_storage.rebasing import rebased
from zerodb_storage.snapshot import ObjectKey, Objects, Snapshot
from zerodb_storage.table import TableVersion

if TYPE_CHECKING:
    from zerodb_storage.transaction import WriteTransaction


@dataclass(frozen=True, slots=True)
class Savepoint:
    """`base` is the snapshot that `tables` and `catalog` were built on; `lengths` are those of each table's changes:
    batches, deletions, new rows, and whether it was reshaped."""

    base: Snapshot
    tables: dict[str, TableVersion]
    lengths: dict[int, tuple[int, int, int, bool]]
    catalog: Objects
    objects: dict[ObjectKey, Any]
    altered: frozenset[int]
    dropped: frozenset[int]
    defines: bool
    pending: frozenset[Any]
    locks: Mark


def taken(transaction: WriteTransaction, locks: Mark) -> Savepoint:
    """The transaction as it is now."""
    return Savepoint(
        transaction.base,
        dict(transaction.tables),
        {id_: (len(c.batches), len(c.deleted), c.row_count, c.reshaped) for id_, c in transaction.changes.items()},
        transaction.catalog,
        dict(transaction.objects),
        frozenset(transaction.altered),
        frozenset(transaction.dropped),
        transaction.defines,
        frozenset(transaction.pending),
        locks,
    )


def restore(transaction: WriteTransaction, savepoint: Savepoint) -> None:
    """Undo everything since the savepoint, which stays valid; the locks are the caller's."""
    for id_, changes in list(transaction.changes.items()):
        batches, deleted, row_count, reshaped = savepoint.lengths.get(id_, (0, 0, 0, False))
        del changes.batches[batches:], changes.deleted[deleted:]
        changes.row_count, changes.reshaped = row_count, reshaped
        if id_ not in savepoint.lengths:
            del transaction.changes[id_]
    transaction.altered, transaction.dropped = set(savepoint.altered), set(savepoint.dropped)
    transaction.objects, transaction.pending = dict(savepoint.objects), set(savepoint.pending)
    transaction.defines = savepoint.defines
    if savepoint.base is transaction.base:
        transaction.tables, transaction.catalog = dict(savepoint.tables), savepoint.catalog
    elif transaction.altered or transaction.dropped or transaction.objects:  # these are kept on the base of then
        _rebuild_definitions(transaction, savepoint)
    else:
        _rebuild(transaction)


def _rebuild(transaction: WriteTransaction) -> None:
    """What is left of the changes, on the base of now, to which the transaction moved on since the savepoint."""
    tables = dict(transaction.base.tables)
    for id_, changes in transaction.changes.items():
        base = transaction.base.table_with_id(id_)
        assert base is not None
        tables[base.key], transaction.changes[id_] = rebased(changes, base, base)
    transaction.tables, transaction.catalog = tables, transaction.base.catalog


def _rebuild_definitions(transaction: WriteTransaction, savepoint: Savepoint) -> None:
    """The same with tables that were defined anew before the savepoint."""
    bases, tables = dict(savepoint.base.tables), dict(savepoint.tables)
    for id_, changes in transaction.changes.items():
        now = transaction.base.table_with_id(id_)
        if now is None or now is savepoint.base.table_with_id(id_) or id_ in transaction.altered:
            continue
        # Others have changed or merged it since, and its changes are named by what it is now.
        bases[now.key] = now
        tables[now.key], transaction.changes[id_] = rebased(changes, now, now)
    transaction.base = replace(savepoint.base, tables=MappingProxyType(bases))
    transaction.tables, transaction.catalog = tables, savepoint.catalog
