"""Texts of any number of arguments: format() and concat_ws().

Each argument is 12 bytes: address, length, is NULL. Results are in the worker's scratch memory; an address of 0 means
out of memory.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, memory_copy, memory_fill, ptr, store32
from zerodb_compiler.kernels.text import char_length, character_bytes
from zerodb_compiler.kernels.text_buffer import append, begin, finish, reserve
from zerodb_compiler.kernels.text_quoting import append_identifier, append_quoted

ARGUMENT_BYTES = 12


def concat_ws(worker: ptr, p: ptr, length: i32, arguments: ptr, count: i32) -> tuple[ptr, i32]:
    """The arguments that are not NULL, with a separator between them."""
    base = begin(worker)
    used = 0
    first = True
    for _ in range(count):
        if load32(arguments, 8) == 0:
            if not first:
                base = append(worker, base, used, p, length)
                used += length
            first = False
            size = load32(arguments, 4)
            base = append(worker, base, used, load32(arguments), size)
            used += size
        arguments += ARGUMENT_BYTES
    if base == 0:
        return 0, 0
    finish(worker, base + used)
    return base, used


def format_text(
    worker: ptr, p: ptr, length: i32, arguments: ptr, count: i32, keywords: ptr, keywords_length: i32
) -> tuple[ptr, i32, i32]:
    """format(): %s %I %L with [position$][-][width], width a number, * or *position$; %% is a percent sign."""
    base = begin(worker)
    used = 0
    i = 0
    following = 0
    while i < length:
        start = i
        while i < length and load8_u(p + i) != 0x25:
            i += 1
        base = append(worker, base, used, p + start, i - start)
        used += i - start
        if base == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        if i == length:
            break
        i += 1
        if i == length:
            return 0, 0, errors.WRONG_TEXT
        if load8_u(p + i) == 0x25:
            base = append(worker, base, used, p + i, 1)
            used += 1
            i += 1
            continue
        position, i, status = read_position(p, i, length)
        if status != 0:
            return 0, 0, status
        at_left = i32(i < length and load8_u(p + i) == 0x2D)
        while i < length and load8_u(p + i) == 0x2D:
            i += 1
        width, i, following, status = read_width(p, i, length, arguments, count, following)
        if status != 0:
            return 0, 0, status
        if i >= length:
            return 0, 0, errors.WRONG_TEXT
        which = position - 1 if position != 0 else following
        following = which + 1
        letter = load8_u(p + i)
        i += 1
        if (letter != 0x73) & (letter != 0x49) & (letter != 0x4C):
            store32(worker, p + i - 1, abi.WORKER_ERROR_TEXT)
            store32(worker, character_bytes(letter), abi.WORKER_ERROR_TEXT + 4)
            return 0, 0, errors.LOG_ZERO
        if which >= count:
            return 0, 0, errors.INVALID_COUNT
        argument = arguments + which * ARGUMENT_BYTES
        if letter == 0x49 and load32(argument, 8):
            return 0, 0, errors.UNDERFLOW
        begun = used
        base, used = append_argument(worker, base, used, letter, argument, keywords, keywords_length)
        base, used = pad_field(worker, base, begun, used, width, at_left)
        if base == 0:
            return 0, 0, errors.OUT_OF_MEMORY
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    finish(worker, base + used)
    return base, used, errors.OK


def read_position(p: ptr, i: i32, length: i32) -> tuple[i32, i32, i32]:
    """position$ (0 if there is none), the place behind, a status."""
    number, digits = scan_number(p + i, length - i)
    if number < 0:
        return 0, i, errors.OVERFLOW
    if digits > 0 and i + digits < length and load8_u(p + i + digits) == 0x24:
        if number == 0:
            return 0, i, errors.DOMAIN
        return number, i + digits + 1, errors.OK
    return 0, i, errors.OK


def read_width(p: ptr, i: i32, length: i32, arguments: ptr, count: i32, following: i32) -> tuple[i32, i32, i32, i32]:
    """The width, negative for one at the left; the place behind; the argument that follows; a status."""
    if i >= length or load8_u(p + i) != 0x2A:
        width, digits = scan_number(p + i, length - i)
        if width < 0:
            return 0, i, following, errors.OVERFLOW
        return width, i + digits, following, errors.OK
    i += 1
    number, digits = scan_number(p + i, length - i)
    which = following
    if digits > 0:
        if number == 0:
            return 0, i, following, errors.DOMAIN
        if i + digits >= length or load8_u(p + i + digits) != 0x24:
            return 0, i, following, errors.NOT_AN_OPTION
        i += digits + 1
        which = number - 1
    if which >= count:
        return 0, i, following, errors.INVALID_COUNT
    argument = arguments + which * ARGUMENT_BYTES
    if load32(argument, 8):
        return 0, i, which + 1, errors.OK
    text = load32(argument)
    size = load32(argument, 4)
    negative = i32(size > 0 and load8_u(text) == 0x2D)
    width, digits = scan_number(text + negative, size - negative)
    if digits == 0 or digits + negative != size or width < 0:
        return 0, i, following, errors.INVALID_TEXT
    return 0 - width if negative else width, i, which + 1, errors.OK


def append_argument(
    worker: ptr, base: ptr, used: i32, letter: i32, argument: ptr, keywords: ptr, keywords_length: i32
) -> tuple[ptr, i32]:
    """%s, %I or %L of an argument."""
    text = load32(argument)
    size = load32(argument, 4)
    is_null = load32(argument, 8)
    if letter == 0x73:
        if is_null:
            size = 0
        base = append(worker, base, used, text, size)
        return base, used + size
    if letter == 0x49:
        base, used = append_identifier(worker, base, used, text, size, keywords, keywords_length)
    elif is_null:
        base = reserve(worker, base, used, 4)
        if base != 0:
            store32(base + used, 0x4C4C554E)
        used += 4
    else:
        base, used = append_quoted(worker, base, used, text, size, 0x27)
    return base, used


def pad_field(worker: ptr, base: ptr, begun: i32, used: i32, width: i32, at_left: i32) -> tuple[ptr, i32]:
    """What was appended since `begun`, filled up with spaces to a width; a negative one is at the left, too."""
    if base == 0:
        return 0, 0
    if width < 0:
        at_left = 1
        width = 0 - width
    missing = width - char_length(base + begun, used - begun)
    if missing <= 0:
        return base, used
    base = reserve(worker, base, used, missing)
    if base == 0:
        return 0, 0
    if at_left:
        memory_fill(base + used, 32, missing)
    else:
        memory_copy(base + begun + missing, base + begun, used - begun)
        memory_fill(base + begun, 32, missing)
    return base, used + missing


def scan_number(p: ptr, length: i32) -> tuple[i32, i32]:
    """A run of digits: its value (-1: too large) and length."""
    value: i64 = 0
    i = 0
    while i < length:
        digit = load8_u(p + i) - 0x30
        if digit < 0 or digit > 9:
            break
        if value < 1 << 32:
            value = value * 10 + i64(digit)
        i += 1
    if value > 0x7FFFFFFF:
        return -1, i
    return i32(value), i
