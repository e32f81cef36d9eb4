"""Casts through SQL against Python: exact, rounded as PostgreSQL does, and with its errors."""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zerodb
from zerodb_compiler.sql.values import format_value, parse_value
from zerodb_compiler.types import DATE, DOUBLE, REAL, TIMESTAMP

Check = Callable[..., None]
SETTINGS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
EPOCH = datetime.datetime(1970, 1, 1)
MOMENTS = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)).map(lambda t: t.replace(fold=0))
EXACT = Context(prec=400)
BIGINTS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-1000, 1000))
DOUBLES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**9), 10**9).map(lambda n: n / 1000),
    st.sampled_from([0.0, -0.0, 0.285, 1e15, 123456789012345.6, 1e-7, 5e-324, 1.7976931348623157e308]),
)


def nullable(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


def single(value: float) -> float:
    result: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return result


def rounded(value: Decimal, scale: int) -> Decimal:
    """Half away from zero; without a negative zero."""
    return EXACT.add(value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT), 0)


def quantized(value: float, scale: int) -> Decimal:
    """As PostgreSQL: the first 15 digits, then half away from zero."""
    short = Decimal(f"{value:.14e}")
    return rounded(short, scale)


def micros(moment: datetime.datetime) -> int:
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)


@SETTINGS
@given(rows=st.lists(st.tuples(nullable(BIGINTS)), min_size=1, max_size=20))
def test_integers(check: Check, rows: list[tuple[int | None]]) -> None:
    cases: dict[str, Callable[..., Any]] = {
        "cast(n as text)": lambda n: str(n),
        "cast(cast(n as text) as bigint)": lambda n: n,
        "cast(cast(n as hugeint) as text)": lambda n: str(n),
        "cast(' ' || cast(n as text) || ' ' as hugeint)": lambda n: n,
        "cast(n as varchar(3))": lambda n: str(n)[:3],
        "cast(n as char(2))": lambda n: str(n)[:2],
        "cast(n as double precision)": lambda n: float(n),
        "cast(n as numeric(20,1))": lambda n: Decimal(f"{n}.0"),
        "cast(cast(n as numeric(20,1)) as text)": lambda n: f"{n}.0",
        "cast(cast(n % 2 as integer) as boolean)": lambda n: n % 2 != 0,
        "cast(n > 5 as integer)": lambda n: int(n > 5),
        "cast(n > 5 as text)": lambda n: "true" if n > 5 else "false",
        "cast(cast(n > 5 as text) as boolean)": lambda n: n > 5,
    }
    check("n bigint", cases, rows)


@SETTINGS
@given(rows=st.lists(st.tuples(nullable(DOUBLES)), min_size=1, max_size=20))
def test_doubles(check: Check, rows: list[tuple[float | None]]) -> None:
    small = "case when abs(x) < 1e14 then x end"
    cases: dict[str, Callable[..., Any]] = {
        "cast(x as text)": lambda x: format_value(DOUBLE, x),
        "cast(cast(x as text) as double precision)": lambda x: x,
        f"cast({small} as numeric(20,2))": lambda x: quantized(x, 2) if abs(x) < 1e14 else None,
        f"cast({small} as numeric(38,20))": lambda x: quantized(x, 20) if abs(x) < 1e14 else None,
        f"cast({small} as bigint)": lambda x: round(x) if abs(x) < 1e14 else None,
        # What is too small for a real is an error, as is what is too large.
        "cast(case when abs(x) < 1e38 and (abs(x) > 1e-37 or x = 0) then x end as real)": lambda x: (
            single(x) if x == 0 or 1e-37 < abs(x) < 1e38 else None
        ),
    }
    check("x double precision", cases, rows)


@SETTINGS
@given(rows=st.lists(st.tuples(nullable(st.integers(-(10**38) + 1, 10**38 - 1))), min_size=1, max_size=20))
def test_numerics(check: Check, rows: list[tuple[int | None]]) -> None:
    """Values of 38 digits arrive as text: nothing else holds them."""

    def scaled(digits: int, scale: int) -> Decimal:
        return EXACT.scaleb(Decimal(digits), -scale)

    number = "cast(n as numeric(38,0))"
    # 19 digits behind the point, from the text.
    pointed = "cast(n || 'e-19' as numeric(38,19))"
    cases: dict[str, Callable[..., Any]] = {
        f"cast({number} as text)": lambda n: n,
        f"cast({pointed} as text)": lambda n: f"{scaled(int(n), 19):f}",
        f"cast({number} as double precision)": lambda n: float(Fraction(int(n))),
        f"cast({pointed} as double precision)": lambda n: float(Fraction(int(n), 10**19)),
        f"cast(cast({pointed} as numeric(30,3)) as text)": lambda n: f"{rounded(scaled(int(n), 19), 3):f}",
    }
    check("n text", cases, [(None if n is None else str(n),) for (n,) in rows])


@SETTINGS
@given(rows=st.lists(st.tuples(nullable(st.floats(width=32, allow_nan=False))), min_size=1, max_size=20))
def test_reals(check: Check, rows: list[tuple[float | None]]) -> None:
    cases: dict[str, Callable[..., Any]] = {
        "cast(cast(x as real) as text)": lambda x: format_value(REAL, x),
        "cast(cast(cast(x as real) as text) as real)": lambda x: x,
        "cast(cast(x as real) as double precision)": lambda x: x,
    }
    check("x double precision", cases, rows)


@SETTINGS
@given(
    rows=st.lists(
        st.tuples(
            nullable(st.dates()),
            nullable(MOMENTS),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_dates(check: Check, rows: list[tuple[datetime.date | None, datetime.datetime | None]]) -> None:
    cases: dict[str, Callable[..., Any]] = {
        "cast(d as text)": lambda d: d.isoformat(),
        "cast(cast(d as text) as date)": lambda d: d,
        "cast(d as timestamp)": lambda d: datetime.datetime(d.year, d.month, d.day),
        "cast(t as text)": lambda t: format_value(TIMESTAMP, micros(t)),
        "cast(cast(t as text) as timestamp)": lambda t: t,
        "cast(t as date)": lambda t: t.date(),
        "cast(cast(t as text) as date)": lambda t: t.date(),
    }
    check("d date, t timestamp", cases, rows)


@pytest.mark.parametrize("year", [-4712, -44, 0, 1, 9999, 10000, 294000])
def test_years_that_python_does_not_have(db: zerodb.Connection, year: int) -> None:
    era, shown = (" BC", 1 - year) if year < 1 else ("", year)
    text = f"{shown:04d}-02-28{era}"
    query = (
        "select cast(cast(a as date) as text), cast(cast(a as timestamp) as text) from (select cast(? as text) as a) b"
    )
    expected = format_value(TIMESTAMP, parse_value(TIMESTAMP, text))
    assert db.execute(query, [text]).fetchall() == [(format_value(DATE, parse_value(DATE, text)), expected)]


def test_not_a_number(db: zerodb.Connection) -> None:
    db.execute("drop table if exists f")
    db.execute("create table f (a text)")
    db.executemany("insert into f values (?)", [("NaN",), ("-inf",), (" Infinity ",), ("nan",)])
    found = db.execute("select cast(a as double precision), cast(cast(a as real) as text) from f").fetchall()
    assert [text for _, text in found] == ["NaN", "-Infinity", "Infinity", "NaN"]
    assert math.isnan(found[0][0])
    assert found[1][0] == -math.inf
    with pytest.raises(zerodb.DataError) as caught:
        db.execute("select cast(cast(a as double precision) as numeric(10,2)) from f")
    assert caught.value.sqlstate == "22003"


ERRORS = [
    ("12x", "integer", "22P02", 'invalid input syntax for type integer: "12x"'),
    ("", "integer", "22P02", 'invalid input syntax for type integer: ""'),
    ("1.5", "bigint", "22P02", 'invalid input syntax for type bigint: "1.5"'),
    ("2147483648", "integer", "22003", 'value "2147483648" is out of range for type integer'),
    ("-1", "u8", "22003", 'value "-1" is out of range for type u8'),
    ("9" * 60, "hugeint", "22003", f'value "{"9" * 60}" is out of range for type hugeint'),
    ("1000", "numeric(4,1)", "22003", "numeric field overflow: value does not fit numeric(4,1)"),
    ("1e99", "numeric(38,1)", "22003", "numeric field overflow: value does not fit numeric(38,1)"),
    ("é", "numeric(4,1)", "22P02", 'invalid input syntax for type numeric: "é"'),
    ("1e", "double precision", "22P02", 'invalid input syntax for type double precision: "1e"'),
    ("1e400", "double precision", "22003", 'value "1e400" is out of range for type double precision'),
    ("1e39", "real", "22003", 'value "1e39" is out of range for type real'),
    ("maybe", "boolean", "22P02", 'invalid input syntax for type boolean: "maybe"'),
    ("2021-02", "date", "22007", 'invalid input syntax for type date: "2021-02"'),
    ("2021-02-29", "date", "22008", 'date/time field value out of range: "2021-02-29"'),
    ("2021-02-28 25:00", "timestamp", "22008", 'date/time field value out of range: "2021-02-28 25:00"'),
    ("soon", "timestamp", "22007", 'invalid input syntax for type timestamp: "soon"'),
]


@pytest.mark.parametrize(("text", "type_", "sqlstate", "message"), ERRORS)
def test_bad_text(db: zerodb.Connection, text: str, type_: str, sqlstate: str, message: str) -> None:
    db.execute("drop table if exists bad")
    db.execute("create table bad (i integer, a text)")
    db.execute("insert into bad values (1, null), (2, ?)", [text])
    query = f"select i, cast(a as {type_}) from bad"
    with pytest.raises(zerodb.DataError) as caught:
        db.execute(query)
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)
    # Texts of dates and times in other forms than ISO are read by the host, which does not know the place.
    position = caught.value.position
    assert type_ in ("date", "timestamp") or position is not None
    assert position is None or query.index("cast") <= position < query.index(" from")
    guarded = f"select case when i = 1 then cast(a as {type_}) end from bad"
    assert db.execute(guarded).fetchall() == [(None,), (None,)]
    with pytest.raises(zerodb.DataError) as constant:
        db.execute(f"select cast('{text}' as {type_})")
    assert constant.value.sqlstate == sqlstate, "at compile time as at run time"


@pytest.mark.parametrize("text", ["t", "TRUE", " yes ", "on", "1", "f", "False", "n", "off", "0", "of", "tru"])
def test_booleans_read_as_constants_do(db: zerodb.Connection, text: str) -> None:
    at_run_time = db.execute("select cast(a as boolean) from (select cast(? as text) as a) b", [text]).fetchall()
    assert at_run_time == db.execute(f"select cast('{text}' as boolean)").fetchall()


def test_lengths(db: zerodb.Connection) -> None:
    db.execute("drop table if exists t")
    db.execute("create table t (a text)")
    db.executemany("insert into t values (?)", [("é☃𝄞xyz",), ("ab",), ("a    b",), ("",), (None,)])
    found = db.execute("select cast(a as varchar(3)), length(cast(a as char(3))), cast(a as text) from t").fetchall()
    assert [row[0] for row in found] == ["é☃𝄞", "ab", "a  ", "", None]
    assert [row[1] for row in found] == [3, 2, 1, 0, None]
    assert [row[2] for row in found] == ["é☃𝄞xyz", "ab", "a    b", "", None]
