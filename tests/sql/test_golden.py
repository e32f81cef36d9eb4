"""Bound plans and errors, as text: tests/sql/golden/*.txt, and the TPC-H queries of benchmarks/tpch."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TPCH = HERE.parent.parent / "benchmarks" / "tpch"
FILES = sorted(path.name for path in (HERE / "golden").glob("*.txt"))


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("tpch")])
def test_golden(name: str, golden: Callable[[Path, Callable[[str], str]], None], catalog, render) -> None:
    golden(HERE / "golden" / name, lambda text: render(text, catalog))


def test_tpch(golden: Callable[[Path, Callable[[str], str]], None], new_catalog, render) -> None:
    """Each case names a query file; its plan is what follows."""
    catalog = new_catalog().run((TPCH / "schema.sql").read_text())

    def bound(case: str) -> str:
        assert re.fullmatch(r"q\d\d\.sql", case)
        return str(render((TPCH / "queries" / case).read_text(), catalog))

    golden(HERE / "golden" / "tpch.txt", bound)
