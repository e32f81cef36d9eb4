"""What the code of point statements and its host share: the directory of a table and records, in linear memory.

A *record* is one row in a form that holds any value, so that it never depends on a layout: a header, one byte per
column that says whether it is NULL, then the values, 8 or 16 bytes each. Rows of the delta and a transaction's own rows
are records; those of segments are columns of chunks.

    directory                         chunk entries                        records
    | stamp | chunks ---------------> | visibility | resident | columns |
    | heads, mask (segments) | nexts: chains of (entry, row) + 1, by hash of the key
    | heads, mask (delta) -------------------------------------------> | next | flags | row id | nulls | values |

A chain gives what came last first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zerodb_compiler.types import SqlType, TypeId

# --- directory: its address is in the query block ----------------------------------------
DIRECTORY_STAMP = 0  # i64: changes with the version it shows; code that expects another one ends with STATUS_STALE
DIRECTORY_CHUNKS = 8  # i32: address of the chunk entries
MOST_CHAINS = 5  # the primary key's and others'

# --- chains: fields at chains_at(number) of the directory; the primary key's have the number 0 ------------
CHAINS_HEADS = 0  # i32: address of the heads of the segments' chains (entry * 65536 + row + 1, 0 for none)
CHAINS_MASK = 4  # i32: number of heads less 1
CHAINS_NEXTS = 8  # i32: address of the next one in the chain, by entry and row
CHAINS_DELTA_HEADS = 12  # i32: address of the heads of the delta's chains (addresses of records, 0 for none)
CHAINS_DELTA_MASK = 16  # i32
CHAINS_BYTES = 20


def chains_at(number: int) -> int:
    return 12 + CHAINS_BYTES * number


DIRECTORY_HEADS, DIRECTORY_MASK, DIRECTORY_NEXTS, DIRECTORY_DELTA_HEADS, DIRECTORY_DELTA_MASK = range(12, 32, 4)
DIRECTORY_DICTIONARIES = chains_at(MOST_CHAINS)  # i32 per column: address of its dictionary


def directory_bytes(columns: int) -> int:
    return DIRECTORY_DICTIONARIES + 4 * columns


# --- chunk entries ----------------------------------------
CHUNK_VISIBILITY = 0  # i32: one byte per row, or 0 where all rows are visible
CHUNK_RESIDENT = 4  # i32: whether the columns are there (1, 0), or CHUNK_GONE
CHUNK_ROWS = 8  # i32
CHUNK_NUMBER = 12  # i32: the chunk of the table version; entries stay in their places when chunks come and go
CHUNK_GONE = -1  # no chunk of the version any more, its rows are in the chains still
CHUNK_COLUMNS = 16  # per column of the table: i32 data, i32 validity (0: none is NULL), i32 log2 of an element's bytes
CHUNK_COLUMN_BYTES = 12


def chunk_bytes(columns: int) -> int:
    return CHUNK_COLUMNS + CHUNK_COLUMN_BYTES * columns


# --- records ----------------------------------------
RECORD_NEXT = 0  # i32: address of the next record of the chain, 0 for none
RECORD_FLAGS = 4  # i32: RECORD_ALIVE, RECORD_SUPERSEDED
RECORD_ROW_ID = 8  # i64: the delta: its row id; own rows: the id of the row that it replaces, or -1
RECORD_ALIVE = 1  # the row is there; else it is deleted
RECORD_SUPERSEDED = 2  # an own row in whose place a later own row has come
RECORD_NULLS = 16 + 4 * (MOST_CHAINS - 1)


# Own rows are in the chains of the primary key only, and have in place of the other links:
RECORD_HASH = 16  # i32: of the key
RECORD_SUPERSEDES = 20  # i32: address of the own row in whose place it has come, 0 for none


def record_next(chains: int) -> int:
    """Where the address of the next record in the chains of that number is."""
    return RECORD_NEXT if chains == 0 else 12 + 4 * chains


# --- a transaction's own rows of one table: the overlay ----------------------------------------
OVERLAY_HEADS = 0  # i32, as DIRECTORY_DELTA_HEADS
OVERLAY_MASK = 4  # i32
OVERLAY_NEXT = 8  # i32: where the next record goes
OVERLAY_END = 12  # i32: end of the room for records
OVERLAY_HEAP = 16  # i32: where the next text goes
OVERLAY_HEAP_END = 20  # i32
OVERLAY_COUNT = 24  # i32: records
OVERLAY_BYTES = 32

# --- what a point function returns, besides abi's statuses and errors ----------------------------------------
STATUS_ROW = -10  # one row
STATUS_NONE = -11  # no row
STATUS_STALE = -12  # the directory shows another version
STATUS_ABSENT = -13  # the chunk whose number is at the output's start is not resident
STATUS_FULL = -14  # no room for another record, whose texts need the bytes (i32) at the output's start
STATUS_EXISTS = -15  # INSERT: there is a row of this key
STATUS_REFUSED = -16  # a value that must not be, such as NULL: the general path says why
STATUS_PENDING = -17  # the host writes it before a call

# Kinds of values in records and outputs: how they lie in memory.
INT, WIDE, REAL, SINGLE, TEXT = "int", "wide", "real", "single", "text"


def kind_of(type_: SqlType) -> str:
    """int: i64; wide: two i64, low half first; real and single: f64; text: i32 address, i32 length."""
    if type_.is_float:
        return SINGLE if type_.id is TypeId.REAL else REAL
    if not type_.is_discrete:
        return TEXT
    low, high = type_.bounds
    return INT if low >= -(1 << 63) and high < 1 << 63 else WIDE


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """Where a table's columns lie in its records."""

    kinds: tuple[str, ...]
    offsets: tuple[int, ...]
    stride: int

    @property
    def texts(self) -> tuple[int, ...]:
        """The places of texts."""
        return tuple(offset for kind, offset in zip(self.kinds, self.offsets, strict=True) if kind == TEXT)

    @staticmethod
    def of(types: Sequence[SqlType]) -> RecordLayout:
        kinds = tuple(kind_of(type_) for type_ in types)
        position = RECORD_NULLS + (len(kinds) + 7 & ~7)
        offsets = []
        for kind in kinds:
            offsets.append(position)
            position += 16 if kind == WIDE else 8
        return RecordLayout(kinds, tuple(offsets), position)
