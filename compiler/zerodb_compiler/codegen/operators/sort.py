"""Sort: rows are kept in tuple buffers, then an array of their addresses is sorted."""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.project import ids_of
from zerodb_compiler.codegen.ordering import OrderedRows, collect_pointers, define_before, define_sort
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, RowCounter, set_finish
from zerodb_compiler.codegen.sort_prefix import define_prefix_sort
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.plan.physical import Sort
from zerodb_compiler.sql.expressions import ColumnRef


class SortedTuple:
    """What a sorted tuple holds: the columns needed above, then the sort keys that are not among them."""

    def __init__(self, keys: Sequence[SortKey], needed: frozenset[int]) -> None:
        self.ids = tuple(sorted(needed))
        self._computed: list[SortKey] = []
        self.places: list[tuple[int, SortKey]] = []
        for key in keys:
            if isinstance(key.expression, ColumnRef) and key.expression.column.id in needed:
                self.places.append((self.ids.index(key.expression.column.id), key))
            else:
                self.places.append((len(self.ids) + len(self._computed), key))
                self._computed.append(key)

    def values(self, p: PipelineEmitter, env: Environment) -> list[SqlValue]:
        values = [p.keep_value(env[id_]) for id_ in self.ids]
        return values + [p.keep_value(evaluate(p, key.expression, env)) for key in self._computed]


class _Sink(RowBuffer):
    def __init__(self, context: Context, content: SortedTuple) -> None:
        super().__init__(context, content.ids)
        self._content = content

    def describe(self) -> list[str]:
        return ["sort"]

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        p.f.comment("sort: keep a row")
        self.append(p, self._content.values(p, env))


def produce(context: Context, plan: Sort, consumer: Consumer, needed: frozenset[int]) -> None:
    content = SortedTuple(plan.keys, needed)
    sink = _Sink(context, content)
    produce_plan(context, plan.input, RowCounter(sink), needed | ids_of(tuple(key.expression for key in plan.keys)))
    assert sink.layout is not None and sink.buffer is not None
    by_comparison = define_sort(context, define_before(context, sink.layout, content.places))
    sort = define_prefix_sort(context, sink.layout, content.places, by_comparison)
    rows, buffer = OrderedRows(context), sink.buffer

    def finish(e: Emitter) -> None:
        pointers, count = collect_pointers(e, buffer)
        e.check_status(e.f.call(sort, e.worker, pointers, count))
        rows.publish(e, pointers, count)

    set_finish(context, define(context, context.fresh("sort_rows"), finish))
    rows.produce(sink.layout, content.ids, consumer)
