"""Where the third-party suites are: the folder of ZERODB_CORPORA, else `shared/corpora` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def corpus(name: str) -> Path:
    """The folder of a suite; the test is skipped where there is none."""
    found = _find(name)
    if found is None:
        pytest.skip(f"no {name} here: set ZERODB_CORPORA to the folder that has it")
    return found


def _find(name: str) -> Path | None:
    given = os.environ.get("ZERODB_CORPORA")
    folders = [Path(given)] if given else [parent / "shared" / "corpora" for parent in ROOT.parents]
    return next((folder / name for folder in folders if (folder / name).is_dir()), None)


def corpus_files(name: str, pattern: str) -> list[str]:
    """For parametrized tests: the suite's files, relative to its folder; none where there is no suite."""
    found = _find(name)
    return sorted(str(path.relative_to(found)) for path in found.rglob(pattern)) if found else []
