"""Dates and timestamps: proleptic Gregorian calendar, days and microseconds since 1970-01-01, floor semantics below it.

Years are astronomical (0 is 1 BC) except in `extract_year`, which follows PostgreSQL (1 BC is -1). The conversions are
Howard Hinnant's ("chrono-compatible low-level date algorithms"): years begin in March, so that the leap day is last.
A timestamp's date parts are those of `timestamp_days(t)`, its time parts those of `timestamp_time(t)`.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.intrinsics import Table, div_s, div_u, i32, i64, inline, rem_s, select

DAY = 86_400_000_000
HOUR = 3_600_000_000
MINUTE = 60_000_000
SECOND = 1_000_000
# Days beyond which a timestamp is beyond 64 bits; also far outside what a date holds.
MAX_TIMESTAMP_DAYS = (1 << 63) // DAY - 1

DAYS_IN_MONTH = Table("i64", (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), "days_in_month")


@inline
def floor_divide(a: i64, b: i64) -> i64:
    """For a positive b."""
    return div_s(a - ((a >> 63) & (b - 1)), b)


def civil_from_days(days: i64) -> tuple[i64, i64, i64]:
    """Year, month 1-12, day 1-31."""
    shifted = days + 719468
    era = floor_divide(shifted, 146097)
    day_of_era = shifted - era * 146097
    year_of_era = div_u(
        day_of_era - div_u(day_of_era, 1460) + div_u(day_of_era, 36524) - div_u(day_of_era, 146096), 365
    )
    day_of_year = day_of_era - (365 * year_of_era + (year_of_era >> 2) - div_u(year_of_era, 100))
    shifted_month = div_u(5 * day_of_year + 2, 153)
    day = day_of_year - div_u(153 * shifted_month + 2, 5) + 1
    month = select(shifted_month < 10, shifted_month + 3, shifted_month - 9)
    return year_of_era + era * 400 + i64(month <= 2), month, day


def days_from_civil(year: i64, month: i64, day: i64) -> i64:
    year -= i64(month <= 2)
    era = floor_divide(year, 400)
    year_of_era = year - era * 400
    day_of_year = div_u(153 * select(month > 2, month - 3, month + 9) + 2, 5) + day - 1
    day_of_era = year_of_era * 365 + (year_of_era >> 2) - div_u(year_of_era, 100) + day_of_year
    return era * 146097 + day_of_era - 719468


def is_leap_year(year: i64) -> i32:
    return ((year & 3) == 0) & ((rem_s(year, 100) != 0) | ((year & 15) == 0))


def days_in_month(year: i64, month: i64) -> i64:
    if month == 2 and is_leap_year(year):
        return 29
    return DAYS_IN_MONTH[i32(month)]


# --- parts of timestamps ----------------------------------------------------------------------------------------------
def timestamp_days(micros: i64) -> i64:
    """The date of a timestamp."""
    days = div_s(micros, DAY)
    return days - i64(days * DAY > micros)


def timestamp_time(micros: i64) -> i64:
    """Microseconds since midnight."""
    rest = rem_s(micros, DAY)
    return rest + ((rest >> 63) & DAY)


def extract_hour(micros: i64) -> i64:
    return div_u(timestamp_time(micros), HOUR)


def extract_minute(micros: i64) -> i64:
    return rem_s(div_u(timestamp_time(micros), MINUTE), 60)


def extract_second(micros: i64) -> i64:
    """Scaled by 10**6: numeric(8, 6)."""
    return rem_s(timestamp_time(micros), MINUTE)


# --- parts of dates ---------------------------------------------------------------------------------------------------
def extract_year(days: i64) -> i64:
    year, _, _ = civil_from_days(days)
    return year - i64(year <= 0)


def extract_month(days: i64) -> i64:
    _, month, _ = civil_from_days(days)
    return month


def extract_day(days: i64) -> i64:
    _, _, day = civil_from_days(days)
    return day


def extract_quarter(days: i64) -> i64:
    _, month, _ = civil_from_days(days)
    return div_u(month + 2, 3)


def extract_dow(days: i64) -> i64:
    """Sunday is 0."""
    rest = rem_s(days + 4, 7)
    return rest + select(rest < 0, 7, 0)


def extract_isodow(days: i64) -> i64:
    """Monday is 1, Sunday 7."""
    rest = rem_s(days + 3, 7)
    return rest + select(rest < 0, 8, 1)


def extract_doy(days: i64) -> i64:
    year, _, _ = civil_from_days(days)
    return days - days_from_civil(year, 1, 1) + 1


def extract_week(days: i64) -> i64:
    """ISO 8601: the week with the year's first Thursday is week 1."""
    thursday = days - extract_isodow(days) + 4
    year, _, _ = civil_from_days(thursday)
    return div_u(thursday - days_from_civil(year, 1, 1), 7) + 1


# --- arithmetic -------------------------------------------------------------------------------------------------------
def date_add_months(days: i64, months: i64) -> tuple[i64, i32]:
    """The same day so many months later, or the last day of that month; status OVERFLOW beyond a date's 32 bits."""
    year, month, day = civil_from_days(days)
    total = year * 12 + month - 1 + months
    year = floor_divide(total, 12)
    month = total - year * 12 + 1
    last = days_in_month(year, month)
    result = days_from_civil(year, month, select(day > last, last, day))
    return result, select(result == i64(i32(result)), errors.OK, errors.OVERFLOW)


def timestamp_add_months(micros: i64, months: i64) -> tuple[i64, i32]:
    days, status = date_add_months(timestamp_days(micros), months)
    if status != 0 or days > MAX_TIMESTAMP_DAYS or days < -MAX_TIMESTAMP_DAYS:
        return 0, errors.OVERFLOW
    return days * DAY + timestamp_time(micros), errors.OK


def date_to_timestamp(days: i64) -> tuple[i64, i32]:
    if days > MAX_TIMESTAMP_DAYS or days < -MAX_TIMESTAMP_DAYS:
        return 0, errors.OVERFLOW
    return days * DAY, errors.OK


# --- date_trunc (timestamps; results near the ends of the range wrap) -------------------------------------------------
def date_trunc_year(micros: i64) -> i64:
    year, _, _ = civil_from_days(timestamp_days(micros))
    return days_from_civil(year, 1, 1) * DAY


def date_trunc_quarter(micros: i64) -> i64:
    year, month, _ = civil_from_days(timestamp_days(micros))
    return days_from_civil(year, div_u(month - 1, 3) * 3 + 1, 1) * DAY


def date_trunc_month(micros: i64) -> i64:
    days = timestamp_days(micros)
    _, _, day = civil_from_days(days)
    return (days - day + 1) * DAY


def date_trunc_week(micros: i64) -> i64:
    """Monday."""
    days = timestamp_days(micros)
    return (days - extract_isodow(days) + 1) * DAY


def date_trunc_day(micros: i64) -> i64:
    return micros - timestamp_time(micros)


def date_trunc_hour(micros: i64) -> i64:
    return micros - rem_s(timestamp_time(micros), HOUR)


def date_trunc_minute(micros: i64) -> i64:
    return micros - rem_s(timestamp_time(micros), MINUTE)


def date_trunc_second(micros: i64) -> i64:
    return micros - rem_s(timestamp_time(micros), SECOND)
