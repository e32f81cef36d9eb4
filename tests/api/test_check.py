"""`Connection.check` finds nothing where there is nothing to find."""

from __future__ import annotations

import pytest

import zerodb


@pytest.mark.parametrize(
    "statements",
    [
        ["create table t (k int primary key, up int references t)", "insert into t values (1, 1)"],
        ["create table t (k int primary key)", "alter table t add column up int references t"],
    ],
    ids=["create", "alter"],
)
def test_a_table_that_refers_to_itself(statements: list[str]) -> None:
    with zerodb.connect() as db:
        for statement in statements:
            db.execute(statement)
        assert db.check() == []
