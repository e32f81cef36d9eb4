"""encode and decode: bytes as text in base64, hexadecimal digits, or octal escapes."""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.digests import hex_digit_of
from zerodb_compiler.kernels.intrinsics import Table, i32, load8_u, ptr, store8, store32
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.text import character_bytes
from zerodb_compiler.kernels.text_functions import hex_digit

LETTERS = Table("i32", tuple(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"), "base64")


def encode_hex(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    target = scratch(worker, length << 1)
    if target == 0:
        return 0, 0
    for i in range(length):
        byte = load8_u(p + i)
        store8(target + (i << 1), hex_digit_of(byte >> 4))
        store8(target + (i << 1), hex_digit_of(byte & 15), 1)
    return target, length << 1


def encode_base64(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """With a line feed after each 76 characters that others follow."""
    target = scratch(worker, (length << 1) + 16)
    if target == 0:
        return 0, 0
    out = target
    line = 0
    i = 0
    while i < length:
        word = load8_u(p + i) << 16
        if i + 1 < length:
            word |= load8_u(p + i + 1) << 8
        if i + 2 < length:
            word |= load8_u(p + i + 2)
        store8(out, LETTERS[word >> 18])
        store8(out, LETTERS[(word >> 12) & 63], 1)
        store8(out, LETTERS[(word >> 6) & 63] if i + 1 < length else 0x3D, 2)
        store8(out, LETTERS[word & 63] if i + 2 < length else 0x3D, 3)
        out += 4
        i += 3
        line += 4
        if line == 76 and i < length:
            store8(out, 10)
            out += 1
            line = 0
    if line == 76:
        store8(out, 10)
        out += 1
    scratch_end(worker, out)
    return target, out - target


def encode_escape(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    target = scratch(worker, length << 2)
    if target == 0:
        return 0, 0
    out = target
    for i in range(length):
        byte = load8_u(p + i)
        if byte == 0 or byte >= 0x80:
            store8(out, 0x5C)
            store8(out, 0x30 + (byte >> 6), 1)
            store8(out, 0x30 + ((byte >> 3) & 7), 2)
            store8(out, 0x30 + (byte & 7), 3)
            out += 4
            continue
        if byte == 0x5C:
            store8(out, byte)
            out += 1
        store8(out, byte)
        out += 1
    scratch_end(worker, out)
    return target, out - target


def is_blank(byte: i32) -> bool:
    return (byte == 32) | (byte == 9) | (byte == 10) | (byte == 13)


def wrong(worker: ptr, p: ptr) -> None:
    """Names the character at p as the wrong one."""
    store32(worker, p, abi.WORKER_ERROR_TEXT)
    store32(worker, character_bytes(load8_u(p)), abi.WORKER_ERROR_TEXT + 4)


def decode_hex(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    target = scratch(worker, length)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    out = target
    i = 0
    while i < length:
        if is_blank(load8_u(p + i)):
            i += 1
            continue
        high = hex_digit(load8_u(p + i))
        if high < 0:
            wrong(worker, p + i)
            return 0, 0, errors.INVALID_TEXT
        if i + 1 >= length:
            return 0, 0, errors.WRONG_TEXT
        low = hex_digit(load8_u(p + i + 1))
        if low < 0:
            wrong(worker, p + i + 1)
            return 0, 0, errors.INVALID_TEXT
        store8(out, high << 4 | low)
        out += 1
        i += 2
    scratch_end(worker, out)
    return target, out - target, errors.OK


def base64_digit(byte: i32) -> i32:
    if (byte >= 0x41) & (byte <= 0x5A):
        return byte - 0x41
    if (byte >= 0x61) & (byte <= 0x7A):
        return byte - 0x61 + 26
    if (byte >= 0x30) & (byte <= 0x39):
        return byte - 0x30 + 52
    if byte == 0x2B:
        return 62
    return 63 if byte == 0x2F else -1


def decode_base64(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    target = scratch(worker, length + 4)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    out = target
    word = 0
    count = 0
    ended = 0
    for i in range(length):
        byte = load8_u(p + i)
        if is_blank(byte):
            continue
        digit = 0
        if byte == 0x3D:
            if ended == 0:
                if count < 2:
                    return 0, 0, errors.DOMAIN
                ended = 4 - count
        else:
            digit = base64_digit(byte)
            if digit < 0:
                wrong(worker, p + i)
                return 0, 0, errors.INVALID_TEXT
        word = word << 6 | digit
        count += 1
        if count == 4:
            store8(out, word >> 16)
            out += 1
            if ended != 2:
                store8(out, word >> 8)
                out += 1
            if ended == 0:
                store8(out, word)
                out += 1
            word = 0
            count = 0
    if count != 0:
        return 0, 0, errors.WRONG_TEXT
    scratch_end(worker, out)
    return target, out - target, errors.OK


def decode_escape(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    target = scratch(worker, length)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    out = target
    i = 0
    while i < length:
        byte = load8_u(p + i)
        i += 1
        if byte == 0x5C:
            if i < length and load8_u(p + i) == 0x5C:
                i += 1
            elif i + 2 < length and is_octal(p + i):
                byte = (load8_u(p + i) - 0x30) << 6 | (load8_u(p + i, 1) - 0x30) << 3 | (load8_u(p + i, 2) - 0x30)
                i += 3
            else:
                return 0, 0, errors.INVALID_TEXT
        store8(out, byte)
        out += 1
    scratch_end(worker, out)
    return target, out - target, errors.OK


def is_octal(p: ptr) -> bool:
    first = load8_u(p) - 0x30
    second = load8_u(p, 1) - 0x30
    third = load8_u(p, 2) - 0x30
    return (first >= 0) & (first <= 3) & (second >= 0) & (second <= 7) & (third >= 0) & (third <= 7)
