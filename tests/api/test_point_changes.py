"""Changes by key: a database that takes them on the point path is at every moment as one that takes them the general
way."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import zerodb
from zerodb.points.point_changes import ChangeStatement
from zerodb.statement import PreparedStatement
from zerodb_storage import lookup, publishing

TABLE = "create table t(id bigint primary key, v integer, name text, n numeric(30, 2))"
INSERT = "insert into t values (?, ?, ?, 1.5)"
UPDATE = "update t set v = v + ?, name = ? where id = ?"
DELETE = "delete from t where id = ?"
SELECT = "select v, name, n from t where id = ?"


@pytest.fixture
def db():
    with zerodb.connect(":memory:") as connection:
        yield connection


def prepared(connection: zerodb.Connection, sql: str, *parameters: object) -> PreparedStatement:
    """A statement that has been made a point statement (by executions that are undone)."""
    statement = connection.prepare(sql)
    connection.begin()
    for _ in range(3):
        connection.execute("savepoint s")
        statement.execute(parameters)
        connection.execute("rollback to s")
    connection.rollback()
    assert statement._point is not None, "not a point statement"
    statement._point._warming = -1  # it is bound for longer than one execution at once
    return statement


def rows(connection: zerodb.Connection) -> list[tuple[object, ...]]:
    return connection.execute("select * from t order by 1").fetchall()


def test_changes_in_a_transaction_are_seen_and_undone(db):
    db.execute(TABLE)
    db.executemany(INSERT, [(i, i, f"n{i}") for i in range(5)])
    insert = prepared(db, INSERT, 100, 1, "x")
    update = prepared(db, UPDATE, 1, "y", 1)
    delete = prepared(db, DELETE, 1)
    select = prepared(db, SELECT, 1)
    assert isinstance(update._point, ChangeStatement)
    before = rows(db)
    db.begin()
    assert (update.execute((10, "new", 1)).rowcount, update.execute((10, None, 99)).rowcount) == (1, 0)
    assert update.execute((10, "newer", 1)).statusmessage == "UPDATE 1"
    assert select.execute((1,)).fetchone()[:2] == (21, "newer")
    assert delete.execute((2,)).rowcount == 1
    assert delete.execute((2,)).rowcount == 0
    assert select.execute((2,)).fetchone() is None
    assert insert.execute((2, 7, "again")).statusmessage == "INSERT 0 1"
    assert insert.execute((50, None, None)).rowcount == 1
    assert select.execute((50,)).fetchone()[:2] == (None, None)
    assert db.execute("select count(*), sum(v) from t").fetchone() == (6, 0 + 21 + 7 + 3 + 4)
    assert update.execute((1, "after", 50)).rowcount == 1
    assert update.execute((1, "after", 2)).rowcount == 1
    assert delete.execute((50,)).rowcount == 1
    changed = rows(db)
    assert [row[:3] for row in changed] == [
        (0, 0, "n0"), (1, 21, "newer"), (2, 8, "after"), (3, 3, "n3"), (4, 4, "n4"),
    ]  # fmt: skip
    db.rollback()
    assert rows(db) == before


def test_savepoints(db):
    db.execute(TABLE)
    db.executemany(INSERT, [(i, i, f"n{i}") for i in range(5)])
    update, select = prepared(db, UPDATE, 1, "y", 1), prepared(db, SELECT, 1)
    insert = prepared(db, INSERT, 100, 1, "x")
    db.begin()
    update.execute((1, "a", 1))
    db.execute("savepoint one")
    update.execute((1, "b", 1))
    insert.execute((9, 9, "nine"))
    db.execute("savepoint two")
    update.execute((1, "c", 1))
    update.execute((1, "c", 9))
    assert select.execute((1,)).fetchone()[:2] == (4, "c")
    db.execute("rollback to two")
    assert select.execute((1,)).fetchone()[:2] == (3, "b")
    assert select.execute((9,)).fetchone()[:2] == (9, "nine")
    db.execute("rollback to one")
    assert select.execute((1,)).fetchone()[:2] == (2, "a")
    assert select.execute((9,)).fetchone() is None
    insert.execute((9, 1, "once more"))
    db.execute("update t set v = v + 100")
    assert select.execute((9,)).fetchone()[:2] == (101, "once more")
    update.execute((1, "d", 9))
    db.commit()
    assert [row[1] for row in rows(db)] == [100, 102, 102, 103, 104, 102]


@pytest.mark.parametrize("inside", [False, True])
def test_errors_are_those_of_the_general_path(db, inside):
    db.execute("create table t(id bigint primary key, v integer not null, name varchar(3))")
    db.execute("insert into t values (1, 2147483647, 'one')")
    insert = db.prepare("insert into t values (?, ?, ?)")
    update = db.prepare("update t set v = v + ?, name = ? where id = ?")
    for number in range(4):
        insert.execute((10 + number, 1, "x"))
        update.execute((1, "y", 10 + number))
    assert insert._point is not None
    assert update._point is not None

    def fails(sqlstate, statement, *parameters):
        if inside:
            db.begin()
            insert.execute((500, 1, "x"))
        with pytest.raises(zerodb.Error) as error:
            statement.execute(parameters)
        assert error.value.sqlstate == sqlstate
        if inside:
            db.rollback()

    before = rows(db)
    fails("23505", insert, 1, 1, "x")
    fails("23505", insert, 11, 1, "x")
    fails("23502", insert, 2, None, "x")
    fails("23502", insert, None, 1, "x")
    fails("22001", insert, 2, 1, "long")
    fails("22003", update, 1, "x", 1)
    fails("23502", update, None, "x", 1)
    fails("22001", update, -1, "long", 1)
    assert insert.execute((2, 1, "äöü")).rowcount == 1
    db.execute("delete from t where id = 2")
    assert rows(db) == before
    if inside:
        db.begin()
        insert.execute((500, 1, "x"))
        fails_once = pytest.raises(zerodb.IntegrityError)
        with fails_once:
            insert.execute((500, 1, "x"))
        db.rollback()


@pytest.mark.parametrize(
    "definition",
    [
        "id bigint primary key, v integer check (v < 100)",
        "id bigint primary key, v integer unique",
        "id bigint primary key, v integer references other",
        "id bigint primary key, v integer generated always as (id * 2) stored",
        "id bigint primary key, v integer, w serial",
    ],
)
def test_what_has_more_to_check_goes_the_general_way(db, definition):
    db.execute("create table other(id integer primary key)")
    db.execute(f"create table t({definition})")
    given = "" if "generated" in definition else ", v"
    insert = db.prepare(f"insert into t(id{given}) values (?{', ?' if given else ''})")
    for number in range(4):
        insert.execute((number, None) if given else (number,))
    assert insert._point is None


def test_deletes_of_referenced_rows_go_the_general_way(db):
    db.execute("create table t(id integer primary key, v integer)")
    db.execute("create table child(id integer references t on delete cascade)")
    delete, update = db.prepare("delete from t where id = ?"), db.prepare("update t set v = 1 where id = ?")
    for number in range(4):
        delete.execute((number,))
        update.execute((number,))
    assert delete._point is None
    assert update._point is not None


def test_writers_wait_for_each_other_and_conflict(db):
    db.execute(TABLE)
    db.executemany(INSERT, [(i, 0, "") for i in range(5)])
    other = db.duplicate()
    ours, theirs = prepared(db, UPDATE, 1, "", 1), prepared(other, UPDATE, 1, "", 1)
    db.begin()
    ours.execute((1, "ours", 1))
    other.begin()
    theirs.execute((1, "theirs", 2))
    waiting = threading.Thread(target=lambda: outcome.append(_error(lambda: theirs.execute((1, "theirs", 1)))))
    outcome: list[str | None] = []
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    db.commit()
    waiting.join(20)
    assert outcome == ["40001"]
    other.rollback()
    assert theirs.execute((1, "theirs", 1)).rowcount == 1
    assert rows(db)[1][1:3] == (2, "theirs")
    # Others' commits to other rows are no conflict.
    db.begin()
    ours.execute((1, "ours", 3))
    theirs.execute((1, "theirs", 4))
    ours.execute((1, "ours", 0))
    db.commit()
    assert [row[2] for row in rows(db)] == ["ours", "theirs", "", "ours", "theirs"]
    other.close()


def _error(run):
    try:
        run()
    except zerodb.Error as error:
        return error.sqlstate
    return None


def test_a_key_inserted_by_two_is_there_once(db):
    db.execute(TABLE)
    other = db.duplicate()
    ours, theirs = prepared(db, INSERT, 100, 1, ""), prepared(other, INSERT, 100, 1, "")
    db.begin()
    ours.execute((1, 1, "ours"))
    outcome: list[str | None] = []
    waiting = threading.Thread(target=lambda: outcome.append(_error(lambda: theirs.execute((1, 1, "theirs")))))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    db.commit()
    waiting.join(20)
    assert outcome == ["23505"]
    assert [row[2] for row in rows(db)] == ["ours"]
    other.close()


def test_counters_of_many_threads(db):
    db.execute(TABLE)
    db.executemany(INSERT, [(i, 0, "") for i in range(3)])

    def work(number: int) -> None:
        own = db.duplicate()
        update = own.prepare("update t set v = v + 1 where id = ?")
        for turn in range(60):
            update.execute(((number + turn) % 3,))
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row[1] for row in rows(db)] == [80, 80, 80]


def test_threads_that_add_and_remove_the_same_keys(db):
    """Each key is added, and removed, by exactly one of those who try; most of them find the table moved on."""
    db.execute(TABLE)
    added: list[list[int]] = [[] for _ in range(6)]
    removed: list[list[int]] = [[] for _ in range(6)]

    def work(number: int) -> None:
        own = db.duplicate()
        insert, delete = own.prepare(INSERT), own.prepare(DELETE)
        for key in range(150):
            with suppress(zerodb.IntegrityError):
                insert.execute((key, number, f"by {number}"))
                added[number].append(key)
            if key >= 10 and delete.execute((key - 10,)).rowcount:
                removed[number].append(key - 10)
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = [row[0] for row in rows(db)]
    come, gone = sorted(itertools.chain(*added)), sorted(itertools.chain(*removed))
    assert sorted([*left, *gone]) == come, "what came is there or was removed, once each"
    assert len(set(left)) == len(left)
    assert {row[0]: row[1] for row in rows(db)} == {
        key: number for number, keys in enumerate(added) for key in keys if key in left
    }


def test_a_temporary_table_takes_the_name_over(db):
    """Also where the table beneath has changed by nothing but rows since the statement was bound."""
    db.execute("create table t(id bigint primary key, v bigint)")
    other = db.duplicate()
    insert, theirs = db.prepare("insert into t values (?, 1)"), other.prepare("insert into t values (?, 1)")
    for key in range(100):
        insert.execute((key,))
        theirs.execute((1000 + key,))
    db.execute("create temporary table t(id bigint primary key, v bigint)")
    insert.execute((500,))
    theirs.execute((5000,))
    insert.execute((501,))
    assert db.execute("select id from pg_temp.t order by id").fetchall() == [(500,), (501,)]
    assert db.execute("select count(*), max(id) from public.t").fetchall() == [(201, 5000)]
    db.execute("drop table pg_temp.t")
    insert.execute((502,))
    assert db.execute("select count(*) from public.t where id = 502").fetchall() == [(1,)]
    other.close()


@given(some.lists(some.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=3))
def test_the_digest_of_a_key_is_storages(keys):
    import numpy as np

    from zerodb.points.point_changes import integer_digest
    from zerodb_storage.values import Form, Values

    columns = [Values(Form.INT, np.array([key], np.int64)) for key in keys]
    assert integer_digest(keys) == int(lookup.digests_of(columns).view(np.int64)[0])


KEY = some.integers(0, 6)
TEXT = some.none() | some.sampled_from(["", "a", "some longer text " * 30])
ACTION = some.one_of(
    some.tuples(some.just(INSERT), KEY, some.integers(-5, 5) | some.none(), TEXT),
    some.tuples(some.just(UPDATE), some.integers(-5, 5) | some.just(1 << 30), TEXT, KEY),
    some.tuples(some.just(DELETE), KEY),
    some.tuples(some.just(SELECT), KEY),
    some.tuples(
        some.sampled_from(
            [
                *("begin", "commit", "rollback", "savepoint a", "savepoint b", "rollback to a", "rollback to b"),
                *("update t set v = 0 where v > 3", "delete from t where id > 4", "select sum(v) from t"),
                "begin isolation level read committed",
                "insert into t select id + 10, v, name, n from t where id < 3 on conflict do nothing",
            ]
        )
    ),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(some.lists(ACTION, min_size=10, max_size=40), some.sampled_from([10, 1 << 17]))
def test_any_history_is_as_on_the_general_path(actions, fold_rows):
    before, publishing.FOLD_ROWS = publishing.FOLD_ROWS, fold_rows
    try:
        with zerodb.connect(":memory:") as fast, zerodb.connect(":memory:") as plain:
            _compare(fast, plain, actions)
    finally:
        publishing.FOLD_ROWS = before


def _compare(fast: zerodb.Connection, plain: zerodb.Connection, actions: list[tuple[object, ...]]) -> None:
    sample = {INSERT: (1000, 1, ""), UPDATE: (1, "", 1000), DELETE: (1000,), SELECT: (1000,)}
    for connection in (fast, plain):
        connection.execute(TABLE)
        connection.executemany(INSERT, [(i, i, f"n{i}") for i in range(3)])
    points = {sql: prepared(fast, sql, *values) for sql, values in sample.items()}
    generals = {sql: plain.prepare(sql) for sql in sample}

    def outcome(run):
        try:
            cursor = run()
            return cursor.fetchall() if cursor.description is not None else (cursor.rowcount, cursor.statusmessage)
        except zerodb.Error as error:
            return error.sqlstate

    for sql, *parameters in actions:
        if sql in sample:
            ours = outcome(lambda s=sql, p=parameters: points[s].execute(p))
            theirs = outcome(lambda s=sql, p=parameters: PreparedStatement.execute(generals[s], p))
        else:
            ours, theirs = outcome(lambda s=sql: fast.execute(s)), outcome(lambda s=sql: plain.execute(s))
        assert ours == theirs, (sql, parameters)
    for connection in (fast, plain):
        connection.rollback()
    assert rows(fast) == rows(plain)
    assert fast.check() == []


@pytest.mark.parametrize("inside", [False, True])
def test_executemany_of_changes_by_key(db, inside):
    db.execute(TABLE)
    db.executemany(INSERT, [(i, i, f"n{i}") for i in range(200)])
    if inside:
        db.begin()
    assert db.executemany(UPDATE, [(1, "new", i) for i in range(100, 300)]).rowcount == 100
    assert db.executemany(DELETE, [(i,) for i in range(100)]).statusmessage == "DELETE 100"
    with pytest.raises(zerodb.DataError):
        db.executemany(UPDATE, [*((1, "more", i) for i in range(100, 150)), (2**31 - 1, "too much", 150)])
    if inside:
        with pytest.raises(zerodb.Error):
            db.execute("select 1")
        db.rollback()
        assert rows(db)[0][:3] == (0, 0, "n0")
    else:
        assert [row[:3] for row in rows(db)] == [(i, i + 1, "new") for i in range(100, 200)]


def test_commits_of_one_row_are_there_after_reopening(tmp_path):
    path = str(tmp_path / "db")
    sql = "insert into t values (?, ?, ?, ?, ?, ?, ?, ?)"
    columns = "a smallint, b numeric(38, 3), c real, d double precision, e boolean, f uuid, g text"
    big, identity = Decimal("-12345678901234567890123456789012345.125"), UUID(int=(1 << 128) - 5)
    expected = {}
    with zerodb.connect(path) as db:
        db.execute(f"create table t(id bigint primary key, {columns})")
        db.executemany(sql, [(i, i, i, i, i, True, UUID(int=i), f"word {i % 7}") for i in range(2000)])
        db.execute("update t set a = 1 where id < 1000")
        expected = {row[0]: row for row in rows(db)}
        insert = db.prepare(sql)
        update = db.prepare("update t set a = ?, b = ?, g = ? where id = ?")
        delete = db.prepare("delete from t where id = ?")
        for key in range(10_000, 10_040):
            number = big if key % 2 else Decimal(key)
            text = None if key % 5 == 0 else f"word {key % 11}"
            row = (key, key % 100, number, 0.5, float("inf"), key % 3 == 0, identity if key % 2 else None, text)
            assert insert.execute(row).rowcount == 1
            expected[key] = row
        for key in range(900, 960):
            assert update.execute((key % 7, big, f"word {key % 13}", key)).rowcount == 1
            expected[key] = (key, key % 7, big, *expected[key][3:7], f"word {key % 13}")
        for key in range(0, 2000, 50):
            assert delete.execute((key,)).rowcount == 1
            del expected[key]
        assert insert._point is not None
        assert update._point is not None
        assert delete._point is not None
        assert {row[0]: row for row in rows(db)} == expected
        assert db.check() == []
    with zerodb.connect(path) as db:
        assert {row[0]: row for row in rows(db)} == expected
        assert db.check() == []
        with pytest.raises(zerodb.IntegrityError):
            db.execute(sql, (10_001, None, None, None, None, None, None, None))


def test_deferred_foreign_keys_see_rows_inserted_by_key(db):
    db.execute("create table parent(id integer primary key, v integer)")
    db.execute("create table child(id integer references parent deferrable initially deferred)")
    insert = db.prepare("insert into parent values (?, ?)")
    for number in range(4):
        insert.execute((number, 1))
    assert insert._point is not None
    db.begin()
    insert.execute((50, 1))
    db.execute("insert into child values (100)")
    insert.execute((100, 1))
    db.commit()
    db.begin()
    db.execute("insert into child values (101)")
    insert.execute((101, 1))
    db.execute("set constraints all immediate")
    db.commit()
    assert db.execute("select count(*) from child").fetchone() == (2,)


def test_a_layout_that_only_a_transaction_had_is_not_compiled_in(db):
    db.execute("create table t(id bigint primary key, v bigint, name text, n numeric(30, 2))")
    db.executemany(INSERT, [(i, i % 100, "x") for i in range(300)])
    update, select = db.prepare("update t set v = ? where id = ?"), db.prepare(SELECT)
    db.begin()
    for _ in range(3):
        update.execute((1 << 60, 7))
        select.execute((7,))
    db.rollback()
    for number in range(4):
        assert select.execute((250 + number,)).fetchone()[0] == (250 + number) % 100
        update.execute((5, number))
    db.begin()
    assert update.execute((6, 260)).rowcount == 1
    assert select.execute((261,)).fetchone()[0] == 61
    db.commit()
    assert [row[1] for row in rows(db)][255:262] == [55, 56, 57, 58, 59, 6, 61]
