"""Aggregates over frames.

    running    frames that only ever grow at their end (from UNBOUNDED PRECEDING, nothing excluded): one state goes on
    sliding    everything else: the state of each frame is made anew, from at most SHORT rows one by one, from more by
               a tree over the partition (Leis, Kundhikanjana, Kemper, Neumann, "Efficient Processing of Window
               Functions in Analytical SQL Queries", VLDB 2015)

The tree has FAN rows below each node of its first level and FAN nodes below each other one; a node holds the merged
states of what is below it, so a frame of any size takes at most 2 * FAN steps a level. States are merged in the order
of the rows and never taken back: what left a frame (an infinity, a NaN, a large float) leaves no trace.

A tree is built for a partition when its first frame asks for it. Its descriptor: 1 once it is built, then the address
of the nodes of each level from 1 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.accumulators import Accumulator, argument_of, parts_of
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.windows.frames import Range
from zerodb_compiler.codegen.windows.partition import Partition
from zerodb_compiler.codegen.windows.tuples import WindowTuple
from zerodb_compiler.kernels import memory
from zerodb_compiler.plan.windows import WindowItem
from zerodb_compiler.sql.expressions import AggregateCall
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import I32, load

FAN_BITS = 4
FAN = 1 << FAN_BITS
SHORT = 2 * FAN
_DESCRIPTOR_BYTES = 48  # levels up to 2**30 rows, and room
_OK = I32.const(abi.STATUS_OK)


@dataclass(frozen=True, slots=True)
class _Placed:
    item: WindowItem
    state: Accumulator
    offset: int


class FrameAggregates:
    """The aggregates that share a frame: their states lie one after the other."""

    def __init__(self, context: Context, content: WindowTuple, items: Sequence[WindowItem]) -> None:
        self._context, self._content = context, content
        offset, placed = 0, []
        for item in items:
            state = content.accumulators[item.column.id]
            placed.append(_Placed(item, state, offset))
            offset += state.size
        self._placed, self._size = tuple(placed), offset
        self._update = self._define_update()

    # --- emitted into a part ----------------------------------------
    def begin(self, p: Partition, *, running: bool) -> None:
        """Before the loop over the rows."""
        f = p.f
        allocate = p.context.kernel(memory.arena_allocate)
        self._running = running
        extra = 0 if running else _DESCRIPTOR_BYTES
        self._state = f.let(f.call(allocate, p.worker, I32.const(self._size + extra)), "state")
        p.fail_if(self._state.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        f.memory_fill(self._state, 0, I32.const(self._size + extra))
        if running:
            self._done = f.local(I32, "done")
        else:
            self._range = self._define_range()
            self._last: Range = (f.let(I32.const(-1), "last_start"), f.let(I32.const(-1), "last_end"))

    def row(self, p: Partition, ranges: Sequence[Range]) -> None:
        """The results for the current row."""
        if self._running:
            self._go_on(p, ranges[0][1])
        elif len(ranges) == 1:
            start, end = ranges[0]
            with p.f.if_((start != self._last[0]) | (end != self._last[1])):  # peers share a frame
                self._anew(p, ranges)
                self._last[0].set(start)
                self._last[1].set(end)
        else:
            self._anew(p, ranges)
        for placed in self._placed:
            value = p.keep_value(placed.state.result(p, self._state, placed.offset))
            self._content.set_result(p, p.tuple, placed.item, value)

    def _go_on(self, p: Partition, end: I32) -> None:
        with p.f.count_up(self._done, end):
            p.check_status(p.f.call(self._update, p.worker, self._state, p.row(self._done)))

    def _anew(self, p: Partition, ranges: Sequence[Range]) -> None:
        f = p.f
        f.memory_fill(self._state, 0, I32.const(self._size))
        for start, end in ranges:
            tree = self._state + self._size
            p.check_status(f.call(self._range, p.worker, self._state, p.rows, p.count, start, end, tree))

    # --- functions ----------------------------------------
    def _define_update(self) -> FunctionRef:
        """update(worker, state, tuple) -> status: takes one row in."""
        f = self._context.module.function(
            self._context.fresh("window_update"), [("worker", I32), ("state", I32), ("tuple", I32)], [I32]
        )
        e = Emitter(self._context, f)
        _, state, tuple_ = f.parameters
        for placed in self._placed:
            call = placed.item.call
            assert isinstance(call, AggregateCall)
            values = [e.keep_value(self._content.argument(e, part, tuple_)) for part in parts_of(call)]
            placed.state.update(e, state, placed.offset, argument_of(values))
        f.return_(_OK)
        return f.ref

    def _define_merge(self) -> FunctionRef:
        """merge(worker, state, other) -> status"""
        f = self._context.module.function(
            self._context.fresh("window_merge"), [("worker", I32), ("state", I32), ("other", I32)], [I32]
        )
        e = Emitter(self._context, f)
        _, state, other = f.parameters
        for placed in self._placed:
            placed.state.merge(e, state, placed.offset, other)
        f.return_(_OK)
        return f.ref

    def _define_range(self) -> FunctionRef:
        """range(worker, state, rows, count, start, end, tree) -> status: takes rows start ... end - 1 in."""
        names = ("worker", "state", "rows", "count", "start", "end", "tree")
        merge = self._define_merge()
        build, nodes = self._define_build(merge), self._define_nodes(merge)
        f = self._context.module.function(self._context.fresh("window_range"), [(name, I32) for name in names], [I32])
        e = Emitter(self._context, f)
        worker, state, rows, count, start, end, tree = f.parameters
        with f.if_(end - start <= SHORT):
            f.return_(f.call(nodes, worker, state, rows, tree, I32.const(0), start, end))
        with f.if_(load("i32.load", tree).is_zero()):
            e.check_status(f.call(build, worker, rows, count, tree))
        level, first, last = f.let(I32.const(0), "level"), f.let(start, "first"), f.let(end, "last")

        def take(from_: I32, to: I32) -> None:
            e.check_status(f.call(nodes, worker, state, rows, tree, level, from_, to))

        f.comment("up: the nodes left of the first whole parent, level by level")
        with f.block() as top, f.loop() as up:
            stop = f.let((first + (FAN - 1)) & -FAN, "stop")
            with f.if_(stop > last):
                stop.set(last)
            take(first, stop)
            first.set(stop)
            top.break_if(first >= last)
            with f.if_((last >> FAN_BITS) <= (first >> FAN_BITS)):
                take(first, last)
                top.break_()
            first.set(first >> FAN_BITS)
            last.set(last >> FAN_BITS)
            level.set(level + 1)
            up.continue_()
        f.comment("down: the nodes right of the last whole parent")
        with f.block() as bottom, f.loop() as down:
            bottom.break_if(level.is_zero())
            level.set(level - 1)
            last.set(end >> (level * FAN_BITS))
            take(last & -FAN, last)
            down.continue_()
        f.return_(_OK)
        return f.ref

    def _define_nodes(self, merge: FunctionRef) -> FunctionRef:
        """nodes(worker, state, rows, tree, level, start, end) -> status: takes nodes of a level (0: rows) in."""
        names = ("worker", "state", "rows", "tree", "level", "start", "end")
        f = self._context.module.function(self._context.fresh("window_nodes"), [(name, I32) for name in names], [I32])
        e = Emitter(self._context, f)
        worker, state, rows, tree, level, start, end = f.parameters
        index = f.let(start, "index")
        with f.if_(level):
            base = f.let(load("i32.load", tree + level * 4), "base")
            with f.count_up(index, end):
                e.check_status(f.call(merge, worker, state, base + index * self._size))
            f.return_(_OK)
        with f.count_up(index, end):
            e.check_status(f.call(self._update, worker, state, load("i32.load", rows + index * 4)))
        f.return_(_OK)
        return f.ref

    def _define_build(self, merge: FunctionRef) -> FunctionRef:
        """build(worker, rows, count, tree) -> status: all levels of the tree over a partition."""
        names = ("worker", "rows", "count", "tree")
        f = self._context.module.function(self._context.fresh("window_tree"), [(name, I32) for name in names], [I32])
        e = Emitter(self._context, f)
        worker, rows, count, tree = f.parameters
        level, below = f.let(I32.const(1), "level"), f.let(count, "below")
        base, index = f.local(I32, "below_base"), f.local(I32, "index")
        f.store("i32.store", tree, I32.const(1))
        with f.block() as done, f.loop() as levels:
            done.break_if(below < FAN)
            e.check_interrupt()
            size = f.let(((below + (FAN - 1)) >> FAN_BITS) * self._size, "bytes")
            nodes = f.let(f.call(e.context.kernel(memory.arena_allocate), worker, size), "nodes")
            e.fail_if(nodes.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            f.memory_fill(nodes, 0, size)
            index.set(I32.const(0))
            with f.count_up(index, below):
                node = f.let(nodes + (index >> FAN_BITS) * self._size, "node")
                with f.if_(base):
                    e.check_status(f.call(merge, worker, node, base + index * self._size))
                with f.else_():
                    e.check_status(f.call(self._update, worker, node, load("i32.load", rows + index * 4)))
            f.store("i32.store", tree + level * 4, nodes)
            base.set(nodes)
            below.set((below + (FAN - 1)) >> FAN_BITS)
            level.set(level + 1)
            levels.continue_()
        f.return_(_OK)
        return f.ref
