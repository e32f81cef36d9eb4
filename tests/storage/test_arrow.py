"""Arrow arrays of every stored type, sliced anywhere, come back as they were."""

from __future__ import annotations

import decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb_compiler import types
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage import arrow, dictionary
from zerodb_storage.dictionary import Dictionary, DictionaryStore
from zerodb_storage.values import Form

TYPES = [
    types.BOOLEAN, types.SMALLINT, types.INTEGER, types.BIGINT, types.HUGEINT, types.U8, types.U16, types.U32,
    types.U64, types.numeric(9, 2), types.numeric(38, 10), types.REAL, types.DOUBLE, types.DATE, types.TIMESTAMP,
    types.TEXT,
]  # fmt: skip


def python_values(type_: SqlType) -> st.SearchStrategy[Any]:
    match type_.id:
        case TypeId.BOOLEAN:
            return st.booleans()
        case TypeId.NUMERIC | TypeId.HUGEINT:
            precision = type_.precision or 38
            digits = st.integers(-(10**precision - 1), 10**precision - 1)
            return digits.map(lambda n: decimal.Decimal(n).scaleb(-type_.scale, decimal.Context(prec=60)))
        case TypeId.REAL | TypeId.DOUBLE:
            return st.floats(allow_nan=False, width=32 if type_.id is TypeId.REAL else 64)
        case TypeId.DATE:
            return st.dates()
        case TypeId.TIMESTAMP:
            return st.datetimes()
        case TypeId.TEXT:
            return st.text(max_size=12)
    low, high = type_.bounds
    return st.integers(low, high)


@pytest.mark.parametrize("type_", TYPES, ids=str)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_round_trip(type_: SqlType, data: st.DataObject) -> None:
    given_values = data.draw(st.lists(st.one_of(st.none(), python_values(type_)), max_size=50))
    begin = data.draw(st.integers(0, len(given_values)))
    array = pa.array(given_values, arrow.arrow_type(type_)).slice(begin)
    values = arrow.from_arrow(array, type_, "c")
    assert values.null_count == array.null_count
    back = arrow.to_arrow(values, type_)
    back.validate(full=True)
    assert back.to_pylist() == array.to_pylist()
    if values.form in (Form.INT, Form.WIDE):
        bounds = values.bounds()
        assert bounds is None or type_.bounds[0] <= bounds[0] <= bounds[1] <= type_.bounds[1]


@given(
    st.lists(st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "bb", "ü", "a\x00"])), max_size=30), max_size=5)
)
@settings(deadline=None)
def test_dictionaries_give_back_the_strings(batches: list[list[str | None]]) -> None:
    store = DictionaryStore()
    coded = []
    for batch in batches:
        text = arrow.from_arrow(pa.array(batch, pa.large_string()), types.TEXT, "c")
        codes = dictionary.encode(text, store)
        assert codes is not None
        coded.append(codes)
    known = Dictionary(store, store.size)
    assert store.size == len({s for batch in batches for s in batch if s is not None})
    for batch, codes in zip(batches, coded, strict=True):
        assert arrow.to_arrow(known.decode(codes), types.TEXT).to_pylist() == batch


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_all_string_types_are_text(kind: pa.DataType) -> None:
    array = pa.array(["x", None, "a longer string than twelve bytes", "x"]).cast(kind)
    values = arrow.from_arrow(array, types.TEXT, "c")
    assert arrow.to_arrow(values, types.TEXT).to_pylist() == array.to_pylist()
    indices, strings, validity = arrow.distinct(array, types.TEXT, "c")
    assert strings == [b"x", b"a longer string than twelve bytes"]
    assert indices.tolist() == [0, 0, 1, 0]
    assert validity is not None
    assert validity.tolist() == [1, 0, 1, 1]


def test_categories_of_string_views() -> None:
    views = pa.array(["a", "b"], pa.string()).cast(pa.string_view())
    array = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.uint32()), views)
    found = arrow.from_arrow(array, types.TEXT, "c")
    assert arrow.to_arrow(found, types.TEXT).to_pylist() == ["b", None, "a"]
