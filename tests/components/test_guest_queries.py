"""The interfaces query and transaction, through one guest in C that does what its arguments say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.components.guests import FOLDER, c_guest

import zerodb

Play = Callable[..., list[str]]


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect() as connection:
        yield connection


@pytest.fixture
def play(db: zerodb.Connection) -> Play:
    guest = c_guest((FOLDER / "script.c").read_text())
    return lambda *steps, **options: db.run_component(guest, ["o", *steps], **options).splitlines()


def test_statements_give_counts_rows_and_errors(play: Play) -> None:
    assert play(
        "xcreate table t (a bigint primary key, b text)",
        *("i1", "tone", "xinsert into t values ($1, $2)"),
        "xinsert into t values (2, 'two'), (3, null)",
        "qselect * from t order by a",
        "xselect * from t",
        "xinsert into t values (1, 'again')",
        "xselect * frm t",
        "xupdate t set b = 'x' where a > 1",
        *("ta", "xselect $1::int"),
        "qdelete from t where a = 2 returning a, b",
        "qset timezone = 'UTC'",
        "xselect $1::int",
    ) == [
        *("0", "1", "2", "1|one", "2|two", "3|NULL", "3"),
        '23505: duplicate key value violates unique constraint "t_pkey"',
        '42601: syntax error at or near "t" @14',
        "2",
        '22P02: invalid input syntax for type integer: "a"',
        "2|x",
        "24000: the statement gives no rows",
        "08P01: the statement needs 1 parameters, 0 were given",
    ]


def test_scripts_run_up_to_the_first_error(play: Play, db: zerodb.Connection) -> None:
    assert play("screate table t (a int); insert into t values (1); select 1/0; insert into t values (2)") == [
        "22012: division by zero @58"
    ]
    assert db.execute("select * from t").fetchall() == [(1,)]


VALUES = """select true, 7::smallint, 1.5::real, 'text', '\\x41'::bytea, date '1970-01-11', time '00:00:01',
timestamp '1970-01-01 00:00:02', timestamptz '1970-01-01 00:00:03+00', interval '1 month 2 days 00:00:04', 12.50,
'550e8400-e29b-41d4-a716-446655440000'::uuid, '{"a": 1}'::jsonb, array[1, null], null"""


def test_all_forms_of_values_and_columns(play: Play) -> None:
    row = "true|7|1500m|text|A|d10|t1000000|t2000000|t3000000|1/2/4000000|12.50|"
    row += '550e8400-e29b-41d4-a716-446655440000|{"a": 1}|{1,NULL}|NULL'
    columns, batch = play(f"b{VALUES}")
    assert play(f"q{VALUES}", f"p{VALUES}", "r") == [row, row]
    assert columns.split(", ")[-3:-1] == ["jsonb jsonb", "array integer[] not null"] or "jsonb" in columns
    assert batch == (
        "[1] true 7 1500 text A 10 1000000 2000000 3000000 4000000 12.50 550e8400-e29b-41d4-a716-446655440000"
        ' {"a": 1} {1,NULL} NULL'
    )


def test_cursors_give_as_many_rows_as_asked_for(play: Play) -> None:
    steps = ("N2", "bselect x, 'r' || x from generate_series(1, 5) a(x)")
    assert play(*steps)[1:] == ["[2] 1,2 r1,r2", "[2] 3,4 r3,r4", "[1] 5 r5"]
    assert play("N0", steps[1])[1:] == [f"[1] {n} r{n}" for n in (1, 2, 3, 4)]
    large = play("N4000000000", "bselect x from generate_series(1, 150000) a(x)")[1:]
    assert sum(int(line[1:].partition("]")[0]) for line in large) == 150000
    assert play("bselect 1 where false")[1:] == []


def test_a_statement_is_compiled_once_and_tells_its_columns(play: Play, db: zerodb.Connection) -> None:
    db.execute("create table t (a bigint primary key, b text not null)")
    assert play(
        "pinsert into t values ($1, $2)",
        *("c", "i1", "tx", "e", "i1", "tx", "e", "i2", "ty", "e"),
        "pselect b, a from t where a = $1",
        *("c", "i1", "r", "i2", "r", "i3", "r", "n", "r", "tx", "r"),
        "A",
    ) == [
        *("1 bigint, 2 text", "", "1", '23505: duplicate key value violates unique constraint "t_pkey"', "1"),
        *("1 bigint", "b text not null, a bigint not null", "x|1", "y|2", "none", "none"),
        '22P02: invalid input syntax for type bigint: "x"',
    ]


def test_a_batch_of_parameters(play: Play, db: zerodb.Connection) -> None:
    db.execute("create table t (a bigint primary key, b smallint)")
    assert play("N3", "pinsert into t values ($1, $2)", "m", "pupdate t set b = $2 where a = $1", "mx") == ["3", "3"]
    assert db.execute("select * from t order by a").fetchall() == [(1, None), (2, 20), (3, 30)]
    assert play("N1", "pselect $1", "m") == ["08P01: the statement has 1 parameters, the batch 2 columns"]
    assert play("N70000", "pinsert into t values ($1 + 10, $2)", "m")[0].startswith("22003")
    db.execute("create table u (a bigint, b bigint)")
    assert play("N70000", "pinsert into u values ($1, $2)", "m") == ["70000"]
    assert db.execute("select count(*), sum(b) from u").fetchall() == [(70000, 24500350000)]


def test_transactions(play: Play, db: zerodb.Connection) -> None:
    db.execute("create table t (a bigint primary key)")
    count = "qselect count(*) from t"
    assert play("B0", "xinsert into t values (1)", count, "R", count) == ["1", "1", "ok", "0"]
    assert play("B0", "xinsert into t values (1)", "C", count) == ["1", "ok", "1"]
    assert play("B0", "xinsert into t values (2)", "D", count) == ["1", "1"]
    assert play("B0", "B0") == ["25001: there is already a transaction in progress"]
    failed = "25P02: current transaction is aborted, commands ignored until end of transaction block"
    assert play("B3", "xselect 1/0", "xselect 1", "C", count) == [
        *("22012: division by zero @8", failed, "25P02: a statement of the transaction failed: it was rolled back"),
        "1",
    ]
    assert play("B01", "xinsert into t values (3)") == ["25006: cannot execute INSERT in a read-only transaction"]
    steps = ("B0", "xinsert into t values (5)", 'Sa "b', "xinsert into t values (6)", 'Ta "b', 'Ua "b', "Tnone", "Tx")
    assert play(*steps)[:6] == ["1", "ok", "1", "ok", "ok", '3B001: savepoint "none" does not exist']
    assert play("B0", "xcommit", "S1") == ["0", "25P01: the transaction has ended"]
    assert play("B0", "xinsert into t values (8)", "d", "D", "o", count) == ["1", "1"]


def test_a_conflict_is_retryable(play: Play, db: zerodb.Connection) -> None:
    db.execute("create table t (a bigint primary key, n bigint)")
    db.execute("insert into t values (1, 0)")
    begin = ("B2", "qselect n from t", "o", "xupdate t set n = n + 1", "w")
    conflict = "40001: could not serialize access due to concurrent update retryable"
    assert play(*begin, "xupdate t set n = 7", "R") == ["0", "1", conflict, "ok"]
    assert db.execute("select n from t").fetchall() == [(1,)]


def test_other_databases_are_not_there(play: Play) -> None:
    assert play("oelsewhere")[0].startswith('3D000: database "elsewhere" does not exist')


def test_what_a_guest_leaves_open_ends_with_it(play: Play, db: zerodb.Connection) -> None:
    users = db._database.users
    db.execute("create table t (a bigint primary key)")
    play("xinsert into t values (1)", "Qselect * from t", "pselect 1", "B0", "xinsert into t values (2)", "o", "o")
    assert db._database.users == users
    assert db.execute("select * from t").fetchall() == [(1,)]
    db.execute("drop table t")  # nobody holds it


def test_grants(play: Play, db: zerodb.Connection, tmp_path: Path) -> None:
    db.executescript(
        "create schema shop; create table shop.orders (a int primary key); create table a (a int primary key);"
        "create table b (a int); create view v as select b.a from b; insert into a values (1)"
    )
    grants = ["read:a", "write:shop.*"]
    denied = "42501: permission denied for table "
    assert play("qselect * from a", grants=grants) == ["1"]
    assert play("pselect * from a where a = $1", "i1", "r", "i1", "r", "i1", "r", grants=grants) == ["1"] * 3
    assert (
        play("qselect * from b", "qselect * from v", "xselect (select max(a) from b)", grants=grants)
        == [denied + "b"] * 3
    )
    assert (
        play("xinsert into a values (2)", "pinsert into a values ($1)", "i1", "e", grants=grants) == [denied + "a"] * 2
    )
    assert play("xinsert into shop.orders select a from a", "xdelete from shop.orders", grants=grants) == ["1", "1"]
    assert play("xinsert into shop.orders select a from b", grants=grants) == [denied + "b"]
    assert play("xwith x as (delete from a returning a) select * from x", grants=grants) == [denied + "a"]
    assert play("xtruncate a", "xlock table a", "xselect * from a for update", grants=grants) == [denied + "a"] * 3
    assert play("xexplain analyze delete from a", grants=grants) == [denied + "a"]
    assert play("xprepare p as delete from a", "xexecute p", grants=grants)[-1] == denied + "a"
    assert play("N2", "pinsert into b values ($1 + $2)", "m", grants=grants) == [denied + "b"]
    definition = "42501: permission denied for definition statements"
    for text in ("create table c (a int)", "create table c as select 1 x", "drop table a", "create schema z"):
        assert play("x" + text, grants=grants) == [definition]
        assert play("x" + text, grants=[*grants, "read:*", "write:*"]) == [definition]
    assert play("xcreate table c (a int)", "xselect * from b", grants=["all"]) == ["0", "0"]
    assert play("xselect 1", "qselect * from a", grants=[]) == ["1", denied + "a"]
    path = tmp_path / "out.csv"
    copy = f"xcopy a to '{path}'"
    assert play(copy) == ["42501: permission denied for COPY"]
    assert not path.exists()
    assert play(copy, grants=["read:a", "files"]) == ["1"]
    assert path.exists()
