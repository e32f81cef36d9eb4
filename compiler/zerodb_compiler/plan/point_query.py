"""Point queries: a SELECT over the few rows of one table that have given values in the first columns of a key or index.

    any of Project, Filter, Sort, TopN, Limit, HashAggregate over Scan, with `column = parameter or literal` for the
    first columns of the primary key, of a UNIQUE constraint or of an index

As with point statements (point.py), which look at one row, the table is given the widest layout before the plan is
optimised. Which columns the rows are looked for by - the `key` - is what its statistics promise the fewest rows for.

Limits: no joins, no subqueries that are left as joins, no window functions; tables with a primary key only, by which
own rows of a transaction are told from those that they replace.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan import logical, physical
from zerodb_compiler.plan.index_choice import keys_of
from zerodb_compiler.plan.logical import LogicalPlan
from zerodb_compiler.plan.optimize import optimize
from zerodb_compiler.plan.physical_plan import plan_physical
from zerodb_compiler.plan.point import (
    FIRST_FRESH_ID,
    Constant,
    equality,
    has_plain_values,
    has_point_key,
    same_values,
    widened,
)
from zerodb_compiler.sql.expressions import Column, Expression

MOST_EXPECTED_ROWS = 2000  # for a look-up: more are read faster chunk by chunk


@dataclass(frozen=True, slots=True)
class PointQuery:
    """`plan` over rows of `table` whose columns `key` have `values` and that satisfy `predicates`; its one scan has the
    predicates still, which say the same."""

    table: TableInfo
    key: tuple[int, ...]
    values: tuple[Constant, ...]
    predicates: tuple[Expression, ...]
    plan: physical.PhysicalPlan
    output: tuple[Column, ...]


def point_query(source: LogicalPlan, columns: tuple[Column, ...], *, changes: bool = False) -> PointQuery | None:
    """The plan as a point query, None if it is none; `changes`: as the source of an UPDATE or DELETE, whose first
    column is the row's id, and in which each row stays one."""
    table = _table_of(source)
    if table is None or not has_point_key(table):
        return None
    fresh = itertools.count(FIRST_FRESH_ID)
    root = plan_physical(optimize(_widened(source), lambda: next(fresh)), columns)
    scan = _scan_of(root.input)
    # An index that the scan names, for the first rows of an order, is advice only.
    if scan is None or scan.partition_tests or (scan.row_id is not None) is not changes:
        return None
    if changes and not _keeps_rows(root.input):
        return None
    key = _key_of(scan, table)
    if key is None:
        return None
    ordinals = {item.column.id: item.ordinal for item in scan.columns}
    found: dict[int, Constant] = {}
    rest: list[Expression] = []
    for predicate in scan.predicates:
        pair = equality(predicate)
        ordinal = None if pair is None else ordinals[pair[0].id]
        if pair is not None and ordinal in key and ordinal not in found and same_values(pair[0].type, pair[1].type):
            found[ordinal] = pair[1]
        else:
            rest.append(predicate)
    values = tuple(found[ordinal] for ordinal in key)
    return PointQuery(scan.table, key, values, tuple(rest), root.input, root.columns)


def _table_of(plan: LogicalPlan) -> TableInfo | None:
    """The one table at the end of a chain of nodes."""
    match plan:
        case logical.Scan(table=table):
            return table
        case (
            logical.Project(input=below)
            | logical.Filter(input=below)
            | logical.Sort(input=below)
            | logical.Limit(input=below)
            | logical.Aggregate(input=below)
        ):
            return _table_of(below)
    return None


def _widened(plan: LogicalPlan) -> LogicalPlan:
    match plan:
        case logical.Scan(table=table):
            return replace(plan, table=widened(table))
        case logical.Project() | logical.Filter() | logical.Sort() | logical.Limit() | logical.Aggregate():
            return replace(plan, input=_widened(plan.input))
    raise AssertionError(type(plan).__name__)


def _scan_of(plan: physical.PhysicalPlan) -> physical.TableScan | None:
    match plan:
        case physical.TableScan():
            return plan
        case (
            physical.Project(input=below)
            | physical.Filter(input=below)
            | physical.Sort(input=below)
            | physical.TopN(input=below)
            | physical.Limit(input=below)
            | physical.HashAggregate(input=below)
        ):
            return _scan_of(below)
    return None


def _keeps_rows(plan: physical.PhysicalPlan) -> bool:
    """Whether nothing but projections and filters stands over the scan."""
    match plan:
        case physical.Project(input=below) | physical.Filter(input=below):
            return _keeps_rows(below)
    return isinstance(plan, physical.TableScan)


def _key_of(scan: physical.TableScan, table: TableInfo) -> tuple[int, ...] | None:
    """The columns to look for rows by: those first ones of a key or index whose values are all given and promise the
    fewest rows; None if there are none, or too many rows are expected. `table` has its own statistics."""
    ordinals = {item.column.id: item.ordinal for item in scan.columns}
    given = set()
    for predicate in scan.predicates:
        pair = equality(predicate)
        if pair is not None and same_values(pair[0].type, pair[1].type) and has_plain_values(pair[0].type):
            given.add(ordinals[pair[0].id])
    prefixes = {tuple(itertools.takewhile(given.__contains__, columns)) for _, columns, _ in keys_of(table)} - {()}
    if not prefixes:
        return None
    best = min(sorted(prefixes), key=lambda prefix: (_expected_rows(table, prefix), len(prefix)))
    return best if _expected_rows(table, best) <= MOST_EXPECTED_ROWS else None


def _expected_rows(table: TableInfo, key: tuple[int, ...]) -> float:
    """Of one set of values, as if columns were independent of each other."""
    known = table.statistics
    rows = float(known.row_count)
    for ordinal in key:
        if ordinal < len(known.columns):
            rows /= max(1, known.columns[ordinal].distinct)
    return rows
