"""Numbers in jsonpath: arithmetic's digits, and the methods of numbers (jsonpath.py)."""

from __future__ import annotations

from zerodb_compiler import jsonpath as op
from zerodb_compiler.jsonb import NUMBER
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.formatting import format_decimal, format_f64
from zerodb_compiler.kernels.intrinsics import (
    i32,
    i64,
    load8_u,
    load32,
    memory_copy,
    ptr,
    store8,
)
from zerodb_compiler.kernels.jsonb import point_of
from zerodb_compiler.kernels.jsonb_text import parse_jsonb
from zerodb_compiler.kernels.jsonpath_items import (
    COUNT,
    DOUBLE_RANGE,
    LACKS_MEMORY,
    NOT_DOUBLE,
    WORKER,
    fail,
    hard,
    list_item,
    text_item,
)
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.parsing import parse_decimal, parse_f64


def decimal_of(p: ptr, size: i32) -> tuple[i64, i64, i32, i32]:
    """The number of a node as an integer and a scale; a status."""
    end = p + size
    point = point_of(p + 1, end)
    scale = 0
    if point < end:
        scale = end - point - 1
    if scale > 38:
        return 0, 0, 0, errors.OVERFLOW
    low, high, status = parse_decimal(p + 1, size - 1, scale)
    return low, high, scale, status


def number_item(context: ptr, low: i64, high: i64, scale: i32) -> tuple[ptr, i32]:
    p, length = format_decimal(load32(context, WORKER), low, high, scale)
    if p == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    return text_item(context, NUMBER, p, length), length + 1


def is_number(found: ptr) -> bool:
    """Whether the list is one number."""
    if load32(found, COUNT) != 1:
        return False
    p, _size = list_item(found, 0)
    return load8_u(p) == NUMBER


def negated(context: ptr, p: ptr, size: i32) -> tuple[ptr, i32]:
    """The number with the other sign."""
    if load8_u(p, 1) == 45:
        return text_item(context, NUMBER, p + 2, size - 2), size - 1
    i = 1
    while i < size and (load8_u(p + i) == 48 or load8_u(p + i) == 46):
        i += 1
    if i == size:
        return p, size
    out = scratch(load32(context, WORKER), size + 17)
    if out == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    store8(out, NUMBER)
    store8(out, 45, 1)
    memory_copy(out + 2, p + 1, size - 1)
    return out, size + 1


def rounded(context: ptr, operation: i32, p: ptr, size: i32) -> tuple[ptr, i32]:
    """ceiling, floor and abs of a number."""
    if operation == op.ABS:
        if load8_u(p, 1) == 45:
            return text_item(context, NUMBER, p + 2, size - 2), size - 1
        return p, size
    end = p + size
    point = point_of(p + 1, end)
    if point == end:
        return p, size
    whole = point - p
    rest = point + 1
    while rest < end and load8_u(rest) == 48:
        rest += 1
    negative = i32(load8_u(p, 1) == 45)
    out = text_item(context, NUMBER, p + 1, whole - 1)
    if out == 0:
        return 0, 0
    if rest < end and ((operation == op.CEILING and not negative) or (operation == op.FLOOR and negative)):
        # One more away from zero.
        at = whole - 1
        while at > negative and load8_u(out + at) == 57:
            store8(out + at, 48)
            at -= 1
        if at > negative:
            store8(out + at, load8_u(out + at) + 1)
        else:
            memory_copy(out + negative + 2, out + negative + 1, whole - 1 - negative)
            store8(out + negative + 1, 49)
            whole += 1
    elif negative and whole == 3 and load8_u(out, 2) == 48:
        store8(out, 48, 1)  # -0.5 is cut to -0
        whole = 2
    return out, whole


def double_of(context: ptr, p: ptr, size: i32) -> tuple[ptr, i32]:
    """A number that a double can hold, or that of a string; address 0: an error was reported."""
    tag = load8_u(p)
    value, status = parse_f64(p + 1, size - 1)
    if tag == NUMBER:
        if status != 0:
            fail(context, DOUBLE_RANGE)
            return 0, 0
        return p, size
    if status != 0 or value - value != 0.0:
        fail(context, NOT_DOUBLE)
        return 0, 0
    worker = load32(context, WORKER)
    text, length = format_f64(worker, value)
    if text == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    out, out_size, status = parse_jsonb(worker, text, length)
    if status != 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    return out, out_size
