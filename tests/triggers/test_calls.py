"""What trigger functions are called with, for which rows, in which order."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pyarrow as pa
from tests.functions.asking import refused
from tests.triggers.triggering import Log, make

from zerodb import Connection


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
