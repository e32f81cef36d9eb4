"""Table scan: the loop over the rows of a chunk, with block-wise filters in front.

    for each block of 2,048 rows:          (only if SIMD tests or deleted rows exist)
        selection = rows of the block that pass all SIMD tests
        for row in selection: scalar conjuncts, then the consumers

Zone predicates tell the host which chunks need no look at all.
"""

from __future__ import annotations

from contextlib import ExitStack

from zerodb_compiler.codegen import abi, program
from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import condition
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.simd_filter import GROUP_ROWS, POSITIONS, BlockFilter, ScanField, classify
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text, Wide, fits_i64
from zerodb_compiler.layout import CHUNK_ROWS, ColumnLayout, Encoding
from zerodb_compiler.plan.physical import Constant, IndexAccess, TableScan
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression, Literal, Parameter, columns_of
from zerodb_compiler.sql.functions import SWAPPED
from zerodb_compiler.types import TypeId
from zerodb_compiler.wasm.module import LocalI32
from zerodb_compiler.wasm.values import I32, load, simd, splat

BLOCK_ROWS = 2048
_LOAD = {1: "i64.load8_s", 2: "i64.load16_s", 4: "i64.load32_s", 8: "i64.load"}
_LOAD_CODE = {1: "i32.load8_u", 2: "i32.load16_u", 4: "i32.load"}
_ZONE_OPERATORS = frozenset({"eq", "lt", "le", "gt", "ge"})


def produce(context: Context, scan: TableScan, consumer: Consumer, needed: frozenset[int]) -> None:
    _TableScan(context, scan, consumer, needed).generate()


class _TableScan:
    def __init__(self, context: Context, scan: TableScan, consumer: Consumer, needed: frozenset[int]) -> None:
        self.context, self.scan, self.consumer = context, scan, consumer
        read = needed | {column.id for predicate in scan.predicates for column in columns_of(predicate)}
        self.columns = tuple(item for item in scan.columns if item.column.id in read)
        self.layouts = {item.column.id: scan.table.layout.columns[item.ordinal] for item in self.columns}

    def generate(self) -> None:
        scan, table = self.scan, self.scan.table
        slot = self.context.query.reserve(4, 4, kept=True)
        ordinals = tuple(item.ordinal for item in self.columns)
        zone = _zone_predicates(scan, {item.column.id: item.ordinal for item in self.columns})
        index = len(self.context.scans)
        lookup = None if scan.index is None else _lookup(scan.index, self.context.query.reserve(4, 4, kept=True))
        partition = None
        if table.partition is not None:
            tests = tuple([(ordinal, name, _operands(values)) for ordinal, name, values in scan.partition_tests])
            partition = program.PartitionTest(table.partition, tests)
        self.context.scans.append(program.Scan(table.id, table.key, ordinals, slot, zone, lookup, partition))
        self.slot, self.lookup = slot, lookup
        description = f"scan {table.name}" if lookup is None else f"scan {table.name} using index {lookup.name}"
        source = Source(program.MorselSource.SCAN, description, scan=index)
        open_pipeline(self.context, source, self.consumer, self._body)

    # --- the function ----------------------------------------
    def _body(self, p: PipelineEmitter) -> None:
        f = p.f
        entry_bytes = abi.CHUNK_HEADER + abi.CHUNK_COLUMN_BYTES * len(self.columns)
        entry = f.let(p.query_i32(self.slot) + p.morsel * entry_bytes, "chunk")
        rows = f.let(load("i32.load", entry, abi.CHUNK_ROWS_FIELD), "rows")
        visibility = None
        if self.scan.table.layout.has_deletes:
            visibility = f.let(load("i32.load", entry, abi.CHUNK_VISIBILITY_FIELD), "visibility")
        self.visibility = visibility
        self.fields = {
            item.column.id: self._field(p, entry, i, self.layouts[item.column.id], item.ordinal, item.column.name)
            for i, item in enumerate(self.columns)
        }
        self.chunk = f.let(load("i32.load", entry, abi.CHUNK_INDEX_FIELD), "chunk_index")
        tests, rest = classify(self.scan.predicates, self.fields)
        p.rows_bound = CHUNK_ROWS
        self.consumer.begin(p)
        with p.row_loop():
            if self.lookup is not None:
                self._found_rows(p, BlockFilter(tests, self.fields, visibility), rows, rest)
            elif tests or visibility is not None:
                self._selected_rows(p, BlockFilter(tests, self.fields, visibility), rows, rest)
            else:
                row = f.local(I32, "row")
                with f.count_up(row, rows):
                    self._row(p, row, rest)
        self.consumer.end(p)

    def _field(
        self, p: PipelineEmitter, entry: I32, place: int, layout: ColumnLayout, ordinal: int, name: str
    ) -> ScanField:
        offset = abi.CHUNK_HEADER + place * abi.CHUNK_COLUMN_BYTES
        data = p.f.let(load("i32.load", entry, offset), name)
        validity = p.f.let(load("i32.load", entry, offset + 4), f"{name}_validity") if layout.has_nulls else None
        type_ = self.scan.table.columns[ordinal].type
        sample: SqlValue
        match layout.encoding:
            case Encoding.DICTIONARY:
                dictionary = self.context.dictionary(self.scan.table.id, ordinal, layout.high + 1)
                sample = Code(I32.const(0), dictionary)
            case Encoding.TEXT:
                sample = Text(I32.const(0), I32.const(0))
            case Encoding.FLOAT:
                sample = Real(load("f64.load", data), type_.id is TypeId.REAL)
            case Encoding.INT if type_.id is TypeId.BOOLEAN:
                sample = Bool(I32.const(0))
            case Encoding.INT:
                value = load("i64.load", data)
                fits = layout.width <= 8 and fits_i64(layout.low, layout.high)
                sample = Int(value, layout.low, layout.high) if fits else Wide(value, value, layout.low, layout.high)
        return ScanField(layout, data, validity, sample)

    def _selected_rows(
        self, p: PipelineEmitter, block_filter: BlockFilter, rows: I32, scalar: list[Expression]
    ) -> None:
        f = p.f
        block_filter.prepare(p)
        selection, table = self._selection(p)
        block = f.local(I32, "block")
        with f.count_up(block, rows, BLOCK_ROWS):
            p.check_interrupt()
            end = f.let(selection, "selection_end")
            self._select_block(p, block_filter, rows, block, end, table)
            f.comment("rows selected in this block")
            place = f.let(selection, "place")
            with f.count_up(place, end, 2):
                row = f.let(load("i32.load16_u", place), "row")
                self._row(p, row, scalar)

    @staticmethod
    def _selection(p: PipelineEmitter) -> tuple[I32, I32]:
        """Where the numbers of a block's selected rows go, and the table of positions."""
        table = p.f.let(p.constant_address(POSITIONS), "positions")
        # A store of 8 positions may run past the selected ones.
        return p.f.let(p.worker + p.context.worker.reserve((BLOCK_ROWS + GROUP_ROWS) * 2, 16), "selection"), table

    @staticmethod
    def _select_block(
        p: PipelineEmitter, block_filter: BlockFilter, rows: I32, block: I32, end: LocalI32, table: I32
    ) -> None:
        """Writes the numbers of the rows that pass the tests from `end` on."""
        f = p.f
        f.comment("block filter: 16 rows a turn")
        last = f.let(block + BLOCK_ROWS, "block_end")
        with f.if_(last > rows):
            last.set(rows)
        group = f.let(block, "group")
        with f.count_up(group, last, GROUP_ROWS):
            bits = block_filter.group(p, group)
            with f.if_(group + GROUP_ROWS > rows):
                bits.set(bits & ((I32.const(1) << (rows - group)) - 1))  # type: ignore[attr-defined]
            with f.if_(bits):
                low = f.let(bits & 255, "low")
                for byte, base in ((low, group), (f.let(bits.shift_right_u(8), "high"), group + 8)):
                    positions = load("v128.load", table + (byte << 4))
                    f.store("v128.store", end, simd("i16x8.add", positions, splat("i16x8.splat", base)))
                    end.set(end + byte.population_count() * 2)

    def _found_rows(self, p: PipelineEmitter, block_filter: BlockFilter, rows: I32, scalar: list[Expression]) -> None:
        """As `_selected_rows`; but where the host gave a list of the rows that an index found, these are the selected
        ones, as one block, and the tests are evaluated row by row."""
        f = p.f
        assert self.lookup is not None
        found = f.let(p.query_i32(self.lookup.slot), "found")
        with f.if_(found):
            found.set(found + (p.morsel << 3))
        block_filter.prepare(p)
        selection, table = self._selection(p)
        blocks_end = f.let(rows, "blocks_end")
        with f.if_(found):
            blocks_end.set(I32.const(1))
        block, place, end = f.local(I32, "block"), f.local(I32, "place"), f.local(I32, "selection_end")
        with f.count_up(block, blocks_end, BLOCK_ROWS):
            p.check_interrupt()
            with f.if_(found):
                place.set(load("i32.load", found))
                end.set(load("i32.load", found, 4))
            with f.else_():
                place.set(selection)
                end.set(selection)
                if block_filter.is_empty:
                    self._select_all(p, rows, block, end)
                else:
                    self._select_block(p, block_filter, rows, block, end, table)
            f.comment("rows selected in this block, or found by the index")
            with f.count_up(place, end, 2):
                row = f.let(load("i32.load16_u", place), "row")
                passed = f.let(found.is_zero(), "passed")
                with f.if_(found):
                    self._retest(p, row, passed, [test for test in self.scan.predicates if test not in scalar])
                with f.if_(passed):
                    self._row(p, row, scalar)

    @staticmethod
    def _select_all(p: PipelineEmitter, rows: I32, block: I32, end: LocalI32) -> None:
        f = p.f
        row = f.let(block, "selected")
        last = f.let(block + BLOCK_ROWS, "block_end")
        with f.if_(last > rows):
            last.set(rows)
        with f.count_up(row, last):
            f.store("i32.store16", end, row)
            end.set(end + 2)

    def _retest(self, p: PipelineEmitter, row: I32, passed: LocalI32, tests: list[Expression]) -> None:
        """Sets `passed` for a row that is visible and satisfies what the block filter would have tested."""
        env = {id_: self._value(p, item, row) for id_, item in self.fields.items()}
        with ExitStack() as branches:
            if self.visibility is not None:
                branches.enter_context(p.f.if_(load("i32.load8_u", self.visibility + row)))
            for test in tests:
                branches.enter_context(p.f.if_(condition(p, test, env)))
            passed.set(I32.const(1))

    def _row(self, p: PipelineEmitter, row: I32, scalar: list[Expression]) -> None:
        env = {id_: self._value(p, item, row) for id_, item in self.fields.items()}
        if self.scan.row_id is not None:
            row_id = (self.chunk.to_i64_u() << 16) | row.to_i64_u()
            env[self.scan.row_id.id] = Int(row_id, 0, (1 << 47) - 1)
        self._filtered(p, scalar, env)

    def _filtered(self, p: PipelineEmitter, scalar: list[Expression], env: dict[int, SqlValue]) -> None:
        if not scalar:
            self.consumer.row(p, env)
            return
        first, *rest = scalar
        with p.f.if_(condition(p, first, env)):
            self._filtered(p, rest, env)

    def _value(self, p: PipelineEmitter, item: ScanField, row: I32) -> SqlValue:
        null = None if item.validity is None else load("i32.load8_u", item.validity + row).is_zero()
        layout = item.layout
        address = item.data + row * layout.width
        match item.sample:
            case Int(low=low, high=high):
                return Int(load(_LOAD[layout.width], address), low, high, null)
            case Wide(low=low, high=high):
                return Wide(load("i64.load", address), load("i64.load", address, 8), low, high, null)
            case Real(single=single):
                value = load("f32.load", address).to_f64() if single else load("f64.load", address)
                return Real(value, single, null)
            case Bool():
                value = load("i32.load8_u", address)
                return Bool(value if null is None else value & null.is_zero(), null)
            case Code(dictionary=dictionary):
                return Code(load(_LOAD_CODE[layout.width], address), dictionary, null)
            case Text():
                start = load("i32.load", address)
                return Text(start, load("i32.load", address, 4) - start, null)


def _lookup(index: IndexAccess, slot: int) -> program.IndexLookup:
    equal = tuple([_operands(values) for values in index.equal])
    low, high = _operands(index.low), _operands(index.high)
    first = index.first
    rows = None
    if first is not None:
        rows = program.FirstRows(_operands(first.wanted), first.descending, first.open_low, first.open_high)
    return program.IndexLookup(index.name, index.key, equal, low, high, slot, index.declared, rows)


def _operands(values: tuple[Constant, ...]) -> tuple[program.Operand, ...]:
    return tuple(
        [program.Operand(v.value) if isinstance(v, Literal) else program.Operand(parameter=v.index) for v in values]
    )


def _zone_predicates(scan: TableScan, ordinals: dict[int, int]) -> tuple[program.ZonePredicate, ...]:
    """The conjuncts that zone maps can decide: a discrete or float column against a constant."""
    found = []
    for predicate in scan.predicates:
        match predicate:
            case Call(function="is_null" | "is_not_null" as name, arguments=(ColumnRef(column),)):
                if column.id in ordinals:
                    found.append(program.ZonePredicate(ordinals[column.id], name))
            case Call(function=name, arguments=(left, right)) if name in _ZONE_OPERATORS:
                if not isinstance(left, ColumnRef):
                    left, right, name = right, left, SWAPPED[name]
                if not isinstance(left, ColumnRef) or left.column.id not in ordinals or left.column.type.is_variable:
                    continue
                ordinal = ordinals[left.column.id]
                if isinstance(right, Literal) and isinstance(right.value, int | float):
                    found.append(program.ZonePredicate(ordinal, name, constant=right.value))
                elif isinstance(right, Parameter):
                    found.append(program.ZonePredicate(ordinal, name, parameter=right.index))
    return tuple(found)
