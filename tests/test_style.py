"""What tools can check: formatting and lints (ruff), types (mypy --strict), import directions (import-linter)."""

from __future__ import annotations

import re
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


def test_the_code_map_is_true() -> None:
    """Modules that ARCHITECTURE's code map names are where it says, and so are the files named anywhere in it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = [Path(name) for name in listed]
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in re.findall(r"`([\w/]+\.(?:py|md|wit))`", text)
        if not any(file.parts[-len(Path(name).parts) :] == Path(name).parts for file in files)
    ]
    code_map = text[text.index("## Code map") : text.index("Where to change a thing")]
    for where, what in re.findall(r"^\| (`.*?) \| (.*) \|$", code_map, re.MULTILINE):
        folders = [Path(name).parent if name.endswith(".py") else Path(name) for name in re.findall("`([^`]+)`", where)]
        there = [file for file in files if any(file.is_relative_to(folder) for folder in folders)]
        known = {file.stem for file in there} | {part for file in there for part in file.parts}
        missing += [f"{where} {name}" for name in re.findall(r"`([a-z][a-z_]+)`", what) if name not in known]
    assert missing == []
