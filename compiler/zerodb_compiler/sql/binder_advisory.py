"""Advisory locks: pg_advisory_lock(...), pg_try_advisory_xact_lock(...) and their like.

The host takes the lock when the statement runs, before its query (computed.py). Limit: they stand where they are
evaluated once, with constants or parameters as arguments; `select pg_advisory_lock(id) from t` is refused (0A000). In
WHERE they are evaluated once, whatever the number of rows.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.computed import Computed, computed
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_compiler.sql.nodes import unsupported
from zerodb_compiler.sql.parameters import Constant, UserValue
from zerodb_compiler.types import BIGINT, BOOLEAN, INTEGER, TEXT, SqlType, TypeId

_LOCKING = tuple(
    f"{start}_{kind}lock{end}"
    for start in ("pg_advisory", "pg_try_advisory")
    for kind in ("", "xact_")
    for end in ("", "_shared")
)
_UNLOCKING = ("pg_advisory_unlock", "pg_advisory_unlock_shared")


@special(*_LOCKING, *_UNLOCKING, "pg_advisory_unlock_all")
def _advisory(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    wanted = (BIGINT,) if len(values) == 1 else (INTEGER, INTEGER)
    if (not values) is not (name == "pg_advisory_unlock_all") or len(values) > 2:
        raise no_function(name, types, node)
    check_once(b, name, node)
    arguments = []
    for value, type_, target in zip(values, types, wanted, strict=False):
        if not _fits(type_, target, value):
            raise no_function(name, types, node)
        argument = b.cast(value, target, node, lift=True)
        if not isinstance(argument, (Literal, Parameter)):
            raise unsupported(f"{name} with an argument that is neither constant nor a parameter", node)
        arguments.append(argument)
    result = BOOLEAN if name.startswith("pg_try") or name in _UNLOCKING else TEXT  # for void
    return replace(computed(b.binder, Computed("advisory", name, arguments=tuple(arguments)), result), nullable=True)


def check_once(b: ExpressionBinder, name: str, node: exp.Expr) -> None:
    """0A000 for a function that does something where it is not evaluated exactly once."""
    once = b.clause == "WHERE" or (b.clause in ("SELECT", "VALUES") and not b.scope.relations)
    if b.scope.parent is not None or not once or node.find_ancestor(exp.Case, exp.If, exp.Coalesce):
        raise unsupported(f"{name} where it is not evaluated exactly once", node)


def _fits(source: SqlType, target: SqlType, value: Bound) -> bool:
    if isinstance(value, UserValue) or source.id is TypeId.NULL:
        return True
    if not source.is_integer:
        return False
    if target is BIGINT or source.id is TypeId.INTEGER or source.id is TypeId.SMALLINT:
        return True
    return isinstance(value, Constant) and isinstance(value.value, int) and -(2**31) <= value.value < 2**31
