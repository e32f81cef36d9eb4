"""Intervals: (low, high) with low the microseconds, high the days (low 32 bits) and months (high 32 bits).

The rules are PostgreSQL's (src/backend/utils/adt/timestamp.c): adding moves months first, clipped to the month's last
day, then days, then the time; the ends of the range of timestamps are infinities and stay what they are.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.dates import (
    DAY,
    civil_from_days,
    date_add_months,
    days_in_month,
    timestamp_days,
    timestamp_time,
)
from zerodb_compiler.kernels.intrinsics import (
    add128,
    div_s,
    f64,
    fabs,
    i32,
    i64,
    inline,
    mul_wide_s,
    nearest,
    rem_s,
    select,
    trunc,
)

LEAST = -(1 << 63)
GREATEST = (1 << 63) - 1


@inline
def interval_days(high: i64) -> i64:
    return i64(i32(high))


@inline
def interval_months(high: i64) -> i64:
    return high >> 32


@inline
def interval_high(months: i64, days: i64) -> i64:
    return (months << 32) | (days & 0xFFFFFFFF)


def interval_sort_key(low: i64, high: i64) -> tuple[i64, i64]:
    """What intervals are compared by, as int128: microseconds, months of 30 days and days of 24 hours."""
    key, key_high = mul_wide_s(interval_months(high) * 30 + interval_days(high), DAY)
    sum_low, sum_high = add128(key, key_high, low, low >> 63)
    return sum_low, sum_high


def interval_made(months: i64, days: i64, micros: i64) -> tuple[i64, i64, i32]:
    """The interval, or OVERFLOW where months or days are beyond 32 bits."""
    fits = (months == i64(i32(months))) & (days == i64(i32(days)))
    return micros, interval_high(months, days), select(fits, errors.OK, errors.OVERFLOW)


def interval_add(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    micros = a + b
    if (a ^ micros) & (b ^ micros) < 0:
        return 0, 0, errors.OVERFLOW
    months = interval_months(a_high) + interval_months(b_high)
    low, high, status = interval_made(months, interval_days(a_high) + interval_days(b_high), micros)
    return low, high, status


def interval_negate(a: i64, a_high: i64) -> tuple[i64, i64, i32]:
    if a == LEAST:
        return 0, 0, errors.OVERFLOW
    low, high, status = interval_made(-interval_months(a_high), -interval_days(a_high), -a)
    return low, high, status


def interval_subtract(a: i64, a_high: i64, b: i64, b_high: i64) -> tuple[i64, i64, i32]:
    micros = a - b
    if (a ^ b) & (a ^ micros) < 0:
        return 0, 0, errors.OVERFLOW
    months = interval_months(a_high) - interval_months(b_high)
    low, high, status = interval_made(months, interval_days(a_high) - interval_days(b_high), micros)
    return low, high, status


@inline
def to_micros(seconds: f64) -> f64:
    """Seconds rounded to microseconds."""
    return nearest(seconds * 1000000.0) / 1000000.0


def interval_scale(low: i64, high: i64, factor: f64, divide: i32) -> tuple[i64, i64, i32]:
    """interval * factor or interval / factor; what is left of a month is days, what is left of a day is a time."""
    months = f64(interval_months(high))
    days = f64(interval_days(high))
    micros = f64(low)
    if divide:
        months = months / factor
        days = days / factor
        micros = micros / factor
    else:
        months = months * factor
        days = days * factor
        micros = micros * factor
    if not (fabs(months) < 2147483648.0 and fabs(days) < 2147483648.0 and fabs(micros) < 9223372036854775808.0):
        return 0, 0, errors.OVERFLOW
    whole_months = trunc(months)
    whole_days = trunc(days)
    month_days = to_micros((months - whole_months) * 30.0)
    seconds = to_micros((days - whole_days + month_days - trunc(month_days)) * 86400.0)
    if fabs(seconds) >= 86400.0:
        more = trunc(seconds / 86400.0)
        whole_days = whole_days + more
        seconds = seconds - more * 86400.0
    whole_days = whole_days + trunc(month_days)
    micros = nearest(micros + seconds * 1000000.0)
    if not fabs(micros) < 9223372036854775808.0:
        return 0, 0, errors.OVERFLOW
    result, result_high, status = interval_made(i64(whole_months), i64(whole_days), i64(micros))
    return result, result_high, status


def make_interval(months: i64, days: i64, seconds: f64) -> tuple[i64, i64, i32]:
    """`months` and `days` added up already; hours and minutes are in the seconds."""
    micros = nearest(seconds * 1000000.0)
    if not fabs(micros) < 9223372036854775808.0:
        return 0, 0, errors.OVERFLOW
    low, high, status = interval_made(months, days, i64(micros))
    return low, high, status


# --- moving moments ---------------------------------------------------------------------------------------------------
@inline
def is_infinite(micros: i64) -> i32:
    return (micros == LEAST) | (micros == GREATEST)


def checked_moment(days: i64, time: i64) -> tuple[i64, i32]:
    """A timestamp of days and microseconds, if PostgreSQL has such a one: from 4714 BC to 294276 AD."""
    if days < -2440588 or days >= 106751991:
        return 0, errors.OVERFLOW
    return days * DAY + time, errors.OK


def timestamp_add_time(micros: i64, time: i64) -> tuple[i64, i32]:
    result = micros + time
    if (micros ^ result) & (time ^ result) < 0:
        return 0, errors.OVERFLOW
    if result < -210866803200000000 or result >= 9223371331200000000:
        return 0, errors.OVERFLOW
    return result, errors.OK


def timestamp_add_interval(micros: i64, low: i64, high: i64) -> tuple[i64, i32]:
    if is_infinite(micros):
        return micros, errors.OK
    moved, status = timestamp_add_days(micros, high)
    if status != 0:
        return 0, status
    result, status = timestamp_add_time(moved, low)
    return result, status


def timestamp_add_days(micros: i64, high: i64) -> tuple[i64, i32]:
    """The months and days of an interval added."""
    if high == 0:
        return micros, errors.OK
    days = timestamp_days(micros)
    time = timestamp_time(micros)
    months = interval_months(high)
    if months != 0:
        moved, status = date_add_months(days, months)
        if status != 0:
            return 0, status
        days = moved
    result, status = checked_moment(days + interval_days(high), time)
    return result, status


def is_infinite_moment(micros: i64) -> i32:
    return is_infinite(micros)


def moment_add_time(micros: i64, time: i64) -> tuple[i64, i32]:
    if is_infinite(micros):
        return micros, errors.OK
    result, status = timestamp_add_time(micros, time)
    return result, status


def moment_add_months(micros: i64, months: i64) -> tuple[i64, i32]:
    if is_infinite(micros):
        return micros, errors.OK
    result, status = timestamp_add_days(micros, months << 32)
    return result, status


def date_add_days(days: i64, more: i64) -> tuple[i64, i32]:
    if days == -2147483648 or days == 2147483647:
        return days, errors.OK
    result = days + more
    return result, select((result < -2440588) | (result > 2145042905), errors.OVERFLOW, errors.OK)


def date_difference(a: i64, b: i64) -> tuple[i64, i32]:
    if a == -2147483648 or a == 2147483647 or b == -2147483648 or b == 2147483647:
        return 0, errors.INVALID_COUNT
    result = a - b
    return result, select(result == i64(i32(result)), errors.OK, errors.OVERFLOW)


def timestamp_difference(a: i64, b: i64) -> tuple[i64, i64, i32]:
    """a - b in days and a time."""
    if is_infinite(a) | is_infinite(b):
        return 0, 0, errors.INVALID_COUNT
    micros = a - b
    if (a ^ b) & (a ^ micros) < 0:
        return 0, 0, errors.OVERFLOW
    days = div_s(micros, DAY)
    return micros - days * DAY, interval_high(0, days), errors.OK


def time_add_interval(time: i64, low: i64) -> i64:
    """Around the clock; 24:00:00 only stays with nothing added."""
    total = time + rem_s(low, DAY)
    rest = rem_s(total, DAY)
    return rest + ((rest >> 63) & DAY)


def interval_time(low: i64) -> i64:
    """An interval's time of day, as its cast to time."""
    rest = rem_s(low, DAY)
    return rest + ((rest >> 63) & DAY)


def age(a: i64, b: i64) -> tuple[i64, i64, i32]:
    """The difference in years, months, days and a time, counted as people do."""
    if is_infinite(a) | is_infinite(b):
        return 0, 0, errors.INVALID_COUNT
    year1, month1, day1 = civil_from_days(timestamp_days(a))
    year2, month2, day2 = civil_from_days(timestamp_days(b))
    time = timestamp_time(a) - timestamp_time(b)
    days = day1 - day2
    months = (year1 - year2) * 12 + month1 - month2
    backwards = a < b
    if backwards:
        time = -time
        days = -days
        months = -months
    if time < 0:
        time += DAY
        days -= 1
    if days < 0:
        days += select(backwards, days_in_month(year1, month1), days_in_month(year2, month2))
        months -= 1
    if backwards:
        time = -time
        days = -days
        months = -months
    return time, interval_high(months, days), errors.OK


# --- justify ----------------------------------------------------------------------------------------------------------
def justify_hours(low: i64, high: i64) -> tuple[i64, i64, i32]:
    whole = div_s(low, DAY)
    time = low - whole * DAY
    days = interval_days(high) + whole
    if days > 0 and time < 0:
        time += DAY
        days -= 1
    elif days < 0 and time > 0:
        time -= DAY
        days += 1
    result, result_high, status = interval_made(interval_months(high), days, time)
    return result, result_high, status


def justify_days(low: i64, high: i64) -> tuple[i64, i64, i32]:
    whole = div_s(interval_days(high), 30)
    days = interval_days(high) - whole * 30
    months = interval_months(high) + whole
    if months > 0 and days < 0:
        days += 30
        months -= 1
    elif months < 0 and days > 0:
        days -= 30
        months += 1
    result, result_high, status = interval_made(months, days, low)
    return result, result_high, status


def justify_interval(low: i64, high: i64) -> tuple[i64, i64, i32]:
    whole_days = div_s(low, DAY)
    time = low - whole_days * DAY
    days = interval_days(high) + whole_days
    whole = div_s(days, 30)
    days -= whole * 30
    months = interval_months(high) + whole
    if months > 0 and (days < 0 or (days == 0 and time < 0)):
        days += 30
        months -= 1
    elif months < 0 and (days > 0 or (days == 0 and time > 0)):
        days -= 30
        months += 1
    if days > 0 and time < 0:
        time += DAY
        days -= 1
    elif days < 0 and time > 0:
        time -= DAY
        days += 1
    result, result_high, status = interval_made(months, days, time)
    return result, result_high, status


# --- parts ------------------------------------------------------------------------------------------------------------
def interval_truncate(low: i64, high: i64, months: i64, micros: i64) -> tuple[i64, i64]:
    """Cut to a multiple of `months` (0: months stay), or of `micros` of the time (0: no days and no time; -1: all days
    and no time)."""
    all_months = interval_months(high)
    if months != 0:
        return 0, interval_high(div_s(all_months, months) * months, 0)
    if micros < 0:
        return 0, high
    return div_s(low, micros) * micros, high


def interval_epoch(low: i64, high: i64) -> tuple[i64, i64]:
    """Microseconds as int128, a year of 365.25 days and a month of 30."""
    months = interval_months(high)
    years = div_s(months, 12)
    # 365.25 days are 31,557,600 seconds.
    seconds = years * 31557600 + (months - years * 12) * 2592000 + interval_days(high) * 86400
    part, part_high = mul_wide_s(seconds, 1000000)
    sum_low, sum_high = add128(part, part_high, low, low >> 63)
    return sum_low, sum_high


def date_bin(low: i64, high: i64, moment: i64, origin: i64) -> tuple[i64, i32]:
    """The start of the bin of that width, counted from `origin`."""
    if interval_months(high) != 0:
        return 0, errors.INVALID_TEXT
    stride = interval_days(high) * DAY + low
    if stride <= 0:
        return 0, errors.INVALID_COUNT
    if is_infinite(moment):
        return moment, errors.OK
    if is_infinite(origin):
        return 0, errors.OVERFLOW
    apart = moment - origin
    if (moment ^ origin) & (moment ^ apart) < 0:
        return 0, errors.OVERFLOW
    rest = rem_s(apart, stride)
    return origin + apart - rest - select(rest < 0, stride, 0), errors.OK
