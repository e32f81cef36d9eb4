"""Functions of integers: greatest common divisor, factorial, buckets, random numbers."""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.hashing import combine, hash_i64
from zerodb_compiler.kernels.int128 import compare, divide_truncating, multiply, subtract
from zerodb_compiler.kernels.intrinsics import (
    bits_float,
    f64,
    floor,
    i32,
    i64,
    load64,
    ptr,
    rem_u,
    rotl,
    shr_u,
    store64,
    u64,
)
from zerodb_compiler.kernels.memory import allocate


def gcd(a: i64, b: i64) -> i64:
    """Of the magnitudes, as an unsigned number."""
    if a < 0:
        a = 0 - a
    if b < 0:
        b = 0 - b
    while b != 0:
        rest = rem_u(a, b)
        a = b
        b = rest
    return a


def factorial(n: i64) -> tuple[i64, i64, i32]:
    low: i64 = 1
    high: i64 = 0
    if n < 0:
        return low, high, errors.DOMAIN
    if n > 33:
        return low, high, errors.OVERFLOW
    while n > 1:
        low, high, _ = multiply(low, high, n, 0)
        n -= 1
    return low, high, errors.OK


def bucket(x: f64, low: f64, high: f64, count: i64) -> tuple[i64, i32]:
    """width_bucket of doubles."""
    if count <= 0:
        return 0, errors.INVALID_COUNT
    if x != x or low != low or high != high:
        return 0, errors.INVALID_TEXT
    if low - low != 0.0 or high - high != 0.0:
        return 0, errors.WRONG_TEXT
    if low == high:
        return 0, errors.DOMAIN
    rising = low < high
    if not rising:
        x = -x
        low = -low
        high = -high
    if x < low:
        return 0, errors.OK
    if x >= high:
        return count + 1, errors.OK
    place = i64(floor(((x - low) / (high - low)) * f64(count)))
    if place >= count:
        place = count - 1
    return place + 1, errors.OK


def exact_bucket(
    x: i64, x_high: i64, low: i64, low_high: i64, high: i64, high_high: i64, count: i64
) -> tuple[i64, i32]:
    """width_bucket of exact numbers of one scale."""
    if count <= 0:
        return 0, errors.INVALID_COUNT
    order = compare(low, low_high, high, high_high)
    if order == 0:
        return 0, errors.DOMAIN
    if order > 0:
        x, x_high, _ = subtract(0, 0, x, x_high)
        low, low_high, _ = subtract(0, 0, low, low_high)
        high, high_high, _ = subtract(0, 0, high, high_high)
    if compare(x, x_high, low, low_high) < 0:
        return 0, errors.OK
    if compare(x, x_high, high, high_high) >= 0:
        return count + 1, errors.OK
    a, a_high, over = subtract(x, x_high, low, low_high)
    b, b_high, over_b = subtract(high, high_high, low, low_high)
    a, a_high, over_c = multiply(a, a_high, count, 0)
    if (over | over_b | over_c) != 0:
        return 0, errors.OVERFLOW
    a, a_high = divide_truncating(a, a_high, b, b_high)
    return a + 1, errors.OK


def random_bits(worker: ptr, field: ptr) -> i64:
    """64 random bits: xoroshiro128+ (D. Blackman, S. Vigna), whose state the host seeds once a worker and query."""
    a = load64(field)
    b = load64(field, 8)
    if (a | b) == 0:
        a = u64(allocate(worker, 0, abi.ALLOCATE_RANDOM)) << 32 | u64(allocate(worker, 0, abi.ALLOCATE_RANDOM))
        b = u64(allocate(worker, 0, abi.ALLOCATE_RANDOM)) << 32 | 1
    result = a + b
    b ^= a
    store64(field, rotl(a, 24) ^ b ^ (b << 16))
    store64(field, rotl(b, 37), 8)
    return result


def sample_double(row: i64, seed: i64) -> f64:
    """From 0 to below 1, the same for the same row and seed."""
    return bits_float(shr_u(combine(hash_i64(row), hash_i64(seed)), 12) | 1023 << 52) - 1.0


def random_double(worker: ptr, field: ptr) -> f64:
    """From 0 to below 1: 52 bits."""
    return bits_float(shr_u(random_bits(worker, field), 12) | 1023 << 52) - 1.0


def wrapped(value: i64, bits: i64) -> i64:
    """The low bits of a number as a signed one."""
    shift = 64 - bits
    return (value << shift) >> shift
