"""to_char, to_date, to_timestamp, to_number. The format of numbers must be constant: it decides the digits."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import DatabaseError
from zerodb_compiler.formats import numbers
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.expressions import Call, Expression, Literal
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import DATE, MAX_PRECISION, TEXT, TIMESTAMP, TIMESTAMPTZ, SqlType, TypeId, numeric


def _number_format(b: ExpressionBinder, value: Bound, node: exp.Expr) -> tuple[numbers.NumberFormat, Expression]:
    if not isinstance(value, Constant):
        raise unsupported("a number format that is not constant", node)
    text = b.text(value, node)
    try:
        return numbers.parse("" if value.value is None else str(value.value)), text
    except DatabaseError as error:
        if error.position is None:
            error.position = position_of(node)
        raise


def to_char(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    from zerodb_compiler.sql.binder_functions import no_function

    types = [b.type_of(value) for value in values]
    if len(values) != 2 or not (types[1].is_text or types[1].id is TypeId.NULL):
        raise no_function(name, types, node)
    if types[0].is_number:
        form, text = _number_format(b, values[1], node)
        scale = min(form.scale, MAX_PRECISION - 1)
        number = b.cast(values[0], numeric(MAX_PRECISION, scale), node)
        return b.call("to_char_number", (number, text), TEXT, node)
    if types[0].id is TypeId.INTERVAL:
        raise unsupported("to_char of an interval", node)
    if types[0].id not in (TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ):
        raise no_function(name, types, node)
    if types[0].id is TypeId.TIMESTAMPTZ:
        pattern = values[1].value if isinstance(values[1], Constant) else None
        if not isinstance(pattern, str) or any(word in pattern.upper() for word in ("TZ", "OF")):
            raise unsupported("to_char of a timestamp with time zone by a format with its zone", node)
    if isinstance(values[1], Constant) and values[1].value == "":
        b.finish(values[1])
        return Literal(None, TEXT)
    moment = b.cast(values[0], TIMESTAMP, node)
    return b.call("to_char_timestamp", (moment, b.text(values[1], node)), TEXT, node)


def to_number(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    from zerodb_compiler.sql.binder_functions import no_function

    if len(values) != 2 or not all(_is_texty(b.type_of(value)) for value in values):
        raise no_function(name, [b.type_of(value) for value in values], node)
    form, text = _number_format(b, values[1], node)
    type_ = numeric(MAX_PRECISION, min(form.post, MAX_PRECISION - 1))
    return b.call("to_number", (b.text(values[0], node), text), type_, node)


def to_moment(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """to_date and to_timestamp of a text."""
    from zerodb_compiler.sql.binder_functions import no_function
    from zerodb_compiler.sql.binder_moments import to_timestamp_of_seconds

    if name == "to_timestamp" and len(values) == 1:
        return to_timestamp_of_seconds(b, name, values, node)
    if len(values) != 2 or not all(_is_texty(b.type_of(value)) for value in values):
        raise no_function(name, [b.type_of(value) for value in values], node)
    arguments = (b.text(values[0], node), b.text(values[1], node))
    if name == "to_date":
        return b.call("to_date", arguments, DATE, node)
    moment: Call = b.call("to_timestamp_text", arguments, TIMESTAMP, node)
    return b.cast(moment, TIMESTAMPTZ, node)


def _is_texty(type_: SqlType) -> bool:
    return type_.is_text or type_.id is TypeId.NULL
