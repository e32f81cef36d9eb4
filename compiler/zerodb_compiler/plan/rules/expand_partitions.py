"""A scan of a partitioned table is the union of its partitions' scans.

Columns are matched by name. A row's id is that in its partition plus the partition's number times 2**48, so that a
change finds both again. Each scan carries what is known of its partition (pruning.py): which ones can hold a wanted
row is known when predicates have come down to the scans, in physical planning and at each execution.
"""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan.logical import Item, LogicalPlan, Project, Scan, ScanColumn, UnionAll, Values
from zerodb_compiler.plan.transform import Fresh, call, map_plan
from zerodb_compiler.pruning import KeyColumn, Level, PartitionInfo, bounds_of
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import BIGINT

PARTITION_SHIFT = 48
Levels = tuple[Level, ...]


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
    parts = _with_levels(plan.table, ())
    if not parts:
        return Values(plan.output, ())
    scan = fresh()
    inputs = []
    for number, (part, levels) in enumerate(parts):
        info = replace(part, partition=PartitionInfo(plan.table.name, scan, len(parts), levels))
        inputs.append(_part(plan, info, number, fresh))
    return UnionAll(plan.output, tuple(inputs))


def _with_levels(table: TableInfo, above: tuple[tuple[TableInfo, TableInfo], ...]) -> list[tuple[TableInfo, Levels]]:
    """`leaves`, each with what is known of it; `above` are the (parent, partition) pairs on the way."""
    found: list[tuple[TableInfo, Levels]] = []
    for partition in table.partitions:
        path = (*above, (table, partition))
        if partition.constraints.partitioning is not None:
            found += _with_levels(partition, path)
        else:
            levels = [_level(parent, part, partition) for parent, part in path]
            found.append((partition, tuple([level for level in levels if level is not None])))
    return found


def _level(parent: TableInfo, part: TableInfo, leaf: TableInfo) -> Level | None:
    """What the bound of `part`, a partition of `parent`, says of the rows of `leaf`."""
    partitioning, bound = parent.constraints.partitioning, part.constraints.bound
    assert partitioning is not None
    if bound is None:
        return None
    places = {info.name: ordinal for ordinal, info in enumerate(leaf.columns)}
    keys: list[KeyColumn] = []
    for key in partitioning.keys:
        if key.column is None:
            return None
        column = parent.columns[key.column]
        keys.append(KeyColumn(places[column.name], column.type))
    types = [key.type for key in keys]
    own = bounds_of(bound, types)
    siblings = [other.constraints.bound for other in parent.partitions if other is not part] if bound.default else []
    others = [None if other is None else bounds_of(other, types) for other in siblings]
    known = tuple([other for other in others if other is not None])
    if own is None or len(known) < len(others):
        return None
    return Level(partitioning.method, tuple(keys), own, known)


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
