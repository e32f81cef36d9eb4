"""LEFT joins become inner where a condition above rejects the rows they would fill with NULLs.

A predicate rejects them if it cannot be true when all columns of the right side are NULL: comparisons and other strict
functions of a right column, IS NOT NULL, an AND with such a part, an OR of such parts. Conditions are collected from
the root down: filters, and the conditions of inner and semi joins.
"""

from __future__ import annotations

from zerodb_compiler.plan.logical import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    LogicalPlan,
    MarkJoin,
    Project,
    Sort,
)
from zerodb_compiler.plan.transform import (
    Fresh,
    conjuncts,
    ids_of,
    inputs_of,
    is_strict,
    output_ids,
    substitute,
    with_inputs,
)
from zerodb_compiler.sql.expressions import Call, Cast, ColumnRef, Expression, Literal


def outer_to_inner(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return _visit(plan, [])


def _visit(plan: LogicalPlan, above: list[Expression]) -> LogicalPlan:
    """`above` are conditions that every row of the plan must satisfy to matter."""
    match plan:
        case Filter(input=input_, predicate=predicate):
            return with_inputs(plan, [_visit(input_, above + conjuncts(predicate))])
        case Project(input=input_, items=items):
            mapping = {item.column.id: item.expression for item in items}
            return with_inputs(plan, [_visit(input_, [substitute(part, mapping) for part in above] if above else [])])
        case Sort(input=input_):
            return with_inputs(plan, [_visit(input_, above)])
        case Aggregate(input=input_, keys=keys):
            mapping = {item.column.id: item.expression for item in keys}
            below = [substitute(part, mapping) for part in above if ids_of(part) <= frozenset(mapping)]
            return with_inputs(plan, [_visit(input_, below)])
        case Join():
            return _join(plan, above)
        case MarkJoin(left=left, right=right, condition=condition, mark=mark):
            known = [part for part in above if mark.id not in ids_of(part)]
            return with_inputs(plan, [_visit(left, known), _visit(right, conjuncts(condition))])
    return with_inputs(plan, [_visit(part, []) for part in inputs_of(plan)])


def _join(plan: Join, above: list[Expression]) -> LogicalPlan:
    if plan.kind is JoinKind.LEFT and above:
        right = output_ids(plan.right)
        if any(rejects_nulls(part, right) for part in above):
            plan = Join(JoinKind.INNER, plan.left, plan.right, plan.condition)
    if plan.kind is JoinKind.FULL and above:
        plan = _full(plan, above)
    condition = conjuncts(plan.condition)
    match plan.kind:
        case JoinKind.FULL:
            return with_inputs(plan, [_visit(plan.left, []), _visit(plan.right, [])])
        case JoinKind.INNER:
            below = above + condition
            return with_inputs(plan, [_visit(plan.left, below), _visit(plan.right, below)])
        case JoinKind.SEMI:
            return with_inputs(plan, [_visit(plan.left, above + condition), _visit(plan.right, condition)])
        case JoinKind.ANTI_NULL_AWARE:
            return with_inputs(plan, [_visit(plan.left, above), _visit(plan.right, [])])
    return with_inputs(plan, [_visit(plan.left, above), _visit(plan.right, condition)])


def _full(plan: Join, above: list[Expression]) -> Join:
    """A condition that rejects NULLs of one side drops the rows that only the other side has."""
    left, right = output_ids(plan.left), output_ids(plan.right)
    needs_left = any(rejects_nulls(part, left) for part in above)
    needs_right = any(rejects_nulls(part, right) for part in above)
    if needs_left and needs_right:
        return Join(JoinKind.INNER, plan.left, plan.right, plan.condition)
    if needs_left:
        return Join(JoinKind.LEFT, plan.left, plan.right, plan.condition)
    if needs_right:
        return Join(JoinKind.LEFT, plan.right, plan.left, plan.condition)
    return plan


def rejects_nulls(predicate: Expression, ids: frozenset[int]) -> bool:
    """Whether the predicate is not true whenever all columns `ids` are NULL."""
    match predicate:
        case Literal(value=value):
            return not value
        case Call(function="and", arguments=arguments):
            return any(rejects_nulls(part, ids) for part in arguments)
        case Call(function="or", arguments=arguments):
            return all(rejects_nulls(part, ids) for part in arguments)
        case Call(function="is_not_null" | "is_true" | "is_false", arguments=(argument,)):
            return becomes_null(argument, ids)
    return becomes_null(predicate, ids)


def becomes_null(expression: Expression, ids: frozenset[int]) -> bool:
    """Whether the value is NULL whenever all columns `ids` are NULL."""
    match expression:
        case ColumnRef(column=column):
            return column.id in ids
        case Literal(value=value):
            return value is None
        case Cast(argument=argument):
            return becomes_null(argument, ids)
        case Call(function="in", arguments=arguments):
            return becomes_null(arguments[0], ids)
        case Call(function="and" | "or", arguments=arguments):
            return all(becomes_null(part, ids) for part in arguments)
        case Call(function=function, arguments=arguments) if is_strict(function):
            return any(becomes_null(part, ids) for part in arguments)
    return False
