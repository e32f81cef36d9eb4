"""Whether single operations by several processes have an order that real time allows and that explains their results.

The search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory ("Testing for
Linearizability", 2017): take operations one by one that no other has ended before, as long as each gives from the state
what it gave; a set of operations taken, with its state, is tried once. Objects are checked apart from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

State = TypeVar("State", bound=Hashable)
NEVER = 1 << 60  # the end of an operation of which nobody knows whether it took place


@dataclass(frozen=True, slots=True)
class Operation(Generic[State]):
    """`apply` gives the state after it, or None if it cannot have had its result in that state."""

    start: int
    end: int
    apply: Callable[[State], State | None]


def is_linearizable(operations: Sequence[Operation[State]], initial: State) -> bool:
    """Whether there is such an order. Operations that never ended may be left out of it."""
    todo = sorted(operations, key=lambda operation: operation.start)
    needed = sum(1 << place for place, operation in enumerate(todo) if operation.end != NEVER)
    tried: set[tuple[int, State]] = set()
    stack: list[tuple[int, State]] = [(0, initial)]
    while stack:
        taken, state = stack.pop()
        if taken & needed == needed:
            return True
        if (taken, state) in tried:
            continue
        tried.add((taken, state))
        first_end = NEVER
        candidates = []
        place = (~taken & (taken + 1)).bit_length() - 1  # the first that is not taken
        while place < len(todo) and todo[place].start < first_end:
            if not taken >> place & 1:
                candidates.append(place)
                first_end = min(first_end, todo[place].end)
            place += 1
        for place in reversed(candidates):
            after = todo[place].apply(state)
            if after is not None:
                stack.append((taken | 1 << place, after))
    return False
