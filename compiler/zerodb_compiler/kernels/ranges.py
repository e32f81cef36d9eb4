"""Ranges in their binary form, which compares byte by byte as ranges do (so it is its own sort key):

    the empty range   one byte 0
    others            one byte 1, the lower bound, the upper bound

    a bound           byte 0: -infinity, or byte 2: infinity, or byte 1, the value as an element of an array
                      (zerodb_compiler/nested.py: all subtypes have a fixed width), and a byte that says on which side
                      of the value it is: 0 just below (an exclusive upper bound), 1 at it (inclusive), 2 just above
                      (an exclusive lower bound)

So any two bounds, lower or upper, are compared as texts. Ranges of integers and dates are kept in their canonical form,
lower bound inclusive and upper bound exclusive.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.array_text import is_space, put_quoted
from zerodb_compiler.kernels.arrays import (
    added,
    builder_new,
    finish_record,
    load_key32,
    load_key64,
    room_for,
    store_key32,
    store_key64,
)
from zerodb_compiler.kernels.intrinsics import i32, load8_u, memory_copy, ptr, store8
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.text import compare_text

NOT_CONTIGUOUS = 20
BOUND_ORDER = 21
BELOW = 0
AT = 1
ABOVE = 2
LOWER_INCLUSIVE = 1
UPPER_INCLUSIVE = 2


def lower_size(p: ptr, size: i32) -> i32:
    """Bytes of the lower bound, which begins at p + 1. A finite bound has an even number of bytes."""
    if load8_u(p, 1) == 0:
        return 1
    if (size - 1) & 1:
        return size - 2
    return (size - 1) >> 1


def is_empty(p: ptr) -> bool:
    return load8_u(p) == 0


def flags_of(p: ptr, length: i32) -> i32:
    """Of the text '[)' and the like; -1 if it is none."""
    if length != 2:
        return -1
    low = load8_u(p)
    high = load8_u(p, 1)
    if (low != 91 and low != 40) or (high != 93 and high != 41):
        return -1
    return i32(low == 91) + 2 * i32(high == 93)


def empty_range(worker: ptr) -> tuple[ptr, i32]:
    out = scratch(worker, 17)
    if out != 0:
        store8(out, 0)
    return out, 1


def increment(p: ptr, width: i32) -> i32:
    """The next integer; OVERFLOW."""
    if width == 4:
        x = load_key32(p)
        if x == 0x7FFFFFFF:
            return errors.OVERFLOW
        store_key32(p, x + 1)
    else:
        y = load_key64(p)
        if y == 0x7FFFFFFFFFFFFFFF:
            return errors.OVERFLOW
        store_key64(p, y + 1)
    return 0


def make_range(
    worker: ptr, discrete: i32, lo: ptr, lo_size: i32, lo_null: i32, hi: ptr, hi_size: i32, hi_null: i32, flags: i32
) -> tuple[ptr, i32, i32]:
    """A NULL bound is infinite; BOUND_ORDER, OVERFLOW."""
    order = -1
    if not lo_null and not hi_null:
        order = compare_text(lo, lo_size, hi, hi_size)
        if order > 0:
            return 0, 0, BOUND_ORDER
    if order == 0 and flags != 3:
        array, size = empty_range(worker)
        return array, size, i32(array == 0) * errors.OUT_OF_MEMORY
    out = scratch(worker, 64)
    if out == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    store8(out, 1)
    p = out + 1
    status = 0
    if lo_null:
        store8(p, 0)
        p += 1
    else:
        store8(p, 1)
        memory_copy(p + 1, lo, lo_size)
        side = ABOVE
        if flags & LOWER_INCLUSIVE:
            side = AT
        elif discrete:
            status = increment(p + 1, lo_size)
            side = AT
        store8(p + 1 + lo_size, side)
        p += lo_size + 2
    upper = p
    if hi_null:
        store8(p, 2)
        p += 1
    else:
        store8(p, 1)
        memory_copy(p + 1, hi, hi_size)
        side = BELOW
        if flags & UPPER_INCLUSIVE:
            side = AT
            if discrete:
                side = BELOW
                if status == 0:
                    status = increment(p + 1, hi_size)
        store8(p + 1 + hi_size, side)
        p += hi_size + 2
    if status != 0:
        return 0, 0, status
    if compare_text(out + 1, upper - out - 1, upper, p - upper) > 0:
        store8(out, 0)
        return out, 1, 0
    return out, p - out, 0


def joined(worker: ptr, lo: ptr, lo_size: i32, hi: ptr, hi_size: i32) -> tuple[ptr, i32]:
    """The range of two bounds; empty if they are the wrong way round."""
    out = scratch(worker, lo_size + hi_size + 17)
    if out == 0:
        return 0, 0
    if compare_text(lo, lo_size, hi, hi_size) > 0:
        store8(out, 0)
        return out, 1
    store8(out, 1)
    memory_copy(out + 1, lo, lo_size)
    memory_copy(out + 1 + lo_size, hi, hi_size)
    return out, 1 + lo_size + hi_size


def compare_bounds(a: ptr, a_size: i32, a_upper: i32, b: ptr, b_size: i32, b_upper: i32) -> i32:
    """The lower or upper bound of a against that of b; neither range is empty."""
    p = a + 1
    size = lower_size(a, a_size)
    if a_upper:
        p += size
        size = a_size - 1 - size
    q = b + 1
    size2 = lower_size(b, b_size)
    if b_upper:
        q += size2
        size2 = b_size - 1 - size2
    return compare_text(p, size, q, size2)


def range_contains(a: ptr, a_size: i32, b: ptr, b_size: i32) -> bool:
    if load8_u(b) == 0:
        return True
    if load8_u(a) == 0:
        return False
    return compare_bounds(a, a_size, 0, b, b_size, 0) <= 0 and compare_bounds(b, b_size, 1, a, a_size, 1) <= 0


def range_contains_value(worker: ptr, a: ptr, a_size: i32, p: ptr, size: i32) -> tuple[i32, i32]:
    """(is inside, status)."""
    if load8_u(a) == 0:
        return 0, 0
    point = scratch(worker, size + 34)
    if point == 0:
        return 0, errors.OUT_OF_MEMORY
    store8(point, 1)
    memory_copy(point + 1, p, size)
    store8(point + 1 + size, AT)
    low = lower_size(a, a_size)
    inside = compare_text(a + 1, low, point, size + 2) <= 0
    below = compare_text(point, size + 2, a + 1 + low, a_size - 1 - low) <= 0
    return i32(inside) & i32(below), 0


def range_overlaps(a: ptr, a_size: i32, b: ptr, b_size: i32) -> bool:
    if load8_u(a) == 0 or load8_u(b) == 0:
        return False
    return compare_bounds(a, a_size, 0, b, b_size, 1) <= 0 and compare_bounds(b, b_size, 0, a, a_size, 1) <= 0


def range_before(a: ptr, a_size: i32, b: ptr, b_size: i32) -> bool:
    """a << b"""
    if load8_u(a) == 0 or load8_u(b) == 0:
        return False
    return compare_bounds(a, a_size, 1, b, b_size, 0) < 0


def range_not_right(a: ptr, a_size: i32, b: ptr, b_size: i32) -> bool:
    """a &< b"""
    if load8_u(a) == 0 or load8_u(b) == 0:
        return False
    return compare_bounds(a, a_size, 1, b, b_size, 1) <= 0


def range_not_left(a: ptr, a_size: i32, b: ptr, b_size: i32) -> bool:
    """a &> b"""
    if load8_u(a) == 0 or load8_u(b) == 0:
        return False
    return compare_bounds(a, a_size, 0, b, b_size, 0) >= 0


def touches(a: ptr, a_size: i32, b: ptr, b_size: i32) -> bool:
    """Whether a ends where b begins, with nothing between and nothing in both."""
    low = lower_size(a, a_size)
    p = a + 1 + low
    size = a_size - 1 - low
    size2 = lower_size(b, b_size)
    if size == 1 or size2 == 1 or size != size2:
        return False
    if compare_text(p, size - 1, b + 1, size2 - 1) != 0:
        return False
    return load8_u(b + size2) - load8_u(p + size - 1) == 1


def range_adjacent(a: ptr, a_size: i32, b: ptr, b_size: i32) -> bool:
    if load8_u(a) == 0 or load8_u(b) == 0:
        return False
    return touches(a, a_size, b, b_size) or touches(b, b_size, a, a_size)


def range_merge(worker: ptr, a: ptr, a_size: i32, b: ptr, b_size: i32) -> tuple[ptr, i32]:
    """The least range that contains both."""
    if load8_u(a) == 0:
        return b, b_size
    if load8_u(b) == 0:
        return a, a_size
    lo = a + 1
    lo_size = lower_size(a, a_size)
    if compare_bounds(b, b_size, 0, a, a_size, 0) < 0:
        lo = b + 1
        lo_size = lower_size(b, b_size)
    hi = a + 1 + lower_size(a, a_size)
    hi_size = a_size - 1 - lower_size(a, a_size)
    if compare_bounds(b, b_size, 1, a, a_size, 1) > 0:
        hi = b + 1 + lower_size(b, b_size)
        hi_size = b_size - 1 - lower_size(b, b_size)
    p, size = joined(worker, lo, lo_size, hi, hi_size)
    return p, size


def range_union(worker: ptr, a: ptr, a_size: i32, b: ptr, b_size: i32) -> tuple[ptr, i32, i32]:
    some = load8_u(a) != 0 and load8_u(b) != 0
    if some and not range_overlaps(a, a_size, b, b_size) and not range_adjacent(a, a_size, b, b_size):
        return 0, 0, NOT_CONTIGUOUS
    p, size = range_merge(worker, a, a_size, b, b_size)
    return p, size, i32(p == 0) * errors.OUT_OF_MEMORY


def range_intersection(worker: ptr, a: ptr, a_size: i32, b: ptr, b_size: i32) -> tuple[ptr, i32]:
    if load8_u(a) == 0:
        return a, a_size
    if load8_u(b) == 0:
        return b, b_size
    lo = a + 1
    lo_size = lower_size(a, a_size)
    if compare_bounds(b, b_size, 0, a, a_size, 0) > 0:
        lo = b + 1
        lo_size = lower_size(b, b_size)
    hi = a + 1 + lower_size(a, a_size)
    hi_size = a_size - 1 - lower_size(a, a_size)
    if compare_bounds(b, b_size, 1, a, a_size, 1) < 0:
        hi = b + 1 + lower_size(b, b_size)
        hi_size = b_size - 1 - lower_size(b, b_size)
    p, size = joined(worker, lo, lo_size, hi, hi_size)
    return p, size


def moved(worker: ptr, bound: ptr, size: i32, by: i32) -> ptr:
    """A copy of a finite bound on the other side of its value."""
    out = scratch(worker, size + 16)
    if out != 0:
        memory_copy(out, bound, size)
        store8(out + size - 1, load8_u(bound + size - 1) + by)
    return out


def range_difference(worker: ptr, a: ptr, a_size: i32, b: ptr, b_size: i32) -> tuple[ptr, i32, i32]:
    if not range_overlaps(a, a_size, b, b_size):
        return a, a_size, 0
    left = compare_bounds(a, a_size, 0, b, b_size, 0) < 0
    right = compare_bounds(a, a_size, 1, b, b_size, 1) > 0
    if left and right:
        return 0, 0, NOT_CONTIGUOUS
    low = lower_size(a, a_size)
    low_b = lower_size(b, b_size)
    if left:
        end = moved(worker, b + 1, low_b, -1)
        if end == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        p, size = joined(worker, a + 1, low, end, low_b)
        return p, size, i32(p == 0) * errors.OUT_OF_MEMORY
    if right:
        size_b = b_size - 1 - low_b
        start = moved(worker, b + 1 + low_b, size_b, 1)
        if start == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        p, size = joined(worker, start, size_b, a + 1 + low, a_size - 1 - low)
        return p, size, i32(p == 0) * errors.OUT_OF_MEMORY
    p, size = empty_range(worker)
    return p, size, i32(p == 0) * errors.OUT_OF_MEMORY


def bound(p: ptr, size: i32, upper: i32) -> tuple[ptr, i32, i32, i32]:
    """(value's bytes, their length, none: infinite or empty, the side)."""
    if load8_u(p) == 0:
        return p, 0, 1, -1
    q = p + 1
    length = lower_size(p, size)
    if upper:
        q += length
        length = size - 1 - length
    if length == 1:
        return q, 0, 1, -1
    return q + 1, length - 2, 0, load8_u(q + length - 1)


# --- text -------------------------------------------------------------------------------------------------------------
def put_value(out: ptr, p: ptr, length: i32) -> ptr:
    quoted = length == 0
    i = 0
    while i < length:
        byte = load8_u(p + i)
        if byte == 34 or byte == 92 or byte == 44 or byte == 40 or byte == 41 or is_space(byte):
            quoted = True
        if byte == 91 or byte == 93:
            quoted = True
        i += 1
    if quoted:
        return put_quoted(out, p, length, 0)
    memory_copy(out, p, length)
    return out + length


def format_range(worker: ptr, source: ptr, size: i32, lo: ptr, lo_size: i32, hi: ptr, hi_size: i32) -> tuple[ptr, i32]:
    """Of the texts of its bounds."""
    out = scratch(worker, 2 * (lo_size + hi_size) + 40)
    if out == 0:
        return 0, 0
    if load8_u(source) == 0:
        store8(out, 101)
        store8(out, 109, 1)
        store8(out, 112, 2)
        store8(out, 116, 3)
        store8(out, 121, 4)
        return out, 5
    start = out
    _p, _l, lo_none, lo_side = bound(source, size, 0)
    _q, _m, hi_none, hi_side = bound(source, size, 1)
    store8(out, 91 if lo_side == AT else 40)
    out += 1
    if not lo_none:
        out = put_value(out, lo, lo_size)
    store8(out, 44)
    out += 1
    if not hi_none:
        out = put_value(out, hi, hi_size)
    store8(out, 93 if hi_side == AT else 41)
    return start, out + 1 - start


def parse_range(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    """(record of the two bounds' texts, flags or 4 for empty, status INVALID_TEXT)."""
    end = p + length
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    while p < end and is_space(load8_u(p)):
        p += 1
    while end > p and is_space(load8_u(end - 1)):
        end -= 1
    if end - p == 5 and is_word_empty(p):
        return p, 4, 0
    if end - p < 3:
        return 0, 0, errors.INVALID_TEXT
    low = load8_u(p)
    high = load8_u(end - 1)
    if (low != 91 and low != 40) or (high != 93 and high != 41):
        return 0, 0, errors.INVALID_TEXT
    p += 1
    end -= 1
    number = 0
    while number < 2:
        place = room_for(worker, builder, end - p)
        if place == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        size = 0
        none = 1
        quoted = 0
        while p < end:
            byte = load8_u(p)
            if not quoted and byte == 44:
                break
            if not quoted and (byte == 40 or byte == 41 or byte == 91 or byte == 93):
                return 0, 0, errors.INVALID_TEXT
            p += 1
            none = 0
            if byte == 34:
                if not quoted:
                    quoted = 1
                elif p < end and load8_u(p) == 34:
                    store8(place + size, 34)
                    size += 1
                    p += 1
                else:
                    quoted = 0
            else:
                if byte == 92:
                    if p >= end:
                        return 0, 0, errors.INVALID_TEXT
                    byte = load8_u(p)
                    p += 1
                store8(place + size, byte)
                size += 1
        if quoted:
            return 0, 0, errors.INVALID_TEXT
        added(builder, size, none)
        number += 1
        if number == 1:
            if p >= end:
                return 0, 0, errors.INVALID_TEXT
            p += 1
    if p < end:
        return 0, 0, errors.INVALID_TEXT
    record, _size = finish_record(worker, builder)
    return record, i32(low == 91) + 2 * i32(high == 93), i32(record == 0) * errors.OUT_OF_MEMORY


def is_word_empty(p: ptr) -> bool:
    same = (load8_u(p) | 32) == 101 and (load8_u(p, 1) | 32) == 109 and (load8_u(p, 2) | 32) == 112
    return same and (load8_u(p, 3) | 32) == 116 and (load8_u(p, 4) | 32) == 121
