"""Rows that change without a way through Arrow are those that go through it (a CHECK makes them)."""

from __future__ import annotations

import pytest

import zerodb

COLUMNS = """id bigint primary key, a boolean, b smallint, c integer, d hugeint, e u64, f real, g double precision,
    h numeric(20,3), i text, j varchar(5), k char(4), l bytea, m date, n timestamp, o timestamptz, p interval, q uuid,
    r json, s jsonb, t integer[], u time"""
ROWS = """
    (1, true, -3, 70000, 5000000000000000000000, 18446744073709551615, 1.5, 'NaN', 12345.678, 'héllo',
     'äöü', 'ab', '\\xdeadbeef', '2024-02-29', '2024-02-29 12:34:56.789', '1999-12-31 23:59:59+02',
     '1 month 2 days 3 s', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": 1}', '{"b": [1, 2]}',
     '{1,null,3}', '23:59:59.5'),
    (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null),
    (3, false, 0, 0, -5, 0, '-Infinity', -0.0, -0.001, '', '', '', '', '0001-01-01', '1900-01-01', '2100-01-01',
     '-5 days', '00000000-0000-0000-0000-000000000000', 'null', '0', '{}', '00:00')"""


def test_all_types_as_through_arrow() -> None:
    with zerodb.connect(":memory:") as db:
        db.execute(f"create table plain ({COLUMNS})")
        db.execute(f"create table checked ({COLUMNS}, check (id > 0))")
        names = ", ".join(["id", *"abcdefghijklmnopqrstu"])
        found = []
        for table in ("plain", "checked"):
            db.execute(f"insert into {table} values {ROWS}")
            db.execute(f"update {table} set id = id + 10 where id <> 2")
            db.execute(f"update {table} set i = i || 'x', c = c + 1, h = h * 2, j = left(j, 2) where id >= 1")
            db.execute(f"insert into {table} select id + 100, {names.removeprefix('id, ')} from {table} where id <> 11")
            found.append(db.execute(f"select {names} from {table} order by id").fetchall())
        assert repr(found[0]) == repr(found[1])
        assert len(found[0]) == 5


def test_what_does_not_fit_is_refused() -> None:
    with zerodb.connect(":memory:") as db:
        db.execute("create table t (id bigint primary key, a varchar(3), b numeric(4,1), c integer not null)")
        db.execute("insert into t values (1, 'abc', 1.5, 1)")
        for change, state in (
            ("a = a || 'd'", "22001"),
            ("b = b * 1000", "22003"),
            ("c = null", "23502"),
            ("c = c + 2147483647", "22003"),
        ):
            with pytest.raises(zerodb.Error) as raised:
                db.execute(f"update t set {change}")
            assert raised.value.sqlstate == state, change
        assert db.execute("update t set a = 'äöü' returning a").fetchall() == [("äöü",)]


def test_constants_as_through_arrow() -> None:
    with zerodb.connect(":memory:") as db:
        db.execute(f"create table plain ({COLUMNS})")
        db.execute(f"create table checked ({COLUMNS}, check (id > 0))")
        found = []
        for table in ("plain", "checked"):
            for row in ROWS.split("\n    (")[1:]:
                db.execute(f"insert into {table} values ({row.rstrip().rstrip(',')}")
            places = ", ".join(f"${number}" for number in range(1, 9))
            db.execute(
                f"insert into {table} (id, a, f, g, h, i, l, q) values ({places})",
                (9, True, -0.0, -0.0, "-0.5", "", b"", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
            )
            found.append(db.execute(f"select * from {table} order by id").fetchall())
        assert repr(found[0]) == repr(found[1])
        assert str(found[0][3][7]) == "-0.0"
