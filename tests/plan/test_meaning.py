"""Plans mean what the SQL says: optimised plans, interpreted over small random tables, against DuckDB."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import plan_reference as reference
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan_catalog import MemoryCatalog, planned

from zerodb_compiler.layout import TableStatistics
from zerodb_compiler.plan.format import format_physical

SCHEMA = """
create table r (id integer primary key, a integer, b integer not null, t text);
create table s (k integer primary key, x integer, y integer not null, u text);
create table q (m integer, n integer not null, primary key (n, m));
"""
CASES = [case.strip() for case in (Path(__file__).parent / "queries.sql").read_text().split(";") if case.strip()]

_small = st.integers(0, 4)
_maybe = st.one_of(st.none(), _small)
_text = st.one_of(st.none(), st.sampled_from(["a", "ab", "b", "ba", ""]))


def _unique(keys: int, *columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*columns), max_size=7, unique_by=lambda row: row[:keys])


random_tables = st.fixed_dictionaries(
    {
        "r": _unique(1, _small, _maybe, _small, _text),
        "s": _unique(1, _small, _maybe, _small, _text),
        "q": _unique(2, _small, _small),
    }
)


@pytest.fixture(scope="module")
def connection() -> Any:
    with duckdb.connect() as opened:
        opened.execute("set threads = 1")
        for statement in SCHEMA.split(";"):
            if statement.strip():
                opened.execute(statement.replace("primary key (n, m)", "unique (n, m)").replace(" primary key", ""))
        yield opened


@pytest.fixture(scope="module")
def catalog() -> MemoryCatalog:
    return MemoryCatalog().create(SCHEMA, rows=100)


@pytest.fixture(scope="module")
def uneven_catalog() -> MemoryCatalog:
    """Statistics under which other plans are the cheapest (and aggregations are worth reducing)."""
    catalog = MemoryCatalog().create(SCHEMA)
    for name, rows in (("r", 20), ("s", 1_000_000), ("q", 50)):
        catalog.tables[name] = replace(catalog.tables[name], statistics=TableStatistics(rows))
    return catalog


@pytest.mark.parametrize("text", CASES)
def test_meaning(text: str, catalog: MemoryCatalog, uneven_catalog: MemoryCatalog, connection: Any) -> None:
    query = catalog.bind(text)
    plans = [planned(query), planned(uneven_catalog.bind(text))]
    columns = [column.type for column in query.columns]

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(random_tables)
    def check(tables: dict[str, list[tuple[Any, ...]]]) -> None:
        for name, rows in tables.items():
            connection.execute(f"delete from {name}")
            if rows:
                places = ", ".join("?" * len(rows[0]))
                connection.executemany(f"insert into {name} values ({places})", rows)
        try:
            wanted = connection.execute(text).fetchall()
        except duckdb.InvalidInputException:  # more than one row from a scalar subquery
            with contextlib.suppress(reference.SubqueryRowsError):
                # PostgreSQL, and we, do not run a subquery that no row asks for.
                assert reference.run(plans[0], tables) == []
            return
        for plan in plans:
            found = reference.run(plan, tables)
            assert plain(found, columns) == plain(wanted, columns), f"\n{format_physical(plan)}\n{tables}"

    check()


def plain(rows: list[tuple[Any, ...]], types: list[Any]) -> Counter[tuple[Any, ...]]:
    """Rows as a multiset; numeric averages as rounded floating-point numbers, booleans as integers."""
    return Counter(tuple(map(_value, row, types)) for row in rows)


def _value(value: Any, type_: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return round(value, 6)
    if type_.scale and isinstance(value, int):
        return round(value / 10**type_.scale, 6)
    return int(value)
