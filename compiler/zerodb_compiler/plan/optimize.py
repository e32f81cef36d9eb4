"""The optimiser: a tuple of pure functions, applied from first to last.

Each rule takes a plan and a source of fresh column ids and gives an equivalent plan with the same output; the order is
the only coupling between them. The first makes all comparisons plain ones;
unnesting follows, so that every later rule sees joins instead of subqueries; then calls of volatile external functions
are placed, which must not be copied, and all others when joins are ordered.
"""

from __future__ import annotations

from zerodb_compiler.plan import check
from zerodb_compiler.plan.logical import LogicalPlan
from zerodb_compiler.plan.rules.aggregate_below_join import push_aggregates
from zerodb_compiler.plan.rules.aggregate_parts import split_aggregates
from zerodb_compiler.plan.rules.comparison_keys import compare_by_keys
from zerodb_compiler.plan.rules.distinct_aggregates import split_distinct
from zerodb_compiler.plan.rules.expand_partitions import expand_partitions
from zerodb_compiler.plan.rules.external_calls import (
    place_external_calls,
    place_volatile_calls,
)
from zerodb_compiler.plan.rules.group_keys import reduce_group_keys
from zerodb_compiler.plan.rules.nullability import tighten_nullability
from zerodb_compiler.plan.rules.order_joins import order_joins
from zerodb_compiler.plan.rules.outer_joins import outer_to_inner
from zerodb_compiler.plan.rules.prune_columns import prune_columns
from zerodb_compiler.plan.rules.push_predicates import push_predicates
from zerodb_compiler.plan.rules.reduce_aggregate_inputs import reduce_aggregate_inputs
from zerodb_compiler.plan.rules.simplify import simplify
from zerodb_compiler.plan.rules.union_places import pin_union_places
from zerodb_compiler.plan.rules.unnest import unnest
from zerodb_compiler.plan.rules.window_parts import split_window_aggregates
from zerodb_compiler.plan.transform import Fresh, Rule

RULES: tuple[Rule, ...] = (
    compare_by_keys,
    simplify,
    unnest,
    place_volatile_calls,
    expand_partitions,
    pin_union_places,
    outer_to_inner,
    tighten_nullability,
    split_aggregates,
    split_window_aggregates,
    split_distinct,
    push_predicates,
    push_aggregates,
    reduce_group_keys,
    reduce_aggregate_inputs,
    order_joins,
    place_external_calls,
    prune_columns,
    tighten_nullability,
)


def optimize(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    """The plan rewritten by all rules. NotSupportedError (0A000) for subqueries that cannot be unnested."""
    for rule in RULES:
        plan = rule(plan, fresh)
        if check.ENABLED:
            check.check_plan(plan)
    if check.ENABLED:
        check.check_plan(plan, final=True)
    return plan
