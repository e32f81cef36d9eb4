"""INSERT into tables without a primary key: rows are there as if the general path had put them in."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import zerodb
from zerodb.points.point_changes import ChangeStatement
from zerodb_storage import publishing

TABLE = "create table h(a integer, b text, n numeric(12, 2), t timestamp not null)"
INSERT = "insert into h values (?, ?, ?, '2020-01-01 00:00:00')"
ALL = "select a, b, n from h order by a nulls first, b nulls first, n"


def inserting(connection, sql=INSERT, parameters=(1, "x", Decimal("1.5"))):
    statement = connection.prepare(sql)
    with connection.transaction():
        connection.execute("savepoint s")
        for _ in range(3):
            statement.execute(parameters)
        connection.execute("rollback to s")
    assert isinstance(statement._point, ChangeStatement)
    statement._point._warming = -1
    return statement


def test_rows_are_added_undone_and_kept(tmp_path):
    with zerodb.connect(tmp_path / "d") as db:
        db.execute(TABLE)
        insert = inserting(db)
        insert.execute((1, "one", Decimal("2.25")))
        db.begin()
        insert.execute((2, None, None))
        db.execute("savepoint a")
        insert.execute((3, "three", Decimal(3)))
        db.execute("rollback to a")
        insert.execute((2, None, None))
        assert db.execute("select count(*) from h").fetchone() == (3,)
        db.execute("update h set b = 'was null' where b is null")
        insert.execute((4, "x", Decimal(4)))
        db.commit()
        db.begin()
        insert.execute((5, "gone", None))
        db.rollback()
        expected = [
            (1, "one", Decimal("2.25")),
            (2, "was null", None),
            (2, "was null", None),
            (4, "x", Decimal("4.00")),
        ]
        assert db.execute(ALL).fetchall() == expected
        assert db.check() == []
    with zerodb.connect(tmp_path / "d") as db:
        assert db.execute(ALL).fetchall() == expected


def test_what_is_not_plain_is_as_on_the_general_path():
    with zerodb.connect(":memory:") as db:
        db.execute("create table h(a smallint not null, b varchar(3))")
        insert = inserting(db, "insert into h values (?, ?)", (1, "x"))
        for values, state in (((None, "x"), "23502"), ((1 << 20, "x"), "22003"), ((1, "abcd"), "22001")):
            with pytest.raises(zerodb.errors.DatabaseError) as raised:
                insert.execute(values)
            assert raised.value.sqlstate == state
        db.execute("alter table h add column c integer default 7")
        insert.execute((1, "x"))
        assert db.execute("select * from h").fetchall() == [(1, "x", 7)]


@pytest.mark.parametrize(
    "definition",
    ["a integer, b integer unique", "a integer, b integer check (b > 0)", "a integer, b integer references k(id)"],
)
def test_tables_with_more_to_check_go_the_general_way(definition):
    with zerodb.connect(":memory:") as db:
        db.execute("create table k(id integer primary key)")
        db.execute(f"create table h({definition})")
        insert = db.prepare("insert into h values (?, null)")
        for _ in range(3):
            insert.execute((1,))
        assert insert._point is None


def test_many_threads_and_merges(monkeypatch):
    monkeypatch.setattr(publishing, "FOLD_ROWS", 50)
    with zerodb.connect(":memory:") as db:
        db.execute(TABLE)

        def work(number):
            with db.duplicate() as own:
                insert = own.prepare(INSERT)
                for i in range(100):
                    if i % 3:
                        insert.execute((number, str(i), None))
                    else:
                        with own.transaction():
                            insert.execute((number, str(i), None))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = db.execute("select a, count(*), count(distinct b) from h group by a order by a").fetchall()
        assert counted == [(number, 100, 100) for number in range(4)]


_ROW = some.tuples(some.none() | some.integers(-5, 5), some.none() | some.text("ab", max_size=3), some.none())
_ACTION = some.sampled_from(["insert", "insert", "insert", "begin", "commit", "rollback", "delete"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(some.lists(some.tuples(_ACTION, _ROW), max_size=40))
def test_any_history_is_as_on_the_general_path(actions):
    with zerodb.connect(":memory:") as short, zerodb.connect(":memory:") as general:
        for db in (short, general):
            db.execute(TABLE)
        insert = inserting(short)
        for action, row in actions:
            for db in (short, general):
                match action:
                    case "insert" if db is short:
                        insert.execute(row)
                    case "insert":
                        db.execute(INSERT, row)
                    case "begin":
                        if not db.in_transaction:
                            db.begin()
                    case "commit":
                        db.commit()
                    case "rollback":
                        db.rollback()
                    case "delete":
                        db.execute("delete from h where a = ?", (row[0],))
            assert short.execute(ALL).fetchall() == general.execute(ALL).fetchall()
