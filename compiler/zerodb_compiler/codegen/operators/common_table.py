"""Common tables: a definition's rows go into tuple buffers once; every CommonScan is a pipeline over them.

The rows keep the order in which a definition that ends in a sort gives them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.project import output_of
from zerodb_compiler.codegen.ordering import OrderedRows, collect_pointers
from zerodb_compiler.codegen.pipeline import Consumer, RowCounter, set_finish
from zerodb_compiler.plan import physical


@dataclass(frozen=True, slots=True)
class CommonTable:
    buffer: RowBuffer
    rows: OrderedRows


class _Sink(RowBuffer):
    def describe(self) -> list[str]:
        return ["keep common table"]


def produce_with(context: Context, plan: physical.With, consumer: Consumer, needed: frozenset[int]) -> None:
    for definition in plan.definitions:
        context.common_tables[definition.common] = _materialized(context, definition.plan)
    produce_plan(context, plan.body, consumer, needed)


def _materialized(context: Context, plan: physical.PhysicalPlan) -> CommonTable:
    ids = tuple(column.id for column in output_of(plan))
    sink, rows = _Sink(context, ids), OrderedRows(context)
    produce_plan(context, plan, RowCounter(sink), frozenset(ids))
    buffer = sink.buffer
    assert buffer is not None

    def finish(e: Emitter) -> None:
        rows.publish(e, *collect_pointers(e, buffer))

    if _is_ordered(plan):
        context.pipelines[-1] = replace(context.pipelines[-1], parallel=False)
    set_finish(context, define(context, context.fresh("collect_rows"), finish))
    return CommonTable(sink, rows)


def _is_ordered(plan: physical.PhysicalPlan) -> bool:
    while isinstance(plan, physical.Project | physical.Limit | physical.Filter):
        plan = plan.input
    return isinstance(plan, physical.Sort | physical.TopN)


def produce_scan(context: Context, plan: physical.CommonScan, consumer: Consumer, needed: frozenset[int]) -> None:
    if plan.working:
        from zerodb_compiler.codegen.operators.recursive import produce_working

        produce_working(context, plan, consumer, needed)
        return
    table = context.common_tables[plan.common]
    assert isinstance(table, CommonTable) and table.buffer.layout is not None
    table.rows.produce(table.buffer.layout, tuple(column.id for column in plan.columns), consumer)
