"""How a table's columns lie in linear memory: the contract between storage, runtime and generated code.

Every chunk of one table version has the same physical layout, so that code is generated once per (query shape, layout)
and reads narrowed integers and dictionary codes directly. The loader brings a segment's on-disk encoding to the
table's layout when the column enters the buffer pool; a row that does not fit (a wider integer, a first NULL) makes
a new layout, and code is generated anew.

A chunk of n rows, per column:

    INT         n signed little-endian integers of `width` bytes (canonical values, see types.py), all within low..high
    FLOAT       n IEEE numbers of `width` 4 or 8
    DICTIONARY  n unsigned codes of `width` 1, 2 or 4, indexes into the table-wide dictionary of the column
    TEXT        n + 1 unsigned 32-bit *absolute* addresses; value i is the bytes from address i up to address i + 1

    validity    n bytes, 1 = present, 0 = NULL; exists only if `has_nulls`. Chunks without a NULL share the runtime's
                page of ones. The data under a NULL is a value within low..high (0 if that is within, else low),
                code 0, or an empty string.
    visibility  n bytes, 1 = visible, 0 = deleted; exists only if the table `has_deletes`, shared likewise.

A dictionary of m distinct strings is m + 1 absolute addresses of the same form as TEXT. Codes are given in order of
first appearance and never change while a dictionary lives; they say nothing about the order of the strings.

Every array starts on a 16-byte boundary and may be read 16 bytes past its end (SIMD tails).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from zerodb_compiler.types import SqlType, TypeId

CHUNK_ROWS = 65_536


class Encoding(enum.Enum):
    INT = "int"
    FLOAT = "float"
    DICTIONARY = "dictionary"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The layout of one column. `low`/`high` are inclusive bounds of the canonical values (INT) or codes (DICTIONARY),
    rounded outward so that they change rarely."""

    encoding: Encoding
    width: int
    has_nulls: bool
    low: int = 0
    high: int = 0

    @property
    def form(self) -> tuple[Encoding, bool]:
        """What code has to know that finds the width, and whether there are NULLs, when it runs."""
        return self.encoding, self.width == 16


@dataclass(frozen=True, slots=True)
class TableLayout:
    columns: tuple[ColumnLayout, ...]
    has_deletes: bool = False

    def is_read_as(self, other: TableLayout) -> bool:
        """Whether columns have the same forms in both."""
        ours, theirs = self.columns, other.columns
        return ours is theirs or (
            len(ours) == len(theirs) and all(a is b or a.form == b.form for a, b in zip(ours, theirs, strict=True))
        )


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What the cost model knows of one column; `low`/`high` are exact bounds for discrete types, else None."""

    distinct: int
    null_count: int = 0
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class TableStatistics:
    row_count: int
    columns: tuple[ColumnStatistics, ...] = field(default=())


def int_width(low: int, high: int) -> int:
    """Bytes (1, 2, 4, 8 or 16) of the narrowest signed integer that holds low..high."""
    for width in (1, 2, 4, 8, 16):
        bound = 1 << (8 * width - 1)
        if -bound <= low and high < bound:
            return width
    raise AssertionError("values beyond 128 bits")


def round_bounds(low: int, high: int) -> tuple[int, int]:
    """Bounds rounded outward to powers of two minus one (2**k - 1, -2**k), so that growing data changes a layout rarely
    (at most once per bit) while sums and products can still be proven not to overflow."""
    return (0 if low >= 0 else -(1 << (-low - 1).bit_length())), (0 if high <= 0 else (1 << high.bit_length()) - 1)


def widest_layout(types: Sequence[SqlType]) -> TableLayout:
    """The layout that any rows of these types have room in: for tables that are compiled against before they exist."""
    return TableLayout(tuple(_widest(type_) for type_ in types))


def _widest(type_: SqlType) -> ColumnLayout:
    if type_.is_float:
        return ColumnLayout(Encoding.FLOAT, 4 if type_.id is TypeId.REAL else 8, True)
    if type_.is_discrete:
        low, high = type_.bounds
        return ColumnLayout(Encoding.INT, int_width(low, high), True, low, high)
    return ColumnLayout(Encoding.TEXT, 4, True)
