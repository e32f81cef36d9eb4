"""What a transaction locks, and what it must find unchanged when it has the lock.

A statement looks at the snapshot of its transaction, then locks what it wants to change, and may have to wait for that.
Meanwhile others commit; so once the lock is there, the newest version is looked at: if it is not what the statement
saw, the statement is `Outdated`, and the session runs it again on the newest snapshot or gives up (40001).

Row locks are under row ids of the newest numbering. Keys of unique constraints are locked by their digests: whoever
makes a key appear or disappear holds it exclusively until the end, and who relies on one being there (a foreign key)
shares it. So two transactions never both find a key free, or a referenced one there, that the other is about to change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import catching_up, lookup, unique
from zerodb_storage.changed_rows import changed_rows
from zerodb_storage.locks import Outdated, RowMode, RowOutdated, TableMode
from zerodb_storage.renumbering import follow
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array, Values

if TYPE_CHECKING:
    from zerodb_storage.database import Database
    from zerodb_storage.transaction import WriteTransaction


def lock_table(
    database: Database,
    transaction: WriteTransaction,
    table: str,
    mode: TableMode,
    *,
    nowait: bool = False,
    timeout_s: float | None = None,
    seen: bool = True,
) -> None:
    version = transaction.table(table)
    base = transaction.base.table_with_id(version.id)
    if base is None:  # its own new table
        return
    waited = database.locks.lock_table(
        transaction.owner, version.id, mode, nowait=nowait, timeout_s=timeout_s, name=version.name
    )
    latest = database.snapshot()
    if waited and seen and transaction.may_move_on and latest is not transaction.base:
        raise Outdated  # who held it has changed what the statement was to see: perhaps other tables, or made new rows
    newest = latest.table_with_id(version.id)
    if newest is base:
        return
    if newest is None or newest.schema_version != base.schema_version:
        raise Outdated
    if mode >= TableMode.SHARE and version.id not in transaction.altered:
        if newest.changed == base.changed:
            catching_up.adopt(transaction, base, newest)  # it was only merged
        elif seen and not transaction.has_changed(version.id):
            raise Outdated


def lock_rows(
    database: Database,
    transaction: WriteTransaction,
    table: str,
    row_ids: Array,
    mode: RowMode,
    *,
    nowait: bool = False,
    skip_locked: bool = False,
    timeout_s: float | None = None,
) -> Array | None:
    """See `WriteTransaction.lock_rows`."""
    version = transaction.table(table)
    base = transaction.base.table_with_id(version.id)
    granted = np.ones(len(row_ids), np.bool_) if skip_locked else None
    if base is None or (version.id in transaction.changes and transaction.changes[version.id].reshaped):
        return granted  # nobody else sees the table
    shared = row_ids < base.chunk_count * CHUNK_ROWS
    ids = row_ids if shared.all() else row_ids[shared]
    if len(ids) == 0:
        return granted
    name, locks = version.name, database.locks
    while True:
        turn, numbering = database.renumberings, database.newest(version.id).numbering
        mark = locks.mark(transaction.owner)
        current = ids if numbering is base.numbering else follow(base.numbering, numbering, ids)
        if int(current.min()) < 0:
            raise RowOutdated
        _, mask = locks.lock_rows(
            transaction.owner,
            version.id,
            current,
            mode,
            nowait=nowait,
            skip_locked=skip_locked,
            timeout_s=timeout_s,
            name=name,
        )
        if turn % 2 == 0 and turn == database.renumberings:
            break
        locks.release_to(transaction.owner, mark)  # rows were renumbered meanwhile: those were others
        time.sleep(0)
    _check_unchanged(base, database.newest(version.id), ids if mask is None else ids[mask])
    if granted is not None and mask is not None:
        granted[shared] = mask
    return granted


def held_by_others(database: Database, transaction: WriteTransaction, table: str, mode: RowMode) -> Array:
    """Rows of the transaction's version of a table that others have locked just now; perhaps not all."""
    version = transaction.table(table)
    base = transaction.base.table_with_id(version.id)
    if base is None or database.newest(version.id).numbering is not base.numbering:
        return np.empty(0, np.int64)
    found = database.locks.taken(transaction.owner, version.id, mode)
    found = found[found < base.chunk_count * CHUNK_ROWS]
    seen: Array = found % CHUNK_ROWS < base.chunk_rows[found // CHUNK_ROWS]
    return np.asarray(found[seen])  # without others' new rows


def _check_unchanged(base: TableVersion, newest: TableVersion, row_ids: Array) -> None:
    """Outdated unless the rows of `base` are all there in the newest version."""
    if newest is base or len(row_ids) == 0:
        return
    if newest.schema_version != base.schema_version:
        raise Outdated
    if newest.numbering is not base.numbering:
        row_ids = follow(base.numbering, newest.numbering, row_ids)
        if int(row_ids.min()) < 0:
            raise RowOutdated
    if not newest.are_visible(row_ids).all():
        raise RowOutdated


# --- keys -------------------------------------------------------------------------------------------------------------


def check_unique(
    database: Database,
    transaction: WriteTransaction,
    table: str,
    values: Sequence[Values],
    later: frozenset[str] = frozenset(),
) -> None:
    """23505 if a key of new rows is in the table, as the transaction has it or as others have committed it, or twice
    among them. Waits for those who are about to make such a key, or to remove it. Keys named in `later` are left."""
    version = transaction.table(table)
    keys = unique_keys(version, later)
    if not keys:
        return
    for number, (columns, nulls_equal) in keys.items():
        wanted = [values[column] for column in columns]
        if not lock_wanted_keys(database, transaction, version, number, columns, wanted, nulls_equal, fails=True):
            break
    now = transaction.on_newest(version.id)
    try:
        if now.primary_key and unique.primary_key_name(now) not in later:
            unique.checked_order(now, [values[column] for column in now.primary_key])
        for key in now.constraints.uniques:
            if key.name not in later:
                unique.check_key(now, key, values)
    except DatabaseError:
        if transaction.member is not None:  # in a serial order the key might not have been there: then it is a 40001
            changes = changed_rows(transaction, proposed={version.id: values})
            database.serializable.check(transaction.member, lambda: changes)
        raise


def unique_keys(
    version: TableVersion, left_out: frozenset[str] = frozenset()
) -> dict[int, tuple[tuple[int, ...], bool]]:
    """The table's keys, primary and unique, by the number under which they are locked: their columns, and whether NULLs
    in them are equal. The number stays when other keys come and go."""
    found: dict[int, tuple[tuple[int, ...], bool]] = {}
    if version.primary_key and unique.primary_key_name(version) not in left_out:
        found[key_number(version, version.primary_key)] = version.primary_key, True
    for key in version.constraints.uniques:
        if key.name not in left_out:
            found[key_number(version, key.columns)] = key.columns, not key.nulls_distinct
    return found


def key_number(version: TableVersion, columns: Sequence[int]) -> int:
    """One for each set of columns, since a foreign key knows the columns it refers to."""
    slots = version.schema.slots
    number = 0
    for column in sorted(columns):
        number = number * 1601 + slots[column] + 1
    return number & ((1 << 62) - 1)


def lock_keys(
    database: Database,
    transaction: WriteTransaction,
    version: TableVersion,
    number: int,
    key_columns: Sequence[Values],
    nulls_equal: bool = False,
    *,
    shared: bool = False,
) -> None:
    """Locks keys, one `Values` per column with text as TEXT; those with a NULL in them only where NULLs are equal."""
    if transaction.base.table_with_id(version.id) is None:
        return
    key_columns = _complete(key_columns, nulls_equal)
    if len(key_columns[0]) == 0:
        return
    digests = lookup.digests_of(key_columns)
    database.locks.lock_keys(transaction.owner, version.id, number, digests, shared=shared)


def _complete(key_columns: Sequence[Values], nulls_equal: bool) -> Sequence[Values]:
    """The keys without a NULL in them, unless NULLs are equal."""
    validity = [values.validity for values in key_columns if values.validity is not None]
    if not validity or nulls_equal:
        return key_columns
    rows = np.flatnonzero(np.logical_and.reduce(validity))
    return [values.take(rows) for values in key_columns]


def lock_wanted_keys(
    database: Database,
    transaction: WriteTransaction,
    version: TableVersion,
    number: int,
    columns: Sequence[int],
    values: Sequence[Values],
    nulls_equal: bool,
    *,
    fails: bool = False,
) -> bool:
    """For who wants to make keys: exclusively, but those that are there already are shared only. So this waits for who
    may take them away, and not for those who rely on them. One that `fails` if a key is there does not wait for others
    when it has got such a one: False."""
    if transaction.base.table_with_id(version.id) is None:
        return True
    values = _complete(values, nulls_equal)
    if len(values[0]) == 0:
        return True
    owner, locks, digests = transaction.owner, database.locks, lookup.digests_of(values)
    mark = locks.mark(owner)
    while True:
        held = locks.lock_free_keys(owner, version.id, number, digests)
        if held.all():
            return True
        there = lookup.present(transaction.on_newest(version.id), columns, values)
        if fails and bool((held & there).any()):
            return False
        kept, free = np.flatnonzero(there & ~held), np.flatnonzero(~there & ~held)
        if len(free):
            locks.lock_keys(owner, version.id, number, digests[free])
        if len(kept) == 0:
            return True
        locks.lock_keys(owner, version.id, number, digests[kept], shared=True)
        if lookup.present(transaction.on_newest(version.id), columns, [found.take(kept) for found in values]).all():
            return True
        locks.release_to(owner, mark)  # one of them has gone: they are not shared while it is asked for


def lock_row_keys(
    database: Database,
    transaction: WriteTransaction,
    table: str,
    row_ids: Array,
    *,
    shared: bool,
    nowait: bool,
    skip_locked: bool,
) -> Array | None:
    """For FOR UPDATE, which nobody may pass who relies on a row's keys (a foreign key), and FOR KEY SHARE, which must
    hold when others give the row new values (then it is another row): all keys of rows that are locked already. With
    `skip_locked` gives for which rows that worked."""
    version = transaction.table(table)
    base = transaction.base.table_with_id(version.id)
    granted = np.ones(len(row_ids), np.bool_) if skip_locked else None
    if base is None or len(row_ids) == 0:
        return granted
    owner, locks = transaction.owner, database.locks
    for number, rows, digests in _row_keys(version, row_ids, None):
        if granted is None:
            locks.lock_keys(owner, version.id, number, digests, shared=shared, nowait=nowait, name=version.name)
        else:
            granted[rows] &= locks.lock_free_keys(owner, version.id, number, digests, shared=shared)
    got = row_ids if granted is None else row_ids[granted]
    if version.id not in transaction.changes or not transaction.changes[version.id].reshaped:
        _check_unchanged(base, database.newest(version.id), got[got < base.chunk_count * CHUNK_ROWS])
    return granted


def lock_rows_with_keys(
    database: Database, transaction: WriteTransaction, table: str, row_ids: Array, assigned: set[int] | None = None
) -> None:
    """Rows that are to go, or to be kept as if they were, and their keys (of an UPDATE those with an `assigned`
    column). It waits for keys without holding the rows: who shares a key may want to lock the row next."""
    version = transaction.table(table)
    owner, locks = transaction.owner, database.locks
    mark = locks.mark(owner)
    transaction.lock_rows(table, row_ids, RowMode.UPDATE)
    if transaction.base.table_with_id(version.id) is None or len(row_ids) == 0:
        return
    if not unique_keys(version):
        while wait_for_sharers(database, transaction, table):
            locks.release_to(owner, mark)
            transaction.lock_rows(table, row_ids, RowMode.UPDATE)
        return
    keys = _row_keys(version, row_ids, assigned)
    if all(locks.lock_free_keys(owner, version.id, number, digests).all() for number, _, digests in keys):
        return
    locks.release_to(owner, mark)
    for number, _, digests in keys:
        locks.lock_keys(owner, version.id, number, digests)
    transaction.lock_rows(table, row_ids, RowMode.UPDATE)


def share_rows(
    database: Database, transaction: WriteTransaction, table: str, row_ids: Array, *, nowait: bool = False
) -> None:
    """FOR KEY SHARE: rows whose keys stay until the transaction ends. Others may have given a row new values since the
    transaction's base, as they may from now on: that is another row with the same keys. Outdated if the keys went.

    Without any key there is nothing that outlives a new version but the lock of the old one, which `wait_for_sharers`
    looks at."""
    version = transaction.table(table)
    base = transaction.base.table_with_id(version.id)
    changes = transaction.changes.get(version.id)
    if base is None or len(row_ids) == 0 or (changes is not None and changes.reshaped):
        return
    keys = _row_keys(version, row_ids, None)
    for number, _, digests in keys:
        database.locks.lock_keys(
            transaction.owner, version.id, number, digests, shared=True, nowait=nowait, name=version.name
        )
    while True:
        kept = _kept_by_keys(base, transaction.on_newest(version.id), row_ids, keys)
        try:
            transaction.lock_rows(table, row_ids[~kept] if kept.any() else row_ids, RowMode.KEY_SHARE, nowait=nowait)
            return
        except RowOutdated:
            if np.array_equal(_kept_by_keys(base, transaction.on_newest(version.id), row_ids, keys), kept):
                raise


def _kept_by_keys(
    base: TableVersion, newest: TableVersion, row_ids: Array, keys: Sequence[tuple[int, Array, Array]]
) -> Array:
    """Rows of `base` that are no more in the newest version, but all of whose keys are."""
    kept = np.zeros(len(row_ids), np.bool_)
    if newest is base or newest.schema_version != base.schema_version or not keys:
        return kept
    shared = np.flatnonzero(row_ids < base.chunk_count * CHUNK_ROWS)
    current = row_ids[shared]
    if newest.numbering is not base.numbering:
        current = follow(base.numbering, newest.numbering, current)
    there = current >= 0
    there[there] = newest.are_visible(current[there])
    gone = shared[~there]
    if len(gone) == 0:
        return kept
    kept[gone] = True
    columns = {key_number(base, found): found for found, _ in unique_keys(base).values()}
    for number, rows, _ in keys:
        with_key = np.zeros(len(row_ids), np.bool_)
        with_key[rows] = True
        values = [lookup.values_at(base, column, row_ids[gone]) for column in columns[number]]
        kept[gone] &= with_key[gone] & lookup.present(newest, columns[number], values)
    return kept


def wait_for_sharers(database: Database, transaction: WriteTransaction, table: str, *, nowait: bool = False) -> bool:
    """For who is to have rows of a table without keys for itself: waits for those who share the keys (FOR KEY SHARE) of
    a row that was given new values since: their locks are still under the old row's id. Which row took its place is
    not known, so any may be it. False if there is nobody.

    Limit: a merge forgets locks of rows that are no more."""
    version = transaction.table(table)
    if not database.locks.may_share_rows(version.id):
        return False
    newest = transaction.on_newest(version.id)
    held = database.locks.taken(transaction.owner, version.id, RowMode.UPDATE)
    held = held[held < newest.chunk_count * CHUNK_ROWS]
    held = held[held % CHUNK_ROWS < newest.chunk_rows[held // CHUNK_ROWS]]
    for row_id in held[~newest.are_visible(held)] if len(held) else ():
        other = database.locks.holder_of(version.id, int(row_id), RowMode.UPDATE, transaction.owner)
        if other is not None:
            if nowait:
                raise error_for("55P03", f'could not obtain lock on row in relation "{version.name}"')
            database.locks.wait_for(transaction.owner, other)
            return True
    return False


def _row_keys(version: TableVersion, row_ids: Array, assigned: set[int] | None) -> list[tuple[int, Array, Array]]:
    """The keys of rows: number, which of the rows have such a key (NULLs may be none), and the keys' digests."""
    found: list[tuple[int, Array, Array]] = []
    for number, (columns, nulls_equal) in unique_keys(version).items():
        if assigned is not None and not assigned & set(columns):
            continue
        values = [lookup.values_at(version, column, row_ids) for column in columns]
        whole = [v.validity for v in values if v.validity is not None and not nulls_equal]
        rows = np.flatnonzero(np.logical_and.reduce(whole)) if whole else np.arange(len(row_ids))
        if len(rows):
            digests = lookup.digests_of([v.take(rows) for v in values] if whole else values)
            found.append((number, rows, digests))
    return found


def share_keys(
    database: Database,
    transaction: WriteTransaction,
    parent: TableVersion,
    columns: Sequence[int],
    values: Sequence[Values],
) -> Array:
    """Which keys are in a referenced table, as the transaction sees it and as it is now; they stay so until the
    transaction ends."""
    lock_table(database, transaction, parent.key, TableMode.ROW_SHARE)
    lock_keys(database, transaction, parent, key_number(parent, columns), values, shared=True)
    found = lookup.present(parent, columns, values)
    now = transaction.on_newest(parent.id)
    if now is parent:
        return found
    there = lookup.present(now, columns, values)
    if bool((found & ~there).any()):
        raise Outdated  # gone since
    return there


def lock_proposed(
    database: Database,
    transaction: WriteTransaction,
    table: str,
    columns: Sequence[int],
    values: Sequence[Values],
    nulls_equal: bool = False,
) -> None:
    """Before rows are proposed that may conflict (ON CONFLICT): locks those of their keys that are free, having waited
    for who is about to make or to remove one of them. Outdated if the newest version has other ones of them than the
    transaction's snapshot."""
    version = transaction.table(table)
    number = key_number(version, columns)
    mark = database.locks.mark(transaction.owner)
    lock_wanted_keys(database, transaction, version, number, columns, values, nulls_equal)
    seen = lookup.present(version, columns, values)
    _check_same(transaction, version, columns, values, seen)
    if not seen.any():
        return
    database.locks.release_to(transaction.owner, mark)  # a key that is there is its row's business
    if not seen.all():
        free = np.flatnonzero(~seen)
        values, seen = [found.take(free) for found in values], seen[free]
        lock_keys(database, transaction, version, number, values, nulls_equal)
        _check_same(transaction, version, columns, values, seen)


def _check_same(
    transaction: WriteTransaction,
    version: TableVersion,
    columns: Sequence[int],
    values: Sequence[Values],
    seen: np.ndarray[Any, np.dtype[np.bool_]],
) -> None:
    """Outdated unless just the keys that were `seen` in the transaction's version are in the newest one."""
    now = transaction.on_newest(version.id)
    if now is version:
        return
    there = lookup.present(now, columns, values)
    if bool((there & ~seen).any()):
        raise RowOutdated
    if bool((seen & ~there).any()):
        raise Outdated
