"""Every bug that the searches of this folder found, by name."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from differential_scratch import fold_after

import zerodb


@pytest.fixture
def db() -> Any:
    with zerodb.connect(":memory:", threads=2) as connection:
        yield connection


def rows(db: zerodb.Connection, text: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    return sorted(db.execute(text, parameters).fetchall(), key=repr)


def sqlstate(db: zerodb.Connection, text: str) -> str:
    with pytest.raises(zerodb.Error) as caught:
        db.execute(text).fetchall()
    return caught.value.sqlstate


def test_parameters_without_blanks_are_no_dollar_quoted_string(db: zerodb.Connection) -> None:
    assert rows(db, "select cast($1 as integer)+$2,$3", [1, 2, "x"]) == [(3, "x")]
    assert rows(db, "select cast($a as integer)+$b,$$c,$1$$,$t$,$1$t$", {"a": 1, "b": 2}) == [(3, "c,$1", ",$1")]


def test_numeric_division_by_many_decimal_places(db: zerodb.Connection) -> None:
    """10**57 times the dividend: beyond the 128 bits of one scale factor."""
    db.execute("create table t (a smallint, b numeric(38,37))")
    db.execute("insert into t values (7, 0.0000000000000000000000000000000000003), (-32768, 9.9)")
    assert sqlstate(db, "select a / b from t where a = 7") == "22003"
    assert rows(db, "select a / b from t where a < 0") == [(Decimal("-3309.89898989898989898990"),)]


def test_numeric_division_of_many_decimal_places(db: zerodb.Connection) -> None:
    """The divisor scaled to the dividend's places may be beyond 128 bits; the quotient is near zero then."""
    db.execute("create table t (a numeric(38,37), b numeric(38,0))")
    db.execute("insert into t values (9.9, 99999999999999999999999999999999999999), (5, 3)")
    found = rows(db, "select a / b from t")
    assert found == [(Decimal("0E-20"),), (Decimal("1.66666666666666666667"),)]


def test_least_hugeint(db: zerodb.Connection) -> None:
    db.execute("create table t (a hugeint, b integer)")
    db.execute(f"insert into t values ({-(2**127)}, -1)")
    assert sqlstate(db, "select a / b from t") == "22003"
    assert sqlstate(db, "select abs(a) from t") == "22003"
    assert sqlstate(db, "select -a from t") == "22003"
    assert rows(db, "select a % b from t") == [(0,)]
    assert rows(db, f"select cast(cast({-(2**127)} as double precision) as hugeint)") == [(-(2**127),)]


def test_what_stands_under_a_null_does_not_trap(db: zerodb.Connection) -> None:
    db.execute("create table t (a integer, n double precision, m integer)")
    db.execute("insert into t values (1, null, -1), (5, 2, -1)")
    assert rows(db, "select cast(-1.0::double precision / n as integer) / m from t") == [(0,), (None,)]
    db.execute("create table s (k integer not null, c integer not null)")
    db.execute("insert into s values (5, 7)")
    # c * c + 1 is proven never to be zero, but for the NULL row of the join.
    text = "select a, a / q, a % q from t left join (select k, c * c + 1 q from s) s on a = k"
    assert rows(db, text) == [(1, None, None), (5, 0, 5)]


def test_sums_of_floats_overflow(db: zerodb.Connection) -> None:
    db.execute("create table t (d double precision, r real)")
    db.execute("insert into t values (1e308, 3e38), (1e308, 3e38)")
    for text in ("sum(d)", "avg(d)", "sum(r)"):
        assert sqlstate(db, f"select {text} from t") == "22003"
    assert rows(db, "select sum(x) from (values ('inf'::double precision), (1)) v(x)") == [(math.inf,)]


def test_floats_beyond_a_numeric(db: zerodb.Connection) -> None:
    db.execute("create table t (d double precision)")
    db.execute("insert into t values (-1e18)")
    assert sqlstate(db, "select cast(d as numeric(18,0)) from t") == "22003"
    assert rows(db, "select cast(d as numeric(19,0)) from t") == [(Decimal(-(10**18)),)]


def test_boolean_columns_compared_with_constants(db: zerodb.Connection) -> None:
    db.execute("create table b (f boolean)")
    db.execute("insert into b values (true), (null), (false)")
    assert rows(db, "select f from b where f = true") == [(True,)]
    assert rows(db, "select f from b where f <> true") == [(False,)]
    assert rows(db, "select f from b where f in (true, false)") == [(False,), (True,)]
    assert rows(db, "select f from b where f > false") == [(True,)]


def test_outer_loop_join_of_which_nothing_is_read(db: zerodb.Connection) -> None:
    """Tuples of no bytes could not be counted."""
    db.execute("create table t (v integer not null)")
    db.execute("insert into t values (10), (20), (30)")
    assert rows(db, "select a.v from t a left join t b on false") == [(10,), (20,), (30,)]
    assert rows(db, "select count(*) from t a left join t b on a.v > 25") == [(5,)]


def test_distinct_aggregates_keep_their_places_in_a_union(db: zerodb.Connection) -> None:
    db.execute("create table t (k integer, v integer)")
    db.execute("insert into t values (1, 5), (1, 5), (1, 6)")
    text = "select k, count(*), count(distinct v), sum(v) from t group by k union all select 0, 0, 0, 0"
    assert rows(db, text) == [(0, 0, 0, 0), (1, 3, 2, 16)]


@pytest.mark.parametrize("folded", [True, False])
def test_narrow_again_after_the_wide_values_are_deleted(db: zerodb.Connection, folded: bool) -> None:
    db.execute("create table t (k integer, v hugeint, n numeric(30,5))")
    with fold_after(1 if folded else 1 << 40):
        db.execute(f"insert into t values (1, {10**30}, 1e24), (2, 7, 8), (3, null, null)")
        db.execute("delete from t where k = 1")
        db.execute("insert into t values (4, -1, -1)")
    assert rows(db, "select k, v, n from t where v <> 5 or v is null") == [
        (2, 7, Decimal("8.00000")), (3, None, None), (4, -1, Decimal("-1.00000")),
    ]  # fmt: skip
    assert rows(db, "select sum(v), min(n) from t") == [(6, Decimal("-1.00000"))]


def test_reordered_group_keys_keep_their_places_in_a_union(db: zerodb.Connection) -> None:
    db.execute("create table t (k text, v integer)")
    db.execute("insert into t values ('a', 1), ('a', 3), ('b', 2)")
    inner = "select k, min(v) from t group by k"
    text = f"select m, k, count(*) from ({inner}) s(k, m) group by m, k union all select 0, 'z', 0"
    assert rows(db, text) == [(0, "z", 0), (1, "a", 1), (2, "b", 1)]


def test_null_among_the_constants_of_a_condition_on_a_dictionary(db: zerodb.Connection) -> None:
    """The map of a condition's results by code gave NULL as true."""
    db.execute("create table t (a text not null)")
    with fold_after(1):
        db.executemany("insert into t values (?)", [["x"], ["y"], [""]] * 30)
    assert rows(db, "select a from t where a not in (null, '')") == []
    assert rows(db, "select distinct a from t where a not in (null, '') is null") == [("x",), ("y",)]
    assert rows(db, "select count(*) from t where not (a in ('x', null) or a = 'y')") == [(0,)]


def test_nan_in_a_group_key_is_the_same_nan_in_the_select_list(db: zerodb.Connection) -> None:
    db.execute("create table t (d double precision)")
    db.execute("insert into t values (1), ('nan'), (null)")
    key = "case when d = 'nan'::double precision then 1 else 2 end"
    assert rows(db, f"select {key}, count(*) from t group by {key}") == [(1, 1), (2, 2)]


def test_zero_and_minus_zero_are_different_constants(db: zerodb.Connection) -> None:
    db.execute("create table t (d double precision)")
    db.execute("insert into t values ('-0')")
    found = db.execute("select d + '0'::double precision, d + '-0'::double precision from t").fetchall()[0]
    assert [math.copysign(1, value) for value in found] == [1.0, -1.0]
