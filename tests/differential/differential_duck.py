"""The same tables and queries in DuckDB and in zerodb."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import duckdb
from differential_generator import DUCK_TYPES, TableSpec

Row = tuple[Any, ...]
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
        return value.normalize() if value else 0
    return value


def comparable_rows(rows: Iterable[Row]) -> list[Row]:
    return [tuple(map(comparable, row)) for row in rows]


def multiset(rows: Iterable[Row]) -> Counter[Row]:
    return Counter(comparable_rows(rows))


class Duck:
    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})

    def execute(self, text: str, parameters: Any = None) -> list[Row]:
        return self.connection.execute(for_duck(text), parameters).fetchall()  # type: ignore[no-any-return]

    def create(self, table: TableSpec) -> None:
        columns = ", ".join(f"{c.name} {DUCK_TYPES[c.type]}" for c in table.columns)
        self.connection.execute(f"create or replace table {table.name} ({columns})")
        self.insert(table.name, table.rows)

    def insert(self, name: str, rows: list[Row]) -> None:
        for row in rows:
            self.connection.execute(f"insert into {name} values ({', '.join('?' * len(row))})", row)
