"""Scripts written for psql."""

from __future__ import annotations

import pytest

import zerodb
from zerodb.errors import NotSupportedError
from zerodb.psql import script_text

SCRIPT = """/* \\c in a comment */
DROP DATABASE IF EXISTS shop;
CREATE DATABASE Shop;
\\c shop;
select '\\c other', E'\\'', "a\\b", $$\\x$$;
"""


def test_a_script_that_makes_its_database_means_the_one_at_hand() -> None:
    text = script_text(SCRIPT)
    assert len(text) == len(SCRIPT)
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines == ["/* \\c in a comment */", "", "", "", "select '\\c other', E'\\'', \"a\\b\", $$\\x$$;"]


@pytest.mark.parametrize(
    ("script", "position"),
    [("select 1;\n\\d\n", 10), ("\\c shop", 0), ("create database a;\n\\c b", 19), ("\\echo hello", 0)],
)
def test_other_commands_of_psql_are_refused_with_their_place(script: str, position: int) -> None:
    with pytest.raises(NotSupportedError) as caught:
        script_text(script)
    assert caught.value.position == position


def test_sql_without_a_backslash_is_left_alone() -> None:
    assert script_text("create database a;") == "create database a;"


def test_executescript_takes_them_too() -> None:
    with zerodb.connect() as db:
        db.executescript("drop database if exists shop;\ncreate database shop;\n\\c shop;\ncreate table t (a int);")
        assert db.execute("select count(*) from t").fetchall() == [(0,)]
