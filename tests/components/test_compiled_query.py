"""Compiled queries run in a host that knows only the WIT, fed with the host's own rows, and answer as zerodb does."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from benchmarks.data import query as tpch_query
from tests.components.query_host import PLURAL, QueryError, QueryHost, batch, bits, case, plain, record
from wasmtime import component as wc

import zerodb
from zerodb import artifact, query_component
from zerodb.guests.project import ProjectError
from zerodb.guests.tools import JCO, node, node_modules

ROWS = [(i % 7, i * 3 if i % 10 else None, i / 4) for i in range(3000)]


@pytest.fixture(scope="module")
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as db:
        db.execute(
            "create table item (id integer primary key, name varchar(20), price numeric(10,2), made date, ok boolean,"
            " d double precision, r real, ts timestamp, b bytea, c char(5), u uuid, j json, i interval, t time,"
            " s smallint)"
        )
        db.execute(
            r"""insert into item values
            (1, 'pen', 2.50, '2020-01-01', true, 1.5, 2.5, '2020-01-01 10:00', '\x0102', 'ab',
             '550e8400-e29b-41d4-a716-446655440000', '{"a": 1}', '1 month 2 days 00:00:03', '12:30', -3),
            (2, 'ink', 7.25, null, false, null, null, null, null, null, null, null, null, null, null),
            (3, 'jar', null, '2021-05-05', null, -0.25, 0.1, '1999-12-31 23:59:59.5', '\x', 'x y',
             '00000000-0000-0000-0000-000000000001', '[1, 2]', '-1 day', '00:00:01.5', 32767),
            (4, 'pen', 1.00, '2022-02-02', true, 'NaN', '-infinity', '2000-01-01', '\xff', '', null, '{}', '0',
             '23:59', 0),
            (5, 'Tinte, blau: äöü', 99999999.99, '0001-01-01', false, 0, -0.0, '9999-12-30', '\x00', 'ü',
             null, null, null, null, 1)"""
        )
        db.execute("create table sale (item integer not null, n bigint, price numeric(8,2))")
        db.executemany("insert into sale values (?, ?, ?)", ROWS)
        db.execute("create table word (w text not null)")
        yield db


def tables(db: zerodb.Connection, described: Any) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the inputs, from the database: a host would have its own."""
    found = {}
    for given in described.inputs:
        columns = ", ".join(f'"{column.name}"' for column in given.columns)
        rows = db.execute(f"select {columns or 1} from {given.name}").fetchall()
        found[given.name] = rows if columns else [() for _ in rows]
    return found


def plain_rows(rows: Sequence[Sequence[Any]], described: Any) -> list[tuple[Any, ...]]:
    types = [getattr(column, "data-type") for column in described.columns]
    return [tuple(None if v is None else plain(v, t) for v, t in zip(row, types, strict=True)) for row in rows]


def component(db: zerodb.Connection, sql: str) -> bytes:
    made = db.prepare(sql).component()
    assert made.missing is None
    return made.data


QUERIES: list[tuple[str, list[Any]]] = [
    ("select name, sum(price), count(*), min(made) from item where id < $1 group by name order by name", [4]),
    ("select id, name, price, made, ok, d, r, ts, b, c, u, j, t, s from item where id <> 4 order by id", []),
    ("select count(*) from item", []),
    ("select 1 where false", []),
    ("select name, n from item join sale on item.id = sale.item where n > 4000 order by n, name limit 20", []),
    (
        "select name, sum(n), avg(sale.price), max(item.price * n), count(distinct n % 5) from item"
        " left join sale on item.id = sale.item group by name having count(*) > 1 order by name desc",
        [],
    ),
    ("select id from item where price = (select max(price) from item)", []),
    ("select id from item where exists (select from sale where item = id and n > 8000) order by id", []),
    ("with recursive t(n) as (select 1 union all select n + 1 from t where n < 10)"
     " select n, name from t left join item on id = n order by n", []),
    ("select upper(name) || '-' || id::text, made + 3, ts + interval '1 day', d * r, -price from item", []),
    ("select name from item where name like $1 order by name, id", ["p%"]),
    ("select name from item where name ~ '^p.n$' and made > $1 order by id", ["2019-01-01"]),
    ("select id, sum(n) over (partition by id order by n), row_number() over (order by id, n) from item"
     " left join sale on id = item order by id, n limit 30", []),
    ("select n from sale order by n nulls first offset 5 limit 1000", []),
    ("select name from item where price > $1 and ok = $2 order by id", ["1.5", True]),
    ("select array_agg(id order by id), ok from item group by ok order by ok", []),
    ("select string_agg(name, ',' order by id) from item", []),
    ("select 5::smallint, 7.5::real, null, 2::hugeint, 'x'::bytea, '{a,b}'::text[]", []),
    ("select id from item where c = 'ab' or c = 'x y' order by id", []),
    ("select item.price, sale.price from item join sale on item.price = sale.price order by 1", []),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "parameters"), QUERIES, ids=[sql[:40] for sql, _ in QUERIES])
def test_answers_as_zerodb_does(db: zerodb.Connection, sql: str, parameters: list[Any]) -> None:
    host = QueryHost(component(db, sql))
    described = host.describe()
    assert described.sql == sql
    columns = db.prepare(sql).columns
    assert columns is not None
    assert [column.name for column in described.columns] == [column.name for column in columns]
    expected = repr(plain_rows(db.execute(sql, parameters).fetchall(), described))
    rows = tables(db, described)
    assert without_records(host.run(rows, parameters)) == without_records(expected)
    assert without_records(host.run(rows, parameters, fed=7, most=3)) == without_records(expected)


def without_records(shown: object) -> str:
    """Intervals are records, which have no text of their own."""
    text = shown if isinstance(shown, str) else repr(shown)
    return " ".join(word for word in text.split() if "0x" not in word)


def test_it_imports_nothing(db: zerodb.Connection) -> None:
    data = component(db, "select name from item")
    host = QueryHost(data)
    kind = host.component.type
    assert not kind.imports(host.engine)
    assert set(kind.exports(host.engine)) == {
        "zerosys:db/types@0.1.0",
        "zerosys:db/compiled-query@0.1.0",
    }


def test_its_types_are_those_of_the_wit() -> None:
    """The skeleton's types have the names, in their order, that wit/ has."""
    folder = Path(__file__).parents[2] / "wit"
    text = re.sub(r"///?.*", "", (folder / "types.wit").read_text() + (folder / "compiled-query.wit").read_text())
    declared = {
        name: re.findall(r"^\s*([a-z0-9-]+)[^\n]*,$", body, re.MULTILINE)
        for name, body in re.findall(r"(?:variant|record) ([a-z-]+) \{\n(.*?)\n\s*\}", text, re.DOTALL)
    }
    ours = {**query_component._TYPES, "input": query_component._INPUT, "description": query_component._DESCRIPTION}
    assert {name: re.findall(r'(?:case|field) "([a-z0-9-]+)"', form) for name, form in ours.items()} == declared


def test_more_rows_than_there_can_be(db: zerodb.Connection) -> None:
    host = QueryHost(component(db, "select count(*) from word"))
    run = host.start([])
    with pytest.raises(QueryError, match="53200"):
        host.feed(run, 0, record(row_count=2**31, columns=[]))
    for _ in range(2):
        host.feed(run, 0, record(row_count=100_000, columns=[]))
    assert list(host.batches(run, 1)) == [[(200_000,)]]


def test_hosts_without_threads_and_wide_arithmetic(db: zerodb.Connection) -> None:
    config = wasmtime.Config()
    config.wasm_threads = False
    config.wasm_wide_arithmetic = False
    host = QueryHost(component(db, "select sum(sale.price * n) from sale"), config)
    assert host.run({"sale": [(5, "1.5"), (2, "-4")]}) == [("-0.50",)]


def test_only_columns_that_are_read_are_fed(db: zerodb.Connection) -> None:
    described = QueryHost(component(db, "select sum(price) from item where ok")).describe()
    (given,) = described.inputs
    assert [(column.name, getattr(column, "data-type")) for column in given.columns] == [
        ("price", "numeric(10,2)"),
        ("ok", "boolean"),
    ]


def test_data_that_the_database_has_never_seen(db: zerodb.Connection) -> None:
    """Values, NULLs and duplicate keys beyond what the stored tables' layouts and constraints allow."""
    host = QueryHost(component(db, "select id, count(*), sum(price) from item group by id order by id"))
    rows = [(2**31 - 1, "1"), (-(2**31), None), (7, "2"), (7, "-3"), (-(2**31), "5")]
    assert host.run({"item": rows}) == [(-(2**31), 2, "5.00"), (7, 2, "-1.00"), (2**31 - 1, 1, "1.00")]
    host = QueryHost(component(db, "select distinct item from sale order by item"))
    assert host.run({"sale": [(10**6,), (-5,), (10**6,)]}) == [(-5,), (10**6,)]


@pytest.mark.parametrize("count", [1, 65_535, 65_536, 65_537])
def test_chunk_borders(db: zerodb.Connection, count: int) -> None:
    """One batch of more rows than a chunk has becomes several."""
    host = QueryHost(component(db, "select count(*), sum(n), count(n), min(item), max(item) from sale where item >= 0"))
    run = host.start([])
    values = list(range(count))
    columns = [
        record(validity=None, data=wc.Variant("int64s", values)),
        record(validity=bits([None if i % 3 == 0 else i for i in values]), data=wc.Variant("int64s", values)),
    ]
    host.feed(run, 0, record(row_count=count, columns=columns))
    present = [i for i in values if i % 3]
    (rows,) = host.batches(run, 100)
    assert rows == [(count, str(sum(present)) if present else None, len(present), 0, count - 1)]


def test_many_texts(db: zerodb.Connection) -> None:
    host = QueryHost(component(db, "select w from word where w > 'b' order by w"))
    rows = [("aüb"[i % 3] * (i % 300) + str(i),) for i in range(5000)]
    expected = sorted((row for row in rows if row[0] > "b"), key=lambda row: row[0].encode())
    assert host.run({"word": rows}, fed=5000, most=100_000) == expected


def test_what_cannot_be_a_row(db: zerodb.Connection) -> None:
    host = QueryHost(component(db, "select item, n, price from sale"))
    good = [(1, 2, None)]
    types = ["integer", "bigint", "numeric(8,2)"]
    cases: list[tuple[Any, int, str]] = [
        (batch([(None, 2, None)], types), 0, "23502"),
        (batch([(2**31, 2, None)], types), 0, "22003"),
        (batch(good, ["integer", "bigint", "text"]), 0, "42804"),
        (batch(good, types), 1, "22023"),
        (batch([(1, 2)], types[:2]), 0, "22023"),
        (record(row_count=2, columns=batch(good, types).columns), 0, "22023"),
        (record(row_count=1, columns=[record(validity=b"", data=column.data) for column in batch(good, types).columns]),
         0, "22023"),
    ]  # fmt: skip
    run = host.start([])
    for rows, number, state in cases:
        with pytest.raises(QueryError) as caught:
            host.feed(run, number, rows)
        assert caught.value.sqlstate == state, caught.value
    host.feed(run, 0, batch(good, types))  # the run goes on without them
    assert list(host.batches(run, 10)) == [[(1, 2, None)]]
    with pytest.raises(QueryError, match="55000"):
        host.feed(run, 0, batch(good, types))


def test_a_text_that_is_too_long(db: zerodb.Connection) -> None:
    host = QueryHost(component(db, "select name, c from item"))
    with pytest.raises(QueryError, match="22001"):
        host.run({"item": [("x" * 21, None)]})
    assert host.run({"item": [("ä" * 20, "abc  ")]}) == [("ä" * 20, "abc")]


def test_errors_while_it_runs(db: zerodb.Connection) -> None:
    sql = "select 10 / (id - 2), price from item"
    host = QueryHost(component(db, sql))
    run = host.start([])
    host.feed(run, 0, batch([(2, "1")], ["integer", "numeric(10,2)"]))
    for _ in range(2):  # it has failed for good
        with pytest.raises(QueryError) as caught:
            list(host.batches(run, 10))
        assert (caught.value.sqlstate, caught.value.message) == ("22012", "division by zero")
        with pytest.raises(zerodb.Error) as ours:
            db.execute(sql)
        assert caught.value.position == (ours.value.position or 0) + 1
    with pytest.raises(QueryError, match='22P02: invalid input syntax for type numeric: "1,5"'):
        host.run({"item": [(1, "1,5")]})
    with pytest.raises(QueryError, match="22003"):
        host.run({"item": [(1, "123456789012345")]})


@pytest.mark.parametrize(
    ("type_", "given", "expected"),
    [
        ("integer", wc.Variant("text", " 12 "), 12),
        ("integer", wc.Variant("decimal", "12"), 12),
        ("integer", wc.Variant("int64", 2**31), "22003"),
        ("integer", wc.Variant("text", "1x"), "22P02"),
        ("integer", wc.Variant("boolean", True), "42804"),
        ("numeric(6,2)", wc.Variant("int64", -7), "-7.00"),
        ("numeric(6,2)", wc.Variant("decimal", "7.125"), "7.13"),
        ("numeric(6,2)", wc.Variant("float64", 7.5), "7.50"),
        ("numeric(6,2)", wc.Variant("decimal", "10000"), "22003"),
        ("double precision", wc.Variant("text", "1e3"), 1000.0),
        ("real", wc.Variant("float64", 0.5), 0.5),
        ("date", wc.Variant("text", "1970-01-11"), 10),
        ("date", wc.Variant("date", 10), 10),
        ("date", wc.Variant("text", "1970-13-11"), "22008"),
        ("date", wc.Variant("text", "infinity"), 2**31 - 1),
        ("date", wc.Variant("text", "soon"), "22007"),
        ("time", wc.Variant("text", "00:00:01"), 1_000_000),
        ("timestamp", wc.Variant("text", "1970-01-01 00:00:01"), 1_000_000),
        ("time", wc.Variant("time", 5), 5),
        ("boolean", wc.Variant("boolean", True), True),
        ("bytea", wc.Variant("binary", b"\0\1"), b"\0\1"),
        ("text", wc.Variant("null"), None),
        ("uuid", wc.Variant("uuid", "550e8400-e29b-41d4-a716-446655440000"), "550e8400-e29b-41d4-a716-446655440000"),
        ("jsonb", wc.Variant("json", '{"a":1}'), '{"a": 1}'),
        ("integer[]", wc.Variant("other", "{1,2}"), "{1,2}"),
    ],
)
def test_parameters(db: zerodb.Connection, type_: str, given: wc.Variant, expected: Any) -> None:
    host = QueryHost(component(db, f"select $1::{type_}"))
    run = host.call("[constructor]run", [given])
    if isinstance(expected, str) and len(expected) == 5 and type_ != "integer[]" and expected[:2] in ("22", "42"):
        with pytest.raises(QueryError, match=expected):
            list(host.batches(run, 1))
    else:
        assert list(host.batches(run, 1)) == [[(expected,)]]


def test_parameters_are_counted(db: zerodb.Connection) -> None:
    host = QueryHost(component(db, "select $1::integer"))
    run = host.call("[constructor]run", [])
    with pytest.raises(QueryError, match="07001: the query takes 1 parameters"):
        list(host.batches(run, 1))


def test_runs_side_by_side(db: zerodb.Connection) -> None:
    host = QueryHost(component(db, "select item, n from sale where n >= $1 order by n"))
    runs = [host.start([least]) for least in (0, 5)]
    for run in runs:
        host.feed(run, 0, batch([(i, i) for i in range(10)], ["integer", "bigint"]))
    pairs = zip(host.batches(runs[0], 5), host.batches(runs[1], 5), strict=False)
    assert next(pairs) == ([(i, i) for i in range(5)], [(i, i) for i in range(5, 10)])


def test_memory_of_runs_comes_back(db: zerodb.Connection) -> None:
    host = QueryHost(component(db, "select name, count(*) from item group by name order by 2 desc, 1"))
    rows = [(f"name {i % 100}",) for i in range(3000)]
    expected = host.run({"item": rows}, fed=3000)
    host.store.set_limits(memory_size=12 << 20)
    for _ in range(30):
        assert host.run({"item": rows}, fed=3000) == expected


def test_no_memory(db: zerodb.Connection) -> None:
    host = QueryHost(
        component(
            db, "select count(*) from item a, item b, item c where a.id + b.id + c.id > 0 group by a.id, b.id, c.id"
        )
    )
    host.store.set_limits(memory_size=4 << 20)
    with pytest.raises(QueryError, match="53200"):
        host.run({"item": [(i,) for i in range(200)]})


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select now(), id from item", "the present time"),
        ("select random() from item", "random numbers"),
        ("select id from item where name ~ name", "pattern"),
        ("select id from item order by name collate \"unicode\"", "collation"),
    ],
)  # fmt: skip
def test_what_needs_the_database(db: zerodb.Connection, sql: str, reason: str) -> None:
    made = db.prepare(sql).component()
    assert made.missing is not None
    assert reason in made.missing
    wc.Component(wasmtime.Engine(), made.data)  # still a component, of nothing


def test_what_cannot_be_in_a_file(db: zerodb.Connection) -> None:
    db.create_function("twice", lambda numbers: [2 * number for number in numbers], ["integer"], "integer")
    db.execute("create sequence numbers")
    for sql in ("select twice(id) from item", "select twice(3)", "select nextval('numbers')"):
        with pytest.raises(zerodb.NotSupportedError, match="cannot be compiled to a file"):
            db.prepare(sql).component()


def test_partitioned_tables_are_one_input(db: zerodb.Connection) -> None:
    db.execute("create table part (id integer, at date) partition by range (at)")
    for year in (2020, 2021):
        db.execute(
            f"create table part_{year} partition of part for values from ('{year}-01-01') to ('{year + 1}-01-01')"
        )
    sql = "select id from part where at >= '2021-01-01' order by id"
    db.execute("insert into part values (1, '2020-05-05'), (2, '2021-05-05')")
    data = component(db, sql)
    assert artifact.load(db, data).execute().fetchall() == [(2,)]
    host = QueryHost(data)
    assert [given.name for given in host.describe().inputs] == ["part"]
    days = [datetime.date(year, 6, 1) for year in (2019, 2021, 2030)]
    assert host.run({"part": list(enumerate(days))}) == [(1,), (2,)]


# --- in Node, through jco --------------------------------------------------------------------------------------------


def in_node(
    folder: Path, db: zerodb.Connection, sql: str, parameters: Sequence[dict[str, Any]] = ()
) -> list[list[Any]]:
    """The rows that a JavaScript program gets of the query, from arrays of its own."""
    try:
        jco, program = node_modules(folder, JCO) / JCO / "dist" / "jco.js", node()
    except ProjectError as missing:
        pytest.skip(str(missing))
    data = component(db, sql)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "query.wasm").write_bytes(data)
    made = [program, str(jco), "transpile", "query.wasm", "-o", "query", "--name", "query"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    described = QueryHost(data).describe()
    inputs, counts = {}, {}
    for given, (name, rows) in zip(described.inputs, tables(db, described).items(), strict=True):
        types = [getattr(column, "data-type") for column in given.columns]
        columns = list(zip(*rows, strict=True)) if types else []
        counts[name] = len(rows)
        inputs[name] = [
            {"tag": PLURAL.get(case(t), f"{case(t)}s"), "values": [None if v is None else plain(v, t) for v in values]}
            for t, values in zip(types, columns, strict=True)
        ]
    job = {"inputs": inputs, "rows": counts, "parameters": list(parameters), "fed": 4096, "most": 1000}
    (folder / "job.json").write_text(json.dumps(job))
    runner = str(Path(__file__).with_name("compiled_query.mjs"))
    done = subprocess.run(
        [program, runner, "query/query.js", "job.json"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 23))
def test_tpch_in_node(number: int, tpch: zerodb.Connection, tmp_path: Path) -> None:
    sql = tpch_query(number)
    found = in_node(tmp_path, tpch, sql)
    described = QueryHost(component(tpch, sql)).describe()
    assert found == [list(row) for row in plain_rows(tpch.execute(sql).fetchall(), described)]


@pytest.mark.slow
def test_texts_decimals_and_nulls_in_node(db: zerodb.Connection, tmp_path: Path) -> None:
    sql = (
        "select name, item.price, made, count(n), sum(n * sale.price) total from item left join sale on id = item"
        " where item.price > $1 or item.price is null group by name, item.price, made"
        " order by total desc nulls last, name"
    )
    found = in_node(tmp_path, db, sql, [{"tag": "decimal", "val": "1.50"}])
    described = QueryHost(component(db, sql)).describe()
    assert found == [list(row) for row in plain_rows(db.execute(sql, ["1.50"]).fetchall(), described)]


@pytest.fixture(scope="module")
def tpch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zerodb.Connection]:
    from benchmarks.tpch_benchmark import load_zerodb

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZERODB_BENCHMARK_DATA", str(tmp_path_factory.mktemp("data")))
        with load_zerodb(str(tmp_path_factory.mktemp("db") / "tpch.zdb"), "0.01", 1) as connection:
            yield connection


@pytest.mark.slow
def test_the_example(tmp_path: Path) -> None:
    """examples/compiled_query, by the commands that it names."""
    try:
        jco, program = node_modules(tmp_path, JCO) / JCO / "dist" / "jco.js", node()
    except ProjectError as missing:
        pytest.skip(str(missing))
    shutil.copytree(Path(__file__).parents[2] / "examples" / "compiled_query", tmp_path, dirs_exist_ok=True)
    ours = [sys.executable, "-m", "zerodb.cli.main"]
    for command in (
        [*ours, "run", "schema.sql", "--db", "shop.zdb"],
        [*ours, "compile", "report.sql", "--db", "shop.zdb", "-o", "report.wasm"],
        [program, str(jco), "transpile", "report.wasm", "-o", "report"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run([program, "report.mjs"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-3:] == [
        "pen: 12 pieces, 14.40, last on 2024-02-29",
        "ink: 1 pieces, 7.00, last on 2024-02-01",
        "pad: 5 pieces, no price, last on 2024-03-01",
    ]
