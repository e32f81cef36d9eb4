"""SERIALIZABLE: random schedules over a small multi-version table, decided by the core, against a brute-force oracle.

The oracle holds a history to be serialisable if some serial order of its committed transactions gives each of them the
rows that it read, and the same rows in the end. Every row carries a tag of who wrote it, so nothing is equal by chance.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from zerodb_compiler.errors import OperationalError
from zerodb_storage import predicates, serializable
from zerodb_storage.predicates import Among, Between, Condition, IsNull, Predicate, Reads, Rows, TableChange, holds
from zerodb_storage.serializable import Member, Serializable, SerializableCore
from zerodb_storage.snapshot import Snapshot
from zerodb_storage.values import Form, Values

TABLE = 7
KEY, VALUE = 0, 1
Row = tuple[int, tuple[int, int]]  # value, tag
State = dict[int, Row]


@dataclass(frozen=True)
class Op:
    """`get` reads the rows that satisfy the predicate; `put` and `drop` are about a key, which they read too."""

    kind: str
    predicate: Predicate
    key: int = 0
    row: Row = (0, (0, 0))

    def run(self, state: State) -> tuple[object, State]:
        if self.kind == "get":
            conditions = self.predicate.conditions
            found = [
                (key, row)
                for key, row in sorted(state.items())
                if all(holds(c, key if c.slot == KEY else row[0]) for c in conditions)
            ]
            return tuple(found), state
        known = state.get(self.key)
        after = {key: row for key, row in state.items() if key != self.key}
        if self.kind == "put":
            after[self.key] = self.row
        return known, after


def point(key: int) -> Predicate:
    return Predicate(TABLE, (Among(KEY, frozenset({key})),))


def random_op(rng: random.Random, who: int, number: int, keys: int, read_only: bool) -> Op:
    key = rng.randrange(keys)
    kind = "get" if read_only else rng.choice(["get", "get", "put", "put", "drop"])
    if kind != "get":
        return Op(kind, point(key), key, (rng.randrange(8), (who, number)))
    match rng.randrange(6):
        case 0:
            low = rng.randrange(8)
            return Op("get", Predicate(TABLE, (Between(VALUE, low, low + rng.randrange(3)),)))
        case 1:
            return Op("get", Predicate(TABLE, (Between(KEY, key, None), Between(VALUE, None, 4, high_open=True))))
        case 2 if rng.random() < 0.3:
            return Op("get", Predicate(TABLE))
    return Op("get", point(key))


@dataclass
class Running:
    number: int
    ops: list[Op]
    read_only: bool
    member: Member | None = None
    base: State = field(default_factory=dict)
    own: State = field(default_factory=dict)
    observed: list[object] = field(default_factory=list)
    written: set[int] = field(default_factory=set)
    done: int = 0


@dataclass
class Counts:
    committed: int = 0
    refused: int = 0
    falsely: int = 0
    conflicts: int = 0


def images(rows: list[tuple[int, Row]]) -> Rows:
    def column(slot: int) -> Values:
        return Values(Form.INT, np.array([key if slot == KEY else row[0] for key, row in rows], np.int64))

    return Rows(len(rows), column)


def change(running: Running) -> dict[int, TableChange]:
    before, after = running.base, running.own
    new = [(k, after[k]) for k in sorted(running.written) if k in after and after[k] != before.get(k)]
    old = [(k, before[k]) for k in sorted(running.written) if k in before and after.get(k) != before[k]]
    return {TABLE: TableChange(images(new), images(old))} if new or old else {}


def is_serialisable(start: State, end: State, history: list[Running]) -> bool:
    def search(state: State, left: list[Running]) -> bool:
        if not left:
            return state == end
        for running in left:
            after, same = state, True
            for op, seen in zip(running.ops, running.observed, strict=True):
                found, after = op.run(after)
                if found != seen:
                    same = False
                    break
            if same and search(after, [other for other in left if other is not running]):
                return True
        return False

    return search(start, history)


def run_schedule(seed: int, counts: Counts, *, transactions: int, keys: int, at_once: int, check: bool = True) -> None:
    """Random transactions, some of them at a time, step by step in random order; first updater wins."""
    rng = random.Random(seed)
    core = SerializableCore()
    start = {key: (rng.randrange(8), (-1, key)) for key in range(keys) if rng.random() < 0.7}
    newest, sequence = dict(start), 1
    changed_at: dict[int, int] = {}
    running: list[Running] = []
    history: list[Running] = []
    began = 0
    while began < transactions or running:
        if began < transactions and (not running or (len(running) < at_once and rng.random() < 0.3)):
            read_only = rng.random() < 0.2
            ops = [random_op(rng, began, i, keys, read_only) for i in range(rng.randrange(1, 5))]
            fresh = Running(began, ops, read_only, base=newest, own=newest)
            fresh.member = core.begin(sequence, read_only=read_only)
            running.append(fresh)
            began += 1
            continue
        one = rng.choice(running)
        assert one.member is not None
        if one.done < len(one.ops):
            op = one.ops[one.done]
            if op.kind != "get":
                taken = any(op.key in other.written for other in running if other is not one)
                if taken or changed_at.get(op.key, 0) > one.member.snapshot:
                    counts.conflicts += 1
                    core.end(one.member, committed=False, published=sequence)
                    running.remove(one)
                    continue
                one.written.add(op.key)
            if one.member.reads is not None:
                one.member.reads.note(op.predicate)
            seen, one.own = op.run(one.own)
            one.observed.append(seen)
            one.done += 1
            continue
        running.remove(one)
        changes = change(one)
        after = {k: r for k, r in newest.items() if k not in one.written}
        after |= {k: r for k, r in one.own.items() if k in one.written}
        try:
            core.prepare(one.member, changes, sequence + 1 if changes else 0)
        except OperationalError:
            core.end(one.member, committed=False, published=sequence)
            counts.refused += 1
            if check and is_serialisable(start, after, [*history, one]):
                counts.falsely += 1
            continue
        newest = after
        if changes:
            sequence += 1
            changed_at |= dict.fromkeys(one.written, sequence)
        core.end(one.member, committed=True, published=sequence)
        history.append(one)
        counts.committed += 1
    assert core.active_count == 0
    assert core.kept_count == 0
    if check:
        assert is_serialisable(start, newest, history), f"seed {seed}"


def test_commits_are_serialisable() -> None:
    counts = Counts()
    for seed in range(350):
        run_schedule(seed, counts, transactions=7, keys=3 + seed % 4, at_once=3 + seed % 2)
    assert counts.refused > 0
    assert counts.falsely < counts.refused


def test_what_is_forgotten_costs_false_aborts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serializable, "RETAINED_MAX", 2)
    monkeypatch.setattr(predicates, "RANGES_MAX", 1)
    monkeypatch.setattr(predicates, "POINTS_MAX", 2)
    for seed in range(150):
        run_schedule(seed, Counts(), transactions=7, keys=5, at_once=4)


@pytest.mark.parametrize("broken", ["_is_dangerous", "_is_pivot"])
def test_the_oracle_notices_a_core_without_half_of_its_rule(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SerializableCore, broken, lambda *_: False)
    with pytest.raises(AssertionError, match="seed"):
        for seed in range(2000):
            run_schedule(seed, Counts(), transactions=7, keys=4, at_once=4)


@pytest.mark.slow
def test_commits_are_serialisable_long() -> None:
    counts = Counts()
    for seed in range(10_000, 20_000):
        run_schedule(seed, counts, transactions=8, keys=3 + seed % 6, at_once=2 + seed % 4)
    assert counts.falsely < counts.refused / 3
    assert counts.falsely < counts.committed / 100


# --- by name ----------------------------------------------------------------------------------------------------------


def changed(*keys: int) -> dict[int, TableChange]:
    return {TABLE: TableChange(images([(key, (0, (0, 0))) for key in keys]))}


def reading(core: SerializableCore, snapshot: int, *keys: int, read_only: bool = False) -> Member:
    member = core.begin(snapshot, read_only=read_only)
    for key in keys:
        if member.reads is not None:
            member.reads.note(point(key))
    return member


def commit(core: SerializableCore, member: Member, sequence: int, *keys: int) -> None:
    core.prepare(member, changed(*keys) if keys else {}, sequence if keys else 0)
    core.end(member, committed=True, published=sequence)


def refused(core: SerializableCore, member: Member, sequence: int, *keys: int) -> None:
    with pytest.raises(OperationalError, match="read/write dependencies among transactions") as caught:
        commit(core, member, sequence, *keys)
    assert caught.value.sqlstate == "40001"
    assert caught.value.retryable
    assert caught.value.hint == "The transaction might succeed if retried."
    core.end(member, committed=False, published=sequence)


def test_write_skew() -> None:
    core = SerializableCore()
    a, b = reading(core, 1, 1, 2), reading(core, 1, 1, 2)
    commit(core, a, 2, 1)
    refused(core, b, 3, 2)
    again = reading(core, 2, 1, 2)
    commit(core, again, 3, 2)


def test_one_antidependency_is_no_reason() -> None:
    core = SerializableCore()
    a, b = reading(core, 1, 1), reading(core, 1, 2)
    commit(core, a, 2, 2)  # b read what a changes: b comes first
    commit(core, b, 3, 3)


def test_read_only_anomaly() -> None:
    """Fekete, O'Neil, O'Neil 2004: the report shows the deposit and not the withdrawal that came before it."""
    core = SerializableCore()
    withdrawal, deposit = reading(core, 1, 1, 2), reading(core, 1, 1)
    commit(core, deposit, 2, 1)
    report = reading(core, 2, 1, 2, read_only=True)
    commit(core, report, 2)
    refused(core, withdrawal, 3, 2)


def test_a_report_from_before_the_deposit_disturbs_nobody() -> None:
    core = SerializableCore()
    withdrawal, deposit = reading(core, 1, 1, 2), reading(core, 1, 1)
    report = reading(core, 1, 1, 2, read_only=True)
    commit(core, deposit, 2, 1)
    commit(core, report, 2)
    commit(core, withdrawal, 3, 2)


def test_safe_snapshots() -> None:
    core = SerializableCore()
    assert reading(core, 1, read_only=True).is_safe
    writer = reading(core, 1, 1)
    reader = reading(core, 1, 2, read_only=True)
    assert reader.is_safe is None
    commit(core, writer, 2, 5)
    assert reader.is_safe
    assert reader.reads is None


def test_an_unsafe_snapshot() -> None:
    core = SerializableCore()
    withdrawal, deposit = reading(core, 1, 1), reading(core, 1)
    commit(core, deposit, 2, 1)
    reader = reading(core, 2, read_only=True)
    assert reader.is_safe is None
    commit(core, withdrawal, 3, 2)
    assert reader.is_safe is False


def test_a_batch_is_checked_against_itself() -> None:
    core = SerializableCore()
    a, b = reading(core, 1, 1, 2), reading(core, 1, 1, 2)
    core.prepare(a, changed(1), 2)
    with pytest.raises(OperationalError):
        core.prepare(b, changed(2), 2)
    core.end(a, committed=True, published=2)
    core.end(b, committed=False, published=2)
    assert core.kept_count == 0


def test_a_plan_that_was_given_up_is_prepared_once_more() -> None:
    core = SerializableCore()
    a, b = reading(core, 1, 1), reading(core, 1, 1)
    core.prepare(a, changed(1), 2)
    core.prepare(a, changed(1), 2)
    core.end(a, committed=True, published=1)
    assert core.kept_count == 1
    core.end(b, committed=False, published=2)


def test_deferrable_waits_for_a_safe_snapshot() -> None:
    newest = [1]
    edge = Serializable(lambda: Snapshot(newest[0], {}))
    _, writer = edge.begin()
    waited: list[int] = []

    def wait(_: threading.Condition) -> None:
        """Stands for the time that passes: the writer ends."""
        waited.append(1)
        edge._core.end(writer, committed=False, published=1)

    _, reader = edge.begin_deferrable(wait)
    assert waited == [1]
    assert reader.is_safe


# --- predicates -------------------------------------------------------------------------------------------------------

_COLUMNS = {
    0: ([3, 1, -5, 1 << 62], Form.INT),
    1: ([3, -(1 << 90), 1 << 70, 0], Form.WIDE),
    2: ([0.5, float("nan"), float("-inf"), 2.0], Form.FLOAT),
    3: ([b"a", b"", b"abc", b"\xff"], Form.TEXT),
}


def stored(values: list[Any], form: Form, validity: list[int] | None) -> Values:
    mask = None if validity is None else np.array(validity, np.uint8)
    match form:
        case Form.TEXT:
            offsets = np.cumsum([0, *(len(value) for value in values)], dtype=np.int64)
            return Values(form, offsets, mask, np.frombuffer(b"".join(values), np.uint8))
        case Form.WIDE:
            halves = [((v & (2**64 - 1)) - (2**64 if v >> 63 & 1 else 0), v >> 64) for v in values]
            return Values(form, np.array(halves, np.int64), mask)
        case Form.FLOAT:
            return Values(form, np.array(values, np.float64), mask)
    return Values(form, np.array(values, np.int64), mask)


def test_arrays_and_python_values_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    for _ in range(600):
        count = rng.randrange(1, 5)
        picked = [rng.randrange(4) for _ in range(count)]
        validity = [rng.randrange(2) for _ in range(count)] if rng.random() < 0.3 else None
        columns = {slot: stored([vs[i] for i in picked], form, validity) for slot, (vs, form) in _COLUMNS.items()}
        conditions: list[Condition] = []
        for slot in rng.sample(range(5), rng.randrange(1, 4)):
            known = [v for v in _COLUMNS[slot % 4][0] if v == v]
            low, high = rng.choice([*known, None]), rng.choice([*known, None])
            conditions.append(
                rng.choice(
                    [
                        Among(slot, frozenset(rng.sample(known, rng.randrange(1, 3)))),
                        Between(slot, low, high, rng.random() < 0.5, rng.random() < 0.5),
                        IsNull(slot, rng.random() < 0.5),
                    ]
                )
            )
        reads = Reads()
        reads.note(Predicate(TABLE, tuple(conditions)))
        answers = []
        for few in (0, 64):
            monkeypatch.setattr(predicates, "FEW_ROWS", few)
            answers.append(reads.concerned_by(TABLE, TableChange(Rows(count, columns.get))))
        assert answers[0] == answers[1], conditions


def test_unknown_columns_and_whole_tables_concern_everybody() -> None:
    reads = Reads()
    reads.note(Predicate(TABLE, (Between(9, 1, 2),)))
    assert reads.concerned_by(TABLE, changed(1)[TABLE]) is False
    gone = Rows(1, lambda _: None)
    assert reads.concerned_by(TABLE, TableChange(gone))
    assert reads.concerned_by(TABLE, TableChange(whole=True))
    assert not reads.concerned_by(TABLE + 1, TableChange(whole=True))


if __name__ == "__main__":
    import sys

    for keys in (4, 10, 100):
        total = Counts()
        for number in range(int(sys.argv[1])):
            run_schedule(number, total, transactions=8, keys=keys, at_once=4)
        print(keys, total)
