"""Ranges: constructors, operators, functions, casts (kernels/ranges.py has the form)."""

from __future__ import annotations

from typing import Any

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import Result, function
from zerodb_compiler.codegen.functions.arrays import element_of, null_of_element, output_text
from zerodb_compiler.codegen.functions.calling import as_text, build_text, check, run, unless_null, view, zeros
from zerodb_compiler.codegen.functions.elements import decoded, element_at, encoded
from zerodb_compiler.codegen.functions.sort_keys import sort_key_of
from zerodb_compiler.codegen.sqlvalues import Bool, SqlValue, Text
from zerodb_compiler.kernels import errors, ranges
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import TEXT, SqlType, TypeId
from zerodb_compiler.wasm.values import I32

ORDER = ("22000", "range lower bound must be less than or equal to range upper bound")
_TESTS: dict[str, Any] = {
    "range_contains": ranges.range_contains,
    "range_overlaps": ranges.range_overlaps,
    "range_before": ranges.range_before,
    "range_not_right": ranges.range_not_right,
    "range_not_left": ranges.range_not_left,
    "range_adjacent": ranges.range_adjacent,
}
_CONTIGUOUS = {
    "range_union": (ranges.range_union, "result of range union would not be contiguous"),
    "range_difference": (ranges.range_difference, "result of range difference would not be contiguous"),
}


def is_counted(type_: SqlType) -> bool:
    """Whether the range type has a canonical form: its subtype has a next value."""
    return element_of(type_).is_integer or element_of(type_).id is TypeId.DATE


def _made(e: Emitter, type_: SqlType, low: SqlValue, high: SqlValue, flags: I32, position: int | None) -> Text:
    element = element_of(type_)
    parts = (*encoded(e, low, element), *encoded(e, high, element), flags)
    results = e.f.run(e.context.kernel(ranges.make_range), e.worker, I32.const(int(is_counted(type_))), *parts)
    what = "date" if element.id is TypeId.DATE else str(element)
    outside = ("22008" if element.id is TypeId.DATE else "22003", f"{what} out of range")
    check(e, results[2], {ranges.BOUND_ORDER: ORDER, errors.OVERFLOW: outside}, position)
    return Text(results[0], results[1])


@function("range")
def _range(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """(lower, upper, flags text): a NULL bound is infinite."""
    text = as_text(e, arguments[2])
    if text.null is not None:
        e.error_if(text.null, "22000", "range constructor flags argument must not be null", call.position)
    flags = e.f.let(e.f.call(e.context.kernel(ranges.flags_of), text.address, text.length), "flags")
    e.error_if(flags < 0, "42601", "invalid range bound flags", call.position)
    return _made(e, call.type, arguments[0], arguments[1], flags, call.position)


@function(*_TESTS)
def _test(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    (found,) = run(e, null, _TESTS[call.function], a.address, a.length, b.address, b.length)
    return Bool(found, null)


@function("range_contains_value")
def _contains_value(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    p, size, _ = encoded(e, arguments[1], element_of(call.arguments[0].type))
    (found,) = run(
        e, null, ranges.range_contains_value, e.worker, a.address, a.length, p, size, failures={errors.OVERFLOW: ORDER}
    )
    return Bool(found, null)


@function(*_CONTIGUOUS)
def _contiguous(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    kernel, message = _CONTIGUOUS[call.function]
    failures = {ranges.NOT_CONTIGUOUS: ("22000", message)}
    parts = (e.worker, a.address, a.length, b.address, b.length)
    return view(run(e, null, kernel, *parts, failures=failures, position=call.position), null)


@function("range_intersection", "range_merge")
def _combined(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    kernel = ranges.range_merge if call.function == "range_merge" else ranges.range_intersection
    return build_text(e, null, kernel, a.address, a.length, b.address, b.length)


@function("range_lower", "range_upper")
def _bound(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    text = as_text(e, arguments[0])
    target = Result(e, [null_of_element(call.type)])
    target.set(null_of_element(call.type))
    with unless_null(e, null):
        upper = I32.const(int(call.function == "range_upper"))
        p, length, none, _ = e.f.run(e.context.kernel(ranges.bound), text.address, text.length, upper)
        with e.f.if_(none.is_zero()):
            target.set(decoded(e, call.type, p, length, I32.const(0)))
    return target.value


@function("isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf")
def _facts(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    text = as_text(e, arguments[0])
    (empty,) = run(e, null, ranges.is_empty, text.address)
    if call.function == "isempty":
        return Bool(empty, null)
    upper = I32.const(int(call.function.startswith("upper")))
    _, _, none, side = run(e, null, ranges.bound, text.address, text.length, upper)
    if call.function.endswith("inc"):
        found = none.is_zero() & (side == ranges.AT)
    else:
        found = none & empty.is_zero()
    return Bool(found if null is None else found & null.is_zero(), null)


def cast_range(e: Emitter, value: SqlValue, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    """Text to range and range to text."""
    from zerodb_compiler.codegen.casts import cast
    from zerodb_compiler.codegen.functions.text_casts import to_length

    text = as_text(e, value)
    address, length = zeros(e, text.null, I32, I32)
    if source.is_text:
        element = element_of(target)
        with unless_null(e, text.null):
            record, flags, status = e.f.run(e.context.kernel(ranges.parse_range), e.worker, text.address, text.length)
            check(e, status, {errors.INVALID_TEXT: ("22P02", "malformed range literal")}, position)
            address.set(e.constant_address(b"\0"))
            length.set(I32.const(1))
            with e.f.if_(flags != 4):
                low, high = (
                    e.keep_value(cast(e, element_at(e, record, I32.const(i), TEXT), TEXT, element, position))
                    for i in range(2)
                )
                made = _made(e, target, low, high, flags, position)
                address.set(made.address)
                length.set(made.length)
        return Text(address, length, text.null)
    element = element_of(source)
    with unless_null(e, text.null):
        shown: list[I32] = []
        for upper in range(2):
            p, size, none, _ = e.f.run(e.context.kernel(ranges.bound), text.address, text.length, I32.const(upper))
            bound = as_text(e, output_text(e, decoded(e, element, p, size, none), element))
            shown += [bound.address, bound.length]
        out, out_length = e.f.run(e.context.kernel(ranges.format_range), e.worker, text.address, text.length, *shown)
        address.set(out)
        length.set(out_length)
    return to_length(e, Text(address, length, text.null), target, position)


@sort_key_of(TypeId.RANGE)
def _sort_key(e: Emitter, value: SqlValue, type_: SqlType, null: I32 | None) -> SqlValue:
    return as_text(e, value)


__all__ = ["cast_range"]
