"""SELECT ... FOR UPDATE and its kin, with several connections. Errors and results are PostgreSQL 15's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import zerodb
from zerodb import Connection
from zerodb.errors import Error

SCHEMA = """
create table jobs (id int primary key, state text, v int);
insert into jobs select g, 'new', g * 10 from generate_series(1, 10) g;
create table lines (id int primary key, job int references jobs (id));
insert into lines values (1, 1), (2, 2);
create view new_jobs as select id, v from jobs where state = 'new';
create table parts (a int, b text) partition by range (a);
create table parts_low partition of parts for values from (0) to (10);
create table parts_high partition of parts for values from (10) to (20);
insert into parts select g, 'p' || g from generate_series(0, 19) g;
"""


@pytest.fixture
def connections() -> Iterator[Callable[[], Connection]]:
    first = zerodb.connect(":memory:")
    first.executescript(SCHEMA)
    made = [first]

    def another() -> Connection:
        made.append(first.duplicate())
        return made[-1]

    yield another
    for connection in made:
        connection.close()


def rows(connection: Connection, sql: str) -> list[Any]:
    return connection.execute(sql).fetchall()


def ids(connection: Connection, sql: str) -> list[int]:
    return sorted(row[0] for row in rows(connection, sql))


def code(connection: Connection, sql: str) -> str:
    with pytest.raises(Error) as caught:
        connection.execute(sql)
    return caught.value.sqlstate


def later(action: Callable[[], Any]) -> Callable[[], Any]:
    """Starts it on a thread; gives what waits for its result, an error's code if it fails."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(action())
        except Error as error:
            results.append(error.sqlstate)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(20)
        assert not thread.is_alive()
        return results[0]

    result.thread = thread  # type: ignore[attr-defined]
    return result


def waits(result: Any) -> bool:
    result.thread.join(0.15)
    return bool(result.thread.is_alive())


def test_a_locked_row_is_waited_for_and_then_newest(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    assert rows(a, "select v from jobs where id = 1 for update") == [(10,)]
    result = later(lambda: rows(b, "select v from jobs where id = 1 for share"))
    assert waits(result)
    a.execute("update jobs set v = 11 where id = 1")
    a.commit()
    assert result() == [(11,)]


@pytest.mark.parametrize(
    ("held", "wanted", "refused"),
    [
        ("key share", "update", True),
        ("key share", "no key update", False),
        ("share", "no key update", True),
        ("share", "share", False),
        ("no key update", "key share", False),
        ("no key update", "share", True),
        ("update", "key share", True),
    ],
)
def test_modes(connections: Callable[[], Connection], held: str, wanted: str, refused: bool) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute(f"select 1 from jobs where id = 3 for {held}")
    sql = f"select id from jobs where id in (3, 4) for {wanted}"
    if refused:
        with pytest.raises(Error, match='could not obtain lock on row in relation "jobs"') as caught:
            b.execute(sql + " nowait")
        assert caught.value.sqlstate == "55P03"
    else:
        assert ids(b, sql + " nowait") == [3, 4]
    assert ids(b, sql + " skip locked") == ([4] if refused else [3, 4])
    a.commit()
    assert ids(b, sql + " nowait") == [3, 4]


def test_a_queue_of_jobs(connections: Callable[[], Connection]) -> None:
    """Each worker gets its own jobs, in order, as many as it asks for."""
    a, b, c = connections(), connections(), connections()
    take = "select id from jobs where state = 'new' order by id limit 3 for update skip locked"
    a.begin()
    b.begin()
    assert rows(a, take) == [(1,), (2,), (3,)]
    assert rows(b, take) == [(4,), (5,), (6,)]
    assert rows(a, take) == [(1,), (2,), (3,)]  # its own locks are not in its way
    one = "(select id from jobs where state = 'new' order by id limit 1 for update skip locked)"
    assert rows(c, f"update jobs set state = 'done' where id = {one} returning id") == [(7,)]
    assert rows(c, f"delete from jobs where id in {one} returning id, state") == [(8, "new")]
    assert rows(c, f"with job as {one} update jobs set v = 0 from job where job.id = jobs.id returning jobs.id") == [
        (9,)
    ]
    b.rollback()
    assert rows(c, take) == [(4,), (5,), (6,)]


def test_skip_locked_leaves_out_no_row_elsewhere(connections: Callable[[], Connection]) -> None:
    """Locked rows are left out of the locked table's scan only."""
    a, b = connections(), connections()
    a.begin()
    a.execute("select 1 from jobs where id <= 2 for update")
    sql = "select x.id from jobs x where (select count(*) from jobs y where y.id < x.id) = {} limit 5 for update of x"
    assert rows(b, sql.format(2) + " skip locked") == [(3,)]
    assert rows(b, sql.format(1) + " skip locked") == []


def test_many_workers_take_each_job_once(connections: Callable[[], Connection]) -> None:
    taken: list[int] = []

    def work(connection: Connection) -> None:
        while True:
            with connection.transaction("read committed"):
                found = rows(
                    connection, "select id from jobs where state = 'new' order by id limit 2 for update skip locked"
                )
                for (id_,) in found:
                    connection.execute("update jobs set state = 'done' where id = ?", [id_])
            taken.extend(id_ for (id_,) in found)
            if not found:
                return

    results = [later(partial(work, connections())) for _ in range(4)]
    for result in results:
        assert result() is None
    # Who finds all that is left locked goes home, so some may be left: none was taken twice.
    assert sorted(taken) == ids(connections(), "select id from jobs where state = 'done'")


def test_joins_views_partitions(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute("select * from jobs j join lines l on l.job = j.id where l.id = 1 for update of j")
    assert ids(b, "select id from jobs where id < 4 for update skip locked") == [2, 3]
    assert ids(b, "select id from lines for update skip locked") == [1, 2]
    a.rollback()
    a.begin()
    a.execute("select * from new_jobs where id = 2 for update")
    a.execute("select * from (select id from jobs where id > 3) s where id < 5 for share")
    assert ids(b, "select id from jobs where id < 6 for update skip locked") == [1, 3, 5]
    a.rollback()
    a.begin()
    a.execute("select * from parts where a in (3, 13) for update")
    assert ids(b, "select a from parts where a % 10 in (3, 4) for update skip locked") == [4, 14]
    assert rows(b, "select a from parts where a % 10 = 3 or a = 19 limit 1 for update skip locked") == [(19,)]
    assert code(b, "select a from parts_high where a = 13 for update nowait") == "55P03"


def test_subqueries_lock_what_they_give(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    assert rows(a, "select * from (select id from jobs where id <= 3 for update) s where id = 2") == [(2,)]
    assert rows(a, "select count(*) from (select id from jobs where id = 5 for share) s") == [(1,)]
    assert rows(a, "with x as (select id from jobs where id = 7 for update) select x.id, y.id from x, x y") == [(7, 7)]
    assert rows(a, "with x as (select id from jobs where id = 8 for update) select 1") == [(1,)]  # nobody reads it
    assert ids(b, "select id from jobs for update skip locked") == [4, 6, 8, 9, 10]


def test_ends_with_the_transaction_or_at_a_savepoint(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute("select * from jobs where id = 1 for update")
    a.execute("savepoint s")
    a.execute("select * from jobs where id = 2 for update")
    a.execute("rollback to s")
    assert ids(b, "select id from jobs where id < 4 for update skip locked") == [2, 3]
    a.commit()
    assert ids(b, "select id from jobs where id < 4 for update skip locked") == [1, 2, 3]


def test_a_row_that_changed_since_the_snapshot(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin("repeatable read")
    rows(a, "select 1 from jobs")
    b.execute("update jobs set v = 1 where id = 1")
    assert rows(a, "select v from jobs where id = 2 for update") == [(20,)]
    assert code(a, "select v from jobs where id = 1 for update") == "40001"
    a.rollback()
    a.begin("read committed")
    rows(a, "select 1 from jobs")
    b.execute("update jobs set v = 2 where id = 1")
    assert rows(a, "select v from jobs where id = 1 for update") == [(2,)]


def test_who_closes_a_circle_is_told(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    for connection, id_ in ((a, 1), (b, 2)):
        connection.begin()
        connection.execute(f"select * from jobs where id = {id_} for update")
    result = later(lambda: ids(a, "select id from jobs where id = 2 for update"))
    assert waits(result)
    assert code(b, "select * from jobs where id = 1 for update") == "40P01"
    b.rollback()
    assert result() == [2]


def test_limits_of_waiting(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute("select * from jobs where id = 1 for update")
    b.execute("set lock_timeout = '50ms'")
    assert code(b, "update jobs set v = 0 where id = 1") == "55P03"
    b.execute("set lock_timeout = 0")
    b.execute("set statement_timeout = '50ms'")
    assert code(b, "select * from jobs where id = 1 for share") == "57014"
    b.execute("set statement_timeout = 0")
    result = later(lambda: ids(b, "select id from jobs where id = 1 for share"))
    assert waits(result)
    b.interrupt()
    assert result() == "57014"


def test_read_only_transactions_lock_nothing(connections: Callable[[], Connection]) -> None:
    a = connections()
    a.begin(read_only=True)
    with pytest.raises(Error, match="cannot execute SELECT FOR KEY SHARE in a read-only transaction") as caught:
        a.execute("select * from jobs for key share")
    assert caught.value.sqlstate == "25006"


def test_a_prepared_query_and_arrow_results(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    prepared = a.prepare("select id, state from jobs where id = ? for update")
    assert prepared.execute([4]).fetchall() == [(4, "new")]
    assert [column.name for column in prepared.columns or ()] == ["id", "state"]
    assert a.execute("select state from jobs where id = 5 for update").fetch_arrow().column_names == ["state"]
    assert ids(b, "select id from jobs where id in (3, 4, 5) for update skip locked") == [3]
    assert rows(a, "select id from jobs where false for update") == []


def test_explain_analyze_locks(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    text = "\n".join(line for (line,) in rows(a, "explain analyze select * from jobs where id = 1 for update"))
    assert "Lock rows: jobs for update" in text
    assert code(b, "select * from jobs where id = 1 for update nowait") == "55P03"


def test_waiting_ends_when_the_holder_dies_away(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute("select * from jobs where id = 1 for update")
    result = later(lambda: ids(b, "select id from jobs where id = 1 for update"))
    assert waits(result)
    begun = time.monotonic()
    a.close()
    assert result() == [1]
    assert time.monotonic() - begun < 5


# --- keys that others rely on -----------------------------------------------------------------------------------------


def test_for_update_keeps_new_references_away(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute("select * from jobs where id = 3 for update")
    result = later(lambda: b.execute("insert into lines values (3, 3)").rowcount)
    assert waits(result)
    a.commit()
    assert result() == 1
    a.begin()
    a.execute("select * from jobs where id = 3 for no key update")
    assert b.execute("insert into lines values (4, 3)").rowcount == 1
    a.commit()
    b.begin()
    b.execute("insert into lines values (5, 5)")
    assert code(a, "select * from jobs where id = 5 for update nowait") == "55P03"
    assert ids(a, "select id from jobs where id in (4, 5) for update skip locked") == [4]
    assert ids(a, "select id from jobs where id > 4 order by id limit 2 for update skip locked") == [6, 7]
    assert ids(a, "select id from jobs where id = 5 for no key update nowait") == [5]
    b.commit()


def test_key_share_outlives_a_new_version_of_the_row(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute("select * from jobs where id = 6 for key share")
    b.execute("update jobs set v = 0 where id = 6")
    b.execute("set lock_timeout = '50ms'")
    for change in ("delete from jobs where id = 6", "update jobs set id = 60 where id = 6"):
        assert code(b, change) == "55P03"
    assert code(b, "select * from jobs where id = 6 for update nowait") == "55P03"
    assert ids(b, "select id from jobs where id = 6 for no key update nowait") == [6]
    a.commit()
    assert b.execute("delete from jobs where id = 6").rowcount == 1


@pytest.mark.parametrize("prepared", [False, True])
def test_a_query_by_key_locks_however_often_it_runs(connections: Callable[[], Connection], prepared: bool) -> None:
    holder, other = connections(), connections()
    sql = "select v from jobs where id = $1 for update"
    run = holder.prepare(sql).execute if prepared else partial(holder.execute, sql)
    for _ in range(5):  # statements by key take another way when they come again
        holder.begin("read committed")
        assert run((1,)).fetchone() == (10,)
        with pytest.raises(Error, match="could not obtain lock"):
            other.execute("select v from jobs where id = 1 for update nowait")
        holder.rollback()


def test_a_view_that_locks(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.execute("create view locking as select id, v from jobs where id <= 2 for update")
    assert code(a, "alter table jobs drop column v") == "2BP01"
    a.begin()
    assert rows(a, "select count(*) from locking") == [(2,)]
    assert ids(b, "select id from jobs where id < 5 for update skip locked") == [3, 4]
    a.rollback()
    assert code(a, "create materialized view kept as select * from jobs for update") == "0A000"
    assert code(a, "create table kept as select * from jobs for update") == "0A000"


def test_who_waits_for_a_row_takes_it_from_nobody(connections: Callable[[], Connection]) -> None:
    a, b = connections(), connections()
    a.begin()
    a.execute("select * from jobs where id = 1 for update")
    result = later(lambda: ids(b, "select id from jobs where id = 1 for no key update"))
    assert waits(result)
    assert rows(a, "select id from jobs order by id limit 1 for update skip locked") == [(1,)]
    assert ids(a, "select id from jobs where id = 1 for update nowait") == [1]
    a.commit()
    assert result() == [1]
