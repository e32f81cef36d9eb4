"""Definition statements as parsed: names are not resolved yet, expressions are text with its AST.

They are read straight from the tokens (`definitions.parser`), since sqlglot's trees of them lose too much. What they
mean is decided when they run (`definitions.tables`, the host for the rest), inside the write transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Name:
    """A name as the user wrote it, folded."""

    name: str
    schema: str | None = None
    position: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Sql:
    """An expression or query: its text, and its AST with places in the statement's text."""

    text: str
    tree: exp.Expr = field(compare=False)
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SequenceOptions:
    """What is None was not said; `restart` is True without a value. `owned_by` is (table, column), or () for NONE."""

    type: str | None = None
    increment: int | None = None
    minimum: int | None = None
    no_minimum: bool = False
    maximum: int | None = None
    no_maximum: bool = False
    start: int | None = None
    restart: int | bool | None = None
    cache: int | None = None
    cycle: bool | None = None
    owned_by: tuple[Name, str] | tuple[()] | None = None
    name: Name | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    table: Name
    columns: tuple[str, ...]
    on_delete: str = "no action"
    on_update: str = "no action"
    match_full: bool = False
    set_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConstraintDef:
    """`kind`: primary key, unique, check, foreign key; in a column definition also not null, null, default, generated,
    identity ("always" or "by default" in `mode`). `columns` are empty where it stands with its column."""

    kind: str
    name: str | None = None
    columns: tuple[str, ...] = ()
    expression: Sql | None = None
    reference: Reference | None = None
    nulls_distinct: bool = True
    deferrable: bool = False
    deferred: bool = False
    not_valid: bool = False
    mode: str = ""
    sequence: SequenceOptions | None = None
    using_index: str | None = None
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """`type` is None in CREATE TABLE ... PARTITION OF; `serial` is the type of a serial column."""

    name: str
    type: exp.DataType | None = field(compare=False)
    serial: str | None = None
    constraints: tuple[ConstraintDef, ...] = ()
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Like:
    table: Name
    including: frozenset[str]


@dataclass(frozen=True, slots=True)
class KeyDef:
    """A key of an index or of a partitioning: a column or an expression. An index's `collation` decides nothing: what
    it is asked for are equal values."""

    column: str | None
    expression: Sql | None = None
    descending: bool = False
    nulls_first: bool = False
    position: int | None = field(default=None, compare=False)
    collation: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionBound:
    """FOR VALUES ... or DEFAULT. Of a range, None stands for MINVALUE in `low` and MAXVALUE in `high`, and `unbounded`
    holds the keyword where it is the other one."""

    values: tuple[Sql, ...] = ()
    low: tuple[Sql | str, ...] = ()
    high: tuple[Sql | str, ...] = ()
    modulus: int = 0
    remainder: int = 0
    default: bool = False
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CreateTable:
    name: Name
    elements: tuple[ColumnDef | ConstraintDef | Like, ...] = ()
    temporary: bool = False
    if_not_exists: bool = False
    on_commit: str = "preserve rows"
    partition_by: tuple[str, tuple[KeyDef, ...]] | None = None
    partition_of: tuple[Name, PartitionBound] | None = None


@dataclass(frozen=True, slots=True)
class CreateTableAs:
    name: Name
    query: Sql
    columns: tuple[str, ...] = ()
    temporary: bool = False
    if_not_exists: bool = False
    on_commit: str = "preserve rows"
    with_data: bool = True


@dataclass(frozen=True, slots=True)
class Drop:
    """`kind`: table, index, sequence, type, view, materialized view or schema."""

    kind: str
    names: tuple[Name, ...]
    if_exists: bool = False
    cascade: bool = False
    concurrently: bool = False  # of an index


@dataclass(frozen=True, slots=True)
class Action:
    """One action of ALTER TABLE; `kind` says which of the other fields count."""

    kind: str
    name: str = ""
    new_name: str = ""
    column: ColumnDef | None = None
    constraint: ConstraintDef | None = None
    type: exp.DataType | None = field(default=None, compare=False)
    expression: Sql | None = None
    mode: str = ""
    sequence: SequenceOptions | None = None
    table: Name | None = None
    bound: PartitionBound | None = None
    if_exists: bool = False
    cascade: bool = False
    deferrable: bool = False
    deferred: bool = False
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AlterTable:
    """`kind`: table, index, sequence, view, materialized view (all but tables only to rename or move them)."""

    name: Name
    actions: tuple[Action, ...]
    if_exists: bool = False
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class CreateIndex:
    name: str | None
    table: Name
    keys: tuple[KeyDef, ...]
    unique: bool = False
    if_not_exists: bool = False
    method: str = "btree"
    predicate: Sql | None = None
    nulls_distinct: bool = True
    include: tuple[str, ...] = ()
    concurrently: bool = False


@dataclass(frozen=True, slots=True)
class CreateSequence:
    name: Name
    options: SequenceOptions
    temporary: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateType:
    """An enum with its labels, or a composite type with its fields (name, type, place)."""

    name: Name
    labels: tuple[str, ...] | None = None
    fields: tuple[tuple[str, exp.DataType, int], ...] = ()


@dataclass(frozen=True, slots=True)
class AlterSequence:
    name: Name
    options: SequenceOptions
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateView:
    """A view, or a materialized one (`materialized`, with its rows if `with_data`). `columns` are the names given."""

    name: Name
    query: Sql
    columns: tuple[str, ...] = ()
    replace: bool = False
    temporary: bool = False
    recursive: bool = False
    materialized: bool = False
    if_not_exists: bool = False
    with_data: bool = True


@dataclass(frozen=True, slots=True)
class RefreshView:
    name: Name
    with_data: bool = True


@dataclass(frozen=True, slots=True)
class CreateSchema:
    """`elements` are the statements that make its first objects."""

    name: Name
    if_not_exists: bool = False
    elements: tuple[Definition, ...] = ()


@dataclass(frozen=True, slots=True)
class AlterSchema:
    name: Name
    new_name: str


@dataclass(frozen=True, slots=True)
class Comment:
    """COMMENT ON `kind`: `part` is the column, or the constraint of the table `name`; `text` None takes it away."""

    kind: str
    name: Name
    part: str | None
    text: str | None
    function: FunctionName | None = None


@dataclass(frozen=True, slots=True)
class AlterType:
    """`kind`: rename, set schema, rename value, add value. A new label stands `before` or after `neighbour`."""

    name: Name
    kind: str
    new_name: str = ""
    value: str = ""
    neighbour: str | None = None
    before: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class Maintain:
    """ANALYZE, VACUUM, REINDEX, CLUSTER: `names` are tables (of REINDEX, `kind` says of what); `index` is CLUSTER's."""

    command: str
    names: tuple[Name, ...] = ()
    kind: str = "table"
    concurrently: bool = False
    index: Name | None = None


@dataclass(frozen=True, slots=True)
class CreateTrigger:
    """`columns` are those of UPDATE OF; `function` is what is called."""

    name: Name
    table: Name
    timing: str
    events: tuple[str, ...]
    columns: tuple[str, ...]
    for_rows: bool
    when: Sql | None
    function: Name
    replace: bool = False
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DropTrigger:
    name: Name
    table: Name
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterTrigger:
    name: Name
    table: Name
    new_name: str


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a function, or a column of its table. `name` None: it has none. `mode`: in, out or inout."""

    name: str | None
    type: exp.DataType = field(compare=False)
    position: int | None = field(default=None, compare=False)
    mode: str = "in"
    default: str | None = None  # the text of an expression


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A function as DROP, ALTER and COMMENT name it; `arguments` None: whichever has that name."""

    name: Name
    arguments: tuple[Argument, ...] | None = None


@dataclass(frozen=True, slots=True)
class FunctionOptions:
    """What is None was not said."""

    volatility: str | None = None
    strict: bool | None = None
    parallel: str | None = None
    cost: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A function's body in the language itself: its text, and where it begins in the statement (None: its text is not
    what stands there, because of quotes within quotes)."""

    text: str
    position: int | None


@dataclass(frozen=True, slots=True)
class CreateFunction:
    """`returns` is None for a function that returns the `table`, and for a procedure. `file` and `export` are of
    WebAssembly, `body` is of SQL and PL/pgSQL. `setof`: it returns a set of `returns`."""

    name: Name
    arguments: tuple[Argument, ...]
    returns: Argument | None
    table: tuple[Argument, ...] | None
    language: str
    file: str
    export: str | None = None
    replace: bool = False
    options: FunctionOptions = FunctionOptions()
    body: Body | None = None
    setof: bool = False
    procedure: bool = False


@dataclass(frozen=True, slots=True)
class DropFunction:
    """`kind` is the word that was used: function, procedure, routine or aggregate."""

    kind: str
    names: tuple[FunctionName, ...]
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class AlterFunction:
    """`action`: rename, set schema, options or nothing."""

    kind: str
    name: FunctionName
    action: str
    new_name: str = ""
    options: FunctionOptions = FunctionOptions()


Definition = (
    CreateTable
    | CreateTableAs
    | Drop
    | AlterTable
    | CreateIndex
    | CreateSequence
    | CreateType
    | AlterSequence
    | CreateView
    | RefreshView
    | CreateSchema
    | AlterSchema
    | Comment
    | AlterType
    | CreateTrigger
    | DropTrigger
    | AlterTrigger
    | CreateFunction
    | DropFunction
    | AlterFunction
    | Maintain
)
