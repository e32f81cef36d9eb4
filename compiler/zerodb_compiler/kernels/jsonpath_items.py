"""The state of a running jsonpath program: its context, lists of items, items made in scratch memory, and what went
wrong (jsonpath.py)."""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import (
    i32,
    load32,
    memory_copy,
    ptr,
    store8,
    store32,
)
from zerodb_compiler.kernels.memory import scratch

FOUND = 0
NOTHING = 1
ERROR = 2
IS_FALSE = 0
IS_TRUE = 1
UNKNOWN = 2

# The context.
WORKER = 0
PROGRAM = 4
VALUE = 8
VALUE_SIZE = 12
ITEM = 16
ITEM_SIZE = 20
VARIABLES = 24
LAX = 28
IGNORE = 32
THROW = 36
INNERMOST = 40
PROBLEM = 44
CONTEXT_BYTES = 48

# A list of items.
DATA = 0
COUNT = 4
ROOM = 8

# What can be wrong: statuses of the entry points.
NO_KEY = 60
NOT_OBJECT_KEY = 61
NOT_ARRAY_WILD = 62
NOT_ARRAY = 63
OUT_OF_BOUNDS = 64
NOT_OBJECT_WILD = 65
NOT_ARRAY_SIZE = 66
NOT_NUMERIC = 67
NOT_DOUBLE = 68
NOT_OBJECT_KEYVALUE = 69
LEFT_OPERAND = 70
RIGHT_OPERAND = 71
UNARY_OPERAND = 72
SUBSCRIPT = 73
DOUBLE_RANGE = 75
NOT_SINGLE_BOOLEAN = 76
WRONG_VARIABLES = 77
# These are reported whatever is silenced.
HARD = 90
LACKS_MEMORY = 91
NUMBER_TOO_LONG = 92
REGEX_TOO_COMPLEX = 93
NO_VARIABLE = 94


def list_new(context: ptr) -> ptr:
    """0 without memory."""
    found = scratch(load32(context, WORKER), 12)
    if found == 0:
        store32(context, LACKS_MEMORY, PROBLEM)
        return 0
    store32(found, 0, DATA)
    store32(found, 0, COUNT)
    store32(found, 0, ROOM)
    return found


def list_add(context: ptr, found: ptr, p: ptr, size: i32) -> i32:
    """FOUND, or ERROR without memory."""
    count = load32(found, COUNT)
    if count == load32(found, ROOM):
        room = count * 2 + 8
        data = scratch(load32(context, WORKER), room * 8)
        if data == 0:
            store32(context, LACKS_MEMORY, PROBLEM)
            return ERROR
        memory_copy(data, load32(found, DATA), count * 8)
        store32(found, data, DATA)
        store32(found, room, ROOM)
    place = load32(found, DATA) + 8 * count
    store32(place, p)
    store32(place, size, 4)
    store32(found, count + 1, COUNT)
    return FOUND


def list_item(found: ptr, index: i32) -> tuple[ptr, i32]:
    place = load32(found, DATA) + 8 * index
    return load32(place), load32(place, 4)


def fail(context: ptr, problem: i32) -> i32:
    if load32(context, PROBLEM) == 0 and load32(context, THROW):
        store32(context, problem, PROBLEM)
    return ERROR


def hard(context: ptr, problem: i32) -> i32:
    if load32(context, PROBLEM) < HARD:
        store32(context, problem, PROBLEM)
    return ERROR


def structural(context: ptr, problem: i32) -> i32:
    """A problem of the value's structure, which lax mode takes for nothing found."""
    if load32(context, IGNORE):
        return NOTHING
    return fail(context, problem)


def text_item(context: ptr, tag: i32, p: ptr, length: i32) -> ptr:
    """A string or number of that text; 0 without memory."""
    node = scratch(load32(context, WORKER), length + 17)
    if node == 0:
        hard(context, LACKS_MEMORY)
        return 0
    store8(node, tag)
    memory_copy(node + 1, p, length)
    return node


def tag_item(context: ptr, tag: i32) -> ptr:
    return text_item(context, tag, 0, 0)
