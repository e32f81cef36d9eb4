"""The same program in Python, JavaScript and C, over one WIT: one result, and one state of the database."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.guests.building import install_npm_packages, one_file

import zerodb

SOURCES = Path(__file__).parent / "shop"
FUELLER = "5|Füller|3|19.99|2024-02-29"
ROWS = [
    "1|pen|10|1.20|2024-01-31",
    "2|ink|2|7.00|",
    "3|pen|5|1.30|2023-12-24",
    "4|pad|1|3.5|",
    "5|Füller|3|19.99|2024-02-29",
]
ANSWER = """inserted 5
refused 23505 false
1: pen 10 1.20 false
2: ink 2 7.00 true
99: none
Füller 3 59.97 2024-02-29
ink 2 14.00 -
pad 1 3.50 -
pen 15 18.50 2023-12-24
notes 1 42 x"""


def run_and_look(component: Path) -> tuple[str, list[tuple[object, ...]]]:
    with zerodb.connect(":memory:") as db:
        text = db.run_component(component, ROWS)
        return text, db.execute("select * from sale order by id").fetchall()


def test_in_c(tmp_path: Path) -> None:
    text, rows = run_and_look(one_file(SOURCES / "app.c", "c", "guest", tmp_path))
    assert text == ANSWER
    assert len(rows) == 5


@pytest.mark.slow
def test_all_give_the_same(tmp_path: Path) -> None:
    install_npm_packages()
    suffixes = {"c": "c", "python": "py", "javascript": "js"}
    states = [
        run_and_look(one_file(SOURCES / f"app.{suffix}", language, "guest", tmp_path))
        for language, suffix in suffixes.items()
    ]
    assert states[0][0] == ANSWER
    assert states[1] == states[0]
    assert states[2] == states[0]
