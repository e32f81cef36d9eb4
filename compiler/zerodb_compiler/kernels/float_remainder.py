"""The remainder of doubles: exact, with the sign of the dividend (C's fmod)."""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import bits_float, clz, f64, float_bits, i64, shr_u

NAN = 1e999 - 1e999
INFINITY_BITS = 0x7FF << 52
HIDDEN = 1 << 52
FRACTION = HIDDEN - 1


def unpacked(bits: i64) -> tuple[i64, i64]:
    """Significand of 53 bits and exponent of a positive number; those of subnormal ones are below 1."""
    exponent = shr_u(bits, 52)
    if exponent == 0:
        shift = clz(bits) - 11
        return bits << shift, 1 - shift
    return bits & FRACTION | HIDDEN, exponent


def float_remainder(x: f64, y: f64) -> f64:
    """x - trunc(x / y) * y by long division, one bit a step. NaN for a zero divisor or an infinite dividend."""
    sign = float_bits(x) & (-1 << 63)
    bits = float_bits(x) ^ sign
    divisor_bits = shr_u(float_bits(y) << 1, 1)
    if bits >= INFINITY_BITS or divisor_bits > INFINITY_BITS or divisor_bits == 0:
        return NAN
    if bits < divisor_bits:
        return x
    rest, exponent = unpacked(bits)
    divisor, last = unpacked(divisor_bits)
    while exponent > last:
        if rest >= divisor:
            rest -= divisor
        rest = rest << 1
        exponent -= 1
    if rest >= divisor:
        rest -= divisor
    if rest == 0:
        return bits_float(sign)
    shift = clz(rest) - 11
    rest = rest << shift
    exponent -= shift
    if exponent > 0:
        return bits_float(sign | (rest - HIDDEN) | exponent << 52)
    return bits_float(sign | shr_u(rest, 1 - exponent))
