"""Triggers around a change of rows.

    BEFORE, statements' then rows', by name:  every function gets all rows at once, the next what the one before made
    the change                                constraints see what BEFORE triggers left
    AFTER, rows' then statements'             noted, and run at the end of the statement that made the change

An AFTER trigger of a change that a trigger's own statement makes runs at the end of that statement. How deep triggers
may lead to each other is limited (54001).

FOR EACH STATEMENT differs from FOR EACH ROW in that it runs where no row changes, too, and may not choose or replace
rows. Limits: a MERGE runs statements' triggers only for the actions that changed rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from zerodb.functions.body import FunctionError, called_by
from zerodb.functions.calling import stopping
from zerodb.functions.trigger_events import ChangedRows, Rows, chosen, event_of, holds_at_all, rows_at, rows_of
from zerodb.functions.trigger_functions import Chosen, Decision, Event, Mask, TriggerFunction, failure, function_of
from zerodb.values import python_array
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.triggers import Trigger
from zerodb_compiler.types import TypeId
from zerodb_storage.arrow import arrow_type, from_arrow, to_arrow

if TYPE_CHECKING:
    from zerodb.changes.applying import RowChange
    from zerodb.connection import Connection
    from zerodb_compiler.catalog import ColumnInfo, TableInfo
    from zerodb_storage import TableVersion, WriteTransaction

MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Proposed:
    """A change as BEFORE triggers left it: `kept` are the numbers of its rows that are left (None: all)."""

    change: RowChange
    kept: Rows | None = None
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class AfterEvent:
    """What AFTER triggers are to be told of."""

    table: TableInfo
    operation: str
    triggers: tuple[Trigger, ...]
    rows: ChangedRows


def operation_of(change: RowChange) -> str:
    return "update" if change.is_update else "insert" if change.deleted is None else "delete"


def _fired(change: RowChange, timing: str) -> list[Trigger]:
    operation = operation_of(change)
    found = [trigger for trigger in change.table.triggers if trigger.fires(timing, operation)]
    if operation != "update":
        return found
    changed = {change.table.columns[ordinal].slot for ordinal in change.assigned}
    return [trigger for trigger in found if not trigger.columns or changed & set(trigger.columns)]


# --- before -----------------------------------------------------------------------------------------------------------


def before(connection: Connection, write: WriteTransaction, change: RowChange) -> Proposed:
    """Runs the BEFORE triggers."""
    triggers = _fired(change, "before")
    if not triggers:
        return Proposed(change)
    table, operation = change.table, operation_of(change)
    version = write.table(table.key)
    if change.deleted is not None and any(trigger.for_rows for trigger in triggers):
        from zerodb.changes.applying import lock_changed

        lock_changed(write, version, change)  # so that they are called for rows that stay as they are
    rows = _rows(write, change)
    kept: Rows | None = None
    replaced = False
    for trigger in sorted(triggers, key=lambda found: found.for_rows):
        if not trigger.for_rows:
            if not holds_at_all(connection, table, trigger):
                continue
            if _called(connection, table, trigger, operation, rows)[1] is not None:
                raise _no_decision(trigger, "FOR EACH STATEMENT")
            continue
        numbers = chosen(connection, table, trigger, rows) if rows.count else None
        fired = rows if numbers is None else rows.taken(numbers)
        if not fired.count:
            continue
        event, decision = _called(connection, table, trigger, operation, fired)
        made = decision.rows if isinstance(decision, Chosen) else decision
        mask = decision.mask if isinstance(decision, Chosen) else decision
        if isinstance(made, pa.Table):
            rows = _replaced(table, trigger, rows, numbers, event.new, made)
            replaced = True
        if isinstance(mask, np.ndarray):
            left = _left(trigger, rows.count, numbers, mask)
            if left is not None:
                rows = rows.taken(left)
                kept = left if kept is None else kept[left]
    _check_untouched(write, version, change)
    if kept is None and not replaced:
        return Proposed(change)
    deleted = change.deleted if change.deleted is None or kept is None else change.deleted[kept]
    assigned = tuple(range(len(table.columns))) if replaced and change.is_update else change.assigned
    return Proposed(replace(change, deleted=deleted, inserted=rows.new, assigned=assigned), kept, replaced)


def _rows(write: WriteTransaction, change: RowChange) -> ChangedRows:
    old = None
    if change.deleted is not None:
        from zerodb.changes.partitioning import rows_in_partitions

        version = write.table(change.table.key)
        partitioned = version.constraints.partitioning is not None
        old = rows_in_partitions(write, version, change.deleted) if partitioned else rows_at(version, change.deleted)
    new = change.inserted
    if change.stored is not None:
        new = rows_of(write.table(change.table.key), change.stored)
    return ChangedRows(old, new)


def _called(
    connection: Connection, table: TableInfo, trigger: Trigger, operation: str, rows: ChangedRows
) -> tuple[Event, Decision]:
    session = connection._session
    if session.statement.trigger_depth >= MAX_DEPTH:
        message = "stack depth limit exceeded"
        hint = f"triggers lead to each other more than {MAX_DEPTH} deep, last {trigger.name} on {table.name}"
        raise error_for("54001", message, hint=hint)
    view = connection._view()
    function = function_of(view, trigger)
    event = event_of(connection, table, trigger, operation, rows)
    session.statement.trigger_depth += 1
    connection._options.changes += 1  # statements by key look again at what they are bound to
    try:
        with called_by(None, stopping(view)):
            return event, _fire(connection, function, trigger, table, event)
    finally:
        session.statement.trigger_depth -= 1


def _fire(
    connection: Connection, function: TriggerFunction, trigger: Trigger, table: TableInfo, event: Event
) -> Decision:
    try:
        decision = function.fire(event)
    except FunctionError as error:
        connection._session.statement.check_outdated()
        raise failure(error, trigger, table.name) from error
    except Error as error:
        connection._session.statement.check_outdated()
        if error.context is None:
            error.hint = error.hint or f'in trigger {trigger.name} on table "{table.name}"'
        error.position = None
        raise
    connection._session.statement.check_outdated()
    return decision


def _no_decision(trigger: Trigger, what: str) -> Error:
    return error_for("39P01", f"a {what} trigger cannot replace or leave out rows: {trigger.name}")


def _replaced(
    table: TableInfo, trigger: Trigger, rows: ChangedRows, numbers: Rows | None, given: pa.Table | None, made: pa.Table
) -> ChangedRows:
    """The rows with the new ones in the place of those (`given`) that the trigger was called for."""
    if rows.new is None or given is None:
        raise error_for("39P01", f"trigger {trigger.name} cannot replace rows that are deleted")
    names = [column.name for column in table.columns]
    if made.num_rows != given.num_rows:
        message = f"trigger {trigger.name} returned {made.num_rows} rows in place of {given.num_rows}"
        raise error_for("39P01", message)
    if sorted(made.column_names) != sorted(names):
        message = f"trigger {trigger.name} returned columns ({', '.join(made.column_names)}), not ({', '.join(names)})"
        raise error_for("39P01", message)
    before = rows.new.rename_columns(names)
    order = None
    if numbers is not None:
        order = np.arange(rows.count)
        order[numbers] = rows.count + np.arange(len(numbers))
    columns = []
    for column in table.columns:
        old, new = before[column.name], made[column.name]
        if new is given[column.name] or new.equals(given[column.name]):  # needs no way back
            columns.append(old)
            continue
        new = _stored(column, new)
        if order is not None:
            new = pa.chunked_array([*_stored(column, old).chunks, *new.chunks]).take(pa.array(order))
        columns.append(new)
    return ChangedRows(rows.old, pa.Table.from_arrays(columns, names=names))


def _stored(column: ColumnInfo, given: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values in storage's Arrow type. 22P02, 22003 and their like for those that do not fit."""
    wanted = arrow_type(column.type)
    if given.type == wanted:
        return given
    chunks = []
    for chunk in given.chunks:
        if column.type.is_blob and column.type.id is not TypeId.BYTEA:  # Arrow has another form for the structure
            chunks.append(python_array(column.type, chunk.to_pylist()))
        else:
            chunks.append(to_arrow(from_arrow(chunk, column.type, column.name), column.type))
    return pa.chunked_array(chunks, wanted)


def _left(trigger: Trigger, count: int, numbers: Rows | None, mask: Mask) -> Rows | None:
    """The numbers of the rows that are left; None: all."""
    asked = count if numbers is None else len(numbers)
    if len(mask) != asked:
        raise error_for("39P01", f"trigger {trigger.name} returned {len(mask)} booleans for {asked} rows")
    if mask.all():
        return None
    stays = np.ones(count, np.bool_)
    stays[slice(None) if numbers is None else numbers] = mask
    return np.flatnonzero(stays)


def _check_untouched(write: WriteTransaction, before: TableVersion, change: RowChange) -> None:
    """27000 if a trigger's own statement has changed rows that this one is to change."""
    version = write.table(change.table.key)
    if change.deleted is None or version is before or version.constraints.partitioning is not None:
        return
    if not version.are_visible(change.deleted).all():
        what = "updated" if change.is_update else "deleted"
        raise error_for(
            "27000",
            f"tuple to be {what} was already modified by an operation triggered by the current command",
            hint="consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows",
        )


# --- after ------------------------------------------------------------------------------------------------------------


def after_triggers(change: RowChange) -> tuple[Trigger, ...]:
    return tuple(_fired(change, "after"))


def old_rows(write: WriteTransaction, change: RowChange) -> pa.Table | None:
    """What AFTER triggers see of rows that go."""
    return _rows(write, replace(change, inserted=None, stored=None)).old if change.deleted is not None else None


def note(
    connection: Connection,
    change: RowChange,
    triggers: tuple[Trigger, ...],
    old: pa.Table | None,
    new: pa.Table | None,
) -> None:
    """The change was made."""
    queue = connection._session.statement.after_events
    assert queue is not None
    queue.append(AfterEvent(change.table, operation_of(change), triggers, ChangedRows(old, new)))


@contextlib.contextmanager
def statement(connection: Connection) -> Iterator[None]:
    """Around a statement that changes rows: its AFTER triggers run at its end."""
    session = connection._session
    outer, session.statement.after_events = session.statement.after_events, []
    try:
        yield
        while session.statement.after_events:
            events, session.statement.after_events = session.statement.after_events, []
            for for_rows in (True, False):
                for event in events:
                    _run_after(connection, event, for_rows=for_rows)
    finally:
        session.statement.after_events = outer


def _run_after(connection: Connection, event: AfterEvent, *, for_rows: bool) -> None:
    table = event.table
    for trigger in event.triggers:
        if trigger.for_rows is not for_rows:
            continue
        rows = event.rows
        if for_rows:
            numbers = chosen(connection, table, trigger, rows) if rows.count else None
            rows = rows if numbers is None else rows.taken(numbers)
            if not rows.count:
                continue
        elif not holds_at_all(connection, table, trigger):
            continue
        if _called(connection, table, trigger, event.operation, rows)[1] is not None:
            raise _no_decision(trigger, "AFTER")
