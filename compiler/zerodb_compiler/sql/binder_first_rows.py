"""DISTINCT ON and FETCH FIRST ... WITH TIES: rows are numbered in their order, and kept by number.

select distinct on (a) ... order by a, b     the first row of each a: Number by a over the sort, number = 1
order by a fetch first 3 rows with ties      rows of rank up to 3: a rank is the number of the first equal row
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.plan.logical import Filter, Item, LogicalPlan, Number, Project, Sort, SortKey
from zerodb_compiler.plan.rules.comparison_keys import keyed
from zerodb_compiler.plan.transform import call, filtered, passed
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import BIGINT

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


def distinct_on(
    binder: Binder, plan: LogicalPlan, on: Sequence[Column], keys: Sequence[SortKey], position: int | None
) -> LogicalPlan:
    """The first row of each combination of `on` in the order of `keys`, which must begin with those columns."""
    output = plan.output
    keyed_items = {c.id: _key_item(binder, c) for c in dict.fromkeys(on) if c.type.has_sort_key}
    if keyed_items:
        plan = Project(plan, (*map(passed, output), *keyed_items.values()))
    wanted = {column.id for column in on}
    missing = dict.fromkeys(column.id for column in on)
    for key in keys:
        if not missing:
            break
        assert isinstance(key.expression, ColumnRef)
        if key.expression.column.id not in wanted:
            raise ProgrammingError(
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                sqlstate="42P10",
                position=position,
            )
        missing.pop(key.expression.column.id, None)
    rest = [SortKey(ColumnRef(column), False, False) for column in on if column.id in missing]
    number = binder.column("number", BIGINT, False)
    groups = [keyed_items[column.id].column if column.id in keyed_items else column for column in dict.fromkeys(on)]
    numbered = Number(Sort(plan, (*keys, *dict.fromkeys(rest))), tuple(groups), number)
    first = Filter(numbered, call("eq", ColumnRef(number), Literal(1, BIGINT)))
    return Project(first, tuple(map(passed, output)))


def with_ties(
    binder: Binder, plan: LogicalPlan, count: Expression | None, offset: Expression | None, position: int | None
) -> LogicalPlan:
    """The rows of a sorted plan after `offset`, `count` of them and those that are equal to the last one."""
    if not isinstance(plan, Sort):
        raise ProgrammingError("WITH TIES cannot be specified without ORDER BY clause", position=position)
    peers: list[Column] = []
    computed: list[Item] = []
    for key in plan.keys:
        expression = keyed(key.expression)
        if isinstance(expression, ColumnRef):
            peers.append(expression.column)
        else:
            peers.append(binder.column("order", expression.type, expression.nullable))
            computed.append(Item(peers[-1], expression))
    output = plan.output
    ordered: LogicalPlan = plan
    if computed:
        keys = [
            SortKey(ColumnRef(column), key.descending, key.nulls_first)
            for column, key in zip(peers, plan.keys, strict=True)
        ]
        ordered = Sort(Project(plan.input, (*map(passed, output), *computed)), tuple(keys))
    number, rank = binder.column("number", BIGINT, False), binder.column("rank", BIGINT, False)
    numbered = Number(ordered, (), number, tuple(peers), rank)
    conditions: list[Expression] = []
    last: Expression = ColumnRef(rank)
    if offset is not None:
        conditions.append(call("gt", ColumnRef(number), offset))
        last = call("sub", last, offset, type_=BIGINT)
    if count is not None:
        kept: Expression = call("le", last, count)
        conditions.append(call("or", call("is_null", count), kept) if count.nullable else kept)
    return Project(filtered(numbered, conditions), tuple(map(passed, output)))


def _key_item(binder: Binder, column: Column) -> Item:
    """Number compares canonical bytes: values of types whose equality is another one are numbered by their keys."""
    return Item(binder.column("key", column.type.sort_key_type, column.nullable), keyed(ColumnRef(column)))
