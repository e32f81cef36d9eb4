"""Strings: functions that take arguments of any types, and the forms that have a syntax of their own."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import collations
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles
from zerodb_compiler.sql.expressions import Call, Expression, Literal
from zerodb_compiler.sql.nodes import only, position_of
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import INTEGER, TEXT, UNDECIDED, SqlType, TypeId


def output_text(b: ExpressionBinder, value: Bound, node: exp.Expr) -> Expression:
    """A value of any type as its output function writes it: as the cast to text, but for booleans."""
    text = b.padded_text(value, node)
    if b.type_of(value).id is TypeId.BOOLEAN:
        return b.call("left", (text, Literal(1, INTEGER)), TEXT, node)
    return text


def concat(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    return b.call("concat_null", tuple(output_text(b, value, node) for value in values), TEXT, node)


def with_first_text(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """concat_ws and format: a text, then anything."""
    from zerodb_compiler.sql.binder_functions import no_function

    types = [b.type_of(value) for value in values]
    if not values or not _is_texty(types[0]) or (name == "concat_ws" and len(values) < 2):
        raise no_function(name, types, node)
    arguments = (b.text(values[0], node), *(output_text(b, value, node) for value in values[1:]))
    return b.call(name, arguments, TEXT, node)


def _is_texty(type_: SqlType) -> bool:
    return type_.is_text or type_.id is TypeId.NULL


def quoted(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """quote_literal and quote_nullable take anything."""
    from zerodb_compiler.sql.binder_functions import no_function

    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return b.call(name, (b.text(values[0], node),), TEXT, node)


def octet_length(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    from zerodb_compiler.sql.binder_functions import no_function

    types = [b.type_of(value) for value in values]
    if len(values) != 1 or not (_is_texty(types[0]) or types[0].id is TypeId.BYTEA):
        raise no_function(name, types, node)
    is_bytes = types[0].id is TypeId.BYTEA
    argument = b.finish(values[0]) if is_bytes else b.padded_text(values[0], node)
    return b.call(name, (argument,), INTEGER, node)


def count_nulls(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    from zerodb_compiler.sql.binder_functions import no_function

    if not values:
        raise no_function(name, [], node)
    return b.call(name, tuple(b.finish(value) for value in values), INTEGER, node)


@handles(exp.Overlay)
def _overlay(b: ExpressionBinder, node: exp.Overlay) -> Bound:
    from zerodb_compiler.sql.binder_functions import scalar

    only(node, "this", "expression", "from_", "for_")
    parts = [node.this, node.expression, node.args["from_"], node.args.get("for_")]
    return scalar(b, "overlay", [part for part in parts if part is not None], node)


@handles(exp.StartsWith)
def _starts_with(b: ExpressionBinder, node: exp.StartsWith) -> Bound:
    from zerodb_compiler.sql.binder_functions import scalar

    only(node, "this", "expression")
    return scalar(b, "starts_with", [node.this, node.expression], node)


@handles(exp.Collate)
def _collate(b: ExpressionBinder, node: exp.Collate) -> Bound:
    only(node, "this", "expression")
    value = b.bound(node.this)
    type_, position = b.type_of(value), position_of(node)
    if not (collations.collatable(type_) or type_.id is TypeId.NULL):
        raise ProgrammingError(f"collations are not supported by type {type_}", sqlstate="42804", position=position)
    name = collations.known(node.expression.name, position)
    text = b.text(value, node) if type_.id is not TypeId.ARRAY else b.finish(value)
    return Call("collate", (text,), collations.with_collation(text.type, name), text.nullable, position)


def collation_for(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    from zerodb_compiler.sql.binder_functions import no_function

    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    type_ = b.type_of(values[0])
    if type_.id is TypeId.NULL:
        return Literal(None if isinstance(values[0], Constant) else '"default"', TEXT)
    if not collations.collatable(type_):
        raise ProgrammingError(
            f"collations are not supported by type {type_}", sqlstate="42804", position=position_of(node)
        )
    found = collations.derived((b.finish(values[0]),), None) or collations.DEFAULT
    return Literal(None if found == UNDECIDED else found if found in ("ucs_basic", "unicode") else f'"{found}"', TEXT)
