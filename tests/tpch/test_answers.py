"""The TPC-H queries at scale 0.01 give DuckDB's answers, at one and two threads, on each compiler tier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from benchmarks import data
from benchmarks.tpch_benchmark import SPINE, equal, load_duckdb, load_zerodb

import zerodb

SCALE = "0.01"


@pytest.fixture(scope="module", autouse=True)
def _data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZERODB_BENCHMARK_DATA", str(tmp_path_factory.mktemp("tpch")))
        yield


@pytest.fixture(scope="module")
def oracle() -> duckdb.DuckDBPyConnection:
    return load_duckdb(SCALE, 1)


@pytest.fixture(scope="module", params=[1, 2], ids=["one thread", "two threads"])
def connection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zerodb.Connection]:
    path = tmp_path_factory.mktemp("db") / "tpch.zdb"
    with load_zerodb(str(path), SCALE, request.param) as connection:
        yield connection


@pytest.mark.parametrize("number", SPINE)
def test_answer(number: int, connection: zerodb.Connection, oracle: duckdb.DuckDBPyConnection) -> None:
    expected = oracle.execute(data.query(number)).fetchall()
    statement = connection.prepare(data.query(number))
    assert equal(statement.execute().fetchall(), expected), "first run"
    assert statement.wait_optimized(60)
    assert equal(statement.execute().fetchall(), expected), "optimised code"


def test_answers_after_a_restart(tmp_path: Path, oracle: duckdb.DuckDBPyConnection) -> None:
    path = str(tmp_path / "tpch.zdb")
    load_zerodb(path, SCALE, 1).close()
    with zerodb.connect(path) as connection:
        for number in SPINE:
            expected = oracle.execute(data.query(number)).fetchall()
            assert equal(connection.execute(data.query(number)).fetchall(), expected)
