"""jsonpath programs (zerodb_compiler/jsonpath.py) over jsonb values, after PostgreSQL's jsonpath_exec.c.

A node is run for an item; each result goes on to the node that follows, and at the end of the path into a list, or
nowhere where only existence is asked (list 0): then the first one is enough. Outcomes:

    FOUND, NOTHING, ERROR        of paths            TRUE, FALSE, UNKNOWN        of predicates

Items are jsonb nodes: parts of the value, or made in scratch memory. An error that is to be reported is in the context.
"""

from __future__ import annotations

from zerodb_compiler import jsonpath as op
from zerodb_compiler.jsonb import ARRAY, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE
from zerodb_compiler.kernels.formatting import format_i64
from zerodb_compiler.kernels.intrinsics import (
    i32,
    i64,
    load8_u,
    load32,
    ptr,
    shr_u,
    store32,
)
from zerodb_compiler.kernels.jsonb import entry, find_key
from zerodb_compiler.kernels.jsonpath_arithmetic import combined, subscript
from zerodb_compiler.kernels.jsonpath_building import pair_item, type_name
from zerodb_compiler.kernels.jsonpath_comparison import test_items
from zerodb_compiler.kernels.jsonpath_items import (
    COUNT,
    ERROR,
    FOUND,
    IGNORE,
    INNERMOST,
    IS_FALSE,
    IS_TRUE,
    ITEM,
    ITEM_SIZE,
    LAX,
    LEFT_OPERAND,
    NO_KEY,
    NO_VARIABLE,
    NOT_ARRAY,
    NOT_ARRAY_SIZE,
    NOT_ARRAY_WILD,
    NOT_DOUBLE,
    NOT_NUMERIC,
    NOT_OBJECT_KEY,
    NOT_OBJECT_KEYVALUE,
    NOT_OBJECT_WILD,
    NOTHING,
    OUT_OF_BOUNDS,
    PROGRAM,
    RIGHT_OPERAND,
    SUBSCRIPT,
    THROW,
    UNARY_OPERAND,
    UNKNOWN,
    VALUE,
    VALUE_SIZE,
    VARIABLES,
    WORKER,
    fail,
    hard,
    list_add,
    list_item,
    list_new,
    structural,
    tag_item,
    text_item,
)
from zerodb_compiler.kernels.jsonpath_numbers import (
    double_of,
    is_number,
    negated,
    rounded,
)


def proceed(context: ptr, node: ptr, item: ptr, size: i32, found: ptr) -> i32:
    """A result of `node` goes to what follows, or into the list."""
    if item == 0:
        return ERROR
    following = load32(node, 4)
    if following != 0:
        return execute(context, load32(context, PROGRAM) + following, item, size, found)
    if found != 0:
        return list_add(context, found, item, size)
    return FOUND


def execute(context: ptr, node: ptr, item: ptr, size: i32, found: ptr) -> i32:
    return run_node(context, node, item, size, found, load32(context, LAX))


def each_part(
    context: ptr, following: ptr, item: ptr, found: ptr, level: i32, first: i32, last: i32, ignore: i32, unwrap: i32
) -> i32:
    """The parts of a container, down to the level `last` (-1: all), go on to the node `following`, 0 for the list."""
    outcome = NOTHING
    count = load32(item, 1)
    start = 0
    if load8_u(item) == OBJECT:
        count = shr_u(count, 1)
        start = count
    i = 0
    while i < count:
        p, size = entry(item, start + i)
        is_container = i32(load8_u(p) >= ARRAY)
        reached = i32(first >= 0 and level >= first)
        if first < 0 and not is_container:
            reached = 1
        if reached:
            if following != 0:
                saved = load32(context, IGNORE)
                if ignore:
                    store32(context, 1, IGNORE)
                outcome = run_node(context, following, p, size, found, unwrap)
                store32(context, saved, IGNORE)
                if outcome == ERROR or (outcome == FOUND and found == 0):
                    return outcome
            elif found != 0:
                outcome = list_add(context, found, p, size)
                if outcome == ERROR:
                    return ERROR
            else:
                return FOUND
        if is_container and (last < 0 or level < last):
            outcome = each_part(context, following, p, found, level + 1, first, last, ignore, unwrap)
            if outcome == ERROR or (outcome == FOUND and found == 0):
                return outcome
        i += 1
    return outcome


def unwrapped(context: ptr, node: ptr, item: ptr, found: ptr) -> i32:
    """The node for each element of an array, as lax mode has it."""
    return each_part(context, node, item, found, 1, 1, 1, 0, 0)


def following_of(context: ptr, node: ptr) -> ptr:
    following = load32(node, 4)
    return following + load32(context, PROGRAM) if following != 0 else 0


def operand(context: ptr, node: ptr, item: ptr, size: i32, unwrap: i32) -> tuple[ptr, i32]:
    """The list of what an operand gives, arrays unwrapped in lax mode if wanted; an outcome."""
    found = list_new(context)
    if found == 0:
        return 0, ERROR
    outcome = execute(context, node, item, size, found)
    if outcome == ERROR:
        return found, ERROR
    if unwrap and load32(context, LAX):
        flat = list_new(context)
        if flat == 0:
            return 0, ERROR
        i = 0
        while i < load32(found, COUNT):
            p, length = list_item(found, i)
            done = 0
            if load8_u(p) == ARRAY:
                done = each_part(context, 0, p, flat, 1, 1, 1, 0, 0)
            else:
                done = list_add(context, flat, p, length)
            if done == ERROR:
                return 0, ERROR
            i += 1
        return flat, FOUND
    return found, FOUND


def quiet_operand(context: ptr, node: ptr, item: ptr, size: i32, unwrap: i32) -> tuple[ptr, i32]:
    saved = load32(context, THROW)
    store32(context, 0, THROW)
    found, outcome = operand(context, node, item, size, unwrap)
    store32(context, saved, THROW)
    return found, outcome


def arithmetic(context: ptr, node: ptr, item: ptr, size: i32, found: ptr) -> i32:
    program = load32(context, PROGRAM)
    lefts, outcome = operand(context, program + load32(node, 8), item, size, 1)
    if outcome == ERROR:
        return ERROR
    rights, outcome = operand(context, program + load32(node, 12), item, size, 1)
    if outcome == ERROR:
        return ERROR
    if not is_number(lefts):
        return fail(context, LEFT_OPERAND)
    if not is_number(rights):
        return fail(context, RIGHT_OPERAND)
    p, length = list_item(lefts, 0)
    q, length2 = list_item(rights, 0)
    out, out_size = combined(context, load32(node), p, length, q, length2)
    return proceed(context, node, out, out_size, found)


def unary(context: ptr, node: ptr, item: ptr, size: i32, found: ptr) -> i32:
    values, outcome = operand(context, load32(context, PROGRAM) + load32(node, 8), item, size, 1)
    if outcome == ERROR:
        return ERROR
    outcome = NOTHING
    i = 0
    while i < load32(values, COUNT):
        p, length = list_item(values, i)
        i += 1
        if load8_u(p) != NUMBER:
            if found == 0 and load32(node, 4) == 0:
                continue
            return fail(context, UNARY_OPERAND)
        if load32(node) == op.MINUS:
            p, length = negated(context, p, length)
        done = proceed(context, node, p, length, found)
        if done == ERROR:
            return ERROR
        if done == FOUND:
            if found == 0:
                return FOUND
            outcome = FOUND
    return outcome


def predicate(context: ptr, node: ptr, item: ptr, size: i32) -> i32:
    """A comparison and its like, true where it is for some pair of items."""
    program = load32(context, PROGRAM)
    operation = load32(node)
    lefts, outcome = quiet_operand(context, program + load32(node, 8), item, size, 1)
    if outcome == ERROR:
        return UNKNOWN
    rights = 0
    count = 1
    if operation != op.LIKE_REGEX:
        rights, outcome = quiet_operand(
            context, program + load32(node, 12), item, size, i32(operation != op.STARTS_WITH)
        )
        if outcome == ERROR:
            return UNKNOWN
        count = load32(rights, COUNT)
    unknown = 0
    some = 0
    i = 0
    while i < load32(lefts, COUNT):
        p, length = list_item(lefts, i)
        j = 0
        while j < count:
            q = p
            length2 = length
            if rights != 0:
                q, length2 = list_item(rights, j)
            truth = test_items(context, node, p, length, q, length2)
            if truth == UNKNOWN:
                if not load32(context, LAX):
                    return UNKNOWN
                unknown = 1
            elif truth == IS_TRUE:
                if load32(context, LAX):
                    return IS_TRUE
                some = 1
            j += 1
        i += 1
    if some:
        return IS_TRUE
    return UNKNOWN if unknown else IS_FALSE


def truth_of(context: ptr, node: ptr, item: ptr, size: i32) -> i32:
    """A predicate's truth."""
    operation = load32(node)
    program = load32(context, PROGRAM)
    first = program + load32(node, 8)
    if operation >= op.EQ:
        return predicate(context, node, item, size)
    if operation == op.EXISTS:
        if load32(context, LAX):
            saved = load32(context, THROW)
            store32(context, 0, THROW)
            outcome = execute(context, first, item, size, 0)
            store32(context, saved, THROW)
            if outcome == ERROR:
                return UNKNOWN
            return i32(outcome == FOUND)
        found, outcome = quiet_operand(context, first, item, size, 0)
        if outcome == ERROR:
            return UNKNOWN
        return i32(load32(found, COUNT) > 0)
    truth = truth_of(context, first, item, size)
    if operation == op.NOT:
        return truth if truth == UNKNOWN else 1 - truth
    if operation == op.IS_UNKNOWN:
        return i32(truth == UNKNOWN)
    if operation == op.AND:
        if truth == IS_FALSE:
            return IS_FALSE
        other = truth_of(context, program + load32(node, 12), item, size)
        return truth if other == IS_TRUE else other
    if truth == IS_TRUE:
        return IS_TRUE
    other = truth_of(context, program + load32(node, 12), item, size)
    return truth if other == IS_FALSE else other


def run_node(context: ptr, node: ptr, item: ptr, size: i32, found: ptr, unwrap: i32) -> i32:
    operation = load32(node)
    if operation >= op.AND:
        truth = truth_of(context, node, item, size)
        if load32(node, 4) == 0 and found == 0:
            return FOUND
        out = tag_item(context, NULL if truth == UNKNOWN else TRUE if truth == IS_TRUE else FALSE)
        return proceed(context, node, out, 1, found)
    if operation >= op.PLUS:
        return unary(context, node, item, size, found)
    if operation >= op.ADD:
        return arithmetic(context, node, item, size, found)
    if operation >= op.TYPE:
        return method(context, node, item, size, found, unwrap)
    if operation >= op.KEY:
        return accessor(context, node, item, size, found, unwrap)
    if operation == op.ROOT:
        return proceed(context, node, load32(context, VALUE), load32(context, VALUE_SIZE), found)
    if operation == op.CURRENT:
        return proceed(context, node, load32(context, ITEM), load32(context, ITEM_SIZE), found)
    if operation == op.LITERAL:
        return proceed(context, node, load32(context, PROGRAM) + load32(node, 8), load32(node, 12), found)
    if operation == op.LAST:
        text, length = format_i64(load32(context, WORKER), i64(load32(context, INNERMOST)) - 1)
        return proceed(context, node, text_item(context, NUMBER, text, length), length + 1, found)
    variables = load32(context, VARIABLES)
    if variables == 0:  # of the operators: any variable is null
        return proceed(context, node, tag_item(context, NULL), 1, found)
    index = find_key(variables, load32(context, PROGRAM) + load32(node, 8), load32(node, 12))
    if index < 0:
        return hard(context, NO_VARIABLE)
    p, length = entry(variables, index)
    return proceed(context, node, p, length, found)


def accessor(context: ptr, node: ptr, item: ptr, size: i32, found: ptr, unwrap: i32) -> i32:
    operation = load32(node)
    tag = load8_u(item)
    program = load32(context, PROGRAM)
    if operation == op.KEY:
        if tag == OBJECT:
            index = find_key(item, program + load32(node, 8), load32(node, 12))
            if index < 0:
                return structural(context, NO_KEY)
            p, length = entry(item, index)
            return proceed(context, node, p, length, found)
        if unwrap and tag == ARRAY:
            return unwrapped(context, node, item, found)
        return structural(context, NOT_OBJECT_KEY)
    if operation == op.ANY_KEY:
        if tag == OBJECT:
            return each_part(context, following_of(context, node), item, found, 1, 1, 1, 0, load32(context, LAX))
        if unwrap and tag == ARRAY:
            return unwrapped(context, node, item, found)
        return structural(context, NOT_OBJECT_WILD)
    if operation == op.ANY_ARRAY:
        if tag == ARRAY:
            return each_part(context, following_of(context, node), item, found, 1, 1, 1, 0, load32(context, LAX))
        if load32(context, LAX):
            return proceed(context, node, item, size, found)
        return structural(context, NOT_ARRAY_WILD)
    if operation == op.INDEX:
        if tag == ARRAY or load32(context, LAX):
            return indexed(context, node, item, size, found)
        return structural(context, NOT_ARRAY)
    if operation == op.FILTER:
        if unwrap and tag == ARRAY:
            return unwrapped(context, node, item, found)
        outer = load32(context, ITEM)
        outer_size = load32(context, ITEM_SIZE)
        store32(context, item, ITEM)
        store32(context, size, ITEM_SIZE)
        truth = truth_of(context, program + load32(node, 8), item, size)
        store32(context, outer, ITEM)
        store32(context, outer_size, ITEM_SIZE)
        if truth != IS_TRUE:
            return NOTHING
        return proceed(context, node, item, size, found)
    # .**
    first = load32(node, 8)
    outcome = NOTHING
    if first == 0:
        saved = load32(context, IGNORE)
        store32(context, 1, IGNORE)
        outcome = proceed(context, node, item, size, found)
        store32(context, saved, IGNORE)
        if outcome == ERROR or (outcome == FOUND and found == 0):
            return outcome
    if tag >= ARRAY and load32(node, 12) != 0:
        done = each_part(
            context, following_of(context, node), item, found, 1, first, load32(node, 12), 1, load32(context, LAX)
        )
        if done != NOTHING:
            outcome = done
    return outcome


def index_of(context: ptr, node: ptr, item: ptr, size: i32) -> tuple[i64, i32]:
    """A subscript's number, cut to an integer; an outcome."""
    values, outcome = operand(context, node, item, size, 0)
    if outcome == ERROR:
        return 0, ERROR
    if not is_number(values):
        return 0, fail(context, SUBSCRIPT)
    p, length = list_item(values, 0)
    return subscript(context, p, length)


def indexed(context: ptr, node: ptr, item: ptr, size: i32, found: ptr) -> i32:
    program = load32(context, PROGRAM)
    count = 1
    is_array = i32(load8_u(item) == ARRAY)
    if is_array:
        count = load32(item, 1)
    outer = load32(context, INNERMOST)
    outcome = NOTHING
    i = 0
    while i < load32(node, 12):
        store32(context, count, INNERMOST)
        pair = program + load32(node, 8) + 8 * i
        first, done = index_of(context, program + load32(pair), item, size)
        last = first
        if done != ERROR and load32(pair, 4) != 0:
            last, done = index_of(context, program + load32(pair, 4), item, size)
        store32(context, outer, INNERMOST)
        if done == ERROR:
            return ERROR
        if not load32(context, IGNORE) and (first < 0 or first > last or last >= i64(count)):
            return fail(context, OUT_OF_BOUNDS)
        if first < 0:
            first = 0
        if last >= i64(count):
            last = i64(count) - 1
        while first <= last:
            p = item
            length = size
            if is_array:
                p, length = entry(item, i32(first))
            done = proceed(context, node, p, length, found)
            if done == ERROR or (done == FOUND and found == 0):
                return done
            if done == FOUND:
                outcome = FOUND
            first += 1
        i += 1
    return outcome


def method(context: ptr, node: ptr, item: ptr, size: i32, found: ptr, unwrap: i32) -> i32:
    operation = load32(node)
    tag = load8_u(item)
    if operation == op.TYPE:
        p, length = type_name(context, tag)
        return proceed(context, node, p, length, found)
    if operation == op.SIZE:
        count: i64 = 1
        if tag == ARRAY:
            count = i64(load32(item, 1))
        elif not load32(context, LAX):
            return structural(context, NOT_ARRAY_SIZE)
        text, width = format_i64(load32(context, WORKER), count)
        return proceed(context, node, text_item(context, NUMBER, text, width), width + 1, found)
    if unwrap and tag == ARRAY:
        return unwrapped(context, node, item, found)
    if operation == op.KEYVALUE:
        if tag != OBJECT:
            return fail(context, NOT_OBJECT_KEYVALUE)
        return key_values(context, node, item, found)
    if operation == op.DOUBLE:
        if tag != NUMBER and tag != STRING:
            return fail(context, NOT_DOUBLE)
        p, length = double_of(context, item, size)
        return proceed(context, node, p, length, found)
    if tag != NUMBER:
        return fail(context, NOT_NUMERIC)
    p, length = rounded(context, operation, item, size)
    return proceed(context, node, p, length, found)


def key_values(context: ptr, node: ptr, item: ptr, found: ptr) -> i32:
    """{"id": 0, "key": k, "value": v} for each pair."""
    pairs = shr_u(load32(item, 1), 1)
    outcome = NOTHING
    i = 0
    while i < pairs:
        made, made_size = pair_item(context, item, i)
        outcome = proceed(context, node, made, made_size, found)
        if outcome == ERROR or (outcome == FOUND and found == 0):
            return outcome
        i += 1
    return outcome
