"""A walk over a plan whose nodes may get more columns than they had.

Rules that compute something beside the rows (a subquery's value, an external function's result) add columns where they
compute it, and let these flow on: that disturbs nobody who names columns. Who takes them by place, as UNION does, and
the root, get exactly what they had.
"""

from __future__ import annotations

from collections.abc import Callable

from zerodb_compiler.plan.logical import Lateral, LogicalPlan, Project, Recursive, UnionAll, With
from zerodb_compiler.plan.transform import inputs_of, passed, with_inputs


def widened(plan: LogicalPlan, node: Callable[[LogicalPlan], LogicalPlan]) -> LogicalPlan:
    """Every node, the inputs first, as `node` makes it over its new inputs."""
    parts = inputs_of(plan)
    if not parts:
        return node(plan)
    renewed = [widened(part, node) for part in parts]
    match plan:
        case UnionAll() | Recursive() | With():
            renewed = [restored(new, old) for new, old in zip(renewed, parts, strict=True)]
        case Lateral():
            renewed[1] = restored(renewed[1], parts[1])
    return node(with_inputs(plan, renewed))


def restored(new: LogicalPlan, old: LogicalPlan) -> LogicalPlan:
    """The new plan with the output of the old one, in its order."""
    if new is old or [column.id for column in new.output] == [column.id for column in old.output]:
        return new
    return Project(new, tuple(passed(column) for column in old.output))
