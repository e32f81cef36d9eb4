"""MERGE: one query that says for every row of the source what becomes of it.

    source LEFT JOIN target ON condition
      -> row id of the match (NULL: none), number of the first WHEN clause that holds     Project
      -> action; per table column  CASE clause WHEN 1 THEN ... WHEN 2 THEN ... END          Project

The host then deletes and appends whole columns of rows, and refuses a second change of one row (21000).
INSERT ... ON CONFLICT DO UPDATE has the same form (binder_conflict.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Filter, Item, LogicalPlan, Project
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_dml import (
    assigned,
    assignments,
    check_insert_width,
    common_tables,
    default_value,
    generated_after,
    insert_ordinals,
    is_default,
)
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.binder_from import Source, bind_item, left_join, scan_for_change
from zerodb_compiler.sql.binder_returning import with_returning
from zerodb_compiler.sql.binder_sequences import check_inserted
from zerodb_compiler.sql.binder_with import CommonTables
from zerodb_compiler.sql.expressions import Call, Case, Column, ColumnRef, Expression, Literal
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.scope import Relation, Scope
from zerodb_compiler.types import BOOLEAN, INTEGER

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


@dataclass(frozen=True, slots=True)
class Clause:
    """WHEN ... AND condition THEN action; `values` are the row's columns after it (none for DELETE and DO NOTHING)."""

    action: st.Action
    condition: Expression | None
    values: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    row_id: Column
    matched: tuple[Clause, ...]
    unmatched: tuple[Clause, ...]


def merge(binder: Binder, node: exp.Merge, common: CommonTables | None = None) -> st.Merge:
    only(node, "this", "using", "on", "whens", "with_")
    common = common_tables(node, common)
    target_node = node.this
    if not isinstance(target_node, exp.Table):
        raise unsupported("this target of MERGE", node)
    only(target_node, "this", "alias", "db", "only")
    scan, target = scan_for_change(binder, target_node)
    source = bind_item(binder, node.args["using"], common)

    def on(scope: Scope) -> Expression:
        return ExpressionBinder(binder, scope, "JOIN/ON", lifting=True).condition(node.args["on"])

    right = Source(scan, [target], list(target.columns))
    joined, scope, there = left_join(binder, source, right, on, common)
    source_scope = Scope(source.relations, source.visible, None, common)
    assigned_ordinals: set[int] = set()
    clauses: dict[bool, list[Clause]] = {True: [], False: []}
    final: dict[bool, bool] = {True: False, False: False}
    for when in node.args["whens"].expressions:
        only(when, "matched", "condition", "then")
        matched = bool(when.args["matched"])
        if final[matched]:
            raise ProgrammingError(
                "unreachable WHEN clause specified after unconditional WHEN clause", position=position_of(when)
            )
        seen = scope if matched else source_scope
        condition_node = when.args.get("condition")
        condition = (
            ExpressionBinder(binder, seen, "MERGE WHEN AND").condition(condition_node)
            if condition_node is not None
            else None
        )
        final[matched] = condition is None
        clause, ordinals = _clause(binder, when, scan.table, there.relations[0], seen, condition)
        clauses[matched].append(clause)
        assigned_ordinals |= ordinals
    choice = Choice(there.plan.output[-1], tuple(clauses[True]), tuple(clauses[False]))
    plan, returning = merged(binder, node, joined, choice, target, (), common, None)
    actions = frozenset(clause.action for found in clauses.values() for clause in found)
    return st.Merge(scan.table, plan, tuple(sorted(assigned_ordinals)), actions, returning=returning)


def _clause(
    binder: Binder, when: exp.When, table: TableInfo, target: Relation, scope: Scope, condition: Expression | None
) -> tuple[Clause, set[int]]:
    then, matched = when.args["then"], bool(when.args["matched"])
    old = tuple(ColumnRef(column) for _, column in target.columns)
    if isinstance(then, exp.Update) and matched:
        only(then, "expressions")
        values = assignments(ExpressionBinder(binder, scope, "UPDATE"), table, then)
        new = tuple(values.get(i, reference) for i, reference in enumerate(old))
        return Clause(st.Action.UPDATE, condition, new), set(values)
    if isinstance(then, exp.Insert) and not matched:
        only(then, "this", "expression", "overriding")
        return Clause(st.Action.INSERT, condition, _inserted(binder, then, table, scope)), set()
    word = str(then.this).upper() if isinstance(then, exp.Var) else ""
    if word == "DELETE" and matched:
        return Clause(st.Action.DELETE, condition, old), set()
    if word == "DO NOTHING":
        return Clause(st.Action.NOTHING, condition), set()
    raise ProgrammingError("syntax error in the WHEN clause", position=position_of(when))


def _inserted(binder: Binder, node: exp.Insert, table: TableInfo, scope: Scope) -> tuple[Expression, ...]:
    """The columns of INSERT [(names)] VALUES (...) | DEFAULT VALUES."""
    expressions = ExpressionBinder(binder, scope, "VALUES")
    names, values = node.args.get("this"), node.args.get("expression")
    if values is None:
        return tuple(default_value(expressions, info) for info in table.columns)
    cells = list(values.expressions) if isinstance(values, exp.Tuple) else [values]
    if names is not None:
        nodes = [item.this for item in names.expressions]
        ordinals = insert_ordinals(table, nodes)
    else:
        ordinals = list(range(len(table.columns)))
    check_insert_width([cells], ordinals, names is not None)
    given = dict(zip(ordinals, cells, strict=False))
    found: list[Expression] = []
    for i, info in enumerate(table.columns):
        cell = given.get(i)
        ignored = node.args.get("overriding") == "user" and info.identity is not None
        if cell is None or is_default(cell) or ignored:
            found.append(default_value(expressions, info))
        else:
            check_inserted(table, i, cell, node.args.get("overriding"))
            found.append(assigned(expressions, expressions.bound(cell), info, cell))
    return tuple(found)


def merged(
    binder: Binder,
    node: exp.Expr,
    joined: LogicalPlan,
    choice: Choice,
    target: Relation,
    others: Sequence[Relation],
    common: CommonTables,
    place: Column | None,
    *,
    passes_over: bool = False,
) -> tuple[LogicalPlan, st.Returning | None]:
    """The plan of a Merge statement over the joined rows, and its RETURNING, which sees the new rows and `others`. With
    `passes_over` it gives matched rows that no clause is for, too, with the action NOTHING: they are to be locked."""
    table = target.table
    assert table is not None
    clauses = (*choice.matched, *choice.unmatched)
    numbers = {id(clause): number for number, clause in enumerate(clauses, 1)}
    is_unmatched = Call("is_null", (ColumnRef(choice.row_id),), BOOLEAN, False)
    number = Case(((is_unmatched, _first(choice.unmatched, numbers)),), _first(choice.matched, numbers), INTEGER, False)
    chosen = binder.column("clause", INTEGER, False)
    passed = [Item(column, ColumnRef(column)) for column in joined.output]
    plan: LogicalPlan = Project(joined, (*passed, Item(chosen, number)))
    acting = [clause for clause in clauses if clause.action is not st.Action.NOTHING]
    acts: Expression = Call("gt", (ColumnRef(chosen), Literal(0, INTEGER)), BOOLEAN, False)
    is_matched = Call("is_not_null", (ColumnRef(choice.row_id),), BOOLEAN, False)
    plan = Filter(plan, Call("or", (acts, is_matched), BOOLEAN, False) if passes_over else acts)
    action = binder.column("action", INTEGER, False)
    values: list[Expression] = [Literal(int(clause.action), INTEGER) for clause in acting]
    items = [Item(choice.row_id, ColumnRef(choice.row_id))]
    taken = _by_clause(chosen, acting, values, numbers, INTEGER_DEFAULT)
    items.append(Item(action, Case(((acts, taken),), INTEGER_DEFAULT, INTEGER, False) if passes_over else taken))
    written: list[Column] = []
    for i, info in enumerate(table.columns):
        default = Literal(None, info.type)
        expression = _by_clause(chosen, acting, [clause.values[i] for clause in acting], numbers, default)
        column = binder.column(info.name, expression.type, expression.nullable)
        items.append(Item(column, expression))
        written.append(column)
    if place is not None:
        items.append(Item(place, ColumnRef(place)))
    for relation in others:
        items += [Item(column, ColumnRef(column)) for _, column in relation.columns]
    plan = Project(plan, tuple({item.column.id: item for item in items}.values()))
    if any(info.generated is not None for info in table.columns):
        new: dict[int, Column] = {}
        passing = [Item(column, ColumnRef(column)) for column in plan.output]
        plan = Project(plan, tuple(generated_after(binder, passing, 2, table, new)))
        written = [new.get(column.id, column) for column in written]
    pairs = [(info.name, column) for info, column in zip(table.columns, written, strict=True)]
    scope = Scope([replace(target, columns=pairs), *others], pairs, None, common)
    kept = [choice.row_id, action, *written]
    plan, returning = with_returning(binder, node, plan, [*kept, *([place] if place is not None else [])], scope)
    return plan, returning


INTEGER_DEFAULT = Literal(0, INTEGER)


def _first(clauses: Sequence[Clause], numbers: dict[int, int]) -> Expression:
    """The number of the first clause whose condition holds; 0 if none does, or if that does nothing."""
    branches: list[tuple[Expression, Expression]] = []
    default: Expression = INTEGER_DEFAULT
    for clause in clauses:
        number = 0 if clause.action is st.Action.NOTHING else numbers[id(clause)]
        value = Literal(number, INTEGER)
        if clause.condition is None:
            default = value
            break
        branches.append((clause.condition, value))
    return Case(tuple(branches), default, INTEGER, False) if branches else default


def _by_clause(
    chosen: Column, clauses: Sequence[Clause], values: Sequence[Expression], numbers: dict[int, int], default: Literal
) -> Expression:
    """CASE chosen WHEN number THEN value ... END. The last clause needs no test: rows without one are filtered out."""
    if not values:
        return default
    *firsts, last = zip(clauses, values, strict=True)
    branches = tuple(
        (Call("eq", (ColumnRef(chosen), Literal(numbers[id(clause)], INTEGER)), BOOLEAN, False), value)
        for clause, value in firsts
    )
    if not branches:
        return last[1]
    return Case(branches, last[1], default.type, any(value.nullable for value in values))
