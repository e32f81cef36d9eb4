"""What operators cost, in units of about a nanosecond on one core: used to order joins and predicates.

Measured orders of magnitude, not a model of the machine: a hash table that fits the cache is probed in a few
nanoseconds, one that does not costs a cache miss; building costs about two probes (materialise the row, link it).
Scans cost the same in every plan and are left out.
"""

from __future__ import annotations

import math

from zerodb_compiler.sql.expressions import Call, Case, Cast, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.types import TypeId

_CACHED_ROWS = 20_000.0  # a hash table of so many rows stays in the second-level cache
_HIT = 2.0
_MISS = 14.0
_OUTPUT = 1.0
_NESTED_PAIR = 0.7
_TEXT_SEARCH = 40.0
_TEXT_COMPARISON = 8.0
_PLAIN = 1.0


def probe_cost(build_rows: float) -> float:
    """One probe of a hash table of that many rows."""
    if build_rows <= _CACHED_ROWS:
        return _HIT
    return _HIT + min(_MISS, 2.2 * math.log2(build_rows / _CACHED_ROWS))


def hash_join_cost(probe_rows: float, build_rows: float, output_rows: float) -> float:
    miss = probe_cost(build_rows)
    return probe_rows * miss + build_rows * (6.0 + miss) + output_rows * _OUTPUT


def nested_loop_cost(probe_rows: float, build_rows: float, output_rows: float) -> float:
    return (probe_rows * build_rows) * _NESTED_PAIR + probe_rows + build_rows * 3.0 + output_rows * _OUTPUT


def predicate_cost(expression: Expression) -> float:
    """Evaluating an expression once."""
    match expression:
        case ColumnRef() | Literal() | Parameter():
            return 0.0
        case Cast(argument=argument):
            text = argument.type.is_text or expression.type.is_text
            return predicate_cost(argument) + (_TEXT_COMPARISON if text else _PLAIN)
        case Case(branches=branches, default=default):
            parts = [part for branch in branches for part in branch]
            return predicate_cost(default) + sum(map(predicate_cost, parts)) + _PLAIN * len(branches)
        case Call(function=function, arguments=arguments):
            inner = sum(map(predicate_cost, arguments))
            return inner + _call_cost(function, arguments)
    return _PLAIN


def _call_cost(function: str, arguments: tuple[Expression, ...]) -> float:
    if function in ("and", "or", "not", "is_null", "is_not_null", "is_true", "is_false"):
        return 0.2
    if any(argument.type.is_text for argument in arguments):
        return (_TEXT_COMPARISON if function in ("eq", "ne", "in", "starts_with") else _TEXT_SEARCH) * 1.0
    if function == "in":
        return 0.5 * len(arguments)
    if function in ("div", "mod") or any(argument.type.id is TypeId.HUGEINT for argument in arguments):
        return 10.0
    return _PLAIN


def rank(expression: Expression, selectivity: float) -> float:
    """Sort key of conjuncts: cost per row removed, least first (Hellerstein's predicate rank)."""
    return predicate_cost(expression) / max(1e-3, 1.0 - selectivity)
