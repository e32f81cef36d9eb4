"""INSERT ... SELECT of columns of a registered table as they are: the rows are there already, as columns.

Such a query computes nothing, so it does not run: its columns are taken from the registered data, constants are
repeated. All else about the change (checks, keys, defaults, the commit) is as for any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from zerodb.sequence_values import is_for_rows
from zerodb.values import Canonical, canonical_array
from zerodb.view import View
from zerodb_compiler.plan.logical import LogicalPlan, Project, Scan
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.types import SqlType
from zerodb_storage import TableVersion, lookup
from zerodb_storage.arrow import from_arrow, to_arrow


def copied_rows(plan: LogicalPlan, view: View, values: Sequence[Canonical]) -> pa.Table | None:
    """The rows of a query that only picks columns of a registered table, and constants; None for any other query."""
    items: list[tuple[Column, Expression]]
    match plan:
        case Scan() as scan:
            items = [(column, ColumnRef(column)) for column in scan.output]
        case Project(input=Scan() as scan):
            items = [(item.column, item.expression) for item in plan.items]
        case _:
            return None
    version = view.tables.get(scan.table.key)
    if scan.table.id >= 0 or scan.row_id is not None or version is None or is_for_rows(values):
        return None
    ordinals = {found.column.id: found.ordinal for found in scan.columns}
    if not all(_is_plain(column.type, expression) for column, expression in items):
        return None
    arrays = [_array(version, ordinals, column.type, expression, values) for column, expression in items]
    return pa.Table.from_arrays(arrays, names=[column.name for column, _ in items])


def _is_plain(type_: SqlType, expression: Expression) -> bool:
    if isinstance(expression, Literal) and expression.value is None:
        return True
    return isinstance(expression, ColumnRef | Literal | Parameter) and expression.type == type_


def _array(
    version: TableVersion,
    ordinals: dict[int, int],
    type_: SqlType,
    expression: Expression,
    values: Sequence[Canonical],
) -> pa.Array:
    match expression:
        case ColumnRef(column=column):
            return to_arrow(lookup.all_values(version, ordinals[column.id]), type_)
        case Literal(value=value):
            constant: Canonical = value
        case Parameter(index=index):
            constant = values[index]
        case _:
            raise AssertionError(expression)
    one = from_arrow(canonical_array(type_, [constant]), type_, "")
    return to_arrow(one.take(np.zeros(version.row_count, np.int64)), type_)
