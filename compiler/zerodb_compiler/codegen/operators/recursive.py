"""WITH RECURSIVE: all rows found lie in one tuple buffer in the order they were found; the working table is a range of
it, so that nothing is copied between iterations (semi-naive evaluation).

    queue       where the step is one pipeline from the working table to the buffer (filters, projections, probes of
                joins whose other sides do not depend on the working table), it follows the end of the buffer: one call
                runs all iterations, and the other sides are built once
    iterations  otherwise the host runs the step's pipelines again and again (Program.loops): after each round `advance`
                makes the new rows the working table and zeroes the state that the step's operators left behind

A LIMIT right above ends the search when it has its rows, as endless recursions want.

UNION finds rows that were there before by the hash table of aggregation. Everything here runs on worker 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment
from zerodb_compiler.codegen.groups import HashGroups, States
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.limit import NO_LIMIT, count_of
from zerodb_compiler.codegen.operators.project import canonical, output_of
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline, set_finish
from zerodb_compiler.codegen.program import Loop, MorselSource
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.codegen.tuples import PAGE_HEADER, each_worker
from zerodb_compiler.plan import physical
from zerodb_compiler.plan.logical import JoinKind
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.wasm.values import I32, I64, load, select

_NAME = "add to recursion"


@dataclass(slots=True)
class _Range:
    """Query fields: where the working table begins and ends, as page and tuple; whether it has rows."""

    start_page: int
    start: int
    end_page: int
    end: int
    has_rows: int


class Recursion:
    """The sink of the base and of the step."""

    def __init__(self, context: Context, plan: physical.Recursive) -> None:
        self._context, self._plan = context, plan
        self.columns = plan.columns
        self.is_queue = is_queue(plan.step)
        self.rows = RowBuffer(context, tuple(column.id for column in plan.columns))
        self.range = _Range(*(context.query.reserve(4, 4) for _ in range(5)))
        self._known: HashGroups | None = None
        self._known_fields = context.worker.reserve(HashGroups.FIELD_BYTES, 4)
        self.sources: tuple[Column, ...] = ()
        self._added = None if plan.count is None else context.query.reserve(8)  # rows, counted for a LIMIT
        self._most: I64

    def describe(self) -> list[str]:
        return [_NAME]

    def begin(self, p: PipelineEmitter) -> None:
        self._table = HashGroups.open_table(p, self._known_fields)
        if self._plan.count is not None:
            offset = count_of(p, self._plan.offset, 0, "2201X", "OFFSET")
            self._most = offset + count_of(p, self._plan.count, NO_LIMIT, "2201W", "LIMIT")
            self._most = p.f.let(select(self._most < 0, I64.const(NO_LIMIT), self._most), "most")

    def end(self, p: PipelineEmitter) -> None:
        del p

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        p.f.comment("recursion: a row")
        values = [
            p.keep_value(canonical(p, env[source.id], column))
            for source, column in zip(self.sources, self.columns, strict=True)
        ]
        if self._added is None:
            self._add(p, values)
        else:
            with p.f.if_(self._seen(p, self._added) < self._most):
                self._add(p, values)

    def _seen(self, p: PipelineEmitter, field: int) -> I64:
        return load("i64.load", p.query, field)

    def _append(self, p: PipelineEmitter, values: list[SqlValue]) -> None:
        self.rows.append(p, values)
        if self._added is not None:
            p.f.store("i64.store", p.query, self._seen(p, self._added) + 1, self._added)

    def _add(self, p: PipelineEmitter, values: list[SqlValue]) -> None:
        if not self._plan.distinct:
            self._append(p, values)
            return
        if self._known is None:
            self._known = HashGroups(
                self._context, (), values, States(self._context, (), ()), self._known_fields, self._plan.rows
            )
        count = self._known_fields + HashGroups.COUNT
        before = p.f.let(p.worker_i32(count), "known_before")
        self._known.find(p, values, self._table)
        with p.f.if_(p.worker_i32(count) != before):
            self._append(p, values)

    # --- the working table ----------------------------------------
    def each_working(self, p: PipelineEmitter, consumer: Consumer, ids: tuple[int, ...]) -> None:
        """The loop over the working table; as a queue, up to wherever the buffer ends by then."""
        f, buffer = p.f, self.rows.buffer
        assert buffer is not None and self.rows.layout is not None
        page = f.let(p.query_i32(self.range.start_page), "page")
        place = f.let(p.query_i32(self.range.start), "tuple")
        last_page = f.let(p.query_i32(self.range.end_page), "last_page")
        last = f.let(p.query_i32(self.range.end), "last")
        consumer.begin(p)
        with p.row_loop(), f.block() as done, f.loop() as again:
            if self.is_queue:
                p.check_interrupt()
                last_page.set(p.worker_i32(buffer.field + buffer.CURRENT))
                last.set(p.worker_i32(buffer.field + buffer.POSITION))
            done.break_if(page.is_zero())
            if self._added is not None:
                done.break_if(self._seen(p, self._added) >= self._most)
            with f.if_(page == last_page):
                done.break_if(place.greater_equal_u(last))
            with f.else_(), f.if_(place.greater_equal_u(load("i32.load", page, 4))):
                page.set(load("i32.load", page))
                place.set(page + PAGE_HEADER)
                again.continue_()
            tuple_ = f.let(place, "working")
            place.set(place + buffer.size)
            consumer.row(p, dict(zip(ids, self.rows.layout.read(tuple_), strict=True)))
            again.continue_()
        consumer.end(p)

    def first_range(self, e: Emitter) -> None:
        """After the base: all rows so far are the working table."""
        buffer = self.rows.buffer
        assert buffer is not None
        first = e.f.let(e.worker_i32(buffer.field + buffer.FIRST), "first")
        e.set_query_i32(self.range.start_page, first)
        e.set_query_i32(self.range.start, first + PAGE_HEADER)
        self._to_end(e, e.worker_i32(buffer.field + buffer.COUNT) != 0)

    def advance(self, e: Emitter) -> None:
        """After a round: what it added is the working table."""
        buffer = self.rows.buffer
        assert buffer is not None
        end = e.f.let(e.query_i32(self.range.end), "end")
        e.set_query_i32(self.range.start_page, e.query_i32(self.range.end_page))
        e.set_query_i32(self.range.start, end)
        # A new page begins at another place, and a page is never left without a tuple more.
        self._to_end(e, e.worker_i32(buffer.field + buffer.POSITION) != end)

    def _to_end(self, e: Emitter, has_rows: I32) -> None:
        buffer = self.rows.buffer
        assert buffer is not None
        e.set_query_i32(self.range.has_rows, has_rows)
        e.set_query_i32(self.range.end_page, e.worker_i32(buffer.field + buffer.CURRENT))
        e.set_query_i32(self.range.end, e.worker_i32(buffer.field + buffer.POSITION))


def is_queue(step: physical.PhysicalPlan) -> bool:
    """Whether the step takes the working table row by row, and nothing else in it depends on that table."""
    match step:
        case physical.CommonScan(working=True):
            return True
        case physical.Filter(input=input_) | physical.Project(input=input_) | physical.Repeat(input=input_):
            return is_queue(input_)
        case physical.HashJoin(kind=kind) | physical.NestedLoopJoin(kind=kind) if kind is JoinKind.FULL:
            return False
        case (
            physical.HashJoin(build=build, probe=probe)
            | physical.NestedLoopJoin(build=build, probe=probe)
            | physical.MarkJoin(build=build, probe=probe)
        ):
            return is_queue(probe) and not reads_working(build)
    return False


def reads_working(plan: physical.PhysicalPlan) -> bool:
    from zerodb_compiler.plan.format import physical_inputs

    if isinstance(plan, physical.CommonScan):
        return plan.working
    return any(reads_working(part) for _, part in physical_inputs(plan))


def produce(context: Context, plan: physical.Recursive, consumer: Consumer, needed: frozenset[int]) -> None:
    del needed
    recursion = Recursion(context, plan)
    recursion.sources = output_of(plan.base)
    wanted = frozenset(column.id for column in recursion.sources)
    first = len(context.pipelines)
    produce_plan(context, plan.base, recursion, wanted)
    set_finish(context, define(context, context.fresh("first_rows"), recursion.first_range))
    _on_one_worker(context, first)
    outer = context.recursions.get(plan.common)
    context.recursions[plan.common] = recursion
    recursion.sources = output_of(plan.step)
    first = len(context.pipelines)
    marks = context.query.size, context.worker.size
    produce_plan(context, plan.step, recursion, frozenset(column.id for column in recursion.sources))
    _on_one_worker(context, first)
    if not recursion.is_queue:
        ranges = context.query.state_since(marks[0]), context.worker.state_since(marks[1])

        def finish(e: Emitter) -> None:
            recursion.advance(e)
            _zero(e, *ranges)

        set_finish(context, define(context, context.fresh("advance"), finish))
        context.loops.append(Loop(first, len(context.pipelines) - 1, recursion.range.has_rows))
    if outer is not None:
        context.recursions[plan.common] = outer
    recursion.rows.ids = tuple(column.id for column in plan.columns)
    recursion.rows.produce(consumer)


def _on_one_worker(context: Context, first: int) -> None:
    for i in range(first, len(context.pipelines)):
        if _NAME in context.pipelines[i].description:
            context.pipelines[i] = replace(context.pipelines[i], parallel=False)


def _zero(e: Emitter, query: list[tuple[int, int]], worker: list[tuple[int, int]]) -> None:
    """The state of the step's operators, as it was before the first round."""
    for start, end in query:
        e.f.memory_fill(e.query + start, 0, I32.const(end - start))
    with each_worker(e, e.worker) as block:
        for start, end in worker:
            e.f.memory_fill(block + start, 0, I32.const(end - start))


def produce_working(context: Context, plan: physical.CommonScan, consumer: Consumer, needed: frozenset[int]) -> None:
    del needed
    recursion = context.recursions[plan.common]
    assert isinstance(recursion, Recursion)
    ids = tuple(column.id for column in plan.columns)
    source = Source(MorselSource.SINGLE, "working table", parallel=False)
    open_pipeline(context, source, consumer, lambda p: recursion.each_working(p, consumer, ids))
