"""Pattern matching operators: ~ ~* !~ !~* and SIMILAR TO. LIKE is in binder_operators.py."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, no_operator
from zerodb_compiler.sql.expressions import Expression
from zerodb_compiler.sql.nodes import only
from zerodb_compiler.types import BOOLEAN, TypeId


def _texts(b: ExpressionBinder, symbol: str, node: exp.Binary) -> tuple[Expression, Expression]:
    value, pattern = b.bound(node.this), b.bound(node.expression)
    types = b.type_of(value), b.type_of(pattern)
    for type_ in types:
        if not (type_.is_text or type_.id is TypeId.NULL):
            raise no_operator(symbol, *types, node)
    return b.padded_text(value, node), b.text(pattern, node)


@handles(exp.RegexpLike, exp.RegexpILike)
def _regexp_like(b: ExpressionBinder, node: exp.Binary) -> Bound:
    only(node, "this", "expression")
    case_sensitive = isinstance(node, exp.RegexpLike)
    arguments = _texts(b, "~" if case_sensitive else "~*", node)
    return b.call("regexp_like" if case_sensitive else "regexp_ilike", arguments, BOOLEAN, node)


@handles(exp.SimilarTo)
def _similar_to(b: ExpressionBinder, node: exp.SimilarTo) -> Bound:
    return similar_to(b, node, None)


def similar_to(b: ExpressionBinder, node: exp.SimilarTo, escape: exp.Expr | None) -> Bound:
    only(node, "this", "expression")
    arguments: tuple[Expression, ...] = _texts(b, "~", node)
    if escape is not None:
        arguments = (*arguments, b.text(b.bound(escape), node))
    return b.call("similar_to", arguments, BOOLEAN, node)
