"""Readers of older versions while the data under them takes another form."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

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
