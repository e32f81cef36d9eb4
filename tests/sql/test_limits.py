"""Whatever the text, there is an error of ours or a statement: no crash, no endless parse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from zerodb_compiler.errors import Error
from zerodb_compiler.sql.analyze import analyze

MANY = 3_000
DEEP = {
    "parentheses": "select " + "(" * MANY + "1" + ")" * MANY,
    "not": "select " + "not " * MANY + "true",
    "minus": "select " + "- " * MANY + "1",
    "case": "select " + "case when true then " * MANY + "1" + " end" * MANY,
    "subqueries": "select " + "(select " * MANY + "1" + ")" * MANY,
    "functions": "select " + "abs(" * MANY + "1" + ")" * MANY,
    "sums": "select " + "1+" * MANY + "1",
    "casts": "select 1" + "::int" * MANY,
    "unions": "select 1 " + "union all select 1 union select 1 " * MANY,
    "joins without condition": "select 1 from t " + "join t " * MANY,
    "doubling": "with a0 as (select 1 as x)"
    + "".join(f", a{i} as not materialized (select p.x from a{i - 1} p, a{i - 1} q)" for i in range(1, 60))
    + " select * from a59",
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_is_refused(name: str, catalog) -> None:
    with pytest.raises(Error) as caught:
        analyze(DEEP[name], catalog)
    assert caught.value.sqlstate in ("54001", "0A000", "42601")


def test_long_chains_are_fine(catalog) -> None:
    analyze("select 1 where " + "true and false or " * MANY + "true", catalog)
    analyze("select 1 where 1 in (" + "1, " * MANY + "1)", catalog)
    analyze("values " + "(1, 'a'), " * MANY + "(1, 'b')", catalog)
    analyze("select 1 " + "union all select 1 " * 300, catalog)


_TEXT = """
    select from where group by having order limit offset distinct as on using join left right inner cross natural union
    all with values ( ) , . * + - / % || = < <> >= ( ) , and or not in between like is null true false case when then
    else end cast date interval '1day' extract year count sum avg min max coalesce nullif exists any t u a b c d e f g h
    i x y 1 2.5 'abc' '2001-01-01' ? $1 :p insert into update set delete create table drop default primary key integer
    numeric(5,2) text :: asc desc nulls first fetch rows only filter over ; "a" 1e5 substring for trim -- /* */ [ ] { }
    @ explain lateral returning rollup array row symmetric escape
"""
WORDS = _TEXT.split()
_ATOMS = "a b c d e f g h i j k l null true 1 2.5 'x' '2001-01-01' ? date'2001-01-01' 99999999999"
_BINARY = "+ - * / % || = <> < >= and or like"
_UNARY = "not - abs length upper sum count max"
_TYPES = "integer text numeric(5,2) date u8 boolean real"


@settings(max_examples=400, deadline=None)
@given(some.lists(some.sampled_from(WORDS), max_size=25))
def test_any_words(words: list[str]) -> None:
    _try(" ".join(words))


@settings(max_examples=200, deadline=None)
@given(some.text(max_size=60))
def test_any_text(text: str) -> None:
    _try(text)


EXPRESSIONS = some.recursive(
    some.sampled_from(_ATOMS.split()),
    lambda inner: some.one_of(
        some.tuples(inner, some.sampled_from(_BINARY.split()), inner).map(" ".join),
        some.tuples(some.sampled_from(_UNARY.split()), inner).map(lambda p: f"{p[0]}({p[1]})"),
        some.tuples(inner, inner, inner).map(lambda p: f"case when {p[0]} then {p[1]} else {p[2]} end"),
        some.tuples(inner, inner).map(lambda p: f"coalesce({p[0]}, {p[1]})"),
        some.tuples(inner, inner, inner).map(lambda p: f"({p[0]}) between {p[1]} and {p[2]}"),
        some.tuples(inner, inner).map(lambda p: f"({p[0]}) in ({p[1]}, 3)"),
        some.tuples(inner, some.sampled_from(_TYPES.split())).map(lambda p: f"cast({p[0]} as {p[1]})"),
        inner.map(lambda p: f"({p}) is null"),
        inner.map(lambda p: f"(select max({p}) from u where u.a = t.a)"),
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS)
def test_any_expression(first: str, second: str, third: str) -> None:
    _try(f"select {first} from t where {second} group by {third}")
    _try(f"select {first} from t where {second} order by {third} limit 3")
    _try(f"insert into u (a, x) select {first}, {second} from t")
    _try(f"update t set a = {first}, c = {second} where {third}")


def _try(text: str) -> None:
    """Anything but an error of ours escapes from here and fails the test."""
    caught: Error | None = None
    try:
        analyze(text, _CATALOG[0])
    except Error as error:
        caught = error
    if caught is not None:
        assert caught.sqlstate != "XX000"
        assert caught.position is None or 0 <= caught.position <= len(text)


_CATALOG: list = []


@pytest.fixture(autouse=True, scope="module")
def _prepared(catalog) -> None:
    _CATALOG[:] = [catalog]
