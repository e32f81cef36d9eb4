"""Every type goes in and comes out: as parameters, as literals, as Arrow; and what is wrong is refused."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zerodb

CASES: list[tuple[str, list[Any]]] = [
    ("boolean", [True, False, None]),
    ("smallint", [-32768, 0, 32767, None]),
    ("integer", [-(2**31), 0, 2**31 - 1, None]),
    ("bigint", [-(2**63), 0, 2**63 - 1, None]),
    ("u8", [0, 255, None]),
    ("u16", [0, 65535, None]),
    ("u32", [0, 2**32 - 1, None]),
    ("u64", [0, 2**64 - 1, None]),
    ("hugeint", [-(10**37), 0, 10**37, None]),
    ("numeric(10,2)", [Decimal("-99999999.99"), Decimal("0.00"), Decimal("12.34"), None]),
    ("numeric(38,10)", [Decimal("-1234567890123456789012345678.0123456789"), Decimal("0E-10"), None]),
    ("real", [1.5, -0.25, float("inf"), None]),
    ("double precision", [1e308, -1e-308, 0.1, float("-inf"), None]),
    ("text", ["", "a", "naïve ☃ 𝄞", "x" * 5000, None]),
    ("varchar(5)", ["", "abcde", "☃☃☃☃☃", None]),
    ("date", [datetime.date(1, 1, 1), datetime.date(1970, 1, 1), datetime.date(9999, 12, 31), None]),
    ("timestamp", [datetime.datetime(1, 1, 1), datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), None]),
]


@pytest.mark.parametrize(("type_", "values"), CASES, ids=[case[0] for case in CASES])
def test_round_trip(db: zerodb.Connection, type_: str, values: list[Any]) -> None:
    db.execute(f"create table t (i integer, v {type_})")
    for index, value in enumerate(values):
        db.execute("insert into t values (?, ?)", [index, value])
    expected = [(value,) for value in values]
    assert db.execute("select v from t order by i").fetchall() == expected
    many = [(index + len(values), value) for index, value in enumerate(values)]
    db.executemany("insert into t values ($1, $2)", many)
    assert db.execute("select v from t order by i").fetchall() == expected * 2
    table = db.execute("select v from t order by i").fetch_arrow()
    assert table.column(0).to_pylist() == values * 2
    db.register("again", table)
    assert db.execute("select count(*) from again where v is null").fetchone() == (2 * values.count(None),)
    again = db.execute("select v from again").fetchall()
    if type_ == "hugeint":  # Arrow has no 128-bit integers: they are decimals there
        again = [(None if value is None else int(value),) for (value,) in again]
    assert sorted(map(repr, again)) == sorted(map(repr, expected * 2))


def test_not_a_number(db: zerodb.Connection) -> None:
    db.execute("create table t (v double precision)")
    db.execute("insert into t values (?)", [float("nan")])
    (value,) = db.execute("select v from t").fetchall()[0]
    assert value != value


@pytest.mark.parametrize(
    ("type_", "value", "state"),
    [
        ("integer", 2**31, "22003"),
        ("u8", -1, "22003"),
        ("numeric(4,2)", Decimal("100"), "22003"),
        ("integer", "seven", "22P02"),
        ("date", "2023-02-30", "22008"),
        ("varchar(2)", "abc", "22001"),
        ("integer", object(), "42804"),
    ],
)
def test_wrong_values(db: zerodb.Connection, type_: str, value: Any, state: str) -> None:
    db.execute(f"create table t (v {type_})")
    for call in (
        lambda: db.execute("insert into t values (?)", [value]),
        lambda: db.executemany("insert into t values (?)", [(value,)]),
    ):
        with pytest.raises(zerodb.Error) as caught:
            call()
        assert caught.value.sqlstate == state
    assert db.execute("select count(*) from t").fetchone() == (0,)


def test_text_stands_for_any_type(db: zerodb.Connection) -> None:
    db.execute("create table t (a integer, d date, n numeric(5,1))")
    db.executemany("insert into t values (?, ?, ?)", [("1", "2020-01-01", "2.55"), ("2", "2020-01-02", 1.25)])
    assert db.execute("select * from t order by a").fetchall() == [
        (1, datetime.date(2020, 1, 1), Decimal("2.6")),
        (2, datetime.date(2020, 1, 2), Decimal("1.3")),
    ]


def test_parameter_styles(db: zerodb.Connection) -> None:
    db.execute("create table t (a integer, b text)")
    db.execute("insert into t values ($a, $b)", {"a": 1, "b": "x"})
    db.execute("insert into t values ($2, $1)", ["y", 2])
    db.executemany("insert into t values ($a, $b)", [{"a": 3, "b": "z"}, {"b": "w", "a": 4}])
    assert db.execute("select a from t where b = ?", ["y"]).fetchall() == [(2,)]
    assert db.execute("select b from t where a = $n or a = $n + 1 order by a", {"n": 3}).fetchall() == [("z",), ("w",)]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("select a from t where a = ?", None),
        ("select a from t where a = ?", []),
        ("select a from t where a = ?", [1, 2]),
        ("select a from t where a = $x", [1]),
        ("select a from t where a = $x", {"y": 1}),
        ("select a from t where a = ?", {"x": 1}),
        ("select a from t where a = ?", "1"),
        ("select a from t", [1]),
    ],
)
def test_wrong_parameters(db: zerodb.Connection, sql: str, parameters: Any) -> None:
    db.execute("create table t (a integer)")
    with pytest.raises(zerodb.ProgrammingError):
        db.execute(sql, parameters)


def test_big_result(db: zerodb.Connection) -> None:
    count = 300_000
    numbers = pa.array(range(count), pa.int64())
    texts = pa.array([f"row {i % 1000}" for i in range(count)])
    db.register("big", pa.table({"n": numbers, "s": texts}))
    cursor = db.execute("select n, s from big")
    assert cursor.rowcount == count
    rows = cursor.fetchall()
    assert sorted(row[0] for row in rows) == list(range(count))
    assert all(text == f"row {number % 1000}" for number, text in rows[:5000])
    table = db.execute("select n * 2 as m, s from big").fetch_arrow()
    assert table.num_rows == count
    assert table.schema.names == ["m", "s"]
    assert sum(table.column("m").to_pylist()) == count * (count - 1)


def test_arrow_after_some_rows_were_fetched(db: zerodb.Connection) -> None:
    db.register("r", pa.table({"n": pa.array(range(100), pa.int32())}))
    cursor = db.execute("select n from r order by n")
    assert cursor.fetchmany(10) == [(i,) for i in range(10)]
    assert cursor.fetch_arrow().column(0).to_pylist() == list(range(10, 100))
    assert cursor.fetchone() is None


def test_frames(db: zerodb.Connection) -> None:
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    db.register("r", polars.DataFrame({"n": [1, 2, 3], "s": ["a", None, "c"]}))
    frame = db.execute("select n, s from r order by n").to_polars()
    assert frame.rows() == [(1, "a"), (2, None), (3, "c")]
    assert list(db.execute("select n from r order by n").to_df()["n"]) == [1, 2, 3]
    db.register("p", pandas.DataFrame({"x": [1.5, 2.5]}))
    assert db.execute("select sum(x) from p").fetchone() == (4.0,)
    assert pa.table(db.execute("select n from r order by n")).column(0).to_pylist() == [1, 2, 3]


def test_registered_tables_are_read_only(db: zerodb.Connection) -> None:
    db.register("r", pa.table({"n": [1]}))
    with pytest.raises(zerodb.NotSupportedError):
        db.execute("insert into r values (2)")
    with pytest.raises(zerodb.NotSupportedError):
        db.execute("delete from r")
    db.execute("create table t (a integer)")
    with pytest.raises(zerodb.ProgrammingError):
        db.register("t", pa.table({"n": [1]}))
    db.unregister("r")
    with pytest.raises(zerodb.ProgrammingError):
        db.execute("select * from r")


VALUES = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.decimals(-(10**12), 10**12, places=2),
        st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
        st.none() | st.dates(),
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=VALUES)
def test_whatever_goes_in_comes_out(db: zerodb.Connection, rows: list[tuple[Any, ...]]) -> None:
    db.execute("drop table if exists t")
    db.execute("create table t (i integer, a bigint, b numeric(15,2), c text, d date)")
    db.executemany("insert into t values (?, ?, ?, ?, ?)", [(i, *row) for i, row in enumerate(rows)])
    assert db.execute("select a, b, c, d from t order by i").fetchall() == rows


@pytest.mark.parametrize("text", ["select 'a\0b'", "select 1 \0", 'select 1 as "a\0b"', "select $x$\0$x$", "\0"])
def test_a_zero_byte_is_an_error(text: str) -> None:
    with zerodb.connect() as db:
        db.execute("select 'ab'")  # a known shape
        with pytest.raises(zerodb.DataError) as raised:
            db.execute(text)
        assert raised.value.sqlstate == "22021"
        assert raised.value.position == text.index("\0") + 1
