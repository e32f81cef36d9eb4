"""The shape cache: one compiled statement serves all texts that differ in lifted literals only."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as some

from zerodb_compiler.sql.analyze import analyze
from zerodb_compiler.sql.shape import Shape, ShapeCache, shape_of


def cached(cache: ShapeCache[str], text: str, catalog) -> None:
    (bound,) = analyze(text, catalog)
    assert cache.insert(bound, text)


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("select a from t where a = 7 and c = 'it''s'", ("7", "it's")),
        ("select a1, t2.b3 from t2", ()),
        ("select 1.5, .5, 5., 1e3, 2.5e-3", ("1.5", ".5", "5.", "1e3", "2.5e-3")),
        ("select '--', 1 -- 2 '\n, 3", ("--", "1", "3")),
        ("select '/*', 1 /* 2 /* ' */ 3 */, 4", ("/*", "1", "4")),
        ('select "a 1", \'"\', 5', ('"', "5")),
        ("select $1, :x2, $name3, ?, 7", ("7",)),
        ("select E'it\\'s 5', 6", ("6",)),
        ("select $$1 2$$, $q$ $$ '3' $q$, 4", ("4",)),
        ("select a-1,-2", ("1", "2")),
    ],
)
def test_literals_are_found(text: str, literals: tuple[str, ...]) -> None:
    shape = shape_of(text)
    assert shape.literals == literals
    starts = shape.starts()
    assert list(starts.values()) == list(range(len(literals)))
    for start, number in starts.items():
        literal = literals[number]
        assert text[start:].startswith((literal, "'" + literal.replace("'", "''") + "'"))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("select 1", "SELECT  2\n", True),
        ("select a from t where a = 7", "select a from t where a = 3000000000", False),
        ("select 0.05", "select 0.06", True),
        ("select 0.05", "select 0.5", False),
        ("select 10.5", "select 99.9", True),
        ("select 1", "select '1'", False),
        ("select 1 -- one", "select 2", True),
        ('select "A" from t', 'select "a" from t', False),
        ('select "a  b"', 'select "a b"', False),
        ("select $$a$$", "select $$b$$", False),
        ("select e'1'", "select '1'", False),
        ("select 1e5", "select 1e6", False),
    ],
)
def test_keys(first: str, second: str, same: bool) -> None:
    assert (shape_of(first).key == shape_of(second).key) is same


def test_other_literals_of_the_shape_hit(catalog) -> None:
    cache: ShapeCache[str] = ShapeCache()
    text = "select a from t where d >= '1994-01-01' and b between 0.05 and 0.07 and c = 'x' and -3 < a limit 10"
    cached(cache, text, catalog)
    hit = cache.lookup(text)
    assert hit is not None
    assert hit.values == [8766, 5, 7, "x", -3, 10]
    other = "SELECT a FROM t WHERE d >= '1970-01-02' AND b BETWEEN 0.01 AND 0.02 AND c = 'it''s' AND -4 < a LIMIT 1"
    hit = cache.lookup(other)
    assert hit is not None
    assert hit.entry == text
    assert hit.values == [1, 1, 2, "it's", -4, 1]


def test_constant_arithmetic_is_lifted_whole(catalog) -> None:
    cache: ShapeCache[str] = ShapeCache()
    cached(cache, "select a from t where a = 1 + 2 and e <= date '1998-12-01' - interval '90' day", catalog)
    hit = cache.lookup("select a from t where a = 5 + 6 and e <= date '1998-12-02' - interval '1' day")
    assert hit is not None
    assert hit.values == [11, (date(1998, 12, 1) - date(1970, 1, 1)).days * 86_400_000_000]
    assert cache.lookup("select a from t where a = 5 + 6 and e <= date '1998-12-02' - interval 'x' day") is None
    too_large = "select a from t where a = 2147483647 + 6 and e <= date '1998-12-02' - interval '1' day"
    assert cache.lookup(too_large) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("select a + 1 from t", "select a + 2 from t"),
        ("select a, b from t order by 1", "select a, b from t order by 2"),
        ("select sum(b) from t group by 1 + a", "select sum(b) from t group by 2 + a"),
        ("select d + interval '1 day' from t", "select d + interval '2 day' from t"),
        ("select cast(b as numeric(5,1)) from t", "select cast(b as numeric(6,1)) from t"),
        ("select a from t where c like '!%' escape '!'", "select a from t where c like '!%' escape '?'"),
        ("select case when a = 1 then 2 end from t", "select case when a = 2 then 2 end from t"),
        ("select a from t where d = 'tomorrow-'", "select a from t"),
    ],
)
def test_baked_literals_make_another_variant(first: str, second: str, catalog) -> None:
    cache: ShapeCache[str] = ShapeCache()
    if "tomorrow" not in first:
        cached(cache, first, catalog)
        assert cache.lookup(first) is not None
    assert cache.lookup(second) is None
    cached(cache, second, catalog)
    hit = cache.lookup(second)
    assert hit is not None
    assert hit.entry == second


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("select a from t where d = '2001-01-01'", "select a from t where d = '2001-02-30'"),
        ("select a from t where i = 5", "select a from t where i = 70000"),
        ("insert into t (a, g, c) values (1, 2, 'abc')", "insert into t (a, g, c) values (1, 2, 'abcdef')"),
        (
            "select a from t where e = date '2001-01-01' - interval '1 day'",
            "select a from t where e = date 'nonsense' - interval '1 day'",
        ),
        ("select a from t where d = timestamp '2001-01-01'", "select a from t where d = timestamp '2001-01-01 01:00'"),
    ],
)
def test_what_does_not_convert_is_a_miss(text: str, other: str, catalog) -> None:
    cache: ShapeCache[str] = ShapeCache()
    cached(cache, text, catalog)
    assert cache.lookup(text) is not None
    assert cache.lookup(other) is None


def test_a_literal_both_lifted_and_baked_must_be_equal(catalog) -> None:
    """A common table expression is bound once per use: here in a predicate, and in a select list."""
    cache: ShapeCache[str] = ShapeCache()
    text = "with s as (select a, 5 as five from t where a = 5) select x.a from s x, s y where x.five = y.a"
    cached(cache, text, catalog)
    assert cache.lookup(text) is not None
    assert cache.lookup(text.replace("5 as", "6 as")) is None
    hit = cache.lookup(text.replace("a = 5", "a = 6"))
    assert hit is not None
    assert hit.values == [6, 6]


def test_least_recently_used_shapes_are_dropped(catalog) -> None:
    cache: ShapeCache[str] = ShapeCache(2)
    texts = ["select a from t", "select b from t", "select c from t"]
    cached(cache, texts[0], catalog)
    cached(cache, texts[1], catalog)
    assert cache.lookup(texts[0]) is not None
    cached(cache, texts[2], catalog)
    assert cache.lookup(texts[1]) is None
    assert cache.lookup(texts[0]) is not None
    cache.remove(shape_of(texts[0]))
    assert cache.lookup(texts[0]) is None
    cache.clear()
    assert len(cache) == 0


def test_several_statements_are_not_lifted(catalog) -> None:
    bounds = analyze("select a from t where a = 1; select a from t where a = 2", catalog)
    assert [bound.lifted for bound in bounds] == [(), ()]
    assert not ShapeCache[int]().insert(bounds[0], 1)


def test_long_lists_of_literals_are_not_lifted(catalog) -> None:
    (bound,) = analyze("insert into u (a, b) values " + ", ".join(f"({i}, 1)" for i in range(200)), catalog)
    assert bound.lifted == ()
    assert bound.shape is None


@given(some.text(alphabet="ab1.'\"$-*/ \n\\eE;x", max_size=40))
def test_any_text_has_a_shape(text: str) -> None:
    shape = shape_of(text)
    assert isinstance(shape, Shape)
    assert "".join(shape.pieces) == text
    assert len(shape.starts()) == len(shape.literals)


@given(some.integers(0, 2**31 - 1), some.text(alphabet="ab'c 1\"$-", max_size=4), some.integers(0, 99_999))
def test_values_are_those_of_binding_anew(number: int, text: str, cents: int) -> None:
    """What the cache fills in is what the binder would find in that text."""
    catalog = _CATALOG[0]
    quoted = text.replace("'", "''")
    query = f"select a from t where a = {number} and x = '{quoted}' and b < {cents // 100}.{cents % 100:02d}"
    (bound,) = analyze(query, catalog)
    cache = _CATALOG[1]
    hit = cache.lookup(query)
    if hit is None:
        assert cache.insert(bound, query)
        hit = cache.lookup(query)
    assert hit is not None
    assert bound.shape is not None
    assert hit.values == bound.values(bound.shape) == [number, text, cents]


_CATALOG: list = []


@pytest.fixture(autouse=True, scope="module")
def _prepared(new_catalog) -> None:
    _CATALOG[:] = [new_catalog().run("create table t (a bigint, x text, b numeric(10,2))"), ShapeCache()]
