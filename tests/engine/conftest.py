import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from zerodb.engine import Engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(memory_limit=256 << 20, threads=2)
    yield made
    made.close()
