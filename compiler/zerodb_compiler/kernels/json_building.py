"""JSON text from SQL values: parts are JSON texts already (NULL: null), in an SQL array or record of texts.

join_json       [a,b,c], nested as the array is
object_json     {"a":1,"b":2} of a record and its names
build_array     [a, b]              build_object    {"a" : 1, "b" : 2}, of keys and values in turn
pairs_json      json_object of texts: {"a" : "1", "b" : null}
"""

from __future__ import annotations

from zerodb_compiler.jsonb import ARRAY, NULL, STRING
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import dimension, element
from zerodb_compiler.kernels.intrinsics import i32, load8_u, load32, memory_copy, ptr, rem_s, store8, store32
from zerodb_compiler.kernels.json_text import put_byte, put_quoted, put_text
from zerodb_compiler.kernels.jsonb import entry
from zerodb_compiler.kernels.jsonb_text import put_value
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.text_buffer import begin, finish, reserve

KEY_IS_NULL = 47
ODD_NUMBER = 48
WRONG_DIMENSIONS = 49
MISMATCH = 50


def put_part(worker: ptr, base: ptr, used: i32, p: ptr, length: i32, is_null: i32) -> tuple[ptr, i32]:
    if is_null:
        base = reserve(worker, base, used, 4)
        if base == 0:
            return 0, 0
        store32(base + used, 0x6C6C756E)
        return base, used + 4
    base, used = put_text(worker, base, used, p, length)
    return base, used


def quote_json(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """A text as a JSON string."""
    base = begin(worker)
    if base == 0:
        return 0, 0
    base, used = put_quoted(worker, base, 0, p, length)
    if base != 0:
        finish(worker, base + used)
    return base, used


def number_json(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """The text of a float: NaN and the infinities are strings."""
    if load8_u(p + length - 1) < 58:
        return p, length
    base, used = quote_json(worker, p, length)
    return base, used


def moment_json(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """The text of a timestamp, with or without time zone, as ISO 8601 has it: a T, and minutes in the offset."""
    out = scratch(worker, length + 32)
    if out == 0:
        return 0, 0
    start = out
    store8(out, 34)
    out += 1
    colon = 0
    i = 0
    in_offset = 0
    seen = 0
    while i < length:
        byte = load8_u(p + i)
        if byte == 32 and not seen:
            byte = 84
            seen = 1
        elif byte == 32 and seen and not colon and in_offset:
            # A zone without minutes before the era.
            store8(out, 58)
            store8(out + 1, 48)
            store8(out + 2, 48)
            out += 3
            colon = 1
        elif seen and (byte == 43 or byte == 45):
            in_offset = 1
        elif in_offset and byte == 58:
            colon = 1
        store8(out, byte)
        out += 1
        i += 1
    if in_offset and not colon:
        store8(out, 58)
        store8(out + 1, 48)
        store8(out + 2, 48)
        out += 3
    store8(out, 34)
    scratch_end(worker, out + 17)
    return start, out + 1 - start


def join_json(worker: ptr, array: ptr, lines: i32) -> tuple[ptr, i32]:
    """`lines`: each element of the outermost dimension but the first on a line of its own."""
    base = begin(worker)
    used = 0
    if base == 0:
        return 0, 0
    dims = load8_u(array)
    count = load32(array, 4)
    if dims == 0:
        base, used = put_byte(worker, base, used, 91)
        if base != 0:
            base, used = put_byte(worker, base, used, 93)
    i = 0
    while i < count and base != 0:
        closing = 0
        opening = 0
        span = 1
        d = dims - 1
        while d >= 0:
            length, _lower = dimension(array, d)
            span = span * length
            if rem_s(i, span) == 0:
                opening += 1
            if rem_s(i + 1, span) == 0:
                closing += 1
            if d == 1 and lines and i > 0 and rem_s(i, span) == 0 and base != 0:
                base, used = put_byte(worker, base, used, 10)
                if base != 0:
                    base, used = put_byte(worker, base, used, 32)
            d -= 1
        if dims == 1 and lines and i > 0 and base != 0:
            base, used = put_byte(worker, base, used, 10)
            if base != 0:
                base, used = put_byte(worker, base, used, 32)
        while opening > 0 and base != 0:
            base, used = put_byte(worker, base, used, 91)
            opening -= 1
        p, length, is_null = element(array, i)
        if base != 0:
            base, used = put_part(worker, base, used, p, length, is_null)
        while closing > 0 and base != 0:
            base, used = put_byte(worker, base, used, 93)
            closing -= 1
        i += 1
        if i < count and base != 0:
            base, used = put_byte(worker, base, used, 44)
    if base != 0:
        finish(worker, base + used)
    return base, used


def object_json(worker: ptr, record: ptr, names: ptr, lines: i32) -> tuple[ptr, i32]:
    """`names` is an array of JSON strings."""
    base = begin(worker)
    if base == 0:
        return 0, 0
    base, used = put_byte(worker, base, 0, 123)
    count = load32(record, 4)
    i = 0
    while i < count and base != 0:
        if i > 0:
            base, used = put_byte(worker, base, used, 44)
            if lines and base != 0:
                base, used = put_byte(worker, base, used, 10)
                if base != 0:
                    base, used = put_byte(worker, base, used, 32)
        name, name_length, _name_null = element(names, i)
        if base != 0:
            base, used = put_text(worker, base, used, name, name_length)
        if base != 0:
            base, used = put_byte(worker, base, used, 58)
        p, length, is_null = element(record, i)
        if base != 0:
            base, used = put_part(worker, base, used, p, length, is_null)
        i += 1
    if base != 0:
        base, used = put_byte(worker, base, used, 125)
    if base != 0:
        finish(worker, base + used)
    return base, used


def put_comma(worker: ptr, base: ptr, used: i32) -> tuple[ptr, i32]:
    base, used = put_byte(worker, base, used, 44)
    if base != 0:
        base, used = put_byte(worker, base, used, 32)
    return base, used


def put_colon(worker: ptr, base: ptr, used: i32) -> tuple[ptr, i32]:
    base = reserve(worker, base, used, 4)
    if base == 0:
        return 0, 0
    store32(base + used, 0x00203A20)
    return base, used + 3


def build_array(worker: ptr, parts: ptr, lines: i32) -> tuple[ptr, i32]:
    """`lines`: each element but the first and NULLs on a line of its own."""
    base = begin(worker)
    if base == 0:
        return 0, 0
    base, used = put_byte(worker, base, 0, 91)
    i = 0
    while i < load32(parts, 4) and base != 0:
        if i > 0:
            base, used = put_comma(worker, base, used)
        p, length, is_null = element(parts, i)
        if i > 0 and lines and not is_null and base != 0:
            base, used = put_byte(worker, base, used, 10)
            if base != 0:
                base, used = put_byte(worker, base, used, 32)
        if base != 0:
            base, used = put_part(worker, base, used, p, length, is_null)
        i += 1
    if base != 0:
        base, used = put_byte(worker, base, used, 93)
    if base != 0:
        finish(worker, base + used)
    return base, used


def build_object(worker: ptr, parts: ptr, spaced: i32) -> tuple[ptr, i32, i32]:
    """Keys (plain texts) and values (JSON texts) in turn; KEY_IS_NULL with the key's number from 1 as second result.
    `spaced`: blanks inside the braces, as json_object_agg has them."""
    base = begin(worker)
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    base, used = put_byte(worker, base, 0, 123)
    if spaced and base != 0:
        base, used = put_byte(worker, base, used, 32)
    i = 0
    while i < load32(parts, 4) and base != 0:
        if i > 0:
            base, used = put_comma(worker, base, used)
        key, key_length, key_null = element(parts, i)
        if key_null:
            return 0, i + 1, KEY_IS_NULL
        if base != 0:
            base, used = put_quoted(worker, base, used, key, key_length)
        if base != 0:
            base, used = put_colon(worker, base, used)
        p, length, is_null = element(parts, i + 1)
        if base != 0:
            base, used = put_part(worker, base, used, p, length, is_null)
        i += 2
    if spaced and base != 0:
        base, used = put_byte(worker, base, used, 32)
    if base != 0:
        base, used = put_byte(worker, base, used, 125)
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    finish(worker, base + used)
    return base, used, 0


def pairs_json(worker: ptr, keys: ptr, values: ptr, paired: i32) -> tuple[ptr, i32, i32]:
    """json_object: of keys and values, or (`paired`) of one array that has them in turn or as rows of two."""
    dims = load8_u(keys)
    count = load32(keys, 4)
    if paired:
        if dims > 2:
            return 0, 0, WRONG_DIMENSIONS
        if dims == 1 and count & 1:
            return 0, 0, ODD_NUMBER
        if dims == 2:
            columns, _lower = dimension(keys, 1)
            if columns != 2:
                return 0, 0, MISMATCH + 1
        count = count >> 1
    else:
        if dims > 1 or load8_u(values) > 1:
            return 0, 0, WRONG_DIMENSIONS
        if count != load32(values, 4):
            return 0, 0, MISMATCH
    base = begin(worker)
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    base, used = put_byte(worker, base, 0, 123)
    i = 0
    while i < count and base != 0:
        if i > 0:
            base, used = put_comma(worker, base, used)
        key_place = i
        value_place = i
        source = values
        if paired:
            key_place = 2 * i
            value_place = 2 * i + 1
            source = keys
        key, key_length, key_null = element(keys, key_place)
        if key_null:
            return 0, 0, KEY_IS_NULL
        if base != 0:
            base, used = put_quoted(worker, base, used, key, key_length)
        if base != 0:
            base, used = put_colon(worker, base, used)
        p, length, is_null = element(source, value_place)
        if base != 0:
            if is_null:
                base, used = put_part(worker, base, used, p, 0, 1)
            else:
                base, used = put_quoted(worker, base, used, p, length)
        i += 1
    if base != 0:
        base, used = put_byte(worker, base, used, 125)
    if base == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    finish(worker, base + used)
    return base, used, i32(base == 0)


# --- jsonb as the text of an SQL array --------------------------------------------------------------------------------
def put_literal(worker: ptr, base: ptr, used: i32, node: ptr, size: i32) -> tuple[ptr, i32]:
    """Appends {a,"b",NULL}: arrays nested, other values as quoted texts; base 0 without memory."""
    tag = load8_u(node)
    if tag == NULL:
        base = reserve(worker, base, used, 4)
        if base == 0:
            return 0, 0
        store32(base + used, 0x4C4C554E)
        return base, used + 4
    if tag == STRING:
        base, used = put_array_text(worker, base, used, node + 1, size - 1)
        return base, used
    if tag != ARRAY:
        # The text is written first, then quoted behind itself and moved down.
        start = used
        base, used = put_value(worker, base, used, node, size, -1)
        if base == 0:
            return 0, 0
        length = used - start
        base = reserve(worker, base, used, 2 * length + 2)
        if base == 0:
            return 0, 0
        base, end = put_array_text(worker, base, used, base + start, length)
        if base == 0:
            return 0, 0
        memory_copy(base + start, base + used, end - used)
        return base, start + end - used
    base, used = put_byte(worker, base, used, 123)
    i = 0
    while i < load32(node, 1) and base != 0:
        if i > 0:
            base, used = put_byte(worker, base, used, 44)
        p, length = entry(node, i)
        if base != 0:
            base, used = put_literal(worker, base, used, p, length)
        i += 1
    if base == 0:
        return 0, 0
    base, used = put_byte(worker, base, used, 125)
    return base, used


def put_array_text(worker: ptr, base: ptr, used: i32, p: ptr, length: i32) -> tuple[ptr, i32]:
    """In quotes, with a backslash before quotes and backslashes."""
    base = reserve(worker, base, used, 2 * length + 2)
    if base == 0:
        return 0, 0
    out = base + used
    store8(out, 34)
    out += 1
    i = 0
    while i < length:
        byte = load8_u(p + i)
        if byte == 34 or byte == 92:
            store8(out, 92)
            out += 1
        store8(out, byte)
        out += 1
        i += 1
    store8(out, 34)
    return base, out + 1 - base


def array_literal(worker: ptr, node: ptr, size: i32) -> tuple[ptr, i32, i32, i32]:
    """The text, 1 for null, and a status: WRONG_TEXT for what is neither an array nor a string."""
    tag = load8_u(node)
    if tag == NULL:
        return 1, 0, 1, 0
    if tag == STRING:
        return node + 1, size - 1, 0, 0
    if tag != ARRAY:
        return 0, 0, 0, errors.WRONG_TEXT
    base = begin(worker)
    if base == 0:
        return 0, 0, 0, errors.OUT_OF_MEMORY
    base, used = put_literal(worker, base, 0, node, size)
    if base == 0:
        return 0, 0, 0, errors.OUT_OF_MEMORY
    finish(worker, base + used)
    return base, used, 0, 0
