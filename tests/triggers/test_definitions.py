"""Triggers as parts of a table: created, renamed, disabled, kept, shown by the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.functions.asking import refused
from tests.triggers.triggering import Log, make, rows

import zerodb
from zerodb import Connection, errors


def test_create_replace_rename_drop(db: Connection) -> None:
    log = make(db, "a", "before insert", Log())
    refused(db, "create trigger a before insert on t execute function a_f()", "42710", "already exists")
    db.execute("create or replace trigger a after insert on t for each row execute function a_f()")
    db.execute("alter trigger a on t rename to b")
    refused(db, "alter trigger a on t rename to c", "42704", "does not exist")
    db.execute("alter table t rename to u")
    db.execute("insert into u values (1)")
    assert log.seen == [("b", "after", "insert", None, [1])]
    refused(db, "drop trigger a on u", "42704")
    db.execute("drop trigger if exists a on u")
    db.execute("drop trigger if exists a on nothing")
    db.execute("drop trigger b on u")
    db.execute("insert into u values (2)")
    assert len(log.events) == 1


def test_definitions_that_are_refused(db: Connection) -> None:
    db.create_trigger_function("f", Log())
    db.execute("create view w as select * from t")
    end = "execute function f()"
    refused(db, f"create trigger a before truncate on t {end}", "0A000", "TRUNCATE")
    refused(db, f"create trigger a instead of insert on w {end}", "0A000", "INSTEAD OF")
    refused(db, f"create trigger a before insert on w {end}", "0A000", "views")
    refused(db, f"create constraint trigger a after insert on t {end}", "0A000", "CONSTRAINT TRIGGER")
    refused(db, f"create trigger a after insert on t referencing new table as n {end}", "0A000", "REFERENCING")
    refused(db, "create trigger a before insert on t execute function g()", "42883", "g()")
    refused(db, f"create trigger a before insert on nothing {end}", "42P01")
    refused(db, f"create trigger a before update of nothing on t {end}", "42703")
    refused(db, f"create trigger a before insert or insert on t {end}", "42601", "duplicate")
    refused(db, f"create trigger a before insert on pg_class {end}", "42501")


def test_definitions_are_transactional(db: Connection) -> None:
    log = Log()
    db.create_trigger_function("f", log)
    db.begin()
    db.execute("create trigger a before insert on t for each row execute function f()")
    db.execute("insert into t values (1)")
    db.rollback()
    db.execute("insert into t values (2)")
    assert len(log.events) == 1


def test_columns_that_triggers_name(db: Connection) -> None:
    db.execute("alter table t add column w bigint")
    log = make(db, "a", "before update of v, w", Log(), "for each row when (new.name <> 'new.name')")
    db.execute("alter table t rename column name to label")
    db.execute("alter table t rename column v to value")
    db.execute("insert into t values (1, 'x', 1)")
    db.execute("update t set value = 2")
    db.execute("update t set label = 'y'")
    assert len(log.events) == 1
    refused(db, "alter table t drop column label", "2BP01", "trigger a")
    refused(db, "alter table t alter column label type varchar(9)", "0A000", "trigger definition")
    refused(db, "alter table t drop column w", "2BP01", "trigger a")
    db.execute("alter table t drop column w cascade")
    db.execute("update t set value = 3")
    assert len(log.events) == 1


def test_triggers_outlive_the_process_but_not_their_callables(tmp_path: Path) -> None:
    path = tmp_path / "d.zdb"
    with zerodb.connect(path) as db:
        db.execute("create table t (id integer primary key, name text, v bigint)")
        make(db, "a", "before insert", Log(), "for each row when (new.id > 0)")
    with zerodb.connect(path) as db:
        refused(db, "insert into t values (1)", "42883", "a_f()", "create_trigger_function")
        assert rows(db) == []
        log = Log()
        db.create_trigger_function("a_f", log)
        db.execute("insert into t values (1), (-1)")
        assert log.seen == [("a", "before", "insert", None, [1])]


def test_known_functions(db: Connection) -> None:
    db.create_trigger_function("f", Log())
    with pytest.raises(errors.Error, match="already exists"):
        db.create_trigger_function("f", Log())
    with pytest.raises(errors.Error, match="no function"):
        db.create_trigger_function("g", 1)  # type: ignore[arg-type]


def test_catalog(db: Connection) -> None:
    db.create_trigger_function("f", Log())
    head = 'create trigger "A" before insert or update of v, name on t'
    db.execute(f"{head} for each row when (new.v > 0) execute function f()")
    db.execute("create trigger b after delete or insert on t execute procedure f()")
    db.execute("alter table t disable trigger b")
    db.execute("comment on trigger b on t is 'says something'")
    assert rows(db, "select tgname, tgtype, tgenabled, tgattr, tgrelid::regclass from pg_trigger order by 1") == [
        ("A", 23, "O", [3, 2], "t"),
        ("b", 12, "D", [], "t"),
    ]
    end = "FOR EACH ROW WHEN (new.v > 0) EXECUTE FUNCTION f()"
    assert rows(db, "select pg_get_triggerdef(oid), pg_get_triggerdef(oid, true) from pg_trigger order by tgname") == [
        (
            f'CREATE TRIGGER "A" BEFORE INSERT OR UPDATE OF v, name ON public.t {end}',
            f'CREATE TRIGGER "A" BEFORE INSERT OR UPDATE OF v, name ON t {end}',
        ),
        (
            "CREATE TRIGGER b AFTER INSERT OR DELETE ON public.t FOR EACH STATEMENT EXECUTE FUNCTION f()",
            "CREATE TRIGGER b AFTER INSERT OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION f()",
        ),
    ]
    text = """select trigger_name, event_manipulation, event_object_table, action_order, action_condition,
                     action_statement, action_orientation, action_timing
              from information_schema.triggers order by 1, 2"""
    row, statement, call = "ROW", "STATEMENT", "EXECUTE FUNCTION f()"
    assert rows(db, text) == [
        ("A", "INSERT", "t", 1, "(new.v > 0)", call, row, "BEFORE"),
        ("A", "UPDATE", "t", 1, "(new.v > 0)", call, row, "BEFORE"),
        ("b", "DELETE", "t", 1, None, call, statement, "AFTER"),
        ("b", "INSERT", "t", 1, None, call, statement, "AFTER"),
    ]
    assert rows(db, "select relhastriggers from pg_class where relname = 't'") == [(True,)]
    assert rows(db, "select obj_description(oid, 'pg_trigger') from pg_trigger order by tgname") == [
        (None,),
        ("says something",),
    ]
    db.execute("drop table t")
    assert rows(db, "select count(*) from pg_trigger") == [(0,)]
