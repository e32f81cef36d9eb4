"""Sorting many tuples by a 64-bit prefix of their keys.

The leading sort keys are packed into one unsigned integer whose order is the order wanted (descending and NULLS FIRST
included), as in DuckDB's and others' "normalised keys". Tuples are then sorted by radix on (prefix, address) pairs,
eight bits a pass from the lowest, leaving out bytes that are the same everywhere; that compares nothing. Where the
prefix does not hold all keys (texts, more than 64 bits), runs of equal prefixes are sorted by the comparator.

    entry: prefix (8 bytes) | address of the tuple (4) | 4 unused
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.comparison import to_text
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text
from zerodb_compiler.codegen.tuples import TupleLayout
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.wasm.module import FunctionRef
from zerodb_compiler.wasm.values import F64, I32, I64, V128, extract_lane, load, select, shuffle

ENTRY = 16
DIGITS = 256
# Below this, comparing is cheaper than 8 histograms.
LEAST_TUPLES = 256
_REVERSED = bytes((7, 6, 5, 4, 3, 2, 1, 0, 8, 9, 10, 11, 12, 13, 14, 15))


@dataclass(frozen=True, slots=True)
class _Part:
    """One key's share of the prefix."""

    place: int
    key: SortKey
    bits: int
    whole: bool  # whether these bits decide the key


def plan_prefix(layout: TupleLayout, keys: Sequence[tuple[int, SortKey]]) -> tuple[tuple[_Part, ...], bool]:
    """The keys that the prefix can hold, and whether they are all of all keys."""
    parts: list[_Part] = []
    left = 64
    for place, key in keys:
        part = _part(layout.fields[place].sample, place, key, left)
        if part is None:
            return tuple(parts), False
        parts.append(part)
        left -= part.bits
        if not part.whole:
            return tuple(parts), False
    return tuple(parts), True


def _part(sample: SqlValue, place: int, key: SortKey, left: int) -> _Part | None:
    null_bit = 1 if sample.null is not None else 0
    match sample:
        case Int(low=low, high=high):
            bits = (high - low).bit_length() + null_bit
        case Bool():
            bits = 1 + null_bit
        case Real():
            bits = 64 + null_bit
            if null_bit and left == 64:
                return _Part(place, key, 64, False)
        case Text() | Code():
            return _Part(place, key, left, False) if left > 8 + null_bit else None
        case _:
            return None
    return _Part(place, key, bits, True) if bits <= left else None


def _value_bits(e: Emitter, value: SqlValue, part: _Part, nullable: bool) -> I64:
    """The key as an unsigned number of `part.bits` bits less the NULL bit, ascending."""
    room = part.bits - (1 if nullable else 0)
    match value:
        case Int(value=number, low=low):
            return number - low
        case Bool(value=flag):
            return flag.to_i64_u()
        case Real(value=number):
            number = e.keep(number)
            plain = select(number == F64.const(0.0), F64.const(0.0), number)
            # NaN is the greatest of all; the sign decides whether all bits or only the sign are flipped.
            bits = e.keep(select(number != number, I64.const((1 << 63) - 1), plain.as_i64()))
            ordered = bits ^ ((bits >> 63) | I64.const(-(1 << 63)))
            return ordered.shift_right_u(64 - room) if room < 64 else ordered
        case Text() | Code():
            return _text_bits(e, to_text(e, value)).shift_right_u(64 - room)
    raise AssertionError


def _text_bits(e: Emitter, value: Text) -> I64:
    """The first eight bytes, the first in the highest bits, zeros past the end."""
    vector = V128(load("v128.load64_zero", value.address).code)
    first: I64 = extract_lane("i64x2.extract_lane", shuffle(vector, vector, _REVERSED), 0)
    length = e.keep(value.length)
    unused = select(length < 8, I32.const(8) - length, I32.const(0)) * 8
    kept = (first.shift_right_u(unused.to_i64_u())) << unused.to_i64_u()
    return select(length == 0, I64.const(0), kept)


def _prefix(e: Emitter, layout: TupleLayout, place: I32, parts: Sequence[_Part]) -> I64:
    f = e.f
    prefix = f.let(I64.const(0), "prefix")
    for part in parts:
        value = layout.read(place)[part.place]
        nullable = value.null is not None
        bits = f.let(_value_bits(e, value, part, nullable), "bits")
        room = part.bits - (1 if nullable else 0)
        if part.key.descending:
            mask = (1 << room) - 1
            bits.set(bits ^ I64.const(mask))
        if value.null is not None:
            null = e.keep(value.null)
            # The NULL bit is above the value's: 0 for what comes first.
            marker = null if not part.key.nulls_first else null.is_zero()
            bits.set(select(null, I64.const(0), bits) | (marker.to_i64_u() << room))
        prefix.set(bits if part.bits == 64 else (prefix << part.bits) | bits)
    return prefix


def define_prefix_sort(
    context: Context,
    layout: TupleLayout,
    keys: Sequence[tuple[int, SortKey]],
    by_comparison: FunctionRef,
) -> FunctionRef:
    """sort(worker, pointers, count) -> status: like `by_comparison`, which it uses for few tuples and for ties."""
    parts, complete = plan_prefix(layout, keys)
    if not parts:
        return by_comparison
    f = context.module.function(
        context.fresh("prefix_sort"), [("worker", I32), ("pointers", I32), ("count", I32)], [I32]
    )
    e = Emitter(context, f)
    worker, pointers, count = f.parameters
    with f.if_(count < LEAST_TUPLES):
        f.return_(f.call(by_comparison, worker, pointers, count))
    source = e.allocate(count * ENTRY, abi.ALLOCATE_ARENA, "entries")
    target = e.allocate(count * ENTRY, abi.ALLOCATE_ARENA, "spare")
    histograms = e.allocate(I32.const(8 * DIGITS * 4), abi.ALLOCATE_ARENA, "histograms")
    f.memory_fill(histograms, 0, I32.const(8 * DIGITS * 4))
    bytes_used = -(-sum(part.bits for part in parts) // 8)
    _fill_entries(e, layout, parts, bytes_used, pointers, count, source, histograms)
    for byte in range(bytes_used):
        e.check_interrupt()
        _pass(e, byte, count, source, target, histograms + byte * DIGITS * 4)
    _write_back(e, pointers, count, source)
    if not complete:
        _sort_ties(e, by_comparison, worker, pointers, count, source)
    f.return_(I32.const(abi.STATUS_OK))
    return f.ref


def _fill_entries(
    e: Emitter,
    layout: TupleLayout,
    parts: Sequence[_Part],
    bytes_used: int,
    pointers: I32,
    count: I32,
    entries: I32,
    histograms: I32,
) -> None:
    f = e.f
    f.comment("prefixes of the sort keys, and how often each byte occurs in each place")
    index, entry = f.local(I32, "index"), f.let(entries, "entry")
    with f.count_up(index, count):
        place = f.let(load("i32.load", pointers + index * 4), "tuple")
        prefix = _prefix(e, layout, place, parts)
        f.store("i64.store", entry, prefix)
        f.store("i32.store", entry, place, 8)
        for byte in range(bytes_used):
            digit = (prefix.shift_right_u(8 * byte)).to_i32() & 255
            counter = f.let(histograms + digit * 4, "counter")
            offset = byte * DIGITS * 4
            f.store("i32.store", counter, load("i32.load", counter, offset) + 1, offset)
        entry.set(entry + ENTRY)


def _pass(e: Emitter, byte: int, count: I32, source: I32, target: I32, histogram: I32) -> None:
    """One stable distribution by a byte; swaps `source` and `target` (locals) unless all entries agree in it."""
    f = e.f
    histogram = f.let(histogram, "histogram")
    first = load("i32.load8_u", source, byte)
    with f.if_(load("i32.load", histogram + first * 4) != count):
        f.comment(f"distribute by byte {byte}")
        total, digit = f.let(target, "total"), f.let(I32.const(0), "digit")
        with f.count_up(digit, DIGITS * 4, 4):
            counter = f.let(histogram + digit, "counter")
            occurrences = f.let(load("i32.load", counter), "occurrences")
            f.store("i32.store", counter, total)
            total.set(total + occurrences * ENTRY)
        entry, end = f.let(source, "entry"), f.let(source + count * ENTRY, "end")
        with f.block() as done, f.loop() as again:
            done.break_if(entry.greater_equal_u(end))
            slot = f.let(histogram + load("i32.load8_u", entry, byte) * 4, "slot")
            place = f.let(load("i32.load", slot), "place")
            f.store("v128.store", place, load("v128.load", entry))
            f.store("i32.store", slot, place + ENTRY)
            entry.set(entry + ENTRY)
            again.continue_()
        swap = f.let(source)
        source.set(target)  # type: ignore[attr-defined]
        target.set(swap)  # type: ignore[attr-defined]


def _write_back(e: Emitter, pointers: I32, count: I32, entries: I32) -> None:
    f = e.f
    index = f.local(I32, "index")
    index.set(I32.const(0))
    with f.count_up(index, count):
        f.store("i32.store", pointers + index * 4, load("i32.load", entries + index * ENTRY, 8))


def _sort_ties(e: Emitter, sort: FunctionRef, worker: I32, pointers: I32, count: I32, entries: I32) -> None:
    f = e.f
    f.comment("sort runs of equal prefixes by comparison")
    start = f.let(I32.const(0), "start")
    with f.block() as done, f.loop() as runs:
        done.break_if(start >= count)
        prefix = f.let(load("i64.load", entries + start * ENTRY), "prefix")
        end = f.let(start + 1, "end")
        with f.block() as found, f.loop() as more:
            found.break_if(end >= count)
            found.break_if(load("i64.load", entries + end * ENTRY) != prefix)
            end.set(end + 1)
            more.continue_()
        with f.if_(end - start > 1):
            e.check_status(f.call(sort, worker, pointers + start * 4, end - start))
        start.set(end)
        runs.continue_()


__all__ = ["define_prefix_sort", "plan_prefix"]
