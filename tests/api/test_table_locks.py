"""LOCK TABLE, advisory locks and pg_locks, with several connections. Errors and results are PostgreSQL 15's."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import zerodb
from zerodb import Connection
from zerodb.errors import Error


@pytest.fixture
def a() -> Iterator[Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.executescript(
            "create table t (id int primary key); insert into t values (1), (2);"
            "create view v as select * from t; create view w as select * from v;"
            "create materialized view m as select * from t;"
            "create table p (a int) partition by range (a); create table p1 partition of p for values from (0) to (9)"
        )
        yield connection


@pytest.fixture
def b(a: Connection) -> Iterator[Connection]:
    with a.duplicate() as connection:
        connection.execute("set lock_timeout = '30ms'")
        yield connection


def value(connection: Connection, sql: str) -> object:
    return connection.execute(sql).fetchall()[0][0]


def code(connection: Connection, sql: str) -> str:
    with pytest.raises(Error) as caught:
        connection.execute(sql)
    return caught.value.sqlstate


# --- LOCK TABLE -------------------------------------------------------------------------------------------------------


def test_lock_table_keeps_writers_out(a: Connection, b: Connection) -> None:
    a.begin()
    a.execute("lock table t in share mode")
    assert code(b, "insert into t values (3)") == "55P03"
    b.begin()
    b.execute("lock t in share mode nowait")
    b.rollback()
    b.begin()
    with pytest.raises(Error, match='could not obtain lock on relation "t"') as caught:
        b.execute("lock table t in row exclusive mode nowait")
    assert caught.value.sqlstate == "55P03"
    b.rollback()
    a.commit()
    b.execute("insert into t values (3)")


def test_a_changed_table_cannot_be_locked_meanwhile(a: Connection, b: Connection) -> None:
    a.begin()
    a.execute("insert into t values (4)")
    b.begin()
    assert code(b, "lock table t in exclusive mode") == "55P03"
    b.rollback()
    a.execute("lock table t in access exclusive mode")  # its own changes are not in its way
    a.commit()


def test_what_is_seen_after_the_lock_is_the_newest(a: Connection, b: Connection) -> None:
    """A transaction's first statement may be LOCK TABLE: its snapshot is not older than the lock."""
    b.execute("set lock_timeout = 0")
    a.begin()
    a.execute("delete from t")
    b.begin("repeatable read")
    thread = threading.Thread(target=b.execute, args=("lock table t in share mode",))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    a.commit()
    thread.join(5)
    assert value(b, "select count(*) from t") == 0
    b.commit()


def test_views_and_partitions(a: Connection, b: Connection) -> None:
    a.begin()
    a.execute("lock table w, p")
    assert code(b, "insert into t values (5)") == "55P03"
    assert code(b, "insert into p1 values (5)") == "55P03"
    a.rollback()


def test_lock_table_refuses(a: Connection) -> None:
    assert code(a, "lock table t") == "25P01"
    for sql, expected in (
        ("lock table nosuch", "42P01"),
        ("lock table m", "42809"),
        ("lock table t in no mode", "42601"),
    ):
        a.begin()
        assert code(a, sql) == expected
        a.rollback()


def test_a_read_only_transaction_may_lock(a: Connection, b: Connection) -> None:
    a.begin(read_only=True)
    a.execute("lock table t in exclusive mode")
    assert code(b, "insert into t values (6)") == "55P03"
    a.commit()
    b.execute("insert into t values (6)")


# --- advisory locks ---------------------------------------------------------------------------------------------------


def test_a_session_lock_is_counted(a: Connection, b: Connection) -> None:
    assert value(a, "select pg_advisory_lock(1)") == ""
    assert a.execute("select pg_try_advisory_lock(?)", [1]).fetchall() == [(True,)]
    assert value(a, "select pg_advisory_lock_shared(1)") == ""
    assert value(b, "select pg_try_advisory_lock_shared(1)") is False
    assert [value(a, "select pg_advisory_unlock(1)") for _ in range(3)] == [True, True, False]
    assert value(b, "select pg_try_advisory_lock(1)") is False
    assert value(b, "select pg_try_advisory_lock_shared(1)") is True
    assert code(b, "select pg_advisory_lock(1)") == "55P03"
    assert value(a, "select pg_advisory_unlock_shared(1)") is True
    assert value(b, "select pg_try_advisory_lock(1)") is True


def test_session_locks_outlive_transactions(a: Connection, b: Connection) -> None:
    a.begin()
    a.execute("select pg_advisory_lock(-5)")
    a.rollback()
    assert value(b, "select pg_try_advisory_lock(-5)") is False
    a.execute("select pg_advisory_unlock_all()")
    assert value(b, "select pg_try_advisory_lock(-5)") is True
    other = a.duplicate()
    assert value(other, "select pg_try_advisory_lock(8)") is True
    other.close()
    assert value(b, "select pg_try_advisory_lock(8)") is True


def test_locks_of_a_transaction(a: Connection, b: Connection) -> None:
    a.begin()
    a.execute("select pg_advisory_xact_lock(7)")
    a.execute("savepoint s")
    a.execute("select pg_advisory_xact_lock(1, 2)")
    assert value(b, "select pg_try_advisory_xact_lock(1, 2)") is False
    assert value(b, "select pg_try_advisory_xact_lock(4294967298)") is True  # two numbers are no one number
    a.execute("rollback to s")
    assert value(b, "select pg_try_advisory_xact_lock(1, 2)") is True
    assert value(b, "select pg_try_advisory_xact_lock(7)") is False
    a.commit()
    assert value(b, "select pg_try_advisory_xact_lock(7)") is True
    a.begin(read_only=True)
    a.execute("select pg_advisory_xact_lock(7)")
    assert value(b, "select pg_try_advisory_xact_lock(7)") is False
    a.commit()
    assert value(b, "select pg_try_advisory_xact_lock(7)") is True


def test_a_session_is_not_in_its_own_way(a: Connection) -> None:
    a.execute("select pg_advisory_lock(3)")
    a.begin()
    assert value(a, "select pg_try_advisory_xact_lock(3)") is True
    a.commit()
    assert value(a, "select pg_advisory_unlock(3)") is True


def test_a_circle_through_advisory_and_row_locks(a: Connection, b: Connection) -> None:
    b.execute("set lock_timeout = 0")
    a.execute("select pg_advisory_lock(9)")
    b.begin()
    b.execute("select * from t where id = 1 for update")
    failed: list[str] = []

    def wait() -> None:
        try:
            b.execute("select pg_advisory_lock(9)")
        except Error as error:
            failed.append(error.sqlstate)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    assert code(a, "update t set id = 10 where id = 1") == "40P01"
    a.execute("select pg_advisory_unlock_all()")
    thread.join(5)
    assert not failed
    b.rollback()


def test_what_advisory_locks_refuse(a: Connection) -> None:
    assert value(a, "select pg_advisory_lock(null)") is None
    assert code(a, "select pg_advisory_lock(id) from t") == "0A000"
    assert code(a, "select pg_advisory_lock()") == "42883"
    assert code(a, "select pg_try_advisory_lock(5000000000, 1)") == "42883"


# --- pg_locks ---------------------------------------------------------------------------------------------------------


def test_pg_locks(a: Connection, b: Connection) -> None:
    a.execute("select pg_advisory_lock(5000000000)")
    a.begin()
    a.execute("select * from t for share")
    shown = a.execute(
        "select locktype, relation::regclass::text, classid, objid, objsubid, mode, granted from pg_locks"
        " where pid = pg_backend_pid() order by 1, 2"
    ).fetchall()
    assert shown == [
        ("advisory", None, 1, 705032704, 1, "ExclusiveLock", True),
        ("relation", "t", None, None, None, "RowShareLock", True),
        ("tuple", "t", None, None, None, "RowShareLock", True),
    ]
    a.commit()
    assert value(b, "select count(*) from pg_locks") == 1
    assert value(a, "select pg_backend_pid()") != value(b, "select pg_backend_pid()")
