"""Foreign keys: checks and actions over whole columns.

    rows that come    their keys must be among the referenced table's: one lookup of all of them
    rows that go      their keys that are nobody's any more -> the rows that refer to them -> the key's action, which is
                      a change of that table like any other, and may go on to further tables

Of a statement of several changes (MERGE, WITH) all this comes at its end, for the rows that are there then. Lookups are
storage's (by digest, chunk by chunk). A key that is deferred is only noted, and looked at before the
transaction commits (deferral.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb_compiler.constraints import ForeignKey
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import Outdated, RowMode, TableMode, TableVersion, WriteTransaction, deferred_keys, lookup
from zerodb_storage import arrow as storage_arrow
from zerodb_storage.values import Values

if TYPE_CHECKING:
    from zerodb.connection import Connection

RowIds = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Referrer:
    """A foreign key and the table it is of."""

    table: TableVersion
    key: ForeignKey


def referrers(write: WriteTransaction, table: TableVersion) -> list[Referrer]:
    """The foreign keys that refer to the table."""
    found: list[Referrer] = []
    for version in write.tables.values():
        for key in version.constraints.foreign_keys:
            if key.table == table.id or (key.table == 0 and version.id == table.id):
                found.append(Referrer(version, key))
    return found


def referenced_table(write: WriteTransaction, table: TableVersion, key: ForeignKey) -> TableVersion:
    if key.table == 0:
        return write.table(table.key)
    found = next((version for version in write.tables.values() if version.id == key.table), None)
    assert found is not None, "a foreign key's table was dropped without it"
    return found


def referenced_columns(parent: TableVersion, key: ForeignKey) -> tuple[int, ...]:
    slots = parent.schema.slots
    return tuple(slots.index(slot) for slot in key.referenced)


@contextlib.contextmanager
def statement_of_several(connection: Connection) -> Iterator[None]:
    """Around a statement that makes several changes, which may be in each other's way until all are made."""
    session = connection._session
    outer, session.statement.late_keys = session.statement.late_keys, []
    try:
        yield
        late, session.statement.late_keys = session.statement.late_keys, None
        for look in late:
            look()
    finally:
        session.statement.late_keys = outer


# --- rows that come ---------------------------------------------------------------------------------------------------


def check_new(
    connection: Connection,
    write: WriteTransaction,
    table: TableVersion,
    rows: Sequence[Values],
    assigned: set[int] | None = None,
) -> None:
    """23503 if a new row's key is not there. `assigned`: of an UPDATE, the columns that may differ."""
    keys = [key for key in table.constraints.foreign_keys if assigned is None or assigned & set(key.columns)]
    late = connection._session.statement.late_keys
    if keys and late is not None:
        late.append(lambda: _check_left(write, table.key, keys, rows))
    elif keys:
        _check_new(write, table, keys, rows)


def _check_left(write: WriteTransaction, table: str, keys: Sequence[ForeignKey], rows: Sequence[Values]) -> None:
    """Of the new rows, those whose keys the table still has."""
    version = write.table(table)
    for key in keys:
        columns = [rows[column] for column in key.columns]
        left = np.flatnonzero(lookup.present(version, key.columns, columns))
        if len(left):
            _check_new(write, version, [key], [values.take(left) for values in rows])


def _check_new(
    write: WriteTransaction, table: TableVersion, keys: Sequence[ForeignKey], rows: Sequence[Values]
) -> None:
    for key in keys:
        if write.deferral.is_deferred(table.id, key):
            write.pending.add((table.id, key.name))
            continue
        _check_keys(write, table, key, [rows[column] for column in key.columns])


def _check_keys(write: WriteTransaction, table: TableVersion, key: ForeignKey, columns: list[Values]) -> None:
    columns = _complete(table, key, columns)
    if len(columns[0]) == 0:
        return
    parent = referenced_table(write, table, key)
    found = write.share_keys(parent, referenced_columns(parent, key), columns)
    missing = np.flatnonzero(~found)
    if len(missing):
        shown = _shown(table, key.columns, columns, int(missing[0]))
        raise error_for(
            "23503",
            f'insert or update on table "{table.name}" violates foreign key constraint "{key.name}"',
            hint=f'Key {shown} is not present in table "{parent.name}".',
        )


def _complete(table: TableVersion, key: ForeignKey, columns: list[Values]) -> list[Values]:
    """The keys that must be there: those without a NULL. MATCH FULL allows no mixture."""
    validity = [values.validity for values in columns if values.validity is not None]
    if not validity:
        return columns
    present = np.logical_and.reduce(validity) != 0
    if key.match_full and len(columns) > 1:
        ones = np.ones(len(columns[0]), np.bool_)
        some = np.logical_or.reduce([ones if v.validity is None else v.validity != 0 for v in columns])
        if bool((some & ~present).any()):
            raise error_for(
                "23503",
                f'insert or update on table "{table.name}" violates foreign key constraint "{key.name}"',
                hint="MATCH FULL does not allow mixing of null and nonnull key values.",
            )
    rows = np.flatnonzero(present)
    return [values.take(rows) for values in columns]


def check_table(write: WriteTransaction, table: TableVersion, key: ForeignKey) -> None:
    """The key for all rows: when it is added, or at the end of a transaction."""
    _check_keys(write, table, key, [lookup.all_values(table, column) for column in key.columns])


def check_deferred(write: WriteTransaction, table: TableVersion, key: ForeignKey) -> None:
    """The key for the rows that the transaction has inserted, and for those that refer to rows it has deleted."""
    parent = referenced_table(write, table, key)
    columns = referenced_columns(parent, key)
    old = deferred_keys.old_values(write, parent, columns)
    if old is None:
        check_table(write, table, key)
        return
    _check_keys(write, table, key, deferred_keys.new_values(write, table, key.columns))
    vanished = np.flatnonzero(~lookup.present(parent, columns, old))
    keys = [values.take(vanished) for values in old]
    if len(lookup.matches(write.on_newest(table.id), key.columns, keys, nulls_equal=False)[0]) == 0:
        return
    row_ids, numbers = lookup.matches(table, key.columns, keys, nulls_equal=False)
    if len(row_ids) == 0:
        raise Outdated  # rows that the transaction does not see
    write.lock_rows(table.key, row_ids, RowMode.KEY_SHARE)
    raise _still_referred(parent, table, key, keys, int(numbers[0]))


# --- rows that go -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gone:
    """The referenced values of rows that are deleted, or replaced by `new` ones, for one foreign key."""

    referrer: Referrer
    old: list[Values]


def before_deletion(
    write: WriteTransaction, table: TableVersion, row_ids: RowIds, assigned: set[int] | None = None
) -> list[Gone]:
    """What must be known of rows before they go."""
    found: list[Gone] = []
    for referrer in referrers(write, table):
        columns = referenced_columns(table, referrer.key)
        if assigned is None or assigned & set(columns):
            found.append(Gone(referrer, [lookup.values_at(table, column, row_ids) for column in columns]))
    return found


def after_change(
    connection: Connection,
    write: WriteTransaction,
    table_id: int,
    gone: list[Gone],
    new: Sequence[Values] | None = None,
) -> None:
    """The actions of foreign keys that referred to rows that are no more; `new` are the rows that replaced them."""
    if connection._session.statement.late_keys is not None:
        connection._session.statement.late_keys.append(lambda: _act_on(connection, write, table_id, gone, new))
    else:
        _act_on(connection, write, table_id, gone, new)


def _act_on(
    connection: Connection, write: WriteTransaction, table_id: int, gone: list[Gone], new: Sequence[Values] | None
) -> None:
    for item in gone:
        key = item.referrer.key
        parent = next(version for version in write.tables.values() if version.id == table_id)
        columns = referenced_columns(parent, key)
        vanished = np.flatnonzero(~lookup.present(parent, columns, item.old))
        if len(vanished) == 0:
            continue
        action = key.on_delete if new is None else key.on_update
        acts = action not in ("no action", "restrict")
        write.lock_table(item.referrer.table.key, TableMode.ROW_EXCLUSIVE if acts else TableMode.ROW_SHARE)
        child = write.table(item.referrer.table.key)
        keys = [values.take(vanished) for values in item.old]
        _check_unseen(write, child, key, keys)
        row_ids, numbers = lookup.matches(child, key.columns, keys, nulls_equal=False)
        if len(row_ids) == 0:
            continue
        if not acts:
            if action == "no action" and write.deferral.is_deferred(child.id, key):
                write.pending.add((child.id, key.name))
                continue
            write.lock_rows(child.key, row_ids, RowMode.KEY_SHARE)  # others may be about to delete them
            raise _still_referred(parent, child, key, keys, int(numbers[0]))
        replacing = None if new is None else [new[column].take(vanished) for column in columns]
        _act(connection, write, child, key, action, (row_ids, numbers), replacing)


def _check_unseen(write: WriteTransaction, child: TableVersion, key: ForeignKey, keys: list[Values]) -> None:
    """The keys are locked, so no more rows come that refer to them; but some may have since the snapshot."""
    now = write.on_newest(child.id)
    if now is not child:
        there = lookup.matches(now, key.columns, keys, nulls_equal=False)[0]
        seen = lookup.matches(child, key.columns, keys, nulls_equal=False)[0]
        if len(there) != len(seen):
            raise Outdated


def _still_referred(
    parent: TableVersion, child: TableVersion, key: ForeignKey, keys: list[Values], row: int
) -> DatabaseError:
    shown = _shown(parent, referenced_columns(parent, key), keys, row)
    return error_for(
        "23503",
        f'update or delete on table "{parent.name}" violates foreign key constraint "{key.name}" '
        f'on table "{child.name}"',
        hint=f'Key {shown} is still referenced from table "{child.name}".',
    )


def _act(
    connection: Connection,
    write: WriteTransaction,
    child: TableVersion,
    key: ForeignKey,
    action: str,
    matches: tuple[RowIds, RowIds],
    replacing: list[Values] | None,
) -> None:
    """CASCADE, SET NULL, SET DEFAULT on the rows of `matches`: (row id, number of the referenced key)."""
    from zerodb.changes.applying import RowChange, apply
    from zerodb.view import table_info

    row_ids, numbers = matches
    info = table_info(child)
    if action == "cascade" and replacing is None:
        _check_all(child, key, apply(connection, write, RowChange(info, deleted=row_ids)), len(row_ids))
        return
    arrays = [
        storage_arrow.to_arrow(lookup.values_at(child, column, row_ids), child.columns[column].type)
        for column in range(len(child.columns))
    ]
    columns = key.columns
    if action == "cascade":
        assert replacing is not None
        for column, values in zip(columns, replacing, strict=True):
            arrays[column] = storage_arrow.to_arrow(values.take(numbers), child.columns[column].type)
    else:
        columns = key.set_columns if replacing is None and key.set_columns else columns
        for column in columns:
            arrays[column] = _set_value(connection, child, column, action, len(row_ids))
    rows = pa.Table.from_arrays(arrays, names=[column.name for column in child.columns])
    _check_all(child, key, apply(connection, write, RowChange(info, row_ids, rows, tuple(columns))), len(row_ids))


def _check_all(child: TableVersion, key: ForeignKey, count: int, expected: int) -> None:
    """27000 where a trigger left rows alone that a foreign key's action has to change."""
    if count < expected:
        message = f'a trigger on table "{child.name}" left out rows that the action of foreign key "{key.name}" changes'
        raise error_for("27000", message)


def _set_value(connection: Connection, child: TableVersion, column: int, action: str, count: int) -> pa.Array:
    declared = child.columns[column]
    type_ = storage_arrow.arrow_type(declared.type)
    if action == "set null" or declared.default is None:
        return pa.nulls(count, type_)
    # The default's query reads no table.
    text = f"select cast(({declared.default}) as {declared.type})"
    value = connection._run(text, None).table().column(0)
    return pa.repeat(value.cast(type_)[0], count)


def _shown(table: TableVersion, columns: Sequence[int], values: Sequence[Values], row: int) -> str:
    names = ", ".join(table.columns[column].name for column in columns)
    shown = []
    for column, found in zip(columns, values, strict=True):
        value = storage_arrow.to_arrow(found.slice(row, row + 1), table.columns[column].type)[0].as_py()
        shown.append("null" if value is None else str(value))
    return f"({names})=({', '.join(shown)})"
