"""A write transaction on top of what others have committed since its base.

Under READ COMMITTED each statement sees the newest snapshot, so the transaction moves on to it, with its own changes
made once more there (`rebasing`). Constraints are checked against the newest version of a table at any level. Whoever
has locked a table whose rows were only merged takes the merged version for its base.

What cannot be carried over is Outdated, and the statement, or the transaction, runs again.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from zerodb_storage.locks import Outdated
from zerodb_storage.rebasing import Changes, rebased
from zerodb_storage.snapshot import Snapshot
from zerodb_storage.table import TableVersion

if TYPE_CHECKING:
    from zerodb_storage.transaction import WriteTransaction


def on_newest(latest: Snapshot, transaction: WriteTransaction, table_id: int) -> TableVersion:
    """A table as last committed, with the transaction's changes; the transaction's own version if nobody else has
    changed it."""
    own, base = transaction.version_with_id(table_id), transaction.base.table_with_id(table_id)
    assert own is not None
    newest = latest.table_with_id(table_id)
    if base is None or newest is base:
        return own
    if newest is None or newest.schema_version != base.schema_version:
        raise Outdated
    if newest.changed == base.changed or table_id in transaction.altered:  # merged, or locked by us
        return own
    changes = transaction.changes.get(table_id)
    return newest if changes is None else rebased(changes, base, newest, own)[0]


def adopt(transaction: WriteTransaction, base: TableVersion, newest: TableVersion) -> None:
    """Takes the newest version of a table, which has the same rows, for the transaction's base."""
    changes, own = transaction.changes.get(base.id), newest
    if changes is not None:
        own, transaction.changes[base.id] = rebased(changes, base, newest)
    tables = {**transaction.base.tables, base.key: newest}
    transaction.base = replace(transaction.base, tables=MappingProxyType(tables))
    transaction.tables[base.key] = own


def refresh(transaction: WriteTransaction, latest: Snapshot) -> None:
    """Moves the transaction on to a snapshot, with its changes so far on top of it. Outdated if that cannot be, because
    a definition changed."""
    if latest is transaction.base:
        return
    if transaction.defines or transaction.objects or transaction.altered or transaction.dropped:
        _refresh_definitions(transaction, latest)
        return
    tables, moved = dict(latest.tables), dict(transaction.changes)
    for id_ in transaction.changes:
        version = latest.table_with_id(id_)
        if version is None:
            raise Outdated
        tables[version.key], moved[id_] = _moved(transaction, version)
    transaction.base, transaction.catalog = latest, latest.catalog
    transaction.tables, transaction.changes = tables, moved


def _moved(transaction: WriteTransaction, onto: TableVersion) -> tuple[TableVersion, Changes]:
    """What the transaction did to a table, done to a later version of it."""
    base = transaction.base.table_with_id(onto.id)
    if base is None or base.schema_version != onto.schema_version:
        raise Outdated
    return rebased(transaction.changes[onto.id], base, onto, transaction.version_with_id(onto.id))


def _refresh_definitions(transaction: WriteTransaction, latest: Snapshot) -> None:
    """A transaction that defines keeps the tables that it has defined anew, which nobody else changes until it ends,
    and sees what others did to all other tables."""
    if latest.defined != transaction.base.defined:
        raise Outdated
    base, own, moved = transaction.base.tables, dict(transaction.tables), dict(transaction.changes)
    mixed = dict(base)
    for key, version in latest.tables.items():
        if version is base.get(key) or version.id in transaction.altered or version.id in transaction.dropped:
            continue
        if version.id in moved:
            own[key], moved[version.id] = _moved(transaction, version)
        elif own.get(key) is base.get(key):
            own[key] = version
        else:
            continue
        mixed[key] = version
    if all(version is base.get(key) for key, version in mixed.items()):
        return
    transaction.base = replace(transaction.base, tables=MappingProxyType(mixed))
    transaction.tables, transaction.changes = own, moved
