"""exp, ln, log10 and power for doubles: within one unit in the last place, exact where the result is a double.

The logarithm is computed with about 65 bits, as a pair (high, low) whose sum is meant: ln m = 2 artanh(s) with
s = (m - 1) / (m + 1) for m between sqrt(1/2) and sqrt(2), the first two terms in pair arithmetic.
power is exp(y * ln x) on such pairs. Pair arithmetic: T. J. Dekker, "A floating-point technique for extending the
available precision" (1971).

Statuses are PostgreSQL's errors: OVERFLOW and UNDERFLOW where finite arguments give an infinity or zero (22003), DOMAIN
and LOG_ZERO for logarithms of numbers that have none (2201E), DOMAIN also for powers that are not real (2201F).
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import (
    bits_float,
    f64,
    fabs,
    float_bits,
    i32,
    i64,
    inline,
    nearest,
    select,
    select_f64,
    sqrt,
    trunc,
)

INFINITY = 1e999
NAN = INFINITY - INFINITY
LN2_HIGH = 0.6931471805598903  # 42 bits: its product with an exponent is exact
LN2_LOW = 5.497923018708371e-14
INVERSE_LN2 = 1.4426950408889634
INVERSE_LN10_HIGH = 0.4342944819032518
INVERSE_LN10_LOW = 1.098319650216765e-17
TWO_THIRDS_HIGH = 0.6666666666666666
TWO_THIRDS_LOW = 3.700743415417188e-17
SPLITTER = 134217729.0  # 2**27 + 1
SQRT_2_BITS = 0x3FF6A09E667F3BCD


@inline
def sum_ordered(a: f64, b: f64) -> tuple[f64, f64]:
    """a + b exactly, for |a| >= |b|."""
    total = a + b
    return total, b - (total - a)


@inline
def sum_exact(a: f64, b: f64) -> tuple[f64, f64]:
    """a + b exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inline
def product_exact(a: f64, b: f64) -> tuple[f64, f64]:
    """a * b exactly (there is no fused multiply-add)."""
    product = a * b
    scaled = a * SPLITTER
    a_high = scaled - (scaled - a)
    a_low = a - a_high
    scaled = b * SPLITTER
    b_high = scaled - (scaled - b)
    b_low = b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def logarithm(x: f64) -> tuple[f64, f64]:
    """ln x as a pair, for finite x > 0."""
    shift = 0
    if x < 2.2250738585072014e-308:
        x = x * 18014398509481984.0  # 2**54: out of the subnormal numbers
        shift = -54
    bits = float_bits(x)
    # The exponent that leaves a mantissa of sqrt(1/2) to sqrt(2).
    exponent = i32((bits - (SQRT_2_BITS - (1 << 52))) >> 52)
    m = bits_float(bits - (i64(exponent) << 52))
    k = f64(exponent + shift)
    # s = (m - 1) / (m + 1) as a pair; m - 1 is exact, m + 1 a pair.
    difference = m - 1.0
    total, total_low = sum_exact(m, 1.0)
    s = difference / total
    product, product_low = product_exact(s, total)
    s_low = (((difference - product) - product_low) - s * total_low) / total
    square, square_low = product_exact(s, s)
    square_low += 2.0 * s * s_low
    cube, cube_low = product_exact(square, s)
    cube_low += square * s_low + square_low * s
    third, third_low = product_exact(cube, TWO_THIRDS_HIGH)
    third_low += cube * TWO_THIRDS_LOW + cube_low * TWO_THIRDS_HIGH
    tail = 2.0 / 29.0
    tail = tail * square + 2.0 / 27.0
    tail = tail * square + 2.0 / 25.0
    tail = tail * square + 2.0 / 23.0
    tail = tail * square + 2.0 / 21.0
    tail = tail * square + 2.0 / 19.0
    tail = tail * square + 2.0 / 17.0
    tail = tail * square + 2.0 / 15.0
    tail = tail * square + 2.0 / 13.0
    tail = tail * square + 2.0 / 11.0
    tail = tail * square + 2.0 / 9.0
    tail = tail * square + 2.0 / 7.0
    tail = tail * square + 2.0 / 5.0
    tail = tail * square * cube
    high, low = sum_exact(k * LN2_HIGH, 2.0 * s)
    high, carry = sum_exact(high, third)
    low += carry
    low += (third_low + tail) + (2.0 * s_low + k * LN2_LOW)
    return sum_ordered_pair(high, low)


def sum_ordered_pair(a: f64, b: f64) -> tuple[f64, f64]:
    total, rest = sum_ordered(a, b)
    return total, rest


def exponential(x: f64, low: f64) -> f64:
    """exp(x + low) for |low| far below |x|; infinity or 0 beyond the range."""
    if x > 709.8:
        return INFINITY
    if x < -745.2:
        return 0.0
    k = nearest(x * INVERSE_LN2)
    r, r_low = sum_exact(x - k * LN2_HIGH, low - k * LN2_LOW)
    # The series from r**2 / 2 on.
    tail = 1.0 / 6227020800.0
    tail = tail * r + 1.0 / 479001600.0
    tail = tail * r + 1.0 / 39916800.0
    tail = tail * r + 1.0 / 3628800.0
    tail = tail * r + 1.0 / 362880.0
    tail = tail * r + 1.0 / 40320.0
    tail = tail * r + 1.0 / 5040.0
    tail = tail * r + 1.0 / 720.0
    tail = tail * r + 1.0 / 120.0
    tail = tail * r + 1.0 / 24.0
    tail = tail * r + 1.0 / 6.0
    tail = tail * r + 1.0 / 2.0
    one, rest = sum_ordered(1.0, r)
    result = one + (rest + (r_low + r * r_low + tail * r * r))
    exponent = i64(k)
    if exponent < -1021:
        # In two steps, since the result may be subnormal.
        return result * bits_float((exponent + 1023 + 200) << 52) * 6.223015277861142e-61
    if exponent > 1023:
        return result * 2.0 * bits_float((exponent + 1022) << 52)
    return result * bits_float((exponent + 1023) << 52)


def exp(x: f64) -> tuple[f64, i32]:
    if x != x:
        return x, errors.OK
    result = exponential(x, 0.0)
    if fabs(x) == INFINITY:
        return result, errors.OK
    return result, range_status(result)


def range_status(result: f64) -> i32:
    """The status of a result of finite arguments that is mathematically neither infinite nor 0."""
    return select(result == 0.0, errors.UNDERFLOW, select(fabs(result) == INFINITY, errors.OVERFLOW, errors.OK))


def ln(x: f64) -> tuple[f64, i32]:
    if x > 0.0 and x < INFINITY:
        high, low = logarithm(x)
        return high + low, errors.OK
    if x == 0.0:
        return 0.0, errors.LOG_ZERO
    return x, select(x < 0.0, errors.DOMAIN, errors.OK)


def log10(x: f64) -> tuple[f64, i32]:
    if x > 0.0 and x < INFINITY:
        high, low = logarithm(x)
        product, rest = product_exact(high, INVERSE_LN10_HIGH)
        return product + (rest + high * INVERSE_LN10_LOW + low * INVERSE_LN10_HIGH), errors.OK
    if x == 0.0:
        return 0.0, errors.LOG_ZERO
    return x, select(x < 0.0, errors.DOMAIN, errors.OK)


def square_root(x: f64) -> tuple[f64, i32]:
    return sqrt(x), select(x < 0.0, errors.DOMAIN, errors.OK)


def power(x: f64, y: f64) -> tuple[f64, i32]:
    if y == 0.0 or x == 1.0:
        return 1.0, errors.OK
    if x != x or y != y:
        return NAN, errors.OK
    is_integer = trunc(y) == y
    # Odd: an integer whose half is none. Beyond 2**53 every double is even.
    is_odd = is_integer & (trunc(y * 0.5) * 2.0 != y)
    if x < 0.0 and not is_integer:
        if x == -INFINITY:
            return select_f64(y > 0.0, INFINITY, 0.0), errors.OK
        return 0.0, errors.DOMAIN
    negative = (float_bits(x) < 0) & is_odd
    base = fabs(x)
    if base == 0.0 or base == INFINITY or fabs(y) == INFINITY:
        if base == 1.0:
            return 1.0, errors.OK
        if base == 0.0 and y < 0.0:
            if y == -INFINITY:
                return INFINITY, errors.OK
            return 0.0, errors.DOMAIN
        grows = (base > 1.0) == (y > 0.0)
        result = select_f64(grows, INFINITY, 0.0)
        return select_f64(negative, -result, result), errors.OK
    high, low = logarithm(base)
    if fabs(y) > 1e25:
        # Also keeps the exact product below from overflowing; ln x is at least 2**-53 here, unless x is 1.
        if high == 0.0:
            return 1.0, errors.OK
        return 0.0, select((high > 0.0) == (y > 0.0), errors.OVERFLOW, errors.UNDERFLOW)
    product, rest = product_exact(high, y)
    result = exponential(product, rest + low * y)
    return select_f64(negative, -result, result), range_status(result)
