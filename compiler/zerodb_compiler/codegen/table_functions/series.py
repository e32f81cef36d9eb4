"""generate_series. Over integers and numerics the number of rows is worked out first, then a counter runs down.

The count is that of 64 bits, unsigned: nobody will see the end of a longer series.
"""

from __future__ import annotations

from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import evaluate
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, Wide, either_null, fits_i64
from zerodb_compiler.codegen.table_functions import RowSource, table_function
from zerodb_compiler.kernels import intervals, series
from zerodb_compiler.plan.logical import TableCall
from zerodb_compiler.sql.expressions import Call, Column, ColumnRef
from zerodb_compiler.types import BYTEA, INTERVAL, TypeId
from zerodb_compiler.wasm.values import I32, I64, select

STEP_IS_ZERO = ("22023", "step size cannot equal zero")


class IntegerSeries:
    """`first`, `step` and `count` are locals after `open`."""

    def __init__(self, item: TableCall) -> None:
        self._item = item
        self.low, self.high = item.columns[0].type.bounds

    def open(self, e: Emitter, arguments: tuple[SqlValue, ...]) -> None:
        first, last, *rest = arguments
        assert isinstance(first, Int) and isinstance(last, Int)
        step = rest[0] if rest else Int(I64.const(1), 1, 1)
        assert isinstance(step, Int)
        null = e.keep(either_null(first.null, last.null, step.null))
        self.current, self.left = e.f.local(I64, "current"), e.f.local(I64, "rows_left")
        self.step = e.f.let(step.value, "step")
        if step.low <= 0 <= step.high:
            zero = self.step.is_zero() if null is None else self.step.is_zero() & null.is_zero()
            e.error_if(zero, *STEP_IS_ZERO, self._item.position)
        count = e.f.call(e.context.kernel(series.series_count), first.value, last.value, self.step)
        self.current.set(first.value)
        self.left.set(count if null is None else count * null.is_zero().to_i64_u())
        self.low, self.high = min(first.low, last.low), max(first.high, last.high)

    def has(self) -> I32:
        return self.left != 0

    def values(self, e: Emitter) -> tuple[SqlValue, ...]:
        return (Int(e.f.let(self.current, "value"), self.low, self.high),)

    def advance(self, e: Emitter) -> None:
        self.current.set(self.current + self.step)
        self.left.set(self.left - 1)


class NumericSeries:
    def __init__(self, item: TableCall) -> None:
        self._item = item

    def open(self, e: Emitter, arguments: tuple[SqlValue, ...]) -> None:
        null = e.keep(either_null(*(argument.null for argument in arguments)))
        wide = [e.keep_value(to_wide(argument)) for argument in arguments if isinstance(argument, Int | Wide)]
        parts = [part for value in wide for part in (value.value, value.upper)]
        step = wide[2]
        zero = (step.value | step.upper).is_zero()
        e.error_if(zero if null is None else zero & null.is_zero(), *STEP_IS_ZERO, self._item.position)
        count = e.f.call(e.context.kernel(series.decimal_series_count), *parts)
        self.low, self.high = e.f.let(parts[0], "current"), e.f.let(parts[1], "current_high")
        self.step = (e.f.let(parts[4], "step"), e.f.let(parts[5], "step_high"))
        self.left = e.f.let(count if null is None else count * null.is_zero().to_i64_u(), "rows_left")

    def has(self) -> I32:
        return self.left != 0

    def values(self, e: Emitter) -> tuple[SqlValue, ...]:
        low, high = self._item.columns[0].type.bounds
        value = e.f.let(self.low, "value")
        if fits_i64(low, high):
            return (Int(value, low, high),)
        return (Wide(value, e.f.let(self.high, "value_high"), low, high),)

    def advance(self, e: Emitter) -> None:
        low, high = e.f.wide("i64.add128", self.low, self.high, *self.step)
        self.low.set(low)
        self.high.set(high)
        self.left.set(self.left - 1)


@table_function("generate_series")
def generate_series(item: TableCall) -> RowSource:
    match item.columns[0].type.id:
        case TypeId.NUMERIC:
            return NumericSeries(item)
        case TypeId.TIMESTAMP | TypeId.TIMESTAMPTZ:
            return MomentSeries(item)
    return IntegerSeries(item)


class MomentSeries:
    """Timestamps, an interval apart: each is the one before plus the interval, as `timestamp + interval` has it. The
    direction is that of the interval's sort key."""

    def __init__(self, item: TableCall) -> None:
        self._item = item
        self._type = item.columns[0].type

    def open(self, e: Emitter, arguments: tuple[SqlValue, ...]) -> None:
        null = e.keep(either_null(*(argument.null for argument in arguments)))
        first, last, step = arguments[:3]
        assert isinstance(first, Int) and isinstance(last, Int) and isinstance(step, Int | Wide)
        wide = e.keep_value(to_wide(step))
        key, key_high = e.f.run(e.context.kernel(intervals.interval_sort_key), wide.value, wide.upper)
        zero = (key | key_high).is_zero()
        e.error_if(zero if null is None else zero & null.is_zero(), *STEP_IS_ZERO, self._item.position)
        self._falls = e.f.let(key_high < 0, "falls")
        self._last = e.f.let(last.value, "last")
        self._current = e.f.let(first.value, "current")
        self._more = e.f.let(I32.const(1) if null is None else null.is_zero(), "more")
        self._step = Wide(e.f.let(wide.value, "step"), e.f.let(wide.upper, "step_high"), wide.low, wide.high)
        self._zone = [e.keep_value(argument) for argument in arguments[3:]]

    def has(self) -> I32:
        inside = select(self._falls, self._current >= self._last, self._current <= self._last)
        return self._more & inside

    def values(self, e: Emitter) -> tuple[SqlValue, ...]:
        return (Int(e.f.let(self._current, "value"), *self._type.bounds),)

    def advance(self, e: Emitter) -> None:
        sides = [Column(-910, "current", self._type, False), Column(-911, "step", INTERVAL, False)]
        zone = [Column(-912, "zone", BYTEA, False) for _ in self._zone]
        name = "timestamptz_add_interval" if zone else "timestamp_add_interval"
        arguments = tuple(ColumnRef(column) for column in (*sides, *zone))
        following = Call(name, arguments, self._type, False, self._item.position)
        env: dict[int, SqlValue] = {-910: Int(self._current, *self._type.bounds), -911: self._step}
        env.update(dict(zip((-912,), self._zone, strict=False)))
        value = evaluate(e, following, env)
        assert isinstance(value, Int)
        self._current.set(value.value)
