"""Constant folding and the normal form of conditions.

    and/or         nested ones flattened, TRUE/FALSE and repeated parts dropped
    or             conjuncts common to all parts come out: (a and b) or (a and c) -> a and (b or c); TPC-H Q19 hides its
                   join condition so. Equalities of one value become `in`: x = 1 or x = 2 -> x in (1, 2)
    not            pushed down to comparisons and LIKE, by De Morgan through and/or
    literals       comparisons, exact arithmetic, casts between exact types, IS NULL of what cannot be NULL, CASE
    filters        FALSE empties the input, TRUE goes away

Parameters are never folded: their values change from run to run. What would raise an error (overflow) is left to run
time, where it has the right SQLSTATE, and where an untaken CASE branch never raises it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zerodb_compiler.plan.logical import Filter, Join, JoinKind, LogicalPlan, Values
from zerodb_compiler.plan.transform import (
    FALSE,
    TRUE,
    Fresh,
    call,
    case,
    conjunction,
    conjuncts,
    disjunction,
    disjuncts,
    is_strict,
    map_expressions,
    map_plan,
    rebuild,
    same_key,
)
from zerodb_compiler.sql.expressions import (
    AnySubquery,
    Call,
    Case,
    Cast,
    ColumnRef,
    Exists,
    Expression,
    InSubquery,
    Literal,
    Parameter,
    ScalarSubquery,
)
from zerodb_compiler.sql.functions import COMPARISONS, NEGATED
from zerodb_compiler.types import BOOLEAN, SqlType

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "eq": int.__eq__,
    "ne": int.__ne__,
    "lt": int.__lt__,
    "le": int.__le__,
    "gt": int.__gt__,
    "ge": int.__ge__,
}
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {"add": int.__add__, "sub": int.__sub__, "mul": int.__mul__}
_NEGATED_CALLS = {
    "like": "not_like",
    "not_like": "like",
    "is_null": "is_not_null",
    "is_not_null": "is_null",
    "is_distinct": "is_not_distinct",
    "is_not_distinct": "is_distinct",
}


def simplify(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    """The rule: every expression simplified, also within subqueries."""
    return map_plan(plan, _node)


def _node(plan: LogicalPlan) -> LogicalPlan:
    plan = map_expressions(plan, simplified)
    match plan:
        case Filter(input=input_, predicate=Literal(value=value)):
            return input_ if value else Values(plan.output, ())
        case Filter(input=Filter(input=input_, predicate=inner), predicate=predicate):
            return Filter(input_, _and([*conjuncts(inner), *conjuncts(predicate)]))
        case Join(kind=JoinKind.INNER, left=left, right=right, condition=Literal(value=value)):
            return Join(JoinKind.INNER, left, right, None) if value else Values(plan.output, ())
    return plan


def simplified(expression: Expression) -> Expression:
    """One expression in normal form."""
    match expression:
        case ColumnRef() | Literal() | Parameter():
            return expression
        case ScalarSubquery(plan=plan, column=column, type=type_, nullable=nullable):
            new = map_plan(plan, _node)
            return expression if new is plan else ScalarSubquery(new, column, type_, nullable)
        case Exists(plan=plan, negated=negated):
            new = map_plan(plan, _node)
            return expression if new is plan else Exists(new, negated)
        case InSubquery(operand=operand, plan=plan):
            new, inner = map_plan(plan, _node), simplified(operand)
            if new is plan and inner is operand:
                return expression
            return InSubquery(inner, new, expression.column, expression.negated, expression.nullable)
        case AnySubquery(operands=operands, places=places, plan=plan, test=test):
            return AnySubquery(tuple(map(simplified, operands)), places, map_plan(plan, _node), simplified(test))
    expression = rebuild(expression, simplified)
    match expression:
        case Call():
            return _call(expression)
        case Cast(argument=Literal()):
            return _cast(expression)
        case Case():
            return _case(expression)
    return expression


def _call(expression: Call) -> Expression:
    function, arguments = expression.function, expression.arguments
    match function:
        case "and":
            return _unchanged(expression, _and(conjuncts(expression)))
        case "or":
            return _unchanged(expression, _or(disjuncts(expression)))
        case "not":
            return negation(arguments[0], expression)
        case "is_null" | "is_not_null" if not arguments[0].nullable:
            return FALSE if function == "is_null" else TRUE
        case "is_null" | "is_not_null" | "is_true" | "is_false" if isinstance(arguments[0], Literal):
            return _test(function, arguments[0].value)
    if len(arguments) == 2 and isinstance(arguments[0], Literal) and isinstance(arguments[1], Literal):
        return _binary(expression, arguments[0], arguments[1])
    if is_strict(function) and any(isinstance(part, Literal) and part.value is None for part in arguments):
        return Literal(None, expression.type)
    return expression


def _unchanged(old: Call, new: Expression) -> Expression:
    """The old object if the new one has the same parts."""
    if isinstance(new, Call) and new.function == old.function and len(new.arguments) == len(old.arguments):
        same = all(first is second for first, second in zip(new.arguments, old.arguments, strict=True))
        return old if same else new
    return new


def _test(function: str, value: object) -> Literal:
    match function:
        case "is_null":
            return TRUE if value is None else FALSE
        case "is_not_null":
            return FALSE if value is None else TRUE
        case "is_true":
            return TRUE if value == 1 else FALSE
    return TRUE if value == 0 and value is not None else FALSE


def _binary(expression: Call, left: Literal, right: Literal) -> Expression:
    function = expression.function
    if left.value is None or right.value is None:
        return Literal(None, expression.type) if is_strict(function) else expression
    if not isinstance(left.value, int) or not isinstance(right.value, int):
        return expression
    if function in COMPARISONS:
        return TRUE if _COMPARE[function](left.value, right.value) else FALSE
    if function in _ARITHMETIC and expression.type.is_exact:
        return _fits(_ARITHMETIC[function](left.value, right.value), expression.type, expression)
    return expression


def _fits(value: int, type_: SqlType, otherwise: Expression) -> Expression:
    low, high = type_.bounds
    return Literal(value, type_) if low <= value <= high else otherwise


def _cast(expression: Cast) -> Expression:
    argument, target = expression.argument, expression.type
    assert isinstance(argument, Literal)
    source = argument.type
    if argument.value is None:
        return Literal(None, target)
    if not (isinstance(argument.value, int) and source.is_exact and target.is_exact):
        return expression
    return _fits(_rescale(argument.value, source.scale, target.scale), target, expression)


def _rescale(value: int, old: int, new: int) -> int:
    """Scaled integer to another scale, rounded half away from zero."""
    if new >= old:
        return int(value * 10 ** (new - old))
    unit = 10 ** (old - new)
    rounded = (abs(value) + unit // 2) // unit
    return int(rounded if value >= 0 else -rounded)


def _case(expression: Case) -> Expression:
    branches: list[tuple[Expression, Expression]] = []
    default = expression.default
    for when, then in expression.branches:
        if isinstance(when, Literal):
            if when.value == 1:
                default = then
                break
            continue
        branches.append((when, then))
    if not branches:
        return default
    if len(branches) == len(expression.branches) and default is expression.default:
        return expression
    return case(tuple(branches), default, expression.type)


def negation(expression: Expression, whole: Expression | None = None) -> Expression:
    """NOT expression, pushed down; `whole` is the existing node for it, given back if nothing can be done."""
    match expression:
        case Literal(value=value):
            return Literal(None, BOOLEAN) if value is None else FALSE if value else TRUE
        case Exists(plan=plan, negated=negated):
            return Exists(plan, not negated)
        case InSubquery(operand=operand, plan=plan, column=column, negated=negated, nullable=nullable):
            return InSubquery(operand, plan, column, not negated, nullable)
        case Call(function="not", arguments=arguments):
            return arguments[0]
        case Call(function="and", arguments=arguments):
            return _or([negation(part) for part in arguments])
        case Call(function="or", arguments=arguments):
            return _and([part for argument in arguments for part in conjuncts(negation(argument))])
        case Call(function=function, arguments=arguments, position=position):
            inverse = NEGATED.get(function)
            if inverse is not None:  # NaN compares as a value, so this holds for floating point, too
                return call(inverse, *arguments, position=position)
            if function in _NEGATED_CALLS:
                return call(_NEGATED_CALLS[function], *arguments, position=position)
    return whole if whole is not None else call("not", expression)


def _and(parts: Sequence[Expression]) -> Expression:
    kept: dict[object, Expression] = {}
    for part in parts:
        if isinstance(part, Literal) and part.value is not None:
            if part.value:
                continue
            return FALSE
        kept.setdefault(same_key(part), part)
    return conjunction(list(kept.values())) or TRUE


def _or(parts: Sequence[Expression]) -> Expression:
    kept: dict[object, Expression] = {}
    for whole in parts:
        for part in disjuncts(whole):
            if isinstance(part, Literal) and part.value is not None:
                if part.value:
                    return TRUE
                continue
            kept.setdefault(same_key(part), part)
    if not kept:
        return FALSE
    if len(kept) == 1:
        return next(iter(kept.values()))
    return _factored(_membership(list(kept.values())))


def _membership(parts: list[Expression]) -> list[Expression]:
    """x = 1 or x = 2 -> x in (1, 2), for constants."""
    groups: dict[object, list[Expression]] = {}
    first: dict[object, Expression] = {}
    found: list[Expression | object] = []
    for part in parts:
        match part:
            case Call(function="eq" | "in", arguments=(subject, *values)) if not _constant(subject) and all(
                map(_constant, values)
            ):
                key = ("in", same_key(subject))
                if key not in groups:
                    groups[key], first[key] = [], subject
                    found.append(key)
                groups[key].extend(values)
            case _:
                found.append(part)
    if len(found) == len(parts):
        return parts
    result: list[Expression] = []
    for entry in found:
        if isinstance(entry, tuple):
            values = list({same_key(value): value for value in groups[entry]}.values())
            result.append(call("in" if len(values) > 1 else "eq", first[entry], *values))
        else:
            result.append(entry)  # type: ignore[arg-type]
    return result


def _constant(expression: Expression) -> bool:
    return isinstance(expression, (Literal, Parameter))


def _factored(parts: list[Expression]) -> Expression:
    """(a and b) or (a and c) -> a and (b or c)."""
    if len(parts) == 1:
        return parts[0]
    maps = [{same_key(part): part for part in conjuncts(whole)} for whole in parts]
    common = [key for key in maps[0] if all(key in other for other in maps[1:])]
    if not common:
        return disjunction(parts)
    shared = [maps[0][key] for key in common]
    rests = [conjunction([part for key, part in other.items() if key not in common]) for other in maps]
    if any(rest is None for rest in rests):  # a or (a and b) is a
        return _and(shared)
    return _and([*shared, *conjuncts(_or([rest for rest in rests if rest is not None]))])
