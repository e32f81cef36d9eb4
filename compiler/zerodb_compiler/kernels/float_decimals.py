"""Between floating-point numbers and scaled integers (numeric), rounded as PostgreSQL does.

A double becomes a decimal by way of its first 15 significant digits, a real by its first 6, so that 0.285 is 0.29 to
two places although the double is a little less. The other way is the nearest float to the exact quotient.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.formatting import shortest
from zerodb_compiler.kernels.int128 import (
    divide_rounding,
    less_unsigned,
    magnitude,
    power_of_ten,
    scale_up,
    with_sign,
)
from zerodb_compiler.kernels.intrinsics import (
    bits_float,
    bits_float32,
    div_u,
    f32,
    f64,
    float32_bits,
    float_bits,
    ge_u,
    i32,
    i64,
    select,
    shr_u,
    u64,
)
from zerodb_compiler.kernels.nearest import nearest_float, nearest_float_long


def scaled_digits(digits: i64, power: i32, most: i64, scale: i32, sign: i64) -> tuple[i64, i64, i32]:
    """digits * 10**(power + scale), after the digits have been rounded below `most`, a power of ten."""
    unit: i64 = 1
    while ge_u(div_u(digits, unit), most):
        unit *= 10
        power += 1
    digits = div_u(digits + div_u(unit, 2), unit)
    shift = power + scale
    low: i64 = 0
    high: i64 = 0
    if shift > 38:
        return 0, 0, errors.OVERFLOW
    if shift >= 0:
        low, high, overflow = scale_up(digits, 0, shift)
        if overflow:
            return 0, 0, errors.OVERFLOW
    elif shift >= -38:
        factor, factor_high = power_of_ten(0 - shift)
        low, high, _ = divide_rounding(digits, 0, factor, factor_high)
    limit, limit_high = power_of_ten(38)
    if not less_unsigned(low, high, limit, limit_high):
        return 0, 0, errors.OVERFLOW
    low, high = with_sign(low, high, sign)
    return low, high, errors.OK


def f64_to_decimal(value: f64, scale: i32) -> tuple[i64, i64, i32]:
    """value * 10**scale, half away from zero; OVERFLOW from 10**38 on and for what is no number."""
    bits = float_bits(value)
    fraction = bits & ((1 << 52) - 1)
    exponent = i32(shr_u(bits, 52)) & 0x7FF
    if exponent == 0x7FF:
        return 0, 0, errors.OVERFLOW
    if fraction == 0 and exponent == 0:
        return 0, 0, errors.OK
    whole = fraction | select(exponent != 0, 1 << 52, 0)
    closer = (fraction == 0) & (exponent > 1)
    digits, power = shortest(whole, select(exponent != 0, exponent - 1075, -1074), closer)
    low, high, status = scaled_digits(digits, power, 10**15, scale, bits >> 63)
    return low, high, status


def f32_to_decimal(value: f64, scale: i32) -> tuple[i64, i64, i32]:
    """The same for a real, given as the double of the same value."""
    bits = float32_bits(f32(value))
    fraction = bits & ((1 << 23) - 1)
    exponent = shr_u(bits, 23) & 0xFF
    if exponent == 0xFF:
        return 0, 0, errors.OVERFLOW
    if (fraction | exponent) == 0:
        return 0, 0, errors.OK
    whole = u64(fraction | select(exponent != 0, 1 << 23, 0))
    closer = (fraction == 0) & (exponent > 1)
    digits, power = shortest(whole, select(exponent != 0, exponent - 150, -149), closer)
    low, high, status = scaled_digits(digits, power, 10**6, scale, i64(bits >> 31))
    return low, high, status


def quotient_bits(low: i64, high: i64, scale: i32, mantissa_bits: i32, least_exponent: i32, infinite: i32) -> i64:
    """The bits of the float nearest to an unsigned number / 10**scale."""
    if high == 0:
        return nearest_float(low, 0 - scale, mantissa_bits, least_exponent, infinite)
    return nearest_float_long(low, high, 0 - scale, 0, mantissa_bits, least_exponent, infinite)


def decimal_to_f64(low: i64, high: i64, scale: i32) -> f64:
    """The double nearest to a 128-bit integer / 10**scale (see kernels/nearest.py)."""
    value, value_high = magnitude(low, high)
    return bits_float(quotient_bits(value, value_high, scale, 52, -1023, 0x7FF) | (high >> 63) << 63)


def decimal_to_f32(low: i64, high: i64, scale: i32) -> f64:
    """The nearest real, as a double."""
    value, value_high = magnitude(low, high)
    bits = i32(quotient_bits(value, value_high, scale, 23, -127, 0xFF))
    return f64(bits_float32(bits | i32(high >> 63) << 31))
