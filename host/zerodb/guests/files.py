"""Where the guest SDK and the WIT lie: beside this module in an installed package, at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_TOP = _HERE.parents[2]

SDK = _HERE / "sdk" if (_HERE / "sdk").is_dir() else _TOP / "guest-sdk"
WIT = _HERE / "wit" if (_HERE / "wit").is_dir() else _TOP / "wit"


def wit_text() -> str:
    """The whole package as one text, for tools that take a file, not a folder."""
    parts = [path.read_text(encoding="utf-8") for path in sorted(WIT.glob("*.wit"))]
    package = parts[0].splitlines()[0]
    assert package.startswith("package ")
    return "\n".join([package, *(part.replace(package, "", 1) for part in parts)])
