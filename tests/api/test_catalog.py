"""Views and system tables across connections, restarts and changes: what the cache of compiled statements must see."""

from __future__ import annotations

from pathlib import Path

import pytest

import zerodb


def test_views_are_there_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with zerodb.connect(path) as db:
        db.executescript("""
            create schema s; create table t (a int, b text); insert into t values (1, 'x'), (2, 'y');
            create view s.v as select b from t where a > 1; create materialized view m as select count(*) as n from t;
            comment on view s.v is 'kept'; alter table t rename column b to c;
        """)
    with zerodb.connect(path) as db:
        assert db.execute("select * from s.v").fetchall() == [("y",)]
        assert db.execute("select n from m").fetchall() == [(2,)]
        assert db.execute("select obj_description('s.v'::regclass)").fetchone() == ("kept",)
        assert db.execute("select relname from pg_class where relkind = 'v'").fetchall() == [("v",)]


def test_a_compiled_statement_sees_the_new_definition_of_a_view() -> None:
    with zerodb.connect(":memory:") as db:
        db.executescript("create table t (a int); insert into t values (1), (2); create view v as select a from t;")
        statement = "select a from v where a < 10"
        assert db.execute(statement).fetchall() == [(1,), (2,)]
        db.execute("create or replace view v as select a + 1 as a from t")
        assert db.execute(statement).fetchall() == [(2,), (3,)]
        db.execute("drop view v")
        with pytest.raises(zerodb.Error) as raised:
            db.execute(statement)
        assert raised.value.sqlstate == "42P01"
        db.execute("create table v (a int)")
        assert db.execute(statement).fetchall() == []


def test_a_view_of_a_view_follows_the_inner_one() -> None:
    with zerodb.connect(":memory:") as db:
        db.executescript("create view a as select 1 as n; create view b as select n from a;")
        assert db.execute("select n from b").fetchall() == [(1,)]
        db.execute("create or replace view a as select 2 as n")
        assert db.execute("select n from b").fetchall() == [(2,)]


def test_a_view_in_an_earlier_schema_hides_a_table() -> None:
    with zerodb.connect(":memory:") as db:
        db.executescript("create table t (a int); insert into t values (1); create schema s;")
        db.execute("set search_path to s, public")
        assert db.execute("select a from t").fetchall() == [(1,)]
        db.execute("create view s.t as select 5 as a")
        assert db.execute("select a from t").fetchall() == [(5,)]


def test_system_tables_show_the_transaction_and_the_session() -> None:
    with zerodb.connect(":memory:") as db, db.duplicate() as other:
        count = "select count(*) from pg_class where relname = 't'"
        assert db.execute(count).fetchone() == (0,)
        db.begin()
        db.execute("create table t (a int)")
        assert db.execute(count).fetchone() == (1,)
        assert other.execute(count).fetchone() == (0,)
        db.commit()
        assert other.execute(count).fetchone() == (1,)
        db.execute("set application_name to 'one'")
        setting = "select setting from pg_settings where name = 'application_name'"
        assert db.execute(setting).fetchone() == ("one",)
        assert other.execute(setting).fetchone() != ("one",)


def test_a_view_of_a_system_table() -> None:
    with zerodb.connect(":memory:") as db:
        db.execute("create view mine as select relname from pg_class where relkind = 'r'")
        db.execute("create table t (a int)")
        assert db.execute("select relname from mine").fetchall() == [("t",)]


def test_rolled_back_views_are_gone() -> None:
    with zerodb.connect(":memory:") as db:
        db.begin()
        db.execute("create view v as select 1 as a")
        assert db.execute("select a from v").fetchall() == [(1,)]
        db.rollback()
        with pytest.raises(zerodb.Error):
            db.execute("select a from v")
