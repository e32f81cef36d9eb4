"""Time zones, times of day, uuid, bytea and labels: looking up, reading and writing.

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
from zerodb_compiler.kernels.formatting import write_date, write_digits, write_era, write_padded
from zerodb_compiler.kernels.intervals import (
    checked_moment,
    interval_days,
    interval_months,
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
    load8_u,
    load32,
    load64,
    memory_copy,
    nearest,
    ptr,
    rem_s,
    rem_u,
    select,
    shr_u,
    store8,
    store64,
    u64,
)
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.parsing import scan_digits, scan_time, scan_timestamp, strip
from zerodb_compiler.kernels.text import equal_bytes

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


# --- writing ----------------------------------------------------------------------------------------------------------
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


def hex_digit(value: i32) -> i32:
    return value + select(value < 10, 48, 87)


def write_hex(place: ptr, byte: i32) -> ptr:
    store8(place, hex_digit(shr_u(byte, 4)))
    store8(place + 1, hex_digit(byte & 15))
    return place + 2


def format_uuid(worker: ptr, low: i64, high: i64) -> tuple[ptr, i32]:
    start = scratch(worker, 48)
    if start == 0:
        return 0, 0
    place = start
    word = high ^ (1 << 63)
    for i in range(16):
        if i == 8:
            word = low
        if i == 4 or i == 6 or i == 8 or i == 10:
            store8(place, 45)
            place += 1
        place = write_hex(place, i32(shr_u(word, 56)))
        word <<= 8
    scratch_end(worker, place)
    return start, 36


def format_bytea(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    start = scratch(worker, length * 2 + 16)
    if start == 0:
        return 0, 0
    store8(start, 92)
    store8(start + 1, 120)
    place = start + 2
    for i in range(length):
        place = write_hex(place, load8_u(p + i))
    scratch_end(worker, place)
    return start, length * 2 + 2


# --- reading ----------------------------------------------------------------------------------------------------------
def hex_value(byte: i32) -> i32:
    """The value of a hexadecimal digit, -1 for anything else."""
    if byte >= 48 and byte <= 57:
        return byte - 48
    byte |= 32
    return select((byte >= 97) & (byte <= 102), byte - 87, -1)


def parse_uuid(p: ptr, length: i32) -> tuple[i64, i64, i32]:
    if length > 2 and load8_u(p) == 123 and load8_u(p + length - 1) == 125:
        p += 1
        length -= 2
    low: i64 = 0
    high: i64 = 0
    digits = 0
    dash = 1
    for i in range(length):
        byte = load8_u(p + i)
        if byte == 45:
            if dash or (digits & 3) != 0:
                return 0, 0, errors.INVALID_TEXT
            dash = 1
            continue
        dash = 0
        value = hex_value(byte)
        if value < 0 or digits == 32:
            return 0, 0, errors.INVALID_TEXT
        if digits < 16:
            high = (high << 4) | u64(value)
        else:
            low = (low << 4) | u64(value)
        digits += 1
    if digits != 32 or dash:
        return 0, 0, errors.INVALID_TEXT
    return low, high ^ (1 << 63), errors.OK


def parse_bytea(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32, i32]:
    """Bytes of \\x... or of text with \\ooo escapes."""
    start = scratch(worker, length + 16)
    if start == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    place = start
    end = p + length
    if length >= 2 and load8_u(p) == 92 and load8_u(p + 1) == 120:
        p += 2
        while p < end:
            byte = load8_u(p)
            p += 1
            if byte == 32 or (byte >= 9 and byte <= 13):
                continue
            first = hex_value(byte)
            if first < 0 or p >= end:
                return 0, 0, errors.INVALID_TEXT
            second = hex_value(load8_u(p))
            p += 1
            if second < 0:
                return 0, 0, errors.INVALID_TEXT
            store8(place, first * 16 + second)
            place += 1
    else:
        while p < end:
            byte = load8_u(p)
            p += 1
            if byte == 92:
                if p < end and load8_u(p) == 92:
                    p += 1
                else:
                    if p + 3 > end:
                        return 0, 0, errors.INVALID_TEXT
                    a = load8_u(p) - 48
                    b = load8_u(p + 1) - 48
                    c = load8_u(p + 2) - 48
                    if a < 0 or a > 3 or b < 0 or b > 7 or c < 0 or c > 7:
                        return 0, 0, errors.INVALID_TEXT
                    byte = a * 64 + b * 8 + c
                    p += 3
            store8(place, byte)
            place += 1
    scratch_end(worker, place)
    return start, place - start, errors.OK


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


def find_label(p: ptr, length: i32, labels: ptr, count: i32) -> i32:
    """The number of a label in a table of offsets (count + 1, 32 bits, from the table's start) and bytes, or -1."""
    for i in range(count):
        start = load32(labels + i * 4)
        if load32(labels + i * 4 + 4) - start == length and equal_bytes(labels + start, p, length):
            return i
    return -1


def label_at(index: i64, labels: ptr) -> tuple[ptr, i32]:
    place = labels + i32(index) * 4
    start = load32(place)
    return labels + start, load32(place + 4) - start
