"""Functions of floating-point numbers through SQL against Python's math."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zerodb

SETTINGS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(5e-324, 1.7e308)


def close(found: float, expected: float) -> bool:
    """Within two units in the last place (Python's own functions are within one)."""
    return abs(found - expected) <= 2 * math.ulp(expected)


@SETTINGS
@given(values=st.lists(st.one_of(st.none(), POSITIVE), min_size=1, max_size=40))
def test_logarithms(evaluate: Callable[..., Any], values: list[float | None]) -> None:
    found = evaluate("x double precision", ["ln(x)", "log10(x)", "sqrt(x)"], [(value,) for value in values])
    for results in found.values():
        for value, (natural, decimal, root) in zip(values, results, strict=False):
            if value is None:
                assert (natural, decimal, root) == (None, None, None)
            else:
                assert close(natural, math.log(value))
                assert close(decimal, math.log10(value))
                assert root == math.sqrt(value)


@SETTINGS
@given(rows=st.lists(st.tuples(st.floats(-700, 700), st.floats(0.001, 1000), st.floats(-90, 90)), max_size=40))
def test_powers(evaluate: Callable[..., Any], rows: list[tuple[float, float, float]]) -> None:
    found = evaluate("x double precision, y double precision, z double precision", ["exp(x)", "power(y, z)"], rows)
    for results in found.values():
        for (x, y, z), (exponential, power) in zip(rows, results, strict=False):
            assert close(exponential, math.exp(x))
            assert close(power, y**z)


@pytest.mark.parametrize(
    ("expression", "sqlstate", "message"),
    [
        ("ln(x)", "2201E", "cannot take logarithm of a negative number"),
        ("ln(x - x)", "2201E", "cannot take logarithm of zero"),
        ("log10(x)", "2201E", "cannot take logarithm of a negative number"),
        ("exp(x * x * 1e6)", "22003", "value out of range: overflow"),
        ("exp(x * 1e6)", "22003", "value out of range: underflow"),
        ("power(x, 0.5)", "2201F", "a negative number raised to a non-integer power yields a complex result"),
        ("power(x - x, -1)", "2201F", "zero raised to a negative power is undefined"),
        ("power(x, 1e4)", "22003", "value out of range: overflow"),
        ("sqrt(x)", "2201F", "cannot take square root of a negative number"),
    ],
)
def test_errors(db: zerodb.Connection, expression: str, sqlstate: str, message: str) -> None:
    db.execute("drop table if exists n")
    db.execute("create table n (i integer, x double precision)")
    db.execute("insert into n values (1, -2), (2, null)")
    with pytest.raises(zerodb.DataError) as caught:
        db.execute(f"select {expression} from n")
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)
    assert caught.value.position is not None
    assert db.execute(f"select {expression} from n where i = 2").fetchall() == [(None,)]
