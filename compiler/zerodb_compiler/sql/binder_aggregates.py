"""Aggregates and GROUP BY.

A clause above the grouping (select list, HAVING, ORDER BY) is bound as if there were no grouping, but for aggregate
calls, which are collected and become columns of the Aggregate node. Then `Aggregates.above` replaces what equals a
group key by the key's column and refuses every input column that is left (42803).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.grouping_sets import Grouping, grouped_by_sets
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Item, LogicalPlan
from zerodb_compiler.plan.transform import has_subquery, substitute
from zerodb_compiler.sql.binder_aggregate_calls import bind_call, is_aggregate, syntax_of
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles
from zerodb_compiler.sql.binder_external_sets import external_aggregate, is_external_aggregate
from zerodb_compiler.sql.expressions import (
    AggregateCall,
    AnySubquery,
    Call,
    Case,
    Cast,
    Column,
    ColumnRef,
    Expression,
    ExternalCall,
    InSubquery,
    Literal,
    walk,
)
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.sql.scope import Scope
from zerodb_compiler.types import INTEGER

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


@handles(exp.Filter, exp.WithinGroup)
def _aggregate(b: ExpressionBinder, node: exp.Filter | exp.WithinGroup) -> Bound:
    if not is_aggregate(node):
        if is_external_aggregate(b, node):
            return external_aggregate(b, node)
        raise unsupported(f"{'FILTER' if isinstance(node, exp.Filter) else 'WITHIN GROUP'} of this function", node)
    return aggregate(b, node)


def aggregate(b: ExpressionBinder, node: exp.Expr) -> Expression:
    """A call of an aggregate (is_aggregate): a reference to the column it fills."""
    (column,) = collected(b, node, lambda: [bind_call(b, syntax_of(node))])
    return column


def collected(b: ExpressionBinder, node: exp.Expr, bind: Callable[[], list[AggregateCall]]) -> list[Expression]:
    """References to the columns that the aggregates fill which `bind` makes of a call."""
    position = position_of(node)
    if b.in_aggregate:
        raise ProgrammingError("aggregate function calls cannot be nested", sqlstate="42803", position=position)
    aggregates = b.aggregates
    if aggregates is None and any(scope.aggregates is not None for scope in b.scope.around()):
        aggregates = Aggregates(b.scope, only_outer=b.clause)  # it may belong to a query around this one
    if aggregates is None:
        raise ProgrammingError(
            f"aggregate functions are not allowed in {b.clause}", sqlstate="42803", position=position
        )
    lifting, b.lifting, b.in_aggregate = b.lifting, False, True
    captured = [(scope, len(scope.captured)) for scope in (b.scope, *b.scope.around())]
    aggregates.in_call = True
    try:
        calls = bind()
    finally:
        b.lifting, b.in_aggregate = lifting, False
        aggregates.in_call = False
    if any(map(aggregates.is_outer, calls)):
        for scope, count in captured:  # the arguments are read below the grouping of their query, not above it
            del scope.captured[count:]
    del b.scope.captured[captured[0][1] :]
    return [ColumnRef(aggregates.column(b.binder, call, node)) for call in calls]


def call_of(b: ExpressionBinder, node: exp.Expr, where: exp.Expr | None) -> AggregateCall | None:
    """An aggregate's call that is not collected here (a window's); None if the node is no aggregate."""
    if is_external_aggregate(b, node):
        raise unsupported("a window of an aggregate that is not built in", node)
    return bind_call(b, replace(syntax_of(node), where=where)) if is_aggregate(node) else None


@dataclass(slots=True)
class Aggregates:
    """The aggregates and group keys of one query level."""

    scope: Scope
    items: list[AggregateItem] = field(default_factory=list)
    keys: list[Item] = field(default_factory=list)
    _found: dict[object, Column] = field(default_factory=dict)
    _key_columns: dict[object, Column] = field(default_factory=dict)
    _allowed: set[int] = field(default_factory=set)
    sets: tuple[tuple[int, ...], ...] | None = None  # of GROUPING SETS, ROLLUP, CUBE: places of keys
    masks: dict[tuple[int, ...], Column] = field(default_factory=dict)  # grouping(...), by places of keys
    _expressions: bool = False
    in_call: bool = False  # the arguments of an aggregate of this level are being bound
    subqueries: list[tuple[exp.Expr, Column]] = field(default_factory=list)  # keys with subqueries, as written
    only_outer: str | None = None  # the clause, where this level may have no aggregates of its own

    @property
    def is_grouped(self) -> bool:
        return bool(self.items or self.keys or self.sets is not None)

    @property
    def has_expression_keys(self) -> bool:
        return self._expressions

    def column(self, binder: Binder, call: AggregateCall, node: exp.Expr) -> Column:
        """The column of this call; equal calls share one."""
        if any(relation.working for relation in self.scope.relations):
            raise ProgrammingError(
                "aggregate functions are not allowed in a recursive query's recursive term",
                sqlstate="42P19",
                position=position_of(node),
            )
        if self.is_outer(call):
            return self._outer(binder, call, _used(call), node)
        if self.only_outer is not None:
            raise ProgrammingError(
                f"aggregate functions are not allowed in {self.only_outer}",
                sqlstate="42803",
                position=position_of(node),
            )
        key = signature(call)
        found = self._found.get(key)
        if found is None:
            found = binder.column("count" if call.function == "count_star" else call.function, call.type, call.nullable)
            self._found[key] = found
            self._allowed.add(found.id)
            self.items.append(AggregateItem(found, call))
        return found

    def is_outer(self, call: AggregateCall) -> bool:
        """Whether an aggregate reads columns of queries around this one only."""
        used = _used(call)
        return bool(used) and not any(map(self.scope.owns, used))

    def _outer(self, binder: Binder, call: AggregateCall, used: list[Column], node: exp.Expr) -> Column:
        """An aggregate over columns of a query around this one belongs to that query."""
        scope = self.scope.parent
        while scope is not None and not any(map(scope.owns, used)):
            scope = scope.parent
        if scope is None or scope.aggregates is None:
            raise ProgrammingError(
                "aggregate functions are not allowed in this clause of the query they belong to",
                sqlstate="42803",
                position=position_of(node),
            )
        aggregates: Aggregates = scope.aggregates
        if aggregates.in_call:
            raise ProgrammingError(
                "aggregate function calls cannot be nested", sqlstate="42803", position=position_of(node)
            )
        found = aggregates.column(binder, call, node)
        scope.captured.append((found, position_of(node)))
        return found

    def add_key(self, binder: Binder, expression: Expression, name: str) -> Column:
        key = signature(expression)
        found = self._key_columns.get(key)
        if found is None:
            if self.sets is not None:
                found = binder.column(name, expression.type, True)  # not the input's column: sets leave it out
                self._expressions = True
            elif isinstance(expression, ColumnRef) and self.scope.owns(expression.column):
                found = expression.column
            else:
                found = binder.column(name, expression.type, expression.nullable)
                self._expressions = True
            self._key_columns[key] = found
            self._allowed.add(found.id)
            self.keys.append(Item(found, expression))
        return found

    def key_with_subquery(self, node: exp.Expr) -> ColumnRef | None:
        """The group key of that text: subqueries that are bound twice are not the same plan."""
        return next((ColumnRef(column) for key, column in self.subqueries if key == node), None)

    def above(self, binder: Binder, expression: Expression) -> Expression:
        """The expression over the Aggregate's output instead of its input."""
        if self._expressions:
            found = self._key_columns.get(signature(expression))
            if found is not None:
                return ColumnRef(found)
        if isinstance(expression, ColumnRef):
            self._check(binder, expression.column, binder.places.get(expression.column.id))
            return expression
        if self.sets is not None and has_subquery(expression):
            # What subqueries read from this level are the keys as the sets leave them.
            keys = {key: ColumnRef(column) for key, column in self._key_columns.items() if isinstance(key, int)}
            expression = substitute(expression, keys)
        return _rebuild(expression, lambda part: self.above(binder, part))

    def plan(self, binder: Binder, below: LogicalPlan) -> LogicalPlan:
        """The aggregation over what is below it."""
        if self.sets is None:
            return Aggregate(below, tuple(self.keys), tuple(self.items))
        grouping = Grouping(tuple(self.keys), tuple(self.items), self.sets, self.masks)
        return grouped_by_sets(below, grouping, binder.column)

    def check_captured(self, binder: Binder) -> None:
        """Outer references that subqueries of the clauses above the grouping made."""
        for column, position in self.scope.captured:
            self._check(binder, column, position)

    def mask(self, binder: Binder, arguments: Sequence[Expression]) -> Expression | None:
        """grouping(arguments), or None if one of them is no group key."""
        places: list[int] = []
        columns = [item.column.id for item in self.keys]
        for argument in arguments:
            found = self._key_columns.get(signature(argument))
            if found is None:
                return None
            places.append(columns.index(found.id))
        if self.sets is None:
            return Literal(0, INTEGER)
        if tuple(places) not in self.masks:
            column = self.masks[tuple(places)] = binder.column("grouping", INTEGER, False)
            self._allowed.add(column.id)
        return ColumnRef(self.masks[tuple(places)])

    def _check(self, binder: Binder, column: Column, position: int | None) -> None:
        if column.id in self._allowed or (self.sets is not None and column.id in self._key_columns):
            return
        for relation in self.scope.relations:
            for name, candidate in relation.columns:
                if candidate.id != column.id:
                    continue
                if relation.table is not None and relation.table.proven_key and self.sets is None:
                    key = {relation.columns[i][1].id for i in relation.table.proven_key}
                    if key <= self._allowed:  # the primary key decides all other columns of the table
                        self.add_key(binder, ColumnRef(column), name)
                        return
                qualified = f"{relation.name}.{name}" if relation.name else name
                raise ProgrammingError(
                    f'column "{qualified}" must appear in the GROUP BY clause or be used in an aggregate function',
                    sqlstate="42803",
                    position=position,
                )


def _used(call: AggregateCall) -> list[Column]:
    return [part.column for part in walk(call) if isinstance(part, ColumnRef)]


def _rebuild(expression: Expression, change: object) -> Expression:
    """The expression with `change` applied to its direct parts; the same object if nothing changed."""
    assert callable(change)
    match expression:
        case Call(arguments=arguments):
            changed = tuple(change(part) for part in arguments)
            return expression if changed == arguments else replace(expression, arguments=changed)
        case ExternalCall(arguments=arguments):
            changed = tuple(change(part) for part in arguments)
            return expression if changed == arguments else replace(expression, arguments=changed)
        case Cast(argument=argument):
            inner = change(argument)
            return expression if inner is argument else replace(expression, argument=inner)
        case Case(branches=branches, default=default):
            return replace(
                expression,
                branches=tuple((change(condition), change(result)) for condition, result in branches),
                default=change(default),
            )
        case AnySubquery(operands=operands):
            values = tuple(change(operand) for operand in operands)
            return expression if values == operands else replace(expression, operands=values)
        case InSubquery(operand=operand):
            inner = change(operand)
            return expression if inner is operand else replace(expression, operand=inner)
    return expression


def signature(expression: Expression | None) -> object:
    """What makes two expressions the same one: everything but their places in the text."""
    match expression:
        case ColumnRef(column=column):
            return column.id
        case Call(function=function, arguments=arguments, type=type_):
            return (function, type_, tuple(map(signature, arguments)))
        case ExternalCall(function=external, arguments=arguments):
            return (external.id, external.version, tuple(map(signature, arguments)))
        case Cast(argument=argument, type=type_):
            return ("cast", type_, signature(argument))
        case Case(branches=branches, default=default, type=type_):
            pairs = tuple((signature(condition), signature(result)) for condition, result in branches)
            return ("case", type_, pairs, signature(default))
        case AggregateCall(function=function, argument=argument, distinct=distinct, filter=filter_):
            order = tuple((signature(key.expression), key.descending, key.nulls_first) for key in expression.order)
            extra = tuple(map(signature, expression.extra))
            return (function, distinct, signature(argument), signature(filter_), extra, order)
    return expression


__all__ = ["Aggregates", "aggregate", "signature"]
