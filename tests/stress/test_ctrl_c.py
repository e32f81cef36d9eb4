"""Ctrl-C at any moment: KeyboardInterrupt, never a crash, an open transaction or memory that nobody gives back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("ctrl_c_child.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize("seconds", [4.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_everything_stays_usable(seconds: float) -> None:
    command = [sys.executable, str(CHILD), str(seconds)]
    found = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr[-4000:]
