"""Elementary functions to about 100 bits, by arithmetic on pairs of doubles whose sum is meant.

A pair rounds to the double nearest to the true result in all but one of about 2**45 cases, which is what a good C
library gives too. Sines and cosines are Taylor series after the argument has been reduced to at most pi/4; inverse
functions are one Newton step from a double. Pairs: T. J. Dekker (1971); Hida, Li, Bailey, "Library for double-double
and quad-double arithmetic" (2007). Reduction of large arguments: M. Payne, R. Hanek (1983), with the bits of 2/pi.
"""

from __future__ import annotations

from zerodb_compiler.kernels.floats import exponential, logarithm, product_exact, sum_exact, sum_ordered
from zerodb_compiler.kernels.intrinsics import (
    Table,
    bits_float,
    clz,
    f64,
    fabs,
    float_bits,
    i32,
    i64,
    lt_u,
    mul_wide_u,
    nearest,
    shr_u,
    sqrt,
    u64,
    u64_f64,
)

PI_HIGH = 3.141592653589793
PI_LOW = 1.2246467991473532e-16
HALF_PI_HIGH = 1.5707963267948966
HALF_PI_LOW = 6.123233995736766e-17
HALF_PI_A = 1.5707963267341256  # 33 bits of pi/2, then what is missing, as pairs of 33 and 53 bits
HALF_PI_B = 6.077100506303966e-11
HALF_PI_C = 2.0222662487111665e-21
HALF_PI_D = 8.4784276603689e-32
TWO_OVER_PI = 0.6366197723675814


def _two_over_pi_words() -> tuple[int, ...]:
    """2/pi: 64 bits a word, from 2**-1 on (1280 bits)."""
    bits = 1400
    one = 1 << bits

    def arctangent_of_inverse(n: int) -> int:
        power = total = one // n
        k, sign = 3, -1
        while power:
            power //= n * n
            total += sign * (power // k)
            k, sign = k + 2, -sign
        return total

    pi = 4 * (4 * arctangent_of_inverse(5) - arctangent_of_inverse(239))
    quotient = (2 * one * one // pi) >> (bits - 1280)
    words = [quotient >> (1280 - 64 * (i + 1)) & (1 << 64) - 1 for i in range(20)]
    return tuple(word - (1 << 64) if word >> 63 else word for word in words)


TWO_OVER_PI_BITS = Table("i64", _two_over_pi_words(), "two_over_pi")


def _inverse_factorials() -> tuple[tuple[int, ...], tuple[int, ...]]:
    import struct
    from fractions import Fraction
    from math import factorial

    highs, lows = [], []
    for n in range(30):
        exact = Fraction(1, factorial(n))
        high = float(exact)
        highs.append(struct.unpack("<q", struct.pack("<d", high))[0])
        lows.append(struct.unpack("<q", struct.pack("<d", float(exact - Fraction(high))))[0])
    return tuple(highs), tuple(lows)


_HIGHS, _LOWS = _inverse_factorials()
INVERSE_FACTORIAL = Table("i64", _HIGHS, "inverse_factorial")
INVERSE_FACTORIAL_LOW = Table("i64", _LOWS, "inverse_factorial_low")


# --- arithmetic -------------------------------------------------------------------------------------------------------
def plus(a: f64, a_low: f64, b: f64, b_low: f64) -> tuple[f64, f64]:
    high, low = sum_exact(a, b)
    third, fourth = sum_exact(a_low, b_low)
    low += third
    high, low = sum_ordered(high, low)
    low += fourth
    high, low = sum_ordered(high, low)
    return high, low


def times(a: f64, a_low: f64, b: f64, b_low: f64) -> tuple[f64, f64]:
    high, low = product_exact(a, b)
    low += a * b_low + a_low * b
    high, low = sum_ordered(high, low)
    return high, low


def over(a: f64, a_low: f64, b: f64, b_low: f64) -> tuple[f64, f64]:
    first = a / b
    high, low = times(b, b_low, first, 0.0)
    high, low = plus(a, a_low, -high, -low)
    second = high / b
    p, p_low = times(b, b_low, second, 0.0)
    high, low = plus(high, low, -p, -p_low)
    third = high / b
    first, second = sum_ordered(first, second)
    high, low = plus(first, second, third, 0.0)
    return high, low


def root(a: f64, a_low: f64) -> tuple[f64, f64]:
    """Square root, of 0 or more."""
    if a <= 0.0:
        return 0.0, 0.0
    x = sqrt(a)
    square, square_low = product_exact(x, x)
    rest, rest_low = plus(a, a_low, -square, -square_low)
    high, low = sum_ordered(x, (rest + rest_low) / (2.0 * x))
    return high, low


# --- sine and cosine --------------------------------------------------------------------------------------------------
def reduce_far(x: f64) -> tuple[i32, f64, f64]:
    """x mod pi/2 for a large x > 0, exactly enough: the bits of x * 2/pi around the point."""
    bits = float_bits(x)
    mantissa = (bits & ((1 << 52) - 1)) | 1 << 52
    exponent = i32(shr_u(bits, 52)) - 1075
    # x is at least 2**52. The integer bits above 2**2 do not count: begin with the bit of 2/pi that gives 2**2
    # with the mantissa's lowest bit. 2/pi's bit number i (from 1) is worth 2**-i.
    before = 0  # bits of a small x's product that come before those of 2/pi: zeros
    first = exponent - 2
    if first < 0:
        before = 0 - first
        first = 0
    word = first >> 6
    shift = u64(first & 63)
    a = TWO_OVER_PI_BITS[word]
    b = TWO_OVER_PI_BITS[word + 1]
    c = TWO_OVER_PI_BITS[word + 2]
    d = TWO_OVER_PI_BITS[word + 3]
    if shift != 0:
        back = 64 - shift
        a = a << shift | shr_u(b, back)
        b = b << shift | shr_u(c, back)
        c = c << shift | shr_u(d, back)
    if before > 0:
        c = shr_u(c, u64(before)) | b << u64(64 - before)
        b = shr_u(b, u64(before)) | a << u64(64 - before)
        a = shr_u(a, u64(before))
    # mantissa * (a, b, c), modulo 2**192: its point lies two bits from the top.
    _, carry = mul_wide_u(c, mantissa)
    lowest, carry_b = mul_wide_u(b, mantissa)
    middle = lowest + carry
    top = a * mantissa + carry_b + u64(lt_u(middle, carry))
    # The value is (top.middle) * 2**-62, of which two bits are the quadrant.
    quadrant = i32(shr_u(top, 62)) & 3
    top = top << 2 | shr_u(middle, 62)
    middle = middle << 2
    sign = 1.0
    if top < 0:
        quadrant = (quadrant + 1) & 3
        middle = 0 - middle
        top = (top ^ -1) + i64(middle == 0)
        sign = -1.0
    # 128 bits of a fraction below 1/2, to a pair.
    if top == 0:
        return quadrant, 0.0, 0.0
    lead = u64(i32(clz(top)))
    if lead != 0:
        top = top << lead | shr_u(middle, 64 - lead)
        middle = middle << lead
    upper = shr_u(top, 11) << 11
    rest = (top ^ upper) << 53 | shr_u(middle, 11)
    scale = bits_float((1023 - 64 - lead) << 52)
    high = u64_f64(upper) * scale * sign
    low = u64_f64(rest) * scale * 1.1102230246251565e-16 * sign
    high, low = times(high, low, HALF_PI_HIGH, HALF_PI_LOW)
    return quadrant, high, low


def reduce(x: f64) -> tuple[i32, f64, f64]:
    """x = quadrant * pi/2 + pair, the pair at most pi/4 in size; the quadrant modulo 4."""
    size = fabs(x)
    if size < 0.7853981633974483:
        return 0, x, 0.0
    if size >= 4503599627370496.0:
        quadrant, high, low = reduce_far(size)
        if x < 0.0:
            return (0 - quadrant) & 3, -high, -low
        return quadrant, high, low
    k = nearest(x * TWO_OVER_PI)
    p, p_low = product_exact(k, HALF_PI_A)
    high, low = plus(x, 0.0, -p, -p_low)
    p, p_low = product_exact(k, HALF_PI_B)
    high, low = plus(high, low, -p, -p_low)
    p, p_low = product_exact(k, HALF_PI_C)
    high, low = plus(high, low, -p, -p_low)
    high, low = plus(high, low, -(k * HALF_PI_D), 0.0)
    return i32(i64(k) & 3), high, low


def series(x: f64, x_low: f64, start: i32, sign: f64) -> tuple[f64, f64]:
    """The sum of x**n / n! for n = start, start + 2, ... below 28; with sign -1.0 of alternating signs."""
    square, square_low = times(x, x_low, x * sign, x_low * sign)
    n = 26 + (start & 1)
    total: f64 = bits_float(INVERSE_FACTORIAL[n])
    total_low: f64 = 0.0
    while n > start:
        n -= 2
        total, total_low = times(total, total_low, square, square_low)
        total, total_low = plus(
            bits_float(INVERSE_FACTORIAL[n]), bits_float(INVERSE_FACTORIAL_LOW[n]), total, total_low
        )
    if start == 1:
        total, total_low = times(total, total_low, x, x_low)
    return total, total_low


def sine_cosine(x: f64, x_low: f64) -> tuple[f64, f64, f64, f64]:
    """Of a pair of at most about pi: sine, then cosine."""
    k = nearest(x * TWO_OVER_PI)
    p, p_low = times(HALF_PI_HIGH, HALF_PI_LOW, k, 0.0)
    r, r_low = plus(x, x_low, -p, -p_low)
    s, s_low = series(r, r_low, 1, -1.0)
    c, c_low = series(r, r_low, 0, -1.0)
    quadrant = i32(k) & 3
    if quadrant == 0:
        return s, s_low, c, c_low
    if quadrant == 1:
        return c, c_low, -s, -s_low
    if quadrant == 2:
        return -s, -s_low, -c, -c_low
    return -c, -c_low, s, s_low


def sine_of(x: f64, shift: i32) -> tuple[f64, f64]:
    """sin(x + shift * pi/2) of a finite x."""
    quadrant, r, low = reduce(x)
    quadrant = (quadrant + shift) & 3
    s, s_low = series(r, low, 1 - (quadrant & 1), -1.0)
    if quadrant & 2:
        return -s, -s_low
    return s, s_low


# --- inverses: Newton's step from a double ----------------------------------------------------------------------------
def arctangent_near(y: f64, x: f64) -> f64:
    """The angle of (x, y), to about 15 digits; not both 0."""
    flip = fabs(y) > fabs(x)
    ratio = x / y if flip else y / x
    half = ratio / (1.0 + sqrt(1.0 + ratio * ratio))
    half = half / (1.0 + sqrt(1.0 + half * half))
    square = half * half
    total = 1.0 / 19.0
    total = 1.0 / 17.0 - square * total
    total = 1.0 / 15.0 - square * total
    total = 1.0 / 13.0 - square * total
    total = 1.0 / 11.0 - square * total
    total = 1.0 / 9.0 - square * total
    total = 1.0 / 7.0 - square * total
    total = 1.0 / 5.0 - square * total
    total = 1.0 / 3.0 - square * total
    angle = 4.0 * half * (1.0 - square * total)
    if flip:
        return (HALF_PI_HIGH if y > 0.0 else -HALF_PI_HIGH) - angle
    if x < 0.0:
        return angle + (PI_HIGH if y >= 0.0 else -PI_HIGH)
    return angle


def angle_of(y: f64, y_low: f64, x: f64, x_low: f64) -> tuple[f64, f64]:
    """The angle of (x, y), not both 0, neither infinite, of a size near 1."""
    near = arctangent_near(y, x)
    s, s_low, c, c_low = sine_cosine(near, 0.0)
    a, a_low = times(y, y_low, c, c_low)
    b, b_low = times(x, x_low, s, s_low)
    up, up_low = plus(a, a_low, -b, -b_low)
    a, a_low = times(x, x_low, c, c_low)
    b, b_low = times(y, y_low, s, s_low)
    down, down_low = plus(a, a_low, b, b_low)
    d, d_low = over(up, up_low, down, down_low)
    high, low = plus(near, 0.0, d, d_low)
    return high, low


def hyperbolic(x: f64) -> tuple[f64, f64, f64, f64]:
    """sinh and cosh of |x| < 709, as pairs."""
    if fabs(x) < 1.0:
        s, s_low = series(x, 0.0, 1, 1.0)
        c, c_low = series(x, 0.0, 0, 1.0)
        return s, s_low, c, c_low
    # e**x = 2**k * e**r; e**r by the series.
    k = nearest(x * 1.4426950408889634)
    p, p_low = product_exact(k, 0.6931471805599453)
    r, r_low = plus(x, 0.0, -p, -p_low - k * 2.3190468138462996e-17)
    s, s_low = series(r, r_low, 1, 1.0)
    c, c_low = series(r, r_low, 0, 1.0)
    e, e_low = plus(s, s_low, c, c_low)
    n, n_low = plus(c, c_low, -s, -s_low)
    scale = bits_float((i64(k) + 1022) << 52)
    back = bits_float((1022 - i64(k)) << 52)
    e = e * scale
    e_low = e_low * scale
    n = n * back
    n_low = n_low * back
    s, s_low = plus(e, e_low, -n, -n_low)
    c, c_low = plus(e, e_low, n, n_low)
    return s, s_low, c, c_low


def log_near(x: f64) -> f64:
    """ln of a positive double."""
    high, low = logarithm(x)
    return high + low


def exp_near(x: f64) -> f64:
    return exponential(x, 0.0)
