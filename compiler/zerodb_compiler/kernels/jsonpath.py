"""jsonpath programs (zerodb_compiler/jsonpath.py) over jsonb values, after PostgreSQL's jsonpath_exec.c.

A node is run for an item; each result goes on to the node that follows, and at the end of the path into a list, or
nowhere where only existence is asked (list 0): then the first one is enough. Outcomes:

    FOUND, NOTHING, ERROR        of paths            TRUE, FALSE, UNKNOWN        of predicates

Items are jsonb nodes: parts of the value, or made in scratch memory. An error that is to be reported is in the context.
"""

from __future__ import annotations

from zerodb_compiler import jsonpath as op
from zerodb_compiler.jsonb import ARRAY, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import append, builder_new, finish_list
from zerodb_compiler.kernels.formatting import format_decimal, format_f64, format_i64
from zerodb_compiler.kernels.int128 import (
    add,
    divide_rounding,
    less_unsigned,
    magnitude,
    multiply,
    power_of_ten,
    remainder,
    scale_up,
    subtract,
)
from zerodb_compiler.kernels.intrinsics import (
    i32,
    i64,
    load8_u,
    load32,
    memory_copy,
    memory_fill,
    ptr,
    shr_u,
    store8,
    store32,
)
from zerodb_compiler.kernels.jsonb import compare_numbers, entry, find_key, finish_array, finish_object, point_of
from zerodb_compiler.kernels.jsonb_text import parse_jsonb
from zerodb_compiler.kernels.memory import scratch
from zerodb_compiler.kernels.parsing import parse_decimal, parse_f64
from zerodb_compiler.kernels.regex_functions import regex_test
from zerodb_compiler.kernels.text import compare_text, starts_with

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


# --- lists and items --------------------------------------------------------------------------------------------------
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


# --- going on ---------------------------------------------------------------------------------------------------------
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


# --- numbers ----------------------------------------------------------------------------------------------------------
def decimal_of(p: ptr, size: i32) -> tuple[i64, i64, i32, i32]:
    """The number of a node as an integer and a scale; a status."""
    end = p + size
    point = point_of(p + 1, end)
    scale = 0
    if point < end:
        scale = end - point - 1
    if scale > 38:
        return 0, 0, 0, errors.OVERFLOW
    low, high, status = parse_decimal(p + 1, size - 1, scale)
    return low, high, scale, status


def number_item(context: ptr, low: i64, high: i64, scale: i32) -> tuple[ptr, i32]:
    p, length = format_decimal(load32(context, WORKER), low, high, scale)
    if p == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    return text_item(context, NUMBER, p, length), length + 1


def leading(low: i64, high: i64, scale: i32) -> tuple[i32, i32]:
    """The weight and value of a number's first digit to the base 10,000, as PostgreSQL keeps numerics."""
    low, high = magnitude(low, high)
    if low | high == 0:
        return 0, 0
    digits = 1
    limit, limit_high = power_of_ten(1)
    while digits < 38 and not less_unsigned(low, high, limit, limit_high):
        digits += 1
        limit, limit_high = power_of_ten(digits)
    # The place of the first digit: 10**power.
    power = digits - 1 - scale
    weight = power >> 2
    wanted = power - 4 * weight + 1
    if digits < wanted:
        low, high, _over = scale_up(low, high, wanted - digits)
    elif digits > wanted:
        factor, factor_high = power_of_ten(digits - wanted)
        rest, rest_high = remainder(low, high, factor, factor_high)
        low, high, _over = subtract(low, high, rest, rest_high)
        low, high, _over = divide_rounding(low, high, factor, factor_high)
    return weight, i32(low)


def quotient_scale(low: i64, high: i64, scale: i32, low2: i64, high2: i64, scale2: i32) -> i32:
    """PostgreSQL's select_div_scale: at least 16 significant digits."""
    weight, first = leading(low, high, scale)
    weight2, first2 = leading(low2, high2, scale2)
    down = weight - weight2 - i32(first <= first2)
    wanted = 16 - 4 * down
    if wanted < scale:
        wanted = scale
    if wanted < scale2:
        wanted = scale2
    return wanted if wanted > 0 else 0


def arithmetic(context: ptr, node: ptr, item: ptr, size: i32, found: ptr) -> i32:
    operation = load32(node)
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
    a, a_high, scale, status = decimal_of(p, length)
    b, b_high, scale2, status2 = decimal_of(q, length2)
    if status | status2 != 0:
        return hard(context, NUMBER_TOO_LONG)
    if (operation >= op.DIV) & (b | b_high == 0):
        return fail(context, errors.DIVISION_BY_ZERO)
    over = 0
    over2 = 0
    shown = scale if scale > scale2 else scale2
    if operation == op.MUL:
        shown = scale + scale2
        a, a_high, over = multiply(a, a_high, b, b_high)
    elif operation == op.DIV:
        shown = quotient_scale(a, a_high, scale, b, b_high, scale2)
        # a / 10**scale / (b / 10**scale2) * 10**shown
        up = shown + scale2 - scale
        if up > 38 or shown > 38:
            return hard(context, NUMBER_TOO_LONG)
        if up >= 0:
            a, a_high, over = scale_up(a, a_high, up)
        else:
            b, b_high, over = scale_up(b, b_high, 0 - up)
        if not over:
            a, a_high, over = divide_rounding(a, a_high, b, b_high)
    else:
        a, a_high, over = scale_up(a, a_high, shown - scale)
        b, b_high, over2 = scale_up(b, b_high, shown - scale2)
        if not over and not over2:
            if operation == op.ADD:
                a, a_high, over = add(a, a_high, b, b_high)
            elif operation == op.SUB:
                a, a_high, over = subtract(a, a_high, b, b_high)
            else:
                a, a_high = remainder(a, a_high, b, b_high)
    if over or over2 or shown > 38:
        return hard(context, NUMBER_TOO_LONG)
    out, out_size = number_item(context, a, a_high, shown)
    return proceed(context, node, out, out_size, found)


def is_number(found: ptr) -> bool:
    """Whether the list is one number."""
    if load32(found, COUNT) != 1:
        return False
    p, _size = list_item(found, 0)
    return load8_u(p) == NUMBER


def negated(context: ptr, p: ptr, size: i32) -> tuple[ptr, i32]:
    """The number with the other sign."""
    if load8_u(p, 1) == 45:
        return text_item(context, NUMBER, p + 2, size - 2), size - 1
    i = 1
    while i < size and (load8_u(p + i) == 48 or load8_u(p + i) == 46):
        i += 1
    if i == size:
        return p, size
    out = scratch(load32(context, WORKER), size + 17)
    if out == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    store8(out, NUMBER)
    store8(out, 45, 1)
    memory_copy(out + 2, p + 1, size - 1)
    return out, size + 1


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


def rounded(context: ptr, operation: i32, p: ptr, size: i32) -> tuple[ptr, i32]:
    """ceiling, floor and abs of a number."""
    if operation == op.ABS:
        if load8_u(p, 1) == 45:
            return text_item(context, NUMBER, p + 2, size - 2), size - 1
        return p, size
    end = p + size
    point = point_of(p + 1, end)
    if point == end:
        return p, size
    whole = point - p
    rest = point + 1
    while rest < end and load8_u(rest) == 48:
        rest += 1
    negative = i32(load8_u(p, 1) == 45)
    out = text_item(context, NUMBER, p + 1, whole - 1)
    if out == 0:
        return 0, 0
    if rest < end and ((operation == op.CEILING and not negative) or (operation == op.FLOOR and negative)):
        # One more away from zero.
        at = whole - 1
        while at > negative and load8_u(out + at) == 57:
            store8(out + at, 48)
            at -= 1
        if at > negative:
            store8(out + at, load8_u(out + at) + 1)
        else:
            memory_copy(out + negative + 2, out + negative + 1, whole - 1 - negative)
            store8(out + negative + 1, 49)
            whole += 1
    elif negative and whole == 3 and load8_u(out, 2) == 48:
        store8(out, 48, 1)  # -0.5 is cut to -0
        whole = 2
    return out, whole


def double_of(context: ptr, p: ptr, size: i32) -> tuple[ptr, i32]:
    """A number that a double can hold, or that of a string; address 0: an error was reported."""
    tag = load8_u(p)
    value, status = parse_f64(p + 1, size - 1)
    if tag == NUMBER:
        if status != 0:
            fail(context, DOUBLE_RANGE)
            return 0, 0
        return p, size
    if status != 0 or value - value != 0.0:
        fail(context, NOT_DOUBLE)
        return 0, 0
    worker = load32(context, WORKER)
    text, length = format_f64(worker, value)
    if text == 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    out, out_size, status = parse_jsonb(worker, text, length)
    if status != 0:
        hard(context, LACKS_MEMORY)
        return 0, 0
    return out, out_size


# --- predicates -------------------------------------------------------------------------------------------------------
def compare_items(operation: i32, p: ptr, size: i32, q: ptr, size2: i32) -> i32:
    tag = load8_u(p)
    tag2 = load8_u(q)
    if tag == FALSE:
        tag = TRUE
    if tag2 == FALSE:
        tag2 = TRUE
    if tag != tag2:
        if tag == NULL or tag2 == NULL:
            return i32(operation == op.NE)
        return UNKNOWN
    order = 0
    if tag == NUMBER:
        order = compare_numbers(p + 1, size - 1, q + 1, size2 - 1)
    elif tag == STRING:
        order = compare_text(p + 1, size - 1, q + 1, size2 - 1)
    elif tag == TRUE:
        order = load8_u(p) - load8_u(q)
    elif tag >= ARRAY:
        return UNKNOWN
    if operation == op.EQ:
        return i32(order == 0)
    if operation == op.NE:
        return i32(order != 0)
    if operation == op.LT:
        return i32(order < 0)
    if operation == op.LE:
        return i32(order <= 0)
    if operation == op.GT:
        return i32(order > 0)
    return i32(order >= 0)


def test_items(context: ptr, node: ptr, p: ptr, size: i32, q: ptr, size2: i32) -> i32:
    operation = load32(node)
    if operation < op.STARTS_WITH:
        return compare_items(operation, p, size, q, size2)
    if load8_u(p) != STRING:
        return UNKNOWN
    if operation == op.STARTS_WITH:
        if load8_u(q) != STRING:
            return UNKNOWN
        return i32(starts_with(p + 1, size - 1, q + 1, size2 - 1))
    code = load32(context, PROGRAM) + load32(node, 12)
    matches, status = regex_test(load32(context, WORKER), code, p + 1, size - 1)
    if status != 0:
        hard(context, REGEX_TOO_COMPLEX)
        return UNKNOWN
    return matches


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


# --- nodes ------------------------------------------------------------------------------------------------------------
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
    low, high, scale, status = decimal_of(p, length)
    if status != 0:
        return 0, fail(context, SUBSCRIPT)
    factor, factor_high = power_of_ten(scale)
    rest, rest_high = remainder(low, high, factor, factor_high)
    low, high, _over = subtract(low, high, rest, rest_high)
    low, high, _over = divide_rounding(low, high, factor, factor_high)
    if high != low >> 63 or low > 0x7FFFFFFF or low < -0x80000000:
        return 0, fail(context, SUBSCRIPT)
    return low, FOUND


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
    """{"id": 0, "key": k, "value": v} for each pair; the id is the object's place in the value."""
    worker = load32(context, WORKER)
    pairs = shr_u(load32(item, 1), 1)
    outcome = NOTHING
    i = 0
    while i < pairs:
        keys = builder_new(worker)
        values = builder_new(worker)
        if keys == 0 or values == 0:
            return hard(context, LACKS_MEMORY)
        names = scratch(worker, 16)
        if names == 0:
            return hard(context, LACKS_MEMORY)
        store32(names, 0x656B6469)  # id, key, value
        store32(names, 0x6C617679, 4)
        store32(names, 0x00006575, 8)
        key, length = entry(item, i)
        value, width = entry(item, pairs + i)
        inside = item - load32(context, VALUE)
        if inside < 0 or inside >= load32(context, VALUE_SIZE):
            inside = 0
        text, digits = format_i64(worker, i64(inside))
        number = text_item(context, NUMBER, text, digits)
        string = text_item(context, STRING, key, length)
        if number == 0 or string == 0:
            return ERROR
        done = append(worker, keys, names, 2, 0) & append(worker, keys, names + 2, 3, 0)
        done = done & append(worker, keys, names + 5, 5, 0) & append(worker, values, number, digits + 1, 0)
        done = done & append(worker, values, string, length + 1, 0) & append(worker, values, value, width, 0)
        if done == 0:
            return hard(context, LACKS_MEMORY)
        made, made_size = finish_object(worker, keys, values)
        if made == 0:
            return hard(context, LACKS_MEMORY)
        outcome = proceed(context, node, made, made_size, found)
        if outcome == ERROR or (outcome == FOUND and found == 0):
            return outcome
        i += 1
    return outcome


# --- entry points -----------------------------------------------------------------------------------------------------
def context_new(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> ptr:
    context = scratch(worker, CONTEXT_BYTES)
    if context == 0:
        return 0
    memory_fill(context, 0, CONTEXT_BYTES)
    lax = load32(program, 4)
    store32(context, worker, WORKER)
    store32(context, program, PROGRAM)
    store32(context, value, VALUE)
    store32(context, size, VALUE_SIZE)
    store32(context, value, ITEM)
    store32(context, size, ITEM_SIZE)
    store32(context, variables, VARIABLES)
    store32(context, lax, LAX)
    store32(context, lax, IGNORE)
    store32(context, 1 - silent, THROW)
    store32(context, -1, INNERMOST)
    return context


def wrong_variables(variables: ptr) -> bool:
    return variables != 0 and load8_u(variables) != OBJECT


def status_of(context: ptr, outcome: i32) -> i32:
    """The problem to report; 0 if there is none or it is silenced."""
    problem = load32(context, PROBLEM)
    if problem == LACKS_MEMORY:
        return errors.OUT_OF_MEMORY
    if problem >= HARD or outcome == ERROR:
        return problem
    return 0


def path_exists(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[i32, i32, i32]:
    """Whether there is a result, whether that is NULL (a silenced error), and a status."""
    if wrong_variables(variables):
        return 0, 0, WRONG_VARIABLES
    context = context_new(worker, program, value, size, variables, silent)
    if context == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    first = program + load32(program)
    found = 0
    if not load32(program, 4):
        found = list_new(context)
        if found == 0:
            return 0, 0, errors.OUT_OF_MEMORY
    outcome = execute(context, first, value, size, found)
    if found != 0 and outcome != ERROR:
        outcome = FOUND if load32(found, COUNT) > 0 else NOTHING
    status = status_of(context, outcome)
    return i32(outcome == FOUND), i32(outcome == ERROR), status


def path_results(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[ptr, i32, i32]:
    """The list of the results, the outcome, and a status."""
    if wrong_variables(variables):
        return 0, 0, WRONG_VARIABLES
    context = context_new(worker, program, value, size, variables, silent)
    if context == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    found = list_new(context)
    if found == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    outcome = execute(context, program + load32(program), value, size, found)
    return found, outcome, status_of(context, outcome)


def path_match(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[i32, i32, i32]:
    """The single boolean, whether it is NULL, and a status."""
    found, _outcome, status = path_results(worker, program, value, size, variables, silent)
    if status != 0:
        return 0, 0, status
    if load32(found, COUNT) == 1:
        p, _size = list_item(found, 0)
        tag = load8_u(p)
        if (tag == TRUE) | (tag == FALSE):
            return i32(tag == TRUE), 0, 0
        if tag == NULL:
            return 0, 1, 0
    if silent:
        return 0, 1, 0
    return 0, 0, NOT_SINGLE_BOOLEAN


def path_first(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[ptr, i32, i32]:
    """The first result, length 0 if there is none."""
    found, _outcome, status = path_results(worker, program, value, size, variables, silent)
    if status != 0 or load32(found, COUNT) == 0:
        return 0, 0, status
    p, length = list_item(found, 0)
    return p, length, 0


def path_query(
    worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32, as_json: i32
) -> tuple[ptr, i32, i32]:
    """All results, as a jsonb array or as an SQL array of jsonb."""
    found, _outcome, status = path_results(worker, program, value, size, variables, silent)
    if status != 0:
        return 0, 0, status
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    i = 0
    while i < load32(found, COUNT):
        p, length = list_item(found, i)
        if append(worker, builder, p, length, 0) == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        i += 1
    out = 0
    width = 0
    if as_json:
        out, width = finish_array(worker, builder)
    else:
        out, width = finish_list(worker, builder)
    return out, width, i32(out == 0) * errors.OUT_OF_MEMORY


__all__ = ["path_exists", "path_first", "path_match", "path_query"]
