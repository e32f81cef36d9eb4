"""Nested-loop join: every tuple of the materialised build side is tried for every probe row."""

from __future__ import annotations

from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment, condition
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.full_join import BothSides, mark_matched, produce_unmatched
from zerodb_compiler.codegen.operators.project import ids_of, output_of
from zerodb_compiler.codegen.ordering import collect_pointers
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, RowCounter, set_finish
from zerodb_compiler.codegen.sqlvalues import SqlValue, either_null, with_null
from zerodb_compiler.plan.logical import JoinKind
from zerodb_compiler.plan.physical import NestedLoopJoin
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.wasm.values import I32, load

FULL_HEADER = 8  # of a tuple: flags (i32)


class _FullBuild(RowBuffer):
    """The build side of a FULL join: rows with flags."""

    def __init__(self, context: Context, ids: tuple[int, ...]) -> None:
        super().__init__(context, ids, FULL_HEADER)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        place = self.append(p, [p.keep_value(env[id_]) for id_ in self.ids])
        p.f.store("i32.store", place, I32.const(0), 0)


class _Probe:
    def __init__(self, context: Context, plan: NestedLoopJoin, build: RowBuffer, next_: Consumer) -> None:
        self._plan, self._build, self.next = plan, build, next_
        self._pointers = context.query.reserve(4, 4)
        self._count = context.query.reserve(4, 4)

    def describe(self) -> list[str]:
        return [f"nested loops for {self._plan.kind.value} join", *self.next.describe()]

    def finish_build(self, e: Emitter) -> None:
        assert self._build.buffer is not None
        pointers, count = collect_pointers(e, self._build.buffer)
        e.set_query_i32(self._pointers, pointers)
        e.set_query_i32(self._count, count)

    def begin(self, p: PipelineEmitter) -> None:
        self._first = p.f.let(p.query_i32(self._pointers), "pointers")
        self._tuples = p.f.let(p.query_i32(self._count), "tuples")
        if self._plan.kind in (JoinKind.INNER, JoinKind.LEFT, JoinKind.FULL):
            p.rows_bound = None
        self.next.begin(p)

    def end(self, p: PipelineEmitter) -> None:
        self.next.end(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        p.f.comment(f"nested-loop join ({self._plan.kind.value})")
        p.check_interrupt()
        if self._plan.kind in (JoinKind.SEMI, JoinKind.ANTI):
            self._exists(p, env)
        else:
            self._matches(p, env)

    def _environment(self, env: Environment, place: I32, null: I32 | None) -> dict[int, SqlValue]:
        assert self._build.layout is not None
        both = dict(env)
        for id_, value in zip(self._build.ids, self._build.layout.read(place), strict=True):
            both[id_] = value if null is None else with_null(value, either_null(value.null, null))
        return both

    def _is_match(self, p: PipelineEmitter, env: dict[int, SqlValue]) -> I32:
        match = p.f.let(I32.const(1), "is_match")
        for predicate in self._plan.predicates:
            with p.f.if_(match):
                match.set(condition(p, predicate, env))
        return match

    def _exists(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        found, index = f.local(I32, "found"), f.local(I32, "index")
        found.set(I32.const(0))
        index.set(I32.const(0))
        with f.count_up(index, self._tuples) as done:
            place = f.let(load("i32.load", self._first + index * 4), "tuple")
            found.set(self._is_match(p, self._environment(env, place, None)))
            done.break_if(found)
        with f.if_(found if self._plan.kind is JoinKind.SEMI else found.is_zero()):
            self.next.row(p, env)

    def _matches(self, p: PipelineEmitter, env: Environment) -> None:
        """As in hash_join: one more turn with tuple 0 stands for "no match"."""
        f, kind = p.f, self._plan.kind
        preserving = kind in (JoinKind.LEFT, JoinKind.SINGLE, JoinKind.FULL)
        index, matched = f.local(I32, "index"), f.local(I32, "matched")
        index.set(I32.const(0))
        matched.set(I32.const(0))
        with f.block() as done, f.loop() as again:
            last = f.let(index >= self._tuples, "last")
            if preserving:
                done.break_if(last & (matched | (index > self._tuples)))
            else:
                done.break_if(last)
            place = f.local(I32, "tuple")
            place.set(I32.const(0))
            with f.if_(last.is_zero()):
                place.set(load("i32.load", self._first + index * 4))
            index.set(index + 1)
            match = f.let(I32.const(1), "is_match")
            with f.if_(place):
                match.set(self._is_match(p, self._environment(env, place, None)))
            again.continue_if(match.is_zero())
            if kind is JoinKind.SINGLE:
                p.error_if(matched, "21000", "more than one row returned by a subquery used as an expression", None)
            matched.set(I32.const(1))
            null = f.let(place.is_zero(), "no_match") if preserving else None
            if kind is JoinKind.FULL:
                mark_matched(p, place, 0)
            self.next.row(p, self._environment(env, place, null))
            again.continue_()


def produce(context: Context, plan: NestedLoopJoin, consumer: Consumer, needed: frozenset[int]) -> None:
    read = needed | ids_of(plan.predicates)
    payload = tuple(column.id for column in output_of(plan.build) if column.id in read)
    build = _FullBuild(context, payload) if plan.kind is JoinKind.FULL else RowBuffer(context, payload)
    produce_plan(context, plan.build, RowCounter(build), frozenset(payload))
    columns: tuple[Column, ...] = ()
    if plan.kind is JoinKind.FULL:
        columns = tuple(column for column in output_of(plan) if column.id in needed)
        consumer = BothSides(columns, consumer)
    probe = _Probe(context, plan, build, consumer)
    set_finish(context, define(context, context.fresh("collect_build"), probe.finish_build))
    produce_plan(context, plan.probe, probe, read - frozenset(payload))
    if plan.kind is JoinKind.FULL:
        produce_unmatched(context, build, 0, payload, columns, 0, consumer)
