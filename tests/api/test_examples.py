"""The examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import zerodb

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_example(path: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_readme(tmp_path: Path) -> None:
    """README's Python block runs on the table that its command line session makes."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    rows = re.search(r"\$ cat item.csv\n(.*?)\n\n", readme, re.DOTALL)
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert rows is not None
    assert code is not None
    (tmp_path / "item.csv").write_text(rows[1] + "\n", encoding="utf-8")
    with zerodb.connect(str(tmp_path / "shop.zdb")) as db:
        db.import_file("item", tmp_path / "item.csv", primary_key=["id"])
    done = subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ink 7.0\n")
