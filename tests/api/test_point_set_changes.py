"""UPDATE and DELETE of a few rows within a transaction, on the short way: a database that takes them so is at every
moment as one that takes them the general way."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import zerodb
from zerodb.points.point_set_changes import SetChangeStatement
from zerodb.statement import PreparedStatement
from zerodb_compiler.codegen.point_set_changes import MOST_CHANGED
from zerodb_storage import publishing

TABLE = "create table t(a integer, b integer, name text, v integer, primary key (a, b))"
INDEX = "create index t_name on t(name)"
INSERT = "insert into t values (?, ?, ?, ?)"
UPDATE = "update t set v = v + ?, name = name || ? where a = ?"
RENAME = "update t set name = ? where name = ? and v < ?"
DELETE = "delete from t where a = ? and b > ?"
ONE = "update t set v = ? where a = ? and b = ?"
COUNT = "update t set v = v + ? where a = ? and b = ? returning v, name || '!' as n, a"
GONE = "delete from t where a = ? and v > ? returning b, name, v - 1"
ROWS = "select b, name, v from t where a = ? order by b"
SAMPLES = {
    INSERT: (9, 9, "x", 1),
    UPDATE: (1, "", 9),
    RENAME: ("y", "x", 0),
    DELETE: (9, 9),
    ONE: (1, 9, 9),
    COUNT: (1, 9, 9),
    GONE: (9, 9),
    ROWS: (9,),
}


def table(connection: zerodb.Connection) -> None:
    connection.execute(TABLE)
    connection.execute(INDEX)
    # Layouts stay the same when values become NULL or grow.
    connection.executemany(INSERT, [(i % 4, i, f"n{i % 3}", i) for i in range(24)])
    connection.execute("insert into t values (100, 100000, null, 100000), (101, 1, null, null)")


def points(connection: zerodb.Connection) -> dict[str, PreparedStatement]:
    made = {sql: connection.prepare(sql) for sql in SAMPLES}
    for statement in made.values():
        statement.make_point()
        assert statement._point is not None, statement.sql
        statement._point._warming = -1
    return made


def rows(connection: zerodb.Connection) -> list[tuple[object, ...]]:
    return connection.execute("select * from t order by a, b").fetchall()


@pytest.fixture
def db():
    with zerodb.connect(":memory:") as connection:
        table(connection)
        yield connection


def test_rows_are_changed_seen_and_undone(db):
    made = points(db)
    assert all(isinstance(made[sql]._point, SetChangeStatement) for sql in (UPDATE, RENAME, DELETE))
    before = rows(db)
    db.begin()
    cursor = made[UPDATE].execute((100, "!", 1))
    assert (cursor.rowcount, cursor.statusmessage) == (6, "UPDATE 6")
    assert made[ROWS].execute((1,)).fetchall()[:2] == [(1, "n1!", 101), (5, "n2!", 105)]
    assert made[UPDATE].execute((1, "?", 1)).rowcount == 6
    made[INSERT].execute((1, 50, "n0", 0))
    made[ONE].execute((7, 1, 5))
    assert made[DELETE].execute((1, 9)).statusmessage == "DELETE 4"
    assert made[ROWS].execute((1,)).fetchall() == [(1, "n1!?", 102), (5, "n2!?", 7), (9, "n0!?", 110)]
    assert made[INSERT].execute((1, 13, "again", 0)).rowcount == 1
    assert made[RENAME].execute(("n1", "again", 5)).rowcount == 1
    assert made[UPDATE].execute((1, "", 77)).rowcount == 0
    assert all(made[sql]._point.refusals == 0 for sql in (UPDATE, RENAME, DELETE))
    changed = rows(db)
    assert changed[6:10] == [(1, 1, "n1!?", 102), (1, 5, "n2!?", 7), (1, 9, "n0!?", 110), (1, 13, "n1", 0)]
    db.rollback()
    assert rows(db) == before
    assert db.check() == []


def test_returning(db):
    made = points(db)
    assert all(isinstance(made[sql]._point, SetChangeStatement) for sql in (COUNT, GONE))
    db.begin()
    cursor = made[COUNT].execute((100, 1, 5))
    assert (cursor.rowcount, cursor.statusmessage) == (1, "UPDATE 1")
    assert [column[0] for column in cursor.description] == ["v", "n", "a"]
    assert cursor.fetchall() == [(105, "n2!", 1)]
    assert made[COUNT].execute((100, 1, 5)).fetchone() == (205, "n2!", 1)
    assert made[COUNT].execute((100, 1, 6)).fetchall() == []
    cursor = made[GONE].execute((1, 16))
    assert (cursor.rowcount, cursor.statusmessage) == (3, "DELETE 3")
    assert sorted(cursor.fetchall()) == [(5, "n2", 204), (17, "n2", 16), (21, "n0", 20)]
    assert made[ROWS].execute((1,)).fetchall() == [(1, "n1", 1), (9, "n0", 9), (13, "n1", 13)]
    assert all(made[sql]._point.refusals == 0 for sql in (COUNT, GONE))
    db.rollback()
    assert made[COUNT].execute((1, 1, 5)).fetchall() == [(6, "n2!", 1)]  # in autocommit


def test_room_for_many_and_long_texts(db):
    made = points(db)
    db.begin()
    for b in range(MOST_CHANGED - 6):
        made[INSERT].execute((2, 1000 + b, "x" * (b * 5), 0))
    for _ in range(6):  # the last ones of 85,000 bytes together
        assert made[UPDATE].execute((1, "y" * 200, 2)).rowcount == MOST_CHANGED
    update = made[UPDATE]._point
    assert update.refusals == 0
    made[INSERT].execute((2, 5000, "", 0))
    assert made[UPDATE].execute((1, "", 2)).rowcount == MOST_CHANGED + 1
    assert update.refusals == 1
    db.commit()
    lengths = db.execute("select distinct length(name) - (b - 1000) * 5 from t where a = 2 and b between 1000 and 2000")
    assert lengths.fetchall() == [(1200,)]
    assert db.execute("select sum(v) from t where a = 2 and b >= 1000").fetchone() == (7 * (MOST_CHANGED - 6) + 1,)
    assert db.check() == []


def test_an_error_changes_nothing(db):
    made = points(db)
    db.begin()
    made[ONE].execute((2**31 - 1, 3, 23))
    db.execute("savepoint s")
    with pytest.raises(zerodb.DataError):
        made[UPDATE].execute((1, "", 3))
    db.execute("rollback to s")
    assert [row[2] for row in made[ROWS].execute((3,)).fetchall()] == [3, 7, 11, 15, 19, 2**31 - 1]


def test_the_first_committer_wins(db):
    made, other = points(db), db.duplicate()
    for level, outcome in (("repeatable read", "40001"), ("read committed", 6)):
        db.begin(isolation=level)
        made[ROWS].execute((1,))
        other.execute("update t set v = v + 1000 where a = 1 and b = 17")
        if outcome == "40001":
            with pytest.raises(zerodb.Error) as raised:
                made[UPDATE].execute((1, "", 1))
            assert raised.value.sqlstate == "40001"
            db.rollback()
        else:
            assert made[UPDATE].execute((1, "", 1)).rowcount == outcome
            db.commit()
    assert db.execute("select v from t where b = 17").fetchone() == (17 + 2000 + 1,)
    other.close()


def test_sums_stay_among_threads_and_merges(db, monkeypatch):
    monkeypatch.setattr(publishing, "FOLD_ROWS", 100)
    before = db.execute("select sum(v) from t where a < 4").fetchone()

    def work(seed: int) -> None:
        own = db.duplicate()
        made = points(own)
        for turn in range(40):
            a, b = (turn + seed) % 4, (turn * 3 + seed + 1) % 4
            with suppress(zerodb.OperationalError), own.transaction(retries=30):
                made[UPDATE].execute((turn, "", a))
                if b != a:
                    made[UPDATE].execute((-turn, "", b))
                else:
                    made[UPDATE].execute((-turn, "", a))
        own.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.execute("select sum(v) from t where a < 4").fetchone() == before
    assert db.check() == []


_A, _NAME = some.integers(0, 3), some.none() | some.sampled_from(["n0", "n1", "x"])
_ACTION = some.one_of(
    some.tuples(some.just(INSERT), _A, some.integers(0, 30), _NAME, some.integers(0, 5)),
    some.tuples(some.just(UPDATE), some.integers(-3, 3), some.sampled_from(["", "x"]) | some.none(), _A),
    some.tuples(some.just(RENAME), _NAME, _NAME, some.integers(0, 30)),
    some.tuples(some.just(DELETE), _A, some.integers(0, 30)),
    some.tuples(some.just(COUNT), some.integers(-3, 3), _A, some.integers(0, 23)),
    some.tuples(some.just(GONE), _A, some.integers(0, 30)),
    some.tuples(some.just(ONE), some.integers(0, 5), _A, some.integers(0, 23)),
    some.tuples(some.just("other"), _A, some.integers(0, 23)),
    some.tuples(
        some.sampled_from(
            [
                *("begin", "begin", "begin isolation level read committed", "commit", "rollback"),
                *(
                    "savepoint a",
                    "rollback to a",
                    "update t set v = 0 where v > 20",
                    "delete from t where b = 7",
                    "merge",
                ),
            ]
        )
    ),
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(some.lists(_ACTION, min_size=5, max_size=40), some.sampled_from(["snapshot", "read committed"]))
def test_any_history_is_as_on_the_general_path(actions, level):
    with zerodb.connect(":memory:") as fast, zerodb.connect(":memory:") as plain:
        for connection in (fast, plain):
            table(connection)
        short, general = points(fast), {sql: plain.prepare(sql) for sql in SAMPLES}
        others = fast.duplicate(), plain.duplicate()

        def outcome(connection, number, sql, values):
            try:
                if sql == "merge":
                    storage = connection._database.storage
                    storage.merger.merge(storage.snapshot().tables["t"].id)
                    return None
                if sql == "other":
                    others[number].execute("update t set v = 1, name = 'n1' where a = ? and b = ?", values)
                    return None
                if sql not in SAMPLES:
                    cursor = connection.execute(sql)
                elif number:
                    cursor = PreparedStatement._execute(general[sql], values)
                else:
                    cursor = short[sql].execute(values)
                rows_of = None if cursor.description is None else sorted(cursor.fetchall(), key=repr)
                return cursor.rowcount, cursor.statusmessage, rows_of
            except zerodb.Error as error:
                return error.sqlstate

        locked = False  # by the transaction: then others would wait
        for sql, *values in actions:
            if sql == "other" and locked:
                continue
            if sql in SAMPLES and not fast.in_transaction:
                fast.begin(isolation=level)
                plain.begin(isolation=level)
            ours, theirs = (outcome(db, n, sql, tuple(values)) for n, db in enumerate((fast, plain)))
            assert ours == theirs, (sql, values)
            if fast._session.is_failed:
                fast.rollback()
                plain.rollback()
            locked = fast.in_transaction and (locked or sql not in ("other", "merge"))
            for a in range(4):
                assert short[ROWS].execute((a,)).fetchall() == general[ROWS]._execute((a,)).fetchall()
            if not fast.in_transaction:
                assert rows(fast) == rows(plain)
        for connection in (*others, fast, plain):
            connection.rollback()
        assert rows(fast) == rows(plain)
        assert fast.check() == []
