"""Common subexpressions: what several expressions of one operator share is computed once per row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import Environment, evaluate
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.sql.expressions import (
    Call,
    Case,
    Cast,
    Column,
    ColumnRef,
    Expression,
    children,
    columns_of,
    without_positions,
)

# Ids of the columns that stand for shared subexpressions; the planner's ids are positive.
_FIRST_ID = -1


def _count(expression: Expression, counts: Counter[Expression]) -> None:
    """Counts subexpressions that are always evaluated (what is inside CASE, AND and OR may not be)."""
    if not columns_of(expression):
        return
    counts[without_positions(expression)] += 1
    if counts[without_positions(expression)] > 1 or isinstance(expression, Case):
        return
    if isinstance(expression, Call) and expression.function in ("and", "or"):
        return
    for child in children(expression):
        _count(child, counts)


def _substitute(expression: Expression, shared: dict[Expression, Column]) -> Expression:
    column = shared.get(without_positions(expression))
    if column is not None:
        return ColumnRef(column)
    match expression:
        case Call():
            return replace(expression, arguments=tuple(_substitute(part, shared) for part in expression.arguments))
        case Cast():
            return replace(expression, argument=_substitute(expression.argument, shared))
        case _:
            return expression


def evaluate_all(e: Emitter, expressions: Sequence[Expression | None], env: Environment) -> list[SqlValue | None]:
    """The values of all expressions, in locals where anything is used twice."""
    counts: Counter[Expression] = Counter()
    for expression in expressions:
        if expression is not None:
            _count(expression, counts)
    extended = dict(env)
    shared: dict[Expression, Column] = {}
    # Smaller ones first, so that a larger shared expression is built from shared parts.
    repeated = [expression for expression, count in counts.items() if count > 1]
    for expression in sorted(repeated, key=_size):
        column = Column(_FIRST_ID - len(shared), "shared", expression.type, expression.nullable)
        value = evaluate(e, _substitute(expression, shared), extended)
        extended[column.id] = e.keep_value(value)
        shared[expression] = column
    return [
        None if expression is None else e.keep_value(evaluate(e, _substitute(expression, shared), extended))
        for expression in expressions
    ]


def _size(expression: Expression) -> int:
    return 1 + sum(_size(child) for child in children(expression))
