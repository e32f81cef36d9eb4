"""Square roots of 128-bit scaled integers, exact to the last digit.

The radicand times a power of ten has up to 256 bits; its root is found two bits at a time from the highest, as on paper
(Warren, Hacker's Delight, 11-1), with a remainder of 128 bits: 64 to 128 steps of a few instructions.
"""

from __future__ import annotations

from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.int128 import less_unsigned, power_of_ten
from zerodb_compiler.kernels.intrinsics import add128, gt_u, i32, i64, mul_wide_u, shr_u, sub128


def square_root(a: i64, a_high: i64, digits: i32) -> tuple[i64, i64, i32]:
    """The root of a * 10**digits, rounded to the nearest integer, and a status: DOMAIN for negative a, OVERFLOW for
    roots of 2**124 and more. 0 <= digits <= 38."""
    if a_high < 0:
        return 0, 0, errors.DOMAIN
    factor, factor_high = power_of_ten(digits)
    word0, carry0 = mul_wide_u(a, factor)
    low_cross, low_cross_high = mul_wide_u(a, factor_high)
    high_cross, high_cross_high = mul_wide_u(a_high, factor)
    word2, word3 = mul_wide_u(a_high, factor_high)
    word1, over1 = add128(carry0, 0, low_cross, 0)
    word1, over2 = add128(word1, 0, high_cross, 0)
    word2, more = add128(word2, word3, low_cross_high, 0)
    word2, more = add128(word2, more, high_cross_high, 0)
    word2, word3 = add128(word2, more, over1 + over2, 0)
    if gt_u(word3, 0x00FF_FFFF_FFFF_FFFF):
        return 0, 0, errors.OVERFLOW
    root = i64(0)
    root_high = i64(0)
    rest = i64(0)
    rest_high = i64(0)
    place = 254
    while place >= 0:
        word = word0
        if place >= 192:
            word = word3
        elif place >= 128:
            word = word2
        elif place >= 64:
            word = word1
        bits = shr_u(word, i64(place & 63)) & 3
        rest_high = (rest_high << 2) | shr_u(rest, i64(62))
        rest = (rest << 2) | bits
        trial_high = (root_high << 2) | shr_u(root, i64(62))
        trial = (root << 2) | 1
        root_high = (root_high << 1) | shr_u(root, i64(63))
        root = root << 1
        if less_unsigned(rest, rest_high, trial, trial_high) == 0:
            rest, rest_high = sub128(rest, rest_high, trial, trial_high)
            root = root | 1
        place = place - 2
    if less_unsigned(root, root_high, rest, rest_high):
        root, root_high = add128(root, root_high, 1, 0)
    return root, root_high, 0
