"""SQLite's sqllogictest suite, the records for postgresql: every 50th query by default, all with `-m slow`.

What fails, and why, is in KNOWN_FAILURES.md; a failure that is not there fails the test, and so does a line there that
is none any more (when all records run).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conformance.corpora import corpus, corpus_files

from zerodb.logictest.files import RunOptions, failure_text, run_file

SUITE = "sqllogictest"
STRIDE = 50
KNOWN = Path(__file__).resolve().parent / "KNOWN_FAILURES.md"
# Thousands of statements each: they take a while at any stride.
LONG = ("index/delete/1000", "index/between/1000")
FILES = corpus_files(SUITE, "*.test") or ["(none)"]


def known_failures(name: str) -> set[int]:
    """Lines of the file's records that are known to fail."""
    found: set[int] = set()
    for lines in re.findall(rf"^- `{re.escape(name)}`: ([\d, ]+)", KNOWN.read_text(), re.M):
        found.update(int(line) for line in lines.replace(" ", "").split(",") if line)
    return found


def run(name: str, stride: int) -> None:
    path = corpus(SUITE) / name
    report = run_file(path, RunOptions(stride=stride, threads=1))
    known = known_failures(name)
    new = [failure_text(failure) for failure in report.failures if failure.line not in known]
    assert not new, f"{len(new)} new failures\n\n" + "\n".join(new[:5])
    if stride == 1:
        mended = known - {failure.line for failure in report.failures}
        assert not mended, f"no failures any more, to be taken out of {KNOWN.name}: {sorted(mended)}"


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(LONG)])
def test_a_part(name: str) -> None:
    run(name, STRIDE)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_everything(name: str) -> None:
    run(name, 1)
