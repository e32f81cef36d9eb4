"""exp, ln, log10 and power against exact decimal arithmetic: at most one unit in the last place away."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_runner import Kernels

from zerodb_compiler.kernels import errors, floats

K = Kernels(floats.exp, floats.ln, floats.log10, floats.power, floats.square_root)
run = K.run
EXACT = decimal.Context(prec=60, Emin=-10000, Emax=10000)
MANY = settings(max_examples=400, deadline=None)
positive = st.one_of(
    st.floats(min_value=5e-324, allow_infinity=False), st.floats(0.5, 2.0), st.floats(0.001, 1000.0),
    st.integers(1, 10**6).map(float),
)  # fmt: skip
INF = math.inf


def check(result: float, exact: Decimal, ulps: float = 1.0) -> None:
    nearest = float(exact)
    assert math.isfinite(nearest)
    error = abs(Fraction(result) - Fraction(exact)) / Fraction(math.ulp(nearest))
    assert error <= ulps, (result, nearest, float(error))


@MANY
@given(st.one_of(st.floats(-745.1, 709.7), st.floats(-1, 1), st.integers(-700, 700).map(float)))
def test_exp(x: float) -> None:
    result, status = run(floats.exp, x)
    assert status == errors.OK
    check(result, EXACT.exp(Decimal(x)))


@MANY
@given(positive)
@example(1.0)
@example(math.nextafter(1.0, 0.0))
@example(math.nextafter(1.0, 2.0))
def test_logarithms(x: float) -> None:
    result, status = run(floats.ln, x)
    assert status == errors.OK
    check(result, EXACT.ln(Decimal(x)), 0.6)
    result, status = run(floats.log10, x)
    assert status == errors.OK
    check(result, EXACT.log10(Decimal(x)), 0.6)


@MANY
@given(positive, st.one_of(st.floats(-20, 20), st.integers(-40, 40).map(float), st.floats(-1e5, 1e5)))
def test_power(x: float, y: float) -> None:
    result, status = run(floats.power, x, y)
    logarithm = EXACT.multiply(EXACT.ln(Decimal(x)), Decimal(y))
    if logarithm > Decimal("709.79"):
        assert status == errors.OVERFLOW
    elif logarithm < Decimal("-745.14"):
        assert status == errors.UNDERFLOW
    elif -745 < logarithm < Decimal("709.78"):
        assert status == errors.OK
        check(result, EXACT.exp(logarithm))


def test_exact_results() -> None:
    for k in range(-300, 309):
        assert run(floats.log10, float(f"1e{k}")) == (float(k), errors.OK)
    for base in (2.0, 3.0, 5.0, 10.0, 1.5, -3.0):
        for exponent in range(20):
            assert run(floats.power, base, float(exponent)) == (base**exponent, errors.OK)
    assert run(floats.power, 2.0, -1074.0) == (5e-324, errors.OK)
    assert run(floats.power, 16.0, 0.25) == (2.0, errors.OK)
    assert run(floats.power, 1e15, 1.0) == (1e15, errors.OK)
    assert run(floats.exp, 0.0) == (1.0, errors.OK)
    assert run(floats.square_root, 2.0) == (math.sqrt(2.0), errors.OK)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (INF, 2.0, INF), (-INF, 3.0, -INF), (-INF, 2.0, INF), (INF, -1.0, 0.0),
     (0.5, INF, 0.0), (2.0, INF, INF), (0.5, -INF, INF), (-1.0, INF, 1.0), (1.0, math.nan, 1.0), (math.nan, 0.0, 1.0),
     (-INF, 0.5, INF), (0.0, -INF, INF), (-1.0, 1e300, 1.0), (1.0, 1e300, 1.0)],
)  # fmt: skip
def test_special_powers(x: float, y: float, expected: float) -> None:
    result, status = run(floats.power, x, y)
    assert status == errors.OK
    assert (result, math.copysign(1, result)) == (expected, math.copysign(1, expected))


def test_errors() -> None:
    assert run(floats.power, -8.0, 0.5)[1] == errors.DOMAIN
    assert run(floats.power, 0.0, -1.0)[1] == errors.DOMAIN
    assert run(floats.power, 2.0, 1e300)[1] == errors.OVERFLOW
    assert run(floats.power, 0.5, 1e300)[1] == errors.UNDERFLOW
    assert run(floats.exp, 1000.0)[1] == errors.OVERFLOW
    assert run(floats.exp, -1000.0)[1] == errors.UNDERFLOW
    assert run(floats.exp, -INF) == (0.0, errors.OK)
    assert run(floats.exp, INF) == (INF, errors.OK)
    for function in (floats.ln, floats.log10):
        assert run(function, 0.0)[1] == errors.LOG_ZERO
        assert run(function, -1.0)[1] == errors.DOMAIN
        assert run(function, INF) == (INF, errors.OK)
        assert math.isnan(run(function, math.nan)[0])
    assert math.isnan(run(floats.exp, math.nan)[0])
    assert run(floats.square_root, -1.0)[1] == errors.DOMAIN
