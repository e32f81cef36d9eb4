"""Arrays and records of texts to and from their text form: '{a,"b c",NULL}' and '(a,"b c",)'.

Elements of other types are cast to text before and from text after (codegen/functions/arrays.py).
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import (
    BUILDER_COUNT,
    BUILDER_SHAPE,
    added,
    append,
    builder_new,
    dimension,
    element,
    finish,
    finish_list,
    finish_record,
    room_for,
)
from zerodb_compiler.kernels.formatting import format_i64
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, memory_copy, ptr, rem_s, store8, store32
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.text import equal_text, find_text


def is_space(byte: i32) -> bool:
    return byte == 32 or (byte >= 9 and byte <= 13)


def is_null_word(p: ptr, length: i32) -> bool:
    return length == 4 and (load32(p) | 0x20202020) == 0x6C6C756E


def is_special(byte: i32) -> bool:
    return byte == 34 or byte == 92 or byte == 44 or is_space(byte)


def needs_quotes(p: ptr, length: i32, opening: i32, closing: i32, is_array: i32) -> bool:
    if length == 0 or (is_array and is_null_word(p, length)):
        return True
    i = 0
    while i < length:
        byte = load8_u(p + i)
        if is_special(byte) or (byte - opening) * (byte - closing) == 0:
            return True
        i += 1
    return False


def put_quoted(out: ptr, p: ptr, length: i32, is_array: i32) -> ptr:
    """In quotes, with \\ before " and \\ (arrays), or " and \\ doubled (records)."""
    store8(out, 34)
    out += 1
    i = 0
    while i < length:
        byte = load8_u(p + i)
        if byte == 34 or byte == 92:
            store8(out, 92 if is_array else byte)
            out += 1
        store8(out, byte)
        out += 1
        i += 1
    store8(out, 34)
    return out + 1


def put_number(worker: ptr, out: ptr, x: i64) -> ptr:
    p, length = format_i64(worker, x)
    memory_copy(out, p, length)
    return out + length


def format_array(worker: ptr, array: ptr, size: i32) -> tuple[ptr, i32]:
    """Of an array of texts."""
    dims = load8_u(array)
    count = load32(array, 4)
    out = scratch(worker, 2 * size + (dims + 3) * 2 * count + 200)
    if out == 0:
        return 0, 0
    start = out
    if dims == 0:
        store8(out, 123)
        store8(out + 1, 125)
        return out, 2
    shifted = 0
    d = 0
    while d < dims:
        _length, lower = dimension(array, d)
        shifted |= lower ^ 1
        d += 1
    if shifted != 0:
        d = 0
        while d < dims:
            length, lower = dimension(array, d)
            store8(out, 91)
            out = put_number(worker, out + 1, i64(lower))
            store8(out, 58)
            out = put_number(worker, out + 1, i64(lower) + i64(length) - 1)
            store8(out, 93)
            out += 1
            d += 1
        store8(out, 61)
        out += 1
    i = 0
    while i < count:
        # As many braces open and close here as dimensions begin and end with this element.
        closing = 0
        span = 1
        d = dims - 1
        while d >= 0:
            length, _lower = dimension(array, d)
            span = span * length
            if rem_s(i, span) == 0:
                store8(out, 123)
                out += 1
            if rem_s(i + 1, span) == 0:
                closing += 1
            d -= 1
        p, length, is_null = element(array, i)
        if is_null:
            store32(out, 0x4C4C554E)
            out += 4
        elif needs_quotes(p, length, 123, 125, 1):
            out = put_quoted(out, p, length, 1)
        else:
            memory_copy(out, p, length)
            out += length
        while closing > 0:
            store8(out, 125)
            out += 1
            closing -= 1
        i += 1
        if i < count:
            store8(out, 44)
            out += 1
    return start, out - start


def format_record(worker: ptr, record: ptr, size: i32) -> tuple[ptr, i32]:
    """Of a record of texts."""
    count = load32(record, 4)
    out = scratch(worker, 2 * size + 4 * count + 32)
    if out == 0:
        return 0, 0
    start = out
    store8(out, 40)
    out += 1
    i = 0
    while i < count:
        p, length, is_null = element(record, i)
        if not is_null:
            if needs_quotes(p, length, 40, 41, 0):
                out = put_quoted(out, p, length, 0)
            else:
                memory_copy(out, p, length)
                out += length
        i += 1
        if i < count:
            store8(out, 44)
            out += 1
    store8(out, 41)
    return start, out + 1 - start


def skip_space(p: ptr, end: ptr) -> ptr:
    while p < end and is_space(load8_u(p)):
        p += 1
    return p


def parse_array(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    """The array of texts; INVALID_TEXT. The form with bounds, '[2:3]={a,b}', is refused: DOMAIN."""
    end = p + length
    builder = builder_new(worker)
    counts = scratch(worker, 64)
    if builder == 0 or counts == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    p = skip_space(p, end)
    if p < end and load8_u(p) == 91:
        return 0, 0, errors.DOMAIN
    if p >= end or load8_u(p) != 123:
        return 0, 0, errors.INVALID_TEXT
    depth = 0
    deepest = 0
    leaf = 0  # the depth at which elements stand, once known
    wants_item = 1
    while True:
        p = skip_space(p, end)
        if p >= end:
            return 0, 0, errors.INVALID_TEXT
        byte = load8_u(p)
        if byte == 123:
            if not wants_item or depth >= 6 or (leaf != 0 and depth >= leaf):
                return 0, 0, errors.INVALID_TEXT
            if depth > 0:
                store32(counts + 4 * depth, load32(counts + 4 * depth) + 1)
            depth += 1
            store32(counts + 4 * depth, 0)
            if depth > deepest:
                deepest = depth
                store32(builder + 8 * (depth - 1), -1, BUILDER_SHAPE)
            p += 1
        elif byte == 125:
            found = load32(counts + 4 * depth)
            if wants_item and (found > 0 or depth > 1 or deepest > 1):
                return 0, 0, errors.INVALID_TEXT
            shape = builder + 8 * (depth - 1)
            if load32(shape, BUILDER_SHAPE) == -1:
                store32(shape, found, BUILDER_SHAPE)
                store32(shape, 1, BUILDER_SHAPE + 4)
            elif load32(shape, BUILDER_SHAPE) != found:
                return 0, 0, errors.INVALID_TEXT
            depth -= 1
            p += 1
            wants_item = 0
            if depth == 0:
                break
        elif byte == 44:
            if wants_item:
                return 0, 0, errors.INVALID_TEXT
            wants_item = 1
            p += 1
        else:
            if not wants_item or (leaf != 0 and leaf != depth) or (leaf == 0 and depth != deepest):
                return 0, 0, errors.INVALID_TEXT
            leaf = depth
            store32(counts + 4 * depth, load32(counts + 4 * depth) + 1)
            place = room_for(worker, builder, end - p)
            if place == 0:
                return 0, 0, errors.OUT_OF_MEMORY
            size = 0
            is_null = 0
            if byte == 34:
                p += 1
                while p < end and load8_u(p) != 34:
                    if load8_u(p) == 92:
                        p += 1
                    if p < end:
                        store8(place + size, load8_u(p))
                        size += 1
                    p += 1
                if p >= end:
                    return 0, 0, errors.INVALID_TEXT
                p += 1
            else:
                kept = 0  # up to the last byte that is no space
                escapes = 0
                while p < end:
                    byte = load8_u(p)
                    if byte == 44 or byte == 125:
                        break
                    if byte == 123 or byte == 34:
                        return 0, 0, errors.INVALID_TEXT
                    spaced = is_space(byte)
                    if byte == 92:
                        p += 1
                        escapes = 1
                        spaced = False
                        if p >= end:
                            return 0, 0, errors.INVALID_TEXT
                        byte = load8_u(p)
                    store8(place + size, byte)
                    size += 1
                    if not spaced:
                        kept = size
                    p += 1
                size = kept
                if is_null_word(place, size) and not escapes:
                    is_null = 1
                    size = 0
            added(builder, size, is_null)
            wants_item = 0
    p = skip_space(p, end)
    if p < end:
        return 0, 0, errors.INVALID_TEXT
    dims = deepest
    if load32(builder, BUILDER_COUNT) == 0:
        dims = 0
    array, bytes_ = finish(worker, builder, dims, builder + BUILDER_SHAPE)
    return array, bytes_, i32(array == 0) * errors.OUT_OF_MEMORY


def parse_record(worker: ptr, p: ptr, length: i32, fields: i32) -> tuple[ptr, i32, i32]:
    """The record of texts of '(a,"b c",)'; INVALID_TEXT, also for another number of fields."""
    end = p + length
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    p = skip_space(p, end)
    if p >= end or load8_u(p) != 40:
        return 0, 0, errors.INVALID_TEXT
    p += 1
    number = 0
    while number < fields:
        place = room_for(worker, builder, end - p)
        if place == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        size = 0
        empty = 1
        quoted = 0
        while True:
            if p >= end:
                return 0, 0, errors.INVALID_TEXT
            byte = load8_u(p)
            if not quoted and (byte == 44 or byte == 41):
                break
            p += 1
            empty = 0
            if byte == 34:
                if not quoted:
                    quoted = 1
                elif p < end and load8_u(p) == 34:
                    store8(place + size, 34)
                    size += 1
                    p += 1
                else:
                    quoted = 0
            else:
                if byte == 92:
                    if p >= end:
                        return 0, 0, errors.INVALID_TEXT
                    byte = load8_u(p)
                    p += 1
                store8(place + size, byte)
                size += 1
        added(builder, size, empty)
        number += 1
        if number < fields:
            if load8_u(p) != 44:
                return 0, 0, errors.INVALID_TEXT
            p += 1
    if fields == 0:
        p = skip_space(p, end)
    if p >= end or load8_u(p) != 41:
        return 0, 0, errors.INVALID_TEXT
    p = skip_space(p + 1, end)
    if p < end:
        return 0, 0, errors.INVALID_TEXT
    record, bytes_ = finish_record(worker, builder)
    return record, bytes_, i32(record == 0) * errors.OUT_OF_MEMORY


def join_texts(
    worker: ptr, array: ptr, size: i32, sep: ptr, sep_length: i32, word: ptr, word_length: i32, nulls: i32
) -> tuple[ptr, i32]:
    """array_to_string: the texts with `sep` between them; NULLs left out, or as `word` if `nulls`."""
    count = load32(array, 4)
    total = i64(size) + i64(count) * (i64(sep_length) + i64(word_length))
    if total > 0x3FFFFFFF:
        return 0, 0
    out = scratch(worker, i32(total) + 16)
    if out == 0:
        return 0, 0
    start = out
    some = 0
    i = 0
    while i < count:
        p, length, is_null = element(array, i)
        if is_null and nulls:
            p = word
            length = word_length
            is_null = 0
        if not is_null:
            if some:
                memory_copy(out, sep, sep_length)
                out += sep_length
            memory_copy(out, p, length)
            out += length
            some = 1
        i += 1
    return start, out - start


def split_text(
    worker: ptr, p: ptr, length: i32, sep: ptr, sep_length: i32, no_sep: i32, word: ptr, word_length: i32, nulls: i32
) -> tuple[ptr, i32]:
    """string_to_array: parts between separators; single characters with `no_sep`; parts equal to `word` are NULL if
    `nulls`. An empty text gives no part, an empty separator one."""
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0
    end = p + length
    while length > 0:
        part = end - p
        step = part
        last = 1
        if no_sep:
            part = 1
            while p + part < end and load8_u(p + part) & 0xC0 == 0x80:
                part += 1
            step = part
            last = i32(p + part >= end)
        elif sep_length > 0:
            place = find_text(p, end - p, sep, sep_length)
            if place >= 0:
                part = place
                step = place + sep_length
                last = 0
        is_null = i32(nulls and equal_text(p, part, word, word_length))
        if append(worker, builder, p, part, is_null) == 0:
            return 0, 0
        p += step
        if last:
            break
    array, size = finish_list(worker, builder)
    return array, size


def format_dimensions(worker: ptr, array: ptr) -> tuple[ptr, i32]:
    """[1:2][1:3]; empty for the empty array."""
    start = scratch(worker, 200)
    if start == 0:
        return 0, 0
    out = start
    d = 0
    while d < load8_u(array):
        length, lower = dimension(array, d)
        store8(out, 91)
        out = put_number(worker, out + 1, i64(lower))
        store8(out, 58)
        out = put_number(worker, out + 1, i64(lower) + i64(length) - 1)
        store8(out, 93)
        out += 1
        d += 1
    return start, out - start
