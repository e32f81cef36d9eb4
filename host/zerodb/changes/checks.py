"""CHECK constraints and generated columns: compiled expressions over all rows of a change at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb.row_expressions import evaluate, quoted
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.constraints import Check
from zerodb_compiler.errors import DatabaseError, error_for

if TYPE_CHECKING:
    from zerodb.connection import Connection

_CHUNK = 65_536


def generated(connection: Connection, table: TableInfo, rows: pa.Table) -> pa.Table:
    """The rows with their generated columns computed."""
    places = [number for number, column in enumerate(table.columns) if column.generated is not None]
    if not places or rows.num_rows == 0:
        return rows
    # Morsels of one chunk come in order; more rows are put in order by a number.
    items = [f"cast(({table.columns[place].generated}) as {_type_text(table, place)})" for place in places]
    parts = [evaluate(connection, table, rows.slice(at, _CHUNK), items) for at in range(0, rows.num_rows, _CHUNK)]
    computed = pa.concat_tables(parts)
    names = rows.column_names
    for number, place in enumerate(places):
        rows = rows.set_column(place, names[place], computed.column(number))
    return rows


def _type_text(table: TableInfo, place: int) -> str:
    type_ = table.columns[place].type
    return "text" if type_.is_text else str(type_)


def check(connection: Connection, table: TableInfo, rows: pa.Table) -> None:
    """23514 if a row violates a CHECK; of several, the one whose name is first."""
    checks = sorted(table.constraints.checks, key=lambda found: found.name)
    if not checks or rows.num_rows == 0:
        return
    failed = violated(connection, table, rows, checks)
    if failed is not None:
        message = f'new row for relation "{table.name}" violates check constraint "{failed.name}"'
        raise error_for("23514", message)


def violated(connection: Connection, table: TableInfo, rows: pa.Table, checks: list[Check]) -> Check | None:
    """The first of the constraints that some row violates."""
    fails = [f"(({found.expression})) is false" for found in checks]
    branches = " ".join(f"when {fail} then {number}" for number, fail in enumerate(fails))
    # Each condition stands once in the text: a volatile function is called once for a row.
    found = evaluate(connection, table, rows, [f"min(case {branches} end)"]).column(0)[0].as_py()
    return None if found is None else checks[found]


def check_not_null(table: TableInfo, rows: pa.Table) -> None:
    for number, column in enumerate(table.columns):
        if column.not_null and rows.column(number).null_count:
            raise null_error(table.name, column.name)


def null_error(table: str, column: str) -> DatabaseError:
    message = f'null value in column "{column}" of relation "{table}" violates not-null constraint'
    return error_for("23502", message)


__all__ = ["check", "check_not_null", "generated", "null_error", "quoted", "violated"]
