"""Python callables as functions of SQL: types, NULLs, errors, how often they are called, who knows them."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zerodb
from zerodb import Connection


@pytest.fixture
def db() -> Iterator[Connection]:
    with zerodb.connect(":memory:", threads=2) as connection:
        connection.execute("create table t (a bigint, b text)")
        connection.execute("insert into t select i, 'x' || i from generate_series(1, 6) g(i)")
        connection.execute("insert into t values (null, null)")
        yield connection


class Double:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __call__(self, a: int) -> int:
        self.calls.append(a)
        return a * 2

    def taken(self) -> list[object]:
        found, self.calls = self.calls, []
        return found


@pytest.fixture
def f(db: Connection) -> Double:
    """Volatile."""
    made = Double()
    db.create_function("f", made, ["bigint"], "bigint")
    return made


@pytest.fixture
def g(db: Connection) -> Double:
    """Immutable."""
    made = Double()
    db.create_function("g", made, ["bigint"], "bigint", volatility="immutable")
    return made


def rows(db: Connection, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    return db.execute(sql, parameters).fetchall()


def column(db: Connection, sql: str) -> list[object]:
    return [row[0] for row in rows(db, sql)]


def state(db: Connection, sql: str) -> str | None:
    with pytest.raises(zerodb.Error) as caught:
        db.execute(sql).fetchall()
    return caught.value.sqlstate


def test_a_subquery_in_coalesce_is_computed_once(db: Connection) -> None:
    double = Double()
    db.create_function("d", double, ["bigint"], "bigint")
    assert db.execute("select coalesce((select max(d(a)) from t), 0)").fetchall() == [(12,)]
    assert sorted(double.taken()) == [1, 2, 3, 4, 5, 6]  # type: ignore[type-var]
    query = "select coalesce((select sum(s.a) from t s where s.a < t.a), -1) from t order by t.a"
    assert db.execute(query).fetchall() == [(-1,), (1,), (3,), (6,), (10,), (15,), (-1,)]


# --- how often ---
@pytest.mark.parametrize(
    ("sql", "wanted", "called"),
    [
        ("select f(a) from t", [2, 4, 6, 8, 10, 12, None], [1, 2, 3, 4, 5, 6]),
        ("select a from t where f(a) > 8", [5, 6], [1, 2, 3, 4, 5, 6]),
        ("select a from t where a < 3 and f(a) > 2", [2], [1, 2]),
        ("select f(a) + f(a) from t where a = 1", [4], [1, 1]),
        ("select v + v from (select f(a) as v from t where a = 1) s", [4], [1]),
        ("select f(5) from t where a < 4", [10, 10, 10], [5, 5, 5]),
        ("select case when a > 4 then f(a) else 0 end from t", [0, 0, 0, 0, 10, 12, 0], [5, 6]),
        ("select case when f(a) > 8 then 1 when f(a) > 4 then 2 end from t where a > 4", [1, 1], [5, 6]),
        ("select coalesce(f(a), -1) from t where a is null or a = 2", [4, -1], [2]),
        ("select a > 3 and f(a) > 8 from t where a > 2", [False, False, True, True], [4, 5, 6]),
        ("select a > 3 or f(a) > 4 from t where a < 5", [False, False, True, True], [1, 2, 3]),
        ("select nullif(f(a), 4) from t where a < 4", [2, None, 6], [1, 2, 3]),
        ("select f(f(a)) from t where a = 1", [4], [1, 2]),
        ("select f(a) from t order by a limit 2", [2, 4], [1, 2]),
        ("select f(a) from t order by a desc nulls last limit 1 offset 1", [10], [5]),
        ("select a from t order by f(a) desc nulls last limit 1", [6], [1, 2, 3, 4, 5, 6]),
        ("select sum(f(a)) filter (where a < 3) from t", [6], [1, 2]),
        ("select sum(f(a)) from t group by f(a) having count(*) > 1", [], [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]),
        ("select count(*) from t group by f(a) % 3 order by f(a) % 3", [2, 2, 2, 1], [1, 2, 3, 4, 5, 6]),
        ("select x.v from (select f(a) v from t) x join (select 4 as v) y on x.v = y.v", [4], [1, 2, 3, 4, 5, 6]),
        (
            "with w as (select f(a) v from t) select w.v from w join w x on w.v = x.v where w.v < 4",
            [2],
            [1, 2, 3, 4, 5, 6],
        ),
        ("select sum(f(a)) over () from t limit 1", [42], [1, 2, 3, 4, 5, 6]),
        ("values (f(1)), (3), (f(2))", [2, 3, 4], [1, 2]),
        ("select f(a) from t where a = 1 union all select f(a) from t where a = 2", [2, 4], [1, 2]),
    ],
)
def test_volatile_once_for_each_row(
    db: Connection, f: Double, sql: str, wanted: list[object], called: list[object]
) -> None:
    assert column(db, sql) == wanted
    assert sorted(map(int, f.taken())) == called  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("sql", "wanted", "called"),
    [
        ("select g(5) from t where a < 4", [10, 10, 10], [5]),
        ("select g(a) + g(a) from t where a = 1", [4], [1]),
        ("select a from t where a = g(2)", [4], [2]),
        ("select g(g(1)) + a from t where a < 3", [5, 6], [1, 2]),
        ("select case when a = 1 then g(7) when a < 4 then g(7) else 0 end from t where a < 5", [14, 14, 14, 0], [7]),
        ("select case when a > 100 then g(7) else 0 end from t where a < 3", [0, 0], []),
        ("select t.a from t join t u on t.a = g(u.a)", [2, 4, 6], [1, 2, 3, 4, 5, 6]),
        ("select t.a from t left join t u on t.a = g(u.a) where u.a = 3", [6], [3]),
        ("select t.a from t join t u on g(t.a + u.a) = 4", [1], None),
        ("select a from t where exists (select 1 from t u where g(u.a) = t.a)", [2, 4, 6], [1, 2, 3, 4, 5, 6]),
        ("select a from t where g(a) in (select g(u.a) from t u where u.a = 2)", [2], None),
        ("select (select max(g(u.a)) from t u where u.a < t.a) from t where a = 3", [4], None),
        ("select x from t, generate_series(1, g(a)) x where a = 1", [1, 2], [1]),
        ("select a from t limit g(1)", [1, 2], [1]),
        ("with recursive r(x) as (select 1::bigint union all select g(x) from r where x < 8) select * from r",
         [1, 2, 4, 8], [1, 2, 4]),
        ("select a from t where g(a) between 4 and 6", [2, 3], [1, 2, 3, 4, 5, 6]),
    ],
)  # fmt: skip
def test_immutable(db: Connection, g: Double, sql: str, wanted: list[object], called: list[object] | None) -> None:
    assert sorted(map(int, column(db, sql))) == sorted(map(int, wanted))  # type: ignore[call-overload]
    taken = g.taken()
    if called is not None:
        assert sorted(map(int, taken)) == called  # type: ignore[call-overload]


def test_a_parameter_is_a_constant_of_the_execution(db: Connection, g: Double) -> None:
    for value in (1, 2, 3):
        assert rows(db, "select a from t where a = g(?)", value) == [(2 * value,)]
    assert g.taken() == [1, 2, 3]


def test_stable_is_called_at_each_execution(db: Connection) -> None:
    state = [1]
    db.create_function("now_is", lambda: state[0], [], "bigint", volatility="stable")
    assert rows(db, "select now_is(), now_is() from t limit 1") == [(1, 1)]
    state[0] = 2
    assert rows(db, "select now_is(), now_is() from t limit 1") == [(2, 2)]


def test_lists_and_arrow(db: Connection) -> None:
    db.create_function("l", lambda xs: [x + 1 for x in xs], ["bigint"], "bigint", vectorized="lists")
    db.create_function("p", lambda xs: pc.add(xs, 1), ["bigint"], "bigint", vectorized="arrow")
    db.create_function("n", lambda xs: xs.to_numpy() + 1, ["bigint"], "bigint", vectorized="arrow")
    db.create_function("many", lambda count: list(range(count)), [], "bigint", vectorized="lists")
    assert rows(db, "select l(a), p(a), n(a) from t") == [(i, i, i) for i in range(2, 8)] + [(None, None, None)]
    assert column(db, "select many() from t") == list(range(7))


# --- NULLs ---
def test_nulls(db: Connection) -> None:
    seen: list[object] = []

    def note(a: object, b: object) -> object:
        seen.append((a, b))
        return None if a == 1 else f"{a}{b}"

    db.create_function("strictly", note, ["bigint", "text"], "text")
    db.create_function("loosely", note, ["bigint", "text"], "text", strict=False)
    sql = "select {}(a, nullif(b, 'x2')) from t where a < 4 or a is null"
    assert column(db, sql.format("strictly")) == [None, None, "3x3", None]
    assert seen == [(1, "x1"), (3, "x3")]
    seen.clear()
    assert column(db, sql.format("loosely")) == [None, "2None", "3x3", "NoneNone"]
    assert seen == [(1, "x1"), (2, None), (3, "x3"), (None, None)]
    assert rows(db, "select strictly(null, 'a'), loosely(null, null), strictly(1, null)") == [(None, "NoneNone", None)]


def test_only_nulls_and_no_rows(db: Connection, f: Double) -> None:
    assert column(db, "select f(a) from t where a is null") == [None]
    assert column(db, "select f(a) from t where a > 100") == []
    assert column(db, "select sum(f(a)) from t where a > 100") == [None]
    assert f.taken() == []


# --- types ---
VALUES: dict[str, tuple[str, object]] = {
    "boolean": ("true", True),
    "smallint": ("(-5)", -5),
    "integer": ("7", 7),
    "bigint": ("9000000000", 9000000000),
    "u8": ("200", 200),
    "u32": ("4000000000", 4000000000),
    "u64": ("18446744073709551615", 18446744073709551615),
    "real": ("1.5", 1.5),
    "double precision": ("(-2.25)", -2.25),
    "numeric(10,2)": ("12.34", Decimal("12.34")),
    "numeric(38,3)": ("12345678901234567890123.125", Decimal("12345678901234567890123.125")),
    "text": ("'héé'", "héé"),
    "varchar(5)": ("'ab'", "ab"),
    "bytea": (r"'\x0102'", b"\x01\x02"),
    "date": ("'2024-02-29'", dt.date(2024, 2, 29)),
    "time": ("'10:11:12'", dt.time(10, 11, 12)),
    "timestamp": ("'2024-01-02 03:04:05.678'", dt.datetime(2024, 1, 2, 3, 4, 5, 678000)),
    "timestamptz": ("'2024-01-02 03:04:05Z'", dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
    "uuid": ("'12345678-1234-1234-1234-123456789012'", UUID("12345678-1234-1234-1234-123456789012")),
    "interval": ("'1 month 2 days 3 hours'", None),
    "jsonb": ("""'{"a": [1, null]}'""", '{"a": [1, null]}'),
    "bigint[]": ("'{1,2,null}'", "{1,2,NULL}"),
    "text[]": ("""'{a,"b c"}'""", '{a,"b c"}'),
    "int4range": ("'[1,5)'", "[1,5)"),
}


@pytest.mark.parametrize("vectorized", [None, "lists", "arrow"])
@pytest.mark.parametrize("type_", VALUES)
def test_types(db: Connection, type_: str, vectorized: str | None) -> None:
    seen: list[object] = []

    def same(value: object) -> object:
        seen.extend(value if vectorized == "lists" else value.to_pylist() if vectorized == "arrow" else [value])  # type: ignore[attr-defined, call-overload]
        return value

    text, python = VALUES[type_]
    db.create_function("same", same, [type_], type_, vectorized=vectorized)
    source = f"(values ({text}::{type_}), (null)) s(v)"
    assert column(db, f"select same(v) is not distinct from v from {source}") == [True, True]
    assert column(db, f"select same({text}::{type_}) = {text}::{type_}") == [True]
    assert column(db, f"select same(v)::text from {source}") == column(db, f"select v::text from {source}")
    if python is not None:
        assert seen == [python] * 3


def test_annotations_give_types(db: Connection) -> None:
    def shown(a: int, b: float, c: str | None, d: bool, e: dt.date, g: Decimal) -> str:
        return f"{a} {b} {c} {d} {e} {g}"

    db.create_function("shown", shown)
    assert column(db, "select shown(1, 2, 'x', true, '2020-01-01', 1.5)") == ["1 2.0 x True 2020-01-01 1.5"]
    with pytest.raises(zerodb.ProgrammingError, match="the type of its parameter x is not known"):
        db.create_function("unknown", lambda x: x)


def test_overloads(db: Connection) -> None:
    for type_ in ("bigint", "double precision", "text"):
        db.create_function("kind", lambda _value, name=type_: name, [type_], "text")
    assert rows(db, "select kind(1), kind(1.5), kind('x'), kind(2::real), kind(a), kind(b) from t limit 1") == [
        ("double precision", "double precision", "text", "double precision", "bigint", "text")
    ]
    assert state(db, "select kind(true)") == "42883"
    assert state(db, "select kind(1, 2)") == "42883"
    db.create_function("pair", lambda a, b: 1, ["bigint", "integer"], "integer")
    db.create_function("pair", lambda a, b: 2, ["integer", "bigint"], "integer")
    assert state(db, "select pair(1, 1)") == "42725"
    assert rows(db, "select pair(1::bigint, 1), pair(1, 1::bigint)") == [(1, 2)]


def test_built_in_functions_come_first(db: Connection) -> None:
    db.create_function("upper", lambda value: "mine", ["text"], "text")
    db.create_function("upper", lambda value: "mine", ["bigint"], "text")
    assert rows(db, "select upper('a'), upper(1), public.upper('a'), pg_catalog.upper('a')") == [
        ("A", "mine", "mine", "A")
    ]


def test_schemas(db: Connection) -> None:
    db.execute("create schema s")
    db.create_function("s.here", lambda: 1, [], "bigint")
    assert state(db, "select here()") == "42883"
    assert column(db, "select s.here()") == [1]
    db.execute("set search_path to s, public")
    assert column(db, "select here()") == [1]
    assert state(db, "select s.nothing(1)") == "42883"


# --- errors ---
def test_errors_name_function_and_arguments(db: Connection) -> None:
    db.create_function("inverse", lambda a, b: 1 // (a - 3), ["bigint", "text"], "bigint")
    with pytest.raises(zerodb.OperationalError) as caught:
        rows(db, "select 1 + inverse(a, repeat(b, 100)) from t")
    error = caught.value
    assert error.sqlstate == "38000"
    assert error.position == 11
    assert str(error).startswith("function inverse(3, 'x3x3x3")
    assert str(error).endswith("...): ZeroDivisionError: integer division or modulo by zero")
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert rows(db, "select count(*) from t") == [(7,)]


def test_an_error_of_zerodb_keeps_its_code(db: Connection) -> None:
    def fails(a: int) -> int:
        raise zerodb.DataError("out of bounds", sqlstate="22003")

    db.create_function("fails", fails, vectorized=None)
    assert state(db, "select fails(a) from t") == "22003"
    assert state(db, "select fails(1)") == "22003"


@pytest.mark.parametrize(
    ("function", "returns", "vectorized", "code"),
    [
        (lambda a: "x", "bigint", None, "42804"),
        (lambda a: 1.5, "bigint", None, "42804"),
        (lambda a: 1 << 70, "bigint", None, "22003"),
        (lambda a: 300, "smallint", None, None),
        (lambda a: 70000, "smallint", None, "22003"),
        (lambda a: 5, "text", None, "42804"),
        (lambda a: "no uuid", "uuid", None, "42804"),
        (lambda a: "too long", "varchar(3)", None, "22001"),
        (lambda a: Decimal("1.005"), "numeric(5,2)", None, None),
        (lambda a: Decimal(10**9), "numeric(5,2)", None, "22003"),
        (lambda a: "{1,", "bigint[]", None, "22P02"),
        (lambda a: a[:1], "bigint", "lists", "39000"),
        (lambda a: 5, "bigint", "lists", "42804"),
        (lambda a: pa.array(["x"] * len(a)), "bigint", "arrow", "22P02"),
        (lambda a: pa.array([1 << 40] * len(a)), "integer", "arrow", "22003"),
    ],
)
def test_results_of_the_wrong_type(
    db: Connection, function: object, returns: str, vectorized: str | None, code: str | None
) -> None:
    db.create_function("wrong", function, ["bigint"], returns, vectorized=vectorized)  # type: ignore[arg-type]
    if code is None:
        assert len(rows(db, "select wrong(a) from t")) == 7
    else:
        assert state(db, "select wrong(a) from t") == code


def test_wrong_declarations(db: Connection) -> None:
    for wrong in ("nothing", "bigint, text", "bigint) from t; select (1"):
        with pytest.raises(zerodb.Error):
            db.create_function("x", lambda a: a, [wrong], "bigint")
    with pytest.raises(zerodb.ProgrammingError, match="volatility"):
        db.create_function("x", lambda a: a, ["bigint"], "bigint", volatility="pure")
    with pytest.raises(zerodb.ProgrammingError, match="vectorized"):
        db.create_function("x", lambda a: a, ["bigint"], "bigint", vectorized="numpy")


# --- replacing, dropping, others ---
def test_statements_notice_a_replaced_function(db: Connection) -> None:
    db.create_function("v", lambda a: a, ["bigint"], "bigint", volatility="immutable")
    statement = db.prepare("select v(a) from t where a = 1")
    by_key = "select v(?)"
    assert statement.execute().fetchall() == [(1,)]
    assert rows(db, by_key, 5) == [(5,)]
    with pytest.raises(zerodb.ProgrammingError) as caught:
        db.create_function("v", lambda a: -a, ["bigint"], "bigint")
    assert caught.value.sqlstate == "42723"
    db.create_function("v", lambda a: f"<{a}>", ["bigint"], "text", replace=True)
    assert statement.execute().fetchall() == [("<1>",)]
    assert rows(db, by_key, 5) == [("<5>",)]
    db.create_function("v", lambda a: 0, ["integer"], "integer")  # fits better from now on
    assert rows(db, "select v(5)") == [(0,)]
    db.drop_function("v", ["integer"])
    assert rows(db, "select v(5)") == [("<5>",)]
    db.drop_function("v")
    with pytest.raises(zerodb.ProgrammingError):
        statement.execute()
    with pytest.raises(zerodb.ProgrammingError):
        db.drop_function("v")
    db.drop_function("v", missing_ok=True)


def test_all_connections_of_the_database_know_it(db: Connection, f: Double) -> None:
    with db.duplicate() as other:
        assert rows(other, "select f(4)") == [(8,)]
    with zerodb.connect(":memory:") as stranger:
        assert state(stranger, "select f(4)") == "42883"


def test_a_function_may_query_by_a_connection_of_its_own(db: Connection) -> None:
    with db.duplicate() as own:

        def name_of(a: int) -> str:
            return str(own.execute("select b from t where a = ?", [a]).fetchall()[0][0])

        db.create_function("name_of", name_of)
        assert column(db, "select name_of(a) from t where a < 4") == ["x1", "x2", "x3"]


def test_the_calling_connection_is_refused(db: Connection) -> None:
    db.create_function("again", lambda a: db.execute("select 1").fetchone()[0], ["bigint"], "bigint")  # type: ignore[index]
    assert state(db, "select again(a) from t") == "55006"
    assert state(db, "select again(1)") == "55006"
    assert rows(db, "select 1") == [(1,)]


# --- changes and definitions ---
def test_changes(db: Connection, f: Double, g: Double) -> None:
    db.execute("create table k (id bigint primary key, v bigint)")
    assert rows(db, "insert into k values (g(1), f(2)), (f(3), 4) returning id, g(v)") == [(2, 8), (6, 8)]
    assert rows(db, "insert into k select g(a), f(a) from t where a = 4 returning id, v") == [(8, 8)]
    assert rows(db, "update k set v = f(v) where g(id) = 4 returning v") == [(8,)]
    db.execute("insert into k values (2, 100) on conflict (id) do update set v = f(excluded.v) + g(k.v)")
    assert rows(db, "select v from k where id = g(1)") == [(216,)]
    db.execute("merge into k using t on k.id = g(t.a) when matched and f(t.a) > 4 then update set v = f(k.v)"
               " when matched then delete")  # fmt: skip
    assert rows(db, "select * from k order by 1") == [(6, 8), (8, 16)]
    assert rows(db, "delete from k where f(id) = 12 returning g(v)") == [(16,)]
    db.executemany("insert into k values (g(?), ?)", [(50, 1), (51, 2)])
    for i in range(5):
        db.execute("update k set v = f(v) + ? where id = g(?)", [i, 50])
    assert rows(db, "select v from k where id = 100") == [(58,)]


def test_checks_defaults_and_generated_columns(db: Connection, f: Double, g: Double) -> None:
    numbers = iter(range(1, 100))
    db.create_function("tick", lambda: next(numbers), [], "bigint")
    db.execute(
        "create table c (a bigint check (g(a) < 100), b bigint default tick(),"
        " d bigint generated always as (g(a) + 1) stored)"
    )
    db.execute("insert into c (a) values (1), (2)")
    db.execute("insert into c (a) select a from t where a < 3")
    db.executemany("insert into c (a) values (?)", [(7,), (8,)])
    assert rows(db, "select * from c") == [(1, 1, 3), (2, 2, 5), (1, 3, 3), (2, 4, 5), (7, 5, 15), (8, 6, 17)]
    assert state(db, "insert into c (a) values (50)") == "23514"
    assert state(db, "update c set a = 60 where a = 7") == "23514"
    db.execute("alter table c add column e bigint default tick()")
    assert sorted(map(int, column(db, "select e from c"))) == list(range(8, 14))  # type: ignore[call-overload]
    g.taken()
    db.execute("create table once (a bigint check (f(a) > 0))")
    db.execute("insert into once select a from t where a < 4")
    assert f.taken() == [1, 2, 3]
    assert state(db, "create table x (a bigint, b bigint generated always as (f(a)) stored)") == "42P17"


def test_indexes(db: Connection, f: Double, g: Double) -> None:
    assert state(db, "create index on t (f(a))") == "42P17"
    assert state(db, "create index on t (a) where f(a) > 1") == "42P17"
    db.execute("create index on t (g(a))")
    db.execute("create unique index on t (g(a)) where g(a) > 4")
    assert rows(db, "select a from t where g(a) = 8") == [(4,)]
    assert state(db, "insert into t values (4, 'again')") == "23505"
    db.execute("insert into t values (1, 'again')")
    assert rows(db, "select b from t where g(a) = 2") == [("x1",), ("again",)]


def test_views(db: Connection, g: Double) -> None:
    db.execute("create view v as select a, g(a) as twice from t where g(a) > 4")
    assert rows(db, "select * from v where a < 5") == [(3, 6), (4, 8)]
    db.create_function("g", lambda a: 10 * a, ["bigint"], "bigint", volatility="immutable", replace=True)
    assert rows(db, "select * from v where a = 1") == [(1, 10)]
    db.execute("create materialized view m as select g(a) as x from t where a < 3")
    assert rows(db, "select * from m") == [(10,), (20,)]


def test_refused_by_name(db: Connection, f: Double, g: Double) -> None:
    assert state(db, "select 1 from t left join t u on g(t.a + u.a) = 1") == "0A000"
    assert state(db, "select (select f(u.a) from t u where u.a = t.a) from t") == "0A000"
    assert state(db, "select a from t limit f(1)") == "0A000"


# --- many rows ---
@pytest.mark.parametrize("count", [1, 63, 64, 65, 1088, 1089, 17472, 17473, 65535, 65536, 65537, 200_000])
def test_borders_of_blocks_and_chunks(db: Connection, count: int) -> None:
    db.create_function("plus", lambda a: pc.add(a, 1), ["bigint"], "bigint", vectorized="arrow")
    db.create_function("long", lambda a: pc.binary_repeat(a, 3), ["text"], "text", vectorized="arrow")
    db.execute(
        "create table n as select i as a, case when i % 7 > 0 then 'v' || i end as b"
        f" from generate_series(1, {count}) g(i)"
    )
    wanted = (count, count * (count + 1) // 2 + count, count)
    assert rows(db, "select count(plus(a)), sum(plus(a)), max(plus(a)) - 1 from n") == [wanted]
    assert rows(db, "select count(*) from n where long(b) = b || b || b") == [(count - count // 7,)]
    assert rows(db, "select count(*) from n where plus(plus(a)) = a + 2") == [(count,)]
    assert column(db, "select plus(a) from n order by a desc limit 3") == list(range(count + 1, max(count - 2, 1), -1))


def test_workers_call_at_the_same_time(db: Connection) -> None:
    threads: set[int] = set()

    def note(a: pa.Array) -> pa.Array:
        threads.add(threading.get_ident())
        return a

    db.create_function("note", note, ["bigint"], "bigint", vectorized="arrow")
    db.execute("create table n as select i as a from generate_series(1, 2000000) g(i)")
    assert rows(db, "select sum(note(a)) from n") == [(2000001000000,)]
    db.create_function("late", lambda a: 1 // (1_900_000 - a), ["bigint"], "bigint")
    assert state(db, "select sum(late(a)) from n where a > 1899000") == "38000"
    assert rows(db, "select sum(note(a)) from n where a < 10") == [(45,)]


def test_interrupting(db: Connection) -> None:
    started = threading.Event()
    wait = threading.Event()

    def slow(a: int) -> int:
        started.set()
        wait.wait(0.002)
        return a

    db.create_function("slow", slow)
    db.execute("create table n as select i as a from generate_series(1, 100000) g(i)")

    def stop() -> None:
        started.wait(10)
        db.interrupt()

    stopper = threading.Thread(target=stop)
    stopper.start()
    assert state(db, "select sum(slow(a)) from n") == "57014"
    stopper.join()
    assert rows(db, "select count(*) from n") == [(100000,)]


def test_keyboard_interrupt(db: Connection) -> None:
    def pressed(a: int) -> int:
        raise KeyboardInterrupt

    db.create_function("pressed", pressed)
    with pytest.raises(KeyboardInterrupt):
        db.execute("select pressed(a) from t where a < 2").fetchall()
    assert rows(db, "select 1") == [(1,)]


# --- against plain Python ---
_INTEGERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
_TEXTS = st.one_of(st.none(), st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
_FLOATS = st.one_of(st.none(), st.floats(allow_nan=False))


@pytest.fixture(scope="module")
def shared() -> Iterator[Connection]:
    with zerodb.connect(":memory:", threads=1) as connection:
        connection.create_function("mix", _mix, ["bigint", "text", "double precision"], "text", volatility="immutable")
        connection.create_function(
            "mixed", _mix, ["bigint", "text", "double precision"], "text", strict=False, volatility="immutable"
        )
        connection.execute("create table p (n integer, a bigint, b text, c double precision)")
        yield connection


def _mix(a: int | None, b: str | None, c: float | None) -> str | None:
    if b is not None and len(b) == 2:
        return None
    return f"{a}|{b}|{c}"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_INTEGERS, _TEXTS, _FLOATS), max_size=80))
def test_as_plain_python(shared: Connection, given_rows: list[tuple[int | None, str | None, float | None]]) -> None:
    shared.execute("delete from p")
    shared.executemany("insert into p values (?, ?, ?, ?)", [(i, *row) for i, row in enumerate(given_rows)])
    strict = [None if None in row else _mix(*row) for row in given_rows]
    loose = [_mix(*row) for row in given_rows]
    assert column(shared, "select mix(a, b, c) from p order by n") == strict
    assert column(shared, "select mixed(a, b, c) from p order by n") == loose
    guarded = [text if row[0] is not None and row[0] > 0 else None for row, text in zip(given_rows, loose, strict=True)]
    assert column(shared, "select case when a > 0 then mixed(a, b, c) end from p order by n") == guarded
    kept = [i for i, text in enumerate(strict) if text is not None and text > "0"]
    assert column(shared, "select n from p where mix(a, b, c) collate \"C\" > '0' order by n") == kept
