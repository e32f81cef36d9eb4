"""Calls of json_agg, jsonb_agg, json_object_agg and jsonb_object_agg."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import error_for
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function
from zerodb_compiler.sql.binder_json import json_argument, json_key
from zerodb_compiler.sql.expressions import AggregateCall
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.types import JSON, JSONB, TypeId


def json_aggregate(
    b: ExpressionBinder, function: str, values: list[Bound], distinct: bool, node: exp.Expr
) -> AggregateCall:
    position = position_of(node)
    types = [b.type_of(value) for value in values]
    is_object = function.endswith("object_agg")
    if len(values) != (2 if is_object else 1):
        raise no_function(function, types, node)
    if types[-1].id is TypeId.NULL and not is_object:
        raise error_for(
            "42804", "could not determine polymorphic type because input has type unknown", position=position
        )
    if distinct and types[-1].id is TypeId.JSON:
        raise error_for("42883", "could not identify an equality operator for type json", position=position)
    if distinct and types[-1].id in (TypeId.TIMESTAMPTZ, TypeId.STRUCT):
        raise unsupported(f"{function} of DISTINCT values of type {types[-1]}", node)
    result = JSONB if function.startswith("jsonb") else JSON
    value = json_argument(b, values[-1], node)
    if not is_object:
        return AggregateCall(function, value, result, True, position=position)
    return AggregateCall(function, json_key(b, values[0], node), result, True, position=position, extra=(value,))
