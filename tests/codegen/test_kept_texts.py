"""Texts that operators keep beyond a morsel: copied to the arena, empty ones and long ones too."""

from __future__ import annotations

import pytest

import zerodb


@pytest.mark.parametrize("text", ["", "x", "y" * 300_000])
@pytest.mark.parametrize(
    "query",
    [
        "select max(t) from a",
        "select t from a group by t",
        "select t from a order by t",
        "select t from a order by t limit 1",
        "select x.t from a x join a y on x.t = y.t",
        "select x.t from a x, a y",
    ],
)
def test_a_text_is_the_first_thing_kept(query: str, text: str) -> None:
    with zerodb.connect(":memory:", threads=1) as connection:
        connection.execute("create table a (t text)")
        connection.execute("insert into a values (?)", [text])
        assert connection.execute(query).fetchall() == [(text,)]
