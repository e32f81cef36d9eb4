"""real and double precision: IEEE 754 with PostgreSQL's errors and order (NaN equal to itself and above all else)."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import pytest
from differential_oracle import OVERFLOW, Failure
from differential_scratch import Scratch

import zerodb
from zerodb_compiler.types import BIGINT, DOUBLE, INTEGER, REAL, SqlType

DOUBLES = [0.0, -0.0, 1.0, -1.0, 0.1, 1e308, -1e308, 1.7976931348623157e308, 5e-324, 2.0**53 + 2, 1e-200, math.inf,
           -math.inf, math.nan, 3.0, 0.5, -2.5]  # fmt: skip
REALS = [0.0, -0.0, 1.0, -1.0, 0.5, 3.0e38, -3.0e38, 1e-45, 16777216.0, math.inf, -math.inf, math.nan, -2.5]


def single(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def bits(value: Any) -> Any:
    if isinstance(value, Failure) or value is None:
        return value
    return "NaN" if math.isnan(value) else struct.pack("<d", value)


def operate(op: str, a: float, b: float, is_single: bool) -> float | Failure:
    if op == "/" and b == 0:
        return a if math.isnan(a) else Failure("22012")
    match op:
        case "+":
            result = a + b
        case "-":
            result = a - b
        case "*":
            result = a * b
        case _:
            result = a / b
    result = single(result) if is_single else result
    if result == 0 and a != 0 and ((op == "*" and b != 0) or (op == "/" and math.isfinite(b))):
        return OVERFLOW  # PostgreSQL's underflow has the same SQLSTATE
    return OVERFLOW if math.isinf(result) and math.isfinite(a) and math.isfinite(b) else result


@pytest.mark.parametrize("type_", [DOUBLE, REAL], ids=str)
@pytest.mark.parametrize("op", ["+", "-", "*", "/"])
def test_operators(scratch: Scratch, type_: SqlType, op: str) -> None:
    values = DOUBLES if type_ == DOUBLE else [single(value) for value in REALS]
    rows = [(i, a, b) for i, (a, b) in enumerate(itertools.product(values, values))]
    with scratch.temporary([("id", BIGINT), ("a", type_), ("b", type_)], rows) as name:
        statement = scratch.db.prepare(f"select a {op} b from {name} where id = ?")
        for i, a, b in rows:
            try:
                got: Any = statement.execute([i]).fetchall()[0][0]
            except zerodb.Error as error:
                got = Failure(error.sqlstate)
            assert bits(got) == bits(operate(op, a, b, type_ == REAL)), (a, op, b)


def order(value: float) -> tuple[bool, float]:
    return (True, 0.0) if math.isnan(value) else (False, value)


@pytest.mark.parametrize("type_", [DOUBLE, REAL], ids=str)
def test_comparisons_order_groups_and_extremes(scratch: Scratch, type_: SqlType) -> None:
    values = DOUBLES if type_ == DOUBLE else [single(value) for value in REALS]
    rows = [(i, a, b) for i, (a, b) in enumerate(itertools.product(values, values))]
    with scratch.temporary([("id", BIGINT), ("a", type_), ("b", type_)], rows, folded=True) as name:
        got = scratch.db.execute(f"select id, a < b, a <= b, a = b, a <> b, a > b, a >= b from {name}").fetchall()
        for i, *truths in got:
            x, y = order(rows[i][1]), order(rows[i][2])
            assert truths == [x < y, x <= y, x == y, x != y, x > y, x >= y], rows[i]
        for constant in values:
            for symbol, test in (("<", lambda x, y: x < y), ("=", lambda x, y: x == y), (">=", lambda x, y: x >= y)):
                sql = f"select id from {name} where a {symbol} ?"
                found = sorted(row[0] for row in scratch.db.execute(sql, [constant]).fetchall())
                assert found == [i for i, a, _ in rows if test(order(a), order(constant))], (symbol, constant)
        for direction in ("asc", "desc"):
            ordered = [row[0] for row in scratch.db.execute(f"select a from {name} order by a {direction}").fetchall()]
            expected = sorted((order(a) for _, a, _ in rows), reverse=direction == "desc")
            assert list(map(order, ordered)) == expected
        groups = scratch.db.execute(f"select a, count(*) from {name} group by a").fetchall()
        distinct = {order(a) for a in values}
        assert sorted(order(a) for a, _ in groups) == sorted(distinct)
        assert sum(count for _, count in groups) == len(rows)
        assert scratch.db.execute(f"select count(distinct a) from {name}").fetchall() == [(len(distinct),)]
        low, high = scratch.db.execute(f"select min(a), max(a) from {name}").fetchall()[0]
        assert (order(low), order(high)) == (min(distinct), max(distinct))
        joined = scratch.db.execute(f"select count(*) from {name} x join {name} y on x.a = y.b").fetchall()[0][0]
        count = sum(1 for _, a, _ in rows for _, _, b in rows if order(a) == order(b))
        assert joined == count


def test_float_to_integer_rounds_half_to_even_and_checks(scratch: Scratch) -> None:
    values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 2147483647.4, 2147483647.5, -2147483648.5,
              -2147483648.6, 9.2e18, 2.0**63, -(2.0**63), 1e300, math.nan, math.inf, -math.inf]  # fmt: skip
    rows = list(enumerate(values))
    with scratch.temporary([("id", BIGINT), ("a", DOUBLE)], rows) as name:
        for type_ in (INTEGER, BIGINT):
            statement = scratch.db.prepare(f"select cast(a as {type_}) from {name} where id = ?")
            for i, a in rows:
                low, high = type_.bounds
                expected: Any = OVERFLOW
                if math.isfinite(a) and low <= round(a) <= high:
                    expected = round(a)
                for run in (
                    lambda i=i, s=statement: s.execute([i]),  # type: ignore[misc]
                    lambda a=a, t=type_: scratch.db.execute(f"select cast(cast('{a}' as double precision) as {t})"),
                ):  # type: ignore[misc]
                    try:
                        got: Any = run().fetchall()[0][0]
                    except zerodb.Error as error:
                        got = Failure(error.sqlstate)
                    assert got == expected, (a, str(type_))


def test_exact_numbers_to_floats_are_correctly_rounded(scratch: Scratch) -> None:
    from fractions import Fraction

    from differential_oracle import EXACT_TYPES, borders

    for type_ in EXACT_TYPES:
        spread = [type_.bounds[1] * k // 10**9 for k in (123456789, 987654321, 333333333)]
        rows = list(enumerate([*borders(type_), *spread]))
        with scratch.temporary([("id", BIGINT), ("a", type_)], rows) as name:
            for i, got in scratch.db.execute(f"select id, cast(a as double precision) from {name}").fetchall():
                exact = Fraction(rows[i][1], 10**type_.scale)
                assert got == exact.numerator / exact.denominator, (str(type_), rows[i][1])
