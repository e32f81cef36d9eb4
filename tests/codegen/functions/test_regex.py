"""Regular expressions against Python's `re`, where the two agree: whether there is a match, and where the leftmost one
of a greedy pattern without alternatives ends."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zerodb
from zerodb.errors import Error

LETTERS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\w", r"\d", "é"])


def _repeated(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", ""])).map(lambda p: f"(?:{p[0]}){p[1]}")


PATTERNS = st.recursive(
    LETTERS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: "(?:" + "|".join(parts) + ")"),
        _repeated(inner),
    ),
    max_leaves=8,
)
TEXTS = st.text(alphabet="abc1é ", max_size=12)


@pytest.fixture(scope="module")
def db():
    with zerodb.connect(":memory:") as connection:
        yield connection


@settings(max_examples=60, deadline=None)
@given(pattern=PATTERNS, texts=st.lists(TEXTS, min_size=1, max_size=8), anchored=st.booleans())
def test_a_match_is_found_where_python_finds_one(db, pattern, texts, anchored):
    pattern = f"^(?:{pattern})$" if anchored else pattern
    rows = ", ".join(f"('{text}')" for text in texts)
    found = db.execute(f"select t ~ '{pattern}' from (values {rows}) v(t)").fetchall()
    # Python's $ also matches before a last newline; there are none here.
    assert [bool(row[0]) for row in found] == [re.search(pattern, text) is not None for text in texts]


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.tuples(LETTERS, st.sampled_from(["*", "+", "?", ""])), min_size=1, max_size=4), text=TEXTS)
def test_the_leftmost_longest_match_begins_where_python_begins_it(db, parts, text):
    pattern = "".join(letter + quantifier for letter, quantifier in parts)
    found = re.search(pattern, text)
    (place,) = db.execute(f"select regexp_instr('{text}', '{pattern}')").fetchone()
    assert place == (0 if found is None else found.start() + 1)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "(a+)+$", r"(a*)*\1b", "(x+x+)+y"])
def test_patterns_that_blow_up_elsewhere_do_not(db, pattern):
    assert db.execute(f"select repeat('a', 200) || 'c' ~ '{pattern}'").fetchone() == (False,)


def test_patterns_that_come_with_the_rows(db):
    rows = db.execute("select t ~ p from (values ('abc', 'b'), ('abc', '^b'), ('x', null), ('aXc', 'x')) v(t, p)")
    assert rows.fetchall() == [(True,), (False,), (None,), (False,)]
    with pytest.raises(Error) as caught:
        db.execute("select t ~ p from (values ('a', 'a'), ('a', '(')) v(t, p)").fetchall()
    assert caught.value.sqlstate == "2201B"
    assert db.execute("select 'abc' ~ ?", ["b$"]).fetchone() == (False,)


def test_what_would_need_too_many_states_is_refused_by_name(db):
    with pytest.raises(Error) as caught:
        db.execute("select 'x' ~ '(a|b)*a(a|b){30}'")
    assert caught.value.sqlstate == "0A000"
