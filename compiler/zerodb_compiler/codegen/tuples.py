"""Rows kept in memory: hash tables, sorts and top-N lists hold tuples of a fixed layout made for the query.

    TupleLayout   which value lies where; integers in the fewest bytes their bounds need, one byte per possible NULL
    TupleBuffer   a per-worker list of pages full of tuples:
                  page = next page (i32) | end of its tuples (i32) | 8 spare | tuples

A tuple owns what it points to: texts are copied to the worker's arena, so columns need be pinned only while their
morsel runs. Reading a tuple at address 0 gives zeros (the first page of memory is never used), which an outer join
reads as its NULL row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text, Wide
from zerodb_compiler.kernels import memory
from zerodb_compiler.layout import int_width
from zerodb_compiler.wasm.values import I32, load

PAGE_HEADER = 16
_FIRST_PAGE_BYTES = 4096
_LAST_PAGE_BYTES = 1 << 20

_LOAD = {1: "i64.load8_s", 2: "i64.load16_s", 4: "i64.load32_s", 8: "i64.load"}
_STORE = {1: "i64.store8", 2: "i64.store16", 4: "i64.store32", 8: "i64.store"}


def width_of(value: SqlValue) -> int:
    """Bytes of a value in a tuple."""
    match value:
        case Int(low=low, high=high):
            return int_width(low, high)
        case Wide():
            return 16
        case Real(single=single):
            return 4 if single else 8
        case Bool():
            return 1
        case Text():
            return 8
        case Code():
            return 4


def write_value(e: Emitter, base: I32, offset: int, value: SqlValue, *, own_text: bool = True) -> None:
    """Stores the parts of a value (not its NULL flag); texts are copied to the arena first if `own_text`."""
    f = e.f
    match value:
        case Int():
            f.store(_STORE[width_of(value)], base, value.value, offset)
        case Wide():
            f.store("i64.store", base, value.value, offset)
            f.store("i64.store", base, value.upper, offset + 8)
        case Real(single=True):
            f.store("f32.store", base, value.value.to_f32(), offset)
        case Real():
            f.store("f64.store", base, value.value, offset)
        case Bool():
            f.store("i32.store8", base, value.value, offset)
        case Code():
            f.store("i32.store", base, value.code, offset)
        case Text():
            length = e.keep(value.length)
            address = value.address
            if own_text:
                copy = f.call(e.context.kernel(memory.copy_text_to_arena), e.worker, value.address, length)
                address = f.let(copy, "copy")
                e.fail_if(address.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            f.store("i32.store", base, address, offset)
            f.store("i32.store", base, length, offset + 4)


def read_value(base: I32, offset: int, sample: SqlValue, null: I32 | None) -> SqlValue:
    """A value of the class and bounds of `sample` from memory."""
    match sample:
        case Int(low=low, high=high):
            return Int(load(_LOAD[width_of(sample)], base, offset), low, high, null)
        case Wide(low=low, high=high):
            return Wide(load("i64.load", base, offset), load("i64.load", base, offset + 8), low, high, null)
        case Real(single=True):
            return Real(load("f32.load", base, offset).to_f64(), True, null)
        case Real():
            return Real(load("f64.load", base, offset), False, null)
        case Bool():
            return Bool(load("i32.load8_u", base, offset), null)
        case Code(dictionary=dictionary):
            return Code(load("i32.load", base, offset), dictionary, null)
        case Text():
            return Text(load("i32.load", base, offset), load("i32.load", base, offset + 4), null)


@dataclass(frozen=True, slots=True)
class Field:
    sample: SqlValue
    offset: int
    null_offset: int | None


class TupleLayout:
    """Places values, widest first so that all are aligned, after `header` bytes (a multiple of 4)."""

    def __init__(self, samples: Sequence[SqlValue], header: int = 0) -> None:
        offsets = [0] * len(samples)
        position = header
        order = sorted(range(len(samples)), key=lambda i: -min(width_of(samples[i]), 8))
        for i in order:
            width = width_of(samples[i])
            align = min(width, 8)
            position = -(-position // align) * align
            offsets[i] = position
            position += width
        fields = []
        for sample, offset in zip(samples, offsets, strict=True):
            null_offset = None
            if sample.null is not None:
                null_offset = position
                position += 1
            fields.append(Field(sample, offset, null_offset))
        self.fields = tuple(fields)
        # Even a tuple of nothing has an address of its own: rows are counted and found by it.
        self.size = max(8, -(-position // 8) * 8)

    def write(self, e: Emitter, base: I32, values: Sequence[SqlValue], *, own_text: bool = True) -> None:
        """Stores a row of values of the samples' classes and bounds."""
        for item, value in zip(self.fields, values, strict=True):
            if item.null_offset is None:
                write_value(e, base, item.offset, value, own_text=own_text)
                continue
            null = e.keep(value.null)
            assert null is not None
            e.f.store("i32.store8", base, null, item.null_offset)
            write_value(e, base, item.offset, value, own_text=own_text)

    def read(self, base: I32) -> tuple[SqlValue, ...]:
        """The values of the tuple at an address, as expressions."""
        return tuple(
            read_value(
                base,
                item.offset,
                item.sample,
                None if item.null_offset is None else load("i32.load8_u", base, item.null_offset),
            )
            for item in self.fields
        )

    def own_texts(self, e: Emitter, base: I32) -> None:
        """Copies the texts that a tuple written with own_text=False points to."""
        for item in self.fields:
            if isinstance(item.sample, Text):
                write_value(e, base, item.offset, read_value(base, item.offset, item.sample, None))


class TupleBuffer:
    """Worker fields: first page, current page, write position, end of page, tuple count, next page's size."""

    FIELD_BYTES = 24
    FIRST, CURRENT, POSITION, END, COUNT, PAGE = 0, 4, 8, 12, 16, 20

    def __init__(self, context: Context, size: int) -> None:
        self.field = context.worker.reserve(self.FIELD_BYTES)
        self.size = size

    def append(self, e: Emitter) -> I32:
        """Address (a local) of room for one more tuple, which counts as there."""
        f, field = e.f, self.field
        position = f.let(e.worker_i32(field + self.POSITION), "tuple")
        with f.if_((position + self.size).greater_u(e.worker_i32(field + self.END))):
            position.set(self._new_page(e))
        e.set_worker_i32(field + self.POSITION, position + self.size)
        e.set_worker_i32(field + self.COUNT, e.worker_i32(field + self.COUNT) + 1)
        return position

    def _new_page(self, e: Emitter) -> I32:
        f, field = e.f, self.field
        least = max(_FIRST_PAGE_BYTES, PAGE_HEADER + 8 * self.size)
        size = f.let(e.worker_i32(field + self.PAGE), "page_bytes")
        with f.if_(size.is_zero()):
            size.set(I32.const(least))
        page = f.let(f.call(e.context.kernel(memory.arena_allocate), e.worker, size), "page")
        e.fail_if(page.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        current = f.let(e.worker_i32(field + self.CURRENT), "previous")
        with f.if_(current):
            f.store("i32.store", current, page, 0)
            f.store("i32.store", current, e.worker_i32(field + self.POSITION), 4)
        with f.else_():
            e.set_worker_i32(field + self.FIRST, page)
        f.store("i32.store", page, I32.const(0), 0)
        e.set_worker_i32(field + self.CURRENT, page)
        e.set_worker_i32(field + self.END, page + size)
        with f.if_(size.less_u(max(least, _LAST_PAGE_BYTES))):
            e.set_worker_i32(field + self.PAGE, size * 2)
        return f.let(page + PAGE_HEADER, "first_tuple")

    @contextmanager
    def each(self, e: Emitter, worker: I32) -> Iterator[I32]:
        """Runs the body for every tuple of a worker (an address of a worker block)."""
        f, field = e.f, self.field
        page = f.let(load("i32.load", worker, field + self.FIRST), "page")
        current = f.let(load("i32.load", worker, field + self.CURRENT), "last_page")
        with f.block() as done, f.loop() as pages:
            done.break_if(page.is_zero())
            # A full page says where its tuples end; the current one's end is in the worker block.
            end = f.let(load("i32.load", page, 4), "page_end")
            with f.if_(page == current):
                end.set(load("i32.load", worker, field + self.POSITION))
            tuple_ = f.let(page + PAGE_HEADER, "tuple")
            with f.block() as page_done, f.loop() as tuples:
                page_done.break_if(tuple_.greater_equal_u(end))
                yield tuple_
                tuple_.set(tuple_ + self.size)
                tuples.continue_()
            with f.if_(page == current):
                page.set(I32.const(0))
            with f.else_():
                page.set(load("i32.load", page))
            pages.continue_()

    @contextmanager
    def each_of_all(self, e: Emitter) -> Iterator[I32]:
        """Runs the body for every tuple of every worker; `e.worker` must be the first worker."""
        with each_worker(e, e.worker) as worker, self.each(e, worker) as tuple_:
            yield tuple_


@contextmanager
def each_worker(e: Emitter, first: I32) -> Iterator[I32]:
    """Runs the body for the worker block at `first` and all after it."""
    f = e.f
    worker = f.let(first, "other_worker")
    with f.block() as done, f.loop() as again:
        done.break_if(worker.is_zero())
        yield worker
        worker.set(load("i32.load", worker, abi.WORKER_NEXT))
        again.continue_()
