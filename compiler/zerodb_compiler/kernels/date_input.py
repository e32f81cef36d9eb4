"""to_date and to_timestamp: a text read by a compiled format, as DCH_from_char and do_to_timestamp do.

Without FX, spaces before fields are skipped, a separator of the format matches one separator or space of the text or
nothing, and other literals take one character whatever it is. What the fields mean together is worked out at the end.
Statuses: INVALID_TEXT (22007), OVERFLOW (22008: a field or the date is out of range).
"""

from __future__ import annotations

from zerodb_compiler.formats import dates as fm
from zerodb_compiler.formats import program
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.date_format import DAY_NAMES, MONTH_NAMES, ROMAN_NAMES
from zerodb_compiler.kernels.dates import days_from_civil, days_in_month, extract_isodow
from zerodb_compiler.kernels.intrinsics import div_s, i32, i64, load8_u, load32, ptr, rem_s
from zerodb_compiler.kernels.text import character_bytes

_DAY_MICROS = 86_400_000_000


def is_space(byte: i32) -> bool:
    return (byte == 32) | ((byte >= 9) & (byte <= 13))


def is_separator(byte: i32) -> bool:
    letter = (byte | 0x20) - 0x61
    alphanumeric = ((letter >= 0) & (letter < 26)) | ((byte >= 0x30) & (byte <= 0x39))
    return (byte > 0x20) & (byte < 0x7F) & (alphanumeric == 0)


def skip_spaces(p: ptr, end: ptr) -> ptr:
    while p < end and is_space(load8_u(p)):
        p += 1
    return p


def read_number(p: ptr, end: ptr, most: i32, flags: i32) -> tuple[i32, ptr]:
    """An integer of a field: exactly `most` characters where a number follows, else as many digits as there are. The
    place is 0 where there is none."""
    p = skip_spaces(p, end)
    fixed = (flags & fm.NEXT_IS_NUMBER) != 0 and (flags & (fm.FM | fm.TH_UPPER | fm.TH_LOWER)) == 0
    start = p
    if fixed and end - p < most:
        return 0, 0
    negative = False
    if p < end and (load8_u(p) == 0x2D or load8_u(p) == 0x2B):
        negative = load8_u(p) == 0x2D
        p += 1
    value = 0
    digits = p
    while p < end and not (fixed and p - start >= most):
        digit = load8_u(p) - 0x30
        if digit < 0 or digit > 9 or value > 200000000:
            break
        value = value * 10 + digit
        p += 1
    if p == digits or (fixed and p - start < most):
        return 0, 0
    return 0 - value if negative else value, p


def name_letter(table: i32, place: i32) -> i32:
    if table == 0:
        return MONTH_NAMES[place]
    if table == 1:
        return DAY_NAMES[place]
    return ROMAN_NAMES[place]


def read_name(p: ptr, end: ptr, table: i32, count: i32, most: i32) -> tuple[i32, ptr]:
    """The longest name of a table (its first `most` letters) that the text begins with: number and place behind."""
    best = 0 - 1
    longest = 0
    for number in range(count):
        i = 0
        matches = True
        while i < most:
            letter = name_letter(table, number * 9 + i)
            if letter == 0:
                break
            if p + i >= end or (load8_u(p + i) | 0x20) != (letter | 0x20):
                matches = False
                break
            i += 1
        if matches and i > longest:
            longest = i
            best = number
    return best, p + longest


def whole_year(year: i32, digits: i32) -> i32:
    """A year of fewer than four digits is the one nearest to 2020."""
    if digits >= 4 or year < 0:
        return year
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    if year < 520:
        return year + 2000
    if year < 1000:
        return year + 1000
    return year


def scaled_fraction(value: i32, digits: i32) -> i32:
    """Digits behind the point as microseconds."""
    while digits < 6:
        value *= 10
        digits += 1
    return value


def from_char(code: ptr, p: ptr, length: i32) -> tuple[i64, i64, i32]:
    """Days, microseconds of the day, and a status."""
    end = p + length
    zero: i64 = 0
    year = 0
    year_digits = 0
    century = 0
    month = 0
    day = 0
    day_of_year = 0
    week = 0
    iso_week = 0
    week_of_month = 0
    weekday = 0
    iso = False
    julian: i64 = 0
    bc = False
    clock12 = False
    pm = False
    hour = 0
    minute = 0
    second = 0
    fraction = 0
    seconds = 0
    extra = 0
    node = code + program.HEADER_BYTES
    while True:
        operation = load32(node)
        flags = load32(node, 4)
        if operation == program.END or p >= end:
            break
        fixed = (flags & fm.FX) != 0
        if operation == program.LITERAL:
            p, extra = skip_literal(load8_u(code + load32(node, 8)), flags, p, extra)
            node += program.NODE_BYTES
            continue
        if fixed == 0:
            start = p
            p = skip_spaces(p, end)
            extra += p - start
            if p >= end:
                break
        value = 0
        following = p
        if is_word(operation):
            value, p = read_word(operation, flags, p, end)
            if value < 0:
                return zero, zero, errors.INVALID_TEXT
            if operation == fm.AM:
                pm = value == 1
                clock12 = True
            elif operation == fm.AD:
                bc = value == 1
            elif (operation == fm.DAY) | (operation == fm.DY):
                weekday = value + 1
            else:
                month = value + 1
        else:
            most = digits_of(operation)
            if most == 0:
                return zero, zero, errors.NOT_AN_OPTION
            value, following = read_number(p, end, most, flags)
            if following == 0:
                return zero, zero, errors.INVALID_TEXT
            digits = following - skip_spaces(p, end)
            p = following
            if operation == fm.Y_YYY:
                if p >= end or load8_u(p) != 0x2C:
                    return zero, zero, errors.INVALID_TEXT
                thousands = value
                value, p = read_number(p + 1, end, 3, flags & (-1 - fm.NEXT_IS_NUMBER))
                if p == 0:
                    return zero, zero, errors.INVALID_TEXT
                year = thousands * 1000 + value
                year_digits = 4
            elif (operation == fm.HH12) | (operation == fm.HH):
                hour = value
                clock12 = True
            elif operation == fm.HH24:
                hour = value
            elif operation == fm.MI:
                minute = value
            elif operation == fm.SS:
                second = value
            elif operation == fm.SSSS:
                seconds = value
                hour = div_s(value, 3600)
                minute = rem_s(div_s(value, 60), 60)
                second = rem_s(value, 60)
            elif (operation >= fm.FF1) & (operation <= fm.US):
                if digits > 6:
                    return zero, zero, errors.OVERFLOW
                fraction = scaled_fraction(value, digits)
            elif operation == fm.MM:
                month = value
                if value < 1 or value > 12:
                    return zero, zero, errors.OVERFLOW
            elif operation == fm.DD:
                day = value
                if value < 1:
                    return zero, zero, errors.OVERFLOW
            elif operation == fm.DDD:
                day_of_year = value
            elif operation == fm.D:
                weekday = value - 1 if value > 1 else 7
            elif operation == fm.ID:
                weekday = value
                iso = True
            elif operation == fm.IDDD:
                day_of_year = value
                iso = True
            elif operation == fm.WW:
                week = value
            elif operation == fm.IW:
                iso_week = value
                iso = True
            elif operation == fm.W:
                week_of_month = value
            elif operation == fm.CC:
                century = value
            elif operation == fm.J:
                julian = i64(value)
            elif operation != fm.Q:
                year_digits = most
                year = whole_year(value, digits if most < 4 else 4)
                if operation >= fm.IYYY:
                    iso = True
        if flags & (fm.TH_UPPER | fm.TH_LOWER):
            p += 2
        if fixed == 0:
            start = p
            p = skip_spaces(p, end)
            extra = p - start
        node += program.NODE_BYTES
    hour, status = whole_hour(hour, clock12, pm)
    if status != 0:
        return zero, zero, status
    if (hour < 0) | (hour > 23) | (minute < 0) | (minute > 59) | (second < 0) | (second > 59) | (seconds > 86399):
        return zero, zero, errors.OVERFLOW
    year = year_of(year, year_digits, century, bc)
    days: i64 = 0
    if julian != 0:
        days = julian - 2440588
    elif iso and (iso_week != 0 or day_of_year != 0):
        days = iso_day(year, iso_week, day_of_year, weekday)
    else:
        days, status = civil_day(year, month, day, week, week_of_month, day_of_year)
    if status != 0 or days < 0 - 2440588:
        return zero, zero, errors.OVERFLOW
    micros = i64(hour * 3600 + minute * 60 + second) * 1000000 + i64(fraction)
    return days, micros, errors.OK


def skip_literal(byte: i32, flags: i32, p: ptr, extra: i32) -> tuple[ptr, i32]:
    """The place behind a literal that begins with `byte`; how many more spaces were skipped than the format has."""
    fixed = (flags & fm.FX) != 0
    if (flags & fm.QUOTED) == 0 and (is_space(byte) or is_separator(byte)):
        if fixed:
            return p + character_bytes(load8_u(p)), extra
        if is_space(load8_u(p)) or is_separator(load8_u(p)):
            return p + 1, extra
        return p, extra - 1
    if fixed == 0 and extra > 0:
        return p, extra - 1
    return p + character_bytes(load8_u(p)), extra


def is_word(operation: i32) -> bool:
    words = (operation == fm.AM) | (operation == fm.AD) | (operation == fm.RM)
    months = (operation == fm.MONTH) | (operation == fm.MON)
    return words | months | (operation == fm.DAY) | (operation == fm.DY)


def read_word(operation: i32, flags: i32, p: ptr, end: ptr) -> tuple[i32, ptr]:
    """The number of a name, from 0; 1 for pm and bc. -1 if there is none."""
    value = 0
    if (operation == fm.MONTH) | (operation == fm.MON):
        value, p = read_name(p, end, 0, 12, 9 if operation == fm.MONTH else 3)
    elif (operation == fm.DAY) | (operation == fm.DY):
        value, p = read_name(p, end, 1, 7, 9 if operation == fm.DAY else 3)
    elif operation == fm.RM:
        value, p = read_name(p, end, 2, 12, 4)
    else:
        dots = (flags & fm.DOTS) != 0
        if end - p < 2 + 2 * dots:
            return -1, p
        first = load8_u(p) | 0x20
        second = load8_u(p + 1 + dots) | 0x20
        p += 2 + 2 * dots
        if operation == fm.AM:
            if (first != 0x61 and first != 0x70) or second != 0x6D:
                return -1, p
            return i32(first == 0x70), p
        if not ((first == 0x61 and second == 0x64) or (first == 0x62 and second == 0x63)):
            return -1, p
        return i32(first == 0x62), p
    return value, p


def whole_hour(hour: i32, clock12: bool, pm: bool) -> tuple[i32, i32]:
    """The hour of the day, and a status."""
    if not clock12:
        return hour, errors.OK
    if hour < 1 or hour > 12:
        return hour, errors.DOMAIN
    if pm and hour < 12:
        return hour + 12, errors.OK
    if pm == 0 and hour == 12:
        return 0, errors.OK
    return hour, errors.OK


def year_of(year: i32, digits: i32, century: i32, bc: bool) -> i32:
    """The year that the fields mean together; that before 1 is 0."""
    if century != 0:
        if digits != 0 and digits <= 2:
            year = rem_s(year, 100)
            if year != 0:
                year += (century - 1) * 100
            else:
                year = century * 100
        elif digits == 0:
            year = (century - 1) * 100 + 1
    return 1 - year if bc else year


def iso_day(year: i32, week: i32, day_of_year: i32, weekday: i32) -> i64:
    fourth = days_from_civil(i64(year), 1, 4)
    monday = fourth - extract_isodow(fourth) + 1
    if week != 0:
        return monday + i64((week - 1) * 7 + (weekday - 1 if weekday > 0 else 0))
    return monday + i64(day_of_year - 1)


def civil_day(year: i32, month: i32, day: i32, week: i32, week_of_month: i32, day_of_year: i32) -> tuple[i64, i32]:
    """Days, and a status."""
    if week != 0:
        day_of_year = (week - 1) * 7 + 1
    if week_of_month != 0:
        day = (week_of_month - 1) * 7 + 1
    if day_of_year != 0 and month <= 1 and day <= 1:
        return days_from_civil(i64(year), 1, 1) + i64(day_of_year - 1), errors.OK
    month = month if month > 0 else 1
    day = day if day > 0 else 1
    if i64(day) > days_in_month(i64(year), i64(month)):
        return 0, errors.OVERFLOW
    return days_from_civil(i64(year), i64(month), i64(day)), errors.OK


def digits_of(operation: i32) -> i32:
    """The most digits of a field that is a number; 0 for what cannot be read."""
    if (operation == fm.YYYY) | (operation == fm.IYYY):
        return 4
    if (operation == fm.YYY) | (operation == fm.IYY) | (operation == fm.DDD) | (operation == fm.IDDD):
        return 3
    if (operation == fm.MS) | (operation == fm.FF3):
        return 3
    if (operation == fm.US) | (operation == fm.FF6):
        return 6
    if operation == fm.FF4:
        return 4
    if (operation == fm.SSSS) | (operation == fm.FF5):
        return 5
    if (operation == fm.Y) | (operation == fm.I_) | (operation == fm.D) | (operation == fm.ID) | (operation == fm.W):
        return 1
    if (operation == fm.Q) | (operation == fm.FF1):
        return 1
    if operation == fm.J:
        return 9
    if operation == fm.Y_YYY:
        return 9
    return 0 if operation >= fm.TZH else 2


def to_date(code: ptr, p: ptr, length: i32) -> tuple[i64, i32]:
    days, _, status = from_char(code, p, length)
    return days, status


def to_timestamp(code: ptr, p: ptr, length: i32) -> tuple[i64, i32]:
    days, micros, status = from_char(code, p, length)
    return days * _DAY_MICROS + micros, status
