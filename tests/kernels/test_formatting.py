"""Values as text against Python's own printing."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_runner import WORKER, Kernels
from test_int128 import integers, pair

from zerodb_compiler.kernels import formatting, powers

K = Kernels(
    formatting.format_i64, formatting.format_decimal, formatting.format_f64, formatting.format_f32,
    formatting.format_date, formatting.format_timestamp, formatting.format_bool, powers.power_128,
)  # fmt: skip
FAST = settings(max_examples=300, deadline=None)
EPOCH = datetime(1970, 1, 1)
short_reals = st.builds(lambda m, e: m / 10**e, st.integers(-(10**9), 10**9), st.integers(0, 9))
reals = st.one_of(st.floats(allow_nan=False), short_reals)


def show(function: object, *arguments: float) -> str:
    K.reset()
    result = K.text(function, WORKER, *arguments)  # type: ignore[arg-type]
    assert result is not None
    return result.decode()


def test_all_powers_are_exact_in_128_bits() -> None:
    for k in range(-364, 336):
        low, high = K.run(powers.power_128, k)
        value = (high & (1 << 64) - 1) << 64 | low & (1 << 64) - 1
        if k >= 0:
            exact, shift = 10**k, (10**k).bit_length() - 128
            assert value == (exact >> shift if shift > 0 else exact << -shift), k
        else:
            shift = 127 + (10**-k - 1).bit_length()
            assert value == (1 << shift) // 10**-k, k


@FAST
@given(integers, st.integers(0, 38))
def test_exact_numbers(a: int, scale: int) -> None:
    sign, digits = "-" if a < 0 else "", str(abs(a)).zfill(scale + 1)
    expected = sign + (digits[:-scale] + "." + digits[-scale:] if scale else digits)
    assert show(formatting.format_decimal, *pair(a), scale) == expected
    small = pair(a)[0]
    assert show(formatting.format_i64, small) == str(small)


def postgres(digits: str, exponent: int, negative: bool, limit: int) -> str:
    """PostgreSQL's notation of 0.digits * 10**exponent."""
    sign, power = "-" if negative else "", exponent - 1
    if -4 <= power < limit:
        if power < 0:
            return f"{sign}0.{'0' * (-power - 1)}{digits}"
        fraction = "." + digits[exponent:] if len(digits) > exponent else ""
        return sign + digits[:exponent].ljust(exponent, "0") + fraction
    tail = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"


def expected_float(text: str, limit: int) -> str:
    number = Decimal(text)
    if number == 0:
        return "-0" if number.is_signed() else "0"
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    shown = "".join(map(str, digits))
    return postgres(shown.rstrip("0"), len(shown) + exponent, bool(sign), limit)


@settings(max_examples=600, deadline=None)
@given(reals)
@example(5e-324)
@example(2.2250738585072014e-308)
@example(1.7976931348623157e308)
@example(9007199254740993.0)
@example(-0.0)
@example(1e15)
@example(0.0001)
@example(2.0**-1000)
def test_doubles(x: float) -> None:
    if math.isinf(x):
        assert show(formatting.format_f64, x) == ("-Infinity" if x < 0 else "Infinity")
    else:
        assert show(formatting.format_f64, x) == expected_float(repr(x), 15)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, (1 << 32) - 1))
def test_reals(bits: int) -> None:
    x = struct.unpack("<f", struct.pack("<I", bits))[0]
    if math.isfinite(x):
        shortest = numpy.format_float_scientific(numpy.float32(x), unique=True, trim="-")
        assert show(formatting.format_f32, x) == expected_float(shortest, 6)


def test_not_numbers() -> None:
    assert show(formatting.format_f64, math.nan) == "NaN"
    assert show(formatting.format_f32, math.inf) == "Infinity"
    assert [show(formatting.format_bool, flag) for flag in (0, 1)] == ["false", "true"]


@FAST
@given(st.datetimes())
def test_dates_and_timestamps(t: datetime) -> None:
    days = (t.date() - date(1970, 1, 1)).days
    assert show(formatting.format_date, days) == t.date().isoformat()
    micros = (t - EPOCH) // timedelta(microseconds=1)
    expected = t.isoformat(" ", "seconds") + (f".{t.microsecond:06d}".rstrip("0") if t.microsecond else "")
    assert show(formatting.format_timestamp, micros) == expected


def test_dates_outside_pythons_range() -> None:
    assert show(formatting.format_date, -719163) == "0001-12-31 BC"
    assert show(formatting.format_date, 2932897) == "10000-01-01"
    assert show(formatting.format_timestamp, -719163 * 86_400_000_000 + 1) == "0001-12-31 00:00:00.000001 BC"
