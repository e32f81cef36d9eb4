"""What operators cost, in units of about a nanosecond on one core: used to order joins and predicates.

Measured orders of magnitude, not a model of the machine. What a hash join costs is cache misses: for each probe one in
the directory (8 bytes a row), for each match one in the tuples (64 bytes a row), for each row built one in the
directory again; none where both sides come in the order of the key, as lineitem and orders do. Scans cost the same in
every plan and are left out.
"""

from __future__ import annotations

import math

from zerodb_compiler.sql.expressions import Call, Case, Cast, ColumnRef, Expression, ExternalCall, Literal, Parameter
from zerodb_compiler.types import TypeId

_DIRECTORY_BYTES = 8.0
_TUPLE_BYTES = 64.0
_NEAR_CACHE = float(1 << 20)
_FAR_CACHE = float(1 << 25)
_BUILD = 5.0
_PROBE = 2.0
_OUTPUT = 1.0
_IN_ORDER = 1.0  # reading on through a directory and tuples: as good as cached
_NESTED_PAIR = 0.7
_TEXT_SEARCH = 40.0
_TEXT_COMPARISON = 8.0
_PLAIN = 1.0
_EXTERNAL = 1000.0


def miss_cost(bytes_: float) -> float:
    """A random access within so many bytes."""
    if bytes_ <= _NEAR_CACHE:
        return 1.0
    if bytes_ <= _FAR_CACHE:
        return 1.0 + 6.0 * math.log2(bytes_ / _NEAR_CACHE)
    return min(150.0, 31.0 + 40.0 * math.log2(bytes_ / _FAR_CACHE))


def hash_join_cost(
    probe_rows: float, build_rows: float, output_rows: float, *, build_in_order: bool = False, in_order: bool = False
) -> float:
    """`build_in_order`: rows arrive in the order of the key; `in_order`: on both sides."""
    directory = miss_cost(build_rows * _DIRECTORY_BYTES)
    build = build_rows * (_BUILD if build_in_order else _BUILD + directory)
    if in_order:
        return build + probe_rows * (_PROBE + _IN_ORDER) + output_rows * (_OUTPUT + _IN_ORDER)
    match_ = miss_cost(build_rows * _TUPLE_BYTES)
    return build + probe_rows * (_PROBE + directory) + output_rows * (_OUTPUT + match_)


def nested_loop_cost(probe_rows: float, build_rows: float, output_rows: float) -> float:
    return (probe_rows * build_rows) * _NESTED_PAIR + probe_rows + build_rows * _BUILD + output_rows * _OUTPUT


def predicate_cost(expression: Expression) -> float:
    """Evaluating an expression once."""
    match expression:
        case ColumnRef() | Literal() | Parameter():
            return 0.0
        case Cast(argument=argument):
            text = argument.type.is_variable or expression.type.is_variable
            return predicate_cost(argument) + (_TEXT_COMPARISON if text else _PLAIN)
        case Case(branches=branches, default=default):
            parts = [part for branch in branches for part in branch]
            return predicate_cost(default) + sum(map(predicate_cost, parts)) + _PLAIN * len(branches)
        case Call(function=function, arguments=arguments):
            inner = sum(map(predicate_cost, arguments))
            return inner + _call_cost(function, arguments)
        case ExternalCall(arguments=arguments):
            return _EXTERNAL + sum(map(predicate_cost, arguments))
    return _PLAIN


def _call_cost(function: str, arguments: tuple[Expression, ...]) -> float:
    if function in ("and", "or", "not", "is_null", "is_not_null", "is_true", "is_false"):
        return 0.2
    if any(argument.type.is_variable for argument in arguments):
        return (_TEXT_COMPARISON if function in ("eq", "ne", "in", "starts_with") else _TEXT_SEARCH) * 1.0
    if function == "in":
        return 0.5 * len(arguments)
    if function in ("div", "mod") or any(argument.type.id is TypeId.HUGEINT for argument in arguments):
        return 10.0
    return _PLAIN


def rank(expression: Expression, selectivity: float) -> float:
    """Sort key of conjuncts: cost per row removed, least first (Hellerstein's predicate rank)."""
    return predicate_cost(expression) / max(1e-3, 1.0 - selectivity)
