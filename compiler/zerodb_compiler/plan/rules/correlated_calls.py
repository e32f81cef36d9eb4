"""Refuses calls of volatile functions in correlated subqueries: unnesting computes these for sets of values, once for
several rows, so the number of calls would not be what it should be."""

from __future__ import annotations

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.plan.logical import Lateral, LogicalPlan
from zerodb_compiler.plan.transform import expressions_of, free_ids, inputs_of
from zerodb_compiler.sql.expressions import AnySubquery, Exists, ExternalCall, InSubquery, ScalarSubquery, walk
from zerodb_compiler.sql.external import VOLATILE


def refuse_correlated_volatile(plan: LogicalPlan) -> None:
    for input_ in inputs_of(plan):
        refuse_correlated_volatile(input_)
    if isinstance(plan, Lateral) and free_ids(plan.right):
        _refuse_volatile(plan.right)
    for expression in expressions_of(plan):
        for part in walk(expression):
            if isinstance(part, ScalarSubquery | Exists | InSubquery | AnySubquery):
                if free_ids(part.plan):
                    _refuse_volatile(part.plan)
                refuse_correlated_volatile(part.plan)


def _refuse_volatile(plan: LogicalPlan) -> None:
    for input_ in inputs_of(plan):
        _refuse_volatile(input_)
    for expression in expressions_of(plan):
        for found in walk(expression):
            if isinstance(found, ExternalCall) and found.function.volatility == VOLATILE:
                what = f"the volatile function {found.function.name} in a correlated subquery"
                raise NotSupportedError(f"{what} is not supported", position=found.position)
