"""Calls of external functions are taken out of expressions: a MapExternal beneath computes them, rows by the block.

    Project f(a) + 1              Project x + 1
      Scan t              gives     MapExternal x := f(a)
                                      Scan t

Calls of volatile functions are placed right after unnesting, before any rule could copy them; all others at the end,
where the conditions they stand in have found their places. What must hold:

    branches    a call in a branch of CASE (COALESCE is one), or behind AND and OR, is guarded: the host leaves rows out
                for which the branch is not taken. Which branch that is, is computed once, as a number.
    filters     conditions without calls come first, then those with calls, one after the other
    joins       a call whose arguments are of one side (of a WHERE over inner joins: of one of the tables) is computed
                there, so that it can be a key; a condition of an inner join with calls over both is a filter above it
    LIMIT       comes before the calls, where these do not decide which rows there are

Not supported (0A000): calls over both sides in the condition of any other join; in LIMIT; of volatile functions in
correlated subqueries, which are computed for sets of values and not for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    ExternalItem,
    Filter,
    Item,
    Join,
    JoinKind,
    Limit,
    LogicalPlan,
    MapExternal,
    MarkJoin,
    Project,
    Sort,
    SortKey,
    TableFunction,
    UnionAll,
    Values,
    Window,
)
from zerodb_compiler.plan.transform import (
    FALSE,
    TRUE,
    Fresh,
    call,
    case,
    conjunction,
    conjuncts,
    expressions_of,
    filtered,
    ids_of,
    inputs_of,
    map_external,
    map_plan,
    map_table_call,
    output_ids,
    passed,
    rebuild,
    same_key,
    with_inputs,
)
from zerodb_compiler.plan.widening import restored, widened
from zerodb_compiler.plan.windows import map_spec
from zerodb_compiler.sql.expressions import (
    AggregateCall,
    Call,
    Case,
    Cast,
    Column,
    ColumnRef,
    Expression,
    ExternalCall,
    Literal,
    children,
    walk,
)
from zerodb_compiler.sql.external import VOLATILE
from zerodb_compiler.types import BOOLEAN, INTEGER

Wanted = Callable[[ExternalCall], bool]


def place_volatile_calls(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return _placed(plan, fresh, _is_volatile)


def place_external_calls(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    placed = _placed(plan, fresh, lambda _call: True)
    return map_plan(placed, _limited) if _has_maps(placed) else placed


def _is_volatile(external: ExternalCall) -> bool:
    return external.function.volatility == VOLATILE


# --- nodes ----------------------------------------------------------------------------------------------------------
def _placed(plan: LogicalPlan, fresh: Fresh, wanted: Wanted) -> LogicalPlan:
    return restored(widened(plan, lambda part: _node(part, fresh, wanted)), plan)


def _has(expression: Expression, wanted: Wanted) -> bool:
    if isinstance(expression, ExternalCall) and wanted(expression):
        return True
    return any(_has(part, wanted) for part in children(expression))


def _node(plan: LogicalPlan, fresh: Fresh, wanted: Wanted) -> LogicalPlan:
    if not any(_has(part, wanted) for part in expressions_of(plan)):
        return plan
    match plan:
        case Filter(input=input_, predicate=predicate):
            return _filter(input_, conjuncts(predicate), fresh, wanted)
        case Join():
            return _join(plan, fresh, wanted)
        case MarkJoin():
            return _mark_join(plan, fresh, wanted)
        case Values(columns=columns, rows=rows):
            return _values(columns, rows, fresh, wanted)
        case Project() | Aggregate() | Sort() | Window() | TableFunction() | MapExternal():
            return _over_calls(plan, _Calls(plan.input, fresh, wanted))
    found = next(part for whole in expressions_of(plan) for part in walk(whole) if isinstance(part, ExternalCall))
    raise NotSupportedError(
        f"the function {found.function.name} in {type(plan).__name__.upper()} is not supported", position=found.position
    )


def _over_calls(plan: Project | Aggregate | Sort | Window | TableFunction | MapExternal, calls: _Calls) -> LogicalPlan:
    """The node over the calls of its expressions."""
    match plan:
        case Project(items=items):
            renewed = _taken(items, calls)
            return Project(calls.done(), renewed)
        case Aggregate(keys=keys, aggregates=aggregates):
            grouped = _taken(keys, calls)
            computed = tuple([AggregateItem(item.column, calls.aggregate(item.call)) for item in aggregates])
            return Aggregate(calls.done(), grouped, computed)
        case Sort(keys=sort_keys):
            sorts = tuple([SortKey(calls.take(k.expression), k.descending, k.nulls_first) for k in sort_keys])
            return Sort(calls.done(), sorts)
        case Window(specs=specs):
            changed = tuple([map_spec(spec, calls.window_part) for spec in specs])
            return Window(calls.done(), changed)
        case MapExternal(items=external):
            inner = tuple([map_external(item, calls.take) for item in external])
            return MapExternal(calls.done(), inner)
        case TableFunction():
            given = tuple([map_table_call(item, calls.take) for item in plan.calls])
            return TableFunction(calls.done(), given, plan.ordinality, plan.outer)


def _taken(items: Sequence[Item], calls: _Calls) -> tuple[Item, ...]:
    return tuple([Item(item.column, calls.take(item.expression)) for item in items])


def _filter(input_: LogicalPlan, parts: Sequence[Expression], fresh: Fresh, wanted: Wanted) -> LogicalPlan:
    plain = [part for part in parts if not _has(part, wanted)]
    others = [part for part in parts if _has(part, wanted)]
    leaves = _leaves(input_)
    if len(leaves) > 1:  # no call may keep the conditions of inner joins from what they join
        sides = _Sides(leaves, fresh, wanted)
        taken = [sides.take(part) for part in others]
        input_ = _with_leaves(input_, iter(sides.done()))
        plain += [part for part in taken if part is not None]
        others = [part for part, found in zip(others, taken, strict=True) if found is None]
    calls = _Calls(filtered(input_, plain), fresh, wanted)
    for part in others:
        calls.filter(calls.take(part))
    return calls.done()


def _leaves(plan: LogicalPlan) -> list[LogicalPlan]:
    """What a tree of inner joins joins."""
    if isinstance(plan, Join) and plan.kind is JoinKind.INNER:
        return [*_leaves(plan.left), *_leaves(plan.right)]
    return [plan]


def _with_leaves(plan: LogicalPlan, leaves: Iterator[LogicalPlan]) -> LogicalPlan:
    if isinstance(plan, Join) and plan.kind is JoinKind.INNER:
        left = _with_leaves(plan.left, leaves)
        return with_inputs(plan, [left, _with_leaves(plan.right, leaves)])
    return next(leaves)


def _values(
    columns: tuple[Column, ...], rows: Sequence[tuple[Expression, ...]], fresh: Fresh, wanted: Wanted
) -> LogicalPlan:
    """Rows with calls are selects of their own."""
    inputs: list[LogicalPlan] = []
    plain: list[tuple[Expression, ...]] = []

    def end_plain() -> None:
        if plain:
            names = [Column(fresh(), column.name, column.type, column.nullable) for column in columns]
            inputs.append(Values(tuple(names), tuple(plain)))
            plain.clear()

    for row in rows:
        if not any(_has(value, wanted) for value in row):
            plain.append(row)
            continue
        end_plain()
        items = [
            Item(Column(fresh(), column.name, column.type, value.nullable), value)
            for column, value in zip(columns, row, strict=True)
        ]
        calls = _Calls(Values((), ((),)), fresh, wanted)
        taken = _taken(items, calls)
        inputs.append(Project(calls.done(), taken))
    end_plain()
    return UnionAll(columns, tuple(inputs))


# --- joins ----------------------------------------------------------------------------------------------------------
def _join(plan: Join, fresh: Fresh, wanted: Wanted) -> LogicalPlan:
    sides = _Sides([plan.left, plan.right], fresh, wanted)
    kept: list[Expression] = []
    above: list[Expression] = []
    for part in conjuncts(plan.condition):
        taken = sides.take(part)
        if taken is not None:
            kept.append(taken)
        elif plan.kind is JoinKind.INNER:
            above.append(part)
        else:
            raise _both_sides(part)
    left, right = sides.done()
    return _filter(Join(plan.kind, left, right, conjunction(kept)), above, fresh, wanted)


def _mark_join(plan: MarkJoin, fresh: Fresh, wanted: Wanted) -> LogicalPlan:
    sides = _Sides([plan.left, plan.right], fresh, wanted)

    def taken(part: Expression) -> Expression:
        found = sides.take(part)
        if found is None:
            raise _both_sides(part)
        return found

    kept = [taken(part) for part in conjuncts(plan.condition)]
    test = None if plan.test is None else taken(plan.test)
    left, right = sides.done()
    return MarkJoin(left, right, conjunction(kept), test, plan.mark)


def _both_sides(part: Expression) -> NotSupportedError:
    found = next(part for part in walk(part) if isinstance(part, ExternalCall))
    what = f"the function {found.function.name} over both sides of an outer join, or of a subquery's condition,"
    return NotSupportedError(f"{what} is not supported", position=found.position)


class _Sides:
    """The calls of a join's condition, each on the side that its arguments are of."""

    def __init__(self, sides: Sequence[LogicalPlan], fresh: Fresh, wanted: Wanted) -> None:
        self._wanted = wanted
        self._sides = [(output_ids(side), _Calls(side, fresh, wanted)) for side in sides]

    def take(self, part: Expression) -> Expression | None:
        """The part over the results of its calls; None if one reads several sides."""
        if not _has(part, self._wanted):
            return part
        ids = ids_of(part)
        for known, calls in self._sides:
            if ids <= known:
                return calls.take(part)
        if not isinstance(part, Call | Cast) or (isinstance(part, Call) and part.function in ("and", "or")):
            return None
        found = [self.take(argument) for argument in children(part)]
        if any(argument is None for argument in found):
            return None
        renewed = iter(found)
        return rebuild(part, lambda argument: next(renewed) or argument)

    def done(self) -> list[LogicalPlan]:
        return [calls.done() for _, calls in self._sides]


# --- calls ----------------------------------------------------------------------------------------------------------
class _Calls:
    """Puts calls on top of a plan, and gives expressions that read their results."""

    def __init__(self, plan: LogicalPlan, fresh: Fresh, wanted: Wanted) -> None:
        self._plan, self._fresh, self._wanted = plan, fresh, wanted
        self._open: list[ExternalItem] = []  # of the MapExternal that comes next
        self._known = _results(plan)

    def done(self) -> LogicalPlan:
        """The plan with all calls."""
        if self._open:
            self._plan = MapExternal(self._plan, tuple(self._open))
            self._open = []
        return self._plan

    def filter(self, predicate: Expression) -> None:
        self._plan = Filter(self.done(), predicate)

    def take(self, expression: Expression, guard: Expression | None = None) -> Expression:
        """The expression over the results of its calls; these are made where `guard` is true."""
        if not _has(expression, self._wanted):
            return expression
        match expression:
            case ExternalCall() if self._wanted(expression):
                return self._call(expression, guard)
            case Case():
                return self._case(expression, guard)
            case Call(function="and" | "or"):
                return self._connected(expression, guard)
        return rebuild(expression, lambda part: self.take(part, guard))

    def aggregate(self, call_: AggregateCall) -> AggregateCall:
        """An aggregate calls for the rows that its FILTER lets through."""
        where = None if call_.filter is None else self.take(call_.filter)
        return replace(
            call_,
            argument=None if call_.argument is None else self.take(call_.argument, where),
            filter=where,
            extra=tuple([self.take(part, where) for part in call_.extra]),
            order=tuple([replace(key, expression=self.take(key.expression, where)) for key in call_.order]),
        )

    def window_part(self, part: Expression) -> Expression:
        return self.aggregate(part) if isinstance(part, AggregateCall) else self.take(part)

    def _call(self, external: ExternalCall, guard: Expression | None) -> Expression:
        arguments = tuple([self.take(argument, guard) for argument in external.arguments])
        external = replace(external, arguments=arguments)
        key, guarded = same_key(external), None if guard is None else same_key(guard)
        found = self._known.get(key)
        # A volatile call that stands in several places was evaluated first where the others need it.
        if found is not None and (found[1] is None or found[1] == guarded or external.site):
            return ColumnRef(found[0])
        item = ExternalItem(Column(self._fresh(), external.function.name, external.type, True), external, guard)
        needed = frozenset().union(*map(ids_of, item.parts)) if item.parts else frozenset()
        if needed & {other.column.id for other in self._open}:
            self.done()
        self._open.append(item)
        self._known[key] = item.column, guarded
        return ColumnRef(item.column)

    def _case(self, expression: Case, guard: Expression | None) -> Expression:
        conditions: list[Expression] = []
        for when, _ in expression.branches:
            conditions.append(self.take(when, _unless(conditions, guard)))
        branches = tuple(zip(conditions, (then for _, then in expression.branches), strict=True))
        if not any(_has(part, self._wanted) for part in (expression.default, *(then for _, then in branches))):
            return case(branches, expression.default, expression.type)
        numbers = [(when, _number(i + 1)) for i, when in enumerate(conditions)]
        if guard is not None:
            numbers.insert(0, (call("not", call("is_true", guard)), _number(-1)))
        branch = self._defined("branch", case(tuple(numbers), _number(0), INTEGER))

        def taken(place: int, result: Expression) -> tuple[Expression, Expression]:
            chosen = call("eq", branch, _number(place))
            return chosen, self.take(result, chosen)

        results = tuple([taken(i + 1, then) for i, (_, then) in enumerate(branches)])
        return case(results, taken(0, expression.default)[1], expression.type)

    def _defined(self, name: str, expression: Expression) -> ColumnRef:
        """A column that is computed beneath."""
        plan = self.done()
        column = Column(self._fresh(), name, expression.type, expression.nullable)
        self._plan = Project(plan, (*map(passed, plan.output), Item(column, expression)))
        return ColumnRef(column)

    def _connected(self, expression: Call, guard: Expression | None) -> Expression:
        """AND and OR, from left to right, as far as the value is open."""
        ends = "is_false" if expression.function == "and" else "is_true"
        parts: list[Expression] = []
        for part in expression.arguments:
            decided = [call(ends, before) for before in parts]
            parts.append(self.take(part, _unless(decided, guard)) if _has(part, self._wanted) else part)
        return call(expression.function, *parts)


def _results(plan: LogicalPlan) -> dict[object, tuple[Column, object]]:
    """The calls whose results a plan gives, by what they compute: the column, and the guard it has."""
    known: dict[object, tuple[Column, object]] = {}
    given = output_ids(plan)
    while isinstance(plan, MapExternal | Filter | Sort | Limit | Project):
        if isinstance(plan, MapExternal):
            for item in plan.items:
                if item.column.id in given:
                    guard = None if item.guard is None else same_key(item.guard)
                    known.setdefault(same_key(item.call), (item.column, guard))
        plan = plan.input
    return known


def _number(value: int) -> Literal:
    return Literal(value, INTEGER)


def _unless(conditions: Sequence[Expression], guard: Expression | None) -> Expression | None:
    """Whether the guard is true and none of the conditions is, evaluated from left to right."""
    if not conditions:
        return guard
    branches = [(condition, FALSE) for condition in conditions]
    if guard is not None:
        branches.insert(0, (call("not", call("is_true", guard)), FALSE))
    return case(tuple(branches), TRUE, BOOLEAN)


# --- LIMIT ----------------------------------------------------------------------------------------------------------
def _has_maps(plan: LogicalPlan) -> bool:
    return isinstance(plan, MapExternal) or any(map(_has_maps, inputs_of(plan)))


def _limited(plan: LogicalPlan) -> LogicalPlan:
    """LIMIT, and ORDER BY with it, below the calls that decide neither."""
    if not isinstance(plan, Limit):
        return plan
    steps, below = _steps(plan.input)
    if isinstance(below, Sort) and not steps:
        return _sorted_first(plan, below)
    if not any(isinstance(step, MapExternal) for step in steps):
        return plan
    if isinstance(below, Sort):
        below = _sorted_first(Limit(below, plan.count, plan.offset), below)
    else:
        below = Limit(below, plan.count, plan.offset)
    return _rebuilt(steps, below)


def _sorted_first(plan: Limit, sort: Sort) -> LogicalPlan:
    """LIMIT over ORDER BY, whose keys may be columns of what the calls are computed from."""
    steps, below = _steps(sort.input)
    if not any(isinstance(step, MapExternal) for step in steps):
        return plan
    known = output_ids(below)
    keys: list[SortKey] = []
    for key in sort.keys:
        column = _source(key.expression, steps)
        if column is None or column.id not in known:
            return plan
        keys.append(replace(key, expression=ColumnRef(column)))
    return _rebuilt(steps, Limit(Sort(below, tuple(keys)), plan.count, plan.offset))


def _steps(plan: LogicalPlan) -> tuple[list[Project | MapExternal], LogicalPlan]:
    """The nodes that change no row from `plan` down, and what is beneath."""
    steps: list[Project | MapExternal] = []
    while isinstance(plan, Project | MapExternal):
        steps.append(plan)
        plan = plan.input
    return steps, plan


def _rebuilt(steps: Sequence[LogicalPlan], below: LogicalPlan) -> LogicalPlan:
    for step in reversed(steps):
        below = with_inputs(step, [below])
    return below


def _source(expression: Expression, steps: Sequence[Project | MapExternal]) -> Column | None:
    """The column beneath the steps that the expression is."""
    for step in steps:
        if isinstance(step, Project) and isinstance(expression, ColumnRef):
            found = [item.expression for item in step.items if item.column.id == expression.column.id]
            expression = found[0] if found else expression
    return expression.column if isinstance(expression, ColumnRef) else None
