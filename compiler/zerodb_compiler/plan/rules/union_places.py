"""The inputs of a UnionAll meet it by place, all other operators know columns by id.

So that every other rule may give the columns of its result in any order, the places are pinned first: each input of a
UnionAll becomes a Project of its columns. Pruning takes away those that turned out to pass on just what is below.
"""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.plan.logical import LogicalPlan, Project, UnionAll
from zerodb_compiler.plan.transform import Fresh, map_plan, passed


def pin_union_places(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    del fresh
    return map_plan(plan, _pinned)


def _pinned(plan: LogicalPlan) -> LogicalPlan:
    if not isinstance(plan, UnionAll) or all(isinstance(input_, Project) for input_ in plan.inputs):
        return plan
    inputs = tuple(
        input_ if isinstance(input_, Project) else Project(input_, tuple(map(passed, input_.output)))
        for input_ in plan.inputs
    )
    return replace(plan, inputs=inputs)
