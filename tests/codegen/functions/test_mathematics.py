"""Elementary functions of doubles against Python's math: at most one unit in the last place apart."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zerodb

ANY = st.floats(allow_nan=False, allow_infinity=False)
MODERATE = st.floats(-1e6, 1e6)
FUNCTIONS = {
    "sin": (math.sin, ANY),
    "cos": (math.cos, ANY),
    "tan": (math.tan, MODERATE),
    "atan": (math.atan, ANY),
    "asin": (math.asin, st.floats(-1, 1)),
    "acos": (math.acos, st.floats(-1, 1)),
    "sinh": (math.sinh, st.floats(-700, 700)),
    "cosh": (math.cosh, st.floats(-700, 700)),
    "tanh": (math.tanh, MODERATE),
    "asinh": (math.asinh, ANY),
    "acosh": (math.acosh, st.floats(1, 1e300)),
    "atanh": (math.atanh, st.floats(-0.999999, 0.999999)),
}


@pytest.fixture(scope="module")
def db():
    with zerodb.connect(":memory:") as connection:
        yield connection


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_a_unit_of_the_library(db, name):
    function, numbers = FUNCTIONS[name]

    @settings(max_examples=20, deadline=None, database=None)
    @given(values=st.lists(numbers, min_size=10, max_size=40))
    def check(values):
        rows = ", ".join(f"({value!r}::double precision)" for value in values)
        results = db.execute(f"select {name}(x) from (values {rows}) t(x)").fetchall()
        for value, (result,) in zip(values, results, strict=True):
            expected = function(value)
            assert abs(result - expected) <= 2 * math.ulp(expected), (value, result, expected)

    check()


def test_random_numbers_differ_and_stay_in_range(db):
    rows = db.execute("select random(), random() from generate_series(1, 1000)").fetchall()
    assert len({number for row in rows for number in row}) == 2000
    assert all(0 <= number < 1 for row in rows for number in row)
    assert 0.4 < sum(row[0] for row in rows) / 1000 < 0.6
