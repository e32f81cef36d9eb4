"""Expressions of PL/pgSQL that need no query give what the query gives: each over many values, both ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zerodb
from zerodb.functions.nested import Statement

EXPRESSIONS = """
    i + j | i - j | i * j | -i | i / j | i % j | i = j | i <> j | i < j | i <= j | i > j | i >= j | i between j and 3
    i is null | i is not null | b | not b | b and i > 0 | b or i > 0 | b is true | b is not false | b is null
    i is distinct from j | i is not distinct from j | i in (1, 2, 3) | i not in (1, -7) | t || u | t || i | t = u
    t < u
    t >= u | t is distinct from u | t in ('a', 'ä') | coalesce(i, j, 0) | case when b then i else j end
    case i when 1 then 'one' when 2 then t end | nullif(i, j) | i::text | i::bigint + 1 | i::smallint | n > 1.5 | n = i
    n::text | n < n | d > '2020-01-01' | d = d | d::text | t::text | b::text | b::integer | 'x' || coalesce(t, 'none')
    (i + 1) * (j - 1) % 5 | i + 2147483647 | i * 1000000000 | big + i | big * 2 | big / j | i / (j - j)
    s + s | s::integer * 2
"""
VALUES = """
    (1, 2, 'a', 'b', true, 1.50, date '2020-02-03', 9223372036854775807, 32767::smallint),
    (-7, 3, 'ä', 'z', false, -0.25, date '1999-12-31', -9223372036854775807, -5::smallint),
    (0, 1, '', 'a', null, 0, date '2020-01-01', 0, 0::smallint),
    (null, 3, null, 'x', true, null, null, null, null),
    (7, null, 'a', null, false, 12345.678, date '0001-01-01', 5, 1::smallint),
    (2147483647, -2, '😀', 'ÿ', true, 99999.5, date '9999-12-31', 4000000000, 100::smallint),
    (-2147483648, -1, 'A', 'a', false, 1.5, date '2024-02-29', -1, (-32768)::smallint)
"""
COLUMNS = "i integer, j integer, t text, u text, b boolean, n numeric, d date, big bigint, s smallint"


@pytest.fixture(scope="module")
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        connection.execute(f"create table v (id integer generated always as identity, {COLUMNS})")
        connection.execute(f"insert into v (i, j, t, u, b, n, d, big, s) values {VALUES}")
        yield connection


def given(db: zerodb.Connection, sql: str) -> object:
    try:
        return db.execute(sql).fetchone()
    except zerodb.Error as error:
        return error.sqlstate, error.args[0]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The expressions that were computed without a query."""
    found: list[str] = []
    simple = Statement.simple_value

    def noted(self: Statement, *arguments: object) -> object:
        value = simple(self, *arguments)  # type: ignore[arg-type]
        if value is not None:
            found.append(self.text)
        return value

    monkeypatch.setattr(Statement, "simple_value", noted)
    return found


def test_the_same_as_by_a_query(db: zerodb.Connection, computed: list[str]) -> None:
    ids = [row[0] for row in db.execute("select id from v order by id").fetchall()]
    names = ", ".join(part.split()[0] for part in COLUMNS.split(", "))
    for text in (part.strip() for line in EXPRESSIONS.strip().splitlines() for part in line.split(" | ")):
        db.execute(
            f"create or replace function e({COLUMNS}) returns text language plpgsql "
            f"as $$ declare r text; begin r := {text}; return r; end $$"
        )
        computed.clear()
        for row in ids:
            wanted = given(db, f"select cast({text} as text) from v where id = {row}")
            assert given(db, f"select e({names}) from v where id = {row}") == wanted, (text, row)
        assert computed, text
