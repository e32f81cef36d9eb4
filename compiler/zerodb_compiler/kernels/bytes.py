"""Functions of byte strings: parts, single bytes and bits. Places are bytes; substring counts them from 1."""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, memory_copy, popcnt, ptr, store8
from zerodb_compiler.kernels.memory import scratch


def part(p: ptr, length: i32, start: i64, count: i64) -> tuple[ptr, i32, i32]:
    """Bytes start ... start + count - 1, as far as they exist."""
    if count < 0:
        return p, 0, errors.INVALID_COUNT
    last = start + count
    if start < 1:
        start = 1
    if last > i64(length) + 1:
        last = i64(length) + 1
    if last <= start:
        return p, 0, errors.OK
    return p + i32(start) - 1, i32(last - start), errors.OK


def get_byte(p: ptr, length: i32, place: i64) -> tuple[i64, i32]:
    if place < 0 or place >= i64(length):
        return 0, errors.OVERFLOW
    return i64(load8_u(p + i32(place))), errors.OK


def get_bit(p: ptr, length: i32, place: i64) -> tuple[i64, i32]:
    if place < 0 or place >= i64(length) << 3:
        return 0, errors.OVERFLOW
    return i64((load8_u(p + i32(place >> 3)) >> i32(place & 7)) & 1), errors.OK


def set_byte(worker: ptr, p: ptr, length: i32, place: i64, value: i64) -> tuple[ptr, i32, i32]:
    if place < 0 or place >= i64(length):
        return 0, 0, errors.OVERFLOW
    target = scratch(worker, length)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    memory_copy(target, p, length)
    store8(target + i32(place), i32(value))
    return target, length, errors.OK


def set_bit(worker: ptr, p: ptr, length: i32, place: i64, value: i64) -> tuple[ptr, i32, i32]:
    if place < 0 or place >= i64(length) << 3:
        return 0, 0, errors.OVERFLOW
    if value < 0 or value > 1:
        return 0, 0, errors.DOMAIN
    target = scratch(worker, length)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    memory_copy(target, p, length)
    at = target + i32(place >> 3)
    bit = 1 << i32(place & 7)
    store8(at, (load8_u(at) & (bit ^ -1)) | (bit if value != 0 else 0))
    return target, length, errors.OK


def bit_count(p: ptr, length: i32) -> i64:
    count: i64 = 0
    for i in range(length):
        count += i64(popcnt(load8_u(p + i)))
    return count
