"""Text that has to be built: case, replacement, repetition, concatenation.

Results are in the worker's scratch memory, valid until the end of the morsel. An address of 0 means out of memory.
Case mapping is Unicode's simple one (casemap.py): one character to one, without regard to language or context.
"""

from __future__ import annotations

from zerodb_compiler.kernels import casemap
from zerodb_compiler.kernels.intrinsics import (
    add8,
    and128,
    greater8_s,
    gt_u,
    i32,
    i64,
    inline,
    load8_u,
    load_v128,
    memory_copy,
    ptr,
    select,
    shr_u,
    splat8,
    store8,
    store_v128,
    xor128,
)
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.text import find_text, is_ascii

# No text is longer: keeps sums of lengths inside 31 bits.
MAX_TEXT_BYTES = 1 << 30


@inline
def decode(p: ptr) -> tuple[i32, i32]:
    """The code point at p and its bytes; the text is valid UTF-8 and readable past its end."""
    lead = load8_u(p)
    second = load8_u(p, 1) & 63
    third = load8_u(p, 2) & 63
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 31) << 6 | second, 2
    if lead < 0xF0:
        return (lead & 15) << 12 | second << 6 | third, 3
    return (lead & 7) << 18 | second << 12 | third << 6 | (load8_u(p, 3) & 63), 4


@inline
def encode(p: ptr, character: i32) -> ptr:
    """Writes a code point; gives the address behind it."""
    if character < 0x80:
        store8(p, character)
        return p + 1
    if character < 0x800:
        store8(p, 0xC0 | character >> 6)
        store8(p, 0x80 | character & 63, 1)
        return p + 2
    if character < 0x10000:
        store8(p, 0xE0 | character >> 12)
        store8(p, 0x80 | character >> 6 & 63, 1)
        store8(p, 0x80 | character & 63, 2)
        return p + 3
    store8(p, 0xF0 | character >> 18)
    store8(p, 0x80 | character >> 12 & 63, 1)
    store8(p, 0x80 | character >> 6 & 63, 2)
    store8(p, 0x80 | character & 63, 3)
    return p + 4


@inline
def mapped(character: i32, run: i64) -> i32:
    """The character moved by the run's distance if it belongs to the run that begins at or before it."""
    offset = character - i32(shr_u(run, 40))
    count = i32(shr_u(run, 32)) & 0xFF
    step = i32(shr_u(run, 28)) & 3
    if offset >= 0 and offset < count * step and offset & (step - 1) == 0:
        return character + (i32(run) & 0xFFFFFFF) - (1 << 20)
    return character


def lower_character(character: i32) -> i32:
    """For code points above 127."""
    low = 0
    high = casemap.LOWER_COUNT - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if i32(shr_u(casemap.LOWER[middle], 40)) <= character:
            low = middle
        else:
            high = middle - 1
    return mapped(character, casemap.LOWER[low])


def upper_character(character: i32) -> i32:
    """For code points above 127."""
    low = 0
    high = casemap.UPPER_COUNT - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if i32(shr_u(casemap.UPPER[middle], 40)) <= character:
            low = middle
        else:
            high = middle - 1
    return mapped(character, casemap.UPPER[low])


@inline
def flip_ascii_case(target: ptr, p: ptr, length: i32, first: i32) -> None:
    """Copies ASCII text, flipping the case of the 26 letters from `first` on; writes up to 15 bytes too many."""
    below = splat8(127 - first - 25)
    limit = splat8(127 - 26)
    flip = splat8(0x20)
    i = 0
    while i < length:
        block = load_v128(p + i)
        # Letters become 102 ... 127 by the addition, and only they.
        letters = greater8_s(add8(block, below), limit)
        store_v128(target + i, xor128(block, and128(letters, flip)))
        i += 16


def lower(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    if is_ascii(p, length):
        target = scratch(worker, length + 16)
        if target == 0:
            return 0, 0
        flip_ascii_case(target, p, length, 0x41)
        scratch_end(worker, target + length)
        return target, length
    # A character grows from two bytes to three at most.
    target = scratch(worker, length + (length >> 1) + 16)
    if target == 0:
        return 0, 0
    place = target
    end = p + length
    while p < end:
        character, size = decode(p)
        p += size
        if character >= 0x80:
            character = lower_character(character)
        elif character >= 0x41 and character <= 0x5A:
            character += 0x20
        place = encode(place, character)
    scratch_end(worker, place)
    return target, place - target


def upper(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    if is_ascii(p, length):
        target = scratch(worker, length + 16)
        if target == 0:
            return 0, 0
        flip_ascii_case(target, p, length, 0x61)
        scratch_end(worker, target + length)
        return target, length
    target = scratch(worker, length + (length >> 1) + 16)
    if target == 0:
        return 0, 0
    place = target
    end = p + length
    while p < end:
        character, size = decode(p)
        p += size
        if character >= 0x80:
            character = upper_character(character)
        elif character >= 0x61 and character <= 0x7A:
            character -= 0x20
        place = encode(place, character)
    scratch_end(worker, place)
    return target, place - target


def concat(worker: ptr, p1: ptr, l1: i32, p2: ptr, l2: i32) -> tuple[ptr, i32]:
    length = l1 + l2
    if gt_u(length, MAX_TEXT_BYTES):
        return 0, 0
    target = scratch(worker, length)
    if target != 0:
        memory_copy(target, p1, l1)
        memory_copy(target + l1, p2, l2)
    return target, length


def repeat(worker: ptr, p: ptr, length: i32, count: i64) -> tuple[ptr, i32]:
    """The text `count` times; empty for a negative count. |count| is of 32 bits."""
    if count < 0 or length == 0:
        count = 0
    total = i64(length) * count
    if total > MAX_TEXT_BYTES:
        return 0, 0
    size = i32(total)
    target = scratch(worker, size)
    if target == 0:
        return 0, 0
    if size > 0:
        # Doubling copies: each copies all that is there already.
        memory_copy(target, p, length)
        done = length
        while done < size:
            step = select(done < size - done, done, size - done)
            memory_copy(target + done, target, step)
            done += step
    return target, size


def replace(worker: ptr, p: ptr, length: i32, old: ptr, old_length: i32, new: ptr, new_length: i32) -> tuple[ptr, i32]:
    """Every occurrence of `old`, from the left and not overlapping, replaced. An empty `old` replaces nothing."""
    if old_length == 0:
        return p, length
    count: i64 = 0
    place = find_text(p, length, old, old_length)
    if place < 0:
        return p, length
    start = 0
    while place >= 0:
        count += 1
        start += place + old_length
        place = find_text(p + start, length - start, old, old_length)
    total = i64(length) + count * i64(new_length - old_length)
    if total > MAX_TEXT_BYTES:
        return 0, 0
    target = scratch(worker, i32(total))
    if target == 0:
        return 0, 0
    end = p + length
    out = target
    while True:
        place = find_text(p, end - p, old, old_length)
        if place < 0:
            break
        memory_copy(out, p, place)
        memory_copy(out + place, new, new_length)
        out += place + new_length
        p += place + old_length
    memory_copy(out, p, end - p)
    return target, i32(total)
