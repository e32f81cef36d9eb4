"""The benchmark of components, small."""

from __future__ import annotations

import pytest
from benchmarks.components_benchmark import Figure, Sizes, built, functions, guests

import zerodb
from zerodb.guests.project import ProjectError

SMALL = Sizes(calls=20, batches=2, instances=2, values=20_000)


@pytest.fixture
def tools() -> None:
    try:
        built("udf.c", "c", "scalar-udf")
    except ProjectError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("tools")
def test_functions_are_measured() -> None:
    with zerodb.connect() as db:
        found = functions(db, SMALL, 1)
    assert [figure.asked for figure in found] == [None, 80, 5]
    assert all(figure.value > 0 for figure in found)


@pytest.mark.slow
@pytest.mark.usefixtures("tools")
def test_guests_are_measured() -> None:
    with zerodb.connect() as db:
        found = guests(db, SMALL, 1)
    assert {figure.unit for figure in found} == {"ms", "us"}
    assert len(found) in (5, 10)


def test_what_is_reached() -> None:
    assert Figure("x", 2, "ms", 2).is_reached
    assert not Figure("x", 3, "ms", 2).is_reached
    assert Figure("x", 3, "M/s", 2, at_least=True).is_reached
    assert not Figure("x", 1, "M/s", 2, at_least=True).is_reached
