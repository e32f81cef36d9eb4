"""Random window functions against DuckDB: all frames and exclusions, partitions of all sizes, windows side by side.

Floats are multiples of 1/4, so their sums are exact in any order of addition. Partitions are from single rows to more
than the 256 rows that need a second level of the tree over a partition.
"""

from __future__ import annotations

import random
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from differential_duck import comparable_rows
from hypothesis import given, settings
from hypothesis import strategies as some

import zerodb

SIZES = (0, 1, 2, 7, 40, 300, 1500)
BOUNDS = ("unbounded preceding", "preceding", "current row", "following", "unbounded following")
AGGREGATES = (
    "count(*)", "count(o)", "sum(o)", "sum(id)", "sum(n)", "sum(f)", "min(o)", "max(o)", "min(s)", "max(s)", "min(f)",
    "max(n)", "bool_and(b)", "bool_or(b)", "sum(o) filter (where b)", "count(*) filter (where s > 'c')",
    "first_value(o)", "last_value(s)", "nth_value(id, 3)", "nth_value(s, 40)", "first_value(n)", "last_value(b)",
)  # fmt: skip
PEERLESS = ("first_value", "last_value", "nth_value")
RANKS = ("rank()", "dense_rank()", "percent_rank()", "cume_dist()")
PLACES = (
    "row_number()", "ntile(3)", "ntile(50)", "lag(o)", "lead(s, 2)", "lag(id, 30, -1)", "lead(n, 1, 0.25)",
    "lag(s, 1, 'none')", "lead(b)",
)  # fmt: skip


def rows(seed: int, count: int) -> pa.Table:
    r = random.Random(seed)
    partitions, orders = r.choice((1, 2, 3, 40, 1000)), r.choice((2, 10, 60, 5000))

    def maybe(value: Any) -> Any:
        return None if r.random() < 0.1 else value

    columns: dict[str, tuple[Any, pa.DataType]] = {
        "id": (list(range(count)), pa.int32()),
        "p": ([maybe(r.randrange(partitions)) for _ in range(count)], pa.int32()),
        "q": ([r.choice("xyz") for _ in range(count)], pa.string()),
        "o": ([maybe(r.randrange(orders)) for _ in range(count)], pa.int32()),
        "n": ([maybe(r.randrange(-orders, orders)) for _ in range(count)], pa.decimal128(12, 2)),
        "f": ([maybe(r.randrange(-4 * orders, 4 * orders) / 4) for _ in range(count)], pa.float64()),
        "s": ([maybe(r.choice(("a", "bb", "c", "dd", "e" * r.randrange(1, 20)))) for _ in range(count)], pa.string()),
        "b": ([maybe(r.random() < 0.8) for _ in range(count)], pa.bool_()),
    }
    return pa.table({name: pa.array(values, type_) for name, (values, type_) in columns.items()})


def bound(r: random.Random, kind: str, ranged: bool) -> str:
    if kind not in ("preceding", "following"):
        return kind
    distance = r.choice((0, 1, 2, 5, 40, 100, 3000))
    return f"{distance} {kind}" if not ranged or r.random() < 0.7 else f"{distance}::integer {kind}"


def frame(r: random.Random, mode: str) -> str:
    first = r.randrange(4)
    last = r.randrange(max(first, 1), 5)
    between = f"between {bound(r, BOUNDS[first], mode == 'range')} and {bound(r, BOUNDS[last], mode == 'range')}"
    excluded = r.choice(("", "", "", " exclude current row", " exclude group", " exclude ties", " exclude no others"))
    return f"{mode} {between}{excluded}"


def direction(r: random.Random) -> str:
    return f"{r.choice(('asc', 'desc'))} nulls {r.choice(('first', 'last'))}"


def item(r: random.Random) -> str:
    partition = r.choice(("", "partition by p ", "partition by q ", "partition by p, q ", "partition by o "))
    kind = r.choice(("rows", "rows", "range", "groups", "rank", "place", "whole", "running"))
    order = f"order by {r.choice(('o', 'f', 'n', 's', 'q, o'))} {direction(r)}"
    total = f"{order}, id {r.choice(('asc', 'desc'))}"
    match kind:
        case "rank":
            return f"{r.choice(RANKS)} over ({partition}{order})"
        case "place":
            return f"{r.choice(PLACES)} over ({partition}{total})"
        case "rows":
            return f"{r.choice(AGGREGATES)} over ({partition}{total} {frame(r, 'rows')})"
    summed = r.choice([call for call in AGGREGATES if not call.startswith(PEERLESS)])
    match kind:
        case "range":
            key = r.choice(("o", "f", "n"))
            return f"{summed} over ({partition}order by {key} {direction(r)} {frame(r, 'range')})"
        case "groups":
            return f"{summed} over ({partition}{order} {frame(r, 'groups')})"
        case "whole":
            return f"{summed} over ({partition.strip()})"
    return f"{summed} over ({partition}{order})"


def check(seed: int, count: int, queries: int) -> None:
    r = random.Random(seed)
    table = rows(seed, count)
    with zerodb.connect(":memory:", threads=2) as db, duckdb.connect(config={"threads": 1}) as duck:
        db.register("t", table)
        duck.register("t", table)
        for _ in range(queries):
            items = [item(r) for _ in range(r.randrange(1, 5))]
            sql = f"select id, {', '.join(items)} from t order by id"
            expected = comparable_rows(duck.execute(sql).fetchall())
            assert comparable_rows(db.execute(sql).fetchall()) == expected, sql


@settings(max_examples=12, deadline=None)
@given(some.integers(0, 1 << 32), some.sampled_from(SIZES))
def test_windows(seed: int, count: int) -> None:
    check(seed, count, 3)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(some.integers(0, 1 << 32), some.sampled_from((*SIZES, 5000)))
def test_many_windows(seed: int, count: int) -> None:
    check(seed, count, 8)
