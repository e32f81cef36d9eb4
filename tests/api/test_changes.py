"""INSERT, UPDATE, DELETE, DDL and transactions: what they change, what they refuse, what stays after an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import zerodb


def state_of(call: Callable[[], object]) -> str:
    with pytest.raises(zerodb.Error) as caught:
        call()
    return caught.value.sqlstate


@pytest.fixture
def filled(db: zerodb.Connection) -> zerodb.Connection:
    db.execute("create table t (id integer primary key, name text not null, amount numeric(10,2) default 1.50)")
    db.executemany("insert into t values (?, ?, ?)", [(i, f"n{i}", i) for i in range(1, 6)])
    return db


def ids(db: zerodb.Connection) -> list[int]:
    return [row[0] for row in db.execute("select id from t order by id").fetchall()]


def test_row_counts(filled: zerodb.Connection) -> None:
    assert filled.execute("insert into t (id, name) values (6, 'x'), (7, 'y')").rowcount == 2
    assert filled.execute("update t set amount = amount + 1 where id > 5").rowcount == 2
    assert filled.execute("select amount from t where id >= 6 order by id").fetchall() == [(2.5,), (2.5,)]
    assert filled.execute("delete from t where id > 5").rowcount == 2
    assert filled.execute("delete from t where id > 5").rowcount == 0
    assert filled.execute("insert into t select id + 10, name, amount from t where id < 3").rowcount == 2
    assert ids(filled) == [1, 2, 3, 4, 5, 11, 12]
    assert filled.execute("insert into t select * from t where id > 100").rowcount == 0


def test_primary_key(filled: zerodb.Connection) -> None:
    with pytest.raises(zerodb.IntegrityError, match=r"\(3\)") as caught:
        filled.execute("insert into t values (9, 'x', 1), (3, 'x', 1)")
    assert caught.value.sqlstate == "23505"
    assert state_of(lambda: filled.execute("insert into t values (8, 'x', 1), (8, 'y', 1)")) == "23505"
    assert state_of(lambda: filled.executemany("insert into t values (?, 'x', 1)", [(8,), (8,)])) == "23505"
    assert state_of(lambda: filled.execute("insert into t select 1, name, amount from t where id = 2")) == "23505"
    assert state_of(lambda: filled.execute("update t set id = 1 where id = 2")) == "23505"
    assert ids(filled) == [1, 2, 3, 4, 5]
    assert filled.execute("update t set id = id + 1").rowcount == 5
    assert ids(filled) == [2, 3, 4, 5, 6]
    assert filled.execute("delete from t where id = 6").rowcount == 1
    assert filled.execute("insert into t values (6, 'again', 1)").rowcount == 1


def test_not_null(filled: zerodb.Connection) -> None:
    assert state_of(lambda: filled.execute("insert into t (id) values (9)")) == "23502"
    assert state_of(lambda: filled.execute("insert into t values (null, 'x', 1)")) == "23502"
    assert state_of(lambda: filled.execute("update t set name = null where id = 1")) == "23502"
    assert filled.execute("select name from t where id = 1").fetchone() == ("n1",)


def test_update_sees_the_old_values(filled: zerodb.Connection) -> None:
    filled.execute("create table pair (a integer, b integer)")
    filled.execute("insert into pair values (1, 2)")
    filled.execute("update pair set a = b, b = a")
    assert filled.execute("select * from pair").fetchall() == [(2, 1)]


def test_ddl(db: zerodb.Connection) -> None:
    db.execute("create table a (x integer)")
    assert state_of(lambda: db.execute("create table a (x integer)")) == "42P07"
    db.execute("create table if not exists a (y text)")
    assert db.execute("create table b as select x, x + 1 as y from a").rowcount == 0
    db.execute("insert into a values (1), (2)")
    assert db.execute("create table c as select x, x * 2 as y from a").rowcount == 2
    assert db.execute("select x, y from c order by x").fetchall() == [(1, 2), (2, 4)]
    db.execute("drop table c")
    assert state_of(lambda: db.execute("select * from c")) == "42P01"
    assert state_of(lambda: db.execute("drop table c")) == "42P01"
    db.execute("drop table if exists c")
    assert db.tables() == ["a", "b"]
    db.execute("drop table a")
    db.execute("create table a (z text)")
    db.execute("insert into a values ('other')")
    assert db.execute("select * from a").fetchall() == [("other",)]


def test_commit_and_rollback(filled: zerodb.Connection) -> None:
    with filled.transaction():
        filled.execute("delete from t where id = 1")
        filled.execute("insert into t values (10, 'x', 1)")
        assert ids(filled) == [2, 3, 4, 5, 10]
    assert ids(filled) == [2, 3, 4, 5, 10]
    with pytest.raises(ZeroDivisionError), filled.transaction():
        filled.execute("delete from t")
        filled.execute("create table gone (a integer)")
        assert ids(filled) == []
        raise ZeroDivisionError
    assert ids(filled) == [2, 3, 4, 5, 10]
    assert filled.tables() == ["t"]
    filled.executescript("begin; delete from t; rollback")
    assert ids(filled) == [2, 3, 4, 5, 10]
    filled.executescript("begin; delete from t where id > 3; commit")
    assert ids(filled) == [2, 3]
    filled.commit()
    filled.rollback()


def test_a_failed_statement_aborts_the_transaction(filled: zerodb.Connection) -> None:
    filled.begin()
    filled.execute("insert into t values (10, 'x', 1)")
    assert state_of(lambda: filled.execute("insert into t values (11, 'x', 1), (1, 'x', 1)")) == "23505"
    assert state_of(lambda: filled.execute("select 1")) == "25P02"
    assert filled.execute("commit").statusmessage == "ROLLBACK"
    assert ids(filled) == [1, 2, 3, 4, 5]
    with pytest.raises(zerodb.OperationalError, match="rolled back"), filled.transaction():
        filled.execute("insert into t values (10, 'x', 1)")
        assert state_of(lambda: filled.execute("selec")) == "42601"
    assert ids(filled) == [1, 2, 3, 4, 5]


def test_a_savepoint_saves_a_failed_transaction(filled: zerodb.Connection) -> None:
    with filled.transaction():
        filled.execute("insert into t values (10, 'x', 1)")
        filled.execute("savepoint s")
        assert state_of(lambda: filled.execute("insert into t values (11, 'x', 1), (1, 'x', 1)")) == "23505"
        assert state_of(lambda: filled.execute("update t set id = 1 where id = 10")) == "25P02"
        filled.execute("rollback to s")
        filled.execute("insert into t values (11, 'x', 1)")
    assert ids(filled) == [1, 2, 3, 4, 5, 10, 11]


def test_savepoints(filled: zerodb.Connection) -> None:
    with filled.transaction():
        filled.execute("savepoint a")
        filled.execute("delete from t where id = 1")
        filled.execute("savepoint b")
        filled.execute("delete from t where id = 2")
        filled.execute("rollback to savepoint b")
        assert ids(filled) == [2, 3, 4, 5]
        filled.execute("rollback to a")
        assert ids(filled) == [1, 2, 3, 4, 5]
        filled.execute("delete from t where id = 3")
        filled.execute("savepoint c")
        assert state_of(lambda: filled.execute("rollback to b")) == "3B001"
        filled.execute("rollback to c")
    assert ids(filled) == [1, 2, 4, 5]
    assert state_of(lambda: filled.execute("savepoint a")) == "25P01"


def test_nested_begin_is_refused(db: zerodb.Connection) -> None:
    db.begin()
    assert state_of(db.begin) == "25001"
    assert db.in_transaction
    db.rollback()
    assert state_of(lambda: db.begin("chaos")) == "22023"


def test_read_only_transaction(filled: zerodb.Connection) -> None:
    filled.begin(read_only=True)
    assert ids(filled) == [1, 2, 3, 4, 5]
    assert state_of(lambda: filled.execute("delete from t")) == "25006"
    filled.rollback()


def test_snapshots_stay_and_the_first_committer_wins(path: str) -> None:
    with zerodb.connect(path) as one, zerodb.connect(path) as two:
        one.execute("create table t (id integer primary key, n integer)")
        one.execute("insert into t values (1)")
        two.begin()
        assert ids(two) == [1]
        one.execute("insert into t values (2)")
        assert ids(two) == [1]
        one.execute("update t set n = 5 where id = 1")
        two.execute("insert into t values (30)")
        with pytest.raises(zerodb.OperationalError) as caught:
            two.execute("update t set n = 6 where id = 1")
        assert caught.value.sqlstate == "40001"
        assert caught.value.retryable
        two.rollback()
        assert ids(two) == [1, 2]
        two.begin("read committed")
        one.execute("insert into t values (3)")
        assert ids(two) == [1, 2, 3]
        two.execute("insert into t values (4)")
        two.commit()
        assert ids(one) == [1, 2, 3, 4]


def test_executemany_is_one_transaction(filled: zerodb.Connection) -> None:
    assert filled.executemany("update t set name = ? where id = ?", [("a", 1), ("b", 2)]).rowcount == 2
    assert state_of(lambda: filled.executemany("update t set id = ? where id = ?", [(20, 1), (3, 2)])) == "23505"
    assert ids(filled) == [1, 2, 3, 4, 5]
    assert filled.executemany("delete from t where id = ?", [(1,), (2,), (9,)]).rowcount == 2
    assert (
        filled.executemany("insert into t (id, name) values ($1 + 100, upper($2))", [(1, "a"), (2, "b")]).rowcount == 2
    )
    assert filled.execute("select name from t where id > 100 order by id").fetchall() == [("A",), ("B",)]
    assert filled.executemany("insert into t values (?, ?, ?)", []).rowcount == 0
    assert state_of(lambda: filled.executemany("select 1", [()])) == "42601"
    assert state_of(lambda: filled.executemany("insert into t values (?, ?, 1)", [(7, "x"), (8,)])) == "08P01"


def test_many_rows_and_deletes(db: zerodb.Connection) -> None:
    """More rows than a chunk has, and more than the delta holds."""
    db.execute("create table t (id integer primary key, v integer)")
    count = 200_000
    assert db.executemany("insert into t values (?, ?)", ((i, i % 10) for i in range(count))).rowcount == count
    assert db.execute("delete from t where v = 3").rowcount == count // 10
    assert db.execute("update t set v = 100 where id < 1000").rowcount == 900
    assert db.execute("select count(*), sum(v), min(id), max(id) from t").fetchone() == (
        count - count // 10,
        900 * 100 + sum(i % 10 for i in range(1000, count) if i % 10 != 3),
        0,
        count - 1,
    )
    assert state_of(lambda: db.execute("insert into t values (77777, 1)")) == "23505"


@pytest.mark.parametrize("partitioned", [False, True])
def test_parts_of_a_statement_change_a_row_once(partitioned: bool) -> None:
    """In which order the parts run is nobody's business; but no row is there twice, and no key."""
    with zerodb.connect() as db:
        if partitioned:
            db.execute("create table t (a int primary key, b int) partition by list (a)")
            db.execute("create table t1 partition of t for values in (1)")
            db.execute("create table t2 partition of t for values in (2)")
        else:
            db.execute("create table t (a int primary key, b int)")
        db.execute("insert into t values (1, 1), (2, 2)")
        db.execute("with u as (update t set b = b + 10 returning *) update t set b = u.b + 100 from u where t.a = u.a")
        assert sorted(db.execute("select a from t").fetchall()) == [(1,), (2,)]
        db.execute("with u as (update t set b = -1 where a = 1 returning *) delete from t")
        assert len(db.execute("select a from t").fetchall()) <= 1
        db.execute("delete from t")
        db.execute("insert into t values (1, 1), (2, 2)")
        for main in (
            "merge into t using (values (1), (2)) v (x) on x = a when matched then update set b = 300",
            "merge into t using (values (1), (2)) v (x) on x = a when matched then delete",
            "insert into t values (1, 5) on conflict (a) do update set b = 300",
        ):
            with pytest.raises(zerodb.Error) as error:
                db.execute(f"with u as (update t set b = 70 where a = 1 returning *) {main}")
            assert error.value.sqlstate == "21000"
        assert sorted(db.execute("select * from t").fetchall()) == [(1, 1), (2, 2)]
        db.execute(
            """with u as (update t set b = 70 where a = 1 returning *)
            merge into t using (values (2)) v (x) on x = a when matched then update set b = 300"""
        )
        assert sorted(db.execute("select * from t").fetchall()) == [(1, 70), (2, 300)]
