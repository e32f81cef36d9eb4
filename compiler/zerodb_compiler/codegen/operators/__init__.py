"""Physical operators to generated code, one file each; `produce` dispatches.

`needed` are the ids of the columns that the consumer reads: what is not needed is neither loaded nor kept.
"""

from __future__ import annotations

from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.pipeline import Consumer
from zerodb_compiler.plan import physical


def produce(context: Context, plan: physical.PhysicalPlan, consumer: Consumer, needed: frozenset[int]) -> None:
    """Generates the pipelines that compute `plan` and feed `consumer` row by row."""
    from zerodb_compiler.codegen.operators import (
        aggregate,
        common_table,
        external_map,
        hash_join,
        limit,
        mark_join,
        nested_loop_join,
        number,
        project,
        recursive,
        sort,
        table_function,
        table_scan,
        top_n,
        values_scan,
        window,
    )

    match plan:
        case physical.TableScan():
            (context.table_scan or table_scan.produce)(context, plan, consumer, needed)
        case physical.ValuesScan():
            values_scan.produce(context, plan, consumer, needed)
        case physical.Filter():
            project.produce_filter(context, plan, consumer, needed)
        case physical.Project():
            project.produce_project(context, plan, consumer, needed)
        case physical.UnionAll():
            project.produce_union(context, plan, consumer, needed)
        case physical.HashJoin():
            hash_join.produce(context, plan, consumer, needed)
        case physical.NestedLoopJoin():
            nested_loop_join.produce(context, plan, consumer, needed)
        case physical.HashAggregate():
            aggregate.produce(context, plan, consumer, needed)
        case physical.Sort():
            sort.produce(context, plan, consumer, needed)
        case physical.Window():
            window.produce(context, plan, consumer, needed)
        case physical.MapExternal():
            external_map.produce(context, plan, consumer, needed)
        case physical.TopN():
            top_n.produce(context, plan, consumer, needed)
        case physical.Limit():
            limit.produce(context, plan, consumer, needed)
        case physical.TableFunction():
            table_function.produce(context, plan, consumer, needed)
        case physical.MarkJoin():
            mark_join.produce(context, plan, consumer, needed)
        case physical.Number():
            number.produce(context, plan, consumer, needed)
        case physical.Repeat():
            number.produce_repeat(context, plan, consumer, needed)
        case physical.CommonScan():
            common_table.produce_scan(context, plan, consumer, needed)
        case physical.With():
            common_table.produce_with(context, plan, consumer, needed)
        case physical.Recursive():
            recursive.produce(context, plan, consumer, needed)
        case physical.Output():
            raise AssertionError("Output is only at the root")
