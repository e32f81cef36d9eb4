"""Exact arithmetic in Python: what an operator over exact types must give, or the SQLSTATE it must raise.

The result types are the binder's (coercion.arithmetic_type is the rule, stated once); the values are computed here with
Fraction, independently of the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from zerodb_compiler.sql import coercion
from zerodb_compiler.types import (
    BIGINT,
    HUGEINT,
    INTEGER,
    SMALLINT,
    U8,
    U16,
    U32,
    U64,
    SqlType,
    TypeId,
    numeric,
)

EXACT_TYPES = (
    SMALLINT,
    INTEGER,
    BIGINT,
    HUGEINT,
    U8,
    U16,
    U32,
    U64,
    numeric(5, 2),
    numeric(9, 0),
    numeric(18, 4),
    numeric(19, 19),
    numeric(38, 0),
    numeric(38, 10),
    numeric(38, 37),
)
OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%"}


@dataclass(frozen=True, slots=True)
class Failure:
    """The statement must fail with this SQLSTATE."""

    sqlstate: str


Outcome = int | None | Failure
OVERFLOW = Failure("22003")
DIVISION_BY_ZERO = Failure("22012")


def round_half_away(value: Fraction) -> int:
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return whole if value >= 0 else -whole


def truncated(value: Fraction) -> int:
    whole = abs(value.numerator) // value.denominator
    return whole if value >= 0 else -whole


def fitted(type_: SqlType, canonical: int) -> Outcome:
    low, high = type_.bounds
    return canonical if low <= canonical <= high else OVERFLOW


def _fraction(type_: SqlType, canonical: int) -> Fraction:
    return Fraction(canonical, 10 ** (type_.scale if type_.id is TypeId.NUMERIC else 0))


def cast(source: SqlType, target: SqlType, value: int | None) -> Outcome:
    """CAST between exact types."""
    if value is None:
        return None
    scale = target.scale if target.id is TypeId.NUMERIC else 0
    return fitted(target, round_half_away(_fraction(source, value) * 10**scale))


def arithmetic(
    function: str, left_type: SqlType, left: int | None, right_type: SqlType, right: int | None
) -> tuple[SqlType, Outcome]:
    """The result's type and its canonical value."""
    wanted_left, wanted_right, type_ = coercion.arithmetic_type(function, left_type, right_type, None)
    a, b = cast(left_type, wanted_left, left), cast(right_type, wanted_right, right)
    for side in (a, b):
        if isinstance(side, Failure):
            return type_, side
    if a is None or b is None:
        return type_, None
    assert isinstance(a, int)
    assert isinstance(b, int)
    x, y = _fraction(wanted_left, a), _fraction(wanted_right, b)
    factor = 10 ** (type_.scale if type_.id is TypeId.NUMERIC else 0)
    if function in ("div", "mod") and y == 0:
        return type_, DIVISION_BY_ZERO
    match function:
        case "add":
            exact = x + y
        case "sub":
            exact = x - y
        case "mul":
            exact = x * y
        case "div" if type_.is_integer:
            exact = Fraction(truncated(x / y))
        case "div":
            exact = Fraction(round_half_away(x / y * factor), factor)
        case _:
            exact = x - y * truncated(x / y)
    scaled = exact * factor
    assert scaled.denominator == 1
    return type_, fitted(type_, scaled.numerator)


def borders(type_: SqlType) -> list[int]:
    """Canonical values at and around all borders of a type: its ends, zero, one, and the square root of its ends."""
    low, high = type_.bounds
    one = 10 ** (type_.scale if type_.id is TypeId.NUMERIC else 0)
    root = int(high**0.5)
    found = {low, low + 1, high - 1, high, 0, 1, -1, 2, -2, one, -one, root, root + 1, -root, -root - 1, high // 2 + 1}
    return sorted(value for value in found if low <= value <= high)
