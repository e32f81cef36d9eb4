"""Aggregates of windows in the form that code generation knows: FILTER becomes CASE, avg becomes sum / count.

As aggregate_parts, for Window nodes. What a window's frame holds may be no row at all, so everything but a count can be
NULL, as in an aggregation without keys.
"""

from __future__ import annotations

from zerodb_compiler.plan.logical import Item, LogicalPlan, Project, Window
from zerodb_compiler.plan.rules.aggregate_parts import computed, is_computed, plain_call
from zerodb_compiler.plan.transform import Fresh, map_plan, passed, same_key
from zerodb_compiler.plan.windows import Frame, WindowItem, WindowSpec
from zerodb_compiler.sql.expressions import AggregateCall, Column


def split_window_aggregates(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return map_plan(plan, lambda node: _window(node, fresh) if isinstance(node, Window) else node)


def _window(plan: Window, fresh: Fresh) -> LogicalPlan:
    averages: list[Item] = []
    specs = tuple([_spec(spec, averages, fresh) for spec in plan.specs])
    if specs == plan.specs:
        return plan
    changed = Window(plan.input, specs)
    if not averages:
        return changed
    items = {item.column.id: item for item in averages}
    return Project(changed, tuple([items.get(column.id, passed(column)) for column in plan.output]))


class _Calls:
    """The aggregates of one window, each distinct one once a frame."""

    def __init__(self, fresh: Fresh) -> None:
        self.items: list[WindowItem] = []
        self.frame: Frame | None = None
        self._found: dict[object, Column] = {}
        self._fresh = fresh

    def column(self, normal: AggregateCall, wanted: Column | None = None) -> Column:
        key = (same_key(normal), normal.type, self.frame)
        found = self._found.get(key)
        if found is None or wanted is not None:
            name = "count" if normal.function == "count_star" else normal.function
            found = wanted or Column(self._fresh(), name, normal.type, normal.nullable)
            self._found.setdefault(key, found)
            self.items.append(WindowItem(found, normal, self.frame))
        return found


def _spec(spec: WindowSpec, averages: list[Item], fresh: Fresh) -> WindowSpec:
    calls = _Calls(fresh)
    late: list[tuple[WindowItem, AggregateCall]] = []
    for item in spec.items:
        if not isinstance(item.call, AggregateCall):
            calls.items.append(item)
            continue
        normal = plain_call(item.call, False)
        if is_computed(normal):
            late.append((item, normal))
            continue
        calls.frame = item.frame
        calls.column(normal, item.column)
    for item, normal in late:  # after the others, so that they share sums and counts that are there anyway
        calls.frame = item.frame
        averages.append(Item(item.column, computed(normal, item.column, calls, False)))
    return WindowSpec(spec.partition, spec.order, tuple(calls.items))
