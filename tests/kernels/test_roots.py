"""Square roots of scaled integers against Python's exact integer root."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from kernel_runner import Kernels

from zerodb_compiler.kernels import errors, roots

run = Kernels(roots.square_root).run
M64 = (1 << 64) - 1


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


@given(st.builds(lambda bits, x: x >> bits, st.integers(0, 126), st.integers(0, (1 << 127) - 1)), st.integers(0, 38))
def test_root_is_rounded_to_nearest(radicand: int, digits: int) -> None:
    low, high, status = run(roots.square_root, signed(radicand & M64), radicand >> 64, digits)
    root = math.isqrt(radicand * 10**digits)
    root += radicand * 10**digits - root * root > root
    if status == errors.OVERFLOW:
        assert root >= 1 << 123
    else:
        assert ((high & M64) << 64) | (low & M64) == root


def test_negative_numbers_have_none() -> None:
    assert run(roots.square_root, -1, -1, 0)[2] == errors.DOMAIN
