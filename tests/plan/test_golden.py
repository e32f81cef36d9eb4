"""Plans as text. golden/<rule>.txt: SQL, then the plan before and after that rule (nothing but it ran in between);
golden/tpch.txt: the physical plans of TPC-H with the estimates at scale 1; golden/errors.txt: what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from plan_catalog import TPCH, MemoryCatalog, optimized, planned

from zerodb_compiler.errors import Error
from zerodb_compiler.plan.cardinality import Estimator
from zerodb_compiler.plan.format import format_logical, format_physical
from zerodb_compiler.plan.optimize import RULES

GOLDEN = Path(__file__).resolve().parent / "golden"
NAMES = {rule.__name__ for rule in RULES}
Golden = Callable[[Path, Callable[[str], str]], None]


def test_every_rule_has_golden_plans() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == NAMES | {"tpch", "errors", "physical"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_rule(name: str, golden: Golden, tpch: MemoryCatalog) -> None:
    def render(text: str) -> str:
        plan = tpch.bind(text).plan
        fresh = itertools.count(1000)
        last = [rule.__name__ for rule in RULES].index(name)
        for rule in RULES[:last]:
            plan = rule(plan, lambda: next(fresh))
        types = name == "tighten_nullability"
        before = format_logical(plan, types=types)
        after = RULES[last](plan, lambda: next(fresh))
        rows = Estimator().rows if name == "order_joins" else None
        return (
            f"{before}->\n{format_logical(after, types=types, rows=rows)}" if after is not plan else f"{before}-> same"
        )

    golden(GOLDEN / f"{name}.txt", render)


def test_tpch(golden: Golden, tpch: MemoryCatalog) -> None:
    def render(name: str) -> str:
        query = tpch.bind((TPCH / "queries" / name).read_text())
        return format_physical(planned(query))

    golden(GOLDEN / "tpch.txt", render)


def test_physical(golden: Golden, tpch: MemoryCatalog) -> None:
    golden(GOLDEN / "physical.txt", lambda text: format_physical(planned(tpch.bind(text))))


def test_errors(golden: Golden, tpch: MemoryCatalog) -> None:
    def render(text: str) -> str:
        with pytest.raises(Error) as caught:
            optimized(tpch.bind(text))
        return f"{caught.value.sqlstate} {caught.value}"

    golden(GOLDEN / "errors.txt", render)
