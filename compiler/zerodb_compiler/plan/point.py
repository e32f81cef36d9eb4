"""Point statements: those that look at one row of one table, named by all columns of its primary key.

    Project / Filter over Scan, with `key column = parameter or literal` for every key column

Recognised on the bound plan. The table is given the widest layout before the plan is optimised, so that the code holds
for rows that are in no version of the table yet (a transaction's own); what is known of the layout serves only to read
the columns of segments. Limits: no partitioned table, no key whose values are compared by a sort key.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from zerodb_compiler.catalog import TRANSIENT, TableInfo
from zerodb_compiler.layout import TableStatistics, widest_layout
from zerodb_compiler.plan import logical, physical
from zerodb_compiler.plan.logical import LogicalPlan, ScanColumn
from zerodb_compiler.plan.optimize import optimize
from zerodb_compiler.plan.physical_plan import plan_physical
from zerodb_compiler.sql.expressions import Call, Column, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.types import SqlType, TypeId

FIRST_FRESH_ID = 2_000_000

Constant = Literal | Parameter


@dataclass(frozen=True, slots=True)
class PointPlan:
    """The row of `table` whose columns `key` have `values` and that satisfies `predicates` goes through `steps`, the
    lowest first, and leaves as `output`."""

    table: TableInfo
    key: tuple[int, ...]
    values: tuple[Constant, ...]
    columns: tuple[ScanColumn, ...]
    row_id: Column | None
    predicates: tuple[Expression, ...]
    steps: tuple[physical.Project | physical.Filter, ...]
    output: tuple[Column, ...]


def point_plan(source: LogicalPlan, columns: tuple[Column, ...]) -> PointPlan | None:
    """The plan as a point look-up, None if it is none."""
    widened = _widened(source)
    if widened is None:
        return None
    fresh = itertools.count(FIRST_FRESH_ID)
    plan = plan_physical(optimize(widened, lambda: next(fresh)), columns)
    steps: list[physical.Project | physical.Filter] = []
    node = plan.input
    while isinstance(node, physical.Project | physical.Filter):
        steps.insert(0, node)
        node = node.input
    if not isinstance(node, physical.TableScan) or node.index is not None or node.partition_tests:
        return None
    found = _bound_key(node)
    if found is None:
        return None
    values, rest = found
    key = node.table.primary_key
    return PointPlan(node.table, key, values, node.columns, node.row_id, rest, tuple(steps), plan.columns)


def has_point_key(table: TableInfo) -> bool:
    """Whether rows of the table can be looked for by its primary key."""
    if not table.proven_key or not _is_alone(table):  # without the proof a transaction may have two rows of a key
        return False
    return all(has_plain_values(table.columns[ordinal].type) for ordinal in table.primary_key)


def has_no_key(table: TableInfo) -> bool:
    """Whether the table has no primary key at all, and is one whose rows can be added one by one."""
    return not table.primary_key and _is_alone(table)


def _is_alone(table: TableInfo) -> bool:
    """Whether it is a stored table, and no partition nor partitioned."""
    if table.id <= 0 or table.name.startswith(TRANSIENT):
        return False
    return not (table.partitions or table.partition is not None or table.constraints.partitioning is not None)


def has_plain_values(type_: SqlType) -> bool:
    """Whether values of the type can be looked for by a hash of what they are stored as."""
    if type_.is_variable:
        return type_.id in (TypeId.TEXT, TypeId.BYTEA) and not type_.padded
    return not type_.has_sort_key and type_.id is not TypeId.NULL


def _widened(plan: LogicalPlan) -> LogicalPlan | None:
    match plan:
        case logical.Project(input=input_) | logical.Filter(input=input_):
            below = _widened(input_)
            return None if below is None else replace(plan, input=below)
        case logical.Scan(table=table) if has_point_key(table):
            return replace(plan, table=widened(table))
    return None


def widened(table: TableInfo) -> TableInfo:
    """The table as if it held any values; so few of them that no index is thought of."""
    layout = widest_layout([column.type for column in table.columns])
    return replace(table, layout=layout, statistics=TableStatistics(1, table.statistics.columns))


def _bound_key(scan: physical.TableScan) -> tuple[tuple[Constant, ...], tuple[Expression, ...]] | None:
    """The values of the key's columns, and the conjuncts that are left."""
    ordinals = {item.column.id: item.ordinal for item in scan.columns}
    found: dict[int, Constant] = {}
    rest: list[Expression] = []
    for predicate in scan.predicates:
        pair = equality(predicate)
        if pair is not None:
            ordinal = ordinals[pair[0].id]
            if ordinal in scan.table.primary_key and ordinal not in found and same_values(pair[0].type, pair[1].type):
                found[ordinal] = pair[1]
                continue
        rest.append(predicate)
    if any(ordinal not in found for ordinal in scan.table.primary_key):
        return None
    return tuple(found[ordinal] for ordinal in scan.table.primary_key), tuple(rest)


def same_values(column: SqlType, value: SqlType) -> bool:
    """Whether their values are equal exactly if their canonical forms are: varchar(n) and text, too."""
    return column == value or (column.is_text and value.is_text and not (value.padded or column.padded))


def equality(predicate: Expression) -> tuple[Column, Constant] | None:
    """The column and the constant that a conjunct says to be equal."""
    match predicate:
        case Call(function="eq", arguments=(ColumnRef(column), Literal() | Parameter() as value)):
            return column, value
        case Call(function="eq", arguments=(Literal() | Parameter() as value, ColumnRef(column))):
            return column, value
    return None
