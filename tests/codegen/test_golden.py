"""Generated code as text: pipelines and the WAT of the functions of each case in golden/*.txt.

A case is SQL: statements that make tables, then one query; only the query's code is shown, without the functions that
are the same for every query (output blocks, sorting, kernels).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import zerodb

GOLDEN = Path(__file__).parent / "golden"
_SHOWN = ("pipeline", "merge_groups", "build_directory", "before", "offer", "grow_groups")


def generated(case: str) -> str:
    *definitions, query = [part.strip() for part in case.split(";") if part.strip()]
    with zerodb.connect(":memory:", threads=1) as connection:
        for definition in definitions:
            connection.execute(definition)
        statement = connection.prepare(query)
        pipelines = [line for line in statement.explain().splitlines() if line.startswith(("Pipeline", "  "))]
        start = next(i for i, line in enumerate(pipelines) if line.startswith("Pipeline"))
        functions = re.findall(r"^  \(func \$(?:.|\n)*?^  \)", statement.wat(), re.MULTILINE)
        shown = [text for text in functions if text.removeprefix("  (func $").startswith(_SHOWN)]
    return "\n".join([*pipelines[start:], *shown])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_generated_code(path: Path, golden: Callable[[Path, Callable[[str], str]], None]) -> None:
    golden(path, generated)


def test_equal_plans_give_equal_bytes() -> None:
    query = "select k, sum(v), min(t) from a group by k order by k limit 3"
    modules = []
    for _ in range(2):
        with zerodb.connect(":memory:", threads=1) as connection:
            connection.execute("create table a (k integer, v numeric(10,2), t text)")
            connection.execute("insert into a values (1, 2.50, 'x'), (2, 3.25, null)")
            modules.append(connection.prepare(query).module)
    assert modules[0] == modules[1]
