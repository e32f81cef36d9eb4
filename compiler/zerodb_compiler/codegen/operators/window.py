"""Window functions: all rows are kept as tuples; their addresses are sorted for each group of windows that can share a
sort, and each window's partitions are walked in that order. Results are written into the tuples, which are then the
source of the next pipeline, in the order of the last sort.

Limit: sorting and walking are done by the first worker alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.ordering import OrderedRows, collect_pointers, define_before, define_sort
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, RowCounter, set_finish
from zerodb_compiler.codegen.sort_prefix import define_prefix_sort
from zerodb_compiler.codegen.windows.aggregates import FrameAggregates
from zerodb_compiler.codegen.windows.frames import FrameEmitter, frame_offset, is_running, needs_peers, simplified
from zerodb_compiler.codegen.windows.functions import PEERS, Buckets, offset_row, rank_row, value_row
from zerodb_compiler.codegen.windows.partition import Partition, define_groups, define_same
from zerodb_compiler.codegen.windows.tuples import WindowTuple
from zerodb_compiler.plan.physical import Window, WindowRun
from zerodb_compiler.plan.transform import ids_of, ids_of_all
from zerodb_compiler.plan.windows import (
    Frame,
    WindowCall,
    WindowItem,
    WindowSpec,
    bounds_of,
    spec_expressions,
)
from zerodb_compiler.sql.expressions import AggregateCall
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import I32, load


class _Sink:
    def __init__(self, content: WindowTuple) -> None:
        self._content = content

    def describe(self) -> list[str]:
        return [f"window: {', '.join(item.call.function for item in self._content.items)}"]

    def begin(self, p: PipelineEmitter) -> None:
        del p

    def end(self, p: PipelineEmitter) -> None:
        del p

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        p.f.comment("window: keep a row")
        self._content.append(p, env)


def produce(context: Context, plan: Window, consumer: Consumer, needed: frozenset[int]) -> None:
    content = WindowTuple(context, plan, needed)
    computed = {item.column.id for item in content.items}
    below = (needed - computed) | ids_of_all(
        part for run in plan.runs for spec in run.specs for part in spec_expressions(spec)
    )
    produce_plan(context, plan.input, RowCounter(_Sink(content)), frozenset(below))
    steps = [(_define_run_sort(context, content, run), _spec_functions(context, content, run)) for run in plan.runs]
    rows = OrderedRows(context)

    def finish(e: Emitter) -> None:
        assert content.buffer is not None
        pointers, count = collect_pointers(e, content.buffer)
        for sort, walks in steps:
            if sort is not None:
                e.check_status(e.f.call(sort, e.worker, pointers, count))
            for walk in walks:
                e.check_status(e.f.call(walk, e.worker, pointers, count))
        rows.publish(e, pointers, count)

    set_finish(context, define(context, context.fresh("windows"), finish))
    rows.produce(content, content.ids, consumer)


def _define_run_sort(context: Context, content: WindowTuple, run: WindowRun) -> FunctionRef | None:
    places = content.places(run.keys)
    if not places:
        return None
    assert content.layout is not None
    by_comparison = define_sort(context, define_before(context, content.layout, places))
    return define_prefix_sort(context, content.layout, places, by_comparison)


def _spec_functions(context: Context, content: WindowTuple, run: WindowRun) -> list[FunctionRef]:
    return [_define_walk(context, content, spec) for spec in run.specs]


def _define_walk(context: Context, content: WindowTuple, spec: WindowSpec) -> FunctionRef:
    """walk(worker, pointers, count) -> status: evaluates a window's functions, partition by partition."""
    layout = content.layout
    assert layout is not None
    partition = [content.place(part) for part in spec.partition if ids_of(part)]
    order = [content.place(key.expression) for key in spec.order if ids_of(key.expression)]
    parts, peers = _define_parts(context, content, spec)
    same = define_same(context, layout, partition, "same_partition") if partition else None
    groups_of = define_groups(context, define_same(context, layout, order, "peers")) if peers else None
    f = context.module.function(
        context.fresh("walk_window"), [("worker", I32), ("pointers", I32), ("count", I32)], [I32]
    )
    e = Emitter(context, f)
    worker, pointers, count = f.parameters
    _check_offsets(e, spec, count)
    groups, group_count = f.local(I32, "groups"), f.local(I32, "group_count")
    if peers:
        groups.set(e.allocate(count * 4 + 16, abi.ALLOCATE_ARENA, "groups"))
    start = f.let(I32.const(0), "start")
    with f.block() as done, f.loop() as partitions:
        done.break_if(start >= count)
        e.check_interrupt()
        end = _partition_end(e, same, pointers, start, count)
        rows, size = f.let(pointers + start * 4, "rows"), f.let(end - start, "size")
        if groups_of is not None:
            group_count.set(f.call(groups_of, worker, rows, size, groups))
        for part in parts:
            e.check_status(f.call(part, worker, rows, size, groups, group_count))
        start.set(end)
        partitions.continue_()
    f.return_(I32.const(abi.STATUS_OK))
    return f.ref


def _check_offsets(e: Emitter, spec: WindowSpec, count: I32) -> None:
    """Wrong offsets are errors also where there is no row; where there are some, each partition checks."""
    frames = {item.frame: None for item in spec.items if item.frame is not None}
    bounds = [
        (frame, bound)
        for frame in frames
        for bound in bounds_of(frame)
        if bound.offset is not None and not ids_of(bound.offset)
    ]
    if bounds:
        with e.f.if_(count.is_zero()):
            for frame, bound in bounds:
                name = "starting" if bound is frame.start else "ending"
                frame_offset(e, frame, bound, name, read=lambda offset: evaluate(e, offset, {}), without_rows=True)


def _partition_end(e: Emitter, same: FunctionRef | None, pointers: I32, start: I32, count: I32) -> I32:
    f = e.f
    if same is None:
        return count
    end, first = f.let(start + 1, "end"), f.let(load("i32.load", pointers + start * 4), "first")
    with f.block() as found, f.loop() as again:
        found.break_if(end >= count)
        found.break_if(f.call(same, e.worker, first, load("i32.load", pointers + end * 4)).is_zero())
        end.set(end + 1)
        again.continue_()
    return end


def _define_parts(context: Context, content: WindowTuple, spec: WindowSpec) -> tuple[list[FunctionRef], bool]:
    """A function for each frame of the window's functions, and whether any needs the peer groups."""
    frames: dict[Frame | None, list[WindowItem]] = {}
    for item in spec.items:
        frames.setdefault(simplified(item.frame, spec.order), []).append(item)
    parts, any_peers = [], False
    for frame, items in frames.items():
        if frame is None:
            peers = any(isinstance(item.call, WindowCall) and item.call.function in PEERS for item in items)
            parts.append(_define_ranks(context, content, items, peers))
        else:
            peers = needs_peers(frame)
            parts.append(_define_framed(context, content, spec, frame, items, peers))
        any_peers |= peers
    return parts, any_peers


def _define_ranks(context: Context, content: WindowTuple, items: Sequence[WindowItem], peers: bool) -> FunctionRef:
    p = Partition(context, "window_ranks")
    buckets = {item: Buckets(p, content, item) for item in items if item.call.function == "ntile"}
    with p.each_row(peers=peers):
        for item in items:
            if item in buckets:
                buckets[item].row(p)
            elif item.call.function in ("lag", "lead"):
                offset_row(p, content, item)
            else:
                rank_row(p, content, item)
    return p.finish()


def _define_framed(
    context: Context, content: WindowTuple, spec: WindowSpec, frame: Frame, items: Sequence[WindowItem], peers: bool
) -> FunctionRef:
    calls = [item for item in items if isinstance(item.call, AggregateCall)]
    aggregates = FrameAggregates(context, content, calls) if calls else None
    p = Partition(context, "window_frame")
    bounds = FrameEmitter(p, frame, spec.order, content)
    if aggregates is not None:
        aggregates.begin(p, running=is_running(frame))
    with p.each_row(peers=peers):
        ranges = bounds.ranges()
        if aggregates is not None:
            aggregates.row(p, ranges)
        for item in items:
            if isinstance(item.call, WindowCall):
                value_row(p, content, item, ranges)
    return p.finish()
