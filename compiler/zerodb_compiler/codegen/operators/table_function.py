"""Set-returning functions: for each input row, the rows of the calls side by side (table_functions/).

As a step of a pipeline it is a loop inside the row loop. A long series of integers that stands alone in FROM is a
source of its own: one pipeline works out how many rows there are, the next has a morsel for every 65,536 of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import Environment, Result, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.project import Step, canonical, ids_of, output_of
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.program import MorselSource
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, parts
from zerodb_compiler.codegen.table_functions import RowSource, row_source
from zerodb_compiler.codegen.table_functions.series import IntegerSeries
from zerodb_compiler.plan.logical import TableCall
from zerodb_compiler.plan.physical import TableFunction, ValuesScan
from zerodb_compiler.wasm.values import I32, I64, load

ROWS_PER_MORSEL = 65_536
MOST_MORSELS = 1 << 23  # morsels are numbered in 24 bits


class _Loop(Step):
    def __init__(self, plan: TableFunction, next_: Consumer) -> None:
        super().__init__(next_)
        self._plan = plan
        self.name = ", ".join(item.function for item in plan.calls)

    def begin(self, p: PipelineEmitter) -> None:
        p.rows_bound = None
        self.next.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f, plan = p.f, self._plan
        f.comment(f"rows of {self.name}")
        sources = [row_source(item) for item in plan.calls]
        for item, source in zip(plan.calls, sources, strict=True):
            source.open(p, tuple([p.keep_value(evaluate(p, argument, env)) for argument in item.arguments]))
        number = f.local(I64, "ordinality") if plan.ordinality is not None or plan.outer else None
        if number is not None:
            number.set(I64.const(0))
        with f.block() as done, f.loop() as again:
            p.check_interrupt()
            have = [f.let(source.has(), "has_row") for source in sources]
            some = have[0]
            for other in have[1:]:
                some = some | other
            if plan.outer:
                assert number is not None
                done.break_if(some.is_zero() & (number != 0))
            else:
                done.break_if(some.is_zero())
            row = dict(env)
            for item, source, is_there in zip(plan.calls, sources, have, strict=True):
                if len(sources) == 1 and not plan.outer:
                    values: Sequence[SqlValue] = source.values(p)
                    source.advance(p)
                else:
                    values = _advance_if(p, is_there, item, source)
                row.update((column.id, value) for column, value in zip(item.columns, values, strict=True))
            if number is not None:
                number.set(number + 1)
                if plan.ordinality is not None:
                    null = f.let(some.is_zero(), "no_row") if plan.outer else None
                    row[plan.ordinality.id] = Int(f.let(number, "number"), 1, (1 << 63) - 1, null)
            self.next.row(p, row)
            again.continue_()


def _advance_if(p: PipelineEmitter, is_there: I32, item: TableCall, source: RowSource) -> list[SqlValue]:
    """The current row of a call that may have ended: NULLs then."""
    targets: list[Result] = []
    with p.f.if_(is_there):
        for column, value in zip(item.columns, source.values(p), strict=True):
            fitted = canonical(p, value, column)
            targets.append(Result(p, [fitted]))
            targets[-1].set(fitted)
        source.advance(p)
    with p.f.if_(is_there.is_zero()):
        for target in targets:
            assert target.value.null is not None, "a column that may be filled with NULLs is nullable"
            for local in (*parts(target.value), target.value.null):
                local.set(1 if local is target.value.null else 0)  # type: ignore[attr-defined]
    return [target.value for target in targets]


# --- a series as a source ---------------------------------------------------------------------------------------------
def _is_source(plan: TableFunction) -> bool:
    alone = isinstance(plan.input, ValuesScan) and not plan.input.columns and len(plan.input.values) == 1
    series = len(plan.calls) == 1 and plan.calls[0].function == "generate_series"
    is_integer = plan.calls[0].columns[0].type.is_integer
    return alone and series and is_integer and not plan.outer and plan.rows > ROWS_PER_MORSEL


class _SeriesSource:
    """The fields that the first pipeline writes: first value, step, rows, rows a morsel, morsels."""

    def __init__(self, context: Context, plan: TableFunction) -> None:
        self._context, self._plan = context, plan
        self._item = plan.calls[0]
        self._first, self._step, self._rows, self._size = (context.query.reserve(8) for _ in range(4))
        self._morsels = context.query.reserve(4, 4)
        self._series = IntegerSeries(self._item)

    def measure(self) -> None:
        def body(p: PipelineEmitter) -> None:
            series, f = self._series, p.f
            series.open(p, tuple([p.keep_value(evaluate(p, argument, {})) for argument in self._item.arguments]))
            rows = series.left
            size = f.local(I64, "rows_per_morsel")
            size.set(I64.const(ROWS_PER_MORSEL))
            # Beyond what there are numbers for, morsels grow; nobody waits for their end.
            with f.if_(rows.greater_u(I64.const(ROWS_PER_MORSEL * MOST_MORSELS))):
                size.set(rows.shift_right_u(23) + 1)
            for field, value in ((self._first, series.current), (self._step, series.step), (self._rows, rows)):
                f.store("i64.store", p.query, value, field)
            f.store("i64.store", p.query, size, self._size)
            p.set_query_i32(self._morsels, ((rows - 1).divide_u(size) + 1).to_i32() * (rows != 0))

        source = Source(MorselSource.SINGLE, "bounds of a series", parallel=False)
        open_pipeline(self._context, source, _Nothing(), body)

    def produce(self, consumer: Consumer) -> None:
        plan, item = self._plan, self._item

        def body(p: PipelineEmitter) -> None:
            f = p.f
            consumer.begin(p)
            first, step, rows, size = (
                f.let(load("i64.load", p.query, field)) for field in (self._first, self._step, self._rows, self._size)
            )
            number = f.let(p.morsel.to_i64_u() * size, "number")
            current = f.let(first + step * number, "current")
            left = f.let(rows - number, "left")
            with f.if_(size.less_u(left)):
                left.set(size)
            end = f.let(number + left, "end")
            with p.row_loop(), f.loop() as again:
                p.check_interrupt()
                row: dict[int, SqlValue] = {}
                column = item.columns[0]
                row[column.id] = Int(f.let(current, "value"), self._series.low, self._series.high)
                current.set(current + step)
                number.set(number + 1)
                if plan.ordinality is not None:
                    row[plan.ordinality.id] = Int(f.let(number, "ordinality"), 1, (1 << 63) - 1)
                consumer.row(p, row)
                again.continue_if(number != end)
            consumer.end(p)

        source = Source(MorselSource.COUNTER, "series", count_offset=self._morsels)
        open_pipeline(self._context, source, consumer, body)


class _Nothing:
    """The consumer of a pipeline that only computes."""

    def describe(self) -> list[str]:
        return []

    def begin(self, p: PipelineEmitter) -> None: ...

    def row(self, p: PipelineEmitter, env: Environment) -> None: ...

    def end(self, p: PipelineEmitter) -> None: ...


def produce(context: Context, plan: TableFunction, consumer: Consumer, needed: frozenset[int]) -> None:
    if _is_source(plan):
        source = _SeriesSource(context, plan)
        source.measure()
        source.produce(consumer)
        return
    arguments = ids_of(tuple(argument for item in plan.calls for argument in item.arguments))
    inputs = frozenset(column.id for column in output_of(plan.input))
    produce_plan(context, plan.input, _Loop(plan, consumer), (needed & inputs) | arguments)
