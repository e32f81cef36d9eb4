"""Table functions, aggregates and triggers in components: those of the C templates, and what goes wrong."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.functions.asking import refused, rows
from tests.guests.building import one_file

import zerodb
from zerodb import Connection, errors
from zerodb.guests.files import SDK

SOURCES = Path(__file__).parent / "sources"


def component(source: Path, world: str, folder: Path) -> Path:
    copy = folder / f"{source.stem}.c"
    if copy != source:
        shutil.copyfile(source, copy)
    place = folder / source.stem
    place.mkdir()
    return one_file(copy, "c", world, place)


def template(kind: str, folder: Path) -> Path:
    place = folder / f"{kind}_template.c"
    place.write_text((SDK / "c" / "templates" / kind / "app.c").read_text())
    return component(place, f"{kind}-udf", folder)


# --- aggregates -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    file = template("aggregate", tmp_path_factory.mktemp("aggregate"))
    with zerodb.connect(":memory:") as db:
        db.execute(f"create function span(value bigint) returns bigint language wasm as '{file}'")
        db.execute("create table t as select i, i % 3 as g from generate_series(1, 10) i")
        yield db


def test_aggregate(spans: Connection) -> None:
    assert rows(spans, "select g, span(i), span(i) filter (where i > 9) from t group by g order by g") == [
        (0, 6, None),
        (1, 9, 0),
        (2, 6, None),
    ]
    assert rows(spans, "select span(distinct i / 9), span(i) from t") == [(1, 9)]
    assert rows(spans, "select span(i) from t where i > 99") == [(None,)]
    assert rows(spans, "select g, span(i) from t group by rollup (g) order by g nulls last")[-1] == (None, 9)
    assert rows(spans, "select prokind from pg_proc where proname = 'span'") == [("a",)]


def test_aggregate_of_many_groups(spans: Connection) -> None:
    for count, groups in ((65_536, 1), (65_537, 7), (150_000, 30_000)):
        text = f"select i * 31 % {groups} g, span(i) s, max(i) - min(i) m from generate_series(1, {count}) i group by 1"
        assert rows(spans, f"select count(*), bool_and(s = m) from ({text}) q") == [(groups, True)]


def test_aggregate_is_dropped_and_declared_as_it_is(spans: Connection, tmp_path: Path) -> None:
    refused(spans, "select span(i) over () from t", "0A000", "window")
    refused(spans, "select span('x'::text)", "42883")
    refused(spans, "drop function span", "42809", "DROP AGGREGATE")
    spans.execute("create view v as select span(i) from t")
    refused(spans, "drop aggregate span(bigint)", "2BP01", "view v")
    spans.execute("drop aggregate span(bigint) cascade")
    refused(spans, "select span(i) from t", "42883")


# --- table functions --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    file = component(SOURCES / "table.c", "table-udf", tmp_path_factory.mktemp("table"))
    with zerodb.connect(":memory:") as db:
        db.execute(
            f"create function counts(n bigint, s text) returns table (i bigint, name text) language wasm as '{file}'"
        )
        db.execute(
            f"""create function kinds(a date, b numeric, c boolean, d jsonb) returns table (kind bigint)
                language wasm as '{file}'"""
        )
        yield db


def test_table_function(tables: Connection) -> None:
    assert rows(tables, "select * from counts(3, 'x')") == [(0, "x"), (1, None), (2, "x")]
    assert rows(tables, "select * from counts(null, null)") == []
    assert rows(tables, "select v, i from (values (1), (0), (2)) t(v), counts(v, 's') order by 1, 2") == [
        (1, 0),
        (2, 0),
        (2, 1),
    ]
    assert rows(tables, "select (select sum(i) from counts(v, '')) from (values (3), (4)) t(v) order by v") == [
        (Decimal(3),),
        (Decimal(6),),
    ]


def test_table_function_of_many_rows(tables: Connection) -> None:
    for count in (4095, 4096, 4097, 65_536, 200_001):
        text = f"select count(*), count(name), sum(i) from counts({count}, 'abc')"
        assert rows(tables, text) == [(count, (count + 1) // 2, Decimal(count * (count - 1) // 2))]


def test_arguments_have_the_forms_of_their_types(tables: Connection) -> None:
    text = "select kind from kinds('2024-01-01', 1.5, true, '{}')"
    assert [kind for (kind,) in rows(tables, text)] == [6, 11, 1, 13]  # date, decimal, boolean, json
    assert [kind for (kind,) in rows(tables, "select kind from kinds(null, null, null, null)")] == [0, 0, 0, 0]


def test_what_table_functions_do_wrong(tables: Connection) -> None:
    refused(tables, "select * from counts(12, '')", "22023", "no dozen", "counts(12")
    refused(tables, "select * from counts(13, '')", "38000", "thirteen")
    refused(tables, "select * from counts(-1, '')", "22P03", "counts(-1")
    refused(tables, "select counts(1, '')", "0A000", "FROM")
    assert rows(tables, "select count(*) from counts(2, '')") == [(2,)]


# --- triggers ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trigger_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return component(SOURCES / "trigger.c", "trigger", tmp_path_factory.mktemp("trigger"))


@pytest.fixture
def db(trigger_file: Path) -> Iterator[Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table t (id bigint primary key, v bigint, s text)")
        connection.execute("create table log (n bigint)")
        connection.execute(f"create function f() returns trigger language wasm as '{trigger_file}'")
        yield connection


def test_triggers_replace_and_filter(db: Connection) -> None:
    db.execute("create trigger doubles before insert or update on t for each row execute function f()")
    db.execute("create trigger filters before insert or delete on t for each row execute function f()")
    got = rows(db, "insert into t values (1, 1, 'a'), (2, -1, 'b'), (3, null, null) returning *")
    assert got == [(1, 2, "a"), (3, None, None)]
    db.execute("update t set v = v - 2")
    assert rows(db, "select * from t order by id") == [(1, 0, "a"), (3, None, None)]
    db.execute("insert into t select i, case when i % 3 = 0 then -i else i end, 's' from generate_series(10, 70009) i")
    assert rows(db, "select count(*), min(v), max(v) from t where id > 9") == [(46_667, 20, 140_018)]


def test_triggers_query_within_the_statement(db: Connection) -> None:
    db.execute("create trigger counts after insert on t execute function f()")
    with db.transaction():
        db.execute("insert into t values (1), (2)")
    db.execute("insert into t values (3)")
    assert rows(db, "select n from log order by n") == [(2,), (3,)]
    with pytest.raises(errors.Error):
        db.execute("insert into t values (4), (4)")
    assert len(rows(db, "select * from log")) == 2


@pytest.mark.parametrize(
    ("name", "sqlstate", "part"),
    [
        ("refuses", "23514", "not today"),
        ("traps", "39000", "trigger traps"),
        ("too_many", "39P01", "4 rows in place of 3"),
        ("short_filter", "22P03", "filter of 1 bytes"),
        ("commits", "0A000", "COMMIT"),
        ("fails", "22012", "division by zero"),
    ],
)
def test_what_triggers_do_wrong(db: Connection, name: str, sqlstate: str, part: str) -> None:
    db.execute(f"create trigger {name} before insert on t for each row execute function f()")
    values = "select i, i, '' from generate_series(1, 9) i" if name == "short_filter" else "values (1), (2), (3)"
    for _ in range(2):
        refused(db, f"insert into t {values}", sqlstate, part)
    assert rows(db, "select * from t") == []
    db.execute(f"drop trigger {name} on t")
    db.execute("insert into t values (1)")


def test_triggers_that_do_not_end(db: Connection) -> None:
    db.execute("create trigger loops before insert on t for each row execute function f()")
    db.execute("set statement_timeout = '200ms'")
    began = time.monotonic()
    refused(db, "insert into t values (1)", "57014", "timeout")
    assert time.monotonic() - began < 5
    db.execute("reset statement_timeout")
    threading.Timer(0.2, db.interrupt).start()
    refused(db, "insert into t values (1)", "57014", "interrupted")
    assert rows(db, "select * from t") == []


def test_handles_end_with_the_call(db: Connection) -> None:
    db.execute("create trigger keeps_handle before insert on t for each row execute function f()")
    db.execute("insert into t values (1)")
    refused(db, "insert into t values (2)", "39000")
    assert rows(db, "select * from log") == []


def test_functions_that_triggers_use(db: Connection, trigger_file: Path) -> None:
    db.execute("create trigger doubles before insert on t for each row execute function f()")
    refused(db, "drop function f()", "2BP01", "trigger doubles")
    refused(db, "select f()", "0A000", "triggers")
    db.execute("alter function f() rename to g")
    db.execute("insert into t values (1, 4)")
    assert rows(db, "select v from t") == [(8,)]
    shown = "select pg_get_triggerdef(t.oid), proname from pg_trigger t join pg_proc p on p.oid = tgfoid"
    definition = "CREATE TRIGGER doubles BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION g()"
    assert rows(db, shown) == [(definition, "g")]
    db.execute("drop function g() cascade")
    db.execute("insert into t values (2, 4)")
    assert rows(db, "select v from t order by id") == [(8,), (4,)]
    refused(db, f"create function h(a int) returns trigger language wasm as '{trigger_file}'", "42P13", "arguments")


def test_triggers_outlive_the_process(trigger_file: Path, tmp_path: Path) -> None:
    with zerodb.connect(tmp_path / "d.zdb") as db:
        db.execute("create table t (id bigint primary key, v bigint, s text)")
        db.execute(f"create function f() returns trigger language wasm as '{trigger_file}'")
        db.execute("create trigger doubles before insert on t for each row execute function f()")
    with zerodb.connect(tmp_path / "d.zdb") as db:
        db.execute("insert into t values (1, 4)")
        assert rows(db, "select v from t") == [(8,)]
        assert db.check() == []
