"""Aggregates that keep the rows of a group until its end: ordered, DISTINCT, ordered-set and hypothetical-set ones.

A group's state is a list of tuples in the arena. When the group is done, a function made for the aggregate sorts the
tuples' addresses (ordering.py) and goes over them:

    state   first tuple | last tuple (i32 each) | number of tuples (i64) | result | result is NULL (i32)
    tuple   next tuple | morsel (i32 each) | the call's parts: argument, further arguments, order keys

Without an ORDER BY the rows come in the order of the input, as one would expect of string_agg: lists of several
workers are put together by the morsels their rows are from.
"""

from __future__ import annotations

from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.comparison import compare, equal_or_both_null, to_text
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.ordering import define_before, define_sort
from zerodb_compiler.codegen.sqlvalues import Int, Real, SqlValue, Text, either_null, with_null
from zerodb_compiler.codegen.tuples import TupleLayout, read_value, width_of, write_value
from zerodb_compiler.kernels import memory
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.sql.aggregates import HYPOTHETICAL
from zerodb_compiler.sql.expressions import AggregateCall, Literal
from zerodb_compiler.types import BIGINT, INTEGER
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import F64, I32, I64, convert, load, select

_FIRST, _LAST, _COUNT, _RESULT = 0, 4, 8, 16
_NEXT, _MORSEL, _HEADER = 0, 4, 8
_AT_0 = Literal(0, INTEGER)  # places stand for the keys' expressions once rows are tuples


class Collecting:
    """What all of them share; subclasses define how the sorted rows become the result."""

    # Over the frames of a window a row is in the lists of many states: there lists are copied, and texts lie in the
    # tuples of the window anyway.
    owns_text = True

    def __init__(self, context: Context, call: AggregateCall, samples: tuple[SqlValue, ...], result: SqlValue) -> None:
        self._context, self._call = context, call
        self._result = with_null(result, None)
        self._is_null = _RESULT + -(-width_of(self._result) // 4) * 4
        self.size = -(-(self._is_null + 4) // 8) * 8
        self._values = len(samples) - (call.filter is not None)
        self._layout = TupleLayout(samples[: self._values], _HEADER)
        self._finish = self._define_finish()

    # --- collecting
    def skips(self, values: tuple[SqlValue, ...]) -> I32 | None:
        """1 for rows that do not count, though the filter lets them pass; None if there are none such."""
        del values
        return None

    def update(self, e: Emitter, state: I32, offset: int, value: Any) -> None:
        values: tuple[SqlValue, ...] = value if isinstance(value, tuple) else (value,)
        skipped = self.skips(values)
        if self._call.filter is not None:
            skipped = either_null(skipped, values[-1].value.is_zero())  # type: ignore[union-attr]
        with e.only_if(None if skipped is None else skipped.is_zero()):
            self._append(e, state, offset, values[: self._values])

    def _append(self, e: Emitter, state: I32, offset: int, values: tuple[SqlValue, ...]) -> None:
        f = e.f
        size = I32.const(self._layout.size)
        place = f.let(f.call(e.context.kernel(memory.arena_allocate), e.worker, size), "collected")
        e.fail_if(place.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        f.store("i32.store", place, I32.const(0), _NEXT)
        f.store("i32.store", place, e.worker_i32(abi.WORKER_MORSEL), _MORSEL)
        fitted = [
            with_null(value, I32.const(0)) if item.null_offset is not None and value.null is None else value
            for value, item in zip(values, self._layout.fields, strict=True)
        ]
        self._layout.write(e, place, fitted, own_text=self.owns_text)
        self._link(e, state, offset, place, place, I64.const(1))

    @staticmethod
    def _link(e: Emitter, state: I32, offset: int, first: I32, last: I32, count: I64) -> None:
        f = e.f
        end = f.let(load("i32.load", state, offset + _LAST), "list_end")
        with f.if_(end):
            f.store("i32.store", end, first, _NEXT)
        with f.else_():
            f.store("i32.store", state, first, offset + _FIRST)
        f.store("i32.store", state, last, offset + _LAST)
        f.store("i64.store", state, load("i64.load", state, offset + _COUNT) + count, offset + _COUNT)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        if not self.owns_text:
            self._merge_copies(e, state, offset, other)
            return
        first = e.f.let(load("i32.load", other, offset + _FIRST), "their_first")
        with e.f.if_(first):
            last = load("i32.load", other, offset + _LAST)
            self._link(e, state, offset, first, last, load("i64.load", other, offset + _COUNT))

    def _merge_copies(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        f = e.f
        row = f.let(load("i32.load", other, offset + _FIRST), "their_row")
        size = I32.const(self._layout.size)
        with f.block() as done, f.loop() as again:
            done.break_if(row.is_zero())
            copy = f.let(f.call(e.context.kernel(memory.arena_allocate), e.worker, size), "copy")
            e.fail_if(copy.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            f.memory_copy(copy, row, size)
            f.store("i32.store", copy, I32.const(0), _NEXT)
            self._link(e, state, offset, copy, copy, I64.const(1))
            row.set(load("i32.load", row, _NEXT))
            again.continue_()

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        e.check_status(e.f.call(self._finish, e.worker, state + offset))
        return read_value(state, offset + _RESULT, self._result, load("i32.load", state, offset + self._is_null))

    # --- the end of a group
    def keys(self) -> list[tuple[int, SortKey]]:
        """Field places and directions of the order; those of DISTINCT follow those of ORDER BY."""
        first = self._values - len(self._call.order)
        keys = [(first + i, key) for i, key in enumerate(self._call.order)]
        if self._call.distinct:
            keys += [(place, SortKey(_AT_0, False, False)) for place in range(first)]
        return keys

    def _define_finish(self) -> FunctionRef:
        """finish(worker, state) -> status: sorts the group's rows and stores its result behind them."""
        context = self._context
        sort = self._define_sort()
        f = context.module.function(context.fresh("finish_group"), [("worker", I32), ("state", I32)], [I32])
        e = Emitter(context, f)
        state = f.parameters[1]
        count = f.let(load("i32.load", state, _COUNT), "rows")
        f.store("i32.store", state, I32.const(1), self._is_null)
        with f.if_(count.is_zero()):
            self.empty(e, state)
            f.return_(I32.const(abi.STATUS_OK))
        pointers = f.let(f.call(context.kernel(memory.arena_allocate), e.worker, count * 4 + 16), "rows_array")
        e.fail_if(pointers.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        place = f.let(load("i32.load", state, _FIRST), "row")
        end = f.let(pointers, "rows_end")
        with f.block() as done, f.loop() as again:
            done.break_if(place.is_zero())
            f.store("i32.store", end, place)
            end.set(end + 4)
            place.set(load("i32.load", place, _NEXT))
            again.continue_()
        e.check_status(f.call(sort, e.worker, pointers, count))
        if self._call.distinct:
            count.set(self._without_duplicates(e, pointers, count))
        self.fold(e, state, pointers, count)
        f.return_(I32.const(abi.STATUS_OK))
        return f.ref

    def _define_sort(self) -> FunctionRef:
        by_morsel = TupleLayout((Int(I64.const(0), -(1 << 31), (1 << 31) - 1),), _MORSEL)
        fields = TupleLayout.__new__(TupleLayout)
        fields.fields = (*self._layout.fields, *by_morsel.fields)
        fields.size = self._layout.size
        last = (len(self._layout.fields), SortKey(_AT_0, False, False))
        return define_sort(self._context, define_before(self._context, fields, [*self.keys(), last]))

    def _without_duplicates(self, e: Emitter, pointers: I32, count: I32) -> I32:
        """Moves the first of each run of equal rows to the front; their number."""
        f = e.f
        arguments = self._values - len(self._call.order)
        kept = f.let(I32.const(1), "kept")
        index = f.let(I32.const(1), "index")
        with f.count_up(index, count):
            row = f.let(load("i32.load", pointers + index * 4), "row")
            before = f.let(load("i32.load", pointers + kept * 4 - 4), "before")
            pairs = list(zip(self._layout.read(row), self._layout.read(before), strict=True))
            same: I32 = I32.const(1)
            for one, other in pairs[: max(arguments, 1)]:
                equal = equal_or_both_null(e, e.keep_value(one), e.keep_value(other))
                same = equal if same.constant == 1 else same & equal
            with f.if_(same.is_zero()):
                f.store("i32.store", pointers + kept * 4, row)
                kept.set(kept + 1)
        return kept

    def field(self, row: I32, place: int) -> SqlValue:
        return self._layout.read(row)[place]

    def store(self, e: Emitter, state: I32, value: SqlValue) -> None:
        null = value.null
        write_value(e, state, _RESULT, with_null(value, None), own_text=False)
        e.f.store("i32.store", state, I32.const(0) if null is None else null, self._is_null)

    def empty(self, e: Emitter, state: I32) -> None:
        """The result of no rows, where it is not NULL."""

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        raise NotImplementedError


class StringAgg(Collecting):
    """string_agg(value, delimiter): each value but the first comes after its own row's delimiter."""

    def skips(self, values: tuple[SqlValue, ...]) -> I32 | None:
        return values[0].null

    def _parts(self, e: Emitter, row: I32) -> tuple[Text, Text]:
        value, delimiter = (e.keep_value(to_text(e, e.keep_value(self.field(row, place)))) for place in (0, 1))
        if delimiter.null is not None:
            delimiter = Text(delimiter.address, e.keep(select(delimiter.null, I32.const(0), delimiter.length)))
        return value, delimiter

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f = e.f
        total = f.let(I64.const(0), "total")
        index = f.let(I32.const(0), "index")
        with f.count_up(index, count):
            value, delimiter = self._parts(e, f.let(load("i32.load", pointers + index * 4), "row"))
            length = value.length.to_i64_u()
            total.set(total + length + select(index.is_zero(), I64.const(0), delimiter.length.to_i64_u()))
        e.error_if(total > ((1 << 30) - 1), "54000", "string_agg result is larger than 1 GB", self._call.position)
        length = f.let(total.to_i32(), "length")
        text = f.let(f.call(e.context.kernel(memory.arena_allocate), e.worker, length + 16), "text")
        e.fail_if(text.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        end = f.let(text, "text_end")
        index.set(I32.const(0))
        with f.count_up(index, count):
            value, delimiter = self._parts(e, f.let(load("i32.load", pointers + index * 4), "row"))
            with f.if_(index):
                f.memory_copy(end, delimiter.address, delimiter.length)
                end.set(end + delimiter.length)
            f.memory_copy(end, value.address, value.length)
            end.set(end + value.length)
        self.store(e, state, Text(text, length))


class _OrderedSet(Collecting):
    """mode and the percentiles: over the rows whose sorted value is not NULL."""

    def skips(self, values: tuple[SqlValue, ...]) -> I32 | None:
        return values[self._values - 1].null

    def sorted_value(self, e: Emitter, pointers: I32, index: I32) -> SqlValue:
        row = e.f.let(load("i32.load", pointers + index * 4), "row")
        return e.keep_value(with_null(self.field(row, self._values - 1), None))


class Mode(_OrderedSet):
    """The most frequent value, the first in the order among equally frequent ones."""

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f = e.f
        best, best_rows = f.let(I32.const(0), "best"), f.let(I32.const(0), "best_rows")
        start, index = f.let(I32.const(0), "run"), f.let(I32.const(0), "index")
        with f.count_up(index, count):
            value, first = (self.sorted_value(e, pointers, place) for place in (index, start))
            with f.if_(compare(e, "ne", value, first)):
                start.set(index)
            with f.if_((index - start + 1).greater_u(best_rows)):
                best_rows.set(index - start + 1)
                best.set(start)
        self.store(e, state, self.sorted_value(e, pointers, best))


class Percentile(_OrderedSet):
    """percentile_disc: the first value whose place reaches the fraction; percentile_cont: between two values."""

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f = e.f
        row = f.let(load("i32.load", pointers), "row")
        fraction = e.keep_value(self.field(row, 0))
        assert isinstance(fraction, Real)
        if fraction.null is not None:
            f.return_if(fraction.null, I32.const(abi.STATUS_OK))
        within = (fraction.value >= F64.const(0.0)) & (fraction.value <= F64.const(1.0))
        message = "percentile value is not between 0 and 1"
        e.error_if(within.is_zero(), "22003", message, self._call.position)
        if self._call.function == "percentile_disc":
            place = (fraction.value * count.to_f64()).unary("ceil")
            index = f.let(_whole(place), "place")
            with f.if_(index):
                index.set(index - 1)
            self.store(e, state, self.sorted_value(e, pointers, index))
            return
        place = f.let(fraction.value * (count - 1).to_f64(), "place")
        low = f.let(_whole(place.unary("floor")), "low")
        first = self.sorted_value(e, pointers, low)
        second = self.sorted_value(e, pointers, f.let(_whole(place.unary("ceil")), "high"))
        assert isinstance(first, Real) and isinstance(second, Real)
        share = place - place.unary("floor")
        between = first.value + (second.value - first.value) * share
        # Equal neighbours need no arithmetic, which would make NaN of two infinities.
        value = select((first.value == second.value) | (share == F64.const(0.0)), first.value, between)
        self.store(e, state, Real(value, False))


class Hypothetical(Collecting):
    """rank and its kin: where a row with the given values would stand among the group's rows."""

    def _define_before_it(self) -> FunctionRef:
        """before_it(worker, row) -> 0 after, 1 equal, 2 before: a row against the hypothetical one it carries."""
        context = self._context
        f = context.module.function(context.fresh("before_it"), [("worker", I32), ("row", I32)], [I32])
        e = Emitter(context, f)
        values = self._layout.read(f.parameters[1])
        given = len(self._call.order)
        for key, row_value, its_value in zip(self._call.order, values[given:], values[:given], strict=True):
            row_null = I32.const(0) if row_value.null is None else e.keep(row_value.null)
            its_null = I32.const(0) if its_value.null is None else e.keep(its_value.null)
            with f.if_(row_null != its_null):
                row_first = row_null if key.nulls_first else its_null
                f.return_(row_first * 2)
            with f.if_(row_null.is_zero()):
                x, y = (e.keep_value(with_null(value, None)) for value in (row_value, its_value))
                first, second = (y, x) if key.descending else (x, y)
                f.return_if(compare(e, "lt", first, second), I32.const(2))
                f.return_if(compare(e, "lt", second, first), I32.const(0))
        f.return_(I32.const(1))
        return f.ref

    def empty(self, e: Emitter, state: I32) -> None:
        if isinstance(self._result, Real):
            self.store(e, state, Real(F64.const(1.0 if self._call.function == "cume_dist" else 0.0), False))
        else:
            self.store(e, state, _as_bigint(I64.const(1)))

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f = e.f
        before_it = self._define_before_it()
        before, equal, distinct = (f.let(I32.const(0), name) for name in ("before", "equal", "distinct"))
        index = f.let(I32.const(0), "index")
        previous = f.let(I32.const(0), "previous")
        with f.count_up(index, count):
            row = f.let(load("i32.load", pointers + index * 4), "row")
            place = f.let(f.call(before_it, e.worker, row), "place")
            with f.if_(place == 2):
                before.set(before + 1)
                new = self._differs(e, row, previous) if self._call.function == "dense_rank" else I32.const(1)
                distinct.set(distinct + new)
                previous.set(row)
            with f.if_(place == 1):
                equal.set(equal + 1)
        match self._call.function:
            case "rank":
                self.store(e, state, _as_bigint((before + 1).to_i64_u()))
            case "dense_rank":
                self.store(e, state, _as_bigint((distinct + 1).to_i64_u()))
            case "percent_rank":
                self.store(e, state, Real(before.to_f64() / count.to_f64(), False))
            case _:
                self.store(e, state, Real((before + equal + 1).to_f64() / (count + 1).to_f64(), False))

    def _differs(self, e: Emitter, row: I32, previous: I32) -> I32:
        """1 for a first row and where the order keys of two rows differ."""
        given = len(self._call.order)
        same: I32 = previous != 0
        for one, other in list(zip(self._layout.read(row), self._layout.read(previous), strict=True))[given:]:
            same = same & equal_or_both_null(e, e.keep_value(one), e.keep_value(other))
        return same.is_zero()


def _whole(value: F64) -> I32:
    return convert("i32.trunc_sat_f64_s", value)


def _as_bigint(value: I64) -> Int:
    return Int(value, 0, BIGINT.bounds[1])


def collecting(context: Context, call: AggregateCall, samples: tuple[SqlValue, ...]) -> Collecting:
    """The accumulator of a collecting aggregate whose parts (and filter) look like `samples`."""
    last = samples[len(samples) - 1 - (call.filter is not None)]
    match call.function:
        case "string_agg":
            return StringAgg(context, call, samples, Text(I32.const(0), I32.const(0)))
        case "array_agg":
            from zerodb_compiler.codegen.array_agg import array_agg_class

            assert call.argument is not None
            form = array_agg_class(call.argument.type.id)
            return form(context, call, samples, Text(I32.const(0), I32.const(0)))
        case "json_agg" | "jsonb_agg" | "json_object_agg" | "jsonb_object_agg":
            from zerodb_compiler.codegen.json_agg import JsonAgg, JsonObjectAgg

            kind = JsonObjectAgg if call.extra else JsonAgg
            return kind(context, call, samples, Text(I32.const(0), I32.const(0)))
        case "mode":
            return Mode(context, call, samples, last)
        case "percentile_cont" | "percentile_disc":
            return Percentile(context, call, samples, last)
        case function if function in HYPOTHETICAL:
            sample = Real(F64.const(0.0), False) if call.type.is_float else _as_bigint(I64.const(0))
            return Hypothetical(context, call, samples, sample)
    raise AssertionError(f"aggregate {call.function} does not collect")


__all__ = ["Collecting", "collecting"]
