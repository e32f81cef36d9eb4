"""GROUPING SETS in terms of plain nodes.

    select a, b, sum(x) group by grouping sets ((a, b), (a), ())
    ->  Aggregate by a', b', set: sum(p)
          Project a' := case when set in (0, 1) then a end, b' := case when set = 0 then b end
            generate_series(0, 2) as set            every row, once for each set
              Aggregate by a, b: sum(x) as p        where all aggregates can be put together from parts

The input is read once. The series multiplies groups where the aggregates allow it, else rows. The empty set has a group
even where there is no row at all: a row of NULLs (and zero counts) is added to what the series multiplies, and let
through for empty sets only. A group is told from those of other sets by its set's number, so equal sets give their
groups twice, as PostgreSQL's do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    Filter,
    Item,
    LogicalPlan,
    Project,
    TableCall,
    TableFunction,
    UnionAll,
    Values,
)
from zerodb_compiler.plan.rules.aggregate_parts import Calls, computed, is_computed
from zerodb_compiler.plan.transform import call, case, has_subquery, passed, rebuild, substitute
from zerodb_compiler.sql.expressions import AggregateCall, Column, ColumnRef, Expression, Literal
from zerodb_compiler.types import BOOLEAN, INTEGER, SqlType

NewColumn = Callable[[str, SqlType, bool], Column]
Sets = tuple[tuple[int, ...], ...]

_COMBINED = {
    **{
        name: name for name in ("sum", "min", "max", "bool_and", "bool_or", "any_value", "bit_and", "bit_or", "bit_xor")
    },
    "count": "sum",
    "count_star": "sum",
}


@dataclass(frozen=True, slots=True)
class Grouping:
    """`keys` give the values of the group keys over the input; their columns are what is seen above, NULL where a set
    leaves the key out. `sets` hold places of keys. `masks` are the columns of grouping(...), by the places asked."""

    keys: tuple[Item, ...]
    aggregates: tuple[AggregateItem, ...]
    sets: Sets
    masks: Mapping[tuple[int, ...], Column]


def grouped_by_sets(plan: LogicalPlan, grouping: Grouping, column: NewColumn) -> LogicalPlan:
    """The aggregation over `plan`; `column` makes columns with fresh ids."""
    plan, grouping = _evaluated(plan, grouping, column)
    sets = tuple(sorted(grouping.sets, key=lambda places: not places))  # empty sets last
    first_empty = sum(bool(places) for places in sets)
    parts = _parts(plan, grouping, column)
    rows = parts.plan
    if first_empty < len(sets):
        rows, real = _with_row_of_nothing(parts, column)
    number = column("set", INTEGER, False)
    series = TableCall("generate_series", (_integer(0), _integer(len(sets) - 1)), (number,))
    rows = TableFunction(rows, (series,))
    if first_empty < len(sets):
        is_empty = call("ge", ColumnRef(number), _integer(first_empty))
        rows = Filter(rows, call("or", ColumnRef(real), is_empty))
    keys = [
        Item(item.column, _of_sets(ColumnRef(below), place, sets, number))
        for place, (item, below) in enumerate(zip(grouping.keys, parts.keys, strict=True))
    ]
    others = [passed(item) for item in rows.output if item not in parts.keys]
    rows = Project(rows, (*keys, *others))
    groups = (*(passed(item.column) for item in grouping.keys), passed(number))
    rows = Aggregate(rows, groups, tuple(parts.combined))
    masks = [Item(mask, _mask(places, sets, number)) for places, mask in grouping.masks.items()]
    return Project(rows, (*(passed(item.column) for item in grouping.keys), *parts.results, *masks))


def _evaluated(plan: LogicalPlan, grouping: Grouping, column: NewColumn) -> tuple[LogicalPlan, Grouping]:
    """Subqueries in arguments become columns below: an argument may be needed several times, a subquery's plan once."""
    items: list[Item] = []

    def below(expression: Expression) -> Expression:
        if not has_subquery(expression):
            return expression
        found = column("argument", expression.type, expression.nullable)
        items.append(Item(found, expression))
        return ColumnRef(found)

    calls = tuple(AggregateItem(item.column, _changed(item.call, below)) for item in grouping.aggregates)
    if not items:
        return plan, grouping
    return Project(plan, (*map(passed, plan.output), *items)), replace(grouping, aggregates=calls)


def _changed(old: AggregateCall, change: Callable[[Expression], Expression]) -> AggregateCall:
    new = rebuild(old, change)
    assert isinstance(new, AggregateCall)
    return new


def _integer(value: int) -> Literal:
    return Literal(value, INTEGER)


def _one_of(number: Column, numbers: Sequence[int]) -> Expression:
    function = "eq" if len(numbers) == 1 else "in"
    return call(function, ColumnRef(number), *map(_integer, numbers))


def _of_sets(value: Expression, place: int, sets: Sets, number: Column) -> Expression:
    """The key's value in those sets that have it, NULL in the others."""
    having = [i for i, places in enumerate(sets) if place in places]
    if len(having) == len(sets):
        return value
    return case(((_one_of(number, having), value),), Literal(None, value.type), value.type)


def _mask(places: tuple[int, ...], sets: Sets, number: Column) -> Expression:
    """grouping(...): a bit for each argument, the last the lowest, set where the set leaves it out."""
    by_mask: dict[int, list[int]] = {}
    for i, present in enumerate(sets):
        mask = 0
        for place in places:
            mask = mask << 1 | (place not in present)
        by_mask.setdefault(mask, []).append(i)
    *first, (last, _) = by_mask.items()
    if not first:
        return _integer(last)
    return case(tuple((_one_of(number, list(i)), _integer(mask)) for mask, i in first), _integer(last), INTEGER)


@dataclass(slots=True)
class _Parts:
    """What the series multiplies: columns of the keys' values and of what the aggregates go on with."""

    plan: LogicalPlan
    keys: list[Column]
    zeros: set[int] = field(default_factory=set)  # columns that are 0, not NULL, in the row of nothing
    combined: list[AggregateItem] = field(default_factory=list)
    results: list[Item] = field(default_factory=list)


def _parts(plan: LogicalPlan, grouping: Grouping, column: NewColumn) -> _Parts:
    items = [Item(column(item.column.name, item.column.type, True), item.expression) for item in grouping.keys]
    calls = [item.call for item in grouping.aggregates]
    if items and all((c.function in _COMBINED or c.function == "avg") and not c.distinct for c in calls):
        return _of_groups(plan, items, grouping, column)
    return _of_rows(plan, items, grouping, column)


def _of_groups(plan: LogicalPlan, keys: list[Item], grouping: Grouping, column: NewColumn) -> _Parts:
    """Groups by all keys first; coarser groups are put together from their states."""
    parts = _Parts(plan, [item.column for item in keys])
    states: list[AggregateItem] = []

    class States:
        def column(self, normal: AggregateCall, wanted: Column | None = None) -> Column:
            state = column(normal.function, normal.type, normal.nullable)
            states.append(AggregateItem(state, normal))
            function = _COMBINED[normal.function]
            if normal.function in ("count", "count_star"):
                parts.zeros.add(state.id)
            result = wanted or column(normal.function, normal.type, normal.nullable)
            combined = AggregateCall(function, ColumnRef(state), normal.type, normal.nullable, position=normal.position)
            parts.combined.append(AggregateItem(result, combined))
            return result

    for item in grouping.aggregates:
        if is_computed(item.call):
            value = computed(replace(item.call, filter=None), item.column, _Filtered(States(), item.call.filter), False)
            parts.results.append(Item(item.column, value))
        else:
            parts.results.append(Item(item.column, ColumnRef(States().column(item.call, item.column))))
    parts.plan = Aggregate(plan, tuple(keys), tuple(states))
    return parts


@dataclass(frozen=True, slots=True)
class _Filtered:
    """Puts an aggregate's FILTER to the parts it is computed from."""

    calls: Calls
    filter: Expression | None

    def column(self, normal: AggregateCall, wanted: Column | None = None) -> Column:
        return self.calls.column(replace(normal, filter=self.filter), wanted)


def _of_rows(plan: LogicalPlan, keys: list[Item], grouping: Grouping, column: NewColumn) -> _Parts:
    """Every row goes to every set. `one` is NULL in the row of nothing, which no aggregate may count."""
    one = column("one", INTEGER, True)
    items = [*keys, Item(one, _integer(1))]
    parts = _Parts(plan, [item.column for item in keys])

    def below(expression: Expression) -> Expression:
        found = column("part", expression.type, True)
        items.append(Item(found, expression))
        return ColumnRef(found)

    present = call("is_not_null", ColumnRef(one))
    for item in grouping.aggregates:
        old = item.call
        argument = None if old.argument is None else below(old.argument)
        condition = present if old.filter is None else call("and", present, below(old.filter))
        extra = tuple(below(part) for part in old.extra)
        order = tuple(replace(key, expression=below(key.expression)) for key in old.order)
        new = replace(old, argument=argument, extra=extra, order=order, filter=condition)
        parts.combined.append(AggregateItem(item.column, new))
        parts.results.append(passed(item.column))
    parts.plan = Project(plan, tuple(items))
    return parts


def _with_row_of_nothing(parts: _Parts, column: NewColumn) -> tuple[LogicalPlan, Column]:
    """The parts with one row more, and the column that tells it from the others."""
    given = parts.plan.output
    flags = [column("real", BOOLEAN, False) for _ in range(3)]
    first = Project(parts.plan, (*map(passed, given), Item(flags[0], Literal(1, BOOLEAN))))
    nothing = tuple(Literal(0 if old.id in parts.zeros else None, old.type) for old in given)
    names = tuple(column(old.name, old.type, old.id not in parts.zeros) for old in given)
    second = Values((*names, flags[1]), ((*nothing, Literal(0, BOOLEAN)),))
    united = {old.id: column(old.name, old.type, old.id not in parts.zeros) for old in given}
    plan = UnionAll((*united.values(), flags[2]), (first, second))
    parts.keys = [united[key.id] for key in parts.keys]
    parts.combined = [
        AggregateItem(item.column, _renamed(item.call, {id_: ColumnRef(new) for id_, new in united.items()}))
        for item in parts.combined
    ]
    return plan, flags[2]


def _renamed(old: AggregateCall, names: Mapping[int, Expression]) -> AggregateCall:
    new = substitute(old, names)
    assert isinstance(new, AggregateCall)
    return new
