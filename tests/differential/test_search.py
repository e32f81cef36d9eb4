"""A small part of the search: against itself always, against PostgreSQL where ZERODB_POSTGRES names one."""

from __future__ import annotations

import os

import pytest
from tests.differential.search import Options, Search
from tests.differential.searching.schema import SIMPLEST, TYPES
from tests.differential.searching.tree import listed, node, smaller

QUERIES, LONG_QUERIES = 240, 20_000


def search(oracle: str, queries: int, seed: int) -> None:
    tally = Search(Options(queries, seed, oracle, TYPES, most_failures=1, shrink_seconds=15)).run()
    assert not tally.failures, tally.failures[0]
    assert tally.counts["executed"] > queries / 2, str(tally)


def test_queries_agree_with_themselves() -> None:
    search("none", QUERIES, 11)


@pytest.mark.skipif("ZERODB_POSTGRES" not in os.environ, reason="ZERODB_POSTGRES names no server")
def test_queries_agree_with_postgresql() -> None:
    search("postgres", QUERIES, 12)


@pytest.mark.slow
def test_many_queries_agree_with_themselves() -> None:
    search("none", LONG_QUERIES, 13)


@pytest.mark.slow
@pytest.mark.skipif("ZERODB_POSTGRES" not in os.environ, reason="ZERODB_POSTGRES names no server")
def test_many_queries_agree_with_postgresql() -> None:
    search("postgres", LONG_QUERIES, 14)


def test_shrinking_keeps_what_fails() -> None:
    """The smallest tree that still has the word is found by steps that each keep it."""
    leaves = [node("int", text) for text in ("10", "20", "wanted", "30")]
    tree = node(
        "query", "select {} from t{}", listed(leaves), node("clause", " where {}", node("bool", "x > 1"), optional=True)
    )
    steps = 0
    while (better := next((t for t in smaller(tree, SIMPLEST) if "wanted" in str(t)), None)) is not None:
        assert len(str(better)) < len(str(tree)) or better.size < tree.size
        tree, steps = better, steps + 1
        assert steps < 20
    assert str(tree) == "select wanted from t"
