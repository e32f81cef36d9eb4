"""LIKE: `%` matches any run of characters, `_` one character, and the escape character makes the next one literal.

One pass with one place to go back to, that of the last `%` (a later `%` makes earlier ones irrelevant). Runs of plain
characters between two `%` are found with the SIMD search of text.py. `escape` is the escape's byte (an ASCII
character), or -1 for none. A pattern that ends in its escape character gives INVALID_ESCAPE, if matching reaches it.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import i32, load8_u, ptr
from zerodb_compiler.kernels.text import character_bytes, ends_with, find_byte, find_text
from zerodb_compiler.kernels.text_building import lower

PERCENT = 0x25
UNDERSCORE = 0x5F


def plain_run(pattern: ptr, start: i32, end: i32, escape: i32) -> i32:
    """Where the run of characters without special meaning that begins at `start` ends."""
    while start < end:
        byte = load8_u(pattern + start)
        if (byte == PERCENT) | (byte == UNDERSCORE) | (byte == escape):
            break
        start += 1
    return start


def like(p: ptr, length: i32, pattern: ptr, pattern_length: i32, escape: i32) -> tuple[i32, i32]:
    """Whether the text matches, and a status."""
    i = 0
    j = 0
    back_i = 0
    back_j = -1  # the place in the pattern behind the last %, if there was one
    wanted = -1  # the byte there, if it has no special meaning
    percent = PERCENT if escape != PERCENT else -2  # an escape that is itself % is an escape and nothing else
    while True:
        matched = False
        byte = load8_u(pattern + j) if j < pattern_length else -1
        if byte == percent:
            j += 1
            # %_ is _%: what the % matches then ends before a plain character.
            while j < pattern_length:
                byte = load8_u(pattern + j)
                if byte == escape or (byte != PERCENT and byte != UNDERSCORE):
                    break
                if byte == UNDERSCORE:
                    if i >= length:
                        return 0, errors.OK
                    i += character_bytes(load8_u(p + i))
                j += 1
            if j == pattern_length:
                return 1, errors.OK
            end = plain_run(pattern, j, pattern_length, escape)
            if end == pattern_length:
                return ends_with(p + i, length - i, pattern + j, end - j), errors.OK
            if load8_u(pattern + end) == percent:
                place = find_text(p + i, length - i, pattern + j, end - j)
                if place < 0:
                    return 0, errors.OK
                i += place + end - j
                j = end
                continue
            back_i = i
            back_j = j
            # Only where the next byte is can the rest match.
            wanted = load8_u(pattern + j) if end > j else -1
            if wanted >= 0:
                place = find_byte(p + i, length - i, wanted)
                if place < 0:
                    return 0, errors.OK
                i += place
                back_i = i
            continue
        if byte == escape and byte >= 0:
            if j + 1 == pattern_length:
                return 0, errors.INVALID_ESCAPE
            if i < length and load8_u(p + i) == load8_u(pattern + j + 1):
                i += 1
                j += 2
                matched = True
        elif byte == UNDERSCORE:
            if i < length:
                i += character_bytes(load8_u(p + i))
                j += 1
                matched = True
        elif byte >= 0:
            if i < length and load8_u(p + i) == byte:
                i += 1
                j += 1
                matched = True
        elif i >= length:
            return 1, errors.OK
        if not matched:
            if back_j < 0 or back_i >= length:
                return 0, errors.OK
            back_i += character_bytes(load8_u(p + back_i))
            if wanted >= 0:
                place = find_byte(p + back_i, length - back_i, wanted)
                if place < 0:
                    return 0, errors.OK
                back_i += place
            i = back_i
            j = back_j


def ilike(worker: ptr, p: ptr, length: i32, pattern: ptr, pattern_length: i32, escape: i32) -> tuple[i32, i32]:
    """LIKE of both sides in lower case. An escape that is a letter is not told from its other case."""
    p, length = lower(worker, p, length)
    pattern, pattern_length = lower(worker, pattern, pattern_length)
    if p == 0 or pattern == 0:
        return 0, errors.OUT_OF_MEMORY
    if escape >= 0x41 and escape <= 0x5A:
        escape += 32
    result, status = like(p, length, pattern, pattern_length, escape)
    return result, status
