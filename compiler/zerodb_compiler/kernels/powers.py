"""Powers of ten with 128 bits, from small tables: the arithmetic core of reading and writing floating-point numbers.

`power_128(k)` gives the leading 128 bits of 10**k, rounded down, for -364 <= k < 336. It multiplies 10**(28 * a) (128
bits) by 5**b (64 bits, exact), k = 28 * a + b, and adds a correction of 0 to 2 units that was computed beforehand for
every k. The tables are made by exact arithmetic; tests/kernels checks all 700 powers.
"""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import Table, add128, div_u, i32, i64, mul_wide_u, shr_u, u64

# fmt: off
_COARSE = (
    0xe1afa13afbd14d6d82189c09a3a1ec21, 0xe3e27a444d8d98b7fd1b1b2308169b25, 0xe61acf033d1a45df6fb92487298e33bd,
    0xe858ad248f5c22c9d1b3400f8f9cff68, 0xea9c227723ee8bcb465e15a979c1cadc, 0xece53cec4a314ebda4f8bf5635246428,
    0xef340a98172aace486fb897116c87c34, 0xf18899b1bc3f8ca1dc44e6c3cb279ac1, 0xf3e2f893dec3f1265a89dba3c3efccfa,
    0xf64335bcf065d37d4d4617b5ff4a16d5, 0xf8a95fcf88747d9475a44c6397ce912a, 0xfb158592be068d2eeed6e2f0f0d56712,
    0xfd87b5f28300ca0d8bca9d6e188853fc, 0x80000000000000000000000000000000, 0x813f3978f89409844000000000000000,
    0x82818f1281ed449fbff8f10e7a8921a4, 0x83c7088e1aab65db792667c6da79e0fa, 0x850fadc09923329e03e2cf6bc604ddb0,
    0x865b86925b9bc5c20b8a2392ba45a9b2, 0x87aa9aff7904228690fb44d2f05d0842, 0x88fcf317f22241e2441fece3bdf81f03,
    0x8a5296ffe33cc92f82bd6b70d99aaa6f, 0x8bab8eefb6409c1a1ad089b6c2f7548e, 0x8d07e33455637eb2db0b487b6423e1e8,
    0x8e679c2f5e44ff8f570f09eaa7ea7648,
)
_CORRECTIONS = (
    0x1044051400045410, 0x5050001010000000, 0x4540500014000454, 0x40045555445, 0x1005000000000000,
    0x5414510541500410, 0x5515545145145410, 0x41005454440500, 0x100540000514040, 0x5155400100000504,
    0x15501055441140, 0x110, 0x0, 0x4100004004040000, 0x4000000000050000, 0x4140150401555054, 0x6959541115141105,
    0x440a6966596, 0x6591555554000000, 0x14100100105555, 0x1105550144155004, 0x51041155500510,
)
# fmt: on
COARSE_LOW = Table("i64", tuple(value & (1 << 64) - 1 for value in _COARSE), "coarse_power_low")
COARSE_HIGH = Table("i64", tuple(value >> 64 for value in _COARSE), "coarse_power_high")
FINE = Table("i64", tuple(5**b << (64 - (5**b).bit_length()) for b in range(28)), "power_of_five")
CORRECTIONS = Table("i64", _CORRECTIONS, "power_correction")


def power_128(k: i32) -> tuple[i64, i64]:
    """(low, high) of 10**k scaled by a power of two to 2**127 <= x < 2**128, rounded down."""
    index = k + 364
    coarse = div_u(index, 28)
    factor = FINE[index - coarse * 28]
    lowest, carry = mul_wide_u(COARSE_LOW[coarse], factor)
    low, high = mul_wide_u(COARSE_HIGH[coarse], factor)
    low, high = add128(low, high, carry, 0)
    if high >= 0:
        high = (high << 1) | shr_u(low, 63)
        low = (low << 1) | shr_u(lowest, 63)
    correction = shr_u(CORRECTIONS[index >> 5], u64((index & 31) << 1)) & 3
    low, high = add128(low, high, correction, 0)
    return low, high
