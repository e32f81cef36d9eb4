"""Which chunks of a scan can have a row at all: by zone maps, vectorised over the chunks; none where the whole scan is
of a partition whose bounds contradict the predicates.

A chunk is left out if its least and greatest value *contradict* the predicate; a comparison with NaN contradicts
nothing, so floating-point zone maps stay safe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zerodb.engine.bindings import TableBinding
from zerodb.engine.pool import Array
from zerodb_compiler.codegen.program import PartitionTest, Program, ZonePredicate
from zerodb_compiler.pruning import Known, can_match
from zerodb_compiler.types import SqlType
from zerodb_storage.lookup import partition_digest

# The storage saturates the bounds of wider values at the ends of int64: there (and beyond) they say nothing.
_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1
_NOTHING: Array = np.zeros(0, dtype=np.int64)


def surviving_chunks(
    binding: TableBinding, predicates: Sequence[ZonePredicate], parameters: Sequence[object]
) -> Array | None:
    """Numbers of the chunks that may have rows, ascending; None for all of them."""
    excluded: Array | None = None
    for predicate in predicates:
        operator = predicate.operator
        if operator == "is_null":
            continue  # zone maps do not say whether a chunk without has_value is empty of NULLs
        operand = predicate.constant if predicate.parameter is None else parameters[predicate.parameter]
        if operand is None and operator != "is_not_null":
            return _NOTHING
        if isinstance(operand, int) and not _LEAST < operand < _GREATEST:
            continue
        zones = binding.zones(predicate.ordinal)
        if zones is None:
            continue
        low, high, empty = zones
        contradicted: Array | None
        match operator:
            case "is_not_null":
                contradicted = None
            case "eq":
                contradicted = (low > operand) | (high < operand)
            case "lt":
                contradicted = low >= operand
            case "le":
                contradicted = low > operand
            case "gt":
                contradicted = high <= operand
            case "ge":
                contradicted = high < operand
            case _:
                raise AssertionError(f"unknown zone predicate {operator}")
        for chunks in (contradicted, empty):
            if chunks is not None:
                excluded = chunks if excluded is None else excluded | chunks
    if excluded is None:
        return None
    found: Array = (~excluded).nonzero()[0]
    return found


def may_match(test: PartitionTest, parameters: Sequence[object]) -> bool:
    """Whether the partition can have a row for the scan, with these parameters."""
    if not test.tests:
        return True
    known: dict[int, Known] = {}
    for ordinal, name, operands in test.tests:
        values = [item.constant if item.parameter is None else parameters[item.parameter] for item in operands]
        known[ordinal] = known.get(ordinal, Known()).having(name, values)
    return can_match(test.partition.levels, known, _digest)


def _digest(types: Sequence[SqlType], key: Sequence[object]) -> int | None:
    """The hash of a partition key, where it is made of integers (dates, ...) and texts."""
    if any(type_.is_float or type_.is_blob for type_ in types):
        return None
    return partition_digest([value if isinstance(value, int | str) else str(value) for value in key])


def partitions_left(program: Program, parameters: Sequence[object]) -> dict[int, tuple[str, int, int]]:
    """Per scan of a partitioned table: its name, how many partitions are read, and how many there are."""
    found: dict[int, tuple[str, int, int]] = {}
    for scan in program.scans:
        if scan.partition is not None:
            info = scan.partition.partition
            _, left, _ = found.get(info.scan, ("", 0, 0))
            found[info.scan] = (info.root, left + may_match(scan.partition, parameters), info.count)
    return found
