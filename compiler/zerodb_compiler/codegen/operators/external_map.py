"""Calls of external functions: rows are kept, column by column, in blocks; when a block is full, and when the morsel
ends, a function of the pipeline asks the host to call the functions for the rows kept, and passes them on with the
results. So a pipeline goes on through the operator, on all workers, and what comes after it is generated once.

    block = header | arrays of what is passed on | arguments | guards | results          (abi.EXTERNAL_*)

Texts that are passed on stay where they are, since they live until the morsel ends. The first blocks are small, for
queries of few rows; a worker uses its last one again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import Environment, condition, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.project import Step, canonical, output_of
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter
from zerodb_compiler.codegen.program import ExternalCall, ExternalValue
from zerodb_compiler.codegen.sqlvalues import Bool, Int, Real, SqlValue, Text, Wide, fits_i64
from zerodb_compiler.codegen.tuples import read_value, width_of, write_value
from zerodb_compiler.kernels import external, memory
from zerodb_compiler.plan import physical
from zerodb_compiler.plan.logical import ExternalItem
from zerodb_compiler.plan.transform import ids_of, ids_of_all, same_key
from zerodb_compiler.sql.expressions import Column, Expression
from zerodb_compiler.sql.external import VOLATILE
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.module import Function, FunctionRef
from zerodb_compiler.wasm.values import F64, I32, I64, load

_FIRST_ROWS, _MOST_ROWS, _GROWTH = 64, 16_384, 16
_MOST_BYTES = 4 << 20  # of a block


@dataclass(frozen=True, slots=True)
class _Array:
    """Values like `sample`, behind `place` bytes a row."""

    sample: SqlValue
    place: int
    width: int
    nulls: int | None


class _Layout:
    """Which array lies where, once the first row has shown what its values are."""

    def __init__(self, samples: Sequence[SqlValue], flags: int, header: int) -> None:
        self.header = header
        places = [0] * len(samples)
        nulls: list[int | None] = [None] * len(samples)
        position = 0
        for i in sorted(range(len(samples)), key=lambda i: -width_of(samples[i])):
            places[i] = position
            position += width_of(samples[i])
        for i, sample in enumerate(samples):
            if sample.null is not None:
                nulls[i] = position
                position += 1
        self.flags = tuple(range(position, position + flags))  # arrays of a byte a row
        self.row_bytes = max(position + flags, 1)
        self.arrays = tuple(
            _Array(sample, place, width_of(sample), null)
            for sample, place, null in zip(samples, places, nulls, strict=True)
        )


class _Map(Step):
    def __init__(self, context: Context, plan: physical.MapExternal, passed: Sequence[int], next_: Consumer) -> None:
        super().__init__(next_)
        self.name = f"call {', '.join(dict.fromkeys(item.call.function.name for item in plan.items))}"
        self._context, self._passed, self._items = context, tuple(passed), plan.items
        arguments: dict[object, Expression] = {}
        for item in plan.items:
            for argument in item.call.arguments:
                arguments.setdefault(same_key(argument), argument)
        self._arguments = arguments
        self._guards = {same_key(item.guard): item.guard for item in plan.items if item.guard is not None}
        self._first = context.worker.reserve(4, 4, kept=True)  # a worker's blocks
        self._last = context.worker.reserve(4, 4, kept=True)  # the one being filled
        self._layout: _Layout | None = None
        self._next_block: Function | None = None
        self._most = 0  # rows of a block
        self._pass: FunctionRef | None = None
        self._calls = range(0)

    # --- rows that come ----------------------------------------
    def begin(self, p: PipelineEmitter) -> None:
        self._block, self._rows = p.f.local(I32, "external_block"), p.f.local(I32, "external_rows")
        self._capacity = p.f.local(I32, "external_capacity")
        self._started = False

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        f.comment("external: keep a row")
        values = [p.keep_value(env[id_]) for id_ in self._passed]
        for argument in self._arguments.values():
            column = Column(0, "", argument.type, argument.nullable)
            values.append(p.keep_value(canonical(p, evaluate(p, argument, env), column)))
        guards = [p.keep(condition(p, guard, env), "guard") for guard in self._guards.values()]
        layout = self._layout_for(values)
        if not self._started:
            self._started = True
            self._pass = self._define_pass(p)
            self._bases = [f.local(I32, "array") for _ in layout.arrays]
        with f.if_(self._rows.greater_equal_u(self._capacity)):
            assert self._next_block is not None
            with f.if_(self._capacity == self._most):
                status = self._send(p)
                p.set_worker_i32(self._first, self._block)  # alone from now on: it is large enough
                self._block.set(I32.const(0))
                self._capacity.set(I32.const(0))
                with f.if_(status == abi.STATUS_DONE):
                    p.stop()
                p.check_status(status)
            self._block.set(f.call(self._next_block.ref, p.worker, self._block, self._rows))
            p.fail_if(self._block.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            self._rows.set(I32.const(0))
            self._capacity.set(load("i32.load", self._block, abi.EXTERNAL_CAPACITY))
            for base, array in zip(self._bases, layout.arrays, strict=False):
                base.set(self._array(self._block, self._capacity, array.place))
        # The results come last among the arrays.
        for value, array, base in zip(values, layout.arrays, self._bases, strict=False):
            write_value(p, base + self._rows * array.width, 0, value, own_text=False)
            if array.nulls is not None:
                null = I32.const(0) if value.null is None else value.null
                place = self._array(self._block, self._capacity, array.nulls) + self._rows
                f.store("i32.store8", place, null, 0)
        for guard, place_ in zip(guards, layout.flags, strict=True):
            f.store("i32.store8", self._array(self._block, self._capacity, place_) + self._rows, guard, 0)
        self._rows.set(self._rows + 1)

    def _send(self, p: PipelineEmitter) -> I32:
        """Passes the kept rows on; the status."""
        assert self._pass is not None
        p.f.store("i32.store", self._block, self._rows, abi.EXTERNAL_ROWS)
        p.set_worker_i32(self._last, self._block)
        return p.f.let(p.f.call(self._pass, p.worker, p.morsel), "status")

    def _array(self, block: I32, capacity: I32, place: int) -> I32:
        assert self._layout is not None
        return block + capacity * place + self._layout.header

    def _layout_for(self, values: Sequence[SqlValue]) -> _Layout:
        if self._layout is None:
            results = [_result(item.column) for item in self._items]
            texts = sum(isinstance(value, Text) for value in values[len(self._passed) :])
            header = -(-(abi.EXTERNAL_HEADER + 4 * texts) // 16) * 16
            self._layout = _Layout([*values, *results], len(self._guards), header)
            self._next_block = self._define_next_block()
            self._declare()
        return self._layout

    def _define_next_block(self) -> Function:
        """next_block(worker, block, rows): the block after `block`, which has so many rows; the first one for 0."""
        layout, context = self._layout, self._context
        assert layout is not None
        most = self._most = max(min(_MOST_ROWS, _MOST_BYTES // layout.row_bytes // 16 * 16), 16)
        f = context.module.function(
            context.fresh("external_block"), [("worker", I32), ("block", I32), ("rows", I32)], [I32]
        )
        worker, block, rows = f.parameters
        found, capacity = f.local(I32, "found"), f.let(I32.const(min(_FIRST_ROWS, most)), "capacity")
        with f.if_(block):
            f.store("i32.store", block, rows, abi.EXTERNAL_ROWS)
            found.set(load("i32.load", block, abi.EXTERNAL_NEXT))
            capacity.set(load("i32.load", block, abi.EXTERNAL_CAPACITY) * _GROWTH)
            with f.if_(capacity.greater_u(I32.const(most))):
                capacity.set(I32.const(most))
        with f.else_():
            found.set(load("i32.load", worker, self._first))
        with f.if_(found):
            f.return_(found)
        size = capacity * layout.row_bytes + (layout.header + 16)
        found.set(f.call(context.kernel(memory.arena_allocate), worker, size))
        with f.if_(found.is_zero()):
            f.return_(found)
        f.store("i32.store", found, I32.const(0), abi.EXTERNAL_NEXT)
        f.store("i32.store", found, capacity, abi.EXTERNAL_CAPACITY)
        with f.if_(block):
            f.store("i32.store", block, found, abi.EXTERNAL_NEXT)
        with f.else_():
            f.store("i32.store", worker, found, self._first)
        f.return_(found)
        return f

    def _declare(self) -> None:
        """Tells the host of the calls."""
        layout, context = self._layout, self._context
        assert layout is not None
        given: dict[object, ExternalValue] = {}
        arrays = layout.arrays[len(self._passed) :]
        texts = abi.EXTERNAL_HEADER
        for (key, argument), array in zip(self._arguments.items(), arrays, strict=False):
            place = texts if isinstance(array.sample, Text) else None
            texts += 4 if place is not None else 0
            given[key] = ExternalValue(argument.type, array.place, array.width, array.nulls, place)
        guards = dict(zip(self._guards, layout.flags, strict=True))
        first = len(context.externals)
        for item, array in zip(self._items, layout.arrays[len(layout.arrays) - len(self._items) :], strict=True):
            call = item.call
            context.externals.append(
                ExternalCall(
                    function=call.function,
                    header=layout.header,
                    arguments=tuple(given[same_key(argument)] for argument in call.arguments),
                    result=ExternalValue(call.type, array.place, array.width, array.nulls),
                    guard=None if item.guard is None else guards[same_key(item.guard)],
                    once=call.function.volatility != VOLATILE and not any(map(ids_of, call.arguments)),
                    position=call.position,
                )
            )
        self._calls = range(first, len(context.externals))

    # --- rows that go on ----------------------------------------
    def end(self, p: PipelineEmitter) -> None:
        if not self._started:  # the pipeline has no row at all
            return
        with p.f.if_(self._block):
            status = self._send(p)
            with p.f.if_(status == abi.STATUS_DONE):
                p.status.set(status)
            with p.f.else_():
                p.check_status(status)

    def _define_pass(self, outer: PipelineEmitter) -> FunctionRef:
        """pass(worker, morsel) -> status: the rest of the pipeline, for the rows that are kept."""
        context, layout = self._context, self._layout
        assert layout is not None
        f = context.module.function(context.fresh("external_rows"), [("worker", I32), ("morsel", I32)], [I32])
        p = PipelineEmitter(context, f)
        p.start_actions, p.rows_bound = outer.start_actions, outer.rows_bound
        self.next.begin(p)
        last = f.let(p.worker_i32(self._last), "last")
        current = f.let(p.worker_i32(self._first), "calling")
        with p.row_loop(), f.block() as done, f.loop() as blocks:
            done.break_if(current.is_zero())
            p.check_interrupt()
            count = f.let(load("i32.load", current, abi.EXTERNAL_ROWS), "rows")
            capacity = f.let(load("i32.load", current, abi.EXTERNAL_CAPACITY), "capacity")
            self._call(p, current, count, capacity)
            self._pass_on(p, current, count, capacity)
            with f.if_(current == last):
                current.set(I32.const(0))
            with f.else_():
                current.set(load("i32.load", current, abi.EXTERNAL_NEXT))
            blocks.continue_()
        self.next.end(p)
        f.return_(p.status)
        return f.ref

    def _call(self, p: PipelineEmitter, block: I32, count: I32, capacity: I32) -> None:
        f, context = p.f, self._context
        gathered: set[int] = set()
        for number in self._calls:
            for argument in context.externals[number].arguments:
                if argument.texts is None or argument.texts in gathered:
                    continue
                gathered.add(argument.texts)
                nulls = I32.const(0) if argument.nulls is None else self._array(block, capacity, argument.nulls)
                places = self._array(block, capacity, argument.place)
                made = f.let(f.call(context.kernel(external.gather_texts), p.worker, places, nulls, count), "texts")
                p.fail_if(made.is_zero(), abi.STATUS_OUT_OF_MEMORY)
                f.store("i32.store", block, made, argument.texts)
        for number in self._calls:
            p.set_worker_i32(abi.WORKER_ERROR_TEXT, block)
            kind = I32.const(abi.ALLOCATE_EXTERNAL)
            given = f.call(context.allocate, p.worker, I32.const(number), kind)
            p.fail_if(given.is_zero(), abi.STATUS_OUT_OF_MEMORY)

    def _pass_on(self, p: PipelineEmitter, block: I32, count: I32, capacity: I32) -> None:
        f, layout = p.f, self._layout
        assert layout is not None
        ids = (*self._passed, *([None] * len(self._arguments)), *(item.column.id for item in self._items))
        wanted = [(id_, array) for id_, array in zip(ids, layout.arrays, strict=True) if id_ is not None]
        bases = [f.let(self._array(block, capacity, array.place), "array") for _, array in wanted]
        flags = [
            None if array.nulls is None else f.let(self._array(block, capacity, array.nulls), "nulls")
            for _, array in wanted
        ]
        i = f.let(I32.const(0), "row")
        with f.block() as done, f.loop() as rows:
            done.break_if(i.greater_equal_u(count))
            env: dict[int, SqlValue] = {}
            for (id_, array), base, flag in zip(wanted, bases, flags, strict=True):
                null = None if flag is None else load("i32.load8_u", flag + i)
                env[id_] = read_value(base + i * array.width, 0, array.sample, null)
            self.next.row(p, env)
            i.set(i + 1)
            rows.continue_()


def _result(column: Column) -> SqlValue:
    """A value as any result of the type may be."""
    type_, null = column.type, I32.const(0)
    if type_.id is TypeId.BOOLEAN:
        return Bool(I32.const(0), null)
    if type_.is_float:
        return Real(F64.const(0.0), type_.id is TypeId.REAL, null)
    if type_.is_variable:
        return Text(I32.const(0), I32.const(0), null)
    return _integer(type_, null)


def _integer(type_: SqlType, null: I32) -> SqlValue:
    low, high = type_.bounds
    if fits_i64(low, high):
        return Int(I64.const(0), low, high, null)
    return Wide(I64.const(0), I64.const(0), low, high, null)


def parts_of(items: Sequence[ExternalItem]) -> list[Expression]:
    return [part for item in items for part in item.parts]


def produce(context: Context, plan: physical.MapExternal, consumer: Consumer, needed: frozenset[int]) -> None:
    passed = [column.id for column in output_of(plan.input) if column.id in needed]
    below = needed - {item.column.id for item in plan.items} | ids_of_all(parts_of(plan.items))
    produce_plan(context, plan.input, _Map(context, plan, passed, consumer), frozenset(below))
