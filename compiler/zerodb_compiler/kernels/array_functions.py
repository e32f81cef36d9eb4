"""Functions over arrays: concatenation, slices, removal, shapes (kernels/arrays.py has the form).

Statuses: MISMATCH for arrays that do not fit together, NOT_A_LIST where an array of one dimension is wanted.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import (
    BUILDER_SHAPE,
    append,
    append_from,
    append_i32,
    builder_new,
    dimension,
    element,
    find,
    finish,
    finish_from,
    finish_like,
    finish_list,
    load_key32,
    same_element,
)
from zerodb_compiler.kernels.intrinsics import (
    div_s,
    i32,
    i64,
    load8_u,
    load32,
    load64,
    memory_copy,
    ptr,
    rem_s,
    store32,
    store64,
)
from zerodb_compiler.kernels.memory import scratch

MISMATCH = 20
NOT_A_LIST = 21


def lower_or_one(array: ptr) -> i32:
    if load8_u(array) == 0:
        return 1
    _length, lower = dimension(array, 0)
    return lower


def array_append(worker: ptr, array: ptr, p: ptr, length: i32, is_null: i32) -> tuple[ptr, i32, i32]:
    if load8_u(array) > 1:
        return 0, 0, NOT_A_LIST
    builder = builder_new(worker)
    if builder == 0 or append_from(worker, builder, array, 0, load32(array, 4)) == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    if append(worker, builder, p, length, is_null) == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    result, size = finish_from(worker, builder, lower_or_one(array))
    return result, size, i32(result == 0) * errors.OUT_OF_MEMORY


def array_prepend(worker: ptr, array: ptr, p: ptr, length: i32, is_null: i32) -> tuple[ptr, i32, i32]:
    if load8_u(array) > 1:
        return 0, 0, NOT_A_LIST
    builder = builder_new(worker)
    if builder == 0 or append(worker, builder, p, length, is_null) == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    if append_from(worker, builder, array, 0, load32(array, 4)) == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    result, size = finish_from(worker, builder, lower_or_one(array))
    return result, size, i32(result == 0) * errors.OUT_OF_MEMORY


def array_cat(worker: ptr, a: ptr, a_size: i32, b: ptr, b_size: i32) -> tuple[ptr, i32, i32]:
    dims_a = load8_u(a)
    dims_b = load8_u(b)
    if dims_a == 0:
        return b, b_size, 0
    if dims_b == 0:
        return a, a_size, 0
    dims = dims_a
    base = a
    if dims_b > dims_a:
        dims = dims_b
        base = b
    if dims - dims_a > 1 or dims - dims_b > 1:
        return 0, 0, MISMATCH
    # All but the first dimension of the larger one must be the same.
    i = 1
    while i < dims:
        wanted, _lower = dimension(base, i)
        found_a, _lower_a = dimension(a, i - (dims - dims_a))
        found_b, _lower_b = dimension(b, i - (dims - dims_b))
        if wanted != found_a or wanted != found_b:
            return 0, 0, MISMATCH
        i += 1
    builder = builder_new(worker)
    if builder == 0 or append_from(worker, builder, a, 0, load32(a, 4)) == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    if append_from(worker, builder, b, 0, load32(b, 4)) == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    memory_copy(builder + BUILDER_SHAPE, base + 8, 8 * dims)
    first_a, _l = dimension(a, 0)
    first_b, _m = dimension(b, 0)
    if dims_a < dims:
        first_a = 1
    if dims_b < dims:
        first_b = 1
    store32(builder, first_a + first_b, BUILDER_SHAPE)
    result, size = finish(worker, builder, dims, builder + BUILDER_SHAPE)
    return result, size, i32(result == 0) * errors.OUT_OF_MEMORY


def nest_first(worker: ptr, builder: ptr, array: ptr) -> i32:
    """ARRAY[a, ...] of arrays: the first. The shape is kept in the builder."""
    dims = load8_u(array)
    if dims >= 6:
        return MISMATCH
    memory_copy(builder + BUILDER_SHAPE + 8, array + 8, 8 * dims)
    i = 0
    while i < dims:
        store32(builder + 8 * i, 1, BUILDER_SHAPE + 12)
        i += 1
    return i32(append_from(worker, builder, array, 0, load32(array, 4)) == 0) * errors.OUT_OF_MEMORY


def nest_next(worker: ptr, builder: ptr, array: ptr, dims: i32) -> i32:
    """The others, of the same shape as the first, which has `dims` dimensions."""
    if load8_u(array) != dims:
        return MISMATCH
    i = 0
    while i < dims:
        length, _lower = dimension(array, i)
        if length != load32(builder + 8 * i, BUILDER_SHAPE + 8):
            return MISMATCH
        i += 1
    return i32(append_from(worker, builder, array, 0, load32(array, 4)) == 0) * errors.OUT_OF_MEMORY


def nest_finish(worker: ptr, builder: ptr, count: i32, dims: i32) -> tuple[ptr, i32]:
    if dims == 0:
        array, size = finish(worker, builder, 0, builder)
        return array, size
    store32(builder, count, BUILDER_SHAPE)
    store32(builder + 4, 1, BUILDER_SHAPE)
    array, size = finish(worker, builder, dims + 1, builder + BUILDER_SHAPE)
    return array, size


def array_remove(worker: ptr, array: ptr, kind: i32, p: ptr, length: i32, is_null: i32) -> tuple[ptr, i32, i32]:
    if load8_u(array) > 1:
        return 0, 0, NOT_A_LIST
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    count = load32(array, 4)
    start = 0
    while start < count:
        place = find(array, kind, start, p, length, is_null)
        if place < 0:
            place = count
        if append_from(worker, builder, array, start, place) == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        start = place + 1
    result, size = finish_from(worker, builder, lower_or_one(array))
    return result, size, i32(result == 0) * errors.OUT_OF_MEMORY


def array_replace(
    worker: ptr, array: ptr, kind: i32, p: ptr, length: i32, is_null: i32, q: ptr, length2: i32, null2: i32
) -> tuple[ptr, i32]:
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0
    count = load32(array, 4)
    i = 0
    while i < count:
        r, length3, null3 = element(array, i)
        done = 0
        if null3 == is_null and (is_null or same_element(kind, p, length, r, length3)):
            done = append(worker, builder, q, length2, null2)
        else:
            done = append(worker, builder, r, length3, null3)
        if done == 0:
            return 0, 0
        i += 1
    result, size = finish_like(worker, builder, array)
    return result, size


def array_positions(worker: ptr, array: ptr, kind: i32, p: ptr, length: i32, is_null: i32) -> tuple[ptr, i32, i32]:
    if load8_u(array) > 1:
        return 0, 0, NOT_A_LIST
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    lower = lower_or_one(array)
    place = find(array, kind, 0, p, length, is_null)
    while place >= 0:
        if append_i32(worker, builder, i64(place + lower), 0) == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        place = find(array, kind, place + 1, p, length, is_null)
    result, size = finish_list(worker, builder)
    return result, size, i32(result == 0) * errors.OUT_OF_MEMORY


def array_position(array: ptr, kind: i32, start: i64, p: ptr, length: i32, is_null: i32) -> tuple[i64, i32]:
    """The subscript, or 0 for none (a subscript may be 0: the second result says whether it was found)."""
    lower = lower_or_one(array)
    first = start - i64(lower)
    if first < 0:
        first = 0
    if first >= i64(load32(array, 4)):
        return 0, 0
    place = find(array, kind, i32(first), p, length, is_null)
    if place < 0:
        return 0, 0
    return i64(place + lower), 1


def array_slice(worker: ptr, array: ptr, bounds: ptr, given: i32) -> tuple[ptr, i32]:
    """array[l:u]...; `bounds` has for each of `given` dimensions i64 lower, i64 upper, i32 flags (1: lower is given,
    2: upper is given), 24 bytes; other dimensions are taken whole. A slice that is empty anywhere is the empty array.
    Lower bounds become 1."""
    dims = load8_u(array)
    builder = builder_new(worker)
    firsts = scratch(worker, 64)
    if builder == 0 or firsts == 0:
        return 0, 0
    if given > dims or dims == 0:
        array, size = finish(worker, builder, 0, builder)
        return array, size
    total = 1
    i = 0
    while i < dims:
        length, lower = dimension(array, i)
        low = i64(lower)
        high = i64(lower) + i64(length) - 1
        if i < given:
            flags = load32(bounds + 24 * i, 16)
            if flags & 1:
                wanted: i64 = load64(bounds + 24 * i)
                if wanted > low:
                    low = wanted
            if flags & 2:
                upper: i64 = load64(bounds + 24 * i + 8)
                if upper < high:
                    high = upper
        if low > high:
            array, size = finish(worker, builder, 0, builder)
            return array, size
        store32(firsts + 4 * i, i32(low - i64(lower)))
        store32(builder + 8 * i, i32(high - low) + 1, BUILDER_SHAPE)
        store32(builder + 8 * i, 1, BUILDER_SHAPE + 4)
        total = total * (i32(high - low) + 1)
        i += 1
    number = 0
    while number < total:
        # The place of element `number` of the slice in the whole array.
        place = 0
        rest = number
        scale = 1
        d = dims - 1
        while d >= 0:
            size = load32(builder + 8 * d, BUILDER_SHAPE)
            length, _lower = dimension(array, d)
            place += (rem_s(rest, size) + load32(firsts + 4 * d)) * scale
            rest = div_s(rest, size)
            scale = scale * length
            d -= 1
        if append_from(worker, builder, array, place, place + 1) == 0:
            return 0, 0
        number += 1
    result, bytes_ = finish(worker, builder, dims, builder + BUILDER_SHAPE)
    return result, bytes_


def array_fill(worker: ptr, p: ptr, length: i32, is_null: i32, lengths: ptr, lowers: ptr) -> tuple[ptr, i32, i32]:
    """`lengths` and `lowers` are integer arrays of one dimension; `lowers` 0: all 1."""
    dims = load32(lengths, 4)
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    if load8_u(lengths) > 1 or dims > 6 or (lowers != 0 and (load32(lowers, 4) != dims or load8_u(lowers) > 1)):
        return 0, 0, MISMATCH
    total: i64 = 1
    i = 0
    while i < dims:
        q, _length, null = element(lengths, i)
        size = i32(load_key32(q))
        lower = 1
        if lowers != 0:
            r, _length2, null2 = element(lowers, i)
            lower = i32(load_key32(r))
            null |= null2
        if null:
            return 0, 0, NOT_A_LIST
        if size < 0:
            return 0, 0, errors.OVERFLOW
        store32(builder + 8 * i, size, BUILDER_SHAPE)
        store32(builder + 8 * i, lower, BUILDER_SHAPE + 4)
        total = total * i64(size)
        if total > 1 << 26:
            return 0, 0, errors.OVERFLOW
        i += 1
    if dims == 0 or total == 0:
        dims = 0
        total = 0
    while total > 0:
        if append(worker, builder, p, length, is_null) == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        total -= 1
    result, size2 = finish(worker, builder, dims, builder + BUILDER_SHAPE)
    return result, size2, i32(result == 0) * errors.OUT_OF_MEMORY


def trim_array(worker: ptr, array: ptr, count: i64) -> tuple[ptr, i32, i32]:
    """Without the last `count` elements of the first dimension; INVALID_COUNT."""
    length = 0
    lower = 1
    if load8_u(array) > 0:
        length, lower = dimension(array, 0)
    if count < 0 or count > i64(length):
        return 0, 0, errors.INVALID_COUNT
    bounds = scratch(worker, 24)
    if bounds == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    store64(bounds + 8, i64(lower) + i64(length) - 1 - count)
    store32(bounds, 2, 16)
    result, size = array_slice(worker, array, bounds, i32(load8_u(array) > 0))
    return result, size, i32(result == 0) * errors.OUT_OF_MEMORY
