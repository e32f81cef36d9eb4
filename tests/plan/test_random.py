"""Random queries over random tables: joins of all kinds, subqueries, grouping; the interpreted plan against DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import duckdb
import plan_reference as reference
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from plan_catalog import MemoryCatalog, planned
from test_meaning import SCHEMA, plain, random_tables

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.layout import TableStatistics
from zerodb_compiler.plan.format import format_physical

_COLUMNS = {"r": ("id", "a", "b"), "s": ("k", "x", "y"), "q": ("m", "n")}
_Draw = Callable[[st.SearchStrategy[Any]], Any]


def _column(draw: _Draw, aliases: dict[str, str]) -> str:
    alias = draw(st.sampled_from(sorted(aliases)))
    return f"{alias}.{draw(st.sampled_from(_COLUMNS[aliases[alias]]))}"


def _condition(draw: _Draw, aliases: dict[str, str], depth: int) -> str:
    """A condition over the columns of the aliases; `depth` limits nested subqueries."""
    kind = draw(st.integers(0, 11 if depth else 7))
    one = _column(draw, aliases)
    other = _column(draw, aliases)
    number = draw(st.integers(0, 3))
    match kind:
        case 0 | 1 | 2:
            return f"{one} = {other}"
        case 3:
            return f"{one} {draw(st.sampled_from(['=', '<', '>', '<>']))} {number}"
        case 4:
            return f"{one} {draw(st.sampled_from(['<', '<>', '>=']))} {other}"
        case 5:
            return f"{one} is {draw(st.sampled_from(['null', 'not null']))}"
        case 6:
            return f"({_condition(draw, aliases, 0)} or {_condition(draw, aliases, 0)})"
        case 7:
            first, second = _condition(draw, aliases, 0), _condition(draw, aliases, 0)
            return f"not ({first} and {second})" if number else f"({first} and {second} or {one} in (1, 2))"
    inner, alias = _subquery(draw, aliases, depth)
    negated = "not " if number % 2 else ""
    match kind:
        case 8:
            return f"{negated}exists (select 1 {inner})"
        case 9:
            return f"{one} {negated}in (select {alias} {inner})"
        case 10:
            return f"{one} {draw(st.sampled_from(['=', '<', '>']))} (select max({alias}) {inner})"
    return f"{one} >= (select count({alias}) {inner})"


def _subquery(draw: _Draw, outer: dict[str, str], depth: int) -> tuple[str, str]:
    """(FROM and WHERE, a column of it)."""
    table = draw(st.sampled_from(sorted(_COLUMNS)))
    alias = f"{table}{depth}x{draw(st.integers(0, 1_000_000))}"
    own = {alias: table}
    conditions = [_condition(draw, own, 0)] if draw(st.booleans()) else []
    if draw(st.booleans()):
        conditions.append(f"{_column(draw, own)} = {_column(draw, outer)}")
    if depth > 1 and draw(st.booleans()):
        conditions.append(_condition(draw, own, depth - 1))
    where = f" where {' and '.join(conditions)}" if conditions else ""
    return f"from {table} {alias}{where}", _column(draw, own)


@st.composite
def queries(draw: _Draw) -> str:
    tables = draw(st.lists(st.sampled_from(sorted(_COLUMNS)), min_size=1, max_size=4))
    aliases: dict[str, str] = {}
    text = ""
    for number, table in enumerate(tables):
        alias = f"t{number}"
        known = dict(aliases)
        aliases[alias] = table
        if not number:
            text = f"{table} {alias}"
            continue
        kind = draw(st.sampled_from(["join", "left join", "left join", ","]))
        if kind == ",":
            text = f"{text} cross join {table} {alias}"
            continue
        on = f"{_column(draw, known)} = {_column(draw, {alias: table})}"
        if draw(st.booleans()):
            on += f" and {_condition(draw, dict(aliases), 0)}"
        text = f"{text} {kind} {table} {alias} on {on}"
    conditions = [_condition(draw, aliases, 2) for _ in range(draw(st.integers(0, 4)))]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    outputs = sorted({_column(draw, aliases) for _ in range(draw(st.integers(1, 3)))})
    if draw(st.booleans()):
        argument = _column(draw, aliases)
        calls = ["count(*)", f"count({argument})", f"sum({argument})", f"count(distinct {argument})"]
        return f"select {', '.join([*outputs, *calls])} from {text}{where} group by {', '.join(outputs)}"
    if draw(st.booleans()):
        return f"select distinct {', '.join(outputs)} from {text}{where}"
    return f"select {', '.join(outputs)} from {text}{where}"


@pytest.fixture(scope="module")
def connection() -> Any:
    with duckdb.connect() as opened:
        opened.execute("set threads = 1")
        for statement in SCHEMA.split(";"):
            if statement.strip():
                opened.execute(statement.replace("primary key (n, m)", "unique (n, m)").replace(" primary key", ""))
        yield opened


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(queries(), random_tables, st.lists(st.sampled_from([10, 1000, 100_000]), min_size=3, max_size=3))
def test_random_queries(connection: Any, text: str, tables: dict[str, Any], sizes: list[int]) -> None:
    catalog = MemoryCatalog().create(SCHEMA)
    for (name, table), rows in zip(list(catalog.tables.items()), sizes, strict=True):
        catalog.tables[name] = replace(table, statistics=TableStatistics(rows))
    query = catalog.bind(text)
    try:
        plan = planned(query)
    except NotSupportedError:
        assume(False)
        return
    for name, rows in tables.items():
        connection.execute(f"delete from {name}")
        if rows:
            connection.executemany(f"insert into {name} values ({', '.join('?' * len(rows[0]))})", rows)
    types = [column.type for column in query.columns]
    wanted = connection.execute(text).fetchall()
    found = reference.run(plan, tables)
    assert plain(found, types) == plain(wanted, types), f"\n{text}\n{format_physical(plan)}\n{tables}"
