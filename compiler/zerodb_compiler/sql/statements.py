"""Bound statements: what the binder gives and the host executes. Immutable, with every name resolved.

`Query.columns` are the columns of the result in order (a column may appear twice) and `names` what users see;
the names differ from `Column.name` where an alias renames a column that is passed through.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.constraints import Unique
from zerodb_compiler.plan.logical import LogicalPlan
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.sql.utility_statements import TransactionModes, UtilityStatement


class LockStrength(enum.IntEnum):
    """What a locking clause lets others still do with the rows; numbered from weak to strong."""

    KEY_SHARE = 0
    SHARE = 1
    NO_KEY_UPDATE = 2
    UPDATE = 3


class LockWait(enum.IntEnum):
    """What becomes of rows that somebody else has locked. Of several clauses the highest counts, as in PostgreSQL."""

    WAIT = 0
    SKIP = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class LockedTable:
    """A table whose rows a query locks: the ids of those it gave are in its plan's output. `scanned` is the table under
    the key that the plan reads it by, with SKIP one that nothing else is read by."""

    table: TableInfo
    scanned: TableInfo
    row_id: Column
    strength: LockStrength
    wait: LockWait


@dataclass(frozen=True, slots=True)
class Query:
    """`locks` are of a SELECT ... FOR UPDATE or the like; others have none."""

    plan: LogicalPlan
    columns: tuple[Column, ...]
    names: tuple[str, ...]
    locks: tuple[LockedTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Returning:
    """RETURNING: `columns` are among the output of the statement's source; `names` are what users see."""

    columns: tuple[Column, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DoNothing:
    """ON CONFLICT DO NOTHING: rows that have one of `keys` in common with a row that is there already, in the table or
    before them in the same statement, are left out."""

    keys: tuple[Unique, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """`source.output` has one column per table column, in order, cast to the column's type, then what RETURNING needs.

    NOT NULL, keys and the length of varchar(n) are checked by whoever writes the rows. A `source` that is a Values of
    Literals and Parameters only needs no query at all.
    """

    table: TableInfo
    source: LogicalPlan
    returning: Returning | None = None
    conflict: DoNothing | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """`source.output` is the row id (bigint), then the new value of every table column in order, then what RETURNING
    needs. `assigned` are the ordinals of the columns that SET names."""

    table: TableInfo
    source: LogicalPlan
    assigned: tuple[int, ...]
    returning: Returning | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """`source.output` is the row id (bigint), then what RETURNING needs."""

    table: TableInfo
    source: LogicalPlan
    returning: Returning | None = None


class Action(enum.IntEnum):
    """What becomes of one row of a Merge."""

    NOTHING = 0
    INSERT = 1
    UPDATE = 2
    DELETE = 3


@dataclass(frozen=True, slots=True)
class Merge:
    """MERGE, and INSERT ... ON CONFLICT DO UPDATE (then `key` is the arbiter).

    `source.output` is the id of the matched row (bigint, NULL where none matches), the Action (integer), the new value
    of every table column, what RETURNING needs, and last, if `ordered`, the row's place among those given.
    `assigned` are the ordinals of the columns that an UPDATE may change. `actions` are those that it names: the
    statement's triggers for them run, whatever becomes of the rows.
    """

    table: TableInfo
    source: LogicalPlan
    assigned: tuple[int, ...]
    actions: frozenset[Action]
    key: Unique | None = None
    ordered: bool = False
    returning: Returning | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    """The rows that an INSERT ... ON CONFLICT DO UPDATE proposes, for BEFORE triggers to see first. The query gives the
    columns of the table, and perhaps one more."""

    table: TableInfo
    query: Query


@dataclass(frozen=True, slots=True)
class Part:
    """A data-modifying WITH query, a locking query, or proposed rows. `result` is the table that others read its rows
    from."""

    statement: Insert | Update | Delete | Merge | Query | Proposed
    result: TableInfo | None


@dataclass(frozen=True, slots=True)
class WithChanges:
    """A statement with data-modifying WITH queries, locking subqueries or proposed rows: each part and `main` run once,
    in this order, over the snapshot that the first one saw and the results of the parts before."""

    parts: tuple[Part, ...]
    main: Query | Insert | Update | Delete | Merge


@dataclass(frozen=True, slots=True)
class CreateTableAs:
    """CREATE TABLE AS and SELECT INTO: `columns` of the new table are those of the query, with their names."""

    definition: ddl.CreateTableAs
    query: Query
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True, slots=True)
class SetSequence:
    """SELECT setval(...) with a value from `query`: its columns are the value and, perhaps, whether it was handed out.
    `sequence` is its name, or a table's and a serial column's."""

    sequence: str | tuple[str, str]
    query: Query
    label: str


@dataclass(frozen=True, slots=True)
class Define:
    """A definition statement that has no query; it is bound when it runs."""

    definition: ddl.Definition


@dataclass(frozen=True, slots=True)
class Begin:
    modes: TransactionModes


@dataclass(frozen=True, slots=True)
class Commit:
    """`chain`: a transaction with the same characteristics begins at once."""

    chain: bool = False


@dataclass(frozen=True, slots=True)
class Rollback:
    chain: bool = False


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
    """SET name = value; `value` None is SET name TO DEFAULT or RESET name, `local` SET LOCAL."""

    name: str
    value: str | None
    local: bool = False


@dataclass(frozen=True, slots=True)
class ShowOption:
    name: str


Statement = (
    Query
    | Insert
    | Update
    | Delete
    | Merge
    | WithChanges
    | CreateTableAs
    | SetSequence
    | Define
    | Begin
    | Commit
    | Rollback
    | Savepoint
    | ReleaseSavepoint
    | RollbackToSavepoint
    | Explain
    | SetOption
    | ShowOption
    | UtilityStatement
)
