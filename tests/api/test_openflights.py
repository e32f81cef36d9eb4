"""OpenFlights' airports and routes: real CSV with quotes, escapes and \\N, imported and joined as DuckDB does it.

The files are not part of the repository: they are looked for in $ZERODB_CORPORA or in ../shared/corpora beside it.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import zerodb

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("ZERODB_CORPORA") or ROOT.parent / "shared" / "corpora") / "openflights"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="OpenFlights not found: set ZERODB_CORPORA")

AIRPORTS = "id name city country iata icao latitude longitude altitude timezone dst tz type source".split()  # noqa: SIM905
ROUTES = "airline airline_id source source_id destination destination_id codeshare stops equipment".split()  # noqa: SIM905

QUERIES = [
    "select count(*), count(iata), count(timezone), min(altitude), max(altitude) from airports",
    "select count(*), count(source_id), count(codeshare), sum(stops) from routes",
    """select a.country, count(*) as departures, count(distinct r.destination_id)
       from routes r join airports a on r.source_id = a.id
       group by a.country order by departures desc, a.country limit 20""",
    """select s.city, d.city, count(*) as n
       from routes r join airports s on r.source_id = s.id join airports d on r.destination_id = d.id
       where s.country = 'Switzerland' and d.country <> 'Switzerland' and s.altitude > 1000
       group by s.city, d.city order by n desc, s.city, d.city limit 25""",
    """select a.name, a.city from airports a left join routes r on r.source_id = a.id
       where r.airline is null and a.country = 'Iceland' order by a.name""",
    "select name from airports where name like '%\"%' or name like '%\\%' order by name",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[zerodb.Connection, duckdb.DuckDBPyConnection]]:
    path = tmp_path_factory.mktemp("openflights") / "flights.zdb"
    theirs = duckdb.connect()
    with zerodb.connect(str(path)) as ours:
        for table, names in (("airports", AIRPORTS), ("routes", ROUTES)):
            file = FOLDER / f"{table}.dat"
            assert ours.import_file(table, file, names=names) > 5000
            theirs.register(f"{table}_rows", ours.execute(f"select * from {table}").fetch_arrow())
            theirs.execute(f"create table {table} as from {table}_rows")
        yield ours, theirs
    theirs.close()


@pytest.mark.parametrize("query", QUERIES)
def test_same_answer(both: tuple[zerodb.Connection, duckdb.DuckDBPyConnection], query: str) -> None:
    ours, theirs = both
    assert ours.execute(query).fetchall() == theirs.execute(query).fetchall()


def test_every_field_is_as_in_the_file(both: tuple[zerodb.Connection, duckdb.DuckDBPyConnection]) -> None:
    ours, _ = both
    for table in ("airports", "routes"):
        text = (FOLDER / f"{table}.dat").read_text(encoding="utf-8")
        lines = re.sub(r"(?<=,)\\N(?=,|$)", "", text, flags=re.MULTILINE).splitlines()
        expected = sorted(tuple(map(comparable, row)) for row in csv.reader(lines, escapechar="\\"))
        found = ours.execute(f"select * from {table}").fetchall()
        assert sorted(tuple(map(comparable, row)) for row in found) == expected


def comparable(value: object) -> str:
    """NULL and nothing are one thing in a CSV file, and so are 7 and 7.0; a backslash that escapes nothing may stay."""
    if value is None:
        return ""
    if isinstance(value, str):
        value = value.replace("\\", "")
    try:
        return repr(float(str(value)))
    except ValueError:
        return str(value)
