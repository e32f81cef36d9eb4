"""Text as values against Python's own reading."""

from __future__ import annotations

import decimal
import math
import struct
from datetime import datetime, timedelta
from decimal import Decimal

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_runner import Kernels
from test_int128 import HIGH, LOW, integers, join

from zerodb_compiler.kernels import parsing
from zerodb_compiler.kernels.errors import INVALID_TEXT, OK, OVERFLOW

K = Kernels(
    parsing.parse_integer, parsing.parse_decimal, parsing.parse_f64, parsing.parse_f32, parsing.parse_date,
    parsing.parse_timestamp, parsing.parse_bool, parsing.f64_to_real,
)  # fmt: skip
FAST = settings(max_examples=300, deadline=None)
EPOCH = datetime(1970, 1, 1)


def read(function: object, value: str, *arguments: int) -> tuple[float, ...]:
    K.reset()
    result: tuple[float, ...] = K.run(function, *K.put(value.encode()), *arguments)  # type: ignore[arg-type]
    return result


@FAST
@given(st.one_of(integers, st.integers(-(10**41), 10**41)), st.sampled_from(["", " ", "\t\n"]), st.integers(0, 3))
def test_integers(a: int, space: str, zeros: int) -> None:
    digits = ("-" if a < 0 else "+" if zeros == 2 else "") + "0" * zeros + str(abs(a))
    low, high, status = read(parsing.parse_integer, space + digits + space)
    assert status == (OK if LOW <= a <= HIGH else OVERFLOW)
    if status == OK:
        assert join(int(low), int(high)) == a
    assert read(parsing.parse_integer, digits + "x")[2] == INVALID_TEXT


@FAST
@given(
    st.integers(-(10**40), 10**40),
    st.integers(-45, 12),
    st.integers(0, 38),
    st.integers(-8, 8),
)
def test_decimals(digits: int, exponent: int, scale: int, shown: int) -> None:
    with decimal.localcontext(prec=200):
        value = Decimal(digits).scaleb(exponent)
        text = f"{value:f}" if shown % 2 else f"{value.scaleb(-shown):f}e{shown}"
        kept = value
        if len(str(abs(digits))) > 38:  # documented: the first 38 digits count
            cut = len(str(abs(digits))) - 38
            kept = Decimal(int(digits / abs(digits)) * (abs(digits) // 10**cut)).scaleb(exponent + cut)
        exact = int((kept.scaleb(scale)).to_integral_value(decimal.ROUND_HALF_UP))
    low, high, status = read(parsing.parse_decimal, text, scale)
    assert status == (OK if abs(exact) < 10**38 else OVERFLOW), text
    if status == OK:
        assert join(int(low), int(high)) == exact, text


@pytest.mark.parametrize(
    "text",
    ["", " ", "-", "+", ".", "1..2", "1.2.3", "1e", "1e+", "e5", "1 2", "--1", "0x10", "1_0", "1e5x", "+-1", "nann"],
)
def test_what_is_no_number(text: str) -> None:
    assert read(parsing.parse_decimal, text, 2)[2] == INVALID_TEXT
    assert read(parsing.parse_f64, text)[1] == INVALID_TEXT
    assert read(parsing.parse_integer, text)[2] == INVALID_TEXT


def bits(x: float) -> bytes:
    return struct.pack("<d", x)


@settings(max_examples=600, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(2.2250738585072014e-308)
@example(1.7976931348623157e308)
def test_doubles_read_back(x: float) -> None:
    assert read(parsing.parse_f64, repr(x)) == (x, OK)
    assert bits(read(parsing.parse_f64, repr(-x))[0]) == bits(-x)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 10**19 - 1), st.integers(-345, 310))
@example(9007199254740993, 0)
@example(9007199254740993, -3)
@example(45035996273704985, -1)
@example(24703282292062327, -340)
@example(17976931348623159, 292)
def test_doubles_are_correctly_rounded(digits: int, exponent: int) -> None:
    text = f"{digits}e{exponent}"
    expected = float(text)
    value, status = read(parsing.parse_f64, text)
    out_of_range = math.isinf(expected) or (expected == 0 and digits != 0)
    assert status == (OVERFLOW if out_of_range else OK), text
    if status == OK:
        assert value == expected, text


@settings(max_examples=600, deadline=None)
@given(st.integers(10**18, 10**60), st.integers(-380, 290))
@example(90071992547409950 * 10**20, -21)
@example(9007199254740995 * 10**22, -22)
@example(9007199254740993 * 10**20, -20)
@example(9007199254740993 * 10**20 + 1, -20)
@example(18446744073709553664, 0)
@example(18446744073709553665, 0)
@example(10**19 + 1, -342)
@example(123456789012345678901234567890, -350)
def test_long_numbers_are_correctly_rounded(digits: int, exponent: int) -> None:
    text = f"{digits}e{exponent}"
    expected = float(text)
    value, status = read(parsing.parse_f64, text)
    out_of_range = math.isinf(expected) or expected == 0
    assert status == (OVERFLOW if out_of_range else OK), text
    if status == OK:
        assert value == expected, text


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.integers(0, 10**19 - 1), st.integers(0, 10**8)), st.integers(-50, 36))
def test_reals_are_rounded_once(digits: int, exponent: int) -> None:
    text = f"{digits}e{exponent}"
    with numpy.errstate(all="ignore"):
        expected = float(numpy.float32(text))
    value, status = read(parsing.parse_f32, text)
    out_of_range = math.isinf(expected) or (expected == 0 and digits != 0)
    assert status == (OVERFLOW if out_of_range else OK), text
    if status == OK:
        assert value == expected, text


def test_special_floats() -> None:
    for text in ("Infinity", "inf", "+INF", " infinity "):
        assert read(parsing.parse_f64, text) == (math.inf, OK)
        assert read(parsing.parse_f32, text) == (math.inf, OK)
    assert read(parsing.parse_f64, "-Infinity") == (-math.inf, OK)
    value, status = read(parsing.parse_f64, "NaN")
    assert math.isnan(value)
    assert status == OK
    assert math.isnan(read(parsing.parse_f32, "nan")[0])
    assert read(parsing.parse_f64, "1e400")[1] == OVERFLOW
    assert read(parsing.parse_f64, "123456789012345678901234567890") == (123456789012345678901234567890.0, OK)
    assert K.run(parsing.f64_to_real, 1e39)[1] == OVERFLOW
    assert K.run(parsing.f64_to_real, 0.1) == (float(numpy.float32(0.1)), OK)


@FAST
@given(st.datetimes())
def test_dates_and_timestamps(t: datetime) -> None:
    micros = (t - EPOCH) // timedelta(microseconds=1)
    days = (t - EPOCH).days
    for separator in (" ", "T"):
        assert read(parsing.parse_timestamp, t.isoformat(separator)) == (micros, OK)
    assert read(parsing.parse_timestamp, f"{t:%Y}".zfill(4) + f"{t:-%m-%d %H:%M}")[1] == OK
    assert read(parsing.parse_date, t.isoformat()[:10]) == (days, OK)
    assert read(parsing.parse_date, " " + t.isoformat()[:10].replace("-", "/")) == (days, OK)
    assert read(parsing.parse_date, t.isoformat()[:10].replace("-", "")) == (days, OK)


def test_odd_dates() -> None:
    assert read(parsing.parse_date, "0001-12-31 BC") == (-719163, OK)
    assert read(parsing.parse_date, "10000-01-01") == (2932897, OK)
    assert read(parsing.parse_date, "2024-2-9") == (19762, OK)
    assert read(parsing.parse_timestamp, "1970-01-01 24:00:00") == (86_400_000_000, OK)
    assert read(parsing.parse_timestamp, "1970-01-01 00:00:00.1234567Z") == (123457, OK)
    for wrong in ("2023-02-29", "2024-13-01", "2024-00-10", "2024-01-32", "0000-01-01", "2024-01-01 25:00:00"):
        assert read(parsing.parse_date, wrong)[1] == OVERFLOW, wrong
    for wrong in ("", "x", "2024", "2024-01", "2024-01-", "2024-01/01", "2024-01-01x", "2024-01-01 9", "2024-01-01 1:"):
        assert read(parsing.parse_timestamp, wrong)[1] == INVALID_TEXT, wrong
    assert read(parsing.parse_timestamp, "300000-01-01")[1] == OVERFLOW


def test_booleans() -> None:
    for word, value in {"true": 1, "false": 0, "yes": 1, "no": 0}.items():
        for size in range(1, len(word) + 1):
            assert read(parsing.parse_bool, " " + word[:size].upper()) == (value, OK)
    for text, value in {"on": 1, "off": 0, "of": 0, "1": 1, "0": 0}.items():
        assert read(parsing.parse_bool, text) == (value, OK)
    for text in ("", "o", "2", "10", "truee", "nope", "yess", "offf"):
        assert read(parsing.parse_bool, text)[1] == INVALID_TEXT, text
