"""Typed expressions over WASM: writing generated code should read like writing code.

A `Value` is a WASM expression of known type; all it holds is its encoded instructions, so building `a + b` is one
concatenation and no tree is ever walked. Operators follow Python's where the meaning is the same (`+ - * & | ^ <<
== < ...` are signed); others are methods (`shift_right_u`, `less_u`). An int operand is a constant of the same type.

Using a value twice emits its code twice: keep it in a local (`Function.let`) where that matters. A value must not be
used after a local it reads has been set, unless that is meant.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Self, TypeVar

from zerodb_compiler.wasm import opcodes
from zerodb_compiler.wasm.opcodes import signed, unsigned

_KEPT_CONSTANTS = 1 << 12  # those below are made once


class Value:
    """An expression of one WASM value type."""

    __slots__ = ("code", "constant")
    kind: ClassVar[str]
    type_code: ClassVar[bytes]
    _binary_codes: ClassVar[dict[str, bytes]] = {}
    _compare_codes: ClassVar[dict[str, bytes]] = {}

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__:  # a class of one type: its opcodes by their names without the type
            start = f"{cls.kind}."
            cls._binary_codes = {n.removeprefix(start): c for n, c in opcodes.BINARY.items() if n.startswith(start)}
            cls._compare_codes = {n.removeprefix(start): c for n, c in opcodes.COMPARE.items() if n.startswith(start)}

    def __init__(self, code: bytes, constant: int | None = None) -> None:
        self.code = code
        self.constant = constant


V = TypeVar("V", bound=Value)


class Integer(Value):
    """What I32 and I64 share."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    bits: ClassVar[int]
    _constants: ClassVar[dict[int, Integer]]  # values are immutable, and most constants are offsets used before

    @classmethod
    def const(cls, value: int) -> Self:
        """The constant; values of the unsigned range are wrapped to the signed one."""
        known = cls._constants.get(value)
        if known is not None:
            return known  # type: ignore[return-value]
        half = 1 << (cls.bits - 1)
        assert -half <= value < 2 * half, value
        if value >= half:
            value -= 2 * half
        made = cls((b"\x41" if cls.bits == 32 else b"\x42") + signed(value), value)
        if -_KEPT_CONSTANTS < value < _KEPT_CONSTANTS:
            cls._constants[value] = made
        return made

    @classmethod
    def of(cls, value: Self | int) -> Self:
        return cls.const(value) if isinstance(value, int) else value

    def _binary(self, op: str, other: Self | int) -> Self:
        if not isinstance(other, Value):
            other = self.const(other)
        return type(self)(self.code + other.code + self._binary_codes[op])

    def _compare(self, op: str, other: Self | int) -> I32:
        if not isinstance(other, Value):
            other = self.const(other)
        return I32(self.code + other.code + self._compare_codes[op])

    def __add__(self, other: Self | int) -> Self:
        other = self.of(other)
        if other.constant == 0:
            return self
        if self.constant is not None and other.constant is not None:
            return self.const((self.constant + other.constant) & ((1 << self.bits) - 1))
        return self._binary("add", other)

    def __sub__(self, other: Self | int) -> Self:
        return self._binary("sub", other)

    def __mul__(self, other: Self | int) -> Self:
        other = self.of(other)
        if other.constant == 1:
            return self
        if other.constant is not None and other.constant > 0 and other.constant & (other.constant - 1) == 0:
            return self._binary("shl", other.constant.bit_length() - 1)
        return self._binary("mul", other)

    def __and__(self, other: Self | int) -> Self:
        return self._binary("and", other)

    def __or__(self, other: Self | int) -> Self:
        return self._binary("or", other)

    def __xor__(self, other: Self | int) -> Self:
        return self._binary("xor", other)

    def __lshift__(self, other: Self | int) -> Self:
        return self._binary("shl", other)

    def __rshift__(self, other: Self | int) -> Self:
        """Arithmetic shift, as Python's."""
        return self._binary("shr_s", other)

    def shift_right_u(self, other: Self | int) -> Self:
        return self._binary("shr_u", other)

    def rotate_left(self, other: Self | int) -> Self:
        return self._binary("rotl", other)

    def divide_s(self, other: Self | int) -> Self:
        """Truncating division; traps on 0 and on MIN / -1."""
        return self._binary("div_s", other)

    def divide_u(self, other: Self | int) -> Self:
        return self._binary("div_u", other)

    def remainder_s(self, other: Self | int) -> Self:
        return self._binary("rem_s", other)

    def remainder_u(self, other: Self | int) -> Self:
        return self._binary("rem_u", other)

    def __eq__(self, other: Self | int) -> I32:  # type: ignore[override]
        return self._compare("eq", other)

    def __ne__(self, other: Self | int) -> I32:  # type: ignore[override]
        return self._compare("ne", other)

    def __lt__(self, other: Self | int) -> I32:
        return self._compare("lt_s", other)

    def __le__(self, other: Self | int) -> I32:
        return self._compare("le_s", other)

    def __gt__(self, other: Self | int) -> I32:
        return self._compare("gt_s", other)

    def __ge__(self, other: Self | int) -> I32:
        return self._compare("ge_s", other)

    def less_u(self, other: Self | int) -> I32:
        return self._compare("lt_u", other)

    def less_equal_u(self, other: Self | int) -> I32:
        return self._compare("le_u", other)

    def greater_u(self, other: Self | int) -> I32:
        return self._compare("gt_u", other)

    def greater_equal_u(self, other: Self | int) -> I32:
        return self._compare("ge_u", other)

    def is_zero(self) -> I32:
        return I32(self.code + opcodes.TEST[f"{self.kind}.eqz"])

    def count_trailing_zeros(self) -> Self:
        return type(self)(self.code + opcodes.UNARY[f"{self.kind}.ctz"])

    def count_leading_zeros(self) -> Self:
        return type(self)(self.code + opcodes.UNARY[f"{self.kind}.clz"])

    def population_count(self) -> Self:
        return type(self)(self.code + opcodes.UNARY[f"{self.kind}.popcnt"])


class I32(Integer):
    __slots__ = ()
    kind = "i32"
    type_code = b"\x7f"
    bits = 32
    _constants: ClassVar[dict[int, Integer]] = {}

    def to_i64_s(self) -> I64:
        if self.constant is not None:
            return I64.const(self.constant)
        return I64(self.code + b"\xac")

    def to_i64_u(self) -> I64:
        return I64(self.code + b"\xad")

    def to_f64(self) -> F64:
        return F64(self.code + b"\xb7")


class I64(Integer):
    __slots__ = ()
    kind = "i64"
    type_code = b"\x7e"
    bits = 64
    _constants: ClassVar[dict[int, Integer]] = {}

    def to_i32(self) -> I32:
        if self.constant is not None:
            return I32.const(self.constant & 0xFFFFFFFF)
        return I32(self.code + b"\xa7")

    def to_f64(self) -> F64:
        return F64(self.code + b"\xb9")

    def as_f64(self) -> F64:
        """The same bits as a float."""
        return F64(self.code + b"\xbf")


class Float(Value):
    """What F32 and F64 share."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def const(cls, value: float) -> Self:
        return cls(b"\x43" + struct.pack("<f", value) if cls.kind == "f32" else b"\x44" + struct.pack("<d", value))

    @classmethod
    def of(cls, value: Self | float) -> Self:
        return cls.const(value) if isinstance(value, int | float) else value

    def _binary(self, op: str, other: Self | float) -> Self:
        return type(self)(self.code + self.of(other).code + self._binary_codes[op])

    def _compare(self, op: str, other: Self | float) -> I32:
        return I32(self.code + self.of(other).code + self._compare_codes[op])

    def unary(self, op: str) -> Self:
        """abs neg ceil floor trunc nearest sqrt"""
        return type(self)(self.code + opcodes.UNARY[f"{self.kind}.{op}"])

    def __add__(self, other: Self | float) -> Self:
        return self._binary("add", other)

    def __sub__(self, other: Self | float) -> Self:
        return self._binary("sub", other)

    def __mul__(self, other: Self | float) -> Self:
        return self._binary("mul", other)

    def __truediv__(self, other: Self | float) -> Self:
        return self._binary("div", other)

    def __neg__(self) -> Self:
        return self.unary("neg")

    def minimum(self, other: Self | float) -> Self:
        return self._binary("min", other)

    def maximum(self, other: Self | float) -> Self:
        return self._binary("max", other)

    def __eq__(self, other: Self | float) -> I32:  # type: ignore[override]
        return self._compare("eq", other)

    def __ne__(self, other: Self | float) -> I32:  # type: ignore[override]
        return self._compare("ne", other)

    def __lt__(self, other: Self | float) -> I32:
        return self._compare("lt", other)

    def __le__(self, other: Self | float) -> I32:
        return self._compare("le", other)

    def __gt__(self, other: Self | float) -> I32:
        return self._compare("gt", other)

    def __ge__(self, other: Self | float) -> I32:
        return self._compare("ge", other)


class F32(Float):
    __slots__ = ()
    kind = "f32"
    type_code = b"\x7d"

    def to_f64(self) -> F64:
        return F64(self.code + b"\xbb")


class F64(Float):
    __slots__ = ()
    kind = "f64"
    type_code = b"\x7c"

    def to_f32(self) -> F32:
        return F32(self.code + b"\xb6")

    def as_i64(self) -> I64:
        """The same bits as an integer."""
        return I64(self.code + b"\xbd")


class V128(Value):
    """A SIMD vector; operations are named as in the specification: `simd("i16x8.lt_s", a, b)`."""

    __slots__ = ()
    kind = "v128"
    type_code = b"\x7b"

    @staticmethod
    def const(data: bytes) -> V128:
        assert len(data) == 16
        return V128(b"\xfd\x0c" + data)

    def __and__(self, other: V128) -> V128:
        return simd("v128.and", self, other)

    def __or__(self, other: V128) -> V128:
        return simd("v128.or", self, other)

    def __invert__(self) -> V128:
        return V128(self.code + opcodes.SIMD_UNARY["v128.not"])


BY_KIND: dict[str, type[Value]] = {"i32": I32, "i64": I64, "f32": F32, "f64": F64, "v128": V128}
_LOADED = {name: BY_KIND[name.split(".")[0]] for name in (*opcodes.LOAD, *opcodes.SIMD_LOAD)}


def simd(name: str, *operands: V128) -> V128:
    """A lane-wise operation of one or two vectors."""
    table = opcodes.SIMD_BINARY if len(operands) == 2 else opcodes.SIMD_UNARY
    return V128(b"".join(operand.code for operand in operands) + table[name])


def simd_test(name: str, operand: V128) -> I32:
    """bitmask, all_true, any_true"""
    return I32(operand.code + opcodes.SIMD_TEST[name])


def simd_shift(name: str, operand: V128, count: I32 | int) -> V128:
    return V128(operand.code + I32.of(count).code + opcodes.SIMD_SHIFT[name])


def splat(name: str, operand: Value) -> V128:
    opcode, kind = opcodes.SIMD_SPLAT[name]
    assert operand.kind == kind
    return V128(operand.code + opcode)


def extract_lane(name: str, operand: V128, lane: int) -> Any:
    opcode, kind = opcodes.SIMD_EXTRACT[name]
    return BY_KIND[kind](operand.code + opcode + bytes((lane,)))


def replace_lane(name: str, operand: V128, lane: int, value: Value) -> V128:
    opcode, kind = opcodes.SIMD_REPLACE[name]
    assert value.kind == kind
    return V128(operand.code + value.code + opcode + bytes((lane,)))


def shuffle(low: V128, high: V128, lanes: bytes) -> V128:
    """i8x16.shuffle: byte i of the result is byte lanes[i] (0-31) of low followed by high."""
    assert len(lanes) == 16 and max(lanes) < 32
    return V128(low.code + high.code + b"\xfd\x0d" + lanes)


def bit_select(mask: V128, then: V128, otherwise: V128) -> V128:
    return V128(then.code + otherwise.code + mask.code + b"\xfd\x52")


def convert(name: str, operand: Value) -> Any:
    """A conversion by its specification name, such as i64.trunc_sat_f64_s."""
    opcode, source = opcodes.CONVERT[name]
    assert operand.kind == source
    return BY_KIND[name[:3]](operand.code + opcode)


def extend(name: str, operand: V) -> V:
    """Sign extension within a type, such as i32.extend8_s."""
    assert operand.kind == name[:3]
    return type(operand)(operand.code + opcodes.UNARY[name])


def select(condition: I32, then: V, otherwise: V) -> V:
    """Both sides are evaluated; the engine makes a conditional move of it."""
    return type(then)(then.code + otherwise.code + condition.code + b"\x1c\x01" + then.type_code)


def load(name: str, address: Value, offset: int = 0) -> Any:
    """A load by its specification name (i32.load8_u, v128.load, i64.atomic.load, ...). Only atomics must be aligned."""
    table = opcodes.LOAD.get(name) or opcodes.SIMD_LOAD.get(name)
    if table is not None:
        return _LOADED[name](address.code + table[0] + b"\x00" + unsigned(offset))
    opcode, align = opcodes.ATOMIC_LOAD[name]
    return BY_KIND[name[:3]](address.code + opcode + bytes((align,)) + unsigned(offset))


def atomic_rmw(name: str, address: Value, value: V, offset: int = 0) -> V:
    """An atomic read-modify-write; gives the old value."""
    opcode, align = opcodes.ATOMIC_RMW[name]
    return type(value)(address.code + value.code + opcode + bytes((align,)) + unsigned(offset))


def compare_exchange(name: str, address: Value, expected: V, value: V, offset: int = 0) -> V:
    opcode, align = opcodes.ATOMIC_CMPXCHG[name]
    return type(value)(address.code + expected.code + value.code + opcode + bytes((align,)) + unsigned(offset))
