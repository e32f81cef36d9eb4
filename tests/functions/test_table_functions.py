"""Table functions of Python callables: in FROM, with constant arguments and with those of the tables before them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.functions.asking import refused, rows

import zerodb
from zerodb import Connection, errors


def counted(n: int | None, prefix: str | None) -> Iterator[tuple[int, str]]:
    for number in range(n or 0):
        yield number, f"{prefix}{number}"


@pytest.fixture(scope="module")
def db() -> Iterator[Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table t (id integer, n bigint, s text)")
        connection.execute("insert into t values (1, 2, 'a'), (2, 0, 'b'), (3, null, 'c'), (4, 1, null)")
        columns = {"i": "integer", "name": "text"}
        connection.create_table_function("counted", counted, ["bigint", "text"], columns, volatility="stable")
        yield connection


def test_constant_arguments(db: Connection) -> None:
    assert rows(db, "select * from counted(3, 'x')") == [(0, "x0"), (1, "x1"), (2, "x2")]
    assert rows(db, "select t.name, c from counted(1 + 1, 'x' || 'y') as t (c) where c > 0") == [("xy1", 1)]
    assert rows(db, "select name from public.counted(?, ?)", [1, "p"]) == [("p0",)]
    assert rows(db, "select * from counted(0, 'x')") == []
    assert rows(db, "select * from counted(null, null)") == []
    assert rows(db, "select count(*), sum(i) from counted(5, '') as f, counted(2, '') as g (j, k)") == [
        (10, Decimal(20))
    ]


def test_lateral_arguments(db: Connection) -> None:
    assert rows(db, "select id, f.* from t, counted(n, s) f order by id, i") == [
        (1, 0, "a0"),
        (1, 1, "a1"),
        (4, 0, "None0"),
    ]
    text = "select id, name from t left join lateral counted(n, s) f on true order by id, name"
    assert rows(db, text) == [(1, "a0"), (1, "a1"), (2, None), (3, None), (4, "None0")]
    assert rows(db, "select id, (select count(*) from counted(t.n + 1, 'x')) from t order by id") == [
        (1, 3),
        (2, 1),
        (3, 0),
        (4, 2),
    ]
    assert rows(db, "select a.i, b.i from counted(3, '') a, counted(a.i, '') b order by 1, 2") == [
        (1, 0),
        (2, 0),
        (2, 1),
    ]


def test_ordinality_rows_from_and_joins(db: Connection) -> None:
    assert rows(db, "select * from counted(2, 'x') with ordinality") == [(0, "x0", 1), (1, "x1", 2)]
    text = "select * from rows from (counted(1, 'x'), generate_series(5, 6)) as r (a, b, c)"
    assert rows(db, text) == [(0, "x0", 5), (None, None, 6)]
    assert rows(db, "select id, name from t join counted(3, 'x') f on f.i = t.id order by id") == [(1, "x1"), (2, "x2")]


def test_results_in_all_forms(db: Connection) -> None:
    table = pa.table({"i": [1, None], "name": ["a", None]})
    forms: dict[str, Any] = {
        "table": table,
        "batch": table.to_batches()[0],
        "batches": [*table.slice(0, 1).to_batches(), *table.slice(1).to_batches()],
        "other order": table.select(["name", "i"]),
        "positions": table.rename_columns(["x", "y"]),
        "tuples": [(1, "a"), (None, None)],
        "lists": [[1, "a"], [None, None]],
        "mappings": [{"i": 1, "name": "a"}, {}],
        "wide": table.set_column(0, "i", table["i"].cast(pa.int64())),
    }
    for form in forms.values():
        db.create_table_function("form", lambda form=form: form, [], {"i": "integer", "name": "text"}, replace=True)
        assert rows(db, "select * from form()") == [(1, "a"), (None, None)]
    db.create_table_function("values_of", lambda n: range(n), ["integer"], {"v": "bigint"})
    assert rows(db, "select v from values_of(3)") == [(0,), (1,), (2,)]


def test_types(db: Connection) -> None:
    values = {
        "boolean": "true",
        "smallint": "-7",
        "numeric(30,2)": "123456789012345678901234.56",
        "real": "-1.5",
        "double precision": "1e300",
        "bytea": "'\\x00ff'",
        "date": "'1900-01-01'",
        "timestamp": "'1969-12-31 23:59:59.999999'",
        "timestamptz": "'2024-05-06 07:08:09+00'",
        "time": "'12:34:56'",
        "interval": "'1 mon -2 days 3 hours'",
        "uuid": "'550e8400-e29b-41d4-a716-446655440000'",
        "jsonb": """'{"a": [1, null]}'""",
        "integer[]": "'{1,NULL,3}'",
    }
    for type_, value in values.items():
        db.create_table_function(
            "twice", lambda v: [(v, 1), (None, 2)], [type_], {"v": type_, "n": "int"}, replace=True
        )
        found = rows(db, f"select v, n, v = {value}::{type_} from twice({value}::{type_})")
        assert found == [(rows(db, f"select {value}::{type_}")[0][0], 1, True), (None, 2, None)], type_


def test_many_rows_and_chunk_borders(db: Connection) -> None:
    def many(n: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, n, 30_000):
            numbers = np.arange(start, min(start + 30_000, n))
            yield pa.record_batch({"v": numbers, "s": pa.array(numbers).cast(pa.string())})

    db.create_table_function("many", many, ["bigint"], {"v": "bigint", "s": "text"})
    for count in (65_535, 65_536, 65_537, 300_000):
        text = "select count(*), count(distinct v), sum(v), sum(s::bigint) from many(?)"
        total = Decimal(count * (count - 1) // 2)
        assert rows(db, text, [count]) == [(count, count, total, total)]
    text = "select count(*), sum(v) from generate_series(1, 3000) i, many(i % 5)"
    assert rows(db, text) == [(6000, Decimal(600 * (0 + 1 + 3 + 6)))]


def test_strict_and_volatile(db: Connection) -> None:
    calls: list[Any] = []

    def noted(x: int) -> list[int]:
        calls.append(x)
        return [x]

    db.create_table_function("noted", noted, ["bigint"], {"v": "bigint"}, strict=True)
    assert sorted(rows(db, "select id, v from t, noted(n)")) == [(1, 2), (2, 0), (4, 1)]
    assert sorted(calls) == [0, 1, 2]
    calls.clear()
    assert len(rows(db, "select a.v from noted(1) a, noted(1) b")) == 1
    assert calls == [1, 1]
    refused(db, "select (select sum(v) from noted(t.n)) from t", "0A000", "volatile function noted")


def test_errors(db: Connection) -> None:
    def fails(x: int) -> Any:
        if x == 2:
            raise ValueError("two")
        return [(x,)] if x < 3 else 7

    db.create_table_function("fails", fails, ["bigint"], {"v": "bigint"})
    db.create_table_function("wide", lambda: [(1, 2)], [], {"v": "bigint"})
    db.create_table_function("texts", lambda: [("x",)], [], {"v": "bigint"})
    refused(db, "select * from fails(2)", "38000", "fails(2)", "ValueError: two")
    refused(db, "select * from t, fails(n)", "38000", "fails(2)")
    refused(db, "select * from fails(3)", "42804", "not rows")
    refused(db, "select * from wide()", "42804", "2 values, not 1")
    refused(db, "select * from texts()", "42804")
    refused(db, "select * from fails('x'::text)", "42883", "fails(text)")
    refused(db, "select * from nowhere.fails(1)", "42883", "nowhere.fails")
    refused(db, "select fails(1)", "0A000", "FROM")
    refused(db, "select 1 from t where fails(1)", "0A000", "FROM")
    with pytest.raises(errors.Error, match="no columns"):
        db.create_table_function("none", fails, ["bigint"], {})


def test_replaced_functions_are_noticed(db: Connection) -> None:
    db.create_table_function("changing", lambda: [1], [], {"v": "bigint"})
    query = db.prepare("select * from changing()")
    assert query.execute().fetchall() == [(1,)]
    db.create_table_function("changing", lambda: [("a", 2)], [], {"v": "text", "w": "int"}, replace=True)
    assert query.execute().fetchall() == [("a", 2)]
    db.drop_function("changing")
    with pytest.raises(errors.Error, match="changing"):
        query.execute()


def test_in_changes_and_views(db: Connection) -> None:
    db.execute("create table u (i integer primary key, s text)")
    db.execute("insert into u select * from counted(4, 'r')")
    db.execute("update u set s = f.name from counted(2, 'new') f where f.i = u.i")
    db.execute("delete from u using counted(4, '') f where f.i = u.i and f.i = 3")
    assert rows(db, "select * from u order by i") == [(0, "new0"), (1, "new1"), (2, "r2")]
    assert rows(db, "with f as (select * from counted(2, 'w')) select a.name, b.i from f a, f b where a.i > b.i") == [
        ("w1", 0)
    ]
