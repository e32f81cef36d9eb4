"""Values by their component types: random types and values of them, written, copied by wasmtime and read; lists as
NumPy and Arrow arrays; and values that are read as another type than theirs."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.components.test_batches import sent, through_wasmtime

from zerodb.components.lists import NUMBERS
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.vals import Err, MalformedError, Ok, Variant
from zerodb.components.wit_types import (
    BYTES,
    INTERVAL,
    STRING,
    EnumOf,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
_NAMES = ("a", "b-c", "d")


def _numbers(name: str) -> st.SearchStrategy[Any]:
    if name == "bool":
        return st.booleans()
    if name in ("f32", "f64"):
        return st.floats(width=32 if name == "f32" else 64, allow_nan=False)
    bits = int(name[1:])
    low = -(1 << bits - 1) if name[0] == "s" else 0
    return st.integers(low, low + (1 << bits) - 1)


def primitives() -> st.SearchStrategy[WitType]:
    return st.sampled_from([*NUMBERS, "char", "string"]).map(Primitive)


def _larger(inner: st.SearchStrategy[WitType]) -> st.SearchStrategy[WitType]:
    maybe = st.none() | inner
    return st.one_of(
        inner.map(ListOf),
        inner.filter(lambda type_: not isinstance(type_, OptionOf)).map(OptionOf),
        st.lists(inner, min_size=1, max_size=3).map(lambda types: RecordOf(tuple(zip(_NAMES, types, strict=False)))),
        st.lists(inner, min_size=1, max_size=3).map(lambda types: TupleOf(tuple(types))),
        st.lists(maybe, min_size=1, max_size=3).map(lambda types: VariantOf(tuple(zip(_NAMES, types, strict=False)))),
        st.tuples(maybe, maybe).map(lambda types: ResultOf(*types)),
        st.just(EnumOf(_NAMES)),
    )


def types() -> st.SearchStrategy[WitType]:
    return st.recursive(primitives(), _larger, max_leaves=5)


def values(type_: WitType) -> st.SearchStrategy[Any]:
    match type_:
        case Primitive(name="string"):
            return _TEXT
        case Primitive(name="char"):
            return st.characters(exclude_categories=["Cs"])
        case Primitive(name=name):
            return _numbers(name)
        case ListOf() if type_ == BYTES:
            return st.binary(max_size=60)
        case ListOf(element=element):
            return st.lists(values(element), max_size=9)
        case OptionOf(payload=payload):
            return st.none() | values(payload)
        case RecordOf(fields=fields):
            return st.fixed_dictionaries({name: values(field) for name, field in fields})
        case TupleOf(elements=elements):
            return st.tuples(*map(values, elements))
        case VariantOf(cases=cases):
            return st.sampled_from(cases).flatmap(
                lambda case: st.builds(Variant, st.just(case[0]), st.none() if case[1] is None else values(case[1]))
            )
        case EnumOf(names=names):
            return st.sampled_from(names)
        case ResultOf(ok=ok, err=err):
            return st.builds(Ok, st.none() if ok is None else values(ok)) | st.builds(
                Err, st.none() if err is None else values(err)
            )
    raise AssertionError(type_)


def plain(value: Any) -> Any:
    """Lists in place of arrays."""
    match value:
        case np.ndarray():
            return value.tolist()
        case list():
            return [plain(item) for item in value]
        case tuple():
            return tuple(plain(item) for item in value)
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case Variant():
            return Variant(value.tag, plain(value.payload))
        case Ok() | Err():
            return type(value)(plain(value.value))
    return value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_values_of_any_type_come_back_as_they_were(data: st.DataObject) -> None:
    type_ = data.draw(types())
    value = data.draw(values(type_))
    found = sent(type_, value)
    assert plain(found) == value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(types(), types(), st.data())
def test_a_value_of_another_type_is_refused_or_read_safely(type_: WitType, other: WitType, data: st.DataObject) -> None:
    """Guests say what types their imports have; here a value of one type meets the reader of another."""
    value = data.draw(values(type_))
    for arrow in (False, True):
        with contextlib.suppress(MalformedError, UnicodeError):
            through_wasmtime(lower_of(type_), lift_of(other, arrow=arrow), value)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*(Primitive(name) for name in NUMBERS), STRING, BYTES]), st.data())
def test_lists_of_options_as_arrow_arrays(payload: WitType, data: st.DataObject) -> None:
    given_ = data.draw(st.lists(st.none() | values(payload), max_size=40))
    found = sent(ListOf(OptionOf(payload)), given_, arrow=True)
    assert isinstance(found, pa.Array)
    assert found.to_pylist() == given_
    again = sent(ListOf(OptionOf(payload)), found.slice(len(given_) // 3), arrow=True)
    assert again.to_pylist() == given_[len(given_) // 3 :]
    assert sent(ListOf(OptionOf(payload)), found) == given_


@pytest.mark.parametrize("size", [0, 3, 200])
def test_texts_of_any_length_are_gathered(size: int) -> None:
    """Few bytes by one index, many by a copy for each."""
    texts = pa.array(["", "ä" * size, "x" * (size // 2), "", "end"] * 50)
    assert sent(ListOf(STRING), texts, arrow=True).equals(texts)
    assert sent(ListOf(STRING), texts) == texts.to_pylist()
    blobs = texts.cast(pa.binary())
    assert sent(ListOf(BYTES), blobs, arrow=True).equals(blobs)
    assert sent(ListOf(BYTES), blobs.to_pylist()) == blobs.to_pylist()


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Primitive("s32"), 1 << 31),
        (Primitive("u8"), -1),
        (Primitive("s64"), 1.5),
        (Primitive("s64"), True),
        (Primitive("bool"), 1),
        (STRING, b"bytes"),
        (ListOf(Primitive("s32")), [1, 1 << 31]),
        (ListOf(Primitive("s32")), np.array([1, 1 << 31])),
        (ListOf(Primitive("s32")), [1, "2"]),
        (ListOf(Primitive("bool")), [1, 0]),
        (ListOf(Primitive("u64")), np.array([-1])),
        (ListOf(Primitive("s64")), np.array([1.5])),
        (ListOf(Primitive("s64")), np.array([[1], [2]])),
        (ListOf(Primitive("s64")), [None]),
        (ListOf(STRING), ["a", None]),
        (ListOf(STRING), ["a", 1]),
        (ListOf(STRING), pa.array([b"\xff"])),
        (ListOf(INTERVAL), ([1], [2, 3], [4])),
        (ListOf(OptionOf(Primitive("u8"))), [1, 256]),
        (RecordOf((("a", STRING),)), {"b": "x"}),
        (TupleOf((STRING, STRING)), ("x",)),
    ],
)
def test_what_does_not_fit_its_type_is_not_written(type_: WitType, value: Any) -> None:
    with pytest.raises((MalformedError, ValueError)):
        sent(type_, value)


def test_records_of_numbers_as_arrays() -> None:
    months, days, micros = [1, -2], [3, -4], [5, -(1 << 62)]
    found = sent(ListOf(INTERVAL), (np.array(months), days, micros), arrow=True)
    assert [array.tolist() for array in found] == [months, days, micros]
    assert sent(ListOf(INTERVAL), found)[1] == {"months": -2, "days": -4, "microseconds": -(1 << 62)}


def test_floats_keep_their_bits() -> None:
    found = sent(ListOf(Primitive("f64")), [math.nan, -0.0, math.inf])
    assert np.array_equal(found.view(np.int64), np.array([math.nan, -0.0, math.inf]).view(np.int64))


def test_nested_options_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="option<option<u8>>"):
        lower_of(OptionOf(OptionOf(Primitive("u8"))))
