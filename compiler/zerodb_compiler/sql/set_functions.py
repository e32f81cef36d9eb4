"""Set-returning functions: which there are, and what a call of one gives.

A family declares a binder with `set_function`: from the bound arguments it makes the `Rows` of the call, the name of
its code (codegen/table_functions) with the arguments cast, and its columns. A function of one column may stand in the
select list, where it is a `Call` of the name that SET_CALLS knows until binder_table_functions takes it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlglot import exp

from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_casts import zone_literal
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.expressions import Call, Expression
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.sql.shape import Inconvertible
from zerodb_compiler.types import BIGINT, INTEGER, INTERVAL, NULL, TIMESTAMP, TIMESTAMPTZ, SqlType, TypeId


@dataclass(frozen=True, slots=True)
class RowColumn:
    """`name` None: the name of the function or its alias."""

    name: str | None
    type: SqlType
    nullable: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """`apart`: each argument is that of a call of its own, for the column at its place."""

    function: str
    arguments: tuple[Expression, ...]
    columns: tuple[RowColumn, ...]
    apart: bool = False


SetBinder = Callable[[ExpressionBinder, str, list[Bound], exp.Expr], Rows]
SET_FUNCTIONS: dict[str, SetBinder] = {}
# Those whose columns the call describes, `f(...) as t (a int, b text)`: they get the names and types too.
DefinedBinder = Callable[[ExpressionBinder, str, list[Bound], tuple[tuple[str, SqlType], ...], exp.Expr], Rows]
DEFINED_FUNCTIONS: dict[str, DefinedBinder] = {}
# The names of the code of set-returning functions, as a Call of the select list may have them.
SET_CALLS: set[str] = set()


def set_function(*names: str, code: str | None = None) -> Callable[[SetBinder], SetBinder]:
    """Registers the binder of the set-returning functions of those names; their code's name is `code` or the name."""

    def register(binder: SetBinder) -> SetBinder:
        for name in names:
            assert name not in SET_FUNCTIONS, name
            SET_FUNCTIONS[name] = binder
            SET_CALLS.add(code or name)
        return binder

    return register


def set_call(b: ExpressionBinder, name: str, node: exp.Anonymous) -> Expression:
    """A set-returning function in an expression: allowed in the select list and ORDER BY."""
    if b.in_aggregate:
        raise error_for(
            "0A000",
            "aggregate function calls cannot contain set-returning function calls",
            position=position_of(node),
            hint="move the set-returning function into a LATERAL FROM item",
        )
    if b.clause not in ("SELECT", "ORDER BY"):
        raise error_for("0A000", f"set-returning functions are not allowed in {b.clause}", position=position_of(node))
    rows = SET_FUNCTIONS[name](b, name, [b.bound(argument) for argument in node.expressions], node)
    if len(rows.columns) != 1:
        raise unsupported(f"{name} in the select list: it gives several columns", node)
    return Call(rows.function, rows.arguments, rows.columns[0].type, True, position_of(node))


def lifted(b: ExpressionBinder, value: Bound, type_: SqlType, node: exp.Expr) -> Expression:
    """The argument in its type; a literal becomes a parameter, good for all literals that fit the type."""
    if not isinstance(value, Constant) or value.value is None or not type_.is_integer:
        return b.cast(value, type_, node)
    constant = b.convert(value, type_)
    if constant.steps is not None:
        constant = replace(constant, steps=(*constant.steps, partial(_within, type_)))
    return b.finish(constant, lift=True)


def _within(type_: SqlType, value: Any) -> Any:
    low, high = type_.bounds
    if not (isinstance(value, int) and low <= value <= high):
        raise Inconvertible
    return value


@set_function("generate_series")
def _generate_series(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    from zerodb_compiler.sql.binder_functions import no_function

    types = [b.type_of(value) for value in values]
    if len(values) not in (2, 3):
        raise no_function(name, types, node)
    moment = _moment_type(types)
    if moment is not None:
        wanted = zip(values, (moment, moment, INTERVAL), strict=True)
        parts = [b.cast(value, each, node) for value, each in wanted]
        zone = [zone_literal()] if moment == TIMESTAMPTZ else []
        return Rows("generate_series", (*parts, *zone), (RowColumn(None, moment, False),))
    type_ = _series_type(types)
    if type_ is None:
        raise no_function(name, types, node)
    if type_.id is TypeId.NUMERIC and len(values) == 2:
        values = [*values, Constant(INTEGER, 1)]
    arguments = tuple(lifted(b, value, type_, node) for value in values)
    return Rows("generate_series", arguments, (RowColumn(None, type_, False),))


def _moment_type(types: list[SqlType]) -> SqlType | None:
    """timestamp or timestamptz, where there is one and an interval; dates are timestamptz, as PostgreSQL prefers."""
    if len(types) != 3 or types[2].id not in (TypeId.INTERVAL, TypeId.NULL):
        return None
    kinds = {type_.id for type_ in types[:2]} - {TypeId.NULL}
    if not kinds or not kinds <= {TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ}:
        return None
    return TIMESTAMP if kinds == {TypeId.TIMESTAMP} or kinds == {TypeId.TIMESTAMP, TypeId.DATE} else TIMESTAMPTZ


def _series_type(types: list[SqlType]) -> SqlType | None:
    if not all(type_.is_exact or type_.id is TypeId.NULL for type_ in types):
        return None
    found = NULL
    for type_ in types:
        common = coercion.common_type(found, type_)
        assert common is not None
        found = common
    if found.id is TypeId.NUMERIC or (found.is_integer and not _fits(found, BIGINT)):
        return coercion.as_numeric(found)
    return INTEGER if found.id is TypeId.NULL or _fits(found, INTEGER) else BIGINT


def _fits(type_: SqlType, target: SqlType) -> bool:
    return target.bounds[0] <= type_.bounds[0] and type_.bounds[1] <= target.bounds[1]
