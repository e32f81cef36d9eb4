"""Filter, projection and union: they only pass rows on, changed, within the pipeline they stand in."""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.codegen.comparison import to_text, to_wide
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.expressions import Environment, condition, evaluate
from zerodb_compiler.codegen.operators import produce
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.plan import physical
from zerodb_compiler.plan.logical import Item
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, columns_of


class Step:
    """A consumer that hands rows to the next one."""

    name = ""

    def __init__(self, next_: Consumer) -> None:
        self.next = next_

    def describe(self) -> list[str]:
        return [self.name, *self.next.describe()] if self.name else self.next.describe()

    def begin(self, p: PipelineEmitter) -> None:
        self.next.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        self.next.row(p, env)

    def end(self, p: PipelineEmitter) -> None:
        self.next.end(p)


def ids_of(expressions: tuple[Expression, ...]) -> frozenset[int]:
    """Ids of all columns that the expressions read."""
    return frozenset(column.id for expression in expressions for column in columns_of(expression))


class _Filter(Step):
    name = "filter"

    def __init__(self, predicates: tuple[Expression, ...], next_: Consumer) -> None:
        super().__init__(next_)
        self._predicates = predicates

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        self._row(p, env, self._predicates)

    def _row(self, p: PipelineEmitter, env: Environment, predicates: tuple[Expression, ...]) -> None:
        if not predicates:
            self.next.row(p, env)
            return
        p.f.comment("filter")
        with p.f.if_(condition(p, predicates[0], env)):
            self._row(p, env, predicates[1:])


def produce_filter(context: Context, plan: physical.Filter, consumer: Consumer, needed: frozenset[int]) -> None:
    produce(context, plan.input, _Filter(plan.predicates, consumer), needed | ids_of(plan.predicates))


class _Project(Step):
    name = "project"

    def __init__(self, items: tuple[Item, ...], next_: Consumer) -> None:
        super().__init__(next_)
        self._items = items
        if all(isinstance(item.expression, ColumnRef) for item in items):
            self.name = ""

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        if self.name:
            p.f.comment("project")
        defined: dict[int, SqlValue] = {}
        for item in self._items:
            value = evaluate(p, item.expression, env)
            # What is computed is computed once; a plain reference stays lazy.
            defined[item.column.id] = value if isinstance(item.expression, ColumnRef) else p.keep_value(value)
        self.next.row(p, defined)


def produce_project(context: Context, plan: physical.Project, consumer: Consumer, needed: frozenset[int]) -> None:
    items = tuple(item for item in plan.items if item.column.id in needed)
    produce(context, plan.input, _Project(items, consumer), ids_of(tuple(item.expression for item in items)))


class _Renamed(Step):
    """One input of a union: its columns under the union's ids, in the classes and bounds all inputs share."""

    def __init__(self, columns: tuple[tuple[Column, Column], ...], next_: Consumer) -> None:
        super().__init__(next_)
        self._columns = columns

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        self.next.row(
            p, {target.id: _alike(canonical(p, env[source.id], target), target) for target, source in self._columns}
        )


def _alike(value: SqlValue, column: Column) -> SqlValue:
    """An input whose values have a NULL flag, although the column is never NULL, must look like the others."""
    return value if column.nullable else replace(value, null=None)


def canonical(p: Emitter, value: SqlValue, column: Column) -> SqlValue:
    """The value as any value of the column's type may look: full bounds, texts as texts, always with a NULL flag
    if the column may be NULL."""
    from zerodb_compiler.codegen.sqlvalues import Code, Int, Wide, fits_i64
    from zerodb_compiler.wasm.values import I32

    if isinstance(value, Code):
        value = to_text(p, value)
    if isinstance(value, Int | Wide):
        low, high = column.type.bounds
        if fits_i64(low, high):
            assert isinstance(value, Int)
            value = Int(value.value, low, high, value.null)
        else:
            wide = to_wide(replace(value, value=p.keep(value.value)))
            value = replace(wide, low=low, high=high)
    if column.nullable and value.null is None:
        value = replace(value, null=I32.const(0))
    return value


def produce_union(context: Context, plan: physical.UnionAll, consumer: Consumer, needed: frozenset[int]) -> None:
    for input_ in plan.inputs:
        pairs = tuple(
            (target, source)
            for target, source in zip(plan.columns, output_of(input_), strict=True)
            if target.id in needed
        )
        produce(context, input_, _Renamed(pairs, consumer), frozenset(source.id for _, source in pairs))


def output_of(plan: physical.PhysicalPlan) -> tuple[Column, ...]:
    """The columns a physical plan gives, in order."""
    match plan:
        case physical.TableScan(columns=columns, row_id=row_id):
            return tuple(item.column for item in columns) + (() if row_id is None else (row_id,))
        case (
            physical.ValuesScan(columns=columns) | physical.UnionAll(columns=columns) | physical.Output(columns=columns)
        ):
            return columns
        case physical.Project(items=items):
            return tuple(item.column for item in items)
        case physical.HashAggregate(keys=keys, aggregates=aggregates):
            return tuple(item.column for item in keys) + tuple(item.column for item in aggregates)
        case physical.HashJoin() | physical.NestedLoopJoin():
            if plan.kind.value in ("semi", "anti", "anti null-aware"):
                return output_of(plan.probe)
            return output_of(plan.probe) + output_of(plan.build)
        case physical.TableFunction(input=input_, calls=calls, ordinality=ordinality):
            added = tuple(column for item in calls for column in item.columns)
            return output_of(input_) + added + (() if ordinality is None else (ordinality,))
        case physical.Window(input=input_, runs=runs):
            return output_of(input_) + tuple(i.column for run in runs for spec in run.specs for i in spec.items)
        case physical.MapExternal(input=input_, items=external):
            return output_of(input_) + tuple(item.column for item in external)
        case physical.MarkJoin(mark=mark):
            return (*output_of(plan.probe), mark)
        case physical.Number(number=number, rank=rank):
            return (*output_of(plan.input), number, *(() if rank is None else (rank,)))
        case physical.CommonScan(columns=columns) | physical.Recursive(columns=columns):
            return columns
        case physical.With(body=body):
            return output_of(body)
        case physical.Filter() | physical.Sort() | physical.TopN() | physical.Limit() | physical.Repeat():
            return output_of(plan.input)
