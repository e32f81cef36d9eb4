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


def contains_byte(p: ptr, length: i32, byte: i32) -> i32:
    for i in range(length):
        if load8_u(p + i) == byte:
            return 1
    return 0


def trim(p: ptr, length: i32, members: ptr, count: i32, at_left: i32, at_right: i32) -> tuple[ptr, i32]:
    """Without the bytes at its ends that are among `members`."""
    while at_left != 0 and length > 0 and contains_byte(members, count, load8_u(p)) != 0:
        p += 1
        length -= 1
    while at_right != 0 and length > 0 and contains_byte(members, count, load8_u(p + length - 1)) != 0:
        length -= 1
    return p, length


def overlay(
    worker: ptr, p: ptr, length: i32, new: ptr, new_length: i32, start: i64, count: i64
) -> tuple[ptr, i32, i32]:
    """`new` in the place of `count` bytes from `start`."""
    if start < 1:
        return 0, 0, errors.INVALID_COUNT
    _, before, _ = part(p, length, 1, start - 1)
    rest, after, _ = part(p, length, start + count, 2147483647)
    total = before + new_length + after
    target = scratch(worker, total)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    memory_copy(target, p, before)
    memory_copy(target + before, new, new_length)
    memory_copy(target + before + new_length, rest, after)
    return target, total, errors.OK


def check_utf8(p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    """The same bytes as a text; INVALID_TEXT where they are none."""
    at = 0
    while at < length:
        first = load8_u(p + at)
        size = 1
        low = 0x80
        high = 0xBF
        if first >= 0x80:
            if first < 0xC2 or first > 0xF4:
                return p, length, errors.INVALID_TEXT
            size = 2
            if first >= 0xE0:
                size = 3
            if first >= 0xF0:
                size = 4
            if first == 0xE0:
                low = 0xA0
            if first == 0xED:
                high = 0x9F
            if first == 0xF0:
                low = 0x90
            if first == 0xF4:
                high = 0x8F
            if at + size > length:
                return p, length, errors.INVALID_TEXT
            second = load8_u(p + at + 1)
            if second < low or second > high:
                return p, length, errors.INVALID_TEXT
            if size > 2 and (load8_u(p + at + 2) & 0xC0) != 0x80:
                return p, length, errors.INVALID_TEXT
            if size > 3 and (load8_u(p + at + 3) & 0xC0) != 0x80:
                return p, length, errors.INVALID_TEXT
        elif first == 0:
            return p, length, errors.INVALID_TEXT
        at += size
    return p, length, errors.OK
