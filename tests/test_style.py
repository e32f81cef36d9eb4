"""What tools can check: formatting and lints (ruff), types (mypy --strict), import directions (import-linter)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ruff_finds_nothing() -> None:
    run(sys.executable, "-m", "ruff", "check", "--quiet", ".")


def test_ruff_format_changes_nothing() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", "--quiet", "compiler", "host", "storage")


def test_mypy_strict_finds_nothing() -> None:
    run(sys.executable, "-m", "mypy")


def test_imports_go_one_way() -> None:
    run(sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")


def test_no_machine_paths_in_the_repository() -> None:
    """Nothing committed names the machine it was written on."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    forbidden = ("/" + "work/", "/" + "home/", "/" + "root/")
    for name in files:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".sql", ".txt", ".wit") and path.exists():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not any(word in text for word in forbidden), name
