"""Aggregates of Python callables: what they are called with, and where calls of them may stand."""

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


class Values:
    """The values as text, in the order in which they come."""

    def __init__(self) -> None:
        self._rows: list[Any] = []

    def step(self, *values: Any) -> None:
        self._rows.append(values[0] if len(values) == 1 else values)

    def finalize(self) -> str | None:
        return " ".join(map(str, self._rows)) if self._rows else None


class Total:
    def __init__(self) -> None:
        self._total = 0

    def step(self, value: int) -> None:
        self._total += value

    def finalize(self) -> int:
        return self._total


@pytest.fixture(scope="module")
def db() -> Iterator[Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table t (g integer, x bigint, s text)")
        connection.execute(
            "insert into t values (1, 3, 'c'), (1, 1, 'a'), (2, null, 'b'), (2, 1, null), (3, null, null)"
        )
        connection.create_aggregate("listed", Values, ["bigint"], "text")
        connection.create_aggregate("pairs", Values, ["text", "bigint"], "text")
        connection.create_aggregate("total", Total, ["bigint"], "bigint", strict=True)
        yield connection


def test_groups(db: Connection) -> None:
    assert rows(db, "select g, listed(x order by s), total(x) from t group by g order by g") == [
        (1, "1 3", 4),
        (2, "None 1", 1),
        (3, "None", 0),
    ]
    assert rows(db, "select listed(x order by x), total(x) + 1 from t") == [("1 1 3 None None", 6)]


def test_no_rows(db: Connection) -> None:
    assert rows(db, "select listed(x), total(x), count(*) from t where g > 9") == [(None, 0, 0)]
    assert rows(db, "select g, total(x) from t where g > 9 group by g") == []


def test_distinct_filter_order(db: Connection) -> None:
    assert rows(db, "select listed(distinct x), listed(distinct x order by x desc) from t where x is not null") == [
        ("1 3", "3 1")
    ]
    text = "select g, listed(x order by x desc nulls last) filter (where s is not null) from t group by g order by g"
    assert rows(db, text) == [(1, "3 1"), (2, "None"), (3, None)]
    assert rows(db, "select total(x) filter (where g = 1), total(x) filter (where g > 9) from t") == [(4, 0)]


def test_several_arguments(db: Connection) -> None:
    expected = [(1, "('a', 1) ('c', 3)"), (2, "('b', None) (None, 1)"), (3, "(None, None)")]
    assert rows(db, "select g, pairs(s, x order by s) from t group by g order by g") == expected
    refused(db, "select pairs(distinct s, x) from t", "0A000", "DISTINCT with 2 arguments")


def test_grouping_sets_having_order_by_and_expressions(db: Connection) -> None:
    assert rows(db, "select g, total(x) from t group by rollup (g) order by g") == [(1, 4), (2, 1), (3, 0), (None, 5)]
    text = "select g, total(x) * 2 as n from t group by g having total(x) < 4 order by total(x) desc, g"
    assert rows(db, text) == [(2, 2), (3, 0)]
    assert rows(db, "select max(n) from (select total(x) n from t group by g) as groups") == [(4,)]
    assert rows(db, "select total(x + ?), total(1) from t", [10]) == [(35, 5)]
    assert rows(db, "select distinct (select total(t.x) from t) from t") == [(5,)]


def test_where_they_cannot_be(db: Connection) -> None:
    refused(db, "select listed(x) over () from t", "0A000", "window")
    refused(db, "select g from t where total(x) > 1", "42803", "WHERE")
    refused(db, "select total(listed(x)) from t", "42803", "nested")
    refused(db, "select g, total(x) from t", "42803")
    refused(db, "select total(s) from t", "42883", "total(text)")
    refused(db, "select total(x, x) from t", "42883")
    refused(db, "select total() from t", "42883")
    refused(db, "select listed(g) within group (order by x) from t", "42883", "ordered-set")


def test_of_no_arguments(db: Connection) -> None:
    class Count:
        def __init__(self) -> None:
            self._count = 0

        def step(self) -> None:
            self._count += 1

        def finalize(self) -> int:
            return self._count

    db.create_aggregate("how_many", Count, [], "bigint")
    assert rows(db, "select g, how_many(*), how_many() from t group by g order by g") == [
        (1, 2, 2),
        (2, 2, 2),
        (3, 1, 1),
    ]


def test_types(db: Connection) -> None:
    class Last:
        def __init__(self) -> None:
            self._value: Any = None

        def step(self, value: Any) -> None:
            self._value = value

        def finalize(self) -> Any:
            return self._value

    values = {
        "boolean": "true",
        "smallint": "-7",
        "integer": "-2000000000",
        "numeric(30,2)": "123456789012345678901234.56",
        "real": "-1.5",
        "double precision": "1e300",
        "text": "'ü 😀'",
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
        db.create_aggregate("last_one", Last, [type_], type_, replace=True, strict=True)
        text = "select last_one(v), last_one(null::{0}) is null, last_one(v) = max(v) from (values ({1}::{0})) u(v)"
        text = text.format(type_, value)
        if type_ in ("bytea", "uuid", "jsonb", "integer[]", "boolean"):
            text = text.replace("max(v)", "any_value(v)")
        found = rows(db, text)
        assert found[0][1:] == (True, True), type_
        assert found[0][0] == rows(db, f"select {value}::{type_}")[0][0], type_


def test_vectorized_over_many_groups_and_chunk_borders(db: Connection) -> None:
    calls: list[int] = []

    def spread(count: int, groups: Any, x: pa.Array) -> Any:
        calls.append(count)
        values = x.to_numpy(zero_copy_only=False)
        low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
        np.minimum.at(low, groups, values)
        np.maximum.at(high, groups, values)
        return high - low

    db.create_aggregate("spread", spread, ["bigint"], "bigint", vectorized=True, replace=True)
    for count, groups in ((65_536, 1), (65_537, 3), (200_000, 70_000)):
        series = f"generate_series(1, {count}) x"
        text = f"select (x * 31) % {groups} as g, spread(x), max(x) - min(x) from {series} group by 1"
        found = db.execute(text).fetch_arrow()
        assert found.num_rows == groups
        assert found.column(1).to_pylist() == found.column(2).to_pylist()
    assert max(calls) <= 70_000


def test_errors(db: Connection) -> None:
    class Broken(Total):
        def step(self, value: int) -> None:
            raise ValueError(f"no {value}")

    class Text(Total):
        def finalize(self) -> Any:
            return "text"

    db.create_aggregate("broken", Broken, ["bigint"], "bigint")
    db.create_aggregate("texts", Text, ["bigint"], "bigint")
    db.create_aggregate("short", lambda n, g, x: [1] * (n + 1), ["bigint"], "bigint", vectorized=True)
    refused(db, "select broken(x) from t where g = 1", "38000", "broken(bigint)", "ValueError: no")
    refused(db, "select texts(x) from t where g = 1", "42804", "texts")
    refused(db, "select short(x) from t where g = 1", "39000", "2 values for 1 rows")
    with pytest.raises(errors.Error, match="step"):
        db.create_aggregate("nothing", lambda: 1, ["bigint"], "bigint")
    with pytest.raises(errors.Error, match="already exists"):
        db.create_aggregate("total", Total, ["bigint"], "bigint")


def test_replaced_functions_are_noticed(db: Connection) -> None:
    db.create_aggregate("changing", Total, ["bigint"], "bigint")
    query = db.prepare("select changing(x) from t where g = 1")
    assert query.execute().fetchall() == [(4,)]
    db.create_aggregate("changing", Values, ["bigint"], "text", replace=True)
    assert query.execute().fetchall() in ([("3 1",)], [("1 3",)])
    db.drop_function("changing")
    with pytest.raises(errors.Error, match="changing"):
        query.execute()


def test_overloads(db: Connection) -> None:
    db.create_aggregate("kind", lambda n, g, x: ["number"] * n, ["numeric"], "text", vectorized=True)
    db.create_aggregate("kind", lambda n, g, x: ["text"] * n, ["text"], "text", vectorized=True)
    assert rows(db, "select kind(x), kind(s), kind(public.kind) from t, (select 1.5 as kind) public where g = 1") == [
        ("number", "text", "number")
    ]
    assert rows(db, "select public.kind(s) from t") == [("text",)]


def test_in_changes(db: Connection) -> None:
    db.execute("create table u (g integer, n bigint)")
    db.execute("insert into u select g, total(x) from t group by g")
    db.execute("update u set n = (select total(x) from t where t.g = u.g) + 1")
    assert sorted(rows(db, "select * from u")) == [(1, 5), (2, 2), (3, 1)]
    assert rows(db, "select n, (select total(x) from t where t.g < u.g) from u order by g") == [(5, 0), (2, 4), (1, 5)]
    assert Decimal(5) == sum(Decimal(row[0]) for row in rows(db, "select total(x) from t"))
