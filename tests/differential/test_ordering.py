"""ORDER BY over all types with NULLS FIRST or LAST, LIMIT and OFFSET at and beyond the ends, against Python's sort."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from differential_duck import comparable
from differential_generator import TYPES, Maker

import zerodb

Value = Any


def sortable(value: Value) -> Any:
    if isinstance(value, float):
        return (1, 0.0) if math.isnan(value) else (0, value)
    if isinstance(value, str):
        return value.encode()
    return value


def ordered(rows: list[tuple[Value, ...]], keys: list[tuple[int, bool, bool]]) -> list[tuple[Value, ...]]:
    """Stable sorts from the last key to the first: (column, descending, nulls first)."""
    for column, descending, nulls_first in reversed(keys):
        present = [row for row in rows if row[column] is not None]
        absent = [row for row in rows if row[column] is None]
        present.sort(key=lambda row: sortable(row[column]), reverse=descending)
        rows = absent + present if nulls_first else present + absent
    return rows


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("count", [0, 1, 9, 300])
def test_order(type_: str, count: int) -> None:
    maker = Maker(count)
    r = random.Random(f"{type_} {count}")
    for wide in (False, True):
        rows = [(i, None if r.random() < 0.2 else maker.value(type_, wide), maker.value("text", False), r.randrange(3))
                for i in range(count)]  # fmt: skip
        with zerodb.connect(":memory:", threads=2) as db:
            db.execute(f"create table t (id integer, v {type_}, s text, g integer)")
            if rows:
                db.executemany("insert into t values (?, ?, ?, ?)", rows)
            for descending in (False, True):
                for nulls_first in (False, True):
                    direction = f"{'desc' if descending else 'asc'} nulls {'first' if nulls_first else 'last'}"
                    for text, keys in (
                        (f"v {direction}, id", [(1, descending, nulls_first), (0, False, False)]),
                        (f"g desc, v {direction}, id desc",
                         [(3, True, True), (1, descending, nulls_first), (0, True, False)]),
                        (f"s, v {direction}, id",
                         [(2, False, False), (1, descending, nulls_first), (0, False, False)]),
                    ):  # fmt: skip
                        expected = [row[0] for row in ordered(rows, keys)]
                        for limit, offset in ((None, 0), (0, 0), (1, 0), (5, 3), (None, 7), (1000, 0), (3, 1000)):
                            tail = "" if limit is None else f" limit {limit}"
                            sql = f"select id from t order by {text}{tail} offset {offset}"
                            got = [row[0] for row in db.execute(sql).fetchall()]
                            assert got == expected[offset : None if limit is None else offset + limit], sql
            # PostgreSQL's defaults: NULL is greater than everything.
            for direction, keys in (("", [(1, False, False)]), ("desc", [(1, True, True)])):
                got_values = [row[0] for row in db.execute(f"select v from t order by v {direction}").fetchall()]
                assert list(map(comparable, got_values)) == [comparable(row[1]) for row in ordered(rows, keys)]
