"""ORDER BY ... LIMIT in the order of an index gives what a sort of everything gives, whatever was changed before."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import zerodb
from zerodb.engine import index_lists

QUERIES = (
    "select a, b, c from t where a = $1 order by b limit 5",
    "select a, b, c from t where a = $1 order by b desc limit 5",
    "select a, b, c from t where a = $1 and b > $2 order by b limit 3",
    "select a, b, c from t where a = $1 and b >= $2 order by b limit 3 offset 2",
    "select a, b, c from t where a = $1 and b < $2 order by b desc limit 4",
    "select a, b, c from t where a = $1 and b <= $2 and b > $2 - 50 order by a, b desc limit 40",
    "select a, b from t order by a, b limit 7",
    "select a, b from t order by a desc, b desc limit 7",
    "select a, b from t where a > $1 order by a, b limit 7 offset 3",
    "select c, d from t where c >= $3 order by c, d limit 6",
    "select c, d from t where c > $3 order by c, d limit 6",
    "select c, d from t where c < $3 order by c desc, d desc limit 6",
    "select x.y from (select b + 1 as y, b from t where a = $1) x order by x.b limit 2",
)


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Iterator[zerodb.Connection]:
    monkeypatch.setattr(index_lists, "MIN_ORDERED_ROWS", 0)
    monkeypatch.setattr(index_lists, "MAX_SHARE", 1.0)
    monkeypatch.setattr(index_lists, "PATIENCE_ORDERED", 0)
    monkeypatch.setattr(index_lists, "PATIENCE_DECLARED", 0)
    with zerodb.connect(":memory:") as connection:
        columns = "a integer, b integer, c text not null, d bigint not null"
        connection.execute(f"create table t ({columns}, primary key (a, b))")
        connection.execute("create index t_c_d on t (c, d)")
        yield connection


def _rows(first: int, count: int) -> list[tuple[int, int, str, int]]:
    return [(i % 20, i, f"text {i * 7919 % 500}", i * 31 % 1000) for i in range(first, first + count)]


def _compare(db: zerodb.Connection, chance: random.Random, queries: tuple[str, ...] = QUERIES) -> None:
    for query in queries:
        text = f"text {chance.randrange(600)}"
        numbers = (chance.randrange(21), chance.randrange(12_000))
        padded = query.replace("$3", "$1")
        parameters = (text,) if "$3" in query else numbers[: 2 if "$2" in query else query.count("$1")]
        ordered = db.execute(padded, parameters).fetchall()
        # An expression takes the index away.
        plain = padded.replace("order by a", "order by a + 0").replace("order by b", "order by b + 0")
        plain = plain.replace("order by c", "order by c || ''").replace("order by x.b", "order by x.b + 0")
        assert ordered == db.execute(plain, parameters).fetchall(), padded


def test_plans_name_the_index(db: zerodb.Connection) -> None:
    def plan(query: str) -> str:
        return db.prepare(query).explain()

    assert "using t_pkey (a, b), first rows" in plan("select * from t where a = 1 and b > 2 order by b limit 3")
    assert "using t_pkey (a), last rows" in plan("select * from t where a = 1 order by b desc limit 3")
    assert "using t_c_d (), first rows" in plan("select * from t order by c limit 3")
    for other in (
        "select * from t where a = 1 and d > 2 order by b limit 3",  # a predicate that the index does not decide
        "select * from t where a in (1, 2) order by b limit 3",
        "select * from t order by b limit 3",
        "select * from t order by a, b desc limit 3",
        "select * from t where a > 1 order by b limit 3",
    ):
        assert "rows" not in plan(other).split("Pipeline")[0].replace("rows]", ""), other


def test_answers_over_segments_delta_and_deletions(db: zerodb.Connection) -> None:
    chance = random.Random(5)
    db.executemany("insert into t values ($1, $2, $3, $4)", _rows(0, 10_000))
    _compare(db, chance)
    db.execute("delete from t where b % 3 = 0 or b < 300")
    _compare(db, chance)
    db.executemany("insert into t values ($1, $2, $3, $4)", _rows(20_000, 5000))
    db.execute("update t set d = d + 1, c = c || 'x' where a = 3")
    _compare(db, chance)
    with db.transaction():
        db.execute("delete from t where a = 5 and b < 5000")
        db.executemany("insert into t values ($1, $2, $3, $4)", _rows(-50, 50))
        for _ in range(5):
            _compare(db, chance)
    _compare(db, chance)


def test_limits_that_are_no_numbers(db: zerodb.Connection) -> None:
    db.executemany("insert into t values ($1, $2, $3, $4)", _rows(0, 1000))
    statement = "select b from t where a = 1 order by b limit $1"
    assert len(db.execute(statement, (None,)).fetchall()) == 50
    assert db.execute(statement, (0,)).fetchall() == []
    with pytest.raises(zerodb.Error) as raised:
        db.execute(statement, (-1,))
    assert raised.value.sqlstate == "2201W"
