"""Aggregate functions as accumulators: a few fields of state each, updated per row, merged between workers.

State of all zeros means "no row yet", so a new group needs no more than zeroed memory. `update` and `merge` work on the
state at an address; `SumState.local` is the form kept in locals or in 64 bits within one morsel where that is proven
safe (see aggregate.py).

Exact sums: if every argument is proven within +-2**24, a 64-bit sum overflows only after 2**39 rows, which no query
reaches; else the sum is kept in 128 bits, and 128 bits overflow only where 2**63 rows of 64-bit values would.
For arguments beyond 64 bits each addition is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from zerodb_compiler.codegen.arithmetic import I128_HIGH, I128_LOW, bounded, float_result, raise_if
from zerodb_compiler.codegen.comparison import compare, to_text, to_wide
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.expressions import comparable
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text, Wide, with_null
from zerodb_compiler.codegen.statistics import Statistic
from zerodb_compiler.codegen.tuples import read_value, width_of, write_value
from zerodb_compiler.kernels import intervals
from zerodb_compiler.sql.aggregates import COLLECTING, MOMENTS, REGRESSION
from zerodb_compiler.sql.expressions import AggregateCall, Expression
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, load, select

SAFE_SUM_BOUND = 1 << 24

# What one row brings: nothing (count(*)), the argument, or all parts of a call that has several.
Argument: TypeAlias = SqlValue | tuple[SqlValue, ...] | None


def parts_of(call: AggregateCall) -> tuple[Expression, ...]:
    """What is evaluated for each row; the filter, where it is still there, comes last."""
    return call.parts if call.filter is None else (*call.parts, call.filter)


def argument_of(values: Sequence[SqlValue]) -> Argument:
    """The values of `parts_of` as an accumulator takes them."""
    return None if not values else values[0] if len(values) == 1 else tuple(values)


class Accumulator(Protocol):
    size: int  # bytes of state, a multiple of 8

    def update(self, e: Emitter, state: I32, offset: int, value: Argument) -> None:
        """Takes one row in."""
        ...

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        """Takes the state at `other` (same offset) in."""
        ...

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue: ...


def _only_present(e: Emitter, value: SqlValue, update: Callable[[], None]) -> None:
    with e.only_if(None if value.null is None else value.null.is_zero()):
        update()


class Count:
    """count(*) and count(x)."""

    size = 8

    def update(self, e: Emitter, state: I32, offset: int, value: Argument) -> None:
        assert not isinstance(value, tuple)
        amount: I64 = I64.const(1)
        if value is not None and value.null is not None:
            amount = value.null.is_zero().to_i64_u()
        e.f.store("i64.store", state, load("i64.load", state, offset) + amount, offset)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        e.f.store("i64.store", state, load("i64.load", state, offset) + load("i64.load", other, offset), offset)

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        del e
        return Int(load("i64.load", state, offset), 0, (1 << 63) - 1)


class _Nullable:
    """What aggregates share that are NULL without a (non-NULL) row: a `seen` flag behind `value_bytes` of state."""

    def __init__(self, value_bytes: int) -> None:
        self.seen = -(-value_bytes // 4) * 4
        self.size = -(-(self.seen + 4) // 8) * 8

    def mark(self, e: Emitter, state: I32, offset: int) -> None:
        e.f.store("i32.store", state, I32.const(1), offset + self.seen)

    def is_seen(self, state: I32, offset: int) -> I32:
        return load("i32.load", state, offset + self.seen)


class IntSum(_Nullable):
    """sum of values within +-SAFE_SUM_BOUND, in 64 bits."""

    def __init__(self, type_: SqlType, position: int | None) -> None:
        super().__init__(8)
        self._type, self._position = type_, position

    def update(self, e: Emitter, state: I32, offset: int, value: Argument) -> None:
        assert isinstance(value, Int)

        def add() -> None:
            e.f.store("i64.store", state, load("i64.load", state, offset) + value.value, offset)
            self.mark(e, state, offset)

        _only_present(e, value, add)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        e.f.store("i64.store", state, load("i64.load", state, offset) + load("i64.load", other, offset), offset)
        e.f.store("i32.store", state, self.is_seen(state, offset) | self.is_seen(other, offset), offset + self.seen)

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        value = Int(load("i64.load", state, offset), -(1 << 63), (1 << 63) - 1, self.is_seen(state, offset).is_zero())
        return bounded(e, value, self._type, self._position)


class WideSum(_Nullable):
    """sum in 128 bits; `checked` where 128 bits might overflow within a feasible number of rows."""

    def __init__(self, type_: SqlType, checked: bool, position: int | None) -> None:
        super().__init__(16)
        self._type, self._checked, self._position = type_, checked, position

    def add(self, e: Emitter, state: I32, offset: int, low: I64, high: I64) -> None:
        f = e.f
        old_high = f.let(load("i64.load", state, offset + 8), "high")
        high = e.keep(high)
        sum_low, sum_high = f.wide("i64.add128", load("i64.load", state, offset), old_high, low, high)
        if self._checked:
            overflow = ((old_high ^ sum_high) & (high ^ sum_high)) < 0
            raise_if(e, overflow, None, ("22003", f"{self._type} out of range in sum"), self._position)
        f.store("i64.store", state, sum_low, offset)
        f.store("i64.store", state, sum_high, offset + 8)

    def update(self, e: Emitter, state: I32, offset: int, value: Argument) -> None:
        assert isinstance(value, Int | Wide)

        def add() -> None:
            wide = to_wide(with_null(e.keep_value(value), None))
            self.add(e, state, offset, wide.value, wide.upper)
            self.mark(e, state, offset)

        _only_present(e, value, add)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        self.add(e, state, offset, load("i64.load", other, offset), load("i64.load", other, offset + 8))
        e.f.store("i32.store", state, self.is_seen(state, offset) | self.is_seen(other, offset), offset + self.seen)

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        value = Wide(
            load("i64.load", state, offset),
            load("i64.load", state, offset + 8),
            I128_LOW,
            I128_HIGH,
            self.is_seen(state, offset).is_zero(),
        )
        return bounded(e, value, self._type, self._position)


class IntervalSum(WideSum):
    """sum of intervals: months, days and microseconds each for themselves."""

    def add(self, e: Emitter, state: I32, offset: int, low: I64, high: I64) -> None:
        old = load("i64.load", state, offset), load("i64.load", state, offset + 8)
        new_low, new_high, status = e.f.run(e.context.kernel(intervals.interval_add), *old, low, high)
        e.error_if(status, "22008", "interval out of range", self._position)
        e.f.store("i64.store", state, new_low, offset)
        e.f.store("i64.store", state, new_high, offset + 8)


class RealSum(_Nullable):
    """sum of floats, in double precision; 22003 where finite values give an infinity."""

    def __init__(self, single: bool, position: int | None) -> None:
        super().__init__(8)
        self._single, self._position = single, position

    def _add(self, e: Emitter, state: I32, offset: int, value: F64) -> None:
        old: F64 = load("f64.load", state, offset)
        total = float_result(e, old + value, (old, value), False, None, self._position)
        e.f.store("f64.store", state, total.value, offset)

    def update(self, e: Emitter, state: I32, offset: int, value: Argument) -> None:
        assert isinstance(value, Real)

        def add() -> None:
            self._add(e, state, offset, e.keep(value.value))
            self.mark(e, state, offset)

        _only_present(e, value, add)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        self._add(e, state, offset, e.keep(load("f64.load", other, offset)))
        e.f.store("i32.store", state, self.is_seen(state, offset) | self.is_seen(other, offset), offset + self.seen)

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        total: F64 = e.keep(load("f64.load", state, offset))
        null = self.is_seen(state, offset).is_zero()
        if self._single:
            return float_result(e, total, (total,), True, null, self._position)
        return Real(total, False, null)


class Chosen(_Nullable):
    """min, max, any_value, bool_and, bool_or: the state is one of the values; `better(new, old)` decides."""

    def __init__(self, function: str, sample: SqlValue, type_: SqlType) -> None:
        self._type = type_
        # Codes of a dictionary have no order, so min and max compare strings; any_value keeps the code.
        if isinstance(sample, Code) and function in ("min", "max"):
            sample = Text(I32.const(0), I32.const(0))
        self._sample = with_null(sample, None)
        self._function = function
        self.owns_text = True  # False where the values live as long as the query
        self._null_counts = function == "any_value" and sample.null is not None
        super().__init__(width_of(self._sample))

    def _better(self, e: Emitter, new: SqlValue, old: SqlValue) -> I32:
        # Of equal values that look different (1 day, 24 hours) PostgreSQL keeps the last.
        equal = "e" if self._type.has_sort_key else "t"
        match self._function:
            case "min" | "bool_and":
                return compare(e, f"l{equal}", comparable(e, new, self._type), comparable(e, old, self._type))
            case "max" | "bool_or":
                return compare(e, f"g{equal}", comparable(e, new, self._type), comparable(e, old, self._type))
            case _:
                return I32.const(0)

    def _take(self, e: Emitter, state: I32, offset: int, value: SqlValue, *, own_text: bool) -> None:
        if isinstance(self._sample, Text):
            value = to_text(e, value)
        value = e.keep_value(value)
        old = read_value(state, offset, self._sample, None)
        seen = self.is_seen(state, offset)
        if self._function == "any_value":
            take = seen.is_zero()
        else:
            # Typed if: the old value means nothing before one was seen.
            body = e.f.body
            start = len(body)
            better = self._better(e, value, old)
            statements = bytes(body[start:])
            del body[start:]
            take_local = e.f.let(I32.const(1), "take")
            with e.f.if_(seen):
                e.f.emit(statements)
                take_local.set(better)
            take = take_local
        with e.f.if_(take):
            write_value(e, state, offset, value, own_text=own_text)
            self.mark(e, state, offset)

    def update(self, e: Emitter, state: I32, offset: int, value: Argument) -> None:
        assert value is not None and not isinstance(value, tuple)
        if isinstance(value, Bool) and value.null is not None:
            value = e.keep_value(value)
        bare = with_null(value, None)
        _only_present(e, value, lambda: self._take(e, state, offset, bare, own_text=self.owns_text))

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        with e.f.if_(self.is_seen(other, offset)):
            # The other worker's arena lives as long as the query: its texts need no copy.
            self._take(e, state, offset, read_value(other, offset, self._sample, None), own_text=False)

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        del e
        null = self.is_seen(state, offset).is_zero()
        value = read_value(state, offset, self._sample, null)
        if isinstance(value, Bool):
            return Bool(value.value, null)
        return value


class Bits(_Nullable):
    """bit_and, bit_or, bit_xor of integers."""

    def __init__(self, function: str, sample: Int | Wide) -> None:
        super().__init__(16)
        self._function = function
        self._wide = isinstance(sample, Wide)
        self._low, self._high = sample.low, sample.high

    def _take(self, e: Emitter, state: I32, offset: int, words: tuple[I64, ...]) -> None:
        f = e.f
        seen = f.let(self.is_seen(state, offset), "seen")
        for i, word in enumerate(words):
            old: I64 = load("i64.load", state, offset + 8 * i)
            match self._function:
                case "bit_and":
                    new = select(seen, old & word, word)
                case "bit_or":
                    new = old | word
                case _:
                    new = old ^ word
            f.store("i64.store", state, new, offset + 8 * i)
        self.mark(e, state, offset)

    def update(self, e: Emitter, state: I32, offset: int, value: Argument) -> None:
        assert isinstance(value, Int | Wide)

        def take() -> None:
            kept = e.keep_value(value)
            words = (kept.value, kept.upper) if isinstance(kept, Wide) else (kept.value,)
            self._take(e, state, offset, words)

        _only_present(e, value, take)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        with e.f.if_(self.is_seen(other, offset)):
            words = tuple(e.keep(load("i64.load", other, offset + 8 * i)) for i in range(2 if self._wide else 1))
            self._take(e, state, offset, words)

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        del e
        null = self.is_seen(state, offset).is_zero()
        low: I64 = load("i64.load", state, offset)
        if self._wide:
            return Wide(low, load("i64.load", state, offset + 8), I128_LOW, I128_HIGH, null)
        # No bit outside those that any value of the sample's bounds may have is ever set.
        bits = max(self._low, self._high, -self._low - 1, 0).bit_length()
        bound = (1 << bits) - 1
        return Int(low, -bound - 1 if self._low < 0 else 0, bound, null)


def accumulator(call: AggregateCall, sample: Argument, context: Context | None = None) -> Accumulator:
    """The accumulator of an aggregate whose argument (or parts, if it has several) looks like `sample`. Collecting
    aggregates define functions in `context`."""
    if call.function in COLLECTING:
        from zerodb_compiler.codegen.collecting import collecting

        assert context is not None and sample is not None
        return collecting(context, call, sample if isinstance(sample, tuple) else (sample,))
    if call.function in MOMENTS or call.function in REGRESSION:
        return Statistic(call.function, call.position)
    assert not isinstance(sample, tuple)
    match call.function:
        case "bit_and" | "bit_or" | "bit_xor":
            assert isinstance(sample, Int | Wide)
            return Bits(call.function, sample)
        case "count_star" | "count":
            return Count()
        case "sum":
            if isinstance(sample, Real):
                return RealSum(call.type.id is TypeId.REAL, call.position)
            assert isinstance(sample, Int | Wide)
            if call.type.id is TypeId.INTERVAL:
                return IntervalSum(call.type, True, call.position)
            if max(abs(sample.low), abs(sample.high)) <= SAFE_SUM_BOUND:
                return IntSum(call.type, call.position)
            return WideSum(call.type, isinstance(sample, Wide), call.position)
        case "min" | "max" | "any_value" | "bool_and" | "bool_or":
            assert sample is not None
            return Chosen(call.function, sample, call.type)
    raise AssertionError(f"aggregate {call.function} reached code generation")
