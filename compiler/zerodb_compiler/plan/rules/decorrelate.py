"""Correlated predicates of a subquery's plan, pulled up to its root, where they become the condition of a join.

    Filter l_orderkey = outer.o_orderkey and l_tax > 0    ->    Filter l_tax > 0    and    l_orderkey = outer.o_orderkey
      Scan lineitem                                               Scan lineitem

On the way up a Project passes the columns on, and an Aggregate groups by the inner side of each equality as well: the
aggregate of each outer row becomes the aggregate of each group (the "simple unnesting" of Neumann and Kemper,
"Unnesting Arbitrary Queries", BTW 2015; complete for the shapes of TPC-H). Windows are partitioned by them likewise. An
Aggregate without keys gives one row also for no input, its grouped form gives none: `Pulled.defaults` says what its
columns are for a missing group.

Limits: a correlated LIMIT, UNION, outer join condition, or an aggregate over a correlation that is not an equality,
raise NotSupportedError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.plan.logical import Aggregate, Filter, Item, Join, JoinKind, LogicalPlan, Project, Sort, Window
from zerodb_compiler.plan.rules.outer_joins import rejects_nulls
from zerodb_compiler.plan.transform import (
    Fresh,
    call,
    conjunction,
    conjuncts,
    expressions_of,
    filtered,
    free_ids,
    ids_of,
    output_ids,
    passed,
    substitute,
)
from zerodb_compiler.plan.windows import WindowSpec
from zerodb_compiler.sql.aggregates import of_nothing
from zerodb_compiler.sql.expressions import Call, Column, ColumnRef, Expression, Literal


@dataclass(slots=True)
class Pulled:
    """A plan without outer references, and the predicates over its output and outer columns that it lost. `defaults`
    is not None where an aggregate without keys got keys: the values of its columns for a group that does not exist."""

    plan: LogicalPlan
    predicates: list[Expression] = field(default_factory=list)
    defaults: Mapping[int, Expression] | None = None


def unsupported(what: str) -> NotSupportedError:
    return NotSupportedError(f"{what} is not supported")


def name_of(plan: LogicalPlan) -> str:
    """What users call a node."""
    return {"UnionAll": "UNION", "Limit": "LIMIT", "Values": "VALUES"}.get(type(plan).__name__, "a join")


def pull(plan: LogicalPlan, fresh: Fresh) -> Pulled:
    """Take the correlated predicates out of a plan. NotSupportedError where that is not possible."""
    if not free_ids(plan):
        return Pulled(plan)
    match plan:
        case Filter():
            return _filter(plan, fresh)
        case Project():
            return _project(plan, fresh)
        case Aggregate():
            return _aggregate(plan, fresh)
        case Window():
            return _window(plan, fresh)
        case Join():
            return _join(plan, fresh)
        case Sort(input=input_):  # no LIMIT above it: the order of a subquery means nothing
            return pull(input_, fresh)
    raise unsupported(f"a correlated subquery with {name_of(plan)} inside")


def _filter(plan: Filter, fresh: Fresh) -> Pulled:
    inner = pull(plan.input, fresh)
    known = output_ids(inner.plan)
    parts = conjuncts(plan.predicate)
    if inner.defaults is not None:
        counts = [
            id_ for id_, value in inner.defaults.items() if isinstance(value, Literal) and value.value is not None
        ]
        for part in parts:  # the missing group must fail the condition too
            if ids_of(part) & frozenset(counts) or not rejects_nulls(part, frozenset(inner.defaults)):
                raise unsupported("a correlated subquery with HAVING but no GROUP BY")
    kept = [part for part in parts if ids_of(part) <= known]
    pulled = [part for part in parts if not ids_of(part) <= known]
    return Pulled(filtered(inner.plan, kept), inner.predicates + pulled, inner.defaults)


def _project(plan: Project, fresh: Fresh) -> Pulled:
    inner = pull(plan.input, fresh)
    known = output_ids(inner.plan)
    if any(not ids_of(item.expression) <= known for item in plan.items):
        raise unsupported("a correlated subquery with an outer column in its select list")
    defaults = None
    if inner.defaults is not None:
        defaults = {item.column.id: substitute(item.expression, inner.defaults) for item in plan.items}
    items = plan.items + _missing(inner, {item.column.id for item in plan.items})
    return Pulled(Project(inner.plan, items), inner.predicates, defaults)


def _missing(inner: Pulled, present: set[int]) -> tuple[Item, ...]:
    """Items for the columns that the pulled predicates read."""
    columns = {column.id: column for column in inner.plan.output}
    read: dict[int, Column] = {}
    for predicate in inner.predicates:
        for id_ in sorted(ids_of(predicate)):
            if id_ in columns and id_ not in present:
                read[id_] = columns[id_]
    return tuple(passed(column) for column in read.values())


def _aggregate(plan: Aggregate, fresh: Fresh) -> Pulled:
    inner = pull(plan.input, fresh)
    known = output_ids(inner.plan)
    if any(not ids_of(expression) <= known for expression in expressions_of(plan)):
        raise unsupported("a correlated subquery with an outer column in an aggregate")
    if inner.defaults is not None:
        raise unsupported("a correlated subquery with an aggregate of an aggregate")
    keys = list(plan.keys)
    predicates: list[Expression] = []
    for predicate in inner.predicates:
        sides = equality(predicate, known)
        if sides is None:  # an outer row would meet several groups of the added key, which are one group of its own
            raise unsupported("a correlated subquery with an aggregate over a correlation that is not an equality")
        predicates.append(call("eq", ColumnRef(_key(sides[0], keys, fresh)), sides[1]))
    defaults: dict[int, Expression] | None = None
    if not plan.keys:
        defaults = {item.column.id: of_nothing(item.call) for item in plan.aggregates}
    return Pulled(Aggregate(inner.plan, tuple(keys), plan.aggregates), predicates, defaults)


def _window(plan: Window, fresh: Fresh) -> Pulled:
    """Each outer row sees the windows over its own rows: the inner sides of the equalities partition them too."""
    inner = pull(plan.input, fresh)
    known = output_ids(inner.plan)
    if any(not ids_of(expression) <= known for expression in expressions_of(plan)):
        raise unsupported("a correlated subquery with an outer column in a window")
    if inner.defaults is not None:
        raise unsupported("a correlated subquery with a window over an aggregate")
    sides = [equality(predicate, known) for predicate in inner.predicates]
    if any(side is None for side in sides):
        raise unsupported("a correlated subquery with a window over a correlation that is not an equality")
    return Pulled(partitioned(inner.plan, plan, [side[0] for side in sides if side is not None]), inner.predicates)


def partitioned(input_: LogicalPlan, plan: Window, keys: Sequence[Expression]) -> Window:
    """The windows over another input, partitioned by these keys besides."""
    specs = [WindowSpec((*spec.partition, *keys), spec.order, spec.items) for spec in plan.specs]
    return Window(input_, tuple(specs))


def equality(predicate: Expression, known: frozenset[int]) -> tuple[Expression, Expression] | None:
    """(inner expression, outer expression) of an equality between them."""
    if not (isinstance(predicate, Call) and predicate.function == "eq"):
        return None
    first, second = predicate.arguments
    one, two = ids_of(first), ids_of(second)
    if one and one <= known and not two & known:
        return first, second
    if two and two <= known and not one & known:
        return second, first
    return None


def _key(expression: Expression, keys: list[Item], fresh: Fresh) -> Column:
    """The group key that is this expression, added if there is none."""
    for item in keys:
        if item.expression == expression:
            return item.column
    if isinstance(expression, ColumnRef):
        column = expression.column
    else:
        column = Column(fresh(), "key", expression.type, expression.nullable)
    keys.append(Item(column, expression))
    return column


def _join(plan: Join, fresh: Fresh) -> Pulled:
    left = pull(plan.left, fresh)
    inner = plan.kind is JoinKind.INNER
    if not inner and free_ids(plan.right):
        raise unsupported("a correlated subquery with an outer column on the inner side of a join")
    right = pull(plan.right, fresh)
    if left.defaults is not None or right.defaults is not None:
        raise unsupported("a correlated subquery with a join of an aggregate")
    known = output_ids(left.plan) | output_ids(right.plan)
    parts = conjuncts(plan.condition)
    kept = [part for part in parts if ids_of(part) <= known]
    pulled = [part for part in parts if not ids_of(part) <= known]
    right_ids = output_ids(right.plan)
    if not inner and any(plan.kind is not JoinKind.SEMI or ids_of(part) & right_ids for part in pulled):
        raise unsupported("a correlated subquery with an outer column in the condition of a join")
    joined = Join(plan.kind, left.plan, right.plan, conjunction(kept))
    return Pulled(joined, left.predicates + right.predicates + pulled)
