"""The fuzzers' cases without atheris: the seeds and fixed mutations of them (fuzz/ says how to run the fuzzers)."""

from __future__ import annotations

import random

import pytest

from fuzz import decoder_cases, sql_cases

SQL, LONG_SQL = 1500, 60_000
BYTES, LONG_BYTES = 6000, 300_000


def replay_sql(count: int, seed: int) -> None:
    r = random.Random(seed)
    for _ in range(count):
        text = sql_cases.mutated(r.choice(sql_cases.seeds()), r)
        try:
            sql_cases.check(text)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\n{text!r}") from error


def replay_bytes(count: int, seed: int) -> None:
    r = random.Random(seed)
    for _ in range(count):
        data = decoder_cases.mutated(r.choice(decoder_cases.seeds()), r)
        try:
            decoder_cases.check(data)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\n{data!r}") from error


def test_the_seeds_are_sql() -> None:
    good = sum(map(sql_cases.check, sql_cases.seeds()))
    assert good > len(sql_cases.seeds()) / 4


def test_sql_text() -> None:
    replay_sql(SQL, 1)


def test_stored_bytes() -> None:
    assert sum(map(decoder_cases.check, decoder_cases.seeds())) == len(decoder_cases.seeds())
    replay_bytes(BYTES, 1)


@pytest.mark.slow
def test_sql_text_long() -> None:
    replay_sql(LONG_SQL, 2)


@pytest.mark.slow
def test_stored_bytes_long() -> None:
    replay_bytes(LONG_BYTES, 2)
