"""How aggregation finds the states of a row's group.

Array form: the states of all groups lie in the worker block. Sums that need 128 bits are first added up in 64 bits
within one morsel, where the morsel's row bound and the argument's bounds prove that safe, and flushed at its end.

Hash form: open addressing over slots of 8 bytes, half full at most:

    slot   0 if empty, else high 32 bits of the hash << 32 | address of the tuple
    tuple  states | hash (8 bytes) | keys

The high half of the hash in the slot spares nearly all look-ups of tuples that do not match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.accumulators import Accumulator, Argument, IntSum, WideSum, accumulator
from zerodb_compiler.codegen.comparison import equal_or_both_null, hash_values
from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.program import MorselSource
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, SqlValue, with_null
from zerodb_compiler.codegen.tuples import TupleLayout, each_worker
from zerodb_compiler.kernels import memory
from zerodb_compiler.plan.logical import AggregateItem, Item
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import I32, I64, load

FIRST_SLOTS = 1024
SLOTS_PER_MORSEL = 16_384
_TOO_MANY = 1 << 62


@dataclass(frozen=True, slots=True)
class _Placed:
    item: AggregateItem
    state: Accumulator
    offset: int


class States:
    """The accumulators of one group, one after the other."""

    def __init__(self, context: Context, items: Sequence[AggregateItem], samples: Sequence[Argument]) -> None:
        offset, placed = 0, []
        for item, sample in zip(items, samples, strict=True):
            state = accumulator(item.call, sample, context)
            placed.append(_Placed(item, state, offset))
            offset += state.size
        self.placed = tuple(placed)
        self.size = offset

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        for item in self.placed:
            item.state.merge(e, state, offset + item.offset, other)

    def results(self, e: Emitter, state: I32, offset: int) -> dict[int, SqlValue]:
        return {
            item.item.column.id: e.keep_value(item.state.result(e, state, offset + item.offset)) for item in self.placed
        }


# --- array form ----------------------------------------
def _key_values(key: SqlValue) -> int:
    """How many values a key of the array form has, NULL included where it can be."""
    match key:
        case Code(dictionary=dictionary):
            values = dictionary.size
        case Bool():
            values = 2
        case Int(low=low, high=high):
            values = high - low + 1
        case _:
            return _TOO_MANY
    return values + (key.null is not None)


def array_groups(keys: Sequence[SqlValue]) -> int:
    """The size of the array that these keys would index."""
    groups = 1
    for key in keys:
        groups *= _key_values(key)
    return groups


def _array_index(e: Emitter, keys: Sequence[SqlValue]) -> I32:
    index: I32 | None = None
    for key in keys:
        match key:
            case Code(code=code):
                part: I32 = code
            case Bool(value=value):
                part = value
            case Int(value=number, low=low):
                part = (number - low).to_i32()
            case _:
                raise AssertionError
        if key.null is not None:
            # NULL is value 0.
            part = (part + 1) * e.keep(key.null).is_zero()
        index = part if index is None else index * _key_values(key) + part
    assert index is not None
    return index


def _keys_of_index(e: Emitter, samples: Sequence[SqlValue], index: I32) -> list[SqlValue]:
    values: list[SqlValue] = []
    rest = index
    for sample in reversed(samples):
        count = _key_values(sample)
        part = e.f.let(rest.remainder_u(count), "key")
        rest = e.f.let(rest.divide_u(count), "rest")
        null = None
        if sample.null is not None:
            null = e.f.let(part.is_zero(), "null")
            part = e.f.let((part - 1) * null.is_zero(), "key")
        match sample:
            case Code(dictionary=dictionary):
                values.append(Code(part, dictionary, null))
            case Int(low=low, high=high):
                values.append(Int(part.to_i64_u() + low, low, high, null))
            case _:
                values.append(Bool(part, null))
    return values[::-1]


def _partial_is_safe(value: Argument, rows_bound: int | None) -> bool:
    """Whether a 64-bit sum of that many such values cannot overflow."""
    if not isinstance(value, Int) or rows_bound is None:
        return False
    return max(abs(value.low), abs(value.high)) * rows_bound < 1 << 63


class ArrayGroups:
    """The groups of at most a few keys' values."""

    def __init__(
        self,
        context: Context,
        keys: Sequence[Item],
        samples: Sequence[SqlValue],
        states: States,
        arguments: Sequence[Argument],
        rows_bound: int | None,
    ) -> None:
        self._context, self._keys, self._samples, self._states = context, keys, samples, states
        self.form = "array" if keys else "scalar"
        self._groups = array_groups(samples)
        self._seen = states.size
        self._partials: dict[int, tuple[int, IntSum]] = {}
        stride = states.size + 8
        for i, (item, argument) in enumerate(zip(states.placed, arguments, strict=True)):
            if type(item.state) is WideSum and _partial_is_safe(argument, rows_bound):
                self._partials[i] = (stride, IntSum(item.item.call.type, None))
                stride += self._partials[i][1].size
        self._stride = stride
        self._base = context.worker.reserve(self._groups * stride, 16)
        self._rows_bound = rows_bound

    def begin(self, p: PipelineEmitter) -> None:
        """Only the first pipeline's row bound is known to the partial sums."""

    def find(self, p: PipelineEmitter, keys: Sequence[SqlValue], table: Any) -> tuple[I32, int]:
        del table
        if not keys:
            return p.worker, self._base
        group = p.f.let(p.worker + _array_index(p, keys) * self._stride, "group")
        p.f.store("i32.store", group, I32.const(1), self._base + self._seen)
        return group, self._base

    def update(self, p: PipelineEmitter, state: I32, offset: int, arguments: Sequence[Argument]) -> None:
        # Another input of a UNION may send more rows a morsel than the partial sums were made for.
        bounded = p.rows_bound is not None and self._rows_bound is not None and p.rows_bound <= self._rows_bound
        for i, (item, value) in enumerate(zip(self._states.placed, arguments, strict=True)):
            if i in self._partials and bounded:
                partial_offset, partial = self._partials[i]
                partial.update(p, state, offset + partial_offset, value)
            else:
                item.state.update(p, state, offset + item.offset, value)

    def end(self, p: PipelineEmitter) -> None:
        if not self._partials:
            return
        f = p.f
        f.comment("add this morsel's partial sums to the totals")
        group = f.let(p.worker, "group")
        last = f.let(p.worker + self._groups * self._stride, "groups_end")
        with f.count_up(group, last, self._stride):
            for i, (partial_offset, partial) in self._partials.items():
                total = self._states.placed[i].state
                assert isinstance(total, WideSum)
                place, offset = self._base + partial_offset, self._base + self._states.placed[i].offset
                with f.if_(partial.is_seen(group, place)):
                    amount = f.let(load("i64.load", group, place), "partial")
                    total.add(p, group, offset, amount, amount >> 63)
                    total.mark(p, group, offset)
                    f.store("i64.store", group, I64.const(0), place)
                    f.store("i32.store", group, I32.const(0), place + partial.seen)

    def define_finish(self) -> str:
        def body(e: Emitter) -> None:
            f = e.f
            with each_worker(e, load("i32.load", e.worker, abi.WORKER_NEXT)) as other:
                offset = f.local(I32, "offset")
                offset.set(I32.const(0))
                with f.count_up(offset, self._groups * self._stride, self._stride):
                    mine, theirs = f.let(e.worker + offset, "mine"), f.let(other + offset, "theirs")
                    with e.only_if(load("i32.load", theirs, self._base + self._seen) if self._keys else None):
                        f.store("i32.store", mine, I32.const(1), self._base + self._seen)
                        self._states.merge(e, mine, self._base, theirs)

        return define(self._context, self._context.fresh("merge_groups"), body)

    def produce(self, consumer: Consumer) -> None:
        def body(p: PipelineEmitter) -> None:
            f = p.f
            p.rows_bound = self._groups
            consumer.begin(p)
            with p.row_loop():
                index = f.local(I32, "index")
                with f.count_up(index, self._groups):
                    state = f.let(p.worker + index * self._stride, "group")
                    with p.only_if(load("i32.load", state, self._base + self._seen) if self._keys else None):
                        env = self._states.results(p, state, self._base)
                        for key, value in zip(self._keys, _keys_of_index(p, self._samples, index), strict=True):
                            env[key.column.id] = value
                        consumer.row(p, env)
            consumer.end(p)

        open_pipeline(self._context, Source(MorselSource.SINGLE, "groups", parallel=False), consumer, body)


# --- hash form ----------------------------------------
@dataclass(frozen=True, slots=True)
class _Table:
    """The locals of the function that works on a worker's table."""

    slots: Any
    mask: Any


class HashGroups:
    """Worker fields: address of the slots (0: none yet), number of slots - 1, number of groups."""

    form = "hash"
    FIELD_BYTES = 12
    SLOTS, MASK, COUNT = 0, 4, 8

    def __init__(
        self,
        context: Context,
        keys: Sequence[Item],
        samples: Sequence[SqlValue],
        states: States,
        field: int,
        rows: float,
    ) -> None:
        self._context, self._keys, self._states, self._field = context, keys, states, field
        self._samples = tuple(samples)
        self._hash_offset = states.size
        self._layout = TupleLayout(samples, states.size + 8)
        self._first_slots = FIRST_SLOTS
        if context.recursions:  # made anew in every round
            rows = 0.0
        while self._first_slots < min(2 * rows, 1 << 17):
            self._first_slots *= 2
        self._slots_field = context.query.reserve(4, 4)
        self._count_field = context.query.reserve(4, 4)
        self._morsels_field = context.query.reserve(4, 4)
        self._grow = self._define_grow()

    @staticmethod
    def open_table(e: Emitter, field: int) -> _Table:
        slots = e.f.let(e.worker_i32(field + HashGroups.SLOTS), "slots")
        return _Table(slots, e.f.let(e.worker_i32(field + HashGroups.MASK), "slot_mask"))

    def begin(self, p: PipelineEmitter) -> None:
        del p

    def end(self, p: PipelineEmitter) -> None:
        del p

    def _define_grow(self) -> FunctionRef:
        """grow(worker) -> status: doubles the slots (or makes the first ones)."""
        f = self._context.module.function(self._context.fresh("grow_groups"), [("worker", I32)], [I32])
        e = Emitter(self._context, f)
        old = self.open_table(e, self._field)
        count = f.let(I32.const(self._first_slots), "slot_count")
        with f.if_(old.slots):
            count.set((old.mask + 1) * 2)
        slots = e.allocate(count * 8, abi.ALLOCATE_ARENA, "new_slots")
        f.memory_fill(slots, 0, count * 8)
        mask = f.let(count - 1, "new_mask")
        with f.if_(old.slots):
            place = f.let(old.slots, "place")
            end = f.let(old.slots + (old.mask + 1) * 8, "end")
            with f.count_up(place, end, 8):
                slot = f.let(load("i64.load", place), "slot")
                with f.if_(slot != 0):
                    hash_ = load("i32.load", slot.to_i32(), self._hash_offset)
                    target = self._first_free(e, _Table(slots, mask), f.let(hash_ & mask, "index"))
                    f.store("i64.store", target, slot)
        e.set_worker_i32(self._field + self.SLOTS, slots)
        e.set_worker_i32(self._field + self.MASK, mask)
        f.return_(I32.const(abi.STATUS_OK))
        return f.ref

    @staticmethod
    def _first_free(e: Emitter, table: _Table, index: Any) -> I32:
        """Address of the first empty slot from `index` (a local) on."""
        f = e.f
        place = f.let(table.slots + index * 8, "free")
        with f.block() as found, f.loop() as again:
            found.break_if(load("i64.load", place) == 0)
            index.set((index + 1) & table.mask)
            place.set(table.slots + index * 8)
            again.continue_()
        return place

    def _probe(self, e: Emitter, table: _Table, keys: Sequence[SqlValue], hash_: I64) -> tuple[Any, Any]:
        """(address of the group's tuple or 0, index of the slot where it is or belongs), both locals."""
        f = e.f
        group, index = f.local(I32, "group"), f.let(hash_.to_i32() & table.mask, "index")
        group.set(I32.const(0))
        with f.block() as done, f.loop() as again:
            slot = f.let(load("i64.load", table.slots + index * 8), "slot")
            done.break_if(slot == 0)
            with f.if_((slot ^ hash_).shift_right_u(32) == 0):
                candidate = f.let(slot.to_i32(), "candidate")
                stored = self._layout.read(candidate)
                same: I32 = I32.const(1)
                for key, other in zip(keys, stored, strict=True):
                    equal = equal_or_both_null(e, key, other)
                    same = equal if same.constant == 1 else same & equal
                with f.if_(same):
                    group.set(candidate)
                    done.break_()
            index.set((index + 1) & table.mask)
            again.continue_()
        return group, index

    def _claim(self, e: Emitter, table: _Table, hash_: I64, index: Any, tuple_: I32) -> None:
        """Puts a new tuple into the table, which has room."""
        f = e.f
        place = self._first_free(e, table, index)
        f.store("i64.store", place, ((hash_.shift_right_u(32)) << 32) | tuple_.to_i64_u())
        e.set_worker_i32(self._field + self.COUNT, e.worker_i32(self._field + self.COUNT) + 1)

    def _ensure_room(self, e: Emitter, table: _Table, hash_: I64, index: Any) -> None:
        """Grows a table that is half full (also one that does not exist) and finds the index anew."""
        f = e.f
        count = e.worker_i32(self._field + self.COUNT)
        with f.if_((count * 2).greater_equal_u(table.mask)):
            e.check_status(f.call(self._grow, e.worker))
            table.slots.set(e.worker_i32(self._field + self.SLOTS))
            table.mask.set(e.worker_i32(self._field + self.MASK))
            index.set(hash_.to_i32() & table.mask)

    def find(self, p: PipelineEmitter, keys: Sequence[SqlValue], table: Any) -> tuple[I32, int]:
        f = p.f
        keys = [_as_sample(key, sample) for key, sample in zip(keys, self._samples, strict=True)]
        hash_ = hash_values(p, tuple(keys))
        # A worker's first row: no slots yet. Growing beforehand keeps the probe free of that case.
        with f.if_(table.slots.is_zero()):
            self._ensure_room(p, table, hash_, f.local(I32))
        group, index = self._probe(p, table, keys, hash_)
        with f.if_(group.is_zero()):
            self._ensure_room(p, table, hash_, index)
            size = I32.const(self._layout.size)
            group.set(f.call(p.context.kernel(memory.arena_allocate), p.worker, size))
            p.fail_if(group.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            for offset in range(0, self._states.size, 8):
                f.store("i64.store", group, I64.const(0), offset)
            f.store("i64.store", group, hash_, self._hash_offset)
            self._layout.write(p, group, keys)
            self._claim(p, table, hash_, index, group)
        return group, 0

    def update(self, p: PipelineEmitter, state: I32, offset: int, arguments: Sequence[Argument]) -> None:
        for item, value in zip(self._states.placed, arguments, strict=True):
            item.state.update(p, state, offset + item.offset, value)

    def define_finish(self) -> str:
        def body(e: Emitter) -> None:
            f = e.f
            table = self.open_table(e, self._field)
            with each_worker(e, load("i32.load", e.worker, abi.WORKER_NEXT)) as other:
                place = f.let(load("i32.load", other, self._field + self.SLOTS), "place")
                end = f.let(place + (load("i32.load", other, self._field + self.MASK) + 1) * 8, "end")
                with f.if_(place), f.count_up(place, end, 8):
                    slot = f.let(load("i64.load", place), "slot")
                    with f.if_(slot != 0):
                        self._merge_tuple(e, table, f.let(slot.to_i32(), "theirs"))
            slots = f.let(I32.const(0), "slot_count")
            with f.if_(table.slots):
                slots.set(table.mask + 1)
            e.set_query_i32(self._slots_field, table.slots)
            e.set_query_i32(self._count_field, slots)
            e.set_query_i32(self._morsels_field, (slots + (SLOTS_PER_MORSEL - 1)).divide_u(SLOTS_PER_MORSEL))

        return define(self._context, self._context.fresh("merge_groups"), body)

    def _merge_tuple(self, e: Emitter, table: _Table, theirs: I32) -> None:
        """Merges another worker's group in; a group that is new here is taken over as it lies."""
        f = e.f
        hash_ = f.let(load("i64.load", theirs, self._hash_offset), "hash")
        keys = [e.keep_value(value) for value in self._layout.read(theirs)]
        with f.if_(table.slots.is_zero()):
            self._ensure_room(e, table, hash_, f.local(I32))
        mine, index = self._probe(e, table, keys, hash_)
        with f.if_(mine):
            self._states.merge(e, mine, 0, theirs)
        with f.else_():
            self._ensure_room(e, table, hash_, index)
            self._claim(e, table, hash_, index, theirs)

    def produce(self, consumer: Consumer) -> None:
        def body(p: PipelineEmitter) -> None:
            f = p.f
            p.rows_bound = SLOTS_PER_MORSEL
            slots = p.query_i32(self._slots_field)
            place = f.let(slots + p.morsel * (SLOTS_PER_MORSEL * 8), "place")
            end = f.let(slots + p.query_i32(self._count_field) * 8, "end")
            last = f.let(place + SLOTS_PER_MORSEL * 8, "morsel_end")
            with f.if_(last.greater_u(end)):
                last.set(end)
            consumer.begin(p)
            with p.row_loop(), f.block() as done, f.loop() as again:
                done.break_if(place.greater_equal_u(last))
                group = f.let(load("i32.load", place), "group")
                place.set(place + 8)
                again.continue_if(group.is_zero())
                env = self._states.results(p, group, 0)
                for key, value in zip(self._keys, self._layout.read(group), strict=True):
                    env[key.column.id] = value
                consumer.row(p, env)
                again.continue_()
            consumer.end(p)

        source = Source(MorselSource.COUNTER, "groups", count_offset=self._morsels_field)
        open_pipeline(self._context, source, consumer, body)


def _as_sample(value: SqlValue, sample: SqlValue) -> SqlValue:
    """A key of a later pipeline in the form the first one fixed (a union has brought the rest to one form)."""
    if sample.null is not None and value.null is None:
        return with_null(value, I32.const(0))
    return value
