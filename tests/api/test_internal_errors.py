"""What should not happen reaches users as an error of zerodb's, with its cause."""

from __future__ import annotations

import pytest

import zerodb
from zerodb.database import Database


def test_a_mistake_of_ours_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> None:
        raise KeyError("no such column")

    with zerodb.connect() as db:
        monkeypatch.setattr(Database, "prepare", mistaken)
        with pytest.raises(zerodb.errors.InternalError, match="internal error: KeyError: 'no such column'") as caught:
            db.execute("select 1")
    assert caught.value.sqlstate == "XX000"
    assert isinstance(caught.value.__cause__, KeyError)
