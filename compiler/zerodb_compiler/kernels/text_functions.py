"""Functions of strings beyond text.py and text_building.py: padding, translation, character codes.

Results that are built are in the worker's scratch memory; an address of 0 means out of memory. Lengths and places in
SQL are characters.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import (
    div_s,
    i32,
    i64,
    load8_u,
    memory_copy,
    ptr,
    select,
    shr_u,
    store8,
)
from zerodb_compiler.kernels.letters import LETTERS, LETTERS_COUNT
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.text import char_length, character_bytes, find_text, skip_characters
from zerodb_compiler.kernels.text_buffer import begin, finish, reserve
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
