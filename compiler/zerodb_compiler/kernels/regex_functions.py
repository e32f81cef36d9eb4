"""The functions of regular expressions over kernels/regex.py. `code` is a compiled pattern.

Places in a text are characters from 1, as SQL counts them. A search goes on behind a match, and one character further
where the match was empty.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, ptr, store32
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.regex import NOWHERE, SHORTEST, captures_bytes, find, run
from zerodb_compiler.kernels.text import char_length, character_bytes, skip_characters
from zerodb_compiler.kernels.text_buffer import append, begin, finish
from zerodb_compiler.regex import layout


def prepared(worker: ptr, code: ptr) -> ptr:
    """Room for the places of the groups."""
    size = captures_bytes(code)
    captures = scratch(worker, size)
    if captures != 0:
        store32(captures + size - 8, 0)
    return captures


def too_complex(code: ptr, captures: ptr) -> i32:
    """The status at the end of a search."""
    failed = load32(captures + captures_bytes(code) - 8)
    return errors.TOO_COMPLEX if failed else errors.OK


def regex_test(worker: ptr, code: ptr, p: ptr, length: i32) -> tuple[i32, i32]:
    """Whether there is a match, and a status."""
    end = p + length
    search = load32(code, layout.HEADER_SEARCH)
    if search != 0 and load32(code, layout.HEADER_CHECKED) == 0:
        return run(code, search, p, end, p, p, end, SHORTEST) != NOWHERE, errors.OK
    captures = prepared(worker, code)
    if captures == 0:
        return 0, errors.OUT_OF_MEMORY
    if find(code, p, end, p, captures):
        return 1, errors.OK
    return 0, too_complex(code, captures)


def search_from(p: ptr, length: i32, start: i64) -> ptr:
    """The address of a character, NOWHERE beyond the end of the text."""
    offset = skip_characters(p, length, start - 1)
    if offset == length and start - 1 > i64(char_length(p, length)):
        return NOWHERE
    return p + offset


def following(captures: ptr, end: ptr) -> ptr:
    """Where the search for the next match begins; NOWHERE if the text has ended."""
    p = load32(captures, 4)
    if p == load32(captures):
        if p == end:
            return NOWHERE
        p += character_bytes(load8_u(p))
    return p


def nth_match(code: ptr, p: ptr, length: i32, start: i64, nth: i64, captures: ptr) -> i32:
    """Finds the match number `nth` from a character on: 1, or 0 if there is none."""
    end = p + length
    place = search_from(p, length, start)
    while place != NOWHERE:
        if find(code, p, end, place, captures) == 0:
            return 0
        nth -= 1
        if nth <= 0:
            return 1
        place = following(captures, end)
    return 0


def regex_count(worker: ptr, code: ptr, p: ptr, length: i32, start: i64) -> tuple[i64, i32]:
    captures = prepared(worker, code)
    count: i64 = 0
    if captures == 0:
        return count, errors.OUT_OF_MEMORY
    end = p + length
    place = search_from(p, length, start)
    while place != NOWHERE:
        if find(code, p, end, place, captures) == 0:
            break
        count += 1
        place = following(captures, end)
    return count, too_complex(code, captures)


def regex_substr(
    worker: ptr, code: ptr, p: ptr, length: i32, start: i64, nth: i64, group: i64
) -> tuple[ptr, i32, i32, i32]:
    """A match or one of its groups: the text, whether it exists, and a status."""
    captures = prepared(worker, code)
    if captures == 0:
        return 0, 0, 0, errors.OUT_OF_MEMORY
    if group < 0:
        # substring(text from pattern): the first group if there is one.
        group = i64(load32(code, layout.HEADER_GROUPS) > 0)
    if nth_match(code, p, length, start, nth, captures) == 0 or group > i64(load32(code, layout.HEADER_GROUPS)):
        return 0, 0, 0, too_complex(code, captures)
    place = captures + (i32(group) << 3)
    first = load32(place)
    if first == NOWHERE:
        return 0, 0, 0, errors.OK
    return first, load32(place, 4) - first, 1, errors.OK


def regex_instr(
    worker: ptr, code: ptr, p: ptr, length: i32, start: i64, nth: i64, behind: i64, group: i64
) -> tuple[i64, i32]:
    """Where a match or one of its groups begins, or what is behind it; 0 if there is none."""
    captures = prepared(worker, code)
    nothing: i64 = 0
    if captures == 0:
        return nothing, errors.OUT_OF_MEMORY
    if nth_match(code, p, length, start, nth, captures) == 0 or group > i64(load32(code, layout.HEADER_GROUPS)):
        return nothing, too_complex(code, captures)
    place = captures + (i32(group) << 3)
    address = load32(place)
    if address == NOWHERE:
        return nothing, errors.OK
    if behind != 0:
        address = load32(place, 4)
    return i64(char_length(p, address - p)) + 1, errors.OK


def append_replacement(
    worker: ptr, base: ptr, used: i32, new: ptr, length: i32, captures: ptr, groups: i32
) -> tuple[ptr, i32]:
    """Appends the replacement of a match: \\1 ... \\9 are groups, \\& is the match, \\\\ a backslash."""
    i = 0
    run_start = 0
    while i < length and base != 0:
        if load8_u(new + i) != 0x5C or i + 1 >= length:
            i += 1
            continue
        code = load8_u(new + i + 1)
        group = -1
        if code == 0x26:
            group = 0
        elif (code >= 0x31) & (code <= 0x39):
            group = code - 0x30
        elif code != 0x5C:
            # Any other escape is left as it is.
            i += 1
            continue
        base = append(worker, base, used, new + run_start, i - run_start)
        used += i - run_start
        i += 2
        if group < 0:
            run_start = i - 1
            continue
        run_start = i
        if base != 0 and group <= groups:
            first = load32(captures + (group << 3))
            if first != NOWHERE:
                size = load32(captures + (group << 3), 4) - first
                base = append(worker, base, used, first, size)
                used += size
    if base != 0:
        base = append(worker, base, used, new + run_start, length - run_start)
    return base, used + length - run_start


def regex_replace(
    worker: ptr, code: ptr, p: ptr, length: i32, new: ptr, new_length: i32, start: i64, nth: i64
) -> tuple[ptr, i32, i32]:
    """Match number `nth` from a character on, or all of them for 0, replaced."""
    captures = prepared(worker, code)
    if captures == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    groups = load32(code, layout.HEADER_GROUPS)
    end = p + length
    place = search_from(p, length, start)
    copied = p
    base = 0
    used = 0
    number: i64 = 0
    while place != NOWHERE:
        if find(code, p, end, place, captures) == 0:
            break
        number += 1
        if nth == 0 or number == nth:
            if base == 0:
                base = begin(worker)
            first = load32(captures)
            base = append(worker, base, used, copied, first - copied)
            used += first - copied
            copied = load32(captures, 4)
            if base != 0:
                base, used = append_replacement(worker, base, used, new, new_length, captures, groups)
            if base == 0:
                return 0, 0, errors.OUT_OF_MEMORY
            if nth != 0:
                break
        place = following(captures, end)
    status = too_complex(code, captures)
    if base == 0:
        return p, length, status
    base = append(worker, base, used, copied, end - copied)
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    used += end - copied
    finish(worker, base + used)
    return base, used, status
