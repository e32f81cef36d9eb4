"""All ways in which rows change run the triggers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tests.functions.asking import refused
from tests.triggers.triggering import Log, make, rows, shouted

from zerodb import Connection


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
