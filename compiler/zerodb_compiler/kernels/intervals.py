"""Intervals: (low, high) with low the microseconds, high the days (low 32 bits) and months (high 32 bits)."""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import add128, i32, i64, mul_wide_s

DAY = 86_400_000_000


def interval_days(high: i64) -> i64:
    return i64(i32(high))


def interval_months(high: i64) -> i64:
    return high >> 32


def interval_sort_key(low: i64, high: i64) -> tuple[i64, i64]:
    """What intervals are compared by, as int128: microseconds, months of 30 days and days of 24 hours."""
    key, key_high = mul_wide_s(interval_months(high) * 30 + interval_days(high), DAY)
    sum_low, sum_high = add128(key, key_high, low, low >> 63)
    return sum_low, sum_high
