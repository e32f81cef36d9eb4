"""Partitions that cannot hold a wanted row are not read, and the answers are those of a plain table."""

from __future__ import annotations

import itertools

import pytest

import zerodb

SCHEMA = """
create table plain (d date, k int, s text, f numeric(8, 2));
create table r (d date, k int, s text, f numeric(8, 2)) partition by range (d);
create table r1 partition of r for values from (minvalue) to ('2024-02-01');
create table r2 partition of r for values from ('2024-02-01') to ('2024-03-01');
create table r3 partition of r default;
create table l (d date, k int, s text, f numeric(8, 2)) partition by list (s);
create table l1 partition of l for values in ('a', 'b''c');
create table l2 partition of l for values in ('d', null);
create table l3 partition of l default;
create table h (d date, k int, s text, f numeric(8, 2)) partition by hash (k, s);
create table h0 partition of h for values with (modulus 2, remainder 0);
create table h1 partition of h for values with (modulus 4, remainder 1);
create table h3 partition of h for values with (modulus 4, remainder 3) partition by range (f, d);
create table h3a partition of h3 for values from (-10, minvalue) to (1.5, '2024-02-01');
create table h3b partition of h3 for values from (1.5, '2024-02-01') to (1.5, maxvalue);
create table h3c partition of h3 default;
"""
COMPARISONS = {
    "d": ("'2024-01-31'", "'2024-02-01'", "'2024-02-29'", "'2030-01-01'", "null"),
    "k": ("1", "2", "-3", "null"),
    "s": ("'a'", "'b''c'", "'d'", "'other'", "''"),
    "f": ("1.5", "-10", "0", "1.49", "7"),
}


@pytest.fixture
def filled(db: zerodb.Connection) -> zerodb.Connection:
    db.executescript(SCHEMA)
    rows = itertools.product(
        ("'2024-01-31'", "'2024-02-01'", "'2024-02-29'", "'2024-03-01'", "null"),
        ("1", "2", "-3", "null"),
        ("'a'", "'b''c'", "'d'", "'other'", "null"),
        ("1.5", "-10", "1.49", "null"),
    )
    values = ", ".join(f"({', '.join(row)})" for row in rows)
    for table in ("plain", "r", "l", "h"):
        db.execute(f"insert into {table} values {values}")
    return db


def partitions(db: zerodb.Connection, sql: str, values: tuple[object, ...] = ()) -> list[str]:
    lines = [line for (line,) in db.execute("explain " + sql, values).fetchall()]
    return [line.removeprefix("Partitions of ") for line in lines if line.startswith("Partitions of")]


def conditions() -> list[str]:
    found = []
    for column, values in COMPARISONS.items():
        found += [f"{column} {op} {value}" for op in ("=", "<", "<=", ">", ">=") for value in values]
        found += [f"{column} in ({a}, {b})" for a, b in itertools.pairwise(values)]
        found.append(f"{column} is null")
    found += ["k = 2 and s = 'd'", "k in (1, 2) and s in ('a', 'd') and f = 1.5", "f = 1.5 and d > '2024-02-01'"]
    found += ["d >= '2024-02-01' and d < '2024-02-29' and s > 'a'", "d > '2024-02-01' and d < '2024-01-01'"]
    return found


def test_answers(filled: zerodb.Connection) -> None:
    for where in conditions():
        expected = sorted(filled.execute(f"select * from plain where {where}").fetchall(), key=repr)
        for table in ("r", "l", "h"):
            found = filled.execute(f"select * from {table} where {where}").fetchall()
            assert sorted(found, key=repr) == expected, (table, where)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("select * from r", ["r: 3 of 3"]),
        ("select * from r where d = '2024-02-01'", ["r: 1 of 3"]),
        ("select * from r where d < '2024-02-01'", ["r: 2 of 3"]),
        ("select * from r where d between '2024-02-10' and '2024-02-20'", ["r: 2 of 3"]),
        ("select * from l where s = 'a'", ["l: 1 of 3"]),
        ("select * from l where s in ('a', 'b''c')", ["l: 1 of 3"]),
        ("select * from l where 'zz' = s", ["l: 1 of 3"]),
        ("select * from h where k = 1", ["h: 5 of 5"]),
        ("select * from r a join r b on a.d = b.d where a.d = '2024-01-01'", ["r: 1 of 3", "r: 1 of 3"]),
        ("update r set k = 5 where d = '2024-02-01'", ["r: 1 of 3"]),
        ("delete from l where s = 'd' and k = 1", ["l: 1 of 3"]),
    ],
)
def test_left_out(filled: zerodb.Connection, query: str, left: list[str]) -> None:
    assert partitions(filled, query) == left


def test_values_of_each_execution(filled: zerodb.Connection) -> None:
    query = "select count(*) from h where k = ? and s = ?"
    for key in itertools.product((1, 2, -3), ("a", "d", "none")):
        (line,) = partitions(filled, query, key)
        assert line in ("h: 1 of 5", "h: 3 of 5")
        expected = filled.execute("select count(*) from plain where k = ? and s = ?", key).fetchone()
        assert filled.execute(query, key).fetchone() == expected
    assert partitions(filled, "select * from r where d = ?", (None,)) == ["r: 0 of 3"]


def test_constants_leave_out_when_planned(filled: zerodb.Connection) -> None:
    filled.execute(
        "create view february as select * from r where d between '2024-02-01' and '2024-02-28' and d is not null"
    )
    text = "\n".join(line for (line,) in filled.execute("explain select * from february where k = 1").fetchall())
    assert "TableScan r2" in text
    assert "TableScan r1" not in text
    assert "Partitions of r: 2 of 3" in text
    filled.execute("create view never as select * from r1 where d > '2025-01-01'")
    assert filled.execute("select count(*) from never").fetchone() == (0,)
