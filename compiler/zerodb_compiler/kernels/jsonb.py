"""jsonb (zerodb_compiler/jsonb.py): taking nodes out, and building containers.

reading       entries(node)  entry(node, i) -> bytes    find_key(node, key) -> the value's entry, or -1
              field, item, at_path -> node, length; length 0 where there is none
text          scalar_text: what ->> gives
building      finish_array, finish_object over the builders of arrays.py
"""

from __future__ import annotations

from zerodb_compiler.jsonb import ARRAY, NUMBER, OBJECT, STRING
from zerodb_compiler.kernels.arrays import BUILDER_COUNT, BUILDER_DATA, BUILDER_ENTRIES, BUILDER_USED, element
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, memory_copy, ptr, shr_u, store8, store32
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.text import compare_text, equal_text

HEADER = 5
NOT_AN_INDEX = -0x80000000


# --- reading ----------------------------------------------------------------------------------------------------------
def entries(node: ptr) -> i32:
    return load32(node, 1)


def entry(node: ptr, index: i32) -> tuple[ptr, i32]:
    ends = node + HEADER
    start = 0
    if index > 0:
        start = load32(ends + 4 * index - 4)
    return ends + 4 * load32(node, 1) + start, load32(ends + 4 * index) - start


def compare_keys(p: ptr, length: i32, q: ptr, length2: i32) -> i32:
    """By length, then by bytes."""
    if length != length2:
        return length - length2
    return compare_text(p, length, q, length2)


def find_key(node: ptr, key: ptr, length: i32) -> i32:
    """The entry of the key's value in an object; -1 if it has no such key."""
    pairs = shr_u(load32(node, 1), 1)
    low = 0
    high = pairs
    while low < high:
        middle = shr_u(low + high, 1)
        p, size = entry(node, middle)
        order = compare_keys(p, size, key, length)
        if order == 0:
            return pairs + middle
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return -1


def field(node: ptr, key: ptr, length: i32) -> tuple[ptr, i32]:
    """The value of an object's key; length 0 if there is none."""
    if load8_u(node) != OBJECT:
        return 0, 0
    index = find_key(node, key, length)
    if index < 0:
        return 0, 0
    p, size = entry(node, index)
    return p, size


def item(node: ptr, size: i32, index: i64) -> tuple[ptr, i32]:
    """An array's element from 0, or from the end with negative numbers. A scalar is like an array of itself."""
    tag = load8_u(node)
    if tag == OBJECT:
        return 0, 0
    count: i64 = 1
    if tag == ARRAY:
        count = i64(load32(node, 1))
    if index < 0:
        index += count
    if index < 0 or index >= count:
        return 0, 0
    if tag != ARRAY:
        return node, size
    p, length = entry(node, i32(index))
    return p, length


def index_of_text(p: ptr, length: i32) -> i32:
    """The integer that a text is, NOT_AN_INDEX if it is none: blanks before it, a sign, digits."""
    end = p + length
    while p < end and (load8_u(p) == 32 or (load8_u(p) >= 9 and load8_u(p) <= 13)):
        p += 1
    negative = 0
    if p < end and (load8_u(p) == 45 or load8_u(p) == 43):
        negative = i32(load8_u(p) == 45)
        p += 1
    if p >= end:
        return NOT_AN_INDEX
    value: i64 = 0
    while p < end:
        digit = load8_u(p) - 48
        if digit < 0 or digit > 9:
            return NOT_AN_INDEX
        value = value * 10 + i64(digit)
        if value > 0x80000000:
            return NOT_AN_INDEX
        p += 1
    if negative:
        value = 0 - value
    if value > 0x7FFFFFFF:
        return NOT_AN_INDEX
    return i32(value)


def step(node: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """One step of a path: a key of an object, or an index of an array."""
    tag = load8_u(node)
    if tag == OBJECT:
        found, size = field(node, p, length)
        return found, size
    if tag != ARRAY:
        return 0, 0
    index = index_of_text(p, length)
    if index == NOT_AN_INDEX:
        return 0, 0
    found, size = item(node, 0, i64(index))
    return found, size


def at_path(node: ptr, size: i32, path: ptr) -> tuple[ptr, i32]:
    """Along an array of texts; a NULL in it leads nowhere."""
    count = load32(path, 4)
    i = 0
    while i < count:
        p, length, is_null = element(path, i)
        if is_null:
            return 0, 0
        node, size = step(node, p, length)
        if size == 0:
            return 0, 0
        i += 1
    return node, size


def exists(node: ptr, size: i32, p: ptr, length: i32) -> bool:
    """Whether a text is a key of the object, or an element of the array, or the string itself."""
    tag = load8_u(node)
    if tag == OBJECT:
        return find_key(node, p, length) >= 0
    if tag == STRING:
        return equal_text(node + 1, size - 1, p, length)
    if tag != ARRAY:
        return False
    count = load32(node, 1)
    i = 0
    while i < count:
        q, width = entry(node, i)
        if load8_u(q) == STRING and equal_text(q + 1, width - 1, p, length):
            return True
        i += 1
    return False


def exists_any(node: ptr, size: i32, texts: ptr) -> bool:
    i = 0
    while i < load32(texts, 4):
        p, length, is_null = element(texts, i)
        if not is_null and exists(node, size, p, length):
            return True
        i += 1
    return False


def exists_all(node: ptr, size: i32, texts: ptr) -> bool:
    i = 0
    while i < load32(texts, 4):
        p, length, is_null = element(texts, i)
        if not is_null and not exists(node, size, p, length):
            return False
        i += 1
    return True


# --- numbers ----------------------------------------------------------------------------------------------------------
def point_of(p: ptr, end: ptr) -> ptr:
    while p < end and load8_u(p) != 46:
        p += 1
    return p


def compare_numbers(p: ptr, length: i32, q: ptr, length2: i32) -> i32:
    """-1, 0, 1 by value, of canonical texts."""
    end = p + length
    end2 = q + length2
    negative = i32(load8_u(p) == 45)
    if negative != i32(load8_u(q) == 45):
        return 1 - 2 * negative
    p += negative
    q += negative
    sign = 1 - 2 * negative
    whole = point_of(p, end)
    whole2 = point_of(q, end2)
    if whole - p != whole2 - q:
        return sign if whole - p > whole2 - q else 0 - sign
    while p < end or q < end2:
        a = 48
        b = 48
        if p < end:
            a = load8_u(p)
        if q < end2:
            b = load8_u(q)
        # Where one text has ended or has no point, the other may have one: it counts as nothing.
        if a == 46:
            a = 48
            if b == 46:
                b = 48
        elif b == 46:
            b = 48
        if a != b:
            return sign if a > b else 0 - sign
        p += 1
        q += 1
    return 0


def equal_scalars(p: ptr, length: i32, q: ptr, length2: i32) -> bool:
    if load8_u(p) != load8_u(q):
        return False
    if load8_u(p) == NUMBER:
        return compare_numbers(p + 1, length - 1, q + 1, length2 - 1) == 0
    return equal_text(p, length, q, length2)


# --- containment ------------------------------------------------------------------------------------------------------
def contains(node: ptr, size: i32, other: ptr, size2: i32) -> bool:
    """node @> other; at the top, an array contains a scalar that is an element."""
    tag = load8_u(node)
    if load8_u(other) < ARRAY:
        if tag == ARRAY:
            return has_scalar(node, other, size2)
        return equal_scalars(node, size, other, size2)
    return deep_contains(node, size, other, size2)


def has_scalar(node: ptr, other: ptr, size2: i32) -> bool:
    count = load32(node, 1)
    i = 0
    while i < count:
        p, size = entry(node, i)
        if equal_scalars(p, size, other, size2):
            return True
        i += 1
    return False


def deep_contains(node: ptr, size: i32, other: ptr, size2: i32) -> bool:
    tag = load8_u(node)
    if tag != load8_u(other):
        return False
    if tag < ARRAY:
        return equal_scalars(node, size, other, size2)
    count = load32(other, 1)
    i = 0
    if tag == OBJECT:
        count = shr_u(count, 1)
        if count > shr_u(load32(node, 1), 1):
            return False
        while i < count:
            key, length = entry(other, i)
            index = find_key(node, key, length)
            if index < 0:
                return False
            q, width = entry(other, count + i)
            p, own = entry(node, index)
            if not deep_contains(p, own, q, width):
                return False
            i += 1
        return True
    while i < count:
        q, width = entry(other, i)
        if load8_u(q) < ARRAY:
            if not has_scalar(node, q, width):
                return False
        elif not some_contains(node, q, width):
            return False
        i += 1
    return True


def some_contains(node: ptr, other: ptr, size2: i32) -> bool:
    count = load32(node, 1)
    i = 0
    while i < count:
        p, size = entry(node, i)
        if load8_u(p) >= ARRAY and deep_contains(p, size, other, size2):
            return True
        i += 1
    return False


# --- building ---------------------------------------------------------------------------------------------------------
def finish_array(worker: ptr, builder: ptr) -> tuple[ptr, i32]:
    """The array of the nodes in a builder (arrays.py); address 0 without memory."""
    count = load32(builder, BUILDER_COUNT)
    used = load32(builder, BUILDER_USED)
    size = HEADER + 4 * count + used
    node = scratch(worker, size + 16)
    if node == 0:
        return 0, 0
    store8(node, ARRAY)
    store32(node, count, 1)
    put_ends(node + HEADER, builder, 0)
    memory_copy(node + HEADER + 4 * count, load32(builder, BUILDER_DATA), used)
    return node, size


def put_ends(out: ptr, builder: ptr, base: i32) -> None:
    count = load32(builder, BUILDER_COUNT)
    marks = load32(builder, BUILDER_ENTRIES)
    i = 0
    while i < count:
        store32(out + 4 * i, base + (load32(marks + 4 * i) >> 1))
        i += 1


def finish_object(worker: ptr, keys: ptr, values: ptr) -> tuple[ptr, i32]:
    """The object of two builders, the keys in their order."""
    count = load32(keys, BUILDER_COUNT)
    used = load32(keys, BUILDER_USED)
    more = load32(values, BUILDER_USED)
    size = HEADER + 8 * count + used + more
    node = scratch(worker, size + 16)
    if node == 0:
        return 0, 0
    store8(node, OBJECT)
    store32(node, 2 * count, 1)
    put_ends(node + HEADER, keys, 0)
    put_ends(node + HEADER + 4 * count, values, used)
    data = node + HEADER + 8 * count
    memory_copy(data, load32(keys, BUILDER_DATA), used)
    memory_copy(data + used, load32(values, BUILDER_DATA), more)
    return node, size
