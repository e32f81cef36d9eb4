"""Set-returning functions of json and jsonb: each makes arrays, whose elements side by side are the rows."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.sql.binder_casts import cast_expression
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function
from zerodb_compiler.sql.binder_json import _TEXTS, field_value, no_definition, sources
from zerodb_compiler.sql.binder_structured import made
from zerodb_compiler.sql.expressions import Call, Expression, Literal
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.sql.set_functions import DEFINED_FUNCTIONS, RowColumn, Rows, set_function
from zerodb_compiler.types import BOOLEAN, JSONB, TEXT, SqlType, TypeId

_JSON = (TypeId.JSON, TypeId.JSONB)


def _list_of(type_: SqlType) -> SqlType:
    """An array of the type as its elements, also where these are arrays themselves."""
    return SqlType(TypeId.ARRAY, element=type_)


@set_function("json_array_elements", "jsonb_array_elements", code="unnest")
def _elements(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    source = sources(b, name, values, node)
    parts = made("json_elements", (source,), _list_of(source.type), node)
    return Rows("unnest", (parts,), (RowColumn("value", source.type, False),))


@set_function("jsonb_path_query", code="unnest")
def _path_query(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    """(value, path [, variables [, silent]])"""
    types = [b.type_of(value) for value in values]
    wanted = (JSONB, TEXT, JSONB, BOOLEAN)
    if not 2 <= len(values) <= 4 or any(x.id not in (y.id, TypeId.NULL) for x, y in zip(types, wanted, strict=False)):
        raise no_function(name, types, node)
    arguments = [
        b.text(value, node) if type_ == TEXT else b.cast(value, type_, node)
        for value, type_ in zip(values, wanted, strict=False)
    ]
    parts = made("jsonb_path_query_list", tuple(arguments), _list_of(JSONB), node)
    return Rows("unnest", (parts,), (RowColumn(None, JSONB, False),))


@set_function("json_array_elements_text", "jsonb_array_elements_text", code="unnest")
def _element_texts(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    parts = made("json_element_texts", (sources(b, name, values, node),), _TEXTS, node)
    return Rows("unnest", (parts,), (RowColumn("value", TEXT, True),))


@set_function("json_object_keys", "jsonb_object_keys", code="unnest")
def _keys(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    parts = made("json_keys", (sources(b, name, values, node),), _TEXTS, node)
    return Rows("unnest", (parts,), (RowColumn(None, TEXT, False),))


@set_function("json_each", "jsonb_each", "json_each_text", "jsonb_each_text", code="unnest_columns")
def _each(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    source = sources(b, name, values, node)
    keys = made("json_keys", (source,), _TEXTS, node)
    if name.endswith("text"):
        parts, column = made("json_value_texts", (source,), _TEXTS, node), RowColumn("value", TEXT, True)
    else:
        parts = made("json_values", (source,), _list_of(source.type), node)
        column = RowColumn("value", source.type, False)
    return Rows("unnest_columns", (keys, parts), (RowColumn("key", TEXT, False), column))


@set_function("json_to_record", "jsonb_to_record", "json_to_recordset", "jsonb_to_recordset", code="unnest_columns")
def _undefined(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    raise no_definition(node)


def _record(
    b: ExpressionBinder, name: str, values: list[Bound], columns: tuple[tuple[str, SqlType], ...], node: exp.Expr
) -> Rows:
    """One row, of the fields of an object."""
    source = sources(b, name, values, node)
    position = position_of(node)
    lists: list[Expression] = [
        Call("array", (field_value(b, source, field, type_, node),), _list_of(type_), False, position)
        for field, type_ in columns
    ]
    return Rows("unnest_columns", tuple(lists), tuple(RowColumn(field, type_, True) for field, type_ in columns))


def _recordset(
    b: ExpressionBinder, name: str, values: list[Bound], columns: tuple[tuple[str, SqlType], ...], node: exp.Expr
) -> Rows:
    """A row for each element of an array of objects."""
    source = sources(b, name, values, node)
    elements = made("json_elements", (source,), _list_of(source.type), node)
    lists: list[Expression] = []
    for field, type_ in columns:
        if type_.id in (TypeId.ARRAY, TypeId.STRUCT):
            raise unsupported(f"{name} with a column of type {type_}", node)
        key = Literal(field, TEXT)
        if type_.id in _JSON:
            found: Expression = made("json_fields", (elements, key), _list_of(source.type), node)
        else:
            found = made("json_field_texts", (elements, key), _TEXTS, node)
        lists.append(cast_expression(found, _list_of(type_), position_of(node)))
    return Rows("unnest_columns", tuple(lists), tuple(RowColumn(field, type_, True) for field, type_ in columns))


for _prefix in ("json", "jsonb"):
    DEFINED_FUNCTIONS[f"{_prefix}_to_record"] = _record
    DEFINED_FUNCTIONS[f"{_prefix}_to_recordset"] = _recordset
