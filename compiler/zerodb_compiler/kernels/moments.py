"""Moments and zones: conversions, casts with infinities, parts of years, making (their texts: moment_text).

A zone table is what zerodb_compiler/zones.py makes: n, then n moments, n local moments and n offsets, each 64 bits.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.dates import (
    DAY,
    HOUR,
    MINUTE,
    civil_from_days,
    days_from_civil,
    floor_divide,
    timestamp_days,
    timestamp_time,
)
from zerodb_compiler.kernels.intervals import (
    checked_moment,
    is_infinite,
    timestamp_add_days,
    timestamp_add_time,
)
from zerodb_compiler.kernels.intrinsics import (
    div_s,
    div_u,
    f64,
    i32,
    i64,
    load64,
    nearest,
    ptr,
    rem_s,
    rem_u,
    select,
)

INFINITY = float("inf")


# --- zones ------------------------------------------------------------------------------------------------------------
def zone_offset(table: ptr, moment: i64, local: i32) -> i64:
    """The offset from UTC in microseconds at a moment, given in UTC or (`local`) as the zone's clock shows it."""
    count = i32(load64(table))
    first = table + 8 + select(local, count * 8, 0)
    low = 0
    high = count
    while high - low > 1:
        middle = (low + high) >> 1
        if load64(first + middle * 8) <= moment:
            low = middle
        else:
            high = middle
    return load64(table + 8 + count * 16 + low * 8)


def local_of_timestamptz(moment: i64, table: ptr) -> i64:
    if is_infinite(moment):
        return moment
    return moment + zone_offset(table, moment, 0)


def timestamptz_of_local(moment: i64, table: ptr) -> tuple[i64, i32]:
    if is_infinite(moment):
        return moment, errors.OK
    result, status = timestamp_add_time(moment, -zone_offset(table, moment, 1))
    return result, status


def timestamptz_add_interval(moment: i64, low: i64, high: i64, table: ptr) -> tuple[i64, i32]:
    """Months and days are moved on the zone's clock, the time is added to the moment."""
    if is_infinite(moment):
        return moment, errors.OK
    if high != 0:
        local, status = timestamp_add_days(moment + zone_offset(table, moment, 0), high)
        if status != 0:
            return 0, status
        moment = local - zone_offset(table, local, 1)
    result, status = timestamp_add_time(moment, low)
    return result, status


# --- casts with infinities --------------------------------------------------------------------------------------------
def date_of_timestamp(moment: i64) -> i64:
    if is_infinite(moment):
        return select(moment < 0, -2147483648, 2147483647)
    return timestamp_days(moment)


def timestamp_of_date(days: i64) -> tuple[i64, i32]:
    if days == -2147483648:
        return -9223372036854775808, errors.OK
    if days == 2147483647:
        return 9223372036854775807, errors.OK
    result, status = checked_moment(days, 0)
    return result, status


def round_micros(value: i64, unit: i64) -> i64:
    """To a multiple of the unit, half away from zero; infinities stay."""
    if is_infinite(value):
        return value
    half = div_u(unit, 2)
    if value < 0:
        return div_s(value - half, unit) * unit
    return div_s(value + half, unit) * unit


# --- parts of years ---------------------------------------------------------------------------------------------------
def extract_century(days: i64) -> i64:
    year, _, _ = civil_from_days(days)
    return select(year > 0, div_s(year + 99, 100), -div_s(100 - year, 100))


def extract_millennium(days: i64) -> i64:
    year, _, _ = civil_from_days(days)
    return select(year > 0, div_s(year + 999, 1000), -div_s(1000 - year, 1000))


def extract_decade(days: i64) -> i64:
    year, _, _ = civil_from_days(days)
    return floor_divide(year, 10)


def extract_isoyear(days: i64) -> i64:
    weekday = rem_s(days + 3, 7)
    thursday = days - select(weekday < 0, weekday + 7, weekday) + 3
    year, _, _ = civil_from_days(thursday)
    return year - i64(year <= 0)


def date_trunc_years(moment: i64, span: i64, first: i64) -> i64:
    """To the year that begins the decade (10, 0), century (100, 1) or millennium (1000, 1)."""
    if is_infinite(moment):
        return moment
    year, _, _ = civil_from_days(timestamp_days(moment))
    return days_from_civil(floor_divide(year - first, span) * span + first, 1, 1) * DAY


def date_trunc_micros(moment: i64, unit: i64) -> i64:
    if is_infinite(moment):
        return moment
    return moment - rem_u(timestamp_time(moment), unit)


def make_date(year: i64, month: i64, day: i64) -> tuple[i64, i32]:
    """PostgreSQL's years: -1 is 1 BC, there is no year 0."""
    if year == 0 or month < 1 or month > 12 or day < 1 or day > 31:
        return 0, errors.INVALID_COUNT
    if year < 0:
        year += 1
    if year < -4713 or year > 5874897:
        return 0, errors.INVALID_COUNT
    days = days_from_civil(year, month, day)
    _, same_month, _ = civil_from_days(days)
    return days, select(same_month == month, errors.OK, errors.INVALID_COUNT)


def make_time(hour: i64, minute: i64, second: f64) -> tuple[i64, i32]:
    if hour < 0 or hour > 24 or minute < 0 or minute > 59 or not (second >= 0.0 and second <= 60.0):
        return 0, errors.INVALID_COUNT
    time = hour * HOUR + minute * MINUTE + i64(nearest(second * 1000000.0))
    return time, select(time > DAY, errors.INVALID_COUNT, errors.OK)


def timestamptz_of_seconds(seconds: f64) -> tuple[i64, i32]:
    """Seconds since 1970."""
    if seconds == INFINITY:
        return 9223372036854775807, errors.OK
    if seconds == -INFINITY:
        return -9223372036854775808, errors.OK
    if not (seconds >= -210866803200.0 and seconds < 9224318016000.0):
        return 0, errors.OVERFLOW
    micros, status = timestamp_add_time(i64(nearest(seconds * 1000000.0)), 0)
    return micros, status
