"""Queries: SELECT, VALUES, and the ORDER BY and LIMIT above them.

A SELECT becomes, from the bottom: FROM, Filter (WHERE), Aggregate, Filter (HAVING), Project (select list and what ORDER
BY needs besides), Aggregate (DISTINCT), Sort, Limit, and a Project that drops what only ORDER BY needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import (
    Aggregate,
    Filter,
    Item,
    Limit,
    LogicalPlan,
    Project,
    Sort,
    SortKey,
    Values,
)
from zerodb_compiler.sql.binder_aggregates import Aggregates, signature
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, united
from zerodb_compiler.sql.binder_first_rows import distinct_on, with_ties
from zerodb_compiler.sql.binder_from import bind_from
from zerodb_compiler.sql.binder_grouping import bind_group
from zerodb_compiler.sql.binder_locks import as_part, check_select, check_set_operation, check_values, runs_first
from zerodb_compiler.sql.binder_names import output_name
from zerodb_compiler.sql.binder_records import expansion, is_expansion
from zerodb_compiler.sql.binder_sets import set_operation
from zerodb_compiler.sql.binder_table_functions import expanded_sets
from zerodb_compiler.sql.binder_windows import Windows
from zerodb_compiler.sql.binder_with import CommonTables, bind_unused, with_tables
from zerodb_compiler.sql.computed import numbered
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, UserValue
from zerodb_compiler.sql.scope import Relation, Scope, check_schema
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import BIGINT, TEXT, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

_SELECT = (
    "expressions",
    "from_",
    "joins",
    "where",
    "group",
    "having",
    "windows",
    "distinct",
    "order",
    "limit",
    "offset",
    "with_",
    "locks",
)
_MODIFIERS = ("order", "limit", "offset", "with_")


def bind_query(
    binder: Binder,
    node: exp.Expr,
    outer: Scope | None,
    common: CommonTables,
    *,
    untyped: bool = False,
    targets: Sequence[SqlType] | None = None,
) -> Query:
    """Any query. `targets` are the types an INSERT wants of the constants in the select list; with `untyped` a NULL
    literal's column stays without type, for a UNION around it."""
    with_ = node.args.get("with_")
    if with_ is not None:
        before, common = common, with_tables(with_, outer, common)
        query = _bound(binder, node, outer, common, untyped, targets)
        bind_unused(binder, common, before)
        return query
    return _bound(binder, node, outer, common, untyped, targets)


def _bound(
    binder: Binder,
    node: exp.Expr,
    outer: Scope | None,
    common: CommonTables,
    untyped: bool,
    targets: Sequence[SqlType] | None,
) -> Query:
    match node:
        case exp.Select():
            query = _Select(binder, node, outer, common, untyped, targets).bind()
            locks_itself = node is binder.locking_top or not runs_first(node)
            return query if locks_itself else as_part(binder, query, node)
        case exp.Subquery():
            only(node, "this", "alias", *_MODIFIERS)
            query = bind_query(binder, node.this, outer, common, untyped=untyped, targets=targets)
        case exp.SetOperation():
            only(node, "this", "expression", "distinct", *_MODIFIERS)
            check_set_operation(node)
            query = set_operation(binder, node, outer, common, untyped)
        case exp.Values():
            check_values(node)
            only(node, "expressions", "alias", *_MODIFIERS)
            query = _values(binder, node, outer, common)
        case _:
            raise unsupported("this query", node)
    return _modified(binder, query, node, outer, common)


# ---- VALUES


def _values(binder: Binder, node: exp.Values, outer: Scope | None, common: CommonTables) -> Query:
    scope = Scope(parent=outer, common=common)
    expressions = ExpressionBinder(binder, scope, "VALUES", lifting=False)
    rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
    width = len(rows[0])
    for row in rows:
        if not row:
            raise ProgrammingError('syntax error at or near ")"', position=position_of(node))
        if len(row) != width:
            raise ProgrammingError("VALUES lists must all be the same length", position=position_of(row))
    columns: list[list[Expression]] = []
    for i in range(width):
        cells, _ = united(expressions, [expressions.bound(row[i]) for row in rows], "VALUES", node)
        columns.append(cells)
    outputs = tuple(
        binder.column(f"column{i + 1}", cells[0].type, any(cell.nullable for cell in cells))
        for i, cells in enumerate(columns)
    )
    return Query(Values(outputs, tuple(zip(*columns, strict=True))), outputs, tuple(c.name for c in outputs))


def _modified(binder: Binder, query: Query, node: exp.Expr, outer: Scope | None, common: CommonTables) -> Query:
    """ORDER BY and LIMIT above a UNION, VALUES or parenthesised query: they see its output columns only."""
    plan = query.plan
    order = node.args.get("order")
    if order is not None:
        pairs = list(zip(query.names, query.columns, strict=True))
        scope = Scope([Relation(None, pairs)], pairs, outer, common)
        expressions = ExpressionBinder(binder, scope, "ORDER BY")
        keys: list[SortKey] = []
        for item in _ordered(order):
            place = _ordinal(item.this, len(pairs), "ORDER BY")
            key = ColumnRef(query.columns[place]) if place is not None else expressions.expression(item.this)
            keys.append(_sort_key(item, key))
        plan = Sort(plan, tuple(keys))
    plan = limited(binder, plan, node, outer, common)
    return query if plan is query.plan else replace(query, plan=plan)


# ---- ORDER BY and LIMIT


def _ordered(order: exp.Order) -> list[exp.Ordered]:
    only(order, "expressions")
    for item in order.expressions:
        only(item, "this", "desc", "nulls_first")
    return list(order.expressions)


def _sort_key(item: exp.Ordered, expression: Expression) -> SortKey:
    return SortKey(expression, bool(item.args.get("desc")), bool(item.args.get("nulls_first")))


def _ordinal(node: exp.Expr, count: int, clause: str) -> int | None:
    """The zero-based place that a number in ORDER BY or GROUP BY names, or None if it is an expression."""
    if not isinstance(node, exp.Literal):
        return None
    text = str(node.this)
    if node.args["is_string"] or not text.isdigit():
        raise ProgrammingError(f"non-integer constant in {clause}", position=position_of(node))
    place = int(text[:10])
    if not 1 <= place <= count:
        raise ProgrammingError(
            f"{clause} position {text} is not in select list", sqlstate="42P10", position=position_of(node)
        )
    return place - 1


def limited(
    binder: Binder, plan: LogicalPlan, node: exp.Expr, outer: Scope | None, common: CommonTables
) -> LogicalPlan:
    limit, offset = node.args.get("limit"), node.args.get("offset")
    count_node: exp.Expr | None = None
    ties = False
    if isinstance(limit, exp.Fetch):
        only(limit, "direction", "count", "limit_options")
        options = limit.args.get("limit_options")
        if options is not None:
            only(options, "rows", "with_ties")
            ties = bool(options.args.get("with_ties"))
        count_node = limit.args.get("count") or exp.Literal.number(1)
    elif limit is not None:
        only(limit, "expression")
        count_node = limit.expression
        if isinstance(count_node, exp.Var) or (isinstance(count_node, exp.Column) and count_node.name.upper() == "ALL"):
            count_node = None
    count = _count(binder, count_node, "LIMIT", "2201W", outer, common)
    skipped: Expression | None = None
    if offset is not None:
        only(offset, "this", "expression")
        skipped = _count(binder, offset.expression, "OFFSET", "2201X", outer, common)
    if ties:
        return with_ties(binder, plan, count, skipped, position_of(limit))
    if count is None and skipped is None:
        return plan
    if isinstance(count, Literal) and count.value == 0:
        return Values(plan.output, ())  # asks for the columns only: nothing below is computed, nor fails
    return Limit(plan, count, skipped)


def _count(
    binder: Binder, node: exp.Expr | None, clause: str, sqlstate: str, outer: Scope | None, common: CommonTables
) -> Expression | None:
    if node is None:
        return None
    expressions = ExpressionBinder(binder, Scope(parent=outer, common=common), clause)
    value = expressions.bound(node)
    type_ = expressions.type_of(value)
    if not (type_.is_number or type_.id is TypeId.NULL):
        raise ProgrammingError(
            f"argument of {clause} must be type bigint, not type {type_}", sqlstate="42804", position=position_of(node)
        )
    if isinstance(value, Constant):
        value = expressions.convert(value, BIGINT)
        if value.value is None:
            return None
        if isinstance(value.value, int) and value.value < 0:
            from zerodb_compiler.errors import DataError

            raise DataError(f"{clause} must not be negative", sqlstate=sqlstate, position=position_of(node))
    return expressions.cast(value, BIGINT, node, lift=not (isinstance(value, Constant) and value.value == 0))


# ---- SELECT


@dataclass(slots=True)
class _Output:
    """One item of the select list."""

    name: str
    expression: Expression
    unknown: Constant | None = None  # a string literal, which a UNION may still give another type


_REORDERING = ("order", "limit", "offset", "fetch", "distinct", "group", "having")


@dataclass(slots=True)
class _Select:
    binder: Binder
    node: exp.Select
    outer: Scope | None
    common: CommonTables
    untyped: bool
    targets: Sequence[SqlType] | None
    scope: Scope = field(default_factory=Scope)
    outputs: list[_Output] = field(default_factory=list)
    distinct_on: int = 0  # how many of the last keys of order_by are DISTINCT ON's
    below: set[int] = field(default_factory=set)  # columns of this level

    def bind(self) -> Query:
        node = self.node
        only(node, *_SELECT)
        plan, self.scope = bind_from(self.binder, node, self.outer, self.common)
        where = node.args.get("where")
        if where is not None:
            only(where, "this")
            expressions = ExpressionBinder(self.binder, self.scope, "WHERE", lifting=True)
            plan = Filter(plan, expressions.condition(where.this))
        aggregates = self.scope.aggregates = Aggregates(self.scope)
        group = node.args.get("group")
        if group is not None:
            bind_group(self.binder, self.scope, group, aggregates, self.group_item)
        self.scope.captured.clear()
        expressions = ExpressionBinder(self.binder, self.scope, "SELECT", aggregates=aggregates)
        windows = expressions.windows = Windows(node.args.get("windows") or ())
        expressions.numbers_rows = node is self.binder.top and not any(node.args.get(key) for key in _REORDERING)
        self.select_list(expressions)
        having = node.args.get("having")
        condition: Expression | None = None
        if having is not None:
            only(having, "this")
            lifting = not aggregates.has_expression_keys
            above = ExpressionBinder(self.binder, self.scope, "HAVING", lifting=lifting, aggregates=aggregates)
            condition = above.condition(having.this)
        expressions.clause = "ORDER BY"
        order = self.order_by(expressions)
        windows.bind_clause(expressions)
        check_select(node, aggregates=aggregates.is_grouped, windows=windows.are_used, sets=False)
        if group is not None or having is not None or aggregates.is_grouped:
            windows.above(lambda part: aggregates.above(self.binder, part))
            plan, condition, order = self.grouped(plan, aggregates, condition, order)
        plan = numbered(windows.plan(plan), expressions.row_number)
        return self.project(plan, order)

    def group_item(self, item: exp.Expr) -> tuple[exp.Expr, str]:
        """What an item of GROUP BY stands for: an input column, else an output's alias or place, else an expression."""
        outputs = self.node.expressions
        place = _ordinal(item, len(outputs), "GROUP BY")
        if place is None and isinstance(item, exp.Column) and item.args.get("table") is None:
            name = fold(item.this)
            if not any(name == key for key, _ in self.scope.visible):
                matching = [i for i, node in enumerate(outputs) if isinstance(node, exp.Alias) and _alias(node) == name]
                place = matching[0] if matching else None
        if place is None:
            return item, output_name(item)
        node = outputs[place]
        if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
            raise unsupported("a place of * in GROUP BY", item)
        return (node.this, _alias(node)) if isinstance(node, exp.Alias) else (node, output_name(node))

    def select_list(self, expressions: ExpressionBinder) -> None:
        for node in self.node.expressions:
            if isinstance(node, exp.Star):
                only(node)
                if not self.scope.relations:
                    raise ProgrammingError("SELECT * with no tables specified is not valid", position=position_of(node))
                self.outputs += [_Output(name, ColumnRef(column)) for name, column in self.scope.visible]
            elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
                self.outputs += self.star_of(node)
            elif isinstance(node, exp.Dot) and is_expansion(node):
                self.outputs += [_Output(name, value) for name, value in expansion(expressions, node)]
            else:
                name, inner = output_name(node), node
                if isinstance(node, exp.Alias):
                    only(node, "this", "alias")
                    name, inner = _alias(node), node.this
                value = expressions.bound(inner)
                unknown = value if isinstance(value, Constant) and isinstance(value.value, str) else None
                if unknown is not None and (not self.untyped or unknown.type.id is not TypeId.NULL):
                    unknown = None
                self.outputs.append(_Output(name, self.finished(expressions, value, inner), unknown))

    def star_of(self, node: exp.Column) -> list[_Output]:
        only(node, "this", "table", "db")
        check_schema(self.scope, node)
        only(node.this)
        name = fold(node.args["table"])
        relation = self.scope.relation(name)
        if relation is None:
            raise ProgrammingError(
                f'missing FROM-clause entry for table "{name}"', sqlstate="42P01", position=position_of(node)
            )
        for _, column in relation.columns:
            self.binder.places[column.id] = position_of(node)
        return [_Output(key, ColumnRef(column)) for key, column in relation.columns]

    def finished(self, expressions: ExpressionBinder, value: Bound, node: exp.Expr) -> Expression:
        index = len(self.outputs)
        if self.targets is not None and index < len(self.targets):
            is_untyped = isinstance(value, (Constant, UserValue)) and expressions.type_of(value).id is TypeId.NULL
            if is_untyped:
                return expressions.cast(value, self.targets[index], node)
        expression = expressions.finish(value)
        if expression.type.id is TypeId.NULL and not self.untyped:
            return Literal(None, TEXT)
        return expression

    def order_by(self, expressions: ExpressionBinder) -> list[tuple[exp.Ordered, int | Expression]]:
        """Per key, the place in the select list or an expression beside it."""
        order = self.node.args.get("order")
        ordered = _ordered(order) if order is not None else []
        distinct = self.node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            on = distinct.args["on"]
            nodes = on.expressions if isinstance(on, exp.Tuple) else [on]
            ordered += [exp.Ordered(this=node) for node in nodes]
            self.distinct_on = len(nodes)
        keys: list[tuple[exp.Ordered, int | Expression]] = []
        signatures = {signature(output.expression): i for i, output in reversed(list(enumerate(self.outputs)))}
        for number, item in enumerate(ordered):
            clause = "ORDER BY" if number < len(ordered) - self.distinct_on else "SELECT DISTINCT ON"
            place = _ordinal(item.this, len(self.outputs), clause)
            if place is None and isinstance(item.this, exp.Column) and item.this.args.get("table") is None:
                place = self.output_place(fold(item.this.this), item)
            if place is not None:
                keys.append((item, place))
                continue
            expression = expressions.expression(item.this)
            keys.append((item, signatures.get(signature(expression), expression)))
        return keys

    def output_place(self, name: str, item: exp.Ordered) -> int | None:
        places = [i for i, output in enumerate(self.outputs) if output.name == name]
        if len({signature(self.outputs[i].expression) for i in places}) > 1:
            raise ProgrammingError(f'ORDER BY "{name}" is ambiguous', sqlstate="42702", position=position_of(item))
        return places[0] if places else None

    def grouped(
        self,
        plan: LogicalPlan,
        aggregates: Aggregates,
        condition: Expression | None,
        order: list[tuple[exp.Ordered, int | Expression]],
    ) -> tuple[LogicalPlan, Expression | None, list[tuple[exp.Ordered, int | Expression]]]:
        for output in self.outputs:
            output.expression = aggregates.above(self.binder, output.expression)
        if condition is not None:
            condition = aggregates.above(self.binder, condition)
        order = [(item, k if isinstance(k, int) else aggregates.above(self.binder, k)) for item, k in order]
        aggregates.check_captured(self.binder)
        plan = aggregates.plan(self.binder, plan)
        if condition is not None:
            plan = Filter(plan, condition)
        return plan, condition, order

    def project(self, plan: LogicalPlan, order: list[tuple[exp.Ordered, int | Expression]]) -> Query:
        below = plan
        plan, order = expanded_sets(self.binder, plan, self.outputs, order)
        check_select(self.node, aggregates=False, windows=False, sets=plan is not below)
        items: dict[int, Item] = {}
        self.below = {column.id for column in plan.output}
        columns = [self.item(items, output.expression, output.name) for output in self.outputs]
        for output, column in zip(self.outputs, columns, strict=True):
            if output.unknown is not None:
                self.binder.unknown[column.id] = output.unknown
        visible = len(items)
        keys: list[SortKey] = []
        distinct = self.node.args.get("distinct")
        known: dict[object, Column] = {}  # an expression of DISTINCT ON is mostly one of ORDER BY
        for item, key in order:
            if isinstance(key, int):
                keys.append(_sort_key(item, ColumnRef(columns[key])))
                continue
            mark = signature(key)
            if mark not in known:
                known[mark] = self.item(items, key, "order")
            keys.append(_sort_key(item, ColumnRef(known[mark])))
            if distinct is not None and not self.distinct_on and len(items) > visible:
                raise ProgrammingError(
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    sqlstate="42P10",
                    position=position_of(item),
                )
        places = tuple(
            Item(self.item(items, ColumnRef(locked.row_id), "row_id"), ColumnRef(locked.row_id))
            for locked in self.scope.locked
        )
        all_items = tuple(items.values())
        if not (tuple(item.column for item in all_items) == plan.output and all(_passes(item) for item in all_items)):
            plan = Project(plan, all_items)
        if self.distinct_on:
            assert distinct is not None
            only(distinct, "on")
            on = [key.expression.column for key in keys[-self.distinct_on :] if isinstance(key.expression, ColumnRef)]
            keys = keys[: -self.distinct_on]
            plan = distinct_on(self.binder, plan, on, keys, position_of(distinct))
        elif distinct is not None:
            only(distinct)
            plan = Aggregate(plan, tuple(Item(item.column, ColumnRef(item.column)) for item in all_items), ())
        if keys:
            plan = Sort(plan, tuple(keys))
        plan = limited(self.binder, plan, self.node, self.outer, self.common)
        if len(items) > visible:
            shown = tuple(Item(i.column, ColumnRef(i.column)) for i in all_items[:visible])
            plan = Project(plan, (*shown, *places)) if len(items) > visible + len(places) else plan
        return Query(plan, tuple(columns), tuple(output.name for output in self.outputs), self.scope.locked)

    def item(self, items: dict[int, Item], expression: Expression, name: str) -> Column:
        """The column that gives the expression; a column that passes through is listed once (one of a query around
        this one gets another name: a column is produced in one place)."""
        if isinstance(expression, ColumnRef) and expression.column.id in self.below:
            column = expression.column
            items.setdefault(column.id, Item(column, expression))
            return column
        column = self.binder.column(name, expression.type, expression.nullable)
        items[column.id] = Item(column, expression)
        return column


def _passes(item: Item) -> bool:
    return isinstance(item.expression, ColumnRef) and item.expression.column.id == item.column.id


def _alias(node: exp.Alias) -> str:
    return fold(node.args["alias"])
