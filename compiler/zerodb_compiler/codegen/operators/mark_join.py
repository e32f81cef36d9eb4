"""Mark join: every probe row once, with a boolean that says whether some build row passes a test (logical.MarkJoin).

Candidates are the build rows with equal keys (a hash table) or, without keys, all of them. The test has three values:
the search ends at the first true one, and remembers whether there was a NULL.
"""

from __future__ import annotations

from collections.abc import Callable

from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment, condition, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.hash_join import NEXT, HashBuild, HashProbe, HashTable, join_keys
from zerodb_compiler.codegen.operators.project import Step, ids_of, output_of
from zerodb_compiler.codegen.ordering import collect_pointers
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, RowCounter, set_finish
from zerodb_compiler.codegen.sqlvalues import Bool, SqlValue, either_null
from zerodb_compiler.plan.logical import JoinKind
from zerodb_compiler.plan.physical import HashJoin, MarkJoin
from zerodb_compiler.sql.expressions import Expression
from zerodb_compiler.wasm.values import I32, load

_FALSE, _TRUE, _UNKNOWN = 0, 1, 2


def _test(p: PipelineEmitter, test: Expression | None, env: Environment, found: I32) -> None:
    """Updates `found` (a local) by one candidate."""
    if test is None:
        found.set(I32.const(_TRUE))  # type: ignore[attr-defined]
        return
    value = evaluate(p, test, env)
    assert isinstance(value, Bool)
    truth = p.f.let(value.value, "truth")
    if value.null is not None:
        with p.f.if_(value.null):
            truth.set(I32.const(0))
            found.set(I32.const(_UNKNOWN))  # type: ignore[attr-defined]
    with p.f.if_(truth):
        found.set(I32.const(_TRUE))  # type: ignore[attr-defined]


def _marked(p: PipelineEmitter, plan: MarkJoin, env: Environment, found: I32) -> dict[int, SqlValue]:
    null = None
    if plan.test is not None and plan.mark.nullable:
        null = p.f.let(found == _UNKNOWN, "unknown")
    return {**env, plan.mark.id: Bool(p.f.let(found == _TRUE, "mark"), null)}


class _HashProbe(HashProbe):
    def __init__(self, plan: MarkJoin, as_join: HashJoin, build: HashBuild, table: HashTable, next_: Consumer) -> None:
        super().__init__(as_join, build, table, next_)
        self._mark_plan = plan

    def describe(self) -> list[str]:
        return ["probe for mark join", *self.next.describe()]

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        f.comment("mark join: probe")
        p.check_interrupt()
        keys = join_keys(p, self._plan.probe_keys, env)
        place = self._first(p, keys, p.keep(either_null(*(key.null for key in keys))))
        found = f.local(I32, "found")
        found.set(I32.const(_FALSE))
        with f.block() as done, f.loop() as again:
            self._search(p, place, keys, env)
            done.break_if(place.is_zero())
            _test(p, self._mark_plan.test, self._environment(env, place, None), found)
            done.break_if(found == _TRUE)
            place.set(load("i32.load", place, NEXT))  # type: ignore[attr-defined]
            again.continue_()
        self.next.row(p, _marked(p, self._mark_plan, env, found))


class _LoopProbe(Step):
    name = "nested loops for mark join"

    def __init__(self, context: Context, plan: MarkJoin, build: RowBuffer, next_: Consumer) -> None:
        super().__init__(next_)
        self._plan, self._build = plan, build
        self._pointers = context.query.reserve(4, 4)
        self._count = context.query.reserve(4, 4)

    def finish_build(self, e: Emitter) -> None:
        assert self._build.buffer is not None
        pointers, count = collect_pointers(e, self._build.buffer)
        e.set_query_i32(self._pointers, pointers)
        e.set_query_i32(self._count, count)

    def begin(self, p: PipelineEmitter) -> None:
        self._first = p.f.let(p.query_i32(self._pointers), "pointers")
        self._tuples = p.f.let(p.query_i32(self._count), "tuples")
        self.next.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f, plan = p.f, self._plan
        f.comment("mark join")
        p.check_interrupt()
        assert self._build.layout is not None
        found, index = f.local(I32, "found"), f.local(I32, "index")
        found.set(I32.const(_FALSE))
        index.set(I32.const(0))
        with f.count_up(index, self._tuples) as done:
            place = f.let(load("i32.load", self._first + index * 4), "tuple")
            both = {**env, **dict(zip(self._build.ids, self._build.layout.read(place), strict=True))}
            self._when(p, plan.residual, both, lambda: _test(p, plan.test, both, found))
            done.break_if(found == _TRUE)
        self.next.row(p, _marked(p, plan, env, found))

    def _when(
        self, p: PipelineEmitter, predicates: tuple[Expression, ...], env: Environment, then: Callable[[], None]
    ) -> None:
        if not predicates:
            then()
            return
        with p.f.if_(condition(p, predicates[0], env)):
            self._when(p, predicates[1:], env, then)


def produce(context: Context, plan: MarkJoin, consumer: Consumer, needed: frozenset[int]) -> None:
    read = (needed - {plan.mark.id}) | ids_of(plan.residual) | ids_of(() if plan.test is None else (plan.test,))
    payload = tuple(column.id for column in output_of(plan.build) if column.id in read)
    if not plan.build_keys:
        rows = RowBuffer(context, payload)
        produce_plan(context, plan.build, RowCounter(rows), frozenset(payload))
        loops = _LoopProbe(context, plan, rows, consumer)
        set_finish(context, define(context, context.fresh("collect_build"), loops.finish_build))
        produce_plan(context, plan.probe, loops, read - frozenset(payload))
        return
    as_join = HashJoin(
        JoinKind.SEMI, plan.build, plan.probe, plan.build_keys, plan.probe_keys, plan.residual, False, plan.rows
    )
    table = HashTable(context)
    build = HashBuild(context, as_join, payload, table)
    produce_plan(context, plan.build, RowCounter(build), frozenset(payload) | ids_of(plan.build_keys))
    set_finish(context, build.define_finish())
    probe = _HashProbe(plan, as_join, build, table, consumer)
    produce_plan(context, plan.probe, probe, (read - frozenset(payload)) | ids_of(plan.probe_keys))
