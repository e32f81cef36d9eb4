"""Triggers: what functions see and decide, in which order, and what becomes of the statement."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import zerodb
from zerodb import Connection, errors


@pytest.fixture
def db() -> Iterator[Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table t (id integer primary key, name text, v bigint)")
        yield connection


class Log:
    """A function that notes what it was called with."""

    def __init__(self, decision: Any = None) -> None:
        self.events: list[Any] = []
        self._decision = decision

    def __call__(self, event: Any) -> Any:
        self.events.append(event)
        return self._decision(event) if self._decision is not None else None

    @property
    def seen(self) -> list[tuple[Any, ...]]:
        def ids(rows: pa.Table | None) -> list[int] | None:
            return None if rows is None else rows["id"].to_pylist()

        return [(e.trigger, e.timing, e.operation, ids(e.old), ids(e.new)) for e in self.events]


def make(db: Connection, name: str, what: str, function: Any, clause: str = "for each row") -> Any:
    db.create_trigger_function(f"{name}_f", function)
    db.execute(f"create trigger {name} {what} on t {clause} execute function {name}_f()")
    return function


def rows(db: Connection, text: str = "select * from t order by id") -> list[tuple[Any, ...]]:
    return db.execute(text).fetchall()


def refused(db: Connection, text: str, sqlstate: str, *parts: str) -> None:
    with pytest.raises(errors.Error) as caught:
        db.execute(text)
    assert caught.value.sqlstate == sqlstate, caught.value
    for part in parts:
        assert part in str(caught.value)


# --- what is called, and with what ------------------------------------------------------------------------------------


def test_one_call_for_all_rows_of_each_operation(db: Connection) -> None:
    log = make(db, "a", "before insert or update or delete", Log())
    make(db, "b", "after insert or update or delete", log)
    db.execute("insert into t values (1, 'x', 10), (2, 'y', 20)")
    db.execute("update t set v = v + 1")
    db.execute("delete from t where id = 2")
    assert log.seen == [
        ("a", "before", "insert", None, [1, 2]),
        ("b", "after", "insert", None, [1, 2]),
        ("a", "before", "update", [1, 2], [1, 2]),
        ("b", "after", "update", [1, 2], [1, 2]),
        ("a", "before", "delete", [2], None),
        ("b", "after", "delete", [2], None),
    ]
    event = log.events[2]
    assert (event.table, event.schema, [column.name for column in event.columns]) == (
        "t",
        "public",
        ["id", "name", "v"],
    )
    assert event.old["v"].to_pylist() == [10, 20]
    assert event.new["v"].to_pylist() == [11, 21]


def test_order_by_name_statements_first_before_and_last_after(db: Connection) -> None:
    log = Log()
    for name, timing, clause in (
        ("z", "before", "for each row"),
        ("b", "before", "for each row"),
        ("y", "before", "for each statement"),
        ("m", "after", ""),
        ("n", "after", "for each row"),
    ):
        make(db, name, f"{timing} insert", log, clause)
    db.execute("insert into t values (1)")
    assert [event.trigger for event in log.events] == ["y", "b", "z", "n", "m"]


def test_statements_triggers_run_without_rows_and_rows_triggers_do_not(db: Connection) -> None:
    for_rows = make(db, "r", "before update", Log())
    for_statement = make(db, "s", "after update or delete", Log(), "for each statement")
    db.execute("update t set v = 1 where id = 99")
    db.execute("delete from t")
    assert not for_rows.events
    assert [(event.operation, event.rows) for event in for_statement.events] == [("update", 0), ("delete", 0)]


def test_update_of_columns_and_when(db: Connection) -> None:
    of = make(db, "c", "before update of v", Log())
    changed = make(db, "w", "after update", Log(), "for each row when (old.* is distinct from new.*)")
    large = make(db, "x", "before update", Log(), "for each row when (NEW.v > 10 and \"old\".name = 'old.name')")
    db.execute("insert into t values (1, 'old.name', 10), (2, 'b', 20), (3, 'old.name', 30)")
    db.execute("update t set name = name")
    assert (of.seen, changed.seen) == ([], [])
    assert large.seen == [("x", "before", "update", [3], [3])]
    db.execute("update t set v = 10")
    assert of.seen == [("c", "before", "update", [1, 2, 3], [1, 2, 3])]
    assert changed.seen == [("w", "after", "update", [2, 3], [2, 3])]


def test_conditions_that_cannot_be(db: Connection) -> None:
    db.create_trigger_function("f", Log())
    head, call = "create trigger a before {} on t for each row when ({})", " execute function f()"
    refused(db, head.format("insert", "old.v = 1") + call, "42P17", "OLD")
    refused(db, head.format("delete", "new.v = 1") + call, "42P17", "NEW")
    refused(db, head.format("update", "new.v") + call, "42804")
    refused(db, head.format("update", "new.nothing = 1") + call, "42703")
    refused(db, head.format("update", "v = 1") + call, "42703")
    refused(db, head.format("update", "(select true)") + call, "0A000", "subquery")
    refused(db, "create trigger a before update on t when (new.v = 1)" + call, "42P17", "column values")
    log = make(db, "b", "before insert", Log(), "when (1 = 2)")
    db.execute("insert into t values (1)")
    assert not log.events


def test_values_of_all_types(db: Connection) -> None:
    db.execute("create type mood as enum ('sad', 'happy')")
    db.execute("""create table u (id uuid, m mood, n numeric(8,2), i interval, j jsonb, a integer[], d date,
                                  ts timestamptz, b bytea, c char(3), r real)""")
    values = """'550e8400-e29b-41d4-a716-446655440000', 'happy', 1.25, '1 day', '{"k": [1]}', '{1,NULL}', '2024-02-29',
                '2024-01-01 12:00+00', '\\x0001', 'x', 0.5"""
    log = Log(lambda event: pa.Table.from_pylist(event.new.to_pylist()[::-1], event.new.schema))
    db.create_trigger_function("same", log)
    db.execute("create trigger same before insert or update on u for each row execute function same()")
    db.execute(f"insert into u values ({values}), (null{', null' * 10})")
    (event,) = log.events
    shown = db.execute("select * from u").fetch_arrow()
    assert event.new.schema.types == shown.schema.types
    first = event.new.to_pylist()[0]
    assert (first["n"], first["m"], first["a"]) == (Decimal("1.25"), "happy", [1, None])
    assert db.execute("select id, m, n, i::text, j::text, a, c from u where id is not null").fetchone() == (
        UUID("550e8400-e29b-41d4-a716-446655440000"),
        "happy",
        Decimal("1.25"),
        "1 day",
        '{"k": [1]}',
        [1, None],
        "x",
    )
    assert db.execute("select count(*) from u where id is null and m is null and r is null").fetchone() == (1,)


# --- what functions decide --------------------------------------------------------------------------------------------


def shouted(event: Any) -> pa.Table:
    return event.new.set_column(1, "name", pc.utf8_upper(event.new["name"]))


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


# --- errors and transactions ------------------------------------------------------------------------------------------


def test_an_error_leaves_nothing(db: Connection) -> None:
    db.execute("create table log (x integer)")

    def fails(event: Any) -> None:
        event.connection.execute("insert into log values (1)")
        raise ValueError("bad rows")

    make(db, "a", "after insert", fails)
    refused(db, "insert into t values (1)", "38000", "bad rows", "trigger a", 'table "t"')
    assert (rows(db), rows(db, "select * from log")) == ([], [])
    with pytest.raises(errors.Error), db.transaction():
        db.execute("insert into log values (2)")
        db.execute("insert into t values (1)")
    assert rows(db, "select * from log") == []
    with db.transaction():
        db.execute("insert into log values (3)")
        db.execute("savepoint s")
        refused(db, "insert into t values (1)", "38000")
        db.execute("rollback to s")
    assert rows(db, "select * from log") == [(3,)]


def test_errors_of_zerodb_keep_their_sqlstate(db: Connection) -> None:
    def refuse(event: Any) -> None:
        raise errors.IntegrityError("negative", sqlstate="23514")

    make(db, "a", "before insert", refuse, "for each row when (new.v < 0)")
    refused(db, "insert into t values (1, 'x', -1)", "23514", "negative")
    db.execute("insert into t values (1, 'x', 1)")
    make(db, "b", "before update", lambda e: e.connection.execute("select 1 / 0"))
    refused(db, "update t set v = 2", "22012", "trigger b")


def test_a_function_may_go_on_after_its_own_statement_failed(db: Connection) -> None:
    db.execute("create table log (x integer primary key)")

    def tries(event: Any) -> None:
        for value in (1, 1, 2):
            with contextlib.suppress(errors.IntegrityError):
                event.connection.execute("insert into log select ?::int union all select ?::int + 10", [value, value])

    make(db, "a", "after insert", tries)
    for block in (False, True):
        if block:
            db.begin()
        db.execute("insert into t values (?)", [int(block)])
        if block:
            db.commit()
    assert rows(db, "select x from log order by x") == [(1,), (2,), (11,), (12,)]
    assert len(rows(db)) == 2


def test_functions_see_the_statement_under_way(db: Connection) -> None:
    seen: list[Any] = []
    count = db.prepare("select count(*) from t")
    by_key = db.prepare("select v from t where id = $1")

    def look(event: Any) -> None:
        seen.append((event.timing, count.execute().fetchone()[0], by_key.execute([1]).fetchone()))

    db.execute("insert into t values (1, 'x', 1)")
    for _ in range(5):
        assert by_key.execute([1]).fetchone() == (1,)
    make(db, "a", "before update or insert", look)
    make(db, "b", "after update or insert", look)
    db.execute("update t set v = 5")
    db.execute("insert into t values (2)")
    assert seen == [("before", 1, (1,)), ("after", 1, (5,)), ("before", 1, (5,)), ("after", 2, (5,))]
    assert by_key.execute([1]).fetchone() == (5,)
    with db.transaction():
        db.execute("update t set v = 6 where id = 1")
    assert seen[-2:] == [("before", 2, (5,)), ("after", 2, (6,))]


def test_statements_of_functions_are_limited_to_the_statements_transaction(db: Connection) -> None:
    def run(text: str) -> None:
        db.create_trigger_function("f", lambda e: e.connection.execute(text) and None, replace=True)

    db.create_trigger_function("f", Log())
    db.execute("create trigger a before insert on t for each row execute function f()")
    for text in ("commit", "begin", "rollback", "savepoint s", "create table x (a int)", "drop table t", "truncate t"):
        run(text)
        refused(db, "insert into t values (1)", "0A000", "in a function that a statement has called")
    db.create_trigger_function("f", lambda e: e.connection.commit() and None, replace=True)
    refused(db, "insert into t values (1)", "2D000", "commit")
    db.create_trigger_function("f", lambda e: e.connection.close(), replace=True)
    refused(db, "insert into t values (1)", "2D000", "close")
    assert rows(db) == []


def test_recursion_is_limited(db: Connection) -> None:
    def again(event: Any) -> None:
        event.connection.execute("insert into t select id + 1 from t order by id desc limit 1")

    make(db, "a", "after insert", again)
    refused(db, "insert into t values (1)", "54001", "trigger")
    assert rows(db) == []
    db.create_trigger_function("a_f", lambda e: again(e) if e.new["id"][0].as_py() < 8 else None, replace=True)
    db.execute("insert into t values (1)")
    assert len(rows(db)) == 8


def test_a_function_that_changes_the_rows_under_way(db: Connection) -> None:
    db.execute("insert into t values (1, 'x', 1), (2, 'y', 2)")

    def delete(event: Any) -> None:
        event.connection.execute("delete from t where id = 2")

    make(db, "a", "before update", delete, "for each row when (old.id = 1)")
    refused(db, "update t set v = 0", "27000", "already modified")
    assert len(rows(db)) == 2
    assert db.execute("update t set v = 0 where id = 1").rowcount == 1
    assert rows(db) == [(1, "x", 0)]


def test_conflicts_run_the_whole_statement_again(tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as one, zerodb.connect(tmp_path / "d.zdb") as two:
        one.execute("create table t (id integer primary key, v integer)")
        one.execute("create table counters (id integer primary key, n integer)")
        one.execute("insert into counters values (1, 0)")
        calls: list[int] = []

        def count(event: Any) -> None:
            if not calls:
                two.execute("update counters set n = n + 1")
            calls.append(1)
            try:
                event.connection.execute("update counters set n = n + 1")
            except Exception as error:
                raise ValueError("hidden") from error

        one.create_trigger_function("count", count)
        one.execute("create trigger c after insert on t for each row execute function count()")
        one.execute("insert into t values (1, 1)")
        assert (len(calls), rows(one, "select n from counters")) == (2, [(2,)])


# --- all ways in which rows change ------------------------------------------------------------------------------------


def test_prepared_executemany_and_points(db: Connection) -> None:
    log = make(db, "a", "before insert or update or delete", Log())
    insert = db.prepare("insert into t values ($1, 'n', $2)")
    for number in range(6):
        insert.execute([number, number])
    update = db.prepare("update t set v = $2 where id = $1")
    delete = db.prepare("delete from t where id = $1")
    with db.transaction():
        for number in range(6):
            update.execute([number, 0])
        for number in range(6):
            delete.execute([number])
    assert len(log.events) == 18
    db.executemany("insert into t values (?, ?, ?)", [(i, "m", i) for i in range(100)])
    assert (len(log.events), log.events[-1].rows) == (19, 100)
    db.executemany("update t set v = ? where id = ?", [(1, i) for i in range(50)])
    assert len(log.events) == 69


def test_point_statements_notice_a_new_trigger(db: Connection) -> None:
    insert = db.prepare("insert into t values ($1, 'n', 1)")
    for number in range(5):
        insert.execute([number])
    log = make(db, "a", "before insert", Log())
    insert.execute([5])
    assert len(log.events) == 1
    db.execute("drop trigger a on t")
    insert.execute([6])
    assert len(log.events) == 1


def test_copy_import_and_arrow(db: Connection, tmp_path: Path) -> None:
    log = make(db, "a", "before insert", Log(shouted))
    file = tmp_path / "rows.csv"
    file.write_text("id,name,v\n1,a,1\n2,b,2\n")
    db.execute(f"copy t from '{file}' (format csv, header)")
    file.write_text("id,name,v\n3,c,1\n4,d,2\n")
    db.import_file("t", file)
    db.register("r", pa.table({"id": [5], "name": ["e"], "v": [1]}))
    db.execute("insert into t select * from r")
    assert [name for _, name, _ in rows(db)] == ["A", "B", "C", "D", "E"]
    assert [event.rows for event in log.events] == [2, 2, 1]


def test_on_conflict(db: Connection) -> None:
    db.execute("insert into t values (1, 'x', 1)")
    make(db, "a", "before insert", lambda e: e.new.set_column(0, "id", pc.abs(e.new["id"])))
    after = make(db, "b", "after insert or update", Log())
    got = db.execute("insert into t values (-1, 'y', 2), (-2, 'z', 3), (2, 'w', 4) on conflict do nothing returning id")
    assert got.fetchall() == [(2,)]
    assert after.seen == [("b", "after", "insert", None, [2])]
    db.execute("drop trigger a on t")
    db.execute("insert into t values (1, 'y', 2), (3, 'u', 5) on conflict (id) do update set v = 9")
    assert sorted(after.seen[1:]) == [("b", "after", "insert", None, [3]), ("b", "after", "update", [1], [1])]
    assert rows(db) == [(1, "x", 9), (2, "z", 3), (3, "u", 5)]


def test_on_conflict_do_update_proposes_what_triggers_leave(db: Connection) -> None:
    db.execute("insert into t values (1, 'x', 1), (2, 'y', 2)")
    log = Log(lambda e: e.new.set_column(0, "id", pc.abs(e.new["id"])))
    make(db, "a", "before insert", log)
    make(db, "b", "before insert", lambda e: np.asarray(e.new["id"]) != 9)
    after = make(db, "c", "after insert or update", Log())
    text = """insert into t values (-1, 'p', 10), (-3, 'q', 30), (9, 'no', 0), (-2, null, 20) on conflict (id)
              do update set v = excluded.v, name = coalesce(excluded.name, t.name || '!') returning *"""
    cursor = db.execute(text)
    assert cursor.fetchall() == [(1, "p", 10), (3, "q", 30), (2, "y!", 20)]
    assert log.seen == [("a", "before", "insert", None, [-1, -3, 9, -2])]
    assert sorted(after.seen) == [("c", "after", "insert", None, [3]), ("c", "after", "update", [1, 2], [1, 2])]
    assert rows(db) == [(1, "p", 10), (2, "y!", 20), (3, "q", 30)]
    refused(db, "insert into t values (5, 'a', 1), (-5, 'b', 2) on conflict (id) do update set v = 0", "21000")
    prepared = db.prepare("insert into t values ($1, $2, 1) on conflict (id) do update set v = t.v + 1 where t.v > 10")
    for key in (-1, 2, 7, 7):
        prepared.execute([key, "n"])
    assert rows(db, "select id, v from t order by id") == [(1, 10), (2, 21), (3, 30), (7, 1)]
    text = "with w as (select 8 as i) insert into t select i, 'w', 1 from w union all select 2, 'w', 2 from w"
    assert db.execute(f"{text} on conflict (id) do update set name = excluded.name").rowcount == 2
    make(db, "d", "before update", lambda e: [False] * e.rows)
    assert db.execute("insert into t values (-1), (-11) on conflict (id) do update set v = 0").rowcount == 1
    refused(db, "insert into t values (1) on conflict (id) do update set v = 0 returning *", "0A000", "RETURNING")


def test_merge(db: Connection) -> None:
    db.execute("insert into t values (1, 'x', 1), (2, 'y', 2)")
    before = make(db, "a", "before insert or update or delete", Log())
    after = make(db, "b", "after insert or update or delete", Log())
    db.execute("""merge into t using (values (1), (2), (3)) s(i) on t.id = s.i when matched and s.i = 1 then delete
                  when matched then update set v = 0 when not matched then insert values (s.i, 'new', 3)""")
    assert [seen[2] for seen in before.seen] == ["delete", "update", "insert"]
    assert [seen[2:] for seen in after.seen] == [
        ("delete", [1], None),
        ("update", [2], [2]),
        ("insert", None, [3]),
    ]


def test_parts_of_with_and_the_end_of_the_statement(db: Connection) -> None:
    counts: list[Any] = []
    make(db, "a", "after insert or delete", lambda e: counts.append(rows(e.connection, "select count(*) from t")[0][0]))
    db.execute("insert into t values (1), (2)")
    db.execute("with gone as (delete from t where id = 1 returning *) insert into t select id + 10 from gone")
    assert counts == [2, 2, 2]


def test_foreign_keys_actions(db: Connection) -> None:
    db.execute(
        "create table child (id integer primary key, t integer references t on delete cascade on update cascade)"
    )
    db.execute("insert into t values (1), (2)")
    db.execute("insert into child values (10, 1), (20, 2)")
    log = Log()
    db.create_trigger_function("f", log)
    db.execute("create trigger c before update or delete on child for each row execute function f()")
    db.execute("update t set id = 5 where id = 1")
    db.execute("delete from t where id = 2")
    assert log.seen == [("c", "before", "update", [10], [10]), ("c", "before", "delete", [20], None)]
    db.create_trigger_function("f", lambda e: [False], replace=True)
    refused(db, "delete from t where id = 5", "27000", "foreign key")
    assert len(rows(db)) == 1


def test_partitions(db: Connection) -> None:
    db.execute("create table p (id integer, v integer) partition by range (id)")
    db.execute("create table p1 partition of p for values from (0) to (10)")
    db.execute("create table p2 partition of p for values from (10) to (20)")
    log = Log()
    db.create_trigger_function("f", log)
    refused(db, "create trigger x before insert on p for each row execute function f()", "0A000", "partitions")
    db.execute("create trigger whole after insert or update on p for each statement execute function f()")
    db.execute("create trigger part before insert or update or delete on p1 for each row execute function f()")
    db.execute("insert into p values (1, 1), (2, 2), (11, 1)")
    db.execute("update p set id = id + 8, v = v + 1")
    assert log.seen == [
        ("part", "before", "insert", None, [1, 2]),
        ("whole", "after", "insert", None, [1, 2, 11]),
        ("part", "before", "delete", [2], None),
        ("part", "before", "update", [1], [9]),
        ("whole", "after", "update", [1, 2, 11], [9, 10, 19]),
    ]
    assert sorted(rows(db, "select * from p")) == [(9, 2), (10, 3), (19, 2)]
    refused(db, "update p set v = 1 returning *", "0A000", "RETURNING")


# --- definition -------------------------------------------------------------------------------------------------------


def test_create_replace_rename_drop(db: Connection) -> None:
    log = make(db, "a", "before insert", Log())
    refused(db, "create trigger a before insert on t execute function a_f()", "42710", "already exists")
    db.execute("create or replace trigger a after insert on t for each row execute function a_f()")
    db.execute("alter trigger a on t rename to b")
    refused(db, "alter trigger a on t rename to c", "42704", "does not exist")
    db.execute("alter table t rename to u")
    db.execute("insert into u values (1)")
    assert log.seen == [("b", "after", "insert", None, [1])]
    refused(db, "drop trigger a on u", "42704")
    db.execute("drop trigger if exists a on u")
    db.execute("drop trigger if exists a on nothing")
    db.execute("drop trigger b on u")
    db.execute("insert into u values (2)")
    assert len(log.events) == 1


def test_definitions_that_are_refused(db: Connection) -> None:
    db.create_trigger_function("f", Log())
    db.execute("create view w as select * from t")
    end = "execute function f()"
    refused(db, f"create trigger a before truncate on t {end}", "0A000", "TRUNCATE")
    refused(db, f"create trigger a instead of insert on w {end}", "0A000", "INSTEAD OF")
    refused(db, f"create trigger a before insert on w {end}", "0A000", "views")
    refused(db, f"create constraint trigger a after insert on t {end}", "0A000", "CONSTRAINT TRIGGER")
    refused(db, f"create trigger a after insert on t referencing new table as n {end}", "0A000", "REFERENCING")
    refused(db, "create trigger a before insert on t execute function f(1)", "0A000", "argument")
    refused(db, "create trigger a before insert on t execute function g()", "42883", "g()")
    refused(db, f"create trigger a before insert on nothing {end}", "42P01")
    refused(db, f"create trigger a before update of nothing on t {end}", "42703")
    refused(db, f"create trigger a before insert or insert on t {end}", "42601", "duplicate")
    refused(db, f"create trigger a before insert on pg_class {end}", "42501")


def test_definitions_are_transactional(db: Connection) -> None:
    log = Log()
    db.create_trigger_function("f", log)
    db.begin()
    db.execute("create trigger a before insert on t for each row execute function f()")
    db.execute("insert into t values (1)")
    db.rollback()
    db.execute("insert into t values (2)")
    assert len(log.events) == 1


def test_columns_that_triggers_name(db: Connection) -> None:
    db.execute("alter table t add column w bigint")
    log = make(db, "a", "before update of v, w", Log(), "for each row when (new.name <> 'new.name')")
    db.execute("alter table t rename column name to label")
    db.execute("alter table t rename column v to value")
    db.execute("insert into t values (1, 'x', 1)")
    db.execute("update t set value = 2")
    db.execute("update t set label = 'y'")
    assert len(log.events) == 1
    refused(db, "alter table t drop column label", "2BP01", "trigger a")
    refused(db, "alter table t alter column label type varchar(9)", "0A000", "trigger definition")
    refused(db, "alter table t drop column w", "2BP01", "trigger a")
    db.execute("alter table t drop column w cascade")
    db.execute("update t set value = 3")
    assert len(log.events) == 1


def test_triggers_outlive_the_process_but_not_their_callables(tmp_path: Path) -> None:
    path = tmp_path / "d.zdb"
    with zerodb.connect(path) as db:
        db.execute("create table t (id integer primary key, name text, v bigint)")
        make(db, "a", "before insert", Log(), "for each row when (new.id > 0)")
    with zerodb.connect(path) as db:
        refused(db, "insert into t values (1)", "42883", "a_f()", "create_trigger_function")
        assert rows(db) == []
        log = Log()
        db.create_trigger_function("a_f", log)
        db.execute("insert into t values (1), (-1)")
        assert log.seen == [("a", "before", "insert", None, [1])]


def test_known_functions(db: Connection) -> None:
    db.create_trigger_function("f", Log())
    with pytest.raises(errors.Error, match="already exists"):
        db.create_trigger_function("f", Log())
    with pytest.raises(errors.Error, match="no function"):
        db.create_trigger_function("g", 1)  # type: ignore[arg-type]


def test_catalog(db: Connection) -> None:
    db.create_trigger_function("f", Log())
    head = 'create trigger "A" before insert or update of v, name on t'
    db.execute(f"{head} for each row when (new.v > 0) execute function f()")
    db.execute("create trigger b after delete or insert on t execute procedure f()")
    db.execute("alter table t disable trigger b")
    db.execute("comment on trigger b on t is 'says something'")
    assert rows(db, "select tgname, tgtype, tgenabled, tgattr, tgrelid::regclass from pg_trigger order by 1") == [
        ("A", 23, "O", [3, 2], "t"),
        ("b", 12, "D", [], "t"),
    ]
    end = "FOR EACH ROW WHEN (new.v > 0) EXECUTE FUNCTION f()"
    assert rows(db, "select pg_get_triggerdef(oid), pg_get_triggerdef(oid, true) from pg_trigger order by tgname") == [
        (
            f'CREATE TRIGGER "A" BEFORE INSERT OR UPDATE OF v, name ON public.t {end}',
            f'CREATE TRIGGER "A" BEFORE INSERT OR UPDATE OF v, name ON t {end}',
        ),
        (
            "CREATE TRIGGER b AFTER INSERT OR DELETE ON public.t FOR EACH STATEMENT EXECUTE FUNCTION f()",
            "CREATE TRIGGER b AFTER INSERT OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION f()",
        ),
    ]
    text = """select trigger_name, event_manipulation, event_object_table, action_order, action_condition,
                     action_statement, action_orientation, action_timing
              from information_schema.triggers order by 1, 2"""
    row, statement, call = "ROW", "STATEMENT", "EXECUTE FUNCTION f()"
    assert rows(db, text) == [
        ("A", "INSERT", "t", 1, "(new.v > 0)", call, row, "BEFORE"),
        ("A", "UPDATE", "t", 1, "(new.v > 0)", call, row, "BEFORE"),
        ("b", "DELETE", "t", 1, None, call, statement, "AFTER"),
        ("b", "INSERT", "t", 1, None, call, statement, "AFTER"),
    ]
    assert rows(db, "select relhastriggers from pg_class where relname = 't'") == [(True,)]
    assert rows(db, "select obj_description(oid, 'pg_trigger') from pg_trigger order by tgname") == [
        (None,),
        ("says something",),
    ]
    db.execute("drop table t")
    assert rows(db, "select count(*) from pg_trigger") == [(0,)]


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_isolation_levels(tmp_path: Path, level: str) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as one, zerodb.connect(tmp_path / "d.zdb") as two:
        one.execute("create table t (id integer primary key, v integer)")
        one.execute("create table log (n bigint)")

        def count(event: Any) -> None:
            event.connection.execute("insert into log select count(*) from t")

        one.create_trigger_function("count", count)
        one.execute("create trigger c after insert on t for each row execute function count()")
        one.execute(f"set default_transaction_isolation = '{level}'")
        one.execute("insert into t values (1), (2)")
        two.execute("insert into t values (3)")
        with one.transaction(level):
            one.execute("insert into t values (4)")
            two.execute("delete from t where id = 1")
            one.execute("insert into t values (5)")
            assert rows(one, "select n from log")[-1] == (4,) if level == "read committed" else (5,)
        assert len(rows(two, "select * from log")) == 4


def test_blocks_with_retries_run_statements_again_with_their_triggers(tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as one, zerodb.connect(tmp_path / "d.zdb") as two:
        one.execute("create table t (id integer primary key, v integer)")
        one.execute("create table log (id integer)")
        one.execute("insert into t values (1, 0), (2, 0)")

        def note(event: Any) -> None:
            event.connection.execute("insert into log values (1)")

        one.create_trigger_function("note", note)
        one.execute("create trigger n after update on t for each row execute function note()")
        with one.transaction(retries=3):
            one.execute("update t set v = v + 1 where id = 1")
            two.execute("update t set v = v + 1 where id = 2")
            one.execute("update t set v = v + 1 where id = 2")
        assert sorted(rows(one, "select v from t")) == [(1,), (2,)]
        assert rows(one, "select count(*) from log") == [(3,)]


def test_many_threads(tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as db:
        db.execute("create table t (id integer primary key, v integer)")
        db.execute("create table sums (k integer primary key, n bigint)")
        db.execute("insert into sums values (0, 0), (1, 0)")

        def add(event: Any) -> None:
            for key in (0, 1):
                total = sum(
                    v for i, v in zip(*(event.new[c].to_pylist() for c in ("id", "v")), strict=True) if i % 2 == key
                )
                event.connection.execute("update sums set n = n + ? where k = ?", [total, key])

        db.create_trigger_function("add", add)
        db.execute("create trigger a after insert on t for each row execute function add()")

        def work(first: int) -> None:
            with db.duplicate() as own:
                for start in range(first, first + 40, 4):
                    own.execute("insert into t select i, i from generate_series(?::int, ?::int) i", [start, start + 3])

        threads = [threading.Thread(target=work, args=(number * 1000,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = rows(db, "select id % 2, sum(v) from t group by 1 order by 1")
        assert [(key, int(total)) for key, total in expected] == rows(db, "select * from sums order by k")
        assert rows(db, "select count(*) from t") == [(160,)]
