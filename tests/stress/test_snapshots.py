"""Readers of older versions while the data under them takes another form."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import zerodb

WIDE = Decimal(10) ** 30


def test_a_snapshot_from_before_the_first_128_bit_value(tmp_path: Path) -> None:
    path = str(tmp_path / "t.zdb")
    with zerodb.connect(path) as writer, zerodb.connect(path) as reader:
        writer.execute("create table t (n numeric(38, 0), s text)")
        writer.execute("insert into t values (1, 'a'), (2, 'b'), (-3, 'c'), (null, 'd')")
        reader.begin()
        assert reader.execute("select count(*) from t").fetchall() == [(4,)]
        writer.execute("insert into t values (?, 'e')", [WIDE])
        assert reader.execute("select sum(n), max(s) from t").fetchall() == [(Decimal(0), "d")]
        reader.commit()
        assert reader.execute("select sum(n), max(s) from t").fetchall() == [(WIDE, "e")]


def test_a_rolled_back_128_bit_value() -> None:
    with zerodb.connect(":memory:") as db:
        db.execute("create table t (n numeric(38, 0))")
        db.execute("insert into t values (1)")
        db.begin()
        db.execute("insert into t values (?)", [WIDE])
        db.rollback()
        assert db.execute("select n from t").fetchall() == [(Decimal(1),)]
        db.execute("insert into t values (2)")
        assert db.execute("select sum(n) from t").fetchall() == [(Decimal(3),)]


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("query", ["select count(*) from t", "select sum(1) from t", "select (select count(*) from t)"])
def test_a_query_of_no_columns_sees_rows_that_were_added_to_its_chunk(query: str, deleted: bool) -> None:
    with zerodb.connect(":memory:") as db:
        db.execute("create table t (a int)")
        db.execute("insert into t values (0), (1)")
        if deleted:
            db.execute("delete from t where a = 0")
        visible = 1 if deleted else 2
        for more in range(5):
            assert db.execute(query).fetchall() == [(visible + more,)]
            db.execute("insert into t values (?)", [more + 2])
        db.execute("delete from t where a = 3")
        assert db.execute(query).fetchall() == [(visible + 4,)]
