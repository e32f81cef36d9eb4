"""The types of issue 3 from Python and back: parameters, rows, Arrow, files, and a database opened again."""

from __future__ import annotations

import datetime
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import zerodb
from zerodb_compiler.intervals import Interval

UTC = datetime.UTC
ROW: tuple[Any, ...] = (
    b"\x00\xff",
    uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    datetime.time(10, 11, 12, 131415),
    datetime.datetime(2020, 2, 29, 10, 11, 12, 131415),
    datetime.datetime(2020, 2, 29, 10, 11, 12, 131415, tzinfo=UTC),
    Interval(14, -3, 14_706_000_007),
    datetime.timedelta(days=3, hours=1),
)
COLUMNS = "a bytea, b uuid, c time, d timestamp, e timestamptz, f interval, g interval"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "types.zdb")


def test_values_come_back_from_a_database_opened_again(path: str) -> None:
    with zerodb.connect(path) as db:
        db.execute(f"create table t ({COLUMNS})")
        db.execute("insert into t values (?, ?, ?, ?, ?, ?, ?)", ROW)
        db.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", [ROW, (None,) * 7])
        assert db.execute("select * from t").fetchall() == [ROW, ROW, (None,) * 7]
    with zerodb.connect(path) as db:
        rows = db.execute("select * from t").fetchall()
        assert rows == [ROW, ROW, (None,) * 7]
        assert (rows[0][5].months, rows[0][5].day_count, rows[0][5].micros) == (14, -3, 14_706_000_007)
        db.execute("insert into t select * from t")
        assert db.execute("select count(*), count(a) from t").fetchall() == [(6, 4)]


@pytest.mark.parametrize("place", range(len(ROW)))
def test_parameters_are_compared(place: int) -> None:
    name = COLUMNS.split(", ")[place].split()[0]
    with zerodb.connect(":memory:") as db:
        db.execute(f"create table t ({COLUMNS})")
        db.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", [ROW, (None,) * 7])
        assert db.execute(f"select count(*) from t where {name} = ?", [ROW[place]]).fetchone() == (1,)
        assert db.execute(f"select count(*) from t where {name} = ?", [None]).fetchone() == (0,)


def test_arrow_both_ways(path: str) -> None:
    with zerodb.connect(path) as db:
        db.execute(f"create table t ({COLUMNS})")
        db.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", [ROW, (None,) * 7])
        table = db.execute("select * from t").fetch_arrow()
        assert table.schema.field("e").type == pa.timestamp("us", "UTC")
        assert table.schema.field("f").type == pa.month_day_nano_interval()
        db.register("r", table)
        assert db.execute("select * from r").fetchall() == [ROW, (None,) * 7]
        assert db.execute("select count(*) from r join t on r.f = t.f and r.b = t.b and r.a = t.a").fetchone() == (1,)


def test_a_naive_datetime_is_of_the_session_zone() -> None:
    with zerodb.connect(":memory:") as db:
        db.execute("set timezone = 'America/New_York'")
        db.execute("create table t (a timestamptz)")
        db.execute("insert into t values (?)", [datetime.datetime(2020, 7, 1, 12)])
        assert db.execute("select a, a::text from t").fetchone() == (
            datetime.datetime(2020, 7, 1, 16, tzinfo=UTC),
            "2020-07-01 12:00:00-04",
        )


def test_now_is_that_of_the_transaction_and_of_each_execution() -> None:
    with zerodb.connect(":memory:") as db:
        prepared = db.prepare("select now()")
        first = prepared.execute().fetchone()
        assert first != prepared.execute().fetchone()
        with db.transaction():
            begun = db.execute("select now()").fetchone()
            assert db.execute("select now()").fetchone() == begun
            assert prepared.execute().fetchone() == begun
            assert db.execute("select statement_timestamp() > now()").fetchone() == (True,)
        assert db.execute("select now()").fetchone() > begun  # type: ignore[operator]


def test_statements_are_compiled_for_each_zone() -> None:
    with zerodb.connect(":memory:") as db:
        query = "select timestamptz '2020-07-01 12:00+00'::text, '2020-07-01'::timestamptz = '2020-07-01 00:00+00'"
        prepared = db.prepare(query)
        for zone, text, same in (("UTC", "12:00:00+00", True), ("Asia/Kolkata", "17:30:00+05:30", False)):
            db.execute(f"set timezone = '{zone}'")
            for execute in (lambda: db.execute(query), prepared.execute):
                assert execute().fetchone() == (f"2020-07-01 {text}", same)


@pytest.mark.parametrize(
    "query",
    [
        "select '1.2.3.4'::inet",
        "select '12.34'::money",
        "select '10:00'::timetz",
        "select current_time",
        "select '101'::bit(3)",
        "select '<a/>'::xml",
        "select 'a'::tsvector",
    ],
)
def test_refused_by_name(query: str) -> None:
    with zerodb.connect(":memory:") as db, pytest.raises(zerodb.NotSupportedError) as caught:
        db.execute(query)
    assert caught.value.sqlstate == "0A000"


def test_uuids_are_imported_from_text(tmp_path: Path) -> None:
    numbers = [uuid.uuid4() for _ in range(3)]
    texts = [str(numbers[0]), None, "{" + numbers[1].hex + "}", str(numbers[2]).upper()]
    path = tmp_path / "u.parquet"
    with zerodb.connect() as db:
        db.execute("create table u (a uuid)")
        pq.write_table(pa.table({"a": texts}), path)
        db.import_file("u", path)
        assert [row[0] for row in db.execute("select a from u").fetchall()] == [numbers[0], None, *numbers[1:]]
        pq.write_table(pa.table({"a": ["12345"]}), path)
        with pytest.raises(zerodb.DataError) as caught:
            db.import_file("u", path)
        assert caught.value.sqlstate == "22P02"
