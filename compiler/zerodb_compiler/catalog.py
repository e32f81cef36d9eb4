"""What the compiler must know of tables; the host implements `Catalog` over the storage's snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zerodb_compiler.layout import TableLayout, TableStatistics
from zerodb_compiler.types import SqlType


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column as declared. `default` is the SQL text of its DEFAULT expression or None."""

    name: str
    type: SqlType
    not_null: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One version of one table: its schema and the physical facts that code is specialised to.

    `id` never changes while the table lives; `schema_version` changes with the columns, `layout` with the physical
    layout; plans depend on both. `primary_key` holds column ordinals.
    """

    id: int
    name: str
    columns: tuple[ColumnInfo, ...]
    primary_key: tuple[int, ...]
    layout: TableLayout
    statistics: TableStatistics
    schema_version: int = 0


class Catalog(Protocol):
    def table(self, name: str) -> TableInfo | None:
        """The table of that (already case-folded) name, or None."""
        ...

    def table_names(self) -> Sequence[str]:
        """All table names, for suggestions."""
        ...
