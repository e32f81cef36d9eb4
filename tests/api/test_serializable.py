"""SERIALIZABLE on real connections: what snapshots alone let through does not commit, and what does no harm does."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import zerodb


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.executescript(
            """
            create table account (id int primary key, owner text, balance int);
            insert into account values (1, 'ann', 60), (2, 'ann', 60), (3, 'bob', 0), (4, 'cec', 5);
            create table job (id int primary key, day date, hours int);
            create view rich as select * from account where balance > 50
            """
        )
        yield connection


@pytest.fixture
def three(db: zerodb.Connection) -> Iterator[list[zerodb.Connection]]:
    with ExitStack() as stack:
        yield [stack.enter_context(db.duplicate()) for _ in range(3)]


def begin(*connections: zerodb.Connection, modes: str = "") -> None:
    for connection in connections:
        connection.execute(f"begin isolation level serializable {modes}")


def rows(connection: zerodb.Connection, sql: str) -> list[tuple[object, ...]]:
    return connection.execute(sql).fetchall()


def is_refused(connection: zerodb.Connection) -> bool:
    found: list[zerodb.Error] = []
    try:
        connection.execute("commit")
    except zerodb.OperationalError as error:
        found.append(error)
    assert all(error.sqlstate == "40001" and error.retryable for error in found)
    assert not connection.in_transaction
    return bool(found)


def fails(connection: zerodb.Connection, sql: str, sqlstate: str = "40001") -> bool:
    with pytest.raises(zerodb.Error) as caught:
        connection.execute(sql)
    return caught.value.sqlstate == sqlstate


def core(db: zerodb.Connection) -> object:
    return db._database.storage.serializable._core


# Two transactions that each read, then write. Both read before either writes. True where only one may commit.
_PAIRS = {
    "write skew": (
        ("select sum(balance) from account where owner = 'ann'", "update account set balance = -30 where id = 1"),
        ("select sum(balance) from account where owner = 'ann'", "update account set balance = -30 where id = 2"),
        True,
    ),
    "different rows": (
        ("select balance from account where id = 1", "update account set balance = 1 where id = 1"),
        ("select balance from account where id = 2", "update account set balance = 1 where id = 2"),
        False,
    ),
    "one way only": (
        ("select balance from account where id = 2", "update account set balance = 1 where id = 1"),
        ("select balance from account where id = 3", "update account set balance = 1 where id = 2"),
        False,
    ),
    "phantoms": (
        ("select sum(hours) from job where day = '2026-01-01'", "insert into job values (1, '2026-01-01', 5)"),
        ("select sum(hours) from job where day = '2026-01-01'", "insert into job values (2, '2026-01-01', 5)"),
        True,
    ),
    "phantoms that are none": (
        ("select sum(hours) from job where day = '2026-01-01'", "insert into job values (1, '2026-01-01', 5)"),
        ("select sum(hours) from job where day = '2026-01-02'", "insert into job values (2, '2026-01-02', 5)"),
        False,
    ),
    "rows that come into a range": (
        ("select count(*) from account where balance between 0 and 10", "update account set balance = 7 where id = 1"),
        ("select count(*) from account where balance between 0 and 10", "update account set balance = 8 where id = 2"),
        True,
    ),
    "beside a range": (
        ("select count(*) from account where balance between 0 and 2", "update account set balance = 70 where id = 1"),
        ("select count(*) from account where balance between 0 and 2", "update account set balance = 80 where id = 2"),
        False,
    ),
    "absent keys": (
        ("select * from job where id = 8", "insert into job values (9, null, 1)"),
        ("select * from job where id = 9", "insert into job values (8, null, 1)"),
        True,
    ),
    "views and subqueries": (
        ("select (select count(*) from rich)", "update account set balance = 0 where id = 1"),
        ("select 1 where exists (select from rich)", "update account set balance = 0 where id = 2"),
        True,
    ),
    "a rule of NULLs": (
        ("select count(*) from job where day is null", "insert into job values (1, null, 1)"),
        ("select count(*) from job where day is null", "insert into job values (2, null, 1)"),
        True,
    ),
    "reads of changes": (
        ("select 1", "update account set balance = 0 where id = 1 and exists (select from account where id = 2)"),
        ("select 1", "insert into job select id, null, balance from account where id = 1"),
        False,
    ),
    "insert select": (
        ("select 1", "insert into job select 1, null, sum(balance) from account where owner = 'ann'"),
        ("select count(*) from job", "update account set balance = 0 where id = 1"),
        True,
    ),
    "deletes": (
        ("select count(*) from account where owner = 'ann'", "delete from account where id = 1"),
        ("select count(*) from account where owner = 'ann'", "delete from account where id = 2"),
        True,
    ),
    "joins": (
        ("select * from account a join job j on j.id = a.id", "insert into job values (1, null, 1)"),
        ("select * from account a join job j on j.id = a.id", "delete from account where id = 4"),
        True,
    ),
    "truncate": (
        ("select count(*) from job", "update account set balance = 0 where id = 3"),
        ("select * from account where id = 3", "truncate job"),
        True,
    ),
    "upserts of different keys": (
        ("select 1", "insert into account values (1, '', 1) on conflict (id) do update set balance = 9"),
        ("select 1", "insert into account values (2, '', 1) on conflict (id) do update set balance = 9"),
        False,
    ),
    "upserts that do nothing": (
        ("select 1", "insert into job values (3, null, 1), (1, null, 1) on conflict do nothing"),
        ("select * from job where id = 1", "insert into job values (4, null, 1), (2, null, 1) on conflict do nothing"),
        False,
    ),
}


@pytest.mark.parametrize("name", _PAIRS)
def test_pairs(name: str, three: list[zerodb.Connection]) -> None:
    first, second, one_only = _PAIRS[name]
    a, b, _ = three
    begin(a, b)
    for connection, (read, _) in ((a, first), (b, second)):
        connection.execute(read).fetchall()
    a.execute(first[1])
    b.execute(second[1])
    assert not is_refused(a)
    assert is_refused(b) is one_only
    if one_only:  # the next attempt goes through
        begin(b)
        b.execute(second[0]).fetchall()
        b.execute(second[1])
        assert not is_refused(b)
    assert core(a).active_count == core(a).kept_count == 0  # type: ignore[attr-defined]


def test_snapshots_alone_let_write_skew_through(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    for connection, key in ((a, 1), (b, 2)):
        connection.execute("begin isolation level repeatable read")
        connection.execute("select sum(balance) from account")
        connection.execute(f"update account set balance = 0 where id = {key}")
    assert not is_refused(a)
    assert not is_refused(b)


def test_read_only_anomaly(three: list[zerodb.Connection]) -> None:
    withdraw, deposit, report = three
    begin(withdraw, deposit)
    assert rows(withdraw, "select sum(balance) from account where id in (3, 4)") == [(5,)]
    rows(deposit, "select balance from account where id = 3")
    deposit.execute("update account set balance = 20 where id = 3")
    assert not is_refused(deposit)
    begin(report, modes="read only")
    assert rows(report, "select balance from account where id in (3, 4) order by id") == [(20,), (5,)]
    assert not is_refused(report)
    assert fails(withdraw, "update account set balance = -6 where id = 4")  # at once: it could not commit any more
    assert fails(withdraw, "select 1", "25P02")


def test_the_same_without_the_report(three: list[zerodb.Connection]) -> None:
    withdraw, deposit, _ = three
    begin(withdraw, deposit)
    rows(withdraw, "select sum(balance) from account where id in (3, 4)")
    rows(deposit, "select balance from account where id = 3")
    deposit.execute("update account set balance = 20 where id = 3")
    assert not is_refused(deposit)
    withdraw.execute("update account set balance = -6 where id = 4")
    assert not is_refused(withdraw)


def test_a_report_outside_of_a_transaction_counts(three: list[zerodb.Connection]) -> None:
    withdraw, deposit, report = three
    report.execute("set default_transaction_isolation = serializable")
    begin(withdraw, deposit)
    rows(withdraw, "select sum(balance) from account where id in (3, 4)")
    rows(deposit, "select balance from account where id = 3")
    deposit.execute("update account set balance = 20 where id = 3")
    assert not is_refused(deposit)
    assert rows(report, "select balance from account where id in (3, 4) order by id") == [(20,), (5,)]
    assert fails(withdraw, "update account set balance = -6 where id = 4")  # at once: it could not commit any more
    assert fails(withdraw, "select 1", "25P02")


def test_statements_outside_of_a_transaction_run_again(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    b.execute("set default_transaction_isolation = serializable")
    begin(a)
    rows(a, "select sum(balance) from account")
    assert b.execute("update account set balance = balance + 1 where id = 4").rowcount == 1
    a.execute("update account set balance = 0 where id = 1")
    assert not is_refused(a)
    assert rows(b, "select balance from account where id in (1, 4) order by id") == [(0,), (6,)]


def test_looking_at_the_schema_takes_no_snapshot(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    b.execute("set default_transaction_isolation = serializable")
    assert b.schema("account").row_count == 4
    assert "job" in b.tables()
    assert core(b).active_count == 0  # type: ignore[attr-defined]
    a.execute("delete from account where id = 4")
    assert rows(b, "select count(*) from account") == [(3,)]


def test_deferrable_waits_for_a_safe_snapshot(three: list[zerodb.Connection]) -> None:
    writer, reader, _ = three
    begin(writer)
    rows(writer, "select * from account")
    begin(reader, modes="read only deferrable")
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(rows(reader, "select balance from account where id = 1")))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    writer.execute("update account set balance = 61 where id = 1")
    assert not is_refused(writer)
    thread.join(10)
    assert seen == [[(60,)]]
    assert not is_refused(reader)


def test_waiting_for_a_safe_snapshot_can_be_interrupted(three: list[zerodb.Connection]) -> None:
    writer, reader, _ = three
    begin(writer)
    rows(writer, "select * from account")
    begin(reader, modes="read only deferrable")
    reader.execute("set statement_timeout = '50ms'")
    with pytest.raises(zerodb.OperationalError) as caught:
        reader.execute("select 1 from account")
    assert caught.value.sqlstate == "57014"
    reader.execute("rollback")
    assert core(writer).active_count == 1  # type: ignore[attr-defined]


def test_reads_stay_after_a_rollback_to_a_savepoint(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    begin(a, b)
    for connection in (a, b):
        connection.execute("savepoint s")
        rows(connection, "select sum(balance) from account")
        connection.execute("rollback to s")
    a.execute("update account set balance = 0 where id = 1")
    b.execute("update account set balance = 0 where id = 2")
    assert not is_refused(a)
    assert is_refused(b)


def test_a_failed_insert_has_read_the_table(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    begin(a, b)
    a.execute("savepoint s")
    with pytest.raises(zerodb.IntegrityError):
        a.execute("insert into account values (4, '', 0)")
    a.execute("rollback to s")
    rows(b, "select count(*) from job")
    a.execute("insert into job values (1, null, 1)")  # because 4 was there
    b.execute("delete from account where id = 4")
    assert not is_refused(a)
    assert is_refused(b)


def test_other_levels_take_no_part(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    begin(a)
    b.execute("begin isolation level repeatable read")
    for connection in (a, b):
        rows(connection, "select sum(balance) from account")
    b.execute("update account set balance = 0 where id = 2")
    a.execute("update account set balance = 0 where id = 1")
    assert not is_refused(b)
    assert not is_refused(a)


def test_a_statement_outside_of_a_transaction_that_meets_a_conflict_runs_again(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    b.execute("set default_transaction_isolation = serializable")
    begin(a)
    a.execute("update account set balance = balance + 1 where id = 1")
    thread = threading.Thread(target=lambda: b.execute("update account set balance = balance + 1 where id = 1"))
    thread.start()
    thread.join(0.1)
    a.execute("commit")
    thread.join(10)
    assert rows(a, "select balance from account where id = 1") == [(62,)]


def test_partitions(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    a.executescript(
        """
        create table p (k int, v int) partition by range (k);
        create table p1 partition of p for values from (0) to (10);
        create table p2 partition of p for values from (10) to (20)
        """
    )
    for reads, writes, one_only in ((("p", "p"), (1, 11), True), (("p where k < 5", "p where k > 15"), (1, 11), False)):
        begin(a, b)
        for connection, what in zip((a, b), reads, strict=True):
            rows(connection, f"select sum(v) from {what}")
        for connection, key in zip((a, b), writes, strict=True):
            connection.execute("insert into p values (?, 1)", (key,))
        assert not is_refused(a)
        assert is_refused(b) is one_only


def test_a_duplicate_that_a_read_should_have_shown_is_a_conflict(three: list[zerodb.Connection]) -> None:
    a, b, _ = three
    begin(a, b)
    for connection in (a, b):
        rows(connection, "select * from job where id = 42")
    a.execute("insert into job values (42, null, 1)")
    assert not is_refused(a)
    assert fails(b, "insert into job values (42, null, 1)")
    b.execute("rollback")
    begin(a, b)
    rows(b, "select 1 from account")
    a.execute("insert into job values (43, null, 1)")
    assert not is_refused(a)
    assert fails(b, "insert into job values (43, null, 1)", "23505")
    b.execute("rollback")
    begin(a, b)
    assert rows(b, "select count(*) from job where id = 44") == [(0,)]
    b.execute("savepoint s")
    a.execute("insert into job values (44, null, 1)")
    assert not is_refused(a)
    assert fails(b, "insert into job values (44, null, 1)", "23505")
    assert fails(b, "rollback to s")  # it knows now what its snapshot does not show


# --- threads ----------------------------------------------------------------------------------------------------------


def in_threads(db: zerodb.Connection, count: int, work: object) -> list[BaseException]:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            with db.duplicate() as own:
                work(own, random.Random(number))  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_a_bank_keeps_its_invariants(db: zerodb.Connection) -> None:
    """Each owner's two accounts together are never negative, though each withdrawal looks at both and writes one."""
    db.execute("create table pair (owner int, place int, balance int, primary key (owner, place))")
    db.executemany("insert into pair values (?, ?, 50)", [(owner, place) for owner in range(4) for place in (0, 1)])
    attempts, commits = [0], [0]

    def withdraw(own: zerodb.Connection, rng: random.Random) -> None:
        for _ in range(25):
            owner, place, amount = rng.randrange(4), rng.randrange(2), rng.randrange(1, 40)
            for attempt in own.transaction("serializable", retries=200):
                with attempt:
                    attempts[0] += 1
                    total = own.execute("select sum(balance) from pair where owner = ?", (owner,)).fetchone()
                    assert total is not None
                    delta = -amount if total[0] >= amount else 50
                    own.execute(
                        "update pair set balance = balance + ? where owner = ? and place = ?", (delta, owner, place)
                    )
            commits[0] += 1

    def audit(own: zerodb.Connection, _: random.Random) -> None:
        for _ in range(40):
            with own.transaction("serializable", read_only=True, deferrable=True):
                for (total,) in own.execute("select sum(balance) from pair group by owner").fetchall():
                    assert total >= 0

    assert in_threads(db, 4, lambda own, rng: audit(own, rng) if rng.random() > 0.8 else withdraw(own, rng)) == []
    assert all(total >= 0 for (total,) in rows(db, "select sum(balance) from pair group by owner"))
    assert core(db).active_count == 0  # type: ignore[attr-defined]


def test_a_forgotten_connection_takes_its_transaction_along(path: str) -> None:
    """Else its reads would be kept, and deferrable readers wait for it, as long as the database is open."""
    with zerodb.connect(path) as db:
        db.execute("create table forgotten (id integer primary key)")
        core = db._database.storage.serializable._core
        for statement in ("select * from forgotten", "insert into forgotten values (1)"):
            other = db.duplicate()
            other.begin("serializable")
            other.execute(statement)
            assert core.active_count == 1
            del other
            gc.collect()
            end = time.monotonic() + 10
            while core.active_count and time.monotonic() < end:
                time.sleep(0.01)
            assert core.active_count == 0
        db.execute("insert into forgotten values (1)")
