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


def test_strings_that_no_row_has_raise_nothing(db: zerodb.Connection, evaluate: Callable[..., Any]) -> None:
    """A condition may be evaluated for the dictionary instead of the rows, but not one that could fail there."""
    evaluate("a text", ["a"], [("xabc",), ("abc",)])
    db.execute("delete from imported where a = 'abc'")
    query = "select count(*) from imported where substring(a, 1, strpos(a, 'x') - 1) = ''"
    assert db.execute(query).fetchall() == [(12,)]
    assert db.execute("select count(*) from imported where cast(a || '1' as text) like 'x%1'").fetchall() == [(12,)]
