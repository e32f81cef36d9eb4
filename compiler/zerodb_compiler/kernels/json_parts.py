"""json, which is text: taking values out of it as they stand there, with their blanks and in their order.

The text has been checked. Of equal keys the last one counts.
"""

from __future__ import annotations

from zerodb_compiler import jsonb as form
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import append, builder_new, element, finish_list
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, ptr
from zerodb_compiler.kernels.json_text import (
    put_byte,
    put_quoted,
    put_text,
    skip,
    skip_blanks,
    skip_string,
    unescape,
)
from zerodb_compiler.kernels.jsonb import NOT_AN_INDEX, index_of_text
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.text import equal_text
from zerodb_compiler.kernels.text_buffer import begin, finish, reserve

KEYS = 0
VALUES = 1
TEXTS = 2
KIND_OBJECT = 123
KIND_ARRAY = 91


def kind(p: ptr, length: i32) -> i32:
    """The first byte that is no blank."""
    return load8_u(skip_blanks(p, p + length))


def tag_of(p: ptr, length: i32) -> i32:
    """The tag that the value would have in jsonb."""
    first = kind(p, length)
    if first == 110:
        return form.NULL
    if first == 34:
        return form.STRING
    if first == 116:
        return form.TRUE
    if first == 102:
        return form.FALSE
    if first == KIND_ARRAY:
        return form.ARRAY
    if first == KIND_OBJECT:
        return form.OBJECT
    return form.NUMBER


def plain_string(worker: ptr, p: ptr, behind: ptr) -> tuple[ptr, i32, i32]:
    """The text of a string with its quotes, as it stands where it has no escapes; a status."""
    q = p + 1
    while q < behind - 1 and load8_u(q) != 92:
        q += 1
    if q == behind - 1:
        return p + 1, behind - p - 2, 0
    out = scratch(worker, behind - p)
    if out == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    end, status = unescape(out, p + 1, behind - 1)
    return out, end - out, status


def json_field(worker: ptr, p: ptr, length: i32, key: ptr, key_length: i32) -> tuple[ptr, i32, i32]:
    """The value of an object's key; length 0 if there is none; a status."""
    end = p + length
    p = skip_blanks(p, end)
    found = 0
    size = 0
    if load8_u(p) != KIND_OBJECT:
        return 0, 0, 0
    p = skip_blanks(p + 1, end)
    while load8_u(p) != 125:
        behind = skip_string(p)
        name, name_length, status = plain_string(worker, p, behind)
        if status != 0:
            return 0, 0, status
        p = skip_blanks(skip_blanks(behind, end) + 1, end)
        behind = skip(p, end)
        if equal_text(name, name_length, key, key_length):
            found = p
            size = behind - p
        p = skip_blanks(behind, end)
        if load8_u(p) == 44:
            p = skip_blanks(p + 1, end)
    return found, size, 0


def json_count(p: ptr, length: i32) -> i32:
    """The number of an array's elements."""
    end = p + length
    p = skip_blanks(skip_blanks(p, end) + 1, end)
    count = 0
    while load8_u(p) != 93:
        count += 1
        p = skip_blanks(skip(p, end), end)
        if load8_u(p) == 44:
            p = skip_blanks(p + 1, end)
    return count


def json_item(p: ptr, length: i32, index: i64) -> tuple[ptr, i32]:
    end = p + length
    if kind(p, length) != KIND_ARRAY:
        return 0, 0
    if index < 0:
        index += i64(json_count(p, length))
        if index < 0:
            return 0, 0
    p = skip_blanks(skip_blanks(p, end) + 1, end)
    while load8_u(p) != 93:
        behind = skip(p, end)
        if index == 0:
            return p, behind - p
        index -= 1
        p = skip_blanks(behind, end)
        if load8_u(p) == 44:
            p = skip_blanks(p + 1, end)
    return 0, 0


def json_at_path(worker: ptr, p: ptr, length: i32, path: ptr) -> tuple[ptr, i32, i32]:
    count = load32(path, 4)
    i = 0
    while i < count:
        key, key_length, is_null = element(path, i)
        if is_null:
            return 0, 0, 0
        if kind(p, length) == KIND_ARRAY:
            index = index_of_text(key, key_length)
            if index == NOT_AN_INDEX:
                return 0, 0, 0
            p, length = json_item(p, length, i64(index))
        else:
            p, length, status = json_field(worker, p, length, key, key_length)
            if status != 0:
                return 0, 0, status
        if length == 0:
            return 0, 0, 0
        i += 1
    return p, length, 0


def json_scalar_text(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32, i32]:
    """What ->> gives: a string without quotes and escapes, other values as they stand; 1 for null; a status."""
    end = p + length
    first = load8_u(skip_blanks(p, end))
    if first == 110:
        return 1, 0, 1, 0
    if first != 34:
        return p, length, 0, 0
    p = skip_blanks(p, end)
    text, size, status = plain_string(worker, p, skip_string(p))
    return text, size, 0, status


def json_parts(worker: ptr, p: ptr, length: i32, what: i32) -> tuple[ptr, i32, i32]:
    """An SQL array of the keys of an object, of the values of an object or array, or of these as texts."""
    end = p + length
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    p = skip_blanks(p, end)
    is_object = i32(load8_u(p) == KIND_OBJECT)
    p = skip_blanks(p + 1, end)
    while load8_u(p) != 93 and load8_u(p) != 125:
        if is_object:
            behind = skip_string(p)
            if what == KEYS:
                name, size, status = plain_string(worker, p, behind)
                if status != 0:
                    return 0, 0, status
                if append(worker, builder, name, size, 0) == 0:
                    return 0, 0, errors.OUT_OF_MEMORY
            p = skip_blanks(skip_blanks(behind, end) + 1, end)
        behind = skip(p, end)
        done = 1
        if what == VALUES:
            done = append(worker, builder, p, behind - p, 0)
        elif what == TEXTS:
            text, size, is_null, status = json_scalar_text(worker, p, behind - p)
            if status != 0:
                return 0, 0, status
            done = append(worker, builder, text, size, is_null)
        if done == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        p = skip_blanks(behind, end)
        if load8_u(p) == 44:
            p = skip_blanks(p + 1, end)
    array, size = finish_list(worker, builder)
    return array, size, i32(array == 0) * errors.OUT_OF_MEMORY


# --- without nulls ----------------------------------------------------------------------------------------------------
def put_string(worker: ptr, base: ptr, used: i32, p: ptr, behind: ptr) -> tuple[ptr, i32]:
    """Appends a string with the escapes that PostgreSQL writes; base 0 and a status where that cannot be."""
    room = 6 * (behind - p)
    base = reserve(worker, base, used, room + (behind - p))
    if base == 0:
        return 0, errors.OUT_OF_MEMORY
    # The plain text lies behind all that its quoted form may take.
    plain = base + used + room
    end, status = unescape(plain, p + 1, behind - 1)
    if status != 0:
        return 0, status
    base, used = put_quoted(worker, base, used, plain, end - plain)
    return base, used


def put_one(worker: ptr, base: ptr, used: i32, byte: i32) -> tuple[ptr, i32]:
    base, used = put_byte(worker, base, used, byte)
    if base == 0:
        return 0, errors.OUT_OF_MEMORY
    return base, used


def put_stripped(worker: ptr, base: ptr, used: i32, p: ptr, end: ptr) -> tuple[ptr, i32]:
    """Appends a value without blanks and without the null values of objects; base 0 and a status where it cannot."""
    opening = load8_u(p)
    if opening == 34:
        base, used = put_string(worker, base, used, p, skip_string(p))
        return base, used
    if opening != KIND_ARRAY and opening != KIND_OBJECT:
        base, used = put_text(worker, base, used, p, skip(p, end) - p)
        if base == 0:
            return 0, errors.OUT_OF_MEMORY
        return base, used
    base, used = put_one(worker, base, used, opening)
    p = skip_blanks(p + 1, end)
    some = 0
    while base != 0 and load8_u(p) != opening + 2:
        key = p
        behind = p
        if opening == KIND_OBJECT:
            behind = skip_string(p)
            p = skip_blanks(skip_blanks(behind, end) + 1, end)
        if opening == KIND_ARRAY or load8_u(p) != 110:
            if some:
                base, used = put_one(worker, base, used, 44)
            some = 1
            if opening == KIND_OBJECT and base != 0:
                base, used = put_string(worker, base, used, key, behind)
                if base != 0:
                    base, used = put_one(worker, base, used, 58)
            if base != 0:
                base, used = put_stripped(worker, base, used, p, end)
        p = skip_blanks(skip(p, end), end)
        if load8_u(p) == 44:
            p = skip_blanks(p + 1, end)
    if base == 0:
        return 0, used
    base, used = put_one(worker, base, used, opening + 2)
    return base, used


def json_stripped(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    base = begin(worker)
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    base, used = put_stripped(worker, base, 0, skip_blanks(p, p + length), p + length)
    if base == 0:
        return 0, 0, used
    finish(worker, base + used)
    return base, used, 0
