"""Items that jsonpath's methods make: the names of type(), the objects of keyvalue() (jsonpath.py).

Address 0: there was no memory, as the context says.
"""

from __future__ import annotations

from zerodb_compiler.jsonb import ARRAY, NULL, NUMBER, OBJECT, STRING
from zerodb_compiler.kernels.arrays import append, builder_new
from zerodb_compiler.kernels.formatting import format_i64
from zerodb_compiler.kernels.intrinsics import i32, i64, load32, ptr, shr_u, store8, store32
from zerodb_compiler.kernels.jsonb import entry, finish_object
from zerodb_compiler.kernels.jsonpath_items import LACKS_MEMORY, VALUE, VALUE_SIZE, WORKER, hard, text_item
from zerodb_compiler.kernels.memory import scratch


def type_name(context: ptr, tag: i32) -> tuple[ptr, i32]:
    out = scratch(load32(context, WORKER), 32)
    if out == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    store8(out, STRING)
    if tag == NULL:
        store32(out + 1, 0x6C6C756E)
        return out, 5
    if tag == STRING:
        store32(out + 1, 0x69727473)
        store32(out + 5, 0x0000676E)
        return out, 7
    if tag == NUMBER:
        store32(out + 1, 0x626D756E)
        store32(out + 5, 0x00007265)
        return out, 7
    if tag == ARRAY:
        store32(out + 1, 0x61727261)
        store8(out + 5, 121)
        return out, 6
    if tag == OBJECT:
        store32(out + 1, 0x656A626F)
        store32(out + 5, 0x00007463)
        return out, 7
    store32(out + 1, 0x6C6F6F62)
    store32(out + 5, 0x006E6165)
    return out, 8


def pair_item(context: ptr, item: ptr, index: i32) -> tuple[ptr, i32]:
    """{"id": 0, "key": k, "value": v} of an object's pair; the id is the object's place in the value."""
    worker = load32(context, WORKER)
    keys = builder_new(worker)
    values = builder_new(worker)
    names = scratch(worker, 16)
    if keys == 0 or values == 0 or names == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    store32(names, 0x656B6469)  # id, key, value
    store32(names, 0x6C617679, 4)
    store32(names, 0x00006575, 8)
    key, length = entry(item, index)
    value, width = entry(item, shr_u(load32(item, 1), 1) + index)
    inside = item - load32(context, VALUE)
    if inside < 0 or inside >= load32(context, VALUE_SIZE):
        inside = 0
    text, digits = format_i64(worker, i64(inside))
    number = text_item(context, NUMBER, text, digits)
    string = text_item(context, STRING, key, length)
    if number == 0 or string == 0:
        return 0, 0
    done = append(worker, keys, names, 2, 0) & append(worker, keys, names + 2, 3, 0)
    done = done & append(worker, keys, names + 5, 5, 0) & append(worker, values, number, digits + 1, 0)
    done = done & append(worker, values, string, length + 1, 0) & append(worker, values, value, width, 0)
    made: ptr = 0
    size: i32 = 0
    if done != 0:
        made, size = finish_object(worker, keys, values)
    if made == 0:
        hard(context, LACKS_MEMORY)
    return made, size
