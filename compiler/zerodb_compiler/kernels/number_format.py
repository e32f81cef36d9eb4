"""to_char of numbers: a port of NUM_numpart_to_char (PostgreSQL's formatting.c) over a compiled format.

The number has been rounded to the digits of the format already; `number` is its text without sign, `.` behind the whole
part, and a zero byte at its end.
"""

from __future__ import annotations

from zerodb_compiler.formats import numbers as fm
from zerodb_compiler.formats import program
from zerodb_compiler.kernels.formatting import format_decimal
from zerodb_compiler.kernels.int128 import magnitude
from zerodb_compiler.kernels.intrinsics import i32, i64, load8_u, load32, memory_copy, memory_fill, ptr, store8
from zerodb_compiler.kernels.memory import scratch, scratch_end


def ordinal(number: ptr, length: i32) -> i32:
    """Which suffix the last digits of a number want: the letters as a little-endian pair, in lower case."""
    last = load8_u(number + length - 1)
    if length > 1 and load8_u(number + length - 2) == 0x31:
        return 0x6874  # th
    if last == 0x31:
        return 0x7473  # st
    if last == 0x32:
        return 0x646E  # nd
    if last == 0x33:
        return 0x6472  # rd
    return 0x6874


def put(out: ptr, byte: i32) -> ptr:
    store8(out, byte)
    return out + 1


def to_char_number(worker: ptr, code: ptr, low: i64, high: i64, scale: i32) -> tuple[ptr, i32]:
    negative = high < 0
    a, a_high = magnitude(low, high)
    flags = load32(code, fm.HEADER_FLAGS)
    if flags & fm.F_MULTI:
        scale = 0  # V: the digits behind the point stand before it
    plain, plain_length = format_decimal(worker, a, a_high, scale)
    if plain == 0:
        return 0, 0
    pre = load32(code, fm.HEADER_PRE)
    post = load32(code, fm.HEADER_POST)
    nodes = code + program.HEADER_BYTES
    count = 0
    literals = 0
    while load32(nodes + count * program.NODE_BYTES) != program.END:
        literals += load32(nodes + count * program.NODE_BYTES, 12)
        count += 1
    number = scratch(worker, plain_length + pre + post + 8)
    target = scratch(worker, count * 4 + literals + 16)
    if (number == 0) | (target == 0):
        return 0, 0
    memory_copy(number, plain, plain_length)
    length = plain_length
    whole = 0
    while whole < length and load8_u(number + whole) != 0x2E:
        whole += 1
    spaces = 0
    if whole < pre:
        spaces = pre - whole
    elif whole > pre:
        length = pre + post + 1
        memory_fill(number, 0x23, length)
        store8(number + pre, 0x2E)
    store8(number + length, 0)
    fill = (flags & fm.F_FILL) != 0
    zero = (flags & fm.F_ZERO) != 0
    decimal = (flags & fm.F_DECIMAL) != 0
    lsign = load32(code, fm.HEADER_LSIGN)
    zero_start = load32(code, fm.HEADER_ZERO_START)
    sign_written = False
    if flags & (fm.F_PLUS | fm.F_MINUS):
        sign_written = (flags & fm.F_MINUS) != 0
    else:
        if negative == 0 and fill:
            flags &= -1 - fm.F_BRACKET
        if negative == 0 and fill and (flags & fm.F_LSIGN) == 0:
            sign_written = True
        if lsign == fm.LSIGN_PRE and pre == load32(code, fm.HEADER_PRE_LSIGN):
            lsign = fm.LSIGN_POST
    digits = post + pre - 1
    relevant = 0  # the last digit that must be written, 0 for all
    if fill and decimal:
        i = whole
        if load8_u(number + i) == 0x2E:
            relevant = number + i
            i += 1
            while load8_u(number + i) != 0:
                if load8_u(number + i) != 0x30:
                    relevant = number + i
                i += 1
            zero_end = load32(code, fm.HEADER_ZERO_END)
            if zero_end > spaces:
                last = length - 1
                if zero_end - spaces < last:
                    last = zero_end - spaces
                if relevant < number + last:
                    relevant = number + last
    if sign_written == 0 and spaces == 0:
        digits += 1
    inside = False
    current = 0
    p = number
    out = target
    node = nodes
    while True:
        operation = load32(node)
        if operation == program.END:
            break
        if operation == program.LITERAL:
            size = load32(node, 12)
            memory_copy(out, code + load32(node, 8), size)
            out += size
        elif operation <= fm.POINT:
            inside = False
            predecimal = (zero == 0) & (p == number) & (load8_u(number) == 0x30) & (post != 0)
            at_point = relevant != 0 and load8_u(relevant) == 0x2E
            if (
                sign_written == 0
                and (current >= spaces or (zero and zero_start == current))
                and (predecimal == 0 or at_point)
            ):
                if flags & fm.F_LSIGN:
                    if lsign == fm.LSIGN_PRE:
                        out = put(out, 0x2D if negative else 0x2B)
                        sign_written = True
                elif flags & fm.F_BRACKET:
                    out = put(out, 0x3C if negative else 0x20)
                    sign_written = True
                elif negative:
                    out = put(out, 0x2D)
                    sign_written = True
                else:
                    if fill == 0:
                        out = put(out, 0x20)
                    sign_written = True
            if current < spaces and (zero_start > current or zero == 0):
                if fill == 0:
                    out = put(out, 0x20)
            elif zero and current < spaces and zero_start <= current:
                out = put(out, 0x30)
                inside = True
            else:
                byte = load8_u(p)
                if byte == 0x2E:
                    if at_point == 0 or fill:
                        out = put(out, 0x2E)
                elif relevant != 0 and p > relevant and operation != fm.ZERO:
                    inside = False
                elif predecimal:
                    if fill == 0:
                        out = put(out, 0x20)
                    elif at_point:
                        out = put(out, 0x30)
                elif byte != 0:
                    out = put(out, byte)
                    inside = True
                if byte != 0:
                    p += 1
            end = digits + (spaces != 0) + decimal
            if relevant != 0 and relevant == p:
                end = current
            if current + 1 == end:
                if sign_written and (flags & fm.F_BRACKET) != 0:
                    out = put(out, 0x3E if negative else 0x20)
                elif (flags & fm.F_LSIGN) != 0 and lsign == fm.LSIGN_POST:
                    out = put(out, 0x2D if negative else 0x2B)
            current += 1
        elif operation == fm.COMMA:
            if inside:
                out = put(out, 0x2C)
            elif fill == 0:
                out = put(out, 0x20)
        elif operation == fm.CURRENCY:
            out = put(out, 0x20)
        elif operation == fm.MINUS:
            if negative:
                out = put(out, 0x2D)
            elif fill == 0:
                out = put(out, 0x20)
        elif operation == fm.PLUS:
            if negative == 0:
                out = put(out, 0x2B)
            elif fill == 0:
                out = put(out, 0x20)
        elif operation == fm.SIGN:
            out = put(out, 0x2D if negative else 0x2B)
        elif (operation == fm.TH_UPPER) | (operation == fm.TH_LOWER):
            wanted = (load8_u(number) != 0x23) & (negative == 0) & (decimal == 0)
            if wanted:
                letters = ordinal(number, length)
                if operation == fm.TH_UPPER:
                    letters -= 0x2020
                out = put(out, letters & 0xFF)
                out = put(out, letters >> 8)
        node += program.NODE_BYTES
    scratch_end(worker, out)
    return target, out - target
