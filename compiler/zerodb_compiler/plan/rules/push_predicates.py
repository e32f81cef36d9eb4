"""Predicate pushdown: every condition is evaluated as early as it can be.

A maximal tree of inner joins and filters is a *region*: all its conjuncts go into one list, and each goes to the one
leaf it reads, or to the lowest inner join that has all it reads. On the way

    * constants travel along equalities:       a = b and a = 5           gives  b = 5
    * an OR implies a condition per leaf:      (n1 = F and n2 = G) or (n1 = G and n2 = F)   gives  n1 in (F, G)
                                               (the OR itself stays where both sides are known; TPC-H Q7, Q19)

Through the other nodes: Project (columns replaced by what they stand for), Aggregate (conditions on group keys),
UnionAll (into every input), Sort, Window (conditions on the columns all windows are partitioned by), the
preserved side of outer and semi joins; the parts of their own condition that read only the right side go there. Limit
stops everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zerodb_compiler.plan.logical import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    LogicalPlan,
    MapExternal,
    MarkJoin,
    Number,
    Project,
    Sort,
    TableFunction,
    UnionAll,
    Window,
)
from zerodb_compiler.plan.rules.simplify import simplified
from zerodb_compiler.plan.transform import (
    Fresh,
    conjunction,
    conjuncts,
    disjunction,
    disjuncts,
    filtered,
    ids_of,
    inputs_of,
    output_ids,
    same_key,
    substitute,
    with_inputs,
)
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression, Literal, Parameter

Predicates = Sequence[Expression]

_CARRIED = frozenset({"eq", "lt", "le", "gt", "ge", "in"})


def push_predicates(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return _push(plan, ())


def _push(plan: LogicalPlan, predicates: Predicates) -> LogicalPlan:
    """The plan with the predicates (over its output) applied as deep within it as possible."""
    match plan:
        case Filter(input=input_, predicate=predicate) if not isinstance(input_, Join):
            return _push(input_, [*conjuncts(predicate), *predicates])
        case Filter() | Join(kind=JoinKind.INNER):
            return _region(plan, predicates)
        case Join():
            return _other_join(plan, predicates)
        case Project(input=input_, items=items):
            mapping = {item.column.id: item.expression for item in items}
            return with_inputs(plan, [_push(input_, [_replaced(part, mapping) for part in predicates])])
        case Aggregate(input=input_, keys=keys):
            mapping = {item.column.id: item.expression for item in keys}
            below, above = _split(predicates, frozenset(mapping))
            inner = _push(input_, [_replaced(part, mapping) for part in below])
            return filtered(with_inputs(plan, [inner]), above)
        case UnionAll(columns=columns, inputs=inputs):
            parts = []
            for part in inputs:
                pairs = zip(columns, part.output, strict=True)
                mapping = {column.id: ColumnRef(source) for column, source in pairs}
                parts.append(_push(part, [_replaced(predicate, mapping) for predicate in predicates]))
            return with_inputs(plan, parts)
        case Sort(input=input_):
            return with_inputs(plan, [_push(input_, predicates)])
        case TableFunction(input=input_) | MapExternal(input=input_):
            below, above = _split(predicates, output_ids(input_))
            return filtered(with_inputs(plan, [_push(input_, below)]), above)
        case Window(input=input_):
            below, above = _split(predicates, _partition_ids(plan))
            return filtered(with_inputs(plan, [_push(input_, below)]), above)
        case Number(input=input_, partition=partition):
            below, above = _split(predicates, frozenset(column.id for column in partition))
            return filtered(with_inputs(plan, [_push(input_, below)]), above)
        case MarkJoin(left=left, right=right, condition=condition, test=test, mark=mark):
            to_left, above = _split(predicates, output_ids(left))
            to_right, kept = _split(conjuncts(condition), output_ids(right))
            marked = MarkJoin(_push(left, to_left), _push(right, to_right), conjunction(kept), test, mark)
            return filtered(marked, above)
    below_plans = [_push(part, ()) for part in inputs_of(plan)]
    return filtered(with_inputs(plan, below_plans) if below_plans else plan, predicates)


def _partition_ids(plan: Window) -> frozenset[int]:
    """The columns that all windows are partitioned by: a condition on them removes whole partitions."""
    partitions = [
        frozenset(part.column.id for part in spec.partition if isinstance(part, ColumnRef)) for spec in plan.specs
    ]
    return frozenset.intersection(*partitions)


def _replaced(predicate: Expression, mapping: dict[int, Expression]) -> Expression:
    return simplified(substitute(predicate, mapping)) if mapping else predicate


def _split(predicates: Iterable[Expression], ids: frozenset[int]) -> tuple[list[Expression], list[Expression]]:
    """Those that read some of `ids` and nothing else, and the others."""
    inside: list[Expression] = []
    outside: list[Expression] = []
    for predicate in predicates:
        used = ids_of(predicate)
        (inside if used and used <= ids else outside).append(predicate)
    return inside, outside


# --- inner joins ----------------------------------------------------------------------------------------------------
def _region(plan: LogicalPlan, predicates: Predicates) -> LogicalPlan:
    leaves: list[LogicalPlan] = []
    parts: list[Expression] = []
    _flatten(plan, leaves, parts)
    parts.extend(predicates)
    if len(leaves) == 1:
        return _push(leaves[0], parts)
    parts = carried(_distinct(parts))
    ids = [output_ids(leaf) for leaf in leaves]
    local: list[list[Expression]] = [[] for _ in leaves]
    shared: list[tuple[Expression, frozenset[int]]] = []
    constant: list[Expression] = []
    for part in parts:
        used = ids_of(part)
        if not used:
            constant.append(part)
            continue
        place = next((i for i, known in enumerate(ids) if used <= known), None)
        if place is not None:
            local[place].append(part)
            continue
        shared.append((part, used))
        for i, known in enumerate(ids):
            if known & used:
                derived = implied(part, known)
                if derived is not None:
                    local[i].extend(conjuncts(derived))
    pushed = [_push(leaf, _distinct(own)) for leaf, own in zip(leaves, local, strict=True)]
    return filtered(_joined(pushed, ids, shared), constant)


def _flatten(plan: LogicalPlan, leaves: list[LogicalPlan], parts: list[Expression]) -> None:
    match plan:
        case Join(kind=JoinKind.INNER, left=left, right=right, condition=condition):
            _flatten(left, leaves, parts)
            _flatten(right, leaves, parts)
            parts.extend(conjuncts(condition))
        case Filter(input=input_, predicate=predicate):
            _flatten(input_, leaves, parts)
            parts.extend(conjuncts(predicate))
        case _:
            leaves.append(plan)


def _joined(
    leaves: list[LogicalPlan], ids: list[frozenset[int]], shared: list[tuple[Expression, frozenset[int]]]
) -> LogicalPlan:
    """A left-deep tree in the order of the text; each condition at the lowest join that can evaluate it."""
    plan, known = leaves[0], ids[0]
    rest = shared
    for leaf, own in zip(leaves[1:], ids[1:], strict=True):
        known |= own
        here = [part for part, used in rest if used <= known]
        rest = [(part, used) for part, used in rest if not used <= known]
        plan = Join(JoinKind.INNER, plan, leaf, conjunction(here))
    return filtered(plan, [part for part, _ in rest])


def _distinct(parts: Iterable[Expression]) -> list[Expression]:
    return list({same_key(part): part for part in parts}.values())


def carried(parts: list[Expression]) -> list[Expression]:
    """The conjuncts and what follows from them by replacing columns by equal columns in comparisons with constants."""
    classes = _equal_columns(parts)
    if not classes:
        return parts
    known = {same_key(part) for part in parts}
    found = list(parts)
    for part in parts:
        subject = _constant_comparison(part)
        if subject is None:
            continue
        for other in classes.get(subject.column.id, {}).values():
            if other.column.id == subject.column.id:
                continue
            new = substitute(part, {subject.column.id: other})
            key = same_key(new)
            if key not in known:
                known.add(key)
                found.append(new)
    return found


def _equal_columns(parts: Iterable[Expression]) -> dict[int, dict[int, ColumnRef]]:
    """For each column in an equality with another column: all columns equal to it."""
    classes: dict[int, dict[int, ColumnRef]] = {}
    for part in parts:
        match part:
            case Call(function="eq", arguments=(ColumnRef(column=first) as left, ColumnRef(column=second) as right)):
                merged = {
                    **classes.get(first.id, {first.id: left}),
                    **classes.get(second.id, {second.id: right}),
                }
                for id_ in merged:
                    classes[id_] = merged
    return classes


def _constant_comparison(part: Expression) -> ColumnRef | None:
    """The column, if the predicate compares just one column with constants."""
    match part:
        case Call(function=function, arguments=(ColumnRef() as subject, *values)) if function in _CARRIED:
            return subject if all(isinstance(value, (Literal, Parameter)) for value in values) else None
        case Call(function=function, arguments=(Literal() | Parameter(), ColumnRef() as subject)):
            return subject if function in _CARRIED else None
    return None


def implied(predicate: Expression, ids: frozenset[int]) -> Expression | None:
    """What a predicate implies for the columns `ids` alone: for an OR, the OR of the parts that read only them."""
    if not (isinstance(predicate, Call) and predicate.function == "or"):
        return None
    branches: list[Expression] = []
    for branch in disjuncts(predicate):
        inside, _ = _split(conjuncts(branch), ids)
        part = conjunction(inside)
        if part is None:
            return None
        branches.append(part)
    return simplified(disjunction(branches))


# --- other joins ----------------------------------------------------------------------------------------------------
def _other_join(plan: Join, predicates: Predicates) -> LogicalPlan:
    """LEFT, FULL, SINGLE, SEMI and the ANTI joins."""
    if plan.kind is JoinKind.FULL:
        return filtered(with_inputs(plan, [_push(plan.left, ()), _push(plan.right, ())]), predicates)
    left_ids, right_ids = output_ids(plan.left), output_ids(plan.right)
    to_left, above = _split(predicates, left_ids)
    condition = conjuncts(plan.condition)
    if plan.kind is JoinKind.ANTI_NULL_AWARE:
        return filtered(with_inputs(plan, [_push(plan.left, to_left), _push(plan.right, ())]), above)
    known = {same_key(part) for part in condition}
    extra = [part for part in carried([*to_left, *condition]) if same_key(part) not in known]
    to_right, kept = _split(condition, right_ids)
    to_right.extend(_split(extra, right_ids)[0])
    if plan.kind is JoinKind.SEMI:  # a left row that fails the condition's left part has no match: drop it early
        more, kept = _split(kept, left_ids)
        to_left.extend(more)
        known_left = {same_key(part) for part in to_left}
        derived = carried([*to_right, *kept, *to_left])
        to_left.extend(part for part in _split(derived, left_ids)[0] if same_key(part) not in known_left)
    joined = Join(plan.kind, _push(plan.left, to_left), _push(plan.right, to_right), conjunction(kept))
    return filtered(joined, above)
