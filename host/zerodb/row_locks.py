"""SELECT ... FOR UPDATE, NO KEY UPDATE, SHARE, KEY SHARE: runs the query, locks the rows it gave, drops their ids.

If a row was changed since the statement's snapshot, storage says Outdated and the session runs the statement again
(READ COMMITTED, or a transaction's first statement), else it fails with 40001: what is returned is locked, and newest.

FOR UPDATE and FOR KEY SHARE lock the keys of the rows as well, as foreign keys do: FOR UPDATE keeps new rows from
referring to a row, and KEY SHARE outlives new versions of it: if others have given a row new values since the snapshot,
but kept its keys, KEY SHARE gives the row as the snapshot has it, as in PostgreSQL. (With SKIP LOCKED it is Outdated.)

SKIP LOCKED with LIMIT gives as many rows as there are unlocked: rows that others hold are left out of the locked
table's scan beforehand (it has a key of its own, so other scans of the table see all), and if some rows still cannot be
had, the query runs again without them. Rows passed over by OFFSET are not locked, which PostgreSQL does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zerodb.changes.applying import Result
from zerodb.changes.foreign_keys import referrers
from zerodb.changes.partitioning import leaves
from zerodb.engine.result import RowDecoder
from zerodb.engine.rows import chosen
from zerodb.outcome import Outcome, QueryBatches
from zerodb.queries import for_writing
from zerodb.virtual import with_hidden_rows
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import error_for
from zerodb_compiler.plan.logical import Limit, LogicalPlan, Window
from zerodb_compiler.plan.rules.expand_partitions import PARTITION_SHIFT
from zerodb_compiler.plan.transform import inputs_of
from zerodb_compiler.sql import statements as st
from zerodb_storage import Database as Storage
from zerodb_storage import RowMode, TableMode, WriteTransaction
from zerodb_storage.locking import held_by_others, lock_row_keys, unique_keys, wait_for_sharers
from zerodb_storage.values import sorted_distinct

if TYPE_CHECKING:
    from zerodb.compilation import CompiledQuery, Ready
    from zerodb.connection import Connection
    from zerodb.values import Canonical
    from zerodb.view import View

RowIds = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
_ROW_BITS = (1 << PARTITION_SHIFT) - 1


def run_locking(connection: Connection, ready: Ready, user: Sequence[Any]) -> Outcome:
    """A locking query that is a statement by itself."""
    found = ready.prepared.explained
    assert isinstance(found, st.Query)
    _check_may_lock(connection, found.locks)
    with connection._session.writing() as write:
        prepared, values = for_writing(connection, ready, connection._view(), user)
        statement = prepared.explained
        assert isinstance(statement, st.Query)
        assert prepared.query is not None
        return locked_rows(connection, write, statement, prepared.query, connection._view(), values)


def _check_may_lock(connection: Connection, locks: Sequence[st.LockedTable]) -> None:
    """25006 in a read-only transaction."""
    if connection._session.is_read_only:
        words = "FOR " + max(locked.strength for locked in locks).name.replace("_", " ")
        raise error_for("25006", f"cannot execute SELECT {words} in a read-only transaction")


def locked_rows(
    connection: Connection,
    write: WriteTransaction,
    statement: st.Query,
    query: CompiledQuery,
    view: View,
    values: Sequence[Canonical],
) -> Outcome:
    """Runs a locking query over `view`."""
    for locked in statement.locks:
        for table in (locked.table.key, *(leaf for leaf, _ in _leaves(write, locked))):
            write.lock_table(table, TableMode.ROW_SHARE)
    skipping = [locked for locked in statement.locks if locked.wait is st.LockWait.SKIP]
    limited = bool(skipping) and _is_limited(statement.plan)
    for locked in skipping:
        view = _with_scanned(connection, write, view, locked, limited)
    while True:
        result = Result.of(connection, query, view, values)
        kept = np.ones(result.batch.rows, np.bool_)
        for place, locked in enumerate(statement.locks, len(statement.columns)):
            refused = _lock(connection, write, locked, result.integers(place), kept)
            if refused is not None and limited:
                view = _without(write, view, locked, refused)
        if limited and not kept.all():
            continue  # each time some rows less
        if not kept.all():
            result = result.taken(np.flatnonzero(kept))
        columns = range(len(statement.columns))
        output = tuple(result.output[column] for column in columns)
        batches = QueryBatches([chosen(result.batch, columns)], output, RowDecoder(output))
        return Outcome("SELECT", result.batch.rows, output, batches)


def _is_limited(plan: LogicalPlan) -> bool:
    """Whether other rows may take the place of those that are left out. FETCH ... WITH TIES is a window function."""
    return isinstance(plan, (Limit, Window)) or any(map(_is_limited, inputs_of(plan)))


def _lock(
    connection: Connection, write: WriteTransaction, locked: st.LockedTable, row_ids: RowIds, kept: Mask
) -> RowIds | None:
    """Locks the rows of one table; with SKIP takes out of `kept` those it did not get, and gives their ids."""
    wanted = sorted_distinct(row_ids[kept])
    granted = np.ones(len(wanted), np.bool_)
    for number, (table, _) in enumerate(_leaves(write, locked)):
        at = np.flatnonzero(wanted >> PARTITION_SHIFT == number) if locked.table.partitions else slice(None)
        here = wanted[at] & _ROW_BITS
        if len(here) == 0:
            continue
        mask = _lock_here(connection, write, locked, table, here)
        if mask is not None:
            granted[at] = mask
    if granted.all():
        return None
    found = np.flatnonzero(kept)
    kept[found] = granted[np.searchsorted(wanted, row_ids[found])]
    return wanted[~granted]


def _lock_here(
    connection: Connection, write: WriteTransaction, locked: st.LockedTable, table: str, row_ids: RowIds
) -> Mask | None:
    nowait, skip = locked.wait is st.LockWait.ERROR, locked.wait is st.LockWait.SKIP
    mode = RowMode(locked.strength)
    storage = connection._database.storage
    keyed = bool(unique_keys(write.table(table)))
    if mode is RowMode.KEY_SHARE and not skip:
        write.share_rows(table, row_ids, nowait=nowait)
        return None
    if mode is RowMode.UPDATE and not nowait and not skip and (not keyed or _keys_matter(storage, write, table)):
        write.lock_rows_with_keys(table, row_ids)
        return None
    mask = write.lock_rows(table, row_ids, mode, nowait=nowait, skip_locked=skip)
    if mode is RowMode.UPDATE and not keyed and nowait:
        wait_for_sharers(storage, write, table, nowait=True)
    if mode is RowMode.KEY_SHARE or (mode is RowMode.UPDATE and _keys_matter(storage, write, table)):
        got = row_ids if mask is None else row_ids[mask]
        shared = mode is RowMode.KEY_SHARE
        keys = lock_row_keys(storage, write, table, got, shared=shared, nowait=nowait, skip_locked=skip)
        if mask is not None and keys is not None:
            mask[mask] = keys
    return mask


def _keys_matter(storage: Storage, write: WriteTransaction, table: str) -> bool:
    """Whether others may rely on the keys of rows that are locked FOR UPDATE: foreign keys, or whoever has shared a row
    that has been given new values since. (Who shares the row as it is has a lock of that row.)"""
    version = write.table(table)
    return bool(referrers(write, version)) or storage.locks.may_share_keys(version.id)


def _leaves(write: WriteTransaction, locked: st.LockedTable) -> Iterator[tuple[str, str]]:
    """The tables that hold the rows: the key of each, and the key that the query reads it by."""
    if not locked.table.partitions:
        yield locked.table.key, locked.scanned.key
        return
    scanned = _scanned_leaves(locked.scanned)
    for version in leaves(write, locked.table.id):
        yield version.key, scanned[version.id]


def _scanned_leaves(table: TableInfo) -> dict[int, str]:
    found: dict[int, str] = {}
    for part in table.partitions:
        found.update(_scanned_leaves(part) if part.partitions else {part.id: part.key})
    return found


def _with_scanned(
    connection: Connection, write: WriteTransaction, view: View, locked: st.LockedTable, limited: bool
) -> View:
    """The view with the table under the key that the query reads it by; without the rows that others hold if there is
    a limit."""
    for table, key in _leaves(write, locked):
        version = with_hidden_rows(write.table(table))
        if limited:
            held = held_by_others(connection._database.storage, write, table, RowMode(locked.strength))
            version = version.with_deleted(held)[0]
        view = view.having(key, version)
    return view


def _without(write: WriteTransaction, view: View, locked: st.LockedTable, row_ids: RowIds) -> View:
    for number, (_, key) in enumerate(_leaves(write, locked)):
        here = row_ids[row_ids >> PARTITION_SHIFT == number] if locked.table.partitions else row_ids
        if len(here):
            view = view.having(key, view.tables[key].with_deleted(here & _ROW_BITS)[0])
    return view
