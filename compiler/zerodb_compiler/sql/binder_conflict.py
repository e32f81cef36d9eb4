"""INSERT ... ON CONFLICT.

DO NOTHING leaves rows out by their keys: storage finds the keys that are there. DO UPDATE is a Merge: the new rows
LEFT JOIN the table on the arbiter's columns, and per row either an insert (no match) or an update, all in one query.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import TRANSIENT, TableInfo
from zerodb_compiler.constraints import Unique
from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.plan.logical import Item, LogicalPlan, Project, Scan, ScanColumn, With
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_dml import assignments
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.binder_from import Source, left_join, scan_of
from zerodb_compiler.sql.binder_merge import Choice, Clause, merged
from zerodb_compiler.sql.binder_updatable import real
from zerodb_compiler.sql.binder_with import CommonTables
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.scope import Relation, Scope
from zerodb_compiler.types import BOOLEAN

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

_FIRST_ID = -(1 << 42)


def keys_of(table: TableInfo) -> tuple[Unique, ...]:
    """The unique keys over plain columns of all rows."""
    held = table.constraints
    primary = Unique(
        held.primary_key_name or f"{table.name}_pkey", table.primary_key, deferrable=held.primary_key_deferrable
    )
    return ((primary,) if table.primary_key else ()) + table.constraints.uniques


def _special_indexes(table: TableInfo) -> list[str]:
    """The names of unique indexes over expressions or over a part of the rows."""
    return [index.name for index in table.constraints.indexes if index.unique and not index.is_plain]


def do_nothing(node: exp.OnConflict, table: TableInfo) -> st.DoNothing:
    only(node, "action", "conflict_keys", "constraint", "index_predicate")
    key = _arbiter(node, table)
    if key is None and any(found.deferrable for found in keys_of(table)):
        raise _is_deferrable(node)
    if key is None and _special_indexes(table):
        raise unsupported("ON CONFLICT without a key where an index is unique over expressions or some rows", node)
    return st.DoNothing(keys_of(table) if key is None else (key,))


def _is_deferrable(node: exp.OnConflict) -> Exception:
    message = "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters"
    return error_for("55000", message, position=position_of(node))


def _arbiter(node: exp.OnConflict, table: TableInfo) -> Unique | None:
    """The key that the clause names; None if it names none. 55000 if it is deferrable."""
    key = _named_key(node, table)
    if key is not None and key.deferrable:
        raise _is_deferrable(node)
    return key


def _named_key(node: exp.OnConflict, table: TableInfo) -> Unique | None:
    constraint = node.args.get("constraint")
    keys = keys_of(table)
    if constraint is not None:
        name = fold(constraint)
        named = next((key for key in keys if key.constraint and key.name == name), None)
        if named is None:
            raise ProgrammingError(
                f'constraint "{name}" for table "{table.name}" does not exist',
                sqlstate="42704",
                position=position_of(constraint),
            )
        return named
    nodes = node.args.get("conflict_keys")
    if not nodes:
        return None
    ordinals: set[int] = set()
    expressions = False
    for item in nodes:
        column = item.this if isinstance(item, exp.Ordered) else item
        if not isinstance(column, exp.Column) or column.args.get("table") is not None:
            expressions = True
            continue
        name = fold(column.this)
        found = next((i for i, info in enumerate(table.columns) if info.name == name), None)
        if found is None:
            raise ProgrammingError(f'column "{name}" does not exist', sqlstate="42703", position=position_of(column))
        ordinals.add(found)
    # A key over all rows serves whatever rows the clause's own WHERE speaks of.
    matching = next((key for key in keys if set(key.columns) == ordinals and not key.deferrable), None)
    matching = matching or next((key for key in keys if set(key.columns) == ordinals), None)
    if matching is not None and not expressions:
        return matching
    if _special_indexes(table):
        raise unsupported("ON CONFLICT with an index over expressions or some rows", node)
    raise ProgrammingError(
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        sqlstate="42P10",
        position=position_of(node),
    )


def do_update(
    binder: Binder,
    node: exp.Insert,
    conflict: exp.OnConflict,
    relation: Relation,
    plan: LogicalPlan,
    common: CommonTables,
) -> st.Merge:
    """`plan` gives the proposed rows, and perhaps their places."""
    only(conflict, "action", "conflict_keys", "constraint", "index_predicate", "expressions", "where")
    table = relation.table
    assert table is not None
    key = _arbiter(conflict, table)
    if key is None:
        raise ProgrammingError(
            "ON CONFLICT DO UPDATE requires inference specification or constraint name", position=position_of(conflict)
        )
    width = len(table.columns)
    if any(trigger.fires("before", "insert") for trigger in real(table).triggers):
        plan = _proposed_first(binder, real(table), plan)
    plan, proposed = _own_columns(binder, plan, width)
    excluded = Relation("excluded", [(c.name, p) for c, p in zip(table.columns, proposed, strict=True)], table)
    scan, target = scan_of(binder, table, relation)

    def on(scope: Scope) -> Expression:
        b = ExpressionBinder(binder, scope, "ON CONFLICT")
        there = scope.relations[1]
        equal = "eq" if key.nulls_distinct else "is_not_distinct"
        parts = tuple(
            b.call(equal, (ColumnRef(proposed[i]), ColumnRef(there.columns[i][1])), BOOLEAN) for i in key.columns
        )
        return parts[0] if len(parts) == 1 else b.call("and", parts, BOOLEAN)

    left, right = Source(plan, [excluded], list(excluded.columns)), Source(scan, [target], list(target.columns))
    joined, _, there = left_join(binder, left, right, on, common)
    there_columns = [column for _, column in there.relations[0].columns]
    # SET and WHERE see the table's columns by their plain names, and EXCLUDED's only with it.
    update_scope = Scope([there.relations[0], excluded], list(there.relations[0].columns), None, common)
    b = ExpressionBinder(binder, update_scope, "UPDATE")
    values = assignments(b, table, conflict)
    where = conflict.args.get("where")
    condition: Expression | None = None
    if where is not None:
        only(where, "this")
        condition = ExpressionBinder(binder, update_scope, "WHERE").condition(where.this)
    new: list[Expression] = [values.get(i, ColumnRef(column)) for i, column in enumerate(there_columns)]
    rows = tuple(ColumnRef(column) for column in proposed)
    choice = Choice(
        row_id=there.plan.output[-1],
        matched=(*_lacking(b, table, rows), Clause(st.Action.UPDATE, condition, tuple(new))),
        unmatched=(Clause(st.Action.INSERT, None, rows),),
    )
    place = plan.output[width] if len(plan.output) > width else None
    source, returning = merged(
        binder, node, joined, choice, relation, (), common, place, passes_over=condition is not None
    )
    actions = frozenset({st.Action.INSERT, st.Action.UPDATE})
    return st.Merge(table, source, tuple(sorted(values)), actions, key, place is not None, returning)


def _proposed_first(binder: Binder, table: TableInfo, plan: LogicalPlan) -> LogicalPlan:
    """Has the proposed rows computed before the rest of the statement, which reads what the triggers made of them."""
    from zerodb_compiler.sql.binder_changes import transient_table

    query = st.Query(plan, plan.output, tuple(column.name for column in plan.output))
    if binder.shared.definitions:
        query = replace(query, plan=With(tuple(binder.shared.definitions), plan))
    number = binder.locking.number()
    columns = tuple(replace(column, nullable=True) for column in plan.output)
    names = tuple(f"column{i + 1}" for i in range(len(columns)))
    result = transient_table(f"{TRANSIENT}proposed {number}", st.Returning(columns, names), _FIRST_ID - number)
    binder.locking.parts.append(st.Part(st.Proposed(table, query), result))
    fresh = tuple(binder.column(column.name, column.type, True) for column in columns)
    return Scan(result, tuple(ScanColumn(column, ordinal) for ordinal, column in enumerate(fresh)))


def _lacking(b: ExpressionBinder, table: TableInfo, rows: tuple[ColumnRef, ...]) -> list[Clause]:
    """A proposed row with a NULL where none may be is an error though another row is there: it is inserted, and so
    found out."""
    wrong = [
        b.call("is_null", (value,), BOOLEAN)
        for value, column in zip(rows, table.columns, strict=True)
        if column.not_null and value.nullable and column.generated is None
    ]
    if not wrong:
        return []
    return [Clause(st.Action.INSERT, wrong[0] if len(wrong) == 1 else b.call("or", tuple(wrong), BOOLEAN), rows)]


def _own_columns(binder: Binder, plan: LogicalPlan, width: int) -> tuple[LogicalPlan, list[Column]]:
    """The proposed rows under column ids of their own: they may come from the very table."""
    columns = [binder.column(column.name, column.type, column.nullable) for column in plan.output]
    items = tuple(Item(new, ColumnRef(old)) for new, old in zip(columns, plan.output, strict=True))
    return Project(plan, items), columns[:width]
