"""Top-N: each worker keeps the best rows so far in a heap whose root is the worst of them.

Worker fields: address of the heap's pointers, number of tuples, room of the pointers, the candidate tuple.
A row is written to the candidate; only if it enters the heap is it copied, with its texts. Finally all heaps are sorted
together.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.limit import count_of
from zerodb_compiler.codegen.operators.project import ids_of
from zerodb_compiler.codegen.operators.sort import SortedTuple
from zerodb_compiler.codegen.ordering import OrderedRows, define_before, define_sort
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, RowCounter, set_finish
from zerodb_compiler.codegen.sort_prefix import define_prefix_sort
from zerodb_compiler.codegen.sqlvalues import with_null
from zerodb_compiler.codegen.tuples import TupleLayout, each_worker
from zerodb_compiler.kernels import memory
from zerodb_compiler.plan.physical import TopN
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import I32, I64, load, select

HEAP, COUNT, ROOM, CANDIDATE = 0, 4, 8, 12
_FIELD_BYTES = 16
_FIRST_ROOM = 64
_MOST_ROWS = 1 << 30


class _Sink:
    def __init__(self, context: Context, plan: TopN, content: SortedTuple) -> None:
        self._context, self._plan, self._content = context, plan, content
        self.field = context.worker.reserve(_FIELD_BYTES, 4)
        self.layout: TupleLayout | None = None

    def describe(self) -> list[str]:
        return ["top n"]

    def begin(self, p: PipelineEmitter) -> None:
        """Rows wanted: count + offset, at most 2**30."""
        self._wanted = p.f.let(self._rows_wanted(p).to_i32(), "wanted")
        self._candidate = p.f.let(p.worker_i32(self.field + CANDIDATE), "candidate")

    def _rows_wanted(self, e: Emitter) -> I64:
        count = count_of(e, self._plan.count, _MOST_ROWS, "2201W", "LIMIT")
        offset = count_of(e, self._plan.offset, 0, "2201X", "OFFSET")
        for number in (count, offset):
            number.set(select(number > _MOST_ROWS, I64.const(_MOST_ROWS), number))  # type: ignore[attr-defined]
        total = e.f.let(count + offset)
        total.set(select(total > _MOST_ROWS, I64.const(_MOST_ROWS), total))
        return total

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        f.comment("top n: offer a row to the heap")
        values = self._content.values(p, env)
        if self.layout is None:
            self.layout = TupleLayout(values)
            self.before = define_before(self._context, self.layout, self._content.places)
            self._offer = self._define_offer()
        with f.if_(self._candidate.is_zero()):
            size = I32.const(self.layout.size)
            self._candidate.set(f.call(p.context.kernel(memory.arena_allocate), p.worker, size))
            p.fail_if(self._candidate.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            p.set_worker_i32(self.field + CANDIDATE, self._candidate)
        fitted = [
            with_null(value, I32.const(0)) if item.null_offset is not None and value.null is None else value
            for value, item in zip(values, self.layout.fields, strict=True)
        ]
        self.layout.write(p, self._candidate, fitted, own_text=False)
        p.check_status(f.call(self._offer, p.worker, self._wanted))

    def end(self, p: PipelineEmitter) -> None:
        del p

    def _define_offer(self) -> FunctionRef:
        """offer(worker, wanted) -> status: takes the candidate into the heap if it belongs there."""
        f = self._context.module.function(self._context.fresh("offer"), [("worker", I32), ("wanted", I32)], [I32])
        e = Emitter(self._context, f)
        worker, wanted = f.parameters
        candidate = f.let(e.worker_i32(self.field + CANDIDATE), "candidate")
        count = f.let(e.worker_i32(self.field + COUNT), "count")
        heap = f.let(e.worker_i32(self.field + HEAP), "heap")
        with f.if_(count.less_u(wanted)):
            self._add(e, worker, candidate, count, heap)
            f.return_(I32.const(abi.STATUS_OK))
        f.return_if(wanted.is_zero(), I32.const(abi.STATUS_OK))
        root = f.let(load("i32.load", heap), "root")
        with f.if_(f.call(self.before, worker, candidate, root)):
            self._copy(e, root, candidate)
            self._sift_down(e, worker, heap, count, root)
        f.return_(I32.const(abi.STATUS_OK))
        return f.ref

    def _copy(self, e: Emitter, target: I32, candidate: I32) -> None:
        assert self.layout is not None
        e.f.memory_copy(target, candidate, I32.const(self.layout.size))
        self.layout.own_texts(e, target)

    def _add(self, e: Emitter, worker: I32, candidate: I32, count: I32, heap: I32) -> None:
        f = e.f
        assert self.layout is not None
        allocate = e.context.kernel(memory.arena_allocate)
        room = f.let(e.worker_i32(self.field + ROOM), "room")
        with f.if_(count == room):
            room.set(select(room.is_zero(), I32.const(_FIRST_ROOM), room * 2))
            larger = f.let(f.call(allocate, worker, room * 4), "larger")
            e.fail_if(larger.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            f.memory_copy(larger, heap, count * 4)
            heap.set(larger)  # type: ignore[attr-defined]
            e.set_worker_i32(self.field + HEAP, heap)
            e.set_worker_i32(self.field + ROOM, room)
        place = f.let(f.call(allocate, worker, I32.const(self.layout.size)), "tuple")
        e.fail_if(place.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        self._copy(e, place, candidate)
        e.set_worker_i32(self.field + COUNT, count + 1)
        index = f.let(count, "index")
        with f.block() as done, f.loop() as up:
            done.break_if(index.is_zero())
            parent = f.let((index - 1).shift_right_u(1), "parent")
            above = f.let(load("i32.load", heap + parent * 4), "above")
            # The later one of the order belongs nearer to the root.
            done.break_if(f.call(self.before, worker, above, place).is_zero())
            f.store("i32.store", heap + index * 4, above)
            index.set(parent)
            up.continue_()
        f.store("i32.store", heap + index * 4, place)

    def _sift_down(self, e: Emitter, worker: I32, heap: I32, count: I32, place: I32) -> None:
        f = e.f
        index = f.local(I32, "index")
        index.set(I32.const(0))
        with f.block() as done, f.loop() as down:
            child = f.let(index * 2 + 1, "child")
            done.break_if(child.greater_equal_u(count))
            below = f.let(load("i32.load", heap + child * 4), "below")
            with f.if_((child + 1).less_u(count)):
                other = f.let(load("i32.load", heap + child * 4, 4), "other")
                with f.if_(f.call(self.before, worker, below, other)):
                    child.set(child + 1)
                    below.set(other)
            done.break_if(f.call(self.before, worker, place, below).is_zero())
            f.store("i32.store", heap + index * 4, below)
            index.set(child)
            down.continue_()
        f.store("i32.store", heap + index * 4, place)

    def finish(self, e: Emitter, sort: FunctionRef, rows: OrderedRows) -> None:
        """Sorts all workers' heaps together and publishes the part after OFFSET."""
        f = e.f
        total = f.local(I32, "total")
        with each_worker(e, e.worker) as worker:
            total.set(total + load("i32.load", worker, self.field + COUNT))
        pointers = e.allocate(total * 4 + 16, abi.ALLOCATE_ARENA, "pointers")
        end = f.let(pointers, "end")
        with each_worker(e, e.worker) as worker:
            bytes_ = f.let(load("i32.load", worker, self.field + COUNT) * 4, "bytes")
            f.memory_copy(end, load("i32.load", worker, self.field + HEAP), bytes_)
            end.set(end + bytes_)
        e.check_status(f.call(sort, e.worker, pointers, total))
        wanted = self._rows_wanted(e).to_i32()
        with f.if_(total.greater_u(wanted)):
            total.set(wanted)
        offset = count_of(e, self._plan.offset, 0, "2201X", "OFFSET")
        skip = f.let(select(offset > total.to_i64_u(), total.to_i64_u(), offset).to_i32(), "skip")
        rows.publish(e, pointers + skip * 4, total - skip)


def produce(context: Context, plan: TopN, consumer: Consumer, needed: frozenset[int]) -> None:
    content = SortedTuple(plan.keys, needed)
    sink = _Sink(context, plan, content)
    produce_plan(context, plan.input, RowCounter(sink), needed | ids_of(tuple(key.expression for key in plan.keys)))
    assert sink.layout is not None
    sort = define_prefix_sort(context, sink.layout, content.places, define_sort(context, sink.before))
    rows = OrderedRows(context)
    set_finish(context, define(context, context.fresh("sort_top"), lambda e: sink.finish(e, sort, rows)))
    rows.produce(sink.layout, content.ids, consumer)
