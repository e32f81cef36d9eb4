"""Sort keys of jsonb: bytes that compare as PostgreSQL orders values.

    object > array > boolean > number > string > null; by number of pairs or elements first, then one after the other;
    an empty array that is the whole value comes before all, as it does in PostgreSQL

    null 1    string 2 bytes 0    number 3 number-key    false 4    true 5    array 6 count elements
    object 7 count (key bytes 0 value)*

The key of a number: 1 negative, 2 zero, 3 positive; then (all bytes inverted for negative ones) the power of ten of its
first digit, 4 bytes, and the digits up to the last that is not 0, each + 1, and 0.
"""

from __future__ import annotations

from zerodb_compiler.jsonb import ARRAY, FALSE, NULL, NUMBER, OBJECT, STRING
from zerodb_compiler.kernels.arrays import store_key32
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, memory_copy, ptr, shr_u, store8
from zerodb_compiler.kernels.jsonb import entry, point_of
from zerodb_compiler.kernels.memory import scratch, scratch_end


def put_number_key(out: ptr, p: ptr, end: ptr) -> ptr:
    negative = i32(load8_u(p) == 45)
    p += negative
    point = point_of(p, end)
    first = p
    while first < end and (load8_u(first) == 48 or load8_u(first) == 46):
        first += 1
    if first >= end:
        store8(out, 2)
        return out + 1
    last = end
    while load8_u(last - 1) == 48 or load8_u(last - 1) == 46:
        last -= 1
    power = point - first if first < point else point - first + 1
    mask = 0 - negative
    store8(out, 3 - 2 * negative)
    store_key32(out + 1, i64(power ^ mask))
    out += 5
    while first < last:
        digit = load8_u(first)
        if digit != 46:
            store8(out, (digit - 47) ^ mask)
            out += 1
        first += 1
    store8(out, mask)
    return out + 1


def put_key(out: ptr, node: ptr, size: i32) -> ptr:
    tag = load8_u(node)
    if tag == NUMBER:
        store8(out, 3)
        return put_number_key(out + 1, node + 1, node + size)
    if tag == STRING:
        store8(out, 2)
        memory_copy(out + 1, node + 1, size - 1)
        store8(out + size, 0)
        return out + size + 1
    if tag < ARRAY:
        store8(out, 1 if tag == NULL else 4 if tag == FALSE else 5)
        return out + 1
    count = load32(node, 1)
    if tag == OBJECT:
        count = shr_u(count, 1)
    store8(out, 6 if tag == ARRAY else 7)
    store_key32(out + 1, i64(count))
    out += 5
    i = 0
    while i < count:
        place = i
        if tag == OBJECT:
            key, length = entry(node, i)
            memory_copy(out, key, length)
            store8(out + length, 0)
            out += length + 1
            place = count + i
        p, length = entry(node, place)
        out = put_key(out, p, length)
        i += 1
    return out


def jsonb_key(worker: ptr, node: ptr, size: i32) -> tuple[ptr, i32]:
    key = scratch(worker, 2 * size + 64)
    if key == 0:
        return 0, 0
    out = key
    if load8_u(node) == ARRAY and load32(node, 1) == 0:
        store8(out, 0)
        out += 1
    else:
        out = put_key(out, node, size)
    scratch_end(worker, out + 16)
    return key, out - key
