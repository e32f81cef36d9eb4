"""Zone maps never exclude a chunk that has a row, whatever the operator and operand."""

from __future__ import annotations

import math
import operator
from typing import Any, cast

import numpy as np
from engine_tables import Zones
from hypothesis import example, given
from hypothesis import strategies as st

from zerodb.engine.bindings import TableBinding
from zerodb.engine.pruning import surviving_chunks
from zerodb_compiler.codegen.program import ZonePredicate

TESTS = {"eq": operator.eq, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
INTEGERS = st.integers(-10, 10) | st.integers(-(1 << 70), 1 << 70)
INT64 = (-(1 << 63), (1 << 63) - 1)


class Binding:
    """As the storage makes zone maps: bounds beyond int64 are saturated, a NaN makes the greatest value NaN."""

    def __init__(self, chunks: list[list[Any]], kind: str) -> None:
        present = [[value for value in chunk if value is not None] for chunk in chunks]
        low, high = [], []
        for values in present:
            ordered = sorted(values, key=lambda value: (value != value, value))
            ends = (ordered[0], ordered[-1]) if ordered else (0, 0)
            low.append(ends[0] if kind == "f8" else min(max(ends[0], INT64[0]), INT64[1]))
            high.append(ends[1] if kind == "f8" else min(max(ends[1], INT64[0]), INT64[1]))
        self._zones = Zones(np.array(low, kind), np.array(high, kind), np.array([bool(v) for v in present]))

    def zones(self, _ordinal: int) -> tuple[Any, Any, Any]:
        found = self._zones
        return found.low, found.high, None if found.has_value.all() else ~found.has_value


def survivors(binding: Binding, predicates: list[ZonePredicate], parameters: list[Any], chunks: int) -> list[int]:
    found = surviving_chunks(cast(TableBinding, binding), predicates, parameters)
    return list(range(chunks)) if found is None else found.tolist()


def sql_compare(name: str, value: Any, operand: Any) -> bool:
    """PostgreSQL's order: NaN equals itself and is greater than all else."""
    key = [(math.isnan(x), 0.0 if math.isnan(x) else x) for x in (value, operand)]
    return bool(TESTS[name](*key))


@given(
    st.lists(st.lists(st.none() | INTEGERS, max_size=4), min_size=1, max_size=5),
    st.sampled_from(list(TESTS)),
    INTEGERS | st.sampled_from([*INT64, INT64[1] + 1]),
)
@example([[1 << 69]], "eq", 1 << 69)
@example([[1 << 69]], "gt", INT64[1])
def test_integers(chunks: list[list[int | None]], name: str, operand: int) -> None:
    kept = survivors(Binding(chunks, "i8"), [ZonePredicate(0, name, None, 0)], [operand], len(chunks))
    for number, chunk in enumerate(chunks):
        if any(value is not None and TESTS[name](value, operand) for value in chunk):
            assert number in kept


@given(
    st.lists(st.lists(st.none() | st.floats(), max_size=4), min_size=1, max_size=5),
    st.sampled_from(list(TESTS)),
    st.floats(),
)
def test_floats(chunks: list[list[float | None]], name: str, operand: float) -> None:
    kept = survivors(Binding(chunks, "f8"), [ZonePredicate(0, name, operand)], [], len(chunks))
    for number, chunk in enumerate(chunks):
        if any(value is not None and sql_compare(name, value, operand) for value in chunk):
            assert number in kept


def test_what_is_excluded() -> None:
    binding = Binding([[1, 5], [6, 9], [None], [10, 20]], "i8")
    assert survivors(binding, [ZonePredicate(0, "eq", 7)], [], 4) == [1]
    assert survivors(binding, [ZonePredicate(0, "gt", 5), ZonePredicate(0, "lt", 10)], [], 4) == [1]
    assert survivors(binding, [ZonePredicate(0, "is_not_null")], [], 4) == [0, 1, 3]
    assert survivors(binding, [ZonePredicate(0, "is_null")], [], 4) == [0, 1, 2, 3]
    assert survivors(binding, [ZonePredicate(0, "le", None, 0)], [None], 4) == []
    assert survivors(binding, [], [], 4) == [0, 1, 2, 3]
