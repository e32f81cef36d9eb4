"""The rows of a change as a trigger's function sees them, and the conditions (WHEN) that choose among them.

Rows on their way into a table are in storage's Arrow types; what Python and components get are the types of results.
Where these differ (uuid, enums, intervals, arrays, ...) a query over the rows converts them. A condition is compiled
over a table that has the old row and the new one side by side (row_expressions).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.engine.result import arrow_schema
from zerodb.functions.trigger_functions import Event, EventColumn
from zerodb.row_expressions import evaluate, quoted
from zerodb.view import table_info
from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.errors import error_for
from zerodb_storage import TableVersion, lookup
from zerodb_storage.arrow import arrow_type, to_arrow
from zerodb_storage.values import Values

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb_compiler.triggers import Trigger

Rows = np.ndarray[Any, np.dtype[np.int64]]
_CHUNK = 65_536
_BOTH = 1 << 62  # tells the table of old and new rows from that of new rows


@dataclass(frozen=True, slots=True)
class ChangedRows:
    """Old and new rows of a change, side by side, in storage's types. One of them may be missing."""

    old: pa.Table | None
    new: pa.Table | None

    @property
    def count(self) -> int:
        found = self.old if self.new is None else self.new
        return 0 if found is None else int(found.num_rows)

    def taken(self, rows: Rows) -> ChangedRows:
        numbers = pa.array(rows)
        return ChangedRows(
            None if self.old is None else self.old.take(numbers), None if self.new is None else self.new.take(numbers)
        )


def rows_at(version: TableVersion, row_ids: Rows) -> pa.Table:
    """The rows with these ids."""
    values = [lookup.values_at(version, column, row_ids) for column in range(len(version.columns))]
    return rows_of(version, values)


def rows_of(version: TableVersion, values: list[Values]) -> pa.Table:
    arrays = [to_arrow(found, column.type) for found, column in zip(values, version.columns, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in version.columns])


def event_of(connection: Connection, table: TableInfo, trigger: Trigger, operation: str, rows: ChangedRows) -> Event:
    return Event(
        trigger=trigger.name,
        schema=table.schema,
        table=table.name,
        timing=trigger.timing,
        operation=operation,
        columns=tuple(EventColumn(column.name, column.type, not column.not_null) for column in table.columns),
        old=None if rows.old is None else shown(connection, table, rows.old),
        new=None if rows.new is None else shown(connection, table, rows.new),
        connection=connection,
        changed=rows,
        for_rows=trigger.for_rows,
        arguments=trigger.arguments,
    )


def shown(connection: Connection, table: TableInfo, rows: pa.Table) -> pa.Table:
    """The rows in the Arrow types of results."""
    output = [OutputColumn(column.name, column.type, True) for column in table.columns]
    schema = arrow_schema(output)
    rows = rows.rename_columns([column.name for column in table.columns])
    if all(field.type == arrow_type(column.type) for field, column in zip(schema, table.columns, strict=True)):
        return rows.cast(schema) if rows.schema.types != schema.types else rows
    if not rows.num_rows:
        return schema.empty_table()
    items = [quoted(column.name) for column in table.columns]
    parts = [evaluate(connection, table, rows.slice(at, _CHUNK), items) for at in range(0, rows.num_rows, _CHUNK)]
    return pa.concat_tables(parts)


# --- conditions -------------------------------------------------------------------------------------------------------


def chosen(connection: Connection, table: TableInfo, trigger: Trigger, rows: ChangedRows) -> Rows | None:
    """The numbers of the rows that the trigger's condition holds for; None: of all."""
    if trigger.when is None:
        return None
    both = _both(table, rows)
    found = []
    for start in range(0, max(rows.count, 1), _CHUNK):
        part = pa.Table.from_arrays([column.slice(start, _CHUNK) for column in both.rows], names=both.names)
        values = evaluate(connection, both.table, part, [_text(table, trigger)]).column(0)
        found.append(values.combine_chunks().fill_null(False).to_numpy(zero_copy_only=False))
    holds = np.concatenate(found).astype(np.bool_)
    return None if holds.all() else np.flatnonzero(holds)


def holds_at_all(connection: Connection, table: TableInfo, trigger: Trigger) -> bool:
    """The condition of a FOR EACH STATEMENT trigger, which looks at no row."""
    if trigger.when is None:
        return True
    one = pa.Table.from_arrays([pa.nulls(1, arrow_type(column.type)) for column in table.columns], names=_names(table))
    value = evaluate(connection, table, one, [f"({trigger.when})"]).column(0)
    return value[0].as_py() is True


def check_condition(connection: Connection, version: TableVersion, trigger: Trigger) -> None:
    """Binds the condition; 42804 if it is none."""
    table = table_info(version)
    nothing = pa.Table.from_arrays([pa.nulls(1, arrow_type(column.type)) for column in table.columns], _names(table))
    both = _both(table, ChangedRows(nothing, nothing))
    rows = pa.Table.from_arrays(both.rows, names=both.names)
    found = evaluate(connection, both.table, rows, [_text(table, trigger)]).schema.field(0).type
    if not pa.types.is_boolean(found) and not pa.types.is_null(found):
        raise error_for("42804", f"argument of WHEN must be type boolean, not type {found}")


@dataclass(frozen=True, slots=True)
class _Both:
    table: TableInfo
    rows: list[Any]
    names: list[str]


def _both(table: TableInfo, rows: ChangedRows) -> _Both:
    """A table with the columns "old.a", ..., "new.a", ..."""
    columns: list[ColumnInfo] = []
    arrays: list[Any] = []
    for kind, part in (("old", rows.old), ("new", rows.new)):
        for number, column in enumerate(table.columns):
            columns.append(ColumnInfo(f"{kind}.{column.name}", column.type))
            nothing = pa.nulls(rows.count, arrow_type(column.type))
            arrays.append(nothing if part is None else part.column(number))
    info = replace(table, id=_BOTH + table.id, columns=tuple(columns), triggers=(), partitions=())
    return _Both(info, arrays, [column.name for column in columns])


def _text(table: TableInfo, trigger: Trigger) -> str:
    from zerodb.definition.triggers import condition

    assert trigger.when is not None
    return f"({condition(trigger.when, _names(table))})"


def _names(table: TableInfo) -> list[str]:
    return [column.name for column in table.columns]
