"""Elements of arrays and fields of records in generated code: SQL values to bytes and back, loops, builders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.comparison import to_text, to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.functions.calling import as_text, unless_null, zeros
from zerodb_compiler.codegen.sqlvalues import Bool, Int, Real, SqlValue, Text, Wide, fits_i64
from zerodb_compiler.kernels import arrays
from zerodb_compiler.nested import width_of
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import I32, Value, load

NOT_NULL = I32.const(0)


def element_kind(type_: SqlType) -> int | None:
    """How elements of the type are compared (kernels/arrays.py); None where they cannot be."""
    if type_.is_float:
        return arrays.FLOAT
    if type_.id is TypeId.INTERVAL:
        return arrays.INTERVAL
    return None if type_.has_order_key and type_.id is not TypeId.RANGE else arrays.BYTES


def new_builder(e: Emitter) -> Any:
    builder = e.f.let(e.f.call(e.context.kernel(arrays.builder_new), e.worker), "builder")
    e.fail_if(builder.is_zero(), abi.STATUS_OUT_OF_MEMORY)
    return builder


def append(e: Emitter, builder: I32, value: SqlValue, type_: SqlType) -> None:
    """Adds a value of the type to the array under construction."""
    kept = e.keep_value(to_text(e, value) if type_.is_variable or type_.id is TypeId.NULL else value)
    null = kept.null if kept.null is not None else NOT_NULL
    kernel: Callable[..., Any]
    parts: tuple[Value, ...]
    match kept:
        case Text():
            kernel, parts = arrays.append, (kept.address, kept.length)
        case Bool():
            kernel, parts = arrays.append_i32, (kept.value.to_i64_u(),)
        case Real():
            kernel, parts = arrays.append_f64, (kept.value,)
        case Int() | Wide() if width_of(type_) == 16:
            wide = to_wide(kept)
            kernel, parts = arrays.append_i128, (wide.value, wide.upper)
        case Int():
            kernel, parts = (arrays.append_i32 if width_of(type_) == 4 else arrays.append_i64), (kept.value,)
        case _:
            raise AssertionError(f"{kept} as an element of {type_}")
    done = e.f.call(e.context.kernel(kernel), e.worker, builder, *parts, null)
    e.fail_if(done.is_zero(), abi.STATUS_OUT_OF_MEMORY)


def element_at(e: Emitter, array: I32, index: I32, type_: SqlType) -> SqlValue:
    """The element of that place, in locals."""
    p, length, is_null = e.f.run(e.context.kernel(arrays.element), array, index)
    return decoded(e, type_, p, length, is_null)


def decoded(e: Emitter, type_: SqlType, p: I32, length: I32, is_null: I32) -> SqlValue:
    f, kernel = e.f, e.context.kernel
    if type_.is_variable or type_.id is TypeId.NULL:
        return Text(p, length, is_null)
    if type_.is_float:
        number = f.let(f.call(kernel(arrays.load_key_f64), p), "element")
        return Real(number, type_.id is TypeId.REAL, is_null)
    width = width_of(type_)
    if width == 16:
        low, high = f.run(kernel(arrays.load_key128), p)
        return Wide(low, high, *type_.bounds, is_null)
    loader = arrays.load_key32 if width == 4 else arrays.load_key64
    number = f.let(f.call(kernel(loader), p), "element")
    if type_.id is TypeId.BOOLEAN:
        return Bool(f.let(number.to_i32() & is_null.is_zero(), "element"), is_null)
    low_bound, high_bound = type_.bounds
    assert fits_i64(low_bound, high_bound)
    return Int(number, low_bound, high_bound, is_null)


@contextmanager
def each_element(e: Emitter, array: I32, type_: SqlType) -> Iterator[tuple[SqlValue, Any]]:
    """Runs the body for every element; gives the element and the label that leaves the loop."""
    count = e.f.let(load("i32.load", array, 4), "elements")
    index = e.f.local(I32, "index")
    index.set(I32.const(0))
    with e.f.count_up(index, count) as done:
        yield element_at(e, array, index, type_), done


def encoded(e: Emitter, value: SqlValue, type_: SqlType) -> tuple[I32, I32, I32]:
    """(address, length, is NULL) of a value as an element's bytes."""
    if type_.is_variable:
        text = as_text(e, value)
        return text.address, text.length, text.null if text.null is not None else NOT_NULL
    builder = new_builder(e)
    append(e, builder, value, type_)
    null = value.null if value.null is not None else NOT_NULL
    p = e.f.let(load("i32.load", builder, arrays.BUILDER_DATA), "bytes")
    return p, e.f.let(load("i32.load", builder, arrays.BUILDER_USED), "length"), null


def finished(e: Emitter, kernel: Callable[..., Any], *arguments: I32) -> tuple[Any, Any]:
    """The array that a finishing kernel gives."""
    address, length = e.f.run(e.context.kernel(kernel), e.worker, *arguments)
    e.fail_if(address.is_zero(), abi.STATUS_OUT_OF_MEMORY)
    return address, length


def built(e: Emitter, null: I32 | None, make: Callable[[], tuple[Any, Any]]) -> Text:
    """The blob that `make` emits code for, not run where NULL."""
    address, length = zeros(e, null, I32, I32)
    with unless_null(e, null):
        made_address, made_length = make()
        address.set(made_address)
        length.set(made_length)
    return Text(address, length, null)


def mapped(e: Emitter, array: Text, source: SqlType, target: SqlType, change: Callable[[SqlValue], SqlValue]) -> Text:
    """The array of the changed elements, in the same shape."""

    def make() -> tuple[Any, Any]:
        builder = new_builder(e)
        with each_element(e, array.address, source) as (element, _):
            append(e, builder, change(element), target)
        return finished(e, arrays.finish_like, builder, array.address)

    return built(e, array.null, make)
