from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import zerodb


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        yield connection


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "test.zdb")
