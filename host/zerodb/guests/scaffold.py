"""`zerodb new`: a folder with a small working program, or function, and its `zerodb.toml`.

The templates are files of the SDK; `__NAME__` in them becomes the project's name, `__FUNCTION__` the same as SQL writes
names. Installers compile Python files wherever they lie: what they made is no part of a template.
"""

from __future__ import annotations

import re
from pathlib import Path

from zerodb.guests.files import SDK
from zerodb.guests.project import SETTINGS, WORLDS, ProjectError

NAME = re.compile(r"[a-z][a-z0-9_-]*")
IGNORED = "build/\nnode_modules/\n__pycache__/\n*.wasm\n"


def scaffold(folder: Path, language: str, kind: str) -> None:
    """Makes the folder. ProjectError if it is there, or if there is no such template."""
    name = folder.name
    if not NAME.fullmatch(name):
        raise ProjectError(f"a project's name is of lower case letters, digits, - and _, not {name!r}")
    template = SDK / language / "templates" / kind
    if not template.is_dir():
        kinds = ", ".join(sorted(path.name for path in template.parent.iterdir()))
        raise ProjectError(f"there is no template for {kind} in {language}, only for {kinds}")
    if folder.exists():
        raise ProjectError(f"{folder} is there already")
    for source in sorted(path for path in template.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        text = source.read_text(encoding="utf-8")
        target = folder / source.relative_to(template)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = text.replace("__NAME__", name).replace("__FUNCTION__", name.replace("-", "_"))
        target.write_text(text, encoding="utf-8")
    settings = f'[component]\nname = "{name}"\nlanguage = "{language}"\nworld = "{WORLDS[kind]}"\n'
    (folder / SETTINGS).write_text(settings, encoding="utf-8")
    (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
