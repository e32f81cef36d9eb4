"""Statements by key: whatever the table has gone through, they give what the general path gives."""

from __future__ import annotations

import datetime
import decimal
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import zerodb
from zerodb.statement import PreparedStatement
from zerodb_storage import publishing

BIG = 1 << 62
KEYS = {
    "bigint": some.sampled_from([0, 1, -1, 2, 3, 5, 127, 128, 300, 70_000, BIG, -BIG]),
    "smallint": some.integers(-5, 5),
    "text": some.sampled_from(["", "a", "b", "aa", "ä", "key 17", "x" * 300]),
    "varchar(5)": some.sampled_from(["", "a", "b", "abcde"]),
    "uuid": some.sampled_from([uuid.UUID(int=n) for n in (0, 1, 1 << 127, (1 << 128) - 1)]),
    "numeric(30, 2)": some.sampled_from(
        [decimal.Decimal(n) for n in ("0", "1.5", "-1.5", "123456789012345678901234.25")]
    ),
    "date": some.sampled_from([datetime.date(2000, 1, 1), datetime.date(1969, 12, 31)]),
    "timestamp": some.sampled_from([datetime.datetime(2000, 1, 1), datetime.datetime(1969, 12, 31, 1, 2, 3, 4)]),
    "double precision": some.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")]),
    "real": some.sampled_from([0.5, -0.0, float("nan"), 16777216.0]),
    "boolean": some.booleans(),
    "bytea": some.sampled_from([b"", b"\0", b"abc"]),
}
VALUES = some.none() | some.integers(-(1 << 63), (1 << 63) - 1) | some.integers(-3, 3)
TEXTS = some.none() | some.sampled_from(["", "x", "yy", "ö" * 50])


@pytest.fixture
def db():
    with zerodb.connect(":memory:") as connection:
        yield connection


def point(connection: zerodb.Connection, sql: str, *parameters: object) -> PreparedStatement:
    """The prepared statement on its point path (not one that merely could be)."""
    statement = connection.prepare(sql)
    for _ in range(4):
        statement.execute(parameters)
    assert statement._point is not None, "not a point statement"
    statement._point._warming = -1  # it is bound for longer than one execution at once
    return statement


def agree(statement: PreparedStatement, parameters: tuple[object, ...]) -> None:
    def outcome(execute):
        try:
            cursor = execute()
            return repr(cursor.fetchall()), cursor.rowcount, cursor.description
        except zerodb.Error as error:
            return type(error), error.sqlstate, str(error)

    general = outcome(lambda: PreparedStatement.execute(statement, parameters))
    assert outcome(lambda: statement.execute(parameters)) == general


def test_a_row_is_found_missing_or_null(db):
    db.execute("create table t(id bigint primary key, v integer, name text)")
    db.executemany("insert into t values (?, ?, ?)", [(1, 10, "one"), (2, None, None)])
    statement = point(db, "select v, name, v + 1 as w from t where id = ?", 1)
    assert statement.execute((1,)).fetchone() == (10, "one", 11)
    assert statement.execute([2]).fetchall() == [(None, None, None)]
    assert statement.execute((3,)).fetchone() is None
    assert statement.execute((None,)).fetchall() == []
    cursor = statement.execute((1,))
    assert (cursor.rowcount, cursor.statusmessage) == (1, "SELECT 1")
    assert [column[0] for column in cursor.description] == ["v", "name", "w"]
    assert cursor.fetch_arrow().to_pylist() == [{"v": 10, "name": "one", "w": 11}]
    assert list(statement.execute((2,))) == [(None, None, None)]


@pytest.mark.parametrize("key", ["x", 1.5, 7.0, True, 1 << 63, 10**30, b"1", (1,), None, "1"])
def test_odd_keys_are_as_on_the_general_path(db, key):
    db.execute("create table t(id bigint primary key, v integer)")
    db.executemany("insert into t values (?, ?)", [(1, 10), (7, 70)])
    statement = point(db, "select v from t where id = ?", 1)
    agree(statement, (key,))


def test_wrong_parameters_are_errors(db):
    db.execute("create table t(id bigint primary key, v integer)")
    statement = point(db, "select v from t where id = $1", 1)
    for wrong in [(), (1, 2), {"a": 1}, "1", None]:
        with pytest.raises(zerodb.ProgrammingError):
            statement.execute(wrong)


def test_predicates_expressions_and_errors(db):
    db.execute("create table t(id bigint primary key, v integer, name text)")
    db.executemany("insert into t values (?, ?, ?)", [(i, i - 5, f"n{i}") for i in range(10)])
    for sql in (
        "select id, upper(name) || '!' from t where id = ? and v > 0",
        "select 10 / v from t where id = ?",
        "select case when v > 0 then name else 'none' end, v::numeric(10, 2) from t where id = ?",
        "select name from t where id = ? and name like '%4'",
        "select sum from (select id, v + id as sum from t) s where id = ?",
    ):
        statement = point(db, sql, 9)
        for key in range(-1, 11):
            agree(statement, (key,))


def test_composite_and_named_keys(db):
    db.execute("create table t(a integer, b text, c smallint, v text, primary key (b, a))")
    db.executemany("insert into t values (?, ?, ?, ?)", [(i % 10, f"b{i // 10}", i, f"v{i}") for i in range(100)])
    statement = (
        point(db, "select v, c from t where a = $a and b = $b", *[])
        if False
        else db.prepare("select v, c from t where a = $a and b = $b")
    )
    for _ in range(6):
        assert statement.execute({"a": 3, "b": "b4"}).fetchone() == ("v43", 43)
    assert statement._point is not None
    assert statement.execute({"a": 3, "b": "b44"}).fetchone() is None
    with pytest.raises(zerodb.ProgrammingError):
        statement.execute({"a": 3})
    assert db.prepare("select v from t where a = ?").execute((3,)).rowcount == 10


def test_transactions_and_other_connections(db):
    db.execute("create table t(id bigint primary key, v integer)")
    db.executemany("insert into t values (?, ?)", [(i, i) for i in range(10)])
    statement = point(db, "select v from t where id = ?", 1)
    other = db.duplicate()
    db.begin()
    assert statement.execute((1,)).fetchone() == (1,)
    other.execute("update t set v = 100 where id = 1")
    newest = point(other, "select v from t where id = ?", 1)
    assert newest.execute((1,)).fetchone() == (100,)
    assert statement.execute((1,)).fetchone() == (1,)  # its snapshot
    db.commit()
    assert statement.execute((1,)).fetchone() == (100,)
    db.begin()
    db.execute("update t set v = 7 where id = 1")
    assert statement.execute((1,)).fetchone() == (7,)
    assert newest.execute((1,)).fetchone() == (100,)
    db.rollback()
    assert statement.execute((1,)).fetchone() == (100,)
    other.close()


def test_definitions_make_it_anew(db):
    db.execute("create table t(id bigint primary key, v integer)")
    db.execute("insert into t values (1, 10)")
    statement = point(db, "select * from t where id = ?", 1)
    db.execute("alter table t add column w text default 'new'")
    assert statement.execute((1,)).fetchone() == (1, 10, "new")
    db.execute("drop table t")
    with pytest.raises(zerodb.ProgrammingError):
        statement.execute((1,))
    db.execute("create table t(id bigint primary key, v text)")
    db.execute("insert into t values (1, 'text')")
    assert statement.execute((1,)).fetchone() == (1, "text")
    db.close()
    with pytest.raises(zerodb.InterfaceError):
        statement.execute((1,))


def test_settings_of_the_session_count(db):
    db.execute("create table t(id bigint primary key, m timestamptz)")
    db.execute("insert into t values (1, '2000-01-01 00:00:00+00')")
    statement = db.prepare("select m::text from t where id = ?")
    for _ in range(5):
        assert statement.execute((1,)).fetchone() == ("2000-01-01 00:00:00+00",)
    db.execute("set timezone to 'America/New_York'")
    for _ in range(5):
        assert statement.execute((1,)).fetchone() == ("1999-12-31 19:00:00-05",)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(some.data())
def test_after_any_changes_the_paths_agree(data):
    before = publishing.FOLD_ROWS
    publishing.FOLD_ROWS = data.draw(some.sampled_from([8, 40, before]))
    try:
        _changes(data)
    finally:
        publishing.FOLD_ROWS = before


def _changes(data):
    type_ = data.draw(some.sampled_from(sorted(KEYS)))
    keys = KEYS[type_]
    with zerodb.connect(":memory:") as db:
        db.execute(f"create table t(k {type_} primary key, v bigint, name text, n numeric(30, 3), f real)")
        statement = db.prepare("select k, v, name, n, f, v is null from t where k = ?")
        for _ in range(data.draw(some.integers(3, 12))):
            key, action = data.draw(keys), data.draw(some.integers(0, 9))
            value, name = data.draw(VALUES), data.draw(TEXTS)
            if action < 5:
                sql = "insert into t values (?, ?, ?, 1.5, 0.1) on conflict do nothing"
                db.execute(sql, (key, value, name))
            elif action < 7:
                db.execute("update t set v = ?, name = ?, n = -n where k = ?", (value, name, key))
            elif action == 7:
                db.execute("delete from t where k = ?", (key,))
            else:
                db.execute("update t set name = name || '+'")
            if statement._point is not None:
                statement._point._warming = -1
            agree(statement, (data.draw(keys),))
            agree(statement, (key,))
        for _ in range(2):
            statement.execute((data.draw(keys),))
        assert statement._point is not None


def test_a_text_that_comes_again_is_found_by_itself(db):
    db.execute("create table t(id bigint primary key, v integer)")
    for number in range(6):
        db.execute("insert into t values (?, ?)", (number, number * 10))
    cursor = db.cursor()
    for number in range(8):
        expected = (number * 10,) if number < 6 else None
        assert db.execute("select v from t where id = ?", (number,)).fetchone() == expected
        assert cursor.execute("select v from t where id = ?", (number,)).fetchone() == expected
        assert cursor.rowcount == (number < 6)
    assert set(db._texts.found) == {"select v from t where id = ?", "insert into t values (?, ?)"}
    assert cursor.execute("insert into t values (?, ?)", (100, 1)).rowcount == 1
    assert cursor.description is None
    with pytest.raises(zerodb.ProgrammingError):
        db.execute("select v from t where id = ?", ())
    db.execute("drop table t")
    with pytest.raises(zerodb.ProgrammingError):
        db.execute("select v from t where id = ?", (1,))


@pytest.mark.parametrize("key", ["bigint", "text"])
def test_many_keys_in_one_call(db, key):
    db.execute(f"create table t(id {key} primary key, v integer, name text)")
    convert = int if key == "bigint" else "key {}".format
    db.executemany("insert into t values (?, ?, ?)", [(convert(i), i if i % 3 else None, f"n{i}") for i in range(3000)])
    db.execute("delete from t where v = 10")
    statement = db.prepare("select v, name, id from t where id = ?")
    wanted = [convert(i) for i in (5, 3, 10, 9999, 2999, *range(1500))]
    expected = [statement._execute((key,)).fetchone() for key in wanted]
    assert statement.fetch_many(wanted) == expected
    assert statement.is_point
    assert statement.fetch_many([(key,) for key in wanted]) == expected
    assert statement.fetch_many([]) == []
    assert statement.fetch_many([None, convert(1)]) == [None, (1, "n1", convert(1))]
    assert statement.execute((convert(1),)).fetchone() == (1, "n1", convert(1))
    db.begin()
    db.prepare("update t set v = 77 where id = ?").execute((convert(5),))
    assert statement.fetch_many([convert(5), convert(6)]) == [(77, "n5", convert(5)), (None, "n6", convert(6))]
    db.rollback()
    with pytest.raises(zerodb.Error):
        statement.fetch_many([convert(1), object()])
    with pytest.raises(zerodb.InterfaceError):
        db.prepare("delete from t where id = ?").fetch_many([convert(1)])


def test_many_keys_of_any_statement(db):
    db.execute("create table t(id bigint primary key, v integer)")
    db.executemany("insert into t values (?, ?)", [(i, i // 2) for i in range(20)])
    statement = db.prepare("select id from t where v = ? order by id")
    assert statement.fetch_many([3, 99, 4]) == [(6,), None, (8,)]
    composite = db.prepare("select v from t where id = $k")
    assert composite.fetch_many([{"k": 3}, {"k": 4}, {"k": 50}, {"k": 5}]) == [(1,), (2,), None, (2,)]


def test_locking_reads_lock(db):
    db.execute("create table t(id bigint primary key, v integer)")
    db.executemany("insert into t values (?, ?)", [(i, i) for i in range(5)])
    locking = db.prepare("select v from t where id = ? for update")
    for number in range(4):
        locking.execute((number,))
    other = db.duplicate()
    db.begin()
    locking.execute((1,))
    with pytest.raises(zerodb.OperationalError):
        other.execute("select v from t where id = 1 for update nowait")
    db.rollback()
    other.close()


def test_memory_of_forgotten_statements_and_transactions_comes_back(db):
    db.execute("create table t(id bigint primary key, v text)")
    db.executemany("insert into t values (?, ?)", [(i, "x") for i in range(100)])
    memory = db._database.engine.memory

    def work() -> None:
        update = db.prepare("update t set v = ? where id = ?")
        for number in range(30):
            db.begin()
            for key in range(5):
                update.execute((f"{number}", key))
            db.commit()

    work()
    work()
    before = memory.used
    for _ in range(5):
        work()
    assert memory.used < before + (1 << 20)
    statement = point(db, "select v from t where id = ?", 1)
    db.execute("drop table t")
    assert statement._point is None or statement._point.version is None
