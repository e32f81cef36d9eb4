"""The tuples of a window operator: what is read of the input, then the results.

Arguments without columns are not kept: they are evaluated where they are used. lag and lead with a default keep value
and default in one form, since the result is either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zerodb_compiler.codegen.accumulators import Accumulator, Chosen, RealSum, accumulator, argument_of, parts_of
from zerodb_compiler.codegen.collecting import Collecting
from zerodb_compiler.codegen.common import evaluate_all
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.expressions import Environment, evaluate
from zerodb_compiler.codegen.operators.project import canonical
from zerodb_compiler.codegen.pipeline import PipelineEmitter
from zerodb_compiler.codegen.sqlvalues import Int, Real, SqlValue, with_null
from zerodb_compiler.codegen.tuples import Field, TupleBuffer, TupleLayout, write_value
from zerodb_compiler.codegen.windows.sums import FrameRealSum
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.plan.physical import Window
from zerodb_compiler.plan.transform import ids_of, same_key
from zerodb_compiler.plan.windows import WindowItem, bounds_of
from zerodb_compiler.sql.expressions import AggregateCall, Column, Expression, Literal, Parameter
from zerodb_compiler.wasm.values import F64, I32, I64

MOST_ROWS = 1 << 30
_NO = I32.const(0)


@dataclass(frozen=True, slots=True)
class _Read:
    """A value kept in the tuple; `uniform` ones in the form that any value of `column`'s type may have."""

    expression: Expression
    uniform: bool


def is_without_default(item: WindowItem) -> bool:
    """lag or lead whose default is NULL."""
    assert not isinstance(item.call, AggregateCall)
    default = item.call.arguments[2]
    return isinstance(default, Literal) and default.value is None


def is_computed(expression: Expression) -> bool:
    """An argument without columns that is computed where it is used, in memory that the next row uses again."""
    return not ids_of(expression) and not isinstance(expression, (Literal, Parameter))


class WindowTuple:
    """`ids` are the columns that are read above; `layout` and `results` are known after the first row was generated."""

    def __init__(self, context: Context, plan: Window, needed: frozenset[int]) -> None:
        self._context = context
        self.items = tuple(item for run in plan.runs for spec in run.specs for item in spec.items)
        windowed = {item.column.id for item in self.items}
        self.ids = tuple(sorted(needed))
        self._columns = sorted(needed - windowed)
        self._reads: dict[object, int] = {(id_, False): place for place, id_ in enumerate(self._columns)}
        self._kept: list[_Read] = []
        for run in plan.runs:
            for key in run.keys:
                self._keep(key.expression)
            for spec in run.specs:
                for part in (*spec.partition, *(key.expression for key in spec.order)):
                    self._keep(part)
                for item in spec.items:
                    self._keep_arguments(item)
        self.layout: TupleLayout | None = None
        self.buffer: TupleBuffer | None = None
        self._results: TupleLayout | None = None
        self.accumulators: dict[int, Accumulator] = {}

    # --- what is kept ----------------------------------------
    def _keep(self, expression: Expression, uniform: bool = False) -> None:
        if not ids_of(expression):
            return
        key = (same_key(expression), uniform)
        if key not in self._reads:
            self._reads[key] = len(self._columns) + len(self._kept)
            self._kept.append(_Read(expression, uniform))

    def _keep_arguments(self, item: WindowItem) -> None:
        if isinstance(item.call, AggregateCall):
            for part in parts_of(item.call):
                self._keep(part)
            self._keep_borders(item)
            return
        self._keep_borders(item)
        uniform = _is_uniform(item)
        for place, part in enumerate(item.call.arguments):
            self._keep(part, uniform and place != 1)

    def _keep_borders(self, item: WindowItem) -> None:
        for bound in bounds_of(item.frame):
            for part in bound.expressions:  # an offset has columns where it was a subquery
                self._keep(part)

    def keeps(self, expression: Expression) -> bool:
        return (same_key(expression), False) in self._reads

    def place(self, expression: Expression) -> int:
        return self._reads[(same_key(expression), False)]

    def places(self, keys: Sequence[SortKey]) -> list[tuple[int, SortKey]]:
        """For the sorts: those keys that differ between rows."""
        return [(self.place(key.expression), key) for key in keys if ids_of(key.expression)]

    # --- writing ----------------------------------------
    def append(self, p: PipelineEmitter, env: Environment) -> None:
        values = self._values(p, env)
        if self.layout is None:
            self.layout = TupleLayout(values)
            self._results = TupleLayout(self._result_samples(p, values), self.layout.size)
            self.buffer = TupleBuffer(self._context, self._results.size)
        assert self.buffer is not None and self._results is not None
        fitted = [
            with_null(value, _NO) if kept.null_offset is not None and value.null is None else value
            for value, kept in zip(values, self.layout.fields, strict=True)
        ]
        place = self.buffer.append(p)
        self.layout.write(p, place, fitted)
        p.f.memory_fill(place + self.layout.size, 0, I32.const(self._results.size - self.layout.size))

    def _values(self, p: PipelineEmitter, env: Environment) -> list[SqlValue]:
        values = [p.keep_value(env[id_]) for id_ in self._columns]
        found = evaluate_all(p, [read.expression for read in self._kept], env)
        for read, value in zip(self._kept, found, strict=True):
            assert value is not None
            values.append(uniform(p, value, read.expression) if read.uniform else value)
        return values

    # --- reading ----------------------------------------
    def argument(self, e: Emitter, expression: Expression, tuple_: I32, *, as_uniform: bool = False) -> SqlValue:
        """The value of an argument for the row of a tuple."""
        if not ids_of(expression):
            value = evaluate(e, expression, {})
            return uniform(e, value, expression) if as_uniform else value
        assert self.layout is not None
        return self.layout.read(tuple_)[self._reads[(same_key(expression), as_uniform)]]

    def read(self, base: I32) -> tuple[SqlValue, ...]:
        """The columns `ids`."""
        assert self.layout is not None and self._results is not None
        values, results = self.layout.read(base), self._results.read(base)
        computed = {item.column.id: value for item, value in zip(self.items, results, strict=True)}
        return tuple(computed[id_] if id_ in computed else values[self._reads[(id_, False)]] for id_ in self.ids)

    # --- results ----------------------------------------
    def result_field(self, item: WindowItem) -> Field:
        assert self._results is not None
        return self._results.fields[self.items.index(item)]

    def set_result(self, e: Emitter, tuple_: I32, item: WindowItem, value: SqlValue, *, own_text: bool = False) -> None:
        """`own_text` for values that were computed just now (`is_computed`): texts of tuples live as long as these."""
        field = self.result_field(item)
        if field.null_offset is not None and value.null is not None:
            value = e.keep_value(value)
            assert value.null is not None
            e.f.store("i32.store8", tuple_, value.null, field.null_offset)
        if isinstance(value, Int):
            assert isinstance(field.sample, Int)
            value = replace(value, low=field.sample.low, high=field.sample.high)
        write_value(e, tuple_, field.offset, value, own_text=own_text)

    def set_null(self, e: Emitter, tuple_: I32, item: WindowItem) -> None:
        field = self.result_field(item)
        assert field.null_offset is not None
        e.f.store("i32.store8", tuple_, I32.const(1), field.null_offset)

    def _result_samples(self, p: PipelineEmitter, values: Sequence[SqlValue]) -> list[SqlValue]:
        def kept(expression: Expression, as_uniform: bool = False) -> SqlValue:
            if ids_of(expression):
                return values[self._reads[(same_key(expression), as_uniform)]]
            found = evaluate(p, expression, {})
            return uniform(p, found, expression) if as_uniform else found

        samples: list[SqlValue] = []
        for item in self.items:
            body, comments = len(p.f.body), len(p.f.comments)
            samples.append(self._result_sample(p, item, kept))
            del p.f.body[body:], p.f.comments[comments:]  # only the form of the values was wanted
        return samples

    def _result_sample(self, p: PipelineEmitter, item: WindowItem, kept: object) -> SqlValue:
        assert callable(kept)
        call = item.call
        if isinstance(call, AggregateCall):
            sample = argument_of([kept(part) for part in parts_of(call)])
            state = self.accumulators[item.column.id] = accumulator(call, sample, self._context)
            if isinstance(state, RealSum):
                state = self.accumulators[item.column.id] = FrameRealSum(call)
            if isinstance(state, (Chosen, Collecting)) and not any(map(is_computed, parts_of(call))):
                state.owns_text = False  # texts of tuples live as long as the query
            value = state.result(p, I32.const(0), 0)
            return value if value.null is None else with_null(value, _NO)
        match call.function:
            case "row_number" | "rank" | "dense_rank":
                return Int(I64.const(0), 0, MOST_ROWS)
            case "percent_rank" | "cume_dist":
                return Real(F64.const(0.0), False)
            case "ntile":
                return Int(I64.const(0), 0, (1 << 31) - 1, _NO)
            case "lag" | "lead":
                return with_null(kept(call.arguments[0], _is_uniform(item)), _NO)
            case _:
                return with_null(kept(call.arguments[0]), _NO)


def _is_uniform(item: WindowItem) -> bool:
    assert not isinstance(item.call, AggregateCall)
    return item.call.function in ("lag", "lead") and not is_without_default(item)


def uniform(e: Emitter, value: SqlValue, expression: Expression) -> SqlValue:
    return e.keep_value(canonical(e, value, Column(0, "", expression.type, expression.nullable)))
