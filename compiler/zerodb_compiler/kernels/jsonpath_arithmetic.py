"""Arithmetic in jsonpath: + - * / % of two numbers with PostgreSQL's digits, and subscripts (jsonpath.py).

Where it returns address 0, the error is in the context.
"""

from __future__ import annotations

from zerodb_compiler import jsonpath as op
from zerodb_compiler.kernels import errors
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
from zerodb_compiler.kernels.intrinsics import i32, i64, ptr
from zerodb_compiler.kernels.jsonpath_items import FOUND, NUMBER_TOO_LONG, SUBSCRIPT, fail, hard
from zerodb_compiler.kernels.jsonpath_numbers import decimal_of, number_item


def combined(context: ptr, operation: i32, p: ptr, size: i32, q: ptr, size2: i32) -> tuple[ptr, i32]:
    """The result of an operation on two numbers as an item."""
    a, a_high, scale, status = decimal_of(p, size)
    b, b_high, scale2, status2 = decimal_of(q, size2)
    if status | status2 != 0:
        hard(context, NUMBER_TOO_LONG)
        return 0, 0
    if (operation >= op.DIV) & (b | b_high == 0):
        fail(context, errors.DIVISION_BY_ZERO)
        return 0, 0
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
            over = 1
        elif up >= 0:
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
        hard(context, NUMBER_TOO_LONG)
        return 0, 0
    out, out_size = number_item(context, a, a_high, shown)
    return out, out_size


def subscript(context: ptr, p: ptr, size: i32) -> tuple[i64, i32]:
    """A number cut to an integer; an outcome."""
    low, high, scale, status = decimal_of(p, size)
    if status != 0:
        return 0, fail(context, SUBSCRIPT)
    factor, factor_high = power_of_ten(scale)
    rest, rest_high = remainder(low, high, factor, factor_high)
    low, high, _over = subtract(low, high, rest, rest_high)
    low, high, _over = divide_rounding(low, high, factor, factor_high)
    if high != low >> 63 or low > 0x7FFFFFFF or low < -0x80000000:
        return 0, fail(context, SUBSCRIPT)
    return low, FOUND


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
