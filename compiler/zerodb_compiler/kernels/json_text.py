"""JSON text: checking it, walking over it, its strings in and out of their escapes.

check(p, end, depth) -> place behind the value, status          INVALID_TEXT, TOO_DEEP; strings' escapes by form only
skip(p, end) -> place behind a value of checked text            blanks before it are skipped
unescape(out, p, end) -> end of the plain text, status          of what stands between the quotes
put_quoted(worker, base, used, text) -> base, used              (text_buffer.py) with quotes and escapes
"""

from __future__ import annotations

from zerodb_compiler.jsonb import MAX_DEPTH
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import i32, inline, load8_u, load32, memory_copy, ptr, store8
from zerodb_compiler.kernels.text_buffer import reserve

TOO_DEEP = 40
NO_CHARACTER = 41  # \u0000


@inline
def is_blank(byte: i32) -> bool:
    return (byte == 32) | (byte == 10) | (byte == 13) | (byte == 9)


@inline
def is_digit(byte: i32) -> bool:
    return (byte >= 48) & (byte <= 57)


def skip_blanks(p: ptr, end: ptr) -> ptr:
    while p < end and is_blank(load8_u(p)):
        p += 1
    return p


def hex_digit(byte: i32) -> i32:
    """-1 where it is none."""
    if is_digit(byte):
        return byte - 48
    byte = byte | 32
    if byte >= 97 and byte <= 102:
        return byte - 87
    return -1


def hex4(p: ptr, end: ptr) -> i32:
    """The number of four hexadecimal digits, -1 where they are not there."""
    if end - p < 4:
        return -1
    value = 0
    i = 0
    while i < 4:
        digit = hex_digit(load8_u(p + i))
        if digit < 0:
            return -1
        value = value * 16 + digit
        i += 1
    return value


def check_string(p: ptr, end: ptr) -> tuple[ptr, i32]:
    """From behind the opening quote to behind the closing one."""
    while p < end:
        byte = load8_u(p)
        if byte == 34:
            return p + 1, 0
        if byte < 32:
            return p, errors.INVALID_TEXT
        p += 1
        if byte == 92:
            if p >= end:
                return p, errors.INVALID_TEXT
            byte = load8_u(p)
            p += 1
            if byte == 117:
                if hex4(p, end) < 0:
                    return p, errors.INVALID_TEXT
                p += 4
            elif (
                (byte != 34)
                & (byte != 92)
                & (byte != 47)
                & (byte != 98)
                & (byte != 102)
                & (byte != 110)
                & (byte != 114)
                & (byte != 116)
            ):
                return p, errors.INVALID_TEXT
    return p, errors.INVALID_TEXT


def digits(p: ptr, end: ptr) -> ptr:
    while p < end and is_digit(load8_u(p)):
        p += 1
    return p


def check_number(p: ptr, end: ptr) -> tuple[ptr, i32]:
    if load8_u(p) == 45:
        p += 1
    if p >= end or not is_digit(load8_u(p)):
        return p, errors.INVALID_TEXT
    if load8_u(p) == 48:
        p += 1
    else:
        p = digits(p, end)
    if p < end and load8_u(p) == 46:
        start = p + 1
        p = digits(start, end)
        if p == start:
            return p, errors.INVALID_TEXT
    if p < end and load8_u(p) | 32 == 101:
        p += 1
        if p < end and (load8_u(p) == 43 or load8_u(p) == 45):
            p += 1
        start = p
        p = digits(start, end)
        if p == start:
            return p, errors.INVALID_TEXT
    return p, 0


def is_word_byte(byte: i32) -> bool:
    return (byte == 95) | is_digit(byte) | ((byte | 32) >= 97) & ((byte | 32) <= 122) | (byte >= 128)


def check_word(p: ptr, end: ptr) -> tuple[ptr, i32]:
    """null, true, false."""
    start = p
    while p < end and is_word_byte(load8_u(p)):
        p += 1
    length = p - start
    if length == 4 and (load32(start) == 0x6C6C756E or load32(start) == 0x65757274):
        return p, 0
    if length == 5 and load32(start) == 0x736C6166 and load8_u(start, 4) == 101:
        return p, 0
    return start, errors.INVALID_TEXT


def check(p: ptr, end: ptr, depth: i32) -> tuple[ptr, i32]:
    """One value, with the blanks around it."""
    p = skip_blanks(p, end)
    if p >= end:
        return p, errors.INVALID_TEXT
    byte = load8_u(p)
    status = 0
    if byte == 34:
        p, status = check_string(p + 1, end)
    elif byte == 45 or is_digit(byte):
        p, status = check_number(p, end)
        if status == 0 and p < end and is_word_byte(load8_u(p)):
            status = errors.INVALID_TEXT
    elif byte == 91 or byte == 123:
        if depth >= MAX_DEPTH:
            return p, TOO_DEEP
        p, status = check_container(p + 1, end, depth + 1, byte)
    else:
        p, status = check_word(p, end)
    if status != 0:
        return p, status
    return skip_blanks(p, end), 0


def check_container(p: ptr, end: ptr, depth: i32, opening: i32) -> tuple[ptr, i32]:
    closing = opening + 2
    p = skip_blanks(p, end)
    if p < end and load8_u(p) == closing:
        return p + 1, 0
    while True:
        if opening == 123:
            p = skip_blanks(p, end)
            if p >= end or load8_u(p) != 34:
                return p, errors.INVALID_TEXT
            p, status = check_string(p + 1, end)
            if status != 0:
                return p, status
            p = skip_blanks(p, end)
            if p >= end or load8_u(p) != 58:
                return p, errors.INVALID_TEXT
            p += 1
        p, status = check(p, end, depth)
        if status != 0:
            return p, status
        if p >= end:
            return p, errors.INVALID_TEXT
        byte = load8_u(p)
        if byte == closing:
            return p + 1, 0
        if byte != 44:
            return p, errors.INVALID_TEXT
        p += 1


def check_json(p: ptr, length: i32) -> i32:
    """The status of a whole text."""
    end = p + length
    p, status = check(p, end, 0)
    if status == 0 and p != end:
        return errors.INVALID_TEXT
    return status


# --- checked text -----------------------------------------------------------------------------------------------------
def skip_string(p: ptr) -> ptr:
    """From the opening quote to behind the closing one."""
    p += 1
    while load8_u(p) != 34:
        if load8_u(p) == 92:
            p += 1
        p += 1
    return p + 1


def skip(p: ptr, end: ptr) -> ptr:
    """Behind a value that begins at `p`."""
    byte = load8_u(p)
    if byte == 34:
        return skip_string(p)
    if byte != 91 and byte != 123:
        while p < end:
            byte = load8_u(p)
            if is_blank(byte) or byte == 44 or byte == 93 or byte == 125:
                break
            p += 1
        return p
    depth = 0
    while True:
        byte = load8_u(p)
        if byte == 34:
            p = skip_string(p)
        else:
            p += 1
            if byte == 91 or byte == 123:
                depth += 1
            elif byte == 93 or byte == 125:
                depth -= 1
                if depth == 0:
                    return p


def put_utf8(out: ptr, code: i32) -> ptr:
    if code < 0x80:
        store8(out, code)
        return out + 1
    if code < 0x800:
        store8(out, 0xC0 | (code >> 6))
        store8(out + 1, 0x80 | (code & 63))
        return out + 2
    if code < 0x10000:
        store8(out, 0xE0 | (code >> 12))
        store8(out + 1, 0x80 | ((code >> 6) & 63))
        store8(out + 2, 0x80 | (code & 63))
        return out + 3
    store8(out, 0xF0 | (code >> 18))
    store8(out + 1, 0x80 | ((code >> 12) & 63))
    store8(out + 2, 0x80 | ((code >> 6) & 63))
    store8(out + 3, 0x80 | (code & 63))
    return out + 4


def plain_escape(byte: i32) -> i32:
    if byte == 110:
        return 10
    if byte == 116:
        return 9
    if byte == 114:
        return 13
    if byte == 98:
        return 8
    if byte == 102:
        return 12
    return byte


def unescape(out: ptr, p: ptr, end: ptr) -> tuple[ptr, i32]:
    """INVALID_TEXT for half of a surrogate pair, NO_CHARACTER for \\u0000."""
    while p < end:
        byte = load8_u(p)
        p += 1
        if byte != 92:
            store8(out, byte)
            out += 1
            continue
        byte = load8_u(p)
        p += 1
        if byte != 117:
            store8(out, plain_escape(byte))
            out += 1
            continue
        code = hex4(p, end)
        p += 4
        if code == 0:
            return out, NO_CHARACTER
        if code & 0xFC00 == 0xDC00:
            return out, errors.INVALID_TEXT
        if code & 0xFC00 == 0xD800:
            if end - p < 6 or load8_u(p) != 92 or load8_u(p, 1) != 117:
                return out, errors.INVALID_TEXT
            low = hex4(p + 2, end)
            if low & 0xFC00 != 0xDC00:
                return out, errors.INVALID_TEXT
            p += 6
            code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF)
        out = put_utf8(out, code)
    return out, 0


# --- writing ----------------------------------------------------------------------------------------------------------
def hex_of(value: i32) -> i32:
    return value + 48 if value < 10 else value + 87


def put_escape(out: ptr, byte: i32) -> ptr:
    store8(out, 92)
    letter = 117
    if byte == 34 or byte == 92:
        letter = byte
    elif byte == 10:
        letter = 110
    elif byte == 9:
        letter = 116
    elif byte == 13:
        letter = 114
    elif byte == 8:
        letter = 98
    elif byte == 12:
        letter = 102
    store8(out + 1, letter)
    if letter != 117:
        return out + 2
    store8(out + 2, 48)
    store8(out + 3, 48)
    store8(out + 4, hex_of(byte >> 4))
    store8(out + 5, hex_of(byte & 15))
    return out + 6


def put_quoted(worker: ptr, base: ptr, used: i32, p: ptr, length: i32) -> tuple[ptr, i32]:
    """Base 0 without memory."""
    if length > 0x0FFFFFFF:
        return 0, 0
    base = reserve(worker, base, used, 6 * length + 2)
    if base == 0:
        return 0, 0
    out = base + used
    store8(out, 34)
    out += 1
    end = p + length
    while p < end:
        byte = load8_u(p)
        if byte < 32 or byte == 34 or byte == 92:
            out = put_escape(out, byte)
        else:
            store8(out, byte)
            out += 1
        p += 1
    store8(out, 34)
    return base, out + 1 - base


def put_byte(worker: ptr, base: ptr, used: i32, byte: i32) -> tuple[ptr, i32]:
    base = reserve(worker, base, used, 1)
    if base == 0:
        return 0, 0
    store8(base + used, byte)
    return base, used + 1


def put_text(worker: ptr, base: ptr, used: i32, p: ptr, length: i32) -> tuple[ptr, i32]:
    base = reserve(worker, base, used, length)
    if base == 0:
        return 0, 0
    memory_copy(base + used, p, length)
    return base, used + length
