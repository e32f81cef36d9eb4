"""Bound statements: what the binder gives and the host executes. Immutable, with every name resolved.

`Query.columns` are the columns of the result in order (a column may appear twice) and `names` what users see;
the names differ from `Column.name` where an alias renames a column that is passed through.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.plan.logical import LogicalPlan
from zerodb_compiler.sql.expressions import Column


@dataclass(frozen=True, slots=True)
class Query:
    plan: LogicalPlan
    columns: tuple[Column, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """`source.output` has exactly one column per table column, in order, cast to the column's type.

    NOT NULL, keys and the length of varchar(n) are checked by whoever writes the rows. A `source` that is a Values of
    Literals and Parameters only needs no query at all.
    """

    table: TableInfo
    source: LogicalPlan


@dataclass(frozen=True, slots=True)
class Update:
    """`source.output` is the row id (bigint), then the new value of every table column in order. `assigned` are the
    ordinals of the columns that SET names."""

    table: TableInfo
    source: LogicalPlan
    assigned: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """`source.output` is the row id (bigint) alone."""

    table: TableInfo
    source: LogicalPlan


@dataclass(frozen=True, slots=True)
class CreateTable:
    name: str
    columns: tuple[ColumnInfo, ...]
    primary_key: tuple[int, ...]
    if_not_exists: bool
    as_query: Query | None = None


@dataclass(frozen=True, slots=True)
class DropTable:
    names: tuple[str, ...]
    if_exists: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """`isolation` is "serializable", "repeatable read", "read committed", "read uncommitted" or None."""

    isolation: str | None = None
    read_only: bool | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    pass


@dataclass(frozen=True, slots=True)
class Rollback:
    pass


@dataclass(frozen=True, slots=True)
class Savepoint:
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseSavepoint:
    name: str


@dataclass(frozen=True, slots=True)
class RollbackToSavepoint:
    name: str


@dataclass(frozen=True, slots=True)
class Explain:
    """`options` are the lower-case names given in parentheses, without `analyze`."""

    statement: Statement
    analyze: bool
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetOption:
    """SET name = value; `value` None is SET name TO DEFAULT or RESET name."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class ShowOption:
    name: str


Statement = (
    Query
    | Insert
    | Update
    | Delete
    | CreateTable
    | DropTable
    | Begin
    | Commit
    | Rollback
    | Savepoint
    | ReleaseSavepoint
    | RollbackToSavepoint
    | Explain
    | SetOption
    | ShowOption
)
