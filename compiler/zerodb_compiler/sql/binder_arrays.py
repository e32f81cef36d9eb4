"""Arrays in SQL: ARRAY[...], subscripts, operators and functions (PostgreSQL 9.19), unnest.

Polymorphic functions meet in one element type: that of the array arguments and the plain ones together.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.nested import Array, encode_array
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Item, Project, Sort, SortKey
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, united
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.binder_structured import Subscript, made, structured, subscripts
from zerodb_compiler.sql.expressions import AggregateCall, Case, ColumnRef, Expression, Literal, ScalarSubquery
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, UserValue
from zerodb_compiler.sql.set_functions import RowColumn, Rows, set_function
from zerodb_compiler.types import BIGINT, BOOLEAN, INTEGER, NULL, TEXT, SqlType, TypeId, array

_LIST = array(INTEGER)


# --- ARRAY[...] -------------------------------------------------------------------------------------------------------
@handles(exp.Array)
def _array(b: ExpressionBinder, node: exp.Array) -> Bound:
    only(node, "expressions", "value_constructor", "bracket_notation")
    items = node.expressions
    if not node.args.get("bracket_notation") and len(items) == 1 and isinstance(items[0], exp.Query):
        return _array_of_query(b, items[0], node)
    if not items:
        if isinstance(node.parent, exp.Cast):  # its type says what is in it
            return Constant(NULL, "{}", position_of(node.parent))
        raise ProgrammingError(
            "cannot determine type of empty array",
            sqlstate="42P18",
            position=position_of(node),
            hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
        )
    values = [b.bound(item) for item in items]
    nested = any(isinstance(item, exp.Array) for item in items)
    nested = nested or any(b.type_of(value).id is TypeId.ARRAY for value in values)
    if not nested and all(isinstance(value, Constant) for value in values):
        return _constant_array(b, values, node)
    elements, type_ = united(b, values, "ARRAY", node)
    if type_.id is TypeId.ARRAY:
        return made("array_nest", tuple(elements), type_, node)
    if type_.id in (TypeId.NULL,):
        type_ = TEXT
    return made("array", tuple(elements), array(type_), node)


def _array_of_query(b: ExpressionBinder, query_node: exp.Expr, node: exp.Expr) -> Bound:
    """ARRAY(query): array_agg of its one column in its order, the empty array for no rows."""
    query = b.binder.query(query_node, b.scope)
    if len(query.columns) != 1:
        raise ProgrammingError("subquery must return only one column", position=position_of(node))
    (column,) = query.columns
    plan = query.plan
    order: tuple[SortKey, ...] = ()
    inner = plan.input if isinstance(plan, Project) else plan
    if isinstance(inner, Sort) and column in inner.input.output:
        plan, order = inner.input, inner.keys  # said in the aggregate, the order survives the subquery's unnesting
    type_ = array(TEXT if column.type.id is TypeId.NULL else column.type)
    call = AggregateCall("array_agg", ColumnRef(column), type_, True, position=position_of(node), order=order)
    result = b.binder.column("array", type_, True)
    grouped = Aggregate(plan, (), (AggregateItem(result, call),))
    empty = Literal(encode_array(type_, Array((), ())), type_)
    present = b.call("is_not_null", (ColumnRef(result),), BOOLEAN)
    found = b.binder.column("array", type_, False)
    items = (Item(found, Case(((present, ColumnRef(result)),), empty, type_, False)),)
    return ScalarSubquery(Project(grouped, items), found, type_)


def _constant_array(b: ExpressionBinder, values: Sequence[Bound], node: exp.Expr) -> Bound:
    elements, type_ = united(b, list(values), "ARRAY", node)
    found = []
    for element in elements:
        if not isinstance(element, Literal):
            return made("array", tuple(elements), array(type_), node)
        found.append(element.value)
    data = encode_array(array(type_), Array(((len(found), 1),), tuple(found)))
    return Constant(array(type_), data, position_of(node), (), None)


# --- subscripts -------------------------------------------------------------------------------------------------------
@subscripts(TypeId.ARRAY)
def _subscripted(b: ExpressionBinder, value: Bound, items: list[Subscript], node: exp.Expr) -> Bound:
    expression = b.finish(value)
    element = _element(expression.type)
    if not any(is_slice for _, _, is_slice in items):
        places = tuple(_index(b, lower, node) for lower, _, _ in items)
        return made("subscript", (expression, *places), element, node)
    bounds: list[Expression] = []
    missing = Literal(1, BOOLEAN)
    for lower, upper, is_slice in items:
        if not is_slice:  # an index among slices is the slice up to it
            lower, upper = Constant(INTEGER, 1), lower
        bounds.append(missing if lower is None else _index(b, lower, node))
        bounds.append(missing if upper is None else _index(b, upper, node))
    return made("slice", (expression, *bounds), expression.type, node)


def _index(b: ExpressionBinder, value: Bound | None, node: exp.Expr) -> Expression:
    assert value is not None
    type_ = b.type_of(value)
    if not (type_.is_number or type_.id is TypeId.NULL):
        raise ProgrammingError("array subscript must have type integer", sqlstate="42804", position=position_of(node))
    return b.cast(b.cast(value, INTEGER, node), BIGINT, node)


def _element(type_: SqlType) -> SqlType:
    assert type_.element is not None
    return type_.element


# --- operators --------------------------------------------------------------------------------------------------------
def _pair(b: ExpressionBinder, left: Bound, right: Bound) -> SqlType | None:
    """The array type in which two arrays meet, one of which may be untyped."""
    types = b.type_of(left), b.type_of(right)
    if not any(type_.id is TypeId.ARRAY for type_ in types):
        return None
    return coercion.common_type(*types)


@structured("@>", "<@", "&&")
def _sets(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    type_ = _pair(b, left, right)
    if type_ is None:
        return None
    sides = b.cast(left, type_, node), b.cast(right, type_, node)
    if symbol == "<@":
        sides = sides[1], sides[0]
    return made("array_overlaps" if symbol == "&&" else "array_contains", sides, BOOLEAN, node)


@structured("||")
def _concatenated(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    types = b.type_of(left), b.type_of(right)
    if all(type_.id is not TypeId.ARRAY for type_ in types):
        return None
    if all(type_.id is TypeId.ARRAY for type_ in types) or TypeId.NULL in (types[0].id, types[1].id):
        type_ = coercion.common_type(*types)
        if type_ is None:
            return None
        return made("array_cat", (b.cast(left, type_, node), b.cast(right, type_, node)), type_, node)
    if types[0].id is TypeId.ARRAY:
        return _added(b, "array_append", left, right, node)
    return _added(b, "array_prepend", right, left, node)


def _added(b: ExpressionBinder, name: str, list_: Bound, value: Bound, node: exp.Expr) -> Bound | None:
    """array_append and array_prepend, the array first."""
    type_ = _common_element(b, [list_], [value])
    if type_ is None:
        return None
    return made(name, (b.cast(list_, array(type_), node), b.cast(value, type_, node)), array(type_), node)


def _common_element(b: ExpressionBinder, lists: Sequence[Bound], values: Sequence[Bound]) -> SqlType | None:
    """The type in which elements of the arrays and the values meet; None if they do not."""
    found = NULL
    for value in lists:
        type_ = b.type_of(value)
        if type_.id is TypeId.NULL:
            continue
        if type_.id is not TypeId.ARRAY:
            return None
        common = coercion.common_type(found, _element(type_))
        if common is None:
            return None
        found = common
    for value in values:
        type_ = b.type_of(value)
        common = coercion.common_type(found, type_)
        if common is None or common.id is TypeId.ARRAY:
            return None
        found = common
    return TEXT if found.id is TypeId.NULL or found.is_text else found


# --- functions --------------------------------------------------------------------------------------------------------
def _types(b: ExpressionBinder, values: Sequence[Bound]) -> list[SqlType]:
    return [b.type_of(value) for value in values]


@special("array_append", "array_prepend")
def _append(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) == 2:
        list_, value = values if name == "array_append" else (values[1], values[0])
        found = _added(b, name, list_, value, node)
        if found is not None:
            return found
    raise no_function(name, _types(b, values), node)


@special("array_cat")
def _cat(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    type_ = _common_element(b, values, []) if len(values) == 2 else None
    if type_ is None:
        raise no_function(name, _types(b, values), node)
    arguments = tuple(b.cast(value, array(type_), node) for value in values)
    return made("array_cat", arguments, array(type_), node)


@special("array_remove", "array_replace", "array_positions", "array_position")
def _search(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    start = values[2:] if name == "array_position" else []
    wanted = {"array_replace": 3, "array_position": 2 + len(start)}.get(name, 2)
    plain = values[1 : len(values) - len(start)]
    type_ = _common_element(b, values[:1], plain) if len(values) == wanted and len(start) <= 1 else None
    if type_ is None:
        raise no_function(name, _types(b, values), node)
    arguments = [b.cast(values[0], array(type_), node), *(b.cast(value, type_, node) for value in plain)]
    arguments += [b.cast(value, INTEGER, node) for value in start]
    result = {"array_positions": _LIST, "array_position": INTEGER}.get(name, array(type_))
    return made(name, tuple(arguments), result, node)


@special("array_length", "array_upper", "array_lower", "array_ndims", "array_dims", "cardinality", "trim_array")
def _shape(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = _types(b, values)
    count = 2 if name in ("array_length", "array_upper", "array_lower", "trim_array") else 1
    if len(values) != count or types[0].id is not TypeId.ARRAY:
        raise no_function(name, types, node)
    if count == 2 and not coercion.is_implicit(types[1], INTEGER):
        raise no_function(name, types, node)
    arguments = (b.finish(values[0]), *(b.cast(value, INTEGER, node) for value in values[1:]))
    result = {"array_dims": TEXT, "trim_array": types[0]}.get(name, INTEGER)
    return made(name, arguments, result, node)


@special("array_fill")
def _fill(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = _types(b, values)
    if len(values) not in (2, 3) or not all(coercion.is_implicit(type_, _LIST) for type_ in types[1:]):
        raise no_function(name, types, node)
    if types[0].id in (TypeId.NULL, TypeId.ARRAY):
        raise ProgrammingError(
            "could not determine polymorphic type because input has type unknown",
            sqlstate="42804",
            position=position_of(node),
        )
    arguments = (b.finish(values[0]), *(b.cast(value, _LIST, node) for value in values[1:]))
    return made("array_fill", arguments, array(types[0]), node)


@special("array_to_string")
def _to_string(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = _types(b, values)
    if len(values) not in (2, 3) or types[0].id is not TypeId.ARRAY:
        raise no_function(name, types, node)
    return made(name, (b.finish(values[0]), *(b.text(value, node) for value in values[1:])), TEXT, node)


@special("string_to_array")
def _from_string(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = _types(b, values)
    if len(values) not in (2, 3) or not all(type_.is_text or type_.id is TypeId.NULL for type_ in types):
        raise no_function(name, types, node)
    return made(name, tuple(b.text(value, node) for value in values), array(TEXT), node)


# --- set-returning ----------------------------------------------------------------------------------------------------
@set_function("unnest")
def _unnest(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    types = _types(b, values)
    if len(values) != 1 or types[0].id is not TypeId.ARRAY or isinstance(values[0], UserValue):
        raise no_function(name, types, node)
    return Rows("unnest", (b.finish(values[0]),), (RowColumn(None, _element(types[0]), True),))


@set_function("generate_subscripts", code="generate_series")
def _subscripts(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    """generate_subscripts(array, dimension [, reverse])."""
    types = _types(b, values)
    if len(values) not in (2, 3) or types[0].id is not TypeId.ARRAY or not coercion.is_implicit(types[1], INTEGER):
        raise no_function(name, types, node)
    reverse = values[2] if len(values) == 3 else Constant(BOOLEAN, 0)
    if not isinstance(reverse, Constant):
        raise unsupported("generate_subscripts with a direction that is not constant", node)
    list_, dimension = b.finish(values[0]), b.cast(values[1], INTEGER, node)
    sides = [made(part, (list_, dimension), INTEGER, node) for part in ("array_lower", "array_upper")]
    if b.convert(reverse, BOOLEAN).value:
        return Rows("generate_series", (sides[1], sides[0], Literal(-1, INTEGER)), (RowColumn(None, INTEGER, False),))
    return Rows("generate_series", tuple(sides), (RowColumn(None, INTEGER, False),))
