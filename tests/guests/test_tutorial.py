"""docs/tutorial.md: its commands are run one after the other in an empty folder, and say what it says.

A fence ```console has commands after `$ ` and their output; `...` in it stands for anything, and "[exit status N]"
for a command that fails. A fence whose first line names file=... is written to that file. Other fences (the
installation) are left out: they were followed by hand, and CI does the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.guests.building import cache, install_npm_packages, need_tools

from zerodb.guests import tools

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shell(folder: Path, binaries: Path, command: str) -> str:
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    sources = os.pathsep.join(str(ROOT / part) for part in ("compiler", "storage", "host"))
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": sources},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout.strip("\n")
    return f"{said}\n[exit status {done.returncode}]" if done.returncode else said


def matches(said: str, expected: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.strip("\n").split("..."))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


@pytest.mark.slow
def test_what_the_tutorial_says(tmp_path: Path) -> None:
    install_npm_packages()
    need_tools("python")
    need_tools("c")
    binaries, folder = tmp_path / "bin", tmp_path / "empty"
    binaries.mkdir()
    folder.mkdir()
    (binaries / "zerodb").write_text(f'#!/bin/sh\nexec {sys.executable} -m zerodb "$@"\n')
    (binaries / "zerodb").chmod(0o755)
    os.environ.setdefault("ZERODB_NODE_MODULES", str(tools.node_modules(cache(), tools.JCO)))
    ran = 0
    for language, rest, body in FENCE.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        if " file=" in f" {rest}":
            (folder / rest.split("file=")[1].strip()).write_text(body, encoding="utf-8")
        elif language == "console":
            for step in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, expected = step.partition("\n")
                said = shell(folder, binaries, command)
                assert matches(said, expected), f"$ {command}\n{said}\n-- instead of\n{expected}"
                ran += 1
    assert ran > 20
