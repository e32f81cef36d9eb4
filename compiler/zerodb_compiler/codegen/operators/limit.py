"""LIMIT and OFFSET without an order: a counter in the query block, on one worker so that the first rows come first."""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.expressions import Environment, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.project import Step
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter
from zerodb_compiler.codegen.sqlvalues import Int
from zerodb_compiler.plan.physical import Limit
from zerodb_compiler.sql.expressions import Expression
from zerodb_compiler.wasm.values import I64, load, select

NO_LIMIT = (1 << 63) - 1


def count_of(e: Emitter, expression: Expression | None, otherwise: int, sqlstate: str, name: str) -> I64:
    """A LIMIT or OFFSET as a local; NULL means none, negative is an error."""
    if expression is None:
        return e.f.let(I64.const(otherwise), name.lower())
    value = evaluate(e, expression, {})
    assert isinstance(value, Int)
    number = e.f.let(value.value, name.lower())
    if value.null is not None:
        number.set(select(value.null, I64.const(otherwise), number))
    e.error_if(number < 0, sqlstate, f"{name} must not be negative", None)
    return number


class _Limit(Step):
    name = "limit"

    def __init__(self, context: Context, plan: Limit, next_: Consumer) -> None:
        super().__init__(next_)
        self._plan = plan
        self._field = context.query.reserve(8)

    def begin(self, p: PipelineEmitter) -> None:
        self._offset = count_of(p, self._plan.offset, 0, "2201X", "OFFSET")
        self._count = count_of(p, self._plan.count, NO_LIMIT, "2201W", "LIMIT")
        self._seen = p.f.let(load("i64.load", p.query, self._field), "rows_seen")
        self.next.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        with f.if_(self._seen - self._offset >= self._count):
            p.stop()
        self._seen.set(self._seen + 1)
        with f.if_(self._seen > self._offset):
            self.next.row(p, env)
            # Stops right after the last row wanted, so that no further row is computed.
            with f.if_(self._seen - self._offset >= self._count):
                p.stop()

    def end(self, p: PipelineEmitter) -> None:
        p.f.store("i64.store", p.query, self._seen, self._field)
        self.next.end(p)


def produce(context: Context, plan: Limit, consumer: Consumer, needed: frozenset[int]) -> None:
    first = len(context.pipelines)
    produce_plan(context, plan.input, _Limit(context, plan, consumer), needed)
    # Only the pipeline that the limit stands in must keep its rows in order; what it reads was materialised before.
    for i in range(first, len(context.pipelines)):
        if "limit" in context.pipelines[i].description:
            context.pipelines[i] = replace(context.pipelines[i], parallel=False)
