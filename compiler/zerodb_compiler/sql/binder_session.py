"""Functions that say something of the session: current_user, version(), current_setting(...) and their like.

Their values are computed by the host when the statement runs (computed.py), so that a compiled statement serves every
session. `user` and `current_role`, which sqlglot takes for columns, come from there (binder_expressions).
"""

from __future__ import annotations

import re
from dataclasses import replace

from sqlglot import exp

from zerodb_compiler.sql.binder_expressions import HANDLERS, Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.computed import Computed, computed
from zerodb_compiler.sql.nodes import unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import BIGINT, INTEGER, TEXT

_MODIFIER = re.compile(r"\(.*?\)")
# What pg_typeof calls types whose short names are ours.
_FULL_NAMES = {
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
    "varchar": "character varying",
    "char": "character",
}
_NODES = {
    "CurrentUser": "current_user",
    "SessionUser": "session_user",
    "CurrentSchema": "current_schema",
    "CurrentCatalog": "current_database",
    "CurrentRole": "current_user",
}


def _of_node(b: ExpressionBinder, node: exp.Expr) -> Bound:
    if any(value for value in node.args.values()):
        raise unsupported(f"{type(node).__name__} with arguments", node)
    return computed(b.binder, Computed("session", _NODES[type(node).__name__]), TEXT)


for _name in _NODES:
    _class = getattr(exp, _name, None)
    if _class is not None and _class not in HANDLERS:
        HANDLERS[_class] = _of_node


def _without_arguments(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if values:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return computed(b.binder, Computed("session", name), INTEGER if name == "pg_backend_pid" else TEXT)


for _function in ("version", "current_database", "current_schema", "pg_backend_pid"):
    special(_function)(_without_arguments)


def _transaction_number(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """xid8 of PostgreSQL is a bigint here."""
    if values:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return replace(computed(b.binder, Computed("session", name), BIGINT), nullable=True)


for _function in ("txid_current", "pg_current_xact_id", "txid_current_if_assigned", "pg_current_xact_id_if_assigned"):
    special(_function)(_transaction_number)


def _unsupported(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    raise unsupported(f"{name}()", node)


for _function in ("pg_export_snapshot", "pg_current_snapshot", "txid_current_snapshot"):
    special(_function)(_unsupported)


@special("current_setting")
def _current_setting(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) not in (1, 2):
        raise no_function(name, [b.type_of(value) for value in values], node)
    setting, *rest = (_constant(b, value, node) for value in values)
    missing = bool(rest) and str(rest[0]).lower() in ("1", "t", "true", "on")
    return replace(computed(b.binder, Computed("setting", setting, called=missing), TEXT), nullable=True)


@special("set_config")
def _set_config(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 3:
        raise no_function(name, [b.type_of(value) for value in values], node)
    setting, value, local = (_constant(b, value, node) for value in values)
    is_local = str(local).lower() in ("1", "t", "true", "on")
    return computed(b.binder, Computed("set setting", f"{setting}\0{value}", called=is_local), TEXT)


@special("pg_typeof")
def _type_of(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    plain = _MODIFIER.sub("", str(b.type_of(values[0])))
    return Constant(TEXT, _FULL_NAMES.get(plain, plain))


def _constant(b: ExpressionBinder, value: Bound, node: exp.Expr) -> str:
    if not isinstance(value, Constant) or value.value is None:
        raise unsupported("a setting that is not named by a constant", node)
    b.finish(value)  # the literal decides what the statement does: it is baked
    return str(value.value)
