"""Rows: (a, b) and ROW(a, b) in comparisons, IN, IS NULL, and comparisons with ANY or ALL rows of a subquery.

(a, b) = (c, d)         a = c and b = d
(a, b) < (c, d)         a < c or (a = c and b < d)           the first pair that differs decides
(a, b) = (select ...)   with each column of the subquery as a value
x op any (select ...)   AnySubquery with the comparison as its test; op ALL is not (not op) ANY
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_operators import compare
from zerodb_compiler.sql.expressions import AnySubquery, Column, ColumnRef, Expression, ScalarSubquery
from zerodb_compiler.sql.nodes import only, position_of
from zerodb_compiler.sql.parameters import Constant, UserValue
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import BOOLEAN

_SYMBOLS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_SYMBOLS |= {"is_distinct": "IS DISTINCT FROM", "is_not_distinct": "IS NOT DISTINCT FROM"}
_STRICT = {"le": "lt", "ge": "gt"}
QUERIES = (exp.Subquery, exp.Select, exp.SetOperation, exp.Values)


def row_items(node: exp.Expr) -> list[exp.Expr] | None:
    """The items of a row constructor, None for anything else."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Tuple):
        only(node, "expressions")
        return list(node.expressions)
    if isinstance(node, exp.Anonymous) and isinstance(node.this, str) and node.this.lower() == "row":
        only(node, "this", "expressions")
        return list(node.expressions)
    return None


def query_of(node: exp.Expr) -> exp.Expr | None:
    """The subquery in parentheses."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node if isinstance(node, QUERIES) else None


def quantified_query(node: exp.Expr) -> tuple[bool, exp.Expr] | None:
    """(whether ALL, the subquery) of ANY, SOME or ALL (subquery); None for anything else, also for arrays."""
    is_all = isinstance(node, exp.All)
    inner: exp.Expr | None = None
    if isinstance(node, (exp.Any, exp.All)):
        only(node, "this")
        inner = query_of(node.this)
    elif isinstance(node, exp.Anonymous) and isinstance(node.this, str):
        name = node.this.lower()
        if name in ("any", "some", "all") and len(node.expressions) == 1:
            is_all, inner = name == "all", query_of(node.expressions[0])
    return None if inner is None else (is_all, inner)


def compare_rows(
    b: ExpressionBinder, function: str, lefts: Sequence[Bound], rights: Sequence[Bound], node: exp.Expr
) -> Expression:
    if len(lefts) != len(rights):
        raise ProgrammingError("unequal number of entries in row expressions", position=position_of(node))
    if not lefts:
        raise ProgrammingError("cannot compare rows of zero length", sqlstate="0A000", position=position_of(node))
    pairs = list(zip(lefts, rights, strict=True))

    def each(name: str, some: Sequence[tuple[Bound, Bound]]) -> list[Expression]:
        return [compare(b, name, _SYMBOLS[name], left, right, node) for left, right in some]

    match function:
        case "eq" | "is_not_distinct":
            return _joined(b, "and", each(function, pairs))
        case "ne" | "is_distinct":
            return _joined(b, "or", each(function, pairs))
    found = each(function, pairs[-1:])[0]
    for pair in reversed(pairs[:-1]):
        (equal,), (before,) = each("eq", [pair]), each(_STRICT.get(function, function), [pair])
        found = b.call("or", (before, b.call("and", (equal, found), BOOLEAN)), BOOLEAN)
    return found


def _joined(b: ExpressionBinder, function: str, parts: list[Expression]) -> Expression:
    return parts[0] if len(parts) == 1 else b.call(function, tuple(parts), BOOLEAN)


def row_comparison(b: ExpressionBinder, node: exp.Binary, function: str) -> Expression | None:
    """The comparison, if one side is a row."""
    left, right = row_items(node.this), row_items(node.expression)
    if left is None and right is None:
        return None
    if left is not None and right is not None:
        return compare_rows(b, function, [b.bound(x) for x in left], [b.bound(x) for x in right], node)
    items = left if left is not None else right
    assert items is not None
    query = query_of(node.expression if left is not None else node.this)
    if query is None:
        return None
    values = _columns(b, query, len(items), node)
    others = [b.bound(item) for item in items]
    return (
        compare_rows(b, function, others, values, node)
        if left is not None
        else compare_rows(b, function, values, others, node)
    )


def _columns(b: ExpressionBinder, node: exp.Expr, count: int, place: exp.Expr) -> list[Bound]:
    """The columns of a subquery of one row, each as a value."""
    found: list[Bound] = []
    for number in range(count):
        query = b.binder.query(node, b.scope)
        _check_width(query, count, place)
        column = query.columns[number]
        found.append(ScalarSubquery(query.plan, column, column.type))
    return found


def _check_width(query: Query, count: int, node: exp.Expr) -> None:
    if len(query.columns) != count:
        few = "few" if len(query.columns) < count else "many"
        raise ProgrammingError(f"subquery has too {few} columns", position=position_of(node))


def any_row(
    b: ExpressionBinder, function: str, left: exp.Expr, query: exp.Expr, node: exp.Expr, *, is_all: bool = False
) -> Expression:
    """left op ANY (query) or ALL; `left` may be a row."""
    items = row_items(left)
    given = [b.bound(item) for item in (items if items is not None else [left])]
    bound = b.binder.query(query, b.scope)
    _check_width(bound, len(given), node)
    operands: list[Expression] = []
    places: list[Column] = []
    values: list[Bound] = []
    for value in given:
        if isinstance(value, (Constant, UserValue)):
            values.append(value)
            continue
        operand = b.finish(value)
        places.append(b.binder.column("operand", operand.type, operand.nullable))
        operands.append(operand)
        values.append(ColumnRef(places[-1]))
    test = compare_rows(b, function, values, [ColumnRef(column) for column in bound.columns], node)
    if not is_all:
        return AnySubquery(tuple(operands), tuple(places), bound.plan, test)
    none = AnySubquery(tuple(operands), tuple(places), bound.plan, b.call("not", (test,), BOOLEAN))
    return b.call("not", (none,), BOOLEAN)


def row_in_list(b: ExpressionBinder, items: list[exp.Expr], rows: list[exp.Expr], node: exp.Expr) -> Expression:
    """(a, b) IN ((c, d), ...)."""
    tests: list[Expression] = []
    for row in rows:
        others = row_items(row)
        if others is None:
            raise ProgrammingError("a row can only be compared with rows", sqlstate="42883", position=position_of(row))
        lefts, rights = [b.bound(item) for item in items], [b.bound(item) for item in others]
        tests.append(compare_rows(b, "eq", lefts, rights, node))
    return _joined(b, "or", tests)


def row_is_null(b: ExpressionBinder, items: list[exp.Expr], negate: bool) -> Expression:
    """A row is NULL if all its fields are, and NOT NULL if none is."""
    name = "is_not_null" if negate else "is_null"
    return _joined(b, "and", [b.call(name, (b.expression(item),), BOOLEAN) for item in items])


__all__ = ["any_row", "quantified_query", "row_comparison", "row_in_list", "row_is_null", "row_items"]
