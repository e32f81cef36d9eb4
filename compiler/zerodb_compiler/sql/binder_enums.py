"""enum_first, enum_last and enum_range: they look at the type of their argument, and enum_range at constant bounds."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.expressions import Literal
from zerodb_compiler.sql.nested_values import array_from_python
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import SqlType, TypeId, array


def _enum_of(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr, most: int) -> SqlType:
    types = [b.type_of(value) for value in values]
    enums = [type_ for type_ in types if type_.id is TypeId.ENUM]
    known = all(type_.id is TypeId.NULL or type_ == enums[0] for type_ in types) if enums else False
    if not 1 <= len(values) <= most or not known:
        raise no_function(name, types, node)
    return enums[0]


@special("enum_first", "enum_last")
def _end(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    type_ = _enum_of(b, name, values, node, 1)
    return Literal(0 if name == "enum_first" else len(type_.labels) - 1, type_)


@special("enum_range")
def _range(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    type_ = _enum_of(b, name, values, node, 2)
    first, last = 0, len(type_.labels) - 1
    if len(values) == 2:
        bounds = [b.convert(value, type_) if isinstance(value, Constant) else None for value in values]
        if any(bound is None for bound in bounds):
            raise unsupported("enum_range with bounds that are not constant", node)
        for bound in bounds:
            assert bound is not None
            b.finish(bound)
        low, high = (None if bound is None else bound.value for bound in bounds)
        first = low if isinstance(low, int) else first
        last = high if isinstance(high, int) else last
    result = array(type_)
    labels = list(range(first, last + 1))
    return Literal(array_from_python(result, labels, position_of(node), lambda _element, index: index), result)
