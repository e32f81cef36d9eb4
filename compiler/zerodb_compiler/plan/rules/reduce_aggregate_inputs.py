"""A join with few keys tells the aggregation on its other side which groups will be asked for.

    part [200 rows] join (select l_partkey, avg(l_quantity) from lineitem group by l_partkey) on p_partkey = l_partkey
    ->  the aggregation's input becomes    lineitem semi join (a copy of part [200 rows]) on l_partkey = p_partkey

(TPC-H Q2, Q17, Q20: decorrelated aggregates.) Groups without a partner would be thrown away by the join; now they are
never built. This is the magic-set rewriting, or sideways information passing, for one key. The copy is evaluated twice,
so it must be cheap against the aggregation's input, and keep few of the keys; both by estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.plan.cardinality import Estimator
from zerodb_compiler.plan.copying import copied
from zerodb_compiler.plan.logical import Aggregate, Filter, Join, JoinKind, Limit, LogicalPlan, Project, Scan
from zerodb_compiler.plan.transform import Fresh, call, conjuncts, inputs_of, output_ids, passed, with_inputs
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression

KEPT_SHARE = 0.3  # the keys kept must be fewer than this
COPY_COST = 0.5  # rows scanned by the copy against those scanned by the aggregation's input
LEAST_ROWS = 10_000.0  # smaller aggregations are not worth a join


@dataclass(slots=True)
class _Leaf:
    plan: LogicalPlan
    kind: JoinKind
    equalities: list[tuple[int, int]]  # of its own join, for leaves that are right sides


def reduce_aggregate_inputs(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return plan if not _has_candidate(plan) else _visit(plan, Estimator(), fresh)


def _has_candidate(plan: LogicalPlan) -> bool:
    """A cheap look first: most plans have no aggregation under a join."""
    parts = inputs_of(plan)
    if isinstance(plan, Join) and any(_aggregation(part) is not None for part in parts):
        return True
    return any(map(_has_candidate, parts))


def _visit(plan: LogicalPlan, estimator: Estimator, fresh: Fresh) -> LogicalPlan:
    if isinstance(plan, Join):
        plan = _region(plan, estimator, fresh)
    parts = inputs_of(plan)
    return with_inputs(plan, [_visit(part, estimator, fresh) for part in parts]) if parts else plan


def _region(plan: Join, estimator: Estimator, fresh: Fresh) -> LogicalPlan:
    leaves: list[_Leaf] = []
    equalities: list[tuple[int, int]] = []
    _flatten(plan, JoinKind.INNER, None, leaves, equalities)
    classes = _classes(equalities)
    replaced: dict[int, LogicalPlan] = {}
    for leaf in leaves:
        found = _aggregation(leaf.plan)
        if found is None or leaf.kind is JoinKind.ANTI_NULL_AWARE:
            continue
        new = _reduced(leaf, found, leaves, classes, estimator, fresh)
        if new is not None:
            replaced[id(leaf.plan)] = new
    return _substituted(plan, replaced) if replaced else plan


def _flatten(
    plan: LogicalPlan,
    kind: JoinKind,
    condition: Expression | None,
    leaves: list[_Leaf],
    equalities: list[tuple[int, int]],
) -> None:
    """Leaves of the region; `equalities` are those that every row of its result satisfies."""
    if kind is JoinKind.INNER and isinstance(plan, Filter) and isinstance(plan.input, Join):
        equalities += _column_pairs(plan.predicate)
        plan = plan.input
    if kind is JoinKind.INNER and isinstance(plan, Join):
        if plan.kind in (JoinKind.INNER, JoinKind.SEMI):
            equalities += _column_pairs(plan.condition)
        _flatten(plan.left, JoinKind.INNER, None, leaves, equalities)
        _flatten(plan.right, plan.kind, plan.condition, leaves, equalities)
        return
    leaves.append(_Leaf(plan, kind, _column_pairs(condition)))


def _column_pairs(condition: Expression | None) -> list[tuple[int, int]]:
    pairs = []
    for part in conjuncts(condition):
        match part:
            case Call(function="eq", arguments=(ColumnRef(column=first), ColumnRef(column=second))):
                pairs.append((first.id, second.id))
    return pairs


def _classes(equalities: list[tuple[int, int]]) -> dict[int, set[int]]:
    classes: dict[int, set[int]] = {}
    for first, second in equalities:
        merged = classes.get(first, {first}) | classes.get(second, {second})
        for id_ in merged:
            classes[id_] = merged
    return classes


def _aggregation(plan: LogicalPlan) -> Aggregate | None:
    """The Aggregate with keys that a leaf consists of, under projections and filters."""
    while isinstance(plan, (Project, Filter)):
        plan = plan.input
    return plan if isinstance(plan, Aggregate) and plan.keys else None


def _reduced(
    leaf: _Leaf,
    aggregate: Aggregate,
    leaves: list[_Leaf],
    classes: dict[int, set[int]],
    estimator: Estimator,
    fresh: Fresh,
) -> LogicalPlan | None:
    estimator.rows(leaf.plan)
    rows = estimator.rows(aggregate.input)
    if rows < LEAST_ROWS:
        return None
    best: tuple[float, Expression, LogicalPlan, int] | None = None
    for id_, key in _key_columns(leaf.plan, aggregate).items():
        partners = set(classes.get(id_, ())) - {id_}
        for first, second in leaf.equalities if leaf.kind is not JoinKind.INNER else ():
            if id_ in (first, second):
                outer = second if id_ == first else first
                partners |= {outer} | classes.get(outer, set())
        groups = estimator.expression(key, rows).distinct
        for other in leaves:
            if other is leaf or other.kind not in (JoinKind.INNER, JoinKind.SEMI):
                continue
            for partner in partners & output_ids(other.plan):
                share = estimator.rows(other.plan) / max(groups, 1.0)
                if share < KEPT_SHARE and (best is None or share < best[0]) and _cheap(other.plan, aggregate.input):
                    best = share, key, other.plan, partner
    if best is None:
        return None
    _, key, source, partner = best
    copy, columns = copied(source, fresh)
    keys = Project(copy, (passed(columns[partner]),))
    condition = call("eq", key, ColumnRef(columns[partner]))
    reduced = Join(JoinKind.SEMI, aggregate.input, keys, condition)
    return _with_aggregate(leaf.plan, Aggregate(reduced, aggregate.keys, aggregate.aggregates))


def _key_columns(plan: LogicalPlan, aggregate: Aggregate) -> dict[int, Expression]:
    """The leaf's output columns that are group keys, with what they are in the aggregation's input."""
    if plan is aggregate:
        return {item.column.id: item.expression for item in aggregate.keys}
    assert isinstance(plan, (Project, Filter))
    below = _key_columns(plan.input, aggregate)
    if isinstance(plan, Filter):
        return below
    return {
        item.column.id: below[item.expression.column.id]
        for item in plan.items
        if isinstance(item.expression, ColumnRef) and item.expression.column.id in below
    }


def _with_aggregate(plan: LogicalPlan, aggregate: Aggregate) -> LogicalPlan:
    if isinstance(plan, Aggregate):
        return aggregate
    return with_inputs(plan, [_with_aggregate(part, aggregate) for part in inputs_of(plan)])


def _cheap(plan: LogicalPlan, aggregated: LogicalPlan) -> bool:
    scanned, cost = _scanned(plan), _scanned(aggregated)
    return scanned is not None and cost is not None and scanned <= cost * COPY_COST


def _scanned(plan: LogicalPlan) -> float | None:
    """Rows of the base tables below; None where a copy could give other rows (LIMIT)."""
    if isinstance(plan, Scan):
        return float(plan.table.statistics.row_count)
    if isinstance(plan, Limit):
        return None
    parts = [_scanned(part) for part in inputs_of(plan)]
    return None if None in parts else sum(part for part in parts if part is not None)


def _substituted(plan: LogicalPlan, replaced: dict[int, LogicalPlan]) -> LogicalPlan:
    new = replaced.get(id(plan))
    if new is not None:
        return new
    parts = inputs_of(plan)
    return with_inputs(plan, [_substituted(part, replaced) for part in parts]) if parts else plan
