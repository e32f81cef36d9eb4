"""Text to value and back, for every type: PostgreSQL's input and output forms."""

from __future__ import annotations

import datetime
import math
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from zerodb_compiler import types as t
from zerodb_compiler.errors import DataError, ProgrammingError
from zerodb_compiler.sql.values import Value, format_value, parse_value, to_canonical

CHAR3 = t.SqlType(t.TypeId.TEXT, length=3, padded=True)
VARCHAR3 = t.SqlType(t.TypeId.TEXT, length=3)
INTEGERS = [t.SMALLINT, t.INTEGER, t.BIGINT, t.HUGEINT, t.U8, t.U16, t.U32, t.U64]


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (t.INTEGER, " 42 ", 42),
        (t.INTEGER, "-2147483648", -(1 << 31)),
        (t.U64, "18446744073709551615", (1 << 64) - 1),
        (t.numeric(4, 2), "1.005", 101),
        (t.numeric(4, 2), "-1.005", -101),
        (t.numeric(4, 2), "1e1", 1000),
        (t.numeric(4, 2), ".5", 50),
        (t.numeric(4, 2), "5.", 500),
        (t.numeric(38, 0), "9" * 38, 10**38 - 1),
        (t.numeric(2, 2), "1e-99999", 0),
        (t.BOOLEAN, "t", 1),
        (t.BOOLEAN, " OFF ", 0),
        (t.DATE, "1970-01-02", 1),
        (t.DATE, "0001-01-01 BC", -719_528),
        (t.DATE, "20000229", 11_016),
        (t.DATE, "2000/2/29", 11_016),
        (t.DATE, "2000-02-29 23:59:59", 11_016),
        (t.TIMESTAMP, "1970-01-01 00:00:01.5", 1_500_000),
        (t.TIMESTAMP, "1969-12-31T23:59:59Z", -1_000_000),
        (t.TIMESTAMP, "1970-01-02", 86_400_000_000),
        (t.TIMESTAMP, "1970-01-01 24:00", 86_400_000_000),
        (t.DOUBLE, "-Infinity", -math.inf),
        (t.DOUBLE, "1e-3", 0.001),
        (t.REAL, "0.1", 0.10000000149011612),
        (CHAR3, "a ", "a"),
        (VARCHAR3, "abc  ", "abc"),
        (t.TEXT, "a ", "a "),
    ],
)
def test_text_is_read(type_: t.SqlType, text: str, value: Value) -> None:
    assert parse_value(type_, text) == value


@pytest.mark.parametrize(
    ("type_", "text", "sqlstate"),
    [
        (t.INTEGER, "", "22P02"),
        (t.INTEGER, "1.5", "22P02"),
        (t.INTEGER, "1_000", "22P02"),
        (t.INTEGER, "2147483648", "22003"),
        (t.INTEGER, "9" * 10_000, "22003"),
        (t.U8, "-1", "22003"),
        (t.numeric(4, 2), "100", "22003"),
        (t.numeric(4, 2), "99.995", "22003"),
        (t.numeric(4, 2), "1e999999", "22003"),
        (t.numeric(4, 2), "1e9999999999999", "22003"),
        (t.numeric(4, 2), "one", "22P02"),
        (t.numeric(4, 2), ".", "22P02"),
        (t.BOOLEAN, "maybe", "22P02"),
        (t.BOOLEAN, "o", "22P02"),
        (t.DATE, "overmorrow", "22007"),
        (t.DATE, "2001-02-29", "22008"),
        (t.DATE, "0000-01-01", "22008"),
        (t.DATE, "2001-13-01", "22008"),
        (t.TIMESTAMP, "2001-01-01 25:00", "22008"),
        (t.TIMESTAMP, "2001-01-01 10", "22007"),
        (t.TIMESTAMP, "5000000-01-01", "22008"),
        (t.DOUBLE, "1e999", "22003"),
        (t.DOUBLE, "1_0", "22P02"),
        (t.REAL, "1e39", "22003"),
        (VARCHAR3, "abcd", "22001"),
        (t.TEXT, "a\0", "22021"),
    ],
)
def test_bad_text_is_refused(type_: t.SqlType, text: str, sqlstate: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_value(type_, text, 7)
    assert (caught.value.sqlstate, caught.value.position) == (sqlstate, 7)


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        (t.BOOLEAN, 1, "true"),
        (t.numeric(5, 2), -5, "-0.05"),
        (t.numeric(5, 0), 5, "5"),
        (t.DOUBLE, 1e15, "1e+15"),
        (t.DOUBLE, 123456789012345.0, "123456789012345"),
        (t.DOUBLE, 0.0001, "0.0001"),
        (t.DOUBLE, 0.00001, "1e-05"),
        (t.DOUBLE, -0.0, "-0"),
        (t.DOUBLE, math.nan, "NaN"),
        (t.REAL, 0.10000000149011612, "0.1"),
        (t.REAL, 1e6, "1e+06"),
        (t.DATE, -719_528, "0001-01-01 BC"),
        (t.TIMESTAMP, -1, "1969-12-31 23:59:59.999999"),
        (CHAR3, "a", "a  "),
        (t.INTEGER, None, None),
    ],
)
def test_values_are_written(type_: t.SqlType, value: Value, text: str | None) -> None:
    assert format_value(type_, value) == text


@given(some.data(), some.sampled_from([*INTEGERS, t.numeric(38, 20), t.numeric(3, 3), t.BOOLEAN]))
def test_discrete_values_survive_their_text(data: some.DataObject, type_: t.SqlType) -> None:
    value = data.draw(some.integers(*type_.bounds))
    assert parse_value(type_, format_value(type_, value) or "") == value


@given(some.floats())
def test_doubles_survive_their_text(value: float) -> None:
    again = parse_value(t.DOUBLE, format_value(t.DOUBLE, value) or "")
    assert isinstance(again, float)
    assert again == value or (math.isnan(again) and math.isnan(value))


@given(some.floats(width=32))
def test_reals_survive_their_text(value: float) -> None:
    again = parse_value(t.REAL, format_value(t.REAL, value) or "")
    assert isinstance(again, float)
    assert again == value or (math.isnan(again) and math.isnan(value))


@given(some.dates())
def test_dates_agree_with_python(day: datetime.date) -> None:
    value = to_canonical(t.DATE, day)
    assert parse_value(t.DATE, day.isoformat()) == value
    assert format_value(t.DATE, value) == day.isoformat()


@given(some.datetimes())
def test_timestamps_agree_with_python(moment: datetime.datetime) -> None:
    value = to_canonical(t.TIMESTAMP, moment)
    assert parse_value(t.TIMESTAMP, str(moment)) == value
    text = format_value(t.TIMESTAMP, value)
    assert text is not None
    assert datetime.datetime.fromisoformat(text) == moment


@given(some.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9))
def test_numerics_round_half_away_from_zero(number: Decimal) -> None:
    wanted = number.quantize(Decimal("0.01"), ROUND_HALF_UP, Context(prec=60))
    assert parse_value(t.numeric(20, 2), str(number)) == int(wanted.scaleb(2))


def test_python_objects_become_canonical() -> None:
    assert to_canonical(t.INTEGER, 7) == 7
    assert to_canonical(t.INTEGER, Decimal("7.0")) == 7
    assert to_canonical(t.numeric(10, 2), 1) == 100
    assert to_canonical(t.numeric(10, 2), 0.1) == 10
    assert to_canonical(t.numeric(10, 2), Decimal("1.005")) == 101
    assert to_canonical(t.DOUBLE, 1) == 1.0
    assert to_canonical(t.BOOLEAN, True) == 1
    assert to_canonical(t.TEXT, 5) == "5"
    assert to_canonical(t.DATE, "1970-01-02") == 1
    assert to_canonical(t.TIMESTAMP, datetime.date(1970, 1, 2)) == 86_400_000_000
    assert to_canonical(t.TEXT, None) is None


@pytest.mark.parametrize(
    ("type_", "value"),
    [(t.INTEGER, 1.5), (t.INTEGER, True), (t.DATE, 5), (t.BOOLEAN, 2), (t.TEXT, b"x"), (t.TIMESTAMP, object())],
)
def test_objects_of_other_types_are_refused(type_: t.SqlType, value: object) -> None:
    with pytest.raises(ProgrammingError) as caught:
        to_canonical(type_, value)
    assert caught.value.sqlstate == "42804"


def test_integers_out_of_range_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        to_canonical(t.SMALLINT, 40_000)
    assert caught.value.sqlstate == "22003"
