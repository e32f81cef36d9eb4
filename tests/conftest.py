"""Shared by all areas: golden text files.

A golden file is a list of cases; each case is input, a line `---`, and what it should give; cases are separated by
lines `===`. `pytest --update-golden` writes what the code gives now: review it as a diff.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files with today's results")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, Callable[[str], str]], None]:
    """golden(path, render): every case of the file must give what the file says."""
    update = bool(request.config.getoption("--update-golden"))

    def check(path: Path, render: Callable[[str], str]) -> None:
        cases = [(case + "\n").split("\n---\n") for case in path.read_text().split("\n===\n")]
        results = [(case[0].strip("\n"), render(case[0].strip("\n")).strip("\n")) for case in cases]
        text = "\n===\n".join(f"{given}\n---\n{result}" for given, result in results) + "\n"
        if update:
            path.write_text(text)
        else:
            assert text == path.read_text(), f"{path.name} differs; pytest --update-golden shows how"

    return check
