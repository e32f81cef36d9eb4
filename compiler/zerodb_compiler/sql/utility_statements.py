"""Statements that are neither queries nor changes nor definitions; they need no binding."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TableName:
    name: str
    schema: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Truncate:
    tables: tuple[TableName, ...]
    restart_identity: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class LockTable:
    """`mode` is PostgreSQL's name of the lock, in lower case."""

    tables: tuple[TableName, ...]
    mode: str
    nowait: bool = False


@dataclass(frozen=True, slots=True)
class PrepareStatement:
    """PREPARE name (types) AS text; `start` is where the text begins in the statement's own."""

    name: str
    types: tuple[str, ...]
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class ExecuteStatement:
    """EXECUTE name (arguments), each an expression's text and its place."""

    name: str
    arguments: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Deallocate:
    """`name` None is ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Discard:
    """`what` is "all", "plans", "sequences" or "temp"."""

    what: str


@dataclass(frozen=True, slots=True)
class Listen:
    channel: str


@dataclass(frozen=True, slots=True)
class Unlisten:
    """`channel` None is *."""

    channel: str | None


@dataclass(frozen=True, slots=True)
class Notify:
    channel: str
    payload: str = ""


@dataclass(frozen=True, slots=True)
class TransactionModes:
    """Characteristics of a transaction, None where nothing is said. `isolation` is "serializable", "repeatable read",
    "read committed" or "read uncommitted"."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True, slots=True)
class SetTransaction:
    """SET TRANSACTION, or (`session`) the characteristics of those to come."""

    modes: TransactionModes
    session: bool = False


@dataclass(frozen=True, slots=True)
class SetConstraints:
    """SET CONSTRAINTS; no names: ALL."""

    names: tuple[TableName, ...]
    deferred: bool


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY. Exactly one of `table` and `query` (its text, which begins at `start`) is there. `target` is a file's path,
    None for STDIN and STDOUT. `options` are lower-case names with their values: texts, lists of column names, or "*"
    for all columns."""

    into: bool
    table: TableName | None
    columns: tuple[str, ...]
    query: str | None
    start: int
    target: str | None
    options: tuple[tuple[str, str | tuple[str, ...]], ...] = ()
    where: str | None = None
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Do:
    """DO: a body in PL/pgSQL, and where it begins in the statement (None: it does not stand there as it is)."""

    body: str
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """CALL of a procedure; the arguments are texts, with their places."""

    procedure: TableName
    arguments: tuple[tuple[str, int], ...]


UtilityStatement = (
    Truncate
    | LockTable
    | PrepareStatement
    | ExecuteStatement
    | Deallocate
    | Discard
    | Listen
    | Unlisten
    | Notify
    | SetTransaction
    | SetConstraints
    | Copy
    | Do
    | Call
)
