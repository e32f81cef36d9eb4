"""128-bit integers: two's complement, as (low, high) pairs of i64.

Fallible kernels give an overflow flag last (1 = the exact result is beyond 128 bits); their value is then undefined.
Division follows Hacker's Delight, 2nd edition, 9-4 and 9-5. A zero divisor traps: callers check.
"""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import (
    Table,
    add128,
    bits_float,
    clz,
    div_u,
    f64,
    fabs,
    float_bits,
    gt_u,
    i32,
    i64,
    inline,
    lt_u,
    mul_wide_u,
    select,
    shr_u,
    sub128,
    u64,
)

POWERS_OF_TEN = Table("i64", tuple(10**k for k in range(19)), "power_of_ten")
POWERS_LOW = Table("i64", tuple(10**k & (1 << 64) - 1 for k in range(39)), "power_of_ten_low")
POWERS_HIGH = Table("i64", tuple(10**k >> 64 for k in range(39)), "power_of_ten_high")


def power_of_ten(digits: i32) -> tuple[i64, i64]:
    """10**digits for 0 <= digits <= 38."""
    if digits < 20:
        return POWERS_LOW[digits], 0
    return POWERS_LOW[digits], POWERS_HIGH[digits]


# --- sums and comparison ----------------------------------------------------------------------------------------------
def add(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    low, high = add128(a, a_high, b, b_high)
    return low, high, (a_high ^ high) & (b_high ^ high) < 0


def subtract(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    low, high = sub128(a, a_high, b, b_high)
    return low, high, (a_high ^ high) & (a_high ^ b_high) < 0


@inline
def negate(a: i64, a_high: i64) -> tuple[i64, i64]:
    """-a, wrapping for the least value."""
    low, high = sub128(0, 0, a, a_high)
    return low, high


@inline
def magnitude(a: i64, a_high: i64) -> tuple[i64, i64]:
    """|a| as an unsigned number."""
    sign = a_high >> 63
    low, high = sub128(a ^ sign, a_high ^ sign, sign, sign)
    return low, high


@inline
def with_sign(a: i64, a_high: i64, sign: i64) -> tuple[i64, i64]:
    """a for sign 0, -a for sign -1."""
    low, high = sub128(a ^ sign, a_high ^ sign, sign, sign)
    return low, high


def compare(a: i64, a_high: i64, b: i64, b_high: i64) -> i32:
    """-1, 0 or 1."""
    if a_high != b_high:
        return select(a_high < b_high, -1, 1)
    return gt_u(a, b) - lt_u(a, b)


@inline
def less_unsigned(a: i64, a_high: i64, b: i64, b_high: i64) -> i32:
    return lt_u(a_high, b_high) | ((a_high == b_high) & lt_u(a, b))


# --- multiplication ---------------------------------------------------------------------------------------------------
def multiply(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    sign = (a_high ^ b_high) >> 63
    x, x_high = magnitude(a, a_high)
    y, y_high = magnitude(b, b_high)
    low, high = mul_wide_u(x, y)
    overflow = 0
    if (x_high | y_high) != 0:
        # One of the high halves is 0, or the product overflows anyway.
        cross, cross_over = mul_wide_u(select(x_high == 0, x, x_high), select(x_high == 0, y_high, y))
        sum_low, carry = add128(high, 0, cross, 0)
        high = sum_low
        overflow = ((x_high != 0) & (y_high != 0)) | (cross_over != 0) | (carry != 0)
    low, high = with_sign(low, high, sign)
    # The result's sign must be that of the factors, but for zero.
    wrong = ((high ^ sign) < 0) & ((low | high) != 0)
    return low, high, overflow | wrong


def scale_up(a: i64, a_high: i64, digits: i32) -> tuple[i64, i64, i32]:
    """a * 10**digits, 0 <= digits <= 38."""
    factor, factor_high = power_of_ten(digits)
    return multiply(a, a_high, factor, factor_high)


# --- division ---------------------------------------------------------------------------------------------------------
def divide_2_by_1(high: i64, low: i64, divisor: i64) -> tuple[i64, i64]:
    """(high:low) / divisor, unsigned, for high < divisor: quotient and remainder, both of 64 bits."""
    shift = clz(divisor)
    if shift >= 32:
        # A divisor below 2**32: two steps of schoolbook division.
        upper = (high << 32) | shr_u(low, 32)
        first = div_u(upper, divisor)
        lower = ((upper - first * divisor) << 32) | (low & 0xFFFFFFFF)
        second = div_u(lower, divisor)
        return (first << 32) | second, lower - second * divisor
    divisor = divisor << shift
    v1 = shr_u(divisor, 32)
    v0 = divisor & 0xFFFFFFFF
    # The shift by (64 - shift) is masked to 0 for shift 0, hence the select.
    u32 = (high << shift) | select(shift == 0, 0, shr_u(low, 64 - shift))
    u10 = low << shift
    u1 = shr_u(u10, 32)
    u0 = u10 & 0xFFFFFFFF
    q1 = div_u(u32, v1)
    rest = u32 - q1 * v1
    while shr_u(q1, 32) != 0 or gt_u(q1 * v0, (rest << 32) | u1):
        q1 -= 1
        rest += v1
        if shr_u(rest, 32) != 0:
            break
    u21 = (u32 << 32) + u1 - q1 * divisor
    q0 = div_u(u21, v1)
    rest = u21 - q0 * v1
    while shr_u(q0, 32) != 0 or gt_u(q0 * v0, (rest << 32) | u0):
        q0 -= 1
        rest += v1
        if shr_u(rest, 32) != 0:
            break
    remainder_shifted = (u21 << 32) + u0 - q0 * divisor
    return (q1 << 32) + q0, shr_u(remainder_shifted, shift)


def divide_unsigned(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i64, i64]:
    """Quotient and remainder of unsigned 128-bit numbers."""
    if b_high == 0:
        if a_high == 0:
            quotient = div_u(a, b)
            return quotient, 0, a - quotient * b, 0
        upper = div_u(a_high, b)
        quotient, rest = divide_2_by_1(a_high - upper * b, a, b)
        return quotient, upper, rest, 0
    if less_unsigned(a, a_high, b, b_high):
        return 0, 0, a, a_high
    shift = clz(b_high)
    top = (b_high << shift) | select(shift == 0, 0, shr_u(b, 64 - shift))
    estimate, _ = divide_2_by_1(shr_u(a_high, 1), (a_high << 63) | shr_u(a, 1), top)
    quotient = shr_u(estimate, 63 - shift)
    if quotient != 0:
        quotient -= 1
    low, high = mul_wide_u(quotient, b)
    high += quotient * b_high
    rest, rest_high = sub128(a, a_high, low, high)
    if not less_unsigned(rest, rest_high, b, b_high):
        quotient += 1
        rest, rest_high = sub128(rest, rest_high, b, b_high)
    return quotient, 0, rest, rest_high


def divide_truncating(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64]:
    """Towards zero. The least value divided by -1 wraps."""
    sign = (a_high ^ b_high) >> 63
    x, x_high = magnitude(a, a_high)
    y, y_high = magnitude(b, b_high)
    quotient, quotient_high, _, _ = divide_unsigned(x, x_high, y, y_high)
    return with_sign(quotient, quotient_high, sign)


def remainder(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64]:
    """With the sign of the dividend."""
    x, x_high = magnitude(a, a_high)
    y, y_high = magnitude(b, b_high)
    _, _, rest, rest_high = divide_unsigned(x, x_high, y, y_high)
    return with_sign(rest, rest_high, a_high >> 63)


@inline
def half_reached(rest: i64, rest_high: i64, b: i64, b_high: i64) -> i32:
    """Whether 2 * rest >= b, unsigned, without overflow: rest >= b - rest."""
    other, other_high = sub128(b, b_high, rest, rest_high)
    return 1 ^ less_unsigned(rest, rest_high, other, other_high)


def divide_rounding(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    """Rounded half away from zero."""
    sign = (a_high ^ b_high) >> 63
    x, x_high = magnitude(a, a_high)
    y, y_high = magnitude(b, b_high)
    quotient, quotient_high, rest, rest_high = divide_unsigned(x, x_high, y, y_high)
    up = u64(half_reached(rest, rest_high, y, y_high))
    quotient, quotient_high = add128(quotient, quotient_high, up, 0)
    low, high = with_sign(quotient, quotient_high, sign)
    return low, high, ((high ^ sign) < 0) & ((low | high) != 0)


def scaled_quotient(
    x: i64, x_high: i64, factor: i64, factor_high: i64, y: i64, y_high: i64
) -> tuple[i64, i64, i64, i64, i32]:
    """Quotient and remainder of x * factor / y, all unsigned; the flag says that the quotient is beyond 128 bits."""
    # The 256-bit product p3:p2:p1:p0.
    p0, p1 = mul_wide_u(x, factor)
    p2: i64 = 0
    p3: i64 = 0
    if (x_high | factor_high) != 0:
        low, high = mul_wide_u(x_high, factor)
        p1, p2 = add128(p1, 0, low, high)
        low, high = mul_wide_u(x, factor_high)
        p1, carry = add128(p1, 0, low, 0)
        p2, p3 = add128(p2, 0, high, 0)
        p2, p3 = add128(p2, p3, carry, 0)
        low, high = mul_wide_u(x_high, factor_high)
        p2, p3 = add128(p2, p3, low, high)
    if (p2 | p3) == 0:
        quotient, quotient_high, rest, rest_high = divide_unsigned(p0, p1, y, y_high)
        return quotient, quotient_high, rest, rest_high, 0
    if not less_unsigned(p2, p3, y, y_high):
        return 0, 0, 0, 0, 1
    quotient, quotient_high, rest, rest_high = divide_4_by_2(p0, p1, p2, p3, y, y_high)
    return quotient, quotient_high, rest, rest_high, 0


def scale_divide(a: i64, a_high: i64, factor: i64, factor_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    """a * factor / b rounded half away from zero, exact also where the product is beyond 128 bits; factor > 0."""
    sign = (a_high ^ b_high) >> 63
    x, x_high = magnitude(a, a_high)
    y, y_high = magnitude(b, b_high)
    quotient, quotient_high, rest, rest_high, overflow = scaled_quotient(x, x_high, factor, factor_high, y, y_high)
    up = u64(half_reached(rest, rest_high, y, y_high))
    quotient, quotient_high = add128(quotient, quotient_high, up, 0)
    low, high = with_sign(quotient, quotient_high, sign)
    return low, high, overflow | (((high ^ sign) < 0) & ((low | high) != 0))


def scale_divide_far(a: i64, a_high: i64, digits: i32, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    """a * 10**(38 + digits) / b rounded half away from zero, for 0 < digits <= 38: long division in two steps."""
    sign = (a_high ^ b_high) >> 63
    x, x_high = magnitude(a, a_high)
    y, y_high = magnitude(b, b_high)
    factor, factor_high = power_of_ten(38)
    first, first_high, rest, rest_high, overflow = scaled_quotient(x, x_high, factor, factor_high, y, y_high)
    factor, factor_high = power_of_ten(digits)
    low, high, over = multiply(first, first_high, factor, factor_high)
    overflow = overflow | over | (first_high < 0)
    second, second_high, last, last_high, _ = scaled_quotient(rest, rest_high, factor, factor_high, y, y_high)
    up = u64(half_reached(last, last_high, y, y_high))
    second, second_high = add128(second, second_high, up, 0)
    low, high = add128(low, high, second, second_high)
    overflow = overflow | (high < 0)
    low, high = with_sign(low, high, sign)
    return low, high, overflow


def divide_by_scaled(a: i64, a_high: i64, digits: i32, b: i64, b_high: i64) -> tuple[i64, i64]:
    """a / (b * 10**digits) rounded half away from zero, for |a| < 2**127: 0 where the divisor is beyond 128 bits."""
    sign = (a_high ^ b_high) >> 63
    x, x_high = magnitude(a, a_high)
    y, y_high = magnitude(b, b_high)
    factor, factor_high = power_of_ten(digits)
    limit, limit_high, _, _ = divide_unsigned(-1, -1, factor, factor_high)
    if less_unsigned(limit, limit_high, y, y_high):
        return 0, 0
    low, high = mul_wide_u(y, factor)
    high += y_high * factor + y * factor_high
    quotient, quotient_high, rest, rest_high = divide_unsigned(x, x_high, low, high)
    up = u64(half_reached(rest, rest_high, low, high))
    quotient, quotient_high = add128(quotient, quotient_high, up, 0)
    return with_sign(quotient, quotient_high, sign)


def divide_4_by_2(
    quotient: i64, quotient_high: i64, rest: i64, rest_high: i64, b: i64, b_high: i64
) -> tuple[i64, i64, i64, i64]:
    """A 256-bit number (rest:quotient) by a 128-bit one, rest < b: 128 shift-and-subtract steps (rare, so simple)."""
    for _step in range(128):
        carry = shr_u(rest_high, 63)
        rest_high = (rest_high << 1) | shr_u(rest, 63)
        rest = (rest << 1) | shr_u(quotient_high, 63)
        quotient_high = (quotient_high << 1) | shr_u(quotient, 63)
        quotient = quotient << 1
        if carry != 0 or not less_unsigned(rest, rest_high, b, b_high):
            rest, rest_high = sub128(rest, rest_high, b, b_high)
            quotient |= 1
    return quotient, quotient_high, rest, rest_high


def scale_down(a: i64, a_high: i64, digits: i32) -> tuple[i64, i64]:
    """a / 10**digits rounded half away from zero, 0 <= digits <= 38."""
    factor, factor_high = power_of_ten(digits)
    low, high, _ = divide_rounding(a, a_high, factor, factor_high)
    return low, high


def fits_precision(a: i64, a_high: i64, precision: i32) -> i32:
    """Whether |a| < 10**precision, 0 <= precision <= 38."""
    x, x_high = magnitude(a, a_high)
    limit, limit_high = power_of_ten(precision)
    return less_unsigned(x, x_high, limit, limit_high)


# --- floating point ---------------------------------------------------------------------------------------------------
def to_f64(a: i64, a_high: i64) -> f64:
    """The nearest double, ties to even."""
    if a_high == a >> 63:
        return f64(a)
    sign = a_high >> 63
    x, x_high = magnitude(a, a_high)
    if x_high == 0:
        # |a| of 64 bits: halve with a sticky bit if the top bit is set, so that the signed conversion rounds right.
        halved = f64(shr_u(x, 1) | (x & 1)) * 2.0
        return select_sign(halved, sign)
    shift = clz(x_high)
    top = (x_high << shift) | select(shift == 0, 0, shr_u(x, 64 - shift))
    lost = x << shift
    mantissa = shr_u(top, 1) | (top & 1) | i64(lost != 0)
    scale = bits_float((i64(1023 + 65) - shift) << 52)
    return select_sign(f64(mantissa) * scale, sign)


@inline
def select_sign(x: f64, sign: i64) -> f64:
    return bits_float(float_bits(x) | (sign << 63))


def from_f64(x: f64) -> tuple[i64, i64]:
    """The integer part of a finite |x| < 2**127."""
    number = fabs(x)
    sign = float_bits(x) >> 63
    if number < 9.2e18:
        return with_sign(i64(number), 0, sign)
    bits = float_bits(number)
    mantissa = (bits & 0xFFFFFFFFFFFFF) | (1 << 52)
    shift = shr_u(bits, 52) - 1075  # at least 10 here
    if shift >= 64:
        return with_sign(0, mantissa << (shift - 64), sign)
    return with_sign(mantissa << shift, shr_u(mantissa, 64 - shift), sign)


def absolute(a: i64, a_high: i64) -> tuple[i64, i64, i32]:
    low, high = magnitude(a, a_high)
    return low, high, high < 0


def digits_of(a: i64, a_high: i64) -> i32:
    """Decimal digits of an unsigned number; 1 for zero."""
    count = 1
    while count < 39:
        limit, limit_high = power_of_ten(count)
        if less_unsigned(a, a_high, limit, limit_high):
            return count
        count += 1
    return 39
