"""YCSB, shortened: the distributions are as they should be, and both peers end with the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers import PEERS
from benchmarks.ycsb_benchmark import WORKLOADS, Workload, _equal, load, measured, operations
from benchmarks.ycsb_keys import choose, zipfian


def test_zipfian_frequencies() -> None:
    drawn = zipfian(np.random.default_rng(1), 1000, 200_000)
    frequencies = np.bincount(drawn, minlength=1000) / len(drawn)
    expected = 1 / np.arange(1, 1001) ** 0.99
    expected /= expected.sum()
    assert frequencies[0] == pytest.approx(expected[0], rel=0.05)
    assert frequencies[:100].sum() == pytest.approx(expected[:100].sum(), rel=0.05)
    assert drawn.max() < 1000


@pytest.mark.parametrize("distribution", ["uniform", "zipfian", "latest"])
def test_only_records_that_exist_are_named(distribution: str) -> None:
    records = np.arange(10, 5010)
    chosen = choose(np.random.default_rng(2), distribution, records)
    assert (chosen >= 0).all()
    assert (chosen < records).all()
    if distribution == "latest":
        assert np.median(records - chosen) < 200


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: str(workload.letter))
def test_the_peers_hold_the_same_rows(workload: Workload, tmp_path: Path) -> None:
    peers = {name: PEERS[name](tmp_path) for name in ("zerodb", "sqlite")}
    for peer in peers.values():
        session = peer.session()
        load(session, np.random.default_rng(1), 200)
        session.close()
    todo = operations(np.random.default_rng(2), workload, workload.distribution, 200, 40)
    found = measured(peers, todo)
    assert [some.count for some in found.values()] == [40, 40]
    assert _equal(peers)
    for peer in peers.values():
        peer.close()
