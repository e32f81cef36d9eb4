"""Date kernels against Python's datetime (years 1 - 9999) and, outside it, by the calendar's 400-year period."""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_runner import Kernels

from zerodb_compiler.kernels import dates, errors

NAMES = [name for name in vars(dates) if name.startswith(("extract_", "date_", "timestamp_"))]
K = Kernels(dates.civil_from_days, dates.days_from_civil, *(getattr(dates, name) for name in NAMES))
run = K.run
EPOCH = datetime(1970, 1, 1)
FAST = settings(max_examples=200, deadline=None)


def micros(t: datetime) -> int:
    return (t - EPOCH) // timedelta(microseconds=1)


@FAST
@given(st.dates())
def test_parts_of_dates(d: date) -> None:
    days = (d - EPOCH.date()).days
    assert run(dates.civil_from_days, days) == (d.year, d.month, d.day)
    assert run(dates.days_from_civil, d.year, d.month, d.day) == days
    assert run(dates.extract_year, days) == d.year
    assert run(dates.extract_month, days) == d.month
    assert run(dates.extract_day, days) == d.day
    assert run(dates.extract_quarter, days) == (d.month + 2) // 3
    assert run(dates.extract_isodow, days) == d.isoweekday()
    assert run(dates.extract_dow, days) == d.isoweekday() % 7
    assert run(dates.extract_doy, days) == d.timetuple().tm_yday
    assert run(dates.extract_week, days) == d.isocalendar().week


@FAST
@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_the_calendar_repeats_every_400_years(days: int) -> None:
    year, month, day = run(dates.civil_from_days, days)
    assert run(dates.days_from_civil, year, month, day) == days
    cycles, rest = divmod(days, 146097)
    near = EPOCH.date() + timedelta(days=rest)
    assert (year - 400 * cycles, month, day) == (near.year, near.month, near.day)
    assert run(dates.extract_year, days) == (year if year > 0 else year - 1)


@FAST
@given(st.datetimes())
def test_timestamps(t: datetime) -> None:
    value = micros(t)
    midnight = datetime(t.year, t.month, t.day)
    assert run(dates.timestamp_days, value) == (midnight - EPOCH).days
    assert run(dates.timestamp_time, value) == value - micros(midnight)
    assert run(dates.extract_hour, value) == t.hour
    assert run(dates.extract_minute, value) == t.minute
    assert run(dates.extract_second, value) == t.second * 10**6 + t.microsecond
    truncated = {
        dates.date_trunc_year: datetime(t.year, 1, 1),
        dates.date_trunc_quarter: datetime(t.year, (t.month - 1) // 3 * 3 + 1, 1),
        dates.date_trunc_month: datetime(t.year, t.month, 1),
        dates.date_trunc_day: midnight,
        dates.date_trunc_hour: t.replace(minute=0, second=0, microsecond=0),
        dates.date_trunc_minute: t.replace(second=0, microsecond=0),
        dates.date_trunc_second: t.replace(microsecond=0),
    }
    for function, expected in truncated.items():
        assert run(function, value) == micros(expected), function
    week = micros(midnight) - t.weekday() * dates.DAY
    assert run(dates.date_trunc_week, value) == week


@FAST
@given(st.datetimes(), st.integers(-200_000, 200_000))
def test_adding_months_clips_the_day(t: datetime, months: int) -> None:
    total = t.year * 12 + t.month - 1 + months
    year, month = divmod(total, 12)
    if not 1 <= year <= 9999:
        return
    moved = date(year, month + 1, min(t.day, calendar.monthrange(year, month + 1)[1]))
    days = (t.date() - EPOCH.date()).days
    assert run(dates.date_add_months, days, months) == ((moved - EPOCH.date()).days, errors.OK)
    result, status = run(dates.timestamp_add_months, micros(t), months)
    assert (result, status) == (micros(datetime.combine(moved, t.time())), errors.OK)


def test_ranges() -> None:
    assert run(dates.date_add_months, 0, 1 << 31)[1] == errors.OVERFLOW
    assert run(dates.timestamp_add_months, 0, 12 * 400_000)[1] == errors.OVERFLOW
    assert run(dates.date_to_timestamp, (1 << 31) - 1)[1] == errors.OVERFLOW
    assert run(dates.date_to_timestamp, -5) == (-5 * dates.DAY, errors.OK)
    assert run(dates.timestamp_days, -(1 << 63)) == -106751992
    assert run(dates.timestamp_time, -(1 << 63)) == -(1 << 63) % dates.DAY
