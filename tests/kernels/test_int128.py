"""128-bit integers against Python's own."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_runner import Kernels

from zerodb_compiler.kernels import int128

M64 = (1 << 64) - 1
LOW, HIGH = -(1 << 127), (1 << 127) - 1
NAMES = (
    "add subtract compare multiply scale_up divide_unsigned divide_truncating remainder divide_rounding scale_divide "
    "scale_down fits_precision to_f64 from_f64 absolute digits_of divide_2_by_1"
)
run = Kernels(*(getattr(int128, name) for name in NAMES.split())).run

bits = st.integers(0, 127)
integers = st.one_of(
    st.integers(LOW, HIGH),
    st.builds(
        lambda k, d, s: max(LOW, min(HIGH, s * ((1 << k) + d))), bits, st.integers(-3, 3), st.sampled_from([1, -1])
    ),
    st.builds(lambda k, x: x >> k, bits, st.integers(LOW, HIGH)),
    st.builds(lambda k, d: 10**k + d, st.integers(0, 38), st.integers(-1, 1)),
)


def pair(x: int) -> tuple[int, int]:
    low = x & M64
    return (low - (1 << 64) if low >> 63 else low), x >> 64 if x <= HIGH else (x >> 64) - (1 << 64)


def join(low: int, high: int) -> int:
    return (high << 64) | (low & M64)


def rounded(x: Fraction) -> int:
    """Half away from zero."""
    whole = abs(x) + Fraction(1, 2)
    result = whole.numerator // whole.denominator
    return result if x >= 0 else -result


def check(exact: int, low: int, high: int, overflow: int) -> None:
    assert overflow == (not LOW <= exact <= HIGH)
    if not overflow:
        assert join(low, high) == exact


@settings(max_examples=300, deadline=None)
@given(integers, integers)
def test_sums_products_and_comparison(a: int, b: int) -> None:
    check(a + b, *run(int128.add, *pair(a), *pair(b)))
    check(a - b, *run(int128.subtract, *pair(a), *pair(b)))
    check(a * b, *run(int128.multiply, *pair(a), *pair(b)))
    assert run(int128.compare, *pair(a), *pair(b)) == (a > b) - (a < b)
    low, high, overflow = run(int128.absolute, *pair(a))
    check(abs(a), low, high, overflow)


@settings(max_examples=400, deadline=None)
@given(integers, integers.filter(bool))
def test_division(a: int, b: int) -> None:
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if quotient <= HIGH:
        assert join(*run(int128.divide_truncating, *pair(a), *pair(b))) == quotient
    assert join(*run(int128.remainder, *pair(a), *pair(b))) == a - quotient * b
    check(rounded(Fraction(a, b)), *run(int128.divide_rounding, *pair(a), *pair(b)))
    x, y = a & (1 << 128) - 1, b & (1 << 128) - 1
    q, q_high, r, r_high = run(int128.divide_unsigned, *pair(a), *pair(b))
    assert (join(q, q_high) & (1 << 128) - 1, join(r, r_high) & (1 << 128) - 1) == divmod(x, y)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, M64), st.integers(0, M64), st.integers(0, M64), st.integers(0, 63))
def test_two_digit_division(high: int, low: int, divisor: int, shift: int) -> None:
    divisor = divisor >> shift
    if divisor == 0:
        return
    high %= divisor
    q, r = run(int128.divide_2_by_1, pair(high)[0], pair(low)[0], pair(divisor)[0])
    assert (q & M64, r & M64) == divmod((high << 64) | low, divisor)


@settings(max_examples=300, deadline=None)
@given(integers, integers.filter(lambda x: x > 0), integers.filter(bool))
def test_scaled_division(a: int, factor: int, b: int) -> None:
    check(rounded(Fraction(a * factor, b)), *run(int128.scale_divide, *pair(a), *pair(factor), *pair(b)))


@settings(max_examples=200, deadline=None)
@given(integers, st.integers(0, 38))
def test_powers_of_ten(a: int, digits: int) -> None:
    check(a * 10**digits, *run(int128.scale_up, *pair(a), digits))
    assert join(*run(int128.scale_down, *pair(a), digits)) == rounded(Fraction(a, 10**digits))
    assert run(int128.fits_precision, *pair(a), digits) == (abs(a) < 10**digits)
    assert run(int128.digits_of, *pair(abs(a))) == len(str(abs(a)))


@settings(max_examples=300, deadline=None)
@given(integers)
def test_floats(a: int) -> None:
    assert run(int128.to_f64, *pair(a)) == float(a)
    if abs(float(a)) < 2.0**127:
        assert join(*run(int128.from_f64, float(a))) == int(float(a))


@settings(max_examples=200, deadline=None)
@given(st.floats(-1.7e38, 1.7e38))
def test_from_float(x: float) -> None:
    assert join(*run(int128.from_f64, x)) == int(x)


def test_a_zero_divisor_traps() -> None:
    with pytest.raises(Exception, match="divide by zero"):
        run(int128.divide_truncating, 1, 0, 0, 0)
