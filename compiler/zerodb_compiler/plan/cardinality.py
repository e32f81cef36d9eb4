"""How many rows a plan gives: estimates from table statistics.

An `Estimator` knows one `ColumnEstimate` per column id (ids are unique in a query, so one dictionary serves the whole
plan) and the rows of every node it was asked about. Assumptions are the usual ones (System R, and the FK containment
of Moerkotte's "Building Query Compilers"): values are uniform, columns independent, and the smaller set of join keys is
contained in the larger. Two range conditions on one column are taken together; keys of a composite primary key are
not multiplied beyond the table's rows.

Limits: no histograms, no correlation between columns; an error of a factor 10 after a few joins is normal. Estimates
choose plans and initial hash table sizes; nothing depends on them for correctness.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zerodb_compiler.plan.logical import (
    Aggregate,
    CommonScan,
    Filter,
    Item,
    Join,
    JoinKind,
    Lateral,
    Limit,
    LogicalPlan,
    MapExternal,
    MarkJoin,
    Number,
    Project,
    Recursive,
    Repeat,
    Scan,
    Sort,
    TableCall,
    TableFunction,
    UnionAll,
    Values,
    Window,
    With,
)
from zerodb_compiler.plan.transform import conjuncts, ids_of
from zerodb_compiler.sql.expressions import Call, Cast, Column, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.sql.functions import COMPARISONS, SWAPPED
from zerodb_compiler.types import TypeId

DEFAULT_ROWS = 1_000.0
DEFAULT_DISTINCT = 200.0
DEFAULT_SELECTIVITY = 0.25
RANGE_SELECTIVITY = 1 / 3
COLUMN_COMPARISON = 0.45  # two columns of one row: l_commitdate < l_receiptdate and the like
PREFIX_LIKE = 0.1
CONTAINS_LIKE = 0.05
RECURSION_DEPTH = 10.0
WORKING_ROWS = 100_000.0  # a recursion's working table is to probe: what it is joined with is then built once
HAVING_SELECTIVITY = 0.1  # comparisons of aggregates select groups on purpose


@dataclass(frozen=True, slots=True)
class ColumnEstimate:
    distinct: float
    low: int | None = None
    high: int | None = None
    null_fraction: float = 0.0
    is_aggregate: bool = False


_UNKNOWN = ColumnEstimate(DEFAULT_DISTINCT)


class Estimator:
    """Estimates for one query; remembers what it was asked."""

    __slots__ = ("_common", "_composite_keys", "_filtered", "_rows", "_seen", "columns")

    def __init__(self) -> None:
        self.columns: dict[int, ColumnEstimate] = {}
        self._common: dict[int, tuple[float, tuple[Column, ...]]] = {}
        self._rows: dict[int, float] = {}
        self._composite_keys: list[tuple[frozenset[int], float]] = []  # primary keys of several columns, and rows
        self._filtered: dict[int, float] = {}  # id() of a predicate -> its selectivity before columns were narrowed
        self._seen: list[LogicalPlan] = []  # keeps nodes alive so that their id() stays theirs

    # --- nodes ------------------------------------------------------------------------------------------------------
    def rows(self, plan: LogicalPlan) -> float:
        found = self._rows.get(id(plan))
        if found is None:
            found = max(self._estimate(plan), 1e-3)
            self._rows[id(plan)] = found
            self._seen.append(plan)
        return found

    def _estimate(self, plan: LogicalPlan) -> float:
        match plan:
            case Scan():
                return self._scan(plan)
            case Values():
                return float(len(plan.rows))
            case Filter(input=input_, predicate=predicate):
                return self.filter(self.rows(input_), conjuncts(predicate))
            case Project(input=input_, items=items):
                rows = self.rows(input_)
                self._define(items, rows)
                return rows
            case Join():
                return self._join(plan)
            case Aggregate(input=input_, keys=keys, aggregates=aggregates):
                rows = self.rows(input_)
                self._define(keys, rows)
                groups = self.groups([item.column for item in keys], rows)
                for item in aggregates:
                    self.columns[item.column.id] = ColumnEstimate(max(1.0, groups / 2), is_aggregate=True)
                return groups
            case Sort(input=input_) | MapExternal(input=input_):
                return self.rows(input_)
            case Window(input=input_, specs=specs):
                rows = self.rows(input_)
                for spec in specs:
                    for window_item in spec.items:
                        self.columns[window_item.column.id] = ColumnEstimate(max(1.0, rows / 2))
                return rows
            case Limit(input=input_, count=count):
                return min(self.rows(input_), self._limit(count))
            case UnionAll(columns=columns, inputs=inputs):
                return self._union(columns, inputs)
            case TableFunction(input=input_, calls=calls):
                return self.rows(input_) * max(map(_call_rows, calls))
            case MarkJoin(left=input_) | Repeat(input=input_) | Number(input=input_) | Lateral(left=input_):
                return self.rows(input_)
            case CommonScan():
                return self._common_scan(plan)
            case With(definitions=definitions, body=body):
                for definition in definitions:
                    self.define(definition.common, definition.plan)
                return self.rows(body)
            case Recursive(base=base):
                return RECURSION_DEPTH * max(1.0, self.rows(base))

    def define(self, common: int, plan: LogicalPlan) -> None:
        """Makes a common table known."""
        self._common[common] = self.rows(plan), plan.output

    def _common_scan(self, plan: CommonScan) -> float:
        if plan.working:
            for column in plan.columns:
                self.columns[column.id] = ColumnEstimate(WORKING_ROWS)
            return WORKING_ROWS
        rows, output = self._common.get(plan.common, (DEFAULT_ROWS, plan.columns))
        for column, source in zip(plan.columns, output, strict=True):
            self.columns.setdefault(column.id, self.columns.get(source.id, _UNKNOWN))
        return rows

    def _scan(self, plan: Scan) -> float:
        statistics = plan.table.statistics
        rows = float(statistics.row_count)
        key = plan.table.primary_key
        for item in plan.columns:
            if item.column.id in self.columns:
                continue
            if item.ordinal < len(statistics.columns):
                known = statistics.columns[item.ordinal]
                nulls = known.null_count / rows if rows else 0.0
                found = ColumnEstimate(max(1.0, float(known.distinct)), known.low, known.high, nulls)
            else:
                found = ColumnEstimate(rows if key == (item.ordinal,) else min(rows, DEFAULT_DISTINCT))
            self.columns[item.column.id] = found
        places = {item.ordinal: item.column.id for item in plan.columns}
        if len(key) > 1 and all(ordinal in places for ordinal in key):
            self._composite_keys.append((frozenset(places[ordinal] for ordinal in key), max(1.0, rows)))
        if plan.row_id is not None:
            self.columns[plan.row_id.id] = ColumnEstimate(max(1.0, rows))
        return rows

    def _define(self, items: Iterable[Item], rows: float) -> None:
        for item in items:
            if item.column.id not in self.columns:
                self.columns[item.column.id] = self.expression(item.expression, rows)

    def _union(self, columns: Sequence[Column], inputs: Sequence[LogicalPlan]) -> float:
        rows = sum(self.rows(part) for part in inputs)
        for place, column in enumerate(columns):
            parts = [self.columns.get(part.output[place].id, _UNKNOWN) for part in inputs]
            self.columns[column.id] = ColumnEstimate(sum(part.distinct for part in parts))
        return rows

    @staticmethod
    def _limit(count: Expression | None) -> float:
        match count:
            case None:
                return float("inf")
            case Literal(value=int(value)) | Parameter(sample=int(value)):
                return float(max(value, 0))
        return 100.0

    def groups(self, keys: Sequence[Column], rows: float) -> float:
        """Distinct combinations of the keys among `rows` rows."""
        if not keys:
            return 1.0
        product = 1.0
        for column in keys:
            product *= self.columns.get(column.id, _UNKNOWN).distinct
        # n rows thrown into `product` cells leave about product * (1 - exp(-n / product)) of them occupied.
        if product > 50 * rows:
            return rows
        return max(1.0, min(rows, product * (1 - math.exp(-rows / product))))

    # --- expressions ------------------------------------------------------------------------------------------------
    def expression(self, expression: Expression, rows: float) -> ColumnEstimate:
        """What is known of a computed value."""
        match expression:
            case ColumnRef(column=column):
                return self.columns.get(column.id, _UNKNOWN)
            case Literal() | Parameter():
                return ColumnEstimate(1.0)
            case Cast(argument=argument):
                found = self.expression(argument, rows)
                return ColumnEstimate(found.distinct, None, None, found.null_fraction, found.is_aggregate)
            case Call(function="extract_year", arguments=(ColumnRef(column=column),)):
                known = self.columns.get(column.id, _UNKNOWN)
                return ColumnEstimate(min(known.distinct, _years(column, known)))
        if expression.type.is_variable:
            return _UNKNOWN
        distinct = 1.0
        aggregate = False
        for id_ in ids_of(expression):
            known = self.columns.get(id_, _UNKNOWN)
            distinct *= known.distinct
            aggregate |= known.is_aggregate
        return ColumnEstimate(max(1.0, min(rows, distinct)), is_aggregate=aggregate)

    def filter(self, rows: float, predicates: Sequence[Expression]) -> float:
        """Rows left by the conjunction; narrows what is known of columns that are compared with constants."""
        if not predicates:
            return rows
        ranges: dict[int, list[float]] = {}
        result = rows
        narrowed: dict[int, float] = {}
        for predicate in predicates:
            selectivity = self._filtered[id(predicate)] = self.selectivity(predicate)
            used = ids_of(predicate)
            if len(used) == 1:
                (id_,) = used
                if _is_range(predicate):
                    ranges.setdefault(id_, []).append(selectivity)
                    continue
                narrowed[id_] = narrowed.get(id_, 1.0) * selectivity
            result *= selectivity
        for id_, parts in ranges.items():
            both = _intersection(parts)
            narrowed[id_] = narrowed.get(id_, 1.0) * both
            result *= both
        for id_, factor in narrowed.items():
            known = self.columns.get(id_)
            if known is not None:
                distinct = max(1.0, known.distinct * factor)
                self.columns[id_] = ColumnEstimate(distinct, known.low, known.high, 0.0, known.is_aggregate)
        return result

    def selectivity(self, predicate: Expression) -> float:
        """The share of rows for which the predicate is true."""
        known = self._filtered.get(id(predicate))
        if known is not None:
            return known
        match predicate:
            case Literal(value=value):
                return 1.0 if value else 0.0
            case Call(function=function, arguments=arguments):
                return min(1.0, max(0.0, self._call(function, arguments)))
        return 0.5

    def _call(self, function: str, arguments: tuple[Expression, ...]) -> float:
        match function:
            case "and":
                selectivity = 1.0
                ranges: dict[object, list[float]] = {}
                for part in arguments:
                    if _is_range(part) and isinstance(part, Call):
                        ranges.setdefault(ids_of(part), []).append(self.selectivity(part))
                    else:
                        selectivity *= self.selectivity(part)
                for parts in ranges.values():
                    selectivity *= _intersection(parts)
                return selectivity
            case "or":
                missed = 1.0
                for part in arguments:
                    missed *= 1.0 - self.selectivity(part)
                return 1.0 - missed
            case "not":
                return 1.0 - self.selectivity(arguments[0])
            case "is_null" | "is_not_null":
                known = self.expression(arguments[0], DEFAULT_ROWS)
                return known.null_fraction if function == "is_null" else 1.0 - known.null_fraction
            case "is_true" | "is_false":
                inner = self.selectivity(arguments[0])
                return inner if function == "is_true" else 1.0 - inner
            case "in":
                values = {_value(part) for part in arguments[1:]} if all(map(_is_constant, arguments[1:])) else set()
                count = len(values - {None}) + sum(_value(part) is None for part in arguments[1:])
                return count * self._equality(arguments[0], arguments[1])
            case "like" | "ilike" | "not_like":
                share = _like(arguments[1])
                return 1.0 - share if function == "not_like" else share
            case "starts_with":
                return PREFIX_LIKE
            case "contains":
                return CONTAINS_LIKE
            case "eq" | "is_not_distinct":
                return self._equality(arguments[0], arguments[1])
            case "ne" | "is_distinct":
                return 1.0 - self._equality(arguments[0], arguments[1])
            case "lt" | "le" | "gt" | "ge":
                return self._range(function, arguments[0], arguments[1])
        return DEFAULT_SELECTIVITY

    def _equality(self, left: Expression, right: Expression) -> float:
        first, second = self.expression(left, float("inf")), self.expression(right, float("inf"))
        if _is_constant(left):
            first, second, left, right = second, first, right, left
        value = _value(right)
        known = isinstance(left, ColumnRef) and first.low is not None and first.high is not None
        if known and isinstance(value, int) and not (first.low or 0) <= value <= (first.high or 0):
            return 0.5 / max(1.0, first.distinct)
        return (1.0 - first.null_fraction) / max(first.distinct, second.distinct, 1.0)

    def _range(self, function: str, left: Expression, right: Expression) -> float:
        if isinstance(left, (Literal, Parameter)):
            function, left, right = SWAPPED[function], right, left
        known = self.expression(left, float("inf"))
        if known.is_aggregate:
            return HAVING_SELECTIVITY
        if not isinstance(right, (Literal, Parameter)):
            return COLUMN_COMPARISON
        value = _value(right)
        if not isinstance(value, int) or known.low is None or known.high is None or not isinstance(left, ColumnRef):
            return RANGE_SELECTIVITY
        width = known.high - known.low + 1
        below = value - known.low + (1 if function in ("le", "gt") else 0)  # values that lt or le keep
        share = min(1.0, max(0.0, below / width))
        found = share if function in ("lt", "le") else 1.0 - share
        return max(found, 1.0 / max(known.distinct, 1.0)) * (1.0 - known.null_fraction)

    # --- joins ------------------------------------------------------------------------------------------------------
    def _join(self, plan: Join) -> float:
        left, right = self.rows(plan.left), self.rows(plan.right)
        parts = conjuncts(plan.condition)
        right_ids = frozenset(column.id for column in plan.right.output)
        selectivity = self.key_selectivity(
            parts, right_ids, (left, right), (base_rows(plan.left), base_rows(plan.right))
        )
        return joined_rows(plan.kind, left, right, selectivity, self.match_share(parts, plan.right, right))

    def key_selectivity(
        self,
        parts: Sequence[Expression],
        right_ids: frozenset[int],
        rows: tuple[float, float],
        bounds: tuple[float, float],
    ) -> float:
        """The share of the cross product that the conjuncts keep; `bounds` limits the distinct keys of each side."""
        lefts: list[float] = []
        rights: list[float] = []
        pairs: list[tuple[Expression, Expression]] = []
        others = 1.0
        for part in parts:
            sides = equality_sides(part, right_ids)
            if sides is None:
                others *= self.selectivity(part)
            else:
                pairs.append(sides)
        keyed = self._composite_key(pairs)
        if keyed is not None:  # foreign keys refer to the rows there are, not to all combinations of the columns
            others /= keyed[1]
            pairs = [pair for pair in pairs if not any(ids_of(side) <= keyed[0] for side in pair)]
        for sides in pairs:
            lefts.append(self.expression(sides[0], rows[0]).distinct)
            rights.append(self.expression(sides[1], rows[1]).distinct)
        if not lefts:
            return others
        first, second = combined_distinct(lefts, rows[0], bounds[0]), combined_distinct(rights, rows[1], bounds[1])
        return others / max(first, second, 1.0)

    def _composite_key(self, pairs: Sequence[tuple[Expression, Expression]]) -> tuple[frozenset[int], float] | None:
        """A primary key of several columns that one side of the equalities covers."""
        if len(pairs) < 2 or not self._composite_keys:
            return None
        for place in (0, 1):
            ids = set().union(*(ids_of(pair[place]) for pair in pairs if isinstance(pair[place], ColumnRef)))
            for key, rows in self._composite_keys:
                if key <= ids:
                    return key, rows
        return None

    def match_share(self, parts: Sequence[Expression], right: LogicalPlan, right_rows: float) -> float:
        """The share of left rows that have a match (for SEMI and ANTI)."""
        right_ids = frozenset(column.id for column in right.output)
        share = 1.0
        for part in parts:
            sides = equality_sides(part, right_ids)
            if sides is None:
                continue
            outer = self.expression(sides[0], float("inf")).distinct
            inner = min(self.expression(sides[1], right_rows).distinct, right_rows)
            share = min(share, inner / max(outer, 1.0))
        return min(share, 0.9 if parts else 1.0)


def combined_distinct(distinct: Sequence[float], rows: float, bound: float) -> float:
    """Distinct combinations of several join keys of one side of `rows` rows. One key keeps its unfiltered count (the
    other side's foreign keys refer to all of them); a product of several would exceed the rows there are."""
    if len(distinct) == 1:
        return min(distinct[0], bound)
    return min(math.prod(distinct), bound, max(rows, *distinct))


def joined_rows(kind: JoinKind, left: float, right: float, selectivity: float, share: float) -> float:
    """Output rows of a join of that kind."""
    match kind:
        case JoinKind.INNER:
            return left * right * selectivity
        case JoinKind.LEFT:
            return max(left, left * right * selectivity)
        case JoinKind.FULL:
            return max(left, right, left * right * selectivity)
        case JoinKind.SINGLE:
            return left
        case JoinKind.SEMI:
            return left * share
        case JoinKind.ANTI | JoinKind.ANTI_NULL_AWARE:
            return left * (1.0 - share)


def equality_sides(predicate: Expression, right_ids: frozenset[int]) -> tuple[Expression, Expression] | None:
    """(left expression, right expression) of an equality between the two sides, else None."""
    if not (isinstance(predicate, Call) and predicate.function == "eq"):
        return None
    first, second = predicate.arguments
    one, two = ids_of(first), ids_of(second)
    if not one or not two:
        return None
    if two <= right_ids and not one & right_ids:
        return first, second
    if one <= right_ids and not two & right_ids:
        return second, first
    return None


def base_rows(plan: LogicalPlan) -> float:
    """Rows of the base table under filters and projections, else no bound: the most distinct keys it can have."""
    while isinstance(plan, (Filter, Project)):
        plan = plan.input
    return max(1.0, float(plan.table.statistics.row_count)) if isinstance(plan, Scan) else float("inf")


def _is_range(predicate: Expression) -> bool:
    return (
        isinstance(predicate, Call)
        and predicate.function in COMPARISONS
        and predicate.function not in ("eq", "ne")
        and isinstance(predicate.arguments[0], ColumnRef) != isinstance(predicate.arguments[1], ColumnRef)
    )


def _intersection(shares: Sequence[float]) -> float:
    """The share left by several one-sided ranges of one column: each cuts off its part."""
    left = 1.0 - sum(1.0 - share for share in shares)
    return left if left > 0 else min(shares) * 0.1


def _is_constant(expression: Expression) -> bool:
    return isinstance(expression, (Literal, Parameter))


def _value(expression: Expression) -> int | float | str | bytes | None:
    match expression:
        case Literal(value=value):
            return value
        case Parameter(sample=value):
            return value
    return None


def _like(pattern: Expression) -> float:
    value = _value(pattern)
    if isinstance(value, str) and value and value[0] not in "%_":
        return PREFIX_LIKE
    return CONTAINS_LIKE


def _years(column: Column, known: ColumnEstimate) -> float:
    if known.low is None or known.high is None or column.type.id is not TypeId.DATE:
        return DEFAULT_DISTINCT
    return (known.high - known.low) / 365.25 + 1


def _call_rows(item: TableCall) -> float:
    """Rows that a set-returning function gives: known of a series of constants, else a guess."""
    if item.function == "generate_series":
        values = [
            argument.value if isinstance(argument, Literal) else getattr(argument, "sample", None)
            for argument in item.arguments
        ]
        step = values[2] if len(values) > 2 else 1
        match values[0], values[1], step:
            case int(first), int(last), int(by) if by:
                return float(max(0, (last - first) // by + 1))
    return 10.0
