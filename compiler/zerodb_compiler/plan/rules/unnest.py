"""Subqueries become joins.

    where exists (q)          SEMI join on q's correlated predicates; NOT EXISTS: ANTI
    where x in (q)            SEMI join on x = q.column; NOT IN: ANTI if no NULL is possible, else ANTI_NULL_AWARE
    (q) as a value            one row for sure (an aggregate): cross join; correlated aggregate: LEFT join with q
                              grouped by the correlation; otherwise SINGLE join, which raises 21000 at the second match
    exists, in as a value     LEFT join with the distinct keys of q and a mark: `mark is not null`; where NULLs matter
                              or the correlation is no equality: MarkJoin
    x op any (q), rows in q   SEMI join on the comparison; as a value, or negated (op ALL): MarkJoin

Predicates that refer to outer columns are pulled out of q by rules/decorrelate.py. The added columns flow on above the
join; only the root and the inputs of UNION are cut back to what they had.
"""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.plan.copying import copied
from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    Filter,
    Item,
    Join,
    JoinKind,
    Lateral,
    Limit,
    LogicalPlan,
    MarkJoin,
    Number,
    Project,
    Sort,
    SortKey,
    TableFunction,
    UnionAll,
    Values,
    Window,
)
from zerodb_compiler.plan.rules.correlated_calls import refuse_correlated_volatile
from zerodb_compiler.plan.rules.decorrelate import Pulled, equality, pull, unsupported
from zerodb_compiler.plan.rules.domain import pull_by_domain, within
from zerodb_compiler.plan.rules.outer_joins import becomes_null
from zerodb_compiler.plan.transform import (
    TRUE,
    Fresh,
    call,
    case,
    conjunction,
    conjuncts,
    expressions_of,
    filtered,
    free_ids,
    has_subquery,
    ids_of,
    map_expressions,
    output_ids,
    passed,
    rebuild,
    substitute,
    with_inputs,
)
from zerodb_compiler.plan.widening import restored, widened
from zerodb_compiler.sql.expressions import (
    AggregateCall,
    AnySubquery,
    Column,
    ColumnRef,
    Exists,
    Expression,
    InSubquery,
    Literal,
    ScalarSubquery,
)
from zerodb_compiler.types import BIGINT, BOOLEAN


def unnest(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    """NotSupportedError (0A000) for what cannot be unnested."""
    refuse_correlated_volatile(plan)
    return restored(_visit(plan, fresh), plan)


def _visit(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    """The plan without subqueries; its output may have more columns than before."""
    return widened(plan, lambda part: _node(part, fresh))


def _node(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    """A node, over inputs without subqueries, without its own."""
    if isinstance(plan, Lateral):
        return _lateral(plan, fresh)
    if not any(map(has_subquery, expressions_of(plan))):
        return plan
    match plan:
        case Filter(input=input_, predicate=predicate):
            return _filtered(input_, conjuncts(predicate), fresh)
        case Project() | Aggregate() | Sort() | TableFunction() | Window():
            return _values_of(plan, fresh)
        case Join():
            return _join(plan, fresh)
        case Values(columns=columns, rows=rows):
            selects = [
                Project(
                    Values((), ((),)), tuple(Item(Column(fresh(), c.name, c.type, v.nullable), v) for c, v in pairs)
                )
                for pairs in (list(zip(columns, row, strict=True)) for row in rows)
            ]
            return _visit(UnionAll(columns, tuple(selects)), fresh)
        case Limit():
            return _limit(plan, fresh)
    raise unsupported("a subquery here")


def _filtered(input_: LogicalPlan, parts: list[Expression], fresh: Fresh) -> LogicalPlan:
    """The input under the conjuncts; EXISTS and IN among them become semi joins."""
    plain = [part for part in parts if not has_subquery(part)]
    plan = filtered(input_, plain)
    for part in parts:
        match part:
            case Exists(plan=subquery, negated=negated):
                plan = _exists(plan, _visit(subquery, fresh), negated, fresh)
            case InSubquery(operand=operand) if not has_subquery(operand):
                plan = _membership(plan, part, fresh)
            case AnySubquery(operands=operands) if not any(map(has_subquery, operands)):
                pulled, test = _tested(plan, part, fresh)
                plan = Join(JoinKind.SEMI, plan, pulled.plan, conjunction([test, *pulled.predicates]))
    others = [
        part
        for part in parts
        if has_subquery(part)
        and not isinstance(part, Exists)
        and not (isinstance(part, InSubquery) and not has_subquery(part.operand))
        and not (isinstance(part, AnySubquery) and not any(map(has_subquery, part.operands)))
    ]
    if not others:
        return plan
    replacer = _Replacer(plan, fresh)
    replaced = [replacer.value(part) for part in others]
    return filtered(replacer.plan, replaced)


def _values_of(plan: Project | Aggregate | Sort | TableFunction | Window, fresh: Fresh) -> LogicalPlan:
    replacer = _Replacer(plan.input, fresh)
    changed = map_expressions(plan, replacer.value)
    return with_inputs(changed, [replacer.plan])


def _join(plan: Join, fresh: Fresh) -> LogicalPlan:
    """Subqueries in ON: above an inner join, below an outer join where they concern its right side only."""
    left, right = plan.left, plan.right
    parts = conjuncts(plan.condition)
    plain = [part for part in parts if not has_subquery(part)]
    others = [part for part in parts if has_subquery(part)]
    if plan.kind is JoinKind.INNER:
        return _filtered(Join(JoinKind.INNER, left, right, conjunction(plain)), others, fresh)
    about_left = [part for part in others if ids_of(part) & output_ids(left)]
    if not about_left and plan.kind is not JoinKind.FULL:
        return Join(plan.kind, left, _filtered(right, others, fresh), conjunction(plain))
    if any(ids_of(part) & output_ids(right) for part in about_left) or plan.kind is JoinKind.FULL:
        raise unsupported("a subquery about both sides in the condition of an outer join")
    # Computed as a value beside each left row.
    replacer = _Replacer(left, fresh)
    plain += [replacer.value(part) for part in about_left]
    right = _filtered(right, [part for part in others if part not in about_left], fresh)
    return Join(plan.kind, replacer.plan, right, conjunction(plain))


def _limit(plan: Limit, fresh: Fresh) -> LogicalPlan:
    """Subqueries in LIMIT and OFFSET: rows are numbered, and kept by number."""
    number = Column(fresh(), "number", BIGINT, False)
    replacer = _Replacer(Number(plan.input, (), number), fresh)
    count = None if plan.count is None else replacer.value(plan.count)
    offset = None if plan.offset is None else replacer.value(plan.offset)
    kept = filtered(replacer.plan, within(Limit(plan.input, count, offset), number, {}))
    return Sort(kept, (SortKey(ColumnRef(number), False, False),))


def _lateral(plan: Lateral, fresh: Fresh) -> LogicalPlan:
    """The dependent join: by the correlated predicates of the right side where they can be pulled out of it, else for
    the domain of the outer columns it reads."""
    left, right = plan.left, plan.right
    inner = plan.kind is JoinKind.INNER
    computed: tuple[Item, ...] | None = None
    below = right
    joined: LogicalPlan
    if inner and isinstance(below, Project) and free_ids(below) & output_ids(left):
        computed, below = below.items, below.input  # the select list is computed above the join: it may read the left
    pulled = _pulled(below, left, fresh)
    if pulled.defaults is not None and inner and isinstance(below, Aggregate):
        joined = _lateral_aggregate(left, pulled, below, fresh)
        if computed is not None:
            joined = Project(joined, (*map(passed, left.output), *computed))
        return _filtered(joined, conjuncts(plan.condition), fresh)
    if pulled.defaults is not None:
        below, computed = right, None
        pulled = pull_by_domain(right, left, fresh)
    predicates = [*pulled.predicates, *conjuncts(plan.condition if computed is None else None)]
    joined = _join(Join(plan.kind, left, pulled.plan, conjunction(predicates)), fresh)
    if computed is None:
        return joined
    joined = Project(joined, (*map(passed, left.output), *computed))
    return _filtered(joined, conjuncts(plan.condition), fresh)


def _lateral_aggregate(left: LogicalPlan, pulled: Pulled, right: Aggregate, fresh: Fresh) -> LogicalPlan:
    """An aggregate without keys gives each left row one row: its group's, or what it is for no rows."""
    grouped = pulled.plan
    assert pulled.defaults is not None and isinstance(grouped, Aggregate)
    own = {item.column.id: replace(item.column, id=fresh()) for item in grouped.aggregates}
    calls = tuple([AggregateItem(own[item.column.id], item.call) for item in grouped.aggregates])
    renamed = {column.id: Column(fresh(), column.name, column.type, True) for column in grouped.output}
    items = [Item(renamed[column.id], ColumnRef(own.get(column.id, column))) for column in grouped.output]
    project = Project(Aggregate(grouped.input, grouped.keys, calls), tuple(items))
    mapping: dict[int, Expression] = {id_: ColumnRef(column) for id_, column in renamed.items()}
    condition = conjunction([substitute(part, mapping) for part in pulled.predicates])
    values: list[Item] = []
    for column in right.output:
        value: Expression = mapping[column.id]
        default = pulled.defaults.get(column.id)
        if isinstance(default, Literal) and default.value is not None:
            value = case(((call("is_null", value), default),), value, value.type)
        values.append(Item(column, value))
    return Project(Join(JoinKind.LEFT, left, project, condition), (*map(passed, left.output), *values))


# --- EXISTS and IN as conditions --------------------------------------------------------------------------------------
def _pulled(subquery: LogicalPlan, outer: LogicalPlan, fresh: Fresh) -> Pulled:
    """The subquery without the outer query's columns, the cheap way if there is one."""
    try:
        return pull(subquery, fresh)
    except NotSupportedError:
        return pull_by_domain(subquery, outer, fresh)


def _exists(plan: LogicalPlan, subquery: LogicalPlan, negated: bool, fresh: Fresh) -> LogicalPlan:
    subquery = _bare(subquery)
    if isinstance(subquery, Aggregate) and not subquery.keys:  # one row, always
        return filtered(plan, [Literal(0, BOOLEAN)]) if negated else plan
    pulled = _pulled(subquery, plan, fresh)
    if pulled.defaults is not None:
        pulled = pull_by_domain(subquery, plan, fresh)
    right = pulled.plan
    if not pulled.predicates:
        right = Limit(right, Literal(1, BIGINT), None)
    return Join(JoinKind.ANTI if negated else JoinKind.SEMI, plan, right, conjunction(pulled.predicates))


def _bare(plan: LogicalPlan) -> LogicalPlan:
    """What decides whether a subquery has a row: without select list, order, and a LIMIT above zero."""
    while True:
        match plan:
            case Project(input=input_) | Sort(input=input_):
                plan = input_
            case Limit(input=input_, count=Literal(value=int(value)), offset=None) if value > 0:
                plan = input_
            case Aggregate(input=input_, keys=keys) if keys and not plan.aggregates:
                plan = input_
            case _:
                return plan


def _membership(plan: LogicalPlan, part: InSubquery, fresh: Fresh) -> LogicalPlan:
    subquery = _visit(part.plan, fresh)
    pulled = _pulled(subquery, plan, fresh)
    defaults = pulled.defaults or {}
    if (part.negated and defaults) or any(value != Literal(None, value.type) for value in defaults.values()):
        pulled = pull_by_domain(subquery, plan, fresh)  # else: NULL matches as little as a group that is not there
    column = next(column for column in pulled.plan.output if column.id == part.column.id)
    equal = call("eq", part.operand, ColumnRef(column))
    if not part.negated:
        return Join(JoinKind.SEMI, plan, pulled.plan, conjunction([equal, *pulled.predicates]))
    if not equal.nullable:
        return Join(JoinKind.ANTI, plan, pulled.plan, conjunction([equal, *pulled.predicates]))
    if not pulled.predicates:
        return Join(JoinKind.ANTI_NULL_AWARE, plan, pulled.plan, equal)
    # Correlated: a NULL counts as a match for the outer rows whose subquery has it.
    unknown = [call("is_null", side) for side in equal.arguments if side.nullable]
    match_ = call("or", equal, *unknown)
    return Join(JoinKind.ANTI, plan, pulled.plan, conjunction([match_, *pulled.predicates]))


def _tested(plan: LogicalPlan, part: AnySubquery, fresh: Fresh) -> tuple[Pulled, Expression]:
    """The subquery without outer columns, and the test over it and the operands."""
    subquery = restored(_visit(part.plan, fresh), part.plan)
    pulled = _pulled(subquery, plan, fresh)
    if pulled.defaults is not None:
        pulled = pull_by_domain(subquery, plan, fresh)
    operands = {place.id: operand for place, operand in zip(part.places, part.operands, strict=True)}
    return pulled, substitute(part.test, operands)


# --- subqueries as values ---------------------------------------------------------------------------------------------
class _Replacer:
    """Replaces subqueries in expressions by columns of joins that it adds to `plan`."""

    __slots__ = ("_fresh", "_known", "plan")

    def __init__(self, plan: LogicalPlan, fresh: Fresh) -> None:
        self.plan = plan
        self._fresh = fresh
        self._known: dict[int, Expression] = {}  # by the subquery's column: COALESCE names its operands twice

    def value(self, expression: Expression) -> Expression:
        match expression:
            case ScalarSubquery(plan=plan, column=column):
                if column.id not in self._known:
                    self._known[column.id] = self._scalar(_visit(plan, self._fresh), column)
                return self._known[column.id]
            case Exists(plan=plan, negated=negated):
                return _negated(self._exists(_bare(_visit(plan, self._fresh))), negated)
            case InSubquery():
                return _negated(self._membership(expression), expression.negated)
            case AnySubquery(operands=operands, places=places, plan=plan, test=test):
                values = tuple(map(self.value, operands))
                pulled, tested = _tested(self.plan, AnySubquery(values, places, plan, test), self._fresh)
                return self._marked(pulled, tested)
        return rebuild(expression, self.value) if has_subquery(expression) else expression

    def _scalar(self, subquery: LogicalPlan, column: Column) -> Expression:
        if not free_ids(subquery):
            if _one_row(subquery):
                self.plan = Join(JoinKind.INNER, self.plan, subquery, None)
                return ColumnRef(column)
            right, mapping = self._nullable(subquery, {column.id})
            self.plan = Join(JoinKind.SINGLE, self.plan, right, None)
            return mapping[column.id]
        value: Expression = ColumnRef(column)
        below = subquery
        while isinstance(below, Project):  # the select list is computed above the join: it may read outer columns
            value = substitute(value, {item.column.id: item.expression for item in below.items})
            below = below.input
        if isinstance(below, Values) and below.rows == ((),):
            return value
        pulled = _pulled(below, self.plan, self._fresh)
        own = ids_of(value) & output_ids(pulled.plan)
        if pulled.defaults is not None:
            return self._grouped(pulled, value, own)
        return self._single(pulled, value, own)

    def _grouped(self, pulled: Pulled, value: Expression, own: frozenset[int]) -> Expression:
        """A correlated aggregate: at most one row for each outer row, and defaults where there is none."""
        assert pulled.defaults is not None
        right, mapping = self._nullable(pulled.plan, own | _read(pulled))
        condition = conjunction([substitute(part, mapping) for part in pulled.predicates])
        self.plan = Join(JoinKind.LEFT, self.plan, right, condition)
        values: dict[int, Expression] = dict(mapping)
        for id_, default in pulled.defaults.items():
            if id_ in mapping and isinstance(default, Literal) and default.value is not None:
                found = mapping[id_]
                values[id_] = case(((call("is_null", found), default),), found, found.type)
        return substitute(value, values)

    def _single(self, pulled: Pulled, value: Expression, own: frozenset[int]) -> Expression:
        """Any other correlated subquery: NULL where there is no row, error 21000 where there are two."""
        plan, wanted = pulled.plan, own | _read(pulled)
        marked = not becomes_null(value, own)
        mark = Column(self._fresh(), "mark", BOOLEAN, False)
        if marked:
            plan = Project(plan, (*(passed(column) for column in plan.output), Item(mark, TRUE)))
            wanted |= {mark.id}
        right, mapping = self._nullable(plan, wanted)
        condition = conjunction([substitute(part, mapping) for part in pulled.predicates])
        self.plan = Join(JoinKind.SINGLE, self.plan, right, condition)
        value = substitute(value, mapping)
        if not marked:
            return value
        present = call("is_not_null", mapping[mark.id])
        return case(((present, value),), Literal(None, value.type), value.type)

    def _exists(self, subquery: LogicalPlan) -> Expression:
        if isinstance(subquery, Aggregate) and not subquery.keys:
            return TRUE
        pulled = _pulled(subquery, self.plan, self._fresh)
        if not pulled.predicates:
            first = Limit(pulled.plan, Literal(1, BIGINT), None)
            count = self._count("count_star", None)
            self.plan = Join(JoinKind.INNER, self.plan, Aggregate(first, (), (count,)), None)
            return call("gt", ColumnRef(count.column), Literal(0, BIGINT))
        known = output_ids(pulled.plan)
        if all(equality(predicate, known) is not None for predicate in pulled.predicates):
            return self._mark(pulled, [])
        return self._marked(pulled, None)

    def _marked(self, pulled: Pulled, test: Expression | None) -> Expression:
        """A mark join: any condition, three-valued."""
        mark = Column(self._fresh(), "mark", BOOLEAN, test is not None and test.nullable)
        self.plan = MarkJoin(self.plan, pulled.plan, conjunction(pulled.predicates), test, mark)
        return ColumnRef(mark)

    def _mark(self, pulled: Pulled, more: list[tuple[Expression, Expression]]) -> Expression:
        """LEFT join with the distinct keys; `more` are further (inner, outer) equalities. TRUE for a match."""
        known = output_ids(pulled.plan)
        pairs = list(more)
        for predicate in pulled.predicates:
            sides = equality(predicate, known)
            assert sides is not None
            pairs.append(sides)
        keys = [Item(Column(self._fresh(), "key", inner.type, inner.nullable), inner) for inner, _ in pairs]
        mark = Column(self._fresh(), "mark", BOOLEAN, False)
        distinct = Aggregate(pulled.plan, tuple(keys), ())
        marked = Project(distinct, (*(passed(item.column) for item in keys), Item(mark, TRUE)))
        right, mapping = self._nullable(marked, output_ids(marked))
        equalities = [call("eq", outer, mapping[item.column.id]) for (_, outer), item in zip(pairs, keys, strict=True)]
        self.plan = Join(JoinKind.LEFT, self.plan, right, conjunction(equalities))
        return call("is_not_null", mapping[mark.id])

    def _membership(self, part: InSubquery) -> Expression:
        """x in (q): true for a match; else NULL if x is NULL or q has a NULL, unless q is empty; else false."""
        operand = self.value(part.operand)
        subquery = _visit(part.plan, self._fresh)
        pulled = _pulled(subquery, self.plan, self._fresh)
        if pulled.defaults is not None:
            pulled = pull_by_domain(subquery, self.plan, self._fresh)
        column = next(column for column in pulled.plan.output if column.id == part.column.id)
        known = output_ids(pulled.plan)
        if not operand.nullable and not column.nullable:
            if any(equality(predicate, known) is None for predicate in pulled.predicates):
                return self._marked(pulled, call("eq", operand, ColumnRef(column)))
            return self._mark(pulled, [(ColumnRef(column), operand)])
        if pulled.predicates:
            return self._marked(pulled, call("eq", operand, ColumnRef(column)))
        matched = self._mark(pulled, [(ColumnRef(column), operand)])
        copy = copied(pulled.plan, self._fresh)
        rows, values = self._count("count_star", None), self._count("count", ColumnRef(copy[1][column.id]))
        self.plan = Join(JoinKind.INNER, self.plan, Aggregate(copy[0], (), (rows, values)), None)
        total, present = ColumnRef(rows.column), ColumnRef(values.column)
        unknown = call("or", call("is_null", operand), call("lt", present, total))
        branches = (
            (matched, TRUE),
            (call("eq", total, Literal(0, BIGINT)), Literal(0, BOOLEAN)),
            (unknown, Literal(None, BOOLEAN)),
        )
        return case(branches, Literal(0, BOOLEAN), BOOLEAN)

    def _count(self, function: str, argument: Expression | None) -> AggregateItem:
        aggregate = AggregateCall(function, argument, BIGINT, False)
        return AggregateItem(Column(self._fresh(), "count", BIGINT, False), aggregate)

    def _nullable(self, plan: LogicalPlan, wanted: set[int] | frozenset[int]) -> tuple[Project, dict[int, ColumnRef]]:
        """The wanted columns under new names that may be NULL, as the right side of a LEFT or SINGLE join needs."""
        items = []
        mapping: dict[int, ColumnRef] = {}
        for column in plan.output:
            if column.id in wanted:
                new = Column(self._fresh(), column.name, column.type, True)
                items.append(Item(new, ColumnRef(column)))
                mapping[column.id] = ColumnRef(new)
        return Project(plan, tuple(items)), mapping


def _negated(value: Expression, negated: bool) -> Expression:
    return call("not", value) if negated else value


def _read(pulled: Pulled) -> frozenset[int]:
    """The columns of the plan that its pulled predicates read."""
    known = output_ids(pulled.plan)
    return frozenset(id_ for part in pulled.predicates for id_ in ids_of(part) if id_ in known)


def _one_row(plan: LogicalPlan) -> bool:
    """Whether the plan always gives exactly one row."""
    match plan:
        case Project(input=input_) | Sort(input=input_):
            return _one_row(input_)
        case Aggregate(keys=keys):
            return not keys
        case Values(rows=rows):
            return len(rows) == 1
        case Join(kind=JoinKind.INNER, left=left, right=right, condition=None):
            return _one_row(left) and _one_row(right)
        case Join(kind=JoinKind.SINGLE, left=left):
            return _one_row(left)
    return False
