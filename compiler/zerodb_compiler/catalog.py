"""What the compiler must know of tables; the host implements `Catalog` over the storage's snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from zerodb_compiler.constraints import NO_CONSTRAINTS, Constraints
from zerodb_compiler.layout import TableLayout, TableStatistics
from zerodb_compiler.pruning import PartitionInfo
from zerodb_compiler.triggers import Trigger
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.external import ExternalFunction

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

    A change through a view sees its table with other names (`seen_by` that view); `base` is the table itself.
    `kind` is "table", "materialized view" or "system catalog"; only a table's rows can be changed by statements. `id`
    never changes while the table lives; `schema_version` changes with the columns, `layout` with the physical
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
    partition: PartitionInfo | None = None  # where it stands for a part of a partitioned table
    kind: str = "table"
    seen_by: ViewInfo | None = None
    base: TableInfo | None = None
    triggers: tuple[Trigger, ...] = ()

    @property
    def key(self) -> str:
        """What snapshots know the table by."""
        return self.name if self.schema == "public" else f"{self.schema}\0{self.name}"

    @property
    def proven_key(self) -> tuple[int, ...]:
        """The primary key if no two rows can have equal ones in any snapshot; () where it is deferrable."""
        return () if self.constraints.primary_key_deferrable else self.primary_key


@dataclass(frozen=True, slots=True)
class ViewTable:
    """What a name within a view's query means: the relation with that `id`, whatever it is called now, and the columns
    it had when the view was made, by slot. `id` None: a table of the system, found by its name."""

    name: str
    schema: str | None
    id: int | None
    columns: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """A view: its query's text and what the names in it mean. `path` are the schemas in which types are looked for."""

    id: int
    name: str
    schema: str
    query: str
    columns: tuple[tuple[str, SqlType], ...]
    tables: tuple[ViewTable, ...]
    path: tuple[str, ...] = ()


class Catalog(Protocol):
    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        """The table of that (already case-folded) name in that schema, or in the first schema of the search path that
        has it; None if there is none."""
        ...

    def named_type(self, name: str, schema: str | None = None) -> SqlType | None:
        """The enum or composite type of that name (looked for as tables are), or None."""
        ...

    def view(self, name: str, schema: str | None = None) -> ViewInfo | None:
        """The view that the name means; None if it means a table or nothing."""
        ...

    def relation_with_id(self, id_: int) -> TableInfo | ViewInfo | None:
        """The table or view with this id."""
        ...

    def table_names(self) -> Sequence[str]:
        """All table names, for suggestions."""
        ...

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        """The functions of that (already case-folded) name that are not built in: those of the schema, or of all
        schemas of the search path without those whose argument types an earlier one has too."""
        ...
