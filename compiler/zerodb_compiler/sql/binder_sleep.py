"""pg_sleep(seconds): the host waits when the statement runs, before its query (computed.py).

Limit: as advisory locks (binder_advisory), it stands where it is evaluated once, with a constant or a parameter.
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
from zerodb_compiler.sql.parameters import UserValue
from zerodb_compiler.types import DOUBLE, TEXT, TypeId


@special("pg_sleep")
def _sleep(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    if len(values) != 1 or not (
        isinstance(values[0], UserValue) or types[0].is_exact or types[0].is_float or types[0].id is TypeId.NULL
    ):
        raise no_function(name, types, node)
    check_once(b, name, node)
    seconds = b.cast(values[0], DOUBLE, node, lift=True)
    if not isinstance(seconds, (Literal, Parameter)):
        raise unsupported(f"{name} with an argument that is neither constant nor a parameter", node)
    return replace(computed(b.binder, Computed("sleep", name, arguments=(seconds,)), TEXT), nullable=True)
