"""Locks: the core against a model that keeps a mode per row, and the waiting with real threads."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb_compiler.errors import Error
from zerodb_storage.lock_modes import ROW_CONFLICTS, TABLE_CONFLICTS
from zerodb_storage.lock_spaces import Ids, Owner, Request, RowClaim
from zerodb_storage.lock_table import LockTable
from zerodb_storage.locks import AdvisoryMode, Locks, RowMode, TableMode

UPDATE, SHARE, KEY_SHARE, NO_KEY_UPDATE = RowMode.UPDATE, RowMode.SHARE, RowMode.KEY_SHARE, RowMode.NO_KEY_UPDATE


def ids(*rows: int) -> Any:
    return np.array(rows, np.int64)


# --- the core against a model -----------------------------------------------------------------------------------------


class Model:
    """Modes by row, one by one, and the queue as a list."""

    def __init__(self) -> None:
        self.held: dict[int, dict[int, int]] = {}

    def may(self, owner: int, rows: set[int], mode: int) -> bool:
        return not any(
            other != owner and ROW_CONFLICTS[mode] >> held & 1
            for row in rows
            for other, held in self.held.get(row, {}).items()
        )

    def take(self, owner: int, rows: set[int], mode: int) -> None:
        assert self.may(owner, rows, mode), "a lock was granted against another"
        for row in rows:
            modes = self.held.setdefault(row, {})
            modes[owner] = max(modes.get(owner, -1), mode)

    def free(self, owner: int) -> None:
        for modes in self.held.values():
            modes.pop(owner, None)


ROWS = 12


@st.composite
def steps(draw: Any) -> list[Any]:
    one = st.one_of(
        st.tuples(
            st.just("lock"),
            st.integers(0, 4),
            st.sets(st.integers(0, ROWS - 1), min_size=1, max_size=4),
            st.sampled_from(RowMode),
        ),
        st.tuples(st.just("release"), st.integers(0, 4)),
        st.tuples(st.just("renumber"), st.integers(1, 3)),
    )
    return draw(st.lists(one, min_size=1, max_size=40))


@settings(max_examples=300, deadline=None)
@given(steps(), st.booleans())
def test_rows_are_granted_as_the_model_says(script: list[Any], wide: bool) -> None:
    # `wide`: each row of the model is a hundred, so they are held as arrays.
    width = 100 if wide else 1
    core, model, shift = LockTable(), Model(), 0
    owners = [Owner(i) for i in range(5)]
    wanted: dict[Request, tuple[int, set[int], int]] = {}

    def grant_all(requests: Any) -> None:
        for request in requests:
            owner, rows, mode = wanted.pop(request)
            model.take(owner, rows, mode)
            assert owners[owner].waiting is None

    for step in script:
        if step[0] == "lock":
            _, number, rows, mode = step
            if owners[number].waiting is not None:
                continue
            given_ids = np.concatenate([np.arange(row * width, (row + 1) * width) for row in sorted(rows)]) + shift
            answer = core.request(owners[number], core.rows_of(1), RowClaim(Ids(given_ids), int(mode)))
            grant_all(answer.woken)
            if answer.request is not None:
                wanted[answer.request] = (number, rows, int(mode))
            elif not answer.deadlock:
                model.take(number, rows, int(mode))
            else:
                assert wanted, "a deadlock needs somebody who waits"
        elif step[0] == "release":
            if owners[step[1]].waiting is not None:
                continue
            model.free(step[1])
            grant_all(core.release_to(owners[step[1]], 0))
        else:
            shift += step[1]
            grant_all(core.renumber(1, lambda old, by=step[1]: old + by))
        # Somebody can always go on, and who stands first in the queue waits for a holder.
        for request, (number, rows, mode) in wanted.items():
            first = not any(
                other is not request and core.rows_of(1).goes_behind(request.claim, other.claim)
                for other in core.rows_of(1).queue[: core.rows_of(1).queue.index(request)]
            )
            assert not (first and model.may(number, rows, mode)), "a request waits for nobody"
        if wanted:
            assert any(owner.waiting is None and owner.log for owner in owners), "all wait"
    # Everybody ends in turn: everybody gets what he waits for.
    for _ in owners:
        for number, owner in enumerate(owners):
            if owner.waiting is None:
                model.free(number)
                grant_all(core.release_to(owner, 0))
    assert not wanted
    assert core.rows_of(1).is_free
    assert not list(core.locks())


@settings(max_examples=200, deadline=None)
@given(
    st.sets(st.integers(-50, 50)),
    st.sets(st.integers(-50, 50)),
    st.integers(1, 10**12),
    st.randoms(use_true_random=False),
)
def test_sets_of_ids(a: set[int], b: set[int], scale: int, shuffler: random.Random) -> None:
    lists = [[value * scale for value in found] for found in (a, b)]
    for found in lists:
        shuffler.shuffle(found)
    one, two = (Ids(np.array(found, np.int64)) for found in lists)
    assert one.meets(two) == bool(a & b) == two.meets(one)
    assert one.among(two.given).tolist() == [value // scale in a for value in two.given.tolist()]
    assert all(one.has(value) == (value // scale in a) for value in two.given.tolist())


# --- order, marks, upgrades -------------------------------------------------------------------------------------------


def claim(mode: RowMode, *rows: int) -> RowClaim:
    return RowClaim(Ids(ids(*rows)), int(mode))


def test_first_come_first_served() -> None:
    core = LockTable()
    space = core.rows_of(1)
    a, b, c, d = (Owner(i) for i in range(4))
    assert core.request(a, space, claim(SHARE, 1)).request is None
    wants_all = core.request(b, space, claim(UPDATE, 1, 2)).request
    late = core.request(c, space, claim(NO_KEY_UPDATE, 1)).request
    other = core.request(d, space, claim(UPDATE, 2)).request
    assert wants_all
    assert late
    assert other
    assert core.release_to(a, 0) == [wants_all]
    assert core.release_to(b, 0) == [late, other]


def test_a_holder_passes_those_who_wait_for_it() -> None:
    core = LockTable()
    space = core.rows_of(1)
    a, b = Owner(1), Owner(2)
    core.request(a, space, claim(SHARE, 1))
    waits = core.request(b, space, claim(UPDATE, 1)).request
    answer = core.request(a, space, claim(UPDATE, 1))
    assert answer.request is None
    assert not answer.deadlock
    assert core.release_to(a, 0) == [waits]


def test_a_holder_is_not_refused_for_those_who_wait_for_it() -> None:
    locks = Locks()
    a, b = locks.owner(), locks.owner()
    locks.lock_rows(a, 1, ids(1), UPDATE)
    locks.lock_table(a, 1, TableMode.SHARE)
    thread, _ = in_thread(lambda: locks.lock_rows(b, 1, ids(1, 2), UPDATE))
    wait_until(lambda: b.waiting is not None)
    assert locks.lock_rows(a, 1, ids(1, 2), UPDATE, nowait=True) == (False, None)
    _, mask = locks.lock_rows(a, 1, ids(1, 2, 3), UPDATE, skip_locked=True)
    assert mask is not None
    assert mask.all()
    assert locks.lock_point(a, 1, 2)
    locks.lock_table(a, 1, TableMode.EXCLUSIVE, nowait=True)
    locks.release(a)
    thread.join(5)
    locks.release(b)


def test_two_that_share_and_want_more_are_a_deadlock() -> None:
    core = LockTable()
    space = core.rows_of(1)
    a, b = Owner(1), Owner(2)
    core.request(a, space, claim(SHARE, 1))
    core.request(b, space, claim(SHARE, 1))
    waits = core.request(a, space, claim(UPDATE, 1)).request
    assert waits
    assert core.request(b, space, claim(UPDATE, 1)).deadlock
    assert core.release_to(b, 0) == [waits]


def test_a_circle_of_three_over_different_things() -> None:
    core = LockTable()
    a, b, c = (Owner(i) for i in range(3))
    core.request(a, core.rows_of(1), claim(UPDATE, 1))
    core.request(b, core.table(7), int(TableMode.EXCLUSIVE))
    core.request(c, core.advisory_of((5,)), int(AdvisoryMode.EXCLUSIVE))
    assert core.request(a, core.table(7), int(TableMode.ROW_EXCLUSIVE)).request
    assert core.request(b, core.advisory_of((5,)), int(AdvisoryMode.SHARED)).request
    assert core.wait_for(c, a).deadlock
    assert [request.owner for request in core.release_to(c, 0)] == [b]
    assert [request.owner for request in core.release_to(b, 0)] == [a]


def test_a_soft_edge_in_a_circle_is_no_deadlock() -> None:
    """b waits only because c stands before it; c waits for a, a for b: b goes first."""
    core = LockTable()
    space = core.rows_of(1)
    a, b, c = (Owner(i) for i in range(3))
    core.request(a, space, claim(KEY_SHARE, 1))
    core.request(b, space, claim(UPDATE, 2))
    first = core.request(c, space, claim(UPDATE, 1)).request
    behind = core.request(b, space, claim(NO_KEY_UPDATE, 1)).request
    assert first
    assert behind
    answer = core.request(a, space, claim(UPDATE, 2))
    assert answer.woken == [behind]
    assert not answer.deadlock
    assert core.release_to(b, 0) == [answer.request]
    assert core.release_to(a, 0) == [first]


def test_who_shares_a_row_passes_those_who_wait_for_it() -> None:
    core = LockTable()
    space = core.rows_of(1)
    a, b, c = (Owner(i) for i in range(3))
    core.request(a, space, claim(SHARE, 1))
    waits = core.request(b, space, claim(UPDATE, 1)).request
    assert core.request(c, space, claim(KEY_SHARE, 1)).request is None
    assert core.release_to(a, 0) == []
    assert core.release_to(c, 0) == [waits]


def test_marks_give_back_what_came_after_and_modes_that_grew() -> None:
    locks = Locks()
    a, b = locks.owner(), locks.owner()
    locks.lock_rows(a, 1, ids(1, 2), SHARE)
    mark = locks.mark(a)
    locks.lock_rows(a, 1, ids(2, 3), UPDATE)
    locks.lock_table(a, 1, TableMode.SHARE)
    many = np.arange(1000, 2000)
    locks.lock_rows(a, 1, many, UPDATE)
    _, mask = locks.lock_rows(b, 1, ids(1, 2, 3, 4, 1500), SHARE, skip_locked=True)
    assert mask is not None
    assert mask.tolist() == [True, False, False, True, False]
    locks.release(b)
    locks.release_to(a, mark)
    _, mask = locks.lock_rows(b, 1, ids(1, 2, 3, 4, 1500), SHARE, skip_locked=True)
    assert mask is not None
    assert mask.all()
    locks.lock_table(b, 1, TableMode.ROW_EXCLUSIVE, nowait=True)
    assert refused(lambda: locks.lock_rows(b, 1, ids(2), UPDATE, nowait=True)) == "55P03"  # a still shares it
    locks.release(a)
    locks.release(b)
    assert locks.held() == []


def test_a_statement_that_runs_again_locks_nothing_twice() -> None:
    locks = Locks()
    a = locks.owner()
    for _ in range(3):
        locks.lock_rows(a, 1, np.arange(500), UPDATE)
        locks.lock_rows(a, 1, ids(1000), NO_KEY_UPDATE)
        assert locks.lock_point(a, 1, 2000)
        locks.lock_table(a, 1, TableMode.ROW_EXCLUSIVE)
    assert len(a.log) == 4


def test_renumbering_keeps_locks_and_forgets_rows_that_went() -> None:
    locks = Locks()
    a, b = locks.owner(), locks.owner()
    mark = locks.mark(a)
    locks.lock_point(a, 1, 10)
    locks.lock_rows(a, 1, ids(11, 12), SHARE)
    locks.lock_rows(a, 1, np.arange(100, 300), UPDATE)

    def apply(old: Any) -> Any:
        return np.where(old % 2 == 0, old // 2, -1)

    locks.renumber(1, apply)
    _, mask = locks.lock_rows(b, 1, np.arange(0, 200), UPDATE, skip_locked=True)
    assert mask is not None
    assert np.flatnonzero(~mask).tolist() == [5, 6, *range(50, 150)]
    locks.release_to(a, mark)
    locks.release(b)
    assert locks.held() == []


def test_conflicts_of_tables_are_those_of_postgresql() -> None:
    """The table of its documentation, 13.3.1, as who excludes whom."""
    shown = [
        [mode.name for mode in TableMode if TABLE_CONFLICTS[held] >> mode & 1]
        for held in (TableMode.ROW_EXCLUSIVE, TableMode.SHARE, TableMode.SHARE_UPDATE_EXCLUSIVE)
    ]
    assert shown == [
        ["SHARE", "SHARE_ROW_EXCLUSIVE", "EXCLUSIVE", "ACCESS_EXCLUSIVE"],
        ["ROW_EXCLUSIVE", "SHARE_UPDATE_EXCLUSIVE", "SHARE_ROW_EXCLUSIVE", "EXCLUSIVE", "ACCESS_EXCLUSIVE"],
        ["SHARE_UPDATE_EXCLUSIVE", "SHARE", "SHARE_ROW_EXCLUSIVE", "EXCLUSIVE", "ACCESS_EXCLUSIVE"],
    ]


# --- one party --------------------------------------------------------------------------------------------------------


def test_a_session_and_its_transaction_are_one_party() -> None:
    locks = Locks()
    session, other = locks.owner(), locks.owner()
    transaction = locks.owner(session)
    assert locks.lock_advisory(session, (1,), AdvisoryMode.EXCLUSIVE)
    assert locks.lock_advisory(transaction, (1,), AdvisoryMode.EXCLUSIVE, nowait=True)
    assert not locks.lock_advisory(other, (1,), AdvisoryMode.SHARED, nowait=True)
    assert locks.unlock_advisory(session, (1,), AdvisoryMode.EXCLUSIVE)
    assert not locks.unlock_advisory(session, (1,), AdvisoryMode.EXCLUSIVE)
    assert not locks.lock_advisory(other, (1,), AdvisoryMode.SHARED, nowait=True)
    locks.release(transaction)
    assert locks.lock_advisory(other, (1,), AdvisoryMode.SHARED, nowait=True)
    locks.release(other)
    assert locks.held() == []


# --- threads ----------------------------------------------------------------------------------------------------------


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(Error) as caught:
        action()
    return caught.value.sqlstate


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(action())
        except Error as error:
            results.append(error.sqlstate)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_release_wakes_who_waits() -> None:
    locks = Locks()
    a, b, c = locks.owner(), locks.owner(), locks.owner()
    locks.lock_rows(a, 1, ids(1), UPDATE)
    thread, results = in_thread(lambda: locks.lock_rows(b, 1, ids(1, 2), NO_KEY_UPDATE))
    wait_until(lambda: b.waiting is not None)
    assert refused(lambda: locks.lock_rows(c, 1, ids(2), UPDATE, nowait=True)) == "55P03"  # b was first
    locks.release(a)
    thread.join(5)
    assert results == [(True, None)]
    assert locks.holder_of(1, 2, UPDATE) is b
    assert locks.holder_of(1, 2, KEY_SHARE) is None
    assert locks.holder_of(1, 2, UPDATE, b) is None


def test_timeouts_and_cancellation() -> None:
    locks = Locks()
    a, b = locks.owner(), locks.owner()
    locks.lock_rows(a, 1, ids(1), UPDATE)
    assert refused(lambda: locks.lock_rows(b, 1, ids(1), SHARE, timeout_s=0.02)) == "55P03"
    b.begin_statement(lock_timeout_s=0.02)
    assert refused(lambda: locks.lock_rows(b, 1, ids(1), SHARE)) == "55P03"
    b.begin_statement(lock_timeout_s=5, deadline_s=time.monotonic() + 0.02)
    assert refused(lambda: locks.lock_rows(b, 1, ids(1), SHARE)) == "57014"
    b.begin_statement()
    thread, results = in_thread(lambda: locks.lock_rows(b, 1, ids(1), SHARE))
    wait_until(lambda: b.waiting is not None)
    b.cancel()
    thread.join(5)
    assert results == ["57014"]
    assert locks.rows_waiting(1) == 0
    locks.release(a)
    assert locks.lock_rows(b, 1, ids(1), SHARE) == (False, None)


def test_waiting_for_an_owner() -> None:
    locks = Locks()
    a, b = locks.owner(), locks.owner()
    locks.wait_for(b, a)  # holds nothing
    locks.lock_keys(a, 1, 0, np.array([2**63 + 5], np.uint64))
    thread, results = in_thread(lambda: locks.wait_for(b, a))
    wait_until(lambda: b.waiting is not None)
    locks.release(a)
    thread.join(5)
    assert results == [None]


def test_keyboard_interrupt_leaves_the_queue() -> None:
    locks = Locks()
    a, b = locks.owner(), locks.owner()
    locks.lock_rows(a, 1, ids(1), UPDATE)

    class Clock:
        def __call__(self) -> float:
            if b.waiting is not None and self.calls:
                raise KeyboardInterrupt
            self.calls += 1
            return 0.0

        calls = 0

    locks._clock = Clock()
    with pytest.raises(KeyboardInterrupt):
        locks.lock_rows(b, 1, ids(1), UPDATE, timeout_s=1)
    assert b.waiting is None
    assert locks.rows_waiting(1) == 0


def test_threads_keep_each_other_out() -> None:
    """16 threads add to counters under locks of rows, in any order: no update is lost, and deadlocks end."""
    locks = Locks()
    counters = [0] * 8
    added = [0] * 8
    failed: list[BaseException] = []

    def run(seed: int) -> None:
        chooser = random.Random(seed)
        try:
            for _ in range(60):
                owner = locks.owner()
                locks.lock_table(owner, 1, TableMode.ROW_EXCLUSIVE)
                rows = chooser.sample(range(8), 3)
                try:
                    for row in rows:
                        if not (chooser.random() < 0.5 and locks.lock_point(owner, 1, row)):
                            locks.lock_rows(owner, 1, ids(row), NO_KEY_UPDATE)
                        value = counters[row]
                        time.sleep(0)
                        counters[row] = value + 1
                        added[row] += 1
                except Error as error:
                    if error.sqlstate != "40P01":
                        raise
                finally:
                    locks.release(owner)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a thread waits forever"
    assert not failed, failed
    assert counters == added
    assert locks.held() == []


def test_a_million_rows_take_milliseconds() -> None:
    locks = Locks()
    a, b = locks.owner(), locks.owner()
    begun = time.perf_counter()
    locks.lock_rows(a, 1, np.arange(0, 2_000_000, 2), UPDATE)
    locks.lock_rows(b, 1, np.arange(1, 2_000_001, 2), UPDATE)
    assert time.perf_counter() - begun < 0.5
    locks.release(a)
    locks.release(b)
    assert locks.held() == []
