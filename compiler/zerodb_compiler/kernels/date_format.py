"""to_char of timestamps: a compiled format (formats/dates.py) over the fields of a time, as DCH_to_char writes them."""

from __future__ import annotations

from zerodb_compiler.formats import dates as fm
from zerodb_compiler.formats import program
from zerodb_compiler.kernels.dates import (
    civil_from_days,
    extract_doy,
    extract_isodow,
    extract_week,
    timestamp_days,
    timestamp_time,
)
from zerodb_compiler.kernels.intrinsics import (
    Table,
    div_s,
    i32,
    i64,
    load32,
    memory_copy,
    ptr,
    rem_s,
    store8,
)
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.number_format import ordinal, put

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]


def _packed(words: list[str]) -> tuple[int, ...]:
    """Nine bytes a word, zeros behind it."""
    return tuple(byte for word in words for byte in word.encode().ljust(9, b"\0"))


MONTH_NAMES = Table("i32", _packed(_MONTHS), "month_names")
DAY_NAMES = Table("i32", _packed(_DAYS), "day_names")
ROMAN_NAMES = Table("i32", _packed(_ROMAN), "roman_months")
LONGEST_FIELD = 24


def put_name(out: ptr, table: i32, number: i32, most: i32, flags: i32, width: i32) -> ptr:
    """A name from table 0 (months), 1 (days) or 2 (Roman numerals), at most `most` letters, padded to `width`."""
    count = 0
    while count < most:
        byte = 0
        place = number * 9 + count
        if table == 0:
            byte = MONTH_NAMES[place]
        elif table == 1:
            byte = DAY_NAMES[place]
        else:
            byte = ROMAN_NAMES[place]
        if byte == 0:
            break
        if flags & fm.UPPER:
            if byte >= 0x61:
                byte -= 0x20
        elif (flags & fm.LOWER) != 0 and byte < 0x61:
            byte += 0x20
        out = put(out, byte)
        count += 1
    while count < width:
        out = put(out, 0x20)
        count += 1
    return out


def put_number(out: ptr, value: i32, width: i32, flags: i32) -> ptr:
    """printf's %0*d with the ordinal suffix that the flags want; a width of 0 for FM."""
    if flags & fm.FM:
        width = 0
    begin = out
    if value < 0:
        out = put(out, 0x2D)
        value = 0 - value
        width -= 1
    digits = 1
    rest = div_s(value, 10)
    while rest > 0:
        digits += 1
        rest = div_s(rest, 10)
    while width > digits:
        out = put(out, 0x30)
        width -= 1
    place = out + digits
    end = place
    while place != out:
        place -= 1
        store8(place, 0x30 + rem_s(value, 10))
        value = div_s(value, 10)
    out = end
    if flags & (fm.TH_UPPER | fm.TH_LOWER):
        letters = ordinal(begin, end - begin)
        if flags & fm.TH_UPPER:
            letters -= 0x2020
        out = put(out, letters & 0xFF)
        out = put(out, letters >> 8)
    return out


def put_mark(out: ptr, first: i32, second: i32, flags: i32) -> ptr:
    """AM, a.m., BC and the like."""
    if flags & fm.LOWER:
        first += 32
        second += 32
    out = put(out, first)
    if flags & fm.DOTS:
        out = put(out, 0x2E)
    out = put(out, second)
    if flags & fm.DOTS:
        out = put(out, 0x2E)
    return out


def iso_year(days: i64, year: i32) -> i32:
    """The year that the ISO week belongs to."""
    week = extract_week(days)
    _, month, _ = civil_from_days(days)
    if week >= 52 and month == 1:
        return year - 1
    return year + (week == 1 and month == 12)


def to_char_timestamp(worker: ptr, code: ptr, time: i64) -> tuple[ptr, i32]:
    nodes = code + program.HEADER_BYTES
    room = 32
    node = nodes
    while load32(node) != program.END:
        room += load32(node, 12) + LONGEST_FIELD
        node += program.NODE_BYTES
    target = scratch(worker, room)
    if target == 0:
        return 0, 0
    days = timestamp_days(time)
    micros = timestamp_time(time)
    year64, month64, day64 = civil_from_days(days)
    year = i32(year64)
    month = i32(month64)
    day = i32(day64)
    seconds = i32(div_s(micros, 1000000))
    fraction = i32(rem_s(micros, 1000000))
    hour = div_s(seconds, 3600)
    shown = year if year > 0 else 1 - year
    out = target
    node = nodes
    while True:
        operation = load32(node)
        flags = load32(node, 4)
        if operation == program.END:
            break
        width = 0 if flags & fm.FM else 9
        value = 0
        digits = 0
        if operation == program.LITERAL:
            size = load32(node, 12)
            memory_copy(out, code + load32(node, 8), size)
            out += size
        elif operation == fm.AM:
            out = put_mark(out, 0x50 if hour >= 12 else 0x41, 0x4D, flags)
        elif operation == fm.AD:
            out = put_mark(out, 0x41 if year > 0 else 0x42, 0x44 if year > 0 else 0x43, flags)
        elif operation == fm.MONTH:
            out = put_name(out, 0, month - 1, 9, flags, width)
        elif operation == fm.MON:
            out = put_name(out, 0, month - 1, 3, flags, 0)
        elif operation == fm.DAY:
            out = put_name(out, 1, i32(extract_isodow(days)) - 1, 9, flags, width)
        elif operation == fm.DY:
            out = put_name(out, 1, i32(extract_isodow(days)) - 1, 3, flags, 0)
        elif operation == fm.RM:
            out = put_name(out, 2, month - 1, 4, flags, 0 if flags & fm.FM else 4)
        elif operation == fm.Y_YYY:
            value = div_s(shown, 1000)
            out = put_number(out, value, 0, flags & (-1 - fm.TH_UPPER - fm.TH_LOWER))
            out = put(out, 0x2C)
            out = put_number(out, shown - value * 1000, 3, flags & (-1 - fm.FM))
        elif operation == fm.OF or operation == fm.TZH:
            out = put(out, 0x2B)
            out = put(out, 0x30)
            out = put(out, 0x30)
        elif operation == fm.TZM:
            out = put(out, 0x30)
            out = put(out, 0x30)
        elif operation != fm.TZ:
            value, digits = number_of(operation, days, year, shown, month, day, seconds, fraction)
            if (operation >= fm.FF1) & (operation <= fm.US):
                flags &= -1 - fm.FM
            out = put_number(out, value, digits, flags)
        node += program.NODE_BYTES
    scratch_end(worker, out)
    return target, out - target


def number_of(
    operation: i32, days: i64, year: i32, shown: i32, month: i32, day: i32, seconds: i32, fraction: i32
) -> tuple[i32, i32]:
    """The value and the width of a field that is a number."""
    hour = div_s(seconds, 3600)
    if operation == fm.HH24:
        return hour, 2
    if (operation == fm.HH12) | (operation == fm.HH):
        hour = rem_s(hour, 12)
        return hour if hour > 0 else 12, 2
    if operation == fm.MI:
        return rem_s(div_s(seconds, 60), 60), 2
    if operation == fm.SS:
        return rem_s(seconds, 60), 2
    if operation == fm.SSSS:
        return seconds, 0
    if operation == fm.FF1:
        return div_s(fraction, 100000), 1
    if operation == fm.FF2:
        return div_s(fraction, 10000), 2
    if (operation == fm.FF3) | (operation == fm.MS):
        return div_s(fraction, 1000), 3
    if operation == fm.FF4:
        return div_s(fraction, 100), 4
    if operation == fm.FF5:
        return div_s(fraction, 10), 5
    if (operation == fm.FF6) | (operation == fm.US):
        return fraction, 6
    if operation == fm.MM:
        return month, 2
    if operation == fm.DD:
        return day, 2
    if operation == fm.DDD:
        return i32(extract_doy(days)), 3
    if operation == fm.D:
        return rem_s(i32(extract_isodow(days)), 7) + 1, 0
    if operation == fm.ID:
        return i32(extract_isodow(days)), 0
    if operation == fm.WW:
        return div_s(i32(extract_doy(days)) - 1, 7) + 1, 2
    if operation == fm.IW:
        return i32(extract_week(days)), 2
    if operation == fm.IDDD:
        return (i32(extract_week(days)) - 1) * 7 + i32(extract_isodow(days)), 3
    if operation == fm.W:
        return div_s(day - 1, 7) + 1, 0
    if operation == fm.Q:
        return div_s(month - 1, 3) + 1, 0
    if operation == fm.J:
        return i32(days) + 2440588, 0
    if operation == fm.CC:
        if year > 0:
            return div_s(year - 1, 100) + 1, 2
        return div_s(year, 100) - 1, 3
    if operation == fm.YYYY:
        return shown, 4
    if operation == fm.YYY:
        return rem_s(shown, 1000), 3
    if operation == fm.YY:
        return rem_s(shown, 100), 2
    if operation == fm.Y:
        return rem_s(shown, 10), 1
    iso = iso_year(days, year)
    if iso <= 0:
        iso = 1 - iso
    if operation == fm.IYYY:
        return iso, 4
    if operation == fm.IYY:
        return rem_s(iso, 1000), 3
    if operation == fm.IY:
        return rem_s(iso, 100), 2
    return rem_s(iso, 10), 1
