"""A partition being walked, and its peer groups (rows that are equal in the window's order).

A part of the evaluation is a function (worker, rows, count, groups, group_count) -> status: `rows` is an array of tuple
addresses in order, `groups` holds the number of the first row of every peer group and, behind them, the row count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.comparison import equal_or_both_null
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.tuples import TupleLayout
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import I32, load

_PARAMETERS = [("worker", I32), ("rows", I32), ("count", I32), ("groups", I32), ("group_count", I32)]
_INTERRUPT_MASK = 1023


class Partition(Emitter):
    """Emits a part; within `each_row`, `index` is the row's number and `group_start`, `group_end` its peers."""

    def __init__(self, context: Context, name: str) -> None:
        super().__init__(context, context.module.function(context.fresh(name), _PARAMETERS, [I32]))
        _, self.rows, self.count, self.groups, self.group_count = self.f.parameters
        self.index: Any = self.f.local(I32, "index")
        self.group: Any = self.f.local(I32, "group")
        self.group_start: Any = self.f.local(I32, "group_start")
        self.group_end: Any = self.f.local(I32, "group_end")
        self.tuple: Any = self.f.local(I32, "tuple")

    def row(self, index: I32) -> I32:
        """Address of a row's tuple."""
        return load("i32.load", self.rows + index * 4)

    def group_first(self, group: I32) -> I32:
        return load("i32.load", self.groups + group * 4)

    @contextmanager
    def each_row(self, *, peers: bool) -> Iterator[None]:
        f = self.f
        self.group.set(I32.const(-1))
        with f.count_up(self.index, self.count):
            with f.if_((self.index & _INTERRUPT_MASK).is_zero()):
                self.check_interrupt()
            if peers:
                with f.if_(self.index >= self.group_end):
                    self.group.set(self.group + 1)
                    self.group_start.set(self.index)
                    self.group_end.set(self.group_first(self.group + 1))
            self.tuple.set(self.row(self.index))
            yield

    def finish(self) -> FunctionRef:
        self.f.return_(I32.const(abi.STATUS_OK))
        return self.f.ref


def define_same(context: Context, layout: TupleLayout, places: Sequence[int], name: str) -> FunctionRef:
    """same(worker, a, b) -> i32: whether two tuples are equal in those fields, NULL being equal to NULL."""
    f = context.module.function(context.fresh(name), [("worker", I32), ("a", I32), ("b", I32)], [I32])
    e = Emitter(context, f)
    _, a, b = f.parameters
    for place in places:
        left, right = e.keep_value(layout.read(a)[place]), e.keep_value(layout.read(b)[place])
        f.return_if(equal_or_both_null(e, left, right).is_zero(), I32.const(0))
    f.return_(I32.const(1))
    return f.ref


def define_groups(context: Context, same: FunctionRef) -> FunctionRef:
    """groups(worker, rows, count, groups) -> number of groups: fills the array of their first rows."""
    f = context.module.function(
        context.fresh("peer_groups"), [("worker", I32), ("rows", I32), ("count", I32), ("groups", I32)], [I32]
    )
    worker, rows, count, groups = f.parameters
    f.store("i32.store", groups, I32.const(0))
    end, index = f.let(groups + 4, "end"), f.let(I32.const(1), "index")
    with f.count_up(index, count):
        place = f.let(rows + index * 4, "place")
        with f.if_(f.call(same, worker, load("i32.load", place - 4), load("i32.load", place)).is_zero()):
            f.store("i32.store", end, index)
            end.set(end + 4)
    f.store("i32.store", end, count)
    f.return_((end - groups).shift_right_u(2))
    return f.ref
