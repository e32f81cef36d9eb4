"""jsonb from JSON text, and to text: PostgreSQL's output form, and jsonb_pretty's.

Reading has one block of scratch memory with three parts, and gives back all but the result:

    out       nodes, written bottom-up: a container's entries come first, and are moved behind its header when it ends
    entries   a stack: for an array the ends of its elements, for an object 16 bytes a pair (offset and length of the
              key and of the value)
    room      where an object's pairs are sorted, and its keys and values brought into order
"""

from __future__ import annotations

from zerodb_compiler.jsonb import ARRAY, FALSE, MAX_FRACTION, MAX_WHOLE, NULL, NUMBER, OBJECT, STRING, TRUE
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import (
    i32,
    i64,
    load8_u,
    load32,
    load64,
    memory_copy,
    memory_fill,
    ptr,
    shr_u,
    store8,
    store32,
    store64,
)
from zerodb_compiler.kernels.json_text import (
    check_json,
    is_digit,
    put_byte,
    put_quoted,
    put_text,
    skip,
    skip_blanks,
    skip_string,
    unescape,
)
from zerodb_compiler.kernels.jsonb import HEADER, compare_keys, entry
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.text_buffer import begin, finish, reserve

# The reader's state.
OUT = 0
TOP = 4
ROOM = 8
STATUS = 12
STATE_BYTES = 16
PAIR = 16
EXPONENT_MAX = MAX_WHOLE + MAX_FRACTION


# --- reading ----------------------------------------------------------------------------------------------------------
def exponent_of(p: ptr, end: ptr) -> i32:
    """The number behind e, cut to what overflows anyway."""
    negative = i32(load8_u(p) == 45)
    if load8_u(p) == 45 or load8_u(p) == 43:
        p += 1
    value = 0
    while p < end:
        value = value * 10 + load8_u(p) - 48
        if value > EXPONENT_MAX:
            value = EXPONENT_MAX
        p += 1
    return 0 - value if negative else value


def extra_bytes(p: ptr, end: ptr) -> i64:
    """How many bytes exponents may add to the numbers of a checked text."""
    total: i64 = 0
    while p < end:
        byte = load8_u(p)
        if byte == 34:
            p = skip_string(p)
            continue
        p += 1
        if byte | 32 == 101 and p < end and not (load8_u(p) == 44 or load8_u(p) == 93 or load8_u(p) == 125):
            start = p
            while p < end and (is_digit(load8_u(p)) or load8_u(p) == 45 or load8_u(p) == 43):
                p += 1
            if p > start:
                exponent = exponent_of(start, p)
                total += i64(exponent if exponent > 0 else 0 - exponent) + 2
    return total


def parse_jsonb(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    status = check_json(p, length)
    if status != 0:
        return 0, 0, status
    end = p + length
    # What grows most are arrays in arrays: 9 bytes (header and end) of two brackets.
    bound = i64(length) * 5 + extra_bytes(p, end) + 64
    if bound * 3 > 0x3FFFFFFF:
        return 0, 0, errors.OUT_OF_MEMORY
    part = (i32(bound) + 15) & -16
    out = scratch(worker, part * 3 + STATE_BYTES)
    if out == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    state = out + 3 * part
    store32(state, out, OUT)
    store32(state, out + part, TOP)
    store32(state, out + 2 * part, ROOM)
    store32(state, 0, STATUS)
    read_value(state, skip_blanks(p, end), end)
    size = load32(state, OUT) - out
    status = load32(state, STATUS)
    scratch_end(worker, out + size + 16)
    return out, size, status


def read_value(state: ptr, p: ptr, end: ptr) -> ptr:
    """Writes the node of the value at `p`; the place behind it. An error is in the state."""
    out = load32(state, OUT)
    byte = load8_u(p)
    if byte == 34:
        store8(out, STRING)
        store32(state, out + 1, OUT)
        return read_string(state, p)
    if byte == 91:
        return read_array(state, p + 1, end)
    if byte == 123:
        return read_object(state, p + 1, end)
    behind = skip(p, end)
    if byte == 45 or is_digit(byte):
        store8(out, NUMBER)
        store32(state, put_number(state, out + 1, p, behind), OUT)
        return behind
    tag = NULL if byte == 110 else TRUE if byte == 116 else FALSE
    store8(out, tag)
    store32(state, out + 1, OUT)
    return behind


def read_string(state: ptr, p: ptr) -> ptr:
    behind = skip_string(p)
    out, status = unescape(load32(state, OUT), p + 1, behind - 1)
    if status != 0:
        store32(state, status, STATUS)
    store32(state, out, OUT)
    return behind


def put_number(state: ptr, out: ptr, p: ptr, end: ptr) -> ptr:
    """A number in its canonical text."""
    start = out
    if load8_u(p) == 45:
        store8(out, 45)
        out += 1
        p += 1
    mark = p
    while mark < end and load8_u(mark) | 32 != 101:
        mark += 1
    exponent = 0
    if mark < end:
        exponent = exponent_of(mark + 1, end)
    point = p
    while point < mark and load8_u(point) != 46:
        point += 1
    whole = point - p
    fraction = 0
    if point < mark:
        fraction = mark - point - 1
    shown = whole + exponent  # digits before the point, of all digits in a row
    scale = fraction - exponent
    if scale < 0:
        scale = 0
    if shown > MAX_WHOLE or scale > MAX_FRACTION:
        store32(state, errors.OVERFLOW, STATUS)
        return out
    first = out
    nonzero = 0
    place = 0
    count = whole + fraction
    if shown <= 0:
        store8(out, 48)
        out += 1
    i = 0 if shown > 0 else shown
    last = count if count > shown else shown
    while i < last:
        if i == shown:
            if out == first:
                store8(out, 48)
                out += 1
            store8(out, 46)
            out += 1
        digit = 48
        if i >= 0 and i < count:
            place = p + i if i < whole else p + i + 1
            digit = load8_u(place)
        if digit != 48:
            nonzero = 1
        if i >= shown or digit != 48 or out != first:
            store8(out, digit)
            out += 1
        i += 1
    if out == first:
        store8(out, 48)
        out += 1
    if not nonzero and first != start:
        memory_copy(start, first, out - first)
        out -= 1
    return out


def read_array(state: ptr, p: ptr, end: ptr) -> ptr:
    start = load32(state, OUT)
    mark = load32(state, TOP)
    p = skip_blanks(p, end)
    if load8_u(p) == 93:
        p += 1
    else:
        while True:
            p = skip_blanks(read_value(state, skip_blanks(p, end), end), end)
            top = load32(state, TOP)
            store32(top, load32(state, OUT) - start)
            store32(state, top + 4, TOP)
            p += 1
            if load8_u(p - 1) == 93:
                break
    count = shr_u(load32(state, TOP) - mark, 2)
    used = load32(state, OUT) - start
    header = HEADER + 4 * count
    memory_copy(start + header, start, used)
    store8(start, ARRAY)
    store32(start, count, 1)
    memory_copy(start + HEADER, mark, 4 * count)
    store32(state, start + header + used, OUT)
    store32(state, mark, TOP)
    return p


def read_object(state: ptr, p: ptr, end: ptr) -> ptr:
    start = load32(state, OUT)
    mark = load32(state, TOP)
    p = skip_blanks(p, end)
    if load8_u(p) == 125:
        p += 1
    else:
        while True:
            key = load32(state, OUT)
            p = skip_blanks(read_string(state, skip_blanks(p, end)), end)
            value = load32(state, OUT)
            top = load32(state, TOP)
            store32(state, top + PAIR, TOP)
            p = skip_blanks(read_value(state, skip_blanks(p + 1, end), end), end)
            store32(top, key - start)
            store32(top, value - key, 4)
            store32(top, value - start, 8)
            store32(top, load32(state, OUT) - value, 12)
            p += 1
            if load8_u(p - 1) == 125:
                break
    order_pairs(state, start, mark)
    store32(state, mark, TOP)
    return p


def order_pairs(state: ptr, start: ptr, mark: ptr) -> None:
    """The object of the pairs on the stack from `mark` on, whose bytes are at `start`."""
    room = load32(state, ROOM)
    top = load32(state, TOP)
    sort_pairs(mark, top, room, start)
    # Of equal keys the last one stays.
    kept = mark
    at = mark
    while at < top:
        following = at + PAIR
        if following >= top or not same_key(start, at, following):
            memory_copy(kept, at, PAIR)
            kept += PAIR
        at = following
    count = shr_u(kept - mark, 4)
    ends = room + HEADER
    data = ends + 8 * count
    used = 0
    side = 0
    while side < 2:
        i = 0
        while i < count:
            pair = mark + PAIR * i + 8 * side
            length = load32(pair, 4)
            memory_copy(data + used, start + load32(pair), length)
            used += length
            store32(ends + 4 * (side * count + i), used)
            i += 1
        side += 1
    store8(room, OBJECT)
    store32(room, 2 * count, 1)
    size = data + used - room
    memory_copy(start, room, size)
    store32(state, start + size, OUT)


def same_key(start: ptr, a: ptr, b: ptr) -> bool:
    return compare_keys(start + load32(a), load32(a, 4), start + load32(b), load32(b, 4)) == 0


def after(start: ptr, a: ptr, b: ptr) -> bool:
    """Whether pair a has to stand behind pair b."""
    return compare_keys(start + load32(a), load32(a, 4), start + load32(b), load32(b, 4)) > 0


def sort_pairs(mark: ptr, top: ptr, room: ptr, start: ptr) -> None:
    """Merge sort, bottom-up and stable; nothing is moved where the pairs are in order."""
    at = mark + PAIR
    while at < top and not after(start, at - PAIR, at):
        at += PAIR
    if at >= top:
        return
    width = PAIR
    while width < top - mark:
        low = mark
        while low < top:
            middle = low + width
            high = middle + width
            if middle > top:
                middle = top
            if high > top:
                high = top
            a = low
            b = middle
            out = room
            while out - room < high - low:
                if b >= high or (a < middle and not after(start, a, b)):
                    store64(out, load64(a))
                    store64(out, load64(a, 8), 8)
                    a += PAIR
                else:
                    store64(out, load64(b))
                    store64(out, load64(b, 8), 8)
                    b += PAIR
                out += PAIR
            memory_copy(low, room, high - low)
            low = high
        width = width * 2


# --- writing ----------------------------------------------------------------------------------------------------------
def put_word(worker: ptr, base: ptr, used: i32, tag: i32) -> tuple[ptr, i32]:
    base = reserve(worker, base, used, 8)
    if base == 0:
        return 0, 0
    if tag == FALSE:
        store32(base + used, 0x736C6166)
        store8(base + used + 4, 101)
        return base, used + 5
    store32(base + used, 0x6C6C756E if tag == NULL else 0x65757274)
    return base, used + 4


def put_line(worker: ptr, base: ptr, used: i32, indent: i32) -> tuple[ptr, i32]:
    """A new line with blanks, where the form is the pretty one (indent >= 0)."""
    if indent < 0:
        return base, used
    base = reserve(worker, base, used, indent + 1)
    if base == 0:
        return 0, 0
    store8(base + used, 10)
    memory_fill(base + used + 1, 32, indent)
    return base, used + indent + 1


def put_value(worker: ptr, base: ptr, used: i32, node: ptr, size: i32, indent: i32) -> tuple[ptr, i32]:
    """Appends the text of a node; base 0 without memory. `indent` -1: on one line."""
    tag = load8_u(node)
    if tag == STRING:
        base, used = put_quoted(worker, base, used, node + 1, size - 1)
        return base, used
    if tag == NUMBER:
        base, used = put_text(worker, base, used, node + 1, size - 1)
        return base, used
    if tag < ARRAY:
        base, used = put_word(worker, base, used, tag)
        return base, used
    opening = 91 if tag == ARRAY else 123
    inner = indent + 4 if indent >= 0 else indent
    base, used = put_byte(worker, base, used, opening)
    count = load32(node, 1)
    if tag == OBJECT:
        count = shr_u(count, 1)
    i = 0
    while i < count and base != 0:
        if i > 0:
            base, used = put_byte(worker, base, used, 44)
            if indent < 0 and base != 0:
                base, used = put_byte(worker, base, used, 32)
        if base != 0:
            base, used = put_line(worker, base, used, inner)
        place = i
        if tag == OBJECT and base != 0:
            key, length = entry(node, i)
            base, used = put_quoted(worker, base, used, key, length)
            if base != 0:
                base = reserve(worker, base, used, 2)
            if base != 0:
                store8(base + used, 58)
                store8(base + used + 1, 32)
                used += 2
            place = count + i
        p, length = entry(node, place)
        if base != 0:
            base, used = put_value(worker, base, used, p, length, inner)
        i += 1
    if base != 0:
        # An empty container of the pretty form closes on a line of its own too.
        base, used = put_line(worker, base, used, indent)
    if base == 0:
        return 0, 0
    base, used = put_byte(worker, base, used, opening + 2)
    return base, used


def format_jsonb(worker: ptr, node: ptr, size: i32, indent: i32) -> tuple[ptr, i32]:
    """The text; address 0 without memory. `indent` 0 is jsonb_pretty's form, -1 the usual one."""
    base = begin(worker)
    if base == 0:
        return 0, 0
    base, used = put_value(worker, base, 0, node, size, indent)
    if base != 0:
        finish(worker, base + used)
    return base, used


def scalar_text(worker: ptr, node: ptr, size: i32) -> tuple[ptr, i32, i32]:
    """What ->> gives: the text of strings without quotes, and 1 for null."""
    tag = load8_u(node)
    if tag == NULL:
        return 1, 0, 1
    if (tag == STRING) | (tag == NUMBER):
        return node + 1, size - 1, 0
    p, length = format_jsonb(worker, node, size, -1)
    return p, length, 0


__all__ = ["format_jsonb", "parse_jsonb", "scalar_text"]
