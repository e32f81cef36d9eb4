"""Changes by key: INSERT, UPDATE and DELETE of one row as a record of the transaction's own rows (point_abi.py).

The function finds the row, computes the new one and appends its record to the overlay, all or nothing. What it gives is
the id of the row it replaces, which the host then locks (-1: none, or one of the transaction's own). If that does not
work out, the host takes the record back and goes the general way; so does it where a value is refused, such as NULL in
a NOT NULL column: the general path knows the message.

    UPDATE, DELETE    found -> predicates, steps -> values checked -> record (DELETE: the key only, not alive)
    INSERT            values checked -> not found -> record
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.expressions import evaluate
from zerodb_compiler.codegen.point import (
    Found,
    PointProgram,
    RowFinder,
    RowLocals,
    as_column,
    define_entry,
    open_directory,
    search,
    store_value,
)
from zerodb_compiler.codegen.program import Program
from zerodb_compiler.codegen.sqlvalues import SqlValue, Text
from zerodb_compiler.layout import TableLayout
from zerodb_compiler.plan.point import Constant, PointPlan
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.types import SqlType
from zerodb_compiler.wasm.module import Function
from zerodb_compiler.wasm.values import I32, I64, load

_RESULTS = 16  # status, the key's hash, row id


@dataclass(slots=True)
class _Slots:
    """A program under construction: its fields of the query block."""

    context: Context
    directory: int
    parameters: int
    results: int
    inner: Function

    @staticmethod
    def of(user: tuple[UserParameter, ...]) -> _Slots:
        context = Context()
        directory = context.query.reserve(16, kept=True)
        for parameter in user:
            context.parameter(parameter.slot, parameter.type)
        parameters = context.query.size - abi.PARAMETER_BYTES * len(user)
        results = context.query.reserve(_RESULTS, kept=True)
        inner = context.module.function("change", [("worker", I32), ("morsel", I32)], [I32])
        return _Slots(context, directory, parameters, results, inner)

    def finish(self, table: TableInfo, ordinals: set[int]) -> PointProgram | None:
        define_entry(self.context, self.inner, self.results)
        program: Program = self.context.finish((), 0)
        if program.dictionaries or program.dictionary_codes:
            return None
        read = tuple(sorted(ordinals | set(table.primary_key)))
        return PointProgram(program, table, read, self.directory, self.parameters, self.results, (pa.INT,))


def generate_update(plan: PointPlan, layout: TableLayout, user: tuple[UserParameter, ...]) -> PointProgram | None:
    """`plan.output` is the row id and the new value of every column; the key's columns stay as they are."""
    slots = _Slots.of(user)
    e = Emitter(slots.context, slots.inner)
    env, found, finder = search(e, plan, layout, slots.directory, slots.results)
    columns = plan.output[1:]
    values = [as_column(e, env[column.id], column) for column in columns]
    check_values(e, plan.table, values)
    row_id = e.f.let(_row_id(env[plan.output[0].id]), "replaced")
    _append(e, slots, finder, found, values, row_id, alive=True)
    return slots.finish(plan.table, {item.ordinal for item in plan.columns})


def generate_delete(plan: PointPlan, layout: TableLayout, user: tuple[UserParameter, ...]) -> PointProgram | None:
    """`plan.output` is the row id."""
    slots = _Slots.of(user)
    e = Emitter(slots.context, slots.inner)
    env, found, finder = search(e, plan, layout, slots.directory, slots.results)
    values: list[SqlValue | None] = [None] * len(plan.table.columns)
    for ordinal, constant in zip(plan.key, plan.values, strict=True):
        values[ordinal] = replace(e.keep_value(evaluate(e, constant, {})), null=None)
    row_id = e.f.let(_row_id(env[plan.output[0].id]), "replaced")
    _append(e, slots, finder, found, values, row_id, alive=False)
    return slots.finish(plan.table, {item.ordinal for item in plan.columns})


def generate_insert(
    table: TableInfo, constants: tuple[Constant, ...], layout: TableLayout, user: tuple[UserParameter, ...]
) -> PointProgram | None:
    """One row of parameters and literals, in the order of the columns of `table` (of the widest layout). In a table
    without a key there is nothing to look for."""
    slots = _Slots.of(user)
    e = Emitter(slots.context, slots.inner)
    directory, overlay = open_directory(e, slots.directory)
    finder = RowFinder(e, table, layout, table.primary_key)
    values: list[SqlValue] = []
    for column, constant in zip(table.columns, constants, strict=True):
        shown = Column(0, column.name, column.type, not column.not_null)
        values.append(as_column(e, evaluate(e, constant, {}), shown))
    check_values(e, table, values)
    if not table.primary_key:
        nothing = Found(*(e.f.let(I32.const(0), name) for name in ("visible", "own", "hash")))
        _append(e, slots, finder, nothing, values, e.f.let(I64.const(-1), "replaced"), alive=True)
        return slots.finish(table, set())
    keys = tuple([replace(values[ordinal], null=None) for ordinal in table.primary_key])
    row = RowLocals(e, table, ())
    found = finder.find(row, keys, directory, overlay, slots.results)
    e.fail_if(found.visible, pa.STATUS_EXISTS)
    # Where the key was deleted before in this transaction, that record knows which row is to go.
    row_id = e.f.let(I64.const(-1), "replaced")
    with e.f.if_(found.own):
        row_id.set(row.row_id)
    _append(e, slots, finder, found, values, row_id, alive=True)
    return slots.finish(table, set())


def _row_id(value: SqlValue) -> I64:
    found = getattr(value, "value")  # noqa: B009 - an Int
    assert isinstance(found, I64)
    return found


def check_values(e: Emitter, table: TableInfo, values: list[SqlValue]) -> None:
    """NULL where it must not be, or text that may be too long."""
    for column, value in zip(table.columns, values, strict=True):
        if column.not_null and value.null is not None:
            e.fail_if(value.null, pa.STATUS_REFUSED)
        if column.type.length is not None and isinstance(value, Text):
            e.fail_if(value.length > column.type.length, pa.STATUS_REFUSED)


def _append(
    e: Emitter,
    slots: _Slots,
    finder: RowFinder,
    found: Found,
    values: list[SqlValue] | list[SqlValue | None],
    row_id: I64,
    *,
    alive: bool,
) -> None:
    """Appends the record to the overlay; returns from the function."""
    f = e.f
    overlay = f.let(e.query_i32(slots.directory + 4), "overlay")
    append_record(e, overlay, slots.results, finder, found, values, row_id, alive=alive)
    with f.if_(found.own):
        row_id.set(I64.const(-1))  # type: ignore[attr-defined]
    f.store("i32.store", e.query, found.hash, slots.results + 4)
    f.store("i64.store", e.query, row_id, slots.results + 8)
    f.return_(I32.const(pa.STATUS_ROW))


def append_record(
    e: Emitter,
    overlay: I32,
    results: int,
    finder: RowFinder,
    found: Found,
    values: Sequence[SqlValue | None],
    row_id: I64,
    *,
    alive: bool,
) -> None:
    """Appends a record to the overlay, in the place of `found.own` if there is one; ends with STATUS_FULL if there is
    no room."""
    f, layout = e.f, finder.record
    record = f.let(load("i32.load", overlay, pa.OVERLAY_NEXT), "record")
    heap = f.let(load("i32.load", overlay, pa.OVERLAY_HEAP), "heap")
    size = f.let(I32.const(0), "text_bytes")
    for value in values:
        if isinstance(value, Text):
            size.set(size + _length(value))
    f.store("i32.store", e.query, size, results + 8)
    count = f.let(load("i32.load", overlay, pa.OVERLAY_COUNT), "count")
    full = (record + layout.stride).greater_u(load("i32.load", overlay, pa.OVERLAY_END))
    full = full | (heap + size).greater_u(load("i32.load", overlay, pa.OVERLAY_HEAP_END))
    e.fail_if(full | count.greater_u(load("i32.load", overlay, pa.OVERLAY_MASK)), pa.STATUS_FULL)
    for ordinal, value in enumerate(values):
        _put(e, layout, record, heap, ordinal, value, finder.table.columns[ordinal].type)
    f.store("i32.store", record, I32.const(pa.RECORD_ALIVE if alive else 0), pa.RECORD_FLAGS)
    f.store("i64.store", record, row_id, pa.RECORD_ROW_ID)
    slot = f.let(
        load("i32.load", overlay, pa.OVERLAY_HEADS) + ((found.hash & load("i32.load", overlay, pa.OVERLAY_MASK)) << 2),
        "slot",
    )
    f.store("i32.store", record, load("i32.load", slot), pa.RECORD_NEXT)
    f.store("i32.store", slot, record)
    f.store("i32.store", record, found.hash, pa.RECORD_HASH)
    f.store("i32.store", record, found.own, pa.RECORD_SUPERSEDES)
    f.store("i32.store", overlay, record + layout.stride, pa.OVERLAY_NEXT)
    f.store("i32.store", overlay, heap, pa.OVERLAY_HEAP)
    f.store("i32.store", overlay, count + 1, pa.OVERLAY_COUNT)
    with f.if_(found.own):
        flags = load("i32.load", found.own, pa.RECORD_FLAGS) | pa.RECORD_SUPERSEDED
        f.store("i32.store", found.own, flags, pa.RECORD_FLAGS)


def _length(value: Text) -> I32:
    return value.length if value.null is None else value.length * value.null.is_zero()


def _put(
    e: Emitter, layout: pa.RecordLayout, record: I32, heap: I32, ordinal: int, value: SqlValue | None, type_: SqlType
) -> None:
    """One column of the record; None is a NULL. Texts are copied to the heap, which is moved on."""
    f, offset, kind = e.f, layout.offsets[ordinal], layout.kinds[ordinal]
    null = I32.const(1) if value is None else I32.const(0) if value.null is None else value.null
    f.store("i32.store8", record, null, pa.RECORD_NULLS + ordinal)
    if value is None:
        f.store("i64.store", record, I64.const(0), offset)
        if kind == pa.WIDE:
            f.store("i64.store", record, I64.const(0), offset + 8)
    elif isinstance(value, Text):
        length = f.let(_length(value), "length")
        f.memory_copy(heap, value.address, length)
        store_value(e, record, offset, kind, Text(heap, length))
        heap.set(heap + length)  # type: ignore[attr-defined]
    else:
        assert kind == pa.kind_of(type_)
        store_value(e, record, offset, kind, value)
