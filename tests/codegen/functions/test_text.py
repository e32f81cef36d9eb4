"""Text functions against Python, for values from tables (raw and dictionary columns) and parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zerodb

Check = Callable[..., None]
SETTINGS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
# Characters of one to four bytes, the blank, and what LIKE and trimming look for.
TEXTS = st.one_of(st.none(), st.text("abAB é☃𝄞%_\\x", max_size=20), st.text("ab", max_size=3))
NUMBERS = st.one_of(st.none(), st.integers(-5, 25), st.sampled_from([-(2**31), 2**31 - 1]))


def ascii_swap(function: Callable[[str], str], text: str) -> str:
    """The case mappings that Unicode's simple one and Python's agree on for our characters."""
    return "".join(function(character) for character in text)


def part(text: str, start: int, count: int) -> str:
    first = max(start, 1)
    return text[first - 1 : max(start + count - 1, first - 1)]


def trimmed(text: str, characters: str, sides: str) -> str:
    if not characters:
        return text
    return {"both": text.strip, "left": text.lstrip, "right": text.rstrip}[sides](characters)


def like(text: str, pattern: str, escape: str = "\\", flags: int = 0) -> bool:
    expression, place = "", 0
    while place < len(pattern):
        character = pattern[place]
        if character == escape and place + 1 < len(pattern):
            place += 1
            expression += re.escape(pattern[place])
        else:
            expression += {"%": ".*", "_": "."}.get(character) or re.escape(character)
        place += 1
    return re.fullmatch(expression, text, re.DOTALL | flags) is not None


CASES: dict[str, Callable[..., Any]] = {
    "upper(a)": lambda a: ascii_swap(str.upper, a),
    "lower(a)": lambda a: ascii_swap(str.lower, a),
    "length(a)": lambda a: len(a),
    "octet_length(a)": lambda a: len(a.encode()),
    "trim(a)": lambda a: a.strip(" "),
    "ltrim(a)": lambda a: a.lstrip(" "),
    "rtrim(a)": lambda a: a.rstrip(" "),
    "trim(both b from a)": lambda a, b: trimmed(a, b, "both"),
    "ltrim(a, b)": lambda a, b: trimmed(a, b, "left"),
    "rtrim(a, b)": lambda a, b: trimmed(a, b, "right"),
    "substring(a, n)": lambda a, n: a[max(n - 1, 0) :],
    "substring(a from n for 4)": lambda a, n: part(a, n, 4),
    "substring(a, 2, 0)": lambda a: "",
    "left(a, n)": lambda a, n: a[:n],
    "right(a, n)": lambda a, n: a[-n:] if n > 0 else a[-n:] if n else "",
    "repeat(a, 3)": lambda a: a * 3,
    "repeat(a, -1)": lambda a: "",
    "strpos(a, b)": lambda a, b: a.find(b) + 1,
    "replace(a, b, 'é!')": lambda a, b: a.replace(b, "é!") if b else a,
    "replace(a, 'ab', '')": lambda a: a.replace("ab", ""),
    "a || b": lambda a, b: a + b,
    "a || '-' || b || a": lambda a, b: f"{a}-{b}{a}",
    "starts_with(a, b)": lambda a, b: a.startswith(b),
    "contains(a, b)": lambda a, b: b in a,
    "contains(a, 'b')": lambda a: "b" in a,
    "a = upper(a)": lambda a: a == ascii_swap(str.upper, a),
    "lower(a) < lower(b)": lambda a, b: ascii_swap(str.lower, a).encode() < ascii_swap(str.lower, b).encode(),
}


@SETTINGS
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, NUMBERS), min_size=1, max_size=12))
def test_functions(check: Check, rows: list[tuple[str | None, str | None, int | None]]) -> None:
    check("a text, b text, n integer", CASES, rows)


@SETTINGS
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12))
def test_null_is_empty_in_concat(check: Check, rows: list[tuple[str | None, str | None]]) -> None:
    cases: dict[str, Callable[..., Any]] = {
        "concat(a, b)": lambda a, b: (a or "") + (b or ""),
        "concat(a, '-', null, b, a)": lambda a, b: f"{a or ''}-{b or ''}{a or ''}",
        "concat(a)": lambda a: a or "",
        "coalesce(a || b, 'none')": lambda a, b: "none" if a is None or b is None else a + b,
        "case when a like '%a%' then upper(a) else b end": lambda a, b: (
            ascii_swap(str.upper, a) if a is not None and "a" in a else b
        ),
    }
    check("a text, b text", cases, rows, strict=False)


PATTERNS = (
    "", "%", "%%", "_", "a", "ab%", "%ab", "%ab%", "a%b", "a_", "_b%", "%a_b%", "%a%b%", "é%", "%☃", "\\%%", "%\\_%",
    "%_b", "ab%abababababababababab", "abababababababababab%", "%𝄞_", "a%b%c",
)  # fmt: skip


@SETTINGS
@given(rows=st.lists(st.tuples(TEXTS), min_size=1, max_size=20))
def test_like_of_constant_patterns(check: Check, rows: list[tuple[str | None]]) -> None:
    cases: dict[str, Callable[..., Any]] = {}
    for pattern in PATTERNS:
        cases[f"a like '{pattern}'"] = lambda a, p=pattern: like(a, p)
        cases[f"a not like '{pattern}'"] = lambda a, p=pattern: not like(a, p)
        cases[f"a ilike '{pattern}'"] = lambda a, p=pattern: like(a, p, flags=re.IGNORECASE)
    cases["a like 'xa%x%%' escape 'x'"] = lambda a: like(a, "xa%x%%", "x")
    cases["a like 'a\\%' escape ''"] = lambda a: like(a, "a\\%", "")
    check("a text", {name: _with_one_argument(case) for name, case in cases.items()}, rows)


def _with_one_argument(case: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a: case(a)


@SETTINGS
@given(rows=st.lists(st.tuples(TEXTS, TEXTS.filter(lambda p: not (p or "").endswith("\\"))), min_size=1, max_size=20))
def test_like_of_any_pattern(check: Check, rows: list[tuple[str | None, str | None]]) -> None:
    cases: dict[str, Callable[..., Any]] = {
        "a like b": lambda a, b: like(a, b),
        "a not like b": lambda a, b: not like(a, b),
        "a ilike b": lambda a, b: like(a, b, flags=re.IGNORECASE),
        "a like '%' || a || '%' escape ''": lambda a: like(a, f"%{a}%", ""),
    }
    check("a text, b text", cases, rows)


@SETTINGS
@given(rows=st.lists(TEXTS, max_size=20), pattern=st.text("ab%_é", max_size=6))
def test_where_takes_the_rows_that_match(db: zerodb.Connection, rows: list[str | None], pattern: str) -> None:
    db.execute("drop table if exists t")
    db.execute("create table t (i integer, a text)")
    db.executemany("insert into t values (?, ?)", list(enumerate(rows)))
    expected = [(i,) for i, text in enumerate(rows) if text is not None and like(text, pattern)]
    assert db.execute(f"select i from t where a like '{pattern}' order by i").fetchall() == expected
    assert db.execute("select i from t where a like ? order by i", [pattern]).fetchall() == expected
    longer = [(i,) for i, text in enumerate(rows) if text is not None and len(text) > 2 and "a" in text.lower()]
    assert db.execute("select i from t where length(a) > 2 and lower(a) like '%a%' order by i").fetchall() == longer


def test_large_texts(db: zerodb.Connection) -> None:
    db.execute("create table large (a text)")
    db.execute("insert into large values (?)", ["é" * 300_000])
    query = "select length(repeat(a, 20)), octet_length(upper(a) || a), length(replace(a, 'é', 'xyz')) from large"
    assert db.execute(query).fetchall() == [(6_000_000, 1_200_000, 900_000)]
    assert db.execute("select left(right(a, 2), 1) from large").fetchall() == [("é",)]


def test_a_text_beyond_all_bounds_is_out_of_memory(db: zerodb.Connection) -> None:
    db.execute("create table one (a text)")
    db.execute("insert into one values ('abc')")
    with pytest.raises(zerodb.OperationalError) as caught:
        db.execute("select length(repeat(a, 2000000000)) from one")
    assert caught.value.sqlstate == "53200"


def test_a_column_of_nulls(check: Check) -> None:
    cases = {name: case for name, case in CASES.items() if case.__code__.co_argcount}
    check("a text, b text, n integer", cases, [(None, None, None)] * 3)


@pytest.mark.parametrize(
    ("expression", "sqlstate", "message"),
    [
        ("substring(a, 1, -1)", "22011", "negative substring length not allowed"),
        ("substring(a, 1, n)", "22011", "negative substring length not allowed"),
        ("a like 'abc\\'", "22025", "LIKE pattern must not end with escape character"),
        ("a like '%' escape 'xy'", "22025", "invalid escape string: it must be empty or one character"),
        ("a like '%' escape 'é'", "0A000", "an escape character that is not ASCII"),
    ],
)
def test_errors(db: zerodb.Connection, expression: str, sqlstate: str, message: str) -> None:
    db.execute("drop table if exists t")
    db.execute("create table t (a text, n integer)")
    db.execute("insert into t values ('abc', -1)")
    query = f"select 1, {expression} from t"
    with pytest.raises(zerodb.DatabaseError) as caught:
        db.execute(query)
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)
    assert caught.value.position is not None
    start = query.index(expression)
    assert start <= caught.value.position < start + len(expression)
    # Neither of a NULL nor in a branch that is not taken.
    db.execute("update t set a = null")
    if "escape '" not in expression:
        assert db.execute(query).fetchall() == [(1, None)]
        assert db.execute(f"select case when n > 0 then {expression} is null end from t").fetchall() == [(None,)]


def test_escape_given_as_a_parameter(db: zerodb.Connection) -> None:
    db.execute("drop table if exists t")
    db.execute("create table t (a text)")
    db.execute("insert into t values ('a%c'), ('abc'), (null)")
    query = "select a like 'ax%c' escape ? from t"
    assert db.execute(query, ["x"]).fetchall() == [(True,), (False,), (None,)]
    assert db.execute(query, [""]).fetchall() == [(False,), (False,), (None,)]
    assert db.execute(query, [None]).fetchall() == [(None,)] * 3
    for escape, sqlstate in (("xy", "22025"), ("é", "0A000")):
        with pytest.raises(zerodb.DatabaseError) as caught:
            db.execute(query, [escape])
        assert caught.value.sqlstate == sqlstate
