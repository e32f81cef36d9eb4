"""The `evaluate` fixture does what it says: its tables have the layouts that the other tests mean to cover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zerodb


def test_imported_texts_are_in_dictionaries(db: zerodb.Connection, evaluate: Callable[..., Any]) -> None:
    found = evaluate("a text", ["upper(a)"], [("x",), (None,), ("yy",)])
    assert set(map(tuple, map(tuple, found.values()))) == {(("X",), (None,), ("YY",))}
    assert "dictionary" in db.prepare("select upper(a) from imported where a like 'x_'").wat()
    assert "dictionary" not in db.prepare("select upper(a) from inserted where a like 'x_'").wat()
