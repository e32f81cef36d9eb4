"""The vocabulary of kernels: types and the operations that are one WebAssembly instruction each.

A kernel is ordinary typed Python to mypy and to a reader, but only the kernel compiler runs it. The types below are
therefore aliases, and the intrinsics are objects that name an instruction; calling one from Python is an error.

    arithmetic    + - * & | ^ << >> (arithmetic shift) and comparisons are signed and wrap; `/` is for floats only
    by name       div_s div_u rem_s rem_u (trap on 0), shr_u, rotl, rotr, clz, ctz, popcnt, lt_u le_u gt_u ge_u
    conversions   i32(x) i64(x) f64(x) f32(x): wrap, sign-extend, convert signed, saturating truncation; u64(x) extends
                  an i32 without sign, u32_f64 and u64_f64 convert without sign
    memory        loadN_u/_s give i32; load32, load64, load_f64, load_v128; stores likewise; the last argument of a load
                  or store may be a constant offset
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeAlias, TypeVar

i32: TypeAlias = int
i64: TypeAlias = int
ptr: TypeAlias = int  # an address in the wasm32 memory: an i32
f64: TypeAlias = float
f32: TypeAlias = float
v128: TypeAlias = int

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Intrinsic:
    """`op` is the instruction's name; "T" in it and in the kinds stands for the integer (or any) type of the operands.
    `memory` says that a constant offset may follow."""

    op: str
    parameters: tuple[str, ...]
    result: str | None
    memory: bool = False

    def _refuse(self) -> NoReturn:
        raise TypeError(f"{self.op} is an instruction: only compiled kernels can run it")


class IntOp(Intrinsic):
    """Gives an integer (or a vector, or a truth value)."""

    __slots__ = ()

    def __call__(self, *operands: float) -> int:
        self._refuse()


class FloatOp(Intrinsic):
    __slots__ = ()

    def __call__(self, *operands: float) -> float:
        self._refuse()


class PairOp(Intrinsic):
    """Gives (low, high)."""

    __slots__ = ()

    def __call__(self, *operands: int) -> tuple[int, int]:
        self._refuse()


class StatementOp(Intrinsic):
    __slots__ = ()

    def __call__(self, *operands: float) -> None:
        self._refuse()


@dataclass(frozen=True, slots=True)
class ImportedFunction:
    """A function the module must import, found by its name."""

    name: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]

    def __call__(self, *operands: int) -> int:
        raise TypeError(f"{self.name} is an import: only compiled kernels can call it")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Constant integers that a kernel indexes; compiled to one jump table. An index outside traps."""

    kind: str
    values: tuple[int, ...]
    name: str = "table"

    def __getitem__(self, index: int) -> int:
        return self.values[index]


def inline(function: F) -> F:
    """Marks a small kernel whose body is put where it is called."""
    function.__kernel_inline__ = True  # type: ignore[attr-defined]
    return function


load8_u = IntOp("i32.load8_u", ("i32",), "i32", True)
load8_s = IntOp("i32.load8_s", ("i32",), "i32", True)
load16_u = IntOp("i32.load16_u", ("i32",), "i32", True)
load16_s = IntOp("i32.load16_s", ("i32",), "i32", True)
load32 = IntOp("i32.load", ("i32",), "i32", True)
load64 = IntOp("i64.load", ("i32",), "i64", True)
load8_u64 = IntOp("i64.load8_u", ("i32",), "i64", True)
load16_u64 = IntOp("i64.load16_u", ("i32",), "i64", True)
load32_u64 = IntOp("i64.load32_u", ("i32",), "i64", True)
load_f64 = FloatOp("f64.load", ("i32",), "f64", True)
load_v128 = IntOp("v128.load", ("i32",), "v128", True)
store8 = StatementOp("i32.store8", ("i32", "i32"), None, True)
store16 = StatementOp("i32.store16", ("i32", "i32"), None, True)
store32 = StatementOp("i32.store", ("i32", "i32"), None, True)
store64 = StatementOp("i64.store", ("i32", "i64"), None, True)
store_f32 = StatementOp("f32.store", ("i32", "f32"), None, True)
store_f64 = StatementOp("f64.store", ("i32", "f64"), None, True)
store_v128 = StatementOp("v128.store", ("i32", "v128"), None, True)
memory_copy = StatementOp("memory.copy", ("i32", "i32", "i32"), None)
memory_fill = StatementOp("memory.fill", ("i32", "i32", "i32"), None)
memory_size = IntOp("memory.size", (), "i32")
memory_grow = IntOp("memory.grow", ("i32",), "i32")

clz = IntOp("T.clz", ("T",), "T")
ctz = IntOp("T.ctz", ("T",), "T")
popcnt = IntOp("T.popcnt", ("T",), "T")
shr_u = IntOp("T.shr_u", ("T", "T"), "T")
div_s = IntOp("T.div_s", ("T", "T"), "T")
div_u = IntOp("T.div_u", ("T", "T"), "T")
rem_s = IntOp("T.rem_s", ("T", "T"), "T")
rem_u = IntOp("T.rem_u", ("T", "T"), "T")
rotl = IntOp("T.rotl", ("T", "T"), "T")
rotr = IntOp("T.rotr", ("T", "T"), "T")
lt_u = IntOp("T.lt_u", ("T", "T"), "i32")
le_u = IntOp("T.le_u", ("T", "T"), "i32")
gt_u = IntOp("T.gt_u", ("T", "T"), "i32")
ge_u = IntOp("T.ge_u", ("T", "T"), "i32")
extend8_s = IntOp("T.extend8_s", ("T",), "T")
select = IntOp("select", ("i32", "T", "T"), "T")
select_f64 = FloatOp("select", ("i32", "f64", "f64"), "f64")

u64 = IntOp("i64.extend_i32_u", ("i32",), "i64")
u64_f64 = FloatOp("f64.convert_i64_u", ("i64",), "f64")
u32_f64 = FloatOp("f64.convert_i32_u", ("i32",), "f64")
f64_u64 = IntOp("i64.trunc_sat_f64_u", ("f64",), "i64")
float_bits = IntOp("i64.reinterpret_f64", ("f64",), "i64")
bits_float = FloatOp("f64.reinterpret_i64", ("i64",), "f64")
float32_bits = IntOp("i32.reinterpret_f32", ("f32",), "i32")
bits_float32 = FloatOp("f32.reinterpret_i32", ("i32",), "f32")
fabs = FloatOp("f64.abs", ("f64",), "f64")
floor = FloatOp("f64.floor", ("f64",), "f64")
ceil = FloatOp("f64.ceil", ("f64",), "f64")
trunc = FloatOp("f64.trunc", ("f64",), "f64")
nearest = FloatOp("f64.nearest", ("f64",), "f64")
sqrt = FloatOp("f64.sqrt", ("f64",), "f64")
fmin = FloatOp("f64.min", ("f64", "f64"), "f64")
fmax = FloatOp("f64.max", ("f64", "f64"), "f64")
copysign = FloatOp("f64.copysign", ("f64", "f64"), "f64")

# Two results: low, high.
add128 = PairOp("i64.add128", ("i64",) * 4, "pair")
sub128 = PairOp("i64.sub128", ("i64",) * 4, "pair")
mul_wide_s = PairOp("i64.mul_wide_s", ("i64",) * 2, "pair")
mul_wide_u = PairOp("i64.mul_wide_u", ("i64",) * 2, "pair")

splat8 = IntOp("i8x16.splat", ("i32",), "v128")
equal8 = IntOp("i8x16.eq", ("v128", "v128"), "v128")
greater8_s = IntOp("i8x16.gt_s", ("v128", "v128"), "v128")
add8 = IntOp("i8x16.add", ("v128", "v128"), "v128")
and128 = IntOp("v128.and", ("v128", "v128"), "v128")
or128 = IntOp("v128.or", ("v128", "v128"), "v128")
xor128 = IntOp("v128.xor", ("v128", "v128"), "v128")
bitmask8 = IntOp("i8x16.bitmask", ("v128",), "i32")
any_true = IntOp("v128.any_true", ("v128",), "i32")
unreachable = StatementOp("unreachable", (), None)
