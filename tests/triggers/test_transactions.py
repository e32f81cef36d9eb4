"""Triggers and transactions: errors, what a function's own statements see, isolation, retries, threads."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.functions.asking import refused
from tests.triggers.triggering import Log, make, rows

import zerodb
from zerodb import Connection, errors


def test_an_error_leaves_nothing(db: Connection) -> None:
    db.execute("create table log (x integer)")

    def fails(event: Any) -> None:
        event.connection.execute("insert into log values (1)")
        raise ValueError("bad rows")

    make(db, "a", "after insert", fails)
    refused(db, "insert into t values (1)", "38000", "bad rows", "trigger a", 'table "t"')
    assert (rows(db), rows(db, "select * from log")) == ([], [])
    with pytest.raises(errors.Error), db.transaction():
        db.execute("insert into log values (2)")
        db.execute("insert into t values (1)")
    assert rows(db, "select * from log") == []
    with db.transaction():
        db.execute("insert into log values (3)")
        db.execute("savepoint s")
        refused(db, "insert into t values (1)", "38000")
        db.execute("rollback to s")
    assert rows(db, "select * from log") == [(3,)]


def test_errors_of_zerodb_keep_their_sqlstate(db: Connection) -> None:
    def refuse(event: Any) -> None:
        raise errors.IntegrityError("negative", sqlstate="23514")

    make(db, "a", "before insert", refuse, "for each row when (new.v < 0)")
    refused(db, "insert into t values (1, 'x', -1)", "23514", "negative")
    db.execute("insert into t values (1, 'x', 1)")
    make(db, "b", "before update", lambda e: e.connection.execute("select 1 / 0"))
    refused(db, "update t set v = 2", "22012", "trigger b")


def test_a_function_may_go_on_after_its_own_statement_failed(db: Connection) -> None:
    db.execute("create table log (x integer primary key)")

    def tries(event: Any) -> None:
        for value in (1, 1, 2):
            with contextlib.suppress(errors.IntegrityError):
                event.connection.execute("insert into log select ?::int union all select ?::int + 10", [value, value])

    make(db, "a", "after insert", tries)
    for block in (False, True):
        if block:
            db.begin()
        db.execute("insert into t values (?)", [int(block)])
        if block:
            db.commit()
    assert rows(db, "select x from log order by x") == [(1,), (2,), (11,), (12,)]
    assert len(rows(db)) == 2


def test_functions_see_the_statement_under_way(db: Connection) -> None:
    seen: list[Any] = []
    count = db.prepare("select count(*) from t")
    by_key = db.prepare("select v from t where id = $1")

    def look(event: Any) -> None:
        seen.append((event.timing, count.execute().fetchone()[0], by_key.execute([1]).fetchone()))

    db.execute("insert into t values (1, 'x', 1)")
    for _ in range(5):
        assert by_key.execute([1]).fetchone() == (1,)
    make(db, "a", "before update or insert", look)
    make(db, "b", "after update or insert", look)
    db.execute("update t set v = 5")
    db.execute("insert into t values (2)")
    assert seen == [("before", 1, (1,)), ("after", 1, (5,)), ("before", 1, (5,)), ("after", 2, (5,))]
    assert by_key.execute([1]).fetchone() == (5,)
    with db.transaction():
        db.execute("update t set v = 6 where id = 1")
    assert seen[-2:] == [("before", 2, (5,)), ("after", 2, (6,))]


def test_statements_of_functions_are_limited_to_the_statements_transaction(db: Connection) -> None:
    def run(text: str) -> None:
        db.create_trigger_function("f", lambda e: e.connection.execute(text) and None, replace=True)

    db.create_trigger_function("f", Log())
    db.execute("create trigger a before insert on t for each row execute function f()")
    for text in ("commit", "begin", "rollback", "savepoint s", "create table x (a int)", "drop table t", "truncate t"):
        run(text)
        refused(db, "insert into t values (1)", "0A000", "in a function that a statement has called")
    db.create_trigger_function("f", lambda e: e.connection.commit() and None, replace=True)
    refused(db, "insert into t values (1)", "2D000", "commit")
    db.create_trigger_function("f", lambda e: e.connection.close(), replace=True)
    refused(db, "insert into t values (1)", "2D000", "close")
    assert rows(db) == []


def test_recursion_is_limited(db: Connection) -> None:
    def again(event: Any) -> None:
        event.connection.execute("insert into t select id + 1 from t order by id desc limit 1")

    make(db, "a", "after insert", again)
    refused(db, "insert into t values (1)", "54001", "trigger")
    assert rows(db) == []
    db.create_trigger_function("a_f", lambda e: again(e) if e.new["id"][0].as_py() < 8 else None, replace=True)
    db.execute("insert into t values (1)")
    assert len(rows(db)) == 8


def test_a_function_that_changes_the_rows_under_way(db: Connection) -> None:
    db.execute("insert into t values (1, 'x', 1), (2, 'y', 2)")

    def delete(event: Any) -> None:
        event.connection.execute("delete from t where id = 2")

    make(db, "a", "before update", delete, "for each row when (old.id = 1)")
    refused(db, "update t set v = 0", "27000", "already modified")
    assert len(rows(db)) == 2
    assert db.execute("update t set v = 0 where id = 1").rowcount == 1
    assert rows(db) == [(1, "x", 0)]


def test_conflicts_run_the_whole_statement_again(tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as one, zerodb.connect(tmp_path / "d.zdb") as two:
        one.execute("create table t (id integer primary key, v integer)")
        one.execute("create table counters (id integer primary key, n integer)")
        one.execute("insert into counters values (1, 0)")
        calls: list[int] = []

        def count(event: Any) -> None:
            if not calls:
                two.execute("update counters set n = n + 1")
            calls.append(1)
            try:
                event.connection.execute("update counters set n = n + 1")
            except Exception as error:
                raise ValueError("hidden") from error

        one.create_trigger_function("count", count)
        one.execute("create trigger c after insert on t for each row execute function count()")
        one.execute("insert into t values (1, 1)")
        assert (len(calls), rows(one, "select n from counters")) == (2, [(2,)])


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_isolation_levels(tmp_path: Path, level: str) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as one, zerodb.connect(tmp_path / "d.zdb") as two:
        one.execute("create table t (id integer primary key, v integer)")
        one.execute("create table log (n bigint)")

        def count(event: Any) -> None:
            event.connection.execute("insert into log select count(*) from t")

        one.create_trigger_function("count", count)
        one.execute("create trigger c after insert on t for each row execute function count()")
        one.execute(f"set default_transaction_isolation = '{level}'")
        one.execute("insert into t values (1), (2)")
        two.execute("insert into t values (3)")
        with one.transaction(level):
            one.execute("insert into t values (4)")
            two.execute("delete from t where id = 1")
            one.execute("insert into t values (5)")
            assert rows(one, "select n from log")[-1] == (4,) if level == "read committed" else (5,)
        assert len(rows(two, "select * from log")) == 4


def test_blocks_with_retries_run_statements_again_with_their_triggers(tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as one, zerodb.connect(tmp_path / "d.zdb") as two:
        one.execute("create table t (id integer primary key, v integer)")
        one.execute("create table log (id integer)")
        one.execute("insert into t values (1, 0), (2, 0)")

        def note(event: Any) -> None:
            event.connection.execute("insert into log values (1)")

        one.create_trigger_function("note", note)
        one.execute("create trigger n after update on t for each row execute function note()")
        with one.transaction(retries=3):
            one.execute("update t set v = v + 1 where id = 1")
            two.execute("update t set v = v + 1 where id = 2")
            one.execute("update t set v = v + 1 where id = 2")
        assert sorted(rows(one, "select v from t")) == [(1,), (2,)]
        assert rows(one, "select count(*) from log") == [(3,)]


def test_many_threads(tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as db:
        db.execute("create table t (id integer primary key, v integer)")
        db.execute("create table sums (k integer primary key, n bigint)")
        db.execute("insert into sums values (0, 0), (1, 0)")

        def add(event: Any) -> None:
            for key in (0, 1):
                total = sum(
                    v for i, v in zip(*(event.new[c].to_pylist() for c in ("id", "v")), strict=True) if i % 2 == key
                )
                event.connection.execute("update sums set n = n + ? where k = ?", [total, key])

        db.create_trigger_function("add", add)
        db.execute("create trigger a after insert on t for each row execute function add()")

        def work(first: int) -> None:
            with db.duplicate() as own:
                for start in range(first, first + 40, 4):
                    own.execute("insert into t select i, i from generate_series(?::int, ?::int) i", [start, start + 3])

        threads = [threading.Thread(target=work, args=(number * 1000,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = rows(db, "select id % 2, sum(v) from t group by 1 order by 1")
        assert [(key, int(total)) for key, total in expected] == rows(db, "select * from sums order by k")
        assert rows(db, "select count(*) from t") == [(160,)]
