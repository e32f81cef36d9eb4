"""Values as text, in PostgreSQL's output forms. Results are in the worker's scratch memory; address 0: out of memory.

Floating-point numbers are written with the fewest digits that read back as the same number and, among those, the
nearest: Raffaello Giulietti's "The Schubfach way to render doubles" (2020), sections 8 and 9. The notation is
PostgreSQL's: plain for decimal exponents from -4 to 14 (real: to 5), else d.ddde+XX.
"""

from __future__ import annotations

from zerodb_compiler.kernels.dates import civil_from_days, timestamp_days, timestamp_time
from zerodb_compiler.kernels.int128 import digits_of, divide_unsigned, magnitude, power_of_ten, scale_down
from zerodb_compiler.kernels.intrinsics import (
    add128,
    div_s,
    div_u,
    f32,
    f64,
    float32_bits,
    float_bits,
    gt_u,
    i32,
    i64,
    inline,
    le_u,
    lt_u,
    memory_copy,
    memory_fill,
    mul_wide_u,
    ptr,
    rem_u,
    select,
    shr_u,
    store8,
    store32,
    store64,
    u64,
)
from zerodb_compiler.kernels.memory import scratch, scratch_end
from zerodb_compiler.kernels.powers import power_128

TEN_TO_18 = 10**18


# --- integers ---------------------------------------------------------------------------------------------------------
def write_digits(end: ptr, value: i64) -> ptr:
    """Writes an unsigned number so that it ends before `end`; gives its start. Zero is one digit."""
    while True:
        rest = div_u(value, 10)
        end -= 1
        store8(end, 48 + i32(value - rest * 10))
        value = rest
        if value == 0:
            return end


def write_padded(place: ptr, value: i64, width: i32) -> ptr:
    """Writes an unsigned number with leading zeros to at least `width` digits; gives the address behind it."""
    digits = width
    rest = value
    for _ in range(width):
        rest = div_u(rest, 10)
    while rest != 0:
        digits += 1
        rest = div_u(rest, 10)
    place += digits
    end = place
    for _ in range(digits):
        rest = div_u(value, 10)
        end -= 1
        store8(end, 48 + i32(value - rest * 10))
        value = rest
    return place


def format_i64(worker: ptr, value: i64) -> tuple[ptr, i32]:
    start = scratch(worker, 24)
    if start == 0:
        return 0, 0
    # Written from the end of the room; what is before it is lost until the morsel ends.
    end = start + 24
    place = write_digits(end, select(value < 0, 0 - value, value))
    if value < 0:
        place -= 1
        store8(place, 45)
    return place, end - place


def format_decimal(worker: ptr, low: i64, high: i64, scale: i32) -> tuple[ptr, i32]:
    """A 128-bit integer divided by 10**scale, with exactly `scale` decimals; 0 <= scale <= 38."""
    start = scratch(worker, 48)
    if start == 0:
        return 0, 0
    end = start + 48
    value, value_high = magnitude(low, high)
    # The digits without the point, at least scale + 1 of them, in groups of 18.
    place = end
    while value_high != 0 or lt_u(TEN_TO_18 - 1, value):
        value, value_high, group, _ = divide_unsigned(value, value_high, TEN_TO_18, 0)
        first = place - 18
        memory_fill(first, 48, 18)
        _ = write_digits(place, group)
        place = first
    place = write_digits(place, value)
    missing = scale + 1 - (end - place)
    if missing > 0:
        place -= missing
        memory_fill(place, 48, missing)
    if scale > 0:
        whole = end - place - scale
        memory_copy(place - 1, place, whole)
        place -= 1
        store8(place + whole, 46)
    if high < 0:
        place -= 1
        store8(place, 45)
    return place, end - place


def quotient_decimals(value: i64, value_high: i64, scale: i32) -> i32:
    """types._quotient_decimals of a magnitude."""
    digits = digits_of(value, value_high)
    whole = digits - scale  # digits before the point, if positive
    if whole > 0:
        if whole == 1:
            one, one_high = power_of_ten(scale)
            if value == one and value_high == one_high:
                return 20
        decimals = 16 - 4 * div_s(whole - 1, 4)
        return select(decimals > 0, decimals, 0)
    if (value | value_high) == 0:
        return 20
    return 20 + 4 * div_s(-whole, 4)


def format_shown(worker: ptr, low: i64, high: i64, scale: i32, shown: i32, quotient: i32) -> tuple[ptr, i32]:
    """A numeric of a type that does not show all its decimals (types.shown_decimals)."""
    decimals = scale
    value, value_high = magnitude(low, high)
    if quotient:
        decimals = quotient_decimals(value, value_high, scale)
        decimals = select(decimals > shown, decimals, shown)
        decimals = select(decimals < scale, decimals, scale)
    else:
        more = 1
        while decimals > shown and more:
            whole, whole_high, rest, _ = divide_unsigned(value, value_high, 10, 0)
            more = rest == 0
            if more:
                value = whole
                value_high = whole_high
                decimals -= 1
    low, high = scale_down(low, high, scale - decimals)
    place, length = format_decimal(worker, low, high, decimals)
    return place, length


# --- floating point ---------------------------------------------------------------------------------------------------
@inline
def round_to_odd(low: i64, high: i64, factor: i64) -> i64:
    """The top 64 of the 192 bits of the product, with a last bit that is 1 if anything below was lost."""
    _, carry = mul_wide_u(low, factor)
    middle, top = mul_wide_u(high, factor)
    middle, top = add128(middle, top, carry, 0)
    return top | u64(gt_u(middle, 1))


def shortest(significand: i64, exponent: i32, lower_is_closer: i32) -> tuple[i64, i32]:
    """Digits and power of ten of the shortest decimal inside the rounding interval of significand * 2**exponent."""
    k = (exponent * 1262611 - select(lower_is_closer, 524031, 0)) >> 22
    shift = u64(exponent + ((-k * 1741647) >> 19) + 1)
    low, high = power_128(-k)
    if k > 0 or k < -55:
        # The method wants the power rounded up; 10**0 ... 10**55 are exact.
        low, high = add128(low, high, 1, 0)
    odd = significand & 1
    center = significand << 2
    lower = round_to_odd(low, high, (center - 2 + u64(lower_is_closer)) << shift) + odd
    value = round_to_odd(low, high, center << shift)
    upper = round_to_odd(low, high, (center + 2) << shift) - odd
    digits = shr_u(value, 2)
    if digits >= 10:
        tens = div_u(digits, 10)
        below_inside = le_u(lower, 40 * tens)
        above_inside = le_u(40 * tens + 40, upper)
        if below_inside != above_inside:
            return tens + u64(above_inside), k + 1
    below = le_u(lower, 4 * digits)
    above = le_u(4 * digits + 4, upper)
    if below != above:
        return digits + u64(above), k
    middle = 4 * digits + 2
    up = gt_u(value, middle) | ((value == middle) & i32(digits & 1))
    return digits + u64(up), k


def write_number(place: ptr, digits: i64, exponent: i32, plain_below: i32) -> ptr:
    """digits * 10**exponent in PostgreSQL's notation; digits > 0. Gives the address behind it."""
    while True:
        tens = div_u(digits, 10)
        if tens * 10 != digits:
            break
        digits = tens
        exponent += 1
    buffer = place + 32
    end = buffer + 24
    start = write_digits(end, digits)
    count = end - start
    power = exponent + count - 1  # of the first digit
    if power < -4 or power >= plain_below:
        memory_copy(place, start, 1)
        place += 1
        if count > 1:
            store8(place, 46)
            memory_copy(place + 1, start + 1, count - 1)
            place += count
        store8(place, 101)
        store8(place + 1, select(power < 0, 45, 43))
        return write_padded(place + 2, u64(select(power < 0, 0 - power, power)), 2)
    if power < 0:
        memory_fill(place, 48, 1 - power)
        store8(place + 1, 46)
        memory_copy(place + 1 - power, start, count)
        return place + 1 - power + count
    if exponent >= 0:
        memory_copy(place, start, count)
        memory_fill(place + count, 48, exponent)
        return place + count + exponent
    memory_copy(place, start, power + 1)
    store8(place + power + 1, 46)
    memory_copy(place + power + 2, start + power + 1, count - power - 1)
    return place + count + 1


def write_special(place: ptr, is_nan: i32) -> ptr:
    if is_nan:
        store32(place, 0x4E614E)
        return place + 3
    store64(place, 0x7974696E69666E49)
    return place + 8


def format_f64(worker: ptr, value: f64) -> tuple[ptr, i32]:
    start = scratch(worker, 64)
    if start == 0:
        return 0, 0
    bits = float_bits(value)
    fraction = bits & ((1 << 52) - 1)
    exponent = i32(shr_u(bits, 52)) & 0x7FF
    place = start
    if bits < 0 and not (exponent == 0x7FF and fraction != 0):
        store8(place, 45)
        place += 1
    if exponent == 0x7FF:
        place = write_special(place, fraction != 0)
    elif (exponent | i32(fraction != 0)) == 0:
        store8(place, 48)
        place += 1
    else:
        whole = fraction | select(exponent != 0, 1 << 52, 0)
        closer = (fraction == 0) & (exponent > 1)
        digits, power = shortest(whole, select(exponent != 0, exponent - 1075, -1074), closer)
        place = write_number(place, digits, power, 15)
    scratch_end(worker, place)
    return start, place - start


def format_f32(worker: ptr, value: f64) -> tuple[ptr, i32]:
    """A real, given as the double of the same value."""
    start = scratch(worker, 64)
    if start == 0:
        return 0, 0
    bits = float32_bits(f32(value))
    fraction = bits & ((1 << 23) - 1)
    exponent = shr_u(bits, 23) & 0xFF
    place = start
    if bits < 0 and not (exponent == 0xFF and fraction != 0):
        store8(place, 45)
        place += 1
    if exponent == 0xFF:
        place = write_special(place, fraction != 0)
    elif (exponent | fraction) == 0:
        store8(place, 48)
        place += 1
    else:
        whole = u64(fraction | select(exponent != 0, 1 << 23, 0))
        closer = (fraction == 0) & (exponent > 1)
        digits, power = shortest(whole, select(exponent != 0, exponent - 150, -149), closer)
        place = write_number(place, digits, power, 6)
    scratch_end(worker, place)
    return start, place - start


# --- dates, booleans --------------------------------------------------------------------------------------------------
def write_date(place: ptr, days: i64) -> ptr:
    """YYYY-MM-DD, of the absolute year; the era is the caller's."""
    year, month, day = civil_from_days(days)
    place = write_padded(place, select(year > 0, year, 1 - year), 4)
    store8(place, 45)
    place = write_padded(place + 1, month, 2)
    store8(place, 45)
    return write_padded(place + 1, day, 2)


def write_era(place: ptr, days: i64) -> ptr:
    year, _, _ = civil_from_days(days)
    if year > 0:
        return place
    store8(place, 32)
    store8(place + 1, 66)
    store8(place + 2, 67)
    return place + 3


def format_date(worker: ptr, days: i64) -> tuple[ptr, i32]:
    start = scratch(worker, 40)
    if start == 0:
        return 0, 0
    place = write_era(write_date(start, days), days)
    scratch_end(worker, place)
    return start, place - start


def format_timestamp(worker: ptr, micros: i64) -> tuple[ptr, i32]:
    """YYYY-MM-DD HH:MM:SS[.ffffff], the fraction without trailing zeros."""
    start = scratch(worker, 64)
    if start == 0:
        return 0, 0
    days = timestamp_days(micros)
    time = timestamp_time(micros)
    place = write_date(start, days)
    store8(place, 32)
    seconds = div_u(time, 1_000_000)
    place = write_padded(place + 1, div_u(seconds, 3600), 2)
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
    place = write_era(place, days)
    scratch_end(worker, place)
    return start, place - start


def format_bool(worker: ptr, value: i32) -> tuple[ptr, i32]:
    start = scratch(worker, 8)
    if start == 0:
        return 0, 0
    store64(start, select(value, 0x65757274, 0x65736C6166))
    return start, select(value, 4, 5)
