"""Point queries: one function that finds the rows with given values in some columns and runs the whole query over them.

    run: stamp right? -> own rows, delta, segments: a list of places -> rows, one by one, through the query's operators
         -> rows of the result, as fixed-size records that the host unpacks

The operators are those of all queries (codegen/operators), over another source than the chunks of a table: `RowSource`
walks chains of a point directory (point_chains.py of the host). All pipelines run in the one call, one after the other.
Nothing is asked of the host meanwhile - point functions are called with Python's lock held, and a directory may change
as soon as Python code runs - so all memory comes from the *room*, a block of the connection:

    | places found | rows of the result ->    <- their texts | scratch | arena | other blocks |

Limits: MOST_ROWS rows, and what the room holds; then the function ends with STATUS_REFUSED, and the general path
computes the answer. A transaction that has changed very many rows of the table is refused, too, since its own rows are
chained by the primary key and are all looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.comparison import compare
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.expressions import Environment, condition, evaluate
from zerodb_compiler.codegen.operators import produce
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.point import (
    MOST_RESULTS,
    PointProgram,
    RowFinder,
    RowLocals,
    as_column,
    key_hash,
    open_directory,
    store_value,
)
from zerodb_compiler.codegen.program import MorselSource, OutputColumn
from zerodb_compiler.codegen.sqlvalues import SqlValue, Text
from zerodb_compiler.kernels import integers, memory
from zerodb_compiler.layout import TableLayout
from zerodb_compiler.plan import physical
from zerodb_compiler.plan.logical import ScanColumn
from zerodb_compiler.plan.point_query import PointQuery
from zerodb_compiler.sql.expressions import Column, Expression
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.wasm.module import Function, FunctionRef, LocalI32
from zerodb_compiler.wasm.values import I32, load, select

MOST_ROWS = 4096
MOST_STEPS = 1 << 16  # along one chain
MOST_OWN_ROWS = 2048  # of the transaction in the table

# --- the room ---
ROOM_RESULTS = 4 * MOST_ROWS
ROOM_SCRATCH = ROOM_RESULTS + (176 << 10)
ROOM_ARENA = ROOM_SCRATCH + (96 << 10)
ROOM_BLOCKS = ROOM_ARENA + (128 << 10)
ROOM_BYTES = ROOM_BLOCKS + (96 << 10)

# --- i32 fields of the query block from PointProgram.room on ---
FIELD_ROOM = 0  # the host's: address of the room
FIELD_CHAINS = 4  # the host's: chains_at() of the chains to look in
FIELD_NEXT = 8  # the host's: record_next() of them
FIELD_BLOCK = 12  # where the next block of the room is
FIELD_ROW = 16  # where the next row of the result goes
FIELD_TEXT = 20  # where the texts of the rows begin
FIELD_COUNT = 24  # rows of the result
FIELD_BYTES = 32

RESULT_HEADER = 16  # status, rows of the result, number of the chunk that is absent


def row_bytes(kinds: tuple[str, ...]) -> int:
    """Of a row of the result: flags of NULLs (i64, bit i: column i), then the columns at 8 or 16 bytes each."""
    return 8 + sum(16 if kind == pa.WIDE else 8 for kind in kinds)


def generate_query(query: PointQuery, layout: TableLayout, user: tuple[UserParameter, ...]) -> PointProgram | None:
    """The function; None if the query needs more than such a function can do."""
    if len(query.output) > MOST_RESULTS:
        return None
    built = Building.of(query, layout, user)
    sink = Results(query.output, built.room)
    return built.finish(sink, tuple(pa.kind_of(column.type) for column in query.output))


@dataclass(slots=True)
class Building:
    """A program under construction: offsets of fields in the query block, and the source of rows."""

    context: Context
    query: PointQuery
    entry: Function
    directory: int
    parameters: int
    results: int
    room: int
    marks: tuple[int, int]  # where operators' state begins in the query and worker blocks
    source: RowSource

    @staticmethod
    def of(query: PointQuery, layout: TableLayout, user: tuple[UserParameter, ...]) -> Building:
        context = Context()
        entry = context.entry("point")
        directory = context.query.reserve(16, kept=True)
        for parameter in user:
            context.parameter(parameter.slot, parameter.type)
        parameters = context.query.size - abi.PARAMETER_BYTES * len(user)
        results = context.query.reserve(RESULT_HEADER, kept=True)
        room = context.query.reserve(FIELD_BYTES, kept=True)
        allocate_in_room(context, room)
        source = RowSource(context, query, layout, directory, results, room)
        context.table_scan = source.produce
        marks = context.query.size, context.worker.size
        return Building(context, query, entry, directory, parameters, results, room, marks, source)

    def finish(self, sink: Consumer, kinds: tuple[str, ...]) -> PointProgram | None:
        """Generates the pipelines into the sink, and the program; None if they need what cannot be had here."""
        context, query = self.context, self.query
        produce(context, query.plan, sink, frozenset(column.id for column in query.output))
        needs_more = context.externals or context.loops or context.has_worker_fields
        needs_more = needs_more or integers.random_bits in context.module.extensions  # that the host seeds
        if needs_more or any(pipeline.start is not None for pipeline in context.pipelines):
            return None
        define_run(context, self.entry, self.results, self.room, self.marks)
        output = tuple(OutputColumn(column.name, column.type, column.nullable) for column in query.output)
        program = context.finish(output, 0)
        if program.dictionaries or program.dictionary_codes:
            return None
        ordinals = tuple(sorted({*self.source.ordinals, *query.key, *query.table.primary_key}))
        return PointProgram(
            program, query.table, ordinals, self.directory, self.parameters, self.results, kinds, room=self.room
        )


def allocate_in_room(context: Context, room: int) -> None:
    """Makes all allocation one in the room; what only the host could give ends the function like memory being short."""
    f = context.module.function("allocate", [("worker", I32), ("size", I32), ("kind", I32)], [I32])
    worker, size, kind = f.parameters
    f.return_if(kind.greater_u(abi.ALLOCATE_SCRATCH), I32.const(0))
    query = f.let(load("i32.load", worker, abi.WORKER_QUERY), "query")
    block = f.let(load("i32.load", query, room + FIELD_BLOCK), "block")
    left = f.let(load("i32.load", query, room + FIELD_ROOM) + ROOM_BYTES - block, "left")
    rounded = f.let((size + 15) & -16, "rounded")
    f.return_if(rounded.less_u(size) | rounded.greater_u(left), I32.const(0))
    f.store("i32.store", query, block + rounded, room + FIELD_BLOCK)
    f.return_(block)
    context.allocate = f.ref
    context.module.extensions[memory.allocate] = f.ref


def define_run(context: Context, entry: Function, results: int, room: int, marks: tuple[int, int]) -> None:
    """The entry: everything as at first, then the pipelines."""
    functions = {ref.name: ref for ref in context.entries}
    run = context.module.function("run_pipelines", [("worker", I32), ("morsel", I32)], [I32])
    e = Emitter(context, run)
    f = e.f
    start = f.let(e.query_i32(room + FIELD_ROOM), "room")
    e.set_query_i32(room + FIELD_BLOCK, start + ROOM_BLOCKS)
    e.set_query_i32(room + FIELD_ROW, start + ROOM_RESULTS)
    e.set_query_i32(room + FIELD_TEXT, start + ROOM_SCRATCH)
    e.set_query_i32(room + FIELD_COUNT, I32.const(0))
    e.set_worker_i32(abi.WORKER_SCRATCH_START, start + ROOM_SCRATCH)
    e.set_worker_i32(abi.WORKER_SCRATCH_NEXT, start + ROOM_SCRATCH)
    e.set_worker_i32(abi.WORKER_SCRATCH_END, start + ROOM_ARENA)
    e.set_worker_i32(abi.WORKER_ARENA_NEXT, start + ROOM_ARENA)
    e.set_worker_i32(abi.WORKER_ARENA_END, start + ROOM_BLOCKS)
    for base, block, mark in ((e.query, context.query, marks[0]), (e.worker, context.worker, marks[1])):
        for first, end in block.state_since(mark):
            f.memory_fill(base + first, 0, I32.const(end - first))
    for pipeline in context.pipelines:
        _run_pipeline(e, functions, pipeline.function, pipeline.count_offset)
        if pipeline.finish is not None:
            e.check_status(f.call(functions[pipeline.finish], e.worker, I32.const(0)))
    f.return_(I32.const(pa.STATUS_ROW))
    outer = Emitter(context, entry)
    outer.set_query_i32(results, entry.call(run.ref, *entry.parameters))
    outer.set_query_i32(results + 4, outer.query_i32(room + FIELD_COUNT))
    # The result takes the place of the first argument, which is thus right for the next call.
    entry.return_(outer.worker)


def _run_pipeline(e: Emitter, functions: dict[str, FunctionRef], name: str, count_offset: int | None) -> None:
    """All morsels of a pipeline, while it wants some."""
    f = e.f
    count = f.let(I32.const(1) if count_offset is None else e.query_i32(count_offset), "morsels")
    morsel = f.let(I32.const(0), "morsel")
    with f.count_up(morsel, count) as done:
        status = f.let(f.call(functions[name], e.worker, morsel), "status")
        done.break_if(status == abi.STATUS_DONE)
        with f.if_(status):
            f.return_(status)


class Results:
    """The sink: rows of the result grow from one end of their part of the room, their texts from the other."""

    def __init__(self, output: tuple[Column, ...], room: int) -> None:
        self._output, self._room = output, room
        self._kinds = tuple(pa.kind_of(column.type) for column in output)

    def describe(self) -> list[str]:
        return ["results"]

    def begin(self, p: PipelineEmitter) -> None:
        f = p.f
        self._row = f.let(p.query_i32(self._room + FIELD_ROW), "result")
        self._text = f.let(p.query_i32(self._room + FIELD_TEXT), "result_texts")
        self._count = f.let(p.query_i32(self._room + FIELD_COUNT), "results")

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        f.comment("a row of the result")
        size = row_bytes(self._kinds)
        p.fail_if((self._row + size).greater_u(self._text), pa.STATUS_REFUSED)
        flags: I32 = I32.const(0)
        place = 8
        for number, (column, kind) in enumerate(zip(self._output, self._kinds, strict=True)):
            value = as_column(p, env[column.id], column)
            if value.null is not None and value.null.constant != 0:
                flags = flags | (value.null << number if number else value.null)
            if isinstance(value, Text):
                value = self._kept(p, value, size)
            store_value(p, self._row, place, kind, value)
            place += 16 if kind == pa.WIDE else 8
        f.store("i64.store", self._row, flags.to_i64_u())
        self._row.set(self._row + size)
        self._count.set(self._count + 1)

    def _kept(self, p: PipelineEmitter, value: Text, size: int) -> Text:
        """The text as a copy in the room, which stays when the directory changes."""
        f = p.f
        length = value.length if value.null is None else value.length * value.null.is_zero()
        kept = f.let(length, "length")
        p.fail_if(kept.greater_u(self._text - self._row - size), pa.STATUS_REFUSED)
        self._text.set(self._text - kept)
        f.memory_copy(self._text, value.address, kept)
        return Text(self._text, kept, value.null)

    def end(self, p: PipelineEmitter) -> None:
        p.set_query_i32(self._room + FIELD_ROW, self._row)
        p.set_query_i32(self._room + FIELD_TEXT, self._text)
        p.set_query_i32(self._room + FIELD_COUNT, self._count)


class RowSource:
    """The scan: first the places of all rows that are looked for are collected - addresses of records, then numbers of
    rows of segments -, then the rows are read, the last one first, which is about the order in which they came."""

    def __init__(
        self, context: Context, query: PointQuery, layout: TableLayout, directory: int, results: int, room: int
    ) -> None:
        self._context, self._query, self._layout = context, query, layout
        self._directory, self._results, self._room = directory, results, room
        self.ordinals: tuple[int, ...] = ()
        self.with_key = False  # whether the primary key's columns are read whoever needs them
        self.row: RowLocals
        self.places: Places

    def produce(self, context: Context, scan: physical.TableScan, consumer: Consumer, needed: frozenset[int]) -> None:
        columns = scan.columns
        if self.with_key:
            key = [self._query.table.columns[ordinal] for ordinal in self._query.table.primary_key]
            columns += tuple(
                [
                    ScanColumn(Column(-1 - ordinal, column.name, column.type, False), ordinal)
                    for ordinal, column in zip(self._query.table.primary_key, key, strict=True)
                    if all(item.ordinal != ordinal for item in columns)
                ]
            )
        self.ordinals = tuple(item.ordinal for item in columns)
        scan = replace(scan, columns=columns)
        source = Source(MorselSource.SINGLE, f"rows of {scan.table.name} by key", parallel=False)
        open_pipeline(context, source, consumer, partial(self._body, scan, consumer))

    def _body(self, scan: physical.TableScan, consumer: Consumer, p: PipelineEmitter) -> None:
        f = p.f
        p.rows_bound = MOST_ROWS
        places = self.places = Places(p, self._query, self._layout, self._results, self._room)
        directory, overlay = open_directory(p, self._directory)
        places.collect(directory, overlay)
        row = self.row = RowLocals(p, self._query.table, scan.columns, scan.row_id)
        consumer.begin(p)
        with p.row_loop():
            left = f.let(places.count, "left")
            with f.block() as done, f.loop() as again:
                done.break_if(left.is_zero())
                left.set(left - 1)
                places.read(row, left, directory)
                self._checked(p, self._query.predicates, row.environment(), consumer)
                again.continue_()
        consumer.end(p)

    def _checked(
        self, p: PipelineEmitter, predicates: tuple[Expression, ...], env: Environment, consumer: Consumer
    ) -> None:
        if not predicates:
            consumer.row(p, env)
            return
        with p.f.if_(condition(p, predicates[0], env)):
            self._checked(p, predicates[1:], env, consumer)


class Places:
    """Generates the list of places. Locals: `count` of them, of which the first `records` are records, and the first
    `owns` the transaction's own; `own`: the record of the place read last if that is one of these, or 0."""

    def __init__(self, e: Emitter, query: PointQuery, layout: TableLayout, results: int, room: int) -> None:
        self.e, self._table, self._key, self._values = e, query.table, query.key, query.values
        self._layout, self._results, self._room = layout, results, room
        self._finder = RowFinder(e, query.table, layout, query.table.primary_key)
        f = e.f
        self._list = f.let(e.query_i32(room + FIELD_ROOM), "places")
        self.count = f.let(I32.const(0), "count")
        self.records = f.let(I32.const(0), "records")
        self.owns = f.let(I32.const(0), "owns")
        self.own = f.let(I32.const(0), "own")
        self._steps = f.let(I32.const(0), "steps")

    def collect(self, directory: I32, overlay: I32) -> None:
        e, f = self.e, self.e.f
        with f.block() as done:
            keys: list[SqlValue] = []
            for constant in self._values:
                value = e.keep_value(evaluate(e, constant, {}))
                if value.null is not None:
                    done.break_if(value.null)
                keys.append(replace(value, null=None))
            own = f.let(I32.const(0), "own_rows")
            with f.if_(overlay):
                own.set(load("i32.load", overlay, pa.OVERLAY_COUNT))
                e.fail_if(own.greater_u(MOST_OWN_ROWS), pa.STATUS_REFUSED)
            with f.if_(own):
                self._own_rows(overlay, keys)
            self.owns.set(self.count)
            hashed = f.let(key_hash(e, self._table, self._key, tuple(keys)).to_i32(), "hash")
            chains = f.let(directory + e.query_i32(self._room + FIELD_CHAINS), "chains")
            f.comment("the delta")
            record = self._finder.chain(chains, pa.CHAINS_DELTA_HEADS, pa.CHAINS_DELTA_MASK, hashed)
            next_ = f.let(e.query_i32(self._room + FIELD_NEXT), "next")
            with f.block() as ended, f.loop() as again:
                ended.break_if(record.is_zero())
                with f.if_(load("i32.load", record, pa.RECORD_FLAGS) & pa.RECORD_ALIVE):
                    self._record(
                        record, keys, partial(self._replaced, overlay, own, partial(self._record_value, record))
                    )
                record.set(load("i32.load", record + next_))
                self._step()
                again.continue_()
            self.records.set(self.count)
            self._segments(directory, chains, hashed, keys, overlay, own)

    def read(self, row: RowLocals, place: LocalI32, directory: I32) -> None:
        """Reads the row of a place."""
        f = self.e.f
        item = f.let(load("i32.load", self._list + (place << 2)), "item")
        if row.row_id_column is not None:
            self.own.set(select(place.less_u(self.owns), item, I32.const(0)))
        with f.if_(place.less_u(self.records)):
            if row.row_id_column is not None:
                row.row_id.set(load("i64.load", item, pa.RECORD_ROW_ID))
            row.take({ordinal: self._record_value(item, ordinal) for ordinal in row.values})
        with f.else_():
            chunk = self._chunk(directory, item.shift_right_u(16))
            at = f.let(item & 0xFFFF, "row")
            if row.row_id_column is not None:
                row.row_id.set(((load("i32.load", chunk, pa.CHUNK_NUMBER) << 16) | at).to_i64_u())
            row.take({ordinal: self._finder.chunk_value(directory, chunk, ordinal, at) for ordinal in row.values})

    # --- parts ---
    def _own_rows(self, overlay: I32, keys: list[SqlValue]) -> None:
        """All of the transaction's own rows, chain by chain."""
        f = self.e.f
        f.comment("the transaction's own rows")
        head = f.let(load("i32.load", overlay, pa.OVERLAY_HEADS), "head")
        end = f.let(head + ((load("i32.load", overlay, pa.OVERLAY_MASK) + 1) << 2), "heads_end")
        with f.count_up(head, end, 4):
            record = f.let(load("i32.load", head), "record")
            with f.block() as ended, f.loop() as again:
                ended.break_if(record.is_zero())
                flags = load("i32.load", record, pa.RECORD_FLAGS) & (pa.RECORD_ALIVE | pa.RECORD_SUPERSEDED)
                with f.if_(flags == pa.RECORD_ALIVE):
                    self._record(record, keys, lambda: I32.const(0))
                record.set(load("i32.load", record, pa.RECORD_NEXT))
                again.continue_()

    def _record(self, record: LocalI32, keys: list[SqlValue], replaced: Callable[[], I32]) -> None:
        """Takes a record if it has the values and is not replaced."""
        f = self.e.f
        with (
            f.if_(self._same([self._record_value(record, ordinal) for ordinal in self._key], keys)),
            f.if_(replaced().is_zero()),
        ):
            self._add(record)

    def _segments(self, directory: I32, chains: I32, hashed: I32, keys: list[SqlValue], overlay: I32, own: I32) -> None:
        e, f = self.e, self.e.f
        f.comment("segments")
        entry = self._finder.chain(chains, pa.CHAINS_HEADS, pa.CHAINS_MASK, hashed)
        nexts = f.let(load("i32.load", chains, pa.CHAINS_NEXTS), "nexts")
        with f.block() as ended, f.loop() as again:
            ended.break_if(entry.is_zero())
            id_ = f.let(entry - 1, "id")
            number, at = f.let(id_.shift_right_u(16), "number"), f.let(id_ & 0xFFFF, "row")
            chunk = self._chunk(directory, number)
            resident = f.let(load("i32.load", chunk, pa.CHUNK_RESIDENT), "resident")
            with f.if_(resident.is_zero()):
                f.store("i32.store", e.query, number, self._results + 8)
                e.fail(pa.STATUS_ABSENT)
            with f.block() as other:
                other.break_if(resident < 0)  # CHUNK_GONE
                visibility = f.let(load("i32.load", chunk, pa.CHUNK_VISIBILITY), "visibility")
                with f.if_(visibility):
                    other.break_if(load("i32.load8_u", visibility + at).is_zero())
                value = partial(self._finder.chunk_value, directory, chunk)
                other.break_if(self._same([value(ordinal, at) for ordinal in self._key], keys).is_zero())
                other.break_if(self._replaced(overlay, own, lambda ordinal: value(ordinal, at)))
                self._add(id_)
            entry.set(load("i32.load", nexts + (id_ << 2)))
            self._step()
            again.continue_()

    def _replaced(self, overlay: I32, own: I32, value: Callable[[int], SqlValue]) -> LocalI32:
        """Whether the transaction has a row of its own in place of the one with these values."""
        e, f = self.e, self.e.f
        found: LocalI32 = f.let(I32.const(0), "replaced")
        with f.if_(own):
            key = [e.keep_value(replace(value(ordinal), null=None)) for ordinal in self._table.primary_key]
            hashed = f.let(key_hash(e, self._table, self._table.primary_key, tuple(key)).to_i32(), "own_hash")
            record = self._finder.chain(overlay, pa.OVERLAY_HEADS, pa.OVERLAY_MASK, hashed)
            with f.block() as ended, f.loop() as again:
                ended.break_if(record.is_zero())
                others = [self._record_value(record, ordinal) for ordinal in self._table.primary_key]
                with f.if_(self._same(others, key)):
                    found.set(I32.const(1))
                    ended.break_()
                record.set(load("i32.load", record, pa.RECORD_NEXT))
                again.continue_()
        return found

    def _record_value(self, record: I32, ordinal: int) -> SqlValue:
        return self._finder.record_value(record, ordinal, nullable=not self._table.columns[ordinal].not_null)

    def _chunk(self, directory: I32, number: I32) -> LocalI32:
        """Address of the entry of that number."""
        entries = load("i32.load", directory, pa.DIRECTORY_CHUNKS)
        chunk: LocalI32 = self.e.f.let(entries + number * pa.chunk_bytes(len(self._table.columns)), "chunk")
        return chunk

    def _same(self, values: list[SqlValue], keys: list[SqlValue]) -> LocalI32:
        """Whether all are equal, and none is NULL; the next are compared only where those before are."""
        e, f = self.e, self.e.f
        same = f.let(I32.const(1), "same")
        for value, key in zip(values, keys, strict=True):
            kept = e.keep_value(value)
            with f.if_(same):
                same.set(compare(e, "eq", replace(kept, null=None), key))
                if kept.null is not None:
                    same.set(same & kept.null.is_zero())
        return same

    def _add(self, place: I32) -> None:
        e, f = self.e, self.e.f
        e.fail_if(self.count.greater_equal_u(MOST_ROWS), pa.STATUS_REFUSED)
        f.store("i32.store", self._list + (self.count << 2), place)
        self.count.set(self.count + 1)

    def _step(self) -> None:
        self._steps.set(self._steps + 1)
        self.e.fail_if(self._steps.greater_u(MOST_STEPS), pa.STATUS_REFUSED)
