"""RETURNING: the rows a change gives back.

The statement's query computes them beside what it writes: its plan gives first the columns that are written (`kept`),
then those that only RETURNING needs. So expressions and subqueries of RETURNING see the snapshot before the change, as
in PostgreSQL, and no second query runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Item, LogicalPlan, Project
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.binder_names import output_name
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal
from zerodb_compiler.sql.nodes import fold, only, position_of
from zerodb_compiler.sql.scope import Scope
from zerodb_compiler.sql.statements import Returning
from zerodb_compiler.types import TEXT, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


def with_returning(
    binder: Binder, node: exp.Expr, plan: LogicalPlan, kept: Sequence[Column], scope: Scope
) -> tuple[LogicalPlan, Returning | None]:
    """The plan that gives exactly `kept` and what the RETURNING clause of `node` needs besides; `plan` gives them and
    the columns of `scope`."""
    clause = node.args.get("returning")
    items = {column.id: Item(column, ColumnRef(column)) for column in kept}
    assert len(items) == len(kept)
    found: Returning | None = None
    if clause is not None:
        only(clause, "expressions")
        columns: list[Column] = []
        names: list[str] = []
        for name, expression in _outputs(ExpressionBinder(binder, scope, "RETURNING"), clause.expressions):
            if isinstance(expression, ColumnRef):
                column = expression.column
            else:
                column = binder.column(name, expression.type, expression.nullable)
            items.setdefault(column.id, Item(column, expression))
            columns.append(column)
            names.append(name)
        found = Returning(tuple(columns), tuple(names))
    if [column.id for column in plan.output] == list(items):
        return plan, found
    return Project(plan, tuple(items.values())), found


def _outputs(expressions: ExpressionBinder, nodes: Sequence[exp.Expr]) -> list[tuple[str, Expression]]:
    scope = expressions.scope
    found: list[tuple[str, Expression]] = []
    for node in nodes:
        if isinstance(node, exp.Star):
            only(node)
            found += [(name, ColumnRef(column)) for name, column in scope.visible]
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
            only(node, "this", "table")
            only(node.this)
            label = fold(node.args["table"])
            relation = scope.relation(label)
            if relation is None:
                raise ProgrammingError(
                    f'missing FROM-clause entry for table "{label}"', sqlstate="42P01", position=position_of(node)
                )
            found += [(name, ColumnRef(column)) for name, column in relation.columns]
        else:
            name, inner = output_name(node), node
            if isinstance(node, exp.Alias):
                only(node, "this", "alias")
                name, inner = fold(node.args["alias"]), node.this
            expression = expressions.expression(inner)
            if expression.type.id is TypeId.NULL:
                expression = Literal(None, TEXT)
            found.append((name, expression))
    return found
