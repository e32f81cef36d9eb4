"""Decimal digits to the nearest binary floating-point number, ties to even.

Numbers of up to 64 bits are correctly rounded: Daniel Lemire, "Number parsing at a gigabyte per second" (2021), with
the proof of Mushtak and Lemire that 128 bits of the power of ten suffice. Longer ones are rounded by about 120 bits;
only a text within 2**-60 units of the middle between two doubles, as one writes on purpose, may become the second
nearest.
"""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import add128, clz, i32, i64, lt_u, mul_wide_u, select, shr_u, u64
from zerodb_compiler.kernels.powers import power_128


def nearest_float(digits: i64, power: i32, mantissa_bits: i32, least_exponent: i32, infinite: i32) -> i64:
    """The bits of the float nearest to digits * 10**power; ties to even. 52, -1023, 0x7FF for doubles and 23, -127,
    0xFF for reals."""
    if digits == 0 or power < -342:
        return 0
    if power > 308:
        return u64(infinite) << u64(mantissa_bits)
    # A digit count of 19 at most, or a number of 64 bits: both fit an unsigned i64.
    lead = i32(clz(digits))
    normal = digits << u64(lead)
    factor_low, factor_high = power_128(power)
    if power < 0:
        factor_low, factor_high = add128(factor_low, factor_high, 1, 0)
    low, high = mul_wide_u(normal, factor_high)
    mask = shr_u(-1, u64(mantissa_bits + 3))
    if high & mask == mask:
        _, carry = mul_wide_u(normal, factor_low)
        low, high = add128(low, high, carry, 0)
    upper = i32(shr_u(high, 63))
    drop = upper + 64 - mantissa_bits - 3
    mantissa = shr_u(high, u64(drop))
    exponent = ((217706 * power) >> 16) + 63 + upper - lead - least_exponent
    if exponent <= 0:
        if exponent <= -63:
            return 0
        mantissa = shr_u(mantissa, u64(1 - exponent))
        # A carry into the hidden bit makes it the least normal number by itself.
        return shr_u(mantissa + (mantissa & 1), 1)
    exactly_half = (power >= select(mantissa_bits == 52, -4, -17)) & (power <= select(mantissa_bits == 52, 23, 10))
    if lt_u(low, 2) & exactly_half and mantissa & 3 == 1 and mantissa << u64(drop) == high:
        mantissa -= 1
    mantissa = shr_u(mantissa + (mantissa & 1), 1)
    if mantissa >= 2 << u64(mantissa_bits):
        mantissa = 1 << u64(mantissa_bits)
        exponent += 1
    if exponent >= infinite:
        return u64(infinite) << u64(mantissa_bits)
    return (mantissa & ((1 << u64(mantissa_bits)) - 1)) | u64(exponent) << u64(mantissa_bits)


def nearest_float_long(
    digits: i64, digits_high: i64, power: i32, cut: i32, mantissa_bits: i32, least_exponent: i32, infinite: i32
) -> i64:
    """As nearest_float, for a 128-bit number, not 0, and `cut` not 0 if there are more digits: by 128 leading bits of
    the product, of which the last few are uncertain where the power is not exact."""
    if power < -362:
        return 0
    if power > 308:
        return u64(infinite) << u64(mantissa_bits)
    shift = i32(clz(digits_high))
    if digits_high == 0:
        shift = 64 + i32(clz(digits))
        digits_high = digits << u64(shift - 64)
        digits = 0
    elif shift > 0:
        digits_high = (digits_high << u64(shift)) | shr_u(digits, u64(64 - shift))
        digits = digits << u64(shift)
    factor_low, factor_high = power_128(power)
    lowest, carry = mul_wide_u(digits, factor_low)
    second, second_high = mul_wide_u(digits, factor_high)
    third, third_high = mul_wide_u(digits_high, factor_low)
    low, high = mul_wide_u(digits_high, factor_high)
    middle, middle_high = add128(carry, 0, second, 0)
    middle, middle_high = add128(middle, middle_high, third, 0)
    low, high = add128(low, high, second_high, 0)
    low, high = add128(low, high, third_high, 0)
    low, high = add128(low, high, middle_high, 0)
    upper = i32(shr_u(high, 63))
    if upper == 0:
        high = (high << 1) | shr_u(low, 63)
        low = (low << 1) | shr_u(middle, 63)
        middle = middle << 1
    exponent = ((217706 * power) >> 16) + 127 - shift + upper - least_exponent
    limit = u64(infinite) << u64(mantissa_bits)
    if exponent >= infinite:
        return limit
    drop = 63 - mantissa_bits
    if exponent <= 0:
        drop += 1 - exponent
        exponent = 0
    if drop > 64:
        return 0
    kept: i64 = 0
    if drop < 64:
        kept = shr_u(high, u64(drop))
    half = 1 << u64(drop - 1)
    below = (high & (half - 1)) | low | middle | lowest | i64(cut)
    if high & half != 0 and (below != 0 or kept & 1 != 0):
        kept += 1
    # Added, not or-ed: the hidden bit and a carry out of the mantissa both count one exponent up.
    if exponent > 0:
        kept += (u64(exponent) - 1) << u64(mantissa_bits)
    return kept
