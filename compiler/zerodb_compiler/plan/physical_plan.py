"""From the optimised logical plan to the physical one: which operator does what, in the order the rules have found.

    scan       conjuncts over one table go into TableScan.predicates, cheapest and most selective first
    join       with an equality: HashJoin, the right side is built on; without: NestedLoopJoin
    build      unique if the build keys contain a primary key or all group keys of the build side: one match at most
    sort       Sort below Limit is TopN, unless that would keep so many rows that sorting all is quicker
    distinct   is an Aggregate without aggregates: HashAggregate

Code generation keeps only the columns that are read above, so no Project is needed to narrow a build side. Semi and
anti joins always build on the right side, also where the left one is much smaller; building on the preserved side
needs a mark in the hash table's entries, which the operators do not have yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zerodb_compiler.layout import Encoding
from zerodb_compiler.plan import logical, physical
from zerodb_compiler.plan.cardinality import Estimator, equality_sides
from zerodb_compiler.plan.costs import rank
from zerodb_compiler.plan.index_choice import choose_index
from zerodb_compiler.plan.keys import is_unique
from zerodb_compiler.plan.logical import LogicalPlan
from zerodb_compiler.plan.ordered_access import with_ordered_access
from zerodb_compiler.plan.partition_tests import is_excluded, partition_tests
from zerodb_compiler.plan.physical import PhysicalPlan
from zerodb_compiler.plan.transform import (
    call,
    conjuncts,
    disjuncts,
    expressions_of,
    ids_of,
    ids_of_all,
    output_ids,
    same_key,
)
from zerodb_compiler.plan.window_runs import window_runs
from zerodb_compiler.sql.expressions import Call, Cast, Column, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.sql.functions import COMPARISONS
from zerodb_compiler.types import SqlType

MOST_TOP_ROWS = 10_000  # a heap of more rows costs more than the radix sort of everything
PREFILTER_SELECTIVITY = 0.7  # an extra test that keeps more rows is not worth its time


def plan_physical(plan: LogicalPlan, columns: Sequence[Column] | None = None) -> physical.Output:
    """The physical plan of an optimised logical plan; rows leave as `columns` (matched by id), or as plan.output."""
    by_id = {column.id: column for column in plan.output}
    output = plan.output if columns is None else tuple(by_id[column.id] for column in columns)
    planner = _Planner()
    body = planner.plan(plan, {column.id for column in output})
    return physical.Output(body, output, body.rows)


class _Planner:
    __slots__ = ("_estimator",)

    def __init__(self) -> None:
        self._estimator = Estimator()

    def plan(self, plan: LogicalPlan, needed: set[int]) -> PhysicalPlan:
        """`needed` are the columns read above."""
        rows = self._estimator.rows(plan)
        match plan:
            case logical.Scan(table=table, columns=columns, row_id=row_id):
                return physical.TableScan(table, columns, (), row_id, rows)
            case logical.Values(columns=names, rows=values):
                return physical.ValuesScan(names, values, rows)
            case logical.Filter():
                return self._filter(plan, needed)
            case logical.Project(input=input_, items=items):
                below = ids_of_all(item.expression for item in items)
                return physical.Project(self.plan(input_, below), items, rows)
            case logical.Join():
                return self._join(plan, needed)
            case logical.Aggregate(input=input_, keys=keys, aggregates=aggregates):
                below = ids_of_all(item.expression for item in keys) | ids_of_all(item.call for item in aggregates)
                return physical.HashAggregate(self.plan(input_, below), keys, aggregates, rows)
            case logical.Sort(input=input_, keys=sort_keys):
                below = needed | ids_of_all(key.expression for key in sort_keys)
                return physical.Sort(self.plan(input_, below), sort_keys, rows)
            case logical.Window(input=input_, specs=specs):
                below = needed | ids_of_all(expressions_of(plan))
                return physical.Window(self.plan(input_, below), window_runs(specs), rows)
            case logical.MapExternal(input=input_, items=external):
                below = needed | ids_of_all(part for item in external for part in item.parts)
                return physical.MapExternal(self.plan(input_, below), external, rows)
            case logical.Limit():
                return self._limit(plan, needed)
            case logical.UnionAll(columns=names, inputs=inputs):
                return self._union(names, inputs, rows)
            case logical.TableFunction(input=input_, calls=calls, ordinality=ordinality, outer=outer):
                below = needed | ids_of_all(argument for item in calls for argument in item.arguments)
                return physical.TableFunction(self.plan(input_, below), calls, ordinality, outer, rows)
            case logical.MarkJoin():
                return self._mark_join(plan, needed)
            case logical.Number(input=input_, partition=partition, number=number, peers=peers, rank=rank):
                below = needed | {column.id for column in (*partition, *peers)}
                return physical.Number(self.plan(input_, below), partition, number, peers, rank, rows)
            case logical.Repeat(input=input_, count=times):
                return physical.Repeat(self.plan(input_, needed | ids_of(times)), times, rows)
            case logical.CommonScan(common=common, columns=names, working=working):
                return physical.CommonScan(common, names, working, rows)
            case logical.Recursive(base=base, step=step):
                return physical.Recursive(
                    plan.common, plan.columns, self._whole(base), self._whole(step), plan.distinct, rows
                )
            case logical.With(definitions=definitions, body=body):
                tables = tuple([physical.Definition(item.common, self._whole(item.plan)) for item in definitions])
                return physical.With(tables, self.plan(body, needed), rows)
            case logical.Lateral():
                raise AssertionError(plan)

    def _whole(self, plan: LogicalPlan) -> PhysicalPlan:
        return self.plan(plan, {column.id for column in plan.output})

    def _union(
        self, names: tuple[Column, ...], inputs: Sequence[LogicalPlan], rows: float
    ) -> physical.UnionAll | physical.ValuesScan:
        """Without the partitions that constants exclude."""
        parts = [self.plan(part, {column.id for column in part.output}) for part in inputs]
        kept = tuple([part for part in parts if not _is_excluded(part)])
        return physical.UnionAll(names, kept, rows) if kept else physical.ValuesScan(names, (), 0.0)

    def _mark_join(self, plan: logical.MarkJoin, needed: set[int]) -> PhysicalPlan:
        rows = self._estimator.rows(plan)
        keys, residual = _keys(plan.condition, output_ids(plan.right))
        above = needed | ids_of_all(residual) | (ids_of(plan.test) if plan.test is not None else set())
        probe = self.plan(plan.left, above | ids_of_all(key for key, _ in keys))
        build = self.plan(plan.right, above | ids_of_all(key for _, key in keys))
        probe_keys, build_keys = tuple([key for key, _ in keys]), tuple([key for _, key in keys])
        return physical.MarkJoin(build, probe, build_keys, probe_keys, tuple(residual), plan.test, plan.mark, rows)

    def _filter(self, plan: logical.Filter, needed: set[int]) -> PhysicalPlan:
        rows = self._estimator.rows(plan)
        predicates: list[Expression] = []
        below: LogicalPlan = plan
        while isinstance(below, logical.Filter):
            predicates = conjuncts(below.predicate) + predicates
            below = below.input
        if isinstance(below, logical.Scan):
            predicates += self._prefilters(predicates)
        ordered = self._ordered(predicates, below)
        if isinstance(below, logical.Scan):
            index = choose_index(below.table, below.columns, predicates, self._estimator.selectivity)
            tests = partition_tests(below.table, below.columns, predicates)
            return physical.TableScan(below.table, below.columns, ordered, below.row_id, rows, index, tuple(tests))
        return physical.Filter(self.plan(below, needed | ids_of_all(ordered)), ordered, rows)

    def _prefilters(self, predicates: list[Expression]) -> list[Expression]:
        """Cheap tests of one column that an OR implies (TPC-H Q19: the ship modes of all branches)."""
        found = [test for predicate in predicates for test in memberships(predicate)]
        return [test for test in found if self._estimator.selectivity(test) < PREFILTER_SELECTIVITY]

    def _ordered(self, predicates: list[Expression], below: LogicalPlan) -> tuple[Expression, ...]:
        """Cheapest and most selective first; those that may raise errors stay behind the others, in order."""
        if len(predicates) == 1:
            return tuple(predicates)
        fast = _dictionary_columns(below)

        def key(entry: tuple[int, Expression]) -> tuple[bool, float, int]:
            place, predicate = entry
            if may_raise(predicate):
                return True, 0.0, place
            cost = rank(predicate, self._estimator.selectivity(predicate))
            return False, cost / 8 if _is_code_test(predicate, fast) else cost, place

        return tuple([predicate for _, predicate in sorted(enumerate(predicates), key=key)])

    def _limit(self, plan: logical.Limit, needed: set[int]) -> PhysicalPlan:
        rows = self._estimator.rows(plan)
        input_, count, offset = plan.input, plan.count, plan.offset
        projects: list[logical.Project] = []
        while isinstance(input_, logical.Project):  # a Project between Limit and Sort does not change the rows
            projects.append(input_)
            input_ = input_.input
        if not isinstance(input_, logical.Sort) or count is None:
            limited = self.plan(plan.input, needed)
            if isinstance(input_, logical.Recursive):
                limited = _bounded(limited, count, offset)
            return physical.Limit(limited, count, offset, rows)
        below = needed
        for project in projects:
            below = ids_of_all(item.expression for item in project.items)
        below = below | ids_of_all(key.expression for key in input_.keys)
        source = self.plan(input_.input, below)
        top: PhysicalPlan
        if rows > MOST_TOP_ROWS:
            top = physical.Limit(physical.Sort(source, input_.keys, source.rows), count, offset, rows)
        else:
            source = with_ordered_access(source, input_.keys, count, offset)
            top = physical.TopN(source, input_.keys, count, offset, rows)
        for project in reversed(projects):
            top = physical.Project(top, project.items, rows)
        return top

    # --- joins ------------------------------------------------------------------------------------------------------
    def _join(self, plan: logical.Join, needed: set[int]) -> PhysicalPlan:
        rows = self._estimator.rows(plan)
        keys, residual = _keys(plan.condition, output_ids(plan.right))
        above = needed | ids_of_all(residual)
        probe = self.plan(plan.left, above | ids_of_all(key for key, _ in keys))
        build = self.plan(plan.right, above | ids_of_all(key for _, key in keys))
        if not keys:
            return _nested_loops(plan.kind, build, probe, tuple(residual), rows)
        build_keys = tuple([key for _, key in keys])
        unique = is_unique(plan.right, build_keys)
        probe_keys = tuple([key for key, _ in keys])
        return physical.HashJoin(plan.kind, build, probe, build_keys, probe_keys, tuple(residual), unique, rows)


def _is_excluded(plan: PhysicalPlan) -> bool:
    while isinstance(plan, physical.Project | physical.Filter):
        plan = plan.input
    return isinstance(plan, physical.TableScan) and is_excluded(plan.table, plan.partition_tests)


def _bounded(plan: PhysicalPlan, count: Expression | None, offset: Expression | None) -> PhysicalPlan:
    """The recursion below Projects, ending with the rows that a LIMIT above wants."""
    if isinstance(plan, physical.Project):
        return replace(plan, input=_bounded(plan.input, count, offset))
    return replace(plan, count=count, offset=offset) if isinstance(plan, physical.Recursive) else plan


def _keys(
    condition: Expression | None, right_ids: frozenset[int]
) -> tuple[list[tuple[Expression, Expression]], list[Expression]]:
    """The (left, right) keys of a join's equalities, and its other conjuncts."""
    keys: list[tuple[Expression, Expression]] = []
    residual: list[Expression] = []
    for part in conjuncts(condition):
        sides = equality_sides(part, right_ids)
        if sides is None:
            residual.append(part)
        else:
            keys.append(_equal_types(*sides))
    return keys, residual


def _nested_loops(
    kind: logical.JoinKind, build: PhysicalPlan, probe: PhysicalPlan, predicates: tuple[Expression, ...], rows: float
) -> physical.NestedLoopJoin:
    """NOT IN of what names no column of the probe side has no hash key: there a NULL comparison is a match as well."""
    if kind is logical.JoinKind.ANTI_NULL_AWARE:
        kind, predicates = logical.JoinKind.ANTI, tuple(call("not", call("is_false", part)) for part in predicates)
    return physical.NestedLoopJoin(kind, build, probe, predicates, rows)


def _equal_types(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """The binder has made both sides of an equality the same type, except for the lengths of texts."""
    if left.type == right.type or (left.type.id is right.type.id and not left.type.is_number):
        return left, right
    assert left.type.is_number, left.type
    assert right.type.is_number, right.type
    return left, Cast(right, left.type)


def memberships(predicate: Expression) -> list[Expression]:
    """For an OR: `column in (...)` for each column that every branch compares for equality with constants."""
    if not (isinstance(predicate, Call) and predicate.function == "or"):
        return []
    branches = []
    for branch in disjuncts(predicate):
        tests: dict[int, tuple[ColumnRef, list[Expression]]] = {}
        for part in conjuncts(branch):
            match part:
                case Call(function="eq" | "in", arguments=(ColumnRef(column=column) as subject, *values)):
                    if all(isinstance(value, (Literal, Parameter)) for value in values):
                        tests.setdefault(column.id, (subject, values))
        branches.append(tests)
    found: list[Expression] = []
    for id_, (subject, _) in branches[0].items():
        if all(id_ in tests for tests in branches):
            constants = {same_key(value): value for tests in branches for value in tests[id_][1]}
            found.append(call("in", subject, *constants.values()))
    return found


# --- predicates -----------------------------------------------------------------------------------------------------
_SAFE = COMPARISONS | {
    "and",
    "or",
    "not",
    "is_distinct",
    "is_not_distinct",
    "is_null",
    "is_not_null",
    "is_true",
    "is_false",
    "in",
    "like",
    "not_like",
    "ilike",
    "starts_with",
    "contains",
    "greatest",
    "least",
    "length",
    "octet_length",
    "lower",
    "upper",
    "strpos",
    "date_sub",
}


def may_raise(expression: Expression) -> bool:
    """Whether evaluating it for a row that another predicate would remove could raise an error."""
    match expression:
        case Call(function=function, arguments=arguments):
            if function not in _SAFE and not function.startswith("extract_"):
                return True
            return any(map(may_raise, arguments))
        case Cast(argument=argument, type=type_):
            source = argument.type
            if not (source.is_exact and type_.is_exact and _widens(source.bounds, source.scale, type_)):
                return True
            return may_raise(argument)
        case ColumnRef():
            return False
    return bool(ids_of(expression))  # CASE: its branches may


def _widens(bounds: tuple[int, int], scale: int, target: SqlType) -> bool:
    if target.scale < scale:
        return False
    factor = 10 ** (target.scale - scale)
    low, high = target.bounds
    return bool(low <= bounds[0] * factor and bounds[1] * factor <= high)


def _dictionary_columns(plan: LogicalPlan) -> frozenset[int]:
    """Columns of a scan whose layout is dictionary codes: comparing them for equality is comparing small integers."""
    if not isinstance(plan, logical.Scan):
        return frozenset()
    layout = plan.table.layout.columns
    return frozenset(
        item.column.id
        for item in plan.columns
        if item.ordinal < len(layout) and layout[item.ordinal].encoding is Encoding.DICTIONARY
    )


def _is_code_test(predicate: Expression, fast: frozenset[int]) -> bool:
    match predicate:
        case Call(function="eq" | "ne" | "in", arguments=(ColumnRef(column=column), *_)):
            return column.id in fast
    return False
