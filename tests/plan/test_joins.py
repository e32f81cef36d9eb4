"""Join ordering: the enumeration is complete, dependents join only where they may, greedy takes over for many."""

from __future__ import annotations

import itertools

import pytest
from plan_catalog import MemoryCatalog, planned

from zerodb_compiler.plan import joins
from zerodb_compiler.plan.format import format_physical


def _chain(n: int) -> list[int]:
    return [(1 << i >> 1) | (1 << i + 1 if i + 1 < n else 0) for i in range(n)]


def _star(n: int) -> list[int]:
    return [(1 << n) - 2] + [1] * (n - 1)


def _clique(n: int) -> list[int]:
    return [((1 << n) - 1) & ~(1 << i) for i in range(n)]


@pytest.mark.parametrize("n", range(2, 9))
def test_number_of_pairs(n: int) -> None:
    """The closed forms of Moerkotte and Neumann."""
    assert len(list(joins.connected_pairs(_chain(n), n))) == (n**3 - n) // 6
    assert len(list(joins.connected_pairs(_star(n), n))) == (n - 1) * 2 ** (n - 2)
    assert len(list(joins.connected_pairs(_clique(n), n))) == (3**n - 2 ** (n + 1) + 1) // 2


@pytest.mark.parametrize("graph", [_chain(5), _star(5), _clique(5), [0b10, 0b10101, 0b10, 0b10000, 0b01010]])
def test_every_pair_once(graph: list[int]) -> None:
    def connected(mask: int) -> bool:
        reached = mask & -mask
        while True:
            more = reached
            for i in range(len(graph)):
                if reached >> i & 1:
                    more |= graph[i] & mask
            if more == reached:
                return reached == mask
            reached = more

    def joined(one: int, two: int) -> bool:
        return any(one >> i & 1 and graph[i] & two for i in range(len(graph)))

    sets = [mask for mask in range(1, 1 << len(graph)) if connected(mask)]
    wanted = {
        frozenset((one, two)) for one, two in itertools.combinations(sets, 2) if not one & two and joined(one, two)
    }
    found = [frozenset(pair) for pair in joins.connected_pairs(graph, len(graph))]
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_many_tables() -> None:
    """Far beyond what dynamic programming can enumerate."""
    catalog = MemoryCatalog()
    for i in range(25):
        catalog.create(f"create table t{i} (k integer primary key, f integer not null)", rows=1000 * (i + 1))
    tables = ", ".join(f"t{i}" for i in range(25))
    star = " and ".join(f"t0.f = t{i}.f" for i in range(1, 25))
    text = format_physical(planned(catalog.bind(f"select count(*) from {tables} where {star}")))
    assert text.count("HashJoin") == 24


def test_cross_products_are_last(tpch: MemoryCatalog) -> None:
    text = format_physical(planned(tpch.bind("select 1 from region, nation, customer where c_nationkey = n_nationkey")))
    assert text.count("NestedLoopJoin") == 1
    assert text.count("HashJoin") == 1
