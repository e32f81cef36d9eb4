"""Hash functions for hash tables: 64 bits, good in all bits, not keyed (no protection against chosen keys).

Integers: multiply and fold (the high half of the 128-bit product carries every input bit into the low bits). Texts:
eight bytes at a time through the same fold, in the manner of wyhash; the length is part of the state.
"""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import (
    i32,
    i64,
    inline,
    load8_u64,
    load16_u64,
    load32_u64,
    load64,
    mul_wide_u,
    ptr,
    rotl,
    shr_u,
    u64,
)

# Odd constants with about as many ones as zeros (wyhash's secret).
SECRET_0 = 0xA0761D6478BD642F
SECRET_1 = 0xE7037ED1A0B428DB
SECRET_2 = 0x8EBC6AF09C88C6E3


@inline
def fold(a: i64, b: i64) -> i64:
    """Both halves of the 128-bit product, xored."""
    low, high = mul_wide_u(a, b)
    return low ^ high


def hash_i64(x: i64) -> i64:
    # Twice: after one fold, the low bits of some arithmetic sequences meet far too often.
    return fold(fold(x ^ SECRET_0, SECRET_1) ^ SECRET_0, SECRET_2)


def hash_i128(low: i64, high: i64) -> i64:
    return fold(low ^ SECRET_0, high ^ SECRET_1)


def combine(h: i64, h2: i64) -> i64:
    """The hash of a pair; not symmetric."""
    return fold(h ^ SECRET_2, rotl(h2, 32) ^ SECRET_1)


def hash_text(address: ptr, length: i32) -> i64:
    """Reads only the text's own bytes."""
    state: i64 = u64(length) ^ SECRET_0
    while length > 16:
        state = fold(load64(address) ^ SECRET_1, load64(address, 8) ^ state)
        address += 16
        length -= 16
    first: i64 = 0
    last: i64 = 0
    if length >= 8:
        first = load64(address)
        last = load64(address + length - 8)
    elif length >= 4:
        first = load32_u64(address)
        last = load32_u64(address + length - 4)
    elif length >= 2:
        first = load16_u64(address)
        last = load8_u64(address + length - 1)
    elif length == 1:
        first = load8_u64(address)
    return fold(first ^ SECRET_1 ^ shr_u(state, 32), last ^ state)
