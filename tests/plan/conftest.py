"""Every test of plans runs with the invariants checked after every rule."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from plan_catalog import MemoryCatalog, tpch_catalog

from zerodb_compiler.plan import check


@pytest.fixture(scope="session")
def tpch() -> MemoryCatalog:
    return tpch_catalog()


@pytest.fixture(autouse=True)
def _checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ENABLED", True)
