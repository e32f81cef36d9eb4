"""json and jsonb in SQL: operators, subscripts and functions (PostgreSQL 8.14 and 9.16).

What has one meaning for its argument types is declared in families/json.py; here are the operators, the functions that
take values of any type, and those whose result is described by the call.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_casts import cast_expression
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, no_operator
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.binder_records import field_of
from zerodb_compiler.sql.binder_structured import Subscript, made, structured, structured_operator, subscripts
from zerodb_compiler.sql.expressions import Call, Case, Cast, Expression, Literal
from zerodb_compiler.sql.nodes import CALL_MARK, only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, UserValue
from zerodb_compiler.types import BOOLEAN, INTEGER, JSON, JSONB, TEXT, SqlType, TypeId, array, struct

_TEXTS = array(TEXT)
_JSON = (TypeId.JSON, TypeId.JSONB)


# --- operators --------------------------------------------------------------------------------------------------------
@handles(exp.Operator)
def _operator(b: ExpressionBinder, node: exp.Operator) -> Bound:
    only(node, "this", "operator", "expression")
    mark = node.args["operator"]
    if not isinstance(mark, exp.Literal) or not str(mark.this).startswith(CALL_MARK):
        raise unsupported("OPERATOR(...)", node)
    symbol = str(mark.this).removeprefix(CALL_MARK)
    left, right = b.bound(node.this), b.bound(node.expression)
    found = structured_operator(b, symbol, left, right, node)
    if found is None:
        raise no_operator(symbol, b.type_of(left), b.type_of(right), node)
    return found


@structured("->", "->>", "#>", "#>>")
def _get(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    source, type_ = b.type_of(left), b.type_of(right)
    if source.id not in _JSON:
        return None
    wanted = _TEXTS if symbol.startswith("#") else TEXT
    if type_.is_integer and wanted == TEXT and coercion.is_implicit(type_, INTEGER):
        wanted = INTEGER
    elif not (type_.id is TypeId.NULL or (type_.is_text and wanted == TEXT) or type_.id is wanted.id is TypeId.ARRAY):
        return None
    key = b.text(right, node) if wanted == TEXT else b.cast(right, wanted, node)
    arguments = (b.finish(left), key)
    return (
        made("json_get_text", arguments, TEXT, node)
        if symbol.endswith(">>")
        else made("json_get", arguments, source, node)
    )


def _both_jsonb(b: ExpressionBinder, left: Bound, right: Bound, node: exp.Expr) -> tuple[Expression, Expression] | None:
    """Both sides as jsonb, where one is and the other may be untyped."""
    kinds = b.type_of(left).id, b.type_of(right).id
    if TypeId.JSONB not in kinds or not set(kinds) <= {TypeId.JSONB, TypeId.NULL}:
        return None
    return b.cast(left, JSONB, node), b.cast(right, JSONB, node)


@structured("@>", "<@", "||")
def _with_jsonb(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    sides = _both_jsonb(b, left, right, node)
    if sides is None:
        return None
    if symbol == "||":
        return made("jsonb_concat", sides, JSONB, node)
    return made("jsonb_contains", sides if symbol == "@>" else sides[::-1], BOOLEAN, node)


@structured("?", "?|", "?&")
def _exists(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    type_ = b.type_of(right)
    if b.type_of(left).id is not TypeId.JSONB:
        return None
    if symbol == "?":
        if not (type_.is_text or type_.id is TypeId.NULL):
            return None
        return made("jsonb_exists", (b.finish(left), b.text(right, node)), BOOLEAN, node)
    if type_.id is not TypeId.NULL and not coercion.is_implicit(type_, _TEXTS):
        return None
    name = "jsonb_exists_any" if symbol == "?|" else "jsonb_exists_all"
    return made(name, (b.finish(left), b.cast(right, _TEXTS, node)), BOOLEAN, node)


@structured("-", "#-")
def _without(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    type_ = b.type_of(right)
    if b.type_of(left).id is not TypeId.JSONB:
        return None
    value = b.finish(left)
    if symbol == "#-":
        if type_.id is not TypeId.NULL and not coercion.is_implicit(type_, _TEXTS):
            return None
        return made("jsonb_delete_path", (value, b.cast(right, _TEXTS, node)), JSONB, node)
    if type_.is_integer and coercion.is_implicit(type_, INTEGER):
        return made("jsonb_delete", (value, b.cast(right, INTEGER, node)), JSONB, node)
    if type_.id is TypeId.ARRAY:
        return made("jsonb_delete", (value, b.cast(right, _TEXTS, node)), JSONB, node)
    if not (type_.is_text or type_.id is TypeId.NULL):
        return None
    key = b.text(right, node)
    # Of a NULL key nothing is left, as strict functions have it; an array with a NULL is another matter.
    keys = Call("array", (key,), _TEXTS, False, position_of(node))
    found = made("jsonb_delete", (value, keys), JSONB, node)
    if not key.nullable:
        return found
    return Case(((b.call("is_not_null", (key,), BOOLEAN), found),), Literal(None, JSONB), JSONB, True)


@structured("@?", "@@")
def _matches(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    type_ = b.type_of(right)
    if b.type_of(left).id is not TypeId.JSONB or not (type_.is_text or type_.id is TypeId.NULL):
        return None
    name = "jsonb_path_exists_opr" if symbol == "@?" else "jsonb_path_match_opr"
    return made(name, (b.finish(left), b.text(right, node)), BOOLEAN, node)


@subscripts(TypeId.JSONB)
def _subscripts(b: ExpressionBinder, value: Bound, items: list[Subscript], node: exp.Expr) -> Bound:
    steps = []
    for item, _, is_slice in items:
        if is_slice or item is None:
            raise error_for("0A000", "jsonb subscript does not support slices", position=position_of(node))
        type_ = b.type_of(item)
        if not (type_.is_text or type_.id is TypeId.NULL or coercion.is_implicit(type_, INTEGER)):
            raise error_for("42804", f"subscript type {type_} is not supported", position=position_of(node))
        steps.append(b.text(item, node) if not type_.is_integer else b.cast(item, TEXT, node))
    path = Call("array", tuple(steps), _TEXTS, False, position_of(node))
    return made("json_get", (b.finish(value), path), JSONB, node)


# --- values of any type as JSON ---------------------------------------------------------------------------------------
def json_argument(b: ExpressionBinder, value: Bound, node: exp.Expr) -> Expression:
    """An argument of any type; what generated code cannot write as JSON alone (a timestamp in the session's zone) is
    JSON already."""
    expression = b.text(value, node) if b.type_of(value).id is TypeId.NULL else b.finish(value)
    return _zoned(expression, node)


def _zoned(value: Expression, node: exp.Expr) -> Expression:
    if value.type.id is TypeId.TIMESTAMPTZ:
        return made("json_moment", (cast_expression(value, TEXT, position_of(node)),), JSON, node)
    if isinstance(value, Call) and value.function == "row":
        fields = [_zoned(argument, node) for argument in value.arguments]
        names = [name for name, _ in value.type.fields]
        type_ = struct(tuple((name, field.type) for name, field in zip(names, fields, strict=True)), value.type.name)
        return made("row", tuple(fields), type_, node)
    return value


def as_json(b: ExpressionBinder, value: Bound, node: exp.Expr) -> Expression:
    expression = json_argument(b, value, node)
    return expression if expression.type.id is TypeId.JSON else made("to_json", (expression,), JSON, node)


def _result(name: str, value: Expression, node: exp.Expr) -> Expression:
    """The JSON text as what the function of that name gives."""
    return Cast(value, JSONB, position_of(node)) if "jsonb" in name else value


@special("to_json", "to_jsonb")
def _to_json(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    type_ = b.type_of(values[0])
    if type_.id is TypeId.NULL and not isinstance(values[0], UserValue):
        raise error_for(
            "42804",
            "could not determine polymorphic type because input has type unknown",
            position=position_of(node),
        )
    if name == "to_jsonb" and type_.id is TypeId.JSONB:
        return values[0]
    return _result(name, as_json(b, values[0], node), node)


@special("row_to_json", "array_to_json")
def _lines(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """(row or array [, pretty])"""
    types = [b.type_of(value) for value in values]
    kind = TypeId.STRUCT if name == "row_to_json" else TypeId.ARRAY
    if len(values) not in (1, 2) or types[0].id is not kind or (len(values) == 2 and types[1].id is not TypeId.BOOLEAN):
        raise no_function(name, types, node)
    pretty = values[1] if len(values) == 2 else Constant(BOOLEAN, 0)
    if not isinstance(pretty, Constant) or pretty.value is None:
        raise unsupported(f"{name} with a form that is not constant", node)
    value = json_argument(b, values[0], node)
    return made("json_lines" if pretty.value else "to_json", (value,), JSON, node)


@special("json_build_array", "jsonb_build_array", "json_build_object", "jsonb_build_object")
def _build(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if name.endswith("array"):
        return _result(name, made("json_build_array", tuple(as_json(b, v, node) for v in values), JSON, node), node)
    if len(values) % 2:
        raise error_for("22023", "argument list must have even number of elements", position=position_of(node))
    parts: list[Expression] = []
    for key, value in zip(values[::2], values[1::2], strict=True):
        parts += [json_key(b, key, node), as_json(b, value, node)]
    return _result(name, made("json_build_object", tuple(parts), JSON, node), node)


def json_key(b: ExpressionBinder, key: Bound, node: exp.Expr) -> Expression:
    type_ = b.type_of(key)
    if type_.id in (*_JSON, TypeId.ARRAY, TypeId.STRUCT):
        raise error_for("22023", "key value must be scalar, not array, composite, or json", position=position_of(node))
    return b.text(key, node)


# --- JSON as records --------------------------------------------------------------------------------------------------
def populated(b: ExpressionBinder, source: Expression, type_: SqlType, node: exp.Expr) -> Expression:
    """A JSON value as a value of the SQL type, as json_populate_record makes its fields."""
    position = position_of(node)
    if type_.id is TypeId.STRUCT:
        return record_of(b, source, type_, None, node)
    if type_.id is TypeId.ARRAY:
        value = source if source.type.id is TypeId.JSONB else Cast(source, JSONB, position)
        return cast_expression(made("json_array_literal", (value,), TEXT, node), type_, position)
    text = made("json_get_text", (source, Literal(_NOTHING, _TEXTS)), TEXT, node)
    if type_.id in _JSON:
        present = b.call("is_not_null", (text,), BOOLEAN)
        value = source if source.type == type_ else Cast(source, type_, position)
        return Case(((present, value),), Literal(None, type_), type_, True)
    return cast_expression(text, type_, position)


# The empty path.
_NOTHING = b"\0" * 8


def field_value(b: ExpressionBinder, source: Expression, name: str, type_: SqlType, node: exp.Expr) -> Expression:
    """The field of that name of an object, as a value of the type; NULL where there is none."""
    if type_.id not in (TypeId.STRUCT, TypeId.ARRAY, *_JSON):
        text = made("json_get_text", (source, Literal(name, TEXT)), TEXT, node)
        return cast_expression(text, type_, position_of(node))
    return populated(b, made("json_get", (source, Literal(name, TEXT)), source.type, node), type_, node)


def record_of(
    b: ExpressionBinder, source: Expression, type_: SqlType, base: Expression | None, node: exp.Expr
) -> Expression:
    """The record of an object's fields; those it does not have are the base record's."""
    fields: list[Expression] = []
    for place, (name, field) in enumerate(type_.fields):
        value = field_value(b, source, name, field, node)
        if base is not None:
            part = made("json_get", (source, Literal(name, TEXT)), source.type, node)
            present = b.call("is_not_null", (part,), BOOLEAN)
            value = Case(((present, value),), field_of(base, place, node), field, True)
        fields.append(value)
    row = made("row", tuple(fields), type_, node)
    if base is not None or not source.nullable:
        return row
    return Case(((b.call("is_not_null", (source,), BOOLEAN), row),), Literal(None, type_), type_, True)


@special("json_populate_record", "jsonb_populate_record")
def _populate(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    wanted = JSONB if name.startswith("jsonb") else JSON
    types = [b.type_of(value) for value in values]
    if len(values) != 2 or types[0].id is not TypeId.STRUCT or types[1].id not in (wanted.id, TypeId.NULL):
        raise no_function(name, types, node)
    base = b.finish(values[0])
    is_null = isinstance(base, Literal) or (isinstance(base, Cast) and isinstance(base.argument, Literal))
    return record_of(b, b.cast(values[1], wanted, node), types[0], None if is_null else base, node)


def sources(b: ExpressionBinder, name: str, values: Sequence[Bound], node: exp.Expr) -> Expression:
    """The one argument of json_... and jsonb_... functions."""
    wanted = JSONB if name.startswith("jsonb") else JSON
    types = [b.type_of(value) for value in values]
    if len(values) != 1 or types[0].id not in (wanted.id, TypeId.NULL):
        raise no_function(name, types, node)
    return b.cast(values[0], wanted, node)


def no_definition(node: exp.Expr) -> DatabaseError:
    return error_for(
        "42601",
        'a column definition list is required for functions returning "record"',
        position=position_of(node),
    )
