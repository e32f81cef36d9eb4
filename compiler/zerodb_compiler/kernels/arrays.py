"""Arrays and records in their binary form (zerodb_compiler/nested.py): taking elements out, and building.

    reading       dimensions  element_count  dimension(array, d) -> length, lower    element(array, i) -> bytes, is_null
    elements      load_key32/64/128/f64 and store_key32/64/128/f64: numbers as bytes that compare as they do
    building      builder_new(worker) -> builder; append*(worker, builder, value, is_null) -> 1, or 0 without memory;
                  finish_list(worker, builder), finish_like(worker, builder, array), finish_record -> array
                  (arrays of one dimension from 1; of the shape of another array of as many elements; records)

A builder lives in scratch memory; elements are copied into it, so their bytes may be anything that is readable now.
Element equality is that of the bytes, but for the kinds FLOAT (-0 = 0) and INTERVAL.
"""

from __future__ import annotations

from zerodb_compiler.kernels.intervals import interval_sort_key
from zerodb_compiler.kernels.intrinsics import (
    bits_float,
    f64,
    float_bits,
    gt_u,
    i32,
    i64,
    load8_u,
    load32,
    load64,
    memory_copy,
    ptr,
    rotl,
    select,
    shr_u,
    store8,
    store32,
    store64,
    u64,
)
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.text import equal_text

SIGN = 0x8000000000000000
BYTES = 0
FLOAT = 1
INTERVAL = 2
MAX_BYTES = 0x3FFFFFFF

BUILDER_DATA = 0
BUILDER_USED = 4
BUILDER_ROOM = 8
BUILDER_ENTRIES = 12
BUILDER_COUNT = 16
BUILDER_ENTRY_ROOM = 20
BUILDER_SHAPE = 24
BUILDER_BYTES = 72


# --- reading ----------------------------------------------------------------------------------------------------------
def dimensions(array: ptr) -> i32:
    return load8_u(array)


def element_count(array: ptr) -> i32:
    return load32(array, 4)


def dimension(array: ptr, number: i32) -> tuple[i32, i32]:
    """Length and lower bound of a dimension, from 0."""
    return load32(array + 8 * number, 8), load32(array + 8 * number, 12)


def element(array: ptr, index: i32) -> tuple[ptr, i32, i32]:
    entries = array + 8 + 8 * load8_u(array)
    entry = load32(entries + 4 * index)
    start = 0
    if index > 0:
        start = load32(entries + 4 * index - 4) >> 1
    return entries + 4 * load32(array, 4) + start, (entry >> 1) - start, entry & 1


def swap64(x: i64) -> i64:
    """The bytes in the other order."""
    x = ((x & 0x00FF00FF00FF00FF) << 8) | (shr_u(x, 8) & 0x00FF00FF00FF00FF)
    x = ((x & 0x0000FFFF0000FFFF) << 16) | (shr_u(x, 16) & 0x0000FFFF0000FFFF)
    return rotl(x, 32)


def load_key32(p: ptr) -> i64:
    return i64(i32(shr_u(swap64(load64(p)), 32)) ^ (1 << 31))


def load_key64(p: ptr) -> i64:
    return swap64(load64(p)) ^ SIGN


def load_key128(p: ptr) -> tuple[i64, i64]:
    return swap64(load64(p, 8)), swap64(load64(p)) ^ SIGN


def load_key_f64(p: ptr) -> f64:
    bits = swap64(load64(p))
    if bits < 0:
        return bits_float(bits ^ SIGN)
    return bits_float(bits ^ -1)


def store_key32(p: ptr, x: i64) -> None:
    store32(p, i32(shr_u(swap64(u64(i32(x) ^ (1 << 31))), 32)))


def store_key64(p: ptr, x: i64) -> None:
    store64(p, swap64(x ^ SIGN))


def store_key_f64(p: ptr, x: f64) -> None:
    bits = float_bits(x)
    if bits < 0:
        store64(p, swap64(bits ^ -1))
    else:
        store64(p, swap64(bits ^ SIGN))


# --- building ---------------------------------------------------------------------------------------------------------
def builder_new(worker: ptr) -> ptr:
    """0 without memory."""
    builder = scratch(worker, BUILDER_BYTES)
    if builder != 0:
        i = 0
        while i < BUILDER_SHAPE:
            store32(builder + i, 0)
            i += 4
    return builder


def room_for(worker: ptr, builder: ptr, size: i32) -> ptr:
    """Where the next element's bytes go; 0 without memory."""
    used = load32(builder, BUILDER_USED)
    count = load32(builder, BUILDER_COUNT)
    if gt_u(size, MAX_BYTES) or gt_u(used + size, MAX_BYTES) or count >= 1 << 26:
        return 0
    if count == load32(builder, BUILDER_ENTRY_ROOM):
        more = select(count == 0, 8, count * 2)
        block = scratch(worker, more * 4)
        if block == 0:
            return 0
        memory_copy(block, load32(builder, BUILDER_ENTRIES), count * 4)
        store32(builder, block, BUILDER_ENTRIES)
        store32(builder, more, BUILDER_ENTRY_ROOM)
    if load32(builder, BUILDER_DATA) == 0 or gt_u(used + size, load32(builder, BUILDER_ROOM)):
        wanted = (used + size) * 2 + 48
        data = scratch(worker, wanted + 16)
        if data == 0:
            return 0
        memory_copy(data, load32(builder, BUILDER_DATA), used)
        store32(builder, data, BUILDER_DATA)
        store32(builder, wanted, BUILDER_ROOM)
    return load32(builder, BUILDER_DATA) + used


def added(builder: ptr, size: i32, is_null: i32) -> None:
    """Counts the element whose bytes were put where room_for said."""
    count = load32(builder, BUILDER_COUNT)
    used = load32(builder, BUILDER_USED) + size
    store32(load32(builder, BUILDER_ENTRIES) + 4 * count, (used << 1) | is_null)
    store32(builder, used, BUILDER_USED)
    store32(builder, count + 1, BUILDER_COUNT)


def append(worker: ptr, builder: ptr, p: ptr, length: i32, is_null: i32) -> i32:
    if is_null:
        length = 0
    place = room_for(worker, builder, length)
    if place == 0:
        return 0
    memory_copy(place, p, length)
    added(builder, length, is_null)
    return 1


def append_i32(worker: ptr, builder: ptr, x: i64, is_null: i32) -> i32:
    place = room_for(worker, builder, 8)
    if place == 0:
        return 0
    store_key32(place, x)
    added(builder, select(is_null, 0, 4), is_null)
    return 1


def append_i64(worker: ptr, builder: ptr, x: i64, is_null: i32) -> i32:
    place = room_for(worker, builder, 8)
    if place == 0:
        return 0
    store_key64(place, x)
    added(builder, select(is_null, 0, 8), is_null)
    return 1


def append_i128(worker: ptr, builder: ptr, low: i64, high: i64, is_null: i32) -> i32:
    place = room_for(worker, builder, 16)
    if place == 0:
        return 0
    store_key64(place, high)
    store64(place + 8, swap64(low))
    added(builder, select(is_null, 0, 16), is_null)
    return 1


def append_f64(worker: ptr, builder: ptr, x: f64, is_null: i32) -> i32:
    place = room_for(worker, builder, 8)
    if place == 0:
        return 0
    store_key_f64(place, x)
    added(builder, select(is_null, 0, 8), is_null)
    return 1


def append_from(worker: ptr, builder: ptr, array: ptr, first: i32, last: i32) -> i32:
    """Appends the elements first ... last - 1 of an array."""
    i = first
    while i < last:
        p, length, is_null = element(array, i)
        if append(worker, builder, p, length, is_null) == 0:
            return 0
        i += 1
    return 1


def finish(worker: ptr, builder: ptr, dims: i32, shape: ptr) -> tuple[ptr, i32]:
    """The array of the builder's elements, `dims` dimensions at `shape`; address 0 without memory."""
    count = load32(builder, BUILDER_COUNT)
    used = load32(builder, BUILDER_USED)
    size = 8 + 8 * dims + 4 * count + used
    array = scratch(worker, size + 16)
    if array == 0:
        return 0, 0
    store32(array, dims)
    store32(array, count, 4)
    memory_copy(array + 8, shape, 8 * dims)
    memory_copy(array + 8 + 8 * dims, load32(builder, BUILDER_ENTRIES), 4 * count)
    memory_copy(array + 8 + 8 * dims + 4 * count, load32(builder, BUILDER_DATA), used)
    return array, size


def finish_from(worker: ptr, builder: ptr, lower: i32) -> tuple[ptr, i32]:
    """An array of one dimension from `lower`, or the empty array."""
    count = load32(builder, BUILDER_COUNT)
    store32(builder, count, BUILDER_SHAPE)
    store32(builder + 4, lower, BUILDER_SHAPE)
    array, size = finish(worker, builder, i32(count > 0), builder + BUILDER_SHAPE)
    return array, size


def finish_list(worker: ptr, builder: ptr) -> tuple[ptr, i32]:
    array, size = finish_from(worker, builder, 1)
    return array, size


def finish_record(worker: ptr, builder: ptr) -> tuple[ptr, i32]:
    store32(builder, load32(builder, BUILDER_COUNT), BUILDER_SHAPE)
    store32(builder + 4, 1, BUILDER_SHAPE)
    array, size = finish(worker, builder, 1, builder + BUILDER_SHAPE)
    return array, size


def finish_like(worker: ptr, builder: ptr, like: ptr) -> tuple[ptr, i32]:
    array, size = finish(worker, builder, load8_u(like), like + 8)
    return array, size


# --- equality and order of elements -----------------------------------------------------------------------------------
def same_element(kind: i32, p: ptr, length: i32, q: ptr, length2: i32) -> bool:
    if kind == FLOAT:
        x = load_key_f64(p)
        y = load_key_f64(q)
        return x == y or load64(p) == load64(q)
    if kind == INTERVAL:
        low, high = load_key128(p)
        low2, high2 = load_key128(q)
        a, a_high = interval_sort_key(low, high)
        b, b_high = interval_sort_key(low2, high2)
        return (a ^ b) | (a_high ^ b_high) == 0
    return equal_text(p, length, q, length2)


def find(array: ptr, kind: i32, start: i32, p: ptr, length: i32, is_null: i32) -> i32:
    """The place of the first such element from `start` on, or -1. NULL is like NULL."""
    count = load32(array, 4)
    i = start
    while i < count:
        q, length2, null2 = element(array, i)
        if null2 == is_null and (is_null or same_element(kind, p, length, q, length2)):
            return i
        i += 1
    return -1


def escaped(worker: ptr, out: ptr, p: ptr, length: i32) -> ptr:
    """Copies bytes so that one string is not the beginning of another: 0 becomes 0 255, and 0 ends it."""
    end = p + length
    while p < end:
        byte = load8_u(p)
        store8(out, byte)
        out += 1
        if byte == 0:
            store8(out, 255)
            out += 1
        p += 1
    store8(out, 0)
    return out + 1


def array_key(worker: ptr, array: ptr, size: i32, kind: i32, width: i32) -> tuple[ptr, i32]:
    """Bytes that compare as arrays do: by elements (NULL last), their number, the dimensions, the lower bounds."""
    count = load32(array, 4)
    dims = load8_u(array)
    key = scratch(worker, size * 2 + 2 * count + 32)
    if key == 0:
        return 0, 0
    out = key
    i = 0
    while i < count:
        p, length, is_null = element(array, i)
        if is_null:
            store8(out, 2)
            out += 1
        else:
            store8(out, 1)
            out += 1
            if kind == FLOAT:
                store_key_f64(out, load_key_f64(p) + 0.0)
                out += 8
            elif kind == INTERVAL:
                low, high = load_key128(p)
                a, a_high = interval_sort_key(low, high)
                store_key64(out, a_high)
                store64(out + 8, swap64(a))
                out += 16
            elif width > 0:
                memory_copy(out, p, length)
                out += length
            else:
                out = escaped(worker, out, p, length)
        i += 1
    store8(out, 0)
    store8(out + 1, dims)
    out += 2
    i = 0
    while i < dims:
        length, lower = dimension(array, i)
        store_key32(out + 4 * i, i64(length))
        store_key32(out + 4 * dims + 4 * i, i64(lower))
        i += 1
    return key, out + 8 * dims - key


# --- sets -------------------------------------------------------------------------------------------------------------
def contains_all(array: ptr, other: ptr, kind: i32) -> bool:
    """array @> other: every element of `other` is in `array`; NULL is like nothing."""
    count = load32(other, 4)
    i = 0
    while i < count:
        p, length, is_null = element(other, i)
        if is_null or find(array, kind, 0, p, length, 0) < 0:
            return False
        i += 1
    return True


def overlaps(array: ptr, other: ptr, kind: i32) -> bool:
    count = load32(other, 4)
    i = 0
    while i < count:
        p, length, is_null = element(other, i)
        if not is_null and find(array, kind, 0, p, length, 0) >= 0:
            return True
        i += 1
    return False


# --- records ----------------------------------------------------------------------------------------------------------
def all_null(record: ptr) -> bool:
    i = 0
    while i < load32(record, 4):
        _p, _length, is_null = element(record, i)
        if not is_null:
            return False
        i += 1
    return True


def none_null(record: ptr) -> bool:
    i = 0
    while i < load32(record, 4):
        _p, _length, is_null = element(record, i)
        if is_null:
            return False
        i += 1
    return True
