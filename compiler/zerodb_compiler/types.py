"""SQL types and how one value of each is represented everywhere outside the SQL text.

Every layer (binder, code generator, storage, result decoding) speaks of values in one *canonical* form:

    boolean                    0 or 1
    smallint ... hugeint, u*   the integer
    numeric(p, s)              the integer value * 10**s ("scaled integer"), |value| < 10**p, p <= 38
    date                       days since 1970-01-01; the least and greatest value are -infinity and infinity
    timestamp                  microseconds since 1970-01-01 00:00:00 (no time zone); infinities as date's
    timestamp with time zone   microseconds since 1970-01-01 00:00:00 UTC; infinities as date's
    time                       microseconds since midnight, 0 .. 86,400,000,000 (24:00:00)
    interval                   128 bits: low 64 bits microseconds, then 32 bits days, then (highest) 32 bits months,
                               each in two's complement. Its order and equality are others: see `has_sort_key`
    uuid                       the 128-bit number minus 2**127, so that signed comparison gives uuid's order
    enum                       the index of the label in the type's `labels`
    real, double precision     the IEEE 754 number
    text, varchar(n), char(n)  UTF-8 bytes
    json                       UTF-8 bytes of the text as given
    bytea, jsonb, arrays, structs, maps, ranges
                               bytes; the binary forms are defined beside their kernels

All but the floating-point, text and byte types are therefore integers with known bounds (`SqlType.bounds`), which is
what lets the code generator prove most overflow checks away.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAX_PRECISION = 38


class TypeId(enum.Enum):
    """The families of SQL types; the value is PostgreSQL's name of the type."""

    __hash__ = object.__hash__  # members are few and single; Enum's own is a call of Python code

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
    TIMESTAMP = "timestamp"  # PostgreSQL's "timestamp without time zone"
    TIMESTAMPTZ = "timestamp with time zone"
    TIME = "time"
    INTERVAL = "interval"
    UUID = "uuid"
    ENUM = "enum"
    BYTEA = "bytea"
    JSON = "json"
    JSONB = "jsonb"
    ARRAY = "array"
    STRUCT = "record"
    MAP = "map"
    RANGE = "range"


# Values of these are byte strings with a structure of their own.
_BLOBS = frozenset({TypeId.BYTEA, TypeId.JSON, TypeId.JSONB, TypeId.ARRAY, TypeId.STRUCT, TypeId.MAP, TypeId.RANGE})
# Types whose equality and order are not those of the canonical integers or bytes: compared by `sort_key(value)`.
_SORT_KEYED = frozenset({TypeId.INTERVAL, TypeId.JSONB, TypeId.ARRAY, TypeId.STRUCT, TypeId.MAP, TypeId.RANGE})
# Collations whose order is not that of the bytes; and that of a value whose parts have different ones.
UNICODE = frozenset({"unicode", "und-x-icu"})
UNDECIDED = "?"
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
    """A SQL type. `precision`/`scale` belong to numeric. `precision` of time, timestamp and interval is one more than
    their fractional digits, 0 where none are given; `scale` of interval says which fields it has (sql/values.py).
    `length` and `padded` belong to varchar(n)/char(n), `element` to arrays and ranges (the subtype), `fields` to
    structs and maps (key and value), `name` to named types (enums, composites, domains), `labels` to enums, in their
    order. `collation` of text is None for the database's, which is byte order (sql/collations.py).

    PostgreSQL's numeric remembers with each value how many decimals to show; ours have the scale of their type. Where
    that is more than PostgreSQL would show, `shown` is the least number of decimals, and zeros beyond it are not shown:
    numeric without precision. A `quotient` (a division, an average) shows as many decimals as give 16 significant
    digits, as there."""

    id: TypeId
    precision: int = 0
    scale: int = 0
    length: int | None = None
    padded: bool = False
    element: SqlType | None = None
    fields: tuple[tuple[str, SqlType], ...] = ()
    name: str | None = None
    labels: tuple[str, ...] = ()
    shown: int | None = None
    quotient: bool = False
    collation: str | None = None

    def __hash__(self) -> int:  # the fields that differ most; types are looked up all the time
        return hash((self.id, self.precision, self.scale, self.length, self.name))

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
    def is_blob(self) -> bool:
        """True where the canonical value is a byte string other than text."""
        return self.id in _BLOBS

    @property
    def is_variable(self) -> bool:
        """True where the canonical value is a string of bytes of any length: text and blobs."""
        return self.id is TypeId.TEXT or self.id in _BLOBS

    @property
    def has_sort_key(self) -> bool:
        """True where values are compared, grouped and sorted by a key computed from them."""
        return self.id in _SORT_KEYED

    @property
    def has_order_key(self) -> bool:
        """True where values are ordered by a key: also text, equal by its bytes, of a collation of another order."""
        return self.id in _SORT_KEYED or self.collation in UNICODE

    @property
    def sort_key_type(self) -> SqlType:
        """The type of `sort_key(value)`: its integers or bytes compare as the values do."""
        assert self.has_order_key
        return HUGEINT if self.id is TypeId.INTERVAL else BYTEA

    @property
    def is_equal_by_bytes(self) -> bool:
        """True where equal values have equal canonical bytes, as keys of tables need it."""
        match self.id:
            case TypeId.INTERVAL | TypeId.JSON | TypeId.JSONB | TypeId.MAP:
                return False
            case TypeId.ARRAY | TypeId.RANGE:
                return self.element is None or (self.element.is_equal_by_bytes and not self.element.is_float)
            case TypeId.STRUCT:
                return all(field.is_equal_by_bytes and not field.is_float for _, field in self.fields)
        return True

    @property
    def is_discrete(self) -> bool:
        """True where the canonical value is an integer (all but floating point, text, byte strings and unknown)."""
        return not (self.is_float or self.is_text or self.is_blob or self.id is TypeId.NULL)

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
            case TypeId.TIMESTAMP | TypeId.TIMESTAMPTZ:
                return -(1 << 63), (1 << 63) - 1
            case TypeId.TIME:
                return 0, 86_400_000_000
            case TypeId.INTERVAL | TypeId.UUID:
                return -(1 << 127), (1 << 127) - 1
            case TypeId.ENUM:
                return 0, max(0, len(self.labels) - 1)
        raise AssertionError(f"{self} has no integer bounds")

    def __str__(self) -> str:
        if self.id is TypeId.NUMERIC:
            return "numeric" if self.shown is not None else f"numeric({self.precision},{self.scale})"
        if self.precision and self.id in (TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME, TypeId.INTERVAL):
            name, _, zone = self.id.value.partition(" ")
            return f"{name}({self.precision - 1}) {zone}".rstrip()
        if self.id is TypeId.TEXT and self.length is not None:
            return f"{'char' if self.padded else 'varchar'}({self.length})"
        if self.id is TypeId.ARRAY:
            return f"{self.element}[]"
        if self.name is not None:
            return self.name
        if self.id is TypeId.MAP:
            return f"map({', '.join(str(type_) for _, type_ in self.fields)})"
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
TIMESTAMPTZ = SqlType(TypeId.TIMESTAMPTZ)
TIME = SqlType(TypeId.TIME)
INTERVAL = SqlType(TypeId.INTERVAL)
UUID = SqlType(TypeId.UUID)
BYTEA = SqlType(TypeId.BYTEA)
JSON = SqlType(TypeId.JSON)
JSONB = SqlType(TypeId.JSONB)


def numeric(precision: int, scale: int, shown: int | None = None, *, quotient: bool = False) -> SqlType:
    """numeric(precision, scale); precision is at most 38 (a 128-bit scaled integer)."""
    assert 0 <= scale <= precision <= MAX_PRECISION
    return SqlType(TypeId.NUMERIC, precision, scale, shown=shown, quotient=quotient)


# numeric without precision: PostgreSQL's is unbounded; ours keeps a fixed point in the middle.
UNCONSTRAINED_NUMERIC = numeric(MAX_PRECISION, 10, 0)


def shown_decimals(type_: SqlType, value: int) -> int:
    """How many decimals of a scaled integer its text has; fewer than the scale for types with `shown`."""
    if type_.shown is None or type_.scale == 0:
        return type_.scale
    magnitude = abs(value)
    if type_.quotient:
        return min(type_.scale, max(type_.shown, _quotient_decimals(magnitude, type_.scale)))
    decimals = type_.scale
    while decimals > type_.shown and magnitude % 10 == 0:
        magnitude //= 10
        decimals -= 1
    return decimals


def _quotient_decimals(magnitude: int, scale: int) -> int:
    """PostgreSQL's scale of a quotient: 16 digits less what the groups of four digits before the point give. (It looks
    at the first groups of dividend and divisor; where those are equal, as for 1, it reserves a group more.)"""
    whole = magnitude // 10**scale
    if magnitude == whole * 10**scale and whole <= 1:
        return 20
    if whole:
        return max(0, 16 - 4 * ((len(str(whole)) - 1) // 4))
    zeros = scale - len(str(magnitude))
    return 20 + 4 * (zeros // 4)


def array(element: SqlType) -> SqlType:
    """element[]; arrays of any dimensions have one type, as in PostgreSQL."""
    return element if element.id is TypeId.ARRAY else SqlType(TypeId.ARRAY, element=element)


def enum_type(name: str, labels: tuple[str, ...]) -> SqlType:
    return SqlType(TypeId.ENUM, name=name, labels=labels)


def struct(fields: tuple[tuple[str, SqlType], ...], name: str | None = None) -> SqlType:
    """A composite type, or an anonymous record (`name` None)."""
    return SqlType(TypeId.STRUCT, fields=fields, name=name)
