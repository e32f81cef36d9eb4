"""The tools that build components: where they are, and how to get those that are missing.

| language | tools | from |
|---|---|---|
| Python | componentize-py | PyPI |
| JavaScript | node, @bytecodealliance/jco, @bytecodealliance/componentize-js | Debian or nodejs.org, npm |
| C | ziglang (or zig); node and @bytecodealliance/jco | PyPI (or ziglang.org); npm |
| Rust | cargo, its target wasm32-wasip2 | rustup |

npm's packages are looked for in $ZERODB_NODE_MODULES, in `node_modules` of the project's folder and those above it, and
in npm's global folder.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zerodb.guests.project import ProjectError

JCO = "@bytecodealliance/jco"
COMPONENTIZE_JS = "@bytecodealliance/componentize-js"


def run_tool(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """The tool's output. ProjectError with all that it said if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = "\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
        raise ProjectError(f"{Path(command[0]).name} failed:\n{said}")
    return done.stdout


def componentize_py() -> str:
    beside = Path(sys.executable).parent / "componentize-py"
    found = str(beside) if beside.exists() else shutil.which("componentize-py")
    if found is None:
        raise ProjectError("components in Python need componentize-py: pip install componentize-py")
    return found


def zig() -> list[str]:
    """The command that is zig's."""
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang"]
    found = shutil.which("zig")
    if found is None:
        raise ProjectError("components in C need zig: pip install ziglang")
    return [found]


def node() -> str:
    found = shutil.which("node")
    if found is None:
        raise ProjectError(f"this needs Node.js: apt install nodejs npm, then npm install {JCO} {COMPONENTIZE_JS}")
    return found


def node_modules(folder: Path, *packages: str) -> Path:
    """The folder `node_modules` that has all packages."""
    places = [Path(os.environ["ZERODB_NODE_MODULES"])] if os.environ.get("ZERODB_NODE_MODULES") else []
    places += [place / "node_modules" for place in (folder.resolve(), *folder.resolve().parents)]
    for place in places:
        if all((place / package).is_dir() for package in packages):
            return place
    npm = shutil.which("npm")
    if npm is not None:
        answer = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, check=False).stdout.strip()
        if answer and all((Path(answer) / package).is_dir() for package in packages):
            return Path(answer)
    raise ProjectError(f"this needs npm's {' and '.join(packages)}: npm install {' '.join(packages)}, in {folder}")


def cargo() -> str:
    found = shutil.which("cargo")
    if found is None:
        raise ProjectError("components in Rust need cargo: see https://rustup.rs")
    rustc = shutil.which("rustc") or "rustc"
    root = subprocess.run([rustc, "--print", "sysroot"], capture_output=True, text=True, check=False).stdout.strip()
    if not (Path(root) / "lib/rustlib/wasm32-wasip2").is_dir():
        raise ProjectError("components in Rust need the target wasm32-wasip2: rustup target add wasm32-wasip2")
    return found
