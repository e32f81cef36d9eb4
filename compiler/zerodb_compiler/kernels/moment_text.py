"""Texts of moments, dates, times of day and intervals: writing and reading, infinities too."""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.dates import (
    HOUR,
    MINUTE,
    timestamp_days,
    timestamp_time,
)
from zerodb_compiler.kernels.formatting import write_date, write_digits, write_era, write_padded
from zerodb_compiler.kernels.intervals import (
    checked_moment,
    interval_days,
    interval_months,
    is_infinite,
    timestamp_add_time,
)
from zerodb_compiler.kernels.intrinsics import (
    div_s,
    div_u,
    i32,
    i64,
    load8_u,
    load64,
    memory_copy,
    ptr,
    rem_u,
    select,
    store8,
    store64,
)
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.moments import date_of_timestamp, zone_offset
from zerodb_compiler.kernels.parsing import scan_digits, scan_time, scan_timestamp, strip


def write_clock(place: ptr, time: i64) -> ptr:
    """HH:MM:SS[.ffffff], the fraction without trailing zeros; hours may be many."""
    seconds = div_u(time, 1_000_000)
    place = write_padded(place, div_u(seconds, 3600), 2)
    store8(place, 58)
    place = write_padded(place + 1, rem_u(div_u(seconds, 60), 60), 2)
    store8(place, 58)
    place = write_padded(place + 1, rem_u(seconds, 60), 2)
    fraction = time - seconds * 1_000_000
    if fraction != 0:
        width = 6
        while div_s(fraction, 10) * 10 == fraction:
            fraction = div_u(fraction, 10)
            width -= 1
        store8(place, 46)
        place = write_padded(place + 1, fraction, width)
    return place


def write_infinity(place: ptr, negative: i32) -> ptr:
    if negative:
        store8(place, 45)
        place += 1
    store64(place, 0x7974696E69666E69)
    return place + 8


def format_time(worker: ptr, time: i64) -> tuple[ptr, i32]:
    start = scratch(worker, 40)
    if start == 0:
        return 0, 0
    place = write_clock(start, time)
    scratch_end(worker, place)
    return start, place - start


def format_moment(worker: ptr, moment: i64, table: ptr) -> tuple[ptr, i32]:
    """A timestamp, or (table not 0) a timestamptz as the zone's clock shows it, with the offset."""
    start = scratch(worker, 80)
    if start == 0:
        return 0, 0
    place = start
    if is_infinite(moment):
        place = write_infinity(place, moment < 0)
    else:
        offset: i64 = 0
        if table != 0:
            offset = zone_offset(table, moment, 0)
        local = moment + offset
        days = timestamp_days(local)
        place = write_date(place, days)
        store8(place, 32)
        place = write_clock(place + 1, timestamp_time(local))
        if table != 0:
            place = write_offset(place, offset)
        place = write_era(place, days)
    scratch_end(worker, place)
    return start, place - start


def write_offset(place: ptr, offset: i64) -> ptr:
    store8(place, select(offset < 0, 45, 43))
    seconds = div_u(select(offset < 0, -offset, offset), 1_000_000)
    place = write_padded(place + 1, div_u(seconds, 3600), 2)
    if rem_u(seconds, 3600) != 0:
        store8(place, 58)
        place = write_padded(place + 1, rem_u(div_u(seconds, 60), 60), 2)
        if rem_u(seconds, 60) != 0:
            store8(place, 58)
            place = write_padded(place + 1, rem_u(seconds, 60), 2)
    return place


def format_day(worker: ptr, days: i64) -> tuple[ptr, i32]:
    """A date."""
    start = scratch(worker, 40)
    if start == 0:
        return 0, 0
    if days == -2147483648 or days == 2147483647:
        place = write_infinity(start, days < 0)
    else:
        place = write_era(write_date(start, days), days)
    scratch_end(worker, place)
    return start, place - start


def write_amount(place: ptr, first: ptr, amount: i64, unit: i64, letters: i32, before: i32) -> ptr:
    """An amount of a unit, with a sign if it is negative or follows (`before`) a negative one."""
    if place != first:
        store8(place, 32)
        place += 1
    if amount < 0:
        store8(place, 45)
        place += 1
    elif before:
        store8(place, 43)
        place += 1
    size = select(amount < 0, -amount, amount)
    digits = write_digits(place + 20, size)
    count = place + 20 - digits
    memory_copy(place, digits, count)
    place += count
    store8(place, 32)
    store64(place + 1, unit)
    place += 1 + letters
    if amount != 1:
        store8(place, 115)
        place += 1
    return place


def format_interval(worker: ptr, low: i64, high: i64) -> tuple[ptr, i32]:
    """1 year 2 mons -3 days +04:05:06.7"""
    start = scratch(worker, 160)
    if start == 0:
        return 0, 0
    place = start
    months = interval_months(high)
    years = div_s(months, 12)
    months -= years * 12
    days = interval_days(high)
    negative = 0
    if years != 0:
        place = write_amount(place, start, years, 0x72616579, 4, 0)
        negative = i32(years < 0)
    if months != 0:
        place = write_amount(place, start, months, 0x6E6F6D, 3, negative)
        negative = i32(months < 0)
    if days != 0:
        place = write_amount(place, start, days, 0x796164, 3, negative)
        negative = i32(days < 0)
    if low != 0 or place == start:
        if place != start:
            store8(place, 32)
            place += 1
        if low < 0:
            store8(place, 45)
            place += 1
        elif negative:
            store8(place, 43)
            place += 1
        place = write_clock(place, select(low < 0, -low, low))
    scratch_end(worker, place)
    return start, place - start


def parse_time(p: ptr, length: i32) -> tuple[i64, i32]:
    p, length = strip(p, length)
    time, status = scan_time(p, p + length)
    return time, status


def scan_offset(p: ptr, end: ptr) -> tuple[i64, i32]:
    """Microseconds of +HH[[:]MM[[:]SS]] (a sign and digits)."""
    sign = load8_u(p)
    hours, count = scan_digits(p + 1, end, 2)
    p += 1 + count
    if count == 0:
        return 0, errors.INVALID_TEXT
    minutes: i64 = 0
    if p < end:
        if load8_u(p) == 58:
            p += 1
        minutes, count = scan_digits(p, end, 2)
        p += count
        if count != 2:
            return 0, errors.INVALID_TEXT
    if p != end:
        return 0, errors.INVALID_TEXT
    if hours > 15 or minutes > 59:
        return 0, errors.OVERFLOW
    offset = hours * HOUR + minutes * MINUTE
    return select(sign == 45, -offset, offset), errors.OK


def parse_moment(p: ptr, length: i32, table: ptr) -> tuple[i64, i32]:
    """A timestamp (table 0: an offset is not looked at), or a timestamptz: with its offset, else of the zone."""
    p, length = strip(p, length)
    special, found = special_moment(p, length)
    if found:
        return special, errors.OK
    # The offset, if there is one, is behind the last colon of the time of day.
    end = p + length
    place = end
    has_offset = 0
    colons = 0
    q = p
    while q < end:
        byte = load8_u(q)
        if byte == 58 and has_offset == 0:
            colons = 1
        if colons and has_offset == 0 and (byte == 43 or byte == 45):
            has_offset = 1
            place = q
        q += 1
    offset: i64 = 0
    if has_offset:
        offset, status = scan_offset(place, end)
        if status != 0:
            return 0, status
        length = place - p
        while length > 0 and load8_u(p + length - 1) == 32:
            length -= 1
    elif length > 0 and (load8_u(end - 1) | 32) == 122:
        has_offset = 1
    days, time, status = scan_timestamp(p, length)
    if status != 0:
        return 0, status
    moment, status = checked_moment(days, time)
    if status != 0 or table == 0:
        return moment, status
    if has_offset == 0:
        offset = zone_offset(table, moment, 1)
    result, status = timestamp_add_time(moment, -offset)
    return result, status


def special_moment(p: ptr, length: i32) -> tuple[i64, i32]:
    """infinity and -infinity, in any case, and whether it was one of them."""
    negative = 0
    if length == 9 and load8_u(p) == 45:
        negative = 1
        p += 1
        length -= 1
    if length != 8:
        return 0, 0
    if (load64(p) | 0x2020202020202020) != 0x7974696E69666E69:
        return 0, 0
    return select(negative, -9223372036854775808, 9223372036854775807), 1


def parse_day(p: ptr, length: i32) -> tuple[i64, i32]:
    """A date; the time of day and offset behind it are dropped."""
    moment, status = parse_moment(p, length, 0)
    if status == errors.OVERFLOW:
        p, length = strip(p, length)
        days, _, status = scan_timestamp(p, length)
        if status == errors.OK and (days < -2440588 or days > 2145042905):
            return 0, errors.OVERFLOW
        return days, status
    days = date_of_timestamp(moment)
    return days, status
