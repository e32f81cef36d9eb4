"""The physical plan: how to compute it. Code generation follows this tree literally and decides nothing about order.

Pipelines break at HashJoin builds, HashAggregate, Sort, Window and TopN. Expressions here contain no subqueries, no
avg, no DISTINCT aggregates and no aggregate FILTER: the planner has rewritten them. `rows` is the estimated output
cardinality, shown by EXPLAIN and used for initial sizes only.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan.logical import AggregateItem, ExternalItem, Item, JoinKind, ScanColumn, SortKey, TableCall
from zerodb_compiler.plan.windows import WindowSpec
from zerodb_compiler.sql.expressions import Column, Expression, Literal, Parameter

Constant = Literal | Parameter


@dataclass(frozen=True, slots=True)
class FirstRows:
    """Of the rows an index finds only the first are wanted, or the last: as many as the sum of `wanted`. The index
    decides all predicates; `open_low` and `open_high`: its bounds are outside of the range."""

    wanted: tuple[Constant, ...]
    descending: bool
    open_low: bool = False
    open_high: bool = False


@dataclass(frozen=True, slots=True)
class IndexAccess:
    """An index that gives the rows a scan has to look at (all `predicates` are evaluated on them all the same): those
    whose first columns of `key` each have one of the values of `equal`, and whose next one is at least all of `low` and
    at most all of `high`. `declared`: made by CREATE INDEX, not implied by a constraint."""

    name: str
    key: tuple[int, ...]
    equal: tuple[tuple[Constant, ...], ...]
    low: tuple[Constant, ...]
    high: tuple[Constant, ...]
    declared: bool
    first: FirstRows | None = None


@dataclass(frozen=True, slots=True)
class TableScan:
    """Rows of a table that satisfy all `predicates` (conjuncts over this scan's columns, cheapest and most selective
    first; code generation turns those it can into block-wise SIMD). `columns` holds only what is read."""

    table: TableInfo
    columns: tuple[ScanColumn, ...]
    predicates: tuple[Expression, ...]
    row_id: Column | None
    rows: float
    index: IndexAccess | None = None
    partition_tests: tuple[tuple[int, str, tuple[Constant, ...]], ...] = ()  # what may leave this partition out


@dataclass(frozen=True, slots=True)
class ValuesScan:
    columns: tuple[Column, ...]
    values: tuple[tuple[Expression, ...], ...]
    rows: float


@dataclass(frozen=True, slots=True)
class Filter:
    input: PhysicalPlan
    predicates: tuple[Expression, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class Project:
    """Defines `items`; columns not listed are no longer visible above."""

    input: PhysicalPlan
    items: tuple[Item, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class HashJoin:
    """Equi-join. The build side is materialised; the probe side streams through. LEFT, SEMI, ANTI, ANTI_NULL_AWARE and
    SINGLE preserve or filter the *probe* side. `residual` conjuncts may read both sides and belong to the match
    condition. `build_unique` says that the build keys are known to be unique (at most one match a row). Keys are
    pairwise of equal type."""

    kind: JoinKind
    build: PhysicalPlan
    probe: PhysicalPlan
    build_keys: tuple[Expression, ...]
    probe_keys: tuple[Expression, ...]
    residual: tuple[Expression, ...]
    build_unique: bool
    rows: float


@dataclass(frozen=True, slots=True)
class NestedLoopJoin:
    """Any condition, or none: the build side is materialised and walked for every probe row."""

    kind: JoinKind
    build: PhysicalPlan
    probe: PhysicalPlan
    predicates: tuple[Expression, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class HashAggregate:
    input: PhysicalPlan
    keys: tuple[Item, ...]
    aggregates: tuple[AggregateItem, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class Sort:
    input: PhysicalPlan
    keys: tuple[SortKey, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class WindowRun:
    """Windows that one sort serves: partition and order keys of each are a prefix of `keys`."""

    keys: tuple[SortKey, ...]
    specs: tuple[WindowSpec, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """All rows are materialised once, then sorted and walked for each run."""

    input: PhysicalPlan
    runs: tuple[WindowRun, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class MapExternal:
    """The rows of a morsel are kept, the functions called for them block by block; then the rows go on."""

    input: PhysicalPlan
    items: tuple[ExternalItem, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class TopN:
    """The first `count` rows after `offset` in the order of `keys`."""

    input: PhysicalPlan
    keys: tuple[SortKey, ...]
    count: Expression
    offset: Expression | None
    rows: float


@dataclass(frozen=True, slots=True)
class Limit:
    input: PhysicalPlan
    count: Expression | None
    offset: Expression | None
    rows: float


@dataclass(frozen=True, slots=True)
class UnionAll:
    columns: tuple[Column, ...]
    inputs: tuple[PhysicalPlan, ...]
    rows: float


@dataclass(frozen=True, slots=True)
class TableFunction:
    """As logical.TableFunction. Over a single row of no columns it is a source, which one series splits in morsels."""

    input: PhysicalPlan
    calls: tuple[TableCall, ...]
    ordinality: Column | None
    outer: bool
    rows: float


@dataclass(frozen=True, slots=True)
class MarkJoin:
    """Every probe row once, with `mark` (logical.MarkJoin). Without keys every build row is tried."""

    build: PhysicalPlan
    probe: PhysicalPlan
    build_keys: tuple[Expression, ...]
    probe_keys: tuple[Expression, ...]
    residual: tuple[Expression, ...]
    test: Expression | None
    mark: Column
    rows: float


@dataclass(frozen=True, slots=True)
class Number:
    """Places of rows within partitions of a sorted input (logical.Number)."""

    input: PhysicalPlan
    partition: tuple[Column, ...]
    number: Column
    peers: tuple[Column, ...]
    rank: Column | None
    rows: float


@dataclass(frozen=True, slots=True)
class Repeat:
    input: PhysicalPlan
    count: Expression
    rows: float


@dataclass(frozen=True, slots=True)
class CommonScan:
    """The rows of a common table, or the working table of a recursion."""

    common: int
    columns: tuple[Column, ...]
    working: bool
    rows: float


@dataclass(frozen=True, slots=True)
class Definition:
    common: int
    plan: PhysicalPlan


@dataclass(frozen=True, slots=True)
class With:
    """Common tables, each kept in tuple buffers before the body runs."""

    definitions: tuple[Definition, ...]
    body: PhysicalPlan
    rows: float


@dataclass(frozen=True, slots=True)
class Recursive:
    """logical.Recursive. The step runs as a queue where it is one pipeline, else iteration by iteration. No more rows
    are searched for than the LIMIT (`count`, `offset`) right above it wants."""

    common: int
    columns: tuple[Column, ...]
    base: PhysicalPlan
    step: PhysicalPlan
    distinct: bool
    rows: float
    count: Expression | None = None
    offset: Expression | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """The root: rows leave the query as `columns`, in this order."""

    input: PhysicalPlan
    columns: tuple[Column, ...]
    rows: float


PhysicalPlan = (
    TableScan
    | ValuesScan
    | Filter
    | Project
    | HashJoin
    | NestedLoopJoin
    | HashAggregate
    | Sort
    | Window
    | MapExternal
    | TopN
    | Limit
    | UnionAll
    | TableFunction
    | MarkJoin
    | Number
    | Repeat
    | CommonScan
    | With
    | Recursive
    | Output
)
