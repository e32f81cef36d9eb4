"""Text: comparison, search and views. A text is (address, byte length), UTF-8, readable 16 bytes past its end.

Comparison is by bytes (the C collation, which for UTF-8 is the order of code points). Results that are parts of the
argument are views: no copy. What must allocate is in text_building.py; LIKE is in patterns.py. Places and counts in
SQL are characters, in these kernels bytes unless the name says otherwise.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import (
    and128,
    bitmask8,
    ctz,
    equal8,
    greater8_s,
    gt_u,
    i32,
    i64,
    inline,
    load8_u,
    load16_u,
    load32,
    load64,
    load_v128,
    popcnt,
    ptr,
    select,
    shr_u,
    splat8,
)


# --- comparison -------------------------------------------------------------------------------------------------------
def equal_bytes(p1: ptr, p2: ptr, length: i32) -> bool:
    """Whether `length` bytes are equal; the last word overlaps the one before."""
    if length >= 16:
        end = length - 16
        i = 0
        while i < end:
            if bitmask8(equal8(load_v128(p1 + i), load_v128(p2 + i))) != 0xFFFF:
                return False
            i += 16
        return bitmask8(equal8(load_v128(p1 + end), load_v128(p2 + end))) == 0xFFFF
    if length >= 8:
        first = load64(p1) ^ load64(p2)
        return first | (load64(p1 + length - 8) ^ load64(p2 + length - 8)) == 0
    if length >= 4:
        return (load32(p1) ^ load32(p2)) | (load32(p1 + length - 4) ^ load32(p2 + length - 4)) == 0
    if length >= 2:
        return (load16_u(p1) ^ load16_u(p2)) | (load8_u(p1 + length - 1) ^ load8_u(p2 + length - 1)) == 0
    return length == 0 or load8_u(p1) == load8_u(p2)


def equal_text(p1: ptr, l1: i32, p2: ptr, l2: i32) -> bool:
    return l1 == l2 and equal_bytes(p1, p2, l1)


def compare_text(p1: ptr, l1: i32, p2: ptr, l2: i32) -> i32:
    """Below, at or above 0, as memcmp and then by length."""
    shorter = select(l1 < l2, l1, l2)
    i = 0
    while i < shorter:
        a = load64(p1 + i)
        b = load64(p2 + i)
        if a != b:
            # The lowest differing byte comes first in memory; it counts only if it is inside both texts.
            shift = ctz(a ^ b) & 56
            if i + i32(shr_u(shift, 3)) >= shorter:
                break
            return i32(shr_u(a, shift) & 255) - i32(shr_u(b, shift) & 255)
        i += 8
    return l1 - l2


def starts_with(p: ptr, length: i32, prefix: ptr, prefix_length: i32) -> bool:
    return prefix_length <= length and equal_bytes(p, prefix, prefix_length)


def ends_with(p: ptr, length: i32, suffix: ptr, suffix_length: i32) -> bool:
    return suffix_length <= length and equal_bytes(p + length - suffix_length, suffix, suffix_length)


# --- search -----------------------------------------------------------------------------------------------------------
def find_byte(p: ptr, length: i32, byte: i32) -> i32:
    """Place of the first such byte, or -1."""
    wanted = splat8(byte)
    i = 0
    while i < length:
        mask = bitmask8(equal8(load_v128(p + i), wanted))
        if mask != 0:
            place = i + ctz(mask)
            return place if place < length else -1
        i += 16
    return -1


def find_text(p: ptr, length: i32, needle: ptr, needle_length: i32) -> i32:
    """Place of the first occurrence, or -1. Sixteen places at a time are tested by the needle's first and last byte
    (W. Mula, "SIMD-friendly algorithms for substring searching")."""
    if needle_length <= 1:
        return find_byte(p, length, load8_u(needle)) if needle_length == 1 else 0
    first = splat8(load8_u(needle))
    last = splat8(load8_u(needle + needle_length - 1))
    places = length - needle_length + 1
    ends = p + needle_length - 1
    i = 0
    while i < places:
        mask = bitmask8(and128(equal8(load_v128(p + i), first), equal8(load_v128(ends + i), last)))
        while mask != 0:
            place = i + ctz(mask)
            if place >= places:
                return -1
            if needle_length == 2 or equal_bytes(p + place + 1, needle + 1, needle_length - 2):
                return place
            mask &= mask - 1
        i += 16
    return -1


def contains(p: ptr, length: i32, needle: ptr, needle_length: i32) -> bool:
    return find_text(p, length, needle, needle_length) >= 0


# --- characters -------------------------------------------------------------------------------------------------------
def char_length(p: ptr, length: i32) -> i32:
    """Characters: the bytes that are no continuation bytes (0x80 - 0xBF, as signed numbers at most -65)."""
    count = 0
    limit = splat8(-65)
    i = 0
    while i + 16 <= length:
        count += popcnt(bitmask8(greater8_s(load_v128(p + i), limit)))
        i += 16
    if i < length:
        count += popcnt(bitmask8(greater8_s(load_v128(p + i), limit)) & ((1 << (length - i)) - 1))
    return count


@inline
def character_bytes(lead: i32) -> i32:
    """Bytes of the character that begins with this byte."""
    return 1 + (gt_u(lead, 0xBF)) + (gt_u(lead, 0xDF)) + (gt_u(lead, 0xEF))


def skip_characters(p: ptr, length: i32, count: i64) -> i32:
    """Byte offset of the character `count` (from 0), at most `length`."""
    i = 0
    while count >= 8 and i + 8 <= length and load64(p + i) & 0x8080808080808080 == 0:
        i += 8
        count -= 8
    while count > 0 and i < length:
        i += character_bytes(load8_u(p + i))
        count -= 1
    return select(i > length, length, i)


def substring_from(p: ptr, length: i32, start: i64) -> tuple[ptr, i32]:
    """substring(text from start): characters from place `start` (1 is the first) on."""
    skip = skip_characters(p, length, start - 1)
    return p + skip, length - skip


def substring(p: ptr, length: i32, start: i64, count: i64) -> tuple[ptr, i32, i32]:
    """substring(text from start for count): the characters at places start ... start + count - 1, as far as they exist.
    Status INVALID_COUNT for a negative count. |start| and count are of 32 bits."""
    if count < 0:
        return p, 0, errors.INVALID_COUNT
    if start < 1:
        count += start - 1
        start = 1
    skip = skip_characters(p, length, start - 1)
    return p + skip, skip_characters(p + skip, length - skip, count), errors.OK


def left(p: ptr, length: i32, count: i64) -> tuple[ptr, i32]:
    """The first `count` characters; all but the last -count for a negative one."""
    if count < 0:
        count += i64(char_length(p, length))
    return p, skip_characters(p, length, count)


def right(p: ptr, length: i32, count: i64) -> tuple[ptr, i32]:
    """The last `count` characters; all but the first -count for a negative one."""
    skip = -count
    if count >= 0:
        skip = i64(char_length(p, length)) - count
    offset = skip_characters(p, length, skip)
    return p + offset, length - offset


def strpos(p: ptr, length: i32, needle: ptr, needle_length: i32) -> i32:
    """Place of the needle in characters, from 1; 0 if it is not there."""
    place = find_text(p, length, needle, needle_length)
    return char_length(p, place) + 1 if place >= 0 else 0


# --- trimming ---------------------------------------------------------------------------------------------------------
def in_set(p: ptr, size: i32, characters: ptr, characters_length: i32) -> bool:
    """Whether the character of `size` bytes at p is one of the characters."""
    i = 0
    while i < characters_length:
        width = character_bytes(load8_u(characters + i))
        if width == size and equal_bytes(p, characters + i, size):
            return True
        i += width
    return False


def ltrim(p: ptr, length: i32, characters: ptr, characters_length: i32) -> tuple[ptr, i32]:
    while length > 0:
        size = character_bytes(load8_u(p))
        if size > length or not in_set(p, size, characters, characters_length):
            break
        p += size
        length -= size
    return p, length


def rtrim(p: ptr, length: i32, characters: ptr, characters_length: i32) -> tuple[ptr, i32]:
    while length > 0:
        size = 1
        while size < length and load8_u(p + length - size) & 0xC0 == 0x80:
            size += 1
        if not in_set(p + length - size, size, characters, characters_length):
            break
        length -= size
    return p, length


def trim(p: ptr, length: i32, characters: ptr, characters_length: i32) -> tuple[ptr, i32]:
    p, length = ltrim(p, length, characters, characters_length)
    p, length = rtrim(p, length, characters, characters_length)
    return p, length


def ltrim_spaces(p: ptr, length: i32) -> tuple[ptr, i32]:
    while length > 0 and load8_u(p) == 32:
        p += 1
        length -= 1
    return p, length


def rtrim_spaces(p: ptr, length: i32) -> tuple[ptr, i32]:
    while length > 0 and load8_u(p + length - 1) == 32:
        length -= 1
    return p, length


def trim_spaces(p: ptr, length: i32) -> tuple[ptr, i32]:
    p, length = ltrim_spaces(p, length)
    p, length = rtrim_spaces(p, length)
    return p, length


def is_ascii(p: ptr, length: i32) -> bool:
    i = 0
    while i + 16 <= length:
        if bitmask8(load_v128(p + i)) != 0:
            return False
        i += 16
    return length == i or bitmask8(load_v128(p + i)) & ((1 << (length - i)) - 1) == 0
