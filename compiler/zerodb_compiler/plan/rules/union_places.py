"""The inputs of a UnionAll, a recursion or a common table meet it by place, all other operators know columns by id.

So that every other rule may give the columns of its result in any order, the places are pinned first: each input of a
UnionAll becomes a Project of its columns. Pruning takes away those that turned out to pass on just what is below.
"""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.plan.logical import LogicalPlan, Project, Recursive, UnionAll, With
from zerodb_compiler.plan.transform import Fresh, map_plan, passed, with_inputs


def pin_union_places(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    del fresh
    return map_plan(plan, _pinned)


def _pinned(plan: LogicalPlan) -> LogicalPlan:
    if isinstance(plan, Recursive):
        return with_inputs(plan, [_places(plan.base), _places(plan.step)])
    if isinstance(plan, With):
        return with_inputs(plan, [*(_places(item.plan) for item in plan.definitions), plan.body])
    if not isinstance(plan, UnionAll) or all(isinstance(input_, Project) for input_ in plan.inputs):
        return plan
    return replace(plan, inputs=tuple(map(_places, plan.inputs)))


def _places(plan: LogicalPlan) -> LogicalPlan:
    return plan if isinstance(plan, Project) else Project(plan, tuple(map(passed, plan.output)))
