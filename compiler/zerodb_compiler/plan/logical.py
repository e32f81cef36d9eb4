"""The logical plan: what to compute, in relational algebra over bound expressions.

Each node has `output`, the columns it gives. Nodes are immutable; rules in plan/rules rewrite trees of them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan.windows import WindowSpec
from zerodb_compiler.sql.expressions import AggregateCall, Column, Expression, ExternalCall


class JoinKind(enum.Enum):
    INNER = "inner"
    LEFT = "left"  # every left row, NULLs where no right row matches
    SEMI = "semi"  # left rows with a match
    ANTI = "anti"  # left rows without a match
    ANTI_NULL_AWARE = "anti null-aware"  # NOT IN: no row when the right side has a NULL key
    SINGLE = "single"  # as LEFT, but more than one match is error 21000 (scalar subqueries)
    FULL = "full"  # every row of both sides; the columns of both are nullable throughout


@dataclass(frozen=True, slots=True)
class Item:
    """A computed column: `column` is defined as `expression`."""

    column: Column
    expression: Expression


@dataclass(frozen=True, slots=True)
class AggregateItem:
    column: Column
    call: AggregateCall


@dataclass(frozen=True, slots=True)
class SortKey:
    expression: Expression
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class ScanColumn:
    column: Column
    ordinal: int


@dataclass(frozen=True, slots=True)
class Scan:
    """A base table. `row_id` (bigint) is there when a DML statement needs the row's place."""

    table: TableInfo
    columns: tuple[ScanColumn, ...]
    row_id: Column | None = None

    @property
    def output(self) -> tuple[Column, ...]:
        ids = (self.row_id,) if self.row_id is not None else ()
        return tuple(item.column for item in self.columns) + ids


@dataclass(frozen=True, slots=True)
class Values:
    """Constant rows. One row of no columns is the input of a SELECT without FROM."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Expression, ...], ...]

    @property
    def output(self) -> tuple[Column, ...]:
        return self.columns


@dataclass(frozen=True, slots=True)
class Filter:
    input: LogicalPlan
    predicate: Expression

    @property
    def output(self) -> tuple[Column, ...]:
        return self.input.output


@dataclass(frozen=True, slots=True)
class Project:
    """Gives exactly `items`; a column passed through is an Item whose expression is a ColumnRef to itself."""

    input: LogicalPlan
    items: tuple[Item, ...]

    @property
    def output(self) -> tuple[Column, ...]:
        return tuple(item.column for item in self.items)


@dataclass(frozen=True, slots=True)
class Join:
    """`condition` None is a cross join (INNER). Where the kind can fill the right side with NULLs (LEFT, SINGLE),
    whoever makes the join has made every column of the right side's output `nullable` throughout the right plan, so
    that a Column is the same object below and above the join."""

    kind: JoinKind
    left: LogicalPlan
    right: LogicalPlan
    condition: Expression | None

    @property
    def output(self) -> tuple[Column, ...]:
        if self.kind in (JoinKind.SEMI, JoinKind.ANTI, JoinKind.ANTI_NULL_AWARE):
            return self.left.output
        return self.left.output + self.right.output


@dataclass(frozen=True, slots=True)
class Aggregate:
    """GROUP BY `keys`; no keys is one group, also for no input. DISTINCT is an Aggregate without aggregates."""

    input: LogicalPlan
    keys: tuple[Item, ...]
    aggregates: tuple[AggregateItem, ...]

    @property
    def output(self) -> tuple[Column, ...]:
        return tuple(item.column for item in self.keys) + tuple(item.column for item in self.aggregates)


@dataclass(frozen=True, slots=True)
class Window:
    """Every input row once, with the results of window functions; the order of the output means nothing."""

    input: LogicalPlan
    specs: tuple[WindowSpec, ...]

    @property
    def output(self) -> tuple[Column, ...]:
        return self.input.output + tuple(item.column for spec in self.specs for item in spec.items)


@dataclass(frozen=True, slots=True)
class ExternalItem:
    """`column` is the result of the call; NULL, without a call, for rows whose `guard` is not true."""

    column: Column
    call: ExternalCall
    guard: Expression | None = None

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.call.arguments if self.guard is None else (*self.call.arguments, self.guard)


@dataclass(frozen=True, slots=True)
class MapExternal:
    """Every input row once, in order, with the results of calls of external functions, none of which reads another's
    result."""

    input: LogicalPlan
    items: tuple[ExternalItem, ...]

    @property
    def output(self) -> tuple[Column, ...]:
        return self.input.output + tuple(item.column for item in self.items)


@dataclass(frozen=True, slots=True)
class Sort:
    input: LogicalPlan
    keys: tuple[SortKey, ...]

    @property
    def output(self) -> tuple[Column, ...]:
        return self.input.output


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` None is no limit. Both are bigint expressions without columns; negative is error 2201W / 2201X."""

    input: LogicalPlan
    count: Expression | None
    offset: Expression | None

    @property
    def output(self) -> tuple[Column, ...]:
        return self.input.output


@dataclass(frozen=True, slots=True)
class UnionAll:
    """Rows of all inputs; output column i takes column i of each input (types already equal)."""

    columns: tuple[Column, ...]
    inputs: tuple[LogicalPlan, ...]

    @property
    def output(self) -> tuple[Column, ...]:
        return self.columns


@dataclass(frozen=True, slots=True)
class TableCall:
    """A call of a set-returning function (codegen/table_functions.py): any number of rows of `columns`."""

    function: str
    arguments: tuple[Expression, ...]
    columns: tuple[Column, ...]
    position: int | None = None


@dataclass(frozen=True, slots=True)
class TableFunction:
    """For each input row, the rows of the calls side by side: as many as the longest gives, the others filled with
    NULLs (PostgreSQL's ProjectSet and ROWS FROM). The arguments read the input's columns. `ordinality` numbers the
    rows of each input row from 1. `outer` keeps an input row without rows, once, with NULLs (LEFT JOIN LATERAL); then,
    and where there are several calls, all columns of the calls are nullable."""

    input: LogicalPlan
    calls: tuple[TableCall, ...]
    ordinality: Column | None = None
    outer: bool = False

    @property
    def output(self) -> tuple[Column, ...]:
        ordinality = () if self.ordinality is None else (self.ordinality,)
        return self.input.output + tuple(column for call in self.calls for column in call.columns) + ordinality


@dataclass(frozen=True, slots=True)
class Lateral:
    """A join (INNER or LEFT) whose right side may read columns of the left one. Removed by unnesting."""

    kind: JoinKind
    left: LogicalPlan
    right: LogicalPlan
    condition: Expression | None

    @property
    def output(self) -> tuple[Column, ...]:
        return self.left.output + self.right.output


@dataclass(frozen=True, slots=True)
class MarkJoin:
    """Every left row once, with `mark`: whether `test` is true for some right row that meets `condition`; else NULL if
    it is NULL for one; else false. No `test` asks whether there is such a row at all."""

    left: LogicalPlan
    right: LogicalPlan
    condition: Expression | None
    test: Expression | None
    mark: Column

    @property
    def output(self) -> tuple[Column, ...]:
        return (*self.left.output, self.mark)


@dataclass(frozen=True, slots=True)
class Number:
    """Adds the place of each row (from 1) within its partition, in the input's order; the input comes partition by
    partition. `rank` is the place of the first row with equal `peers` (columns, NULLs equal)."""

    input: LogicalPlan
    partition: tuple[Column, ...]
    number: Column
    peers: tuple[Column, ...] = ()
    rank: Column | None = None

    @property
    def output(self) -> tuple[Column, ...]:
        return (*self.input.output, self.number, *(() if self.rank is None else (self.rank,)))


@dataclass(frozen=True, slots=True)
class Repeat:
    """Each row `count` times (bigint; none or less: not at all)."""

    input: LogicalPlan
    count: Expression

    @property
    def output(self) -> tuple[Column, ...]:
        return self.input.output


@dataclass(frozen=True, slots=True)
class CommonScan:
    """The rows of the common table `common` (With), or of the working table of the recursion `common`: column i is its
    column i under an own name."""

    common: int
    columns: tuple[Column, ...]
    working: bool = False

    @property
    def output(self) -> tuple[Column, ...]:
        return self.columns


@dataclass(frozen=True, slots=True)
class Definition:
    """A common table: computed once, read by CommonScans in later definitions and in the body."""

    common: int
    plan: LogicalPlan


@dataclass(frozen=True, slots=True)
class With:
    """Only at the root."""

    definitions: tuple[Definition, ...]
    body: LogicalPlan

    @property
    def output(self) -> tuple[Column, ...]:
        return self.body.output


@dataclass(frozen=True, slots=True)
class Recursive:
    """`base`, then `step` over the rows found last (CommonScan of `common`, working) until it finds none. `distinct`
    drops rows that were there before (UNION). Column i takes column i of both inputs."""

    common: int
    columns: tuple[Column, ...]
    base: LogicalPlan
    step: LogicalPlan
    distinct: bool

    @property
    def output(self) -> tuple[Column, ...]:
        return self.columns


LogicalPlan = (
    Scan
    | Values
    | Filter
    | Project
    | Join
    | Aggregate
    | Window
    | MapExternal
    | Sort
    | Limit
    | UnionAll
    | TableFunction
    | Lateral
    | MarkJoin
    | Number
    | Repeat
    | CommonScan
    | With
    | Recursive
)


def inputs(plan: LogicalPlan) -> tuple[LogicalPlan, ...]:
    match plan:
        case Scan() | Values() | CommonScan():
            return ()
        case Join(left=left, right=right) | Lateral(left=left, right=right) | MarkJoin(left=left, right=right):
            return (left, right)
        case With(definitions=definitions, body=body):
            return (*(definition.plan for definition in definitions), body)
        case Recursive(base=base, step=step):
            return (base, step)
        case Number(input=input_) | Repeat(input=input_):
            return (input_,)
        case UnionAll(inputs=parts):
            return parts
        case Filter(input=input_) | Project(input=input_) | Aggregate(input=input_) | Sort(input=input_):
            return (input_,)
        case Limit(input=input_) | TableFunction(input=input_) | Window(input=input_) | MapExternal(input=input_):
            return (input_,)
