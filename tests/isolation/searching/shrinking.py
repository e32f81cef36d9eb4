"""Makes a case smaller as long as it stays as bad."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.isolation.searching.cases import Case

MOST_SECONDS = 40.0


def shrink(case: Case, is_bad: Callable[[Case], bool]) -> Case:
    until = time.monotonic() + MOST_SECONDS
    while True:
        for smaller in _smaller(case):
            if time.monotonic() > until:
                return case
            if is_bad(smaller):
                case = smaller
                break
        else:
            return case


def _smaller(case: Case) -> Iterator[Case]:
    if case.merges:
        yield replace(case, merges=frozenset())
        yield from (replace(case, merges=case.merges - {place}) for place in case.merges)
    for session, steps in enumerate(case.sessions):
        if steps and sum(map(bool, case.sessions)) > 1:
            turns = tuple(turn for turn in case.turns if turn != session)
            sessions = tuple(() if place == session else found for place, found in enumerate(case.sessions))
            yield replace(case, sessions=sessions, turns=turns, merges=frozenset())
    for session, steps in enumerate(case.sessions):
        for step in range(len(steps)):
            yield case.without_step(session, step)
    for place in range(1, len(case.setup)):
        if " partition of " in case.setup[place] or case.setup[place].startswith("insert into t0"):
            continue  # without them cases become others
        yield replace(case, setup=(*case.setup[:place], *case.setup[place + 1 :]))
    for place in range(len(case.turns) - 1):
        one, other = case.turns[place : place + 2]
        if one > other:  # the order of sessions where it does not matter
            yield replace(case, turns=(*case.turns[:place], other, one, *case.turns[place + 2 :]))
