"""Functions with a body in SQL: bound in the place of their calls where that gives the same, executed otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zerodb


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table t (a integer primary key, b text)")
        connection.execute("insert into t select g, 'x' || g from generate_series(1, 5) g")
        yield connection


def rows(db: zerodb.Connection, sql: str) -> list[tuple[object, ...]]:
    return db.execute(sql).fetchall()


def plan(db: zerodb.Connection, sql: str) -> str:
    return "\n".join(str(line) for (line,) in rows(db, f"explain {sql}"))


def test_an_expression_is_inlined(db: zerodb.Connection) -> None:
    db.execute("create function twice(n integer) returns integer language sql immutable as 'select n + $1'")
    assert rows(db, "select twice(a), twice(3) from t where twice(a) = 6") == [(6, 6)]
    assert "twice(" not in plan(db, "select twice(a) as x from t")


def test_a_body_after_return(db: zerodb.Connection) -> None:
    db.execute("create function half(n integer) returns numeric immutable return n / 2.0")
    assert rows(db, "select half(3) = 1.5") == [(True,)]


def test_a_query_is_inlined_as_a_subquery(db: zerodb.Connection) -> None:
    db.execute(
        "create function upto(k integer) returns bigint stable language sql as 'select sum(a) from t where a <= k'"
    )
    assert rows(db, "select a, upto(a) from t order by a") == [(1, 1), (2, 3), (3, 6), (4, 10), (5, 15)]
    assert "upto(" not in plan(db, "select upto(a) as x from t")


def test_of_several_rows_the_first_counts(db: zerodb.Connection) -> None:
    db.execute(
        "create function least_b(k integer) returns text stable "
        "language sql as 'select b from t where a > k order by a'"
    )
    assert rows(db, "select least_b(a) from t order by a") == [("x2",), ("x3",), ("x4",), ("x5",), (None,)]


def test_columns_come_before_arguments_of_their_name(db: zerodb.Connection) -> None:
    db.execute("create function own(a integer) returns bigint language sql as 'select count(*) from t where a = own.a'")
    assert rows(db, "select own(3)") == [(1,)]


def test_strict(db: zerodb.Connection) -> None:
    db.execute(
        "create function f(n integer) returns text strict immutable "
        "language sql as $$select coalesce('v' || n, 'none')$$"
    )
    assert rows(db, "select f(1), f(null)") == [("v1", None)]


def test_a_volatile_argument_is_computed_once(db: zerodb.Connection) -> None:
    db.execute("create sequence s")
    db.execute("create function same(n bigint) returns bigint language sql as 'select n * 0 + n - n'")
    db.execute("create function following() returns bigint language sql as $$select nextval('s')$$")
    assert rows(db, "select same(following())") == [(0,)]
    assert rows(db, "select nextval('s')") == [(2,)]


def test_a_function_that_changes_rows(db: zerodb.Connection) -> None:
    db.execute(
        "create function put(k integer, v text) returns void language sql as "
        "'insert into t select k, v where not exists (select from t where a = k); update t set b = b || v where a = k'"
    )
    assert rows(db, "select put(9, 'n')") == [("",)]
    assert rows(db, "select put(g, 'm') from generate_series(9, 10) g") == [("",), ("",)]
    assert rows(db, "select * from t where a > 5 order by a") == [(9, "nnm"), (10, "mm")]


def test_what_it_changes_is_undone_with_the_statement(db: zerodb.Connection) -> None:
    db.execute(
        "create function put(k integer) returns integer "
        "language sql as 'insert into t values (k) returning 10 / (3 - k)'"
    )
    with pytest.raises(zerodb.IntegrityError) as caught:
        db.execute("select put(g) from generate_series(6, 7) g union all select put(1)")
    assert caught.value.sqlstate == "23505"
    assert caught.value.context == 'SQL function "put" statement 1'
    assert rows(db, "select count(*) from t") == [(5,)]


def test_it_sees_what_it_has_changed(db: zerodb.Connection) -> None:
    db.execute(
        "create function add(k integer) returns bigint "
        "language sql as 'insert into t values (k); select count(*) from t'"
    )
    assert rows(db, "select add(g) from generate_series(6, 8) g") == [(6,), (7,), (8,)]


def test_one_that_is_not_volatile_changes_nothing(db: zerodb.Connection) -> None:
    db.execute("create function put() returns void stable language sql as 'delete from t'")
    with pytest.raises(zerodb.NotSupportedError, match="DELETE is not allowed in a non-volatile function"):
        db.execute("select put()")


def test_a_function_that_calls_itself(db: zerodb.Connection) -> None:
    db.execute(
        "create function fac(n bigint) returns bigint "
        "language sql as 'select case when n <= 1 then 1 else n * fac(n - 1) end'"
    )
    assert rows(db, "select fac(10)") == [(3628800,)]


def test_table_functions(db: zerodb.Connection) -> None:
    db.execute(
        "create function few(k integer) returns table (n integer, v text) "
        "stable language sql as 'select a, b from t where a <= k'"
    )
    assert rows(db, "select * from few(2) order by n") == [(1, "x1"), (2, "x2")]
    assert rows(db, "select t.a, s.n from t, few(t.a) s where t.a = 2 order by 2") == [(2, 1), (2, 2)]
    db.execute(
        "create function new_rows(k integer) returns setof t "
        "language sql as 'insert into t values (k), (k + 1) returning *'"
    )
    assert rows(db, "select a from new_rows(20)") == [(20,), (21,)]
    db.execute("create function numbers() returns setof integer language sql as 'select a from t where a < 3'")
    assert rows(db, "select * from numbers() order by 1") == [(1,), (2,)]


def test_defined_in_the_catalog_and_in_the_next_session(tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "db") as db:
        db.execute("create function f(a integer, b text) returns text language sql as $$select b || a$$")
    with zerodb.connect(tmp_path / "db") as db:
        assert rows(db, "select f(1, 'x')") == [("x1",)]
        assert rows(
            db,
            "select prosrc, proname, lanname from pg_proc p join pg_language l on l.oid = prolang where proname = 'f'",
        ) == [("select b || a", "f", "sql")]
        ((text,),) = rows(db, "select pg_get_functiondef('f'::regproc)")
        assert "AS $function$select b || a$function$" in str(text)
        db.execute("drop function f")
        db.execute(str(text))
        assert rows(db, "select f(2, 'y')") == [("y2",)]
        assert db.check() == []


def test_what_uses_it_keeps_it(db: zerodb.Connection) -> None:
    db.execute("create function twice(n integer) returns integer language sql immutable as 'select n * 2'")
    db.execute("create view v as select twice(a) as x from t")
    with pytest.raises(zerodb.ProgrammingError, match="other objects depend on it"):
        db.execute("drop function twice")
    db.execute("create or replace function twice(n integer) returns integer language sql immutable as 'select n * 3'")
    assert rows(db, "select min(x) from v") == [(3,)]


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("create function f() returns integer language sql as 'select nothing from t'", "42703"),
        ("create function f() returns integer language sql as 'select 1 from nowhere'", "42P01"),
        ("create function f() returns integer language sql as 'delete from t'", "42P13"),
        ("create function f() returns integer language sql as 'select 1, 2'", "42P13"),
        ("create function f() returns date language sql as 'select 1'", "42P13"),
        ("create function f() returns integer language sql as 'selec 1'", "42601"),
        ("create function f() returns integer language sql as 'select $1'", "42P02"),
        ("create function f() returns trigger language sql as 'select 1'", "42P13"),
        ("create function f() returns record language sql as 'select 1'", "0A000"),
        ("create function f() returns integer language sql as 'a', 'b'", "42P13"),
    ],
)
def test_mistakes(db: zerodb.Connection, text: str, sqlstate: str) -> None:
    with pytest.raises(zerodb.DatabaseError) as caught:
        db.execute(text)
    assert caught.value.sqlstate == sqlstate, caught.value
    assert rows(db, "select count(*) from pg_proc where proname = 'f'") == [(0,)]


def test_places_of_mistakes_are_in_the_statement(db: zerodb.Connection) -> None:
    text = "create function f() returns integer language sql as $$ select nothing from t $$"
    with pytest.raises(zerodb.ProgrammingError) as caught:
        db.execute(text)
    assert caught.value.position == text.index("nothing")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("select put(9)", 1),
        ("explain analyze select put(9)", 1),
        ("explain select put(9)", 0),
        ("create table made as select put(9)", 1),
        ("select a from t where put(a + 10) > 14 order by a for update", 5),
        ("with made as (insert into t select put(a + 10) + 100 from t returning a) select count(*) from made", 10),
    ],
)
def test_wherever_it_is_called_it_is_part_of_the_statement(db: zerodb.Connection, text: str, count: int) -> None:
    db.execute("create function put(k integer) returns integer language sql as 'insert into t values (k) returning a'")
    db.begin()
    db.execute(text)
    assert rows(db, "select count(*) from t") == [(5 + count,)]
    db.rollback()
    assert rows(db, "select count(*) from t") == [(5,)]
    db.execute(text)
    assert rows(db, "select count(*) from t") == [(5 + count,)]


def test_the_limit_of_recursion_is_the_process_own_again() -> None:
    before = sys.getrecursionlimit()
    with zerodb.connect(":memory:") as db:
        db.execute(
            "create function down(n int) returns int language plpgsql as "
            "$$ begin if n = 0 then return 0; end if; return down(n - 1) + 1; end $$"
        )
        assert db.execute("select down(100)").fetchone() == (100,)
        with pytest.raises(zerodb.Error) as caught:
            db.execute("select down(1000)")
        assert caught.value.sqlstate == "54001"
    assert sys.getrecursionlimit() == before
