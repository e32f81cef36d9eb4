"""Tables of a chunk, a row less and a row more, of none and of one, whole chunks deleted: operators as in DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import zerodb
from zerodb_storage import publishing

QUERIES = """
select count(*), sum(a), min(b), max(u), sum(id) from t;
select id, a, s from t where id in (0, 65534, 65535, 65536, 65537, 131071) order by id;
select count(*) from t where id >= 65535;
select count(*), sum(b) from t where a is null;
select s, count(*), sum(a), count(distinct a) from t group by s order by s;
select count(*) from (select b, count(*) c, max(u) m from t group by b) x where c > 1;
select id, u from t order by u, id limit 7;
select id from t order by id limit 3 offset 65534;
select count(*), sum(z.id) from (select id from t order by f, id offset 65536) z;
select count(*), sum(x.id + y.id) from t x join t y on x.b = y.id;
select count(*), sum(x.id) from t x left join t y on x.id = y.b where y.id is null;
select count(*) from t x where x.id not in (select b from t);
select count(*) from (select * from t union all select * from t) z;
select count(*) from (select a, s from t union select a, s from t) z;
select count(*) from (select * from t limit 65537 offset 65535) z;
select count(*) from (select * from t limit 65536) z;
select count(*), sum(r * id), sum(s), sum(c), min(l), max(m) from (select id,
    row_number() over (partition by s order by id) r,
    sum(a) over (order by id rows between 70000 preceding and 40 following) s,
    count(*) over (partition by id < 65536) c,
    lag(id) over (order by id) l,
    max(u) over (order by id rows between 1000 preceding and 1 preceding) m from t) z;
select id, sum(b) over (order by id rows 1 preceding), lead(u) over (order by id),
    first_value(id) over (partition by s order by id)
    from t where id between 65530 and 65540 order by id;
select id, n from (select id, row_number() over (order by f, id) n from t) z
    where n in (1, 65535, 65536, 65537) order by n;
select id from t limit 0;
select id from t order by id offset 1000000
"""
CHANGES = (
    "delete from t where id < 65536",
    "update t set a = a + 1, s = 'new' where id % 65536 in (0, 1)",
    "insert into t values (-5, null, 3, 's1', 'zz', 0.25)",
    "delete from t",
    "insert into t values (7, 1, 2, 'q', 'r', 0.5)",
)


def rows(count: int) -> pa.Table:
    generator = np.random.default_rng(count)
    a = generator.integers(0, 50, count)
    return pa.table(
        {
            "id": pa.array(np.arange(count), pa.int64()),
            "a": pa.array(a, pa.int32(), mask=a == 7),
            "b": pa.array(generator.integers(0, max(count, 1), count), pa.int64()),
            "s": pa.array([f"s{x}" for x in generator.integers(0, 20, count)], pa.string()),
            "u": pa.array([f"u{x * 17 % 1000003}" for x in range(count)], pa.string()),
            "f": pa.array(generator.random(count).round(3), pa.float64()),
        }
    )


def plain(found: Sequence[Sequence[Any]]) -> list[tuple[str | None, ...]]:
    return [tuple(None if value is None else str(value) for value in row) for row in found]


def compare(db: zerodb.Connection, duck: Any, after: str) -> None:
    for text in QUERIES.split(";"):
        assert plain(db.execute(text).fetchall()) == plain(duck.execute(text).fetchall()), f"{text} {after}"


@pytest.mark.parametrize(
    ("count", "folded"),
    [(0, False), (1, True), (65_535, True), (65_536, False), (65_536, True), (65_537, False), (131_073, True)],
)
def test_as_duckdb(count: int, folded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 1 if folded else 1 << 40)
    table = rows(count)
    with zerodb.connect(":memory:", threads=2) as db, duckdb.connect() as duck:
        duck.execute("set threads = 1")
        duck.register("source", table)
        duck.execute("create table t as select * from source")
        db.register("source", table)
        db.execute("create table t (id bigint primary key, a int, b bigint, s text, u text, f double)")
        db.execute("insert into t select * from source")
        compare(db, duck, "")
        for change in CHANGES:
            duck.execute(change)
            db.execute(change)
            compare(db, duck, f"after {change}")
