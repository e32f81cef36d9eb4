"""A project's `zerodb.toml`: what to build.

[component]
name = "shop"            # the file is shop.wasm
language = "python"      # python, javascript, c, rust
world = "guest"          # guest, scalar-udf, table-udf, aggregate-udf, trigger
libc = true              # C only: link a libc (files are larger, the first build takes a minute)
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("python", "javascript", "c", "rust")
WORLDS = {
    "guest": "guest",
    "scalar": "scalar-udf",
    "table": "table-udf",
    "aggregate": "aggregate-udf",
    "trigger": "trigger",
}
SETTINGS = "zerodb.toml"


class ProjectError(Exception):
    """A project that cannot be made or built, in words for its author."""


@dataclass(frozen=True, slots=True)
class Project:
    folder: Path
    name: str
    language: str
    world: str
    libc: bool = False

    @property
    def output(self) -> Path:
        return self.folder / f"{self.name}.wasm"

    @property
    def work(self) -> Path:
        """What is made on the way; may be deleted."""
        return self.folder / "build"


def read_project(folder: Path) -> Project:
    path = folder / SETTINGS
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except FileNotFoundError:
        raise ProjectError(
            f"{folder} has no {SETTINGS}: `zerodb new guest --lang python NAME` makes a project"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{path}: {error}") from None
    component = settings.get("component")
    if not isinstance(component, dict):
        raise ProjectError(f"{path} has no [component]")
    values = {key: component.pop(key, None) for key in ("name", "language", "world")}
    libc = component.pop("libc", False)
    missing = [key for key, value in values.items() if not isinstance(value, str)]
    if missing:
        raise ProjectError(f"{path}: [component] needs {', '.join(missing)}")
    if component:
        raise ProjectError(f"{path}: [component] knows no {', '.join(component)}")
    if values["language"] not in LANGUAGES:
        raise ProjectError(f"{path}: the language is one of {', '.join(LANGUAGES)}, not {values['language']}")
    if values["world"] not in WORLDS.values():
        raise ProjectError(f"{path}: the world is one of {', '.join(WORLDS.values())}, not {values['world']}")
    if not isinstance(libc, bool):
        raise ProjectError(f"{path}: libc is true or false")
    return Project(folder, values["name"], values["language"], values["world"], libc)
