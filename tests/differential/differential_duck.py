"""The same tables and queries in DuckDB and in zerodb.

Results are compared as Python rows. A join may give millions of them, of few different values: such a result is taken
as Arrow, and its rows are counted there, before Python sees one row of each value.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from decimal import Context, Decimal
from typing import Any

import duckdb
import pyarrow as pa
from differential_generator import DUCK_TYPES, TableSpec

import zerodb

Row = tuple[Any, ...]
Result = list[Row] | pa.Table
LARGE = 20_000  # rows
_EXACT = Context(prec=100)
_TYPE = re.compile(r"\b(?:as|::)\s*(u8|u32|u64)\b")


def for_duck(text: str) -> str:
    """The text with zerodb's own type names replaced."""
    return _TYPE.sub(lambda found: f"as {DUCK_TYPES[found[1]]}", text)


def comparable(value: Any) -> Any:
    """Equal for values that SQL calls equal: numbers of any class, NaN with NaN, -0 with 0."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return value + 0.0
    if isinstance(value, Decimal):
        return value.normalize(_EXACT) if value else 0
    return value


def comparable_rows(rows: Result) -> list[Row]:
    if isinstance(rows, pa.Table):
        rows = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    return [tuple(map(comparable, row)) for row in rows]


def multiset(rows: Result) -> Counter[Row]:
    if not isinstance(rows, pa.Table):
        return Counter(comparable_rows(rows))
    names = [str(number) for number in range(rows.num_columns)]  # those of a result need not differ
    groups = rows.rename_columns(names).group_by(names).aggregate([([], "count_all")])
    counts: Counter[Row] = Counter()  # values that are equal in SQL only may be in several groups
    for row, count in zip(comparable_rows(groups.select(names)), groups["count_all"].to_pylist(), strict=True):
        counts[row] += count
    return counts


def result_of(cursor: zerodb.Cursor) -> Result:
    return cursor.fetch_arrow() if cursor.rowcount > LARGE else cursor.fetchall()


class Duck:
    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})

    def execute(self, text: str, parameters: Any = None) -> list[Row]:
        return self.connection.execute(for_duck(text), parameters).fetchall()  # type: ignore[no-any-return]

    def result(self, text: str) -> Result:
        """The answer to a query."""
        found = self.connection.execute(for_duck(text)).fetchmany(LARGE + 1)
        return found if len(found) <= LARGE else self.connection.cursor().sql(for_duck(text)).to_arrow_table()

    def create(self, table: TableSpec) -> None:
        columns = ", ".join(f"{c.name} {DUCK_TYPES[c.type]}" for c in table.columns)
        self.connection.execute(f"create or replace table {table.name} ({columns})")
        self.insert(table.name, table.rows)

    def insert(self, name: str, rows: list[Row]) -> None:
        for start in range(0, len(rows), 100):
            part = rows[start : start + 100]
            marks = f"({', '.join('?' * len(part[0]))})"
            values = [value for row in part for value in row]
            self.connection.execute(f"insert into {name} values {', '.join([marks] * len(part))}", values)
