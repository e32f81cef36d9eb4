"""Every default run tries the same bounded examples; `pytest -m slow` tries many more, with a fixed seed too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from differential_scratch import Scratch

import zerodb


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    with zerodb.connect(":memory:", threads=2) as connection:
        yield Scratch(connection)
