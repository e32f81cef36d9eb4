"""Comparing, equating and hashing SQL values in generated code.

Comparisons here ignore NULL flags: callers combine them. Floats follow PostgreSQL's total order (NaN equals NaN and is
greater than everything; -0 equals 0); texts compare by bytes (the C collation). Two codes of one dictionary are equal
exactly if the strings are; codes of different dictionaries, and order, need the strings.
"""

from __future__ import annotations

import struct

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text, Wide
from zerodb_compiler.kernels import hashing, text
from zerodb_compiler.wasm.values import F64, I32, I64, load, select

# Fibonacci hashing: 2**64 divided by the golden ratio, odd (Knuth, The Art of Computer Programming 3, 6.4).
_MULTIPLIER = 0x9E3779B97F4A7C15
_NAN = struct.unpack("<q", struct.pack("<d", float("nan")))[0]


def to_text(e: Emitter, value: SqlValue) -> Text:
    """The string of a text value, looking a code up in its dictionary."""
    match value:
        case Text():
            return value
        case Code(code, dictionary, null):
            entry = e.f.let(e.query_i32(dictionary.slot) + code * 4, "entry")
            address = e.f.let(load("i32.load", entry), "address")
            return Text(address, load("i32.load", entry, 4) - address, null)
    raise AssertionError(f"{type(value).__name__} is not a text")


def to_wide(value: Int | Wide) -> Wide:
    if isinstance(value, Wide):
        return value
    return Wide(value.value, value.value >> 63, value.low, value.high, value.null)


def _compare_wide(e: Emitter, op: str, a: Wide, b: Wide) -> I32:
    match op:
        case "eq":
            return ((a.value ^ b.value) | (a.upper ^ b.upper)).is_zero()
        case "ne":
            return ((a.value ^ b.value) | (a.upper ^ b.upper)) != 0
        case "lt":
            a_high, b_high = e.keep(a.upper), e.keep(b.upper)
            return select(a_high == b_high, a.value.less_u(b.value), a_high < b_high)
        case "gt":
            return _compare_wide(e, "lt", b, a)
        case "le":
            return _compare_wide(e, "lt", b, a).is_zero()
        case _:
            return _compare_wide(e, "lt", a, b).is_zero()


def _compare_int(op: str, a: I64, b: I64) -> I32:
    match op:
        case "eq":
            return a == b
        case "ne":
            return a != b
        case "lt":
            return a < b
        case "le":
            return a <= b
        case "gt":
            return a > b
        case _:
            return a >= b


def _compare_bool(op: str, a: I32, b: I32) -> I32:
    return _compare_int(op, a.to_i64_u(), b.to_i64_u())


def _compare_real(e: Emitter, op: str, a: F64, b: F64) -> I32:
    a, b = e.keep(a), e.keep(b)
    match op:
        case "eq":
            return (a == b) | ((a != a) & (b != b))
        case "ne":
            return _compare_real(e, "eq", a, b).is_zero()
        case "lt":
            return (a < b) | ((a == a) & (b != b))
        case "gt":
            return _compare_real(e, "lt", b, a)
        case "le":
            return _compare_real(e, "lt", b, a).is_zero()
        case _:
            return _compare_real(e, "lt", a, b).is_zero()


def _compare_text(e: Emitter, op: str, a: Text, b: Text) -> I32:
    if op in ("eq", "ne"):
        equal = e.f.call(e.context.kernel(text.equal_text), a.address, a.length, b.address, b.length)
        return equal if op == "eq" else equal.is_zero()
    order = e.f.call(e.context.kernel(text.compare_text), a.address, a.length, b.address, b.length)
    match op:
        case "lt":
            return order < 0
        case "le":
            return order <= 0
        case "gt":
            return order > 0
        case _:
            return order >= 0


def compare(e: Emitter, op: str, a: SqlValue, b: SqlValue) -> I32:
    """`a op b` for op in eq ne lt le gt ge; both of one SQL type."""
    match a, b:
        case Int(), Int():
            return _compare_int(op, a.value, b.value)
        case ((Int() | Wide()), (Int() | Wide())):
            return _compare_wide(e, op, to_wide(a), to_wide(b))
        case Real(), Real():
            return _compare_real(e, op, a.value, b.value)
        case Bool(), Bool():
            return _compare_bool(op, a.value, b.value)
        case Code(), Code() if a.dictionary == b.dictionary and op in ("eq", "ne"):
            return a.code == b.code if op == "eq" else a.code != b.code
        case ((Text() | Code()), (Text() | Code())):
            return _compare_text(e, op, to_text(e, a), to_text(e, b))
    raise AssertionError(f"cannot compare {type(a).__name__} and {type(b).__name__}")


def equal_or_both_null(e: Emitter, a: SqlValue, b: SqlValue) -> I32:
    """IS NOT DISTINCT FROM: how GROUP BY and DISTINCT see keys."""
    if a.null is None and b.null is None:
        return compare(e, "eq", a, b)
    a_null = I32.const(0) if a.null is None else e.keep(a.null)
    b_null = I32.const(0) if b.null is None else e.keep(b.null)
    return (a_null & b_null) | ((a_null | b_null).is_zero() & compare(e, "eq", a, b))


def mix(seed: I64, bits: I64) -> I64:
    return (seed ^ bits) * I64.const(_MULTIPLIER)


def _key_bits(e: Emitter, value: SqlValue) -> tuple[I64, ...]:
    """64-bit words that are equal for equal values."""
    match value:
        case Int():
            return (value.value,)
        case Wide():
            return (value.value, value.upper)
        case Bool():
            return (value.value.to_i64_u(),)
        case Code():
            return (value.code.to_i64_u(),)
        case Real():
            number = e.keep(value.value)
            nonzero = select(number == F64.const(0.0), F64.const(0.0), number)
            return (select(number != number, I64.const(_NAN), nonzero.as_i64()),)
        case Text():
            return (e.f.call(e.context.kernel(hashing.hash_text), value.address, value.length),)


def hash_values(e: Emitter, values: tuple[SqlValue, ...]) -> I64:
    """A 64-bit hash, in a local; good in its high bits and, after the final fold, in its low bits. NULLs hash alike."""
    state: I64 = I64.const(0)
    for value in values:
        for bits in _key_bits(e, value):
            if value.null is not None:
                bits = select(value.null, I64.const(_NAN), bits)
            state = e.f.let(mix(state, bits), "hash")
            state = e.f.let(state ^ state.shift_right_u(32), "hash")
    return state
