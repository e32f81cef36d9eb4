"""A table for triggers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zerodb
from zerodb import Connection


@pytest.fixture
def db() -> Iterator[Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute("create table t (id integer primary key, name text, v bigint)")
        yield connection
