"""Programs over tables, in both tiers, alone and in parallel."""

from __future__ import annotations

import numpy as np
import pytest
from engine_programs import copy_program, single_program, sum_program
from engine_tables import MemoryTable, snapshot

from zerodb.engine import Engine, Tier
from zerodb_compiler.codegen.program import ErrorSite, ZonePredicate
from zerodb_compiler.errors import DataError, InternalError, OperationalError


def numbers(chunks: int, rows: int = 1000) -> MemoryTable:
    values = np.arange(chunks * rows, dtype=np.int64) * 3 + 70_000
    return MemoryTable("t", [np.split(values, chunks)])


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("threads", [1, 2])
def test_a_sum_in_each_tier(tier: Tier, threads: int) -> None:
    engine = Engine(memory_limit=64 << 20, threads=threads, tiers=[tier])
    table = numbers(17)
    compiled = engine.compile(sum_program(table.id))
    expected = sum(int(chunk.sum()) for chunk in table.columns[0])
    for _ in range(3):
        execution = engine.execute(compiled, snapshot(table), [0])
        assert execution.rows() == [(expected,)]
        assert execution.statistics[0].rows == 17_000
        assert execution.statistics[0].tier is tier
        assert execution.statistics[0].threads == threads
    assert table.loads == 17
    engine.close()
