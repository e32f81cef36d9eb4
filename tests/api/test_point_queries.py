"""Point queries: what they find is, at every moment, what the general path finds."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import zerodb
from zerodb.points import point_queries
from zerodb.points.point_queries import QueryStatement
from zerodb.statement import PreparedStatement
from zerodb_compiler.codegen import point_query as code
from zerodb_storage import publishing

TABLE = (
    "create table t(a integer, b integer, name text, v numeric(12, 2), x double precision, d date, primary key (a, b))"
)
INDEX = "create index t_name on t(name, v desc)"
SELECTS = {
    "select b, name, v, x, d from t where a = ?": "a",
    "select b from t where a = ? and b > 2 order by b desc limit 2": "a",
    "select name, b from t where a = ? order by name nulls first, v, b limit 3 offset 1": "a",
    "select count(*), sum(v), min(name), max(x), count(distinct name) from t where a = ?": "a",
    "select name, count(*), sum(v) from t where a = ? group by name having count(*) > 0 order by name": "a",
    "select distinct name from t where a = ?": "a",
    "select a, b, v * 2, upper(name) from t where name = ? order by a, b": "name",
    "select count(*) from t where name = ? and v = ?": "name v",
    "select max(b) from t where name = ? and a <> 1": "name",
}


@pytest.fixture
def db():
    with zerodb.connect(":memory:") as connection:
        connection.execute(TABLE)
        connection.execute(INDEX)
        yield connection


def point(connection: zerodb.Connection, sql: str, parameters: tuple[object, ...]) -> PreparedStatement:
    statement = connection.prepare(sql)
    for _ in range(3):
        statement.execute(parameters)
    assert isinstance(statement._point, QueryStatement), "not a point query"
    statement._point._warming = -1
    return statement


def merge(connection: zerodb.Connection) -> None:
    storage = connection._database.storage
    storage.merger.merge(storage.snapshot().tables["t"].id)


def sample(wanted: str) -> tuple[object, ...]:
    return {"a": (1,), "name": ("n1",), "name v": ("n1", 1)}[wanted]


def both(statement: PreparedStatement, parameters: tuple[object, ...]) -> None:
    """The two paths give the same rows, in the same order where one is asked for."""
    theirs = statement._execute(parameters).fetchall()
    if statement._point is None:  # compiled anew, for another layout
        statement.make_point()
    query = statement._point
    assert isinstance(query, QueryStatement)
    refusals = query.refusals
    ours = query.run(parameters).fetchall()
    assert query.refusals == refusals
    if "order by" in statement.sql:
        assert ours == theirs, statement.sql
    else:
        assert Counter(ours) == Counter(theirs), statement.sql


def test_rows_of_segments_delta_and_the_transaction(db):
    db.executemany(
        "insert into t values (?, ?, ?, ?, ?, ?)", [(i % 5, i, f"n{i % 3}", i, i / 2, None) for i in range(90)]
    )
    statements = {sql: point(db, sql, sample(wanted)) for sql, wanted in SELECTS.items()}

    def compare():
        for sql, wanted in SELECTS.items():
            both(statements[sql], sample(wanted))
            both(statements[sql], (None,) * sql.count("?"))

    compare()
    merge(db)
    compare()
    insert, update = (
        db.prepare("insert into t values (?, ?, ?, ?, ?, ?)"),
        db.prepare("update t set name = ? where a = ? and b = ?"),
    )
    delete = db.prepare("delete from t where a = ? and b = ?")
    db.begin()
    insert.execute((1, 1000, "n1", 5, None, None))
    update.execute(("n1", 1, 6))
    update.execute((None, 1, 11))
    delete.execute((1, 16))
    compare()
    db.execute("savepoint s")
    insert.execute((1, 1001, "n1", 1, None, None))
    update.execute(("other", 1, 1000))
    delete.execute((1, 21))
    insert.execute((1, 21, "n1", 1, None, None))
    compare()
    db.execute("update t set v = v + 1 where b > 40")
    compare()
    db.execute("rollback to s")
    compare()
    db.commit()
    compare()
    assert db.check() == []


def test_the_shapes_of_results(db):
    db.executemany(
        "insert into t values (1, ?, ?, 1.5, 0.5, date '2020-01-02')", [(i, "é" * i or None) for i in range(4)]
    )
    select = point(db, "select b, name, v, x, d from t where a = ? order by b", (1,))
    cursor = select.execute((1,))
    assert [column[0] for column in cursor.description] == ["b", "name", "v", "x", "d"]
    assert (cursor.rowcount, cursor.statusmessage) == (4, "SELECT 4")
    assert cursor.fetchone()[:2] == (0, None)
    assert len(cursor.fetchmany(2)) == 2
    assert cursor.fetch_arrow().to_pylist()[0]["name"] == "ééé"
    assert select.execute((9,)).fetchall() == []
    assert [row[0] for row in select.execute((1,))] == [0, 1, 2, 3]


def test_too_many_rows_go_the_general_way(db, monkeypatch):
    monkeypatch.setattr(point_queries, "PAUSE", 5)
    many = code.MOST_ROWS + 1
    db.execute(f"insert into t select i, i, 'x', 1, 1, null from generate_series(2, {many}) s(i)")
    db.execute(f"insert into t select 1, i, repeat('long', 100), 1, 1, null from generate_series(1, {many}) s(i)")
    select = point(db, "select count(*) from t where a = ?", (2,))
    for _ in range(30):
        assert select.execute((1,)).fetchone() == (many,)
    assert 8 <= select._point.refusals <= 24
    listing = point(db, "select name from t where a = ? and b > ?", (2, 1))
    assert len(listing.execute((1, many - 1000)).fetchall()) == 1000
    assert listing._point.refusals == 1


def test_what_only_the_host_can_give_goes_the_general_way(db):
    """The interpreter could let another thread run meanwhile, which might change what the function reads."""
    db.execute("insert into t values (1, 1, 'x', 1, 1, null), (1, 2, 'y', 1, 1, null)")
    match = point(db, "select b from t where a = ? and name ~ ?", (1, "x|z"))
    assert match.execute((1, "x|z")).fetchall() == [(1,)]
    assert match.execute((1, "y+")).fetchall() == [(2,)]
    assert match._point.refusals > 0


def test_errors_are_those_of_the_general_path(db):
    db.execute("insert into t values (1, 0, 'x', 0, 0, null)")
    divide = point(db, "select 1 / b from t where a = ?", (2,))
    with pytest.raises(zerodb.DataError, match="division by zero"):
        divide.execute((1,))
    limited = point(db, "select b from t where a = ? limit ?", (1, 1))
    with pytest.raises(zerodb.Error, match="LIMIT must not be negative"):
        limited.execute((1, -1))
    assert limited.execute((1, 1)).fetchall() == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "select b from t where b = ?",
        "select t.b from t join t as u using (a, b) where t.a = ?",
        "select b, row_number() over (order by b) from t where a = ?",
        "select b from t where a > ?",
        "select b from t where a = ? for update",
        "select random() from t where a = ?",
    ],
)
def test_what_is_none(db, sql):
    select = db.prepare(sql)
    for _ in range(3):
        select.execute((1,))
    assert not isinstance(select._point, QueryStatement)


def test_definitions_under_a_statement(db):
    select = point(db, "select * from t where name = ?", ("n",))
    db.execute("insert into t values (1, 2, 'n', 3, 4, null)")
    assert len(select.execute(("n",)).fetchone()) == 6
    db.execute("drop index t_name")
    assert len(select.execute(("n",)).fetchall()) == 1
    db.execute("alter table t add column z integer default 8")
    assert select.execute(("n",)).fetchone()[-1] == 8
    db.execute("drop table t")
    with pytest.raises(zerodb.Error, match="does not exist"):
        select.execute(("n",))


def test_readers_beside_writers_and_merges(db, monkeypatch):
    """Each group's rows always have the sum 0, and there are always four."""
    monkeypatch.setattr(publishing, "FOLD_ROWS", 60)
    db.executemany("insert into t values (?, ?, ?, 0, 0, null)", [(a, b, f"n{a}") for a in range(8) for b in range(4)])
    ended = threading.Event()
    failures: list[object] = []

    def write(seed: int) -> None:
        own = db.duplicate()
        update = own.prepare("update t set v = v + ? where a = ? and b = ?")
        delete, insert = (
            own.prepare("delete from t where a = ? and b = ?"),
            own.prepare("insert into t values (?, ?, ?, ?, 0, null)"),
        )
        for turn in range(60):
            a = (turn * 3 + seed) % 8
            with suppress(zerodb.OperationalError), own.transaction(retries=20):
                update.execute((1, a, 0))
                update.execute((-1, a, 1))
                if turn % 3 == 0:
                    (v,) = own.execute("select v from t where a = ? and b = 2", (a,)).fetchone()
                    delete.execute((a, 2))
                    insert.execute((a, 2, f"n{a}", v))
        own.close()

    def read() -> None:
        own = db.duplicate()
        by_key = own.prepare("select count(*), sum(v) from t where a = ?")
        by_name = own.prepare("select v, b from t where name = ? order by b")
        turn = 0
        while not ended.is_set():
            turn += 1
            if (found := by_key.execute((turn % 8,)).fetchone()) != (4, 0):
                failures.append(found)
            rows = by_name.execute((f"n{turn % 8}",)).fetchall()
            if sum(row[0] for row in rows) or [row[1] for row in rows] != [0, 1, 2, 3]:
                failures.append(rows)
        own.close()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    for thread in readers:
        thread.join()
    assert failures == []


_NAME = some.none() | some.sampled_from(["n0", "n1", ""])
_KEY = some.tuples(some.integers(0, 2), some.integers(0, 5))
_ACTION = some.one_of(
    some.tuples(some.just("insert into t values (?, ?, ?, ?, ?, null)"), _KEY, _NAME, some.integers(0, 3)),
    some.tuples(some.just("update t set name = ?, v = v + ? where a = ? and b = ?"), _KEY, _NAME, some.integers(0, 3)),
    some.tuples(some.just("delete from t where a = ? and b = ?"), _KEY),
    some.tuples(some.just("other"), _KEY, _NAME, some.integers(0, 3)),
    some.tuples(
        some.sampled_from(
            [
                *(
                    "begin",
                    "begin isolation level read committed",
                    "commit",
                    "rollback",
                    "savepoint s",
                    "rollback to s",
                ),
                *("update t set v = 0, name = 'n1' where b > 3", "delete from t where a = 2", "fold"),
                "insert into t select a + 1, b, name, v, x, d from t where a < 2 on conflict do nothing",
            ]
        )
    ),
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(some.lists(_ACTION, min_size=5, max_size=30))
def test_any_history(actions):
    with zerodb.connect(":memory:") as db:
        db.execute(TABLE)
        db.execute(INDEX)
        db.executemany("insert into t values (?, ?, ?, ?, 0, null)", [(i % 3, i, f"n{i % 2}", i) for i in range(6)])
        other = db.duplicate()
        some_of = {sql: wanted for number, (sql, wanted) in enumerate(SELECTS.items()) if number in (0, 2, 4, 6)}
        selects = {sql: point(db, sql, sample(wanted)) for sql, wanted in some_of.items()}
        prepared: dict[str, PreparedStatement] = {}
        for sql, *values in actions:
            with suppress(zerodb.Error):
                match sql:
                    case "fold":
                        merge(db)
                    case "other":
                        (a, b), name, v = values
                        other.execute("update t set name = ?, v = ? where a = ? and b = ?", (name, v, a, b))
                    case _ if not values:
                        db.execute(sql)
                    case _:
                        statement = prepared.setdefault(sql, db.prepare(sql))
                        match sql.split()[0], values:
                            case "insert", ((a, b), name, v):
                                statement.execute((a, b, name, v, v / 2))
                            case "update", ((a, b), name, v):
                                statement.execute((name, v, a, b))
                            case "delete", ((a, b),):
                                statement.execute((a, b))
            if db._session.is_failed:
                db.rollback()
            for sql, wanted in some_of.items():
                both(selects[sql], sample(wanted))
        other.close()
        db.rollback()
        assert db.check() == []


def test_rows_that_were_replaced_after_a_savepoint_are_back_after_a_rollback_to_it(db):
    db.execute("insert into t select 2, i, 'x', i, null, null from generate_series(0, 99) s(i)")
    select = point(db, "select b, name from t where a = ? order by b", (1,))
    insert, update = (
        db.prepare("insert into t values (1, ?, ?, 1, 1, null)"),
        db.prepare("update t set name = ? where a = ? and b = ?"),
    )
    delete = db.prepare("delete from t where a = ? and b = ?")
    for statement in (insert, update, delete):
        statement.make_point()
        statement._point._warming = -1
    db.begin()
    for b in range(3):
        insert.execute((b, "first"))
    db.execute("savepoint s")
    update.execute(("second", 1, 0))
    update.execute(("third", 1, 0))
    delete.execute((1, 1))
    assert select.execute((1,)).fetchall() == [(0, "third"), (2, "first")]
    db.execute("rollback to s")
    assert select.execute((1,)).fetchall() == [(0, "first"), (1, "first"), (2, "first")]
    update.execute(("fourth", 1, 1))
    assert select.execute((1,)).fetchall() == [(0, "first"), (1, "fourth"), (2, "first")]
    assert db.execute("select b, name from t where a = 1 order by b").fetchall() == [
        (0, "first"),
        (1, "fourth"),
        (2, "first"),
    ]
