"""What hangs on a table besides its columns: keys, checks, foreign keys and indexes, as all layers pass them on.

Own columns are named by ordinal. Columns of another table are named by *slot*, the number a column keeps while it
lives, whatever is added, dropped or renamed around it; other tables are named by id. SQL expressions are kept as text.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTIONS = ("no action", "restrict", "cascade", "set null", "set default")


@dataclass(frozen=True, slots=True)
class Unique:
    """A UNIQUE constraint, or (`constraint` False) a unique index over plain columns of all rows. A `deferrable`
    one may be violated within a transaction until it commits; `deferred`: unless the transaction says otherwise."""

    name: str
    columns: tuple[int, ...]
    nulls_distinct: bool = True
    constraint: bool = True
    deferrable: bool = False
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """CHECK (`expression`): violated where it is false."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of this table refer to the columns with slots `referenced` of the table with id `table`."""

    name: str
    columns: tuple[int, ...]
    table: int
    referenced: tuple[int, ...]
    on_delete: str = "no action"
    on_update: str = "no action"
    match_full: bool = False
    deferrable: bool = False
    deferred: bool = False
    set_columns: tuple[int, ...] = ()  # of ON DELETE SET NULL (columns) or SET DEFAULT (columns); empty: all


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One key of an index: a column, or an expression's text."""

    column: int | None
    expression: str | None = None
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """An index made by CREATE INDEX. `include` are further columns that it covers."""

    name: str
    keys: tuple[IndexKey, ...]
    unique: bool = False
    method: str = "btree"
    predicate: str | None = None
    nulls_distinct: bool = True
    include: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """All rows, and columns only."""
        return self.predicate is None and all(key.column is not None for key in self.keys)


@dataclass(frozen=True, slots=True)
class Partitioning:
    """PARTITION BY `method` ("range", "list" or "hash") over `keys`: columns, or expressions' texts."""

    method: str
    keys: tuple[IndexKey, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """Which rows a partition takes. Values are SQL literals as text, None for NULL.

    RANGE: `low` (inclusive) and `high` (exclusive), where MINVALUE and MAXVALUE are the strings "MINVALUE" and
    "MAXVALUE" and literals are quoted; LIST: `values`; HASH: `modulus` and `remainder`; or the default partition.
    """

    parent: int
    low: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    values: tuple[str | None, ...] = ()
    modulus: int = 0
    remainder: int = 0
    default: bool = False


@dataclass(frozen=True, slots=True)
class Constraints:
    """All of one table's."""

    primary_key_name: str | None = None
    uniques: tuple[Unique, ...] = ()
    checks: tuple[Check, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    partitioning: Partitioning | None = None
    bound: Bound | None = None
    primary_key_deferrable: bool = False
    primary_key_deferred: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constraints, the primary key's included."""
        key = (self.primary_key_name,) if self.primary_key_name is not None else ()
        uniques = tuple(unique.name for unique in self.uniques if unique.constraint)
        return (*key, *uniques, *(c.name for c in self.checks), *(f.name for f in self.foreign_keys))


NO_CONSTRAINTS = Constraints()
