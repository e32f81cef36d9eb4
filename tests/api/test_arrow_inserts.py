"""INSERT ... SELECT of a registered table's columns: taken over as they are; the result is that of a computed query."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pyarrow as pa
import pytest

import zerodb
from zerodb.changes import applying as changes
from zerodb.changes.arrow_inserts import copied_rows

COLUMNS: list[tuple[str, Any, list[Any]]] = [
    ("bigint", pa.int64(), [1, None, -(1 << 63)]),
    ("integer", pa.int32(), [7, None, 2**31 - 1]),
    ("smallint", pa.int16(), [7, None, -5]),
    ("boolean", pa.bool_(), [True, None, False]),
    ("double precision", pa.float64(), [0.5, None, float("inf")]),
    ("real", pa.float32(), [0.5, None, -0.25]),
    ("numeric(12, 3)", pa.decimal128(12, 3), [decimal.Decimal("1.250"), None, decimal.Decimal("-99999999.999")]),
    ("text", pa.string(), ["a", None, "ünï" * 40]),
    ("bytea", pa.binary(), [b"\0\1", None, b""]),
    ("date", pa.date32(), [datetime.date(2024, 2, 29), None, datetime.date(1900, 1, 1)]),
    ("timestamp", pa.timestamp("us"), [datetime.datetime(2024, 1, 1, 1, 2, 3, 4), None, datetime.datetime(1960, 1, 1)]),
    ("time", pa.time64("us"), [datetime.time(1, 2, 3), None, datetime.time(0)]),
    ("uuid", pa.uuid(), [uuid.UUID(int=5).bytes, None, uuid.UUID(int=(1 << 128) - 1).bytes]),
]


@pytest.fixture
def took(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each INSERT took the short way."""
    found: list[bool] = []

    def noted(*args: Any) -> pa.Table | None:
        rows = copied_rows(*args)
        found.append(rows is not None)
        return rows

    monkeypatch.setattr(changes, "copied_rows", noted)
    return found


@pytest.mark.parametrize(("name", "kind", "values"), COLUMNS, ids=[column[0] for column in COLUMNS])
def test_every_type_comes_as_by_a_query(took: list[bool], name: str, kind: pa.DataType, values: list[Any]) -> None:
    with zerodb.connect() as db:
        repeated = values * 20  # enough for a dictionary
        db.register("r", pa.table({"n": range(len(repeated)), "v": pa.array(repeated, kind)}))
        for table in ("a", "b"):
            db.execute(f"create table {table} (n bigint primary key, v {name})")
        db.execute("insert into a select * from r")
        db.execute("insert into b select * from r where n >= 0")
        assert took == [True, False]
        rows = db.execute("select * from a order by n").fetchall()
        assert rows == db.execute("select * from b order by n").fetchall()
        assert len(rows) == len(repeated)
        assert [row[1] is None for row in rows] == [value is None for value in repeated]


def test_columns_in_any_order_constants_and_defaults(took: list[bool]) -> None:
    with zerodb.connect() as db:
        db.register("r", pa.table({"a": [1, 2], "s": ["x", None]}))
        db.execute(
            "create table t (id bigint primary key, s text default 'd', k bigint, g bigint generated always as "
            "(id * 2) stored, c bigint check (c > 0) default 5)"
        )
        assert db.execute("insert into t (k, id) select a, a from r").rowcount == 2
        assert db.execute("insert into t (s, id, k) select s, a, a from r where false").rowcount == 0
        assert took == [True, False]
        assert db.execute("select * from t order by id").fetchall() == [(1, "d", 1, 2, 5), (2, "d", 2, 4, 5)]
        db.execute("create table u (id bigint primary key, s text)")
        db.execute("insert into u (id, s) select a, cast($1 as text) from r", ["param"])
        assert took[-1]
        assert db.execute("select * from u order by id").fetchall() == [(1, "param"), (2, "param")]


def test_checks_hold(took: list[bool]) -> None:
    with zerodb.connect() as db:
        db.register("r", pa.table({"a": [3, 1, 3], "s": ["x", None, "y"]}))
        db.execute("create table t (id bigint primary key, s text)")
        db.execute("create table n (id bigint, s text not null)")
        db.execute("create table c (id bigint check (id < 3), s text)")
        for table, state in (("t", "23505"), ("n", "23502"), ("c", "23514")):
            with pytest.raises(zerodb.Error) as caught:
                db.execute(f"insert into {table} select * from r")
            assert caught.value.sqlstate == state
            assert db.execute(f"select count(*) from {table}").fetchone() == (0,)
        assert took == [True] * 3


def test_other_queries_run(took: list[bool]) -> None:
    with zerodb.connect() as db:
        db.register("r", pa.table({"a": [1, 2]}))
        db.execute("create table t (id bigint)")
        db.execute("create sequence q")
        for query in (
            "select a + 1 from r",
            "select a from r limit 1",
            "select distinct a from r",
            "select id from t",
            "select nextval('q') from r",
        ):
            db.execute(f"insert into t {query}")
        assert not any(took)
        assert db.execute("insert into t select a from r returning id").fetchall() == [(1,), (2,)]
        assert db.execute("select count(*) from t").fetchone() == (14,)
