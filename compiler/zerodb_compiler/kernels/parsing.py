"""Text as values, as PostgreSQL reads them: spaces around are ignored, anything else that is left over is an error.

Status INVALID_TEXT for bad syntax, OVERFLOW for values beyond the type. Numbers: sign, digits, point, exponent (a
decimal keeps its first 38 significant digits exactly). Rounding to floats is in nearest.py.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.dates import DAY, MAX_TIMESTAMP_DAYS, days_from_civil, days_in_month
from zerodb_compiler.kernels.int128 import divide_rounding, divide_unsigned, less_unsigned, power_of_ten, scale_up
from zerodb_compiler.kernels.intrinsics import (
    add128,
    bits_float,
    bits_float32,
    div_u,
    f32,
    f64,
    fabs,
    gt_u,
    i32,
    i64,
    inline,
    load8_u,
    lt_u,
    mul_wide_u,
    ptr,
    rem_u,
    select,
    shr_u,
    u64,
)
from zerodb_compiler.kernels.nearest import nearest_float as nearest_float
from zerodb_compiler.kernels.nearest import nearest_float_long

MAX_EXPONENT = 100_000  # larger ones are cut: the value is 0 or too large anyway
INFINITY = 1e999


@inline
def is_space(byte: i32) -> i32:
    return (byte == 32) | lt_u(byte - 9, 5)


@inline
def is_digit(byte: i32) -> i32:
    return lt_u(byte - 48, 10)


def strip(p: ptr, length: i32) -> tuple[ptr, i32]:
    """Without the white space around."""
    while length > 0 and is_space(load8_u(p)):
        p += 1
        length -= 1
    while length > 0 and is_space(load8_u(p + length - 1)):
        length -= 1
    return p, length


def equal_word(p: ptr, length: i32, low: i64, high: i64, word_length: i32) -> bool:
    """Whether the text is the lower-case word of at most 16 bytes (given as little-endian integers), in any case."""
    if length != word_length:
        return False
    for i in range(length):
        letter = i32(shr_u(select(i < 8, low, high), u64((i & 7) << 3))) & 255
        byte = load8_u(p + i)
        if lt_u(byte - 65, 26):
            byte += 32
        if byte != letter:
            return False
    return True


# --- exact numbers ----------------------------------------------------------------------------------------------------
def parse_integer(p: ptr, length: i32) -> tuple[i64, i64, i32]:
    """A 128-bit integer: sign and digits."""
    p, length = strip(p, length)
    sign: i64 = 0
    if length > 0:
        first = load8_u(p)
        if first == 45 or first == 43:
            sign = 0 - u64(first == 45)
            p += 1
            length -= 1
    if length <= 0:
        return 0, 0, errors.INVALID_TEXT
    low: i64 = 0
    high: i64 = 0
    end = p + length
    while p < end:
        byte = load8_u(p)
        if not is_digit(byte):
            return 0, 0, errors.INVALID_TEXT
        if length <= 18:
            low = low * 10 + u64(byte - 48)
        else:
            # 2**127 // 10 = 0x0CCC..., so that the product stays below 2**128 and the sign bit tells the overflow.
            if gt_u(high, 0x0CCCCCCCCCCCCCCC):
                return overflow_or_invalid(p, end)
            upper = high * 10
            low, carry = mul_wide_u(low, 10)
            low, high = add128(low, carry + upper, u64(byte - 48), 0)
            if high < 0 and not (sign < 0 and high == -(1 << 63) and low == 0):
                return overflow_or_invalid(p, end)
        p += 1
    low, high = add128(low ^ sign, high ^ sign, sign & 1, 0)
    return low, high, errors.OK


def overflow_or_invalid(p: ptr, end: ptr) -> tuple[i64, i64, i32]:
    """Too many digits, unless what follows is no digit."""
    while p < end:
        if not is_digit(load8_u(p)):
            return 0, 0, errors.INVALID_TEXT
        p += 1
    return 0, 0, errors.OVERFLOW


def scan_exponent(p: ptr, end: ptr) -> tuple[i32, i32]:
    """The exponent behind an `e`, and a status: it must reach the end."""
    negative = 0
    if p < end:
        first = load8_u(p)
        if first == 45 or first == 43:
            negative = first == 45
            p += 1
    if p >= end:
        return 0, errors.INVALID_TEXT
    value = 0
    while p < end:
        byte = load8_u(p)
        if not is_digit(byte):
            return 0, errors.INVALID_TEXT
        value = select(value > MAX_EXPONENT, value, value * 10 + byte - 48)
        p += 1
    return select(negative, 0 - value, value), errors.OK


def scan_number(p: ptr, end: ptr, max_digits: i32) -> tuple[i64, i64, i32, i32, i32]:
    """Digits, point and exponent of an unsigned number: its first `max_digits` (at most 38) significant digits as a
    128-bit integer, the power of ten, whether digits other than 0 were left out, and a status."""
    low: i64 = 0
    high: i64 = 0
    exponent = 0
    digits = 0  # significant ones taken
    seen = 0
    after_point = 0
    cut = 0  # whether a digit other than 0 was left out
    status = errors.OK
    while p < end:
        byte = load8_u(p)
        if is_digit(byte):
            seen = 1
            if digits < max_digits:
                if digits < 18:
                    low = low * 10 + u64(byte - 48)
                else:
                    upper = high * 10
                    low, carry = mul_wide_u(low, 10)
                    low, high = add128(low, carry + upper, u64(byte - 48), 0)
                digits += (digits > 0) | (byte != 48)
                exponent -= after_point
            else:
                cut |= byte != 48
                exponent += 1 - after_point
        elif byte == 46 and after_point == 0:
            after_point = 1
        elif (byte | 32) == 101 and seen:
            power, status = scan_exponent(p + 1, end)
            exponent += power
            break
        else:
            return 0, 0, 0, 0, errors.INVALID_TEXT
        p += 1
    return low, high, exponent, cut, select(seen, status, errors.INVALID_TEXT)


def parse_decimal(p: ptr, length: i32, scale: i32) -> tuple[i64, i64, i32]:
    """A number times 10**scale, rounded half away from zero; OVERFLOW from 10**38 on."""
    p, length = strip(p, length)
    sign: i64 = 0
    if length > 0:
        first = load8_u(p)
        if first == 45 or first == 43:
            sign = 0 - u64(first == 45)
            p += 1
            length -= 1
    low, high, exponent, _, status = scan_number(p, p + length, 38)
    if status != 0 or (low | high) == 0:
        return 0, 0, status
    shift = exponent + scale
    overflow = 0
    if shift > 38:
        return 0, 0, errors.OVERFLOW
    if shift >= 0:
        low, high, overflow = scale_up(low, high, shift)
    elif shift >= -38:
        factor, factor_high = power_of_ten(0 - shift)
        low, high, _ = divide_rounding(low, high, factor, factor_high)
    else:
        return 0, 0, errors.OK
    limit, limit_high = power_of_ten(38)
    if overflow or not less_unsigned(low, high, limit, limit_high):
        return 0, 0, errors.OVERFLOW
    low, high = add128(low ^ sign, high ^ sign, sign & 1, 0)
    return low, high, errors.OK


# --- floating point ---------------------------------------------------------------------------------------------------
def scan_float(p: ptr, length: i32, mantissa_bits: i32, least_exponent: i32, infinite: i32) -> tuple[i64, i32, i32]:
    """The bits of the number without its sign, whether it is negative, and a status."""
    p, length = strip(p, length)
    negative = 0
    if length > 0:
        first = load8_u(p)
        if first == 45 or first == 43:
            negative = first == 45
            p += 1
            length -= 1
    if length > 0 and not (is_digit(load8_u(p)) | (load8_u(p) == 46)):
        if equal_word(p, length, 0x6E616E, 0, 3):
            quiet = u64(infinite * 2 + 1) << u64(mantissa_bits - 1)
            return quiet, 0, errors.OK
        if equal_word(p, length, 0x666E69, 0, 3) or equal_word(p, length, 0x7974696E69666E69, 0, 8):
            return u64(infinite) << u64(mantissa_bits), negative, errors.OK
        return 0, 0, errors.INVALID_TEXT
    digits, high, power, cut, status = scan_number(p, p + length, 38)
    if status != 0:
        return 0, 0, status
    while high != 0 or digits < 0:
        # Trailing zeros make a number long that is none.
        shorter, shorter_high, rest, _ = divide_unsigned(digits, high, 10, 0)
        if rest != 0:
            break
        digits = shorter
        high = shorter_high
        power += 1
    if high == 0 and cut == 0:
        bits = nearest_float(digits, power, mantissa_bits, least_exponent, infinite)
    else:
        bits = nearest_float_long(digits, high, power, cut, mantissa_bits, least_exponent, infinite)
    if bits == u64(infinite) << u64(mantissa_bits) or (bits == 0 and (digits | high) != 0):
        return bits, negative, errors.OVERFLOW
    return bits, negative, errors.OK


def parse_f64(p: ptr, length: i32) -> tuple[f64, i32]:
    """Also NaN, Infinity and inf in any case; OVERFLOW where PostgreSQL says out of range (an underflow to 0 too)."""
    bits, negative, status = scan_float(p, length, 52, -1023, 0x7FF)
    return bits_float(bits | u64(negative) << 63), status


def parse_f32(p: ptr, length: i32) -> tuple[f64, i32]:
    """A real, as the double of the same value; rounded once."""
    bits, negative, status = scan_float(p, length, 23, -127, 0xFF)
    return f64(bits_float32(i32(bits) | negative << 31)), status


def f64_to_real(value: f64) -> tuple[f64, i32]:
    """Rounds to a real; OVERFLOW if a finite number becomes infinite."""
    rounded = f64(f32(value))
    return rounded, select((fabs(rounded) == INFINITY) & (fabs(value) < INFINITY), errors.OVERFLOW, errors.OK)


# --- dates, booleans --------------------------------------------------------------------------------------------------
def scan_digits(p: ptr, end: ptr, most: i32) -> tuple[i64, i32]:
    """Up to `most` digits as a number, and how many there were."""
    value: i64 = 0
    count = 0
    while p + count < end and count < most and is_digit(load8_u(p + count)):
        value = value * 10 + u64(load8_u(p + count) - 48)
        count += 1
    return value, count


def scan_date(p: ptr, end: ptr) -> tuple[i64, i64, i64, ptr]:
    """Year, month and day of YYYY-MM-DD (or with slashes, or YYYYMMDD) and the address behind; address 0 if it is
    none. The numbers are not checked."""
    year, count = scan_digits(p, end, 8)
    if count == 8 and (p + 8 == end or (load8_u(p + 8) != 45 and load8_u(p + 8) != 47)):
        return div_u(year, 10000), rem_u(div_u(year, 100), 100), rem_u(year, 100), p + 8
    p += count
    if count < 3 or p >= end:
        return 0, 0, 0, 0
    separator = load8_u(p)
    if separator != 45 and separator != 47:
        return 0, 0, 0, 0
    month, count = scan_digits(p + 1, end, 2)
    p += 1 + count
    if count == 0 or p >= end or load8_u(p) != separator:
        return 0, 0, 0, 0
    day, count = scan_digits(p + 1, end, 2)
    return year, month, day, select(count == 0, 0, p + 1 + count)


def date_of(year: i64, month: i64, day: i64, before_christ: i32) -> tuple[i64, i32]:
    """Days of a date whose year is counted from 1 in its era; OVERFLOW for a date that does not exist."""
    if before_christ:
        year = 1 - year
        if year > 0:
            return 0, errors.OVERFLOW
    elif year == 0:
        return 0, errors.OVERFLOW
    if month < 1 or month > 12 or day < 1:
        return 0, errors.OVERFLOW
    if day > days_in_month(year, month):
        return 0, errors.OVERFLOW
    days = days_from_civil(year, month, day)
    return days, select(days == i64(i32(days)), errors.OK, errors.OVERFLOW)


def strip_era(p: ptr, length: i32) -> tuple[i32, i32]:
    """The length without a last " BC" or " AD", and whether it was BC."""
    if length > 3 and is_space(load8_u(p + length - 3)):
        first = load8_u(p + length - 2) | 32
        second = load8_u(p + length - 1) | 32
        is_bc = (first == 98) & (second == 99)
        if is_bc | ((first == 97) & (second == 100)):
            return length - 3, is_bc
    return length, 0


def parse_date(p: ptr, length: i32) -> tuple[i64, i32]:
    """Days; a time of day behind the date is checked and dropped."""
    days, _, status = scan_timestamp(p, length)
    return days, status


def parse_timestamp(p: ptr, length: i32) -> tuple[i64, i32]:
    """Microseconds."""
    days, time, status = scan_timestamp(p, length)
    if status != 0:
        return 0, status
    if days > MAX_TIMESTAMP_DAYS or days < -MAX_TIMESTAMP_DAYS:
        return 0, errors.OVERFLOW
    return days * DAY + time, errors.OK


def scan_timestamp(p: ptr, length: i32) -> tuple[i64, i64, i32]:
    """Days and microseconds of the day of `date[ |T]HH:MM[:SS[.ffffff]][Z| BC]`."""
    p, length = strip(p, length)
    length, before_christ = strip_era(p, length)
    end = p + length
    year, month, day, place = scan_date(p, end)
    if place == 0:
        return 0, 0, errors.INVALID_TEXT
    days, status = date_of(year, month, day, before_christ)
    if place == end or status != 0:
        return days, 0, status
    separator = load8_u(place) | 32
    if separator != 116 and separator != 32:
        return 0, 0, errors.INVALID_TEXT
    time, status = scan_time(place + 1, end)
    return days, time, status


def scan_time(p: ptr, end: ptr) -> tuple[i64, i32]:
    """Microseconds of HH:MM[:SS[.ffffff]], digits beyond six rounded; 24:00:00 is the next midnight."""
    while p < end and load8_u(p) == 32:
        p += 1
    if p < end and (load8_u(end - 1) | 32) == 122:
        end -= 1
    hour, count = scan_digits(p, end, 2)
    p += count
    if count == 0 or p >= end or load8_u(p) != 58:
        return 0, errors.INVALID_TEXT
    minute, count = scan_digits(p + 1, end, 2)
    p += 1 + count
    second: i64 = 0
    fraction: i64 = 0
    if count == 0:
        return 0, errors.INVALID_TEXT
    if p < end and load8_u(p) == 58:
        second, count = scan_digits(p + 1, end, 2)
        p += 1 + count
        if count == 0:
            return 0, errors.INVALID_TEXT
        if p < end and load8_u(p) == 46:
            fraction, count = scan_digits(p + 1, end, 6)
            p += 1 + count
            while count < 6:
                fraction *= 10
                count += 1
            if p < end and is_digit(load8_u(p)):
                fraction += u64(load8_u(p) >= 53)
                while p < end and is_digit(load8_u(p)):
                    p += 1
    if p != end:
        return 0, errors.INVALID_TEXT
    total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction
    if minute > 59 or second > 60 or total > DAY:
        return 0, errors.OVERFLOW
    return total, errors.OK


def parse_bool(p: ptr, length: i32) -> tuple[i32, i32]:
    """true, yes, on, 1 and false, no, off, 0 and their unique beginnings, in any case."""
    p, length = strip(p, length)
    if length == 0 or length > 5:
        return 0, errors.INVALID_TEXT
    first = load8_u(p) | 32
    if first == 116 and is_beginning(p, length, 0x65757274, 4):
        return 1, errors.OK
    if first == 102 and is_beginning(p, length, 0x65736C6166, 5):
        return 0, errors.OK
    if first == 121 and is_beginning(p, length, 0x736579, 3):
        return 1, errors.OK
    if first == 110 and is_beginning(p, length, 0x6F6E, 2):
        return 0, errors.OK
    if length > 1 and is_beginning(p, length, 0x6E6F, 2):
        return 1, errors.OK
    if length > 1 and is_beginning(p, length, 0x66666F, 3):
        return 0, errors.OK
    if length == 1 and (load8_u(p) == 48 or load8_u(p) == 49):
        return load8_u(p) - 48, errors.OK
    return 0, errors.INVALID_TEXT


def is_beginning(p: ptr, length: i32, word: i64, word_length: i32) -> bool:
    """Whether the text is one to `word_length` first letters of the word."""
    return length <= word_length and equal_word(p, length, word, 0, length)
