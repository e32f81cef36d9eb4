"""char(n) in statements by key: blanks at the end mean nothing, and are no reason to refuse a text."""

from __future__ import annotations

import pytest

import zerodb


def test_blanks_as_by_the_general_path() -> None:
    with zerodb.connect(":memory:") as db:
        for table in ("by_key", "general"):
            db.execute(f"create table {table} (id integer primary key, c char(4), v varchar(4))")
        texts = ["ab", "ab  ", "  ab", "", "    ", "ab      ", "äöüß", None, "x"]
        insert = db.prepare("insert into by_key values (?, ?, ?)")
        update = db.prepare("update by_key set c = ?, v = c where id = ?")
        constant = db.prepare("update by_key set c = 'q  ' where id = ?")
        for number, text in enumerate(texts * 6):
            insert.execute((number, text, "v"))
            db.execute("insert into general values ($1, $2, 'v') returning id", (number, text))
        assert insert.is_point
        for number, text in enumerate(reversed(texts * 3)):
            update.execute((text, number))
            db.execute("update general set c = $1, v = c where id + 0 = $2", (text, number))
        assert update.is_point
        for number in range(12, 50):
            constant.execute((number,))
            db.execute("update general set c = 'q  ' where id + 0 = $1", (number,))
        query = "select id, c, v, length(c), octet_length(c), c || '|', c = 'ab' from {} order by id"
        expected = db.execute(query.format("general")).fetchall()
        assert db.execute(query.format("by_key")).fetchall() == expected
        one = db.prepare("select id, c, v from by_key where id = ?")
        assert [one.execute((row[0],)).fetchone() for row in expected] == [row[:3] for row in expected]
        for statement, values in ((insert, (99, "abcde", "v")), (update, ("abcd e", 1))):
            with pytest.raises(zerodb.Error) as raised:
                statement.execute(values)
            assert raised.value.sqlstate == "22001"


def test_a_change_in_a_transaction_is_by_key_from_the_first_time() -> None:
    with zerodb.connect(":memory:") as db:
        db.execute("create table t (id integer primary key, v integer)")
        insert, update = db.prepare("insert into t values (?, ?)"), db.prepare("update t set v = v + 1 where id = ?")
        with db.transaction():
            for number in range(100):
                insert.execute((number, number))
                update.execute((number // 2,))
                assert insert.is_point
                assert update.is_point
        assert db.execute("select count(*), sum(v) from t").fetchone() == (100, 4950 + 100)
        failing = db.prepare("insert into t values (?, ?)")
        db.begin()
        with pytest.raises(zerodb.Error) as raised:
            failing.execute((1, 1))
        assert raised.value.sqlstate == "23505"
        with pytest.raises(zerodb.Error) as raised:
            db.prepare("delete from t where id = ?").execute((1,))
        assert raised.value.sqlstate == "25P02"
        db.rollback()
