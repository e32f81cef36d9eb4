"""What PEP 249 asks of the module, connections and cursors."""

from __future__ import annotations

import datetime
import subprocess
import sys

import pytest

import zerodb
import zerodb.dbapi


def test_module_attributes() -> None:
    assert zerodb.apilevel == "2.0"
    assert zerodb.threadsafety == 2
    assert zerodb.paramstyle == "qmark"
    assert issubclass(zerodb.IntegrityError, zerodb.DatabaseError)
    assert issubclass(zerodb.DatabaseError, zerodb.Error)
    assert issubclass(zerodb.InterfaceError, zerodb.Error)
    assert zerodb.Connection.ProgrammingError is zerodb.ProgrammingError
    assert zerodb.Date(2020, 1, 2) == datetime.date(2020, 1, 2)
    assert zerodb.Binary(b"x") == b"x"
    for name in zerodb.__all__:
        assert getattr(zerodb, name) is not None


def test_type_objects() -> None:
    assert zerodb.NUMBER == "numeric(10,2)"
    assert zerodb.NUMBER == "double precision"
    assert zerodb.STRING == "varchar(10)"
    assert zerodb.DATETIME == "timestamp"
    assert zerodb.STRING != "bigint"
    assert zerodb.STRING != zerodb.NUMBER


def test_import_is_light() -> None:
    """`import zerodb` loads none of the heavy libraries."""
    code = (
        "import sys, zerodb\n"
        "heavy = {'wasmtime', 'pyarrow', 'sqlglot', 'numpy', 'rocksdict', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_description(db: zerodb.Connection) -> None:
    cursor = db.execute("create table t (a integer not null, b numeric(10,2), c text)")
    assert cursor.description is None
    assert cursor.rowcount == -1
    cursor = db.execute("select a, b as bb, c from t")
    assert cursor.description is not None
    assert [column[:2] for column in cursor.description] == [
        ("a", "integer"),
        ("bb", "numeric(10,2)"),
        ("c", "text"),
    ]
    assert cursor.description[1][4:6] == (10, 2)
    assert [column[6] for column in cursor.description] == [False, True, True]


def test_fetching(db: zerodb.Connection) -> None:
    db.execute("create table t (a integer)")
    db.executemany("insert into t values (?)", [(i,) for i in range(10)])
    cursor = db.cursor()
    assert cursor.execute("select a from t order by a") is cursor
    assert cursor.rowcount == 10
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
    assert cursor.fetchmany() == [(4,)]
    assert next(cursor) == (5,)
    assert list(cursor) == [(6,), (7,), (8,), (9,)]
    assert cursor.fetchone() is None
    assert cursor.fetchall() == []
    assert cursor.fetchmany(5) == []


def test_a_statement_without_rows_has_nothing_to_fetch(db: zerodb.Connection) -> None:
    cursor = db.execute("create table t (a integer)")
    with pytest.raises(zerodb.InterfaceError):
        cursor.fetchall()
    with pytest.raises(zerodb.InterfaceError):
        db.cursor().fetchone()


def test_closed_objects_say_so(db: zerodb.Connection) -> None:
    cursor = db.execute("select 1")
    cursor.close()
    with pytest.raises(zerodb.InterfaceError):
        cursor.fetchall()
    other = zerodb.connect()
    open_cursor = other.execute("select 1")
    other.close()
    other.close()
    for call in (
        lambda: other.execute("select 1"),
        lambda: other.cursor(),
        lambda: other.commit(),
        lambda: open_cursor.execute("select 1"),
        lambda: open_cursor.fetchall(),
    ):
        with pytest.raises(zerodb.InterfaceError):
            call()


def test_executescript(db: zerodb.Connection) -> None:
    cursor = db.executescript(
        "create table t (a text); -- a comment; with a semicolon\ninsert into t values ('x;y'); select a from t;"
    )
    assert cursor.fetchall() == [("x;y",)]
    with pytest.raises(zerodb.ProgrammingError) as caught:
        db.executescript("select 1;\nselect nothing from t")
    assert caught.value.position == 17


def test_one_statement_at_a_time(db: zerodb.Connection) -> None:
    with pytest.raises(zerodb.ProgrammingError, match="more than one"):
        db.execute("select 1; select 2")
    with pytest.raises(zerodb.ProgrammingError):
        db.execute("  ")


def test_options(db: zerodb.Connection) -> None:
    db.execute("set statement_timeout = '5s'")
    assert db.execute("show statement_timeout").fetchone() == ("5s",)  # as PostgreSQL shows it
    db.execute("reset statement_timeout")
    assert db.execute("show statement_timeout").fetchone() == ("0",)
    db.execute("set threads = 1")
    assert db.execute("show threads").fetchone() == ("1",)
    for wrong in ("set threads = 0", "set threads = many", "set statement_timeout = 'soon'", "set nonsense = 1"):
        with pytest.raises(zerodb.Error):
            db.execute(wrong)


def test_memory_limit_in_words() -> None:
    with zerodb.connect(memory_limit="256MB") as db:
        assert db.execute("show memory_limit").fetchone() == (str(256 << 20),)
    with pytest.raises(zerodb.Error):
        zerodb.connect(memory_limit="lots")
    with pytest.raises(zerodb.Error):
        zerodb.connect(threads=0)
