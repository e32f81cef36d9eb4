"""The search for wrong concurrent behaviour finds nothing, and finds what is wrong.

Against PostgreSQL only if ZERODB_POSTGRES says where one is. Without it the cases run all the same: they must end and
leave a sound database, which must be the same after it was opened again.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.isolation.search import PROFILES, Postgres, run_zerodb, search
from tests.isolation.searching.cases import Case
from tests.isolation.searching.generator import make_case
from tests.isolation.searching.judging import judge
from tests.isolation.searching.running import FAULT, SetupError, Step, Trace

SEED = 20261121
ADDRESS = os.environ.get("ZERODB_POSTGRES")


def sound(profile: str, seeds: range) -> list[str]:
    """What is wrong whatever PostgreSQL does."""
    found = []
    for seed in seeds:
        try:
            trace, problem = run_zerodb(make_case(seed, PROFILES[profile]))
        except SetupError:
            continue
        faults = [
            step.message for step in trace.steps if step.outcome[:1] == (FAULT,) or step.outcome[:1] == ("XX000",)
        ]
        if problem or faults:
            found.append(f"{profile} {seed}: {problem} {faults}")
    return found


@pytest.mark.parametrize("profile", ["few", "points", "many-merges", "defines"])
def test_cases_leave_a_sound_database(profile: str) -> None:
    assert sound(profile, range(SEED, SEED + 3)) == []


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_long_search(profile: str) -> None:
    count = 10 if profile == "huge" else 40
    seeds = range(SEED, SEED + count)
    if not ADDRESS:
        assert sound(profile, seeds) == []
        return
    postgres = Postgres(ADDRESS, f"zerodb_search_{os.getpid()}")
    try:
        assert search(postgres, profile, seeds, show=frozenset()).bad == []
    finally:
        postgres.close()


CASE = Case(
    setup=("create table t (k int)",),
    prepared=(("set default_transaction_isolation = 'read committed'",),) * 2,
    sessions=(("begin", "update t set k = 1", "commit"), ("begin", "select k from t", "commit")),
    turns=(0, 1, 0, 1, 0, 1),
    looks=("select k from t",),
    level="read committed",
)


def trace(*, seen: str = "0", final: str = "1", ended: int = 3) -> Trace:
    steps = (
        Step(0, 0, 0, 0, ()),
        Step(1, 0, 1, 1, ()),
        Step(0, 1, 2, 2, ()),
        Step(1, 1, 3, ended, ("rows:", seen)),
        Step(0, 2, 4, 4, ()),
        Step(1, 2, 5, 5, ()),
    )
    return Trace(steps, (("rows:", final),))


@pytest.mark.parametrize(
    ("got", "kind"),
    [
        (trace(), "equal"),
        (trace(ended=4), "waits"),
        (trace(seen="1"), "wrong"),
        (trace(seen="1", ended=4), "later"),
        (trace(final="2"), "wrong"),
        (replace(trace(), fault="HANG"), "fault"),
    ],
    ids=["same", "waits", "dirty", "later", "final", "hang"],
)
def test_verdicts(got: Trace, kind: str) -> None:
    """The oracle sees the change if it is asked after it, as the real one."""

    def oracle(case: Case) -> Trace:
        late = case.turns == (0, 1, 0, 0, 1, 1)
        return trace(seen="1" if late else "0")

    assert judge(CASE, trace(), got, oracle).kind == kind


def test_smaller_cases_keep_their_order() -> None:
    smaller = replace(CASE, merges=frozenset({1, 3, 5})).without_step(1, 0)
    assert smaller.sessions[1] == ("select k from t", "commit")
    assert smaller.turns == (0, 0, 1, 0, 1)
    assert smaller.merges == {1, 2, 4}
