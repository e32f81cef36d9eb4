"""The checkers find each anomaly in a history that has it, and none in one that has none."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from tests.histories import list_append, registers, rows
from tests.histories.anomalies import FORBIDDEN, forbidden
from tests.histories.model import (
    Append,
    Insert,
    Operation,
    Outcome,
    ReadList,
    ReadRegister,
    Scan,
    Transaction,
    Write,
    history,
    in_turn,
)


def a(key: str, value: int) -> Append:
    return Append(key, value)


def r(key: str, *values: int) -> ReadList:
    return ReadList(key, values)


def w(key: str, value: int) -> Write:
    return Write(key, value)


def g(key: str, value: int | None) -> ReadRegister:
    return ReadRegister(key, value)


def names(anomalies: list[object]) -> set[str]:
    return {anomaly.name for anomaly in anomalies}  # type: ignore[attr-defined]


LISTS: dict[str, tuple[list[Transaction], set[str]]] = {
    "serial": (history([a("x", 1), r("x", 1)], [r("x", 1), a("x", 2)], [r("x", 1, 2)]), set()),
    "write cycle": (history([a("x", 1), a("y", 1)], [a("x", 2), a("y", 2)], [r("x", 1, 2), r("y", 2, 1)]), {"G0"}),
    "aborted read": (history((Outcome.FAIL, [a("x", 1)]), [r("x", 1)]), {"G1a"}),
    "intermediate read": (history([a("x", 1), a("x", 2)], [r("x", 1)], [r("x", 1, 2)]), {"G1b", "G-single"}),
    "circular information flow": (
        history([a("x", 1), r("y", 1)], [a("y", 1), r("x", 1)], [r("x", 1), r("y", 1)]),
        {"G1c"},
    ),
    "read skew": (
        history([a("x", 1), a("y", 1)], [r("x"), r("y", 1)], [r("x", 1), r("y", 1)]),
        {"G-single"},
    ),
    "lost update": (
        history([r("x"), a("x", 1)], [r("x"), a("x", 2)], [r("x", 1, 2)]),
        {"lost update", "G-single"},
    ),
    "lost update, gone": (history([r("x"), a("x", 1)], [a("x", 2)], [r("x", 1)]), {"lost append"}),
    "write skew": (
        history([r("x"), a("y", 1)], [r("y"), a("x", 1)], [r("x", 1), r("y", 1)]),
        {"G2-item"},
    ),
    "long fork": (
        history([a("x", 1)], [a("y", 1)], [r("x", 1), r("y")], [r("x"), r("y", 1)], [r("x", 1), r("y", 1)]),
        {"G-nonadjacent"},
    ),
    "read-only anomaly": (
        history(
            [r("x"), r("y"), a("x", 1)],
            [r("y"), a("y", 2)],
            [r("x"), r("y", 2)],
            [r("x", 1), r("y", 2)],
        ),
        {"G2-item"},
    ),
    "not repeatable": (
        history([r("x"), r("x", 1)], [a("x", 1)], [r("x", 1)]),
        {"internal", "G-single"},
    ),
    "own write": (history([a("x", 1), r("x")], [r("x", 1)]), {"own write not seen"}),
    "orders": (history([r("x", 1, 2)], [r("x", 2)], [a("x", 1)], [a("x", 2)]), {"incompatible order"}),
    "twice": (history([a("x", 1)], [r("x", 1, 1)]), {"duplicate element"}),
    "out of nothing": (history([r("x", 9)]), {"unknown value"}),
    "unknown outcome, seen": (history((Outcome.INFO, [a("x", 1)]), [r("x", 1)]), set()),
    "unknown outcome, not seen": (history((Outcome.INFO, [a("x", 1)]), [r("x")]), set()),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str) -> None:
    given, expected = LISTS[name]
    assert names(list_append.check(given)) == expected  # type: ignore[arg-type]


REGISTERS: dict[str, tuple[list[Transaction], set[str]]] = {
    "serial": (history([g("x", None), w("x", 1)], [g("x", 1), w("x", 2)], [g("x", 2)]), set()),
    "aborted read": (history((Outcome.FAIL, [w("x", 1)]), [g("x", 1)]), {"G1a"}),
    "intermediate read": (history([w("x", 1), w("x", 2)], [g("x", 1)]), {"G1b"}),
    "lost update": (history([g("x", None), w("x", 1)], [g("x", None), w("x", 2)]), {"lost update", "G2-item"}),
    "circular information flow": (history([w("x", 1), g("y", 1)], [w("y", 1), g("x", 1)]), {"G1c"}),
    "read skew": (history([w("x", 1), w("y", 1)], [g("x", None), g("y", 1)]), {"G-single"}),
    "write skew": (history([g("x", None), w("y", 1)], [g("y", None), w("x", 1)]), {"G2-item"}),
    "long fork": (
        history([w("x", 1)], [w("y", 1)], [g("x", 1), g("y", None)], [g("x", None), g("y", 1)]),
        {"G-nonadjacent"},
    ),
    "cyclic versions": (history([g("x", 2), w("x", 1)], [g("x", 1), w("x", 2)]), {"cyclic versions", "G0", "G1c"}),
    "own write": (history([w("x", 1), g("x", None)]), {"own write not seen"}),
    "not repeatable": (history([g("x", None), g("x", 1)], [w("x", 1)]), {"internal", "G-single"}),
    "out of nothing": (history([g("x", 9)]), {"unknown value"}),
    "unknown outcome": (history((Outcome.INFO, [w("x", 1)]), [g("x", 1)]), set()),
}


@pytest.mark.parametrize("name", REGISTERS)
def test_registers(name: str) -> None:
    given, expected = REGISTERS[name]
    assert names(registers.check(given)) == expected  # type: ignore[arg-type]


def scan(low: int, high: int, *elements: int) -> Scan:
    return Scan(low, high, frozenset(elements))


ROWS: dict[str, tuple[list[Transaction], set[str]]] = {
    "serial": (history([scan(0, 9), Insert(1, 1)], [scan(0, 9, 1), Insert(2, 2)], [scan(0, 9, 1, 2)]), set()),
    "write skew": (
        history([scan(0, 5), Insert(1, 1)], [scan(1, 9), Insert(2, 2)], [scan(0, 9, 1, 2)]),
        {"G2"},
    ),
    "disjoint": (history([scan(0, 1), Insert(8, 1)], [scan(0, 1), Insert(9, 2)], [scan(0, 9, 1, 2)]), set()),
    "phantom": (
        history([scan(0, 9), scan(0, 9, 1)], [Insert(1, 1)], [scan(0, 9, 1)]),
        {"internal", "G-single"},
    ),
    "half a transaction": (
        history([Insert(1, 1), Insert(2, 2)], [scan(0, 9, 1)], [scan(0, 9, 1, 2)]),
        {"G1b", "G-single"},
    ),
    "aborted": (history((Outcome.FAIL, [Insert(1, 1)]), [scan(0, 9, 1)]), {"G1a"}),
    "lost": (history([Insert(1, 1)], [scan(0, 9)]), {"lost insert"}),
    "own": (history([Insert(1, 1), scan(0, 9)], [scan(0, 9, 1)]), {"own write not seen"}),
    "elsewhere": (history([Insert(1, 1)], [scan(5, 9, 1), scan(0, 9, 1)]), {"unknown value"}),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    given, expected = ROWS[name]
    assert names(rows.check(given)) == expected  # type: ignore[arg-type]


def test_real_time_counts_where_it_is_known() -> None:
    stale = in_turn(history([a("x", 1)], [r("x")], [r("x", 1)]))
    assert names(list_append.check(stale)) == {"G-single-realtime", "stale read"}  # type: ignore[arg-type]
    assert "stale read" in FORBIDDEN["read committed"]
    # 1 and 2 overlap a long one, which sees neither of them where it must see the first.
    backwards = in_turn(history([a("x", 1)], [a("x", 2)], [r("x", 2, 1)]))
    assert "G0-realtime" in names(list_append.check(backwards))  # type: ignore[arg-type]


def test_the_levels_forbid_more_and_more() -> None:
    levels = ["read committed", "snapshot", "serializable", "strict serializable"]
    for weaker, stronger in itertools.pairwise(levels):
        assert FORBIDDEN[weaker] < FORBIDDEN[stronger]
    skew = list_append.check(LISTS["write skew"][0])
    assert forbidden("snapshot", skew) == []
    assert [anomaly.name for anomaly in forbidden("serializable", skew)] == ["G2-item"]


Run = Callable[[random.Random], list[Transaction]]


def _serial_lists(chance: random.Random) -> list[Transaction]:
    lists: dict[int, tuple[int, ...]] = dict.fromkeys(range(4), ())
    done: list[list[Operation]] = []
    for number in range(400):
        operations: list[Operation] = []
        for part in range(chance.randint(1, 4)):
            key = chance.randrange(4)
            if chance.random() < 0.5:
                operations.append(ReadList(key, lists[key]))
            else:
                value = number * 10 + part
                lists[key] += (value,)
                operations.append(Append(key, value))
        done.append(operations)
    return in_turn(history(*done, [ReadList(key, values) for key, values in lists.items()]))


def _serial_registers(chance: random.Random) -> list[Transaction]:
    held: dict[int, int | None] = dict.fromkeys(range(4))
    done: list[list[Operation]] = []
    for number in range(400):
        operations: list[Operation] = []
        for part in range(chance.randint(1, 4)):
            key = chance.randrange(4)
            if chance.random() < 0.6:
                operations.append(ReadRegister(key, held[key]))
            else:
                held[key] = value = number * 10 + part
                operations.append(Write(key, value))
        done.append(operations)
    return in_turn(history(*done))


@pytest.mark.parametrize("seed", range(3))
def test_serial_histories_have_no_anomaly(seed: int) -> None:
    assert list_append.check(_serial_lists(random.Random(seed))) == []
    assert registers.check(_serial_registers(random.Random(seed))) == []


@pytest.mark.parametrize("seed", range(3))
def test_one_read_changed_in_a_serial_history_is_found(seed: int) -> None:
    chance = random.Random(seed)
    given = _serial_lists(chance)
    readers = [t for t in given[100:] if any(isinstance(o, ReadList) and len(o.values) > 3 for o in t.operations)]
    victim = chance.choice(readers)
    place = next(i for i, o in enumerate(victim.operations) if isinstance(o, ReadList) and len(o.values) > 3)
    read = victim.operations[place]
    assert isinstance(read, ReadList)
    changed = (*victim.operations[:place], ReadList(read.key, read.values[:-3]), *victim.operations[place + 1 :])
    given[victim.number - 1] = Transaction(
        victim.number, victim.process, changed, victim.outcome, victim.start, victim.end
    )
    assert forbidden("strict serializable", list_append.check(given))
