"""Components for tests, built from sources: kept in pytest's cache under a hash of all that goes in.

Without its tools a language's tests are skipped. Tests that are slow anyway get npm's packages by themselves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from zerodb.guests import tools
from zerodb.guests.build import build
from zerodb.guests.files import SDK, WIT
from zerodb.guests.project import Project, ProjectError, read_project

CACHE_VERSION = 1


def cache() -> Path:
    folder = Path(tempfile.gettempdir()) / "zerodb-test-guests"
    folder.mkdir(exist_ok=True)
    return folder


def _files(*folders: Path) -> Iterable[Path]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in (".pyc", ".wasm") and "node_modules" not in path.parts:
                yield path


def _versions() -> str:
    names = ("componentize-py", "ziglang")
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} none")
    return ",".join(found)


def install_npm_packages() -> None:
    """Makes jco and componentize-js findable, for tests that are slow anyway; skips the test where npm cannot."""
    try:
        tools.node_modules(Path.cwd(), tools.JCO, tools.COMPONENTIZE_JS)
        return
    except ProjectError:
        pass
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not here")
    folder = cache() / "npm"
    folder.mkdir(exist_ok=True)
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", tools.JCO, tools.COMPONENTIZE_JS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install jco: {done.stderr[-300:]}")
    os.environ["ZERODB_NODE_MODULES"] = str(folder / "node_modules")


def need_tools(language: str) -> None:
    """Skips the test where a tool is missing."""
    try:
        match language:
            case "python":
                tools.componentize_py()
            case "javascript":
                tools.node()
                tools.node_modules(Path.cwd(), tools.JCO, tools.COMPONENTIZE_JS)
            case "c":
                tools.zig()
                tools.node()
                tools.node_modules(Path.cwd(), tools.JCO)
            case _:
                tools.cargo()
    except ProjectError as error:
        pytest.skip(str(error))


def built(project: Project) -> Path:
    """The component of a project in a folder of the test's own."""
    need_tools(project.language)
    hashed = hashlib.sha256(f"{CACHE_VERSION} {_versions()} {project.world} {project.language}".encode())
    code = Path(tools.__file__).parent
    own = [path for path in _files(project.folder) if "build" not in path.relative_to(project.folder).parts]
    for path in (*own, *_files(SDK / project.language, WIT), code / "build.py"):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    kept = cache() / f"{project.language}-{hashed.hexdigest()[:32]}.wasm"
    if not kept.exists():
        partial = kept.with_suffix(f".{os.getpid()}.partial")
        shutil.copyfile(build(project), partial)
        partial.replace(kept)
    shutil.copyfile(kept, project.output)
    return project.output


def example(folder: Path, into: Path) -> Path:
    """The component of a project of the repository, built in a copy."""
    copy = into / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("build", "*.wasm", "node_modules"))
    return built(read_project(copy))


def one_file(source: Path, language: str, world: str, into: Path) -> Path:
    """The component of one source file."""
    folder = into / language
    folder.mkdir()
    shutil.copyfile(source, folder / f"app{source.suffix}")
    return built(Project(folder, "app", language, world))
