"""Unnesting of what decorrelate.pull cannot: the subquery is computed for all outer rows at once.

The *domain* is the set of distinct values of the outer columns that the subquery reads. It is joined to the subquery's
plan where the outer columns are used, and its columns are carried up beside everything else, so that the result has one
part for each value of the domain; the outer query joins that on its columns (the dependent join of Neumann and Kemper,
"Unnesting Arbitrary Queries"). The price is a second evaluation of the outer plan for the domain, so this is the way
out for shapes such as an aggregate over `inner.x < outer.y`, not the rule.

A LIMIT becomes a number within each value of the domain. Limits: a recursion inside that reads outer columns.
"""

from __future__ import annotations

from zerodb_compiler.plan.copying import copied
from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    Filter,
    Item,
    Join,
    JoinKind,
    Limit,
    LogicalPlan,
    MarkJoin,
    Number,
    Project,
    Repeat,
    Sort,
    SortKey,
    TableFunction,
    UnionAll,
    Values,
    Window,
)
from zerodb_compiler.plan.rules.decorrelate import Pulled, name_of, partitioned, unsupported
from zerodb_compiler.plan.transform import (
    TRUE,
    Fresh,
    call,
    case,
    conjunction,
    conjuncts,
    filtered,
    free_ids,
    map_expressions,
    passed,
    substitute,
    with_inputs,
)
from zerodb_compiler.sql.aggregates import of_nothing
from zerodb_compiler.sql.expressions import Call, Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import BIGINT, BOOLEAN, SqlType


def pull_by_domain(plan: LogicalPlan, outer: LogicalPlan, fresh: Fresh) -> Pulled:
    """As decorrelate.pull: the predicates equate the domain's columns with those of the outer plan, NULLs included."""
    free = free_ids(plan)
    columns = [column for column in outer.output if column.id in free]
    domain = _Domain(outer, columns, fresh)
    mine = domain.columns()
    dependent = domain.push(plan, mine)
    predicates = [
        part
        for column, own in zip(columns, mine, strict=True)
        for part in null_safe_equality(ColumnRef(column), ColumnRef(own))
    ]
    return Pulled(dependent, predicates)


class _Domain:
    __slots__ = ("_columns", "_fresh", "_outer")

    def __init__(self, outer: LogicalPlan, columns: list[Column], fresh: Fresh) -> None:
        self._outer, self._columns, self._fresh = outer, columns, fresh

    def columns(self) -> list[Column]:
        """A new set of names for the domain's columns."""
        return [Column(self._fresh(), column.name, column.type, column.nullable) for column in self._columns]

    def _plan(self, names: list[Column]) -> LogicalPlan:
        copy, renamed = copied(self._outer, self._fresh)
        keys = [Item(name, ColumnRef(renamed[column.id])) for name, column in zip(names, self._columns, strict=True)]
        return Aggregate(copy, tuple(keys), ())

    def push(self, plan: LogicalPlan, names: list[Column]) -> LogicalPlan:
        """The plan for every value of the domain; its output has the domain's columns as well, under these names."""
        wanted = {column.id for column in self._columns}
        mapping: dict[int, Expression] = {
            column.id: ColumnRef(name) for column, name in zip(self._columns, names, strict=True)
        }

        def bound(expression: Expression) -> Expression:
            return substitute(expression, mapping)

        if not free_ids(plan) & wanted:
            return Join(JoinKind.INNER, self._plan(names), plan, None)
        match plan:
            case Filter(input=input_):
                changed = map_expressions(plan, bound)
                assert isinstance(changed, Filter)
                return Filter(self.push(input_, names), changed.predicate)
            case Project(input=input_):
                changed = map_expressions(plan, bound)
                assert isinstance(changed, Project)
                return Project(self.push(input_, names), (*changed.items, *map(passed, names)))
            case Aggregate():
                return self._aggregate(plan, names, mapping)
            case Sort(input=input_):
                return self.push(input_, names)
            case Limit():
                return self._limit(plan, names, mapping)
            case UnionAll(columns=columns, inputs=inputs):
                parts = [self._branch(part, part.output) for part in inputs]
                return UnionAll((*columns, *names), tuple(parts))
            case Values(columns=columns, rows=rows):
                return UnionAll((*columns, *names), tuple([self._row(columns, row) for row in rows]))
            case Number(input=Sort(input=input_, keys=keys), partition=partition):
                changed = map_expressions(Sort(input_, keys), bound)
                assert isinstance(changed, Sort)
                first = tuple([SortKey(ColumnRef(name), False, False) for name in names])
                ordered = Sort(self.push(input_, names), (*first, *changed.keys))
                return Number(ordered, (*names, *partition), plan.number, plan.peers, plan.rank)
            case Repeat(input=input_):
                return with_inputs(map_expressions(plan, bound), [self.push(input_, names)])
            case MarkJoin(left=left, right=right):
                changed = map_expressions(plan, bound)
                assert isinstance(changed, MarkJoin)
                if not free_ids(right) & wanted:
                    return with_inputs(changed, [self.push(left, names), right])
                own, equal = self._second(names)
                condition = conjunction([*equal, *conjuncts(changed.condition)])
                return MarkJoin(self.push(left, names), self.push(right, own), condition, changed.test, changed.mark)
            case Window(input=input_):
                changed = map_expressions(plan, bound)
                assert isinstance(changed, Window)
                return partitioned(self.push(input_, names), changed, [ColumnRef(name) for name in names])
            case TableFunction(input=input_):
                return with_inputs(map_expressions(plan, bound), [self.push(input_, names)])
            case Join(kind=kind, left=left, right=right):
                changed = map_expressions(plan, bound)
                assert isinstance(changed, Join)
                if kind is not JoinKind.FULL and not free_ids(right) & wanted:
                    return Join(kind, self.push(left, names), right, changed.condition)
                if kind is JoinKind.INNER and not free_ids(left) & wanted:
                    return Join(kind, left, self.push(right, names), changed.condition)
                return self._both(changed, names)
        raise unsupported(f"a correlated subquery with {name_of(plan)} inside")

    def _second(self, names: list[Column]) -> tuple[list[Column], list[Expression]]:
        """Names for a second copy of the domain, and the equality of both."""
        own = self.columns()
        pairs = zip(names, own, strict=True)
        return own, [part for a, b in pairs for part in null_safe_equality(ColumnRef(a), ColumnRef(b))]

    def _both(self, plan: Join, names: list[Column]) -> LogicalPlan:
        """A join both of whose sides depend on the domain (or have to, to know what is missing where)."""
        own, equal = self._second(names)
        condition = conjuncts(plan.condition)
        kind = plan.kind
        if kind is JoinKind.ANTI_NULL_AWARE:  # a NULL is a match, for the rows of the same domain value
            (test,) = condition
            assert isinstance(test, Call)
            condition = [call("or", test, *(call("is_null", side) for side in test.arguments if side.nullable))]
            kind = JoinKind.ANTI
        if kind is not JoinKind.FULL:
            return Join(
                kind, self.push(plan.left, names), self.push(plan.right, own), conjunction([*equal, *condition])
            )
        left = [Column(self._fresh(), name.name, name.type, True) for name in names]
        right = [Column(self._fresh(), name.name, name.type, True) for name in names]
        here: dict[int, Expression] = {name.id: ColumnRef(own) for name, own in zip(names, left, strict=True)}
        condition = [substitute(part, here) for part in condition]
        flag = Column(self._fresh(), "left", BOOLEAN, True)
        sides = []
        for side, inner, outer in ((plan.left, self.columns(), left), (plan.right, self.columns(), right)):
            renamed = [Item(new, ColumnRef(old)) for new, old in zip(outer, inner, strict=True)]
            marks = [Item(flag, TRUE)] if side is plan.left else []
            sides.append(Project(self.push(side, inner), (*map(passed, side.output), *renamed, *marks)))
        equal = [
            part for a, b in zip(left, right, strict=True) for part in null_safe_equality(ColumnRef(a), ColumnRef(b))
        ]
        joined = Join(JoinKind.FULL, sides[0], sides[1], conjunction([*equal, *condition]))
        from_left = call("is_not_null", ColumnRef(flag))
        values = [
            Item(name, case(((from_left, ColumnRef(a)),), ColumnRef(b), name.type))
            for name, a, b in zip(names, left, right, strict=True)
        ]
        return Project(joined, (*map(passed, plan.output), *values))

    def _branch(self, plan: LogicalPlan, columns: tuple[Column, ...]) -> LogicalPlan:
        """An input of a union, with the domain's columns after its own."""
        names = self.columns()
        return Project(self.push(plan, names), (*map(passed, columns), *map(passed, names)))

    def _row(self, columns: tuple[Column, ...], row: tuple[Expression, ...]) -> LogicalPlan:
        names = self.columns()
        mapping: dict[int, Expression] = {
            column.id: ColumnRef(name) for column, name in zip(self._columns, names, strict=True)
        }
        values = [
            Item(Column(self._fresh(), column.name, column.type, column.nullable), substitute(value, mapping))
            for column, value in zip(columns, row, strict=True)
        ]
        return Project(self._plan(names), (*values, *map(passed, names)))

    def _limit(self, plan: Limit, names: list[Column], mapping: dict[int, Expression]) -> LogicalPlan:
        """LIMIT for each value of the domain: rows are numbered within it, in the order they come."""
        projects: list[Project] = []
        below = plan.input
        while isinstance(below, Project):
            projects.append(below)
            below = below.input
        first = tuple([SortKey(ColumnRef(name), False, False) for name in names])
        if isinstance(below, Sort):
            changed = map_expressions(below, lambda part: substitute(part, mapping))
            assert isinstance(changed, Sort)
            ordered = Sort(self.push(below.input, names), (*first, *changed.keys))
        else:
            ordered = Sort(self.push(below, names), first)
        number = Column(self._fresh(), "number", BIGINT, False)
        limited: LogicalPlan = Number(ordered, tuple(names), number)
        limited = filtered(limited, within(plan, number, mapping))
        for project in reversed(projects):
            changed_items = map_expressions(project, lambda part: substitute(part, mapping))
            assert isinstance(changed_items, Project)
            limited = Project(limited, (*changed_items.items, *map(passed, names)))
        return limited

    def _aggregate(self, plan: Aggregate, names: list[Column], mapping: dict[int, Expression]) -> LogicalPlan:
        if plan.keys:
            changed = map_expressions(plan, lambda part: substitute(part, mapping))
            assert isinstance(changed, Aggregate)
            return Aggregate(self.push(plan.input, names), (*changed.keys, *map(passed, names)), changed.aggregates)
        # Without keys there is a row for every value of the domain, also for those that the input has no row for.
        inner = self.columns()
        own: dict[int, Expression] = {
            column.id: ColumnRef(name) for column, name in zip(self._columns, inner, strict=True)
        }
        changed = map_expressions(plan, lambda part: substitute(part, own))
        assert isinstance(changed, Aggregate)
        fresh = {item.column.id: Column(self._fresh(), *_facts(item.column)) for item in changed.aggregates}
        aggregates = tuple(AggregateItem(fresh[item.column.id], item.call) for item in changed.aggregates)
        grouped = Aggregate(self.push(plan.input, inner), tuple(map(passed, inner)), aggregates)
        renamed = {column.id: Column(self._fresh(), column.name, column.type, True) for column in grouped.output}
        right = Project(grouped, tuple(Item(renamed[column.id], ColumnRef(column)) for column in grouped.output))
        condition = [
            part
            for name, column in zip(names, inner, strict=True)
            for part in null_safe_equality(ColumnRef(name), ColumnRef(renamed[column.id]))
        ]
        joined = Join(JoinKind.LEFT, self._plan(names), right, conjunction(condition))
        values: list[Item] = []
        for item in changed.aggregates:
            value: Expression = ColumnRef(renamed[fresh[item.column.id].id])
            default = of_nothing(item.call)
            if default.value is not None:
                value = case(((call("is_null", value), default),), value, value.type)
            values.append(Item(item.column, value))
        return Project(joined, (*values, *map(passed, names)))


def within(plan: Limit, number: Column, mapping: dict[int, Expression]) -> list[Expression]:
    """Which numbers OFFSET and LIMIT keep; NULL means no limit."""
    place: Expression = ColumnRef(number)
    conditions: list[Expression] = []
    if plan.offset is not None:
        skipped = _present(substitute(plan.offset, mapping))
        conditions.append(call("gt", place, skipped))
        place = call("sub", place, skipped, type_=BIGINT)
    if plan.count is not None:
        count = substitute(plan.count, mapping)
        kept: Expression = call("le", place, count)
        if count.nullable:
            kept = call("or", call("is_null", count), kept)
        conditions.append(kept)
    return conditions


def _facts(column: Column) -> tuple[str, SqlType, bool]:
    return column.name, column.type, column.nullable


def null_safe_equality(left: Expression, right: Expression) -> list[Expression]:
    """IS NOT DISTINCT FROM as equalities that a hash join can use: NULL is taken for a value and a flag."""
    if not left.nullable or not right.nullable:  # NULL equals no value
        return [call("eq", left, right)]
    return [
        call("eq", _present(left), _present(right)),
        call("eq", call("is_null", left), call("is_null", right)),
    ]


def _present(expression: Expression) -> Expression:
    if not expression.nullable:
        return expression
    default = Literal(_zero(expression.type), expression.type)
    return case(((call("is_null", expression), default),), expression, expression.type)


def _zero(type_: SqlType) -> int | float | str | bytes:
    if type_.is_text:
        return ""
    if type_.is_blob:
        return b""
    return 0.0 if type_.is_float else 0
