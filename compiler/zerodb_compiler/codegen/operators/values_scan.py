"""Constant rows.

A single row (SELECT without FROM) feeds the consumer directly. Several rows are written to a tuple buffer first, so
that the consumer's code exists once and not once per row.
"""

from __future__ import annotations

from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import evaluate, null_of
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.project import canonical
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.program import MorselSource
from zerodb_compiler.plan.physical import ValuesScan
from zerodb_compiler.wasm.values import I32


def produce(context: Context, plan: ValuesScan, consumer: Consumer, needed: frozenset[int]) -> None:
    if len(plan.values) == 1:
        _single(context, plan, consumer, needed)
    else:
        _several(context, plan, consumer, needed)


def _single(context: Context, plan: ValuesScan, consumer: Consumer, needed: frozenset[int]) -> None:
    def body(p: PipelineEmitter) -> None:
        p.rows_bound = 1
        consumer.begin(p)
        with p.row_loop():
            pairs = zip(plan.columns, plan.values[0], strict=True)
            consumer.row(p, {c.id: p.keep_value(evaluate(p, value, {})) for c, value in pairs if c.id in needed})
        consumer.end(p)

    open_pipeline(context, Source(MorselSource.SINGLE, "one row", parallel=False), consumer, body)


def _several(context: Context, plan: ValuesScan, consumer: Consumer, needed: frozenset[int]) -> None:
    places = [i for i, column in enumerate(plan.columns) if column.id in needed]
    columns = tuple(plan.columns[i] for i in places)
    buffer = RowBuffer(context, tuple(column.id for column in columns))

    def fill(p: PipelineEmitter) -> None:
        buffer.begin(p)
        with p.row_loop():
            for row in plan.values:
                buffer.row(
                    p, {c.id: canonical(p, evaluate(p, row[i], {}), c) for i, c in zip(places, columns, strict=True)}
                )
            if not plan.values:
                with p.f.if_(I32.const(0)):
                    buffer.row(p, {column.id: canonical(p, null_of(column.type), column) for column in columns})
        buffer.end(p)

    open_pipeline(context, Source(MorselSource.SINGLE, f"{len(plan.values)} rows", parallel=False), buffer, fill)
    buffer.produce(consumer)
