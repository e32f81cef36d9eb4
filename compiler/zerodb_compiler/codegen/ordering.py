"""Sorting tuples: a comparator made for the sort keys, and a stable merge sort of pointers.

`before(worker, a, b)` is 1 where tuple a must come before tuple b. The sort is bottom-up merge sort over runs of 8 that
insertion sort makes; it touches tuples only through the comparator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.comparison import compare
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.program import MorselSource
from zerodb_compiler.codegen.sqlvalues import SqlValue, with_null
from zerodb_compiler.codegen.tuples import TupleBuffer, TupleLayout, each_worker
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import I32, load

RUN = 8
ROWS_PER_MORSEL = 16_384


def collect_pointers(e: Emitter, buffer: TupleBuffer) -> tuple[I32, I32]:
    """(address of an array of i32 addresses of all workers' tuples, number of tuples), in locals. The array has room
    for one entry more."""
    f = e.f
    count = f.local(I32, "tuples")
    with each_worker(e, e.worker) as worker:
        count.set(count + load("i32.load", worker, buffer.field + buffer.COUNT))
    pointers = e.allocate(count * 4 + 16, abi.ALLOCATE_ARENA, "pointers")
    end = f.let(pointers, "pointers_end")
    with buffer.each_of_all(e) as place:
        f.store("i32.store", end, place)
        end.set(end + 4)
    return pointers, count


def define_before(context: Context, layout: TupleLayout, keys: Sequence[tuple[int, SortKey]]) -> FunctionRef:
    """before(worker, a, b) -> i32 over the fields whose places are given with the keys."""
    f = context.module.function(context.fresh("before"), [("worker", I32), ("a", I32), ("b", I32)], [I32])
    e = Emitter(context, f)
    _, a, b = f.parameters
    for place, key in keys:
        left, right = layout.read(a)[place], layout.read(b)[place]
        _order_nulls(e, left, right, key)
        both_null = None
        if left.null is not None:
            both_null = e.keep(left.null)
        with e.only_if(None if both_null is None else both_null.is_zero()):
            x, y = e.keep_value(with_null(left, None)), e.keep_value(with_null(right, None))
            first, second = (y, x) if key.descending else (x, y)
            f.return_if(compare(e, "lt", first, second), I32.const(1))
            f.return_if(compare(e, "lt", second, first), I32.const(0))
    f.return_(I32.const(0))
    return f.ref


def _order_nulls(e: Emitter, left: SqlValue, right: SqlValue, key: SortKey) -> None:
    """Returns if exactly one side is NULL."""
    if left.null is None or right.null is None:
        return
    f = e.f
    a, b = e.keep(left.null), e.keep(right.null)
    with f.if_(a != b):
        f.return_(a if key.nulls_first else b)


def define_sort(context: Context, before: FunctionRef) -> FunctionRef:
    """sort(worker, pointers, count) -> status: sorts an array of tuple addresses in place."""
    f = context.module.function(context.fresh("sort"), [("worker", I32), ("pointers", I32), ("count", I32)], [I32])
    e = Emitter(context, f)
    worker, pointers, count = f.parameters
    end = f.let(pointers + count * 4, "end")
    _insertion_runs(e, before, worker, pointers, end)
    f.return_if(count <= RUN, I32.const(abi.STATUS_OK))
    spare = e.allocate(count * 4 + 16, abi.ALLOCATE_ARENA, "spare")
    source, target = f.let(pointers, "source"), f.let(spare, "target")
    width = f.let(I32.const(RUN * 4), "width")
    size = f.let(count * 4, "size")
    with f.block() as sorted_, f.loop() as passes:
        sorted_.break_if(width.greater_equal_u(size))
        e.check_interrupt()
        _merge_pass(e, before, worker, source, target, size, width)
        swap = f.let(source)
        source.set(target)
        target.set(swap)
        width.set(width * 2)
        passes.continue_()
    with f.if_(source != pointers):
        f.memory_copy(pointers, source, size)
    f.return_(I32.const(abi.STATUS_OK))
    return f.ref


def _insertion_runs(e: Emitter, before: FunctionRef, worker: I32, pointers: I32, end: I32) -> None:
    f = e.f
    run = f.let(pointers, "run")
    with f.block() as done, f.loop() as runs:
        done.break_if(run.greater_equal_u(end))
        run_end = f.let(run + RUN * 4, "run_end")
        with f.if_(run_end.greater_u(end)):
            run_end.set(end)
        place = f.let(run + 4, "place")
        with f.block() as run_done, f.loop() as next_:
            run_done.break_if(place.greater_equal_u(run_end))
            item = f.let(load("i32.load", place), "item")
            hole = f.let(place, "hole")
            with f.block() as found, f.loop() as shift:
                found.break_if(hole == run)
                left = f.let(load("i32.load", hole - 4), "left")
                found.break_if(f.call(before, worker, item, left).is_zero())
                f.store("i32.store", hole, left)
                hole.set(hole - 4)
                shift.continue_()
            f.store("i32.store", hole, item)
            place.set(place + 4)
            next_.continue_()
        run.set(run + RUN * 4)
        runs.continue_()


def _merge_pass(e: Emitter, before: FunctionRef, worker: I32, source: I32, target: I32, size: I32, width: I32) -> None:
    """Merges neighbouring sorted runs of `width` bytes from source into target."""
    f = e.f

    def clipped(value: I32, name: str) -> I32:
        local = f.let(value, name)
        with f.if_(local.greater_u(size)):
            local.set(size)
        return local

    start = f.local(I32, "start")
    start.set(I32.const(0))
    with f.block() as done, f.loop() as runs:
        done.break_if(start.greater_equal_u(size))
        middle, stop = clipped(start + width, "middle"), clipped(start + width * 2, "stop")
        left, right, out = f.let(start, "left"), f.let(middle, "right"), f.let(target + start, "out")
        with f.block() as merged, f.loop() as step:
            merged.break_if((left.greater_equal_u(middle)) | (right.greater_equal_u(stop)))
            a, b = f.let(load("i32.load", source + left), "a"), f.let(load("i32.load", source + right), "b")
            with f.if_(f.call(before, worker, b, a)):
                f.store("i32.store", out, b)
                right.set(right + 4)
            with f.else_():
                f.store("i32.store", out, a)
                left.set(left + 4)
            out.set(out + 4)
            step.continue_()
        f.memory_copy(out, source + left, middle - left)
        f.memory_copy(out + (middle - left), source + right, stop - right)
        start.set(stop)
        runs.continue_()


class Readable(Protocol):
    def read(self, base: I32) -> tuple[SqlValue, ...]:
        """The values of the tuple at an address."""
        ...


class OrderedRows:
    """Query fields of a sorted array of tuple addresses, and the pipeline that reads it in order."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._first = context.query.reserve(4, 4)
        self._count = context.query.reserve(4, 4)
        self._morsels = context.query.reserve(4, 4)

    def publish(self, e: Emitter, pointers: I32, count: I32) -> None:
        e.set_query_i32(self._first, pointers)
        e.set_query_i32(self._count, count)
        e.set_query_i32(self._morsels, (count + (ROWS_PER_MORSEL - 1)).divide_u(ROWS_PER_MORSEL))

    def produce(self, layout: Readable, ids: Sequence[int], consumer: Consumer) -> None:
        def body(p: PipelineEmitter) -> None:
            f = p.f
            p.rows_bound = ROWS_PER_MORSEL
            index = f.let(p.morsel * ROWS_PER_MORSEL, "index")
            last = f.let(index + ROWS_PER_MORSEL, "last")
            count = f.let(p.query_i32(self._count), "count")
            with f.if_(last.greater_u(count)):
                last.set(count)
            first = f.let(p.query_i32(self._first), "pointers")
            consumer.begin(p)
            with p.row_loop(), f.count_up(index, last):
                place = f.let(load("i32.load", first + index * 4), "tuple")
                consumer.row(p, dict(zip(ids, layout.read(place), strict=False)))
            consumer.end(p)

        source = Source(MorselSource.COUNTER, "sorted rows", count_offset=self._morsels)
        open_pipeline(self._context, source, consumer, body)
