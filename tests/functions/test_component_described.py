"""Scalar functions that a component describes itself (zerosys:db/scalar-functions), written in C."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.guests.building import one_file

import zerodb
from zerodb.errors import Error

SOURCE = Path(__file__).parent / "sources" / "scalar.c"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_file(SOURCE, "c", "scalar-udf", tmp_path_factory.mktemp("scalar"))


@pytest.fixture
def db(file: Path) -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.create_functions(file)
        yield connection


def refused(db: zerodb.Connection, text: str) -> str:
    with pytest.raises(Error) as caught:
        db.execute(text)
    return f"{caught.value.sqlstate} {caught.value.message}"


def test_what_is_described(db: zerodb.Connection) -> None:
    found = db.execute("""
        select proname, provolatile, proisstrict, pg_get_function_arguments(oid), pg_get_function_result(oid)
        from pg_proc where probin is not null order by 1""").fetchall()
    assert found == [
        ("as_array", "s", True, "value text", "integer[]"),
        ("count_below", "v", True, "value bigint", "bigint"),
        ("length_or", "i", False, "value text", "bigint"),
        ("positive", "i", True, "value bigint", "bigint"),
        ("signed_text", "s", True, "value numeric", "numeric"),
        ("too_many", "v", True, "value bigint", "bigint"),
        ("writes", "v", True, "value bigint", "bigint"),
    ]


def test_calls(db: zerodb.Connection) -> None:
    db.execute(
        "create table t as select a, case when a % 3 > 0 then repeat('x', a - 1) end s from generate_series(1, 5) a"
    )
    assert db.execute("select length_or(s) from t order by a").fetchall() == [(None,), (1,), (-1,), (3,), (4,)]
    assert db.execute("select signed_text(1.50), as_array('1,null,3'), positive(null)").fetchall() == [
        (Decimal("-1.5"), [1, None, 3], None)
    ]
    assert db.execute("select as_array(s || a) from t where a = 1").fetchall() == [([1],)]
    many = "select count(*), sum(positive(i)) from generate_series(1, 70000) i"
    assert db.execute(many).fetchall() == [(70_000, 70_000 * 70_001 // 2)]


def test_errors(db: zerodb.Connection) -> None:
    db.execute("create table t as select a from generate_series(-3, 3) a")
    assert refused(db, "select positive(a) from t where a <> -3") == "22003 function positive(-2): it is negative"
    assert refused(db, "select too_many(a) from t").startswith("22P03 function too_many(bigint): a column of 8 values")
    assert refused(db, "select as_array('x')").startswith("22P02")


def test_queries_see_what_the_statement_sees(db: zerodb.Connection) -> None:
    db.execute("create table t (a bigint)")
    db.execute("insert into t select * from generate_series(1, 10)")
    assert db.execute("select count_below(a) from t where a in (1, 5) order by a").fetchall() == [(0,), (4,)]
    db.execute("begin")
    db.execute("insert into t select 0 from generate_series(1, 5)")
    assert db.execute("select count_below(1)").fetchall() == [(5,)]
    other = db.duplicate()
    assert other.execute("select count_below(1)").fetchall() == [(0,)]
    other.close()
    db.execute("rollback")
    assert db.execute("select count_below(1)").fetchall() == [(0,)]
    assert refused(db, "select writes(1)").startswith("38000 function writes")
    assert "can only query" in refused(db, "select writes(a) from t")
    assert db.execute("select count(*) from t").fetchall() == [(10,)]
    assert db._database.users == 1  # what the function left open has ended


def test_declarations_are_compared(db: zerodb.Connection, file: Path) -> None:
    create = "create function f({}) returns {} language wasm as '" + str(file) + "', '{}'"
    assert refused(db, create.format("value text", "bigint", "positive")) == (
        "42804 function f is declared f(value text) -> bigint, but the export has positive(value bigint) -> bigint"
    )
    assert refused(db, create.format("bigint", "text", "positive")).startswith("42804")
    assert refused(db, create.format("bigint", "bigint", "positive") + " called on null input").startswith("42P13")
    assert refused(db, create.format("bigint", "bigint", "nothing")).startswith("42883")
    db.execute(create.format("n bigint", "bigint", "positive") + " volatile")
    assert db.execute("select f(3), provolatile from pg_proc where proname = 'f'").fetchall() == [(3, "v")]
