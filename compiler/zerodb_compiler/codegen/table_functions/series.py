"""generate_series over integers and numerics: the number of rows is worked out first, then a counter runs down.

The count is that of 64 bits, unsigned: nobody will see the end of a longer series.
"""

from __future__ import annotations

from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, Wide, either_null, fits_i64
from zerodb_compiler.codegen.table_functions import RowSource, table_function
from zerodb_compiler.kernels import series
from zerodb_compiler.plan.logical import TableCall
from zerodb_compiler.types import TypeId
from zerodb_compiler.wasm.values import I32, I64

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
    return NumericSeries(item) if item.columns[0].type.id is TypeId.NUMERIC else IntegerSeries(item)
