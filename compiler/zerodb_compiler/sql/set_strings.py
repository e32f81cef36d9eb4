"""Set-returning functions of strings: each makes an array, whose elements are the rows."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.collations import collation_of, derived, with_collation
from zerodb_compiler.sql.nodes import position_of
from zerodb_compiler.sql.set_functions import RowColumn, Rows, set_function
from zerodb_compiler.types import TEXT, SqlType, TypeId, array


def _texts(b: ExpressionBinder, name: str, values: list[Bound], most: int, node: exp.Expr) -> None:
    from zerodb_compiler.sql.binder_functions import no_function

    types = [b.type_of(value) for value in values]
    if not 2 <= len(values) <= most or not all(type_.is_text or type_.id is TypeId.NULL for type_ in types):
        raise no_function(name, types, node)


@set_function("regexp_split_to_table", "string_to_table", code="unnest")
def _split(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    _texts(b, name, values, 3, node)
    call = "regexp_split_to_array" if name.startswith("regexp") else "string_to_array"
    parts = b.call(call, tuple(b.text(value, node) for value in values), array(TEXT), node)
    return Rows("unnest", (parts,), (RowColumn(None, with_collation(TEXT, collation_of(parts.type)), True),))


@set_function("regexp_matches", code="unnest")
def _matches(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    _texts(b, name, values, 3, node)
    # Not an array of two dimensions: its elements are arrays.
    type_ = SqlType(TypeId.ARRAY, element=array(TEXT))
    texts = tuple(b.text(value, node) for value in values)
    parts = b.call(name, texts, type_, node)
    column = with_collation(array(TEXT), derived(texts, position_of(node)))
    return Rows("unnest", (parts,), (RowColumn(None, column, True),))
