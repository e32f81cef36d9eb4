"""Every *.test file below this folder, one case a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerodb.logictest.files import RunOptions, failure_text, run_file

HERE = Path(__file__).resolve().parent
FILES = sorted(str(path.relative_to(HERE)) for path in HERE.rglob("*.test"))
SHOWN = 5


@pytest.mark.parametrize("name", FILES)
def test_logic(name: str) -> None:
    report = run_file(HERE / name, RunOptions())
    texts = [failure_text(failure) for failure in report.failures]
    more = [f"... and {len(texts) - SHOWN} more failures"] if len(texts) > SHOWN else []
    assert not texts, "\n\n" + "\n".join(texts[:SHOWN] + more)
    assert report.run, f"{name} has no record"
