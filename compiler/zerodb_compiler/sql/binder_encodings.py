"""Texts as bytes and back (convert_to, convert_from), Unicode's normal forms, parse_ident."""

from __future__ import annotations

import re

from sqlglot import exp

from zerodb_compiler.derived import FORMS
from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles
from zerodb_compiler.sql.expressions import Expression
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import BOOLEAN, BYTEA, TEXT, TypeId, array

# PostgreSQL's other encodings, by the letters and digits of their names.
_OTHERS = re.compile(r"latin\d+|iso8859\d+|win\d+|windows\d+|koi8r?u?|euc\w+|sqlascii|big5|gb\w+|sjis|johab|uhc")


def convert(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """convert_to(text, encoding) and convert_from(bytea, encoding)."""
    from zerodb_compiler.sql.binder_functions import no_function

    source = TEXT if name == "convert_to" else BYTEA
    types = [b.type_of(value) for value in values]
    if len(values) != 2 or not all(map(coercion.is_implicit, types, (source, TEXT))):
        raise no_function(name, types, node)
    encoding = values[1]
    if not isinstance(encoding, Constant) or not isinstance(encoding.value, str):
        raise unsupported("an encoding that is not constant", node)
    b.finish(encoding)
    letters = re.sub(r"[^a-z0-9]", "", encoding.value.lower())
    if letters not in ("utf8", "unicode"):
        if _OTHERS.fullmatch(letters):
            raise NotSupportedError(f"encoding {encoding.value} is not supported", position=position_of(node))
        which = "destination" if name == "convert_to" else "source"
        message = f'invalid {which} encoding name "{encoding.value}"'
        raise error_for("22023", message, position=position_of(node))
    if name == "convert_to":
        return b.call("convert_to_utf8", (b.text(values[0], node),), BYTEA, node)
    return b.call("convert_from_utf8", (b.cast(values[0], BYTEA, node),), TEXT, node)


def parse_ident(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    from zerodb_compiler.sql.binder_functions import no_function

    types = [b.type_of(value) for value in values]
    if len(values) not in (1, 2) or not all(map(coercion.is_implicit, types, (TEXT, BOOLEAN))):
        raise no_function(name, types, node)
    strict = True
    if len(values) == 2:
        option = values[1]
        if not isinstance(option, Constant) or option.type.id is not TypeId.BOOLEAN or option.value is None:
            raise unsupported("parse_ident with an option that is not constant", node)
        b.finish(option)
        strict = bool(option.value)
    text = b.text(values[0], node)
    return b.call("parse_ident" if strict else "parse_ident_loosely", (text,), array(TEXT), node)


def normalized(b: ExpressionBinder, value: Expression, form: str, node: exp.Expr) -> Expression:
    if form.lower() not in FORMS:
        raise error_for("22023", f"invalid normalization form: {form}", position=position_of(node))
    return b.call(f"normalize_{form.lower()}", (value,), TEXT, node)


@handles(exp.Normalize)
def _normalize(b: ExpressionBinder, node: exp.Normalize) -> Bound:
    only(node, "this", "form", "is_casefold")
    form = node.args.get("form")
    return normalized(b, b.text(b.bound(node.this), node), form.name if isinstance(form, exp.Expr) else "nfc", node)
