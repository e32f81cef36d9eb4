"""Trigonometric and hyperbolic functions of doubles, in radians and in degrees, and the cube root.

Results are those of pairs (double_double.py), rounded once. Functions of degrees give exact values where they are
known, as PostgreSQL's do: arguments are brought to 0 ... 90, and values scaled by those at 30 and 60 degrees.
Status INVALID_TEXT says that the argument is out of range; infinities have no sine.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.double_double import (
    angle_of,
    exp_near,
    hyperbolic,
    log_near,
    over,
    plus,
    root,
    sine_of,
    times,
)
from zerodb_compiler.kernels.float_remainder import float_remainder
from zerodb_compiler.kernels.floats import INFINITY, NAN, product_exact, sum_exact
from zerodb_compiler.kernels.intrinsics import (
    bits_float,
    copysign,
    f64,
    fabs,
    float_bits,
    i32,
    select_f64,
    sqrt,
)

RADIANS_PER_DEGREE = 0.017453292519943295
TINY = 1e-150


# --- radians ----------------------------------------------------------------------------------------------------------
def sin(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    if fabs(x) < TINY or x != x:
        return x, errors.OK
    high, low = sine_of(x, 0)
    return high + low, errors.OK


def cos(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    high, low = sine_of(x, 1)
    return high + low, errors.OK


def tan(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    if fabs(x) < TINY or x != x:
        return x, errors.OK
    s, s_low = sine_of(x, 0)
    c, c_low = sine_of(x, 1)
    high, low = over(s, s_low, c, c_low)
    return high + low, errors.OK


def cot(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    tangent, _ = tan(x)
    return 1.0 / tangent, errors.OK


def arcsine(x: f64) -> f64:
    if fabs(x) < 1e-8:
        return x + x * x * x / 6.0
    square, square_low = product_exact(x, x)
    rest, rest_low = plus(1.0, 0.0, -square, -square_low)
    c, c_low = root(rest, rest_low)
    high, low = angle_of(x, 0.0, c, c_low)
    return high + low


def arccosine(x: f64) -> f64:
    if x == 1.0:
        return 0.0
    square, square_low = product_exact(x, x)
    rest, rest_low = plus(1.0, 0.0, -square, -square_low)
    s, s_low = root(rest, rest_low)
    high, low = angle_of(s, s_low, x, 0.0)
    return high + low


def asin(x: f64) -> tuple[f64, i32]:
    if fabs(x) > 1.0:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    return arcsine(x), errors.OK


def acos(x: f64) -> tuple[f64, i32]:
    if fabs(x) > 1.0:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    return arccosine(x), errors.OK


def arctangent(y: f64, x: f64) -> f64:
    """C's atan2."""
    if x != x or y != y:
        return NAN
    if fabs(x) == INFINITY and fabs(y) == INFINITY:
        x = copysign(1.0, x)
        y = copysign(1.0, y)
    elif fabs(x) == INFINITY:
        return select_f64(x > 0.0, copysign(0.0, y), copysign(3.141592653589793, y))
    elif fabs(y) == INFINITY:
        return copysign(1.5707963267948966, y)
    if y == 0.0:
        return select_f64(float_bits(x) >= 0, y, copysign(3.141592653589793, y))
    if x == 0.0:
        return copysign(1.5707963267948966, y)
    # Brought to a size near 1 by a power of two, which is exact but for what is negligible.
    larger = select_f64(fabs(x) > fabs(y), fabs(x), fabs(y))
    exponent = (float_bits(larger) >> 52) - 1023
    if exponent < -1000:
        x = x * 1.2379400392853803e27
        y = y * 1.2379400392853803e27
        exponent += 90
    scale = bits_float((1023 - exponent) << 52)
    if exponent > 1000:
        scale = bits_float((1023 - exponent + 90) << 52)
        x = x * 8.077935669463161e-28
        y = y * 8.077935669463161e-28
    x = x * scale
    y = y * scale
    if x > 0.0 and fabs(y) < 1e-10 * x:
        return y / x
    high, low = angle_of(y, 0.0, x, 0.0)
    return high + low


def atan(x: f64) -> tuple[f64, i32]:
    if fabs(x) < 1e-8:
        return x - x * x * x / 3.0, errors.OK
    return arctangent(x, 1.0), errors.OK


def atan2(y: f64, x: f64) -> tuple[f64, i32]:
    return arctangent(y, x), errors.OK


# --- hyperbolic -------------------------------------------------------------------------------------------------------
def sinh(x: f64) -> tuple[f64, i32]:
    if fabs(x) < 1e-8 or x != x or fabs(x) == INFINITY:
        return x, errors.OK
    if fabs(x) > 709.0:
        half = exp_near(fabs(x) * 0.5)
        result = half * 0.5 * half
        return copysign(result, x), errors.OK
    s, s_low, _, _ = hyperbolic(x)
    return s + s_low, errors.OK


def cosh(x: f64) -> tuple[f64, i32]:
    if x != x or fabs(x) == INFINITY:
        return fabs(x), errors.OK
    if fabs(x) > 709.0:
        half = exp_near(fabs(x) * 0.5)
        result = half * 0.5 * half
        return result, errors.OK
    _, _, c, c_low = hyperbolic(x)
    return c + c_low, errors.OK


def tanh(x: f64) -> tuple[f64, i32]:
    if fabs(x) < 1e-8 or x != x:
        return x, errors.OK
    if fabs(x) > 30.0:
        return copysign(1.0, x), errors.OK
    s, s_low, c, c_low = hyperbolic(x)
    high, low = over(s, s_low, c, c_low)
    return high + low, errors.OK


def asinh(x: f64) -> tuple[f64, i32]:
    size = fabs(x)
    if size < 1e-8 or x != x or size == INFINITY:
        return x, errors.OK
    if size > 1e18:
        return copysign(log_near(size) + 0.6931471805599453, x), errors.OK
    near = log_near(size + sqrt(size * size + 1.0))
    s, s_low, c, _ = hyperbolic(near)
    rest, rest_low = plus(size, 0.0, -s, -s_low)
    high, low = sum_exact(near, (rest + rest_low) / c)
    return copysign(high + low, x), errors.OK


def acosh(x: f64) -> tuple[f64, i32]:
    if x < 1.0:
        return 0.0, errors.INVALID_TEXT
    if x != x or x == INFINITY or x == 1.0:
        return select_f64(x == 1.0, 0.0, x), errors.OK
    if x > 1e18:
        return log_near(x) + 0.6931471805599453, errors.OK
    t = x - 1.0
    near = sqrt(2.0 * t) * (1.0 - t / 12.0)
    if t > 0.01:
        near = log_near(x + sqrt(t * (x + 1.0)))
    for _ in range(2):
        s, _, c, c_low = hyperbolic(near)
        rest, rest_low = plus(x, 0.0, -c, -c_low)
        near += (rest + rest_low) / s
    return near, errors.OK


def atanh(x: f64) -> tuple[f64, i32]:
    size = fabs(x)
    if size > 1.0:
        return 0.0, errors.INVALID_TEXT
    if size < 1e-8 or x != x:
        return x, errors.OK
    if size == 1.0:
        return copysign(INFINITY, x), errors.OK
    up, up_low = sum_exact(1.0, size)
    down, down_low = sum_exact(1.0, -size)
    quotient, quotient_low = over(up, up_low, down, down_low)
    near = 0.5 * log_near(quotient) + 0.5 * quotient_low / quotient
    s, s_low, c, c_low = hyperbolic(near)
    a, a_low = times(c, c_low, size, 0.0)
    rest, rest_low = plus(a, a_low, -s, -s_low)
    high, low = sum_exact(near, (rest + rest_low) * (c - size * s) * (c * c - s * s))
    return copysign(high + low, x), errors.OK


def cbrt(x: f64) -> f64:
    if x == 0.0 or x != x or fabs(x) == INFINITY:
        return x
    size = fabs(x)
    back = 1.0
    if size < 1e-290:
        size = size * 1.329227995784916e36  # 2**120
        back = 9.094947017729282e-13  # 2**-40
    near = exp_near(log_near(size) / 3.0)
    for _ in range(2):
        square, square_low = product_exact(near, near)
        cube, cube_low = times(square, square_low, near, 0.0)
        rest, rest_low = plus(size, 0.0, -cube, -cube_low)
        near += (rest + rest_low) / (3.0 * near * near)
    return copysign(near * back, x)


# --- degrees ----------------------------------------------------------------------------------------------------------
def sine_to_30(x: f64) -> f64:
    s, _ = sin(x * RADIANS_PER_DEGREE)
    s30, _ = sin(30.0 * RADIANS_PER_DEGREE)
    return (s / s30) / 2.0


def cosine_to_60(x: f64) -> f64:
    c, _ = cos(x * RADIANS_PER_DEGREE)
    c60, _ = cos(60.0 * RADIANS_PER_DEGREE)
    return 1.0 - ((1.0 - c) / (1.0 - c60)) / 2.0


def sine_quadrant(x: f64) -> f64:
    if x <= 30.0:
        return sine_to_30(x)
    return cosine_to_60(90.0 - x)


def cosine_quadrant(x: f64) -> f64:
    if x <= 60.0:
        return cosine_to_60(x)
    return sine_to_30(90.0 - x)


def sind(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    sign = 1.0
    x = float_remainder(x, 360.0)
    if x < 0.0:
        x = -x
        sign = -sign
    if x > 180.0:
        x = 360.0 - x
        sign = -sign
    if x > 90.0:
        x = 180.0 - x
    return sign * sine_quadrant(x), errors.OK


def cosd(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    sign = 1.0
    x = fabs(float_remainder(x, 360.0))
    if x > 180.0:
        x = 360.0 - x
    if x > 90.0:
        x = 180.0 - x
        sign = -sign
    return sign * cosine_quadrant(x), errors.OK


def tand(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    sign = 1.0
    x = float_remainder(x, 360.0)
    if x < 0.0:
        x = -x
        sign = -sign
    if x > 180.0:
        x = 360.0 - x
        sign = -sign
    if x > 90.0:
        x = 180.0 - x
        sign = -sign
    result = sign * ((sine_quadrant(x) / cosine_quadrant(x)) / (sine_quadrant(45.0) / cosine_quadrant(45.0)))
    return select_f64(result == 0.0, 0.0, result), errors.OK


def cotd(x: f64) -> tuple[f64, i32]:
    if fabs(x) == INFINITY:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    sign = 1.0
    x = float_remainder(x, 360.0)
    if x < 0.0:
        x = -x
        sign = -sign
    if x > 180.0:
        x = 360.0 - x
        sign = -sign
    if x > 90.0:
        x = 180.0 - x
        sign = -sign
    result = sign * ((cosine_quadrant(x) / sine_quadrant(x)) / (cosine_quadrant(45.0) / sine_quadrant(45.0)))
    return select_f64(result == 0.0, 0.0, result), errors.OK


def arcsine_quadrant(x: f64) -> f64:
    if x <= 0.5:
        return (arcsine(x) / arcsine(0.5)) * 30.0
    return 90.0 - (arccosine(x) / arccosine(0.5)) * 60.0


def arccosine_quadrant(x: f64) -> f64:
    if x <= 0.5:
        return 90.0 - (arcsine(x) / arcsine(0.5)) * 30.0
    return (arccosine(x) / arccosine(0.5)) * 60.0


def asind(x: f64) -> tuple[f64, i32]:
    if fabs(x) > 1.0:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    if x >= 0.0:
        return arcsine_quadrant(x), errors.OK
    return -arcsine_quadrant(-x), errors.OK


def acosd(x: f64) -> tuple[f64, i32]:
    if fabs(x) > 1.0:
        return 0.0, errors.INVALID_TEXT
    if x != x:
        return x, errors.OK
    if x >= 0.0:
        return arccosine_quadrant(x), errors.OK
    return 90.0 + arcsine_quadrant(-x), errors.OK


def atand(x: f64) -> tuple[f64, i32]:
    if x != x:
        return x, errors.OK
    return (arctangent(x, 1.0) / arctangent(1.0, 1.0)) * 45.0, errors.OK


def atan2d(y: f64, x: f64) -> tuple[f64, i32]:
    return (arctangent(y, x) / arctangent(1.0, 1.0)) * 45.0, errors.OK
