"""Random queries over random tables: DuckDB's answer, as a multiset, or as a sequence where the query orders."""

from __future__ import annotations

import random

import duckdb
import pytest
from differential_duck import Duck, comparable_rows, multiset, result_of
from differential_generator import Maker, Query, TableSpec
from differential_scratch import fold_after

import zerodb

SEEDS = range(60)
LONG_SEEDS = range(1_000, 5_000)
QUERIES = 12


def create(db: zerodb.Connection, table: TableSpec, r: random.Random) -> None:
    """The rows arrive in two parts, each folded into segments or not; some are then deleted, or set to themselves."""
    columns = ", ".join(f"{c.name} {c.type}{' not null' if c.not_null else ''}" for c in table.columns)
    db.execute(f"create table {table.name} ({columns})")
    cut = r.choice([0, len(table.rows) // 2, len(table.rows)])
    marks = ", ".join("?" * len(table.columns))
    for part in (table.rows[:cut], table.rows[cut:]):
        if part:
            with fold_after(r.choice([1, 1 << 40])):
                db.executemany(f"insert into {table.name} values ({marks})", part)


def change(db: zerodb.Connection, duck: Duck, maker: Maker, table: TableSpec) -> None:
    """A delete or an update, so that visibility masks and delta rows exist."""
    from differential_generator import Source

    r = maker.random
    source = Source(table.name, [(c.name, c.type) for c in table.columns])
    if r.random() < 0.5:
        text = f"delete from {table.name} where {maker.predicate([source], 1)}"
    else:
        column = r.choice(table.columns)
        value = maker.literal(column.type, r.choice(column.pool))
        text = f"update {table.name} set {column.name} = {value} where {maker.predicate([source], 1)}"
    with fold_after(r.choice([1, 1 << 40, 1 << 40])):
        ours = db.execute(text).rowcount
    theirs = duck.execute(text)
    assert [(ours,)] == theirs, text


def check(db: zerodb.Connection, duck: Duck, query: Query, seed: int) -> bool:
    try:
        theirs = duck.result(query.text)
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.NotImplementedException):
        return False
    except duckdb.BinderException:
        return False
    try:
        ours = result_of(db.execute(query.text))
    except zerodb.NotSupportedError:
        return False
    if query.ordered:
        assert comparable_rows(ours) == comparable_rows(theirs), f"seed {seed}: {query.text}"
    else:
        assert multiset(ours) == multiset(theirs), f"seed {seed}: {query.text}"
    return True


def run(seed: int) -> int:
    maker = Maker(seed)
    duck = Duck()
    checked = 0
    with zerodb.connect(":memory:", threads=1 + seed % 2) as db:
        for _ in range(maker.random.randint(1, 3)):
            table = maker.table()
            create(db, table, maker.random)
            duck.create(table)
        for i in range(QUERIES):
            if i % 4 == 2:
                change(db, duck, maker, maker.random.choice(maker.tables))
            for query in maker.variants(1 + i % 3):
                checked += check(db, duck, query, seed)
    return checked


@pytest.mark.parametrize("seed", SEEDS)
def test_random_queries(seed: int) -> None:
    run(seed)


def test_large_results_are_counted_as_rows_are() -> None:
    text = """select i % 3 as x, case i % 4 when 0 then cast('NaN' as double) when 1 then -0.0 else 0.0 end as x,
                     case when i % 5 > 0 then i % 2 = 0 end, cast(i % 7 as numeric(9,2)), 'text' || (i % 2)
              from generate_series(1, 30000) as t(i)"""
    duck = Duck()
    with zerodb.connect(":memory:") as db:
        ours, theirs, rows = result_of(db.execute(text)), duck.result(text), db.execute(text).fetchall()
        assert [type(result) is list for result in (ours, theirs, rows)] == [False, False, True]
        assert multiset(ours) == multiset(theirs) == multiset(rows)
        assert multiset(rows[:-1]) != multiset(theirs) != multiset(rows[1:])
        assert comparable_rows(ours) == comparable_rows(rows)


@pytest.mark.slow
def test_random_queries_long() -> None:
    for seed in LONG_SEEDS:
        run(seed)
