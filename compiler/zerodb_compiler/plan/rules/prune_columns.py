"""Projection pushdown: every node gives only what is needed above, scans read only the columns that are used.

From the root down with the set of needed column ids. Items and aggregates nobody reads go away, and so does a Project
that passes on just what its input gives; a Project over a Project is merged where that computes nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from zerodb_compiler.plan.logical import (
    Aggregate,
    CommonScan,
    Filter,
    Item,
    Join,
    JoinKind,
    Lateral,
    Limit,
    LogicalPlan,
    MapExternal,
    MarkJoin,
    Number,
    Project,
    Recursive,
    Repeat,
    Scan,
    Sort,
    TableFunction,
    UnionAll,
    Values,
    Window,
    With,
    inputs,
)
from zerodb_compiler.plan.transform import (
    Fresh,
    ids_of,
    ids_of_all,
    inputs_of,
    map_items,
    output_ids,
    passed,
    substitute,
    with_inputs,
)
from zerodb_compiler.plan.windows import WindowSpec, spec_expressions
from zerodb_compiler.sql.expressions import ColumnRef, Expression, Literal, Parameter, walk
from zerodb_compiler.sql.external import VOLATILE


def prune_columns(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    """The root keeps its output exactly, in order."""
    pruned = _prune(plan, {column.id for column in plan.output})
    if [column.id for column in pruned.output] == [column.id for column in plan.output]:
        return pruned
    return Project(pruned, tuple(passed(column) for column in plan.output))


def _prune(plan: LogicalPlan, needed: Set[int]) -> LogicalPlan:
    match plan:
        case Scan(table=table, columns=columns, row_id=row_id):
            kept = tuple([item for item in columns if item.column.id in needed])
            rows = row_id if row_id is not None and row_id.id in needed else None
            return plan if len(kept) == len(columns) and rows is row_id else Scan(table, kept, rows)
        case Values(columns=columns, rows=values):
            places = [i for i, column in enumerate(columns) if column.id in needed]
            if len(places) == len(columns):
                return plan
            return Values(tuple(columns[i] for i in places), tuple(tuple(row[i] for i in places) for row in values))
        case Filter(input=input_, predicate=predicate):
            inner = _prune(input_, needed | ids_of(predicate))
            return plan if inner is input_ else Filter(inner, predicate)
        case Project():
            return _project(plan, needed)
        case Join():
            return _join(plan, needed)
        case Aggregate(input=input_, keys=keys, aggregates=aggregates):
            calls = tuple([item for item in aggregates if item.column.id in needed])
            used = ids_of_all([item.expression for item in keys]) | ids_of_all(item.call for item in calls)
            inner = _prune(input_, used)
            if inner is input_ and len(calls) == len(aggregates):
                return plan
            return Aggregate(inner, keys, calls)
        case Sort(input=input_, keys=sort_keys):
            inner = _prune(input_, needed | ids_of_all(key.expression for key in sort_keys))
            return plan if inner is input_ else Sort(inner, sort_keys)
        case Window():
            return _window(plan, needed)
        case MapExternal(input=input_, items=external):
            # PostgreSQL computes no column that nobody reads either, unless it is volatile.
            wanted = tuple([i for i in external if i.column.id in needed or i.call.function.volatility == VOLATILE])
            inner = _prune(input_, needed | ids_of_all(part for item in wanted for part in item.parts))
            if inner is input_ and len(wanted) == len(external):
                return plan
            return MapExternal(inner, wanted) if wanted else inner
        case Limit(input=input_, count=count, offset=offset):
            inner = _prune(input_, needed)
            return plan if inner is input_ else Limit(inner, count, offset)
        case UnionAll():
            return _union(plan, needed)
        case TableFunction(input=input_, calls=calls, ordinality=ordinality, outer=outer):
            used = ids_of_all(argument for item in calls for argument in item.arguments)
            inner = _prune(input_, needed | used)
            numbered = ordinality if ordinality is not None and ordinality.id in needed else None
            if inner is input_ and numbered is ordinality:
                return plan
            return TableFunction(inner, calls, numbered, outer)
        case MarkJoin(left=left, right=right, condition=condition, test=test, mark=mark):
            if mark.id not in needed:
                return _prune(left, needed)
            used = ids_of_all([part for part in (condition, test) if part is not None])
            return with_inputs(plan, [_prune(left, needed | used), _prune(right, used)])
        case Number(input=input_, partition=partition, peers=peers):
            return with_inputs(plan, [_prune(input_, needed | {column.id for column in (*partition, *peers)})])
        case Repeat(input=input_, count=times):
            return with_inputs(plan, [_prune(input_, needed | ids_of(times))])
        case CommonScan():
            return plan
        case Recursive():
            return with_inputs(plan, [_whole(part) for part in inputs_of(plan)])
        case With(definitions=definitions, body=body):
            return with_inputs(plan, [*(_whole(item.plan) for item in definitions), _prune(body, needed)])
        case Lateral():
            raise AssertionError(plan)


def _whole(plan: LogicalPlan) -> LogicalPlan:
    """All columns, in their places."""
    inner = _prune(plan, {column.id for column in plan.output})
    if [column.id for column in inner.output] == [column.id for column in plan.output]:
        return inner
    return Project(inner, tuple(passed(column) for column in plan.output))


def _project(plan: Project, needed: Set[int]) -> LogicalPlan:
    items = tuple([item for item in plan.items if item.column.id in needed])
    input_ = plan.input
    while isinstance(input_, Project) and _mergeable(items, input_):
        mapping = {item.column.id: item.expression for item in input_.items}
        items = map_items(items, lambda part, inner=mapping: substitute(part, inner))  # type: ignore[misc]
        input_ = input_.input
    inner = _prune(input_, ids_of_all(item.expression for item in items))
    if _passes_all(items, inner):
        return inner
    return plan if inner is plan.input and len(items) == len(plan.items) else Project(inner, items)


def _passes_all(items: tuple[Item, ...], inner: LogicalPlan) -> bool:
    """Whether the items give just the input's columns (one that drops columns stays: it ends their lives)."""
    if any(not isinstance(item.expression, ColumnRef) or item.expression.column.id != item.column.id for item in items):
        return False
    return {item.column.id for item in items} == output_ids(inner)


def _mergeable(items: Iterable[Item], inner: Project) -> bool:
    """Whether no computed inner column is read more than once."""
    computed = {item.column.id for item in inner.items if not _is_plain(item.expression)}
    seen: set[int] = set()
    for item in items:
        for id_ in _references(item.expression):
            if id_ in computed:
                if id_ in seen:
                    return False
                seen.add(id_)
    return True


def _references(expression: Expression) -> list[int]:
    return [part.column.id for part in walk(expression) if isinstance(part, ColumnRef)]


def _is_plain(expression: Expression) -> bool:
    return isinstance(expression, (ColumnRef, Literal, Parameter))


def _join(plan: Join, needed: Set[int]) -> LogicalPlan:
    is_read = plan.kind is not JoinKind.SINGLE or any(column.id in needed for column in plan.right.output)
    if not is_read and not _is_volatile(plan.right):
        return _prune(plan.left, needed)  # nobody reads the subquery's value: it is not computed, nor whether it is one
    used = needed if plan.condition is None else needed | ids_of(plan.condition)
    left, right = _prune(plan.left, used), _prune(plan.right, used)
    if left is plan.left and right is plan.right:
        return plan
    return Join(plan.kind, left, right, plan.condition)


def _is_volatile(plan: LogicalPlan) -> bool:
    """Whether a volatile function is called in it."""
    if isinstance(plan, MapExternal) and any(item.call.function.volatility == VOLATILE for item in plan.items):
        return True
    return any(map(_is_volatile, inputs(plan)))


def _window(plan: Window, needed: Set[int]) -> LogicalPlan:
    """Functions nobody reads go away, with their window if it has no other."""
    specs: list[WindowSpec] = []
    for spec in plan.specs:
        items = tuple([item for item in spec.items if item.column.id in needed])
        if items:
            specs.append(spec if len(items) == len(spec.items) else WindowSpec(spec.partition, spec.order, items))
    used = needed | ids_of_all(part for spec in specs for part in spec_expressions(spec))
    inner = _prune(plan.input, used)
    if not specs:
        return inner
    if inner is plan.input and tuple(specs) == plan.specs:
        return plan
    return Window(inner, tuple(specs))


def _union(plan: UnionAll, needed: Set[int]) -> LogicalPlan:
    places = [i for i, column in enumerate(plan.columns) if column.id in needed]
    if not places:  # rows still count
        places = [0] if plan.columns else []
    inputs = []
    for part in plan.inputs:
        output = part.output
        wanted = [output[i] for i in places]
        inner = _prune(part, {column.id for column in wanted})
        if [column.id for column in inner.output] != [column.id for column in wanted]:
            inner = Project(inner, tuple(passed(column) for column in wanted))
        inputs.append(inner)
    if len(places) == len(plan.columns) and all(new is old for new, old in zip(inputs, plan.inputs, strict=True)):
        return plan
    return UnionAll(tuple(plan.columns[i] for i in places), tuple(inputs))
