"""Ranges in SQL: constructors, operators and functions (PostgreSQL 9.20)."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.binder_structured import made, structured, type_function
from zerodb_compiler.sql.binder_types import RANGES
from zerodb_compiler.sql.expressions import Literal
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import BOOLEAN, TEXT, SqlType, TypeId

_TESTS = {
    "@>": "range_contains",
    "&&": "range_overlaps",
    "<<": "range_before",
    "&<": "range_not_right",
    "&>": "range_not_left",
    "-|-": "range_adjacent",
}
_RESULTS = {"+": "range_union", "*": "range_intersection", "-": "range_difference"}


@special(*(str(type_) for type_ in RANGES.values()))
def _constructor(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    type_ = next(type_ for type_ in RANGES.values() if str(type_) == name)
    element = _element(type_)
    types = [b.type_of(value) for value in values]
    fits = len(values) in (2, 3) and all(coercion.is_implicit(given, element) for given in types[:2])
    if not fits or not all(given.is_text or given.id is TypeId.NULL for given in types[2:]):
        raise no_function(name, types, node)
    flags = b.text(values[2], node) if len(values) > 2 else Literal("[)", TEXT)
    return made("range", (b.cast(values[0], element, node), b.cast(values[1], element, node), flags), type_, node)


def _element(type_: SqlType) -> SqlType:
    assert type_.element is not None
    return type_.element


@structured(*_TESTS, *_RESULTS, "<@", ">>")
def _operator(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    if symbol in ("<@", ">>"):
        left, right = right, left
        symbol = "@>" if symbol == "<@" else "<<"
    types = b.type_of(left), b.type_of(right)
    range_ = next((type_ for type_ in types if type_.id is TypeId.RANGE), None)
    if range_ is None:
        return None
    if all(type_ == range_ or type_.id is TypeId.NULL for type_ in types):
        sides = b.cast(left, range_, node), b.cast(right, range_, node)
        if symbol in _RESULTS:
            return made(_RESULTS[symbol], sides, range_, node)
        return made(_TESTS[symbol], sides, BOOLEAN, node)
    element = _element(range_)
    if symbol == "@>" and types[0] == range_ and _is_element(b, right, element):
        value = b.cast(right, element, node)
        return made("range_contains_value", (b.cast(left, range_, node), value), BOOLEAN, node)
    return None


def _is_element(b: ExpressionBinder, value: Bound, element: SqlType) -> bool:
    type_ = b.type_of(value)
    if isinstance(value, Constant) and type_.is_number and element.is_number:
        return b.convert_exactly(value, element) is not None
    return coercion.is_implicit(type_, element)


@type_function(TypeId.RANGE, "lower", "upper")
def _bound(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    type_ = b.type_of(values[0])
    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return made(f"range_{name}", (b.finish(values[0]),), _element(type_), node)


@type_function(TypeId.RANGE, "isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf")
def _fact(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return made(name, (b.finish(values[0]),), BOOLEAN, node)


@type_function(TypeId.RANGE, "range_merge")
def _merge(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    if len(values) != 2 or not (types[1] == types[0] or types[1].id is TypeId.NULL):
        raise no_function(name, types, node)
    return made("range_merge", (b.finish(values[0]), b.cast(values[1], types[0], node)), types[0], node)
