"""Transactions of several connections at a time: who waits for whom, and who sees what."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import zerodb

Pair = tuple[zerodb.Connection, zerodb.Connection]


@pytest.fixture
def pair(path: str) -> Iterator[Pair]:
    with zerodb.connect(path) as one, zerodb.connect(path) as two:
        one.execute("create table t (id integer primary key, n integer, u integer unique)")
        one.execute("insert into t values (1, 10, 100), (2, 20, 200), (3, 30, 300)")
        one.execute("create table child (id integer primary key, parent integer references t)")
        yield one, two


class Running:
    """A statement on a thread of its own."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.error: zerodb.Error | None = None
        self._run = run
        self._thread = threading.Thread(target=self._go)
        self._thread.start()

    def _go(self) -> None:
        try:
            self._run()
        except zerodb.Error as error:
            self.error = error

    @property
    def waits(self) -> bool:
        time.sleep(0.1)
        return self._thread.is_alive()

    def result(self) -> str | None:
        """The SQLSTATE that it ended with; None if it succeeded."""
        self._thread.join(10)
        assert not self._thread.is_alive()
        return None if self.error is None else self.error.sqlstate


def rows(db: zerodb.Connection, table: str = "t") -> list[tuple[object, ...]]:
    return db.execute(f"select * from {table} order by 1").fetchall()


def test_different_rows_are_in_nobodys_way(pair: Pair) -> None:
    one, two = pair
    one.begin()
    two.begin()
    one.execute("update t set n = 11 where id = 1")
    two.execute("update t set n = 21 where id = 2")
    two.execute("insert into t values (4, 40, 400)")
    one.execute("insert into t values (5, 50, 500)")
    one.execute("delete from t where id = 3")
    two.commit()
    assert rows(one) == [(1, 11, 100), (2, 20, 200), (5, 50, 500)]
    one.commit()
    assert rows(two) == [(1, 11, 100), (2, 21, 200), (4, 40, 400), (5, 50, 500)]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("level", ["read committed", "snapshot", "serializable"])
def test_the_same_row_is_waited_for(pair: Pair, level: str, commits: bool) -> None:
    one, two = pair
    one.begin(level)
    two.begin(level)
    two.execute("select count(*) from t").fetchall()
    one.execute("update t set n = n + 1 where id = 1")
    update = Running(lambda: two.execute("update t set n = n + 5 where id = 1"))
    assert update.waits
    one.commit() if commits else one.rollback()
    if commits and level != "read committed":
        assert update.result() == "40001"
        two.rollback()
        assert rows(two)[0] == (1, 11, 100)
    else:
        assert update.result() is None
        two.commit()
        assert rows(one)[0] == (1, 16 if commits else 15, 100)


def test_autocommitted_statements_run_again(pair: Pair) -> None:
    one, two = pair
    one.begin()
    one.execute("update t set n = 0, id = 7 where id = 1")
    update = Running(lambda: two.execute("update t set n = n + 5 where id in (1, 7)"))
    assert update.waits
    one.commit()
    assert update.result() is None
    assert rows(one)[-1] == (7, 5, 100)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("level", ["read committed", "snapshot"])
def test_the_same_key_is_waited_for(pair: Pair, level: str, commits: bool) -> None:
    one, two = pair
    one.begin(level)
    two.begin(level)
    one.execute("insert into t values (4, 1, 400)")
    insert = Running(lambda: two.execute("insert into t values (5, 2, 400)"))
    assert insert.waits
    one.commit() if commits else one.rollback()
    assert insert.result() == ("23505" if commits else None)


@pytest.mark.parametrize("commits", [True, False])
def test_a_key_that_goes_is_waited_for(pair: Pair, commits: bool) -> None:
    one, two = pair
    one.begin()
    one.execute("delete from t where id = 3")
    insert = Running(lambda: two.execute("insert into t values (3, 2, 400)"))
    assert insert.waits
    one.commit() if commits else one.rollback()
    assert insert.result() == (None if commits else "23505")


@pytest.mark.parametrize("level", ["read committed", "snapshot"])
def test_on_conflict_looks_at_what_was_committed(pair: Pair, level: str) -> None:
    one, two = pair
    one.begin(level)
    two.begin(level)
    two.execute("select 1 from t").fetchall()
    one.execute("insert into t values (4, 1, 400)")
    upsert = "insert into t values (4, 1, 400) on conflict (id) do update set n = t.n + 1"
    insert = Running(lambda: two.execute(upsert))
    assert insert.waits
    one.commit()
    assert insert.result() == (None if level == "read committed" else "40001")
    two.commit()
    assert rows(one)[-1] == (4, 2 if level == "read committed" else 1, 400)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("level", ["read committed", "snapshot"])
def test_parents_stay_while_children_come(pair: Pair, level: str, commits: bool) -> None:
    one, two = pair
    two.begin(level)
    two.execute("select 1 from t").fetchall()
    one.begin(level)
    one.execute("insert into child values (1, 2)")
    delete = Running(lambda: two.execute("delete from t where id = 2"))
    assert delete.waits
    one.commit() if commits else one.rollback()
    expected = None if not commits else "23503" if level == "read committed" else "40001"
    assert delete.result() == expected


def test_children_wait_for_parents_that_go(pair: Pair) -> None:
    one, two = pair
    one.begin()
    one.execute("delete from t where id = 2")
    insert = Running(lambda: two.execute("insert into child values (1, 2)"))
    assert insert.waits
    one.commit()
    assert insert.result() == "23503"


def test_deadlock(pair: Pair) -> None:
    one, two = pair
    one.begin("read committed")
    two.begin("read committed")
    one.execute("update t set n = 0 where id = 1")
    two.execute("update t set n = 0 where id = 2")
    update = Running(lambda: one.execute("update t set n = 1 where id = 2"))
    assert update.waits
    with pytest.raises(zerodb.OperationalError) as caught:
        two.execute("update t set n = 1 where id = 1")
    assert caught.value.sqlstate == "40P01"
    assert caught.value.retryable
    assert update.result() is None
    one.commit()
    two.rollback()
    assert rows(two)[:2] == [(1, 0, 100), (2, 1, 200)]


def test_definitions_wait_for_writers(pair: Pair) -> None:
    one, two = pair
    one.begin()
    one.execute("insert into t values (4, 1, 400)")
    alter = Running(lambda: two.execute("alter table t add column x integer default 7"))
    assert alter.waits
    one.commit()
    assert alter.result() is None
    assert rows(one)[-1] == (4, 1, 400, 7)
    two.begin()
    two.execute("alter table t drop column x")
    insert = Running(lambda: one.execute("insert into t values (5, 1, 500)"))
    assert insert.waits
    two.commit()
    assert insert.result() is None
    assert rows(two)[-1] == (5, 1, 500)


def test_a_wait_ends_by_timeout_and_interrupt(pair: Pair) -> None:
    one, two = pair
    one.begin()
    one.execute("update t set n = 0 where id = 1")
    two.execute("set lock_timeout = '50ms'")
    with pytest.raises(zerodb.OperationalError) as caught:
        two.execute("delete from t where id = 1")
    assert caught.value.sqlstate == "55P03"
    two.execute("set lock_timeout = 0")
    delete = Running(lambda: two.execute("delete from t where id = 1"))
    assert delete.waits
    two.interrupt()
    assert delete.result() == "57014"
    one.commit()


def test_read_committed_sees_others_beside_its_own(pair: Pair) -> None:
    one, two = pair
    one.begin("read committed")
    one.execute("insert into t values (4, 40, 400)")
    one.execute("savepoint s")
    one.execute("delete from t where id = 4")
    one.execute("update t set n = 11 where id = 1")
    two.execute("insert into t values (5, 50, 500)")
    two.execute("delete from t where id = 2")
    assert rows(one) == [(1, 11, 100), (3, 30, 300), (5, 50, 500)]
    one.execute("rollback to s")
    assert rows(one) == [(1, 10, 100), (3, 30, 300), (4, 40, 400), (5, 50, 500)]
    one.commit()
    assert rows(two) == [(1, 10, 100), (3, 30, 300), (4, 40, 400), (5, 50, 500)]


@pytest.mark.parametrize("level", ["read committed", "snapshot"])
def test_counters_lose_nothing(path: str, level: str) -> None:
    with zerodb.connect(path, synchronous="normal") as db:
        db.execute("create table c (id integer primary key, n integer)")
        db.execute("insert into c select g, 0 from generate_series(1, 4) g")

        def count(number: int) -> None:
            with zerodb.connect(path) as own:
                done = 0
                while done < 40:
                    try:
                        with own.transaction(level):
                            own.execute("select sum(n) from c").fetchall()
                            own.execute("update c set n = n + 1 where id = ?", [1 + (done + number) % 4])
                        done += 1
                    except zerodb.OperationalError as error:
                        assert error.retryable, error  # noqa: PT017 - the error decides whether to go on

        threads = [threading.Thread(target=count, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db.execute("select sum(n) from c").fetchone() == (160,)
        assert db.check() == []


def test_readers_of_old_and_new_versions_in_turn(path: str) -> None:
    """Rows go from chunks whose masks are in linear memory already: what an older snapshot reads stays."""
    with zerodb.connect(path) as db, db.duplicate() as writer, db.duplicate() as old:
        db.execute("create table t (id int primary key, v int)")
        db.execute("insert into t select g, 1 from generate_series(0, 139999) g")
        total, count = "select sum(v) from t", "select count(*) from t"
        hide = writer.prepare("delete from t where id = ?")
        move = writer.prepare("update t set v = v + ? where id = ?")
        expected, there = 140000, 140000
        for turn in range(6):
            old.begin("repeatable read")
            before = (expected, there)
            assert (old.execute(total).fetchone(), old.execute(count).fetchone()) == ((expected,), (there,))
            for step in range(7):
                row = 20000 * step + turn
                hide.execute((row,))
                move.execute((10, row + 50))
                expected, there = expected + 9, there - 1
                assert (db.execute(total).fetchone(), db.execute(count).fetchone()) == ((expected,), (there,))
                if step % 3 == 0:
                    found = old.execute(total).fetchone(), old.execute(count).fetchone()
                    assert found == ((before[0],), (before[1],))
            with pytest.raises(zerodb.Error), writer.transaction():  # comes to nothing
                writer.execute("delete from t where id % 1000 = 999")
                writer.execute("select 1 / 0")
            old.rollback()
        assert db.execute("select sum(v), count(*) from t").fetchone() == (expected, there)


def test_reading_threads_beside_writers(path: str) -> None:
    """Each reader's binding of the table is of another version than its neighbours'."""
    with zerodb.connect(path, threads=1) as db:
        db.execute("create table t (id int primary key, v int)")
        db.execute("insert into t select g, 1 from generate_series(0, 199999) g")
        stop, errors = threading.Event(), []

        def guarded(work: Callable[[zerodb.Connection], None]) -> None:
            with db.duplicate() as connection:
                try:
                    while not stop.is_set():
                        work(connection)
                except BaseException as error:
                    errors.append(error)
                    stop.set()

        def read(connection: zerodb.Connection) -> None:
            assert connection.execute("select sum(v), count(*) from t").fetchone() == (200000, 200000)

        def read_twice(connection: zerodb.Connection) -> None:
            with connection.transaction("repeatable read"):
                before = connection.execute("select sum(id * v) from t").fetchone()
                assert connection.execute("select sum(v) from t").fetchone() == (200000,)
                assert connection.execute("select sum(id * v) from t").fetchone() == before

        def write(connection: zerodb.Connection) -> None:
            one, two = random.sample(range(200000), 2)
            with connection.transaction(retries=9):
                connection.execute("update t set v = v + 1 where id = ?", (one,))
                connection.execute("update t set v = v - 1 where id = ?", (two,))

        works = (read, read, read, read_twice, write, write)
        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        stop.wait(2)
        stop.set()
        for thread in threads:
            thread.join()
        assert not errors
        waiting = db._database.engine.bindings._spare.values()
        assert all(not spare.users for spares in waiting for spare in spares)
        write(db)
        read(db)
