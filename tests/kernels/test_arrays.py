"""Array kernels against the Python encoder and plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_runner import WORKER, Kernels

from zerodb_compiler import types
from zerodb_compiler.kernels import array_functions, array_text, arrays, ranges
from zerodb_compiler.nested import Array, decode_array, encode_array
from zerodb_compiler.sql.nested_values import format_array, parse_array
from zerodb_compiler.sql.range_values import made_range
from zerodb_compiler.sql.values import format_value, parse_value
from zerodb_compiler.types import BIGINT, DOUBLE, INTEGER, TEXT, SqlType, TypeId

TEXTS = types.array(TEXT)
few = settings(max_examples=60, deadline=None)
texts = st.text(st.sampled_from('ab ,{}"\\\0né[]N'), max_size=6) | st.sampled_from(["NULL", "null", ""])
numbers = st.integers(-(1 << 31), (1 << 31) - 1)


@cache
def kernels() -> Kernels:
    return Kernels(
        arrays.array_key,
        array_functions.array_append,
        array_functions.array_cat,
        array_functions.array_remove,
        array_text.format_array,
        array_text.parse_array,
        ranges.range_contains,
        ranges.range_overlaps,
        ranges.range_before,
    )


def listed(type_: SqlType, values: Sequence[object]) -> bytes:
    return encode_array(type_, Array(((len(values), 1),), tuple(values)))  # type: ignore[arg-type]


@few
@given(st.lists(st.none() | texts, max_size=6))
def test_text_form(values: list[str | None]) -> None:
    k = kernels()
    k.reset()
    data = listed(TEXTS, values)
    shown = format_array(TEXTS, data, format_value)
    assert k.text(array_text.format_array, WORKER, *k.put(data)) == shown.encode()
    plain = [value for value in values if value is None or "\0" not in value]
    if len(plain) == len(values):
        assert parse_array(TEXTS, shown, None, parse_value) == data
    assert k.text(array_text.parse_array, WORKER, *k.put(shown.encode())) == data


@few
@given(st.text(st.sampled_from('ab,{}" \\N'), max_size=10))
def test_parsers_agree(text: str) -> None:
    k = kernels()
    k.reset()
    try:
        wanted: bytes | None = parse_array(TEXTS, text, None, parse_value)
    except Exception:
        wanted = None
    assert k.text(array_text.parse_array, WORKER, *k.put(text.encode())) == wanted


@few
@given(st.sampled_from([INTEGER, BIGINT, DOUBLE, TEXT]), st.data())
def test_keys_compare_as_lists(element: SqlType, data: st.DataObject) -> None:
    k = kernels()
    k.reset()
    type_ = types.array(element)
    one: st.SearchStrategy[object] = numbers
    if element is TEXT:
        one = texts
    elif element is DOUBLE:
        one = st.floats(allow_nan=False)
    lists = [data.draw(st.lists(st.none() | one, max_size=5)) for _ in range(2)]
    kind, width = arrays.FLOAT if element is DOUBLE else arrays.BYTES, 0 if element is TEXT else 8
    keys = [k.text(arrays.array_key, WORKER, *k.put(listed(type_, values)), kind, width) for values in lists]
    assert keys[0] is not None
    assert keys[1] is not None
    orders = [[(item is None, _bytes(item)) for item in values] for values in lists]
    assert (keys[0] < keys[1]) == (orders[0] < orders[1])
    assert (keys[0] == keys[1]) == (orders[0] == orders[1])


def _bytes(value: object) -> object:
    return value.encode() if isinstance(value, str) else 0 if value is None else value


@few
@given(st.lists(st.none() | numbers, max_size=20), st.lists(st.none() | numbers, max_size=20), st.none() | numbers)
def test_building(first: list[int | None], second: list[int | None], value: int | None) -> None:
    k = kernels()
    k.reset()
    type_ = types.array(INTEGER)
    a, b = k.put(listed(type_, first)), k.put(listed(type_, second))
    joined = k.text(array_functions.array_cat, WORKER, *a, *b)
    assert joined is not None
    assert list(decode_array(type_, joined).elements) == first + second
    p, size = k.put((0 if value is None else value + (1 << 31)).to_bytes(4, "big"))
    more = k.text(array_functions.array_append, WORKER, a[0], p, size, int(value is None))
    assert more == listed(type_, [*first, value])
    fewer = k.text(array_functions.array_remove, WORKER, a[0], arrays.BYTES, p, size, int(value is None))
    assert fewer == listed(type_, [item for item in first if item != value])


small = st.none() | st.integers(-4, 4)


@few
@given(*[small] * 4, *[st.booleans()] * 4)
def test_ranges_as_sets(
    a: int | None, b: int | None, c: int | None, d: int | None, e: bool, f: bool, g: bool, h: bool
) -> None:
    """Over the integers from -9 to 9, which are enough to tell the ranges apart."""
    if (a is not None and b is not None and a > b) or (c is not None and d is not None and c > d):
        return
    k = kernels()
    k.reset()
    type_ = SqlType(TypeId.RANGE, element=INTEGER, name="int4range")
    first, second = made_range(type_, a, b, e, f, None), made_range(type_, c, d, g, h, None)
    one, two = _members(a, b, e, f), _members(c, d, g, h)
    p, q = k.put(first), k.put(second)
    assert bool(k.run(ranges.range_contains, *p, *q)) == (two <= one)
    assert bool(k.run(ranges.range_overlaps, *p, *q)) == bool(one & two)
    before = bool(one and two and max(one) < min(two))
    assert bool(k.run(ranges.range_before, *p, *q)) == before


def _members(low: int | None, high: int | None, with_low: bool, with_high: bool) -> set[int]:
    return {
        x
        for x in range(-9, 10)
        if (low is None or x > low or (with_low and x == low))
        and (high is None or x < high or (with_high and x == high))
    }
