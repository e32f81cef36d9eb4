"""TPC-H in memory: its schema, and statistics as at scale 1, so that plans are as on real data without any data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.constraints import Constraints, Index, IndexKey, Partitioning, Unique
from zerodb_compiler.layout import (
    ColumnLayout,
    ColumnStatistics,
    Encoding,
    TableLayout,
    TableStatistics,
    int_width,
    round_bounds,
)
from zerodb_compiler.plan import logical, physical
from zerodb_compiler.plan.optimize import optimize
from zerodb_compiler.plan.physical_plan import plan_physical
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.analyze import analyze
from zerodb_compiler.sql.definitions.tables import define_table
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.types import BIGINT, TEXT

HERE = Path(__file__).resolve().parent
TPCH = HERE.parent.parent / "benchmarks" / "tpch"


class MemoryCatalog:
    """Tables by name, made by CREATE TABLE statements."""

    def __init__(self) -> None:
        self.tables: dict[str, TableInfo] = {}
        self.external: list[ExternalFunction] = []

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        if schema not in (None, "public", "main"):
            return None
        return self.tables.get(name)

    def named_type(self, name: str, schema: str | None = None) -> None:
        return None

    def view(self, name: str, schema: str | None = None) -> None:
        return None

    def table_names(self) -> Sequence[str]:
        return list(self.tables)

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        if schema not in (None, "public"):
            return ()
        return [function for function in self.external if function.name == name]

    def create(self, text: str, rows: int = 0) -> MemoryCatalog:
        for bound in analyze(text, self):
            created = bound.statement
            assert isinstance(created, st.Define)
            assert isinstance(created.definition, ddl.CreateTable)
            name, table = created.definition.name.name, define_table(created.definition, self)
            number = len(self.tables) + 1
            self.tables[name] = TableInfo(
                number, name, table.columns, table.primary_key, TableLayout(()), TableStatistics(rows)
            )
        return self

    def bind(self, text: str) -> st.Query:
        (bound,) = analyze(text, self)
        assert isinstance(bound.statement, st.Query), bound.statement
        return bound.statement


def optimized(query: st.Query) -> logical.LogicalPlan:
    """The optimised plan, every invariant checked after every rule (conftest.py)."""
    fresh = itertools.count(1000)
    return optimize(query.plan, lambda: next(fresh))


def planned(query: st.Query) -> physical.Output:
    return plan_physical(optimized(query), query.columns)


def tpch_catalog() -> MemoryCatalog:
    catalog = MemoryCatalog().create((TPCH / "schema.sql").read_text())
    table: TableInfo | None = None
    rows = 0
    columns: list[ColumnStatistics] = []
    lines = (HERE / "tpch_statistics.txt").read_text().splitlines()
    for line in [*lines[1:], "end 0"]:
        parts = line.split()
        if line.startswith(" "):
            low, high = (int(parts[2]), int(parts[3])) if len(parts) == 4 else (None, None)
            columns.append(ColumnStatistics(int(parts[1]), 0, low, high))
            continue
        if table is not None:
            layout = TableLayout(tuple(map(_layout, columns)))
            catalog.tables[table.name] = replace(table, layout=layout, statistics=TableStatistics(rows, tuple(columns)))
        table, rows, columns = catalog.table(parts[0]), int(parts[1]), []
    _add_partitions(catalog)
    _add_indexed(catalog)
    catalog.external = external_functions()
    return catalog


def external_functions() -> list[ExternalFunction]:
    """f, g and h of bigint, immutable, stable and volatile; slug of text."""
    found = [
        ExternalFunction(i, 1, "public", name, "scalar", ("n",), (BIGINT,), ((name, BIGINT),), volatility, True)
        for i, (name, volatility) in enumerate([("f", "immutable"), ("g", "stable"), ("h", "volatile")], 1)
    ]
    slug = ExternalFunction(4, 1, "public", "slug", "scalar", ("t",), (TEXT,), (("slug", TEXT),), "immutable", False)
    return [*found, slug]


def _add_indexed(catalog: MemoryCatalog) -> None:
    """`events`, a million rows, with an index of two columns and a unique key."""
    catalog.create("create table events (kind text, at integer, n bigint, x integer)")
    keys = (IndexKey(0), IndexKey(1, descending=True))
    held = Constraints(uniques=(Unique("events_n_key", (2,)),), indexes=(Index("events_kind_at_idx", keys),))
    columns = [ColumnStatistics(200), *(ColumnStatistics(n, 0, 1, n) for n in (10_000, 1_000_000, 10))]
    layout = TableLayout(tuple(map(_layout, columns)))
    statistics = TableStatistics(1_000_000, tuple(columns))
    catalog.tables["events"] = replace(catalog.tables["events"], constraints=held, layout=layout, statistics=statistics)


def _add_partitions(catalog: MemoryCatalog) -> None:
    """`ranged` with the partitions low and high, `emptied` without any."""
    catalog.create(
        "create table low (v text, k integer); create table high (k integer, v text);"
        "create table ranged (k integer, v text); create table emptied (k integer, v text)"
    )
    held = Constraints(partitioning=Partitioning("range", (IndexKey(0),)))
    parts = (catalog.tables["low"], catalog.tables["high"])
    catalog.tables["ranged"] = replace(catalog.tables["ranged"], constraints=held, partitions=parts)
    catalog.tables["emptied"] = replace(catalog.tables["emptied"], constraints=held)


def _layout(column: ColumnStatistics) -> ColumnLayout:
    if column.low is not None and column.high is not None:
        low, high = round_bounds(column.low, column.high)
        return ColumnLayout(Encoding.INT, int_width(low, high), False, low, high)
    if column.distinct < 5000:
        return ColumnLayout(Encoding.DICTIONARY, 1 if column.distinct < 256 else 2, False, 0, column.distinct - 1)
    return ColumnLayout(Encoding.TEXT, 4, False)
