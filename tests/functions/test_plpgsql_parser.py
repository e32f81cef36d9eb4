"""The parser of PL/pgSQL: its places, and that any text gives a tree or an error of ours."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb_compiler.errors import Error
from zerodb_compiler.plpgsql import tree
from zerodb_compiler.plpgsql.check import Returns, check
from zerodb_compiler.plpgsql.parser import parse_body
from zerodb_compiler.plpgsql.tokens import tokenize

SCRIPTS = sorted((Path(__file__).resolve().parent / "scripts").glob("*.sql"))
WORDS = """
    begin end declare if then elsif else case when loop while for in reverse .. by foreach array exit continue return
    next query execute into strict using perform raise notice exception assert get diagnostics row_count null a b r :=
    = ; , ( ) [ ] 'text' $$x$$ 1 2.5 <<l>> select insert update from t where record integer %type %rowtype constant not
    default alias call commit others sqlstate '23505' -- /* */ "quoted" $1 || + - . :: found
"""


def test_places_are_those_of_the_body() -> None:
    body = "declare\n  x integer := 1 + y;\nbegin\n  x := x * 2;\n  select a into x from t where a = 1;\nend"
    block = parse_body(body)
    (declaration,) = block.declarations
    assign, run = block.body
    assert isinstance(assign, tree.Assign)
    assert isinstance(run, tree.Run)
    assert declaration.default is not None
    for sql, text in ((declaration.default, "1 + y"), (assign.value, "x * 2"), (run.statement, "select a ")):
        at = body.index(text)
        assert sql.text[at : at + len(text)] == text
    assert run.statement.text.strip() == "select a        from t where a = 1"
    assert (assign.line, run.line) == (4, 5)
    assert run.into == tree.Into((tree.Target(("x",), 0),))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("x:=-1", ["x", ":=", "-", "1"]),
        ("a=-1", ["a", "=", "-", "1"]),
        ("a<>-1", ["a", "<>", "-", "1"]),
        ("1..10", ["1", "..", "10"]),
        ("a.b%type", ["a", ".", "b", "%", "type"]),
        ("a--b\n+1", ["a", "+", "1"]),
        ("a/* /* */ */b", ["a", "b"]),
        ("$q$ ;$q$", ["$q$ ;$q$"]),
        ("e'a\\'b' 'c''d'", ["e'a\\'b'", "'c''d'"]),
        ('"A""b"', ['"A""b"']),
        ("<<l>> a>>1", ["<<", "l", ">>", "a", ">>", "1"]),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert [token.text for token in tokenize(text)][:-1] == tokens


def mistake(text: str) -> Error | None:
    try:
        check(parse_body(text), ("a", "b"), Returns("scalar"))
    except Error as error:
        return error
    return None


def read(text: str) -> None:
    error = mistake(text)
    if error is not None:
        assert error.sqlstate != "XX000", error
        assert error.position is None or 0 <= error.position <= len(text) + 1


@given(st.lists(st.sampled_from(WORDS.split()), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_words(words: list[str]) -> None:
    read("begin " + " ".join(words) + " end")


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text(text: str) -> None:
    read(text)
    read(f"begin {text}; end")


def test_broken_bodies() -> None:
    """Bodies of the scripts with a piece taken out, doubled or exchanged."""
    chance = random.Random(20261121)
    for path in SCRIPTS:
        for body in path.read_text().split("$$")[1::2]:
            for _ in range(6):
                first, second = sorted(chance.sample(range(len(body) + 1), 2))
                second = min(second, first + 12)
                piece = chance.choice(["", body[first:second] * 2, chance.choice(WORDS.split())])
                read(body[:first] + piece + body[second:])
