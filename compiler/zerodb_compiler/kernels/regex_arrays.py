"""Functions of regular expressions whose results are arrays of texts (arrays.py): matches with their groups, and what
is between matches."""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import append, builder_new, finish_list
from zerodb_compiler.kernels.intrinsics import gt_u, i32, load32, lt_u, ptr
from zerodb_compiler.kernels.regex import NOWHERE, find
from zerodb_compiler.kernels.regex_functions import following, prepared, too_complex
from zerodb_compiler.regex import layout


def groups_of(worker: ptr, code: ptr, captures: ptr) -> tuple[ptr, i32]:
    """The groups of a match, or the match where the pattern has none. Address 0: no memory."""
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0
    last = load32(code, layout.HEADER_GROUPS)
    group = i32(last > 0)
    while group <= last:
        place = captures + (group << 3)
        first = load32(place)
        missing = i32(first == NOWHERE)
        length = load32(place, 4) - first  # 0 for a group that is unset
        if missing:
            first = captures
        if append(worker, builder, first, length, missing) == 0:
            return 0, 0
        group += 1
    array, size = finish_list(worker, builder)
    return array, size


def regex_match(worker: ptr, code: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32, i32]:
    """The groups of the first match, whether there is one, and a status."""
    captures = prepared(worker, code)
    if captures == 0:
        return 0, 0, 0, errors.OUT_OF_MEMORY
    if find(code, p, p + length, p, captures) == 0:
        return 0, 0, 0, too_complex(code, captures)
    array, size = groups_of(worker, code, captures)
    if array == 0:
        return 0, 0, 0, errors.OUT_OF_MEMORY
    return array, size, 1, errors.OK


def regex_matches(worker: ptr, code: ptr, p: ptr, length: i32, each: i32) -> tuple[ptr, i32, i32]:
    """An array whose elements are such arrays: of the first match, or of all."""
    captures = prepared(worker, code)
    builder = builder_new(worker)
    if captures == 0 or builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    end = p + length
    place = p
    while place != NOWHERE:
        if find(code, p, end, place, captures) == 0:
            break
        array, size = groups_of(worker, code, captures)
        if array == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        if append(worker, builder, array, size, 0) == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        if each == 0:
            break
        place = following(captures, end)
    parts, size = finish_list(worker, builder)
    if parts == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    return parts, size, too_complex(code, captures)


def regex_split(worker: ptr, code: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    """The texts between the matches. Empty matches at the ends of the text or right behind a match do not count."""
    captures = prepared(worker, code)
    builder = builder_new(worker)
    if captures == 0 or builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    end = p + length
    place = p
    copied = p
    previous = p
    while place != NOWHERE:
        if find(code, p, end, place, captures) == 0:
            break
        first = load32(captures)
        last = load32(captures, 4)
        if lt_u(first, end) and gt_u(last, previous):
            if append(worker, builder, copied, first - copied, 0) == 0:
                return 0, 0, errors.OUT_OF_MEMORY
            copied = last
        previous = last
        place = following(captures, end)
    if append(worker, builder, copied, end - copied, 0) == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    parts, size = finish_list(worker, builder)
    if parts == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    return parts, size, too_complex(code, captures)
