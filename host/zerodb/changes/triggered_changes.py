"""Changes of tables that have triggers: BEFORE triggers, the change, what AFTER triggers are told (functions/firing).

    rows of the statement --BEFORE--> rows left, perhaps others --> changes.apply_rows --> noted for AFTER

RETURNING was computed beside the rows, before the triggers. Rows that were left out are taken out of it; where rows
were replaced, columns of the table are read from what was written. Limit: an expression cannot be computed again then
(0A000).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb.changes import checks
from zerodb.compilation import returned
from zerodb.functions import firing
from zerodb.functions.trigger_events import Rows, rows_of
from zerodb.outcome import Outcome
from zerodb.row_expressions import quoted, select
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql import statements as st
from zerodb_compiler.triggers import EVENTS

if TYPE_CHECKING:
    from zerodb.changes.applying import Result, RowChange
    from zerodb.connection import Connection
    from zerodb.view import View
    from zerodb_compiler.catalog import TableInfo
    from zerodb_storage import WriteTransaction

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Applied:
    """`kept` are the numbers of the rows that BEFORE triggers left (None: all); `rows` what was written, if they have
    replaced some."""

    count: int
    kept: Rows | None = None
    rows: pa.Table | None = None


def apply_fired(
    connection: Connection, write: WriteTransaction, change: RowChange, proposed: firing.Proposed | None = None
) -> Applied:
    """Makes a change with its triggers; `proposed` if the BEFORE triggers have run."""
    if connection._session.statement.after_events is None:
        with firing.statement(connection):
            return apply_fired(connection, write, change, proposed)
    from zerodb.changes.applying import apply_rows

    if proposed is None:
        proposed = firing.before(connection, write, change)
    after = firing.after_triggers(change)
    made = proposed.change
    old = firing.old_rows(write, made) if after else None
    count, written = apply_rows(connection, write, made)
    rows: pa.Table | None = made.inserted
    if written is not None:
        rows = rows_of(write.table(made.table.key), written)
    elif rows is not None and rows.num_rows:
        rows = checks.generated(connection, made.table, rows)
    if after:
        firing.note(connection, made, after, old, rows)
    return Applied(count, proposed.kept, rows if proposed.replaced else None)


# --- statements -------------------------------------------------------------------------------------------------------


def insert(connection: Connection, write: WriteTransaction, statement: st.Insert, rows: pa.Table) -> Outcome:
    """An INSERT whose rows are known, without RETURNING."""
    return Outcome("INSERT", _inserted(connection, write, statement, rows).count)


def _inserted(connection: Connection, write: WriteTransaction, statement: st.Insert, rows: pa.Table) -> Applied:
    from zerodb.changes.applying import RowChange, check_proposed
    from zerodb.changes.conflicts import new_rows

    change = RowChange(statement.table, inserted=rows)
    if statement.conflict is None:
        return apply_fired(connection, write, change)
    # The triggers come before the search for conflicts, also for rows that turn out to be in one.
    proposed = firing.before(connection, write, change)
    left = proposed.change.inserted
    assert left is not None
    check_proposed(connection, statement.table, left)
    keep = new_rows(connection, write, statement.table, left, statement.conflict.keys)
    if keep is not None:
        kept = keep if proposed.kept is None else proposed.kept[keep]
        made = replace(proposed.change, inserted=left.take(pa.array(keep)))
        proposed = replace(proposed, change=made, kept=kept)
    return apply_fired(connection, write, change, proposed)


def change(
    connection: Connection,
    write: WriteTransaction,
    statement: st.Insert | st.Update | st.Delete,
    result: Result,
    view: View,
) -> Outcome:
    """What changes.change does, for a table with triggers."""
    from zerodb.changes.applying import RowChange

    table = statement.table
    width = len(table.columns)
    if statement.returning is not None:
        check_returning(statement, table)
    match statement:
        case st.Insert():
            applied = _inserted(connection, write, statement, result.table(range(width)))
            tag, first = "INSERT", 0
        case st.Update(assigned=assigned):
            result = result.still_there(write, view, table)
            new = result.table(range(1, width + 1))
            applied = apply_fired(connection, write, RowChange(table, result.integers(0), new, assigned))
            tag, first = "UPDATE", 1
        case st.Delete():
            result = result.still_there(write, view, table)
            applied = apply_fired(connection, write, RowChange(table, deleted=result.integers(0)))
            tag, first = "DELETE", 1
    if applied.kept is not None:
        result = result.taken(applied.kept)
    if applied.rows is None or statement.returning is None:
        return result.outcome(tag, applied.count, statement.source, statement.returning)
    return _returned(connection, statement, result, applied, tag, first)


def _returned(
    connection: Connection, statement: st.Insert | st.Update | st.Delete, result: Result, applied: Applied, tag: str,
    first: int,
) -> Outcome:  # fmt: skip
    """RETURNING, of columns of the rows that were written."""
    table, returning = statement.table, statement.returning
    assert returning is not None
    assert applied.rows is not None
    places, shown = returned(statement.source, result.output, returning)
    if any(not first <= place < first + len(table.columns) for place in places):
        raise NotSupportedError(
            f'RETURNING of anything but columns of "{table.name}" is not supported where a trigger replaced rows'
        )
    items = [quoted(table.columns[place - first].name) for place in places]
    parts = [select(connection, table, applied.rows.slice(at, _CHUNK), items) for at in _starts(applied.rows)]
    return replace(_joined(parts), tag=tag, row_count=applied.count, columns=shown)


def _starts(rows: pa.Table) -> range:
    return range(0, max(rows.num_rows, 1), _CHUNK)


def _joined(parts: list[Outcome]) -> Outcome:
    return parts[0] if len(parts) == 1 else replace(parts[0], batches=_Parts(parts))


class _Parts:
    """The batches of several results, one after the other."""

    __slots__ = ("_places",)

    def __init__(self, parts: list[Outcome]) -> None:
        self._places: list[tuple[Any, int]] = []
        for part in parts:
            assert part.batches is not None
            self._places += [(part.batches, index) for index in range(len(part.batches))]

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, index: int) -> Any:
        batches, place = self._places[index]
        return batches.rows(place)

    def texts(self, index: int) -> Any:
        batches, place = self._places[index]
        return batches.texts(place)

    def arrow(self, index: int, schema: pa.Schema) -> pa.RecordBatch:
        batches, place = self._places[index]
        return batches.arrow(place, schema)


def proposed(connection: Connection, write: WriteTransaction, table: TableInfo, rows: pa.Table) -> pa.Table:
    """What BEFORE triggers make of the rows that an ON CONFLICT DO UPDATE proposes; behind the table's columns one more
    may go along."""
    from zerodb.changes.applying import RowChange

    width = len(table.columns)
    own = rows.select(list(range(width)))
    found = firing.before(connection, write, RowChange(table, inserted=own))
    made = found.change.inserted
    assert made is not None
    columns, rest = list(made.columns), rows.columns[width:]
    if found.kept is not None:
        rest = [column.take(pa.array(found.kept)) for column in rest]
    return pa.Table.from_arrays([*columns, *rest], names=rows.column_names)


def insert_proposed(connection: Connection, write: WriteTransaction, change: RowChange) -> int:
    """Inserts those of the proposed rows that are in no conflict."""
    if not any(trigger.fires("before", "insert") for trigger in change.table.triggers):
        return apply_fired(connection, write, change).count
    return apply_fired(connection, write, change, firing.Proposed(change)).count


def check_returning(statement: st.Insert | st.Update | st.Delete | st.Merge, table: TableInfo) -> None:
    """0A000 where RETURNING would give rows as they were before their triggers."""
    tables = _with_partitions(table)
    if not isinstance(statement, st.Merge):
        tables = tables[1:]
    # The rows that ON CONFLICT DO UPDATE proposes have seen their triggers before the rest.
    events = {"update"} if isinstance(statement, st.Merge) and statement.key is not None else set(EVENTS)
    if any(
        trigger.timing == "before" and trigger.enabled and trigger.for_rows and events & set(trigger.events)
        for found in tables
        for trigger in found.triggers
    ):
        what = "MERGE, or ON CONFLICT DO UPDATE," if isinstance(statement, st.Merge) else "a partitioned table"
        raise NotSupportedError(f"RETURNING of {what} with BEFORE triggers is not supported")


def check_merge(statement: st.Merge) -> None:
    """0A000 where the triggers of partitions would have to see rows of which some are in conflict."""
    if statement.key is None:
        return
    for table in _with_partitions(statement.table)[1:]:
        if any(trigger.fires("before", "insert") for trigger in table.triggers):
            message = f'ON CONFLICT DO UPDATE with a BEFORE INSERT trigger on "{table.name}" is not supported'
            raise NotSupportedError(message)


def _with_partitions(table: TableInfo) -> list[TableInfo]:
    return [table, *(found for part in table.partitions for found in _with_partitions(part))]
