"""Functions of dates and timestamps through SQL against Python's datetime; what Python lacks, against our calendar."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zerodb
from zerodb_compiler.sql.calendar import add_months, civil_from_days

Check = Callable[..., None]
SETTINGS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
EPOCH = datetime.datetime(1970, 1, 1)
DAY = datetime.timedelta(days=1)
MICROSECOND = datetime.timedelta(microseconds=1)
DATES = st.one_of(st.none(), st.dates(datetime.date(100, 1, 1), datetime.date(9900, 12, 31)))
MOMENTS = st.one_of(
    st.none(),
    st.datetimes(datetime.datetime(100, 1, 1), datetime.datetime(9900, 12, 31)).map(lambda t: t.replace(fold=0)),
)
NUMBERS = st.one_of(st.none(), st.integers(-1000, 1000))


def months_later(day: datetime.date, months: int) -> datetime.date:
    epoch = datetime.date(1970, 1, 1)
    return epoch + DAY * add_months((day - epoch).days, months)


def moment_later(moment: datetime.datetime, months: int) -> datetime.datetime:
    return datetime.datetime.combine(months_later(moment.date(), months), moment.time())


def start(moment: datetime.datetime, unit: str) -> datetime.datetime:
    midnight = datetime.datetime(moment.year, moment.month, moment.day)
    match unit:
        case "year":
            return midnight.replace(month=1, day=1)
        case "quarter":
            return midnight.replace(month=(moment.month - 1) // 3 * 3 + 1, day=1)
        case "month":
            return midnight.replace(day=1)
        case "week":
            return midnight - DAY * moment.weekday()
        case "day":
            return midnight
        case "hour":
            return midnight.replace(hour=moment.hour)
        case "minute":
            return moment.replace(second=0, microsecond=0)
    return moment.replace(microsecond=0)


def start_of_day(day: datetime.date, unit: str) -> datetime.datetime:
    return start(datetime.datetime(day.year, day.month, day.day), unit)


def parts(column: str) -> dict[str, Callable[..., Any]]:
    """The parts that dates and timestamps share."""
    cases: dict[str, Callable[[datetime.date], int]] = {
        "year": lambda v: v.year,
        "month": lambda v: v.month,
        "day": lambda v: v.day,
        "quarter": lambda v: (v.month + 2) // 3,
        "dow": lambda v: v.isoweekday() % 7,
        "isodow": lambda v: v.isoweekday(),
        "doy": lambda v: v.timetuple().tm_yday,
        "week": lambda v: v.isocalendar().week,
    }
    return {
        f"extract({unit} from {column})": of_column(column, lambda value, case=case: Decimal(case(value)))  # type: ignore[misc]
        for unit, case in cases.items()
    }


def of_column(column: str, case: Callable[[Any], Any]) -> Callable[..., Any]:
    return (lambda d: case(d)) if column == "d" else (lambda t: case(t))


@SETTINGS
@given(rows=st.lists(st.tuples(DATES, MOMENTS), min_size=1, max_size=20))
def test_extract(check: Check, rows: list[tuple[Any, Any]]) -> None:
    cases: dict[str, Callable[..., Any]] = {
        **parts("d"),
        **parts("t"),
        "extract(hour from t)": lambda t: Decimal(t.hour),
        "extract(minute from t)": lambda t: Decimal(t.minute),
        "extract(second from t)": lambda t: Decimal(t.second * 10**6 + t.microsecond).scaleb(-6),
        "extract(epoch from t)": lambda t: Decimal((t - EPOCH) // MICROSECOND).scaleb(-6),
        "extract(epoch from d)": lambda d: Decimal((d - EPOCH.date()).days * 86400),
    }
    check("d date, t timestamp", cases, rows)


@SETTINGS
@given(rows=st.lists(st.tuples(DATES, MOMENTS), min_size=1, max_size=20))
def test_date_trunc(check: Check, rows: list[tuple[Any, Any]]) -> None:
    cases: dict[str, Callable[..., Any]] = {}
    for unit in ("year", "quarter", "month", "week", "day", "hour", "minute", "second"):
        cases[f"date_trunc('{unit}', t)"] = of_column("t", partial(start, unit=unit))
        cases[f"date_trunc('{unit}', d)::timestamp"] = of_column("d", partial(start_of_day, unit=unit))
    check("d date, t timestamp", cases, rows)


@SETTINGS
@given(rows=st.lists(st.tuples(DATES, MOMENTS, NUMBERS), min_size=1, max_size=20))
def test_arithmetic(check: Check, rows: list[tuple[Any, Any, Any]]) -> None:
    def midnight(day: datetime.date) -> datetime.datetime:
        return datetime.datetime(day.year, day.month, day.day)

    cases: dict[str, Callable[..., Any]] = {
        "d + n": lambda d, n: d + DAY * n,
        "d - n": lambda d, n: d - DAY * n,
        "n + d": lambda d, n: d + DAY * n,
        "d - 7": lambda d: d - DAY * 7,
        "d - date '2000-02-29'": lambda d: (d - datetime.date(2000, 2, 29)).days,
        "d + interval '1 month'": lambda d: midnight(months_later(d, 1)),
        "cast(d - interval '13 months' as date)": lambda d: months_later(d, -13),
        "t + interval '1 year 1 month'": lambda t: moment_later(t, 13),
        "t - interval '1 year'": lambda t: moment_later(t, -12),
        "t + interval '1 month 2 days 03:00:00.5'": lambda t: (
            moment_later(t, 1) + DAY * 2 + datetime.timedelta(hours=3, milliseconds=500)
        ),
        "t - interval '90 minutes'": lambda t: t - datetime.timedelta(minutes=90),
        "extract(year from d + interval '3 months')::integer": lambda d: months_later(d, 3).year,
    }
    check("d date, t timestamp, n integer", cases, rows)


@pytest.mark.parametrize("day", ["4714-12-01 BC", "0044-03-15 BC", "0001-12-31 BC", "0001-01-01", "200000-02-29"])
def test_years_that_python_does_not_have(db: zerodb.Connection, day: str) -> None:
    units = ("year", "month", "day", "dow", "doy", "week", "isodow")
    query = ", ".join(f"extract({unit} from d), extract({unit} from cast(d as timestamp))" for unit in units)
    ((number, *found),) = db.execute(
        f"select d - date '1970-01-01', {query} from (select cast(cast(? as text) as date) as d) x", [day]
    ).fetchall()
    year, month, date = civil_from_days(number)
    # The Gregorian calendar repeats itself, weekdays and all, every 400 years.
    twin = datetime.date(year % 400 + 2000, month, date)
    of_twin = (twin.month, twin.day, twin.isoweekday() % 7, twin.timetuple().tm_yday, twin.isocalendar().week)
    expected = (year if year > 0 else year - 1, *of_twin, twin.isoweekday())
    assert found == [value for value in expected for _ in range(2)]


def test_groups_and_filters(db: zerodb.Connection) -> None:
    """The bounds of a part decide how groups are kept: as an array for a few years."""
    db.execute("drop table if exists calendar")
    db.execute("create table calendar (d date)")
    days = [datetime.date(1992, 1, 1) + DAY * i for i in range(0, 2500, 3)]
    db.executemany("insert into calendar values (?)", [(day,) for day in days] + [(None,)])
    counts: dict[int | None, int] = {None: 1}
    for day in days:
        counts[day.year] = counts.get(day.year, 0) + 1
    found = db.execute(
        "select extract(year from d) as y, count(*) from calendar group by extract(year from d)"
    ).fetchall()
    assert dict(found) == counts
    query = "select count(*) from calendar where extract(month from d) = 2 and extract(year from d) < ?"
    expected = sum(day.month == 2 and day.year < 1995 for day in days)
    assert db.execute(query, [1995]).fetchall() == [(expected,)]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("d + n", "date out of range"),
        ("cast(d as timestamp)", "date out of range for timestamp"),
        ("t + interval '10 days'", "timestamp out of range"),
        ("t + interval '1 month'", "timestamp out of range"),
    ],
)
def test_out_of_range(db: zerodb.Connection, expression: str, message: str) -> None:
    db.execute("drop table if exists far")
    db.execute("create table far (d date, t timestamp, n integer)")
    db.execute("insert into far values ('5000000-01-01', '294246-12-28', 2147483647), (null, null, 2147483647)")
    query = f"select {expression} from far"
    with pytest.raises(zerodb.DataError) as caught:
        db.execute(query)
    assert (caught.value.sqlstate, caught.value.message) == ("22008", message)
    assert caught.value.position is not None
    assert db.execute(f"{query} where d is null").fetchall() == [(None,)]
