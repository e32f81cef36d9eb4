"""SQL values at run time: what an expression has become in generated code.

Each class holds WASM expressions (wasm/values.py) for the parts of one value. `null` is an i32 expression that is 1
where the value is NULL, or None where a NULL is impossible: then no code for NULLs exists at all.

    Int      an integer, numeric, date or timestamp whose bounds fit 64 bits: one i64 and its proven bounds
    Wide     the same beyond 64 bits: low and high i64 of a 128-bit two's complement integer, and bounds
    Real     real and double precision: one f64 (`single` values are rounded to f32 after each operation)
    Bool     one i32, 0 or 1, and 0 where NULL ("normalised"), so that a filter needs no look at `null`
    Text     address and byte length; both 0 where NULL is not to be read further
    Code     a dictionary code (i32) of a known dictionary; becomes Text only where the string itself is needed
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from zerodb_compiler.wasm.values import F64, I32, I64, Value


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A column's dictionary; `slot` is the query block offset of its abi.DICTIONARY_* fields, `size` an upper bound of
    the number of codes that the layout promises."""

    table_id: int
    ordinal: int
    slot: int
    size: int


@dataclass(frozen=True, slots=True)
class Int:
    value: I64
    low: int
    high: int
    null: I32 | None = None


@dataclass(frozen=True, slots=True)
class Wide:
    value: I64  # the low 64 bits
    upper: I64  # the high 64 bits
    low: int
    high: int
    null: I32 | None = None


@dataclass(frozen=True, slots=True)
class Real:
    value: F64
    single: bool
    null: I32 | None = None


@dataclass(frozen=True, slots=True)
class Bool:
    value: I32
    null: I32 | None = None


@dataclass(frozen=True, slots=True)
class Text:
    address: I32
    length: I32
    null: I32 | None = None


@dataclass(frozen=True, slots=True)
class Code:
    code: I32
    dictionary: Dictionary
    null: I32 | None = None


SqlValue = Int | Wide | Real | Bool | Text | Code

I64_LOW, I64_HIGH = -(1 << 63), (1 << 63) - 1


def fits_i64(low: int, high: int) -> bool:
    return low >= I64_LOW and high <= I64_HIGH


S = TypeVar("S", bound=SqlValue)

# The fields that hold the WASM expressions of a value, but for its NULL flag.
PARTS: dict[type, tuple[str, ...]] = {
    Int: ("value",),
    Wide: ("value", "upper"),
    Real: ("value",),
    Bool: ("value",),
    Text: ("address", "length"),
    Code: ("code",),
}


def parts(value: SqlValue) -> tuple[Value, ...]:
    """The WASM expressions of a value but for its NULL flag."""
    return tuple([getattr(value, name) for name in PARTS[type(value)]])


def with_null(value: S, null: I32 | None) -> S:
    return replace(value, null=null)


def either_null(*nulls: I32 | None) -> I32 | None:
    """1 where any of the flags is; None where none can be."""
    result: I32 | None = None
    for null in nulls:
        if null is not None:
            result = null if result is None else result | null
    return result
