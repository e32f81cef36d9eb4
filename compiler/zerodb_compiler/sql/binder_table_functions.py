"""Functions in FROM, and set-returning functions in the select list.

In FROM a function is an item like a table, and sees the items to its left (LATERAL, said or not):

    from t, f(t.a)                TableFunction f(t.a) over t: a loop inside the loop over t
    from t left join f(t.a)       the same, and rows of t for which f gives nothing stay, with NULLs
    from f(1)                     TableFunction f(1) over one row of no columns, joined as a table

In the select list all calls of one nesting level advance side by side, the deepest first (PostgreSQL's ProjectSet):
`expanded_sets` puts the TableFunctions below the projection and columns in place of the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlglot import exp

from zerodb_compiler.errors import error_for
from zerodb_compiler.plan.logical import (
    Filter,
    Item,
    JoinKind,
    LogicalPlan,
    Project,
    TableCall,
    TableFunction,
    Values,
)
from zerodb_compiler.plan.transform import TRUE, free_ids, has_subquery, output_ids, passed
from zerodb_compiler.sql.binder_aggregates import signature
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.binder_external_sets import external_rows
from zerodb_compiler.sql.binder_functions import function_name, is_built_in
from zerodb_compiler.sql.binder_names import output_name
from zerodb_compiler.sql.binder_records import field_of
from zerodb_compiler.sql.binder_types import sql_type
from zerodb_compiler.sql.expressions import Call, Case, Cast, Column, ColumnRef, Expression, children
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.scope import NamedColumn, Relation, Scope
from zerodb_compiler.sql.set_functions import DEFINED_FUNCTIONS, SET_CALLS, SET_FUNCTIONS, RowColumn, Rows
from zerodb_compiler.types import BIGINT, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_from import Source
    from zerodb_compiler.sql.binder_with import CommonTables

ONE_ROW = Values((), ((),))


# --- FROM -------------------------------------------------------------------------------------------------------------
def function_source(
    binder: Binder, node: exp.Expr, outer: Scope | None, common: CommonTables, before: Sequence[Source]
) -> Source:
    """The item of FROM of a Table or Lateral node that holds function calls."""
    from zerodb_compiler.sql.binder_from import Source, renamed

    calls = [item.this for item in node.args.get("rows_from") or ()] or [node.this]
    only(node, "this", "rows_from", "alias", "ordinality", "joins", "db")
    schema = None if node.args.get("db") is None else fold(node.args["db"])
    scope = Scope(
        [relation for source in before for relation in source.relations],
        [pair for source in before for pair in source.visible],
        outer,
        common,
    )
    calls = [part for call in calls for part in _separate(call)]
    definitions = _definitions(binder, node.args.get("alias"))
    found = [_rows(ExpressionBinder(binder, scope, "a function in FROM"), call, definitions, schema) for call in calls]
    alias = node.args.get("alias")
    given: tuple[exp.Expr, ...] = ()
    label = output_name(calls[0])
    if alias is not None:
        only(alias, "this", "columns")
        given = () if definitions else tuple(alias.args.get("columns") or ())
        label = fold(alias.this) if alias.this is not None else label
    alone = len(found) == 1 and alias is not None and alias.this is not None
    pairs: list[NamedColumn] = []
    table_calls: list[TableCall] = []
    for call, rows in zip(calls, found, strict=True):
        own = label if alone else output_name(call)
        columns = [
            (item.name or own, binder.column(item.name or own, item.type, item.nullable or len(found) > 1))
            for item in rows.columns
        ]
        pairs += columns
        place = position_of(call)
        if rows.apart:
            for argument, (_, column) in zip(rows.arguments, columns, strict=True):
                table_calls.append(TableCall(rows.function, (argument,), (column,), place))
            continue
        table_calls.append(TableCall(rows.function, rows.arguments, tuple(column for _, column in columns), place))
    ordinality = binder.column("ordinality", BIGINT, False) if node.args.get("ordinality") else None
    if ordinality is not None:
        pairs.append(("ordinality", ordinality))
    names = renamed(tuple(name for name, _ in pairs), given, label)
    pairs = [(name, column) for name, (_, column) in zip(names, pairs, strict=True)]
    plan = TableFunction(ONE_ROW, tuple(table_calls), ordinality)
    return Source(plan, [Relation(label, pairs, None, position_of(node), is_scalar=len(pairs) == 1)], pairs)


def _separate(call: exp.Expr) -> list[exp.Expr]:
    """unnest(a, b) stands for unnest(a) and unnest(b) side by side."""
    if isinstance(call, exp.Anonymous) and function_name(call) == "unnest" and len(call.expressions) > 1:
        return [exp.Anonymous(this=call.this, expressions=[item]) for item in call.expressions]
    return [call]


def _definitions(binder: Binder, alias: exp.Expr | None) -> tuple[tuple[str, SqlType], ...]:
    """The names and types of a column definition list."""
    columns = [] if alias is None else [c for c in alias.args.get("columns") or () if isinstance(c, exp.ColumnDef)]
    for column in columns:
        only(column, "this", "kind")
    return tuple((fold(c.this), sql_type(c.args["kind"], c, binder.named_type)) for c in columns)


def _rows(
    b: ExpressionBinder, node: exp.Expr, definitions: tuple[tuple[str, SqlType], ...], schema: str | None
) -> Rows:
    name = function_name(node) if isinstance(node, exp.Anonymous) else ""
    if definitions:
        if name not in DEFINED_FUNCTIONS:
            raise error_for(
                "42601",
                'a column definition list is only allowed for functions returning "record"',
                position=position_of(node),
            )
        only(node, "this", "expressions")
        values = [b.bound(argument) for argument in node.expressions]
        return DEFINED_FUNCTIONS[name](b, name, values, definitions, node)
    if name in SET_FUNCTIONS:
        assert isinstance(node, exp.Anonymous)
        only(node, "this", "expressions")
        return SET_FUNCTIONS[name](b, name, [b.bound(argument) for argument in node.expressions], node)
    if isinstance(node, exp.Anonymous) and (schema is not None or not is_built_in(name)):
        found = external_rows(b, name, schema, node)
        if found is not None:
            only(node, "this", "expressions")
            return found
    if schema is not None and schema not in ("pg_catalog", "public", "main"):
        raise error_for("42883", f"there is no table function {schema}.{name}", position=position_of(node))
    if not isinstance(node, (exp.Func, exp.Cast)):
        raise unsupported("this item of FROM", node)
    value = b.expression(node)
    if has_subquery(value):
        raise unsupported("a subquery in a function in FROM", node)
    if isinstance(value, Cast) and value.type.id is TypeId.STRUCT and isinstance(node, exp.Anonymous):
        fields = tuple(field_of(value, place, node) for place in range(len(value.type.fields)))
        columns = tuple(RowColumn(field, type_, True) for field, type_ in value.type.fields)
        return Rows("one_row", fields, columns)
    return Rows("one_row", (value,), (RowColumn(None, value.type, value.nullable),))


def dependent_join(
    kind: JoinKind, left: LogicalPlan, right: LogicalPlan, condition: Expression | None
) -> LogicalPlan | None:
    """The join with a right side of functions over the left side's columns; None if it is not of this form."""
    function, items = _function_of(right)
    if function is None or not free_ids(right) & output_ids(left):
        return None
    if kind is JoinKind.INNER:
        plan: LogicalPlan = TableFunction(left, function.calls, function.ordinality)
        if items is not None:
            plan = Project(plan, (*map(passed, left.output), *items))
        return plan if condition is None else Filter(plan, condition)
    if kind is not JoinKind.LEFT or (condition is not None and condition != TRUE):
        return None
    renamed: dict[int, Column] = {}
    calls = tuple(
        TableCall(item.function, item.arguments, tuple(_nullable(c, renamed) for c in item.columns), item.position)
        for item in function.calls
    )
    ordinality = None if function.ordinality is None else _nullable(function.ordinality, renamed)
    plan = TableFunction(left, calls, ordinality, True)
    if items is None:
        return plan
    shown = [
        Item(item.column, ColumnRef(renamed[item.expression.column.id]))
        for item in items
        if isinstance(item.expression, ColumnRef)
    ]
    return Project(plan, (*map(passed, left.output), *shown))


def _function_of(plan: LogicalPlan) -> tuple[TableFunction | None, tuple[Item, ...] | None]:
    """The functions of a FROM item, and the Project of columns that made them nullable, if there is one."""
    items = None
    if isinstance(plan, Project) and all(isinstance(item.expression, ColumnRef) for item in plan.items):
        items, plan = plan.items, plan.input
    return (plan, items) if isinstance(plan, TableFunction) and plan.input == ONE_ROW else (None, None)


def _nullable(column: Column, renamed: dict[int, Column]) -> Column:
    renamed[column.id] = Column(column.id, column.name, column.type, True)
    return renamed[column.id]


# --- the select list --------------------------------------------------------------------------------------------------
class _Output(Protocol):
    expression: Expression


Key = TypeVar("Key")


def expanded_sets(
    binder: Binder, plan: LogicalPlan, outputs: Sequence[_Output], order: list[tuple[Key, int | Expression]]
) -> tuple[LogicalPlan, list[tuple[Key, int | Expression]]]:
    """The plan with the set-returning functions of the select list and ORDER BY below it; what they stood in is
    changed to read their columns."""
    while True:
        level = _Level(binder)
        for output in outputs:
            level.look(output.expression)
        for _, key in order:
            if not isinstance(key, int):
                level.look(key)
        if not level.calls:
            return plan, order
        plan = TableFunction(plan, level.table_calls())
        for output in outputs:
            output.expression = level.replaced(output.expression)
        order = [(item, key if isinstance(key, int) else level.replaced(key)) for item, key in order]


class _Level:
    """The set-returning calls that have no other one in their arguments."""

    def __init__(self, binder: Binder) -> None:
        self._binder = binder
        self.calls: dict[object, Call] = {}
        self._columns: dict[object, Column] = {}

    def look(self, expression: Expression) -> bool:
        """Collects; says whether there is a set-returning call in the expression."""
        inside = [self.look(child) for child in children(expression)]
        if isinstance(expression, Case) and any(inside):
            raise error_for(
                "0A000",
                "set-returning functions are not allowed in CASE",
                hint="move the set-returning function into a LATERAL FROM item",
            )
        if isinstance(expression, Call) and expression.function in SET_CALLS:
            if not any(inside):
                self.calls.setdefault(signature(expression), expression)
            return True
        return any(inside)

    def table_calls(self) -> tuple[TableCall, ...]:
        found = []
        for key, call in self.calls.items():
            column = self._columns[key] = self._binder.column(call.function, call.type, call.nullable)
            found.append(TableCall(call.function, call.arguments, (column,), call.position))
        return tuple(found)

    def replaced(self, expression: Expression) -> Expression:
        from zerodb_compiler.sql.binder_aggregates import _rebuild

        if isinstance(expression, Call) and expression.function in SET_CALLS:
            column = self._columns.get(signature(expression))
            if column is not None:
                return ColumnRef(column)
        return _rebuild(expression, self.replaced)


__all__ = ["dependent_join", "expanded_sets", "function_source"]
