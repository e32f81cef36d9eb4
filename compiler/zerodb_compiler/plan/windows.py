"""What a window function is: its call, its frame, and the window (partition and order) it is computed over.

    function(arguments) FILTER (...) OVER (PARTITION BY partition ORDER BY order frame)

One logical Window node computes all window functions of a query level; calls over the same partition and order share a
`WindowSpec`. Aggregates are AggregateCalls as everywhere, the functions that only exist in windows are WindowCalls.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zerodb_compiler.sql.expressions import AggregateCall, Column, Expression

if TYPE_CHECKING:
    from collections.abc import Callable

    from zerodb_compiler.plan.logical import SortKey


class FrameMode(enum.Enum):
    ROWS = "rows"
    RANGE = "range"
    GROUPS = "groups"


class BoundKind(enum.Enum):
    """In the order of the places they name."""

    UNBOUNDED_PRECEDING = "unbounded preceding"
    PRECEDING = "preceding"
    CURRENT_ROW = "current row"
    FOLLOWING = "following"
    UNBOUNDED_FOLLOWING = "unbounded following"


class Exclusion(enum.Enum):
    NO_OTHERS = "no others"
    CURRENT_ROW = "current row"
    GROUP = "group"
    TIES = "ties"


@dataclass(frozen=True, slots=True)
class FrameBound:
    """`offset` is an expression without columns: bigint for ROWS and GROUPS, for RANGE what is added to the order key
    (in the key's scale or a finer one).

    Months have no length of their own, so for RANGE over dates and timestamps the border is computed for each row:
    `limit`, compared with `key`, the order key in the border's type; the offset then only has to be not negative."""

    kind: BoundKind
    offset: Expression | None = None
    limit: Expression | None = None
    key: Expression | None = None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple([part for part in (self.offset, self.limit, self.key) if part is not None])


@dataclass(frozen=True, slots=True)
class Frame:
    mode: FrameMode
    start: FrameBound
    end: FrameBound
    exclusion: Exclusion = Exclusion.NO_OTHERS


DEFAULT_FRAME = Frame(FrameMode.RANGE, FrameBound(BoundKind.UNBOUNDED_PRECEDING), FrameBound(BoundKind.CURRENT_ROW))


@dataclass(frozen=True, slots=True)
class WindowCall:
    """row_number, rank, dense_rank, percent_rank, cume_dist, ntile, lag, lead, first_value, last_value, nth_value.

    lag and lead have three arguments: value, offset, default."""

    function: str
    arguments: tuple[Expression, ...]
    position: int | None = None


@dataclass(frozen=True, slots=True)
class WindowItem:
    """`frame` is None for functions that look at the whole partition."""

    column: Column
    call: AggregateCall | WindowCall
    frame: Frame | None


@dataclass(frozen=True, slots=True)
class WindowSpec:
    partition: tuple[Expression, ...]
    order: tuple[SortKey, ...]
    items: tuple[WindowItem, ...]


def bounds_of(frame: Frame | None) -> tuple[FrameBound, ...]:
    return () if frame is None else (frame.start, frame.end)


def item_expressions(item: WindowItem) -> list[Expression]:
    parts = [item.call] if isinstance(item.call, AggregateCall) else list(item.call.arguments)
    return parts + [part for bound in bounds_of(item.frame) for part in bound.expressions]


def spec_expressions(spec: WindowSpec) -> list[Expression]:
    """All expressions of a window and its functions."""
    found = [*spec.partition, *(key.expression for key in spec.order)]
    for item in spec.items:
        found += item_expressions(item)
    return found


def map_spec(spec: WindowSpec, change: Callable[[Expression], Expression]) -> WindowSpec:
    """`change` applied to every expression; the columns stay."""
    return WindowSpec(
        tuple([change(part) for part in spec.partition]),
        tuple([replace(key, expression=change(key.expression)) for key in spec.order]),
        tuple([_map_item(item, change) for item in spec.items]),
    )


def _map_item(item: WindowItem, change: Callable[[Expression], Expression]) -> WindowItem:
    call: AggregateCall | WindowCall
    if isinstance(item.call, AggregateCall):
        changed = change(item.call)
        assert isinstance(changed, AggregateCall)
        call = changed
    else:
        call = replace(item.call, arguments=tuple([change(part) for part in item.call.arguments]))
    frame = item.frame
    if frame is not None and any(bound.offset is not None for bound in bounds_of(frame)):
        frame = replace(frame, start=_map_bound(frame.start, change), end=_map_bound(frame.end, change))
    return WindowItem(item.column, call, frame)


def _map_bound(bound: FrameBound, change: Callable[[Expression], Expression]) -> FrameBound:
    parts = [None if part is None else change(part) for part in (bound.offset, bound.limit, bound.key)]
    return bound if bound.offset is None else FrameBound(bound.kind, *parts)
