"""The aggregates that an `AggregateCall` may name, and what all layers must know of them.

    count_star count sum avg min max bool_and bool_or any_value bit_and bit_or bit_xor     one state a group
    covar_pop covar_samp corr regr_avgx regr_avgy regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
                                                       (y, x), of double precision
    var_pop var_samp stddev_pop stddev_samp            of double precision (of exact numbers: sums, by the planner)
    string_agg array_agg json_agg jsonb_agg json_object_agg jsonb_object_agg
    mode percentile_cont percentile_disc rank dense_rank percent_rank cume_dist
                         collect the group's rows, sort them and go over them: see COLLECTING

PostgreSQL's names where it has one (chapter 9.21); stddev and variance are var_samp and stddev_samp.
"""

from __future__ import annotations

from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.expressions import AggregateCall, Literal
from zerodb_compiler.types import BIGINT, BOOLEAN, DOUBLE, MAX_PRECISION, TEXT, SqlType, TypeId, array, numeric

# SQL name -> AggregateCall.function, where they differ.
ALIASES = {"every": "bool_and", "stddev": "stddev_samp", "variance": "var_samp", "regr_count": "count"}

# They keep all rows of a group until its end, in the order of the call; `distinct` and `order` are theirs to handle.
ORDERED_SET = frozenset({"mode", "percentile_cont", "percentile_disc"})
HYPOTHETICAL = frozenset({"rank", "dense_rank", "percent_rank", "cume_dist"})
JSON_AGGREGATES = frozenset({"json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"})
COLLECTING = frozenset({"string_agg", "array_agg"}) | JSON_AGGREGATES | ORDERED_SET | HYPOTHETICAL

MOMENTS = frozenset({"var_pop", "var_samp", "stddev_pop", "stddev_samp"})
_PAIRS = "covar_pop covar_samp corr regr_avgx regr_avgy regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy"
REGRESSION = frozenset(_PAIRS.split())
BITS = frozenset({"bit_and", "bit_or", "bit_xor"})

# NULL only where all arguments were: a group with a row that is not NULL has a value.
_FROM_ANY_ROW = frozenset({"sum", "min", "max", "avg", "bool_and", "bool_or", "any_value"}) | BITS
_OF_NOTHING: dict[str, int | float] = {
    "count": 0,
    "count_star": 0,
    "rank": 1,
    "dense_rank": 1,
    "percent_rank": 0.0,
    "cume_dist": 1.0,
}


def of_nothing(call: AggregateCall) -> Literal:
    """The aggregate of no rows."""
    return Literal(_OF_NOTHING.get(call.function), call.type)


def can_be_null(call: AggregateCall, grouped: bool, argument_nullable: bool) -> bool:
    """Whether the result can be NULL; `grouped`: every group has a row."""
    if call.function in _OF_NOTHING:
        return False
    if call.function == "array_agg":
        return not grouped or call.filter is not None
    if call.function not in _FROM_ANY_ROW:
        return True
    return not grouped or call.filter is not None or argument_nullable


NAMES = frozenset({"count", "regr_count"}) | _FROM_ANY_ROW | COLLECTING | MOMENTS | REGRESSION | set(ALIASES)


def result_type(function: str, type_: SqlType) -> SqlType | None:
    """The type an aggregate of one argument gives for an argument type, or None if it takes none such."""
    match function:
        case "count":
            return BIGINT
        case "bool_and" | "bool_or":
            return BOOLEAN if type_.id is TypeId.BOOLEAN else None
        case "min" | "max":
            return None if type_.id in (TypeId.BOOLEAN, TypeId.JSON, TypeId.JSONB, TypeId.MAP, TypeId.UUID) else type_
        case "any_value" | "mode" | "percentile_disc":
            return type_
        case "array_agg":
            return array(TEXT if type_.id is TypeId.NULL else type_)
        case "bit_and" | "bit_or" | "bit_xor":
            return type_ if type_.is_integer else None
        case "sum" | "avg" if type_.id is TypeId.INTERVAL:
            return type_
    if function in MOMENTS:
        return _variance_type(type_) if type_.is_exact else DOUBLE if type_.is_float else None
    if type_.is_float:
        return type_ if function == "sum" else DOUBLE
    if not type_.is_exact:
        return None
    if function == "avg":
        return coercion.quotient_type(type_)
    if type_.id in (TypeId.SMALLINT, TypeId.INTEGER):
        return BIGINT
    return numeric(MAX_PRECISION, type_.scale, type_.shown, quotient=type_.quotient)


def _variance_type(type_: SqlType) -> SqlType:
    """Room for the square's digits before the point: 20 decimals where 18 of them suffice."""
    source = coercion.as_numeric(type_)
    scale = 20 if 2 * (source.precision - source.scale) <= MAX_PRECISION - 20 else 16
    return numeric(MAX_PRECISION, scale, 0, quotient=True)
