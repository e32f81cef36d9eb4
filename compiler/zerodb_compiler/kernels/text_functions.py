"""Functions of strings beyond text.py and text_building.py: padding, translation, quoting, character codes.

Results that are built are in the worker's scratch memory; an address of 0 means out of memory. Lengths and places in
SQL are characters.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import (
    div_s,
    i32,
    i64,
    load8_u,
    load32,
    memory_copy,
    memory_fill,
    ptr,
    select,
    shr_u,
    store8,
    store32,
)
from zerodb_compiler.kernels.letters import LETTERS, LETTERS_COUNT
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.text import char_length, character_bytes, find_byte, find_text, skip_characters
from zerodb_compiler.kernels.text_buffer import append, begin, finish, reserve
from zerodb_compiler.kernels.text_building import MAX_TEXT_BYTES, decode, encode, lower_character, upper_character


def code_point(p: ptr, length: i32) -> i64:
    """ascii(): the first character's code point, 0 for an empty text."""
    if length == 0:
        return 0
    character, _ = decode(p)
    return i64(character)


def from_code_point(worker: ptr, code: i64) -> tuple[ptr, i32, i32]:
    """chr()"""
    if code < 0:
        return 0, 0, errors.DOMAIN
    if code == 0:
        return 0, 0, errors.INVALID_TEXT
    if code > 0x10FFFF:
        return 0, 0, errors.OVERFLOW
    if code >= 0xD800 and code <= 0xDFFF:
        return 0, 0, errors.WRONG_TEXT
    target = scratch(worker, 4)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    return target, encode(target, i32(code)) - target, errors.OK


def reverse(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    target = scratch(worker, length)
    if target == 0:
        return 0, 0
    out = target + length
    i = 0
    while i < length:
        size = character_bytes(load8_u(p + i))
        out -= size
        memory_copy(out, p + i, size)
        i += size
    return target, length


def is_letter_or_digit(character: i32) -> bool:
    if character < 0x80:
        letter = (character | 0x20) - 0x61
        return ((letter >= 0) & (letter < 26)) | ((character >= 0x30) & (character <= 0x39))
    low = 0
    high = LETTERS_COUNT - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if i32(LETTERS[middle] >> 32) <= character:
            low = middle
        else:
            high = middle - 1
    run = LETTERS[low]
    return i32(run >> 32) <= character and character <= i32(run)


def initcap(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """The first letter of each word in upper case, the others in lower case; words are runs of letters and digits."""
    target = scratch(worker, length + (length >> 1) + 16)
    if target == 0:
        return 0, 0
    place = target
    end = p + length
    inside = False
    while p < end:
        character, size = decode(p)
        p += size
        is_word = is_letter_or_digit(character)
        if is_word:
            if character < 0x80:
                if inside:
                    character += select((character >= 0x41) & (character <= 0x5A), 32, 0)
                else:
                    character -= select((character >= 0x61) & (character <= 0x7A), 32, 0)
            elif inside:
                character = lower_character(character)
            else:
                character = upper_character(character)
        inside = is_word
        place = encode(place, character)
    scratch_end(worker, place)
    return target, place - target


def pad(
    worker: ptr, p: ptr, length: i32, wanted: i64, fill: ptr, fill_length: i32, at_left: i32
) -> tuple[ptr, i32, i32]:
    """lpad and rpad: to `wanted` characters, cut at the right where it is longer."""
    if wanted <= 0:
        return p, 0, errors.OK
    count = i64(char_length(p, length))
    if count >= wanted or fill_length == 0:
        return p, skip_characters(p, length, wanted), errors.OK
    missing = wanted - count
    fill_characters = i64(char_length(fill, fill_length))
    whole = missing
    rest = missing
    if fill_characters > 1:
        whole = div_s(missing, fill_characters)
        rest = missing - whole * fill_characters
    else:
        rest = 0
    tail = skip_characters(fill, fill_length, rest)
    total = whole * i64(fill_length) + i64(tail) + i64(length)
    if total > MAX_TEXT_BYTES or wanted > MAX_TEXT_BYTES >> 2:
        return 0, 0, errors.OVERFLOW
    target = scratch(worker, i32(total))
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    out = target
    if at_left == 0:
        memory_copy(out, p, length)
        out += length
    while whole > 0:
        memory_copy(out, fill, fill_length)
        out += fill_length
        whole -= 1
    memory_copy(out, fill, tail)
    out += tail
    if at_left:
        memory_copy(out, p, length)
    return target, i32(total), errors.OK


def overlay(
    worker: ptr, p: ptr, length: i32, new: ptr, new_length: i32, start: i64, count: i64
) -> tuple[ptr, i32, i32]:
    """overlay(text placing new from start for count); count < 0: as many characters as `new` has is for the caller."""
    if start <= 0:
        return 0, 0, errors.INVALID_COUNT
    first = skip_characters(p, length, start - 1)
    behind = start + count - 1
    last = skip_characters(p, length, select(behind < 0, 0, behind))
    total = i64(first) + i64(new_length) + i64(length - last)
    if total > MAX_TEXT_BYTES:
        return 0, 0, errors.OUT_OF_MEMORY
    target = scratch(worker, i32(total))
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    memory_copy(target, p, first)
    memory_copy(target + first, new, new_length)
    memory_copy(target + first + new_length, p + last, length - last)
    return target, i32(total), errors.OK


def split_part(p: ptr, length: i32, mark: ptr, mark_length: i32, number: i64) -> tuple[ptr, i32, i32]:
    """The field number `number` of those that the mark divides; from the end where it is negative."""
    if number == 0:
        return 0, 0, errors.DOMAIN
    if mark_length == 0 or length == 0:
        if number == 1 or number == -1:
            return p, length, errors.OK
        return p, 0, errors.OK
    if number < 0:
        # How many fields there are tells which one it is from the left.
        fields: i64 = 1
        i = 0
        while True:
            place = find_text(p + i, length - i, mark, mark_length)
            if place < 0:
                break
            fields += 1
            i += place + mark_length
        number = fields + number + 1
        if number <= 0:
            return p, 0, errors.OK
    while True:
        place = find_text(p, length, mark, mark_length)
        if place < 0:
            return p, select(number == 1, length, 0), errors.OK
        number -= 1
        if number == 0:
            return p, place, errors.OK
        p += place + mark_length
        length -= place + mark_length


def translate(
    worker: ptr, p: ptr, length: i32, old: ptr, old_length: i32, new: ptr, new_length: i32
) -> tuple[ptr, i32]:
    """Each character of `old` becomes the one at its place in `new`, or nothing."""
    base = begin(worker)
    used = 0
    end = p + length
    while p < end:
        size = character_bytes(load8_u(p))
        base = reserve(worker, base, used, 4)
        if base == 0:
            return 0, 0
        i = 0
        number: i64 = 0
        found = False
        while i < old_length:
            width = character_bytes(load8_u(old + i))
            if width == size and same_character(old + i, p, size):
                found = True
                break
            i += width
            number += 1
        if found:
            at = skip_characters(new, new_length, number)
            if at < new_length:
                width = character_bytes(load8_u(new + at))
                memory_copy(base + used, new + at, width)
                used += width
        else:
            memory_copy(base + used, p, size)
            used += size
        p += size
    if base == 0:
        return 0, 0
    finish(worker, base + used)
    return base, used


def same_character(p: ptr, q: ptr, size: i32) -> bool:
    while size > 0:
        size -= 1
        if load8_u(p + size) != load8_u(q + size):
            return False
    return True


def to_base(worker: ptr, value: i64, bits: i32) -> tuple[ptr, i32]:
    """to_hex (4 bits a digit), of the two's complement."""
    target = scratch(worker, 64)
    if target == 0:
        return 0, 0
    place = target + 64
    mask = (1 << i64(bits)) - 1
    while True:
        digit = i32(value & mask)
        place -= 1
        store8(place, digit + select(digit < 10, 0x30, 0x57))
        value = shr_u(value, i64(bits))
        if value == 0:
            break
    return place, target + 64 - place


# --- quoting ----------------------------------------------------------------------------------------------------------
def append_quoted(worker: ptr, base: ptr, used: i32, p: ptr, length: i32, quote: i32) -> tuple[ptr, i32]:
    """Appends a text in quotes, those inside doubled; in single quotes, backslashes too (and an E before)."""
    base = reserve(worker, base, used, length * 2 + 4)
    if base == 0:
        return 0, 0
    out = base + used
    escapes = quote == 0x27 and find_byte(p, length, 0x5C) >= 0
    if escapes:
        store8(out, 0x45)
        out += 1
    store8(out, quote)
    out += 1
    for i in range(length):
        byte = load8_u(p + i)
        if byte == quote or (escapes and byte == 0x5C):
            store8(out, byte)
            out += 1
        store8(out, byte)
        out += 1
    store8(out, quote)
    return base, out + 1 - base


def quote_literal(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    base, used = append_quoted(worker, begin(worker), 0, p, length, 0x27)
    if base != 0:
        finish(worker, base + used)
    return base, used


def is_plain_identifier(p: ptr, length: i32, keywords: ptr, keywords_length: i32) -> bool:
    """Lower-case letters, digits and underscores, not beginning with a digit, and no reserved word. The keywords have
    a space before and behind each, and so must have the text: it is looked for without them."""
    if length == 0:
        return False
    for i in range(length):
        byte = load8_u(p + i)
        letter = ((byte >= 0x61) & (byte <= 0x7A)) | (byte == 0x5F)
        digit = (byte >= 0x30) & (byte <= 0x39)
        if letter == 0 and (digit == 0 or i == 0):
            return False
    at = 0
    while True:
        place = find_text(keywords + at, keywords_length - at, p, length)
        if place < 0:
            return True
        at += place
        if load8_u(keywords + at - 1) == 0x20 and load8_u(keywords + at + length) == 0x20:
            return False
        at += 1


def append_identifier(
    worker: ptr, base: ptr, used: i32, p: ptr, length: i32, keywords: ptr, keywords_length: i32
) -> tuple[ptr, i32]:
    if is_plain_identifier(p, length, keywords, keywords_length):
        base = append(worker, base, used, p, length)
        return base, used + length
    base, used = append_quoted(worker, base, used, p, length, 0x22)
    return base, used


def quote_ident(worker: ptr, p: ptr, length: i32, keywords: ptr, keywords_length: i32) -> tuple[ptr, i32]:
    if is_plain_identifier(p, length, keywords, keywords_length):
        return p, length
    base, used = append_quoted(worker, begin(worker), 0, p, length, 0x22)
    if base != 0:
        finish(worker, base + used)
    return base, used


# --- lists of arguments: 12 bytes each: address, length, is NULL ---------------------------------------------------
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
        # position$
        position = 0
        number, digits = scan_number(p + i, length - i)
        if number < 0:
            return 0, 0, errors.OVERFLOW
        if digits > 0 and i + digits < length and load8_u(p + i + digits) == 0x24:
            if number == 0:
                return 0, 0, errors.DOMAIN
            position = number
            i += digits + 1
        at_left = False
        while i < length and load8_u(p + i) == 0x2D:
            at_left = True
            i += 1
        width = 0
        if i < length and load8_u(p + i) == 0x2A:
            i += 1
            number, digits = scan_number(p + i, length - i)
            which = following
            if digits > 0:
                if number == 0:
                    return 0, 0, errors.DOMAIN
                if i + digits >= length or load8_u(p + i + digits) != 0x24:
                    return 0, 0, errors.NOT_AN_OPTION
                i += digits + 1
                which = number - 1
            following = which + 1
            if which >= count:
                return 0, 0, errors.INVALID_COUNT
            argument = arguments + which * ARGUMENT_BYTES
            if load32(argument, 8) == 0:
                text = load32(argument)
                negative = load32(argument, 4) > 0 and load8_u(text) == 0x2D
                width, digits = scan_number(text + negative, load32(argument, 4) - negative)
                if digits == 0 or digits + negative != load32(argument, 4) or width < 0:
                    return 0, 0, errors.INVALID_TEXT
                if negative:
                    at_left = True
        else:
            width, digits = scan_number(p + i, length - i)
            if width < 0:
                return 0, 0, errors.OVERFLOW
            i += digits
        if i >= length:
            return 0, 0, errors.WRONG_TEXT
        which = position - 1
        if position == 0:
            which = following
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
        text = load32(argument)
        size = load32(argument, 4)
        if load32(argument, 8):
            size = 0
            if letter == 0x49:
                return 0, 0, errors.UNDERFLOW
        begun = used
        if letter == 0x73:
            base = append(worker, base, used, text, size)
            used += size
        elif letter == 0x49:
            base, used = append_identifier(worker, base, used, text, size, keywords, keywords_length)
        elif load32(argument, 8):
            base = reserve(worker, base, used, 4)
            if base != 0:
                store32(base + used, 0x4C4C554E)
            used += 4
        else:
            base, used = append_quoted(worker, base, used, text, size, 0x27)
        if base == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        missing = width - char_length(base + begun, used - begun)
        if missing > 0:
            base = reserve(worker, base, used, missing)
            if base == 0:
                return 0, 0, errors.OUT_OF_MEMORY
            if at_left:
                memory_fill(base + used, 32, missing)
            else:
                memory_copy(base + begun + missing, base + begun, used - begun)
                memory_fill(base + begun, 32, missing)
            used += missing
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    finish(worker, base + used)
    return base, used, errors.OK


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


def unistr(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    """\\XXXX, \\+XXXXXX, \\uXXXX and \\UXXXXXXXX become characters, \\\\ a backslash."""
    target = scratch(worker, length + 4)
    if target == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    out = target
    i = 0
    pending = 0
    while i < length:
        byte = load8_u(p + i)
        if byte != 0x5C:
            if pending != 0:
                return 0, 0, errors.DOMAIN
            store8(out, byte)
            out += 1
            i += 1
            continue
        if i + 1 < length and load8_u(p + i + 1) == 0x5C:
            if pending != 0:
                return 0, 0, errors.DOMAIN
            store8(out, 0x5C)
            out += 1
            i += 2
            continue
        letter = load8_u(p + i + 1)
        skip = 1
        digits = 4
        if letter == 0x2B:
            skip = 2
            digits = 6
        elif letter == 0x75:
            skip = 2
        elif letter == 0x55:
            skip = 2
            digits = 8
        if i + skip + digits > length:
            return 0, 0, errors.WRONG_TEXT
        code: i64 = 0
        for k in range(digits):
            digit = hex_digit(load8_u(p + i + skip + k))
            if digit < 0:
                return 0, 0, errors.WRONG_TEXT
            code = code << 4 | i64(digit)
        i += skip + digits
        if code == 0 or code > 0x10FFFF:
            return 0, 0, errors.OVERFLOW
        character = i32(code)
        low = (character >= 0xDC00) & (character <= 0xDFFF)
        if (pending != 0) != low:
            return 0, 0, errors.DOMAIN
        if low:
            character = 0x10000 + ((pending & 0x3FF) << 10) + (character & 0x3FF)
            pending = 0
        elif (character >= 0xD800) & (character <= 0xDBFF):
            pending = character
            continue
        out = encode(out, character)
    if pending != 0:
        return 0, 0, errors.DOMAIN
    scratch_end(worker, out)
    return target, out - target, errors.OK


def hex_digit(byte: i32) -> i32:
    """The value of a hexadecimal digit, or -1."""
    if (byte >= 0x30) & (byte <= 0x39):
        return byte - 0x30
    byte |= 0x20
    if (byte >= 0x61) & (byte <= 0x66):
        return byte - 0x57
    return -1
