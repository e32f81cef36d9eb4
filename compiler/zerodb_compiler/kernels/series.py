"""generate_series: how many rows there are."""

from __future__ import annotations

from zerodb_compiler.kernels import int128
from zerodb_compiler.kernels.intrinsics import div_u, i64


def series_count(first: i64, last: i64, step: i64) -> i64:
    """Unsigned; `step` 0 gives 0. The differences wrap, and are right as unsigned numbers."""
    if step > 0 and first <= last:
        count: i64 = div_u(last - first, step) + 1
        return count - i64(count == 0)
    if step < 0 and first >= last:
        down: i64 = div_u(first - last, -step) + 1
        return down - i64(down == 0)
    return 0


def decimal_series_count(first: i64, first_high: i64, last: i64, last_high: i64, step: i64, step_high: i64) -> i64:
    """At most the greatest i64; `step` 0 gives 0."""
    if step | step_high == 0:
        return 0
    direction = int128.compare(first, first_high, last, last_high)
    if (step_high >= 0 and direction > 0) or (step_high < 0 and direction < 0):
        return 0
    low, high, overflow = int128.subtract(last, last_high, first, first_high)
    if overflow:
        return 0x7FFFFFFFFFFFFFFF
    low, high = int128.divide_truncating(low, high, step, step_high)
    if high != 0 or low < 0 or low == 0x7FFFFFFFFFFFFFFF:
        return 0x7FFFFFFFFFFFFFFF
    return low + 1
