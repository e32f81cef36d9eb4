"""Statements beyond what anybody would type: right answers, or an error of class 54, never a broken promise inside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zerodb


@pytest.fixture(scope="module")
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table n (a int)")
        connection.executemany("insert into n values (?)", [[i] for i in range(1000)])
        yield connection


def test_unions_of_as_many_pipelines_as_there_may_be(db: zerodb.Connection) -> None:
    rows = db.execute(" union all ".join(f"select {i}" for i in range(256))).fetchall()
    assert rows == [(i,) for i in range(256)]
    with pytest.raises(zerodb.OperationalError, match="too complex") as caught:
        db.execute(" union all ".join(f"select {i}" for i in range(300)))
    assert caught.value.sqlstate == "54001"


def test_more_parameters_than_a_function_may_have_locals(db: zerodb.Connection) -> None:
    marks = ", ".join("?" * 20_000)
    with pytest.raises(zerodb.OperationalError, match="too complex") as caught:
        db.execute(f"select count(*) from n where a in ({marks})", range(20_000))
    assert caught.value.sqlstate == "54001"
    literals = ", ".join(map(str, range(0, 20_000, 2)))
    assert db.execute(f"select count(*) from n where a in ({literals})").fetchall() == [(500,)]
