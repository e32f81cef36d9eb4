"""Unnesting of what decorrelate.pull cannot: the subquery is computed for all outer rows at once.

The *domain* is the set of distinct values of the outer columns that the subquery reads. It is joined to the subquery's
plan where the outer columns are used, and its columns are carried up beside everything else, so that the result has one
part for each value of the domain; the outer query joins that on its columns (the dependent join of Neumann and Kemper,
"Unnesting Arbitrary Queries"). The price is a second evaluation of the outer plan for the domain, so this is the way
out for shapes such as an aggregate over `inner.x < outer.y`, not the rule.

Limits: LIMIT and UNION inside the subquery, and outer columns on the inner side of outer joins in it, raise
NotSupportedError; so does a LIMIT in the outer plan, whose second evaluation could give other rows.
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
    Project,
    Sort,
    TableFunction,
    Window,
)
from zerodb_compiler.plan.rules.decorrelate import Pulled, name_of, partitioned, unsupported
from zerodb_compiler.plan.transform import (
    Fresh,
    call,
    case,
    conjunction,
    free_ids,
    inputs_of,
    map_expressions,
    passed,
    substitute,
    with_inputs,
)
from zerodb_compiler.sql.aggregates import of_nothing
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import SqlType


def pull_by_domain(plan: LogicalPlan, outer: LogicalPlan, fresh: Fresh) -> Pulled:
    """As decorrelate.pull: the predicates equate the domain's columns with those of the outer plan, NULLs included."""
    if _has_limit(outer):
        raise unsupported("a correlated subquery of this form in a query over a LIMIT")
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


def _has_limit(plan: LogicalPlan) -> bool:
    return isinstance(plan, Limit) or any(map(_has_limit, inputs_of(plan)))


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
            case Window(input=input_):
                changed = map_expressions(plan, bound)
                assert isinstance(changed, Window)
                return partitioned(self.push(input_, names), changed, [ColumnRef(name) for name in names])
            case TableFunction(input=input_):
                return with_inputs(map_expressions(plan, bound), [self.push(input_, names)])
            case Join(kind=kind, left=left, right=right):
                changed = map_expressions(plan, bound)
                assert isinstance(changed, Join)
                if not free_ids(right) & wanted:
                    return Join(kind, self.push(left, names), right, changed.condition)
                if kind is JoinKind.INNER and not free_ids(left) & wanted:
                    return Join(kind, left, self.push(right, names), changed.condition)
        raise unsupported(f"a correlated subquery with {name_of(plan)} inside")

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
