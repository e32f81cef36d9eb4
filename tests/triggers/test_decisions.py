"""What trigger functions make of rows before a change: replaced, left out, refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.functions.asking import refused
from tests.triggers.triggering import Log, make, rows, shouted

from zerodb import Connection


def test_replaced_rows_are_checked_returned_and_seen_by_the_next(db: Connection) -> None:
    db.execute("alter table t add constraint short check (length(name) < 4)")
    db.execute("alter table t add column double bigint generated always as (v * 2) stored")
    make(db, "a", "before insert or update", lambda e: e.new.set_column(2, "v", pc.add(e.new["v"], 1)))
    make(db, "b", "before insert or update", shouted)
    after = make(db, "c", "after insert", Log())
    got = db.execute("insert into t values (1, 'x', 1), (2, 'y', null) returning *")
    assert got.fetchall() == [(1, "X", 2, 4), (2, "Y", None, None)]
    assert after.events[0].new.to_pylist()[0] == {"id": 1, "name": "X", "v": 2, "double": 4}
    assert db.execute("update t set name = 'z' where id = 1 returning double, name").fetchall() == [(6, "Z")]
    make(db, "d", "before insert", lambda e: e.new.set_column(1, "name", pa.array(["much too long"])))
    refused(db, "insert into t values (3)", "23514", "short")
    assert len(rows(db)) == 2


def test_rows_left_out(db: Connection) -> None:
    make(
        db, "a", "before insert or update or delete", lambda e: [i % 2 == 1 for i in (e.new or e.old)["id"].to_pylist()]
    )
    after = make(db, "b", "after insert or update or delete", Log())
    cursor = db.execute("insert into t select i, 'n', i from generate_series(1, 6) i returning id + 100")
    assert (cursor.rowcount, cursor.fetchall()) == (3, [(101,), (103,), (105,)])
    assert db.execute("update t set v = 0").rowcount == 3
    db.execute("alter table t disable trigger a")
    db.execute("insert into t values (2, 'n', 7)")
    db.execute("alter table t enable trigger a")
    assert db.execute("delete from t returning id, v").fetchall() == [(1, 0), (3, 0), (5, 0)]
    assert rows(db) == [(2, "n", 7)]
    assert after.events[-1].old["id"].to_pylist() == [1, 3, 5]


def test_conditions_and_decisions_together_over_chunk_borders(db: Connection) -> None:
    count = 65_536 * 2 + 10
    make(db, "a", "before insert", shouted, "for each row when (new.id % 2 = 0)")
    make(db, "b", "before insert", lambda e: np.asarray(e.new["v"]) % 3 != 0, "for each row when (new.id % 5 = 0)")
    log = make(db, "c", "after insert", Log())
    db.execute("insert into t select i, 'n' || i, i from generate_series(1, ?) i", [count])
    (event,) = log.events
    ids = np.arange(1, count + 1)
    kept = ids[(ids % 5 != 0) | (ids % 3 != 0)]
    assert np.array_equal(np.asarray(event.new["id"]), kept)
    assert rows(db, "select count(*), count(*) filter (where name like 'N%') from t") == [
        (len(kept), int((kept % 2 == 0).sum()))
    ]
    assert rows(db, "select count(*) from t where name <> case when id % 2 = 0 then 'N' else 'n' end || id") == [(0,)]


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (lambda e: e.new.slice(0, 1), "1 rows in place of 2"),
        (lambda e: e.new.drop_columns(["v"]), "columns"),
        (lambda e: [True], "1 booleans for 2 rows"),
        (lambda e: "yes", "returned a str"),
        (lambda e: 1, "returned a int"),
    ],
)
def test_answers_that_mean_nothing(db: Connection, answer: Any, part: str) -> None:
    make(db, "a", "before insert", answer)
    refused(db, "insert into t values (1), (2)", "39P01", part)
    assert rows(db) == []


def test_values_that_do_not_fit(db: Connection) -> None:
    make(db, "a", "before insert", lambda e: e.new.set_column(0, "id", pa.array([1 << 40])))
    refused(db, "insert into t values (1)", "22003")
    make(db, "b", "after delete", lambda e: e.old)
    make(db, "c", "before delete", lambda e: e.old)
    db.execute("alter table t disable trigger a")
    db.execute("insert into t values (1)")
    refused(db, "delete from t", "39P01", "deleted")
    db.execute("alter table t disable trigger c")
    refused(db, "delete from t", "39P01", "AFTER")


def test_returning_of_expressions_over_replaced_rows_is_refused(db: Connection) -> None:
    make(db, "a", "before insert", shouted)
    refused(db, "insert into t values (1, 'x') returning lower(name)", "0A000", "RETURNING")
    assert rows(db) == []
