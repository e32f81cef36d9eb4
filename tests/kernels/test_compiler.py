"""The kernel language itself: what the statements and expressions mean, and that wrong kernels are refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_runner import DATA, Kernels

from zerodb_compiler.kernels import int128, text
from zerodb_compiler.kernels.compiler import compile_kernel, kernel
from zerodb_compiler.kernels.intrinsics import (
    Table,
    clz,
    div_u,
    f64,
    i32,
    i64,
    inline,
    load8_u,
    load32,
    ptr,
    rotl,
    select,
    shr_u,
    store8,
    u64,
)
from zerodb_compiler.kernels.language import KernelError
from zerodb_compiler.wasm.module import Module

LIMIT = 10
SQUARES = Table("i64", tuple(i * i for i in range(8)), "square")


class constants:
    TWELVE = 12


def loops(n: i32) -> i64:
    total: i64 = 0
    for i in range(n):
        if i == 3:
            continue
        if i > LIMIT:
            break
        for j in range(i, 0, -2):
            total += i64(j)
    k = 0
    while True:
        k += 1
        if k >= n and k > 2:
            break
        if k == 5 or (k & 1 == 0 and k != 8):
            continue
        total = total * 3 + i64(k)
    return total


def expected_loops(n: int) -> int:
    total = 0
    for i in range(n):
        if i == 3:
            continue
        if i > 10:
            break
        total += sum(range(i, 0, -2))
    k = 0
    while True:
        k += 1
        if k >= n and k > 2:
            break
        if k == 5 or (k & 1 == 0 and k != 8):
            continue
        total = total * 3 + k
    return total


@inline
def clamp(x: i64, low: i64, high: i64) -> i64:
    if x < low:
        return low
    elif x > high:
        return high
    return x


@inline
def swapped(a: i64, b: i64) -> tuple[i64, i64]:
    a, b = b, a
    return a, b


def expressions(a: i64, b: i64, c: i32) -> tuple[i64, i32, f64]:
    x, y = swapped(a, b)
    x = clamp(x, -1000, clamp(y, 0, 500)) + (7 if c > 0 else -7)
    flags = (a < b) + (-5 <= c <= 5) * 2 + (not c) * 4 + (c == 3 or (a == b and b > 0)) * 8
    z = ~a ^ (b << 3) ^ shr_u(b, 5) ^ rotl(a, 7)
    real = f64(c) / 4.0 + constants.TWELVE
    return x + z + SQUARES[c & 7] + u64(c & 255), flags if c != 9 else -flags, -real


def reverse_in_place(p: ptr, length: i32) -> None:
    end = p + length - 1
    while p < end:
        a, b = load8_u(p), load8_u(end)
        store8(p, b)
        store8(end, a)
        p += 1
        end -= 1


def factorial(n: i64) -> i64:
    return n * factorial(n - 1) if n > 1 else 1


K = Kernels(loops, expressions, reverse_in_place, factorial)


def signed(x: int) -> int:
    return (x + (1 << 63)) % (1 << 64) - (1 << 63)


@settings(max_examples=60, deadline=None)
@given(st.integers(-3, 30))
def test_loops(n: int) -> None:
    assert K.run(loops, n) == signed(expected_loops(n))


numbers = st.one_of(st.integers(-10, 10), st.integers(-(1 << 63), (1 << 63) - 1))


@settings(max_examples=200, deadline=None)
@given(numbers, numbers, st.integers(-12, 12))
def test_expressions(a: int, b: int, c: int) -> None:
    def clamped(x: int, low: int, high: int) -> int:
        return low if x < low else min(x, high)

    x = clamped(b, -1000, clamped(a, 0, 500)) + (7 if c > 0 else -7)
    flags = (a < b) + (-5 <= c <= 5) * 2 + (c == 0) * 4 + (c == 3 or (a == b and b > 0)) * 8
    unsigned_a, unsigned_b = a % (1 << 64), b % (1 << 64)
    rotated = signed((unsigned_a << 7 | unsigned_a >> 57) % (1 << 64))
    z = ~a ^ signed(b << 3) ^ unsigned_b >> 5 ^ rotated
    expected = (signed(x + z + (c & 7) ** 2 + (c & 255)), flags if c != 9 else -flags, -(c / 4.0 + 12))
    assert K.run(expressions, a, b, c) == expected


def test_memory_and_recursion() -> None:
    address, length = K.put(b"kernels")
    K.run(reverse_in_place, address, length)
    assert K.get(address, length) == b"slenrek"
    assert K.run(factorial, 20) == 2432902008176640000
    assert struct.calcsize("<i") == 4
    assert address >= DATA


def mixed_types(a: i32, b: i64) -> i64:
    return a + b  # the mistake under test


def retyped(a: i32) -> i32:
    b = 1.5
    b = a
    return i32(b)


def unknown_name(a: i32) -> i32:
    return a + missing  # type: ignore[name-defined]  # noqa: F821


def floor_division(a: i32) -> i32:
    return a // 3


def unsupported(a: i32) -> i32:
    with a:  # type: ignore[attr-defined]
        return 1


def wrong_count(a: i32) -> i32:
    return load32(a, 1, 2)


def wrong_results(a: i64) -> tuple[i64, i32]:
    return a, a


@inline
def forever(a: i32) -> i32:
    return forever(a)


def calls_forever(a: i32) -> i32:
    return forever(a)


def out_of_table(a: i32) -> i64:
    return SQUARES[a]


def generic_literals(a: i32) -> i32:
    return select(a, 3, 4) + clz(a) + div_u(a, 2)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (mixed_types, "b is i64, but i32 is needed"),
        (retyped, "a is i32, but f64 is needed"),
        (unknown_name, "unknown name missing"),
        (floor_division, "FloorDiv of i32"),
        (unsupported, "With is outside the subset"),
        (wrong_count, "takes 1 operands"),
        (wrong_results, "a is i64, but i32 is needed"),
        (calls_forever, "calls itself"),
    ],
)
def test_wrong_kernels_are_refused(function: object, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        compile_kernel(function)  # type: ignore[arg-type]


def test_a_table_traps_outside() -> None:
    made = Kernels(out_of_table, generic_literals)
    assert made.run(out_of_table, 7) == 49
    assert made.run(generic_literals, 8) == 3 + 28 + 4
    for index in (8, -1):
        with pytest.raises(Exception, match="unreachable"):
            made.run(out_of_table, index)


def test_a_kernel_is_added_once_and_only_if_used() -> None:
    module = Module()
    first = kernel(module, text.contains)
    assert kernel(module, text.contains) == first
    names = [ref.name for ref in module._refs]
    assert sorted(names) == ["contains", "equal_bytes", "find_byte", "find_text"]


def test_without_wide_arithmetic() -> None:
    """The same kernel, with calls where the instructions would be."""
    module = Module(wide_arithmetic=False)
    kernel(module, int128.multiply)
    names = {ref.name for ref in module._refs}
    assert {"i64.mul_wide_u", "i64.add128", "i64.sub128"} <= names
