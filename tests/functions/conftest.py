"""Databases with the modules of modules.py as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.functions import modules

import zerodb


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where core.wasm and plain.wasm are."""
    found = tmp_path_factory.mktemp("modules")
    (found / "core.wasm").write_bytes(modules.core())
    (found / "plain.wasm").write_bytes(modules.plain_component())
    return found


@pytest.fixture
def wasm_db(folder: Path) -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        yield connection


@pytest.fixture
def body(wasm_db: zerodb.Connection, folder: Path) -> Callable[..., Any]:
    """body("f(a bigint)", "bigint", "core", "export", "strict"): the body of a new function."""

    def make(declared: str, result: str, module: str, export: str, options: str = "") -> Any:
        language = "wasm_core" if module == "core" else "wasm"
        wasm_db.execute(
            f"create or replace function {declared} returns {result} language {language}"
            f" as '{folder / module}.wasm', '{export}' {options}"
        )
        view = wasm_db._view()
        function = view.functions(declared.partition("(")[0])[-1]
        return view.body(function)

    return make
