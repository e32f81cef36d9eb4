"""A second copy of a plan in the same query: every column it defines gets a fresh id, since ids are unique."""

from __future__ import annotations

from collections.abc import Callable

from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    CommonScan,
    ExternalItem,
    Item,
    LogicalPlan,
    MapExternal,
    MarkJoin,
    Number,
    Project,
    Recursive,
    Scan,
    ScanColumn,
    TableCall,
    TableFunction,
    UnionAll,
    Values,
    Window,
)
from zerodb_compiler.plan.transform import Fresh, inputs_of, map_expressions, substitute, with_inputs
from zerodb_compiler.plan.windows import WindowItem, WindowSpec
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression


def copied(plan: LogicalPlan, fresh: Fresh) -> tuple[LogicalPlan, dict[int, Column]]:
    """The copy, and for every column id of the original the column of the copy. The plan has no subqueries."""
    columns: dict[int, Column] = {}
    return _copy(plan, columns, fresh), columns


def _copy(plan: LogicalPlan, columns: dict[int, Column], fresh: Fresh) -> LogicalPlan:
    parts = [_copy(part, columns, fresh) for part in inputs_of(plan)]

    def renamed(expression: Expression) -> Expression:
        return substitute(expression, {id_: ColumnRef(column) for id_, column in columns.items()})

    def new(column: Column) -> Column:
        if column.id not in columns:
            columns[column.id] = Column(fresh(), column.name, column.type, column.nullable)
        return columns[column.id]

    def renamed_column(column: Column) -> Column:
        return columns.get(column.id, column)

    plan = map_expressions(with_inputs(plan, parts), renamed)
    match plan:
        case Scan(table=table, columns=scanned, row_id=row_id):
            new_row = None if row_id is None else new(row_id)
            return Scan(table, tuple(ScanColumn(new(item.column), item.ordinal) for item in scanned), new_row)
        case Values(columns=names, rows=rows):
            return Values(tuple(map(new, names)), rows)
        case Project(input=input_, items=items):
            return Project(input_, tuple(Item(new(item.column), item.expression) for item in items))
        case Aggregate(input=input_, keys=keys, aggregates=aggregates):
            return Aggregate(
                input_,
                tuple(Item(new(item.column), item.expression) for item in keys),
                tuple(AggregateItem(new(item.column), item.call) for item in aggregates),
            )
        case MapExternal(input=input_, items=external):
            return MapExternal(input_, tuple([ExternalItem(new(i.column), i.call, i.guard) for i in external]))
        case Window(input=input_, specs=specs):
            return Window(input_, tuple([_copied_spec(spec, new) for spec in specs]))
        case UnionAll(columns=names, inputs=inputs):
            return UnionAll(tuple(map(new, names)), inputs)
        case TableFunction(input=input_, calls=calls, ordinality=ordinality, outer=outer):
            renewed = tuple(
                TableCall(item.function, item.arguments, tuple(map(new, item.columns)), item.position) for item in calls
            )
            return TableFunction(input_, renewed, None if ordinality is None else new(ordinality), outer)
        case MarkJoin(left=left, right=right, condition=condition, test=test, mark=mark):
            return MarkJoin(left, right, condition, test, new(mark))
        case Number(input=input_, partition=partition, number=number, peers=peers, rank=rank):
            place = None if rank is None else new(rank)
            return Number(
                input_, tuple(map(renamed_column, partition)), new(number), tuple(map(renamed_column, peers)), place
            )
        case CommonScan(common=common, columns=names, working=working):
            return CommonScan(common, tuple(map(new, names)), working)
        case Recursive(columns=names, base=base, step=step):
            return Recursive(plan.common, tuple(map(new, names)), base, step, plan.distinct)
    return plan


def _copied_spec(spec: WindowSpec, new: Callable[[Column], Column]) -> WindowSpec:
    items = tuple([WindowItem(new(item.column), item.call, item.frame) for item in spec.items])
    return WindowSpec(spec.partition, spec.order, items)
