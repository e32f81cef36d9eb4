"""Point statements: the function that finds one row by its key and gives, or changes, it in one call.

    run: stamp right? -> own rows -> delta -> segments -> predicates, steps -> outputs, STATUS_ROW

There is no loop over rows, no morsel and no output block: parameters and results lie at fixed places of the query
block, which the host packs and unpacks with one `struct` each. Own rows and those of the delta are records
(point_abi.py); of those of segments the columns are read in the forms of the table's layout. All lead to one set of
locals, typed as widely as the columns allow, over which the rest of the statement is generated once.

Limits: nothing may be needed before the function runs (start actions), and texts that are built have SCRATCH_BYTES.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.codegen import abi, functions  # noqa: F401 - registers the scalar functions
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.arithmetic import bounded
from zerodb_compiler.codegen.comparison import compare, hash_values, to_wide
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.expressions import condition, evaluate
from zerodb_compiler.codegen.operators.project import canonical
from zerodb_compiler.codegen.point_abi import RecordLayout
from zerodb_compiler.codegen.program import OutputColumn, Program
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text, Wide, fits_i64
from zerodb_compiler.layout import ColumnLayout, Encoding, TableLayout
from zerodb_compiler.plan import physical
from zerodb_compiler.plan.logical import ScanColumn
from zerodb_compiler.plan.point import Constant, PointPlan
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.module import Function, FunctionRef, Label, LocalI32
from zerodb_compiler.wasm.values import F64, I32, I64, load

_LOAD = {1: "i64.load8_s", 2: "i64.load16_s", 4: "i64.load32_s", 8: "i64.load"}
_LOAD_CODE = {1: "i32.load8_u", 2: "i32.load16_u", 4: "i32.load"}


@dataclass(frozen=True, slots=True)
class PointProgram:
    """`program` has the one entry "point". Offsets in the query block: of the directory's address (i32), the overlay's
    (i32, 0: none) and the expected stamp (i64), which lie side by side from `directory`; of the user's parameters, one
    after the other; and of the results: status (i32), flags of NULLs (i32, bit i: column i), then the columns of
    `kinds` at 8 or 16 bytes each. The status lies right behind the parameters."""

    program: Program
    table: TableInfo
    ordinals: tuple[int, ...]  # columns that are read
    directory: int
    parameters: int
    results: int
    kinds: tuple[str, ...]
    batch: int = 0  # of a SELECT: i32 fields for the entry "points" (define_batch)
    room: int = 0  # of a query: its fields (point_query.py)


MOST_RESULTS = 31  # flags of NULLs


def generate_point(plan: PointPlan, layout: TableLayout, user: tuple[UserParameter, ...]) -> PointProgram | None:
    """The function of a SELECT; None if the statement needs more than such a function can do."""
    if len(plan.output) > MOST_RESULTS:
        return None
    context = Context()
    directory = context.query.reserve(16, kept=True)
    for parameter in user:
        context.parameter(parameter.slot, parameter.type)
    parameters = context.query.size - abi.PARAMETER_BYTES * len(user)
    kinds = tuple(pa.kind_of(column.type) for column in plan.output)
    results = context.query.reserve(8 + sum(16 if kind == pa.WIDE else 8 for kind in kinds), kept=True)
    inner = context.module.function("find", [("worker", I32), ("morsel", I32)], [I32])
    emitter = Emitter(context, inner)
    env, _, _ = search(emitter, plan, layout, directory, results)
    write_results(emitter, plan.output, env, results)
    inner.return_(I32.const(pa.STATUS_ROW))
    define_entry(context, inner, results)
    result_bytes = 8 + sum(16 if kind == pa.WIDE else 8 for kind in kinds)
    batch = define_batch(context, inner, (parameters, abi.PARAMETER_BYTES * len(user)), (results, result_bytes))
    output = tuple(OutputColumn(column.name, column.type, column.nullable) for column in plan.output)
    program = context.finish(output, 0)
    if program.dictionaries or program.dictionary_codes:
        return None
    ordinals = tuple(sorted({item.ordinal for item in plan.columns} | set(plan.key)))
    return PointProgram(program, plan.table, ordinals, directory, parameters, results, kinds, batch)


def define_entry(context: Context, inner: Function, results: int) -> None:
    """The entry "point" around the function that gives the status."""
    entry = context.entry("point")
    outer = Emitter(context, entry)
    outer.set_worker_i32(abi.WORKER_SCRATCH_NEXT, outer.worker_i32(abi.WORKER_SCRATCH_START))
    outer.set_query_i32(results, entry.call(inner.ref, *entry.parameters))
    # The result takes the place of the first argument, which is thus right for the next call.
    entry.return_(outer.worker)


BATCH_PARAMETERS, BATCH_RESULTS, BATCH_NEXT, BATCH_COUNT = 0, 4, 8, 12


def define_batch(context: Context, inner: Function, parameters: tuple[int, int], results: tuple[int, int]) -> int:
    """The entry "points": the function for keys from BATCH_NEXT to BATCH_COUNT, whose parameters and results (offset
    and bytes in the query block) lie one after another at two addresses. It ends early, with BATCH_NEXT at that key,
    where one has another status than a row or none. Gives the offset of the BATCH fields."""
    batch = context.query.reserve(16, kept=True)
    e = Emitter(context, context.entry("points"))
    f = e.f
    e.set_worker_i32(abi.WORKER_SCRATCH_NEXT, e.worker_i32(abi.WORKER_SCRATCH_START))
    given = f.let(e.query_i32(batch + BATCH_PARAMETERS), "parameters")
    found = f.let(e.query_i32(batch + BATCH_RESULTS), "results")
    number, count = f.let(e.query_i32(batch + BATCH_NEXT), "number"), f.let(e.query_i32(batch + BATCH_COUNT), "count")
    with f.count_up(number, count) as done:
        e.set_query_i32(batch + BATCH_NEXT, number)
        f.memory_copy(e.query + parameters[0], given + number * parameters[1], I32.const(parameters[1]))
        status = f.let(f.call(inner.ref, *f.parameters), "status")
        e.set_query_i32(results[0], status)
        f.memory_copy(found + number * results[1], e.query + results[0], I32.const(results[1]))
        done.break_if((status != pa.STATUS_ROW) & (status != pa.STATUS_NONE))
        e.set_query_i32(batch + BATCH_NEXT, number + 1)
    f.return_(e.worker)
    return batch


def search(
    e: Emitter, plan: PointPlan, layout: TableLayout, directory_slot: int, results: int
) -> tuple[dict[int, SqlValue], Found, RowFinder]:
    """Looks for the row; returns STATUS_NONE from the function where there is none that satisfies the predicates. Gives
    what the plan's columns are of."""
    f = e.f
    finder = RowFinder(e, plan.table, layout, plan.key)
    directory, overlay = open_directory(e, directory_slot)
    keys = present_keys(e, plan.values, pa.STATUS_NONE)
    row = RowLocals(e, plan.table, plan.columns, plan.row_id)
    found = finder.find(row, keys, directory, overlay, results)
    e.fail_if(found.visible.is_zero(), pa.STATUS_NONE)
    env = row.environment()
    for predicate in plan.predicates:
        e.fail_if(condition(e, predicate, env).is_zero(), pa.STATUS_NONE)
    for step in plan.steps:
        match step:
            case physical.Filter(predicates=predicates):
                for predicate in predicates:
                    e.fail_if(condition(e, predicate, env).is_zero(), pa.STATUS_NONE)
            case physical.Project(items=items):
                env = {item.column.id: e.keep_value(evaluate(e, item.expression, env)) for item in items}
    f.comment("the row is found")
    return env, found, finder


def open_directory(e: Emitter, slot: int) -> tuple[I32, I32]:
    """The addresses of directory and overlay; ends with STATUS_STALE where the directory shows another version."""
    directory = e.f.let(e.query_i32(slot), "directory")
    stamp = load("i64.load", e.query, slot + 8)
    e.fail_if(load("i64.load", directory, pa.DIRECTORY_STAMP) != stamp, pa.STATUS_STALE)
    return directory, e.f.let(e.query_i32(slot + 4), "overlay")


def present_keys(e: Emitter, values: tuple[Constant, ...], status: int) -> tuple[SqlValue, ...]:
    """The values of a key; ends with the status where one is NULL."""
    keys = [e.keep_value(evaluate(e, value, {})) for value in values]
    for key in keys:
        if key.null is not None:
            e.fail_if(key.null, status)
    return tuple([replace(key, null=None) for key in keys])


def as_column(e: Emitter, value: SqlValue, column: Column) -> SqlValue:
    """The value as any of the column's type may be; an error where it is out of the type's range."""
    if isinstance(value, Int | Wide):
        value = bounded(e, value, column.type, None)
    return e.keep_value(canonical(e, value, column))


def write_results(e: Emitter, output: tuple[Column, ...], env: dict[int, SqlValue], results: int) -> None:
    """Stores the columns and their NULL flags in the query block."""
    f = e.f
    flags: I32 = I32.const(0)
    place = results + 8
    for number, column in enumerate(output):
        value = as_column(e, env[column.id], column)
        if value.null is not None and value.null.constant != 0:
            flags = flags | (value.null << number if number else value.null)
        store_value(e, e.query, place, pa.kind_of(column.type), value)
        place += 16 if pa.kind_of(column.type) == pa.WIDE else 8
    f.store("i32.store", e.query, flags, results + 4)


def store_value(e: Emitter, base: I32, offset: int, kind: str, value: SqlValue) -> None:
    """Stores a value at its place of a record or the results."""
    f = e.f
    match value:
        case Bool():
            f.store("i64.store", base, value.value.to_i64_u(), offset)
        case Int() if kind == pa.INT:
            f.store("i64.store", base, value.value, offset)
        case Int() | Wide():
            wide = to_wide(e.keep_value(value))
            f.store("i64.store", base, wide.value, offset)
            if kind == pa.WIDE:
                f.store("i64.store", base, wide.upper, offset + 8)
        case Real():
            f.store("f64.store", base, value.value, offset)
        case Text():
            f.store("i32.store", base, value.address, offset)
            f.store("i32.store", base, value.length, offset + 4)
        case _:
            raise AssertionError(type(value).__name__)


class RowLocals:
    """The locals that columns of the found row are read into, and its id (an own row's: of the row that it replaces, or
    -1)."""

    def __init__(
        self, e: Emitter, table: TableInfo, columns: tuple[ScanColumn, ...], row_id: Column | None = None
    ) -> None:
        self.e, self.columns, self.row_id_column = e, columns, row_id
        self.values = {
            item.ordinal: local_value(e, table.columns[item.ordinal].type, item.column.nullable, item.column.name)
            for item in columns
        }
        self.row_id = e.f.local(I64, "row_id")

    def environment(self) -> dict[int, SqlValue]:
        env: dict[int, SqlValue] = {item.column.id: self.values[item.ordinal] for item in self.columns}
        if self.row_id_column is not None:
            env[self.row_id_column.id] = Int(self.row_id, -1, (1 << 47) - 1)
        return env

    def take(self, values: dict[int, SqlValue]) -> None:
        """Sets the locals."""
        for ordinal, value in values.items():
            target = self.values[ordinal]
            set_value(self.e, target, value)


def local_value(e: Emitter, type_: SqlType, nullable: bool, name: str) -> SqlValue:
    """A value of the type in new locals."""
    f = e.f
    null = f.local(I32, f"{name}_null") if nullable else None
    if type_.id is TypeId.BOOLEAN:
        return Bool(f.local(I32, name), null)
    if type_.is_float:
        return Real(f.local(F64, name), type_.id is TypeId.REAL, null)
    if not type_.is_discrete:
        return Text(f.local(I32, name), f.local(I32, f"{name}_length"), null)
    low, high = type_.bounds
    if fits_i64(low, high):
        return Int(f.local(I64, name), low, high, null)
    return Wide(f.local(I64, name), f.local(I64, f"{name}_high"), low, high, null)


def set_value(e: Emitter, target: SqlValue, value: SqlValue) -> None:
    match target, value:
        case Bool(), Bool():
            target.value.set(value.value)  # type: ignore[attr-defined]
        case Real(), Real():
            target.value.set(value.value)  # type: ignore[attr-defined]
        case Int(), Int():
            target.value.set(value.value)  # type: ignore[attr-defined]
        case Wide(), ((Int() | Wide()) as exact):
            wide = to_wide(e.keep_value(exact))
            target.value.set(wide.value)  # type: ignore[attr-defined]
            target.upper.set(wide.upper)  # type: ignore[attr-defined]
        case Int(), Wide():  # the layout is of 128 bits, the type's values are not: cannot be
            raise AssertionError("a wide layout of a narrow type")
        case Text(), Text():
            target.address.set(value.address)  # type: ignore[attr-defined]
            target.length.set(value.length)  # type: ignore[attr-defined]
        case _:
            raise AssertionError(f"{type(target).__name__} = {type(value).__name__}")
    if target.null is not None:
        target.null.set(I32.const(0) if value.null is None else value.null)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Found:
    """Locals: whether the row is there; the address of the transaction's own record of the key (0: none), which says
    that there is none if it is not; the key's hash."""

    visible: LocalI32
    own: LocalI32
    hash: LocalI32


class RowFinder:
    """Generates the search for the row of a key."""

    def __init__(self, e: Emitter, table: TableInfo, layout: TableLayout, key: tuple[int, ...]) -> None:
        self.e, self.table, self.layout, self.key = e, table, layout, key
        self.record = RecordLayout.of([column.type for column in table.columns])

    def find(self, row: RowLocals, keys: tuple[SqlValue, ...], directory: I32, overlay: I32, results: int) -> Found:
        """Reads the visible row of that key into `row`, if there is one."""
        e, f = self.e, self.e.f
        hashed = f.let(key_hash(e, self.table, self.key, keys).to_i32(), "hash")
        result = Found(f.local(I32, "visible"), f.local(I32, "own"), hashed)
        with f.block() as found:
            f.comment("the transaction's own rows")
            with f.if_(overlay):
                record = self.chain(overlay, pa.OVERLAY_HEADS, pa.OVERLAY_MASK, hashed)
                with f.block() as done, f.loop() as again:
                    done.break_if(record.is_zero())
                    with f.if_(self._same_record(record, keys)):
                        result.own.set(record)
                        result.visible.set(load("i32.load", record, pa.RECORD_FLAGS) & pa.RECORD_ALIVE)
                        self._take_record(row, record)
                        found.break_()
                    record.set(load("i32.load", record, pa.RECORD_NEXT))
                    again.continue_()
            f.comment("the delta")
            record = self.chain(
                directory, pa.chains_at(0) + pa.CHAINS_DELTA_HEADS, pa.chains_at(0) + pa.CHAINS_DELTA_MASK, hashed
            )
            with f.block() as done, f.loop() as again:
                done.break_if(record.is_zero())
                with f.if_(load("i32.load", record, pa.RECORD_FLAGS) & self._same_record(record, keys)):
                    result.visible.set(I32.const(1))
                    self._take_record(row, record)
                    found.break_()
                record.set(load("i32.load", record, pa.RECORD_NEXT))
                again.continue_()
            f.comment("segments")
            self._segments(row, keys, directory, result, results, found)
        return result

    def chain(self, base: I32, heads: int, mask: int, hashed: I32) -> LocalI32:
        """The first entry of the hash's chain, in a local."""
        place = load("i32.load", base, heads) + ((hashed & load("i32.load", base, mask)) << 2)
        chain: LocalI32 = self.e.f.let(load("i32.load", place), "entry")
        return chain

    def _segments(
        self, row: RowLocals, keys: tuple[SqlValue, ...], directory: I32, result: Found, results: int, found: Label
    ) -> None:
        e, f = self.e, self.e.f
        entry = self.chain(directory, pa.DIRECTORY_HEADS, pa.DIRECTORY_MASK, result.hash)
        with f.block() as done, f.loop() as again:
            done.break_if(entry.is_zero())
            id_ = f.let(entry - 1, "id")
            number = f.let(id_.shift_right_u(16), "chunk")
            place = f.let(id_ & 0xFFFF, "row")
            chunk = f.let(
                load("i32.load", directory, pa.DIRECTORY_CHUNKS) + number * pa.chunk_bytes(len(self.table.columns)),
                "columns",
            )
            resident = f.let(load("i32.load", chunk, pa.CHUNK_RESIDENT), "resident")
            with f.if_(resident.is_zero()):
                f.store("i32.store", e.query, number, results + 8)
                e.fail(pa.STATUS_ABSENT)
            with f.block() as other:
                other.break_if(resident < 0)  # CHUNK_GONE
                values = [self.chunk_value(directory, chunk, ordinal, place) for ordinal in self.key]
                other.break_if(_all_equal(e, [replace(value, null=None) for value in values], keys).is_zero())
                visibility = f.let(load("i32.load", chunk, pa.CHUNK_VISIBILITY), "visibility")
                visible = f.let(I32.const(1), "visible")
                with f.if_(visibility):
                    visible.set(load("i32.load8_u", visibility + place))
                with f.if_(visible):
                    row.take({ordinal: self.chunk_value(directory, chunk, ordinal, place) for ordinal in row.values})
                    row.row_id.set(((load("i32.load", chunk, pa.CHUNK_NUMBER) << 16) | place).to_i64_u())
                    result.visible.set(I32.const(1))
                    found.break_()
            entry.set(load("i32.load", load("i32.load", directory, pa.DIRECTORY_NEXTS) + (id_ << 2)))
            again.continue_()

    def _same_record(self, record: I32, keys: tuple[SqlValue, ...]) -> I32:
        return _all_equal(self.e, [self.record_value(record, ordinal, nullable=False) for ordinal in self.key], keys)

    def _take_record(self, row: RowLocals, record: I32) -> None:
        row.row_id.set(load("i64.load", record, pa.RECORD_ROW_ID))
        row.take(
            {
                ordinal: self.record_value(record, ordinal, nullable=value.null is not None)
                for ordinal, value in row.values.items()
            }
        )

    def record_value(self, record: I32, ordinal: int, *, nullable: bool) -> SqlValue:
        """A column of a record."""
        type_, offset = self.table.columns[ordinal].type, self.record.offsets[ordinal]
        null = load("i32.load8_u", record, pa.RECORD_NULLS + ordinal) if nullable else None
        if type_.id is TypeId.BOOLEAN:
            return Bool(load("i32.load", record, offset), null)
        if type_.is_float:
            return Real(load("f64.load", record, offset), type_.id is TypeId.REAL, null)
        if not type_.is_discrete:
            return Text(load("i32.load", record, offset), load("i32.load", record, offset + 4), null)
        low, high = type_.bounds
        if fits_i64(low, high):
            return Int(load("i64.load", record, offset), low, high, null)
        return Wide(load("i64.load", record, offset), load("i64.load", record, offset + 8), low, high, null)

    def chunk_value(self, directory: I32, chunk: I32, ordinal: int, row: I32) -> SqlValue:
        """A column of a row of a segment."""
        return chunk_value(self.e, self.table.columns[ordinal], self.layout.columns[ordinal], directory, chunk, ordinal,
                           row)  # fmt: skip


def chunk_value(
    e: Emitter, column: ColumnInfo, layout: ColumnLayout, directory: I32, chunk: I32, ordinal: int, row: I32
) -> SqlValue:
    """A value of a segment. Only the form of the layout counts: the width of integers and codes, and whether there are
    NULLs, is found in the chunk's entry, so that the code holds for chunks of earlier and later versions, too."""
    type_, offset = column.type, pa.CHUNK_COLUMNS + pa.CHUNK_COLUMN_BYTES * ordinal
    data = load("i32.load", chunk, offset)
    null: LocalI32 | None = None
    if not column.not_null:
        null = e.f.local(I32, "null")
        validity = e.f.let(load("i32.load", chunk, offset + 4), "validity")
        null.set(I32.const(0))
        with e.f.if_(validity):
            null.set(load("i32.load8_u", validity + row).is_zero())
    low, high = type_.bounds if type_.is_discrete else (0, 0)
    match layout.encoding:
        case Encoding.FLOAT:
            address = data + row * layout.width
            single = layout.width == 4
            value = load("f32.load", address).to_f64() if single else load("f64.load", address)
            return Real(value, type_.id is TypeId.REAL, null)
        case Encoding.DICTIONARY:
            code = e.f.call(_reader_of(e.context, _LOAD_CODE), data, row, load("i32.load", chunk, offset + 8))
            entry = e.f.let(load("i32.load", directory, pa.DIRECTORY_DICTIONARIES + 4 * ordinal) + code * 4, "entry")
            start = e.f.let(load("i32.load", entry), "start")
            return Text(start, load("i32.load", entry, 4) - start, null)
        case Encoding.TEXT:
            place = e.f.let(data + row * layout.width, "place")
            start = e.f.let(load("i32.load", place), "start")
            return Text(start, load("i32.load", place, 4) - start, null)
        case _ if type_.id is TypeId.BOOLEAN:
            flag = load("i32.load8_u", data + row)
            return Bool(flag if null is None else flag & null.is_zero(), null)
        case _ if layout.width == 16:
            wide = e.f.let(data + row * 16, "address")
            return Wide(load("i64.load", wide), load("i64.load", wide, 8), low, high, null)
        case _:
            number = e.f.call(_reader_of(e.context, _LOAD), data, row, load("i32.load", chunk, offset + 8))
            return Int(number, low, high, null)


def _reader_of(context: Context, loads: dict[int, str]) -> FunctionRef:
    """read(data, row, log2 of an element's bytes): an element as the loads give it, by their bytes."""
    known: dict[Any, Any] = context.module.extensions
    name = "read_code" if loads is _LOAD_CODE else "read_integer"
    if name not in known:
        kind = I32 if loads is _LOAD_CODE else I64
        f = context.module.function(name, [("data", I32), ("row", I32), ("shift", I32)], [kind])
        data, row, shift = f.parameters
        address = f.let(data + (row << shift), "address")
        *narrow, (_, widest) = loads.items()
        for size, read in narrow:
            f.return_if(shift == size.bit_length() - 1, load(read, address))
        f.return_(load(widest, address))
        known[name] = f.ref
    found: FunctionRef = known[name]
    return found


def _all_equal(e: Emitter, values: list[SqlValue], keys: tuple[SqlValue, ...]) -> I32:
    """Whether all are; from the second on they are compared only where those before are equal."""
    same = e.f.let(compare(e, "eq", values[0], keys[0]), "same")
    for value, key in zip(values[1:], keys[1:], strict=True):
        with e.f.if_(same):
            same.set(compare(e, "eq", value, key))
    return same


def key_hash(e: Emitter, table: TableInfo, key: tuple[int, ...], values: tuple[SqlValue, ...]) -> I64:
    """The hash of a key; equal for equal values, whatever classes the code has them in."""
    same: list[SqlValue] = []
    for ordinal, value in zip(key, values, strict=True):
        assert not isinstance(value, Code)
        if pa.kind_of(table.columns[ordinal].type) == pa.WIDE and isinstance(value, Int | Wide):
            same.append(to_wide(e.keep_value(value)))
        else:
            same.append(value)
    return hash_values(e, tuple(same))


# --- what keeps a directory ----------------------------------------


@dataclass(frozen=True, slots=True)
class DirectoryProgram:
    """Entries: "chunk" puts the rows of chunk `morsel` into the segments' chains, "records" the records at `first`,
    `count` (i32 each, in the query block) into chains whose heads' address and mask lie at `heads` there."""

    program: Program
    directory: int
    heads: int
    first: int


def generate_directory(
    table: TableInfo, layout: TableLayout, key: tuple[int, ...], number: int = 0
) -> DirectoryProgram:
    """For chains of that number, over the columns `key`."""
    context = Context()
    directory = context.query.reserve(16, kept=True)
    heads = context.query.reserve(8, kept=True)
    first = context.query.reserve(8, kept=True)
    _define_chunk(context, table, layout, key, directory, pa.chains_at(number))
    _define_records(context, table, layout, key, heads, first, pa.record_next(number))
    return DirectoryProgram(context.finish((), 0), directory, heads, first)


def _define_chunk(
    context: Context, table: TableInfo, layout: TableLayout, key: tuple[int, ...], directory_slot: int, chains: int
) -> None:
    e = Emitter(context, context.entry("chunk"))
    f, number = e.f, e.f.parameters[1]
    directory = f.let(e.query_i32(directory_slot), "directory")
    chunk = f.let(load("i32.load", directory, pa.DIRECTORY_CHUNKS) + number * pa.chunk_bytes(len(table.columns)))
    rows = f.let(load("i32.load", chunk, pa.CHUNK_ROWS), "rows")
    heads = f.let(load("i32.load", directory, chains + pa.CHAINS_HEADS), "heads")
    mask = f.let(load("i32.load", directory, chains + pa.CHAINS_MASK), "mask")
    nexts = f.let(load("i32.load", directory, chains + pa.CHAINS_NEXTS) + (number << 18), "nexts")
    row = f.local(I32, "row")
    with f.count_up(row, rows):
        values = tuple(
            e.keep_value(
                replace(chunk_value(e, table.columns[i], layout.columns[i], directory, chunk, i, row), null=None)
            )
            for i in key
        )
        head = f.let(heads + ((key_hash(e, table, key, values).to_i32() & mask) << 2), "head")
        f.store("i32.store", nexts + (row << 2), load("i32.load", head))
        f.store("i32.store", head, ((number << 16) | row) + 1)
    f.return_(I32.const(abi.STATUS_OK))


def _define_records(
    context: Context,
    table: TableInfo,
    layout: TableLayout,
    key: tuple[int, ...],
    heads_slot: int,
    first_slot: int,
    record_next: int,
) -> None:
    e = Emitter(context, context.entry("records"))
    f = e.f
    finder = RowFinder(e, table, layout, key)
    heads, mask = f.let(e.query_i32(heads_slot), "heads"), f.let(e.query_i32(heads_slot + 4), "mask")
    record, count = f.let(e.query_i32(first_slot), "record"), f.let(e.query_i32(first_slot + 4), "count")
    number = f.local(I32, "number")
    with f.count_up(number, count):
        values = tuple(e.keep_value(finder.record_value(record, i, nullable=False)) for i in key)
        head = f.let(heads + ((key_hash(e, table, key, values).to_i32() & mask) << 2), "head")
        f.store("i32.store", record, load("i32.load", head), record_next)
        f.store("i32.store", head, record)
        record.set(record + finder.record.stride)
    f.return_(I32.const(abi.STATUS_OK))
