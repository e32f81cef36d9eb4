"""The result of compiling a query: a WASM module and what its host must know to run it. Everything is plain data.

The host runs a program thus: allocate and fill the query block (parameters, constants, dictionary slots, derived
values), then for each pipeline in order: call `start` (if any) with morsel 0 on worker 0; run `function` for every
morsel on any worker; call `finish` (if any) on worker 0. Offsets are from the start of the query block (abi.py).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from zerodb_compiler.codegen import abi
from zerodb_compiler.pruning import PartitionInfo
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.types import SqlType


class MorselSource(enum.Enum):
    SCAN = "scan"  # one morsel per chunk that zone maps do not exclude
    COUNTER = "counter"  # the i32 at `count_offset` is the number of morsels, read after the pipelines before it
    SINGLE = "single"  # one morsel, on worker 0


@dataclass(frozen=True, slots=True)
class ZonePredicate:
    """A chunk whose zone map contradicts `column operator operand` has no row for this scan.

    `operator` is one of eq lt le gt ge is_null is_not_null. The operand is a canonical integer or float: a constant or
    the parameter of that index (a NULL parameter makes the predicate false for every chunk)."""

    ordinal: int
    operator: str
    constant: int | float | None = None
    parameter: int | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """A canonical value: a constant, or the parameter of that index."""

    constant: int | float | str | bytes | None = None
    parameter: int | None = None


@dataclass(frozen=True, slots=True)
class FirstRows:
    """As plan/physical.py's."""

    wanted: tuple[Operand, ...]
    descending: bool
    open_low: bool
    open_high: bool


@dataclass(frozen=True, slots=True)
class IndexLookup:
    """An index over the columns `key` that gives the rows a scan has to look at: those whose first key columns each
    have one of the values of `equal` and whose next one is at least all of `low`, at most all of `high`.

    The host may write at `slot` the address of an array with, for each morsel, start and end (two i32) of a list of row
    numbers (u16, ascending); 0 means all rows. `declared` as in plan/physical.py."""

    name: str
    key: tuple[int, ...]
    equal: tuple[tuple[Operand, ...], ...]
    low: tuple[Operand, ...]
    high: tuple[Operand, ...]
    slot: int
    declared: bool
    first: FirstRows | None = None


@dataclass(frozen=True, slots=True)
class PartitionTest:
    """The scan is of one partition of a table; its rows satisfy `tests`: (ordinal, "in" or a comparison, operands). The
    host leaves the scan out where pruning.can_match says so."""

    partition: PartitionInfo
    tests: tuple[tuple[int, str, tuple[Operand, ...]], ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that a pipeline reads. `slot` holds the address of the chunk descriptors (abi.py); a descriptor has the
    columns of `ordinals` in that order."""

    table_id: int
    table_name: str
    ordinals: tuple[int, ...]
    slot: int
    zone_predicates: tuple[ZonePredicate, ...]
    index: IndexLookup | None = None
    partition: PartitionTest | None = None


@dataclass(frozen=True, slots=True)
class DictionarySlot:
    """The host writes the address and size of the dictionary of a table's column at `offset`."""

    table_id: int
    ordinal: int
    offset: int


@dataclass(frozen=True, slots=True)
class DictionaryCode:
    """The host writes, as i32 at `offset`, the code of a text in a column's dictionary, or -1 if it is not there.
    The text is a constant or the parameter of that index (a NULL parameter gives -1)."""

    table_id: int
    ordinal: int
    offset: int
    constant: str | bytes | None = None
    parameter: int | None = None


@dataclass(frozen=True, slots=True)
class ParameterSlot:
    """Where parameter `index` goes; a program that does not read a parameter has no slot for it."""

    index: int
    type: SqlType
    offset: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline; functions are names of `Program.entries`. `description` has one line per operator, source first,
    for EXPLAIN."""

    function: str
    source: MorselSource
    scan: int | None  # index into Program.scans for MorselSource.SCAN
    count_offset: int | None
    start: str | None
    finish: str | None
    description: tuple[str, ...]
    parallel: bool = True  # False: run all morsels on worker 0, in order
    rows_offset: int | None = None  # i64 in each *worker* block: rows that reached the sink, for EXPLAIN ANALYZE


@dataclass(frozen=True, slots=True)
class Loop:
    """Pipelines `first` to `last` run again and again while the i32 at `offset` of the query block, looked at before
    each round, is not 0. Loops may lie within one another."""

    first: int
    last: int
    offset: int


@dataclass(frozen=True, slots=True)
class ErrorSite:
    """What a status above 0 means. `message` may contain {value} and {text} (worker block, abi.py)."""

    sqlstate: str
    message: str
    position: int | None


@dataclass(frozen=True, slots=True)
class ExternalValue:
    """An argument or result in a block (abi.EXTERNAL_*): its array begins behind `place` bytes a row, and so does that
    of its NULL flags (one byte a row, 1 where NULL; None if there is none). `width` is that of an element. For a text
    argument the header has the address of its texts at `texts`; a text result is an address and a length, i32 each."""

    type: SqlType
    place: int
    width: int
    nulls: int | None
    texts: int | None = None


@dataclass(frozen=True, slots=True)
class ExternalCall:
    """A function to be called for the rows of a block: those whose guard (one byte a row) is 1, if there is one.
    `once`: all rows have the same arguments, and the function gives the same result for them."""

    function: ExternalFunction
    header: int
    arguments: tuple[ExternalValue, ...]
    result: ExternalValue
    guard: int | None
    once: bool
    position: int | None


@dataclass(frozen=True, slots=True)
class OutputColumn:
    name: str
    type: SqlType
    nullable: bool


# Bytes per value in output blocks: booleans 1 byte, integers and date/time/timestamp at their natural width, u64,
# hugeint, every numeric, interval and uuid 16 (little endian), enum 4, real 4, double 8, text and blobs 4 (offsets).


@dataclass(frozen=True, slots=True)
class Program:
    wasm: bytes
    query_bytes: int
    worker_bytes: int
    pipelines: tuple[Pipeline, ...]
    scans: tuple[Scan, ...]
    dictionaries: tuple[DictionarySlot, ...]
    dictionary_codes: tuple[DictionaryCode, ...]
    parameters: tuple[ParameterSlot, ...]
    constants: tuple[tuple[int, bytes], ...]  # (offset in the query block, bytes)
    errors: tuple[ErrorSite, ...]
    output: tuple[OutputColumn, ...]
    output_block_bytes: int  # size of a normal output block, for the spare ones
    ordered: bool  # rows leave in a meaningful order: blocks must be taken in (morsel, list) order
    loops: tuple[Loop, ...] = ()
    externals: tuple[ExternalCall, ...] = ()
    entries: tuple[str, ...] = ()  # functions by the numbers under which the module's `run` calls them

    @property
    def can_step(self) -> bool:
        """Whether the module has the entry abi.STEPS, for all pipelines in one call."""
        return bool(self.entries) and self.entries[-1] == abi.STEPS and not self.loops
