"""Places of rows within partitions of a sorted input, and repeating rows.

The previous row's partition and peer columns lie in the query block; one worker takes the rows in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zerodb_compiler.codegen.comparison import equal_or_both_null
from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import Environment, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.project import Step, ids_of
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue
from zerodb_compiler.codegen.tuples import TupleLayout
from zerodb_compiler.plan.physical import Number, Repeat
from zerodb_compiler.types import BIGINT
from zerodb_compiler.wasm.values import I32, I64, load

_NAME = "number rows"


class _Number(Step):
    name = _NAME

    def __init__(self, context: Context, plan: Number, next_: Consumer) -> None:
        super().__init__(next_)
        self._context, self._plan = context, plan
        self._number_field = context.query.reserve(8)
        self._rank_field = context.query.reserve(8)

    def begin(self, p: PipelineEmitter) -> None:
        self._number = p.f.let(load("i64.load", p.query, self._number_field), "number")
        self._rank = p.f.let(load("i64.load", p.query, self._rank_field), "rank")
        self.next.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f, plan = p.f, self._plan
        f.comment("number rows")
        partition = [p.keep_value(env[column.id]) for column in plan.partition]
        peers = [p.keep_value(env[column.id]) for column in plan.peers] if plan.rank is not None else []
        layout = TupleLayout([*partition, *peers])
        place = f.let(p.query + self._context.query.reserve(layout.size, 8), "previous")
        before = layout.read(place)
        changed = f.let(self._differ(p, partition, before[: len(partition)]), "changed")
        with f.if_(changed):
            self._number.set(I64.const(0))
        self._number.set(self._number + 1)
        if plan.rank is not None:
            with f.if_(changed | self._differ(p, peers, before[len(partition) :])):
                changed.set(I32.const(1))
                self._rank.set(self._number)
        with f.if_(changed):
            layout.write(p, place, [*partition, *peers])
        numbered = {**env, plan.number.id: Int(self._number, *BIGINT.bounds)}
        if plan.rank is not None:
            numbered[plan.rank.id] = Int(self._rank, *BIGINT.bounds)
        self.next.row(p, numbered)

    def _differ(self, p: PipelineEmitter, values: Sequence[SqlValue], before: Sequence[SqlValue]) -> I32:
        """Whether this is the first row of all, or not like the row before."""
        differs = p.f.let(self._number == 0, "differs")
        with p.f.if_(differs.is_zero()):
            for value, other in zip(values, before, strict=True):
                differs.set(differs | equal_or_both_null(p, value, other).is_zero())
        return differs

    def end(self, p: PipelineEmitter) -> None:
        p.f.store("i64.store", p.query, self._number, self._number_field)
        p.f.store("i64.store", p.query, self._rank, self._rank_field)
        self.next.end(p)


def produce(context: Context, plan: Number, consumer: Consumer, needed: frozenset[int]) -> None:
    first = len(context.pipelines)
    own = {plan.number.id} | (set() if plan.rank is None else {plan.rank.id})
    below = (needed - own) | {column.id for column in (*plan.partition, *plan.peers)}
    produce_plan(context, plan.input, _Number(context, plan, consumer), frozenset(below))
    for i in range(first, len(context.pipelines)):
        if _NAME in context.pipelines[i].description:
            context.pipelines[i] = replace(context.pipelines[i], parallel=False)


class _Repeat(Step):
    name = "repeat rows"

    def __init__(self, plan: Repeat, next_: Consumer) -> None:
        super().__init__(next_)
        self._plan = plan

    def begin(self, p: PipelineEmitter) -> None:
        p.rows_bound = None
        self.next.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        count = evaluate(p, self._plan.count, env)
        assert isinstance(count, Int)
        times = f.let(count.value, "times")
        if count.null is not None:
            with f.if_(count.null):
                times.set(I64.const(0))
        with f.block() as done, f.loop() as again:
            done.break_if(times <= 0)
            p.check_interrupt()
            times.set(times - 1)
            self.next.row(p, env)
            again.continue_()


def produce_repeat(context: Context, plan: Repeat, consumer: Consumer, needed: frozenset[int]) -> None:
    produce_plan(context, plan.input, _Repeat(plan, consumer), needed | ids_of((plan.count,)))
