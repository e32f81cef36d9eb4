"""A scan of a partitioned table is the union of its partitions' scans.

Columns are matched by name. A row's id is that in its partition plus the partition's number times 2**48, so that a
change finds both again. Which partitions can hold a wanted row is known when predicates have come down to the scans:
their zone maps leave out, at execution, all chunks beyond a partition's bounds.
"""

from __future__ import annotations

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan.logical import Item, LogicalPlan, Project, Scan, ScanColumn, UnionAll, Values
from zerodb_compiler.plan.transform import Fresh, call, map_plan
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import BIGINT

PARTITION_SHIFT = 48


def expand_partitions(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return map_plan(plan, lambda node: _expanded(node, fresh))


def leaves(table: TableInfo) -> list[TableInfo]:
    """The partitions that hold rows, those of partitions included, in a fixed order."""
    found: list[TableInfo] = []
    for partition in table.partitions:
        found += leaves(partition) if partition.constraints.partitioning is not None else [partition]
    return found


def _expanded(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    if not isinstance(plan, Scan) or plan.table.constraints.partitioning is None:
        return plan
    parts = leaves(plan.table)
    if not parts:
        return Values(plan.output, ())
    return UnionAll(plan.output, tuple(_part(plan, part, number, fresh) for number, part in enumerate(parts)))


def _part(plan: Scan, table: TableInfo, number: int, fresh: Fresh) -> LogicalPlan:
    places = {info.name: ordinal for ordinal, info in enumerate(table.columns)}
    scanned: list[ScanColumn] = []
    items: list[Item] = []
    for wanted in plan.columns:
        column = Column(fresh(), wanted.column.name, wanted.column.type, wanted.column.nullable)
        scanned.append(ScanColumn(column, places[plan.table.columns[wanted.ordinal].name]))
        items.append(Item(column, ColumnRef(column)))
    row_id: Column | None = None
    if plan.row_id is not None:
        row_id = Column(fresh(), plan.row_id.name, BIGINT, False)
        place: Expression = ColumnRef(row_id)
        if number:
            place = call("add", place, Literal(number << PARTITION_SHIFT, BIGINT), type_=BIGINT)
            items.append(Item(Column(fresh(), plan.row_id.name, BIGINT, False), place))
        else:
            items.append(Item(row_id, place))
    return Project(Scan(table, tuple(scanned), row_id), tuple(items))
