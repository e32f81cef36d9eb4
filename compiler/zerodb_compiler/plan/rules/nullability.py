"""Where a NULL is impossible, no code for it is generated: works out which columns can be NULL at all.

A column of a scan cannot if it is declared NOT NULL or the table's layout has no NULLs (code is specialised to the
layout, a first NULL makes a new one); the right side of a LEFT or SINGLE join always can; computed columns follow from
their expressions. The binder cannot know this: it is before LEFT joins became inner, and does not look at layouts.
A Column is the same object wherever it occurs, so the whole plan is rebuilt where one changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    CommonScan,
    Item,
    Join,
    JoinKind,
    LogicalPlan,
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
    With,
)
from zerodb_compiler.plan.transform import (
    Fresh,
    call_nullable,
    inputs_of,
    map_calls,
    map_expressions,
    map_items,
    output_ids,
    rebuild,
    with_inputs,
)
from zerodb_compiler.sql.aggregates import can_be_null
from zerodb_compiler.sql.expressions import (
    AggregateCall,
    Call,
    Case,
    Cast,
    Column,
    ColumnRef,
    Expression,
)


def tighten_nullability(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    facts = _Facts()
    facts.force(plan)
    facts.collect(plan)
    if not facts.changed and not facts.stale:
        return plan
    return _rewrite(plan, facts.changed)


class _Facts:
    """`nullable` by column id; `changed` has the new Column of those whose flag was wrong."""

    __slots__ = ("_common", "_forced", "_nullable", "changed", "stale")

    def __init__(self) -> None:
        self._common: dict[int, tuple[Column, ...]] = {}
        self._forced: set[int] = set()
        self._nullable: dict[int, bool] = {}
        self.changed: dict[int, Column] = {}
        self.stale = False  # an aggregate's own flag is wrong

    def force(self, plan: LogicalPlan) -> None:
        if isinstance(plan, Join) and plan.kind in (JoinKind.LEFT, JoinKind.SINGLE):
            self._forced |= output_ids(plan.right)
        if isinstance(plan, Join) and plan.kind is JoinKind.FULL:
            self._forced |= output_ids(plan)
        for part in inputs_of(plan):
            self.force(part)

    def collect(self, plan: LogicalPlan) -> None:
        if isinstance(plan, With):
            for definition in plan.definitions:
                self.collect(definition.plan)
                self._common[definition.common] = definition.plan.output
            self.collect(plan.body)
            return
        for part in inputs_of(plan):
            self.collect(part)
        match plan:
            case Scan(table=table, columns=columns, row_id=row_id):
                layouts = table.layout.columns
                for scanned in columns:
                    has_nulls = scanned.ordinal >= len(layouts) or layouts[scanned.ordinal].has_nulls
                    self._set(scanned.column, has_nulls and not table.columns[scanned.ordinal].not_null)
                if row_id is not None:
                    self._set(row_id, False)
            case Values(columns=names, rows=rows):
                for place, column in enumerate(names):
                    self._set(column, any(self._may_be_null(row[place]) for row in rows))
            case Project(items=items):
                self._items(items)
            case Aggregate(keys=items, aggregates=aggregates):
                self._items(items)
                for aggregate in aggregates:
                    nullable = self._aggregate(aggregate.call, bool(items))
                    self.stale |= nullable != aggregate.call.nullable
                    self._set(aggregate.column, nullable)
            case CommonScan(common=common, columns=names, working=False):
                for column, source in zip(names, self._common[common], strict=True):
                    self._set(column, self._nullable.get(source.id, source.nullable))
            case CommonScan(columns=names) | Recursive(columns=names):
                for column in names:
                    self._set(column, True)
            case MarkJoin(test=test, mark=mark):
                self._set(mark, test is not None and self._may_be_null(test))
            case Number(number=number, rank=rank):
                self._set(number, False)
                if rank is not None:
                    self._set(rank, False)
            case UnionAll(columns=names, inputs=inputs):
                for place, column in enumerate(names):
                    self._set(column, any(self._output(part.output[place]) for part in inputs))
            case TableFunction(input=input_):
                for column in plan.output[len(input_.output) :]:
                    self._set(column, column.nullable)

    def _output(self, column: Column) -> bool:
        """A column that no case above computes (a window function's, directly under a UNION) is as it was bound."""
        return self._nullable.get(column.id, column.nullable)

    def _items(self, items: tuple[Item, ...]) -> None:
        for item in items:
            self._set(item.column, self._may_be_null(item.expression))

    def _aggregate(self, aggregate: AggregateCall, grouped: bool) -> bool:
        argument = aggregate.argument
        return can_be_null(aggregate, grouped, argument is not None and self._may_be_null(argument))

    def _set(self, column: Column, nullable: bool) -> None:
        nullable = nullable or column.id in self._forced
        nullable = nullable or (column.id in self._nullable and self._nullable[column.id])
        self._nullable[column.id] = nullable
        if nullable != column.nullable:
            self.changed[column.id] = Column(column.id, column.name, column.type, nullable)

    def _may_be_null(self, expression: Expression) -> bool:
        match expression:
            case ColumnRef(column=column):
                return self._nullable.get(column.id, column.nullable)
            case Cast(argument=argument):
                return self._may_be_null(argument)
            case Call(function=function, arguments=arguments):
                return call_nullable(function, list(map(self._may_be_null, arguments)))
            case Case(branches=branches, default=default):
                return self._may_be_null(default) or any(self._may_be_null(then) for _, then in branches)
        return expression.nullable


def _rewrite(plan: LogicalPlan, changed: Mapping[int, Column]) -> LogicalPlan:
    """The plan with the changed columns everywhere, and expressions and aggregates that follow."""

    def renew(expression: Expression) -> Expression:
        if isinstance(expression, ColumnRef):
            new = changed.get(expression.column.id)
            return expression if new is None or new == expression.column else ColumnRef(new)
        return rebuild(expression, renew)

    def column(old: Column) -> Column:
        return changed.get(old.id, old)

    def visit(node: LogicalPlan) -> LogicalPlan:
        node = with_inputs(node, [visit(part) for part in inputs_of(node)])
        match node:
            case Scan(table=table, columns=columns, row_id=row_id):
                scanned = tuple([ScanColumn(column(item.column), item.ordinal) for item in columns])
                return Scan(table, scanned, None if row_id is None else column(row_id))
            case Project(input=input_, items=items):
                return Project(input_, _renamed(map_items(items, renew), changed))
            case Aggregate(input=input_, keys=keys, aggregates=aggregates):
                calls = map_calls(aggregates, renew)
                grouped = bool(keys)
                renamed = tuple([AggregateItem(column(i.column), _flagged(i.call, grouped)) for i in calls])
                return Aggregate(input_, _renamed(map_items(keys, renew), changed), renamed)
            case Values(columns=names, rows=rows):
                return Values(tuple(map(column, names)), rows)
            case UnionAll(columns=names, inputs=inputs):
                return UnionAll(tuple(map(column, names)), inputs)
            case TableFunction(input=input_, calls=calls_, ordinality=ordinality, outer=outer):
                renewed = tuple(
                    TableCall(i.function, tuple(map(renew, i.arguments)), tuple(map(column, i.columns)), i.position)
                    for i in calls_
                )
                return TableFunction(input_, renewed, None if ordinality is None else column(ordinality), outer)
            case CommonScan(common=common, columns=names, working=working):
                return CommonScan(common, tuple(map(column, names)), working)
            case Recursive(columns=names, base=base, step=step):
                return Recursive(node.common, tuple(map(column, names)), base, step, node.distinct)
            case MarkJoin(left=left, right=right, mark=mark):
                node = MarkJoin(left, right, node.condition, node.test, column(mark))
            case Number(input=input_, number=number, rank=rank):
                own = None if rank is None else column(rank)
                partition, peers = tuple(map(column, node.partition)), tuple(map(column, node.peers))
                return Number(input_, partition, column(number), peers, own)
        return map_expressions(node, renew)

    return visit(plan)


def _renamed(items: tuple[Item, ...], changed: Mapping[int, Column]) -> tuple[Item, ...]:
    return tuple([Item(changed.get(item.column.id, item.column), item.expression) for item in items])


def _flagged(call: AggregateCall, grouped: bool) -> AggregateCall:
    """The call with the `nullable` that follows from its argument."""
    nullable = can_be_null(call, grouped, call.argument is not None and call.argument.nullable)
    return call if nullable == call.nullable else replace(call, nullable=nullable)
