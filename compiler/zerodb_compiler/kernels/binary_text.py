"""Texts of uuid and bytea: writing and reading."""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import (
    i32,
    i64,
    load8_u,
    ptr,
    select,
    shr_u,
    store8,
    u64,
)
from zerodb_compiler.kernels.memory import scratch, scratch_end


def hex_digit(value: i32) -> i32:
    return value + select(value < 10, 48, 87)


def write_hex(place: ptr, byte: i32) -> ptr:
    store8(place, hex_digit(shr_u(byte, 4)))
    store8(place + 1, hex_digit(byte & 15))
    return place + 2


def format_uuid(worker: ptr, low: i64, high: i64) -> tuple[ptr, i32]:
    start = scratch(worker, 48)
    if start == 0:
        return 0, 0
    place = start
    word = high ^ (1 << 63)
    for i in range(16):
        if i == 8:
            word = low
        if i == 4 or i == 6 or i == 8 or i == 10:
            store8(place, 45)
            place += 1
        place = write_hex(place, i32(shr_u(word, 56)))
        word <<= 8
    scratch_end(worker, place)
    return start, 36


def format_bytea(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    start = scratch(worker, length * 2 + 16)
    if start == 0:
        return 0, 0
    store8(start, 92)
    store8(start + 1, 120)
    place = start + 2
    for i in range(length):
        place = write_hex(place, load8_u(p + i))
    scratch_end(worker, place)
    return start, length * 2 + 2


def hex_value(byte: i32) -> i32:
    """The value of a hexadecimal digit, -1 for anything else."""
    if byte >= 48 and byte <= 57:
        return byte - 48
    byte |= 32
    return select((byte >= 97) & (byte <= 102), byte - 87, -1)


def parse_uuid(p: ptr, length: i32) -> tuple[i64, i64, i32]:
    if length > 2 and load8_u(p) == 123 and load8_u(p + length - 1) == 125:
        p += 1
        length -= 2
    low: i64 = 0
    high: i64 = 0
    digits = 0
    dash = 1
    for i in range(length):
        byte = load8_u(p + i)
        if byte == 45:
            if dash or (digits & 3) != 0:
                return 0, 0, errors.INVALID_TEXT
            dash = 1
            continue
        dash = 0
        value = hex_value(byte)
        if value < 0 or digits == 32:
            return 0, 0, errors.INVALID_TEXT
        if digits < 16:
            high = (high << 4) | u64(value)
        else:
            low = (low << 4) | u64(value)
        digits += 1
    if digits != 32 or dash:
        return 0, 0, errors.INVALID_TEXT
    return low, high ^ (1 << 63), errors.OK


def parse_bytea(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    """Bytes of \\x... or of text with \\ooo escapes."""
    start = scratch(worker, length + 16)
    if start == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    place = start
    end = p + length
    if length >= 2 and load8_u(p) == 92 and load8_u(p + 1) == 120:
        p += 2
        while p < end:
            byte = load8_u(p)
            p += 1
            if byte == 32 or (byte >= 9 and byte <= 13):
                continue
            first = hex_value(byte)
            if first < 0 or p >= end:
                return 0, 0, errors.INVALID_TEXT
            second = hex_value(load8_u(p))
            p += 1
            if second < 0:
                return 0, 0, errors.INVALID_TEXT
            store8(place, first * 16 + second)
            place += 1
    else:
        while p < end:
            byte = load8_u(p)
            p += 1
            if byte == 92:
                if p < end and load8_u(p) == 92:
                    p += 1
                else:
                    if p + 3 > end:
                        return 0, 0, errors.INVALID_TEXT
                    a = load8_u(p) - 48
                    b = load8_u(p + 1) - 48
                    c = load8_u(p + 2) - 48
                    if a < 0 or a > 3 or b < 0 or b > 7 or c < 0 or c > 7:
                        return 0, 0, errors.INVALID_TEXT
                    byte = a * 64 + b * 8 + c
                    p += 3
            store8(place, byte)
            place += 1
    scratch_end(worker, place)
    return start, place - start, errors.OK
