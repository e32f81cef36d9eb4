"""What the compiler must know of tables; the host implements `Catalog` over the storage's snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zerodb_compiler.constraints import NO_CONSTRAINTS, Constraints
from zerodb_compiler.layout import TableLayout, TableStatistics
from zerodb_compiler.types import SqlType

# Begins the names of tables that exist only while a statement runs.
TRANSIENT = "\0"


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column as declared. `default` is the SQL text of its DEFAULT expression or None, `generated` that of GENERATED
    ALWAYS AS (...) STORED; `identity` is "always" or "by default"; `sequence` the id of the sequence that gives a
    serial or identity column its values."""

    name: str
    type: SqlType
    not_null: bool = False
    default: str | None = None
    generated: str | None = None
    identity: str | None = None
    sequence: int | None = None
    slot: int = -1


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
    schema: str = "public"
    constraints: Constraints = NO_CONSTRAINTS
    partitions: tuple[TableInfo, ...] = ()

    @property
    def key(self) -> str:
        """What snapshots know the table by."""
        return self.name if self.schema == "public" else f"{self.schema}\0{self.name}"


class Catalog(Protocol):
    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        """The table of that (already case-folded) name in that schema, or in the first schema of the search path that
        has it; None if there is none."""
        ...

    def named_type(self, name: str, schema: str | None = None) -> SqlType | None:
        """The enum or composite type of that name (looked for as tables are), or None."""
        ...

    def table_names(self) -> Sequence[str]:
        """All table names, for suggestions."""
        ...
