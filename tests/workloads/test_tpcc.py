"""TPC-C, shortened: the consistency conditions hold after a run, with several terminals and after a crash, and notice
what is wrong."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path

import pytest
from benchmarks.peers import Sqlite
from benchmarks.tpcc.consistency import violations
from benchmarks.tpcc.load import load
from benchmarks.tpcc.schema import Scale
from benchmarks.tpcc.transactions import Terminal
from benchmarks.tpcc.values import Values, last_name
from benchmarks.tpcc_benchmark import crash, run

SMALL = Scale(warehouses=2, items=100, customers=10)


def test_last_names() -> None:
    assert last_name(371) == "PRICALLYOUGHT"


def test_conditions_after_a_run() -> None:
    found, wrong = run(SMALL, 0.4, 2, ["sqlite"], warm_up=5)
    assert wrong == []
    assert all(some.count > 0 for some in found.values())


def test_conditions_after_a_crash() -> None:
    assert crash(SMALL, threads=2, rounds=1, seconds=0.5) == []


@pytest.mark.slow
def test_conditions_after_many_crashes() -> None:
    assert crash(SMALL, threads=4, rounds=20, seconds=1.5, seed=7) == []


@pytest.mark.parametrize(
    ("change", "conditions"),
    [
        ("update warehouse set w_ytd = w_ytd + 1 where w_id = 1", {1, 8}),
        ("update district set d_next_o_id = d_next_o_id + 1 where d_id = 3", {2}),
        ("delete from order_line where ol_o_id = 2 and ol_d_id = 1", {4, 6}),
        ("update orders set o_carrier_id = 1 where o_id = 10", {5, 7}),
        ("delete from new_order where no_o_id = 9", {3, 5}),
        ("update customer set c_balance = c_balance + 1 where c_id = 1", {10, 12}),
        ("update district set d_ytd = d_ytd - 2 where d_id = 1", {1, 9}),
    ],
)
def test_violations_are_noticed(change: str, conditions: set[int], tmp_path: Path) -> None:
    peer = Sqlite(tmp_path)
    session = peer.session()
    load(peer, session, SMALL)
    assert violations(session) == []
    session.execute(change)
    assert {int(line.split(":")[0].split()[1]) for line in violations(session)} == conditions
    session.close()


def test_a_wrong_item_rolls_back_a_new_order(tmp_path: Path) -> None:
    peer = Sqlite(tmp_path)
    session = peer.session()
    load(peer, session, SMALL)
    terminal = Terminal.of(peer, session, SMALL, Values(random.Random(1)), 0)
    before = session.execute("select count(*) from orders").fetchone()
    now = peer.moment(datetime(2026, 1, 2))
    assert terminal.new_order(1, 1, [(1, 1, 5), (101, 1, 5)], now) is None
    assert session.execute("select count(*) from orders").fetchone() == before
    assert terminal.new_order(1, 1, [(1, 1, 5)], now) == (1, 1, 11)
    assert violations(session) == []
    session.close()
