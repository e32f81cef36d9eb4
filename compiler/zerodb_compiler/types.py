"""SQL types and how one value of each is represented everywhere outside the SQL text.

Every layer (binder, code generator, storage, result decoding) speaks of values in one *canonical* form:

    boolean                    0 or 1
    smallint ... hugeint, u*   the integer
    numeric(p, s)              the integer value * 10**s ("scaled integer"), |value| < 10**p, p <= 38
    date                       days since 1970-01-01
    timestamp                  microseconds since 1970-01-01 00:00:00 (no time zone)
    real, double precision     the IEEE 754 number
    text, varchar(n), char(n)  UTF-8 bytes

All but the floating-point and text types are therefore integers with known bounds (`SqlType.bounds`), which is what
lets the code generator prove most overflow checks away.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAX_PRECISION = 38


class TypeId(enum.Enum):
    """The families of SQL types; the value is PostgreSQL's name of the type."""

    NULL = "unknown"
    BOOLEAN = "boolean"
    SMALLINT = "smallint"
    INTEGER = "integer"
    BIGINT = "bigint"
    HUGEINT = "hugeint"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    NUMERIC = "numeric"
    REAL = "real"
    DOUBLE = "double precision"
    TEXT = "text"
    DATE = "date"
    TIMESTAMP = "timestamp"


_INTEGER_BITS: dict[TypeId, tuple[int, bool]] = {
    TypeId.SMALLINT: (16, True),
    TypeId.INTEGER: (32, True),
    TypeId.BIGINT: (64, True),
    TypeId.HUGEINT: (128, True),
    TypeId.U8: (8, False),
    TypeId.U16: (16, False),
    TypeId.U32: (32, False),
    TypeId.U64: (64, False),
}


@dataclass(frozen=True, slots=True)
class SqlType:
    """A SQL type. `precision`/`scale` belong to numeric, `length` and `padded` to varchar(n)/char(n)."""

    id: TypeId
    precision: int = 0
    scale: int = 0
    length: int | None = None
    padded: bool = False

    @property
    def is_integer(self) -> bool:
        return self.id in _INTEGER_BITS

    @property
    def is_exact(self) -> bool:
        """Integers and numeric: exact arithmetic."""
        return self.is_integer or self.id is TypeId.NUMERIC

    @property
    def is_float(self) -> bool:
        return self.id in (TypeId.REAL, TypeId.DOUBLE)

    @property
    def is_number(self) -> bool:
        return self.is_exact or self.is_float

    @property
    def is_text(self) -> bool:
        return self.id is TypeId.TEXT

    @property
    def is_discrete(self) -> bool:
        """True where the canonical value is an integer (all but floating point, text and unknown)."""
        return not (self.is_float or self.is_text or self.id is TypeId.NULL)

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and greatest canonical value, inclusive; only for discrete types."""
        if self.id in _INTEGER_BITS:
            bits, signed = _INTEGER_BITS[self.id]
            return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        match self.id:
            case TypeId.NUMERIC:
                return -(10**self.precision - 1), 10**self.precision - 1
            case TypeId.BOOLEAN:
                return 0, 1
            case TypeId.DATE:
                return -(1 << 31), (1 << 31) - 1
            case TypeId.TIMESTAMP:
                return -(1 << 63), (1 << 63) - 1
        raise AssertionError(f"{self} has no integer bounds")

    def __str__(self) -> str:
        if self.id is TypeId.NUMERIC:
            return f"numeric({self.precision},{self.scale})"
        if self.id is TypeId.TEXT and self.length is not None:
            return f"{'char' if self.padded else 'varchar'}({self.length})"
        return str(self.id.value)


NULL = SqlType(TypeId.NULL)
BOOLEAN = SqlType(TypeId.BOOLEAN)
SMALLINT = SqlType(TypeId.SMALLINT)
INTEGER = SqlType(TypeId.INTEGER)
BIGINT = SqlType(TypeId.BIGINT)
HUGEINT = SqlType(TypeId.HUGEINT)
U8 = SqlType(TypeId.U8)
U16 = SqlType(TypeId.U16)
U32 = SqlType(TypeId.U32)
U64 = SqlType(TypeId.U64)
REAL = SqlType(TypeId.REAL)
DOUBLE = SqlType(TypeId.DOUBLE)
TEXT = SqlType(TypeId.TEXT)
DATE = SqlType(TypeId.DATE)
TIMESTAMP = SqlType(TypeId.TIMESTAMP)


def numeric(precision: int, scale: int) -> SqlType:
    """numeric(precision, scale); precision is at most 38 (a 128-bit scaled integer)."""
    assert 0 <= scale <= precision <= MAX_PRECISION
    return SqlType(TypeId.NUMERIC, precision, scale)
