"""The root sink: rows leave the query as columnar output blocks (abi.py).

A block has room for `block_rows` rows; text columns have a heap each. A row whose text does not fit the rest of a heap
starts a new block, made large enough for it.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.arithmetic import bounded
from zerodb_compiler.codegen.comparison import to_text, to_wide
from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import Environment
from zerodb_compiler.codegen.pipeline import PipelineEmitter
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text, Wide
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.module import Function
from zerodb_compiler.wasm.values import I32, load

TEXT_BYTES_PER_ROW = 32
_MOST_ROWS, _UNSURE_ROWS, _LEAST_ROWS = 4096, 512, 32

_WIDTHS = {
    TypeId.BOOLEAN: 1,
    TypeId.SMALLINT: 2,
    TypeId.INTEGER: 4,
    TypeId.BIGINT: 8,
    TypeId.U8: 1,
    TypeId.U16: 2,
    TypeId.U32: 4,
    TypeId.DATE: 4,
    TypeId.TIMESTAMP: 8,
    TypeId.TIMESTAMPTZ: 8,
    TypeId.TIME: 8,
    TypeId.ENUM: 4,
    TypeId.REAL: 4,
    TypeId.DOUBLE: 8,
    TypeId.TEXT: 4,
    TypeId.NULL: 4,
}


def output_width(type_: SqlType) -> int:
    """Bytes of one value in an output block."""
    return 4 if type_.is_blob else _WIDTHS.get(type_.id, 16)


class OutputSink:
    """Writes each row at the end of the worker's current block."""

    def __init__(self, context: Context, columns: tuple[Column, ...], rows: float) -> None:
        self.columns = columns
        # An estimate of at most one row is nearly always a look-up by key; any other may be far off.
        self.block_rows = _LEAST_ROWS if rows <= 1 else max(_UNSURE_ROWS, min(_MOST_ROWS, int(rows) + 1))
        self._texts = [i for i, column in enumerate(columns) if self._is_text(column)]
        position = abi.OUTPUT_HEADER + abi.OUTPUT_COLUMN_BYTES * len(columns)
        self._data, self._validity = [], []
        for column in columns:
            position = -(-position // 16) * 16
            self._data.append(position)
            position += (self.block_rows + 1) * output_width(column.type)
            self._validity.append(position if column.nullable else 0)
            position += self.block_rows if column.nullable else 0
        self._fixed_bytes = -(-position // 16) * 16
        self._heap_bytes = self.block_rows * TEXT_BYTES_PER_ROW
        self.block_bytes = self._fixed_bytes + self._heap_bytes * len(self._texts) + 16
        self._new_block = self._define_new_block(context)

    @staticmethod
    def _is_text(column: Column) -> bool:
        return column.type.is_variable or column.type.id is TypeId.NULL

    def describe(self) -> list[str]:
        return ["output"]

    def schema(self) -> tuple[OutputColumn, ...]:
        return tuple(OutputColumn(column.name, column.type, column.nullable) for column in self.columns)

    # --- new blocks ----------------------------------------
    def _define_new_block(self, context: Context) -> Function:
        """new_block(worker, heap_bytes) -> block address or 0: appends a block whose heaps have that room each."""
        f = context.module.function(context.fresh("output_block"), [("worker", I32), ("heap_bytes", I32)], [I32])
        worker, heap_bytes = f.parameters
        size = f.let(heap_bytes * len(self._texts) + (self._fixed_bytes + 16), "size")
        block = f.let(load("i32.load", worker, abi.WORKER_OUTPUT_SPARE), "block")
        usable = (block != 0) & size.less_equal_u(load("i32.load", worker, abi.WORKER_OUTPUT_SPARE_BYTES))
        with f.if_(usable):
            f.store("i32.store", worker, I32.const(0), abi.WORKER_OUTPUT_SPARE)
        with f.else_():
            block.set(f.call(context.allocate, worker, size, I32.const(abi.ALLOCATE_OUTPUT)))
            with f.if_(block.is_zero()):
                f.return_(I32.const(0))
        self._link(f, worker, block, size)
        heap = f.let(block + self._fixed_bytes, "heap")
        for i in range(len(self.columns)):
            record = abi.OUTPUT_HEADER + abi.OUTPUT_COLUMN_BYTES * i
            f.store("i32.store", block, block + self._data[i], record + abi.OUTPUT_COLUMN_DATA)
            validity = block + self._validity[i] if self._validity[i] else I32.const(0)
            f.store("i32.store", block, validity, record + abi.OUTPUT_COLUMN_VALIDITY)
            if i in self._texts:
                f.store("i32.store", block, heap, record + abi.OUTPUT_COLUMN_HEAP)
                heap.set(heap + heap_bytes)
                f.store("i32.store", block, heap, record + abi.OUTPUT_COLUMN_HEAP_END)
                f.store("i32.store", block, I32.const(0), self._data[i])
        f.return_(block)
        return f

    @staticmethod
    def _link(f: Function, worker: I32, block: I32, size: I32) -> None:
        f.store("i32.store", block, I32.const(0), abi.OUTPUT_ROWS)
        f.store("i32.store", block, load("i32.load", worker, abi.WORKER_MORSEL), abi.OUTPUT_MORSEL)
        f.store("i32.store", block, I32.const(0), abi.OUTPUT_NEXT)
        f.store("i32.store", block, size, abi.OUTPUT_SIZE)
        previous = f.let(load("i32.load", worker, abi.WORKER_OUTPUT_CURRENT), "previous")
        with f.if_(previous):
            f.store("i32.store", previous, block, abi.OUTPUT_NEXT)
        with f.else_():
            f.store("i32.store", worker, block, abi.WORKER_OUTPUT_FIRST)
        f.store("i32.store", worker, block, abi.WORKER_OUTPUT_CURRENT)

    # --- rows ----------------------------------------
    def begin(self, p: PipelineEmitter) -> None:
        """A morsel starts a block of its own if the current one is another morsel's."""
        f = p.f
        self._block = f.let(p.worker_i32(abi.WORKER_OUTPUT_CURRENT), "block")
        self._rows = f.local(I32, "rows")
        with f.if_(self._block):
            with f.if_(load("i32.load", self._block, abi.OUTPUT_MORSEL) != p.worker_i32(abi.WORKER_MORSEL)):
                self._block.set(I32.const(0))
            with f.else_():
                self._rows.set(load("i32.load", self._block, abi.OUTPUT_ROWS))

    def end(self, p: PipelineEmitter) -> None:
        del p

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f = p.f
        f.comment("output: append a row")
        values = [self._prepared(p, column, env[column.id]) for column in self.columns]
        with f.if_(self._block.is_zero() | (self._rows >= self.block_rows)):
            self._start_block(p, I32.const(self._heap_bytes))
        if self._texts:
            self._make_room(p, values)
        for i, (column, value) in enumerate(zip(self.columns, values, strict=True)):
            self._write(p, i, column, value)
        self._rows.set(self._rows + 1)
        f.store("i32.store", self._block, self._rows, abi.OUTPUT_ROWS)

    def _start_block(self, p: PipelineEmitter, heap_bytes: I32) -> None:
        self._block.set(p.f.call(self._new_block.ref, p.worker, heap_bytes))
        p.fail_if(self._block.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        self._rows.set(I32.const(0))

    def _prepared(self, p: PipelineEmitter, column: Column, value: SqlValue) -> SqlValue:
        if isinstance(value, Code):
            value = to_text(p, value)
        if isinstance(value, Int | Wide) and column.type.id is not TypeId.NULL:
            value = bounded(p, value, column.type, None)
        return p.keep_value(value)

    def _heap_end(self, column: int) -> tuple[I32, I32]:
        """(address of the next free heap byte, end of the heap) of a text column."""
        record = abi.OUTPUT_HEADER + abi.OUTPUT_COLUMN_BYTES * column
        used = load("i32.load", self._block + self._data[column] + self._rows * 4)
        start = load("i32.load", self._block, record + abi.OUTPUT_COLUMN_HEAP)
        return start + used, load("i32.load", self._block, record + abi.OUTPUT_COLUMN_HEAP_END)

    def _make_room(self, p: PipelineEmitter, values: list[SqlValue]) -> None:
        f = p.f
        full = f.local(I32, "full")
        full.set(I32.const(0))
        longest = f.let(I32.const(self._heap_bytes), "longest")
        for i in self._texts:
            length = self._length(p, values[i])
            address, end = self._heap_end(i)
            full.set(full | length.greater_u(end - address))
            with f.if_(length.greater_u(longest)):
                longest.set(length)
        with f.if_(full):
            self._start_block(p, longest)

    @staticmethod
    def _length(p: PipelineEmitter, value: SqlValue) -> I32:
        if not isinstance(value, Text):
            return I32.const(0)
        if value.null is None:
            return value.length
        return p.keep(value.length * value.null.is_zero())

    def _write(self, p: PipelineEmitter, i: int, column: Column, value: SqlValue) -> None:
        f, width = p.f, output_width(column.type)
        if self._validity[i]:
            valid = I32.const(1) if value.null is None else value.null.is_zero()
            f.store("i32.store8", self._block + self._rows, valid, self._validity[i])
        place = self._block + self._rows * width
        offset = self._data[i]
        if i in self._texts:
            self._write_text(p, i, value)
            return
        match value:
            case Bool():
                f.store("i32.store8", place, value.value, offset)
            case Real(single=True):
                f.store("f32.store", place, value.value.to_f32(), offset)
            case Real():
                f.store("f64.store", place, value.value, offset)
            case Int() if width < 8:
                name = {1: "i64.store8", 2: "i64.store16", 4: "i64.store32"}[width]
                f.store(name, place, value.value, offset)
            case Int() if width == 8:
                f.store("i64.store", place, value.value, offset)
            case Int() | Wide():
                wide = to_wide(value)
                f.store("i64.store", place, wide.value, offset)
                f.store("i64.store", place, wide.upper, offset + 8)
            case _:
                raise AssertionError(f"{column.name}: {type(value).__name__} as {column.type}")

    def _write_text(self, p: PipelineEmitter, i: int, value: SqlValue) -> None:
        f = p.f
        length = self._length(p, value)
        place = f.let(self._block + self._rows * 4, "place")
        used = f.let(load("i32.load", place, self._data[i]), "used")
        if isinstance(value, Text):
            record = abi.OUTPUT_HEADER + abi.OUTPUT_COLUMN_BYTES * i
            start = load("i32.load", self._block, record + abi.OUTPUT_COLUMN_HEAP)
            f.memory_copy(start + used, value.address, length)
        f.store("i32.store", place, used + length, self._data[i] + 4)
