"""What tests of functions ask: a statement's rows, its refusal, the error of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zerodb import Connection, errors
from zerodb.functions.body import FunctionError


def rows(db: Connection, text: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    return db.execute(text, parameters).fetchall()


def refused(db: Connection, text: str, sqlstate: str, *parts: str) -> None:
    """The statement fails with that SQLSTATE, and these words in its message."""
    with pytest.raises(errors.Error) as caught:
        db.execute(text)
    assert caught.value.sqlstate == sqlstate, caught.value
    for part in parts:
        assert part in str(caught.value)


def failure(action: Callable[[], object]) -> tuple[str, str, int | None]:
    """The SQLSTATE, message and row of what a function's body raises."""
    with pytest.raises(FunctionError) as caught:
        action()
    return caught.value.sqlstate, caught.value.message, caught.value.row
