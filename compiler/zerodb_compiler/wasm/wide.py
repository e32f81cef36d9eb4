"""128-bit sums and 64 x 64 -> 128-bit products for engines without the wide-arithmetic instructions.

Each function takes and gives exactly what the instruction of its name takes from and leaves on the stack, so that the
instruction is replaced by a call. Products: schoolbook multiplication of 32-bit halves (Hacker's Delight, 8-2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb_compiler.wasm.values import I64

if TYPE_CHECKING:
    from zerodb_compiler.wasm.module import Function, FunctionRef, Module

_LOW_HALF = 0xFFFFFFFF


def define(module: Module, name: str) -> FunctionRef:
    """Adds the function that stands for the instruction `name` (opcodes.WIDE)."""
    operands = ("a", "a_high", "b", "b_high") if name in ("i64.add128", "i64.sub128") else ("a", "b")
    function = module.function(name, [(operand, I64) for operand in operands], [I64, I64])
    match name:
        case "i64.add128":
            _add(function)
        case "i64.sub128":
            _subtract(function)
        case _:
            _multiply(function, name == "i64.mul_wide_s")
    function.unreachable()
    return function.ref


def _add(f: Function) -> None:
    a, a_high, b, b_high = f.parameters
    low = f.let(a + b, "low")
    f.return_(low, a_high + b_high + low.less_u(a).to_i64_u())


def _subtract(f: Function) -> None:
    a, a_high, b, b_high = f.parameters
    f.return_(a - b, a_high - b_high - a.less_u(b).to_i64_u())


def _multiply(f: Function, is_signed: bool) -> None:
    a, b = f.parameters
    a0, a1 = f.let(a & _LOW_HALF, "a0"), f.let(a.shift_right_u(32), "a1")
    b0, b1 = f.let(b & _LOW_HALF, "b0"), f.let(b.shift_right_u(32), "b1")
    first = f.let(a1 * b0 + (a0 * b0).shift_right_u(32), "first")
    second = f.let(a0 * b1 + (first & _LOW_HALF), "second")
    high = f.let(a1 * b1 + first.shift_right_u(32) + second.shift_right_u(32), "high")
    if is_signed:
        # A negative factor, read as unsigned, is 2**64 too large: take the other factor off the high half.
        high.set(high - ((a >> 63) & b) - ((b >> 63) & a))
    f.return_(a * b, high)
