"""Arrays, ranges and records through the Python interface: parameters, rows, Arrow, storage."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

import zerodb


@pytest.fixture
def db(path: str) -> zerodb.Connection:
    return zerodb.connect(path)


def test_arrays_both_ways(db: zerodb.Connection, path: str) -> None:
    db.execute("create table t (id int, a int[], b text[], n numeric(5,2)[], d date[])")
    rows = [
        (1, [1, None, 3], ["x", None, ""], [Decimal("1.50")], [datetime.date(2024, 2, 29)]),
        (2, [[1, 2], [3, 4]], [], None, [None]),
        (3, None, ["a b"], [None], None),
    ]
    db.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
    assert db.execute("select * from t order by id").fetchall() == rows
    if path != ":memory:":
        db.close()
        db = zerodb.connect(path)
        assert db.execute("select * from t order by id").fetchall() == rows
    table = db.execute("select id, b from t order by id").fetch_arrow()
    assert table.column("b").to_pylist() == [["x", None, ""], [], ["a b"]]
    assert db.execute("select id from t where id = any(?) order by id", [[1, 3]]).fetchall() == [(1,), (3,)]
    assert db.execute("select ?::int[]", [[1, 2]]).fetchone() == ([1, 2],)
    with pytest.raises(zerodb.Error) as caught:
        db.execute("insert into t (a) values (?)", [[[1], [2, 3]]])
    assert caught.value.sqlstate == "2202E"


def test_ranges_and_records(db: zerodb.Connection) -> None:
    db.execute("create type pair as (a int, b text)")
    db.execute("create table t (id int, r int4range, p pair)")
    db.execute("insert into t values (1, ?, ?)", [(1, 5), (7, "x")])
    db.execute("insert into t values (2, ?, ?)", [(1, 5, "[]"), None])
    found = db.execute("select r, p from t order by id").fetchall()
    assert found == [((1, 5, True, False, False), (7, "x")), ((1, 6, True, False, False), None)]
    db.execute("insert into t values (3, ?, null)", [found[0][0]])
    assert db.execute("select count(*) from t where r = '[1,5)'").fetchone() == (2,)
    arrow = db.execute("select r, p from t where id = 1").fetch_arrow()
    assert arrow.column("p").to_pylist() == [{"a": 7, "b": "x"}]
    assert arrow.column("r").to_pylist()[0]["upper"] == 5
