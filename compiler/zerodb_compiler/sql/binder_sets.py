"""Set operations: UNION [ALL], INTERSECT and EXCEPT over branches brought to common types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Filter, Item, LogicalPlan, Project, Repeat, UnionAll
from zerodb_compiler.sql import coercion, collations
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.binder_with import CommonTables
from zerodb_compiler.sql.expressions import AggregateCall, Call, Case, Cast, Column, ColumnRef, Expression, Literal
from zerodb_compiler.sql.nodes import only, position_of
from zerodb_compiler.sql.scope import Scope
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import BIGINT, BOOLEAN, INTEGER, NULL, TEXT, UNDECIDED, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

_MODIFIERS = ("order", "limit", "offset", "with_")


def set_operation(
    binder: Binder, node: exp.SetOperation, outer: Scope | None, common: CommonTables, untyped: bool
) -> Query:
    """The query of a UNION, INTERSECT or EXCEPT without its ORDER BY and LIMIT."""
    from zerodb_compiler.sql.binder_queries import bind_query

    name = type(node).__name__.upper()
    distinct = bool(node.args.get("distinct"))
    branches = [bind_query(binder, part, outer, common, untyped=True) for part in _branches(node)]
    types = _common_types(binder, branches, name, node, untyped)
    inputs = tuple(shaped(binder, branch, types) for branch in branches)
    names = branches[0].names
    columns = tuple(
        binder.column(column_name, type_, any(plan.output[i].nullable for plan in inputs))
        for i, (column_name, type_) in enumerate(zip(names, types, strict=True))
    )
    if not isinstance(node, exp.Union):
        by_sides = _by_sides if distinct else _by_counts
        return Query(by_sides(binder, isinstance(node, exp.Except), columns, inputs), columns, names)
    plan: LogicalPlan = UnionAll(columns, inputs)
    if distinct:
        plan = Aggregate(plan, _passed(columns), ())
    return Query(plan, columns, names)


def _by_sides(
    binder: Binder, is_except: bool, columns: tuple[Column, ...], inputs: tuple[LogicalPlan, ...]
) -> LogicalPlan:
    """INTERSECT and EXCEPT by grouping, to which NULLs are equal: rows of both sides, marked with their side (0 left,
    1 right), grouped by all columns. EXCEPT keeps the groups without a right row, INTERSECT those with both."""
    marked: list[LogicalPlan] = []
    for number, plan in enumerate(inputs):
        mark = Item(binder.column("side", INTEGER, False), Literal(number, INTEGER))
        marked.append(Project(plan, (*_passed(plan.output), mark)))
    side = binder.column("side", INTEGER, False)
    ends = {name: binder.column(f"{name}_side", INTEGER, True) for name in (("max",) if is_except else ("min", "max"))}
    calls = tuple(
        AggregateItem(column, AggregateCall(name, ColumnRef(side), INTEGER, True)) for name, column in ends.items()
    )
    grouped = Aggregate(UnionAll((*columns, side), tuple(marked)), _passed(columns), calls)
    kept = _equals(ends["max"], 0 if is_except else 1)
    if not is_except:
        kept = Call("and", (_equals(ends["min"], 0), kept), BOOLEAN, True)
    return Project(Filter(grouped, kept), _passed(columns))


def _by_counts(
    binder: Binder, is_except: bool, columns: tuple[Column, ...], inputs: tuple[LogicalPlan, ...]
) -> LogicalPlan:
    """INTERSECT ALL and EXCEPT ALL: each different row as often as the smaller side has it, or as often as the left
    side has it more."""
    marked: list[LogicalPlan] = []
    for number, plan in enumerate(inputs):
        marks = [
            Item(binder.column("side", INTEGER, True), Literal(1 if number == side else None, INTEGER))
            for side in (0, 1)
        ]
        marked.append(Project(plan, (*_passed(plan.output), *marks)))
    sides = tuple(binder.column("side", INTEGER, True) for _ in (0, 1))
    counts = [binder.column("count", BIGINT, False) for _ in (0, 1)]
    calls = tuple(
        AggregateItem(count, AggregateCall("count", ColumnRef(side), BIGINT, False))
        for count, side in zip(counts, sides, strict=True)
    )
    grouped = Aggregate(UnionAll((*columns, *sides), tuple(marked)), _passed(columns), calls)
    left, right = ColumnRef(counts[0]), ColumnRef(counts[1])
    times: Expression = Call("sub", (left, right), BIGINT, False)
    if not is_except:
        times = Case(((Call("lt", (left, right), BOOLEAN, False), left),), right, BIGINT, False)
    return Project(Repeat(grouped, times), _passed(columns))


def _equals(column: Column, value: int) -> Call:
    return Call("eq", (ColumnRef(column), Literal(value, INTEGER)), BOOLEAN, True)


def _passed(columns: tuple[Column, ...]) -> tuple[Item, ...]:
    return tuple(Item(column, ColumnRef(column)) for column in columns)


def _common_types(
    binder: Binder, branches: list[Query], name: str, node: exp.SetOperation, untyped: bool
) -> list[SqlType]:
    first = branches[0]
    types: list[SqlType] = []
    keeps_all = isinstance(node, exp.Union) and not node.args.get("distinct")
    if any(len(branch.columns) != len(first.columns) for branch in branches):
        raise ProgrammingError(f"each {name} query must have the same number of columns", position=position_of(node))
    for i in range(len(first.columns)):
        type_ = NULL
        for branch in branches:
            own = branch.columns[i].type if branch.columns[i].id not in binder.unknown else NULL
            found = coercion.union_type(type_, own)
            if found is None:
                raise ProgrammingError(
                    f"{name} types {type_} and {branch.columns[i].type} cannot be matched",
                    sqlstate="42804",
                    position=position_of(node.expression),
                )
            if not keeps_all and collations.collation_of(found) == UNDECIDED:
                names = [collations.collation_of(side) for side in (type_, own)]
                raise collations.mismatch(names, position_of(node.expression))
            type_ = found
        types.append(TEXT if type_.id is TypeId.NULL and not untyped else type_)
    return types


def _branches(node: exp.SetOperation) -> list[exp.Expr]:
    """The branches of a chain of equal unions, left to right: (a union all b) union all c is one UnionAll."""
    if not isinstance(node, exp.Union):
        return [node.this, node.expression]
    distinct = bool(node.args.get("distinct"))
    parts: list[exp.Expr] = []
    while True:
        parts.append(node.expression)
        left = node.this
        plain = isinstance(left, exp.Union) and not any(left.args.get(key) for key in _MODIFIERS)
        if not plain or bool(left.args.get("distinct")) != distinct:
            parts.append(left)
            return parts[::-1]
        only(left, "this", "expression", "distinct")
        node = left


def shaped(binder: Binder, query: Query, types: Sequence[SqlType]) -> LogicalPlan:
    """The query's plan giving exactly its columns, in order and in these types."""
    wanted = tuple(types)
    same = tuple(column.type for column in query.columns) == wanted
    if same and query.plan.output == query.columns and len(set(query.columns)) == len(query.columns):
        return query.plan
    items: list[Item] = []
    used: set[int] = set()
    for column, type_ in zip(query.columns, wanted, strict=True):
        unknown = binder.unknown.get(column.id)
        if unknown is not None and column.type != type_:
            expressions = ExpressionBinder(binder, Scope(), "UNION")
            value = expressions.cast(unknown, type_)
            items.append(Item(binder.column(column.name, type_, value.nullable), value))
            continue
        if column.type == type_ and column.id not in used:
            used.add(column.id)
            items.append(Item(column, ColumnRef(column)))
            continue
        expression: Expression = ColumnRef(column)
        if column.type.id is TypeId.NULL:
            expression = Literal(None, type_)
        elif column.type != type_:
            expression = Cast(expression, type_)
        items.append(Item(binder.column(column.name, type_, column.nullable), expression))
    return Project(query.plan, tuple(items))
