"""Encoding a column and decoding it gives the same values, for every form and the edges of each."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb_storage import encoding, sketch
from zerodb_storage.values import Form, Values, concatenate, narrow, widen

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def same(a: Values, b: Values) -> bool:
    if a.form is not b.form or len(a) != len(b):
        return False
    if (a.validity is None) != (b.validity is None):
        return False
    if a.validity is not None and b.validity is not None and not np.array_equal(a.validity, b.validity):
        return False
    if a.text is not None and b.text is not None and a.text.tobytes() != b.text.tobytes():
        return False
    return a.data.tobytes() == b.data.tobytes() and a.data.dtype == b.data.dtype


def validity_for(draw: Any, count: int) -> np.ndarray[Any, Any] | None:
    flags = draw(st.one_of(st.none(), st.lists(st.booleans(), min_size=count, max_size=count)))
    return None if flags is None or all(flags) else np.array(flags, np.uint8)


@st.composite
def integer_values(draw: Any) -> Values:
    shape = draw(st.sampled_from(["any", "near", "sorted", "multiples", "constant", "arithmetic"]))
    count = draw(st.integers(0, 200))
    start = draw(INT64)
    match shape:
        case "any":
            data = draw(st.lists(INT64, min_size=count, max_size=count))
        case "near":
            data = [
                max(-(1 << 63), min((1 << 63) - 1, start + d))
                for d in draw(st.lists(st.integers(0, 300), max_size=200))
            ]
        case "sorted":
            data = sorted(draw(st.lists(st.integers(-(1 << 40), 1 << 40), max_size=200)))
        case "multiples":
            factor = draw(st.integers(2, 10**6))
            data = [factor * v for v in draw(st.lists(st.integers(-(10**6), 10**6), max_size=200))]
        case "constant":
            data = [start] * count
        case _:
            step = draw(st.integers(-1000, 1000))
            data = [i * step for i in range(count)]
    array = np.array(data, np.int64)
    validity = validity_for(draw, len(array))
    return Values(Form.INT, array if validity is None else array * validity, validity)


@given(integer_values())
@settings(max_examples=300, deadline=None)
def test_integers_survive(values: Values) -> None:
    assert same(encoding.decode(encoding.encode(values)), values)


@given(st.lists(st.one_of(INT64, st.integers(-(1 << 127), (1 << 127) - 1)), max_size=80))
@settings(deadline=None)
def test_wide_integers_survive_and_know_their_bounds(numbers: list[int]) -> None:
    pairs = [(n % (1 << 64), n >> 64) for n in numbers]
    data = np.array([[low, high % (1 << 64)] for low, high in pairs], np.uint64).reshape(-1, 2).view(np.int64)
    values = Values(Form.WIDE, data)
    assert same(encoding.decode(encoding.encode(values)), values)
    assert values.bounds() == ((min(numbers), max(numbers)) if numbers else None)
    fits = all(-(1 << 63) <= n < 1 << 63 for n in numbers)
    assert (narrow(values).form is Form.INT) == fits
    assert widen(narrow(values)).data.tolist() == data.tolist()


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=100), st.sampled_from([np.float32, np.float64])
)
@settings(deadline=None)
def test_floats_survive_bit_by_bit(numbers: list[float], kind: type) -> None:
    with np.errstate(over="ignore"):
        values = Values(Form.FLOAT, np.array(numbers, np.float64).astype(kind))
    assert same(encoding.decode(encoding.encode(values)), values)


@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=100))
@settings(deadline=None)
def test_text_survives(strings: list[str | None]) -> None:
    values = text_values(strings)
    assert same(encoding.decode(encoding.encode(values)), values)


def text_values(strings: list[str | None]) -> Values:
    encoded = [(s or "").encode() for s in strings]
    offsets = np.concatenate(([0], np.cumsum([len(s) for s in encoded], dtype=np.int64))).astype(np.int64)
    validity = np.array([s is not None for s in strings], np.uint8)
    text = np.frombuffer(b"".join(encoded), np.uint8)
    return Values(Form.TEXT, offsets, None if validity.all() else validity, text)


@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), min_size=1, max_size=60), st.data())
@settings(deadline=None)
def test_text_slices_takes_and_joins_as_lists_do(strings: list[str | None], data: Any) -> None:
    def strings_of(values: Values) -> list[str | None]:
        assert values.text is not None
        joined = values.text.tobytes()
        found = [joined[a:b].decode() for a, b in zip(values.data[:-1], values.data[1:], strict=True)]
        valid = [1] * len(found) if values.validity is None else values.validity.tolist()
        return [s if v else None for s, v in zip(found, valid, strict=True)]

    values = text_values(strings)
    begin = data.draw(st.integers(0, len(strings)))
    end = data.draw(st.integers(begin, len(strings)))
    rows = data.draw(st.lists(st.integers(0, len(strings) - 1), max_size=40))
    assert strings_of(values.slice(begin, end)) == strings[begin:end]
    assert strings_of(values.take(np.array(rows, np.int64))) == [strings[row] for row in rows]
    assert strings_of(concatenate([values.slice(0, begin), values.slice(begin, len(strings))])) == strings


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 65_535, 65_536])
def test_sizes_around_the_plain_and_segment_limits(count: int) -> None:
    generator = np.random.default_rng(count)
    for data in (
        np.arange(count),
        generator.integers(-(1 << 50), 1 << 50, count),
        generator.integers(0, 2, count) * 700,
    ):
        values = Values(Form.INT, data.astype(np.int64))
        assert same(encoding.decode(encoding.encode(values)), values)


def test_codes_keep_their_type() -> None:
    values = Values(Form.CODES, np.arange(100, dtype=np.int32) % 7)
    assert same(encoding.decode(encoding.encode(values)), values)


def test_sorted_keys_take_next_to_nothing() -> None:
    values = Values(Form.INT, np.arange(10**12, 10**12 + 65_536))
    assert len(encoding.encode(values)) < 200


@given(st.binary(max_size=80))
def test_garbage_is_a_value_error(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        encoding.decode(content)


@pytest.mark.parametrize("distinct", [1, 10, 1000, 100_000])
def test_distinct_counts_are_estimated_within_half(distinct: int) -> None:
    generator = np.random.default_rng(distinct)
    parts = []
    seen: set[int] = set()
    for _ in range(6):
        data = generator.integers(0, distinct, 65_536) * 7_919
        seen |= set(data.tolist())
        parts.append(sketch.sketch(Values(Form.INT, data)))
    estimate = sketch.estimate(sketch.merge(parts))
    assert 0.5 * len(seen) <= estimate <= 1.6 * len(seen)


def test_distinct_strings_are_estimated() -> None:
    values = text_values([f"customer {i % 5000:06d}" for i in range(20_000)])
    assert 2500 < sketch.estimate(sketch.sketch(values)) < 8000
    assert sketch.estimate(sketch.sketch(text_values(["a", "b", None, "", "a"]))) == 3
