"""Aggregates over all types and kinds of keys, in groups that cross chunk borders, with one thread and two."""

from __future__ import annotations

import datetime
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import pytest
from differential_oracle import round_half_away
from differential_scratch import fold_after

import zerodb

Value = Any
EPOCH = datetime.date(1970, 1, 1)
KEYS: dict[str, tuple[str, Callable[[int], Value]]] = {
    "dictionary": ("text", lambda i: f"k{i % 5}"),
    "raw": ("text", lambda i: f"a text that does not repeat {i}"),
    "tiny": ("smallint", lambda i: i % 3 - 1),
    "narrow": ("integer", lambda i: i * 7919 % 1000),
    "wide": ("bigint", lambda i: (i % 700) * 10**15 - 10**17),
    "huge": ("hugeint", lambda i: (i % 300) * 10**30 - 10**32),
    "unsigned": ("u64", lambda i: (1 << 64) - 1 - i % 11),
    "nullable": ("integer", lambda i: None if i % 4 == 0 else i % 13),
    "nulltext": ("text", lambda i: None if i % 6 == 0 else ("", "x", "y")[i % 3]),
    "flag": ("boolean", lambda i: (True, False, None)[i % 3]),
    "day": ("date", lambda i: EPOCH + datetime.timedelta(i % 50 - 25)),
    "moment": ("timestamp", lambda i: datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=i % 31 - 9)),
    "amount": ("numeric(12,2)", lambda i: Decimal(i % 40 - 20) / 4),
    "number": ("double precision", lambda i: (0.0, -0.0, math.nan, 1.5, -math.inf, math.inf)[i % 6]),
}
NUMBERS = ("tiny", "narrow", "wide", "nullable", "amount", "unsigned")


def key_of(value: Value) -> Value:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return value


def average(values: list[Any], scale: int, room: int) -> Decimal:
    """As PostgreSQL shows it: 16 digits or more, counted in groups of four; `room`: the decimals the type has."""
    exact = sum(map(Fraction, values), Fraction(0)) / len(values)
    stored = Fraction(round_half_away(exact * 10**room), 10**room)
    size, group = abs(stored), 0
    while size >= 10_000:
        size, group = size / 10_000, group + 1
    while 0 < size < 1:
        size, group = size * 10_000, group - 1
    places = min(room, max(scale, 20 if stored in (0, 1, -1) else 16 - 4 * group, 0))
    exact = stored
    return Decimal(round_half_away(exact * 10**places)).scaleb(-places, Context(prec=60))


def aggregates(rows: list[dict[str, Value]]) -> list[Value]:
    """What AGGREGATES gives for the rows of one group."""
    found: list[Value] = [len(rows)]
    for name in NUMBERS:
        values = [row[name] for row in rows if row[name] is not None]
        found.append(len(values))
        found.append(sum(values) if values else None)
        found.append(sum(set(values)) if values else None)
        room = 16 if name in ("wide", "unsigned") else 20
        found.append(average(values, 2 if name == "amount" else 0, room) if values else None)
    for name in ("narrow", "huge", "raw", "dictionary", "nulltext", "day", "moment"):
        values = [row[name] for row in rows if row[name] is not None]
        found += [min(values, default=None), max(values, default=None), len(set(values))]
    chosen = [row["wide"] for row in rows if row["flag"] is True]
    found += [len(chosen), sum(chosen) if chosen else None, max(chosen, default=None)]
    flags = [row["flag"] for row in rows if row["flag"] is not None]
    found += [all(flags) if flags else None, any(flags) if flags else None]
    return found


AGGREGATES = ", ".join(
    ["count(*)"]
    + [f"count({name}), sum({name}), sum(distinct {name}), avg({name})" for name in NUMBERS]
    + [f"min({n}), max({n}), count(distinct {n})" for n in
       ("narrow", "huge", "raw", "dictionary", "nulltext", "day", "moment")]
    + ["count(*) filter (where flag), sum(wide) filter (where flag), max(wide) filter (where flag is true)",
       "bool_and(flag), bool_or(flag)"]
)  # fmt: skip
# Without DISTINCT: DISTINCT has a plan of its own.
PLAIN = [i for i, text in enumerate(AGGREGATES.split(", ")) if "distinct" not in text]


def python_rows(count: int) -> list[dict[str, Value]]:
    return [{name: make(i) for name, (_, make) in KEYS.items()} for i in range(count)]


@pytest.fixture(scope="module", params=[1, 2], ids=["1 thread", "2 threads"])
def db(request: pytest.FixtureRequest) -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:", threads=request.param) as connection:
        yield connection


def create(db: zerodb.Connection, name: str, rows: list[dict[str, Value]], *, folded: bool) -> None:
    db.execute(f"create table {name} ({', '.join(f'{key} {type_}' for key, (type_, _) in KEYS.items())})")
    if rows:
        with fold_after(1 if folded else 1 << 40):
            marks = ", ".join("?" * len(KEYS))
            db.executemany(f"insert into {name} values ({marks})", [list(row.values()) for row in rows])


@pytest.mark.parametrize(("count", "folded"), [(0, True), (1, False), (2, True), (1000, True), (1000, False)])
def test_every_kind_of_key(db: zerodb.Connection, count: int, folded: bool) -> None:
    rows = python_rows(count)
    create(db, "t", rows, folded=folded)
    try:
        assert list(db.execute(f"select {AGGREGATES} from t").fetchall()[0]) == aggregates(rows)
        pairs = [("dictionary", "nullable"), ("number", "flag"), ("nulltext", "amount"), ("tiny", "day", "unsigned")]
        everything = [*((key,) for key in KEYS), *pairs]
        for keys in everything if count > 2 else [("raw",), ("number",), ("nulltext", "amount")]:
            groups: dict[Value, list[dict[str, Value]]] = defaultdict(list)
            for row in rows:
                groups[tuple(key_of(row[key]) for key in keys)].append(row)
            text = f"select {', '.join(keys)}, {AGGREGATES} from t group by {', '.join(keys)}"
            got = {tuple(map(key_of, row[: len(keys)])): list(row[len(keys) :]) for row in db.execute(text).fetchall()}
            assert got == {key: aggregates(members) for key, members in groups.items()}, keys
            distinct = db.execute(f"select distinct {', '.join(keys)} from t").fetchall()
            assert sorted((tuple(map(key_of, row)) for row in distinct), key=repr) == sorted(groups, key=repr)
    finally:
        db.execute("drop table t")


@pytest.mark.parametrize("count", [65_535, 65_536, 65_537, 131_073])
def test_groups_across_chunks(db: zerodb.Connection, count: int) -> None:
    """Few and many groups; rows in two chunks; the last one alone in its chunk."""
    db.execute("create table t (id integer, k integer, s text, n numeric(12,2), b bigint)")
    rows = [[i, i % 1009, f"s{i % 7}", Decimal(i % 991) / 100, i * 10**12] for i in range(count)]
    try:
        with fold_after(1 if count % 2 else 1 << 40):
            db.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
        for key, column in (("k", 1), ("s", 2), ("id", 0)):
            groups: dict[Value, list[Any]] = defaultdict(lambda: [0, Decimal(0), 0, None])
            for row in rows:
                group = groups[row[column]]
                group[0] += 1
                group[1] += row[3]
                group[2] += row[4]
                group[3] = row[4]
            got = db.execute(f"select {key}, count(*), sum(n), sum(b), max(b) from t group by {key}").fetchall()
            assert {row[0]: list(row[1:]) for row in got} == groups
        assert db.execute("select count(*), count(distinct k), min(id), max(id) from t").fetchall() == [
            (count, 1009, 0, count - 1)
        ]
        last = db.execute("select id from t where id >= ? order by id", [count - 2]).fetchall()
        assert last == [(count - 2,), (count - 1,)]
        assert db.execute("select id from t order by b desc limit 2 offset 1").fetchall() == [
            (count - 2,), (count - 3,)
        ]  # fmt: skip
        ordered = db.execute("select id from t order by k desc, id").fetchall()
        assert [row[0] for row in ordered] == [r[0] for r in sorted(rows, key=lambda r: (-r[1], r[0]))]
        joined = db.execute("select count(*), sum(x.b) from t x join t y on x.id = y.id and x.k = y.k").fetchall()
        assert joined == [(count, sum(row[4] for row in rows))]
    finally:
        db.execute("drop table t")


def test_sums_at_the_borders(db: zerodb.Connection) -> None:
    """A sum may pass beyond a border on the way and come back; the result decides."""
    top = (1 << 63) - 1
    for values, expected in (
        ([top, top, -top], top),
        ([top] * 5, 5 * top),
        ([-top - 1] * 3, -3 * (top + 1)),
    ):
        db.execute("create table t (v bigint, i integer)")
        db.executemany("insert into t values (?, ?)", [[v, 1 << 30] for v in values])
        assert db.execute("select sum(v), sum(distinct v), sum(i) from t").fetchall() == [
            (expected, sum(set(values)), len(values) << 30)
        ]
        db.execute("drop table t")
    db.execute("create table t (n numeric(38,0))")
    biggest = Decimal(10**38 - 1)
    db.executemany("insert into t values (?)", [[biggest], [1]])
    with pytest.raises(zerodb.DataError) as caught:
        db.execute("select sum(n) from t").fetchall()
    assert caught.value.sqlstate == "22003"
    db.execute("insert into t values (-2)")
    assert db.execute("select sum(n) from t").fetchall() == [(Decimal(10**38 - 2),)]
    db.execute("drop table t")
