"""Expressions of PL/pgSQL that need no query: i + 1, not found, s || 'x', n is null or n > 3.

A query costs more than a hundred microseconds, most of it around its code; a body computes such an expression for every
turn of a loop. So an expression of few functions over plain types becomes a Python function of the variables' canonical
values, with the results and errors that the generated code gives (codegen/arithmetic.py, coercion.cast_value). All
other expressions run as queries. (exec_simple_expr of PostgreSQL's PL/pgSQL does the same.)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from zerodb_compiler.errors import error_for
from zerodb_compiler.plan.logical import Project, Values
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.expressions import Call, Case, Cast, Expression, Literal, Parameter
from zerodb_compiler.sql.shape import BoundShape
from zerodb_compiler.sql.values import Value
from zerodb_compiler.types import SqlType, TypeId

Evaluate = Callable[[Sequence[Value]], Any]
_PLAIN = frozenset({TypeId.BOOLEAN, TypeId.NUMERIC, TypeId.DATE, TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT})
_COMPARED = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_ARITHMETIC = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


def simple(bound: BoundShape) -> tuple[SqlType, Evaluate] | None:
    """The type of the one value that a query computes, and the function that does; None if it is not so simple."""
    query = bound.statement
    if not isinstance(query, st.Query) or query.locks or bound.lifted or len(query.columns) != 1:
        return None
    match query.plan:
        case Project(input=Values(columns=(), rows=((),)), items=(item,)):
            evaluate = _function(item.expression)
            return None if evaluate is None else (item.expression.type, evaluate)
    return None


def _is_plain(type_: SqlType) -> bool:
    if type_.id is TypeId.TEXT:
        return not type_.padded and type_.collation is None
    return type_.id in _PLAIN


def _function(expression: Expression) -> Evaluate | None:
    if not _is_plain(expression.type):
        return None
    match expression:
        case Literal(value=value):
            return lambda _: value
        case Parameter(index=index):
            return lambda values: values[index]
        case Cast(argument=argument, type=type_):
            given = _function(argument)
            return None if given is None else _cast(given, argument.type, type_)
        case Case():
            return _case(expression)
        case Call():
            return _call(expression)
    return None


def _cast(given: Evaluate, source: SqlType, target: SqlType) -> Evaluate:
    convert = partial(coercion.cast_value, source, target)

    def cast(values: Sequence[Value]) -> Value:
        value = given(values)
        return None if value is None else convert(value)

    return cast


def _case(expression: Case) -> Evaluate | None:
    default = _function(expression.default)
    branches = [(_function(condition), _function(result)) for condition, result in expression.branches]
    if default is None:
        return None
    made: list[tuple[Evaluate, Evaluate]] = []
    for condition, result in branches:
        if condition is None or result is None:
            return None
        made.append((condition, result))

    def case(values: Sequence[Value]) -> Value:
        for condition, result in made:
            if condition(values):
                found: Value = result(values)
                return found
        other: Value = default(values)
        return other

    return case


def _call(call: Call) -> Evaluate | None:
    arguments: list[Evaluate] = []
    for argument in call.arguments:
        evaluate = _function(argument)
        if evaluate is None:
            return None
        arguments.append(evaluate)
    types = [argument.type for argument in call.arguments]
    match call.function:
        case "and":
            return partial(_all, arguments)
        case "or":
            return partial(_any, arguments)
        case "is_null":
            return lambda values: int(arguments[0](values) is None)
        case "is_not_null":
            return lambda values: int(arguments[0](values) is not None)
        case "is_true":
            return lambda values: int(arguments[0](values) == 1)
        case "is_false":
            return lambda values: int(arguments[0](values) == 0)
        case "is_distinct" if _comparable(types):
            return lambda values: int(arguments[0](values) != arguments[1](values))
        case "is_not_distinct" if _comparable(types):
            return lambda values: int(arguments[0](values) == arguments[1](values))
    apply = _strict(call, types)
    return None if apply is None else partial(_applied, apply, arguments)


def _comparable(types: Sequence[SqlType]) -> bool:
    first = types[0]
    return all(other.id is first.id and other.scale == first.scale for other in types)


def _strict(call: Call, types: Sequence[SqlType]) -> Callable[..., Any] | None:
    """What a strict call does with arguments that are no NULLs."""
    name, type_ = call.function, call.type
    if name == "not":
        return lambda value: 1 - value
    if name in _COMPARED and _comparable(types):
        compare = _COMPARED[name]
        return lambda left, right: int(compare(left, right))
    if name == "in" and _comparable(types) and all(isinstance(part, Literal) for part in call.arguments[1:]):
        members = [part.value for part in call.arguments[1:] if isinstance(part, Literal)]
        return None if None in members else lambda value, *rest: int(value in rest)
    if name == "concat" and all(part.is_text for part in types):
        return lambda *parts: "".join(parts)
    if not type_.is_integer or not all(part.is_integer for part in types):
        return None
    low, high = type_.bounds

    def checked(value: int) -> int:
        if not low <= value <= high:
            raise error_for("22003", f"{type_} out of range")
        return value

    if name in _ARITHMETIC:
        compute = _ARITHMETIC[name]
        return lambda left, right: checked(compute(left, right))
    match name:
        case "neg":
            return lambda value: checked(-value)
        case "div":
            return lambda left, right: checked(_quotient(left, right))
        case "mod":
            return lambda left, right: left - _quotient(left, right) * right
    return None


def _quotient(left: int, right: int) -> int:
    if right == 0:
        raise error_for("22012", "division by zero")
    found = abs(left) // abs(right)
    return found if (left < 0) == (right < 0) else -found


def _applied(apply: Callable[..., Any], arguments: Sequence[Evaluate], values: Sequence[Value]) -> Any:
    given = [argument(values) for argument in arguments]
    return None if None in given else apply(*given)


def _all(arguments: Sequence[Evaluate], values: Sequence[Value]) -> int | None:
    """AND: an argument that is false makes it false, and those after it are not computed."""
    found: int | None = 1
    for argument in arguments:
        value = argument(values)
        if value == 0:
            return 0
        found = None if value is None else found
    return found


def _any(arguments: Sequence[Evaluate], values: Sequence[Value]) -> int | None:
    found: int | None = 0
    for argument in arguments:
        value = argument(values)
        if value == 1:
            return 1
        found = None if value is None else found
    return found
