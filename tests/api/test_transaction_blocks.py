"""BEGIN to ROLLBACK as PostgreSQL has them, deferrable constraints, and `db.transaction(...)`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

import zerodb
from zerodb.sessions.transactions import Backoff, Block, Modes
from zerodb_storage import locking, locks


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table t (k int primary key, v int)")
        connection.execute("insert into t values (1, 10), (2, 20)")
        yield connection


def value(db: zerodb.Connection, sql: str) -> object:
    row = db.execute(sql).fetchone()
    return row[0] if row is not None else None


def state(db: zerodb.Connection, sql: str) -> str:
    with pytest.raises(zerodb.Error) as caught:
        db.execute(sql)
    return caught.value.sqlstate


# --- statements -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "isolation", "read_only", "deferrable"),
    [
        ("begin", "repeatable read", "off", "off"),
        ("begin work read only", "repeatable read", "on", "off"),
        ("begin transaction isolation level read committed", "read committed", "off", "off"),
        ("begin deferrable, read only, isolation level serializable", "serializable", "on", "on"),
        ("start transaction read only isolation level serializable not deferrable", "serializable", "on", "off"),
        ("begin read only, read write", "repeatable read", "off", "off"),
    ],
)
def test_modes(db: zerodb.Connection, begin: str, isolation: str, read_only: str, deferrable: str) -> None:
    db.execute(begin)
    assert value(db, "show transaction_isolation") == isolation
    assert value(db, "show transaction isolation level") == isolation
    assert value(db, "show transaction_read_only") == read_only
    assert value(db, "show transaction_deferrable") == deferrable
    assert db.execute("rollback and chain").rowcount == -1
    assert value(db, "show transaction_isolation") == isolation
    assert value(db, "show transaction_deferrable") == deferrable
    db.execute("end work and no chain")
    assert not db.in_transaction


def test_a_block_that_defines_changes_what_others_have_changed(db: zerodb.Connection) -> None:
    db.execute("begin isolation level read committed")
    db.execute("create view v as select 1 as one")
    db.execute("update t set v = v + 1 where k = 1")
    with db.duplicate() as other:
        other.execute("update t set v = v + 5 where k = 2")
    db.execute("update t set v = v + 1 where k <= 2")
    assert db.execute("select * from t order by k").fetchall() == [(1, 12), (2, 26)]
    db.execute("commit")
    assert db.execute("select * from t, v order by k").fetchall() == [(1, 12, 1), (2, 26, 1)]


def test_a_statement_that_cannot_succeed_ends(db: zerodb.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running it again is no help where the newest snapshot is the one that it ran on."""

    def outdated(*_: object) -> None:
        raise locks.RowOutdated

    monkeypatch.setattr(locking, "_check_unchanged", outdated)
    db.execute("begin isolation level read committed")
    db.execute("insert into t values (3, 30)")
    assert state(db, "update t set v = 0 where v > 10") == "40001"
    db.execute("rollback")


@pytest.mark.parametrize(
    "sql",
    [
        "begin isolation level serializable,",
        "begin isolation level foo",
        "set transaction",
        "set session characteristics as transaction",
        "start",
        "commit work to x",
        "rollback to",
        "savepoint",
        "set constraints deferred",
    ],
)
def test_syntax_errors(db: zerodb.Connection, sql: str) -> None:
    assert state(db, sql) == "42601"


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("savepoint a", "25P01"),
        ("release a", "25P01"),
        ("rollback to a", "25P01"),
        ("commit and chain", "25P01"),
        ("rollback and chain", "25P01"),
        ("prepare transaction 'x'", "0A000"),
        ("commit prepared 'x'", "0A000"),
        ("rollback prepared 'x'", "0A000"),
        ("set transaction snapshot 'x'", "0A000"),
    ],
)
def test_refused_outside_of_a_transaction(db: zerodb.Connection, sql: str, sqlstate: str) -> None:
    assert state(db, sql) == sqlstate


def test_what_postgresql_only_warns_of_does_nothing(db: zerodb.Connection) -> None:
    for sql in ("commit", "rollback", "abort", "set transaction read only", "set constraints all deferred"):
        db.execute(sql)
    db.execute("begin")
    db.execute("begin isolation level serializable")
    assert value(db, "show transaction_isolation") == "serializable"
    db.execute("insert into t values (3, 30)")
    db.execute("commit")
    assert value(db, "select count(*) from t") == 3


@pytest.mark.parametrize(
    ("before", "sql"),
    [
        ("select 1", "set transaction isolation level serializable"),
        ("select 1", "set transaction deferrable"),
        ("select 1", "begin isolation level serializable"),
        ("savepoint a", "set transaction isolation level serializable"),
        ("set transaction read only; select 1", "set transaction read write"),
    ],
)
def test_modes_come_first(db: zerodb.Connection, before: str, sql: str) -> None:
    db.execute("begin")
    db.executescript(before)
    assert state(db, sql) == "25001"
    assert state(db, "select 1") == "25P02"


def test_session_characteristics(db: zerodb.Connection) -> None:
    db.execute("set session characteristics as transaction isolation level serializable, read only, deferrable")
    assert value(db, "show default_transaction_deferrable") == "on"
    db.execute("begin")
    assert value(db, "show transaction_isolation") == "serializable"
    assert state(db, "insert into t values (3, 30)") == "25006"
    db.execute("rollback")


def test_settings_of_a_transaction(db: zerodb.Connection) -> None:
    db.execute("begin")
    db.execute("set transaction_deferrable = on")
    db.execute("set local application_name = 'x'")
    db.execute("select set_config('extra_float_digits', '3', true)")
    assert value(db, "show transaction_deferrable") == "on"
    assert value(db, "show application_name") == "x"
    db.execute("commit")
    assert value(db, "show application_name") == ""
    assert value(db, "show extra_float_digits") == "1"


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("insert into t values (3, 30)", "INSERT"),
        ("with x as (select 1) update t set v = 0", "UPDATE"),
        ("create temporary table x (k int)", "CREATE TABLE"),
        ("/* x */ create unique index i on t (v)", "CREATE INDEX"),
        ("drop table t", "DROP TABLE"),
        ("truncate t", "TRUNCATE TABLE"),
        ("select nextval('s')", r"nextval\(\)"),
    ],
)
def test_read_only(db: zerodb.Connection, sql: str, name: str) -> None:
    db.execute("create sequence s")
    db.execute("begin read only")
    with pytest.raises(zerodb.Error, match=f"cannot execute {name} in a read-only transaction") as caught:
        db.execute(sql)
    assert caught.value.sqlstate == "25006"
    assert state(db, "select 1") == "25P02"
    db.execute("-- back\n rollback")
    assert not db.in_transaction


def test_numbers_of_transactions(db: zerodb.Connection) -> None:
    with db.transaction():
        assert value(db, "select txid_current_if_assigned()") is None
        first = value(db, "select txid_current()")
        assert value(db, "select txid_current_if_assigned()") == first == value(db, "select pg_current_xact_id()")
    with db.transaction():
        db.execute("insert into t values (3, 30)")
        assert value(db, "select pg_current_xact_id_if_assigned()") is not None
    assert value(db, "select txid_current() = txid_current()") is True
    assert value(db, "select txid_current()") != first
    assert state(db, "select pg_export_snapshot()") == "0A000"


def test_savepoints_of_the_same_name(db: zerodb.Connection) -> None:
    db.execute("begin")
    db.execute('savepoint "A b"')
    db.execute("delete from t where k = 1")
    db.execute('savepoint "A b"')
    db.execute("delete from t")
    db.execute('rollback work to savepoint "A b"')
    assert value(db, "select count(*) from t") == 1
    db.execute('release savepoint "A b"')
    db.execute('rollback to "A b"')
    assert value(db, "select count(*) from t") == 2
    assert state(db, "release a") == "3B001"
    db.execute("rollback")


# --- deferrable constraints -------------------------------------------------------------------------------------------


@pytest.fixture
def keys(db: zerodb.Connection) -> zerodb.Connection:
    db.executescript(
        """
        create table d (k int primary key deferrable initially deferred, v int unique deferrable, w int unique);
        create table e (k int constraint e_fkey references d (w) deferrable);
        insert into d values (1, 1, 1)
        """
    )
    return db


def test_a_deferred_key_is_checked_at_the_commit(keys: zerodb.Connection) -> None:
    keys.execute("begin")
    keys.execute("insert into d values (1, 2, 2)")
    assert value(keys, "select count(*) from d where k = 1") == 2
    with pytest.raises(zerodb.IntegrityError, match='duplicate key value violates unique constraint "d_pkey"'):
        keys.execute("commit")
    assert not keys.in_transaction
    assert value(keys, "select count(*) from d") == 1


def test_a_deferred_key_may_be_violated_in_between(keys: zerodb.Connection) -> None:
    keys.execute("begin")
    keys.execute("insert into d values (1, 2, 2), (1, 3, 3)")
    keys.execute("update d set k = v")
    keys.execute("commit")
    assert keys.execute("select k, v from d order by k").fetchall() == [(1, 1), (2, 2), (3, 3)]


def test_outside_of_a_transaction_the_statement_commits(keys: zerodb.Connection) -> None:
    assert state(keys, "insert into d values (1, 2, 2)") == "23505"
    assert state(keys, "insert into d values (2, 1, 2)") == "23505"


def test_set_constraints(keys: zerodb.Connection) -> None:
    keys.execute("begin")
    keys.execute("set constraints d_v_key, public.e_fkey deferred")
    keys.execute("insert into d values (2, 1, 2)")
    keys.execute("insert into e values (7)")
    keys.execute("savepoint a")
    assert state(keys, "set constraints d_v_key immediate") == "23505"
    keys.execute("rollback to a")
    keys.execute("update d set v = 2 where k = 2")
    keys.execute("set constraints d_v_key immediate")
    assert state(keys, "insert into d values (3, 1, 3)") == "23505"
    keys.execute("rollback to a")
    keys.execute("update d set v = 2 where k = 2")
    assert state(keys, "commit") == "23503"
    assert value(keys, "select count(*) from d") == 1


def test_set_constraints_goes_back_with_a_savepoint(keys: zerodb.Connection) -> None:
    keys.execute("begin")
    keys.execute("set constraints all deferred")
    keys.execute("savepoint a")
    keys.execute("set constraints all immediate")
    assert state(keys, "insert into e values (9)") == "23503"
    keys.execute("rollback to a")
    keys.execute("insert into e values (9)")
    keys.execute("rollback")
    assert state(keys, "insert into e values (9)") == "23503"


@pytest.mark.parametrize(("name", "sqlstate"), [("d_w_key", "42809"), ("nope", "42704")])
def test_constraints_that_cannot_be_deferred(keys: zerodb.Connection, name: str, sqlstate: str) -> None:
    keys.execute("begin")
    assert state(keys, f"set constraints {name} deferred") == sqlstate
    keys.execute("rollback")


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("insert into d values (1, 1, 1) on conflict do nothing", "55000"),
        ("insert into d values (1, 1, 1) on conflict (k) do nothing", "55000"),
        ("insert into d values (1, 1, 1) on conflict on constraint d_v_key do update set v = 3", "55000"),
        ("create table f (k int references d)", "55000"),
        ("create table f (k int references d (v))", "55000"),
        ("create table f (k int unique not deferrable initially deferred)", "42601"),
        ("create table f (k int unique deferrable not deferrable)", "42601"),
        ("create table f (k int unique initially deferred initially immediate)", "42601"),
        ("create table f (k int, check (k > 1) deferrable)", "0A000"),
        ("select k, v from d group by k", "42803"),
    ],
)
def test_what_deferrable_keys_do_not_do(keys: zerodb.Connection, sql: str, sqlstate: str) -> None:
    assert state(keys, sql) == sqlstate


def test_conflicts_by_a_key_that_is_not_deferrable(keys: zerodb.Connection) -> None:
    keys.execute("insert into d values (2, 2, 1) on conflict (w) do update set v = 5")
    assert keys.execute("select * from d").fetchall() == [(1, 5, 1)]


def test_the_catalog_shows_deferrable_constraints(keys: zerodb.Connection) -> None:
    found = keys.execute(
        "select conname, condeferrable, condeferred, pg_get_constraintdef(oid) from pg_constraint"
        " where conname in ('d_pkey', 'd_v_key', 'e_fkey') order by 1"
    ).fetchall()
    assert found == [
        ("d_pkey", True, True, "PRIMARY KEY (k) DEFERRABLE INITIALLY DEFERRED"),
        ("d_v_key", True, False, "UNIQUE (v) DEFERRABLE"),
        ("e_fkey", True, False, "FOREIGN KEY (k) REFERENCES d(w) DEFERRABLE"),
    ]
    keys.execute("alter table d rename constraint d_pkey to d_key")
    keys.execute("create table copy (like d including all)")
    assert (
        value(
            keys, "select count(*) from pg_index where indrelid in ('d'::regclass, 'copy'::regclass) and indimmediate"
        )
        == 2
    )


def test_another_transaction_takes_the_key_first(keys: zerodb.Connection) -> None:
    other = keys.duplicate()
    with other:
        keys.execute("begin")
        keys.execute("insert into d values (2, 2, 2)")
        keys.execute("set constraints all immediate")
        other.execute("begin")
        other.execute("insert into d values (2, 3, 3)")  # deferred: it waits for nobody
        keys.execute("commit")
        assert state(other, "commit") == "23505"


# --- db.transaction ---------------------------------------------------------------------------------------------------


def conflict() -> zerodb.Error:
    return zerodb.OperationalError("could not serialize access", sqlstate="40001", retryable=True)


def test_a_block_commits_or_rolls_back(db: zerodb.Connection) -> None:
    with db.transaction("serializable") as tx:
        tx.execute("insert into t values (3, 30)")
        assert value(db, "show transaction_isolation") == "serializable"
    with pytest.raises(KeyError), db.transaction():
        db.execute("insert into t values (4, 40)")
        raise KeyError
    assert value(db, "select count(*) from t") == 3
    with db.transaction("serializable", read_only=True, deferrable=True):
        assert value(db, "show transaction_deferrable") == "on"


def test_a_block_runs_again_after_a_conflict(db: zerodb.Connection) -> None:
    slept: list[float] = []
    chances = iter([0.5, 0.25, 0.5])
    block = Block(db, Modes(), 5, Backoff(sleep=slept.append, chance=lambda: next(chances)))
    attempts = 0
    for attempt in block:
        with attempt as tx:
            attempts += 1
            tx.execute("update t set v = v + 1 where k = 1")
            if attempts < 4:
                raise conflict()
    assert attempts == 4
    assert slept == [0.001, 0.001, 0.004]
    assert value(db, "select v from t where k = 1") == 11


def test_the_last_conflict_and_other_errors_come_out(db: zerodb.Connection) -> None:
    quick = Backoff(sleep=lambda _: None)
    attempts = 0
    with pytest.raises(zerodb.OperationalError, match="could not serialize"):
        for attempt in Block(db, Modes(), 2, quick):
            with attempt:
                attempts += 1
                raise conflict()
    assert attempts == 3
    with pytest.raises(zerodb.DataError):
        for attempt in Block(db, Modes(), 2, quick):
            with attempt:
                attempts += 1
                db.execute("select 1 / 0")
    assert attempts == 4
    assert not db.in_transaction


def test_functions_as_transactions(db: zerodb.Connection) -> None:
    failures = [conflict(), conflict()]

    @db.transaction("serializable", retries=3)
    def raise_by(amount: int, *, key: int) -> int:
        """Adds to a value."""
        db.execute("update t set v = v + ? where k = ?", (amount, key))
        if failures:
            raise failures.pop()
        return amount

    assert raise_by(5, key=2) == 5
    assert raise_by.__doc__ == "Adds to a value."
    assert value(db, "select v from t where k = 2") == 25
    assert db.transaction(retries=1).run(lambda tx: tx.execute("select max(v) from t").fetchone()) == (25,)


def test_wrong_uses_of_blocks(db: zerodb.Connection) -> None:
    with pytest.raises(zerodb.Error, match="must not be negative"):
        db.transaction(retries=-1)
    with pytest.raises(zerodb.InterfaceError, match="was not used"):
        for _ in db.transaction(retries=3):
            pass


def meet(db: zerodb.Connection, between: str, *, read: str, retries: int = 3) -> list[object]:
    """A with block that reads, then meets a conflict: another connection changes the row that it updates."""
    with db.duplicate() as other, db.transaction("serializable", retries=retries):
        seen = db.execute(read).fetchall()
        other.execute(between)
        changed = db.execute("update t set v = v + 1 where k = 1").rowcount
    return [seen, changed]


def test_a_with_block_whose_statements_run_again(db: zerodb.Connection) -> None:
    assert meet(db, "update t set v = 100 where k = 1", read="select v from t where k = 2") == [[(20,)], 1]
    assert value(db, "select v from t where k = 1") == 101
    assert db._recorder is None


def test_a_with_block_that_has_read_what_was_changed(db: zerodb.Connection) -> None:
    with pytest.raises(zerodb.OperationalError, match="for attempt in") as caught:
        meet(db, "update t set v = 100 where k = 1", read="select v from t")
    assert caught.value.sqlstate == "40001"
    assert not db.in_transaction
    assert value(db, "select v from t where k = 1") == 100


def test_a_with_block_without_retries_left(db: zerodb.Connection) -> None:
    with pytest.raises(zerodb.OperationalError, match="could not serialize"):
        meet(db, "update t set v = 100 where k = 1", read="select v from t where k = 2", retries=0)


def test_a_with_block_that_conflicts_at_its_commit(db: zerodb.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    monkeypatch.setattr(Backoff, "wait", lambda _, number: waits.append(number))
    row = [7, 70]
    with db.duplicate() as other, db.transaction("serializable", retries=2):
        assert value(db, "select count(*) from t where v > 5") == 2
        db.execute("insert into t values (?, ?)", row)
        row[:] = [8, 80]  # the statement keeps what it was given
        other.begin("serializable")
        other.execute("select count(*) from t where k = 7")
        other.execute("update t set v = 11 where k = 1")
        other.commit()
    assert db.execute("select * from t order by k").fetchall() == [(1, 11), (2, 20), (7, 70)]
    assert waits == [1]


def test_savepoints_and_errors_of_a_block_are_repeated(db: zerodb.Connection) -> None:
    with db.duplicate() as other, db.transaction(retries=2):
        db.execute("savepoint a")
        with pytest.raises(zerodb.IntegrityError):
            db.execute("insert into t values (2, 0)")
        db.execute("rollback to a")
        db.executemany("insert into t values (?, 0)", [(3,), (4,)])
        other.execute("update t set v = 100 where k = 1")
        db.execute("update t set v = v + 1 where k = 1")
    assert db.execute("select * from t order by k").fetchall() == [(1, 101), (2, 20), (3, 0), (4, 0)]


def test_a_swallowed_error_does_not_commit(db: zerodb.Connection) -> None:
    with pytest.raises(zerodb.Error) as caught, db.transaction():
        db.execute("insert into t values (3, 30)")
        with pytest.raises(zerodb.DataError):
            db.execute("select 1 / 0")
    assert caught.value.sqlstate == "25P02"
    assert value(db, "select count(*) from t") == 2


def test_deadlocks_are_conflicts(db: zerodb.Connection) -> None:
    met = threading.Barrier(2, timeout=5)

    def both(first: int, second: int) -> None:
        with db.duplicate() as own:
            for attempt in own.transaction(retries=20):
                with attempt:
                    own.execute("update t set v = v + 1 where k = ?", (first,))
                    with contextlib.suppress(threading.BrokenBarrierError):
                        met.wait()
                    own.execute("update t set v = v + 1 where k = ?", (second,))

    threads = [threading.Thread(target=both, args=keys) for keys in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    threads[0].join(1)
    met.abort()
    for thread in threads:
        thread.join()
    assert db.execute("select v from t order by k").fetchall() == [(12,), (22,)]


def test_threads_count_together(db: zerodb.Connection) -> None:
    def count() -> None:
        with db.duplicate() as own:
            for _ in range(20):
                for attempt in own.transaction("serializable", retries=100):
                    with attempt:
                        v = value(own, "select v from t where k = 1")
                        assert isinstance(v, int)
                        own.execute("update t set v = ? where k = 1", (v + 1,))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(db, "select v from t where k = 1") == 90
