"""The WebAssembly instructions the emitter knows, by their textual names.

Each table maps a name to its encoded opcode (prefix included). The grouping is by shape of operands, which is all the
typed layer in values.py needs. Source: the WebAssembly core specification 3.0 (appendix "Index of Instructions"), the
threads proposal (0xFE) and the wide-arithmetic proposal (0xFC 0x13-0x16).
"""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def unsigned(value: int) -> bytes:
    """LEB128 of a non-negative integer."""
    assert value >= 0
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if value == 0:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


@lru_cache(maxsize=4096)
def signed(value: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def _row(first: int, names: str) -> dict[str, bytes]:
    return {name: bytes((first + i,)) for i, name in enumerate(names.split())}


# (i32, i32) -> i32 and so on: the value type is the name's prefix; comparisons give i32.
COMPARE: dict[str, bytes] = {
    **_row(0x46, "i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u"),
    **_row(0x51, "i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u"),
    **_row(0x5B, "f32.eq f32.ne f32.lt f32.gt f32.le f32.ge"),
    **_row(0x61, "f64.eq f64.ne f64.lt f64.gt f64.le f64.ge"),
}
TEST: dict[str, bytes] = {"i32.eqz": b"\x45", "i64.eqz": b"\x50"}

_INT_BINARY = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
BINARY: dict[str, bytes] = {
    **_row(0x6A, " ".join(f"i32.{op}" for op in _INT_BINARY.split())),
    **_row(0x7C, " ".join(f"i64.{op}" for op in _INT_BINARY.split())),
    **_row(0x92, "f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign"),
    **_row(0xA0, "f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign"),
}
UNARY: dict[str, bytes] = {
    **_row(0x67, "i32.clz i32.ctz i32.popcnt"),
    **_row(0x79, "i64.clz i64.ctz i64.popcnt"),
    **_row(0x8B, "f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt"),
    **_row(0x99, "f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt"),
    **_row(0xC0, "i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s"),
}
# name -> (opcode, source type); the result type is the name's prefix.
CONVERT: dict[str, tuple[bytes, str]] = {
    "i32.wrap_i64": (b"\xa7", "i64"),
    "i32.trunc_f32_s": (b"\xa8", "f32"),
    "i32.trunc_f32_u": (b"\xa9", "f32"),
    "i32.trunc_f64_s": (b"\xaa", "f64"),
    "i32.trunc_f64_u": (b"\xab", "f64"),
    "i64.extend_i32_s": (b"\xac", "i32"),
    "i64.extend_i32_u": (b"\xad", "i32"),
    "i64.trunc_f32_s": (b"\xae", "f32"),
    "i64.trunc_f32_u": (b"\xaf", "f32"),
    "i64.trunc_f64_s": (b"\xb0", "f64"),
    "i64.trunc_f64_u": (b"\xb1", "f64"),
    "f32.convert_i32_s": (b"\xb2", "i32"),
    "f32.convert_i32_u": (b"\xb3", "i32"),
    "f32.convert_i64_s": (b"\xb4", "i64"),
    "f32.convert_i64_u": (b"\xb5", "i64"),
    "f32.demote_f64": (b"\xb6", "f64"),
    "f64.convert_i32_s": (b"\xb7", "i32"),
    "f64.convert_i32_u": (b"\xb8", "i32"),
    "f64.convert_i64_s": (b"\xb9", "i64"),
    "f64.convert_i64_u": (b"\xba", "i64"),
    "f64.promote_f32": (b"\xbb", "f32"),
    "i32.reinterpret_f32": (b"\xbc", "f32"),
    "i64.reinterpret_f64": (b"\xbd", "f64"),
    "f32.reinterpret_i32": (b"\xbe", "i32"),
    "f64.reinterpret_i64": (b"\xbf", "i64"),
    "i32.trunc_sat_f32_s": (b"\xfc\x00", "f32"),
    "i32.trunc_sat_f32_u": (b"\xfc\x01", "f32"),
    "i32.trunc_sat_f64_s": (b"\xfc\x02", "f64"),
    "i32.trunc_sat_f64_u": (b"\xfc\x03", "f64"),
    "i64.trunc_sat_f32_s": (b"\xfc\x04", "f32"),
    "i64.trunc_sat_f32_u": (b"\xfc\x05", "f32"),
    "i64.trunc_sat_f64_s": (b"\xfc\x06", "f64"),
    "i64.trunc_sat_f64_u": (b"\xfc\x07", "f64"),
}
# name -> (opcode, log2 of the natural alignment)
LOAD: dict[str, tuple[bytes, int]] = {
    "i32.load": (b"\x28", 2),
    "i64.load": (b"\x29", 3),
    "f32.load": (b"\x2a", 2),
    "f64.load": (b"\x2b", 3),
    "i32.load8_s": (b"\x2c", 0),
    "i32.load8_u": (b"\x2d", 0),
    "i32.load16_s": (b"\x2e", 1),
    "i32.load16_u": (b"\x2f", 1),
    "i64.load8_s": (b"\x30", 0),
    "i64.load8_u": (b"\x31", 0),
    "i64.load16_s": (b"\x32", 1),
    "i64.load16_u": (b"\x33", 1),
    "i64.load32_s": (b"\x34", 2),
    "i64.load32_u": (b"\x35", 2),
}
STORE: dict[str, tuple[bytes, int]] = {
    "i32.store": (b"\x36", 2),
    "i64.store": (b"\x37", 3),
    "f32.store": (b"\x38", 2),
    "f64.store": (b"\x39", 3),
    "i32.store8": (b"\x3a", 0),
    "i32.store16": (b"\x3b", 1),
    "i64.store8": (b"\x3c", 0),
    "i64.store16": (b"\x3d", 1),
    "i64.store32": (b"\x3e", 2),
}

# Wide arithmetic: two results (low, high).
WIDE: dict[str, tuple[bytes, int]] = {
    "i64.add128": (b"\xfc\x13", 4),
    "i64.sub128": (b"\xfc\x14", 4),
    "i64.mul_wide_s": (b"\xfc\x15", 2),
    "i64.mul_wide_u": (b"\xfc\x16", 2),
}


def _simd(code: int) -> bytes:
    return b"\xfd" + unsigned(code)


def _simd_row(first: int, names: str) -> dict[str, bytes]:
    return {name: _simd(first + i) for i, name in enumerate(names.split()) if name != "_"}


_LANE_COMPARE = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
_FLOAT_COMPARE = "eq ne lt gt le ge"

# (v128, v128) -> v128
SIMD_BINARY: dict[str, bytes] = {
    "i8x16.swizzle": _simd(0x0E),
    **_simd_row(0x23, " ".join(f"i8x16.{op}" for op in _LANE_COMPARE.split())),
    **_simd_row(0x2D, " ".join(f"i16x8.{op}" for op in _LANE_COMPARE.split())),
    **_simd_row(0x37, " ".join(f"i32x4.{op}" for op in _LANE_COMPARE.split())),
    **_simd_row(0x41, " ".join(f"f32x4.{op}" for op in _FLOAT_COMPARE.split())),
    **_simd_row(0x47, " ".join(f"f64x2.{op}" for op in _FLOAT_COMPARE.split())),
    **_simd_row(0x4E, "v128.and v128.andnot v128.or v128.xor"),
    **_simd_row(0x65, "i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u"),
    **_simd_row(0x6E, "i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u"),
    **_simd_row(0x76, "i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u _ i8x16.avgr_u"),
    "i16x8.q15mulr_sat_s": _simd(0x82),
    **_simd_row(0x85, "i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u"),
    **_simd_row(0x8E, "i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u"),
    **_simd_row(0x95, "i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u _ i16x8.avgr_u"),
    **_simd_row(
        0x9C, "i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u"
    ),
    "i32x4.add": _simd(0xAE),
    "i32x4.sub": _simd(0xB1),
    **_simd_row(0xB5, "i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s"),
    **_simd_row(
        0xBC, "i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u"
    ),
    "i64x2.add": _simd(0xCE),
    "i64x2.sub": _simd(0xD1),
    "i64x2.mul": _simd(0xD5),
    **_simd_row(0xD6, "i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s"),
    **_simd_row(
        0xDC, "i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u"
    ),
    **_simd_row(0xE4, "f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax"),
    **_simd_row(0xF0, "f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax"),
}
# v128 -> v128
SIMD_UNARY: dict[str, bytes] = {
    "v128.not": _simd(0x4D),
    **_simd_row(0x5E, "f32x4.demote_f64x2_zero f64x2.promote_low_f32x4"),
    **_simd_row(0x60, "i8x16.abs i8x16.neg i8x16.popcnt"),
    **_simd_row(0x67, "f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest"),
    **_simd_row(0x74, "f64x2.ceil f64x2.floor"),
    "f64x2.trunc": _simd(0x7A),
    **_simd_row(
        0x7C,
        "i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u"
        " i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u i16x8.abs i16x8.neg",
    ),
    **_simd_row(
        0x87, "i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u"
    ),
    "f64x2.nearest": _simd(0x94),
    **_simd_row(0xA0, "i32x4.abs i32x4.neg"),
    **_simd_row(
        0xA7, "i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u"
    ),
    **_simd_row(0xC0, "i64x2.abs i64x2.neg"),
    **_simd_row(
        0xC7, "i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u"
    ),
    **_simd_row(0xE0, "f32x4.abs f32x4.neg _ f32x4.sqrt"),
    **_simd_row(0xEC, "f64x2.abs f64x2.neg _ f64x2.sqrt"),
    **_simd_row(0xF8, "i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u"),
    **_simd_row(
        0xFC,
        "i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u",
    ),
}
# v128 -> i32
SIMD_TEST: dict[str, bytes] = {
    "v128.any_true": _simd(0x53),
    **_simd_row(0x63, "i8x16.all_true i8x16.bitmask"),
    **_simd_row(0x83, "i16x8.all_true i16x8.bitmask"),
    **_simd_row(0xA3, "i32x4.all_true i32x4.bitmask"),
    **_simd_row(0xC3, "i64x2.all_true i64x2.bitmask"),
}
# (v128, i32) -> v128
SIMD_SHIFT: dict[str, bytes] = {
    **_simd_row(0x6B, "i8x16.shl i8x16.shr_s i8x16.shr_u"),
    **_simd_row(0x8B, "i16x8.shl i16x8.shr_s i16x8.shr_u"),
    **_simd_row(0xAB, "i32x4.shl i32x4.shr_s i32x4.shr_u"),
    **_simd_row(0xCB, "i64x2.shl i64x2.shr_s i64x2.shr_u"),
}
# scalar -> v128; name -> (opcode, scalar type)
SIMD_SPLAT: dict[str, tuple[bytes, str]] = {
    "i8x16.splat": (_simd(0x0F), "i32"),
    "i16x8.splat": (_simd(0x10), "i32"),
    "i32x4.splat": (_simd(0x11), "i32"),
    "i64x2.splat": (_simd(0x12), "i64"),
    "f32x4.splat": (_simd(0x13), "f32"),
    "f64x2.splat": (_simd(0x14), "f64"),
}
# v128 -> scalar with a lane immediate; name -> (opcode, scalar type)
SIMD_EXTRACT: dict[str, tuple[bytes, str]] = {
    "i8x16.extract_lane_s": (_simd(0x15), "i32"),
    "i8x16.extract_lane_u": (_simd(0x16), "i32"),
    "i16x8.extract_lane_s": (_simd(0x18), "i32"),
    "i16x8.extract_lane_u": (_simd(0x19), "i32"),
    "i32x4.extract_lane": (_simd(0x1B), "i32"),
    "i64x2.extract_lane": (_simd(0x1D), "i64"),
    "f32x4.extract_lane": (_simd(0x1F), "f32"),
    "f64x2.extract_lane": (_simd(0x21), "f64"),
}
# (v128, scalar) -> v128 with a lane immediate
SIMD_REPLACE: dict[str, tuple[bytes, str]] = {
    "i8x16.replace_lane": (_simd(0x17), "i32"),
    "i16x8.replace_lane": (_simd(0x1A), "i32"),
    "i32x4.replace_lane": (_simd(0x1C), "i32"),
    "i64x2.replace_lane": (_simd(0x1E), "i64"),
    "f32x4.replace_lane": (_simd(0x20), "f32"),
    "f64x2.replace_lane": (_simd(0x22), "f64"),
}
# address -> v128; name -> (opcode, log2 alignment)
SIMD_LOAD: dict[str, tuple[bytes, int]] = {
    "v128.load": (_simd(0x00), 4),
    "v128.load8x8_s": (_simd(0x01), 3),
    "v128.load8x8_u": (_simd(0x02), 3),
    "v128.load16x4_s": (_simd(0x03), 3),
    "v128.load16x4_u": (_simd(0x04), 3),
    "v128.load32x2_s": (_simd(0x05), 3),
    "v128.load32x2_u": (_simd(0x06), 3),
    "v128.load8_splat": (_simd(0x07), 0),
    "v128.load16_splat": (_simd(0x08), 1),
    "v128.load32_splat": (_simd(0x09), 2),
    "v128.load64_splat": (_simd(0x0A), 3),
    "v128.load32_zero": (_simd(0x5C), 2),
    "v128.load64_zero": (_simd(0x5D), 3),
}
SIMD_STORE: dict[str, tuple[bytes, int]] = {"v128.store": (_simd(0x0B), 4)}


def _atomic(code: int) -> bytes:
    return b"\xfe" + unsigned(code)


# Atomic accesses must be aligned; the alignment immediate is the natural one.
ATOMIC_LOAD: dict[str, tuple[bytes, int]] = {
    "i32.atomic.load": (_atomic(0x10), 2),
    "i64.atomic.load": (_atomic(0x11), 3),
}
ATOMIC_STORE: dict[str, tuple[bytes, int]] = {
    "i32.atomic.store": (_atomic(0x17), 2),
    "i64.atomic.store": (_atomic(0x18), 3),
}
# (address, value) -> old value
ATOMIC_RMW: dict[str, tuple[bytes, int]] = {
    f"{kind}.atomic.rmw.{op}": (_atomic(0x1E + 7 * row + (kind == "i64")), 3 if kind == "i64" else 2)
    for row, op in enumerate(("add", "sub", "and", "or", "xor", "xchg"))
    for kind in ("i32", "i64")
}
# (address, expected, replacement) -> old value
ATOMIC_CMPXCHG: dict[str, tuple[bytes, int]] = {
    "i32.atomic.rmw.cmpxchg": (_atomic(0x48), 2),
    "i64.atomic.rmw.cmpxchg": (_atomic(0x49), 3),
}
