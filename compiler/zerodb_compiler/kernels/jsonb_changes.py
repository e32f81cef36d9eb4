"""jsonb values changed: ||, -, #-, jsonb_set, jsonb_insert, jsonb_strip_nulls, and sets of parts.

Containers are built anew along the way down; what is not touched is copied as it is.
"""

from __future__ import annotations

from zerodb_compiler.jsonb import ARRAY, NULL, OBJECT, STRING
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import append, builder_new, element, finish_list
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, ptr, shr_u
from zerodb_compiler.kernels.jsonb import (
    NOT_AN_INDEX,
    compare_keys,
    entry,
    find_key,
    finish_array,
    finish_object,
    index_of_text,
)
from zerodb_compiler.kernels.jsonb_text import scalar_text
from zerodb_compiler.kernels.text import equal_text

# Statuses of their own.
SCALAR = 42
WRONG_CONTAINER = 43  # an object where an array is needed
PATH_NULL = 44
NOT_AN_INTEGER = 45
KEY_EXISTS = 46

# What `changed` does at the end of the path.
DELETE = 1
SET = 2
CREATE = 4  # with SET: also what does not exist yet
BEFORE = 8
AFTER = 16


def append_entries(worker: ptr, builder: ptr, node: ptr, first: i32, last: i32) -> i32:
    i = first
    while i < last:
        p, size = entry(node, i)
        if append(worker, builder, p, size, 0) == 0:
            return 0
        i += 1
    return 1


# --- || ---------------------------------------------------------------------------------------------------------------
def append_items(worker: ptr, builder: ptr, node: ptr, size: i32) -> i32:
    if load8_u(node) == ARRAY:
        return append_entries(worker, builder, node, 0, load32(node, 1))
    return append(worker, builder, node, size, 0)


def concatenated(worker: ptr, a: ptr, size: i32, b: ptr, size2: i32) -> tuple[ptr, i32]:
    if load8_u(a) == OBJECT and load8_u(b) == OBJECT:
        node, length = merged(worker, a, b)
        return node, length
    builder = builder_new(worker)
    if builder == 0 or append_items(worker, builder, a, size) == 0 or append_items(worker, builder, b, size2) == 0:
        return 0, 0
    node, length = finish_array(worker, builder)
    return node, length


def merged(worker: ptr, a: ptr, b: ptr) -> tuple[ptr, i32]:
    """The pairs of two objects; of equal keys the second's."""
    keys = builder_new(worker)
    values = builder_new(worker)
    if keys == 0 or values == 0:
        return 0, 0
    count = shr_u(load32(a, 1), 1)
    count2 = shr_u(load32(b, 1), 1)
    i = 0
    j = 0
    while i < count or j < count2:
        order = -1
        if i >= count:
            order = 1
        elif j < count2:
            p, length = entry(a, i)
            q, length2 = entry(b, j)
            order = compare_keys(p, length, q, length2)
        done = 0
        if order < 0:
            done = append_pair(worker, keys, values, a, i)
        else:
            done = append_pair(worker, keys, values, b, j)
        if done == 0:
            return 0, 0
        i += i32(order <= 0)
        j += i32(order >= 0)
    node, size = finish_object(worker, keys, values)
    return node, size


def append_pair(worker: ptr, keys: ptr, values: ptr, node: ptr, i: i32) -> i32:
    key, length = entry(node, i)
    p, size = entry(node, shr_u(load32(node, 1), 1) + i)
    return i32(append(worker, keys, key, length, 0) != 0 and append(worker, values, p, size, 0) != 0)


# --- - ----------------------------------------------------------------------------------------------------------------
def in_texts(texts: ptr, p: ptr, length: i32) -> bool:
    i = 0
    while i < load32(texts, 4):
        q, length2, is_null = element(texts, i)
        if not is_null and equal_text(p, length, q, length2):
            return True
        i += 1
    return False


def without_keys(worker: ptr, node: ptr, size: i32, texts: ptr) -> tuple[ptr, i32, i32]:
    """An object without those keys, or an array without those strings."""
    tag = load8_u(node)
    if tag < ARRAY:
        return 0, 0, SCALAR
    keys = builder_new(worker)
    values = builder_new(worker)
    if keys == 0 or values == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    count = load32(node, 1)
    if tag == OBJECT:
        count = shr_u(count, 1)
    i = 0
    while i < count:
        p, length = entry(node, i)
        done = 1
        if tag == OBJECT:
            if not in_texts(texts, p, length):
                done = append_pair(worker, keys, values, node, i)
        elif load8_u(p) != STRING or not in_texts(texts, p + 1, length - 1):
            done = append(worker, values, p, length, 0)
        if done == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        i += 1
    out = 0
    if tag == OBJECT:
        out, length = finish_object(worker, keys, values)
    else:
        out, length = finish_array(worker, values)
    return out, length, i32(out == 0) * errors.OUT_OF_MEMORY


def without_index(worker: ptr, node: ptr, size: i32, index: i64) -> tuple[ptr, i32, i32]:
    tag = load8_u(node)
    if tag < ARRAY:
        return 0, 0, SCALAR
    if tag == OBJECT:
        return 0, 0, WRONG_CONTAINER
    count = i64(load32(node, 1))
    if index < 0:
        index += count
    if index < 0 or index >= count:
        return node, size, 0
    out, length = replaced_item(worker, node, i32(index), i32(index) + 1, 0, 0)
    return out, length, i32(out == 0) * errors.OUT_OF_MEMORY


def replaced_item(worker: ptr, node: ptr, first: i32, behind: i32, p: ptr, size: i32) -> tuple[ptr, i32]:
    """An array with a node in place of the elements first ... behind - 1; size 0: with nothing in their place."""
    builder = builder_new(worker)
    if builder == 0 or append_entries(worker, builder, node, 0, first) == 0:
        return 0, 0
    if size > 0 and append(worker, builder, p, size, 0) == 0:
        return 0, 0
    if append_entries(worker, builder, node, behind, load32(node, 1)) == 0:
        return 0, 0
    out, length = finish_array(worker, builder)
    return out, length


def replaced_pair(worker: ptr, node: ptr, key: ptr, length: i32, p: ptr, size: i32) -> tuple[ptr, i32]:
    """An object with a value for a key; size 0: without the key."""
    keys = builder_new(worker)
    values = builder_new(worker)
    if keys == 0 or values == 0:
        return 0, 0
    count = shr_u(load32(node, 1), 1)
    waiting = i32(size > 0)
    i = 0
    while i <= count:
        order = 1
        if i < count:
            q, length2 = entry(node, i)
            order = compare_keys(q, length2, key, length)
        if order >= 0 and waiting:
            if append(worker, keys, key, length, 0) == 0 or append(worker, values, p, size, 0) == 0:
                return 0, 0
            waiting = 0
        if i < count and order != 0 and append_pair(worker, keys, values, node, i) == 0:
            return 0, 0
        i += 1
    out, width = finish_object(worker, keys, values)
    return out, width


# --- along a path -----------------------------------------------------------------------------------------------------
def changed(
    worker: ptr, node: ptr, size: i32, path: ptr, level: i32, what: i32, new: ptr, new_size: i32
) -> tuple[ptr, i32, i32]:
    """The value with the change at the path from `level` on; the value itself where the path leads nowhere."""
    p, length, is_null = element(path, level)
    if is_null:
        return 0, level + 1, PATH_NULL
    last = i32(level + 1 == load32(path, 4))
    if load8_u(node) == OBJECT:
        out, width, status = changed_pair(worker, node, size, path, level, what, new, new_size, last)
        return out, width, status
    if load8_u(node) != ARRAY:
        return node, size, 0
    index = index_of_text(p, length)
    if index == NOT_AN_INDEX:
        return 0, level + 1, NOT_AN_INTEGER
    count = load32(node, 1)
    outside = 0
    if index < 0:
        index += count
        if index < 0:
            outside = -1
            index = 0
    if index >= count:
        outside = i32(count > 0 or index >= 0)
        index = count
    if not last:
        if outside != 0:
            return node, size, 0
        p, length = entry(node, index)
        inner, inner_size, status = changed(worker, p, length, path, level + 1, what, new, new_size)
        if status != 0:
            return inner, inner_size, status
        if inner == p:
            return node, size, 0
        out, width = replaced_item(worker, node, index, index + 1, inner, inner_size)
        return out, width, i32(out == 0) * errors.OUT_OF_MEMORY
    if what & DELETE:
        if outside != 0:
            return node, size, 0
        out, width = replaced_item(worker, node, index, index + 1, 0, 0)
        return out, width, i32(out == 0) * errors.OUT_OF_MEMORY
    if outside != 0 and what & SET and not what & CREATE:
        return node, size, 0
    behind = index
    if outside == 0:
        if what & SET:
            behind = index + 1
        elif what & AFTER:
            index += 1
            behind = index
    out, width = replaced_item(worker, node, index, behind, new, new_size)
    return out, width, i32(out == 0) * errors.OUT_OF_MEMORY


def changed_pair(
    worker: ptr, node: ptr, size: i32, path: ptr, level: i32, what: i32, new: ptr, new_size: i32, last: i32
) -> tuple[ptr, i32, i32]:
    key, length, _is_null = element(path, level)
    index = find_key(node, key, length)
    out = node
    width = size
    if not last:
        if index < 0:
            return node, size, 0
        p, inner_size = entry(node, index)
        inner, inner_size, status = changed(worker, p, inner_size, path, level + 1, what, new, new_size)
        if status != 0:
            return inner, inner_size, status
        if inner == p:
            return node, size, 0
        out, width = replaced_pair(worker, node, key, length, inner, inner_size)
    elif what & DELETE:
        if index < 0:
            return node, size, 0
        out, width = replaced_pair(worker, node, key, length, 0, 0)
    elif what & SET:
        if index < 0 and not what & CREATE:
            return node, size, 0
        out, width = replaced_pair(worker, node, key, length, new, new_size)
    else:
        if index >= 0:
            return 0, 0, KEY_EXISTS
        out, width = replaced_pair(worker, node, key, length, new, new_size)
    return out, width, i32(out == 0) * errors.OUT_OF_MEMORY


def change_at(worker: ptr, node: ptr, size: i32, path: ptr, what: i32, new: ptr, new_size: i32) -> tuple[ptr, i32, i32]:
    """The second result is, with PATH_NULL and NOT_AN_INTEGER, the number of the path's element."""
    if load8_u(node) < ARRAY:
        return 0, 0, SCALAR
    count = load32(path, 4)
    if count == 0:
        return node, size, 0
    out, width, status = changed(worker, node, size, path, 0, what, new, new_size)
    return out, width, status


# --- without nulls ----------------------------------------------------------------------------------------------------
def stripped(worker: ptr, node: ptr, size: i32) -> tuple[ptr, i32]:
    """Without the pairs of objects whose value is null."""
    tag = load8_u(node)
    if tag < ARRAY:
        return node, size
    keys = builder_new(worker)
    values = builder_new(worker)
    if keys == 0 or values == 0:
        return 0, 0
    count = load32(node, 1)
    if tag == OBJECT:
        count = shr_u(count, 1)
    i = 0
    while i < count:
        place = i
        if tag == OBJECT:
            place = count + i
        p, length = entry(node, place)
        if tag == ARRAY or load8_u(p) != NULL:
            if tag == OBJECT:
                key, key_length = entry(node, i)
                if append(worker, keys, key, key_length, 0) == 0:
                    return 0, 0
            inner, inner_size = stripped(worker, p, length)
            if inner == 0 or append(worker, values, inner, inner_size, 0) == 0:
                return 0, 0
        i += 1
    out = 0
    if tag == OBJECT:
        out, size = finish_object(worker, keys, values)
    else:
        out, size = finish_array(worker, values)
    return out, size


# --- sets -------------------------------------------------------------------------------------------------------------
KEYS = 0
VALUES = 1
TEXTS = 2


def parts(worker: ptr, node: ptr, what: i32) -> tuple[ptr, i32]:
    """An SQL array of the keys (as texts), the values or elements (as jsonb), or these as texts."""
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0
    count = load32(node, 1)
    first = 0
    if load8_u(node) == OBJECT:
        count = shr_u(count, 1)
        if what != KEYS:
            first = count
    i = 0
    while i < count:
        p, length = entry(node, first + i)
        is_null = 0
        if what == TEXTS:
            p, length, is_null = scalar_text(worker, p, length)
            if p == 0:
                return 0, 0
        if append(worker, builder, p, length, is_null) == 0:
            return 0, 0
        i += 1
    array, size = finish_list(worker, builder)
    return array, size
