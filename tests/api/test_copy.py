"""COPY between tables and files: the text, CSV, JSON and Parquet forms, and their errors."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import zerodb
from zerodb import Connection

ROWS = [(1, "tab\tnl\nbs\\q\"c,'", True), (None, "", None), (3, None, False), (4, "\\N", True)]


@pytest.fixture
def filled() -> Connection:
    db = zerodb.connect(":memory:")
    db.execute("create table t (a int, b text, c boolean, d int default 7)")
    db.executemany("insert into t (a, b, c) values (?, ?, ?)", ROWS)
    return db


def copied(db: Connection, sql: str) -> bytes:
    out = io.BytesIO()
    db.copy_to(sql, out)
    return out.getvalue()


def taken(sql: str, data: bytes) -> list[tuple[object, ...]]:
    db = zerodb.connect(":memory:")
    db.execute("create table t (a int, b text, c boolean, d int default 7)")
    db.copy_from(sql, io.BytesIO(data))
    return db.execute("select a, b from t").fetchall()


def test_the_text_form_is_postgresqls(filled: Connection) -> None:
    assert copied(filled, "copy t (a, b, c) to stdout") == (
        b"1\ttab\\tnl\\nbs\\\\q\"c,'\tt\n\\N\t\t\\N\n3\t\\N\tf\n4\t\\\\N\tt\n"
    )


def test_csv_quotes_where_it_must(filled: Connection) -> None:
    assert copied(filled, "copy t (a, b) to stdout csv header") == (b'a,b\n1,"tab\tnl\nbs\\q""c,\'"\n,""\n3,\n4,\\N\n')
    assert copied(filled, "copy (select a, c from t) to stdout (format csv, force_quote *, null 'nil')") == (
        b'"1","t"\nnil,nil\n"3","f"\n"4","t"\n'
    )


def test_json_has_an_object_a_line(filled: Connection) -> None:
    assert copied(filled, "copy (select a, b, c from t where a is null or a = 1) to stdout (format json)") == (
        b'{"a":1,"b":"tab\\tnl\\nbs\\\\q\\"c,\'","c":true}\n{"a":null,"b":"","c":null}\n'
    )


@pytest.mark.parametrize("options", ["", "csv", "csv header", "(format csv, escape '\\')", "(delimiter '|', null 'x')"])
def test_what_is_written_can_be_read(filled: Connection, options: str) -> None:
    data = copied(filled, f"copy t (a, b, c) to stdout {options}")
    before = filled.execute("select a, b, c from t").fetchall()
    filled.execute("delete from t")
    assert filled.copy_from(f"copy t (a, b, c) from stdin {options}", io.BytesIO(data)) == len(ROWS)
    assert filled.execute("select a, b, c from t").fetchall() == before
    assert filled.execute("select distinct d from t").fetchall() == [(7,)]


@pytest.mark.parametrize("format_", ["text", "csv", "json", "parquet"])
def test_files(filled: Connection, tmp_path: Path, format_: str) -> None:
    path = tmp_path / "t.data"
    done = filled.execute(f"copy t to '{path}' (format {format_})")
    assert done.statusmessage == "COPY 4"
    before = filled.execute("select * from t").fetchall()
    filled.execute("truncate t")
    assert filled.execute(f"copy t from '{path}' (format {format_})").rowcount == 4
    assert filled.execute("select * from t").fetchall() == before


@pytest.mark.parametrize(
    ("options", "data", "rows"),
    [
        ("", b"", []),
        ("", b"1\tx\n2\ty", [(1, "x"), (2, "y")]),
        ("", b"1\tx\n\\.\n2\ty\n", [(1, "x")]),
        ("", b"1\t\\x41\\102\\q\\\\\n", [(1, "ABq\\")]),
        ("", b"1\ta\\\nb\n", [(1, "a\nb")]),
        ("csv", b'1,ab"c,d"e\n', [(1, "abc,de")]),
        ("csv", b'1,"a""b\n"\n2,\n3,""\n', [(1, 'a"b\n'), (2, None), (3, "")]),
        ("csv", b"1,a\r\n2,b\r\n", [(1, "a"), (2, "b")]),
        ("(format csv, escape '\\')", b'1,"a\\"b"\n2,"a""b"\n', [(1, 'a"b'), (2, "ab")]),
        ("(format csv, force_not_null (b))", b"1,\n", [(1, "")]),
        ("(format csv, force_null (b))", b'1,""\n', [(1, None)]),
        ("(format csv, header match)", b"a,b\n1,x\n", [(1, "x")]),
        ("csv where a > 1", b"1,x\n2,y\n", [(2, "y")]),
        ("(format csv, encoding 'latin1')", b"1,\xe9\n", [(1, "é")]),
        ("(format json)", b'{"b": "x", "a": 1}\n{"a": 2}\n', [(1, "x"), (2, None)]),
    ],
)
def test_reading(options: str, data: bytes, rows: list[tuple[object, ...]]) -> None:
    assert taken(f"copy t (a, b) from stdin {options}", data) == rows


@pytest.mark.parametrize(
    ("options", "data", "sqlstate", "hint"),
    [
        ("", b"1\tx\n2\n", "22P04", "COPY t, line 2"),
        ("", b"1\tx\ty\n", "22P04", "COPY t, line 1"),
        ("", b"1\tx\nq\ty\n", "22P02", 'COPY t, line 2, column a: "q"'),
        ("csv header", b"a,b\n1,x\n99999999999,y\n", "22003", 'COPY t, line 3, column a: "99999999999"'),
        ("csv", b'1,"x\n', "22P04", "COPY t, line 1"),
        ("csv", b"1,a\r\n2,b\n", "22P04", "COPY t, line 2"),
        ("(format csv, header match)", b"a,c\n1,x\n", "22P04", "COPY t, line 1"),
        ("csv", b"1,\xff\n", "22021", "COPY t, line 1"),
        ("", b"1\t\0\n", "22021", "COPY t, line 1"),
    ],
)
def test_errors_name_the_line_and_nothing_is_inserted(options: str, data: bytes, sqlstate: str, hint: str) -> None:
    db = zerodb.connect(":memory:")
    db.execute("create table t (a int, b text)")
    with pytest.raises(zerodb.Error) as caught:
        db.copy_from(f"copy t from stdin {options}", io.BytesIO(data))
    assert (caught.value.sqlstate, caught.value.hint) == (sqlstate, hint)
    assert db.execute("select count(*) from t").fetchone() == (0,)


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("copy t from stdin (format nix)", "22023"),
        ("copy t from stdin (format binary)", "0A000"),
        ("copy t from stdin (delimiter 'ab')", "0A000"),
        ("copy t from stdin (delimiter 'a')", "22023"),
        ("copy t from stdin (quote 'x')", "0A000"),
        ("copy t from stdin (nix 1)", "42601"),
        ("copy t from stdin (format csv, format csv)", "42601"),
        ("copy t from stdin (format csv, force_quote (a))", "0A000"),
        ("copy t (x) from stdin", "42703"),
        ("copy t (a, a) from stdin", "42701"),
        ("copy nix from stdin", "42P01"),
        ("copy t from '/nix/nix'", "58P01"),
        ("copy t from program 'ls'", "0A000"),
        ("copy (select 1) from stdin", "42601"),
    ],
)
def test_refusals(sql: str, sqlstate: str) -> None:
    db = zerodb.connect(":memory:")
    db.execute("create table t (a int, b text)")
    with pytest.raises(zerodb.Error) as caught:
        db.copy_from(sql, io.BytesIO(b"1\tx\n"))
    assert caught.value.sqlstate == sqlstate


@pytest.mark.parametrize("count", [65_535, 65_536, 65_537])
def test_many_rows(count: int) -> None:
    db = zerodb.connect(":memory:")
    db.execute("create table t (a int primary key, b text)")
    data = b"".join(b"%d,text %d\n" % (i, i % 7) for i in range(count))
    assert db.copy_from("copy t from stdin csv", io.BytesIO(data)) == count
    assert db.execute("select count(*), max(a), count(distinct b) from t").fetchone() == (count, count - 1, 7)
    assert copied(db, "copy (select * from t order by a) to stdout csv") == data


def test_returning_can_be_copied(filled: Connection) -> None:
    assert copied(filled, "copy (delete from t where a > 2 returning a, c) to stdout csv") == b"3,f\n4,t\n"
    assert filled.execute("select count(*) from t").fetchone() == (2,)
