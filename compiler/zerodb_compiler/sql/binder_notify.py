"""pg_notify(channel, payload): announced by the host when the statement runs, before its query (computed.py).

Limit: as advisory locks (binder_advisory), it stands where it is evaluated once, with constants or parameters.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from zerodb_compiler.sql.binder_advisory import check_once
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.computed import Computed, computed
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_compiler.sql.nodes import unsupported
from zerodb_compiler.types import TEXT, TypeId


@special("pg_notify")
def _notify(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    if len(values) != 2 or any(type_.id not in (TypeId.TEXT, TypeId.NULL) for type_ in types):
        raise no_function(name, types, node)
    check_once(b, name, node)
    arguments = []
    for value in values:
        argument = b.cast(value, TEXT, node, lift=True)
        if not isinstance(argument, (Literal, Parameter)):
            raise unsupported(f"{name} with an argument that is neither constant nor a parameter", node)
        arguments.append(argument)
    return replace(computed(b.binder, Computed("notify", name, arguments=tuple(arguments)), TEXT), nullable=True)
